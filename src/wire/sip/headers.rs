//! An ordered list of header fields.

use super::grammar::{is_token_char, one_line, split_outside};

/// One header field, unfolded, its name in long canonical form (`i` → `Call-ID`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Canonical name.
    pub name: String,
    /// Value without surrounding white space.
    pub value: String,
}

/// Header fields in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a header; compact and odd-case names become canonical. Line ends and NUL
    /// in the value become spaces, so that no value can start a header.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(Header {
            name: canonical(name),
            value: one_line(&value.into()),
        });
    }

    /// `push`, for building in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.push(name, value);
        self
    }

    /// Replaces every header of this name by one, at the position of the first.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let mut place = self.0.len();
        let name = canonical(name);
        if let Some(first) = self
            .0
            .iter()
            .position(|h| h.name.eq_ignore_ascii_case(&name))
        {
            place = first;
            self.remove(&name);
        }
        let value = one_line(&value.into());
        self.0.insert(place, Header { name, value });
    }

    /// Removes every header of this name.
    pub fn remove(&mut self, name: &str) {
        let name = canonical(name);
        self.0.retain(|h| !h.name.eq_ignore_ascii_case(&name));
    }

    /// The first value of this name.
    pub fn first(&self, name: &str) -> Option<&str> {
        let name = long_name(name).unwrap_or(name);
        let header = self.0.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        Some(&header.value)
    }

    /// Every line of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let name = long_name(name).unwrap_or(name);
        self.0
            .iter()
            .filter(move |h| h.name.eq_ignore_ascii_case(name))
            .map(|h| h.value.as_str())
    }

    /// Every comma-separated element of every line of this name, quotes and angle brackets
    /// respected, trimmed, empty elements left out.
    pub fn elements(&self, name: &str) -> Vec<&str> {
        let name = long_name(name).unwrap_or(name);
        self.0
            .iter()
            .filter(|h| h.name.eq_ignore_ascii_case(name))
            .flat_map(|h| split_outside(&h.value, b','))
            .map(str::trim)
            .filter(|element| !element.is_empty())
            .collect()
    }

    /// Whether an element of this name equals `token` without case (its parameters aside).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.elements(name).iter().any(|element| {
            let bare = split_outside(element, b';').next().unwrap_or_default();
            bare.trim().eq_ignore_ascii_case(token)
        })
    }

    /// All header fields.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    /// Number of header lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The canonical form of a name, without characters that a `token` cannot contain.
fn canonical(name: &str) -> String {
    let name: String = name.chars().filter(|&c| is_token_char(c)).collect();
    long_name(&name).map_or(name, str::to_owned)
}

/// The registered spelling of a name in any case or in compact form.
fn long_name(name: &str) -> Option<&'static str> {
    if name.len() == 1 {
        return COMPACT
            .iter()
            .find(|(short, _)| short.eq_ignore_ascii_case(name))
            .map(|(_, long)| *long);
    }
    KNOWN
        .iter()
        .chain(COMPACT.iter().map(|(_, long)| long))
        .find(|known| known.eq_ignore_ascii_case(name))
        .copied()
}

/// Compact forms (IANA SIP parameters: "Header Fields").
const COMPACT: [(&str, &str); 19] = [
    ("a", "Accept-Contact"),
    ("b", "Referred-By"),
    ("c", "Content-Type"),
    ("d", "Request-Disposition"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("j", "Reject-Contact"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("o", "Event"),
    ("r", "Refer-To"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
    ("y", "Identity"),
];

/// Names without a compact form whose spelling is restored; others stay as written.
const KNOWN: [&str; 54] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Authorization",
    "CSeq",
    "Call-Info",
    "Content-Disposition",
    "Content-ID",
    "Content-Language",
    "Contribution-ID",
    "Conversation-ID",
    "Date",
    "Error-Info",
    "Expires",
    "History-Info",
    "In-Reply-To",
    "Join",
    "MIME-Version",
    "Max-Forwards",
    "Min-Expires",
    "Min-SE",
    "Organization",
    "P-Access-Network-Info",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Path",
    "Priority",
    "Privacy",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "RSeq",
    "Reason",
    "Record-Route",
    "Refer-Sub",
    "Replaces",
    "Reply-To",
    "Require",
    "Retry-After",
    "Route",
    "SIP-ETag",
    "SIP-If-Match",
    "Server",
    "Service-Route",
    "Subscription-State",
    "Suppress-If-Match",
    "Target-Dialog",
    "Unsupported",
    "User-Agent",
    "WWW-Authenticate",
    "Warning",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_form_find_each_other() {
        let headers = Headers::new().with("i", "1@h").with("cALL-iD", "2@h");
        assert_eq!(headers.all("Call-ID").collect::<Vec<_>>(), ["1@h", "2@h"]);
        assert_eq!(headers.first("I"), Some("1@h"));
        assert!(headers.iter().all(|h| h.name == "Call-ID"));
        assert_eq!(headers.first("Via"), None);
    }

    #[test]
    fn a_compact_name_is_one_whatever_is_left_out_around_it() {
        let headers = Headers::new()
            .with("i\0", "1@h")
            .with(" v ", "SIP/2.0/UDP h");
        assert_eq!(headers.first("Call-ID"), Some("1@h"));
        assert_eq!(headers.first("Via"), Some("SIP/2.0/UDP h"));
    }

    #[test]
    fn elements_run_over_lines_and_respect_quotes() {
        let headers = Headers::new()
            .with("Supported", "timer, , 100rel")
            .with("k", "JOIN;x=1")
            .with("Contact", r#""a, b" <sip:a,b@c>, <sip:d@e>"#);
        assert_eq!(headers.elements("k"), ["timer", "100rel", "JOIN;x=1"]);
        assert_eq!(headers.elements("m").len(), 2);
        assert!(headers.has_token("Supported", "Timer"));
        assert!(headers.has_token("Supported", "join"));
        assert!(!headers.has_token("Supported", "replaces"));
    }

    #[test]
    fn a_value_never_starts_another_header() {
        let headers = Headers::new().with("Subject:\r\nX", "a\r\nEvil: yes");
        assert_eq!(headers.first("SubjectX"), Some("a  Evil: yes"));
    }

    #[test]
    fn set_keeps_the_place_and_remove_takes_all() {
        let mut headers = Headers::new()
            .with("To", "1")
            .with("Via", "a")
            .with("v", "b")
            .with("CSeq", "1 ACK");
        headers.set("v", "c");
        headers.set("Expires", "0");
        let names: Vec<_> = headers.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["To", "Via", "CSeq", "Expires"]);
        assert_eq!(headers.first("Via"), Some("c"));
        headers.remove("via");
        assert_eq!(headers.len(), 3);
    }
}
