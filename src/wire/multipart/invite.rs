//! What the body of an INVITE says to the focus: a session description and recipient lists.

use super::{Content, Part, ReadError, SDP};
use crate::wire::resource_lists;
use crate::wire::sip::Headers;
use bytes::Bytes;

/// Why the body of an INVITE is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It cannot be read, or says two things at once: 400.
    #[error("malformed body: {0}")]
    Malformed(#[from] ReadError),
    /// Two session descriptions, none of them an alternative to the other: 400.
    #[error("more than one session description")]
    TwoDescriptions,
    /// A part that must be understood is not (RFC 3261 §8.2.3): 415 with [`ACCEPT`].
    #[error("unsupported media type, disposition or encoding")]
    Unsupported,
}

/// `Accept` of a focus that takes lists: also what a 415 says (RFC 3261 §21.4.13).
pub const ACCEPT: &str = "application/sdp, multipart/mixed, multipart/alternative, \
                          multipart/related, application/resource-lists+xml, message/cpim";

const CPIM: &str = "message/cpim";

/// What the body of an INVITE says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InviteBody {
    /// The offer, unless there is none.
    pub sdp: Option<Bytes>,
    /// Every `recipient-list`; together they are one list (RFC 5363 §4.1, row L05).
    pub lists: Vec<Bytes>,
    /// A message/cpim beside the offer: what the caller says first, as RCS clients send it.
    pub message: Option<Bytes>,
}

impl InviteBody {
    /// Reads the body whose header fields these are; they may be those of the whole message.
    ///
    /// Parts that need not be understood are passed over.
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
            // Half of a part that is passed over says nothing either.
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
            // Some clients send a first message that nobody has written.
            (Content::Octets(octets), "text/plain", "render") if octets.trim_ascii().is_empty() => {
                Ok(())
            }
            // Who else was invited is for the eyes of a user (RFC 5364 §7).
            (_, resource_lists::MEDIA_TYPE, "recipient-list-history") => Ok(()),
            _ => Err(BodyError::Unsupported),
        }
    }

    /// The last alternative that is understood is the best (RFC 2046 §5.1.4).
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

/// SIP carries any octet, so nobody needs an encoding (RFC 5621 §3.2) and we undo none.
fn is_encoded(headers: &Headers) -> bool {
    let identity = |encoding: &&str| encoding.eq_ignore_ascii_case("identity");
    let plain = |encoding: &&str| {
        ["7bit", "8bit", "binary"].contains(&encoding.to_ascii_lowercase().as_str())
    };
    let content = headers.elements("Content-Encoding");
    let transfer = headers.elements("Content-Transfer-Encoding");
    !(content.iter().all(identity) && transfer.iter().all(plain))
}
