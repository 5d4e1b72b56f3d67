//! Endpoints: the devices of participants, one INVITE dialog each.
//!
//! An endpoint has three states, which change independently:
//!
//! - [`Stage`]: the peer's last INVITE or UPDATE, which waits for the switch, then for its ACK.
//! - [`Link`]: the session at the switch, which is up, lost, or being renewed after the switch
//!   restarted. Without a session in use the endpoint leaves when a timer fires.
//! - [`Offer`]: an offer of ours that has no answer yet.
//!
//! It is in the roster from [`Endpoint::joined`] on: since the switch admitted the session of its
//! INVITE, or since the party accepted ours. The room table has it from the moment its INVITE
//! passed the checks, and keeps the index of sessions: only the table may change the link.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use crate::control::{RoomUri, SessionId, SwitchRun, UserUri};
use crate::focus::Role;
use crate::focus::ids::{EndpointId, InvitationId, ReferralId};
use crate::focus::sip::dialog::Dialog;
use crate::focus::sip::media::Media;
use crate::focus::sip::session_timer::{Schedule, SessionTimer};
use crate::focus::sip::shared::Shared;
use crate::focus::sip::unacknowledged::{Answering, Before, Unacknowledged};
use crate::focus::timers::TimerKey;
use crate::time::Moment;
use crate::wire::conference_info::{EndpointStatus, MediaStatus};
use crate::wire::resource_lists::Recipient;

/// State of the peer's last INVITE or UPDATE.
#[derive(Debug)]
pub(in crate::focus) enum Stage {
    /// The switch must admit the session before the timer fires.
    Admitting(Box<(Answering, TimerKey)>),
    /// We sent a 2xx and wait for the ACK.
    Unacknowledged(Box<Unacknowledged>),
    /// Neither is the case: no answer and no ACK is pending.
    Confirmed,
}

/// The session at the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Link {
    /// The switch has the session.
    Up(SessionId),
    /// The session is gone. The endpoint leaves when the timer fires, unless it comes back before.
    Lost { until: TimerKey },
    /// The switch has a fresh session, or is about to admit one, and the peer has not answered the
    /// re-INVITE for it. The endpoint leaves when the timer fires.
    Renewing {
        session: SessionId,
        until: TimerKey,
        /// The re-INVITE has been sent.
        called: bool,
    },
}

impl Link {
    /// The session that the switch has, or is about to admit.
    pub(in crate::focus) fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Up(session) | Self::Renewing { session, .. } => Some(session),
            Self::Lost { .. } => None,
        }
    }

    /// When the endpoint leaves.
    pub(in crate::focus) fn until(&self) -> Option<TimerKey> {
        match self {
            Self::Up(_) => None,
            Self::Lost { until } | Self::Renewing { until, .. } => Some(*until),
        }
    }
}

/// An offer of ours without an answer. Until the answer neither side may make another offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Offer {
    None,
    /// In a re-INVITE of ours.
    Request,
    /// In the 2xx to an INVITE: the ACK brings the answer.
    Answer,
}

/// One endpoint.
#[derive(Debug)]
pub(in crate::focus) struct Endpoint {
    pub(in crate::focus) room: RoomUri,
    pub(in crate::focus) user: UserUri,
    pub(in crate::focus) display: Arc<str>,
    /// The key of its element in conference-info; it never changes.
    pub(in crate::focus) entity: Arc<str>,
    pub(in crate::focus) dialog: Dialog,
    pub(in crate::focus) media: Media,
    /// The run of the switch that admitted the session.
    pub(in crate::focus) run: Option<SwitchRun>,
    link: Link,
    pub(in crate::focus) stage: Stage,
    pub(in crate::focus) offer: Offer,
    pub(in crate::focus) role: Role,
    /// It has this role only because its user started the conference.
    pub(in crate::focus) leads: bool,
    /// Another device has replaced it: subscribers do not see it leave.
    pub(in crate::focus) replaced: bool,
    /// The number N by which its user appears as `anonymousN`.
    pub(in crate::focus) anonymous: Option<u32>,
    /// We dialled it.
    pub(in crate::focus) dialed_out: bool,
    /// Facts that few endpoints have, or only while they join.
    rare: Option<Box<Rare>>,
    /// Since when it is in the roster.
    pub(in crate::focus) joined: Option<Moment>,
    /// The last [`Endpoint::presence`] that subscribers saw.
    pub(in crate::focus) shown: (EndpointStatus, MediaStatus),
    pub(in crate::focus) session_timer: Option<SessionTimer>,
    /// A session refresh request of ours has no outcome yet.
    pub(in crate::focus) refreshing: bool,
    /// The peer takes UPDATE (RFC 3311).
    pub(in crate::focus) peer_updates: bool,
    /// It has sent a REFER in its dialog: the next ones get an id (RFC 3515 §2.4.6).
    pub(in crate::focus) has_referred: bool,
    /// The rules gave it another role while no focus was running: a switch that has its session
    /// does not know the role yet.
    pub(in crate::focus) recast: bool,
}

/// Facts that few endpoints have, or only while they join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::focus) struct Rare {
    /// Further addresses of its user, from the host.
    pub(in crate::focus) other_uris: Box<[UserUri]>,
    /// The device that this one replaces once it has joined.
    pub(in crate::focus) replaces: Option<EndpointId>,
    /// Parties to invite once it has joined.
    pub(in crate::focus) recipients: Vec<Recipient>,
    /// The message of its INVITE, sent to the room once the peer has acknowledged our 200.
    pub(in crate::focus) first_message: Option<Bytes>,
    /// The invitation it came from, if we dialled it and it has not joined yet.
    pub(in crate::focus) invitation: Option<InvitationId>,
    /// REFERs that wait for the outcome of its first MSRP connection.
    pub(in crate::focus) reports_to: Vec<ReferralId>,
    /// The user who referred it (RFC 3892), as others may see them.
    pub(in crate::focus) referred_by: Option<String>,
}

/// The value for an endpoint without rare facts.
static NOTHING_RARE: LazyLock<Rare> = LazyLock::new(Rare::default);

impl Endpoint {
    /// An endpoint with a dialog and a session, and nothing more.
    pub(in crate::focus) fn new(
        room: RoomUri,
        user: UserUri,
        role: Role,
        dialog: Dialog,
        media: Media,
        link: Link,
    ) -> Self {
        Self {
            room,
            user,
            display: "".into(),
            entity: "".into(),
            dialog,
            media,
            link,
            stage: Stage::Confirmed,
            offer: Offer::None,
            run: None,
            role,
            leads: false,
            replaced: false,
            anonymous: None,
            dialed_out: false,
            rare: None,
            joined: None,
            shown: (EndpointStatus::Connected, MediaStatus::Sendrecv),
            session_timer: None,
            refreshing: false,
            peer_updates: false,
            has_referred: false,
            recast: false,
        }
    }

    /// The same endpoint with these rare facts.
    pub(in crate::focus) fn with(self, rare: Rare) -> Self {
        let rare = Some(Box::new(rare)).filter(|it| **it != Rare::default());
        Self { rare, ..self }
    }

    pub(in crate::focus) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// Changes its rare facts.
    pub(in crate::focus) fn change_rare<T>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        let rare = self.rare.get_or_insert_default();
        let changed = change(rare);
        if **rare == Rare::default() {
            self.rare = None;
        }
        changed
    }

    /// Shares its texts with other endpoints.
    pub(in crate::focus) fn share(&mut self, shared: &mut Shared) {
        shared.room(&mut self.room);
        shared.user(&mut self.user);
        shared.texts.share(&mut self.display);
        shared.texts.share(&mut self.entity);
        shared.dialog(&mut self.dialog);
        self.media.share(shared, self.link.session());
    }

    /// Gives it a role. The negotiated media stay as they are: the switch decides by the role who
    /// may send.
    pub(in crate::focus) fn set_role(&mut self, role: Role) {
        self.role = role;
        self.media.set_observer(role == Role::Observer);
    }

    /// Whether an INVITE or UPDATE of the peer has no final answer yet.
    pub(in crate::focus) fn owes_answer(&self) -> bool {
        match &self.stage {
            Stage::Admitting(..) => true,
            Stage::Unacknowledged(answer) => answer.is_under_way(),
            Stage::Confirmed => false,
        }
    }

    /// The 2xx without ACK.
    pub(in crate::focus) fn unacknowledged(&mut self) -> Option<&mut Unacknowledged> {
        match &mut self.stage {
            Stage::Unacknowledged(answer) => Some(answer),
            _ => None,
        }
    }

    /// Takes out the answer that waits for the switch.
    pub(in crate::focus) fn take_answering(&mut self) -> Option<(Answering, TimerKey)> {
        match std::mem::replace(&mut self.stage, Stage::Confirmed) {
            Stage::Admitting(waiting) => Some(*waiting),
            stage => {
                self.stage = stage;
                None
            }
        }
    }

    /// Takes out the 2xx that waits for its ACK, if the predicate holds for it.
    pub(in crate::focus) fn take_unacknowledged(
        &mut self,
        which: impl FnOnce(&Unacknowledged) -> bool,
    ) -> Option<Unacknowledged> {
        match std::mem::replace(&mut self.stage, Stage::Confirmed) {
            Stage::Unacknowledged(answer) if which(&answer) => Some(*answer),
            stage => {
                self.stage = stage;
                None
            }
        }
    }

    /// Our session refresh request has its outcome.
    pub(in crate::focus) fn refreshed(&mut self) {
        self.refreshing = false;
        if self.offer == Offer::Request {
            self.offer = Offer::None;
        }
    }

    /// Whether we may send a session refresh request.
    pub(in crate::focus) fn is_free(&self) -> bool {
        !self.refreshing && self.offer == Offer::None
    }

    /// Whether the device takes no messages at present (`a=inactive`, `a=sendonly`).
    fn is_on_hold(&self) -> bool {
        let directions = self.media.directions();
        directions.is_some_and(|(_, receives)| !receives)
    }

    /// Its MSRP session has ended, and it may come back for a while (`rejoin_grace`).
    pub(in crate::focus) fn is_lost(&self) -> bool {
        !matches!(self.link, Link::Up(_))
    }

    /// State of its call, and direction of its content seen from the endpoint. An endpoint with a
    /// dialog but without messages is on hold (RFC 4575 §5.7.3).
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
        let (sends, receives) = self.media.directions().unwrap_or((true, true));
        match (sends && self.role != Role::Observer, receives) {
            (true, true) => MediaStatus::Sendrecv,
            (true, false) => MediaStatus::Sendonly,
            (false, true) => MediaStatus::Recvonly,
            (false, false) => MediaStatus::Inactive,
        }
    }

    /// Its session.
    pub(in crate::focus) fn link(&self) -> &Link {
        &self.link
    }

    /// Changes its session. Only the room table may call this: it keeps the index of sessions.
    pub(in crate::focus::room) fn set_link(&mut self, link: Link) -> Link {
        std::mem::replace(&mut self.link, link)
    }

    /// Marks the re-INVITE for a fresh session as sent; `false` without such a re-INVITE, or if it
    /// has been sent before.
    pub(in crate::focus) fn tells_of_renewal(&mut self) -> bool {
        match &mut self.link {
            Link::Renewing { called, .. } => !std::mem::replace(called, true),
            _ => false,
        }
    }

    /// The state before an INVITE or UPDATE of the peer.
    pub(in crate::focus) fn before(&self) -> Before {
        Before {
            session: self.link.session().cloned(),
            media: self.media.clone(),
            timer: self.session_timer.as_ref().map(Schedule::of),
            rejoin: self.link.until().map(TimerKey::at),
        }
    }

    /// Restores an earlier description, with the direction of the present role.
    pub(in crate::focus) fn restore_media(&mut self, media: Media) {
        self.media = media;
        self.media.set_observer(self.role == Role::Observer);
    }
}
