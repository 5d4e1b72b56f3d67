//! Which session a request is for, and the tie between a session and its connection.

use crate::control::Notice;
use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, Speaker, Thread};
use crate::switch::line::replies;
use crate::switch::message::code::Code;
use crate::switch::message::request_head::RequestHead;
use crate::switch::room::session::Session;
use crate::time::Moment;
use crate::wire::msrp::{FailureReport, Path};

/// Whose a message is.
pub(in crate::switch) enum Target {
    Here(SessionKey),
    /// Of a session that is not here: the owner of its room is asked.
    Elsewhere(Thread),
    Refused(Code),
    /// Its certificate is not the peer's (C70).
    Imposter,
}

impl Switch {
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
        if path.count() != 1 {
            return Target::Refused(Code::NoSession);
        }
        let Some(name) = path.uris().next().and_then(|uri| uri.session_id()) else {
            return Target::Refused(Code::NoSession);
        };
        let refused = connection.refused.take().map(|it| *it);
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
                // The owner may have called it back by now.
                Some(home) => Target::Elsewhere(home),
                None => Target::Refused(Code::BoundElsewhere),
            },
            Some(_) => Target::Here(key),
            None if session.away.is_some() => Target::Refused(Code::BoundElsewhere),
            None if session.recalled.is_some() => Target::Elsewhere(self.exchange.own),
            // Whether the connection may carry the session it has named.
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

    /// Answers a request for which there is no session. A connection that has none either
    /// closes: a session is known here before its URI is known to anybody.
    pub(in crate::switch) fn turn_away(
        &mut self,
        now: Moment,
        id: ConnectionId,
        head: &RequestHead<'_>,
        code: Code,
    ) {
        self.reply(id, head, code);
        // Of one that had sessions, the last may have left while another was sought.
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
