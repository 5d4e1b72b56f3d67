//! The devices that participants talk from: one INVITE dialog each.

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

/// How far the last INVITE of the peer has got.
#[derive(Debug)]
pub(in crate::focus) enum Stage {
    /// It waits for the switch to admit the session, until the timer fires.
    Admitting(Box<(Answering, TimerKey)>),
    /// It is answered 2xx, and the ACK has not come.
    Unacknowledged(Box<Unacknowledged>),
    /// Nothing of it is left to do.
    Confirmed,
}

/// The session at the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::focus) enum Link {
    /// It is there.
    Up(SessionId),
    /// It is gone. The endpoint leaves when the timer fires, unless it comes back before.
    Lost { until: TimerKey },
    /// A fresh one is there or asked for, and the peer has not answered the re-INVITE that
    /// tells of it. The endpoint leaves when the timer fires.
    Renewing {
        session: SessionId,
        until: TimerKey,
        /// The re-INVITE has left.
        called: bool,
    },
}

impl Link {
    /// The session that the switch has, or is asked to take in.
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

/// An offer of ours that has no answer. While there is one neither side may make another.
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
    /// The key of its element in conference-info: never changes.
    pub(in crate::focus) entity: Arc<str>,
    pub(in crate::focus) dialog: Dialog,
    pub(in crate::focus) media: Media,
    /// The run of the switch that admitted the session.
    pub(in crate::focus) run: Option<SwitchRun>,
    link: Link,
    pub(in crate::focus) stage: Stage,
    pub(in crate::focus) offer: Offer,
    pub(in crate::focus) role: Role,
    /// It has this role only because its user starts the conference.
    pub(in crate::focus) leads: bool,
    /// Another device has taken its place: it leaves unseen.
    pub(in crate::focus) replaced: bool,
    /// Its user wants to be `anonymousN`.
    pub(in crate::focus) anonymous: Option<u32>,
    /// We called it.
    pub(in crate::focus) dialed_out: bool,
    /// What hardly any endpoint has, or only while it joins.
    rare: Option<Box<Rare>>,
    /// In the roster.
    pub(in crate::focus) joined: Option<Moment>,
    /// What subscribers were told last of [`Endpoint::presence`].
    pub(in crate::focus) shown: (EndpointStatus, MediaStatus),
    pub(in crate::focus) session_timer: Option<SessionTimer>,
    /// A session refresh request of ours has no outcome yet.
    pub(in crate::focus) refreshing: bool,
    /// The peer takes UPDATE (RFC 3311).
    pub(in crate::focus) peer_updates: bool,
    /// It has sent a REFER in its dialog: the next ones are told apart (RFC 3515 §2.4.6).
    pub(in crate::focus) has_referred: bool,
    /// The rules gave it another role while nobody was here: a switch that has its session
    /// must be told.
    pub(in crate::focus) recast: bool,
}

/// What hardly any endpoint has, or only while it joins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::focus) struct Rare {
    /// What else its user may call itself, as the host says.
    pub(in crate::focus) other_uris: Box<[UserUri]>,
    /// The device whose place this one takes once it has joined.
    pub(in crate::focus) replaces: Option<EndpointId>,
    /// Whom it wants invited once it has joined.
    pub(in crate::focus) recipients: Vec<Recipient>,
    /// What came with its INVITE, to be said once it has acknowledged our 200.
    pub(in crate::focus) first_message: Option<Bytes>,
    /// We dialled out and it has not joined yet: what it came from.
    pub(in crate::focus) invitation: Option<InvitationId>,
    /// Whom to tell what becomes of its first MSRP connection.
    pub(in crate::focus) reports_to: Vec<ReferralId>,
    /// Who asked it to join (RFC 3892), as others may see it.
    pub(in crate::focus) referred_by: Option<String>,
}

/// An endpoint with nothing rare about it.
static NOTHING_RARE: LazyLock<Rare> = LazyLock::new(Rare::default);

impl Endpoint {
    /// A device in a dialog with us, and nothing more.
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

    /// The same, with this that is rare.
    pub(in crate::focus) fn with(self, rare: Rare) -> Self {
        let rare = Some(Box::new(rare)).filter(|it| **it != Rare::default());
        Self { rare, ..self }
    }

    pub(in crate::focus) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// Changes what is rare about it.
    pub(in crate::focus) fn change_rare<T>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        let rare = self.rare.get_or_insert_default();
        let changed = change(rare);
        if **rare == Rare::default() {
            self.rare = None;
        }
        changed
    }

    /// Holds what it has in common with others once.
    pub(in crate::focus) fn share(&mut self, shared: &mut Shared) {
        shared.room(&mut self.room);
        shared.user(&mut self.user);
        shared.texts.share(&mut self.display);
        shared.texts.share(&mut self.entity);
        shared.dialog(&mut self.dialog);
        self.media.share(shared, self.link.session());
    }

    /// Gives it a role. What was agreed stays as it is: the switch is told by role who may send.
    pub(in crate::focus) fn set_role(&mut self, role: Role) {
        self.role = role;
        self.media.set_observer(role == Role::Observer);
    }

    /// An INVITE or UPDATE of the peer has no final answer yet.
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

    /// What waits for the switch waits no more.
    pub(in crate::focus) fn take_answering(&mut self) -> Option<(Answering, TimerKey)> {
        match std::mem::replace(&mut self.stage, Stage::Confirmed) {
            Stage::Admitting(waiting) => Some(*waiting),
            stage => {
                self.stage = stage;
                None
            }
        }
    }

    /// A 2xx of which this is true waits for its ACK no more.
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

    /// Nothing forbids a session refresh request of ours.
    pub(in crate::focus) fn is_free(&self) -> bool {
        !self.refreshing && self.offer == Offer::None
    }

    /// Whether its device takes no messages at present (`a=inactive`, `a=sendonly`).
    fn is_on_hold(&self) -> bool {
        let directions = self.media.directions();
        directions.is_some_and(|(_, receives)| !receives)
    }

    /// Its MSRP session has ended, and it may come back for a while (`rejoin_grace`).
    pub(in crate::focus) fn is_lost(&self) -> bool {
        !matches!(self.link, Link::Up(_))
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

    /// Its session is another. The table knows whose each is: it alone may call this.
    pub(in crate::focus::room) fn set_link(&mut self, link: Link) -> Link {
        std::mem::replace(&mut self.link, link)
    }

    /// The re-INVITE that tells of a fresh session leaves now; `false` when there is none to
    /// tell of, or when it has left.
    pub(in crate::focus) fn tells_of_renewal(&mut self) -> bool {
        match &mut self.link {
            Link::Renewing { called, .. } => !std::mem::replace(called, true),
            _ => false,
        }
    }

    /// What an INVITE or UPDATE of the peer finds.
    pub(in crate::focus) fn before(&self) -> Before {
        Before {
            session: self.link.session().cloned(),
            media: self.media.clone(),
            timer: self.session_timer.as_ref().map(Schedule::of),
            rejoin: self.link.until().map(TimerKey::at),
        }
    }

    /// Takes an earlier description up again, for what its role is now.
    pub(in crate::focus) fn restore_media(&mut self, media: Media) {
        self.media = media;
        self.media.set_observer(self.role == Role::Observer);
    }
}
