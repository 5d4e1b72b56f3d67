//! NICKNAME (RFC 7701 §7).

use std::collections::{HashMap, HashSet};

use precis_profiles::precis_core::profile::PrecisFastInvocation;

use unicode_security::confusable_detection::skeleton;

use crate::control::{HeldNickname, RoomUri, UserUri};
use crate::time::Moment;
use crate::wire::msrp::UseNickname;

use crate::switch::ids::SessionKey;
use crate::switch::message::code::Code;
use crate::switch::room::rooms::Rooms;
use crate::switch::room::{MAX_QUARANTINED, Nickname, Room};

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

impl Room {
    /// Carries out a NICKNAME request; returns the new nickname, unless nothing changes. A failed
    /// change keeps the old one (G65).
    pub(in crate::switch) fn change_nickname(
        &mut self,
        now: Moment,
        key: SessionKey,
        wish: Option<UseNickname<'_>>,
        confusables: bool,
    ) -> Result<Option<Option<String>>, Code> {
        let session = self.session(key).ok_or(Code::NoSession)?;
        if !self.policy.nicknames {
            return Err(Code::NoNicknamesHere);
        }
        let Some(Ok(wish)) = wish.map(|wish| wish.decode()) else {
            return Err(Code::MalformedNickname);
        };
        let user = session.user.clone();
        self.free_nicknames(now);
        if wish.is_empty() {
            // G66: the empty nickname removes it.
            return Ok(self.nicknames.remove(&user).map(|_| None));
        }
        let compared = prepare(&wish).ok_or(Code::MalformedNickname)?;
        if self.is_taken(&user, &compared, confusables) {
            return Err(Code::NicknameTaken);
        }
        self.nicknames.insert(user, Nickname::new(&wish, compared));
        Ok(Some(Some(wish.into_owned())))
    }

    /// Restores the nickname of a user who comes back after a restart; `false` if it belongs to
    /// someone else by now.
    pub(in crate::switch) fn give_back_nickname(
        &mut self,
        user: &UserUri,
        written: &str,
        confusables: bool,
    ) -> bool {
        let compared = prepare(written);
        let free = compared.filter(|compared| !self.is_taken(user, compared, confusables));
        if self.nickname_of(user).is_some() {
            return true;
        }
        let Some(compared) = free.filter(|_| self.policy.nicknames) else {
            return false;
        };
        let nickname = Nickname::new(written, compared);
        self.nicknames.insert(user.clone(), nickname);
        true
    }

    /// Whether a nickname is reserved or taken by another user (RFC 7701 §7.1).
    fn is_taken(&self, user: &UserUri, compared: &str, confusables: bool) -> bool {
        let looks = |form: &str| skeleton(form).collect::<String>();
        let look = confusables.then(|| looks(compared));
        let alike =
            |form: &str| form == compared || look.as_ref().is_some_and(|look| *look == looks(form));
        if RESERVED.iter().any(|word| alike(word)) {
            return true;
        }
        let mut others = self.nicknames.iter().filter(|(owner, _)| *owner != user);
        if others.any(|(_, nickname)| alike(&nickname.compared)) {
            return true;
        }
        // The address of another user is refused too.
        self.members.all().any(|member| {
            let other = self.session(member);
            other.is_some_and(|other| other.user != *user && other.is_called(compared))
        })
    }
}

impl Rooms {
    /// Reserves nicknames that another run of the switch held for absent users (G67).
    pub(in crate::switch) fn hold_nicknames(
        &mut self,
        now: Moment,
        uri: RoomUri,
        held: &[HeldNickname],
    ) {
        let key = self.called(&uri);
        if let Some(room) = key.and_then(|key| self.get_mut(key)) {
            room.free_nicknames(now);
            let most = room.members.len() + MAX_QUARANTINED;
            return hold(&mut room.nicknames, now, held, most);
        }
        let mut kept = self.reservations.take(now, &uri);
        hold(&mut kept.nicknames, now, held, MAX_QUARANTINED);
        self.reservations.keep(now, uri, kept);
    }
}

/// Reserves the nicknames that are still free, up to a total of `most`.
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
