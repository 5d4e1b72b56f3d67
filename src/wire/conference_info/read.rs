//! Reading with bounds: no DTD, no entities except the predefined five, nothing fetched. Elements
//! of other namespaces and values outside the schema are ignored.

use super::model::*;
use super::{NAMESPACE, XCON_NAMESPACE};
use crate::wire::xml::{BadReference, is_xml, resolved, restore_host};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

/// The reason why octets cannot be read as such a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not well-formed, or not UTF-8.
    #[error("malformed XML")]
    Malformed,
    /// It declares or uses entities.
    #[error("document type declarations are not read")]
    Dtd,
    /// Too many octets, elements, levels or attributes.
    #[error("conference-info document too large")]
    TooLarge,
    /// Another root element, or no `entity`.
    #[error("not a conference-info document")]
    NotConferenceInfo,
}

/// Largest document read: as large as a SIP message on a stream (`sip::MAX_MESSAGE`).
pub const MAX_OCTETS: usize = crate::wire::sip::MAX_MESSAGE;
/// Limit of elements read: 1000 participants with two endpoints each have some 40,000.
pub const MAX_ELEMENTS: usize = 100_000;
/// Deepest nesting read; the schema without sidebars needs 8.
pub const MAX_DEPTH: usize = 32;
/// Limit of attributes of an element; the schema has three, the rest are namespaces.
const MAX_ATTRIBUTES: usize = 32;

impl Document {
    /// Reads a document.
    pub fn read(octets: &[u8]) -> Result<Self, ReadError> {
        if octets.len() > MAX_OCTETS {
            return Err(ReadError::TooLarge);
        }
        let text = std::str::from_utf8(octets).map_err(|_| ReadError::Malformed)?;
        let root = Tree::read(text.trim_start_matches('\u{feff}').trim_start())?;
        let entity = root.attribute("entity");
        let (Some(entity), "conference-info") = (entity, root.name.as_str()) else {
            return Err(ReadError::NotConferenceInfo);
        };
        Ok(Document {
            entity: restore_host(entity),
            state: root.state(),
            version: root
                .attribute("version")
                .and_then(|version| version.parse().ok())
                .unwrap_or_default(),
            description: root.child("conference-description").map(description),
            host_info: root.child("host-info").map(host_info),
            conference_state: root.child("conference-state").map(conference_state),
            users: root.child("users").map(users),
            sidebars: uris(&root, "sidebars-by-ref"),
        })
    }
}

fn description(element: &Element) -> Description {
    let keywords = element.text("keywords").unwrap_or_default();
    Description {
        display_text: element.text("display-text"),
        subject: element.text("subject"),
        free_text: element.text("free-text"),
        keywords: keywords
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect(),
        conf_uris: uris(element, "conf-uris"),
        service_uris: uris(element, "service-uris"),
        maximum_user_count: element.number("maximum-user-count"),
        available_media: element
            .child("available-media")
            .map(|media| media.all("entry").filter_map(media_entry).collect())
            .unwrap_or_default(),
    }
}

fn media_entry(element: &Element) -> Option<MediaEntry> {
    Some(MediaEntry {
        label: element.attribute("label")?,
        display_text: element.text("display-text"),
        kind: element.word("type").unwrap_or_default(),
        status: element
            .word("status")
            .and_then(|w| MediaStatus::from_text(&w)),
    })
}

fn uris(element: &Element, name: &str) -> Vec<UriEntry> {
    let entry = |entry: &Element| {
        Some(UriEntry {
            uri: restore_host(entry.word("uri")?),
            display_text: entry.text("display-text"),
            purpose: entry.text("purpose"),
        })
    };
    let list = element.child(name);
    list.map(|list| list.all("entry").filter_map(entry).collect())
        .unwrap_or_default()
}

fn host_info(element: &Element) -> HostInfo {
    HostInfo {
        display_text: element.text("display-text"),
        web_page: element.word("web-page"),
        uris: uris(element, "uris"),
    }
}

fn conference_state(element: &Element) -> ConferenceState {
    ConferenceState {
        user_count: element.number("user-count"),
        active: element.flag("active"),
        locked: element.flag("locked"),
    }
}

/// Ignores users without a key, because they cannot be told apart.
fn users(element: &Element) -> Users {
    Users {
        state: element.state(),
        users: element.all("user").filter_map(user).collect(),
    }
}

fn user(element: &Element) -> Option<User> {
    let roles = element.child("roles");
    Some(User {
        entity: restore_host(element.attribute("entity")?),
        state: element.state(),
        display_text: element.text("display-text"),
        nickname: element.attribute(NICKNAME).or(element.text(NICKNAME)),
        associated_aors: uris(element, "associated-aors"),
        roles: roles
            .map(|roles| roles.all("entry").map(|e| e.text.clone()).collect())
            .unwrap_or_default(),
        endpoints: element.all("endpoint").filter_map(endpoint).collect(),
    })
}

fn endpoint(element: &Element) -> Option<Endpoint> {
    let word = |name| element.word(name).unwrap_or_default();
    Some(Endpoint {
        entity: element.attribute("entity")?,
        state: element.state(),
        display_text: element.text("display-text"),
        referred: element.child("referred").map(execution),
        status: EndpointStatus::from_text(&word("status")),
        joining_method: JoiningMethod::from_text(&word("joining-method")),
        joining_info: element.child("joining-info").map(execution),
        disconnection_method: DisconnectionMethod::from_text(&word("disconnection-method")),
        disconnection_info: element.child("disconnection-info").map(execution),
        media: element.all("media").filter_map(media).collect(),
        call_info: element
            .child("call-info")
            .and_then(|info| info.child("sip"))
            .and_then(call_info),
    })
}

fn execution(element: &Element) -> ExecutionInfo {
    ExecutionInfo {
        when: element.word("when").filter(|when| is_date_time(when)),
        reason: element.text("reason"),
        by: element.word("by").map(restore_host),
    }
}

/// Whether this is an `xs:dateTime`. A malformed time from a peer must not invalidate our documents
/// that repeat it.
fn is_date_time(text: &str) -> bool {
    let number = |from: usize, shape: &[u8]| {
        let digits = text.get(from..from + 2)?;
        let fits = digits.bytes().all(|d| d.is_ascii_digit());
        let before = text.as_bytes().get(from.checked_sub(1)?)?;
        (fits && shape.contains(before)).then(|| digits.parse::<u32>().ok())?
    };
    let Some(year) = text
        .get(..4)
        .filter(|y| y.bytes().all(|d| d.is_ascii_digit()))
    else {
        return false;
    };
    let year: u32 = year.parse().unwrap_or_default();
    let days = match number(5, b"-") {
        Some(2) if is_leap(year) => 29,
        Some(2) => 28,
        Some(4 | 6 | 9 | 11) => 30,
        Some(1..=12) => 31,
        _ => return false,
    };
    let within = |from, shape, most| number(from, shape).is_some_and(|n| n <= most);
    let date = year > 0 && within(8, b"-", days) && number(8, b"-") != Some(0);
    let time = within(11, b"T", 23) && within(14, b":", 59) && within(17, b":", 59);
    date && time && text.get(19..).is_some_and(is_fraction_and_zone)
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100))
}

fn is_fraction_and_zone(text: &str) -> bool {
    let zone = match text.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => text,
    };
    let fraction = text.len() - zone.len();
    let offset = zone.strip_prefix(['+', '-']).and_then(|offset| {
        let (hours, minutes) = offset.split_once(':')?;
        let number = |digits: &str| digits.len() == 2 && digits.bytes().all(|d| d.is_ascii_digit());
        Some(number(hours) && number(minutes) && hours <= "13" && minutes <= "59")
    });
    fraction != 1 && (zone.is_empty() || zone == "Z" || offset == Some(true))
}

fn media(element: &Element) -> Option<Media> {
    Some(Media {
        id: element.attribute("id")?,
        display_text: element.text("display-text"),
        kind: element.word("type"),
        label: element.word("label"),
        status: element
            .word("status")
            .and_then(|w| MediaStatus::from_text(&w)),
    })
}

fn call_info(element: &Element) -> Option<CallInfo> {
    Some(CallInfo {
        call_id: element.text("call-id")?,
        from_tag: element.text("from-tag")?,
        to_tag: element.text("to-tag")?,
    })
}

/// The name under which a nickname is kept, as attribute (RFC 7701 §9.6) or as element;
/// no element of the document's own namespace has a colon in its local name.
const NICKNAME: &str = "xcon:nickname";

/// An element of one of our namespaces.
#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn attribute(&self, name: &str) -> Option<String> {
        let found = self.attributes.iter().find(|(n, _)| n == name)?;
        Some(found.1.clone())
    }

    fn state(&self) -> State {
        match self.attribute("state").as_deref().map(str::trim) {
            Some("partial") => State::Partial,
            Some("deleted") => State::Deleted,
            _ => State::Full,
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.all(name).next()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.child(name).map(|child| child.text.clone())
    }

    fn word(&self, name: &str) -> Option<String> {
        self.child(name).map(|child| child.text.trim().to_owned())
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.word(name)?.parse().ok()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        match self.word(name)?.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

/// A document while it is read.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    /// Depth inside an element that is ignored.
    foreign: usize,
}

impl Tree {
    fn read(text: &str) -> Result<Element, ReadError> {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut tree = Tree::default();
        loop {
            let event = reader.read_event().map_err(|_| ReadError::Malformed)?;
            match event {
                Event::Start(start) | Event::Empty(start) => tree.start(&reader, &start)?,
                Event::End(_) => tree.end(),
                Event::Text(text) => tree.text(&text.xml10_content()),
                Event::CData(data) => tree.text(&data.xml10_content()),
                Event::GeneralRef(reference) => tree.reference(&reference)?,
                Event::DocType(_) => return Err(ReadError::Dtd),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if !tree.open.is_empty() || tree.foreign > 0 {
            return Err(ReadError::Malformed);
        }
        tree.root.ok_or(ReadError::NotConferenceInfo)
    }

    fn start(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart) -> Result<(), ReadError> {
        self.elements += 1;
        let depth = self.open.len() + self.foreign;
        if self.elements > MAX_ELEMENTS || depth >= MAX_DEPTH {
            return Err(ReadError::TooLarge);
        }
        if self.root.is_some() {
            return Err(ReadError::Malformed);
        }
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let name = local(&namespace, name.as_ref()).filter(|_| self.foreign == 0);
        let Some(name) = name else {
            self.foreign += 1;
            return Ok(());
        };
        let mut attributes = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|_| ReadError::Malformed)?;
            if count >= MAX_ATTRIBUTES {
                return Err(ReadError::TooLarge);
            }
            let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
            let name = match namespace {
                ResolveResult::Unbound => Some(name.as_ref().to_owned()),
                _ => local(&namespace, name.as_ref()).filter(|name| name == NICKNAME),
            };
            if let Some(name) = name {
                let value = attribute.normalized_value(XmlVersion::Implicit1_0);
                let value = value.map_err(|_| ReadError::Malformed)?;
                let value = value.chars().filter(|&c| is_text(c)).collect();
                attributes.push((name, value));
            }
        }
        self.open.push(Element {
            name,
            attributes,
            ..Default::default()
        });
        Ok(())
    }

    fn end(&mut self) {
        if self.foreign > 0 {
            self.foreign -= 1;
            return;
        }
        let Some(element) = self.open.pop() else {
            return;
        };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) {
        if let (0, Some(element)) = (self.foreign, self.open.last_mut()) {
            element.text.extend(text.chars().filter(|&c| is_text(c)));
        }
    }

    fn reference(&mut self, reference: &BytesRef) -> Result<(), ReadError> {
        let resolved = resolved(reference).map_err(|error| match error {
            BadReference::Undeclared => ReadError::Dtd,
            BadReference::Malformed => ReadError::Malformed,
        })?;
        self.text(resolved.encode_utf8(&mut [0; 4]));
        Ok(())
    }
}

/// Our name for a name of a namespace; `None` for a foreign one.
fn local(namespace: &ResolveResult, name: &str) -> Option<String> {
    match namespace {
        ResolveResult::Bound(Namespace(NAMESPACE)) => Some(name.to_owned()),
        ResolveResult::Bound(Namespace(XCON_NAMESPACE)) => Some(format!("xcon:{name}")),
        _ => None,
    }
}

fn is_text(c: char) -> bool {
    is_xml(c) || matches!(c, '\t' | '\n' | '\r')
}
