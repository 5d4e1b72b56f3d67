//! Conferences, their participants and the endpoints these talk from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::dialog::Dialog;
use super::document_cache::DocumentCache;
use super::invitation::{Invitation, InvitationId};
use super::offer_answer::{Accepted, Local, Origin};
use super::policy::{Policy, Role};
use super::publication::Publications;
use super::roster::Written;
use super::session_timer::{Agreement, SessionTimer};
use super::timers::TimerKey;
use super::tracked::Tracked;
use super::unacknowledged::{Before, Unacknowledged};
use super::watchers::Watchers;
use super::{RequestId, TransactionId};
use crate::control::{RoomUri, SessionId, SwitchRun, UserUri};
use crate::time::Moment;
use crate::wire::conference_info::{DisconnectionMethod, MediaStatus};
use crate::wire::resource_lists::Recipient;
use crate::wire::sdp::Description;
use crate::wire::sip::Headers;

/// One device of a participant: one INVITE dialog. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndpointId(pub(super) u64);

/// What a conference is about, and which group session it is to RCS clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// Subject.
    pub(super) subject: Option<String>,
    /// Contribution-ID: kept over every rejoin.
    pub(super) contribution: Option<String>,
    /// Conversation-ID: the thread.
    pub(super) conversation: Option<String>,
}

impl Identity {
    /// What these headers say.
    pub(super) fn of(headers: &Headers) -> Self {
        let value = |name| headers.first(name).map(str::to_owned);
        Self {
            subject: value("Subject"),
            contribution: value("Contribution-ID"),
            conversation: value("Conversation-ID"),
        }
    }

    /// The same, for whom the focus invites.
    pub(super) fn announce(&self, mut headers: Headers) -> Headers {
        for (name, value) in [
            ("Subject", &self.subject),
            ("Contribution-ID", &self.contribution),
            ("Conversation-ID", &self.conversation),
        ] {
            if let Some(value) = value {
                headers.push(name, value.clone());
            }
        }
        headers
    }
}

/// A running conference of a room.
#[derive(Debug)]
pub(super) struct Conference {
    pub(super) room: RoomUri,
    pub(super) policy: Arc<Policy>,
    pub(super) locked: bool,
    /// What the INVITE that made it said it is about.
    pub(super) identity: Identity,
    /// Who left by BYE, where the conference has a Contribution-ID.
    pub(super) left: BTreeSet<UserUri>,
    /// Who made it by joining first; nobody made a configured room.
    pub(super) creator: Option<UserUri>,
    /// Who is in or invited, by address of record; the invited have no endpoints.
    pub(super) participants: Tracked<UserUri, Participant>,
    /// Parties on their way in.
    pub(super) invitations: BTreeMap<InvitationId, Invitation>,
    /// Users whose first join still waits for the switch; they count against the maximum.
    pub(super) joining: usize,
    /// Departures that some subscriber has not been told to the end.
    pub(super) departures: Vec<Departure>,
    /// Grows with every change that subscribers must see.
    pub(super) revision: u64,
    /// Departures up to this revision are not remembered any more.
    pub(super) forgotten: u64,
    /// The revision of the last change that only full documents tell: who is listed and who
    /// is not.
    pub(super) reshaped: u64,
    /// The revision of the last change of somebody's role.
    pub(super) recast: u64,
    /// The revision of the last change of the description.
    pub(super) described: u64,
    /// There are too many to list everybody (`roster_limit`).
    pub(super) crowded: bool,
    pub(super) watchers: Watchers,
    pub(super) publications: Publications,
    pub(super) documents: DocumentCache,
    /// When the first participant came in; `None` while nobody is in.
    pub(super) begun: Option<Moment>,
    /// Messages sent, while the room does not last.
    pub(super) messages: u64,
    /// The run of the switch that was given the room's history.
    pub(super) recalled: Option<SwitchRun>,
    /// The last NOTIFYs are on their way.
    pub(super) ending: bool,
}

/// A user in a conference.
#[derive(Debug)]
pub(super) struct Participant {
    pub(super) display: String,
    pub(super) nickname: Option<String>,
    pub(super) role: Role,
    /// Asked for privacy: the number it is shown by instead of its address.
    pub(super) anonymous: Option<u32>,
    pub(super) endpoints: Vec<EndpointId>,
    /// The revision of the last change of the user or one of its endpoints.
    pub(super) changed: u64,
    pub(super) written: Written,
}

impl Participant {
    /// A user without endpoints.
    pub(super) fn new(display: String, role: Role, since: u64) -> Self {
        Self {
            display,
            nickname: None,
            role,
            anonymous: None,
            endpoints: Vec::new(),
            changed: since,
            written: Written::default(),
        }
    }
}

/// An endpoint that has gone: shown once as disconnected, in the next document as deleted.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) user: UserUri,
    pub(super) display: String,
    pub(super) nickname: Option<String>,
    pub(super) role: Role,
    pub(super) anonymous: Option<u32>,
    pub(super) id: EndpointId,
    pub(super) endpoint: String,
    pub(super) method: DisconnectionMethod,
    pub(super) reason: Option<String>,
    /// We had invited it.
    pub(super) dialed_out: bool,
    pub(super) at: Moment,
    pub(super) joined_at: Option<Moment>,
    pub(super) revision: u64,
}

/// A 2xx that waits for the switch.
#[derive(Clone, Debug)]
pub(super) struct Answering {
    pub(super) transaction: TransactionId,
    /// Its CSeq.
    pub(super) cseq: u32,
    /// Its topmost Via.
    pub(super) via: String,
    /// The description for the 2xx.
    pub(super) body: Option<Description>,
    /// It answers an INVITE, no UPDATE.
    pub(super) needs_ack: bool,
    pub(super) agreement: Agreement,
    /// What it changes, to stand again without a 2xx; `None`: an initial INVITE, the endpoint
    /// is not yet in the roster.
    pub(super) before: Option<Box<Before>>,
}

/// The agreed SDP of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) local: Local,
    pub(super) origin: Origin,
    /// What we said last.
    pub(super) ours: Description,
    /// What the peer said last; `None` until its answer comes in the ACK.
    pub(super) theirs: Option<(Description, Accepted)>,
    /// The peer takes a message in one SEND only (`one_send_agents`).
    pub(super) one_send: bool,
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) room: RoomUri,
    pub(super) user: UserUri,
    pub(super) display: String,
    /// The key of its element in conference-info: never changes.
    pub(super) entity: String,
    pub(super) dialog: Dialog,
    pub(super) media: Media,
    /// The session at the switch; `None` after a loss.
    pub(super) session: Option<SessionId>,
    /// The run of the switch that admitted the session.
    pub(super) run: Option<SwitchRun>,
    /// An INVITE of the peer that has no final answer yet.
    pub(super) answering: Option<Answering>,
    /// Our offer stands in the 2xx: the ACK brings the answer.
    pub(super) answer_due: bool,
    pub(super) role: Role,
    /// The device whose place this one takes once it has joined.
    pub(super) replaces: Option<EndpointId>,
    /// Another device has taken its place: it leaves unseen.
    pub(super) replaced: bool,
    /// Its user wants to be `anonymousN`.
    pub(super) anonymous: Option<u32>,
    /// Whom it wants invited once it has joined.
    pub(super) guests: Vec<Recipient>,
    /// We called it.
    pub(super) dialed_out: bool,
    /// We dialled out and it has not joined yet: what it came from.
    pub(super) invitation: Option<InvitationId>,
    /// In the roster.
    pub(super) joined: Option<Moment>,
    /// Who asked it to join (RFC 3892), as others may see it.
    pub(super) referred_by: Option<String>,
    pub(super) admission_timer: Option<TimerKey>,
    /// The 2xx that waits for its ACK.
    pub(super) unacknowledged: Option<Unacknowledged>,
    pub(super) rejoin_timer: Option<TimerKey>,
    /// It is called again as soon as the switch has admitted its new session.
    pub(super) renewing: bool,
    pub(super) session_timer: Option<SessionTimer>,
    /// A session refresh request of ours without outcome.
    pub(super) inviting: Option<RequestId>,
    /// The peer takes UPDATE (RFC 3311).
    pub(super) peer_updates: bool,
    /// It has sent a REFER in its dialog: the next ones are told apart (RFC 3515 §2.4.6).
    pub(super) has_referred: bool,
}

impl Endpoint {
    /// A device in a dialog with us, and nothing more.
    pub(super) fn new(
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
            guests: Vec::new(),
            dialed_out: false,
            invitation: None,
            joined: None,
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
    pub(super) fn owes_answer(&self) -> bool {
        let answer = self.unacknowledged.as_ref();
        self.answering.is_some() || answer.is_some_and(Unacknowledged::is_under_way)
    }

    /// Whether its device takes no messages at present (`a=inactive`, `a=sendonly`).
    pub(super) fn is_on_hold(&self) -> bool {
        let theirs = self.media.theirs.as_ref();
        theirs.is_some_and(|(_, accepted)| !accepted.peer.receives)
    }
}

impl Conference {
    /// A conference without participants.
    pub(super) fn new(room: RoomUri, policy: Arc<Policy>) -> Self {
        Self {
            room,
            locked: policy.locked,
            policy,
            identity: Identity::default(),
            left: BTreeSet::new(),
            creator: None,
            participants: Tracked::default(),
            invitations: BTreeMap::new(),
            joining: 0,
            departures: Vec::new(),
            revision: 0,
            forgotten: 0,
            reshaped: 0,
            recast: 0,
            described: 0,
            crowded: false,
            watchers: Watchers::default(),
            publications: Publications::default(),
            documents: DocumentCache::default(),
            begun: None,
            messages: 0,
            recalled: None,
            ending: false,
        }
    }

    /// Whether one more user fits in; a further device of a participant always does. The
    /// invited hold no place.
    pub(super) fn has_place_for(&self, user: &UserUri) -> bool {
        self.has(user) || self.present() + self.joining < self.policy.max_participants
    }

    /// Whether somebody is in with at least one device.
    pub(super) fn has(&self, user: &UserUri) -> bool {
        self.participants
            .get(user)
            .is_some_and(|participant| !participant.endpoints.is_empty())
    }

    /// How many users are in.
    pub(super) fn present(&self) -> usize {
        let invited: BTreeSet<_> = self.invitations.values().map(|it| &it.user).collect();
        let waits = |user: &&&UserUri| {
            let user = self.participants.get(**user);
            user.is_some_and(|it| it.endpoints.is_empty())
        };
        self.participants.len() - invited.iter().filter(waits).count()
    }

    /// Takes a user out whose last endpoint or invitation has gone.
    pub(super) fn drop_if_gone(&mut self, user: &UserUri) {
        let invited = self.invitations.values().any(|i| i.user == *user);
        if !invited && !self.has(user) {
            self.participants.remove(user);
        }
    }

    /// Whether nobody is in and nobody is on the way.
    pub(super) fn is_empty(&self) -> bool {
        self.participants.is_empty() && self.joining == 0
    }

    /// Gives a participant a role. In a crowd that decides who is listed.
    pub(super) fn set_role(&mut self, user: &UserUri, role: Role) {
        let revision = self.revision + 1;
        if let Some(participant) = self.participants.get_mut(user)
            && participant.role != role
        {
            participant.role = role;
            participant.changed = revision;
            self.revision = revision;
            self.recast = revision;
        }
    }

    /// Shows a participant under another address from now on. Somebody new was never shown
    /// under the old one.
    pub(super) fn set_anonymous(&mut self, user: &UserUri, anonymous: Option<u32>, is_new: bool) {
        let revision = self.revision;
        if let Some(participant) = self.participants.get_mut(user)
            && participant.anonymous != anonymous
        {
            participant.anonymous = anonymous;
            participant.changed = revision;
            if !is_new {
                // Only a full document says that the old address is gone; departures under
                // it would tell that both are the same user.
                self.reshaped = revision;
                self.forgotten = revision;
                self.departures.clear();
            }
        }
    }

    /// A user's own change, such as another direction of its medium.
    pub(super) fn change_user(&mut self, user: &UserUri) {
        let revision = self.change();
        if let Some(participant) = self.participants.get_mut(user) {
            participant.changed = revision;
        }
    }

    /// Whether it is a crowd, at this limit. It takes an eighth less to be none again, so
    /// that nobody is told everything at every coming and going around the limit.
    pub(super) fn count_crowd(&mut self, limit: usize) {
        let count = self.present();
        let crowded = match self.crowded {
            true => count > limit - limit / 8,
            false => count > limit,
        };
        if crowded != self.crowded {
            self.crowded = crowded;
            self.reshaped = self.revision;
        }
    }

    /// The first one comes and says what it is about.
    pub(super) fn begin(&mut self, identity: Identity) {
        self.left.clear();
        if self.identity != identity {
            self.identity = identity;
            self.described = self.change();
        }
    }

    /// Notes a change that subscribers must see and returns its revision.
    pub(super) fn change(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

impl Endpoint {
    /// Which way content flows, seen from the endpoint.
    pub(super) fn direction(&self) -> MediaStatus {
        let peer = self
            .media
            .theirs
            .as_ref()
            .map(|(_, accepted)| &accepted.peer);
        match peer.map_or((true, true), |peer| (peer.sends, peer.receives)) {
            (true, true) => MediaStatus::Sendrecv,
            (true, false) => MediaStatus::Sendonly,
            (false, true) => MediaStatus::Recvonly,
            (false, false) => MediaStatus::Inactive,
        }
    }
}
