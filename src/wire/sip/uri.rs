//! `sip:`, `sips:` and `tel:` URIs (RFC 3261 §19.1, RFC 3966).

use super::Params;
use std::fmt;
use std::str::FromStr;

/// The reason why text cannot be read as a URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The scheme is neither sip, sips nor tel.
    #[error("unsupported URI scheme")]
    Scheme,
    /// Any other error.
    #[error("malformed URI")]
    Malformed,
}

/// A parsed URI. `Display` writes it as read, octet for octet if it was well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// `sip`, `sips` or `tel`, lower case.
    pub scheme: String,
    /// User part as written, with percent-escapes and any password; for `tel` the number.
    pub user: Option<String>,
    /// Host as written, IPv6 in brackets; empty for `tel`.
    pub host: String,
    /// Port.
    pub port: Option<u16>,
    /// `;name=value` parameters.
    pub params: Params,
    /// `?name=value&…` headers without the question mark.
    pub headers: Option<String>,
}

/// Limit of a URI's length, in octets: that of a header line (see `message::MAX_LINE`).
pub const MAX_URI: usize = 8 * 1024;

impl Uri {
    /// The canonical address of record, by which rooms and users are compared: `sip:` (also
    /// for `sips:`), user percent-decoded where that is safe, host in lower case; no
    /// password, port, parameters, headers. A `tel:` URI keeps its scheme and loses its
    /// visual separators (RFC 3966 §4); a local number is one only with its context (§5.1.5).
    pub fn address_of_record(&self) -> String {
        let user = self.user.as_deref().unwrap_or_default();
        if self.scheme == "tel" {
            let number = without_separators(user);
            let context = self.params.value("phone-context");
            return match context.filter(|it| !number.starts_with('+') && !it.is_empty()) {
                Some(context) => {
                    format!("tel:{number};phone-context={}", canonical_context(context))
                }
                None => format!("tel:{number}"),
            };
        }
        let user = user.split(':').next().unwrap_or_default();
        let host = self.host.to_ascii_lowercase();
        match user {
            "" => format!("sip:{host}"),
            _ => format!("sip:{}@{host}", canonical_user(user)),
        }
    }
}

impl Uri {
    /// The URI in the form allowed in a Request-URI: without header fields and method, which belong
    /// in Contacts and links (RFC 3261 §19.1.1, table 1).
    #[must_use]
    pub fn for_request(mut self) -> Self {
        self.headers = None;
        let is_method = |name: &str| name.eq_ignore_ascii_case("method");
        self.params.0.retain(|(name, _)| !is_method(name));
        self
    }

    /// The same without a password in the user part (RFC 3261 §19.1.1 recommends against one): it
    /// never becomes part of a name.
    #[must_use]
    pub fn without_password(mut self) -> Self {
        if self.scheme != "tel"
            && let Some(user) = &mut self.user
            && let Some(end) = user.find(':')
        {
            user.truncate(end);
        }
        self
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "sip" | "sips" | "tel") {
            return Err(UriError::Scheme);
        }
        // XML does not allow the last two characters; omitting them in a document would make two
        // keys equal.
        let forbidden =
            |c: char| c.is_whitespace() || c.is_control() || "<>\"\u{fffe}\u{ffff}".contains(c);
        if text.len() > MAX_URI || rest.contains(forbidden) {
            return Err(UriError::Malformed);
        }
        match scheme.as_str() {
            "tel" => parse_tel(scheme, rest),
            _ => parse_sip(scheme, rest),
        }
    }
}

fn parse_tel(scheme: String, rest: &str) -> Result<Uri, UriError> {
    let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
    let phone = |c: char| c.is_ascii_hexdigit() || "+*#-.()".contains(c);
    if !number.contains(|c: char| c.is_ascii_hexdigit() || "*#".contains(c))
        || !number.chars().all(phone)
    {
        return Err(UriError::Malformed);
    }
    Ok(Uri {
        scheme,
        user: Some(number.to_owned()),
        host: String::new(),
        port: None,
        params: Params::parse(params),
        headers: None,
    })
}

fn parse_sip(scheme: String, rest: &str) -> Result<Uri, UriError> {
    // The user part may contain `;` and `?`. An unescaped `@` is allowed neither in it nor after it
    // (§19.1.1), so the first `@` ends it; some clients write one in the headers nevertheless.
    let (user, rest) = match rest.split_once('@') {
        // A password without a user is invalid.
        Some((user, _)) if user.is_empty() || user.starts_with(':') => {
            return Err(UriError::Malformed);
        }
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (rest, headers) = match rest.split_once('?') {
        Some((rest, headers)) => (rest, Some(headers.to_owned())),
        None => (rest, None),
    };
    let (host_port, params) = rest.split_once(';').unwrap_or((rest, ""));
    let (host, port) = parse_host_port(host_port).ok_or(UriError::Malformed)?;
    Ok(Uri {
        scheme,
        user,
        host: host.to_owned(),
        port,
        params: Params::parse(params),
        headers,
    })
}

fn parse_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    let host_end = match text.strip_prefix('[') {
        Some(inner) => {
            let inner = &inner[..inner.find(']')?];
            let address = |c: char| c.is_ascii_hexdigit() || ":.".contains(c);
            if !inner.contains(':') || !inner.chars().all(address) {
                return None;
            }
            inner.len() + 2
        }
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(host_end);
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() || !(host.starts_with('[') || host.chars().all(name)) {
        return None;
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        Some(digits) if digits.bytes().all(|d| d.is_ascii_digit()) => {
            Some((host, Some(digits.parse().ok()?)))
        }
        _ => None,
    }
}

/// Normalises escapes so that equal users have equal octets. Only escapes of unreserved characters
/// may be decoded (§19.1.4); characters that a user part must not contain are escaped, and all
/// escapes are in upper case.
pub(crate) fn canonical_user(user: &str) -> String {
    let octets = user.as_bytes();
    let mut canonical = String::with_capacity(user.len());
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        let escaped = (octet == b'%')
            .then(|| Some(hex(*octets.get(at + 1)?)? << 4 | hex(*octets.get(at + 2)?)?))
            .flatten();
        at += if escaped.is_some() { 3 } else { 1 };
        match escaped.unwrap_or(octet) {
            plain if is_unreserved(plain) => canonical.push(plain.into()),
            plain if escaped.is_none() && b"&=+$,;?/".contains(&plain) => {
                canonical.push(plain.into());
            }
            other => canonical.push_str(&format!("%{other:02X}")),
        }
    }
    canonical
}

/// A telephone number without its visual separators.
pub(crate) fn without_separators(number: &str) -> String {
    let digits = number.chars().filter(|c| !"-.()".contains(*c));
    digits.collect::<String>().to_ascii_lowercase()
}

/// A domain name, or the front of a global number (RFC 3966 §5.1.5).
fn canonical_context(context: &str) -> String {
    let context = context.to_ascii_lowercase();
    match context.starts_with('+') {
        true => canonical_user(&without_separators(&context)),
        false => canonical_user(&context),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|d| d.try_into().ok())
}

fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet)
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if self.scheme != "tel" {
                f.write_str("@")?;
            }
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn parts_are_found() {
        let parsed = uri("SIP:al:pw@[2001:DB8::9]:5070;transport=tcp;lr?Subject=x&a=b@c");
        assert_eq!(parsed.scheme, "sip");
        assert_eq!(parsed.user.as_deref(), Some("al:pw"));
        assert_eq!(parsed.host, "[2001:DB8::9]");
        assert_eq!(parsed.port, Some(5070));
        assert_eq!(parsed.params.value("Transport"), Some("tcp"));
        assert!(parsed.params.has("lr"));
        assert_eq!(parsed.headers.as_deref(), Some("Subject=x&a=b@c"));
        assert_eq!(parsed.address_of_record(), "sip:al@[2001:db8::9]");
    }

    #[test]
    fn what_was_read_is_written() {
        for text in [
            "sip:example.com",
            "sips:alice@example.com:5061;method=BYE?Replaces=1%40x",
            "sip:user;par=u%40example.net@example.com",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "sip:null-%00-null@example.com",
            "tel:+1-201-555-0123;phone-context=example.com",
            "sip:[::1]:5060",
        ] {
            assert_eq!(uri(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for text in [
            "",
            "sip",
            "sip:",
            "sip:@h",
            "sip::pw@h",
            "sip:a@",
            "sip:a@h:",
            "sip:a@h:70000",
            "sip:a@h:+1",
            "sip:a@b@c",
            "sip:a b@c",
            "sip:a@[::1",
            "sip:a@[x]",
            "sip:a@h o",
            "tel:",
            "tel:+",
            "<sip:a@b>",
            "sip:a\u{fffe}@b",
            "sip:a@b\r\nX: y",
        ] {
            assert!(text.parse::<Uri>().is_err(), "{text:?}");
        }
        assert_eq!("http://x".parse::<Uri>(), Err(UriError::Scheme));
        assert_eq!("nobodyKnows:x".parse::<Uri>(), Err(UriError::Scheme));
    }

    #[test]
    fn equal_users_have_equal_addresses_of_record() {
        let same = [
            "sip:b%6fb@Example.COM",
            "sips:bob:secret@example.com:5061;transport=tls",
            "sip:%62ob@example.com?Subject=x",
        ];
        for text in same {
            assert_eq!(uri(text).address_of_record(), "sip:bob@example.com");
        }
        assert_eq!(uri("sip:Bob@h").address_of_record(), "sip:Bob@h");
        assert_eq!(uri("sip:a%2fb@h").address_of_record(), "sip:a%2Fb@h");
        assert_eq!(uri("sip:a%00%@h").address_of_record(), "sip:a%00%25@h");
        assert_eq!(uri("sip:é@h").address_of_record(), "sip:%C3%A9@h");
        assert_eq!(uri("tel:+1-20(1)").address_of_record(), "tel:+1201");
    }

    #[test]
    fn a_local_number_is_one_only_with_its_context() {
        let aor = |text: &str| uri(text).address_of_record();
        assert_eq!(
            aor("tel:0100;phone-context=A.example"),
            "tel:0100;phone-context=a.example"
        );
        assert_ne!(
            aor("tel:0100;phone-context=a"),
            aor("tel:0100;phone-context=b")
        );
        assert_eq!(
            aor("tel:01-00;phone-context=+1-20;x=y"),
            "tel:0100;phone-context=+120"
        );
        assert_eq!(aor("tel:+100;phone-context=a"), "tel:+100");
        for text in [
            "tel:0100;phone-context=a%5b;b",
            "tel:0100;phone-context=\"q;r\"",
        ] {
            let Ok(uri) = text.parse::<Uri>() else {
                continue;
            };
            let once = uri.address_of_record();
            assert_eq!(aor(&once), once);
        }
    }

    #[test]
    fn a_request_uri_has_neither_headers_nor_a_method() {
        let clean = |text: &str| uri(text).for_request().to_string();
        assert_eq!(
            clean("sip:bob@h:5070;Method=MESSAGE;transport=tcp?Subject=x&Body=y"),
            "sip:bob@h:5070;transport=tcp"
        );
        assert_eq!(clean("sip:bob@h;lr"), "sip:bob@h;lr");
        assert_eq!(uri("sip:a:b@h").without_password().to_string(), "sip:a@h");
    }

    proptest! {
        #[test]
        fn never_panics_and_writes_what_it_understood(text in "(sip|SIPS|tel|x):[ -~é]{0,40}") {
            if let Ok(parsed) = text.parse::<Uri>() {
                let again = uri(&parsed.to_string());
                prop_assert_eq!(&again, &parsed);
                let aor = parsed.address_of_record();
                prop_assert_eq!(uri(&aor).address_of_record(), aor);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = text.parse::<Uri>();
            let _ = format!("sip:{text}").parse::<Uri>();
        }

        #[test]
        fn well_formed_uris_survive(
            user in "([a-z0-9.+;?&-]|%[0-9A-F]{2}){1,12}", host in "[a-z0-9-]{1,8}(\\.[a-z]{2,3})?",
            port in proptest::option::of(1u16..), params in "(;[a-z]{1,5}(=[a-z0-9.]{1,5})?){0,3}",
        ) {
            let port = port.map(|p| format!(":{p}")).unwrap_or_default();
            let text = format!("sip:{user}@{host}{port}{params}");
            prop_assert_eq!(uri(&text).to_string(), text);
        }
    }
}
