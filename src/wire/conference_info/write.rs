//! Writes elements in the order of the schema (RFC 4575 §6). Equal values always give equal octets,
//! because keys are compared octet by octet (§4.5).

use std::sync::Arc;

use super::model::*;
use super::{NAMESPACE, XCON_NAMESPACE};
use crate::wire::xml::{Xml, escape_uri, is_xml};

impl Document {
    /// The document as XML in UTF-8. Omits characters that XML forbids from texts, and escapes
    /// those that a URI forbids.
    pub fn write(&self) -> String {
        self.template(None).with_version(self.version)
    }

    /// The document without its version, to be written once for many subscriptions. `elements` are
    /// written users: they replace the children of `users`, and keep its state.
    pub fn template(&self, elements: Option<&[UserElement]>) -> Template {
        let mut xml = Xml::document();
        let users = self.users.as_ref().filter(|_| self.state != State::Deleted);
        let nicknames = match elements {
            Some(elements) => elements.iter().any(|element| element.nickname),
            None => users.is_some_and(|u| u.users.iter().any(|user| user.nickname.is_some())),
        };
        xml.open("conference-info");
        xml.attribute("xmlns", NAMESPACE);
        if nicknames {
            xml.attribute("xmlns:xcon", XCON_NAMESPACE);
        }
        xml.attribute("entity", &escape_uri(&self.entity));
        xml.attribute("state", self.state.as_str());
        xml.attribute("version", "");
        xml.0.pop();
        let version_at = xml.0.len();
        xml.0.push('"');
        if self.state == State::Deleted {
            return Template::new(xml.empty().0, version_at);
        }
        xml.content();
        self.write_children(&mut xml, users, elements);
        xml.close("conference-info");
        Template::new(xml.0, version_at)
    }

    fn write_children(
        &self,
        xml: &mut Xml,
        users: Option<&Users>,
        elements: Option<&[UserElement]>,
    ) {
        if let Some(description) = &self.description {
            write_description(xml, description);
        }
        if let Some(host) = &self.host_info {
            xml.element("host-info");
            xml.text("display-text", host.display_text.as_deref());
            let page = host.web_page.as_deref().map(escape_uri);
            xml.text("web-page", page.as_deref());
            write_uris(xml, "uris", &host.uris);
            xml.close("host-info");
        }
        if let Some(state) = &self.conference_state {
            write_conference_state(xml, state);
        }
        if let Some(users) = users {
            write_users(xml, users, self.state, elements);
        }
        write_uris(xml, "sidebars-by-ref", &self.sidebars);
    }
}

/// A document that lacks its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    xml: String,
    version_at: usize,
}

impl Template {
    fn new(xml: String, version_at: usize) -> Self {
        Self { xml, version_at }
    }

    /// The document with this version.
    pub fn with_version(&self, version: u32) -> String {
        let version = version.to_string();
        let mut xml = String::with_capacity(self.xml.len() + version.len());
        let (before, after) = self.xml.split_at(self.version_at);
        xml.push_str(before);
        xml.push_str(&version);
        xml.push_str(after);
        xml
    }

    /// Octets without the version.
    pub fn octets(&self) -> usize {
        self.xml.len()
    }
}

/// A `user` element, written once for many documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserElement {
    xml: Arc<str>,
    nickname: bool,
}

impl User {
    /// The element as it stands in a partial document and, when its state is full, in a full
    /// one.
    pub fn element(&self) -> UserElement {
        let mut xml = Xml(String::new());
        write_user(&mut xml, self, State::Partial);
        UserElement {
            xml: xml.0.into(),
            nickname: self.nickname.is_some(),
        }
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

    /// The state of this element within a parent of that state: all children of a full element are
    /// full and none is deleted (§4.4). `None`: leave it out.
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

fn write_users(xml: &mut Xml, users: &Users, parent: State, elements: Option<&[UserElement]>) {
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
    match elements {
        Some(elements) => {
            let octets = elements.iter().map(|element| element.xml.len()).sum();
            xml.0.reserve(octets);
            for element in elements {
                xml.0.push_str(&element.xml);
            }
        }
        None => {
            for user in &users.users {
                write_user(xml, user, state);
            }
        }
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

impl Xml {
    /// `full` is the value of an absent attribute.
    fn state(&mut self, state: State) {
        if state != State::Full {
            self.attribute("state", state.as_str());
        }
    }
}
