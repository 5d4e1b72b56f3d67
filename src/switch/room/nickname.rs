//! NICKNAME (RFC 7701 §7).

use std::collections::{HashMap, HashSet};

use precis_profiles::precis_core::profile::PrecisFastInvocation;

use unicode_security::confusable_detection::skeleton;

use crate::control::{HeldNickname, NicknameChange, Notice, RoomUri, UserUri};
use crate::time::Moment;
use crate::wire::msrp::UseNickname;

use crate::switch::Switch;
use crate::switch::ids::SessionKey;
use crate::switch::message::{Code, RequestHead};
use crate::switch::room::{MAX_QUARANTINED, Nickname};
use crate::switch::threads::Speaker;

/// Names that speak for the server or for everybody (RFC 7701 §7.1: reserved words), in the
/// form in which nicknames are compared.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "all",
    "anonymous",
    "everybody",
    "everyone",
    "focus",
    "here",
    "moderator",
    "operator",
    "root",
    "server",
    "support",
    "switch",
    "system",
];

impl Switch {
    /// A NICKNAME, answered once it is kept.
    pub(in crate::switch) fn take_nickname(
        &mut self,
        now: Moment,
        speaker: Speaker,
        key: SessionKey,
        head: &RequestHead<'_>,
        wish: Option<UseNickname<'_>>,
    ) {
        match self.nickname(now, key, wish) {
            Ok(Some(change)) => self.promise(speaker, key, head, change),
            Ok(None) => self.respond(speaker, head, Code::Ok),
            Err(code) => self.respond(speaker, head, code),
        }
    }

    /// Carries a NICKNAME request out, unless nothing changes; a failed change keeps the old
    /// nickname (G65).
    fn nickname(
        &mut self,
        now: Moment,
        key: SessionKey,
        wish: Option<UseNickname<'_>>,
    ) -> Result<Option<NicknameChange>, Code> {
        let session = self.sessions.get(key).ok_or(Code::NoSession)?;
        let room_key = session.room;
        let room = self.rooms.get_mut(room_key).ok_or(Code::NoSession)?;
        if !room.policy.nicknames {
            return Err(Code::NoNicknamesHere);
        }
        let Some(Ok(wish)) = wish.map(|wish| wish.decode()) else {
            return Err(Code::MalformedNickname);
        };
        let (uri, user) = (room.uri.clone(), session.user.clone());
        room.free_nicknames(now);
        if wish.is_empty() {
            // G66: the empty nickname removes it.
            let removed = room.nicknames.remove(&user);
            return Ok(removed.map(|_| self.tell_nickname(uri, user, None)));
        }
        let compared = prepare(&wish).ok_or(Code::MalformedNickname)?;
        if self.is_taken(key, &compared) {
            return Err(Code::NicknameTaken);
        }
        if let Some(room) = self.rooms.get_mut(room_key) {
            let nickname = Nickname::new(&wish, compared);
            room.nicknames.insert(user.clone(), nickname);
        }
        Ok(Some(self.tell_nickname(uri, user, Some(wish.into_owned()))))
    }

    fn tell_nickname(
        &mut self,
        room: RoomUri,
        user: UserUri,
        nickname: Option<String>,
    ) -> NicknameChange {
        let change = self.pending_nicknames.number();
        self.notices.push_back(Notice::Nickname {
            room,
            user,
            nickname,
            change,
        });
        change
    }

    /// A user who comes back after a restart has the nickname he had, unless it is somebody
    /// else's by now.
    pub(in crate::switch) fn give_back_nickname(&mut self, key: SessionKey, written: &str) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let (room_key, user) = (session.room, session.user.clone());
        let compared = prepare(written);
        let free = compared.filter(|compared| !self.is_taken(key, compared));
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        let uri = room.uri.clone();
        if room.nickname_of(&user).is_some() {
            return;
        }
        match free.filter(|_| room.policy.nicknames) {
            Some(compared) => {
                room.nicknames
                    .insert(user, Nickname::new(written, compared));
            }
            None => {
                self.tell_nickname(uri, user, None);
            }
        }
    }

    /// Another run of the switch held these for users who are not there (G67).
    pub(in crate::switch) fn hold_nicknames(
        &mut self,
        now: Moment,
        uri: RoomUri,
        held: &[HeldNickname],
    ) {
        let key = self.by_room.get(&uri).copied();
        if let Some(room) = key.and_then(|key| self.rooms.get_mut(key)) {
            room.free_nicknames(now);
            let most = room.members.len() + MAX_QUARANTINED;
            return hold(&mut room.nicknames, now, held, most);
        }
        let mut left = self.reservations.take(now, &uri);
        hold(&mut left.nicknames, now, held, MAX_QUARANTINED);
        self.reservations.keep(now, uri, left);
    }

    /// Whether a nickname is reserved or somebody else's (RFC 7701 §7.1).
    fn is_taken(&self, key: SessionKey, compared: &str) -> bool {
        let Some(session) = self.sessions.get(key) else {
            return true;
        };
        let Some(room) = self.rooms.get(session.room) else {
            return true;
        };
        let looks = |form: &str| skeleton(form).collect::<String>();
        let look = self.config.nickname_confusables.then(|| looks(compared));
        let alike =
            |form: &str| form == compared || look.as_ref().is_some_and(|look| *look == looks(form));
        if RESERVED.iter().any(|word| alike(word)) {
            return true;
        }
        let others = room
            .nicknames
            .iter()
            .filter(|(owner, _)| **owner != session.user);
        if others
            .into_iter()
            .any(|(_, nickname)| alike(&nickname.compared))
        {
            return true;
        }
        // Nobody else's address will do either.
        room.members.all().any(|member| {
            let other = self.sessions.get(member);
            other.is_some_and(|other| other.user != session.user && other.is_called(compared))
        })
    }
}

/// Holds what is still free, as long as there are no more than `most`.
fn hold(names: &mut HashMap<UserUri, Nickname>, now: Moment, held: &[HeldNickname], most: usize) {
    let mut taken: HashSet<String> = names.values().map(|it| it.compared.clone()).collect();
    for one in held {
        let Some(compared) = prepare(&one.nickname) else {
            continue;
        };
        let free = !names.contains_key(&one.user) && names.len() < most;
        if free && taken.insert(compared.clone()) {
            names.insert(one.user.clone(), Nickname::held(now, one, compared));
        }
    }
}

/// The form in which nicknames are compared (RFC 8266 §2.4): spaces trimmed and collapsed,
/// lower case, compatibility characters replaced; `None`: it cannot be a nickname.
fn prepare(nickname: &str) -> Option<String> {
    /// RFC 8266 §2.1: the rules are applied until nothing changes, four times at most.
    const ROUNDS: usize = 4;
    let mut form = nickname.to_owned();
    for _ in 0..ROUNDS {
        let enforced = precis_profiles::Nickname::enforce(form.as_str()).ok()?;
        let next = enforced.to_lowercase();
        if next == form {
            break;
        }
        form = next;
    }
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g62_nicknames_that_look_alike_compare_equal() {
        let form = prepare("Alice  Smith");
        assert_eq!(form.as_deref(), Some("alice smith"));
        for same in [
            " alice smith ",
            "ALICE\u{a0}SMITH",
            "\u{ff21}lice Smith",
            "alice\u{2003}smith",
        ] {
            assert_eq!(prepare(same), form, "{same}");
        }
        assert_ne!(prepare("AliceSmith"), form);
        for none in ["", "  ", "a\u{7}b"] {
            assert_eq!(prepare(none), None, "{none:?}");
        }
    }
}
