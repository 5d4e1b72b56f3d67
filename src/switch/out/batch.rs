//! The output of one write of a connection: octets of its own, and large bodies shared with other
//! receivers.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use bytes::Bytes;

/// Bodies of at least this many octets are shared instead of copied: below about 4 KB a copy
/// is cheaper than one more element in a vectored write.
const SHARE_FROM: usize = 4096;
/// Octets that remain of the body of an open SEND after taking the rest back (RFC 4975 §7.1.1).
const LEFT_OF_BODY: usize = 2048;

/// The step after a batch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing more for now.
    Idle,
    /// There is more: fill another batch.
    More,
    /// Close the connection; `closed` must follow.
    Close,
}

/// Octets in the order in which they go out.
#[derive(Debug, Default)]
pub struct Batch {
    /// Everything that was copied.
    copied: Vec<u8>,
    /// Octets of `copied` that are already written.
    done: usize,
    /// Shared parts, each before the octet of `copied` at its position.
    shared: VecDeque<(usize, Bytes)>,
    length: usize,
    /// Octets of body at the end: of a SEND that is still open.
    open_body: usize,
}

impl Batch {
    /// Octets not yet written.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Nothing is left to write.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.copied.clear();
        self.shared.clear();
        self.done = 0;
        self.length = 0;
        self.open_body = 0;
    }

    /// Appends a copy.
    pub fn push(&mut self, octets: &[u8]) {
        self.copied.extend_from_slice(octets);
        self.length += octets.len();
        self.open_body = 0;
    }

    /// Appends a body: copied when small, shared when large.
    pub fn push_body(&mut self, body: &Bytes) {
        let open_body = self.open_body + body.len();
        if body.len() < SHARE_FROM {
            self.push(body);
        } else {
            self.shared.push_back((self.copied.len(), body.clone()));
            self.length += body.len();
        }
        self.open_body = open_body;
    }

    /// Takes back octets of a SEND that is still open, so that the next output goes out soon;
    /// returns their number. Leaves the minimum length of a chunk.
    pub fn take_back(&mut self) -> usize {
        let most = self.open_body.min(self.length);
        let octets = most.saturating_sub(LEFT_OF_BODY);
        let mut rest = octets;
        while rest > 0 {
            let until = self.shared.back().map_or(0, |(position, _)| *position);
            let copied = (self.copied.len() - until).min(rest);
            self.copied.truncate(self.copied.len() - copied);
            rest -= copied;
            let Some((_, body)) = self.shared.back_mut().filter(|_| rest > 0) else {
                continue;
            };
            let part = body.len().min(rest);
            body.truncate(body.len() - part);
            rest -= part;
            if body.is_empty() {
                self.shared.pop_back();
            }
        }
        self.length -= octets;
        self.open_body -= octets;
        octets
    }

    /// Lets `write` append to the copied octets.
    pub fn extend_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.copied.len();
        write(&mut self.copied);
        self.length += self.copied.len() - before;
        self.open_body = 0;
    }

    /// The only part, if there is just one: saves the vectored write.
    pub fn single(&self) -> Option<&[u8]> {
        self.shared
            .is_empty()
            .then(|| self.copied.get(self.done..).unwrap_or_default())
    }

    /// Fills `slices` with the first parts; returns their number.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut parts = self.parts();
        let mut count = 0;
        while count < slices.len() {
            let Some(part) = parts.next() else { break };
            slices[count] = IoSlice::new(part.octets());
            count += 1;
        }
        count
    }

    /// Records that the first `count` octets are written.
    pub fn advance(&mut self, mut count: usize) {
        count = count.min(self.length);
        self.length -= count;
        while count > 0 {
            let until = self
                .shared
                .front()
                .map_or(self.copied.len(), |(position, _)| *position);
            let own = until.saturating_sub(self.done).min(count);
            self.done += own;
            count -= own;
            if count == 0 {
                break;
            }
            let Some((_, body)) = self.shared.front_mut() else {
                break;
            };
            let part = body.len().min(count);
            bytes::Buf::advance(body, part);
            count -= part;
            if body.is_empty() {
                self.shared.pop_front();
            }
        }
    }

    /// The unwritten octets, in memory of their own and no larger than needed.
    pub fn remainder(&mut self) -> Batch {
        let copied = self.copied.get(self.done..).unwrap_or_default().to_vec();
        let shared = self
            .shared
            .drain(..)
            .map(|(position, body)| (position - self.done, body))
            .collect();
        let rest = Batch {
            copied,
            done: 0,
            shared,
            length: self.length,
            open_body: self.open_body,
        };
        self.clear();
        rest
    }

    /// The unwritten octets in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.length);
        for part in self.parts() {
            all.extend_from_slice(part.octets());
        }
        all
    }

    /// The unwritten octets in parts; none is empty.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        Parts {
            batch: self,
            at: self.done,
            next: 0,
        }
    }

    /// Appends some octets of another batch's part.
    pub fn push_part(&mut self, part: &Part<'_>, range: Range<usize>) {
        match part {
            Part::Shared(body) => self.push_body(&body.slice(range)),
            Part::Copied(octets) => self.push(octets.get(range).unwrap_or_default()),
        }
        self.open_body = 0;
    }
}

/// One stretch of a batch.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Octets in the batch's own memory.
    Copied(&'a [u8]),
    /// A body shared with others.
    Shared(&'a Bytes),
}

impl<'a> Part<'a> {
    /// The octets.
    pub fn octets(&self) -> &'a [u8] {
        match self {
            Self::Copied(octets) => octets,
            Self::Shared(body) => body,
        }
    }
}

/// The parts of a batch in order, none empty.
struct Parts<'a> {
    batch: &'a Batch,
    at: usize,
    next: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let shared = self.batch.shared.get(self.next);
        let until = shared.map_or(self.batch.copied.len(), |(position, _)| *position);
        if self.at < until {
            let part = self.batch.copied.get(self.at..until);
            self.at = until;
            return part.map(Part::Copied);
        }
        self.next += 1;
        shared.map(|(_, body)| Part::Shared(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces() -> impl Strategy<Value = Vec<(bool, usize)>> {
        prop::collection::vec((any::<bool>(), 0usize..9000), 0..8)
    }

    fn build(pieces: &[(bool, usize)]) -> (Batch, Vec<u8>) {
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        for (number, &(body, length)) in pieces.iter().enumerate() {
            let octets = vec![b'a' + number as u8; length];
            all.extend_from_slice(&octets);
            if body {
                batch.push_body(&Bytes::from(octets));
            } else {
                batch.push(&octets);
            }
        }
        (batch, all)
    }

    proptest! {
        #[test]
        fn any_sequence_of_short_writes_gives_every_octet_once(
            pieces in pieces(), writes in prop::collection::vec(1usize..7000, 1..40),
        ) {
            let (mut batch, mut all) = build(&pieces);
            let mut written = Vec::new();
            for (turn, count) in writes.into_iter().enumerate() {
                let mut slices = [IoSlice::new(&[]); 3];
                let parts = batch.slices(&mut slices);
                let mut left = count;
                for slice in &slices[..parts] {
                    let part = left.min(slice.len());
                    written.extend_from_slice(&slice[..part]);
                    left -= part;
                }
                batch.advance(count - left);
                if turn % 3 == 0 {
                    batch = batch.remainder();
                }
                if turn % 4 == 1 {
                    let octets = batch.take_back();
                    all.truncate(all.len() - octets);
                }
                prop_assert_eq!(batch.len(), all.len() - written.len());
            }
            written.extend_from_slice(&batch.to_vec());
            prop_assert_eq!(written, all);
        }
    }
}
