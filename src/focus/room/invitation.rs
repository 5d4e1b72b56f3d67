//! Parties being invited into a conference.

use crate::focus::room::participant::Departure;
use crate::focus::sip::face::capabilities;
use crate::focus::sip::media::Media;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::control::{RoomUri, SessionId, UserUri};
use crate::focus::ids::{EndpointId, ReferralId};
use crate::focus::room::conference::Conference;
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::targets::Targets;
use crate::focus::timers::TimerKey;
use crate::focus::{RequestId, Socket};
use crate::time::Moment;
use crate::wire::conference_info::{DisconnectionMethod, EndpointStatus};
use crate::wire::multipart::{self, OutgoingPart};
use crate::wire::resource_lists::{self, HISTORY_DISPOSITION};
use crate::wire::sip::{Headers, Method};

/// The origin of an invitation: its inviter, and the socket and Contact it uses.
#[derive(Clone, Debug)]
pub(in crate::focus) struct Inviter {
    pub(in crate::focus) user: UserUri,
    /// The SIP socket of the inviter's request: invitations leave by it.
    pub(in crate::focus) socket: Arc<Socket>,
    /// Our Contact for this room.
    pub(in crate::focus) contact: Arc<str>,
    /// The REFER that gets progress reports.
    pub(in crate::focus) referral: Option<ReferralId>,
}

/// How an invitation is carried out.
#[derive(Debug)]
pub(in crate::focus) enum Course {
    /// An INVITE is under way.
    Dialing {
        media: Box<Media>,
        session: SessionId,
        targets: Targets,
        /// The shortest session interval that we ask for (RFC 4028 §7.3).
        min_se: Duration,
        /// Number of times the party has required a longer one.
        raised: u8,
    },
    /// A REFER is under way or was accepted.
    Referring,
}

impl Course {
    /// Status in the roster. A party asked by REFER is pending, not dialled (RFC 4575 §5.7.3).
    pub(in crate::focus) fn status(&self) -> EndpointStatus {
        match self {
            Self::Dialing { .. } => EndpointStatus::DialingOut,
            Self::Referring => EndpointStatus::Pending,
        }
    }

    /// Status while the party, or its phone, is at work.
    pub(in crate::focus) fn status_under_way(&self) -> EndpointStatus {
        match self {
            Self::Dialing { .. } => EndpointStatus::Alerting,
            Self::Referring => EndpointStatus::DialingIn,
        }
    }

    /// Whether the focus dials the party.
    pub(in crate::focus) fn dials_out(&self) -> bool {
        matches!(self, Self::Dialing { .. })
    }
}

/// An invitation of one party.
#[derive(Debug)]
pub(in crate::focus) struct Invitation {
    pub(in crate::focus) user: UserUri,
    /// Key of its endpoint in the roster: the URI we invited.
    pub(in crate::focus) entity: String,
    pub(in crate::focus) status: EndpointStatus,
    /// Its inviter, and the inviter's address as others may see it.
    pub(in crate::focus) inviter: UserUri,
    pub(in crate::focus) referred_by: String,
    /// REFERs that get progress reports; a party invited twice has one invitation.
    pub(in crate::focus) followers: Vec<ReferralId>,
    pub(in crate::focus) dialog: Dialog,
    pub(in crate::focus) course: Course,
    /// List of the other invited parties, for this party to see (RFC 5366 §5).
    pub(in crate::focus) history: Option<String>,
    /// The request without outcome.
    pub(in crate::focus) request: Option<RequestId>,
    /// The address its INVITE went to.
    pub(in crate::focus) reached: Option<IpAddr>,
    /// Its MSRP connection came before its answer.
    pub(in crate::focus) bound: bool,
    pub(in crate::focus) patience: Option<TimerKey>,
}

impl Invitation {
    pub(in crate::focus) fn message(
        &self,
        room: &RoomUri,
        interval: Duration,
    ) -> (Method, Headers, Bytes) {
        let headers = capabilities(&self.dialog.contact)
            .with("Referred-By", format!("<{}>", self.referred_by));
        match &self.course {
            Course::Dialing { media, min_se, .. } => {
                let (content_type, body) = self.offer_with_history(&media.ours());
                // RFC 4028 §7.1: the answer decides who refreshes.
                let headers = headers
                    .with(
                        "Session-Expires",
                        interval.max(*min_se).as_secs().to_string(),
                    )
                    .with("Min-SE", min_se.as_secs().to_string())
                    .with("Content-Type", content_type);
                (Method::Invite, headers, body)
            }
            // RFC 4579 §5.6: the party shall INVITE the room.
            Course::Referring => {
                let headers = headers.with("Refer-To", format!("<{}>", self.room_target(room)));
                (Method::Refer, headers, Bytes::new())
            }
        }
    }

    /// The offer, with the list of invited parties if there is one (row L08).
    fn offer_with_history(&self, sdp: &str) -> (String, Bytes) {
        let alone = || ("application/sdp".to_owned(), Bytes::from(sdp.to_owned()));
        let Some(history) = &self.history else {
            return alone();
        };
        let parts = [
            OutgoingPart {
                content_type: "application/sdp",
                disposition: None,
                body: sdp.as_bytes(),
            },
            OutgoingPart {
                content_type: resource_lists::MEDIA_TYPE,
                disposition: Some(HISTORY_DISPOSITION),
                body: history.as_bytes(),
            },
        ];
        // The Call-ID is random: no part holds it.
        multipart::write(&parts, self.dialog.key.call_id()).unwrap_or_else(|_| alone())
    }

    /// The room as others can dial it: our Contact.
    fn room_target(&self, room: &RoomUri) -> String {
        if self.dialog.contact.is_empty() {
            room.to_string()
        } else {
            self.dialog.contact.to_string()
        }
    }

    /// Moves on to the next address of the party, if there is one.
    pub(in crate::focus) fn turn_elsewhere(&mut self) -> bool {
        let Course::Dialing { targets, .. } = &mut self.course else {
            return false;
        };
        let Some(next) = targets.advance() else {
            return false;
        };
        self.dialog.remote_target = next.into();
        true
    }
}

impl Conference {
    /// Shows an invited party as leaving. The user goes with their last endpoint. An anonymous user
    /// appears under the invited address.
    pub(in crate::focus) fn depart(
        &mut self,
        now: Moment,
        id: EndpointId,
        invitation: &Invitation,
        method: DisconnectionMethod,
        reason: Option<String>,
    ) {
        self.change_invited(&invitation.user);
        let Some(participant) = self.participants.get(&invitation.user) else {
            return;
        };
        let is_shown = participant.anonymous.is_none();
        let departure = Departure {
            user: invitation.user.clone(),
            display: match is_shown {
                true => Arc::clone(&participant.display),
                false => "".into(),
            },
            nickname: participant.nickname.clone().filter(|_| is_shown),
            role: match is_shown {
                true => participant.role,
                false => self.policy.role(&invitation.user),
            },
            anonymous: None,
            id,
            endpoint: invitation.entity.as_str().into(),
            method,
            reason,
            dialed_out: invitation.course.dials_out(),
            at: now,
            joined_at: None,
            revision: self.changes.revision(),
        };
        self.drop_if_gone(&invitation.user);
        self.check_published(&invitation.user);
        self.changes.depart(departure);
    }
}
