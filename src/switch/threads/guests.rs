//! Sessions whose connection lives on another thread than the owner of their room.
//!
//! The owner admits a session. When a connection on another thread names the session, that thread
//! claims it and stops decoding the connection until the session has arrived, so that order is
//! kept. The session moves there as a whole; its identity, location and capabilities also stay with
//! the owner. It comes back only when its peer gets another path.
//!
//! A guest's messages count for its connection until the owner has ordered them (or, for a private
//! one, until it has reached its receiver). The connection is not read while they exceed
//! `MAX_UNORDERED`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::control::{Admission, Dial, LossCause, Notice, SessionId};
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, Credit, SessionKey, Speaker, Thread};
use crate::switch::message::code::Code;
use crate::switch::message::entry::Entry;
use crate::switch::message::request_head::{KeptHead, RequestHead};
use crate::switch::message::utterance::Utterance;
use crate::switch::room::pending_nickname::WISH;
use crate::switch::room::session::Recalled;
use crate::switch::security::Security;
use crate::switch::threads::parcel::{Answer, Back, Newcomer, Parcel, Wish};
use crate::time::Moment;
use crate::wire::msrp::{Path, TransactionIds, UseNickname};

/// Number of members of a room above which newcomers are spread over the threads: enough that a
/// message costs more than passing it on.
const SPREAD_FROM: usize = match cfg!(test) {
    false => 500,
    true => 4,
};

impl Switch {
    /// Chooses a thread for the connection of a newly admitted session: members of a large room are
    /// spread.
    pub(in crate::switch) fn place(&mut self, key: SessionKey) {
        let Some((room, session)) = self.rooms.with_session(key) else {
            return;
        };
        let members = room.members.len();
        let threads = self.exchange.threads.count();
        if members > SPREAD_FROM && threads > 1 {
            let on = Thread((members % usize::from(threads)) as u16);
            self.exchange.threads.place(&session.id, on);
        }
    }

    /// Claims a session that a connection here has named and that is elsewhere. Decoding of the
    /// connection stops until the claim is settled.
    pub(in crate::switch) fn seek(
        &mut self,
        now: Moment,
        id: ConnectionId,
        owner: Thread,
        to: Path<'_>,
    ) {
        let name = to.uris().last().and_then(|uri| uri.session_id());
        let (Some(name), Some(connection)) = (name, self.connections.get_mut(id)) else {
            return;
        };
        connection.seeking = true;
        let session = SessionId::new(name);
        let security = connection.security.clone();
        if owner == self.exchange.own {
            let speaker = self.exchange.here(id);
            return self.claimed(now, speaker, &session, &security);
        }
        self.exchange
            .post(owner, Parcel::Claim(session, id, security));
    }

    /// A connection elsewhere claims a session of ours, and waits.
    pub(in crate::switch) fn claimed(
        &mut self,
        now: Moment,
        by: Speaker,
        name: &SessionId,
        security: &Security,
    ) {
        let Some(key) = self.rooms.named(name.as_str()) else {
            return self.answer(now, by, Answer::Refused(name.clone(), Code::NoSession));
        };
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let answer = if let Some(recalled) = &mut session.recalled {
            return recalled.claimants.push((by, security.clone()));
        } else if by.thread == self.exchange.own {
            Answer::Again
        } else if session.is_tied() {
            Answer::Refused(name.clone(), Code::BoundElsewhere)
        } else if !session.fits(security) {
            Answer::Refused(name.clone(), Code::NoSession)
        } else if !session.knows(security) {
            Answer::Imposter
        } else {
            return self.move_to(by, key);
        };
        self.answer(now, by, answer);
    }

    fn answer(&mut self, now: Moment, by: Speaker, answer: Answer) {
        if by.thread == self.exchange.own {
            return self.answered(now, by.connection, answer);
        }
        let parcel = Parcel::Claimed(by.connection, answer);
        self.exchange.post(by.thread, parcel);
    }

    /// Handles a claim that was refused.
    pub(in crate::switch) fn answered(&mut self, now: Moment, id: ConnectionId, answer: Answer) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        match answer {
            Answer::Refused(session, code) => {
                connection.rare.get_or_insert_default().refused = Some((session, code));
            }
            Answer::Imposter => return self.protocol_error(now, id),
            Answer::Again => {}
        }
        self.connections.found(id);
    }

    /// Moves a session to the connection that claimed it.
    fn move_to(&mut self, by: Speaker, key: SessionKey) {
        let ids = TransactionIds::new(&mut *self.entropy);
        self.rooms.welcome(key);
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let Some(session) = room.sessions.get_mut(key.seat) else {
            return;
        };
        session.drain_log(&mut room.log);
        room.held.stragglers -= usize::from(std::mem::take(&mut session.straggles));
        self.agenda.tell(Notice::Bound {
            room: session.room_uri.clone(),
            session: session.id.clone(),
        });
        session.away = Some(by);
        let newcomer = Newcomer {
            session: session.depart(ids, self.exchange.own),
            room: key.room,
            policy: room.policy.clone(),
        };
        let parcel = Parcel::Comes(by.connection, Box::new(newcomer));
        self.exchange.post(by.thread, parcel);
        *self.exchange.abroad.entry(by).or_default() += 1;
        room.goes_abroad(key, by.thread);
        room.members_moved();
        self.release_speakers(key.room);
    }

    /// A claimed session arrives for a connection here.
    pub(in crate::switch) fn comes(
        &mut self,
        now: Moment,
        from: Thread,
        id: ConnectionId,
        newcomer: Newcomer,
    ) {
        let Newcomer {
            mut session,
            room,
            policy,
        } = newcomer;
        if self.connections.get(id).is_none_or(|it| it.closing) {
            let cause = Some(LossCause::Disconnected);
            return self
                .exchange
                .post(from, Parcel::Left(session.said_as, cause));
        }
        session.connection = Some(id);
        session.next_probe = now;
        let room_key = self
            .rooms
            .open_replica(from, room, &session.room_uri, policy);
        if let Some(room) = self.rooms.get(room_key) {
            session.position = room.log.end();
        }
        let key = self.rooms.enter(room_key, session);
        self.rooms.guests += 1;
        self.connections.attach(id, key);
        self.watch(now, id);
        self.connections.mark_dirty(id);
        self.connections.found(id);
    }

    /// A session of ours has ended on another thread.
    pub(in crate::switch) fn left(
        &mut self,
        now: Moment,
        key: SessionKey,
        cause: Option<LossCause>,
    ) {
        self.hear_out(now, key);
        let Some(session) = self.rooms.session(key) else {
            return;
        };
        match session.recalled {
            // It has not ended: it waits for another connection.
            Some(_) => self.back(now, key, Back::default()),
            None if session.leaving => {}
            None => self.end(now, key, cause),
        }
    }

    /// The peer of a session on another thread has a new path: calls the session back to wait here
    /// for its next connection.
    pub(in crate::switch) fn recall_session(&mut self, key: SessionKey, dial: Option<Dial>) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let Some(away) = session.away.take() else {
            return;
        };
        session.recalled = Some(Box::new(Recalled {
            from: away.thread,
            claimants: Vec::new(),
            dial,
        }));
        let parcel = Parcel::Recall(session.id.clone());
        self.exchange.post(away.thread, parcel);
        self.exchange.not_abroad(away);
        if let Some(room) = self.rooms.get_mut(key.room) {
            room.comes_home(key, away.thread, true);
        }
    }

    /// A session that was called back has got yet another path: connections that have named it
    /// meanwhile used the previous one.
    pub(in crate::switch) fn refuse_claimants(&mut self, now: Moment, key: SessionKey) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let (name, recalled) = (session.id.clone(), &mut session.recalled);
        let claimants = recalled
            .as_mut()
            .map(|it| std::mem::take(&mut it.claimants));
        for (by, _) in claimants.into_iter().flatten() {
            let answer = Answer::Refused(name.clone(), Code::NoSession);
            self.answer(now, by, answer);
        }
    }

    /// Returns a guest to the owner of its room.
    pub(in crate::switch) fn go_back(&mut self, now: Moment, from: Thread, session: &SessionId) {
        let Some(key) = self.rooms.guest(from, session) else {
            return;
        };
        self.end_copies(key);
        let Some(room) = self.rooms.get_mut(key.room) else {
            return;
        };
        let Some(session) = room.sessions.get_mut(key.seat) else {
            return;
        };
        session.drain_log(&mut room.log);
        let back = Back {
            own: std::mem::take(&mut session.own)
                .into_entries()
                .map(|(_, entry)| entry)
                .collect(),
            lost: session.lost,
            notice: session.status.take(),
        };
        let parcel = Parcel::Back(session.said_as, back);
        self.exchange.post(from, parcel);
        // The owner needs no notice of its leaving.
        session.home = None;
        self.rooms.guests -= 1;
        self.end(now, key, None);
    }

    /// A session has come back.
    pub(in crate::switch) fn back(&mut self, now: Moment, key: SessionKey, back: Back) {
        self.hear_out(now, key);
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let Some(recalled) = session.recalled.take() else {
            return;
        };
        let name = session.id.clone();
        session.lost += back.lost;
        session.status = session.status.take().or(back.notice);
        let since = std::mem::take(&mut session.own);
        let before = back
            .own
            .into_iter()
            .map(|entry| (Default::default(), entry));
        for (position, entry) in before.chain(since.into_entries()) {
            session.own.push(position, entry);
        }
        self.want(now, key, recalled.dial.as_ref());
        self.settle_claims(now, &name, *recalled);
    }

    /// Answers the connections that named a session while it was not available.
    pub(in crate::switch) fn settle_claims(
        &mut self,
        now: Moment,
        name: &SessionId,
        recalled: Recalled,
    ) {
        for (by, security) in recalled.claimants {
            match by.thread == self.exchange.own {
                true => self.answer(now, by, Answer::Again),
                false => self.claimed(now, by, name, &security),
            }
        }
    }

    /// The focus amends a guest.
    pub(in crate::switch) fn amended(
        &mut self,
        now: Moment,
        from: Thread,
        admission: &Admission,
        notice: Option<Box<str>>,
    ) {
        let Some(key) = self.rooms.guest(from, &admission.session) else {
            return;
        };
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        session.amend(admission);
        session.status = notice.or(session.status.take());
        if self.still_knows(now, key) {
            self.mark_session_dirty(key);
        }
    }

    /// Passes a guest's message to the owner of the room.
    pub(in crate::switch) fn pass_to_owner(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        (owner, session): (Thread, SessionKey),
        last: &RequestHead<'_>,
        (first, shift): (&RequestHead<'_>, u64),
        body: Cow<'_, [u8]>,
    ) {
        self.said_in(key, key.room);
        self.connections.charge(id, body.len());
        let utterance = Utterance {
            session,
            connection: id,
            last: last.keep(),
            first: (first.transaction != last.transaction).then(|| first.keep()),
            shift,
            body: body.into_owned(),
        };
        let parcel = Parcel::Said(Box::new(utterance));
        self.exchange.post(owner, parcel);
    }

    /// Whether a session speaks there, or did before it was called back.
    pub(in crate::switch) fn speaks_on(&self, key: SessionKey, speaker: Speaker) -> bool {
        self.rooms.session(key).is_some_and(|session| {
            let recalled = session.recalled.as_ref();
            session.away == Some(speaker) || recalled.is_some_and(|it| it.from == speaker.thread)
        })
    }

    /// Processes a message of a session of ours that lives on another thread.
    pub(in crate::switch) fn take_said(&mut self, now: Moment, from: Thread, said: Utterance) {
        let speaker = said.speaker(from);
        self.exchange.serving = Some(Credit {
            speaker,
            octets: said.body.len(),
        });
        let last = said.last.view();
        if !self.speaks_on(said.session, speaker) {
            self.respond(speaker, &last, Code::NoSession);
        } else {
            let first = said.first.as_ref().map_or(last, KeptHead::view);
            let body = Cow::Owned(said.body);
            self.take_here(
                now,
                speaker,
                said.session,
                &last,
                (&first, said.shift),
                body,
            );
        }
        let credit = self.exchange.serving.take();
        self.done(credit);
    }

    /// Passes a guest's NICKNAME to the owner.
    pub(in crate::switch) fn pass_wish(
        &mut self,
        id: ConnectionId,
        (owner, session): (Thread, SessionKey),
        head: &RequestHead<'_>,
        wish: Option<UseNickname<'_>>,
    ) {
        self.connections.charge(id, WISH);
        let wish = Wish {
            session,
            connection: id,
            head: head.keep(),
            nickname: wish.map(|wish| wish.as_str().into()),
        };
        self.exchange.post(owner, Parcel::Wishes(Box::new(wish)));
    }

    /// Processes a NICKNAME of a session of ours that lives on another thread.
    pub(in crate::switch) fn wished(&mut self, now: Moment, from: Thread, wish: Wish) {
        self.hear_out(now, wish.session);
        let speaker = Speaker {
            thread: from,
            connection: wish.connection,
        };
        let credit = Credit {
            speaker,
            octets: WISH,
        };
        self.exchange.serving = Some(credit);
        let head = wish.head.view();
        if !self.speaks_on(wish.session, speaker) {
            self.respond(speaker, &head, Code::NoSession);
        } else {
            let nickname = wish.nickname.as_deref().map(UseNickname::new);
            self.take_nickname(now, speaker, wish.session, &head, nickname);
        }
        let credit = self.exchange.serving.take();
        self.done(credit);
    }

    /// Delivers a message for one session, on whichever thread that lives. Until then the message
    /// counts for the connection it came on.
    pub(in crate::switch) fn give_to(
        &mut self,
        now: Moment,
        from: SessionKey,
        to: SessionKey,
        entry: &Arc<Entry>,
    ) {
        let Some(session) = self.rooms.session(to) else {
            return;
        };
        let Some(away) = session.away else {
            return self.give(now, to, Arc::clone(entry));
        };
        let name = session.id.clone();
        let credit = self.exchange.serving.take().or_else(|| {
            let id = self.rooms.session(from)?.connection?;
            let octets = entry.cost();
            self.connections.charge(id, octets);
            let speaker = self.exchange.here(id);
            Some(Credit { speaker, octets })
        });
        let parcel = Parcel::Private(name, Arc::clone(entry), credit);
        self.exchange.post(away.thread, parcel);
    }
}
