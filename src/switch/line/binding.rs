//! Finds the session that a request is for, and binds sessions to connections.

use crate::control::Notice;
use crate::entropy::token;
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, Speaker, Thread};
use crate::switch::line::replies;
use crate::switch::message::code::Code;
use crate::switch::message::request_head::RequestHead;
use crate::switch::room::session::Session;
use crate::time::Moment;
use crate::wire::msrp::{FailureReport, Path, Request};

/// MSRP's registered port (RFC 4975 §15.4).
const DEFAULT_PORT: u16 = 2855;
/// Random characters in the URI that AUTH assigns.
const USE_PATH_LENGTH: usize = 16;

/// The session a request is for.
pub(in crate::switch) enum Target {
    Here(SessionKey),
    /// The session is not here: ask the owner of its room.
    Elsewhere(Thread),
    Refused(Code),
    /// The certificate does not match the peer's fingerprints (C70).
    Imposter,
}

impl Switch {
    /// Answers an AUTH; returns whether the request was one. A browser uses AUTH to get the URI
    /// that it puts in front of its own (RFC 4976 §5.1, W06). This proves nothing: the credential
    /// is the session id, which the room gave in its answer to an INVITE.
    pub(in crate::switch) fn give_use_path(
        &mut self,
        id: ConnectionId,
        request: &Request<'_>,
    ) -> bool {
        let own = request.to_path.uris().next();
        let own = own.filter(|uri| {
            let is_web = uri.transport().eq_ignore_ascii_case("ws");
            is_web && uri.session_id().is_none() && request.to_path.count() == 1
        });
        let (Some(own), Some(connection)) = (own, self.connections.get_mut(id)) else {
            return false;
        };
        let scheme = if own.secure() { "msrps" } else { "msrp" };
        let (host, port) = (own.host(), own.port().unwrap_or(DEFAULT_PORT));
        let token = token(&mut *self.entropy, USE_PATH_LENGTH);
        let use_path = connection
            .rare
            .get_or_insert_default()
            .use_path
            .get_or_insert_with(|| format!("{scheme}://{host}:{port}/{token};ws").into())
            .clone();
        let grant = |out: &mut Vec<u8>| replies::grant(out, request, &use_path);
        self.connections.reply(id, grant);
        true
    }

    /// RFC 4975 §5.4, §7.3: one URI, of a session that is bound to this connection or to none.
    pub(in crate::switch) fn target(&mut self, id: ConnectionId, path: Path<'_>) -> Target {
        let Some(connection) = self.connections.get_mut(id) else {
            return Target::Refused(Code::NoSession);
        };
        if let Some(&key) = connection.sessions.first() {
            let session = self.rooms.session(key);
            let named = |it: &Session| !it.leaving && it.own_uri() == path.as_str();
            if session.is_some_and(named) {
                return Target::Here(key);
            }
        }
        if !connection.is_own_path(path) {
            return Target::Refused(Code::NoSession);
        }
        let Some(name) = path.uris().last().and_then(|uri| uri.session_id()) else {
            return Target::Refused(Code::NoSession);
        };
        let refused = connection.rare.as_mut().and_then(|it| it.refused.take());
        if let Some((session, code)) = refused
            && session.as_str() == name
        {
            return Target::Refused(code);
        }
        let Some(key) = self.rooms.named(name) else {
            let owner = self.exchange.threads.owner(name);
            let other = owner.filter(|owner| *owner != self.exchange.own);
            return other.map_or(Target::Refused(Code::NoSession), Target::Elsewhere);
        };
        let Some(session) = self.rooms.session(key) else {
            return Target::Refused(Code::NoSession);
        };
        let security = &connection.security;
        match session.connection {
            Some(other) if other != id => match session.home {
                // The owner may have called the session back by now.
                Some(home) => Target::Elsewhere(home),
                None => Target::Refused(Code::BoundElsewhere),
            },
            Some(_) => Target::Here(key),
            None if session.away.is_some() => Target::Refused(Code::BoundElsewhere),
            None if session.recalled.is_some() => Target::Elsewhere(self.exchange.own),
            // Whether the connection may carry the session it named.
            None if !session.fits(security) => Target::Refused(Code::NoSession),
            None if !session.knows(security) => Target::Imposter,
            None => Target::Here(key),
        }
    }

    /// The first request ties the connection to the session (C60, C61).
    pub(in crate::switch) fn bind(&mut self, now: Moment, id: ConnectionId, key: SessionKey) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        if session.connection.is_some() {
            return;
        }
        session.connection = Some(id);
        session.next_probe = now;
        self.connections.attach(id, key);
        self.agenda.tell(Notice::Bound {
            room: session.room_uri.clone(),
            session: session.id.clone(),
        });
        self.rooms.welcome(key);
        self.watch(now, id);
        self.connections.mark_dirty(id);
    }

    /// Answers a request without a session. The connection closes if it has no session either: a
    /// session exists here before any peer learns its URI.
    pub(in crate::switch) fn turn_away(
        &mut self,
        now: Moment,
        id: ConnectionId,
        head: &RequestHead<'_>,
        code: Code,
    ) {
        self.reply(id, head, code);
        // The last session of the connection may have left while the named one was claimed.
        let bound = self.connections.get(id).is_some_and(|it| it.bound);
        if bound || code == Code::NoSession {
            self.close_if_idle(now, id);
        }
    }

    pub(in crate::switch) fn reply(
        &mut self,
        id: ConnectionId,
        request: &RequestHead<'_>,
        code: Code,
    ) {
        self.respond(self.exchange.here(id), request, code);
    }

    /// Answers a request that came on a connection here or elsewhere.
    pub(in crate::switch) fn respond(
        &mut self,
        to: Speaker,
        request: &RequestHead<'_>,
        code: Code,
    ) {
        if code == Code::Ok && request.failure_report != FailureReport::Yes {
            return;
        }
        self.reply_to(to, |out| replies::respond(out, request, code));
    }
}
