//! Clients that support text/plain but not message/cpim, in rooms that admit them (`plain_text`).
//! Their messages are wrapped before any other processing. Messages to them are unwrapped and start
//! with the speaker's name. These clients cannot address individuals, and receive text only.

use bytes::Bytes;

use crate::wire::cpim::Message;
use crate::wire::media_type;
use crate::wire::msrp::FailureReport;

use crate::switch::message::copy_headers::headers;
use crate::switch::message::request_head::TEXT_PLAIN;

/// With the name in front the content is UTF-8, whatever charset the sender declared.
pub(in crate::switch) const WRITTEN: &str = "text/plain; charset=utf-8";
/// Limit of the characters of a chosen name that are put in front of a message.
const NAME_CHARACTERS: usize = 128;

/// A message as text.
#[derive(Debug)]
pub(in crate::switch) struct Text {
    /// The headers of every copy, and the blank line.
    pub(in crate::switch) headers: Vec<u8>,
    pub(in crate::switch) body: Bytes,
}

impl Text {
    /// `opening` names the speaker.
    pub(in crate::switch) fn new(opening: &str, content: &[u8]) -> Self {
        let body = [opening.as_bytes(), content].concat();
        Self {
            headers: headers(body.len(), FailureReport::Partial, WRITTEN),
            body: body.into(),
        }
    }
}

/// Whether the content of a message is text that can follow a name in UTF-8.
pub(in crate::switch) fn is_text(message: &Message<'_>) -> bool {
    let media = media_type(message.content_type);
    // RFC 3862 §3: a part without Content-Type is text/plain.
    let plain = media.is_empty() || media.eq_ignore_ascii_case(TEXT_PLAIN);
    let mut parameters = message.content_type.split(';').skip(1);
    let charset = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("charset");
        named.then(|| value.trim().trim_matches('"'))
    });
    let utf8 = charset.is_none_or(|charset| {
        let known = ["utf-8", "utf8", "us-ascii"];
        known.iter().any(|name| charset.eq_ignore_ascii_case(name))
    });
    let encoding = message.mime_header("Content-Transfer-Encoding");
    let bare = encoding.is_none_or(|encoding| {
        let known = ["7bit", "8bit", "binary"];
        known.iter().any(|name| encoding.eq_ignore_ascii_case(name))
    });
    plain && utf8 && bare
}

/// A message of a room's history as text, if it is text. Its sender's nickname may belong to
/// another user by now, so the name comes from the message itself.
pub(in crate::switch) fn text_of_past(body: &[u8]) -> Option<Text> {
    let message = Message::parse(body).ok().flatten()?;
    if !is_text(&message) {
        return None;
    }
    let (name, uri) = (message.from.name(), message.from.uri);
    let name = match name.trim() {
        "" => uri.split_once(':').map_or(uri, |(_, bare)| bare),
        name => name,
    };
    let content = body.get(message.content..).unwrap_or_default();
    Some(Text::new(&format!("{}: ", shown(name)), content))
}

/// A name made safe for the front of a message.
pub(in crate::switch) fn shown(name: &str) -> String {
    let name = name.chars().take(NAME_CHARACTERS);
    name.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
