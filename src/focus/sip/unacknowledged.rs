//! The 2xx of an INVITE on its way: it waits for the switch, for the store and the host, and for
//! its ACK (RFC 3261 §13.3.1.4).

use crate::control::SessionId;
use crate::focus::sip::face::top_via;
use crate::focus::sip::media::Media;
use crate::focus::sip::session_timer::{Agreement, Schedule};
use crate::focus::timers::TimerKey;
use crate::focus::{Reply, TransactionId};
use crate::time::Moment;
use crate::wire::sip::Request;
use crate::wire::sip::dialog::cseq_number;

/// A 2xx that waits for the switch.
#[derive(Clone, Debug)]
pub(in crate::focus) struct Answering {
    pub(in crate::focus) transaction: TransactionId,
    /// Its CSeq.
    pub(in crate::focus) cseq: u32,
    /// Its topmost Via.
    pub(in crate::focus) via: String,
    /// The description for the 2xx.
    pub(in crate::focus) body: Option<String>,
    /// It answers an INVITE, not an UPDATE.
    pub(in crate::focus) needs_ack: bool,
    pub(in crate::focus) agreement: Agreement,
    /// The state to restore without a 2xx; `None` for an initial INVITE, whose endpoint is not yet
    /// in the roster.
    pub(in crate::focus) before: Option<Box<Before>>,
}

/// A 2xx without ACK.
#[derive(Debug)]
pub(in crate::focus) struct Unacknowledged {
    pub(in crate::focus) transaction: TransactionId,
    pub(in crate::focus) cseq: u32,
    /// The topmost Via of its INVITE; a retransmission has the same.
    pub(in crate::focus) via: String,
    pub(in crate::focus) reply: Reply,
    /// The host has sent it. An earlier ACK belongs to another final answer, which the host gave
    /// (RFC 3261 §17.1.1.3).
    pub(in crate::focus) left: bool,
    /// Timer armed when it left.
    pub(in crate::focus) timer: Option<TimerKey>,
    /// The state before a re-INVITE; `None` for the INVITE that starts the dialog.
    pub(in crate::focus) before: Option<Box<Before>>,
}

impl Unacknowledged {
    /// Whether it has not left yet, so that the peer may not know it.
    pub(in crate::focus) fn is_under_way(&self) -> bool {
        !self.left
    }

    /// Whether it answers the INVITE that starts the dialog.
    pub(in crate::focus) fn starts_dialog(&self) -> bool {
        self.before.is_none()
    }

    pub(in crate::focus) fn is_answered_by(&self, ack: &Request) -> bool {
        self.left && cseq_number(ack) == Some(self.cseq)
    }

    pub(in crate::focus) fn is_to(&self, invite: &Request) -> bool {
        self.left && cseq_number(invite) == Some(self.cseq) && top_via(invite) == self.via
    }
}

/// The state before a re-INVITE or UPDATE, restored without a 2xx (RFC 3261 §14.1).
#[derive(Clone, Debug)]
pub(in crate::focus) struct Before {
    pub(in crate::focus) session: Option<SessionId>,
    pub(in crate::focus) media: Media,
    pub(in crate::focus) timer: Option<Schedule>,
    /// Deadline for the return of the endpoint.
    pub(in crate::focus) rejoin: Option<Moment>,
}
