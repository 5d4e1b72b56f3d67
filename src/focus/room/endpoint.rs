//! The devices that participants talk from: one INVITE dialog each.

use bytes::Bytes;

use crate::control::{RoomUri, SessionId, SwitchRun, UserUri};
use crate::focus::RequestId;
use crate::focus::Role;
use crate::focus::ids::{EndpointId, InvitationId, ReferralId};
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::media::Media;
use crate::focus::sip::session_timer::{Schedule, SessionTimer};
use crate::focus::sip::unacknowledged::{Answering, Before, Unacknowledged};
use crate::focus::timers::TimerKey;
use crate::time::Moment;
use crate::wire::conference_info::{EndpointStatus, MediaStatus};
use crate::wire::resource_lists::Recipient;

/// One endpoint.
#[derive(Debug)]
pub(in crate::focus) struct Endpoint {
    pub(in crate::focus) room: RoomUri,
    pub(in crate::focus) user: UserUri,
    /// What else its user may call itself, as the host says.
    pub(in crate::focus) other_uris: Box<[UserUri]>,
    pub(in crate::focus) display: String,
    /// The key of its element in conference-info: never changes.
    pub(in crate::focus) entity: String,
    pub(in crate::focus) dialog: Dialog,
    pub(in crate::focus) media: Media,
    /// The session at the switch; `None` after a loss.
    pub(in crate::focus) session: Option<SessionId>,
    /// The run of the switch that admitted the session.
    pub(in crate::focus) run: Option<SwitchRun>,
    /// An INVITE of the peer that has no final answer yet.
    pub(in crate::focus) answering: Option<Answering>,
    /// Our offer stands in the 2xx: the ACK brings the answer.
    pub(in crate::focus) answer_due: bool,
    pub(in crate::focus) role: Role,
    /// The device whose place this one takes once it has joined.
    pub(in crate::focus) replaces: Option<EndpointId>,
    /// Another device has taken its place: it leaves unseen.
    pub(in crate::focus) replaced: bool,
    /// Its user wants to be `anonymousN`.
    pub(in crate::focus) anonymous: Option<u32>,
    /// Whom it wants invited once it has joined.
    pub(in crate::focus) recipients: Vec<Recipient>,
    /// What came with its INVITE, to be said once it has acknowledged our 200.
    pub(in crate::focus) first_message: Option<Bytes>,
    /// We called it.
    pub(in crate::focus) dialed_out: bool,
    /// We dialled out and it has not joined yet: what it came from.
    pub(in crate::focus) invitation: Option<InvitationId>,
    /// Whom to tell what becomes of its first MSRP connection.
    pub(in crate::focus) reports_to: Option<ReferralId>,
    /// In the roster.
    pub(in crate::focus) joined: Option<Moment>,
    /// What subscribers were told last of [`Endpoint::presence`].
    pub(in crate::focus) shown: (EndpointStatus, MediaStatus),
    /// Who asked it to join (RFC 3892), as others may see it.
    pub(in crate::focus) referred_by: Option<String>,
    pub(in crate::focus) admission_timer: Option<TimerKey>,
    /// The 2xx that waits for its ACK.
    pub(in crate::focus) unacknowledged: Option<Unacknowledged>,
    pub(in crate::focus) rejoin_timer: Option<TimerKey>,
    /// It is called again as soon as the switch has admitted its new session.
    pub(in crate::focus) renewing: bool,
    pub(in crate::focus) session_timer: Option<SessionTimer>,
    /// A session refresh request of ours without outcome.
    pub(in crate::focus) inviting: Option<RequestId>,
    /// The peer takes UPDATE (RFC 3311).
    pub(in crate::focus) peer_updates: bool,
    /// It has sent a REFER in its dialog: the next ones are told apart (RFC 3515 §2.4.6).
    pub(in crate::focus) has_referred: bool,
}

impl Endpoint {
    /// A device in a dialog with us, and nothing more.
    pub(in crate::focus) fn new(
        room: RoomUri,
        user: UserUri,
        role: Role,
        dialog: Dialog,
        media: Media,
    ) -> Self {
        Self {
            room,
            user,
            display: String::new(),
            entity: String::new(),
            dialog,
            media,
            session: None,
            run: None,
            answering: None,
            answer_due: false,
            role,
            replaces: None,
            replaced: false,
            anonymous: None,
            recipients: Vec::new(),
            first_message: None,
            dialed_out: false,
            invitation: None,
            reports_to: None,
            other_uris: Box::default(),
            joined: None,
            shown: (EndpointStatus::Connected, MediaStatus::Sendrecv),
            referred_by: None,
            admission_timer: None,
            unacknowledged: None,
            rejoin_timer: None,
            renewing: false,
            session_timer: None,
            inviting: None,
            peer_updates: false,
            has_referred: false,
        }
    }

    /// An INVITE or UPDATE of the peer has no final answer yet.
    pub(in crate::focus) fn owes_answer(&self) -> bool {
        let answer = self.unacknowledged.as_ref();
        self.answering.is_some() || answer.is_some_and(Unacknowledged::is_under_way)
    }

    /// Whether its device takes no messages at present (`a=inactive`, `a=sendonly`).
    fn is_on_hold(&self) -> bool {
        let theirs = self.media.theirs.as_ref();
        theirs.is_some_and(|accepted| !accepted.peer.receives)
    }

    /// Its MSRP session has ended, and it may come back for a while (`rejoin_grace`).
    pub(in crate::focus) fn is_lost(&self) -> bool {
        self.session.is_none() || self.rejoin_timer.is_some()
    }

    /// How its call stands, and which way content flows, seen from the endpoint. RFC 4575
    /// §5.7.3: with a dialog but without messages it is on hold.
    pub(in crate::focus) fn presence(&self) -> (EndpointStatus, MediaStatus) {
        if self.is_lost() {
            return (EndpointStatus::OnHold, MediaStatus::Inactive);
        }
        let status = match self.is_on_hold() {
            true => EndpointStatus::OnHold,
            false => EndpointStatus::Connected,
        };
        (status, self.direction())
    }

    fn direction(&self) -> MediaStatus {
        let peer = self.media.theirs.as_ref().map(|accepted| &accepted.peer);
        match peer.map_or((true, true), |peer| (peer.sends, peer.receives)) {
            (true, true) => MediaStatus::Sendrecv,
            (true, false) => MediaStatus::Sendonly,
            (false, true) => MediaStatus::Recvonly,
            (false, false) => MediaStatus::Inactive,
        }
    }

    /// What an INVITE or UPDATE of the peer finds.
    pub(in crate::focus) fn before(&self) -> Before {
        Before {
            session: self.session.clone(),
            media: self.media.clone(),
            answer_due: self.answer_due,
            timer: self.session_timer.as_ref().map(Schedule::of),
            rejoin: self.rejoin_timer.map(TimerKey::at),
        }
    }

    /// Takes an earlier description up again, for what its role is now.
    pub(in crate::focus) fn restore_media(&mut self, media: Media) {
        let observer = self.role == Role::Observer;
        let changed = media.local.observer != observer;
        self.media = media;
        self.media.local.observer = observer;
        if let Some(accepted) = self.media.theirs.as_mut().filter(|_| changed) {
            accepted.peer.sends = !observer;
        }
    }
}
