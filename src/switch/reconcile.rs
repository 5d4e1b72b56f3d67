//! A focus that comes back: it lists its sessions, and the switch reports their state. Sessions
//! that no focus claims end (docs/msrp-switchd.md).

use std::time::Duration;

use crate::control::{Notice, RECONCILE_SESSIONS, RoomUri, SessionId, Stand, Standing};
use crate::switch::Switch;
use crate::switch::ids::SessionKey;
use crate::switch::room::session::Session;
use crate::switch::timers::Timer;
use crate::time::Moment;

impl Switch {
    /// The focus has gone or was replaced: sessions that none claims within `timeout` end.
    /// Conversation continues meanwhile. However often that happens, a session that is never
    /// claimed ends within twice that time.
    pub fn unclaim(&mut self, now: Moment, timeout: Duration) {
        for session in self.rooms.sessions_mut() {
            session.unclaimed.get_or_insert(now);
        }
        self.answer_pending_nicknames();
        self.rooms.untell_histories();
        let end = now + timeout;
        self.orphans_end = Some((end, timeout));
        self.agenda.arm(end, Timer::Orphans);
    }

    /// Answers for the sessions in a focus' list, and claims for it those that exist here.
    pub(super) fn reconcile(
        &mut self,
        now: Moment,
        room: RoomUri,
        mut sessions: Vec<SessionId>,
        last: bool,
    ) {
        sessions.truncate(RECONCILE_SESSIONS);
        let stands = sessions
            .into_iter()
            .map(|session| self.claim(&room, session))
            .collect();
        if last {
            let key = self.rooms.called(&room);
            let members = key.and_then(|key| self.rooms.get(key));
            let members = members.map(|room| room.members.all().collect());
            self.end_orphans(now, members.unwrap_or_default());
            self.rooms.retell_history(now, &room, &mut self.agenda);
        }
        self.agenda.tell(Notice::Reconciled {
            room,
            sessions: stands,
        });
    }

    fn claim(&mut self, room: &RoomUri, id: SessionId) -> Stand {
        let key = self.rooms.named(id.as_str());
        let session = key.and_then(|key| self.rooms.session_mut(key));
        let Some(session) = session.filter(|session| session.room_uri == *room) else {
            return Stand {
                session: id,
                standing: Standing::Gone,
                nickname: None,
            };
        };
        session.unclaimed = None;
        let standing = match session.is_tied() {
            true => Standing::Bound,
            false => Standing::Waiting,
        };
        let found = key.and_then(|key| self.rooms.with_session(key));
        let nickname = found.and_then(|(room, session)| room.nickname_of(&session.user));
        Stand {
            session: id,
            standing,
            nickname: nickname.map(|nickname| nickname.written.to_string()),
        }
    }

    pub(super) fn orphans_due(&mut self, now: Moment) {
        let Some((end, timeout)) = self.orphans_end else {
            return;
        };
        let mut among: Vec<_> = self.rooms.present().collect();
        if end <= now {
            self.orphans_end = None;
        } else {
            // A focus has come and gone again since this timer was armed.
            let long_ago = |since| since + 2 * timeout <= now;
            among.retain(|key| {
                let session = self.rooms.session(*key);
                session.is_some_and(|it| it.unclaimed.is_some_and(long_ago))
            });
        }
        self.end_orphans(now, among);
    }

    /// No focus knows these sessions, so none gets a notice.
    fn end_orphans(&mut self, now: Moment, among: Vec<SessionKey>) {
        for key in among {
            let session = self.rooms.session(key);
            // For guests, the owner of their room knows whether a focus has claimed them.
            let unclaimed = |it: &Session| it.unclaimed.is_some() && it.home.is_none();
            if session.is_some_and(unclaimed) {
                self.expel(now, key, None);
            }
        }
    }
}
