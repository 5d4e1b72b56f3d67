//! Disposition notifications (RFC 5438). They pass as room traffic and are never created here: to
//! stay on their path, the switch would have to change the CPIM headers, which RFC 7701 §6.1
//! forbids (P14).
//!
//! Only those of anonymous participants are inspected. If the room hides a participant's address,
//! the notification that their client writes must not reveal it (RFC 5438 §14.2, P13).
//! Notifications are read as XML, so that neither prefixes nor comments hide anything; unreadable
//! ones are not passed on.

use std::hash::{Hash, Hasher};
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::wire::cpim::Message;
use crate::wire::media_type;

/// RFC 5438 §11.1.3.
const MEDIA_TYPE: &str = "message/imdn+xml";
/// The elements that name the recipient of a message, beside the CPIM addresses.
const NAMES: [&str; 2] = ["recipient-uri", "original-recipient-uri"];
/// The statuses of a notification (RFC 5438 §11.1.1).
const STATUSES: [&str; 7] = [
    "delivered",
    "displayed",
    "processed",
    "stored",
    "failed",
    "forbidden",
    "error",
];

/// Whether a wrapped content type is that of a notification.
pub(in crate::switch) fn is_notification(content_type: &str) -> bool {
    media_type(content_type).eq_ignore_ascii_case(MEDIA_TYPE)
}

/// Whether a message really is a notification rather than one by name only: notifications pass
/// where private messages do not (RFC 5438 §7.2.1, P11).
pub(in crate::switch) fn is_disposition(message: &Message<'_>) -> bool {
    let disposition = message.mime_header("Content-Disposition").unwrap_or("");
    is_notification(message.content_type)
        && media_type(disposition).eq_ignore_ascii_case("notification")
}

/// Blanks out the recipient in a notification, and returns its gist. Anonymous notifications with
/// the same gist for the same reader are indistinguishable, so the reader may get only one of them.
/// The length stays, so the rest of the message does not change. `None`: it cannot be read.
pub(in crate::switch) fn conceal(
    to: &str,
    message: &Message<'_>,
    content: &mut [u8],
) -> Option<Gist> {
    let encoding = message.mime_header("Content-Transfer-Encoding");
    let bare = encoding.is_none_or(|encoding| {
        let known = ["7bit", "8bit", "binary"];
        known.iter().any(|name| encoding.eq_ignore_ascii_case(name))
    });
    let text = std::str::from_utf8(content).ok().filter(|_| bare)?;
    let notification = Notification::read(text)?;
    for element in notification.named {
        content.get_mut(element)?.fill(b' ');
    }
    let gist = notification.status.map(|status| {
        let mut hasher = std::hash::DefaultHasher::new();
        (to, notification.message, status).hash(&mut hasher);
        hasher.finish()
    });
    Some(Gist(gist))
}

/// Fingerprint of a notification's content and reader; `None` for unknown content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) struct Gist(pub(in crate::switch) Option<u64>);

/// The relevant parts of a notification.
#[derive(Debug, Default)]
struct Notification {
    message: String,
    status: Option<usize>,
    /// Positions of elements that name a person.
    named: Vec<Range<usize>>,
}

impl Notification {
    fn read(text: &str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let mut found = Self::default();
        let mut path = Vec::new();
        // Start and depth of the outermost element that names a person.
        let mut named: Option<(usize, usize)> = None;
        loop {
            let before = usize::try_from(reader.buffer_position()).ok()?;
            let event = reader.read_event().ok()?;
            let after = usize::try_from(reader.buffer_position()).ok()?;
            match event {
                Event::Start(tag) if path.is_empty() => {
                    path.push(tag.local_name().as_ref().to_owned());
                    (path == ["imdn"]).then_some(())?;
                }
                Event::Start(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    if named.is_none() && NAMES.contains(&name.as_str()) {
                        named = Some((before, path.len()));
                    }
                    found.status = found.status.or_else(|| said(&path, &name));
                    path.push(name);
                }
                Event::Empty(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    if named.is_none() && NAMES.contains(&name.as_str()) {
                        found.named.push(before..after);
                    }
                    found.status = found.status.or_else(|| said(&path, &name));
                }
                Event::End(_) => {
                    path.pop();
                    if let Some((start, depth)) = named
                        && depth == path.len()
                    {
                        found.named.push(start..after);
                        named = None;
                    }
                }
                Event::Text(text) if path.last().is_some_and(|it| it == "message-id") => {
                    found.message += text.xml10_content().trim();
                }
                // The value of an entity is unknown.
                Event::DocType(_) => return None,
                Event::Eof => break,
                _ => {}
            }
        }
        (path.is_empty() && !found.message.is_empty()).then_some(found)
    }
}

/// The index of the status that an element inside `status` names.
fn said(path: &[String], name: &str) -> Option<usize> {
    let inside = path.last().is_some_and(|it| it == "status");
    let place = STATUSES.iter().position(|status| *status == name);
    place.filter(|_| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpim(headers: &str, content: &str) -> String {
        format!(
            "From: <sip:a@x>\r\nTo: <sip:b@x>\r\n\r\n\
             Content-Type: message/imdn+xml\r\n{headers}\r\n{content}"
        )
    }

    /// The blanked content and its gist.
    fn concealed_with(to: &str, headers: &str, content: &str) -> Option<(String, Gist)> {
        let text = cpim(headers, content);
        let message = Message::parse(text.as_bytes()).unwrap().unwrap();
        let mut octets = content.as_bytes().to_vec();
        let gist = conceal(to, &message, &mut octets)?;
        assert_eq!(octets.len(), content.len());
        Some((String::from_utf8(octets).unwrap(), gist))
    }

    fn concealed(content: &str) -> Option<(String, Gist)> {
        concealed_with("sip:b@x", "", content)
    }

    fn notification(prefix: &str, message: &str, status: &str) -> String {
        format!(
            "<{prefix}imdn xmlns:x=\"urn:ietf:params:xml:ns:imdn\">\
             <{prefix}message-id>{message}</{prefix}message-id>\
             <{prefix}recipient-uri a=\"b\">sip:secret@x<!-- sip:secret@x --></{prefix}recipient-uri>\
             <{prefix}original-recipient-uri >im:secret@x</{prefix}original-recipient-uri>\
             <{prefix}delivery-notification><{prefix}status><{prefix}{status}/></{prefix}status>\
             </{prefix}delivery-notification></{prefix}imdn>"
        )
    }

    #[test]
    fn p13_who_received_is_blanked_out_however_it_is_written() {
        for prefix in ["", "x:"] {
            let text = notification(prefix, "1", "delivered");
            let (left, _) = concealed(&text).expect("a notification");
            assert!(!left.contains("secret"), "{left}");
            assert!(left.contains("<") && left.contains("delivered"));
        }
        let empty = "<imdn><message-id>1</message-id><recipient-uri a='sip:secret@x'/>\
                     <d><status><delivered/></status></d></imdn>";
        assert!(!concealed(empty).unwrap().0.contains("secret"));
    }

    #[test]
    fn p13_what_cannot_be_read_is_no_notification() {
        let whole = notification("", "1", "delivered");
        for broken in [
            "",
            "<imdn>",
            "sip:secret@x",
            &whole[..whole.len() - 8],
            &whole.replace("imdn", "other"),
            &notification("", "", "delivered"),
            &format!("<!DOCTYPE imdn [<!ENTITY s 'sip:secret@x'>]>{whole}"),
        ] {
            assert_eq!(concealed(broken), None, "{broken}");
        }
        let base64 = "Content-Transfer-Encoding: base64\r\n";
        assert_eq!(concealed_with("sip:b@x", base64, &whole), None);
        let mut utf16 = cpim("", "").into_bytes();
        let message = utf16.clone();
        let message = Message::parse(&message).unwrap().unwrap();
        utf16.extend("<imdn/>".encode_utf16().flat_map(u16::to_be_bytes));
        assert_eq!(conceal("", &message, &mut utf16[message.content..]), None);
    }

    #[test]
    fn p13_notifications_are_told_apart_by_message_status_and_reader() {
        let gist = |to: &str, message: &str, status: &str| {
            concealed_with(to, "", &notification("", message, status)).map(|(_, gist)| gist)
        };
        let first = gist("sip:a@x", "1", "delivered");
        assert!(first.is_some_and(|it| it.0.is_some()));
        assert_eq!(gist("sip:a@x", "1", "unheard-of"), Some(Gist(None)));
        assert_eq!(gist("sip:a@x", " 1\n", "delivered"), first);
        let prefixed = concealed_with("sip:a@x", "", &notification("x:", "1", "delivered"));
        assert_eq!(prefixed.map(|(_, gist)| gist), first);
        for other in [
            gist("sip:b@x", "1", "delivered"),
            gist("sip:a@x", "2", "delivered"),
            gist("sip:a@x", "1", "displayed"),
        ] {
            assert!(other.is_some() && other != first);
        }
    }
}
