//! What the focus is told of messages: how many came in a room, always; and of each who sent
//! it and what it is, while somebody listens. Never what it says.

use std::time::Duration;

use crate::control::{Notice, Said};
use crate::time::Moment;
use crate::wire::media_type;

use crate::switch::agenda::Agenda;
use crate::switch::ids::RoomKey;
use crate::switch::message::entry::Audience;
use crate::switch::room::Room;
use crate::switch::room::session::Session;
use crate::switch::timers::Timer;

/// A room's messages are counted together for so long; the first one is told at once.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Messages told of one by one in a second, by one instance: what a script may look at without
/// falling behind. Of a flood the rest is only counted.
const SAID_A_SECOND: u32 = 500;

/// Whether each message is told, and how many more in this second.
#[derive(Debug, Default)]
pub(in crate::switch) struct MessageEvents {
    on: bool,
    left: u32,
    since: Option<Moment>,
}

impl MessageEvents {
    /// Whether each message is to be told.
    pub(in crate::switch) fn listen(&mut self, on: bool) {
        self.on = on;
    }

    /// Whether a message is told now.
    fn may_tell(&mut self, now: Moment) -> bool {
        if !self.on {
            return false;
        }
        let second = Duration::from_secs(1);
        if self
            .since
            .is_none_or(|since| now.saturating_since(since) >= second)
        {
            self.since = Some(now);
            self.left = SAID_A_SECOND;
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Tells of a message, if somebody listens.
    pub(in crate::switch) fn tell_said(
        &mut self,
        now: Moment,
        session: &Session,
        size: u64,
        wrapped_type: &[u8],
        audience: &Audience,
        agenda: &mut Agenda,
    ) {
        if self.may_tell(now) {
            let written = String::from_utf8_lossy(wrapped_type);
            agenda.tell(Notice::Said(Said {
                room: session.room_uri.clone(),
                user: session.user.clone(),
                size,
                content_type: media_type(&written).to_owned(),
                private: matches!(audience, Audience::Sessions(_)),
            }));
        }
    }
}

impl Room {
    /// A message has come.
    pub(in crate::switch) fn count(&mut self, now: Moment, key: RoomKey, agenda: &mut Agenda) {
        self.uncounted += 1;
        if !std::mem::replace(&mut self.counting, true) {
            agenda.arm(now + COUNT_INTERVAL, Timer::Count(key));
            self.tell_count(agenda);
        }
    }

    pub(in crate::switch) fn count_due(&mut self, now: Moment, key: RoomKey, agenda: &mut Agenda) {
        self.counting = self.uncounted > 0;
        if self.counting {
            agenda.arm(now + COUNT_INTERVAL, Timer::Count(key));
            self.tell_count(agenda);
        }
    }

    /// Tells what has not been told yet.
    pub(in crate::switch) fn tell_count(&mut self, agenda: &mut Agenda) {
        let messages = std::mem::take(&mut self.uncounted);
        if messages > 0 {
            agenda.tell(Notice::Counted {
                room: self.uri.clone(),
                messages,
            });
        }
    }
}
