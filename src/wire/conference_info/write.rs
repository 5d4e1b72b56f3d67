//! Writing: in the order of the schema (RFC 4575 §6) and always the same octets for the same
//! values, for keys are compared octet-wise (§4.5).

use super::model::*;
use super::{NAMESPACE, XCON_NAMESPACE};
use std::fmt::Write;

impl Document {
    /// The document as XML in UTF-8. What XML forbids is left out of texts, what a URI may
    /// not hold is escaped in URIs.
    pub fn write(&self) -> String {
        let mut xml = Xml(String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
        let users = self.users.as_ref().filter(|_| self.state != State::Deleted);
        let nicknames = users.is_some_and(|u| u.users.iter().any(|user| user.nickname.is_some()));
        let version = self.version.to_string();
        xml.open("conference-info");
        xml.attribute("xmlns", NAMESPACE);
        if nicknames {
            xml.attribute("xmlns:xcon", XCON_NAMESPACE);
        }
        xml.attribute("entity", &escape_uri(&self.entity));
        xml.attribute("state", self.state.as_str());
        xml.attribute("version", &version);
        if self.state == State::Deleted {
            return xml.empty().0;
        }
        xml.content();
        if let Some(description) = &self.description {
            write_description(&mut xml, description);
        }
        if let Some(state) = &self.conference_state {
            write_conference_state(&mut xml, state);
        }
        if let Some(users) = users {
            write_users(&mut xml, users, self.state);
        }
        xml.close("conference-info");
        xml.0
    }
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Full => "full",
            State::Partial => "partial",
            State::Deleted => "deleted",
        }
    }

    /// How this element stands in a parent of that state: all children of a full element
    /// are full, and what is gone is not in it (§4.4). `None`: not at all.
    fn within(self, parent: State) -> Option<State> {
        match (parent, self) {
            (State::Full, State::Deleted) | (State::Deleted, _) => None,
            (State::Full, _) => Some(State::Full),
            (State::Partial, own) => Some(own),
        }
    }
}

fn write_description(xml: &mut Xml, description: &Description) {
    xml.element("conference-description");
    xml.text("display-text", description.display_text.as_deref());
    xml.text("subject", description.subject.as_deref());
    xml.text("free-text", description.free_text.as_deref());
    let words = description.keywords.iter();
    let words = words.flat_map(|words| words.split_ascii_whitespace());
    let words = words.filter(|word| word.chars().any(is_xml));
    let keywords = words.collect::<Vec<_>>().join(" ");
    let keywords = Some(keywords.as_str()).filter(|words| !words.is_empty());
    xml.text("keywords", keywords);
    write_uris(xml, "conf-uris", &description.conf_uris);
    write_uris(xml, "service-uris", &description.service_uris);
    xml.display("maximum-user-count", description.maximum_user_count);
    if !description.available_media.is_empty() {
        xml.element("available-media");
        for entry in &description.available_media {
            xml.open("entry");
            xml.attribute("label", &entry.label);
            xml.content();
            xml.text("display-text", entry.display_text.as_deref());
            xml.text("type", Some(&entry.kind));
            xml.text("status", entry.status.map(MediaStatus::as_str));
            xml.close("entry");
        }
        xml.close("available-media");
    }
    xml.close("conference-description");
}

fn write_conference_state(xml: &mut Xml, state: &ConferenceState) {
    xml.element("conference-state");
    xml.display("user-count", state.user_count);
    xml.display("active", state.active);
    xml.display("locked", state.locked);
    xml.close("conference-state");
}

/// A list of URIs may not be empty.
fn write_uris(xml: &mut Xml, name: &str, entries: &[UriEntry]) {
    if entries.is_empty() {
        return;
    }
    xml.element(name);
    for entry in entries {
        xml.element("entry");
        xml.text("uri", Some(&escape_uri(&entry.uri)));
        xml.text("display-text", entry.display_text.as_deref());
        xml.text("purpose", entry.purpose.as_deref());
        xml.close("entry");
    }
    xml.close(name);
}

fn write_users(xml: &mut Xml, users: &Users, parent: State) {
    let Some(state) = users.state.within(parent) else {
        return;
    };
    xml.open("users");
    xml.state(state);
    if state == State::Deleted {
        xml.0.push_str("/>");
        return;
    }
    xml.content();
    for user in &users.users {
        write_user(xml, user, state);
    }
    xml.close("users");
}

fn write_user(xml: &mut Xml, user: &User, parent: State) {
    let Some(state) = user.state.within(parent) else {
        return;
    };
    xml.open("user");
    xml.attribute("entity", &escape_uri(&user.entity));
    xml.state(state);
    if state == State::Deleted {
        xml.0.push_str("/>");
        return;
    }
    if let Some(nickname) = &user.nickname {
        xml.attribute("xcon:nickname", nickname);
    }
    xml.content();
    xml.text("display-text", user.display_text.as_deref());
    write_uris(xml, "associated-aors", &user.associated_aors);
    if !user.roles.is_empty() {
        xml.element("roles");
        for role in &user.roles {
            xml.text("entry", Some(role));
        }
        xml.close("roles");
    }
    for endpoint in &user.endpoints {
        write_endpoint(xml, endpoint, state);
    }
    xml.close("user");
}

fn write_endpoint(xml: &mut Xml, endpoint: &Endpoint, parent: State) {
    let Some(state) = endpoint.state.within(parent) else {
        return;
    };
    xml.open("endpoint");
    xml.attribute("entity", &endpoint.entity);
    xml.state(state);
    if state == State::Deleted {
        xml.0.push_str("/>");
        return;
    }
    xml.content();
    xml.text("display-text", endpoint.display_text.as_deref());
    write_execution(xml, "referred", endpoint.referred.as_ref());
    xml.text("status", endpoint.status.map(EndpointStatus::as_str));
    let joining = endpoint.joining_method.map(JoiningMethod::as_str);
    xml.text("joining-method", joining);
    write_execution(xml, "joining-info", endpoint.joining_info.as_ref());
    let disconnection = endpoint
        .disconnection_method
        .map(DisconnectionMethod::as_str);
    xml.text("disconnection-method", disconnection);
    write_execution(
        xml,
        "disconnection-info",
        endpoint.disconnection_info.as_ref(),
    );
    for media in &endpoint.media {
        write_media(xml, media);
    }
    if let Some(call) = &endpoint.call_info {
        write_call_info(xml, call);
    }
    xml.close("endpoint");
}

fn write_execution(xml: &mut Xml, name: &str, info: Option<&ExecutionInfo>) {
    if let Some(info) = info {
        xml.element(name);
        xml.text("when", info.when.as_deref());
        xml.text("reason", info.reason.as_deref());
        xml.text("by", info.by.as_deref().map(escape_uri).as_deref());
        xml.close(name);
    }
}

fn write_media(xml: &mut Xml, media: &Media) {
    xml.open("media");
    xml.attribute("id", &media.id);
    xml.content();
    xml.text("display-text", media.display_text.as_deref());
    xml.text("type", media.kind.as_deref());
    xml.text("label", media.label.as_deref());
    xml.text("status", media.status.map(MediaStatus::as_str));
    xml.close("media");
}

fn write_call_info(xml: &mut Xml, call: &CallInfo) {
    xml.element("call-info");
    xml.element("sip");
    xml.text("call-id", Some(&call.call_id));
    xml.text("from-tag", Some(&call.from_tag));
    xml.text("to-tag", Some(&call.to_tag));
    xml.close("sip");
    xml.close("call-info");
}

/// XML under way.
struct Xml(String);

impl Xml {
    fn open(&mut self, name: &str) {
        let _ = write!(self.0, "<{name}");
    }

    fn attribute(&mut self, name: &str, value: &str) {
        let _ = write!(self.0, " {name}=\"");
        self.escaped(value);
        self.0.push('"');
    }

    /// `full` is what an absent attribute says.
    fn state(&mut self, state: State) {
        if state != State::Full {
            self.attribute("state", state.as_str());
        }
    }

    fn content(&mut self) {
        self.0.push('>');
    }

    fn empty(mut self) -> Self {
        self.0.push_str("/>");
        self
    }

    fn element(&mut self, name: &str) {
        self.open(name);
        self.content();
    }

    fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.element(name);
            self.escaped(text);
            self.close(name);
        }
    }

    fn display(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            let _ = write!(self.0, "<{name}>{value}</{name}>");
        }
    }

    /// One escaping for texts and attributes; white space that a parser would change is
    /// written as references (XML 1.0 §2.11, §3.3.3).
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

/// What XML 1.0 §2.2 lets in, white space aside.
pub(super) fn is_xml(c: char) -> bool {
    c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// `xs:anyURI`: what RFC 3986 does not know in a URI without `//` is escaped, so is a `%`
/// that escapes nothing and every `#` (ours have no fragment). Brackets of an IPv6 host are
/// among that: a common validator refuses them, and with them the whole document.
fn escape_uri(uri: &str) -> String {
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

/// Gives an IPv6 host its brackets back.
pub(super) fn restore_host(uri: String) -> String {
    let before_host = uri.find('@').or_else(|| uri.find(':'));
    let (before, host) = uri.split_at(before_host.map_or(0, |at| at + 1));
    match host.strip_prefix("%5B").and_then(|h| h.split_once("%5D")) {
        Some((address, after)) => format!("{before}[{address}]{after}"),
        None => uri,
    }
}
