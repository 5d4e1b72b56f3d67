//! NICKNAME (RFC 7701 §7).

use crate::wire::msrp::UseNickname;

use super::Switch;
use super::ids::SessionKey;
use super::replies::Code;
use super::room::Nickname;

impl Switch {
    /// Answers a NICKNAME request; a failed change keeps the old nickname (G65).
    pub(super) fn nickname(&mut self, key: SessionKey, wish: Option<UseNickname<'_>>) -> Code {
        let Some(session) = self.sessions.get(key) else {
            return Code::NoSession;
        };
        let Some(room) = self.rooms.get_mut(session.room) else {
            return Code::NoSession;
        };
        if !room.policy.nicknames {
            return Code::Forbidden;
        }
        let Some(Ok(wish)) = wish.map(|wish| wish.decode()) else {
            return Code::MalformedNickname;
        };
        let (uri, user) = (room.uri.clone(), session.user.clone());
        if wish.is_empty() {
            // G66: the empty nickname removes it.
            if room.nicknames.remove(&user).is_some() {
                self.tell_nickname(uri, user, None);
            }
            return Code::Ok;
        }
        let Some(compared) = prepare(&wish) else {
            return Code::MalformedNickname;
        };
        let taken = room
            .nicknames
            .iter()
            .any(|(owner, nickname)| *owner != user && nickname.compared == compared);
        if taken {
            return Code::NicknameTaken;
        }
        room.nicknames.insert(user.clone(), Nickname { compared });
        self.tell_nickname(uri, user, Some(wish.into_owned()));
        Code::Ok
    }
}

/// The form in which nicknames are compared (RFC 7700 §2); `None`: it cannot be one.
fn prepare(nickname: &str) -> Option<String> {
    let words: Vec<String> = nickname.split_whitespace().map(str::to_lowercase).collect();
    let prepared = words.join(" ");
    (!prepared.is_empty() && !prepared.chars().any(char::is_control)).then_some(prepared)
}
