//! Header values: methods, name-addr, parameters, CSeq.

use super::ParseError;
use super::grammar::{find_outside, is_token, one_line, split_outside};
use std::fmt;
use std::str::FromStr;

/// A request method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Subscribe,
    Notify,
    Refer,
    Update,
    Publish,
    Message,
    Info,
    Prack,
    /// Any other token.
    Other(String),
}

impl Method {
    /// As on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Register => "REGISTER",
            Method::Subscribe => "SUBSCRIBE",
            Method::Notify => "NOTIFY",
            Method::Refer => "REFER",
            Method::Update => "UPDATE",
            Method::Publish => "PUBLISH",
            Method::Message => "MESSAGE",
            Method::Info => "INFO",
            Method::Prack => "PRACK",
            Method::Other(token) => token,
        }
    }
}

impl From<&str> for Method {
    /// Methods are compared with case (RFC 3261 §7.1).
    fn from(text: &str) -> Self {
        match text {
            "INVITE" => Method::Invite,
            "ACK" => Method::Ack,
            "BYE" => Method::Bye,
            "CANCEL" => Method::Cancel,
            "OPTIONS" => Method::Options,
            "REGISTER" => Method::Register,
            "SUBSCRIBE" => Method::Subscribe,
            "NOTIFY" => Method::Notify,
            "REFER" => Method::Refer,
            "UPDATE" => Method::Update,
            "PUBLISH" => Method::Publish,
            "MESSAGE" => Method::Message,
            "INFO" => Method::Info,
            "PRACK" => Method::Prack,
            other => Method::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `;name=value` parameters in order; names compare without case. Values stay as written, including
/// their quotes. The length of a line limits their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub Vec<(String, Option<String>)>);

impl Params {
    /// Reads `name=value;name`, with or without a leading semicolon. White space around names and
    /// values is removed; parameters without a name are left out.
    pub fn parse(text: &str) -> Params {
        let parameters = split_outside(text, b';').map(|parameter| {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value.trim().to_owned())),
                None => (parameter, None),
            };
            (name.trim().to_owned(), value)
        });
        Params(parameters.filter(|(name, _)| !name.is_empty()).collect())
    }

    /// Whether the parameter is there, with or without value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// Its value, quotes removed.
    pub fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        let value = value.as_deref()?;
        let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        Some(inner.unwrap_or(value))
    }

    /// Appends a parameter, for building in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.0.push((name.to_owned(), value.map(str::to_owned)));
        self
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// `"Display" <uri>;params` or `uri;params` (RFC 3261 §20.10): From, To, Contact, Route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name without quotes and escapes; empty when absent.
    pub display: String,
    /// The URI as written.
    pub uri: String,
    /// Header parameters. Without angle brackets all parameters are the header's.
    pub params: Params,
}

impl NameAddr {
    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }
}

impl FromStr for NameAddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (display, rest) = split_display(text)?;
        let (uri, params) = match rest.strip_prefix('<') {
            Some(bracketed) => {
                let (uri, after) = bracketed.split_once('>').ok_or(ParseError::Header)?;
                (uri, after.trim_start())
            }
            // Without brackets the first semicolon ends the URI (§20).
            None => rest.split_at(rest.find(';').unwrap_or(rest.len())),
        };
        let uri = uri.trim();
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c);
        if uri.is_empty() || uri.contains(forbidden) {
            return Err(ParseError::Header);
        }
        if !(params.is_empty() || params.starts_with(';')) {
            return Err(ParseError::Header);
        }
        Ok(NameAddr {
            display,
            uri: uri.to_owned(),
            params: Params::parse(params),
        })
    }
}

/// The display name without quotes, and the text from the `<`; the whole text when there are no
/// brackets.
fn split_display(text: &str) -> Result<(String, &str), ParseError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (display, rest) = unquote(quoted).ok_or(ParseError::Header)?;
        let rest = rest.trim_start();
        return match rest.starts_with('<') {
            true => Ok((display, rest)),
            false => Err(ParseError::Header),
        };
    }
    let first_parameter = find_outside(text, b';').unwrap_or(text.len());
    match text[..first_parameter].find('<') {
        Some(at) => Ok((text[..at].trim().to_owned(), &text[at..])),
        None => Ok((String::new(), text)),
    }
}

/// The content of a quoted string, and the text after its closing quote.
pub(super) fn unquote(text: &str) -> Option<(String, &str)> {
    let mut plain = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((plain, &text[at + 1..])),
            '\\' => plain.push(characters.next()?.1),
            _ => plain.push(c),
        }
    }
    None
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.display.is_empty() {
            let display = one_line(&self.display)
                .replace('\\', "\\\\")
                .replace('"', "\\\"");
            write!(f, "\"{display}\" ")?;
        }
        // Prevents a URI from closing its own brackets.
        let uri = one_line(&self.uri).replace(['<', '>'], "");
        write!(f, "<{uri}>{}", self.params)
    }
}

/// `CSeq: 1 INVITE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Sequence number, below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// Method.
    pub method: Method,
}

impl FromStr for CSeq {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let number = words.next().ok_or(ParseError::Header)?;
        let method = words.next().filter(|m| is_token(m));
        let (Some(method), None, true) = (
            method,
            words.next(),
            number.bytes().all(|d| d.is_ascii_digit()),
        ) else {
            return Err(ParseError::Header);
        };
        match number.parse::<u32>() {
            Ok(number) if number < 1 << 31 => Ok(CSeq {
                number,
                method: method.into(),
            }),
            _ => Err(ParseError::Header),
        }
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// `Subscription-State: active;expires=600` (RFC 6665 §8.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionState {
    /// `active`, `pending`, `terminated`, lower case.
    pub state: String,
    /// `expires`, `reason`, `retry-after`.
    pub params: Params,
}

impl FromStr for SubscriptionState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (state, params) = text.split_once(';').unwrap_or((text, ""));
        let state = state.trim();
        if !is_token(state) {
            return Err(ParseError::Header);
        }
        Ok(SubscriptionState {
            state: state.to_ascii_lowercase(),
            params: Params::parse(params),
        })
    }
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.state, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name_addr(text: &str) -> NameAddr {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn without_brackets_the_parameters_are_the_headers() {
        let bare = name_addr("sip:a@b ;tag=1;method=BYE");
        assert_eq!((bare.uri.as_str(), bare.tag()), ("sip:a@b", Some("1")));
        assert_eq!(bare.params.value("method"), Some("BYE"));
        let inside = name_addr("<sip:a@b;method=BYE> ; tag = 2");
        assert_eq!(inside.uri, "sip:a@b;method=BYE");
        assert_eq!(
            (inside.tag(), inside.params.has("method")),
            (Some("2"), false)
        );
        // sipsimple writes Referred-By in this form.
        assert_eq!(name_addr("sip:a@b").uri, "sip:a@b");
        assert_eq!(name_addr("*").uri, "*");
    }

    #[test]
    fn display_names_lose_and_regain_quotes_and_escapes() {
        let read = name_addr(r#""J \"Rosen\" \\<;," <sip:j@x>;q=0.3;x="a;b\"c";lr"#);
        assert_eq!(read.display, r#"J "Rosen" \<;,"#);
        assert_eq!(read.params.value("X"), Some(r#"a;b\"c"#));
        assert_eq!(
            read.to_string(),
            r#""J \"Rosen\" \\<;," <sip:j@x>;q=0.3;x="a;b\"c";lr"#
        );
        assert_eq!(name_addr("Bob  B <sip:b@x>").display, "Bob  B");
        assert_eq!(name_addr("<sip:b@x>").display, "");
        assert_eq!(name_addr(r#""" <sip:b@x>"#).to_string(), "<sip:b@x>");
        assert_eq!(name_addr("sip:b@x;p=\"<\"").uri, "sip:b@x");
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in [
            "",
            "<>",
            "<sip:a@b",
            r#""x <sip:a@b>"#,
            r#""x" sip:a@b"#,
            "<sip:a@b> x",
            "a b",
            "< sip:a b@c>",
            ";tag=1",
            r#""x\"#,
        ] {
            assert!(text.parse::<NameAddr>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_stays_one_address() {
        let hostile = NameAddr {
            display: "a\r\nVia: x\"".into(),
            uri: "sip:a>@b\r\n".into(),
            params: Params::default(),
        };
        assert_eq!(hostile.to_string(), r#""a  Via: x\"" <sip:a@b>"#);
    }

    #[test]
    fn cseq_is_bounded() {
        let cseq: CSeq = " 0009   INVITE ".parse().unwrap();
        assert_eq!((cseq.number, &cseq.method), (9, &Method::Invite));
        assert_eq!(cseq.to_string(), "9 INVITE");
        for text in [
            "",
            "1",
            "INVITE 1",
            "-1 BYE",
            "+1 BYE",
            "1 BYE x",
            "2147483648 ACK",
            "1 B(E",
        ] {
            assert!(text.parse::<CSeq>().is_err(), "{text:?}");
        }
        assert!("2147483647 ACK".parse::<CSeq>().is_ok());
        assert!("36893488147419103232 REGISTER".parse::<CSeq>().is_err());
    }

    #[test]
    fn subscription_states_are_read() {
        let state: SubscriptionState = "Terminated ; reason=noresource".parse().unwrap();
        assert_eq!(state.state, "terminated");
        assert_eq!(state.params.value("reason"), Some("noresource"));
        assert_eq!(state.to_string(), "terminated;reason=noresource");
        assert!(";x".parse::<SubscriptionState>().is_err());
    }

    #[test]
    fn methods_keep_their_case() {
        assert_eq!(Method::from("INVITE"), Method::Invite);
        assert_eq!(Method::from("invite"), Method::Other("invite".into()));
        assert_eq!(Method::from("!%x").to_string(), "!%x");
    }

    proptest! {
        #[test]
        fn addresses_survive(
            display in "[ -~é]{0,20}", user in "[a-z0-9;?]{1,8}",
            params in "(;[a-z]{1,4}(=([a-z0-9]{1,4}|\"[a-z;,<> ]{0,5}\"))?){0,3}",
        ) {
            let written = NameAddr {
                display: display.trim().into(),
                uri: format!("sip:{user}@h"),
                params: Params::parse(&params),
            };
            prop_assert_eq!(written.params.to_string(), params);
            prop_assert_eq!(name_addr(&written.to_string()), written);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[\"\\\\<>;,= a:@é*]{0,30}") {
            let _ = text.parse::<NameAddr>().map(|read| read.to_string());
            let _ = text.parse::<CSeq>();
            let _ = text.parse::<SubscriptionState>();
            let params = Params::parse(&text);
            params.0.iter().for_each(|(name, _)| { params.value(name); });
        }
    }
}
