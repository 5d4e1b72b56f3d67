//! The host's version and whether this module knows its memory layout.

use std::fmt;

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

    /// The first `N.N.N` or `N.N` in the host's version text, such as
    /// `opensips 3.6.8 (x86_64/linux)` or `6.1.0-rc1`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let numbers = text.get(start..)?;
        let end = numbers
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(numbers.len());
        let mut parts = numbers.get(..end)?.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
        Some(Self::new(major, minor, patch))
    }
}

/// A series of the host whose layout is known.
pub(crate) trait Series: 'static {
    /// The oldest release it holds for.
    fn oldest(&self) -> Release;
    /// The newest release it was measured on.
    fn measured(&self) -> Release;
}

/// What is known about a host.
#[derive(Debug)]
pub(crate) enum Known<S: 'static> {
    /// Its layout was measured, or is that of an older patch release.
    Yes(&'static S),
    /// A newer patch release than the measured one.
    Newer(&'static S),
    /// Nothing.
    No,
}

/// Finds the series of a release.
pub(crate) fn look_up<S: Series>(series: &'static [S], release: Release) -> Known<S> {
    let same = |s: &&S| {
        let oldest = s.oldest();
        (oldest.major, oldest.minor) == (release.major, release.minor)
    };
    match series.iter().find(same) {
        Some(known) if release < known.oldest() => Known::No,
        Some(known) if release > known.measured() => Known::Newer(known),
        Some(known) => Known::Yes(known),
        None => Known::No,
    }
}

/// The supported series in words: `3.4.2+, 3.5, 3.6, 4.0`.
pub(crate) fn supported<S: Series>(series: &'static [S]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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

    fn verdict(text: &str) -> &'static str {
        match look_up(ROWS, Release::find(text).expect("a version")) {
            Known::Yes(_) => "yes",
            Known::Newer(_) => "newer",
            Known::No => "no",
        }
    }

    #[test]
    fn versions_are_found_in_what_hosts_say() {
        let find = |text| Release::find(text).map(|release| release.to_string());
        assert_eq!(find("opensips 3.6.8 (x86_64/linux)"), Some("3.6.8".into()));
        assert_eq!(find("6.1.0-rc1"), Some("6.1.0".into()));
        assert_eq!(find("5.6"), Some("5.6.0".into()));
        assert_eq!(find("no version"), None);
    }

    #[test]
    fn unknown_series_and_releases_too_old_are_refused() {
        assert_eq!(verdict("opensips 3.4.1 (x86_64/linux)"), "no");
        assert_eq!(verdict("3.4.2"), "yes");
        assert_eq!(verdict("3.4.18"), "yes");
        assert_eq!(verdict("3.4.19"), "newer");
        assert_eq!(verdict("3.6.0"), "no");
        assert_eq!(supported(ROWS), "3.4.2+, 3.5");
    }
}
