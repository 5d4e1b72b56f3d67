//! What the focus is told of messages: how many came in a room, always; and of each who sent
//! it and what it is, while somebody listens. Never what it says.

use std::time::Duration;

use crate::control::{Notice, Said};
use crate::time::Moment;
use crate::wire::media_type;

use crate::switch::Switch;
use crate::switch::ids::{RoomKey, SessionKey};
use crate::switch::message::entry::Audience;
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

impl Switch {
    /// Whether each message is to be told.
    pub(in crate::switch) fn listen(&mut self, on: bool) {
        self.message_events.on = on;
    }

    /// A message has come in a room.
    pub(in crate::switch) fn count(&mut self, now: Moment, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        room.uncounted += 1;
        if !std::mem::replace(&mut room.counting, true) {
            self.timers.arm(now + COUNT_INTERVAL, Timer::Count(key));
            self.tell_count(key);
        }
    }

    pub(in crate::switch) fn count_due(&mut self, now: Moment, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        room.counting = room.uncounted > 0;
        if room.counting {
            self.timers.arm(now + COUNT_INTERVAL, Timer::Count(key));
            self.tell_count(key);
        }
    }

    /// Tells what has not been told yet.
    pub(in crate::switch) fn tell_count(&mut self, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else {
            return;
        };
        let messages = std::mem::take(&mut room.uncounted);
        if messages > 0 {
            self.notices.push_back(Notice::Counted {
                room: room.uri.clone(),
                messages,
            });
        }
    }

    /// Tells of a message, if somebody listens.
    pub(in crate::switch) fn tell_said(
        &mut self,
        now: Moment,
        key: SessionKey,
        size: u64,
        wrapped_type: &[u8],
        audience: &Audience,
    ) {
        if !self.message_events.on {
            return;
        }
        let message_events = &mut self.message_events;
        let is_new = message_events
            .since
            .is_none_or(|since| now.saturating_since(since) >= Duration::from_secs(1));
        if is_new {
            message_events.since = Some(now);
            message_events.left = SAID_A_SECOND;
        }
        let Some(left) = message_events.left.checked_sub(1) else {
            return;
        };
        message_events.left = left;
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let written = String::from_utf8_lossy(wrapped_type);
        self.notices.push_back(Notice::Said(Said {
            room: session.room_uri.clone(),
            user: session.user.clone(),
            size,
            content_type: media_type(&written).to_owned(),
            private: matches!(audience, Audience::Sessions(_)),
        }));
    }
}
