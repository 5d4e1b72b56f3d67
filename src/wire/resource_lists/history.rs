//! The `recipient-list-history` that an invited participant gets (RFC 5364 §4, row L07).

use super::{COPY_NAMESPACE, CopyControl, NAMESPACE, Recipient};
use crate::wire::sip::Uri;
use crate::wire::xml::{Xml, escape_uri};

/// The Content-Disposition of a history; a client that does not know it ignores the part (row L08).
pub const HISTORY_DISPOSITION: &str = "recipient-list-history; handling=optional";

/// The URI that replaces the addresses of anonymous recipients (RFC 5364 §4).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";

/// The history that `reader` may see. It lists everyone invited openly, then the number of
/// anonymous recipients, for `to` and `cc` in turn. Of the recipients in `bcc` it lists the reader
/// only. `None` when the list is empty: then nothing is sent (RFC 5366 §5).
///
/// `reader` is an address as in [`Recipient::address`]; without one the history suits every reader.
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
    // `bcc` takes precedence over anonymity.
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

/// The URI without its private parts: a password, header fields.
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
