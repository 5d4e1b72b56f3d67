//! What differs between the series of Kamailio, as data. Offsets and sizes in octets;
//! `make abi-check KAMAILIO_SRC=...` compares a row with a source tree.

use crate::host::release::{self, Release};

/// The layout of one series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) oldest: Release,
    pub(crate) measured: Release,
    /// The size of a message.
    pub(crate) message_size: usize,
    /// In a transaction: its request. The end of that request's memory follows it.
    pub(crate) transaction_request: usize,
    /// In a pseudo-variable's value: its flags, right behind its number.
    pub(crate) variable_flags: usize,
}

impl release::Series for Series {
    fn oldest(&self) -> Release {
        self.oldest
    }
    fn measured(&self) -> Release {
        self.measured
    }
}

/// One row a series.
pub(super) static SERIES: &[Series] = &[
    Series {
        oldest: Release::new(5, 6, 0),
        measured: Release::new(5, 6, 3),
        message_size: 2008,
        transaction_request: 192,
        variable_flags: 20,
    },
    Series {
        oldest: Release::new(5, 7, 0),
        measured: Release::new(5, 7, 7),
        message_size: 2008,
        transaction_request: 240,
        variable_flags: 24,
    },
    Series {
        oldest: Release::new(5, 8, 0),
        measured: Release::new(5, 8, 8),
        message_size: 2016,
        transaction_request: 240,
        variable_flags: 24,
    },
    Series {
        oldest: Release::new(6, 0, 0),
        measured: Release::new(6, 0, 7),
        message_size: 2016,
        transaction_request: 240,
        variable_flags: 24,
    },
    Series {
        oldest: Release::new(6, 1, 0),
        measured: Release::new(6, 1, 4),
        message_size: 2024,
        transaction_request: 240,
        variable_flags: 24,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::release::{Known, look_up};

    #[test]
    fn each_release_finds_the_row_of_its_series_or_none() {
        for (version, series) in [
            ("5.5.7", None),
            ("5.6.3", Some((5, 6))),
            ("5.8.8", Some((5, 8))),
            ("6.1.99", Some((6, 1))),
            ("6.2.0", None),
        ] {
            let release = Release::find(version).expect("a version");
            let row = match look_up(SERIES, release) {
                Known::Yes(row) | Known::Newer(row) => Some(row),
                Known::No => None,
            };
            let found = row.map(|row| (row.oldest.major, row.oldest.minor));
            assert_eq!(found, series, "{version}");
        }
    }
}
