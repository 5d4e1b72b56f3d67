//! The session of an endpoint at the switch: its loss, its end and its return.

use crate::control::{LossCause, Order, SessionId};
use crate::focus::Focus;
use crate::focus::ids::EndpointId;
use crate::focus::room::endpoint::Link;
use crate::focus::sip::bye_reason::ByeReason;
use crate::focus::timers::Timer;
use crate::log::Level;
use crate::time::Moment;

impl Focus {
    /// The switch lost a session: for a while the endpoint may come back by a re-INVITE.
    pub(in crate::focus) fn lost(&mut self, now: Moment, session: &SessionId, cause: LossCause) {
        let Some(id) = self.rooms.seated(session) else {
            return;
        };
        let Some(endpoint) = self.rooms.endpoint(id) else {
            return self.out.broken("a session of no endpoint");
        };
        self.out.totals.losses += 1;
        let line = format!(
            "{} lost its MSRP session in {}: {}",
            endpoint.user,
            endpoint.room,
            describe(cause)
        );
        self.out.log(Level::Info, line);
        self.unlink(now, id);
        if cause == LossCause::NeverBound {
            self.dismiss(now, id, ByeReason::NeverConnected);
        }
    }

    /// Lets the endpoint stay without a session for `rejoin_grace`.
    pub(in crate::focus) fn unlink(&mut self, now: Moment, id: EndpointId) {
        self.unlink_until(id, now + self.config.rejoin_grace);
    }

    /// Lets the endpoint stay without a session until then.
    pub(in crate::focus) fn unlink_until(&mut self, id: EndpointId, until: Moment) {
        let until = self.timers.arm(until, Timer::Rejoin(id));
        self.relink(id, Link::Lost { until });
    }

    /// Changes the endpoint's session, or takes it away.
    pub(in crate::focus) fn relink(&mut self, id: EndpointId, link: Link) {
        let until = link.until();
        match self.rooms.relink(id, link) {
            Some(before) if before.until() != until => self.timers.disarm(before.until()),
            Some(_) => {}
            None => self.timers.disarm(until),
        }
    }

    /// Ends the session from our side. The endpoint may stay until its earlier deadline, or for
    /// `rejoin_grace` if it had none.
    pub(in crate::focus) fn end_session(&mut self, now: Moment, id: EndpointId) {
        self.expel_session(id);
        let link = self.rooms.endpoint(id).map(|it| it.link().until());
        match link {
            Some(Some(until)) => self.relink(id, Link::Lost { until }),
            Some(None) => self.unlink(now, id),
            None => {}
        }
    }

    /// Tells the switch to forget the session.
    pub(in crate::focus) fn expel_session(&mut self, id: EndpointId) {
        if let Some(endpoint) = self.rooms.endpoint(id)
            && let Some(session) = endpoint.link().session()
        {
            let (room, session) = (endpoint.room.clone(), session.clone());
            self.out.order(Order::Expel { room, session });
        }
    }

    pub(in crate::focus) fn rejoin_timed_out(&mut self, now: Moment, id: EndpointId) {
        self.dismiss(now, id, ByeReason::ConnectionLost);
    }
}

fn describe(cause: LossCause) -> &'static str {
    match cause {
        LossCause::NeverBound => "no connection came",
        LossCause::Disconnected => "the connection closed",
        LossCause::ProtocolError => "the connection broke the protocol",
        LossCause::Undeliverable => "a message could not be delivered",
        LossCause::TooSlow => "the connection was too slow",
    }
}
