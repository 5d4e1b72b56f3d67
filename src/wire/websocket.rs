//! WebSocket frames that carry MSRP (RFC 6455, RFC 7977 §5): one MSRP chunk is one WebSocket
//! message of any number of frames.
//!
//! Frames are decoded in place as they arrive. Messages are not assembled, so none is too long, and
//! nothing is allocated for a length that a peer merely claims.

use std::io::Cursor;

use memchr::memmem;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The longest header of a frame (RFC 6455 §5.2).
const MAX_HEADER: usize = 14;
/// The longest payload of a control frame (RFC 6455 §5.5).
const MAX_CONTROL: usize = 125;
/// The longest transaction id (RFC 4975 §9).
const MAX_TRANSACTION: usize = 32;
/// The start of a chunk, before its transaction id…
const START: &[u8] = b"MSRP ";
/// …and the start of its end-line.
const END: &[u8] = b"-------";
/// The flag and CRLF after the transaction id of the end-line.
const AFTER_END: usize = 3;
const START_OCTETS: usize = START.len() + MAX_TRANSACTION + 1;
/// Hyphens, transaction id, flag, CRLF.
const END_OCTETS: usize = END.len() + MAX_TRANSACTION + AFTER_END;

/// A protocol violation by the peer; the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame of unknown kind.
    #[error("a frame that is no WebSocket frame")]
    Frame,
    /// RFC 6455 §5.1: frames of clients are masked, those of servers are not.
    #[error("a frame without a mask, or a server's with one")]
    Mask,
    /// Reserved bits without a negotiated extension (RFC 6455 §5.2).
    #[error("a frame with reserved bits set")]
    Reserved,
    /// RFC 6455 §5.5.
    #[error("a control frame that is fragmented or too long")]
    Control,
    /// RFC 6455 §5.4.
    #[error("a continuation of no message, or a message inside another")]
    Sequence,
    /// RFC 7977 §5.1.
    #[error("a WebSocket message that is not one MSRP chunk")]
    NotOneChunk,
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A fragment of a message, and whether it is the last one.
    Data {
        last: bool,
    },
    Ping,
    Pong,
    Close,
}

/// A frame whose payload is incomplete.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    /// Octets still to come.
    left: u64,
    /// The mask, rotated to the next octet.
    mask: [u8; 4],
}

/// Removes the framing from the input of a client or a server.
#[derive(Debug, Default)]
pub struct Unframer {
    /// We are the client.
    is_client: bool,
    /// A partial header.
    header: [u8; MAX_HEADER],
    held: usize,
    frame: Option<Frame>,
    /// The message in progress.
    message: Option<Outline>,
    /// The payload of a control frame, as far as received.
    control: Vec<u8>,
    /// The payload of the last unanswered ping.
    ping: Option<Vec<u8>>,
    /// The last message was text.
    text: bool,
    /// The peer has closed the WebSocket.
    closed: bool,
}

impl Unframer {
    /// Creates a reader for the frames of a server.
    pub fn of_client() -> Self {
        Self {
            is_client: true,
            ..Self::default()
        }
    }

    /// Moves the payload of the frames to the front of `octets`; returns its length.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn unframe(&mut self, octets: &mut [u8]) -> Result<usize, Violation> {
        let (mut from, mut to) = (0, 0);
        while from < octets.len() && !self.closed {
            let Some(frame) = &mut self.frame else {
                from += self.read_header(octets.get(from..).unwrap_or_default())?;
                continue;
            };
            let rest = octets.len() - from;
            let count = usize::try_from(frame.left).map_or(rest, |left| left.min(rest));
            let payload = octets.get_mut(from..from + count).unwrap_or_default();
            unmask(payload, &mut frame.mask);
            frame.left -= count as u64;
            if let Kind::Data { .. } = frame.kind {
                if let Some(message) = &mut self.message {
                    message.add(payload);
                }
                octets.copy_within(from..from + count, to);
                to += count;
            } else {
                self.control.extend_from_slice(payload);
            }
            from += count;
            self.end_frame()?;
        }
        Ok(to)
    }

    /// Whether the peer sends text.
    pub fn is_text(&self) -> bool {
        self.text
    }

    /// Whether the peer has closed the WebSocket.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes the payload of an unanswered ping. Of several pings, only the last is answered (RFC
    /// 6455 §5.5.3), so a flood of them costs no memory.
    pub fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// Whether a ping is unanswered.
    pub fn is_pinged(&self) -> bool {
        self.ping.is_some()
    }

    /// Takes header octets; returns their number.
    fn read_header(&mut self, octets: &[u8]) -> Result<usize, Violation> {
        let count = octets.len().min(MAX_HEADER - self.held);
        for (place, octet) in self.header.iter_mut().skip(self.held).zip(octets) {
            *place = *octet;
        }
        let known = self.header.get(..self.held + count).unwrap_or_default();
        let mut cursor = Cursor::new(known);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Frame)?;
        let Some((header, length)) = parsed else {
            self.held += count;
            return Ok(count);
        };
        let used = cursor.position() as usize - self.held;
        self.held = 0;
        self.begin_frame(&header, length)?;
        Ok(used)
    }

    fn begin_frame(&mut self, header: &FrameHeader, length: u64) -> Result<(), Violation> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::Reserved);
        }
        if header.mask.is_some() == self.is_client {
            return Err(Violation::Mask);
        }
        let mask = header.mask.unwrap_or_default();
        let last = header.is_final;
        let kind = match header.opcode {
            OpCode::Control(_) if !last || length > MAX_CONTROL as u64 => {
                return Err(Violation::Control);
            }
            OpCode::Control(Control::Ping) => Kind::Ping,
            OpCode::Control(Control::Pong) => Kind::Pong,
            OpCode::Control(Control::Close) => Kind::Close,
            OpCode::Data(Data::Continue) if self.message.is_some() => Kind::Data { last },
            OpCode::Data(Data::Text | Data::Binary) if self.message.is_none() => {
                self.text = header.opcode == OpCode::Data(Data::Text);
                self.message = Some(Outline::default());
                Kind::Data { last }
            }
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                return Err(Violation::Frame);
            }
            OpCode::Data(_) => return Err(Violation::Sequence),
        };
        self.frame = Some(Frame {
            kind,
            left: length,
            mask,
        });
        self.end_frame()
    }

    /// Processes the end of a frame.
    fn end_frame(&mut self) -> Result<(), Violation> {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else {
            return Ok(());
        };
        let control = std::mem::take(&mut self.control);
        match frame.kind {
            Kind::Data { last: false } | Kind::Pong => {}
            Kind::Data { last: true } => {
                let message = self.message.take();
                if message.is_some_and(|message| !message.is_one_chunk()) {
                    return Err(Violation::NotOneChunk);
                }
            }
            Kind::Ping => self.ping = Some(control),
            Kind::Close => self.closed = true,
        }
        Ok(())
    }
}

/// Removes the mask, and rotates it to the next octet.
fn unmask(octets: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = octets.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (octet, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *octet ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
}

/// The first and last octets of a message, which show whether it is one chunk.
#[derive(Debug)]
struct Outline {
    start: [u8; START_OCTETS],
    started: usize,
    end: [u8; END_OCTETS],
    ended: usize,
}

impl Default for Outline {
    fn default() -> Self {
        Self {
            start: [0; START_OCTETS],
            started: 0,
            end: [0; END_OCTETS],
            ended: 0,
        }
    }
}

impl Outline {
    fn add(&mut self, octets: &[u8]) {
        let room = self.start.iter_mut().skip(self.started);
        for (place, octet) in room.zip(octets) {
            *place = *octet;
            self.started += 1;
        }
        let new = octets.len().min(END_OCTETS);
        let kept = self.ended.min(END_OCTETS - new);
        self.end.copy_within(self.ended - kept..self.ended, 0);
        let last = octets.iter().skip(octets.len() - new);
        for (place, octet) in self.end.iter_mut().skip(kept).zip(last) {
            *place = *octet;
        }
        self.ended = kept + new;
    }

    /// A chunk ends with the end-line of its own transaction. An empty message is not a chunk and
    /// is harmless.
    fn is_one_chunk(&self) -> bool {
        let start = self.start.get(..self.started).unwrap_or_default();
        if start.is_empty() {
            return true;
        }
        let end = self.end.get(..self.ended).unwrap_or_default();
        let end = end.strip_suffix(b"\r\n").and_then(|end| end.split_last());
        let (Some(start), Some((b'$' | b'+' | b'#', end))) = (start.strip_prefix(START), end)
        else {
            return false;
        };
        let transaction = start.split(|octet| *octet == b' ').next();
        let transaction = transaction.filter(|it| (1..=MAX_TRANSACTION).contains(&it.len()));
        transaction.is_some_and(|transaction| {
            let end = end.strip_suffix(transaction);
            end.is_some_and(|end| end.ends_with(END))
        })
    }
}

/// The end of the chunk that `octets` begin with, if they contain it.
pub fn chunk_end(octets: &[u8]) -> Option<usize> {
    end_behind(octets, &end_line(transaction(octets)?))
}

/// The end-line of a chunk without its flag.
pub fn end_line(transaction: &[u8]) -> Vec<u8> {
    [END, transaction].concat()
}

/// The end of the chunk with this end-line.
pub fn end_behind(octets: &[u8], end_line: &[u8]) -> Option<usize> {
    Some(memmem::find(octets, end_line)? + end_line.len() + AFTER_END)
}

/// The transaction id of the chunk that `octets` begin with.
pub fn transaction(octets: &[u8]) -> Option<&[u8]> {
    octets.strip_prefix(START)?.split(|it| *it == b' ').next()
}

/// The header of a frame from a server, which has no mask.
pub fn write_header(opcode: OpCode, is_final: bool, octets: usize, out: &mut Vec<u8>) {
    let header = FrameHeader {
        is_final,
        opcode,
        ..FrameHeader::default()
    };
    // Writing to memory does not fail.
    let _ = header.format(octets as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNK: &[u8] =
        b"MSRP t123 SEND\r\nTo-Path: x\r\nFrom-Path: y\r\n\r\nbody\r\n-------t123$\r\n";

    /// A frame as clients send them.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0xa5, 0x3c, 0x77, 0x01];
        let mut octets = vec![first];
        match payload.len() {
            length @ 0..126 => octets.push(0x80 | length as u8),
            length @ 126..0x1_0000 => {
                octets.push(0x80 | 126);
                octets.extend((length as u16).to_be_bytes());
            }
            length => {
                octets.push(0x80 | 127);
                octets.extend((length as u64).to_be_bytes());
            }
        }
        octets.extend(mask);
        octets.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
        octets
    }

    fn read(octets: &[u8]) -> Result<Vec<u8>, Violation> {
        let mut octets = octets.to_vec();
        let count = Unframer::default().unframe(&mut octets)?;
        octets.truncate(count);
        Ok(octets)
    }

    proptest! {
        /// Whatever the sizes of frames and reads, the output equals the input.
        #[test]
        fn frames_come_off_however_they_are_cut(
            body in 0usize..70_000, frames in 1usize..5, reads in prop::collection::vec(1usize..9000, 1..40),
        ) {
            let chunk = [b"MSRP ab SEND\r\n", &vec![b'x'; body][..], b"\r\n-------ab$\r\n"].concat();
            let mut wire = Vec::new();
            let pieces: Vec<_> = chunk.chunks(chunk.len().div_ceil(frames)).collect();
            for (number, piece) in pieces.iter().enumerate() {
                let opcode = if number == 0 { 2 } else { 0 };
                let last = if number + 1 == pieces.len() { 0x80 } else { 0 };
                wire.extend(frame(last | opcode, piece));
                // Control frames may occur between those of a message (RFC 6455 §5.4).
                wire.extend(frame(0x89, b"still there?"));
            }
            let (mut unframer, mut all, mut rest) = (Unframer::default(), Vec::new(), &wire[..]);
            for count in reads.iter().cycle() {
                let (now, later) = rest.split_at((*count).min(rest.len()));
                let mut now = now.to_vec();
                let count = unframer.unframe(&mut now).unwrap();
                all.extend_from_slice(&now[..count]);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(all, chunk);
            prop_assert_eq!(unframer.take_ping(), Some(b"still there?".to_vec()));
        }
    }

    #[test]
    fn w02_text_and_binary_are_both_octets() {
        for (first, text) in [(0x81, true), (0x82, false)] {
            let mut octets = frame(first, CHUNK);
            let mut unframer = Unframer::default();
            let count = unframer.unframe(&mut octets).unwrap();
            assert_eq!((&octets[..count], unframer.is_text()), (CHUNK, text));
        }
    }

    #[test]
    fn text_cut_inside_a_character_is_put_together() {
        let text = "MSRP t123 SEND\r\nTo-Path: x\r\n\r\nä\r\n-------t123$\r\n".as_bytes();
        let inside = text.iter().position(|octet| *octet == 0xa4).unwrap();
        let (left, right) = text.split_at(inside);
        assert_eq!(
            read(&[frame(0x01, left), frame(0x80, right)].concat()).unwrap(),
            text
        );
    }

    #[test]
    fn what_a_client_must_not_send_is_refused() {
        let unmasked = [&[0x82, CHUNK.len() as u8][..], CHUNK].concat();
        let two = [CHUNK, CHUNK].concat().to_vec();
        let other = [CHUNK, &CHUNK.to_ascii_uppercase()[..]].concat();
        for (octets, violation) in [
            (unmasked, Violation::Mask),
            (frame(0xc2, CHUNK), Violation::Reserved),
            (frame(0xa2, CHUNK), Violation::Reserved),
            (frame(0x92, CHUNK), Violation::Reserved),
            (frame(0x83, CHUNK), Violation::Frame),
            (frame(0x8b, b""), Violation::Frame),
            (frame(0x09, b"part"), Violation::Control),
            (frame(0x89, &[0; 126]), Violation::Control),
            (frame(0x80, CHUNK), Violation::Sequence),
            (
                [frame(0x02, b"MSRP"), frame(0x82, CHUNK)].concat(),
                Violation::Sequence,
            ),
            (
                frame(0x82, b"GET / HTTP/1.1\r\n\r\n"),
                Violation::NotOneChunk,
            ),
            (frame(0x82, &CHUNK[..20]), Violation::NotOneChunk),
            (frame(0x82, &other), Violation::NotOneChunk),
            (
                frame(0x82, &CHUNK[..CHUNK.len() - 1]),
                Violation::NotOneChunk,
            ),
        ] {
            assert_eq!(read(&octets), Err(violation), "{}", octets.escape_ascii());
        }
        // Two of one transaction are two requests for the decoder, as on any connection.
        assert_eq!(read(&frame(0x82, &two)).unwrap(), two);
        assert_eq!(read(&frame(0x82, b"")).unwrap(), b"");
    }

    #[test]
    fn a_claimed_length_costs_nothing() {
        let mut unframer = Unframer::default();
        let mut octets = vec![0x82, 0xff];
        octets.extend(u64::MAX.to_be_bytes());
        octets.extend([0; 4]);
        octets.extend(b"MSRP");
        assert_eq!(unframer.unframe(&mut octets), Ok(4));
        assert_eq!(unframer.control.capacity(), 0);
    }

    #[test]
    fn a_client_takes_frames_without_a_mask_alone() {
        let mut octets = [&[0x82, CHUNK.len() as u8][..], CHUNK].concat();
        assert_eq!(Unframer::of_client().unframe(&mut octets), Ok(CHUNK.len()));
        let masked = Unframer::of_client().unframe(&mut frame(0x82, CHUNK));
        assert_eq!(masked, Err(Violation::Mask));
    }

    #[test]
    fn after_a_close_nothing_is_read() {
        let mut unframer = Unframer::default();
        let mut octets = [frame(0x88, &1001u16.to_be_bytes()), frame(0x82, CHUNK)].concat();
        assert_eq!(unframer.unframe(&mut octets), Ok(0));
        assert!(unframer.is_closed());
    }

    #[test]
    fn headers_of_ours_have_no_mask() {
        let header = |octets| {
            let mut out = Vec::new();
            write_header(OpCode::Data(Data::Binary), true, octets, &mut out);
            out
        };
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
