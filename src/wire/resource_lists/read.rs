//! Reading with bounds: no DTD, no entities except the predefined five. Elements of other
//! namespaces are ignored, nested lists are flattened (RFC 5366 §4).

use super::{COPY_NAMESPACE, CopyControl, Entry, NAMESPACE};
use crate::wire::xml::{BadReference, is_xml, resolved, restore_host};
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

/// The reason why octets cannot be read as a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not well-formed, or not UTF-8.
    #[error("malformed XML")]
    Malformed,
    /// It declares or uses entities.
    #[error("document type declarations are not read")]
    Dtd,
    /// Too many octets, entries, elements, levels or attributes.
    #[error("resource list too large")]
    TooLarge,
    /// Another root element.
    #[error("not a resource-lists document")]
    NotResourceLists,
}

/// Largest document read: as large as a SIP message on a stream.
pub const MAX_OCTETS: usize = crate::wire::sip::MAX_MESSAGE;
/// Limit of entries read, of all the lists of an INVITE together: ten times the default size of the
/// largest room (`max_participants`). The limit of invitations at once is far lower
/// (`max_list_size`).
pub const MAX_ENTRIES: usize = 10_000;
/// Deepest nesting read; a flat list needs 4.
pub const MAX_DEPTH: usize = 16;
/// Limit of elements read: every entry with a display name and two extensions.
const MAX_ELEMENTS: usize = 4 * MAX_ENTRIES;
/// Limit of attributes of an element; an entry needs three, and namespaces count too.
const MAX_ATTRIBUTES: usize = 32;
/// Limit of a display name's length, so that it fits into a header line. The rest is cut off.
const MAX_DISPLAY_NAME: usize = 1024;

/// Reads the entries of one document, in order; ignores those without a URI.
pub fn read(octets: &[u8]) -> Result<Vec<Entry>, ReadError> {
    if octets.len() > MAX_OCTETS {
        return Err(ReadError::TooLarge);
    }
    let text = std::str::from_utf8(octets).map_err(|_| ReadError::Malformed)?;
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}').trim_start());
    reader.config_mut().expand_empty_elements = true;
    let mut lists = Lists::default();
    loop {
        match reader.read_event().map_err(|_| ReadError::Malformed)? {
            Event::Start(start) | Event::Empty(start) => lists.start(&reader, &start)?,
            Event::End(_) => lists.end(),
            Event::Text(text) => lists.text(&text.xml10_content()),
            Event::CData(data) => lists.text(&data.xml10_content()),
            Event::GeneralRef(reference) => lists.reference(&reference)?,
            Event::DocType(_) => return Err(ReadError::Dtd),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return lists.finish(),
        }
    }
}

/// The position in a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `resource-lists`.
    Root,
    /// `list`.
    List,
    /// `entry`.
    Entry,
    /// `display-name` of an entry.
    DisplayName,
    /// Any other element.
    Elsewhere,
}

/// A document that is being read.
#[derive(Default)]
struct Lists {
    open: Vec<Place>,
    entries: Vec<Entry>,
    elements: usize,
}

impl Lists {
    fn start(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart) -> Result<(), ReadError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS || self.open.len() >= MAX_DEPTH {
            return Err(ReadError::TooLarge);
        }
        let attributes = attributes(start)?;
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let ours = matches!(namespace, ResolveResult::Bound(Namespace(NAMESPACE)));
        let place = match (self.open.last(), name.as_ref()) {
            (None, _) if self.elements > 1 => return Err(ReadError::Malformed),
            (None, "resource-lists") if ours => Place::Root,
            (None, _) => return Err(ReadError::NotResourceLists),
            (Some(Place::Root | Place::List), "list") if ours => Place::List,
            (Some(Place::List), "entry") if ours => Place::Entry,
            (Some(Place::Entry), "display-name") if ours => Place::DisplayName,
            _ => Place::Elsewhere,
        };
        if place == Place::Entry {
            if self.entries.len() >= MAX_ENTRIES {
                return Err(ReadError::TooLarge);
            }
            self.entries.push(entry(reader, &attributes)?);
        }
        self.open.push(place);
        Ok(())
    }

    fn end(&mut self) {
        self.open.pop();
    }

    fn text(&mut self, text: &str) {
        let (Some(Place::DisplayName), Some(entry)) = (self.open.last(), self.entries.last_mut())
        else {
            return;
        };
        let name = entry.display_name.get_or_insert_default();
        for c in text.chars().map(|c| if is_xml(c) { c } else { ' ' }) {
            if name.len() + c.len_utf8() <= MAX_DISPLAY_NAME {
                name.push(c);
            }
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

    fn finish(mut self) -> Result<Vec<Entry>, ReadError> {
        match (self.open.is_empty(), self.elements) {
            (false, _) => return Err(ReadError::Malformed),
            (true, 0) => return Err(ReadError::NotResourceLists),
            (true, _) => {}
        }
        self.entries.retain(|entry| !entry.uri.is_empty());
        for entry in &mut self.entries {
            let name = entry.display_name.take();
            let words = name.map(|n| n.split_whitespace().collect::<Vec<_>>().join(" "));
            entry.display_name = words.filter(|name| !name.is_empty());
        }
        Ok(self.entries)
    }
}

/// Counts before resolving any name, so that this work is bounded too.
fn attributes<'a>(start: &'a BytesStart) -> Result<Vec<Attribute<'a>>, ReadError> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(ReadError::TooLarge);
        }
        attributes.push(attribute.map_err(|_| ReadError::Malformed)?);
    }
    Ok(attributes)
}

fn entry(reader: &NsReader<&[u8]>, attributes: &[Attribute]) -> Result<Entry, ReadError> {
    let mut entry = Entry::default();
    for attribute in attributes {
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|_| ReadError::Malformed)?;
        let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
        match (is_copy_control(&namespace), name.as_ref()) {
            (None, "uri") => {
                let uri: String = value.chars().filter(|&c| is_xml(c)).collect();
                entry.uri = restore_host(uri.trim().to_owned());
            }
            (Some(true), "copyControl") => entry.copy_control = CopyControl::parse(&value),
            (Some(true), "anonymize") => {
                entry.anonymize = matches!(value.trim(), "true" | "1");
            }
            _ => {}
        }
    }
    Ok(entry)
}

/// Whether a namespace is that of copy control; `None` when there is no namespace. RFC 5366 §6
/// itself writes it with a capital C, and so do some clients.
fn is_copy_control(namespace: &ResolveResult) -> Option<bool> {
    match namespace {
        ResolveResult::Unbound => None,
        ResolveResult::Bound(Namespace(name)) => Some(name.eq_ignore_ascii_case(COPY_NAMESPACE)),
        ResolveResult::Unknown(_) => Some(false),
    }
}
