//! Disposition notifications (RFC 5438). They pass as room traffic and are never made here:
//! staying on their path would change the CPIM headers, which RFC 7701 §6.1 forbids (P14).

use std::hash::{Hash, Hasher};

/// The elements that name who received a message, apart from the CPIM addresses.
const NAMES: [&[u8]; 2] = [b"recipient-uri", b"original-recipient-uri"];

/// What a notification can say (RFC 5438 §11.1.1).
const STATUSES: [&[u8]; 7] = [
    b"delivered",
    b"displayed",
    b"processed",
    b"stored",
    b"failed",
    b"forbidden",
    b"error",
];

/// Blanks out who received a message: a participant whose address the room does not show must
/// not be named by the notification its client writes (RFC 5438 §14.2, P13). The length stays,
/// so nothing else of the message changes.
pub(super) fn conceal(octets: &mut [u8]) {
    for name in NAMES {
        let open = [b"<", name].concat();
        let close = [b"</", name, b">"].concat();
        let mut from = 0;
        while let Some(start) = find(octets, &open, from) {
            let Some(end) = find(octets, &close, start) else {
                break;
            };
            let end = end + close.len();
            if let Some(element) = octets.get_mut(start..end) {
                element.fill(b' ');
            }
            from = end;
        }
    }
}

/// What a notification says, and to whom: of those that say the same and do not say who, one
/// is all its reader may get (RFC 5438 §14.2, P13). `None`: it says nothing that is known.
pub(super) fn gist(to: &str, octets: &[u8]) -> Option<u64> {
    const OPEN: &[u8] = b"<message-id>";
    let start = find(octets, OPEN, 0)? + OPEN.len();
    let end = find(octets, b"</message-id>", start)?;
    let message = octets.get(start..end)?.trim_ascii();
    let said = STATUSES.iter().position(|status| {
        let element = [b"<", *status].concat();
        find(octets, &element, end).is_some()
    })?;
    let mut hasher = std::hash::DefaultHasher::new();
    (to, message, said).hash(&mut hasher);
    Some(hasher.finish())
}

fn find(octets: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let place = memchr::memmem::find(octets.get(from..)?, what)?;
    Some(from + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_notifications_are_told_apart_by_message_status_and_reader() {
        let of = |message: &str, status: &str| {
            format!(
                "<imdn><message-id>{message}</message-id><x><status><{status}/></status></x></imdn>"
            )
        };
        let gist = |to: &str, text: String| gist(to, text.as_bytes());
        let first = gist("sip:a@x", of("1", "delivered"));
        assert!(first.is_some());
        assert_eq!(gist("sip:a@x", of(" 1\n", "delivered")), first);
        for other in [
            gist("sip:b@x", of("1", "delivered")),
            gist("sip:a@x", of("2", "delivered")),
            gist("sip:a@x", of("1", "displayed")),
        ] {
            assert!(other.is_some() && other != first);
        }
        assert_eq!(gist("sip:a@x", of("1", "unheard-of")), None);
        assert_eq!(gist("sip:a@x", "<imdn>".to_owned()), None);
    }

    #[test]
    fn p13_who_received_is_blanked_out_in_place() {
        let text = "<imdn><message-id>1</message-id><recipient-uri>im:bob@x</recipient-uri>\
                    <original-recipient-uri>im:b@x</original-recipient-uri><a/></imdn>";
        let mut octets = text.as_bytes().to_vec();
        conceal(&mut octets);
        let concealed = String::from_utf8(octets).unwrap();
        assert_eq!(concealed.len(), text.len());
        assert!(!concealed.contains("@x"));
        let kept: String = concealed.split(' ').collect();
        assert_eq!(kept, "<imdn><message-id>1</message-id><a/></imdn>");
        let mut broken = b"<recipient-uri>im:bob".to_vec();
        conceal(&mut broken);
        assert_eq!(broken, b"<recipient-uri>im:bob");
    }
}
