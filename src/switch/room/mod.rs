//! One room at the switch: its members, and the messages on their way to them.

pub(in crate::switch) mod abroad;
pub(in crate::switch) mod addressing;
pub(in crate::switch) mod delivery;
pub(in crate::switch) mod held_speakers;
pub(in crate::switch) mod histories;
pub(in crate::switch) mod history;
pub(in crate::switch) mod large_copy;
pub(in crate::switch) mod log;
pub(in crate::switch) mod members;
pub(in crate::switch) mod message_events;
pub(in crate::switch) mod nickname;
pub(in crate::switch) mod own_queue;
pub(in crate::switch) mod pace;
pub(in crate::switch) mod pending_nickname;
pub(in crate::switch) mod replica;
pub(in crate::switch) mod reservations;
pub(in crate::switch) mod rooms;
pub(in crate::switch) mod session;
pub(in crate::switch) mod status_text;

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::control::{HeldNickname, QUARANTINE, RoomPolicy, RoomUri, UserUri};

use crate::switch::ids::{Seat, SessionKey, Speaker, Table};
use crate::switch::room::held_speakers::HeldSpeakers;
use crate::switch::room::history::History;
use crate::switch::room::log::Log;
use crate::switch::room::members::Members;
use crate::switch::room::replica::{Original, Replica};
use crate::switch::room::session::Session;
use crate::time::Moment;

/// Number of recent messages of a room whose repetition is recognised: those a client may have had
/// in transit when its connection broke.
const REMEMBERED: usize = 128;
/// How long after its arrival a repetition is recognised.
const REPEATED_WITHIN: Duration = Duration::from_secs(60);
/// Number of remembered notifications of anonymous members: those for the last messages of a room
/// that asks for every kind.
const NOTIFIED: usize = 256;
/// Limit of reserved nicknames of users who have left.
pub(in crate::switch) const MAX_QUARANTINED: usize = 4096;
/// Number of leading octets in a message's fingerprint.
const TOLD_BY: usize = 512;

/// A room with at least one session.
#[derive(Debug)]
pub(in crate::switch) struct Room {
    pub(in crate::switch) uri: RoomUri,
    pub(in crate::switch) policy: RoomPolicy,
    /// Its members, and sessions that have left it and still have output.
    pub(in crate::switch) sessions: Table<Seat, Session>,
    pub(in crate::switch) members: Members,
    /// The other threads that have members of it.
    pub(in crate::switch) replicas: Vec<Replica>,
    /// Set in a replica of another thread's room, which orders no messages.
    pub(in crate::switch) original: Option<Original>,
    pub(in crate::switch) log: Log,
    /// Speakers that wait until others have caught up.
    pub(in crate::switch) held: HeldSpeakers,
    /// The progress of new output through the members.
    pub(in crate::switch) progress: Progress,
    /// Messages not yet reported to the focus.
    pub(in crate::switch) uncounted: u64,
    /// It has reported some a moment ago.
    pub(in crate::switch) counting: bool,
    pub(in crate::switch) nicknames: HashMap<UserUri, Nickname>,
    pub(in crate::switch) history: History,
    /// The gists of the last notifications of anonymous members.
    notified: VecDeque<u64>,
    /// Fingerprints of the last messages, with the place and time of their arrival.
    seen: Seen,
}

/// The last messages of a room. Every message is compared with all of their fingerprints, which
/// therefore stand close together.
#[derive(Debug, Default)]
struct Seen {
    /// Prevents members from forging a message with the fingerprint of another member's.
    secret: u64,
    fingerprints: VecDeque<u64>,
    /// The place and time of each arrival.
    from: VecDeque<(Speaker, Moment)>,
}

impl Seen {
    /// The place and time of a message's last arrival.
    fn find(&mut self, fingerprint: u64) -> Option<&mut (Speaker, Moment)> {
        let place = self
            .fingerprints
            .iter()
            .rposition(|it| *it == fingerprint)?;
        self.from.get_mut(place)
    }

    fn push(&mut self, fingerprint: u64, speaker: Speaker, now: Moment) {
        if self.fingerprints.len() >= REMEMBERED {
            self.fingerprints.pop_front();
            self.from.pop_front();
        }
        self.fingerprints.push_back(fingerprint);
        self.from.push_back((speaker, now));
    }
}

/// The progress of a room's new output.
#[derive(Debug, Default)]
pub(in crate::switch) struct Progress {
    /// The next member; `None`: there is no new output.
    pub(in crate::switch) next: Option<usize>,
    /// Output was added or a member left meanwhile: go through all members once more.
    pub(in crate::switch) again: bool,
    /// Octets added since the last start.
    pub(in crate::switch) fresh: usize,
    pub(in crate::switch) pressed: bool,
}

/// A nickname in use.
#[derive(Debug)]
pub(in crate::switch) struct Nickname {
    /// As the user wrote it.
    pub(in crate::switch) written: Box<str>,
    /// The form in which nicknames are compared (RFC 7700).
    pub(in crate::switch) compared: String,
    /// Set when its user has left: until then no other user may have it (G67).
    until: Option<Moment>,
}

impl Nickname {
    pub(in crate::switch) fn new(written: &str, compared: String) -> Self {
        Self {
            written: written.into(),
            compared,
            until: None,
        }
    }

    /// A nickname that another run of the switch held.
    pub(in crate::switch) fn held(now: Moment, held: &HeldNickname, compared: String) -> Self {
        Self {
            until: Some(now + held.left.min(QUARANTINE)),
            ..Self::new(&held.nickname, compared)
        }
    }
}

impl Room {
    pub(in crate::switch) fn new(uri: RoomUri, policy: RoomPolicy, secret: u64) -> Self {
        Self {
            uri,
            policy,
            sessions: Table::default(),
            members: Members::default(),
            replicas: Vec::new(),
            original: None,
            log: Log::default(),
            held: HeldSpeakers::default(),
            progress: Progress::default(),
            uncounted: 0,
            counting: false,
            nicknames: HashMap::new(),
            history: History::default(),
            notified: VecDeque::new(),
            seen: Seen {
                secret,
                ..Seen::default()
            },
        }
    }

    /// A session of this room.
    pub(in crate::switch) fn session(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(key.seat)
    }

    /// Members whose connection is on this thread.
    pub(in crate::switch) fn members_here(&self) -> impl Iterator<Item = &Session> {
        self.members
            .here()
            .iter()
            .filter_map(|key| self.session(*key))
    }

    /// Ends a session's membership; returns its connection if that is on another thread.
    pub(in crate::switch) fn leave(&mut self, key: SessionKey) -> Option<Option<Speaker>> {
        let session = self.sessions.get_mut(key.seat)?;
        let straggles = std::mem::take(&mut session.straggles);
        let (place, away) = (session.place, session.away.take());
        if self.original.is_none() {
            self.members.unname(key, &session.user, session.uris());
        }
        if let Some(away) = away {
            self.comes_home(key, away.thread, false);
        } else {
            self.log.pass_all(session.position);
            session.position = self.log.end();
            self.held.stragglers -= usize::from(straggles);
            let moved = self.members.leave(place, key);
            self.moved(moved, place);
        }
        self.members_moved();
        Some(away)
    }

    /// The members' places have changed.
    pub(in crate::switch) fn members_moved(&mut self) {
        self.progress.again |= self.progress.next.is_some_and(|next| next > 0);
    }

    /// The last member has moved to this place.
    pub(in crate::switch) fn moved(&mut self, key: Option<SessionKey>, place: usize) {
        if let Some(session) = key.and_then(|key| self.sessions.get_mut(key.seat)) {
            session.place = place;
        }
    }

    /// The nickname that a user has chosen since joining.
    pub(in crate::switch) fn nickname_of(&self, user: &UserUri) -> Option<&Nickname> {
        let nickname = self.nicknames.get(user);
        nickname.filter(|nickname| nickname.until.is_none())
    }

    /// The last session of a user has left. The nickname stays reserved for a while (G67), so that
    /// no other user takes it while the connection is replaced, or speaks under that name
    /// afterwards.
    pub(in crate::switch) fn quarantine(&mut self, now: Moment, user: &UserUri) {
        if let Some(nickname) = self.nicknames.get_mut(user) {
            nickname.until = Some(now + QUARANTINE);
        }
        if self.nicknames.len() > self.members.len() + MAX_QUARANTINED {
            self.nicknames.remove(user);
        }
    }

    /// Frees nicknames whose quarantine is over.
    pub(in crate::switch) fn free_nicknames(&mut self, now: Moment) {
        self.nicknames
            .retain(|_, nickname| nickname.until.is_none_or(|until| until > now));
    }

    /// The fingerprint by which a repeated message is recognised: one sent again on a replacement
    /// session with the same Message-ID (RFC 4975 §5.4, C32). Some clients never change their
    /// Message-ID, so the length and the first octets must match too.
    pub(in crate::switch) fn fingerprint(&self, user: &UserUri, name: &str, octets: &[u8]) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (self.seen.secret, user, name, octets.len()).hash(&mut hasher);
        let front = octets.get(..TOLD_BY).unwrap_or(octets);
        let words = front.chunks(8).map(|part| {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word)
        });
        words.fold(hasher.finish(), |sum, word| {
            (sum.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
        })
    }

    /// Whether it came a moment ago on a connection that is gone. A repetition on a connection that
    /// `lives` is intended: TCP does not duplicate.
    pub(in crate::switch) fn is_repeated(
        &mut self,
        now: Moment,
        fingerprint: u64,
        on: Option<Speaker>,
        lives: impl Fn(Speaker) -> bool,
    ) -> bool {
        let recent = |at: &Moment| *at + REPEATED_WITHIN > now;
        let seen = self.seen.find(fingerprint).filter(|(_, at)| recent(at));
        match seen {
            Some((speaker, _)) if !lives(*speaker) => {
                *speaker = on.unwrap_or(*speaker);
                true
            }
            _ => false,
        }
    }

    /// Whether an anonymous member has sent this before; records it.
    pub(in crate::switch) fn is_notified(&mut self, gist: u64) -> bool {
        if self.notified.contains(&gist) {
            return true;
        }
        if self.notified.len() >= NOTIFIED {
            self.notified.pop_front();
        }
        self.notified.push_back(gist);
        false
    }

    /// Records a complete message.
    pub(in crate::switch) fn note(&mut self, now: Moment, fingerprint: u64, on: Option<Speaker>) {
        let Some(speaker) = on else { return };
        self.seen.push(fingerprint, speaker, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A forged message cannot count as the repetition of another member's.
    #[test]
    fn c32_fingerprints_are_secret_and_of_the_whole_length() {
        let user = UserUri::new("sip:alice@example.com");
        let policy = crate::switch::tests::admission("lobby", "alice").policy;
        let uri = RoomUri::new("sip:lobby@example.com");
        let [room, other] = [1, 2].map(|secret| Room::new(uri.clone(), policy.clone(), secret));
        let print = |room: &Room, octets: &[u8]| room.fingerprint(&user, "m", octets);
        assert_eq!(print(&room, b"a"), print(&room, b"a"));
        assert_ne!(print(&room, b"a"), print(&room, b"a\0"));
        assert_ne!(print(&room, b"a"), print(&other, b"a"));
    }
}
