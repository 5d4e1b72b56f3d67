//! Input: octets to requests, requests to sessions.

use std::borrow::Cow;

use crate::control::{LossCause, Notice};
use crate::time::Moment;
use crate::wire::msrp::{
    DecodeError, Event, FailureReport, Flag, HeadError, Method, Path, Request, Response,
    TransactionId,
};

use super::connection::Security;
use super::ids::{ConnectionId, SessionKey};
use super::incoming::{Incoming, Sending};
use super::message::{Code, Facts};
use super::replies;
use super::session::Session;
use super::{Foreign, Owner, Switch, UNBOUND_OCTETS, copies};

/// Whose a message is.
enum Target {
    Here(SessionKey),
    Elsewhere(Owner),
    Refused(Code),
    /// Its certificate is not the peer's (C70).
    Imposter,
}

impl Switch {
    /// Octets that came on a connection.
    pub fn received(&mut self, now: Moment, id: ConnectionId, octets: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.closing {
            return;
        }
        connection.lives(now);
        if !connection.bound {
            connection.unbound_octets += octets.len();
        }
        let mut unread = std::mem::take(&mut connection.unread);
        let result = if unread.is_empty() {
            let result = self.decode(now, id, octets);
            if let Ok(used) = result {
                unread = octets.get(used..).unwrap_or_default().to_vec();
            }
            result
        } else {
            unread.extend_from_slice(octets);
            let result = self.decode(now, id, &unread);
            if let Ok(used) = result {
                unread.drain(..used.min(unread.len()));
            }
            result
        };
        if unread.is_empty() {
            unread = Vec::new();
        }
        self.settle(now, id, unread, result.is_err());
    }

    /// Keeps what is left, or closes what went wrong.
    fn settle(&mut self, now: Moment, id: ConnectionId, unread: Vec<u8>, failed: bool) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.unread = unread;
        let excess = !connection.bound && connection.unbound_octets > UNBOUND_OCTETS;
        let begun = connection.has_begun();
        if failed || excess {
            self.protocol_error(now, id);
        } else if begun {
            self.owe(now, id);
        }
    }

    /// Decodes and handles whole events; says how many octets they took.
    fn decode(
        &mut self,
        now: Moment,
        id: ConnectionId,
        input: &[u8],
    ) -> Result<usize, DecodeError> {
        let Some(connection) = self.connections.get_mut(id) else {
            return Ok(input.len());
        };
        let mut decoder = std::mem::take(&mut connection.decoder);
        let mut used = 0;
        let result = loop {
            let rest = input.get(used..).unwrap_or_default();
            match decoder.decode(rest) {
                Ok(Some(decoded)) => {
                    used += decoded.used;
                    let raw = rest.get(..decoded.used).unwrap_or_default();
                    self.event(now, id, decoded.event, raw);
                }
                Ok(None) => break Ok(used),
                Err(error) => break Err(error),
            }
            if self.connections.get(id).is_none_or(|it| it.closing) {
                return Ok(input.len());
            }
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.decoder = decoder;
        }
        result
    }

    fn event(&mut self, now: Moment, id: ConnectionId, event: Event<'_>, raw: &[u8]) {
        match event {
            Event::Message {
                request,
                body,
                flag,
            } => self.message(now, id, &request, body, flag, raw),
            Event::Begin(request) => self.begin(now, id, &request, raw),
            Event::Body(octets) => self.body(now, id, octets, raw),
            Event::End(flag) => self.finish(now, id, flag, raw),
            Event::Response(response) => self.response(now, id, &response, raw),
            Event::Malformed(request) => {
                self.reply_with(id, |out| replies::respond_malformed(out, &request));
                if request.error == HeadError::StartLine {
                    // Whose transaction ends where cannot be known.
                    self.give_up(now, id);
                }
            }
            Event::Skipped => {}
        }
    }

    fn message(
        &mut self,
        now: Moment,
        id: ConnectionId,
        request: &Request<'_>,
        body: Option<&[u8]>,
        flag: Flag,
        raw: &[u8],
    ) {
        let facts = Facts::of(request);
        let key = match self.target(id, request.to_path) {
            Target::Here(key) => key,
            Target::Elsewhere(owner) => return self.pass_on(id, owner, raw),
            Target::Refused(code) => return self.turn_away(now, id, &facts, code),
            Target::Imposter => return self.protocol_error(now, id),
        };
        match request.method {
            Method::Send => {
                self.bind(now, id, key);
                self.send(now, id, key, &facts, body.map(Cow::Borrowed), flag);
            }
            Method::Nickname => {
                self.bind(now, id, key);
                match self.nickname(now, key, request.use_nickname) {
                    Ok(Some(change)) => self.promise(id, key, &facts, change),
                    Ok(None) => self.reply(id, &facts, Code::Ok),
                    Err(code) => self.reply(id, &facts, code),
                }
            }
            Method::Report => self.reported(now, key, request),
            Method::Auth | Method::Other(_) => self.reply(id, &facts, Code::NotImplemented),
        }
    }

    fn begin(&mut self, now: Moment, id: ConnectionId, request: &Request<'_>, raw: &[u8]) {
        let facts = Facts::of(request);
        let incoming = match self.target(id, request.to_path) {
            Target::Elsewhere(owner) => {
                self.pass_on(id, owner, raw);
                Incoming::Elsewhere(owner)
            }
            Target::Refused(code) => {
                self.turn_away(now, id, &facts, code);
                Incoming::Skip
            }
            Target::Imposter => return self.protocol_error(now, id),
            Target::Here(key) => {
                self.bind(now, id, key);
                match self.screen(key, &facts) {
                    Ok(()) => Incoming::Send(Box::new(Sending::new(key, &facts))),
                    Err(code) => {
                        self.reply(id, &facts, code);
                        Incoming::Skip
                    }
                }
            }
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.incoming = Some(incoming);
        }
    }

    fn body(&mut self, now: Moment, id: ConnectionId, piece: &[u8], raw: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let Some(mut incoming) = connection.incoming.take() else {
            return;
        };
        match &mut incoming {
            Incoming::Elsewhere(owner) => self.pass_on(id, *owner, raw),
            Incoming::Skip => {}
            Incoming::Send(sending) if sending.refused => {}
            Incoming::Send(sending) => {
                let (key, facts) = (sending.session, sending.facts.view());
                let at = facts.offset().saturating_add(sending.length);
                if let Err(code) = self.feed(now, key, &facts, at, piece) {
                    // C31: said at once, so that the sender stops in the middle of it.
                    self.reply(id, &facts, code);
                    sending.refused = true;
                }
                sending.length += piece.len() as u64;
            }
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.incoming = Some(incoming);
        }
    }

    fn finish(&mut self, now: Moment, id: ConnectionId, flag: Flag, raw: &[u8]) {
        let connection = self.connections.get_mut(id);
        let Some(incoming) = connection.and_then(|it| it.incoming.take()) else {
            return;
        };
        match incoming {
            Incoming::Elsewhere(owner) => self.pass_on(id, owner, raw),
            Incoming::Skip => {}
            Incoming::Send(sending) => {
                let (key, facts) = (sending.session, sending.facts.view());
                let end = facts.offset().saturating_add(sending.length);
                if sending.refused {
                    self.skip_end(key, facts.name(), flag);
                } else if sending.length == 0 {
                    self.send(now, id, key, &facts, Some(Cow::Borrowed(&[])), flag);
                } else {
                    self.chunk_ends(now, id, key, &facts, Some(end), flag);
                }
            }
        }
    }

    /// A response to one of our copies.
    fn response(&mut self, now: Moment, id: ConnectionId, response: &Response<'_>, raw: &[u8]) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        for step in 0..connection.sessions.len() {
            let connection = self.connections.get(id);
            let key = connection.and_then(|it| it.sessions.get(step).copied());
            let Some(key) = key else { return };
            let Some(session) = self.sessions.get_mut(key) else {
                continue;
            };
            if let Some(number) = session.ids.number(&response.transaction) {
                copies::answered(session, number, now);
                if self.greeted(now, key, number, response.code) {
                    return;
                }
                return self.failure(now, key, number, response.code);
            }
        }
        let path = response.to_path();
        let uri = path.and_then(|path| path.uris().next());
        let owner = uri.and_then(|uri| self.directory.owner(uri.session_id()?));
        if let Some(owner) = owner {
            self.pass_on(id, owner, raw);
        }
    }

    /// A report about one of our copies. It is never passed on (RFC 7701 §6.3, G51) and never
    /// answered (C45); a failure is handled like the same response (C50).
    fn reported(&mut self, now: Moment, key: SessionKey, request: &Request<'_>) {
        let id = request.message_id.and_then(TransactionId::new);
        let session = self.sessions.get(key);
        let number = session.zip(id).and_then(|(it, id)| it.ids.number(&id));
        // C49: without a number it is about a message we never sent.
        if let (Some(number), Some(status)) = (number, request.status)
            && status.namespace == 0
        {
            self.failure(now, key, number, status.code);
        }
    }

    /// RFC 4975 §10: what a peer's status code means for its session.
    fn failure(&mut self, now: Moment, key: SessionKey, number: u64, code: u16) {
        // 408: a relay heard nothing from the peer; 481, 506: the peer has no such session.
        // The rest concerns one message.
        if matches!(code, 408 | 481 | 506) {
            self.end(now, key, Some(LossCause::Undeliverable));
        } else if code >= 300 {
            self.stop_copy(key, number);
        }
    }

    /// RFC 4975 §5.4, §7.3: one URI, of a session that is bound to this connection or to none.
    fn target(&self, id: ConnectionId, path: Path<'_>) -> Target {
        let Some(connection) = self.connections.get(id) else {
            return Target::Refused(Code::NoSession);
        };
        if let Some(&key) = connection.sessions.first() {
            let session = self.sessions.get(key);
            let named = |it: &Session| !it.leaving && *it.own_uri == *path.as_str();
            if session.is_some_and(named) {
                return Target::Here(key);
            }
        }
        if path.count() != 1 {
            return Target::Refused(Code::NoSession);
        }
        let Some(name) = path.uris().next().and_then(|uri| uri.session_id()) else {
            return Target::Refused(Code::NoSession);
        };
        match self.by_session.get(name) {
            Some(&key) => match self.sessions.get(key).and_then(|it| it.connection) {
                Some(other) if other != id => Target::Refused(Code::BoundElsewhere),
                Some(_) => Target::Here(key),
                None => self.proven(&connection.security, key),
            },
            None => match self.directory.owner(name) {
                Some(owner) => Target::Elsewhere(owner),
                None => Target::Refused(Code::NoSession),
            },
        }
    }

    /// Whether the connection may carry the session it has named.
    fn proven(&self, security: &Security, key: SessionKey) -> Target {
        match self.sessions.get(key) {
            Some(session) if !session.fits(security) => Target::Refused(Code::NoSession),
            Some(session) if !session.knows(security) => Target::Imposter,
            _ => Target::Here(key),
        }
    }

    /// The first request ties the connection to the session (C60, C61).
    fn bind(&mut self, now: Moment, id: ConnectionId, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.connection.is_some() {
            return;
        }
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        session.connection = Some(id);
        session.next_probe = now;
        connection.bound = true;
        connection.close_by = None;
        connection.sessions.reserve_exact(1);
        connection.sessions.push(key);
        self.notices.push_back(Notice::Bound {
            room: session.room_uri.clone(),
            session: session.id.clone(),
        });
        self.welcome(key);
        self.watch(now, id);
        self.mark_dirty(id);
    }

    /// Answers a request for which there is no session. A connection that has none either
    /// closes: a session is known here before its URI is known to anybody.
    fn turn_away(&mut self, now: Moment, id: ConnectionId, facts: &Facts<'_>, code: Code) {
        self.reply(id, facts, code);
        let unbound = self.connections.get(id).is_some_and(|it| !it.bound);
        if unbound && code == Code::NoSession {
            self.close_if_idle(now, id);
        }
    }

    fn pass_on(&mut self, id: ConnectionId, owner: Owner, raw: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.bound = true;
        connection.close_by = None;
        if !connection.links.contains(&owner) {
            connection.links.push(owner);
        }
        self.foreign.push_back(Foreign::Octets {
            connection: id,
            owner,
            octets: raw.to_vec(),
        });
    }

    pub(super) fn reply(&mut self, id: ConnectionId, request: &Facts<'_>, code: Code) {
        if code == Code::Ok && request.failure_report != FailureReport::Yes {
            return;
        }
        self.reply_with(id, |out| replies::respond(out, request, code));
    }

    pub(super) fn reply_with(&mut self, id: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(connection) = self.connections.get_mut(id) {
            write(&mut connection.replies);
            self.mark_dirty(id);
        }
    }
}
