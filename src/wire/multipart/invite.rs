//! The parts of an INVITE's body that the focus uses: a session description and recipient lists.

use super::{Content, Part, ReadError, SDP};
use crate::wire::resource_lists;
use crate::wire::sip::Headers;
use bytes::Bytes;

/// The reason why the body of an INVITE is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It cannot be read, or contradicts itself: 400.
    #[error("malformed body: {0}")]
    Malformed(#[from] ReadError),
    /// Two session descriptions that are not alternatives: 400.
    #[error("more than one session description")]
    TwoDescriptions,
    /// A required part is not supported (RFC 3261 §8.2.3): 415 with [`ACCEPT`].
    #[error("unsupported media type, disposition or encoding")]
    Unsupported,
}

/// `Accept` of a focus that supports lists, also sent with a 415 (RFC 3261 §21.4.13).
pub const ACCEPT: &str = "application/sdp, multipart/mixed, multipart/alternative, \
                          multipart/related, application/resource-lists+xml, message/cpim";

const CPIM: &str = "message/cpim";

/// The content of an INVITE's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InviteBody {
    /// The offer, if any.
    pub sdp: Option<Bytes>,
    /// Every `recipient-list`; together they are one list (RFC 5363 §4.1, row L05).
    pub lists: Vec<Bytes>,
    /// A message/cpim beside the offer: the caller's first message, as RCS clients send it.
    pub message: Option<Bytes>,
}

impl InviteBody {
    /// Reads a body with these header fields, which may be those of the whole message.
    ///
    /// Ignores optional parts that it does not support.
    pub fn read(headers: &Headers, body: &Bytes) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Ok(InviteBody::default());
        }
        let own = headers.iter().filter(|h| h.name.starts_with("Content-"));
        let own = own.fold(Headers::new(), |own, h| own.with(&h.name, h.value.clone()));
        let mut said = InviteBody::default();
        said.take(Part::read(own, body.clone())?)?;
        if said.message.is_some() && said.sdp.is_none() {
            return Err(BodyError::Unsupported);
        }
        Ok(said)
    }

    fn take(&mut self, part: Part) -> Result<(), BodyError> {
        let required = part.disposition.required;
        let before = self.clone();
        match self.take_required(part) {
            // An ignored part has no effect, even if some parts within it were supported.
            Err(BodyError::Unsupported) if !required => {
                *self = before;
                Ok(())
            }
            other => other,
        }
    }

    fn take_required(&mut self, part: Part) -> Result<(), BodyError> {
        if is_encoded(&part.headers) {
            return Err(BodyError::Unsupported);
        }
        let essence = part.content_type.essence.as_str();
        match (part.content, essence, part.disposition.kind.as_str()) {
            (Content::Parts(parts), "multipart/alternative", _) => self.take_alternative(parts),
            (Content::Parts(parts), _, _) => parts.into_iter().try_for_each(|p| self.take(p)),
            (Content::Octets(octets), SDP, "session") => match self.sdp.replace(octets) {
                None => Ok(()),
                Some(_) => Err(BodyError::TwoDescriptions),
            },
            (Content::Octets(octets), resource_lists::MEDIA_TYPE, "recipient-list") => {
                self.lists.push(octets);
                Ok(())
            }
            (Content::Octets(octets), CPIM, "render") if self.message.is_none() => {
                self.message = Some(octets);
                Ok(())
            }
            // Some clients send an empty first message.
            (Content::Octets(octets), "text/plain", "render") if octets.trim_ascii().is_empty() => {
                Ok(())
            }
            // The list of other invitees is meant for the user (RFC 5364 §7).
            (_, resource_lists::MEDIA_TYPE, "recipient-list-history") => Ok(()),
            _ => Err(BodyError::Unsupported),
        }
    }

    /// The last alternative that is supported is the best (RFC 2046 §5.1.4).
    fn take_alternative(&mut self, parts: Vec<Part>) -> Result<(), BodyError> {
        for part in parts.into_iter().rev() {
            let mut said = self.clone();
            match said.take_required(part) {
                Err(BodyError::Unsupported) => {}
                Err(other) => return Err(other),
                Ok(()) => {
                    *self = said;
                    return Ok(());
                }
            }
        }
        Err(BodyError::Unsupported)
    }
}

/// SIP carries any octet, so no transfer encoding is needed (RFC 5621 §3.2) and none is decoded.
fn is_encoded(headers: &Headers) -> bool {
    let identity = |encoding: &&str| encoding.eq_ignore_ascii_case("identity");
    let plain = |encoding: &&str| {
        ["7bit", "8bit", "binary"].contains(&encoding.to_ascii_lowercase().as_str())
    };
    let content = headers.elements("Content-Encoding");
    let transfer = headers.elements("Content-Transfer-Encoding");
    !(content.iter().all(identity) && transfer.iter().all(plain))
}
