//! NICKNAME (RFC 7701 §7).

use precis_profiles::precis_core::profile::PrecisFastInvocation;

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
        let written = wish.as_ref().into();
        let nickname = Nickname { written, compared };
        room.nicknames.insert(user.clone(), nickname);
        self.tell_nickname(uri, user, Some(wish.into_owned()));
        Code::Ok
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
