//! The `recipient-list-history` that an invited party gets (RFC 5364 §4, row L07).

use super::{COPY_NAMESPACE, CopyControl, NAMESPACE, Recipient};
use crate::wire::sip::Uri;
use crate::wire::xml::{Xml, escape_uri};

/// The Content-Disposition of a history: who does not know it passes over it (row L08).
pub const HISTORY_DISPOSITION: &str = "recipient-list-history; handling=optional";

/// Who stands for those who shall not be named (RFC 5364 §4).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// The history that `reader` may see: everybody invited openly, then how many more there
/// are who shall not be named, for `to` and `cc` in turn. Of those invited blindly only the
/// reader, if he is one. `None` when nobody is left: then there is nothing to send
/// (RFC 5366 §5).
///
/// `reader` is an address as in [`Recipient::address`]; without one the history fits all.
pub fn history(recipients: &[Recipient], reader: Option<&str>) -> Option<String> {
    let mut xml = Xml::document();
    xml.open("resource-lists");
    xml.attribute("xmlns", NAMESPACE);
    xml.attribute("xmlns:cp", COPY_NAMESPACE);
    xml.content();
    xml.element("list");
    let empty = xml.0.len();
    for level in [CopyControl::To, CopyControl::Cc] {
        let (hidden, named): (Vec<_>, Vec<_>) = recipients
            .iter()
            .filter(|recipient| recipient.copy_control == level)
            .partition(|recipient| recipient.anonymize);
        named
            .iter()
            .for_each(|recipient| write(&mut xml, recipient));
        if !hidden.is_empty() {
            write_hidden(&mut xml, level, hidden.len());
        }
    }
    // Blindness beats anonymity.
    let own =
        |r: &&Recipient| r.copy_control == CopyControl::Bcc && Some(r.address.as_str()) == reader;
    recipients
        .iter()
        .filter(own)
        .for_each(|recipient| write(&mut xml, recipient));
    if xml.0.len() == empty {
        return None;
    }
    xml.close("list");
    xml.close("resource-lists");
    Some(xml.0)
}

fn write(xml: &mut Xml, recipient: &Recipient) {
    xml.open("entry");
    xml.attribute("uri", &escape_uri(&public_uri(recipient)));
    xml.attribute("cp:copyControl", recipient.copy_control.as_str());
    match &recipient.display_name {
        None => xml.0.push_str("/>"),
        name => {
            xml.content();
            xml.text("display-name", name.as_deref());
            xml.close("entry");
        }
    }
}

/// The URI without what only we were to know: a password, header fields.
fn public_uri(recipient: &Recipient) -> String {
    match recipient.uri.parse::<Uri>() {
        Ok(mut uri) => {
            uri.headers = None;
            let user = uri.user.as_deref().and_then(|user| user.split(':').next());
            uri.user = user.map(str::to_owned);
            uri.to_string()
        }
        Err(_) => recipient.address.clone(),
    }
}

fn write_hidden(xml: &mut Xml, level: CopyControl, count: usize) {
    xml.open("entry");
    xml.attribute("uri", ANONYMOUS);
    xml.attribute("cp:copyControl", level.as_str());
    xml.attribute("cp:count", &count.to_string());
    xml.0.push_str("/>");
}
