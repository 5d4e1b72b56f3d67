//! XML 1.0 reading and writing shared by the document types of `wire`. No foreign text can end an
//! element or an attribute, or make a document ill-formed.

use std::fmt::Write;

use quick_xml::events::BytesRef;

/// An XML document that is being written.
pub(super) struct Xml(pub(super) String);

impl Xml {
    /// The declaration at the start of every document.
    pub(super) fn document() -> Self {
        Xml(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
    }

    pub(super) fn open(&mut self, name: &str) {
        let _ = write!(self.0, "<{name}");
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, " {name}=\"");
        self.escaped(value);
        self.0.push('"');
    }

    pub(super) fn content(&mut self) {
        self.0.push('>');
    }

    pub(super) fn empty(mut self) -> Self {
        self.0.push_str("/>");
        self
    }

    pub(super) fn element(&mut self, name: &str) {
        self.open(name);
        self.content();
    }

    pub(super) fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    pub(super) fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.element(name);
            self.escaped(text);
            self.close(name);
        }
    }

    pub(super) fn display(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            let _ = write!(self.0, "<{name}>{value}</{name}>");
        }
    }

    /// Escapes texts and attributes alike; white space that a parser would change is written as
    /// references (XML 1.0 §2.11, §3.3.3).
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\t' | '\n' | '\r' => {
                    let _ = write!(self.0, "&#{};", u32::from(c));
                }
                c if is_xml(c) => self.0.push(c),
                _ => {}
            }
        }
    }
}

/// The reason why a reference cannot be resolved.
pub(super) enum BadReference {
    /// It would need a document type declaration, which is not read.
    Undeclared,
    /// It is malformed.
    Malformed,
}

/// Resolves a reference in a text: one of the five predefined entities, or a character by its
/// number (XML 1.0 §4.1, §4.6).
pub(super) fn resolved(reference: &BytesRef) -> Result<char, BadReference> {
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => match reference.resolve_char_ref() {
            Ok(Some(c)) => Ok(c),
            Ok(None) => Err(BadReference::Undeclared),
            Err(_) => Err(BadReference::Malformed),
        },
    }
}

/// Whether XML 1.0 §2.2 allows this character. Characters below the blank count as forbidden, even
/// the white space among them.
pub(super) fn is_xml(c: char) -> bool {
    c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// `xs:anyURI`: escapes characters that RFC 3986 does not allow in a URI without `//`, a `%` that
/// escapes nothing, and every `#` (our URIs have no fragment). That includes the brackets of an
/// IPv6 host: a common validator rejects them, and with them the whole document.
pub(super) fn escape_uri(uri: &str) -> String {
    let octets = uri.as_bytes();
    let mut escaped = String::with_capacity(uri.len());
    for (at, &octet) in octets.iter().enumerate() {
        let is_hex = |ahead: usize| octets.get(at + ahead).is_some_and(u8::is_ascii_hexdigit);
        let fine = match octet {
            b'%' => is_hex(1) && is_hex(2),
            _ => octet.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&octet),
        };
        match fine {
            true => escaped.push(octet.into()),
            false => {
                let _ = write!(escaped, "%{octet:02X}");
            }
        }
    }
    escaped
}

/// Restores the brackets of an IPv6 host.
pub(super) fn restore_host(uri: String) -> String {
    let before_host = uri.find('@').or_else(|| uri.find(':'));
    let (before, host) = uri.split_at(before_host.map_or(0, |at| at + 1));
    match host.strip_prefix("%5B").and_then(|h| h.split_once("%5D")) {
        Some((address, after)) => format!("{before}[{address}]{after}"),
        None => uri,
    }
}
