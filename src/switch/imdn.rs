//! Disposition notifications (RFC 5438). They pass as room traffic and are never made here:
//! staying on their path would change the CPIM headers, which RFC 7701 §6.1 forbids (P14).

/// The elements that name who received a message, apart from the CPIM addresses.
const NAMES: [&[u8]; 2] = [b"recipient-uri", b"original-recipient-uri"];

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

fn find(octets: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let place = memchr::memmem::find(octets.get(from..)?, what)?;
    Some(from + place)
}

#[cfg(test)]
mod tests {
    use super::*;

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
