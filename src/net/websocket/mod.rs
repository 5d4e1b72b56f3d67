//! MSRP over WebSocket (RFC 7977): the upgrade, and the frames of a connection both ways. TLS,
//! if any, is below.

mod framer;
mod origins;
mod upgrade;

use crate::switch::Batch;
use crate::wire::websocket::{Unframer, Violation};
use framer::Framer;

pub use origins::{OriginRuleError, Origins};
pub(super) use upgrade::{Request, UPGRADE_TIMEOUT, Verdict};

/// Codes of a close frame (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;

/// The WebSocket over a connection.
#[derive(Debug, Default)]
pub(super) struct WebSocket {
    incoming: Unframer,
    outgoing: Framer,
    /// The peer violated the protocol.
    violated: bool,
}

impl WebSocket {
    /// Moves the payload of the frames to the front of `octets`; returns its length.
    pub(super) fn unframe(&mut self, octets: &mut [u8]) -> Result<usize, Violation> {
        let result = self.incoming.unframe(octets);
        self.violated |= result.is_err();
        result
    }

    /// The peer has closed the WebSocket: its page is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.incoming.is_closed()
    }

    /// Whether a pong is pending.
    pub(super) fn owes_pong(&self) -> bool {
        self.incoming.is_pinged()
    }

    /// Moves output into `framed`, in frames, preceded by any pong that is pending.
    pub(super) fn frame(&mut self, batch: &Batch, framed: &mut Batch) {
        if let Some(ping) = self.incoming.take_ping() {
            framer::pong(&ping, framed);
        }
        self.outgoing.frame(batch, self.incoming.is_text(), framed);
    }

    /// The close frame.
    pub(super) fn close(&self) -> Batch {
        let mut framed = Batch::default();
        let code = if self.violated {
            PROTOCOL_ERROR
        } else {
            NORMAL
        };
        framer::close(code, &mut framed);
        framed
    }
}
