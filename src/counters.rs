//! Every counter and gauge, declared once. Focus, switch and resolver count in a [`Totals`] of
//! their own; the control protocol, the shared page (`statistics`), both hosts and
//! `docs/statistics.md` know all of them from the table here.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// How a figure moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up alone, from 0 at the start of the proxy.
    Counter,
}

/// Where a figure is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the focus.
    Focus,
    /// In the switch, which may be a process of its own.
    Switch,
    /// Where names are looked up.
    Resolver,
    /// In every process of the proxy, and in a switch outside it.
    Everywhere,
}

macro_rules! counters {
    ($( $field:ident $variant:ident $kind:ident $place:ident $doc:literal )*) => {
        /// One counter or gauge.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Statistic {
            $( #[doc = $doc] $variant, )*
        }

        /// All of them, in the order of their numbers.
        pub const ALL: &[Statistic] = &[$( Statistic::$variant, )*];

        /// How many there are.
        pub const COUNT: usize = ALL.len();

        impl Statistic {
            /// The name operators see.
            pub const fn name(self) -> &'static str {
                match self { $( Statistic::$variant => stringify!($field), )* }
            }

            /// What it counts.
            pub const fn doc(self) -> &'static str {
                match self { $( Statistic::$variant => $doc, )* }
            }

            /// How it moves.
            pub const fn kind(self) -> Kind {
                match self { $( Statistic::$variant => Kind::$kind, )* }
            }

            /// Where it is counted.
            pub const fn place(self) -> Place {
                match self { $( Statistic::$variant => Place::$place, )* }
            }
        }

        /// What one part of the program has counted since it started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(into = "Vec<(String, u64)>", from = "Vec<(String, u64)>")]
        pub struct Totals {
            $( #[doc = $doc] pub $field: u64, )*
        }

        impl From<Totals> for [u64; COUNT] {
            fn from(totals: Totals) -> Self {
                [$( totals.$field, )*]
            }
        }

        impl From<[u64; COUNT]> for Totals {
            fn from([$( $field, )*]: [u64; COUNT]) -> Self {
                Self { $( $field, )* }
            }
        }
    };
}

counters! {
    conferences Conferences Gauge Focus
        "Conferences at present."
    participants Participants Gauge Focus
        "Participants at present, over all conferences; the invited do not count."
    subscriptions Subscriptions Gauge Focus
        "Subscriptions to the conference event package at present."
    sessions Sessions Gauge Switch
        "MSRP sessions at present, bound or not."
    messages_in MessagesIn Counter Switch
        "Messages received from participants."
    messages_out MessagesOut Counter Switch
        "Messages sent to participants."
    bytes_in BytesIn Counter Switch
        "Octets read from MSRP connections."
    bytes_out BytesOut Counter Switch
        "Octets written to MSRP connections."
    drops_slow_reader DropsSlowReader Counter Switch
        "Messages not delivered because a receiver's outbox was full."
    unfinished_dropped UnfinishedDropped Counter Switch
        "Messages dropped while incomplete: no more of them came, and others needed the memory."
    not_msrp NotMsrp Counter Switch
        "MSRP connections closed because the data could not be read as MSRP."
    dials_delayed DialsDelayed Counter Switch
        "Attempts to connect to a client that had to wait for others of its room or its network."
    joins Joins Counter Focus
        "Joins that were accepted."
    leaves Leaves Counter Focus
        "Devices that left after they had joined, for whatever reason: BYE, removal, loss, end of the conference."
    losses Losses Counter Focus
        "MSRP sessions that ended without BYE, most of them with their connection."
    refused Refused Counter Focus
        "Requests answered with an error: joins refused, subscriptions, and what came too late."
    notifies Notifies Counter Focus
        "NOTIFY requests sent."
    look_ups LookUps Gauge Resolver
        "Names being looked up, or waiting for it, before requests of ours can be sent there."
    look_ups_refused LookUpsRefused Counter Resolver
        "Look-ups refused because too many were under way."
    look_ups_failed LookUpsFailed Counter Resolver
        "Look-ups that found no address within 4 s."
    panics Panics Counter Everywhere
        "Panics caught, those of `msrp-switchd` included; every one is a bug."
}

impl Totals {
    /// Each figure with what it is.
    pub fn iter(self) -> impl Iterator<Item = (Statistic, u64)> {
        ALL.iter().copied().zip(<[u64; COUNT]>::from(self))
    }

    /// The figures that `make` gives.
    pub fn from_fn(make: impl Fn(Statistic) -> u64) -> Self {
        Self::from(std::array::from_fn(|at| make(ALL[at])))
    }

    /// One figure.
    pub fn get(&self, which: Statistic) -> u64 {
        <[u64; COUNT]>::from(*self)[which as usize]
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        *self = Self::from_fn(|which| self.get(which) + more.get(which));
    }
}

/// By name and without zeros, so that programs of releases with more or fewer figures still
/// understand each other.
impl From<Totals> for Vec<(String, u64)> {
    fn from(totals: Totals) -> Self {
        let counted = totals.iter().filter(|(_, figure)| *figure > 0);
        counted
            .map(|(which, figure)| (which.name().to_owned(), figure))
            .collect()
    }
}

impl From<Vec<(String, u64)>> for Totals {
    fn from(named: Vec<(String, u64)>) -> Self {
        Self::from_fn(|which| {
            let mut found = named.iter().filter(|(name, _)| name == which.name());
            found.next().map_or(0, |(_, figure)| *figure)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_survive_the_control_protocol_and_unknown_figures_are_passed_over() {
        let totals = Totals::from_fn(|which| which as u64);
        let octets = postcard::to_stdvec(&totals).expect("written");
        assert_eq!(postcard::from_bytes(&octets), Ok(totals));
        let later: Vec<(String, u64)> = vec![
            ("joins".to_owned(), 7),
            ("of_a_later_release".to_owned(), 1),
        ];
        let octets = postcard::to_stdvec(&later).expect("written");
        let expected = Totals {
            joins: 7,
            ..Totals::default()
        };
        assert_eq!(postcard::from_bytes(&octets), Ok(expected));
    }

    #[test]
    fn sums_are_of_each_figure() {
        let mut sum = Totals::from_fn(|which| which as u64);
        sum += Totals::from_fn(|_| 1);
        assert_eq!(sum, Totals::from_fn(|which| which as u64 + 1));
    }
}
