//! Notices about messages: always the number in each room; with a listener, also the sender and
//! kind of each message. They never include its content.

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

/// Interval over which a room's messages are counted together; the first one is reported at once.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Limit of messages of one instance that are reported individually per second, so that a script
/// can keep up. Further messages are only counted.
const SAID_A_SECOND: u32 = 500;

/// Whether to report individual messages, and how many more in this second.
#[derive(Debug, Default)]
pub(in crate::switch) struct MessageEvents {
    on: bool,
    left: u32,
    since: Option<Moment>,
}

impl MessageEvents {
    /// Whether to report each message.
    pub(in crate::switch) fn listen(&mut self, on: bool) {
        self.on = on;
    }

    /// Whether to report a message now.
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

    /// Reports a message, if there is a listener.
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
    /// Counts a message.
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

    /// Reports the uncounted messages.
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
