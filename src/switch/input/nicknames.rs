//! NICKNAME requests (RFC 7701 §7) and their answers.

use crate::control::{NicknameChange, Notice, RoomUri, UserUri};
use crate::switch::Switch;
use crate::switch::ids::{Credit, SessionKey, Speaker};
use crate::switch::line::replies;
use crate::switch::message::code::Code;
use crate::switch::message::request_head::RequestHead;
use crate::switch::room::pending_nickname::{PendingNickname, WISH};
use crate::time::Moment;
use crate::wire::msrp::UseNickname;

impl Switch {
    /// Handles a NICKNAME; it is answered once the nickname is stored.
    pub(in crate::switch) fn take_nickname(
        &mut self,
        now: Moment,
        speaker: Speaker,
        key: SessionKey,
        head: &RequestHead<'_>,
        wish: Option<UseNickname<'_>>,
    ) {
        let confusables = self.config.nickname_confusables;
        let room = self.rooms.get_mut(key.room).ok_or(Code::NoSession);
        let changed = room.and_then(|room| room.change_nickname(now, key, wish, confusables));
        match changed {
            Ok(Some(nickname)) => {
                if let Some((room, session)) = self.rooms.with_session(key) {
                    let (room, user) = (room.uri.clone(), session.user.clone());
                    let change = self.tell_nickname(room, user, nickname);
                    self.answer_once_kept(speaker, key, head, change);
                }
            }
            Ok(None) => self.respond(speaker, head, Code::Ok),
            Err(code) => self.respond(speaker, head, code),
        }
    }

    pub(in crate::switch) fn tell_nickname(
        &mut self,
        room: RoomUri,
        user: UserUri,
        nickname: Option<String>,
    ) -> NicknameChange {
        let change = self.pending_nicknames.number();
        self.agenda.tell(Notice::Nickname {
            room,
            user,
            nickname,
            change,
        });
        change
    }

    /// Answers a change once the store has it.
    fn answer_once_kept(
        &mut self,
        to: Speaker,
        key: SessionKey,
        head: &RequestHead<'_>,
        change: NicknameChange,
    ) {
        let session = self.rooms.session(key);
        if session.is_none_or(|session| session.unclaimed.is_some()) {
            return self.respond(to, head, Code::Ok);
        }
        let mut octets = Vec::new();
        replies::respond(&mut octets, head, Code::Ok);
        let credit = self.exchange.serving.take().or_else(|| {
            self.connections.charge(to.connection, WISH);
            Some(Credit {
                speaker: to,
                octets: WISH,
            })
        });
        let answer = PendingNickname { to, octets, credit };
        self.pending_nicknames.wait(change, answer);
    }

    /// The focus has stored a change.
    pub(in crate::switch) fn answer_nickname(&mut self, answer: PendingNickname) {
        self.reply_to(answer.to, |out| out.extend_from_slice(&answer.octets));
        self.done(answer.credit);
    }

    /// The focus has gone, with or without storing them. The switch has them, and will report them.
    pub(in crate::switch) fn answer_pending_nicknames(&mut self) {
        for answer in self.pending_nicknames.take_all() {
            self.answer_nickname(answer);
        }
    }
}
