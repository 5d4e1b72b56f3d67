//! Wraps a connection's output in WebSocket frames. Each MSRP chunk is one message (RFC 7977 §5.1);
//! a large chunk that is not complete yet takes several frames.

use std::str;

use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::switch::{Batch, Part};
use crate::wire::websocket::{end_behind, end_line, transaction, write_header};

/// A stretch of one chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Piece {
    octets: usize,
    /// The chunk begins with it.
    first: bool,
    /// The chunk ends with it.
    last: bool,
    /// It is UTF-8.
    text: bool,
}

/// One WebSocket's outgoing side.
#[derive(Debug, Default)]
pub(super) struct Framer {
    /// The end-line of the chunk that is open.
    end: Option<Vec<u8>>,
    /// The stretches of one batch; empty between batches.
    pieces: Vec<Piece>,
}

impl Framer {
    /// Appends `batch` to `framed` in frames. `text`: use text frames for chunks that are text.
    pub(super) fn frame(&mut self, batch: &Batch, text: bool, framed: &mut Batch) {
        self.cut(batch, text);
        let mut pieces = self.pieces.drain(..);
        let mut left = 0;
        for part in batch.parts() {
            let mut from = 0;
            while from < part.octets().len() {
                if left == 0 {
                    let Some(piece) = pieces.next() else { break };
                    framed.extend_with(|out| header(piece, out));
                    left = piece.octets;
                }
                let count = left.min(part.octets().len() - from);
                framed.push_part(&part, from..from + count);
                from += count;
                left -= count;
            }
        }
    }

    /// Finds where chunks begin and end. It searches the copied parts only: our own lines are
    /// there, each within one part, and no body contains an end-line (C04).
    fn cut(&mut self, batch: &Batch, text: bool) {
        let mut piece = Piece {
            first: self.end.is_none(),
            text,
            ..Piece::default()
        };
        for part in batch.parts() {
            let mut octets = part.octets();
            while let Some(end) = self.end_within(&part, octets) {
                let (own, rest) = octets.split_at(end.min(octets.len()));
                piece.add(own);
                piece.last = true;
                self.pieces.push(piece);
                self.end = None;
                piece = Piece {
                    first: true,
                    text,
                    ..Piece::default()
                };
                octets = rest;
            }
            piece.add(octets);
        }
        if piece.octets > 0 {
            self.pieces.push(piece);
        }
    }

    /// The end of the chunk that `octets` begin with or continue, if it lies within them.
    fn end_within(&mut self, part: &Part<'_>, octets: &[u8]) -> Option<usize> {
        let Part::Copied(_) = part else { return None };
        let end = match &mut self.end {
            Some(end) => end,
            none => none.insert(end_line(transaction(octets)?)),
        };
        end_behind(octets, end)
    }
}

impl Piece {
    fn add(&mut self, octets: &[u8]) {
        self.octets += octets.len();
        self.text = self.text && str::from_utf8(octets).is_ok();
    }
}

/// Text only if the whole chunk is known to be text: later octets may not be.
fn header(piece: Piece, out: &mut Vec<u8>) {
    let opcode = match piece {
        Piece { first: false, .. } => Data::Continue,
        Piece {
            last: true,
            text: true,
            ..
        } => Data::Text,
        _ => Data::Binary,
    };
    write_header(OpCode::Data(opcode), piece.last, piece.octets, out);
}

/// A pong.
pub(super) fn pong(payload: &[u8], framed: &mut Batch) {
    control(Control::Pong, payload, framed);
}

/// A close frame with its code (RFC 6455 §7.4.1).
pub(super) fn close(code: u16, framed: &mut Batch) {
    control(Control::Close, &code.to_be_bytes(), framed);
}

fn control(opcode: Control, payload: &[u8], framed: &mut Batch) {
    framed.extend_with(|out| {
        write_header(OpCode::Control(opcode), true, payload.len(), out);
        out.extend_from_slice(payload);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Opcode with FIN, and payload, of each frame.
    fn frames(framed: &Batch) -> Vec<(u8, Vec<u8>)> {
        let (octets, mut frames) = (framed.to_vec(), Vec::new());
        let mut rest = &octets[..];
        while let [first, length, tail @ ..] = rest {
            let (length, tail) = match *length {
                126 => (u16::from_be_bytes([tail[0], tail[1]]).into(), &tail[2..]),
                127 => (
                    u64::from_be_bytes(tail[..8].try_into().unwrap()) as usize,
                    &tail[8..],
                ),
                length => (usize::from(length), tail),
            };
            frames.push((*first, tail[..length].to_vec()));
            rest = &tail[length..];
        }
        frames
    }

    fn chunk(transaction: &str, body: &str) -> String {
        format!("MSRP {transaction} SEND\r\nTo-Path: a\r\n\r\n{body}\r\n-------{transaction}$\r\n")
    }

    #[test]
    fn w03_every_chunk_is_one_message() {
        let chunks = [
            chunk("aaaa", "one"),
            chunk("bbbb", &"two ".repeat(2000)),
            chunk("cccc", ""),
        ];
        let mut batch = Batch::default();
        batch.push(chunks[0].as_bytes());
        let (head, rest) = chunks[1].split_once("two").unwrap();
        let (body, end) = rest.rsplit_once("\r\n----").unwrap();
        batch.push(head.as_bytes());
        batch.push_body(&Bytes::from(format!("two{body}")));
        batch.push(format!("\r\n----{end}").as_bytes());
        batch.push(chunks[2].as_bytes());
        for (text, first) in [(true, 0x81), (false, 0x82)] {
            let mut framed = Batch::default();
            Framer::default().frame(&batch, text, &mut framed);
            let expected: Vec<_> = chunks
                .iter()
                .map(|it| (first, it.clone().into_bytes()))
                .collect();
            assert_eq!(frames(&framed), expected);
        }
    }

    #[test]
    fn a_chunk_that_is_not_whole_goes_on_in_the_next_frame() {
        let whole = chunk("abcd", &"x".repeat(9000));
        let mut framer = Framer::default();
        let mut all = Vec::new();
        for piece in [&whole[..4000], &whole[4000..8000], &whole[8000..]] {
            let (mut batch, mut framed) = (Batch::default(), Batch::default());
            batch.push(piece.as_bytes());
            framer.frame(&batch, true, &mut framed);
            all.extend(frames(&framed));
        }
        // The first part does not tell whether the next one is text.
        let firsts: Vec<_> = all.iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x02, 0x00, 0x80]);
        let octets: Vec<u8> = all.into_iter().flat_map(|(_, octets)| octets).collect();
        assert_eq!(octets, whole.as_bytes());
    }

    #[test]
    fn what_is_no_text_goes_as_binary() {
        let mut batch = Batch::default();
        batch.push(b"MSRP abcd SEND\r\n\r\n\xff\r\n-------abcd+\r\n");
        batch.push(chunk("abce", "\u{e4}").as_bytes());
        let mut framed = Batch::default();
        Framer::default().frame(&batch, true, &mut framed);
        let firsts: Vec<_> = frames(&framed).iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x82, 0x81]);
    }

    #[test]
    fn control_frames_stand_between_chunks() {
        let mut framed = Batch::default();
        pong(b"you", &mut framed);
        close(1000, &mut framed);
        assert_eq!(
            frames(&framed),
            [(0x8a, b"you".to_vec()), (0x88, vec![3, 232])]
        );
    }
}
