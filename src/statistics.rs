//! The counters and gauges operators see, in one page shared by all processes of the host.
//!
//! One table names them; both hosts export that table under the group `msrp_conference`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a statistic moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up alone, from 0 at the start of the proxy.
    Counter,
}

macro_rules! statistics {
    ($( $variant:ident $kind:ident $name:literal $doc:literal, )*) => {
        /// One statistic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Statistic {
            $( #[doc = $doc] $variant, )*
        }

        /// Every statistic, in the order of their numbers.
        pub const ALL: &[Statistic] = &[$( Statistic::$variant, )*];

        impl Statistic {
            /// The name operators see.
            pub const fn name(self) -> &'static str {
                match self { $( Statistic::$variant => $name, )* }
            }

            /// What it counts.
            pub const fn doc(self) -> &'static str {
                match self { $( Statistic::$variant => $doc, )* }
            }

            /// How it moves.
            pub const fn kind(self) -> Kind {
                match self { $( Statistic::$variant => Kind::$kind, )* }
            }
        }
    };
}

statistics! {
    Conferences Gauge "conferences" "Conferences at present.",
    Participants Gauge "participants" "Participants at present, over all conferences; the invited do not count.",
    Subscriptions Gauge "subscriptions" "Subscriptions to the conference event package at present.",
    Sessions Gauge "sessions" "MSRP sessions at present, bound or not.",
    MessagesIn Counter "messages_in" "Messages received from participants.",
    MessagesOut Counter "messages_out" "Messages sent to participants.",
    BytesIn Counter "bytes_in" "Octets read from MSRP connections.",
    BytesOut Counter "bytes_out" "Octets written to MSRP connections.",
    DropsSlowReader Counter "drops_slow_reader" "Messages not delivered because a receiver's outbox was full.",
    UnfinishedDropped Counter "unfinished_dropped" "Messages of which some had come and nothing more did, let go of while others needed the memory.",
    DialsDelayed Counter "dials_delayed" "Attempts to connect to a client that had to wait for others of its room or its network.",
    WebsocketsRefused Counter "websockets_refused" "WebSockets refused, for their handshake or the page they came from, and closed for what came on them.",
    Joins Counter "joins" "Joins that were accepted.",
    Leaves Counter "leaves" "Participants who left by BYE.",
    Losses Counter "losses" "Participants lost with their connection.",
    Refused Counter "refused" "Requests answered with an error: joins refused, subscriptions, and what came too late.",
    Notifies Counter "notifies" "NOTIFY requests sent.",
    LookUps Gauge "look_ups" "Names being looked up, or waiting for it, before requests of ours can be sent there.",
    LookUpsRefused Counter "look_ups_refused" "Look-ups refused because too many were under way.",
    LookUpsFailed Counter "look_ups_failed" "Look-ups that found no address within 4 s.",
    Panics Counter "panics" "Panics caught; every one is a bug.",
}

/// How many there are.
pub const COUNT: usize = ALL.len();

/// The values. Any thread of any process may change and read them.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Statistics {
    values: [AtomicU64; COUNT],
    /// What no statistic is, but a pseudo-variable: how many rooms there are.
    rooms: AtomicU64,
}

impl Statistics {
    /// Adds to a counter.
    pub fn add(&self, which: Statistic, amount: u64) {
        self.cell(which).fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, which: Statistic, value: u64) {
        self.cell(which).store(value, Ordering::Relaxed);
    }

    /// The present value.
    pub fn value(&self, which: Statistic) -> u64 {
        self.cell(which).load(Ordering::Relaxed)
    }

    /// How many rooms there are.
    pub fn rooms(&self) -> u64 {
        self.rooms.load(Ordering::Relaxed)
    }

    /// Says how many rooms there are.
    pub fn set_rooms(&self, rooms: u64) {
        self.rooms.store(rooms, Ordering::Relaxed);
    }

    fn cell(&self, which: Statistic) -> &AtomicU64 {
        &self.values[which as usize]
    }
}

static GLOBAL: OnceLock<&'static Statistics> = OnceLock::new();

/// The statistics of this proxy. Before a host has shared its page, and in tests, these are
/// values of this process alone.
pub fn global() -> &'static Statistics {
    GLOBAL.get_or_init(|| Box::leak(Box::default()))
}

/// Makes `page` the one that [`global`] gives; the first call decides.
pub(crate) fn share(page: &'static Statistics) {
    let _ = GLOBAL.set(page);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_gauges() {
        let statistics = Statistics::default();
        statistics.add(Statistic::Joins, 2);
        statistics.add(Statistic::Joins, 1);
        statistics.set(Statistic::Participants, 5);
        statistics.set(Statistic::Participants, 3);
        assert_eq!(statistics.value(Statistic::Joins), 3);
        assert_eq!(statistics.value(Statistic::Participants), 3);
        assert_eq!(statistics.value(Statistic::Losses), 0);
    }

    /// The table in `docs/statistics.md`, between its two marks.
    fn table() -> String {
        let mut table = "| name | kind | what |\n| --- | --- | --- |\n".to_owned();
        for statistic in ALL {
            let (name, doc) = (statistic.name(), statistic.doc());
            let kind = match statistic.kind() {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            table += &format!("| `{name}` | {kind} | {doc} |\n");
        }
        table
    }

    #[test]
    fn the_documentation_holds_the_table() {
        const FROM: &str = "<!-- written by UPDATE_DOCS=1 cargo test statistics -->\n";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/statistics.md");
        let page = std::fs::read_to_string(file).unwrap();
        let (head, rest) = page.split_once(FROM).expect("the first mark");
        let (_, tail) = rest.split_once("<!-- end -->").expect("the second mark");
        let fresh = format!("{head}{FROM}{}<!-- end -->{tail}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &fresh).unwrap();
        } else {
            assert!(page == fresh, "run UPDATE_DOCS=1 cargo test statistics");
        }
    }

    #[test]
    fn names_are_the_published_ones() {
        let names: Vec<_> = ALL.iter().map(|s| s.name()).collect();
        assert_eq!(
            names.join(" "),
            "conferences participants subscriptions sessions messages_in messages_out \
             bytes_in bytes_out drops_slow_reader unfinished_dropped dials_delayed websockets_refused joins \
             leaves losses refused notifies look_ups look_ups_refused look_ups_failed panics"
        );
    }
}
