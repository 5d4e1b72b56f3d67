//! Memory of an idle participant at the switch, mostly these structures. A field that most
//! participants do not need goes into a box.

use std::mem::size_of;

use super::super::ids::{RoomKey, Seat, SessionKey, SessionKeys, Table};
use super::super::line::connection::Connection;
use super::super::room::session::Session;
use super::super::timers::Timer;
use super::*;

#[test]
fn an_idle_participant_is_a_session_a_connection_and_two_timers() {
    // One of each; see docs/performance.md for all that comes with them.
    let session = size_of::<Session>();
    assert!(session <= 376, "{session}");
    let connection = size_of::<Connection>();
    assert!(connection <= 272, "{connection}");
    // `bind_timeout` of the session and of the connection.
    let timer = size_of::<(Moment, Timer)>();
    assert!(timer <= 32, "{timer}");
    // That there is none takes no room.
    assert_eq!(size_of::<Option<SessionKey>>(), size_of::<SessionKey>());
    // Two for each address of a user: the one session is in place.
    assert!(size_of::<SessionKeys>() <= 24);
}

#[test]
fn several_sessions_are_kept_as_one_is() {
    let mut table: Table<Seat, ()> = Table::default();
    let keys = (0..3).map(|_| SessionKey {
        room: RoomKey::default(),
        seat: table.insert(()),
    });
    let keys: Vec<_> = keys.collect();
    let mut kept = SessionKeys::default();
    assert!(kept.is_empty());
    keys.iter().for_each(|key| kept.push(*key));
    assert_eq!(*kept, keys[..]);
    kept.remove(keys[1]);
    kept.remove(keys[1]);
    assert_eq!(*kept, [keys[0], keys[2]]);
    kept.remove(keys[0]);
    assert_eq!(kept, SessionKeys::One(keys[2]));
    kept.remove(keys[0]);
    assert_eq!(kept, SessionKeys::One(keys[2]));
    kept.remove(keys[2]);
    assert_eq!(kept, SessionKeys::None);
}
