//! Limits on descriptors: how many this process may have, with members served first.

use rustix::process::{Resource, getrlimit};

/// Descriptors reserved for the database, the host, the resolver and the connections we make.
/// Connections without a session never use them.
const RESERVED: u64 = 64;
/// Limit of connections without a session, whatever the number of descriptors.
const MAX_STRANGERS: u64 = 4096;

/// The descriptor limit of the operating system (`RLIMIT_NOFILE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors(u64);

impl Descriptors {
    pub(super) fn read() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        Self(limit.unwrap_or(u64::MAX))
    }

    /// Connections without a session that are let in at a time: a quarter of what there is.
    pub(super) fn strangers(self) -> usize {
        (self.0 / 4).clamp(8, MAX_STRANGERS) as usize
    }

    /// Whether a new descriptor is one of the last. The operating system assigns the lowest free
    /// number.
    pub(super) fn is_reserved(self, descriptor: i32) -> bool {
        let reserved = RESERVED.min(self.0 / 8);
        u64::try_from(descriptor).is_ok_and(|it| it >= self.0 - reserved)
    }

    /// For the log.
    pub(super) fn describe(self) -> String {
        let strangers = self.strangers();
        match self.0 {
            u64::MAX => format!(
                "no limit of descriptors; {strangers} connections may wait for their session"
            ),
            limit => format!(
                "at most {limit} descriptors (RLIMIT_NOFILE), one for each connection; \
                 {strangers} connections may wait for their session"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_a_part_and_never_the_last() {
        for (limit, strangers, last) in [
            (1024, 256, 960),
            (65_536, 4096, 65_472),
            (64, 16, 56),
            (16, 8, 14),
        ] {
            let descriptors = Descriptors(limit);
            assert_eq!(descriptors.strangers(), strangers, "{limit}");
            assert!(!descriptors.is_reserved(last - 1), "{limit}");
            assert!(descriptors.is_reserved(last), "{limit}");
        }
        assert!(!Descriptors(u64::MAX).is_reserved(1 << 20));
    }
}
