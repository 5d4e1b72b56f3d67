//! The host's build: its version, its platform and compile options, and whether this module knows
//! its memory layout.

use std::fmt;

use crate::host::logging;

/// `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release {
    /// With `minor`, the series: layouts belong to it.
    pub(crate) major: u32,
    /// See `major`.
    pub(crate) minor: u32,
    /// The patch release.
    pub(crate) patch: u32,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Release {
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

/// A release or a version before it: `3.6.8`, `4.0.0-beta`, `6.1.0-rc2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    release: Release,
    /// `beta`, `rc2`, `dev1`; empty for a release.
    pre: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.release)?;
        if self.pre.is_empty() {
            return Ok(());
        }
        write!(f, "-{}", self.pre)
    }
}

impl Version {
    /// The first `N.N.N` or `N.N` in the host's version text, such as `opensips 3.6.8
    /// (x86_64/linux)`, and the words behind it. A number behind it (`5.6.3-2`) comes from a
    /// packager.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let word = text.get(start..)?.split([' ', '(']).next()?;
        let end = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let (numbers, rest) = word.split_at(end);
        let mut parts = numbers.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
        let rest = rest.trim_start_matches(['-', '~', '+', '_']);
        let is_pre = rest.starts_with(|c: char| c.is_ascii_alphabetic());
        Some(Self {
            release: Release::new(major, minor, patch),
            pre: if is_pre {
                rest.to_owned()
            } else {
                String::new()
            },
        })
    }
}

/// A series of the host whose layout is known.
pub(crate) trait Series: 'static {
    /// The oldest release that it applies to.
    fn oldest(&self) -> Release;
    /// The newest release it was measured on.
    fn measured(&self) -> Release;
}

/// The series of a version; `None` for a version before the oldest release of its series.
pub(crate) fn look_up<S: Series>(series: &'static [S], version: &Version) -> Option<&'static S> {
    let Version { release, pre } = version;
    let row = series.iter().find(|row| {
        let oldest = row.oldest();
        (oldest.major, oldest.minor) == (release.major, release.minor)
    })?;
    let too_old = *release < row.oldest() || (*release == row.oldest() && !pre.is_empty());
    (!too_old).then_some(row)
}

/// The supported series in words: `3.4.2+, 3.5, 3.6, 4.0`.
fn supported<S: Series>(series: &'static [S]) -> String {
    let mut words = Vec::new();
    for known in series {
        let oldest = known.oldest();
        words.push(match oldest.patch {
            0 => format!("{}.{}", oldest.major, oldest.minor),
            _ => format!("{oldest}+"),
        });
    }
    words.join(", ")
}

/// A host's description of its own build.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    /// Its name.
    pub(crate) host: &'static str,
    /// `opensips 3.6.8 (x86_64/linux)`.
    pub(crate) version: String,
    /// The options it was compiled with, separated by commas.
    pub(crate) flags: String,
    /// The git revision it was built from; empty when it does not say.
    pub(crate) revision: String,
}

/// Compile options of a host, by their effect on the memory this module uses. The loader compares
/// them with the module's, which are copies of the host's own, so this is the only check of them.
/// `openser-module/abi_check.sh flags` says which belong where.
pub(crate) struct Flags {
    /// Nothing moves.
    pub(crate) measured: &'static [&'static str],
    /// Something moves, or is missing: a host with one of them is refused.
    pub(crate) refused: &'static [&'static str],
}

/// The one machine whose layouts this module knows.
const MACHINE: &str = "x86_64/linux";

/// Why a host is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("cannot read this host's version {0:?}")]
    Unreadable(String),
    #[error("{0} {1} is not supported")]
    Unknown(&'static str, Version),
    #[error("{0} {1} came before the first release of its series and is not supported")]
    Early(&'static str, Version),
    #[error("this host was built for {0}, this module for {MACHINE}")]
    Machine(String),
    #[error(
        "this host was built with {0}, and lays its memory out differently for it: build it without"
    )]
    Flag(String),
}

/// A remark to the operator about a host that is not refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Remark {
    #[error(
        "{0} {1} is no release; the releases of its series were measured up to {2}, and what \
         differs stops the start"
    )]
    Early(&'static str, Version, Release),
    #[error(
        "{0} {1} is newer than {2}, the newest of its series that was measured; what differs stops \
         the start"
    )]
    Newer(&'static str, Version, Release),
    #[error("this host was built with {0}, which was not measured; what differs stops the start")]
    Flag(String),
    #[error(
        "this host was built from git revision {0}, which may be later than the release it names; \
         what differs stops the start"
    )]
    Revision(String),
}

/// The series of a host, and the remarks about it.
fn judge<S: Series>(
    build: &Build,
    series: &'static [S],
    flags: &Flags,
) -> Result<(&'static S, Vec<Remark>), Refusal> {
    let Build { host, version, .. } = build;
    let Some(found) = Version::find(version) else {
        return Err(Refusal::Unreadable(version.clone()));
    };
    let machine = version
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("", |(machine, _)| machine);
    if !machine.eq_ignore_ascii_case(MACHINE) {
        return Err(Refusal::Machine(machine.to_owned()));
    }
    let Some(row) = look_up(series, &found) else {
        return Err(match found.pre.is_empty() {
            true => Refusal::Unknown(host, found),
            false => Refusal::Early(host, found),
        });
    };
    let mut remarks = Vec::new();
    if !found.pre.is_empty() {
        remarks.push(Remark::Early(host, found, row.measured()));
    } else if found.release > row.measured() {
        remarks.push(Remark::Newer(host, found, row.measured()));
    }
    if !["", "unknown"].contains(&build.revision.as_str()) {
        remarks.push(Remark::Revision(build.revision.clone()));
    }
    // `USE_FUTEX, FAST_LOCK-ADAPTIVE_WAIT-NOSMP`.
    let words = build.flags.split([',', '-']).map(str::trim);
    for flag in words.filter(|word| !word.is_empty()) {
        if flags.refused.contains(&flag) {
            return Err(Refusal::Flag(flag.to_owned()));
        }
        if !flags.measured.contains(&flag) {
            remarks.push(Remark::Flag(flag.to_owned()));
        }
    }
    Ok((row, remarks))
}

/// The series of a host; logs why not, and anything unusual about it.
pub(crate) fn accept<S: Series>(
    build: &Build,
    series: &'static [S],
    flags: &Flags,
) -> Option<&'static S> {
    match judge(build, series, flags) {
        Ok((row, remarks)) => {
            for remark in remarks {
                match remark {
                    Remark::Newer(..) | Remark::Revision(_) => logging::notice(remark),
                    _ => logging::warning(remark),
                }
            }
            Some(row)
        }
        Err(refusal) => {
            let (host, supported) = (build.host, supported(series));
            logging::error(format_args!("{refusal}; supported: {host} {supported}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Row(Release, Release);

    impl Series for Row {
        fn oldest(&self) -> Release {
            self.0
        }
        fn measured(&self) -> Release {
            self.1
        }
    }

    static ROWS: &[Row] = &[
        Row(Release::new(3, 4, 2), Release::new(3, 4, 18)),
        Row(Release::new(3, 5, 0), Release::new(3, 5, 9)),
    ];

    static FLAGS: Flags = Flags {
        measured: &["STATS: On", "SHM_MMAP"],
        refused: &["USE_COMP"],
    };

    /// The remarks about a host; `Err` when it is refused.
    fn said(version: &str, machine: &str, flags: &str) -> Result<Vec<String>, String> {
        let build = Build {
            host: "OpenSIPS",
            version: format!("opensips {version} ({machine})"),
            flags: flags.to_owned(),
            revision: "unknown".to_owned(),
        };
        match judge(&build, ROWS, &FLAGS) {
            Ok((_, remarks)) => Ok(remarks.iter().map(Remark::to_string).collect()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    #[test]
    fn versions_are_found_in_what_hosts_say() {
        let find = |text| Version::find(text).map(|version| version.to_string());
        assert_eq!(find("opensips 3.6.8 (x86_64/linux)"), Some("3.6.8".into()));
        assert_eq!(find("6.1.0-rc1"), Some("6.1.0-rc1".into()));
        assert_eq!(
            find("opensips 4.0.0-beta (x86_64/linux)"),
            Some("4.0.0-beta".into())
        );
        assert_eq!(find("5.6.3-2"), Some("5.6.3".into()));
        assert_eq!(find("5.6"), Some("5.6.0".into()));
        assert_eq!(find("no version"), None);
    }

    #[test]
    fn unknown_series_and_releases_too_old_are_refused() {
        for version in ["3.4.1", "3.6.0", "2.4.11"] {
            let refused = said(version, MACHINE, "").expect_err(version);
            assert_eq!(refused, format!("OpenSIPS {version} is not supported"));
        }
        for version in ["3.4.2", "3.4.18", "3.5.0"] {
            assert_eq!(said(version, MACHINE, ""), Ok(Vec::new()));
        }
        assert_eq!(supported(ROWS), "3.4.2+, 3.5");
    }

    #[test]
    fn a_newer_patch_release_and_a_build_between_releases_are_named() {
        let remarks = said("3.4.19", MACHINE, "").expect("accepted");
        assert!(remarks[0].contains("3.4.19 is newer than 3.4.18"));
        let remarks = said("3.5.3-dev2", MACHINE, "").expect("accepted");
        assert!(remarks[0].contains("3.5.3-dev2 is no release"));
    }

    #[test]
    fn a_build_from_git_is_named() {
        let build = Build {
            host: "OpenSIPS",
            version: "opensips 3.5.9 (x86_64/linux)".to_owned(),
            flags: String::new(),
            revision: "4f5a1b2".to_owned(),
        };
        let (_, remarks) = judge(&build, ROWS, &FLAGS).expect("accepted");
        assert!(remarks[0].to_string().contains("git revision 4f5a1b2"));
    }

    #[test]
    fn a_pre_release_of_a_series_is_refused_by_name() {
        for version in ["3.5.0-beta", "3.5.0-rc1", "3.4.2-rc1"] {
            let refused = said(version, MACHINE, "").expect_err(version);
            assert!(refused.contains(&format!("OpenSIPS {version} came before")));
        }
    }

    #[test]
    fn a_host_for_another_machine_is_refused_by_name() {
        let refused = said("3.5.9", "aarch64/linux", "").expect_err("another machine");
        assert!(refused.contains("built for aarch64/linux"), "{refused}");
        assert_eq!(said("3.5.9", "x86_64/Linux", ""), Ok(Vec::new()));
    }

    #[test]
    fn compile_options_that_move_memory_are_refused_and_unknown_ones_named() {
        assert_eq!(said("3.5.9", MACHINE, "STATS: On, SHM_MMAP"), Ok(vec![]));
        let refused = said("3.5.9", MACHINE, "STATS: On, USE_COMP").expect_err("refused");
        assert!(refused.contains("built with USE_COMP"), "{refused}");
        let remarks = said("3.5.9", MACHINE, "SHM_MMAP, NEW").expect("accepted");
        assert!(remarks[0].contains("built with NEW"), "{remarks:?}");
    }
}
