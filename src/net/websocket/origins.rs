//! Origins of web pages that may open a WebSocket here (RFC 6455 §10.2, W08). Browsers send the
//! page's true origin; other programs may send any value, or none.

use std::str::FromStr;

/// `ws_origins`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages from the host that they connect to, on any port.
    #[default]
    Own,
    /// Pages from anywhere.
    Any,
    /// Pages from the listed origins.
    These(Vec<Rule>),
}

/// One origin, or the origins of all hosts below a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    scheme: String,
    /// Without the `*` of a pattern.
    host: String,
    below: bool,
    port: Option<u16>,
}

/// Text that is not an entry of `ws_origins`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an origin like https://chat.example.com or https://*.example.com:8443")]
pub struct OriginRuleError;

impl FromStr for Origins {
    type Err = OriginRuleError;

    fn from_str(text: &str) -> Result<Self, OriginRuleError> {
        match text.trim() {
            "own" => Ok(Self::Own),
            "any" => Ok(Self::Any),
            list => {
                let rules: Result<_, _> = list.split(',').map(|it| it.trim().parse()).collect();
                rules.map(Self::These)
            }
        }
    }
}

impl FromStr for Rule {
    type Err = OriginRuleError;

    fn from_str(text: &str) -> Result<Self, OriginRuleError> {
        let (scheme, host, port) = origin(text).ok_or(OriginRuleError)?;
        let below = host.strip_prefix('*').filter(|it| it.starts_with('.'));
        let host = below.unwrap_or(host);
        if host.contains('*') || host.is_empty() {
            return Err(OriginRuleError);
        }
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_ascii_lowercase(),
            below: below.is_some(),
            port,
        })
    }
}

impl Origins {
    /// Whether a page from `origin` may connect to `host` (the header fields of these names).
    /// Without an Origin the client is not a web page.
    pub(super) fn admit(&self, from: Option<&str>, host: Option<&str>) -> bool {
        let Some(from) = from else { return true };
        if *self == Self::Any {
            return true;
        }
        let Some((scheme, page, port)) = origin(from) else {
            return false;
        };
        match self {
            Self::Any => true,
            Self::Own => host
                .and_then(name_and_port)
                .is_some_and(|(name, _)| name.eq_ignore_ascii_case(page)),
            Self::These(rules) => rules.iter().any(|rule| rule.is(scheme, page, port)),
        }
    }
}

impl Rule {
    fn is(&self, scheme: &str, page: &str, port: Option<u16>) -> bool {
        let page = page.to_ascii_lowercase();
        let host = match self.below {
            true => page.len() > self.host.len() && page.ends_with(&self.host),
            false => page == self.host,
        };
        host && self.scheme.eq_ignore_ascii_case(scheme) && self.port == port
    }
}

/// Scheme, host and port of `https://chat.example.com:8443`; the port is absent where it is the
/// scheme's own (RFC 6454 §6.2).
fn origin(text: &str) -> Option<(&str, &str, Option<u16>)> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, port) = name_and_port(rest)?;
    let own = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => 0,
    };
    Some((scheme, host, port.filter(|port| *port != own)))
}

fn name_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.is_empty() || text.contains(['/', '@', ' ']) {
        return None;
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => Some((host, Some(port.parse().ok()?))),
        _ => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(origins: &str, from: &str, host: &str) -> bool {
        let origins: Origins = origins.parse().unwrap();
        origins.admit(Some(from), Some(host))
    }

    #[test]
    fn w08_pages_of_the_own_host_come_in() {
        for (from, host, admitted) in [
            ("http://chat.example.com", "chat.example.com:2856", true),
            ("https://CHAT.example.com:8443", "chat.example.com", true),
            ("http://[2001:db8::1]:80", "[2001:db8::1]:2856", true),
            ("https://evil.example", "chat.example.com", false),
            (
                "https://chat.example.com.evil.example",
                "chat.example.com",
                false,
            ),
            ("null", "chat.example.com", false),
            ("https://chat.example.com", "", false),
        ] {
            assert_eq!(admits("own", from, host), admitted, "{from} {host}");
        }
    }

    #[test]
    fn w08_patterns_name_hosts_and_those_below() {
        let list = "https://chat.example.com, http://*.example.net:8080";
        for (from, admitted) in [
            ("https://chat.example.com", true),
            ("https://chat.example.com:443", true),
            ("http://chat.example.com", false),
            ("https://chat.example.com:8443", false),
            ("http://a.b.example.net:8080", true),
            ("http://example.net:8080", false),
            ("http://evilexample.net:8080", false),
        ] {
            assert_eq!(admits(list, from, "x"), admitted, "{from}");
        }
        assert!(admits("any", "null", "x"));
        assert!(Origins::Own.admit(None, None), "no browser, no page");
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "chat.example.com",
            "https://",
            "https://*",
            "https://a*.b",
            "*",
            "https://a/b",
        ] {
            assert!(text.parse::<Origins>().is_err(), "{text}");
        }
    }
}
