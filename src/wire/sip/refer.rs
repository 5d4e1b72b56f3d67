//! The headers of a REFER: Refer-To (RFC 3515 §2.1), Referred-By (RFC 3892 §3) and Refer-Sub (RFC
//! 4488 §4). The caller decides whether the request is allowed.

use super::grammar::{is_token, one_line};
use super::{Headers, Method, NameAddr, ParseError, Uri, UriError};
use std::fmt;

/// The reason why a REFER cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferError {
    /// None or more than one Refer-To (RFC 3515 §2.4.2): 400.
    #[error("not exactly one Refer-To")]
    NotOne,
    /// Not an address: 400.
    #[error("malformed Refer-To")]
    Malformed,
    /// Neither `sip:`, `sips:` nor `tel:`: not accepted (row F12).
    #[error("unsupported URI scheme in Refer-To")]
    Scheme,
}

/// Limit of header fields embedded in a URI; a transfer needs one, and some clients add Require and
/// Referred-By.
pub const MAX_EMBEDDED: usize = 16;

/// `Refer-To`: the request to send, and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo {
    /// A display name; empty when absent.
    pub display: String,
    /// The target, without method and embedded header fields.
    pub uri: Uri,
    /// The method of the request. It may be in the URI (RFC 4579 §5.11) or, as sipsimple writes it,
    /// after the brackets; the one in the URI takes precedence. INVITE by default.
    pub method: Method,
    /// Header fields for that request, decoded. The sender must not set most of them (RFC 3261
    /// §19.1.5): take the allowed ones by name.
    pub embedded: Headers,
}

impl ReferTo {
    /// The Refer-To of a request.
    pub fn of(headers: &Headers) -> Result<Self, ReferError> {
        match headers.elements("Refer-To").as_slice() {
            [one] => ReferTo::parse(one),
            _ => Err(ReferError::NotOne),
        }
    }

    /// Reads one value.
    pub fn parse(text: &str) -> Result<Self, ReferError> {
        let address: NameAddr = text.parse().map_err(|_| ReferError::Malformed)?;
        let mut uri: Uri = address.uri.parse().map_err(|error| match error {
            UriError::Scheme => ReferError::Scheme,
            UriError::Malformed => ReferError::Malformed,
        })?;
        let in_uri = uri.params.value("method");
        let method = in_uri.or_else(|| address.params.value("method"));
        let method = match method {
            Some(method) if is_token(method) => Method::from(method),
            Some(_) => return Err(ReferError::Malformed),
            None => Method::Invite,
        };
        let is_method = |name: &str| name.eq_ignore_ascii_case("method");
        uri.params.0.retain(|(name, _)| !is_method(name));
        let embedded = match uri.headers.take() {
            Some(text) => embedded(&text).ok_or(ReferError::Malformed)?,
            None => Headers::new(),
        };
        Ok(ReferTo {
            display: address.display,
            uri,
            method,
            embedded,
        })
    }
}

impl fmt::Display for ReferTo {
    /// Writes the method into the URI, as RFC 4579 §5.11 requires.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut uri = self.uri.clone();
        if self.method != Method::Invite {
            let method = Some(self.method.as_str());
            uri.params = uri.params.with("method", method);
        }
        let fields = self.embedded.iter();
        let fields: Vec<_> = fields
            .map(|h| format!("{}={}", escape(&h.name), escape(&h.value)))
            .collect();
        uri.headers = (!fields.is_empty()).then(|| fields.join("&"));
        let address = NameAddr {
            display: self.display.clone(),
            uri: uri.to_string(),
            params: Default::default(),
        };
        address.fmt(f)
    }
}

/// The header fields of a URI (RFC 3261 §19.1.1).
fn embedded(text: &str) -> Option<Headers> {
    let mut headers = Headers::new();
    for field in text.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let name = unescape(name).filter(|name| is_token(name))?;
        // A line end here is an attempt to inject headers.
        let value = unescape(value).filter(|value| !value.contains(char::is_control))?;
        headers.push(&name, value);
        if headers.len() > MAX_EMBEDDED {
            return None;
        }
    }
    Some(headers)
}

fn unescape(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        octets.push(match (octet, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                hex(*high)? << 4 | hex(*low)?
            }
            (b'%', _) => return None,
            _ => octet,
        });
    }
    String::from_utf8(octets).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    value.try_into().ok()
}

/// Escapes every character that a header name or value in a URI must not contain (RFC 3261 §25.1).
/// Also escapes `hnv-unreserved`, which some readers do not expect.
fn escape(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&octet);
    let escaped = text.bytes().map(|octet| match plain(octet) {
        true => char::from(octet).to_string(),
        false => format!("%{octet:02X}"),
    });
    escaped.collect()
}

/// `Referred-By`: the originator of the REFER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferredBy {
    /// The address, with or without brackets.
    pub address: NameAddr,
}

impl ReferredBy {
    /// An address without a name.
    pub fn new(uri: &str) -> Self {
        ReferredBy {
            address: NameAddr {
                display: String::new(),
                uri: uri.to_owned(),
                params: Default::default(),
            },
        }
    }

    /// The Referred-By of a request; several, or a malformed one, are an error (RFC 3892 §3).
    pub fn of(headers: &Headers) -> Result<Option<Self>, ParseError> {
        match headers.elements("Referred-By").as_slice() {
            [] => Ok(None),
            [one] => one.parse().map(|address| Some(ReferredBy { address })),
            _ => Err(ParseError::Header),
        }
    }

    /// The Content-ID of the body part with its signature, without quotes and brackets.
    pub fn token(&self) -> Option<&str> {
        let id = self.address.params.value("cid")?;
        let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
        Some(inner.unwrap_or(id))
    }
}

impl fmt::Display for ReferredBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = one_line(&self.address.to_string());
        f.write_str(&line)
    }
}

/// Whether the sender of a REFER wants notifications; `Refer-Sub: false` declines them (RFC 4488
/// §4).
pub fn wants_refer_subscription(headers: &Headers) -> bool {
    !headers.has_token("Refer-Sub", "false")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::Replaces;
    use proptest::prelude::*;

    fn refer_to(text: &str) -> ReferTo {
        ReferTo::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn f06_the_method_stands_in_the_uri_or_behind_it() {
        for text in [
            "<sip:carol@chicago.example.com;method=BYE>",
            "<sip:carol@chicago.example.com>;method=BYE",
            "sip:carol@chicago.example.com;method=BYE",
            "\"Carol\" <sip:carol@chicago.example.com;METHOD=BYE>;method=INVITE",
        ] {
            let read = refer_to(text);
            assert_eq!(read.method, Method::Bye, "{text}");
            assert_eq!(read.uri.to_string(), "sip:carol@chicago.example.com");
        }
        let read = refer_to("<sip:carol@chicago.example.com;transport=tcp>;x=y");
        assert_eq!(read.method, Method::Invite);
        assert_eq!(
            read.uri.to_string(),
            "sip:carol@chicago.example.com;transport=tcp"
        );
        assert_eq!(
            read.to_string(),
            "<sip:carol@chicago.example.com;transport=tcp>"
        );
        let bye = refer_to("Carol <sip:carol@x>;method=BYE").to_string();
        assert_eq!(bye, "\"Carol\" <sip:carol@x;method=BYE>");
    }

    #[test]
    fn f05_header_fields_in_the_uri_are_decoded() {
        let text = "<sips:a8342043f@atlanta.example.com?Replaces=\
                    12345601%40atlanta.example.com%3bfrom-tag%3D314159%3Bto-tag%3d1234567&\
                    Require=replaces&accept-contact=%2a;audio>";
        let read = refer_to(text);
        let replaces = Replaces::of(&read.embedded).unwrap().unwrap();
        assert!(
            replaces
                .dialog
                .names("12345601@atlanta.example.com", "1234567", "314159")
        );
        assert_eq!(read.embedded.first("Require"), Some("replaces"));
        assert_eq!(read.embedded.first("Accept-Contact"), Some("*;audio"));
        assert_eq!(read.uri.to_string(), "sips:a8342043f@atlanta.example.com");
        assert_eq!(refer_to(&read.to_string()), read);
    }

    #[test]
    fn f12_exactly_one_address_that_can_be_called() {
        let of = |values: &[&str]| {
            let headers = values.iter().fold(Headers::new(), |h, v| h.with("r", *v));
            ReferTo::of(&headers).map(|read| read.uri.to_string())
        };
        assert_eq!(of(&["<sip:a@b>"]), Ok("sip:a@b".into()));
        assert_eq!(of(&["<tel:+1>"]), Ok("tel:+1".into()));
        assert_eq!(of(&[]), Err(ReferError::NotOne));
        assert_eq!(of(&["<sip:a@b>", "<sip:a@b>"]), Err(ReferError::NotOne));
        assert_eq!(of(&["<sip:a@b>, <sip:c@d>"]), Err(ReferError::NotOne));
        assert_eq!(of(&["<http://b/>"]), Err(ReferError::Scheme));
        assert_eq!(
            of(&["<cid:cn35t8jf02@example.com>"]),
            Err(ReferError::Scheme)
        );
        for text in [
            "<sip:a@b",
            "<sip:>",
            "<sip:a@b;method=B YE>",
            "<sip:a@b;method=\"x\">",
            "<sip:a@b>;method=",
            "<sip:a@b?X=1%0D%0AVia:x>",
            "<sip:a@b?X%0a=1>",
            "<sip:a@b?X=%>",
            "<sip:a@b?X=%4>",
            "<sip:a@b?X=%zz>",
            "<sip:a@b?X=%ff>",
            "<sip:a@b?=1>",
        ] {
            assert_eq!(of(&[text]), Err(ReferError::Malformed), "{text}");
        }
        let many = "&X=1".repeat(MAX_EMBEDDED + 1);
        assert_eq!(
            of(&[&format!("<sip:a@b?{many}>")]),
            Err(ReferError::Malformed)
        );
    }

    #[test]
    fn e15_referred_by_with_and_without_brackets() {
        let of = |value: &str| ReferredBy::of(&Headers::new().with("b", value));
        let bare = of("sip:a@b").unwrap().unwrap();
        assert_eq!(bare.to_string(), "<sip:a@b>");
        assert_eq!(bare, ReferredBy::new("sip:a@b"));
        let text =
            "\"A, B\" <sip:referrer@example>;cid=\"20398823.2UWQFN309shb3@referrer.example\"";
        let proven = of(text).unwrap().unwrap();
        assert_eq!(
            proven.token(),
            Some("20398823.2UWQFN309shb3@referrer.example")
        );
        assert_eq!(proven.address.uri, "sip:referrer@example");
        assert_eq!(proven.to_string(), text);
        assert_eq!(ReferredBy::of(&Headers::new()), Ok(None));
        assert!(of("<sip:a@b>, <sip:c@d>").is_err());
        assert!(of("<sip:a@b").is_err());
    }

    #[test]
    fn f15_a_refer_can_do_without_a_subscription() {
        let wants =
            |value: &str| wants_refer_subscription(&Headers::new().with("Refer-Sub", value));
        assert!(wants_refer_subscription(&Headers::new()));
        assert!(wants("true") && wants("perhaps"));
        assert!(!wants("false") && !wants("FALSE;x=y"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            user in "[a-z0-9]{1,8}", display in "([a-zé\"\\\\][a-z <]{0,5}[a-z])?",
            method in "[A-Z]{1,8}", fields in proptest::collection::vec(("[A-Z][a-z]{2,6}", "([!-~é]([ -~é]{0,10}[!-~é])?)?"), 0..4),
        ) {
            let written = ReferTo {
                display,
                uri: format!("sip:{user}@h;x=y").parse().unwrap(),
                method: method.as_str().into(),
                embedded: fields.iter().fold(Headers::new(), |h, (n, v)| h.with(n, v.clone())),
            };
            prop_assert_eq!(refer_to(&written.to_string()), written);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(<|>|sip:|a@b|;method=|\\?|&|=|%|[ -~é]){0,14}") {
            let headers = Headers::new().with("Refer-To", text.clone()).with("Referred-By", text);
            let _ = ReferTo::of(&headers).map(|read| read.to_string());
            let _ = ReferredBy::of(&headers).map(|read| read.map(|r| r.token().map(str::len)));
        }
    }
}
