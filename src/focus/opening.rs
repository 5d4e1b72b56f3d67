//! What the body of an INVITE or UPDATE says: an offer, and guests.

use std::net::IpAddr;

use super::Role;
use super::offer_answer::{self, Accepted, Terms};
use super::refusal::{Refusal, Verdict};
use crate::wire::multipart::{ACCEPT, BodyError, InviteBody};
use crate::wire::resource_lists::{ReadError, Recipient, recipients};
use crate::wire::sdp::Description;
use crate::wire::sip::Request;

/// What the body of an INVITE or UPDATE says.
pub(super) struct Opening {
    /// Its offer.
    pub(super) offer: Option<(Description, Accepted)>,
    /// Whom to invite as well (RFC 5366).
    pub(super) guests: Vec<Recipient>,
}

/// Reads the body; an unusable one is refused.
pub(super) fn parse_offer(
    request: &Request,
    role: Role,
    terms: Terms,
    source: IpAddr,
) -> Verdict<Opening> {
    let body = InviteBody::read(&request.headers, &request.body).map_err(|error| match error {
        BodyError::Unsupported => Refusal::new(415).with("Accept", ACCEPT),
        _ => Refusal::new(400).because(error),
    })?;
    let guests =
        recipients(body.lists.iter().map(|list| &list[..])).map_err(|error| match error {
            ReadError::TooLarge => Refusal::new(403).because(error),
            _ => Refusal::new(400).because(error),
        })?;
    let Some(sdp) = body.sdp else {
        return Ok(Opening {
            offer: None,
            guests,
        });
    };
    let offer = Description::parse(&sdp).map_err(|error| Refusal::new(400).because(error))?;
    let mut accepted = offer_answer::evaluate_offer(&offer, terms, Some(source))
        .map_err(|error| Refusal::new(488).because(error))?;
    accepted.peer.sends &= role != Role::Observer;
    Ok(Opening {
        offer: Some((offer, accepted)),
        guests,
    })
}
