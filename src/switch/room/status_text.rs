//! Status texts of the switch for a participant, as messages of the room.
//!
//! They carry the status headers of AG Projects' clients, which would otherwise show and store them
//! as messages of a person; other clients ignore the headers (RFC 3862 §4.7).

use crate::control::RoomUri;
use crate::time::Moment;
use crate::wire::cpim::{Composition, compose};

use crate::switch::ids::SessionKey;
use crate::switch::message::entry::{Audience, Entry};
use crate::switch::message::plain_text::Text;
use crate::switch::room::Room;
use crate::switch::room::session::Session;

/// Number of participants named in a welcome; the rest are counted.
const NAMED: usize = 50;
const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

impl Room {
    /// RFC 7701 §11, G10: a client without chat-room support learns that this is a room, and who is
    /// in it.
    pub(in crate::switch) fn welcome(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key.seat).filter(|it| !it.chatroom) else {
            return;
        };
        let users = self.members.users();
        let others = users.len() - usize::from(self.members.has(&session.user));
        let users = users.filter(|user| **user != session.user);
        let names: Vec<&str> = users.take(NAMED).map(|it| it.as_str()).collect();
        let name = self.uri.as_str();
        let mut text = format!("This is the chat room {name}. ");
        text += &match (others, names.join(", ")) {
            (0, _) => "Nobody else is here.".to_owned(),
            (all, names) if all <= NAMED => format!("Here are: {names}"),
            (all, names) => format!("Here are: {names} and {} more", all - NAMED),
        };
        session.status = Some(text.into());
    }
}

/// An operator's announcement to everyone in a room.
pub(in crate::switch) fn announcement(room: &RoomUri, text: &str, now: Moment) -> Entry {
    let body = body(room, text, now);
    let (wrapped_type, nobody) = (type_in(&body), SessionKey::default());
    let mut entry = Entry::new(body.into(), wrapped_type, nobody, Audience::Everybody);
    entry.text = Some(Box::new(Text::new("", text.as_bytes())));
    entry
}

/// The position of the wrapped content type.
fn type_in(body: &[u8]) -> std::ops::Range<usize> {
    let start = memchr::memmem::find(body, CONTENT_TYPE.as_bytes()).unwrap_or(0);
    start..start + CONTENT_TYPE.len().min(body.len())
}

/// Takes the pending status text of a session.
pub(in crate::switch) fn take(session: &mut Session, now: Moment) -> Option<Entry> {
    let lost = std::mem::take(&mut session.lost);
    let text = match (session.status.take(), lost) {
        (Some(text), _) => text.into_string(),
        (None, 0) => return None,
        (None, 1) => "1 message was not delivered: your connection is too slow.".to_owned(),
        (None, lost) => {
            format!("{lost} messages were not delivered: your connection is too slow.")
        }
    };
    if !session.takes(text.len() as u64, b"text/plain") {
        return None;
    }
    let body = body(&session.room_uri, &text, now);
    let mut entry = Entry::new(body.into(), 0..0, session.said_as, Audience::Room);
    if session.plain_text {
        entry.text = Some(Box::new(Text::new("", text.as_bytes())));
    }
    Some(entry)
}

/// From the room, to the room: a client treats any other addresses as a private message.
fn body(room: &RoomUri, text: &str, now: Moment) -> Vec<u8> {
    compose(&Composition {
        from: ("", room.as_str()),
        to: ("", room.as_str()),
        date_time: Some(now),
        headers: &[
            ("NS", "agp <urn:ag-projects:xml:ns:cpim>"),
            ("agp.Message-Type", "status"),
        ],
        content_type: CONTENT_TYPE,
        content: text.as_bytes(),
    })
}
