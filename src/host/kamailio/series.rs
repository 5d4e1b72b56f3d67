//! Differences between the series of Kamailio, as data. Offsets and sizes in octets; `make
//! abi-check KAMAILIO_SRC=...` compares a row with a source tree.

use crate::host::release::{self, Flags, Release};

/// The layout of one series.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) oldest: Release,
    pub(crate) measured: Release,
    /// Offset of the request in a transaction. The end of that request's memory follows it.
    pub(crate) transaction_request: usize,
}

impl release::Series for Series {
    fn oldest(&self) -> Release {
        self.oldest
    }
    fn measured(&self) -> Release {
        self.measured
    }
}

/// One row per series.
pub(super) static SERIES: &[Series] = &[
    Series {
        oldest: Release::new(5, 6, 0),
        measured: Release::new(5, 6, 6),
        transaction_request: 192,
    },
    Series {
        oldest: Release::new(5, 7, 0),
        measured: Release::new(5, 7, 7),
        transaction_request: 240,
    },
    Series {
        oldest: Release::new(5, 8, 0),
        measured: Release::new(5, 8, 8),
        transaction_request: 240,
    },
    Series {
        oldest: Release::new(6, 0, 0),
        measured: Release::new(6, 0, 7),
        transaction_request: 240,
    },
    Series {
        oldest: Release::new(6, 1, 0),
        measured: Release::new(6, 1, 4),
        transaction_request: 240,
    },
];

/// Kamailio's compile options. `TIMER_DEBUG` lengthens transactions before their request, `USE_COMP`
/// the reception record inside messages.
pub(super) static FLAGS: Flags = Flags {
    measured: &[
        "EXTRA_DEBUG",
        "USE_TCP",
        "USE_TLS",
        "USE_SCTP",
        "CORE_TLS",
        "TLS_HOOKS",
        "USE_RAW_SOCKS",
        "DISABLE_NAGLE",
        "USE_MCAST",
        "NO_DEBUG",
        "NO_LOG",
        "NO_SIG_DEBUG",
        "DNS_IP_HACK",
        "SHM_MMAP",
        "PKG_MALLOC",
        "DBG_SYS_MEMORY",
        "MEM_JOIN_FREE",
        "Q_MALLOC",
        "F_MALLOC",
        "DL_MALLOC",
        "SF_MALLOC",
        "LL_MALLOC",
        "TLSF_MALLOC",
        "DBG_SR_MEMORY",
        "DBG_QM_MALLOC",
        "DBG_F_MALLOC",
        "DBG_SF_MALLOC",
        "DBG_TLSF_MALLOC",
        "USE_FUTEX",
        "FAST_LOCK",
        "ADAPTIVE_WAIT",
        "BUSY_WAIT",
        "NOSMP",
        "USE_PTHREAD_MUTEX",
        "USE_POSIX_SEM",
        "USE_SYSV_SEM",
        "USE_DNS_CACHE",
        "USE_DNS_FAILOVER",
        "DNS_WATCHDOG_SUPPORT",
        "USE_NAPTR",
        "USE_DST_BLOCKLIST",
        "HAVE_RESOLV_RES",
        "SYSLOG_CALLBACK_SUPPORT",
        "MYSQL_FAKE_NULL",
        "USE_DST_BLOCKLIST_STATS",
        "USE_DNS_CACHE_STATS",
        "TLS_PTHREAD_MUTEX_SHARED",
    ],
    refused: &["TIMER_DEBUG", "USE_COMP"],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::release::{Version, look_up};

    /// `UPDATE_DOCS=1 cargo test --lib kamailio::series` writes a new series into the pages.
    #[test]
    fn the_pages_name_every_series() {
        let name = |row: &Series| format!("{}.{}", row.oldest.major, row.oldest.minor);
        let names: Vec<String> = SERIES.iter().map(name).collect();
        let (first, last) = (&names[0], &names[names.len() - 1]);
        let span = (
            format!(r"{first} to \d+\.\d+"),
            format!("{first} to {last}"),
        );
        let list = (format!(r"{first}(, \d+\.\d+)+"), names.join(", "));
        for (page, (pattern, wanted)) in [
            ("README.md", &span),
            ("docs/kamailio.md", &span),
            ("docs/README.md", &list),
        ] {
            let path = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).expect(page);
            let pattern = regex_lite::Regex::new(pattern).expect("a pattern");
            let fresh = pattern.replace_all(&text, wanted.as_str());
            assert!(fresh.contains(wanted.as_str()), "{page} names no series");
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, fresh.as_ref()).expect("docs is writable");
            } else {
                assert_eq!(
                    text, fresh,
                    "UPDATE_DOCS=1 cargo test --lib kamailio::series"
                );
            }
        }
    }

    #[test]
    fn each_release_finds_the_row_of_its_series_or_none() {
        for (version, series) in [
            ("5.5.7", None),
            ("5.6.3", Some((5, 6))),
            ("5.8.8", Some((5, 8))),
            ("6.1.99", Some((6, 1))),
            ("6.2.0", None),
        ] {
            let version = Version::find(version).expect("a version");
            let row = look_up(SERIES, &version);
            let found = row.map(|row| (row.oldest.major, row.oldest.minor));
            assert_eq!(found, series, "{version}");
        }
    }
}
