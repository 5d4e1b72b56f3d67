//! The counters and gauges operators see, in one page shared by all processes of the host.
//!
//! One table names them; both hosts export that table under the group `msrp_conference`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! statistics {
    ($( $variant:ident $name:literal $doc:literal, )*) => {
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
        }
    };
}

statistics! {
    Conferences "conferences" "Conferences at present.",
    Participants "participants" "Participants at present, over all conferences.",
    Subscriptions "subscriptions" "Subscriptions to the conference event package at present.",
    Sessions "sessions" "MSRP sessions at present, bound or not.",
    MessagesIn "messages_in" "Messages received from participants.",
    MessagesOut "messages_out" "Messages sent to participants.",
    BytesIn "bytes_in" "Octets read from MSRP connections.",
    BytesOut "bytes_out" "Octets written to MSRP connections.",
    DropsSlowReader "drops_slow_reader" "Messages not delivered because a receiver's outbox was full.",
    Joins "joins" "Joins that were accepted.",
    Leaves "leaves" "Participants who left by BYE.",
    Losses "losses" "Participants lost with their connection.",
    Refused "refused" "Joins that were refused.",
    Notifies "notifies" "NOTIFY requests sent.",
    Panics "panics" "Panics caught; every one is a bug.",
}

/// How many there are.
pub const COUNT: usize = ALL.len();

/// The values. Any thread of any process may change and read them.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Statistics([AtomicU64; COUNT]);

impl Statistics {
    /// Adds to a counter.
    pub fn add(&self, which: Statistic, amount: u64) {
        self.cell(which).fetch_add(amount, Ordering::Relaxed);
    }

    /// Takes from a gauge.
    pub fn subtract(&self, which: Statistic, amount: u64) {
        self.cell(which).fetch_sub(amount, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, which: Statistic, value: u64) {
        self.cell(which).store(value, Ordering::Relaxed);
    }

    /// The present value.
    pub fn value(&self, which: Statistic) -> u64 {
        self.cell(which).load(Ordering::Relaxed)
    }

    fn cell(&self, which: Statistic) -> &AtomicU64 {
        &self.0[which as usize]
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
        statistics.subtract(Statistic::Participants, 2);
        assert_eq!(statistics.value(Statistic::Joins), 3);
        assert_eq!(statistics.value(Statistic::Participants), 3);
        assert_eq!(statistics.value(Statistic::Losses), 0);
    }

    #[test]
    fn names_are_the_published_ones() {
        let names: Vec<_> = ALL.iter().map(|s| s.name()).collect();
        assert_eq!(
            names.join(" "),
            "conferences participants subscriptions sessions messages_in messages_out \
             bytes_in bytes_out drops_slow_reader joins leaves losses refused notifies panics"
        );
    }
}
