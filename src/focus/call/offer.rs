//! The body of an INVITE or UPDATE: an offer, and recipients.

use std::net::IpAddr;

use bytes::Bytes;

use crate::focus::sip::cause::Cause;
use crate::focus::sip::offer_answer::{self, Accepted, Terms};
use crate::focus::sip::rejection::{Refusal, Verdict};
use crate::wire::multipart::{ACCEPT, BodyError, InviteBody};
use crate::wire::resource_lists::{ReadError, Recipient, recipients};
use crate::wire::sdp::Description;
use crate::wire::sip::Request;

/// The body of an INVITE or UPDATE.
pub(in crate::focus) struct SessionBody {
    /// The offer.
    pub(in crate::focus) offer: Option<(Description, Accepted)>,
    /// Parties to invite as well (RFC 5366).
    pub(in crate::focus) recipients: Vec<Recipient>,
    /// The caller's first message.
    pub(in crate::focus) message: Option<Bytes>,
}

/// Reads the body; an unusable one is refused.
pub(in crate::focus) fn parse_offer(
    request: &Request,
    terms: Terms,
    source: IpAddr,
) -> Verdict<SessionBody> {
    let body = InviteBody::read(&request.headers, &request.body).map_err(|error| match error {
        BodyError::Unsupported => Refusal::new(Cause::UnknownBody).with("Accept", ACCEPT),
        _ => Refusal::new(Cause::MalformedBody).because(error),
    })?;
    let recipients =
        recipients(body.lists.iter().map(|list| &list[..])).map_err(|error| match error {
            ReadError::TooLarge => Refusal::new(Cause::HugeList).because(error),
            _ => Refusal::new(Cause::MalformedList).because(error),
        })?;
    let Some(sdp) = body.sdp else {
        return Ok(SessionBody {
            offer: None,
            recipients,
            message: None,
        });
    };
    let offer = Description::parse(&sdp)
        .map_err(|error| Refusal::new(Cause::MalformedDescription).because(error))?;
    let accepted = offer_answer::evaluate_offer(&offer, terms, Some(source))?;
    Ok(SessionBody {
        offer: Some((offer, accepted)),
        recipients,
        message: body.message,
    })
}
