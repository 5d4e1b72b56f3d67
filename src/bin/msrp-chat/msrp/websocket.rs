//! The WebSocket over a connection (RFC 6455, RFC 7977), client side: the handshake, and one chunk
//! per message.

use msrp_conference::entropy::{Entropy, System};
use msrp_conference::wire::websocket::{Unframer, Violation, chunk_end};
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::StatusCode;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// The sub-protocol (RFC 7977 §4.1).
const PROTOCOL: &str = "msrp";

/// Why the handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the answer is no HTTP")]
    NoHttp,
    #[error("the answer is {0}")]
    Refused(StatusCode),
    #[error("the answer is that of no WebSocket server")]
    NoWebSocket,
    #[error("the server does not confirm the sub-protocol msrp")]
    Protocol,
}

/// A handshake that waits for its answer.
#[derive(Debug)]
pub(crate) struct Upgrade {
    key: String,
}

impl Upgrade {
    pub(crate) fn new() -> Self {
        Self {
            key: generate_key(),
        }
    }

    /// The upgrade request to `host`, which is an authority.
    pub(crate) fn request(&self, host: &str) -> Vec<u8> {
        let key = &self.key;
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        )
        .into_bytes()
    }

    /// Reads the answer and returns its length in octets; `None` until it is complete.
    pub(crate) fn answered(&self, octets: &[u8]) -> Result<Option<usize>, UpgradeError> {
        let parsed = Response::try_parse(octets).map_err(|_| UpgradeError::NoHttp)?;
        let Some((length, response)) = parsed else {
            return Ok(None);
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpgradeError::Refused(response.status()));
        }
        let header = |name| response.headers().get(name).and_then(|it| it.to_str().ok());
        if header("Sec-WebSocket-Accept") != Some(&*derive_accept_key(self.key.as_bytes())) {
            return Err(UpgradeError::NoWebSocket);
        }
        match header("Sec-WebSocket-Protocol") {
            Some(protocol) if protocol.eq_ignore_ascii_case(PROTOCOL) => Ok(Some(length)),
            _ => Err(UpgradeError::Protocol),
        }
    }
}

/// Framing in both directions.
#[derive(Debug)]
pub(crate) struct WebSocket {
    incoming: Unframer,
}

impl WebSocket {
    pub(crate) fn new() -> Self {
        Self {
            incoming: Unframer::of_client(),
        }
    }

    /// Moves the payloads to the front of `octets`, and returns their length. Answers to control
    /// frames are appended to `output`.
    pub(crate) fn unframe(
        &mut self,
        octets: &mut [u8],
        output: &mut Vec<u8>,
    ) -> Result<usize, Violation> {
        let count = self.incoming.unframe(octets)?;
        if let Some(ping) = self.incoming.take_ping() {
            write(OpCode::Control(Control::Pong), &ping, output);
        }
        Ok(count)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.incoming.is_closed()
    }
}

/// Appends whole chunks, each in a frame of its own.
pub(crate) fn frame(mut chunks: &[u8], output: &mut Vec<u8>) {
    while let Some(end) = chunk_end(chunks) {
        let (chunk, rest) = chunks.split_at(end.min(chunks.len()));
        write(OpCode::Data(Data::Binary), chunk, output);
        chunks = rest;
    }
}

fn write(opcode: OpCode, payload: &[u8], output: &mut Vec<u8>) {
    let mut mask = [0; 4];
    System.fill(&mut mask);
    let header = FrameHeader {
        is_final: true,
        opcode,
        mask: Some(mask),
        ..FrameHeader::default()
    };
    // Nothing that is written to memory fails.
    let _ = Frame::from_payload(header, payload.to_vec().into()).format(output);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_masked_messages() {
        let one = b"MSRP aaaa 200 OK\r\nTo-Path: a\r\nFrom-Path: b\r\n-------aaaa$\r\n";
        let two = b"MSRP bbbb SEND\r\nTo-Path: a\r\nFrom-Path: b\r\n-------bbbb$\r\n";
        let mut output = Vec::new();
        frame(&[&one[..], two].concat(), &mut output);
        assert_eq!(output.len(), one.len() + two.len() + 2 * 6);
        let count = Unframer::default().unframe(&mut output).unwrap();
        assert_eq!(output[..count], [&one[..], two].concat());
    }

    #[test]
    fn the_answer_must_be_that_of_a_server_for_msrp() {
        let upgrade = Upgrade::new();
        let accept = derive_accept_key(upgrade.key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: msrp\r\n\r\n"
        );
        let read = |text: &str| upgrade.answered(text.as_bytes());
        assert_eq!(read(&answer[..40]), Ok(None));
        assert_eq!(read(&format!("{answer}x")), Ok(Some(answer.len())));
        for (from, to, error) in [
            (
                "101 Switching Protocols",
                "403 Forbidden",
                UpgradeError::Refused(StatusCode::FORBIDDEN),
            ),
            (accept.as_str(), "x", UpgradeError::NoWebSocket),
            ("Protocol: msrp", "Protocol: sip", UpgradeError::Protocol),
            ("HTTP/1.1 101", "MSRP x", UpgradeError::NoHttp),
        ] {
            assert_eq!(read(&answer.replace(from, to)), Err(error));
        }
    }
}
