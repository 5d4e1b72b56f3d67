//! Input: octets to requests, requests to sessions.

use std::borrow::Cow;

use crate::control::LossCause;
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::line::binding::Target;
use crate::switch::line::connection::Connection;
use crate::switch::line::incoming::{Incoming, Sending};
use crate::switch::line::replies;
use crate::switch::message::code::Code;
use crate::switch::message::request_head::RequestHead;
use crate::switch::out::deliveries;
use crate::time::Moment;
use crate::wire::msrp::{
    DecodeError, Decoder, Event, Flag, HeadError, Method, Request, Response, TransactionId,
};

/// Octets that may be read from a connection before it has bound a session: a few refused requests.
const UNBOUND_OCTETS: usize = 64 * 1024;

impl Switch {
    /// Takes octets received on a connection.
    pub fn received(&mut self, now: Moment, id: ConnectionId, octets: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if connection.closing {
            return;
        }
        if !octets.is_empty() {
            connection.lives(now);
        }
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
        self.keep_unread(now, id, unread, result.is_err());
    }

    /// Keeps the rest of the input, or closes the connection after an error.
    fn keep_unread(&mut self, now: Moment, id: ConnectionId, unread: Vec<u8>, failed: bool) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.unread = unread;
        let unbound = !connection.bound && !connection.seeking;
        let excess = unbound && connection.unbound_octets > UNBOUND_OCTETS;
        let begun = connection.has_begun();
        if failed || excess {
            self.protocol_error(now, id);
        } else if begun {
            self.owe(now, id);
        }
    }

    /// Decodes and handles whole events; returns the number of octets used.
    fn decode(
        &mut self,
        now: Moment,
        id: ConnectionId,
        input: &[u8],
    ) -> Result<usize, DecodeError> {
        let Some(connection) = self.connections.get_mut(id) else {
            return Ok(input.len());
        };
        let mut used = 0;
        connection.interrupted = connection.is_paused();
        if connection.interrupted {
            return Ok(0);
        }
        let mut decoder = std::mem::take(&mut connection.decoder);
        let result = loop {
            let rest = input.get(used..).unwrap_or_default();
            match decoder.decode(rest) {
                Ok(Some(decoded)) => {
                    if !self.event(now, id, decoded.event) {
                        // The request is decoded again once its session is here.
                        decoder = Decoder::new();
                        break Ok(used);
                    }
                    used += decoded.used;
                }
                Ok(None) => break Ok(used),
                Err(error) => break Err(error),
            }
            let gone = |it: &Connection| it.closing || it.deaf;
            match self.connections.get(id) {
                Some(connection) if gone(connection) => return Ok(input.len()),
                // The rest waits here.
                Some(connection) if connection.is_paused() => break Ok(used),
                Some(_) => {}
                None => return Ok(input.len()),
            }
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.interrupted = connection.is_paused();
            connection.decoder = decoder;
        }
        result
    }

    /// `false`: the request must wait for a session that is elsewhere.
    fn event(&mut self, now: Moment, id: ConnectionId, event: Event<'_>) -> bool {
        match event {
            Event::Message {
                request,
                body,
                flag,
            } => return self.message(now, id, &request, body, flag),
            Event::Begin(request) => return self.begin(now, id, &request),
            Event::Body(octets) => self.body(now, id, octets),
            Event::End(flag) => self.finish(now, id, flag),
            Event::Response(response) => self.response(now, id, &response),
            Event::Malformed(request) => {
                self.connections
                    .reply(id, |out| replies::respond_malformed(out, &request));
                if request.error == HeadError::StartLine {
                    // The end of such a transaction cannot be recognised.
                    self.give_up(now, id);
                }
            }
            Event::Skipped => {}
        }
        true
    }

    fn message(
        &mut self,
        now: Moment,
        id: ConnectionId,
        request: &Request<'_>,
        body: Option<&[u8]>,
        flag: Flag,
    ) -> bool {
        let head = RequestHead::of(request);
        if request.method == Method::Auth && self.give_use_path(id, request) {
            return true;
        }
        let key = match self.target(id, request.to_path) {
            Target::Here(key) => key,
            Target::Elsewhere(owner) => {
                self.seek(now, id, owner, request.to_path);
                return false;
            }
            Target::Refused(code) => {
                self.turn_away(now, id, &head, code);
                return true;
            }
            Target::Imposter => {
                self.protocol_error(now, id);
                return true;
            }
        };
        match request.method {
            Method::Send => {
                self.bind(now, id, key);
                self.send(now, id, key, &head, body.map(Cow::Borrowed), flag);
            }
            Method::Nickname => {
                self.bind(now, id, key);
                match self.rooms.home(key) {
                    Some(home) => self.pass_wish(id, home, &head, request.use_nickname),
                    None => {
                        let speaker = self.exchange.here(id);
                        self.take_nickname(now, speaker, key, &head, request.use_nickname);
                    }
                }
            }
            Method::Report => self.reported(now, key, request),
            Method::Auth | Method::Other(_) => self.reply(id, &head, Code::NotImplemented),
        }
        true
    }

    fn begin(&mut self, now: Moment, id: ConnectionId, request: &Request<'_>) -> bool {
        let head = RequestHead::of(request);
        let incoming = match self.target(id, request.to_path) {
            Target::Elsewhere(owner) => {
                self.seek(now, id, owner, request.to_path);
                return false;
            }
            Target::Refused(code) => {
                self.turn_away(now, id, &head, code);
                Incoming::Skip
            }
            Target::Imposter => {
                self.protocol_error(now, id);
                return true;
            }
            Target::Here(key) => {
                self.bind(now, id, key);
                match self.screen(key, &head) {
                    Ok(()) => Incoming::Send(Box::new(Sending::new(key, &head))),
                    Err(code) => {
                        self.reply(id, &head, code);
                        Incoming::Skip
                    }
                }
            }
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.incoming = Some(incoming);
        }
        true
    }

    fn body(&mut self, now: Moment, id: ConnectionId, piece: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let Some(mut incoming) = connection.incoming.take() else {
            return;
        };
        match &mut incoming {
            Incoming::Skip => {}
            Incoming::Send(sending) if sending.refused => {}
            Incoming::Send(sending) => {
                let (key, head) = (sending.session, sending.head.view());
                let at = head.offset().saturating_add(sending.length);
                if let Err(code) = self.take_piece(now, key, &head, at, piece) {
                    // C31: answered at once, so that the sender stops in mid-message.
                    self.reply(id, &head, code);
                    sending.refused = true;
                }
                sending.length += piece.len() as u64;
            }
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.incoming = Some(incoming);
        }
    }

    fn finish(&mut self, now: Moment, id: ConnectionId, flag: Flag) {
        let connection = self.connections.get_mut(id);
        let Some(incoming) = connection.and_then(|it| it.incoming.take()) else {
            return;
        };
        match incoming {
            Incoming::Skip => {}
            Incoming::Send(sending) => {
                let (key, head) = (sending.session, sending.head.view());
                let end = head.offset().saturating_add(sending.length);
                if sending.refused {
                    self.skip_end(key, head.message_key(), flag);
                } else if sending.length == 0 {
                    self.send(now, id, key, &head, Some(Cow::Borrowed(&[])), flag);
                } else {
                    self.chunk_ends(now, id, key, &head, Some(end), flag);
                }
            }
        }
    }

    /// A response to one of our copies.
    fn response(&mut self, now: Moment, id: ConnectionId, response: &Response<'_>) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        for step in 0..connection.sessions.len() {
            let connection = self.connections.get(id);
            let key = connection.and_then(|it| it.sessions.get(step).copied());
            let Some(key) = key else { return };
            let Some(session) = self.rooms.session_mut(key) else {
                continue;
            };
            if let Some(number) = session.ids.number(&response.transaction) {
                deliveries::answered(session, number, now);
                if self.greeted(now, key, number, response.code) {
                    return;
                }
                return self.failure(now, key, number, response.code);
            }
        }
    }

    /// A report about one of our copies. It is never passed on (RFC 7701 §6.3, G51) and never
    /// answered (C45); a failure is handled like the same response (C50).
    fn reported(&mut self, now: Moment, key: SessionKey, request: &Request<'_>) {
        let id = request.message_id.and_then(TransactionId::new);
        let session = self.rooms.session(key);
        let number = session.zip(id).and_then(|(it, id)| it.ids.number(&id));
        // C49: a report without a number of ours concerns a message we never sent.
        if let (Some(number), Some(status)) = (number, request.status)
            && status.namespace == 0
        {
            self.failure(now, key, number, status.code);
        }
    }

    /// RFC 4975 §10: the effect of a peer's status code on its session.
    fn failure(&mut self, now: Moment, key: SessionKey, number: u64, code: u16) {
        // 408: a relay got no answer from the peer; 481, 506: the peer has no such session. Other
        // codes concern one message.
        if matches!(code, 408 | 481 | 506) {
            self.end(now, key, Some(LossCause::Undeliverable));
        } else if code >= 300 {
            self.stop_copy(key, number);
        }
    }
}
