//! Differences between the series of OpenSIPS, as data. Offsets and sizes in octets; `make
//! abi-check OPENSIPS_SRC=...` compares a row with a source tree.

use crate::host::release::{self, Flags, Release};

/// The layout of one series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) oldest: Release,
    pub(crate) measured: Release,
    /// Offset in a message: the reception record.
    pub(crate) message_reception: usize,
    /// Offset in a message: the buffer it was received into.
    pub(crate) message_buffer: usize,
    /// Offset in a message: its length.
    pub(crate) message_length: usize,
    /// Offset in a message: the Request-URI as the script changed it.
    pub(crate) message_new_uri: usize,
    /// The size of one record in the process table.
    pub(crate) process_size: usize,
    /// Offset in such a record: the reading end of the process' pipe.
    pub(crate) process_pipe: usize,
    /// Offset in a socket: its address as text.
    pub(crate) socket_address: usize,
    /// Offset in a socket: its port.
    pub(crate) socket_port: usize,
    /// Offset in a socket: the name it advertises.
    pub(crate) socket_advertised_name: usize,
    /// Offset in a socket: the port it advertises, as text.
    pub(crate) socket_advertised_port: usize,
    /// The size of a management command's record.
    pub(crate) management_size: usize,
    /// Offset in such a record: its recipes, the lists of possible parameters.
    pub(crate) management_recipes: usize,
    /// The size of a recipe: a function, then names.
    pub(crate) management_recipe_size: usize,
    /// Offset in such a record: other names of the command. 0: there are none, and commands are
    /// registered by their whole names.
    pub(crate) management_aliases: usize,
}

impl release::Series for Series {
    fn oldest(&self) -> Release {
        self.oldest
    }
    fn measured(&self) -> Release {
        self.measured
    }
}

/// One row per series. 3.4.0 and 3.4.1 have another dialog and another tm.
pub(super) static SERIES: &[Series] = &[
    Series {
        oldest: Release::new(3, 4, 2),
        measured: Release::new(3, 4, 18),
        message_reception: 480,
        message_buffer: 584,
        message_length: 592,
        message_new_uri: 600,
        process_size: 4704,
        process_pipe: 148,
        socket_address: 64,
        socket_port: 80,
        socket_advertised_name: 192,
        socket_advertised_port: 208,
        management_size: 4256,
        management_recipes: 32,
        management_recipe_size: 88,
        management_aliases: 0,
    },
    Series {
        oldest: Release::new(3, 5, 0),
        measured: Release::new(3, 5, 9),
        message_reception: 504,
        message_buffer: 608,
        message_length: 616,
        message_new_uri: 624,
        process_size: 4704,
        process_pipe: 148,
        socket_address: 64,
        socket_port: 80,
        socket_advertised_name: 192,
        socket_advertised_port: 208,
        management_size: 4256,
        management_recipes: 32,
        management_recipe_size: 88,
        management_aliases: 0,
    },
    Series {
        oldest: Release::new(3, 6, 0),
        measured: Release::new(3, 6, 8),
        message_reception: 504,
        message_buffer: 608,
        message_length: 616,
        message_new_uri: 624,
        process_size: 4704,
        process_pipe: 148,
        socket_address: 64,
        socket_port: 80,
        socket_advertised_name: 192,
        socket_advertised_port: 208,
        management_size: 4256,
        management_recipes: 32,
        management_recipe_size: 88,
        management_aliases: 0,
    },
    Series {
        oldest: Release::new(4, 0, 0),
        measured: Release::new(4, 0, 1),
        message_reception: 504,
        message_buffer: 672,
        message_length: 680,
        message_new_uri: 688,
        process_size: 4696,
        process_pipe: 148,
        socket_address: 80,
        socket_port: 96,
        socket_advertised_name: 208,
        socket_advertised_port: 224,
        management_size: 8128,
        management_recipes: 32,
        management_recipe_size: 168,
        management_aliases: 8096,
    },
];

/// OpenSIPS' compile options: none moves anything that this module uses.
pub(super) static FLAGS: Flags = Flags {
    measured: &[
        "STATS: On",
        "STATS: Off",
        "EXTRA_DEBUG",
        "DISABLE_NAGLE",
        "USE_MCAST",
        "NO_DEBUG",
        "NO_LOG",
        "SHM_MMAP",
        "PKG_MALLOC",
        "Q_MALLOC",
        "F_MALLOC",
        "HP_MALLOC",
        "F_PARALLEL_MALLOC",
        "DBG_MALLOC",
        "CC_O0",
        "DEBUG_DMALLOC",
        "QM_JOIN_FREE",
        "FAST_LOCK",
        "ADAPTIVE_WAIT",
        "BUSY_WAIT",
        "FUTEX",
        "NOSMP",
        "USE_PTHREAD_MUTEX",
        "USE_UMUTEX",
        "USE_POSIX_SEM",
        "USE_SYSV_SEM",
        "DBG_LOCK",
    ],
    refused: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::release::{Version, look_up};

    #[test]
    fn each_release_finds_the_row_of_its_series_or_none() {
        for (version, series) in [
            ("3.4.1", None),
            ("3.4.2", Some((3, 4))),
            ("3.5.0", Some((3, 5))),
            ("3.6.99", Some((3, 6))),
            ("4.0.1", Some((4, 0))),
            ("3.3.9", None),
            ("4.1.0", None),
        ] {
            let version = Version::find(version).expect("a version");
            let row = look_up(SERIES, &version);
            let found = row.map(|row| (row.oldest.major, row.oldest.minor));
            assert_eq!(found, series, "{version}");
        }
    }
}
