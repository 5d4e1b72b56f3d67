//! Sessions whose connection lives on another thread than the owner of their room.
//!
//! A session is admitted by the owner. When a connection on another thread names it, that
//! thread claims it and decodes nothing more of the connection until it has come, so that
//! nothing is done out of order. It moves there whole; what stays is who it is, where, and
//! what it takes. It comes back only when its peer gets another path.
//!
//! What it says is counted for its connection until the owner has put it in order (or it has
//! reached the one it is for): a connection is not read while that is more than
//! [`MAX_UNORDERED`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::control::{Admission, Dial, LossCause, Notice, RoomPolicy, SessionId};
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, RoomKey, SessionKey, Table, Thread};
use crate::switch::line::connection::{Connection, Security};
use crate::switch::message::entry::Entry;
use crate::switch::message::{Code, KeptHead, RequestHead};
use crate::switch::room::session::Session;
use crate::switch::threads::{Credit, Parcel, Speaker};
use crate::time::Moment;
use crate::wire::msrp::{Path, TransactionIds, UseNickname};

/// Octets of what came on one connection that may be on their way to other threads: more is
/// not read meanwhile.
pub(in crate::switch) const MAX_UNORDERED: usize = 64 * 1024;
/// What a nickname counts until the focus has kept it: eight at a time.
pub(in crate::switch) const WISH: usize = MAX_UNORDERED / 8;
/// Members of a room above which those who come are spread over the threads: enough that a
/// message costs more than to pass it on.
const SPREAD_FROM: usize = match cfg!(test) {
    false => 500,
    true => 4,
};

/// A session that moves to the thread that has claimed it.
#[derive(Debug)]
pub(in crate::switch) struct Newcomer {
    session: Session,
    /// Its room, as the owner knows it.
    room: RoomKey,
    policy: RoomPolicy,
}

/// Why a claim brings no session.
#[derive(Debug)]
pub(in crate::switch) enum Answer {
    /// The request that named it is to be answered so.
    Refused(SessionId, Code),
    /// The certificate is not its peer's (C70).
    Imposter,
    /// What kept it is over: it is to be named again.
    Again,
}

/// What waits for a session that comes back.
#[derive(Debug, Default)]
pub(in crate::switch) struct Back {
    own: Vec<Arc<Entry>>,
    lost: u64,
    notice: Option<Box<str>>,
}

/// A session that is to come back, and has not.
#[derive(Debug, Default)]
pub(in crate::switch) struct Recalled {
    from: Thread,
    /// Connections that have named it meanwhile.
    claimants: Vec<(Speaker, Security)>,
    /// Where we connect to once it is back.
    dial: Option<Dial>,
}

/// Something that was said by a session that lives elsewhere.
#[derive(Debug)]
pub(in crate::switch) struct Utterance {
    pub(in crate::switch) session: SessionKey,
    connection: ConnectionId,
    /// Of the chunk that came last and is answered.
    last: KeptHead,
    /// Of the chunk that came first, if that is another.
    first: Option<KeptHead>,
    /// Octets of the body that are not the sender's.
    shift: u64,
    body: Vec<u8>,
}

impl Utterance {
    /// The connection it came on, if it came from this thread.
    pub(in crate::switch) fn speaker(&self, thread: Thread) -> Speaker {
        Speaker {
            thread,
            connection: self.connection,
        }
    }
}

/// A NICKNAME of such a session.
#[derive(Debug)]
pub(in crate::switch) struct Wish {
    session: SessionKey,
    connection: ConnectionId,
    head: KeptHead,
    nickname: Option<Box<str>>,
}

/// Whether somebody who spoke on a connection may still be behind it.
pub(in crate::switch) fn lives(
    speaker: Speaker,
    own: Thread,
    connections: &Table<ConnectionId, Connection>,
    abroad: &HashMap<Speaker, usize>,
) -> bool {
    match speaker.thread == own {
        true => connections
            .get(speaker.connection)
            .is_some_and(Connection::lives_on),
        false => abroad.contains_key(&speaker),
    }
}

impl Switch {
    /// A session that came from another instance, as that knows it.
    pub(in crate::switch) fn guest(&self, from: Thread, session: &SessionId) -> Option<SessionKey> {
        let &key = self.by_session.get(session)?;
        let session = self.sessions.get(key)?;
        (session.home == Some(from)).then_some(key)
    }

    /// Whether what a session says is put in order elsewhere, and where.
    pub(in crate::switch) fn home(&self, key: SessionKey) -> Option<(Thread, SessionKey)> {
        let session = self.sessions.get(key)?;
        Some((session.home?, session.said_as))
    }

    /// Chooses a thread for the connection of a session that has just been admitted: members
    /// of a large room are spread.
    pub(in crate::switch) fn place(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let members = self
            .rooms
            .get(session.room)
            .map_or(0, |it| it.members.len());
        let threads = self.exchange.threads.count();
        if members > SPREAD_FROM && threads > 1 {
            let on = Thread((members % usize::from(threads)) as u16);
            self.exchange.threads.place(&session.id, on);
        }
    }

    /// A connection here names a session that is not here: nothing more of it is decoded
    /// until that is settled.
    pub(in crate::switch) fn seek(
        &mut self,
        now: Moment,
        id: ConnectionId,
        owner: Thread,
        to: Path<'_>,
    ) {
        let name = to.uris().next().and_then(|uri| uri.session_id());
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

    /// A connection names a session of ours, and waits.
    pub(in crate::switch) fn claimed(
        &mut self,
        now: Moment,
        by: Speaker,
        name: &SessionId,
        security: &Security,
    ) {
        let Some(&key) = self.by_session.get(name) else {
            return self.answer(now, by, Answer::Refused(name.clone(), Code::NoSession));
        };
        let Some(session) = self.sessions.get_mut(key) else {
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

    /// What becomes of a claim that brings no session.
    pub(in crate::switch) fn answered(&mut self, now: Moment, id: ConnectionId, answer: Answer) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        match answer {
            Answer::Refused(session, code) => connection.refused = Some(Box::new((session, code))),
            Answer::Imposter => return self.protocol_error(now, id),
            Answer::Again => {}
        }
        self.found(id);
    }

    /// A connection need not wait for a session any more.
    fn found(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.seeking = false;
            if !connection.is_paused() {
                self.resumes.push_back(id);
            }
        }
    }

    /// A session goes to the connection that has claimed it.
    fn move_to(&mut self, by: Speaker, key: SessionKey) {
        let ids = TransactionIds::new(&mut *self.entropy);
        self.welcome(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let room_key = session.room;
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        session.drain_log(&mut room.log);
        room.held.stragglers -= usize::from(std::mem::take(&mut session.straggles));
        self.notices.push_back(Notice::Bound {
            room: session.room_uri.clone(),
            session: session.id.clone(),
        });
        session.away = Some(by);
        let newcomer = Newcomer {
            session: session.depart(ids, self.exchange.own),
            room: room_key,
            policy: room.policy.clone(),
        };
        let parcel = Parcel::Comes(by.connection, Box::new(newcomer));
        self.exchange.post(by.thread, parcel);
        *self.abroad.entry(by).or_default() += 1;
        self.goes_abroad(key, room_key, by.thread);
        self.members_moved(room_key);
        self.release_speakers(room_key);
    }

    /// A session comes for a connection here that has named it.
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
        let Some(connection) = self.connections.get_mut(id).filter(|it| !it.closing) else {
            let cause = Some(LossCause::Disconnected);
            return self
                .exchange
                .post(from, Parcel::Left(session.said_as, cause));
        };
        connection.bound = true;
        connection.close_by = None;
        session.connection = Some(id);
        session.next_probe = now;
        let uri = session.room_uri.clone();
        let room_key = self.replica(from, room, uri, policy);
        let Some(room) = self.rooms.get_mut(room_key) else {
            return;
        };
        session.room = room_key;
        session.position = room.log.end();
        let name = session.id.clone();
        let key = self.sessions.insert(session);
        if let Some(session) = self.sessions.get_mut(key) {
            session.place = room.members.enter(key);
        }
        self.guests += 1;
        self.by_session.insert(name, key);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.sessions.push(key);
        }
        self.watch(now, id);
        self.mark_dirty(id);
        self.found(id);
    }

    /// A session of ours has ended where it was.
    pub(in crate::switch) fn left(
        &mut self,
        now: Moment,
        key: SessionKey,
        cause: Option<LossCause>,
    ) {
        self.hear_out(now, key);
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        match session.recalled {
            // It has not: it waits for another connection.
            Some(_) => self.back(now, key, Back::default()),
            None if session.leaving => {}
            None => self.end(now, key, cause),
        }
    }

    /// The peer of a session that is elsewhere has another path: it is to wait here for its
    /// next connection.
    pub(in crate::switch) fn recall_session(&mut self, key: SessionKey, dial: Option<Dial>) {
        let Some(session) = self.sessions.get_mut(key) else {
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
        let (room, parcel) = (session.room, Parcel::Recall(session.id.clone()));
        self.exchange.post(away.thread, parcel);
        self.not_abroad(away);
        self.comes_home(key, room, away.thread, true);
    }

    /// A session that was called back has got yet another path: whoever has named it
    /// meanwhile had the one before.
    pub(in crate::switch) fn refuse_claimants(&mut self, now: Moment, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
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

    /// One session less on a connection elsewhere.
    pub(in crate::switch) fn not_abroad(&mut self, speaker: Speaker) {
        if let Some(sessions) = self.abroad.get_mut(&speaker) {
            *sessions -= 1;
            if *sessions == 0 {
                self.abroad.remove(&speaker);
            }
        }
    }

    /// A guest goes back to the owner of its room.
    pub(in crate::switch) fn go_back(&mut self, now: Moment, from: Thread, session: &SessionId) {
        let Some(key) = self.guest(from, session) else {
            return;
        };
        self.end_copies(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(session.room) {
            session.drain_log(&mut room.log);
        }
        let back = Back {
            own: std::mem::take(&mut session.own)
                .into_entries()
                .map(|(_, entry)| entry)
                .collect(),
            lost: session.lost,
            notice: session.notice.take(),
        };
        let parcel = Parcel::Back(session.said_as, back);
        self.exchange.post(from, parcel);
        // The owner need not be told that it has left.
        session.home = None;
        self.guests -= 1;
        self.end(now, key, None);
    }

    /// A session has come back.
    pub(in crate::switch) fn back(&mut self, now: Moment, key: SessionKey, back: Back) {
        self.hear_out(now, key);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(recalled) = session.recalled.take() else {
            return;
        };
        let name = session.id.clone();
        session.lost += back.lost;
        session.notice = session.notice.take().or(back.notice);
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

    /// Those who have named a session while it could not be had.
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

    /// The focus says more about a guest.
    pub(in crate::switch) fn amended(
        &mut self,
        now: Moment,
        from: Thread,
        admission: &Admission,
        notice: Option<Box<str>>,
    ) {
        let Some(key) = self.guest(from, &admission.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.amend(admission);
        session.notice = notice.or(session.notice.take());
        if self.still_knows(now, key) {
            self.mark_session_dirty(key);
        }
    }

    /// A message that a guest has said goes to the owner of the room.
    pub(in crate::switch) fn pass_to_owner(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        (owner, session): (Thread, SessionKey),
        last: &RequestHead<'_>,
        (first, shift): (&RequestHead<'_>, u64),
        body: Cow<'_, [u8]>,
    ) {
        let room = self.sessions.get(key).map(|session| session.room);
        if let Some(room) = room {
            self.said_in(key, room);
        }
        self.charge(id, body.len());
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

    /// So much of what came on a connection here is on its way.
    pub(in crate::switch) fn charge(&mut self, id: ConnectionId, octets: usize) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.unordered += octets;
        }
    }

    /// Whether a session says something there, or did before it was called back.
    pub(in crate::switch) fn speaks_on(&self, key: SessionKey, speaker: Speaker) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            let recalled = session.recalled.as_ref();
            session.away == Some(speaker) || recalled.is_some_and(|it| it.from == speaker.thread)
        })
    }

    /// A message of a session of ours that lives on another thread has its turn.
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

    /// A guest wants a nickname.
    pub(in crate::switch) fn pass_wish(
        &mut self,
        id: ConnectionId,
        (owner, session): (Thread, SessionKey),
        head: &RequestHead<'_>,
        wish: Option<UseNickname<'_>>,
    ) {
        self.charge(id, WISH);
        let wish = Wish {
            session,
            connection: id,
            head: head.keep(),
            nickname: wish.map(|wish| wish.as_str().into()),
        };
        self.exchange.post(owner, Parcel::Wishes(Box::new(wish)));
    }

    /// A session of ours that lives on another thread wants a nickname.
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

    /// A message for one session alone. Who is elsewhere gets it there; until then it counts
    /// for the connection it came on.
    pub(in crate::switch) fn give_to(
        &mut self,
        now: Moment,
        from: SessionKey,
        to: SessionKey,
        entry: &Arc<Entry>,
    ) {
        let Some(session) = self.sessions.get(to) else {
            return;
        };
        let Some(away) = session.away else {
            return self.give(now, to, Arc::clone(entry));
        };
        let name = session.id.clone();
        let credit = self.exchange.serving.take().or_else(|| {
            let id = self.sessions.get(from)?.connection?;
            let octets = entry.cost();
            self.charge(id, octets);
            let speaker = self.exchange.here(id);
            Some(Credit { speaker, octets })
        });
        let parcel = Parcel::Private(name, Arc::clone(entry), credit);
        self.exchange.post(away.thread, parcel);
    }
}
