//! Copies of large messages, each for one receiver: SENDs that stay open while more arrives, and
//! are interrupted when other output is queued for the connection (RFC 4975 §7.1.1).
//!
//! Some clients drop the session when a message arrives in chunks, so a SEND is interrupted only
//! when necessary: for queued responses, reports and small messages (C21), and for other large
//! messages after a fair share (C22). A further chunk begins when 2,048 octets or the end have
//! arrived (C23).

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, StreamKey};
use crate::switch::out::batch::Batch;
use crate::switch::out::copy_writer::{self, LEAST_CHUNK, Turn};
use crate::wire::msrp::Flag;

/// Limit of octets that large messages add to one batch, and that one of several writes before the
/// next has its turn.
const SHARE: usize = 64 * 1024;

impl Switch {
    /// Other output is queued for a connection: interrupts its open SEND, if any, as soon as RFC
    /// 4975 §7.1.1 allows (C21).
    pub(in crate::switch) fn interrupt(&mut self, id: ConnectionId, batch: &mut Batch) {
        let Some((session, stream)) = self.open(id) else {
            return;
        };
        let copy = self.rooms.session(session).and_then(|it| it.copy(stream));
        let written = copy.and_then(|copy| Some(copy.sent - copy.chunk?.1));
        let rest = LEAST_CHUNK.saturating_sub(written.unwrap_or(LEAST_CHUNK));
        if rest > 0 {
            self.write_copy(id, session, stream, rest as usize, batch);
        }
        self.close_open(id, Flag::More, batch);
    }

    /// Gives the large messages of a connection their turns; returns whether there is more.
    pub(in crate::switch) fn write_streams(&mut self, id: ConnectionId, batch: &mut Batch) -> bool {
        let limit = batch.len() + SHARE;
        while batch.len() < limit {
            let Some((next, others)) = self.next_copy(id) else {
                break;
            };
            if self.open(id).is_some_and(|open| open != next) {
                self.close_open(id, Flag::More, batch);
            }
            let turn = self.write_copy(id, next.0, next.1, SHARE, batch);
            if let Some(connection) = self.connections.get_mut(id) {
                connection.last_stream = Some(next);
            }
            match turn {
                Turn::Over if self.is_held_up(id) => break,
                Turn::Over => continue,
                // The SEND stays open for further octets.
                Turn::Waits | Turn::More if !others || self.uninterrupted(id).is_some() => break,
                Turn::Waits | Turn::More => self.close_open(id, Flag::More, batch),
            }
        }
        self.next_copy(id).is_some()
    }

    pub(in crate::switch) fn open(&self, id: ConnectionId) -> Option<(SessionKey, StreamKey)> {
        self.connections.get(id)?.open
    }

    /// The copy whose turn it is (C22), and whether others wait.
    fn next_copy(&self, id: ConnectionId) -> Option<((SessionKey, StreamKey), bool)> {
        let connection = self.connections.get(id)?;
        let ready: Vec<_> = connection
            .sessions
            .iter()
            .filter_map(|key| Some((*key, self.rooms.session(*key)?)))
            .filter(|(_, session)| session.is_ready())
            .flat_map(|(key, session)| {
                let least = self.least(session);
                let copies = session.copies.get().into_iter().flatten();
                let copies = copies.map(move |copy| (key, copy));
                copies.filter(move |(_, it)| {
                    copy_writer::is_ready(it, self.streams.get(it.stream), least)
                })
            })
            .map(|(key, copy)| (key, copy.stream))
            .collect();
        if let Some(open) = self.uninterrupted(id) {
            return ready.contains(&open).then_some((open, false));
        }
        let last = connection.last_stream;
        let last = ready.iter().position(|it| Some(*it) == last);
        let whole = |(_, stream): (SessionKey, StreamKey)| {
            let stream = self.streams.get(stream);
            stream.is_none_or(|stream| stream.whole)
        };
        match last.and_then(|place| ready.get(place)) {
            // A complete message is soon written: this saves its receiver a chunk.
            Some(&same) if whole(same) => return Some((same, false)),
            _ => {}
        }
        let place = last.map_or(0, |place| (place + 1) % ready.len());
        let next = *ready.get(place)?;
        Some((next, ready.len() > 1 && !whole(next)))
    }

    /// Writes up to `most` octets of one copy, and its end once reached.
    fn write_copy(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        stream_key: StreamKey,
        most: usize,
        batch: &mut Batch,
    ) -> Turn {
        let Some(session) = self.rooms.session_mut(key) else {
            return Turn::Over;
        };
        let Some(mut copy) = session.take_copy(stream_key) else {
            return Turn::Over;
        };
        let stream = self.streams.get(stream_key);
        let is_there =
            stream.is_some_and(|it| !copy.aborted && it.buffer.end() <= session.max_size);
        let turn = copy_writer::write(&mut copy, session, stream, most, batch);
        self.totals.messages_out += u64::from(is_there && turn == Turn::Over);
        let open = copy.chunk.is_some();
        if turn != Turn::Over {
            session.put_copy(copy);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.open = open.then_some((key, stream_key));
        }
        if turn == Turn::Over {
            self.streams.leave(stream_key, key);
        }
        self.streams.touch(stream_key);
        turn
    }

    /// Writes the end-line of the open SEND.
    fn close_open(&mut self, id: ConnectionId, flag: Flag, batch: &mut Batch) {
        let connection = self.connections.get_mut(id);
        let Some((key, stream)) = connection.and_then(|it| it.open.take()) else {
            return;
        };
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        if let Some(mut copy) = session.take_copy(stream) {
            copy_writer::end(&mut copy, session, flag, batch);
            session.put_copy(copy);
        }
    }

    /// Octets of the open SEND in a batch were not written after all.
    pub fn taken_back(&mut self, id: ConnectionId, octets: usize) {
        let Some((key, stream)) = self.open(id) else {
            return;
        };
        let session = self.rooms.session_mut(key);
        if let Some(copy) = session.and_then(|it| it.copy_mut(stream)) {
            copy.sent = copy.sent.saturating_sub(octets as u64);
        }
    }

    /// Ends a copy before its message is complete. The receiver gets the end if it has any part.
    pub(in crate::switch) fn abort_copy(&mut self, key: SessionKey, stream: StreamKey) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let Some(copy) = session.copy_mut(stream) else {
            return;
        };
        copy.aborted = true;
        if !copy.has_begun() {
            // The receiver has no part of it.
            session.take_copy(stream);
        }
        self.mark_session_dirty(key);
    }

    /// Handles a failure response or report about transaction or message `number`. If it concerns a
    /// large message, the copy for this receiver stops (C30, C31).
    pub(in crate::switch) fn stop_copy(&mut self, key: SessionKey, number: u64) {
        let session = self.rooms.session(key);
        let mut copies = session.and_then(|it| it.copies.get()).into_iter().flatten();
        let stream = copies.find(|copy| copy.is_about(number));
        if let Some(stream) = stream.map(|copy| copy.stream) {
            self.streams.leave(stream, key);
            self.abort_copy(key, stream);
        }
    }

    /// A session ends or moves: its copies end before anything else is written.
    pub(in crate::switch) fn end_copies(&mut self, key: SessionKey) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let Some(id) = session.connection else {
            return;
        };
        let copies = session.copies.get().into_iter().flatten();
        let streams: Vec<_> = copies.map(|copy| copy.stream).collect();
        if streams.is_empty() {
            return;
        }
        let mut batch = Batch::default();
        let open = self.open(id).is_some();
        self.abort_open_first(id, key, &mut batch);
        if self.open(id).is_some() {
            // A SEND of another session is open.
            self.interrupt(id, &mut batch);
        }
        for stream in streams {
            self.streams.leave(stream, key);
            self.abort_copy(key, stream);
            self.write_copy(id, key, stream, 0, &mut batch);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            // The SEND that is open on the wire must end before a reply can follow. Its end may
            // already be queued before the replies, from another session.
            let at = if open { 0 } else { connection.replies.len() };
            connection.replies.splice(at..at, batch.to_vec());
        }
        self.connections.mark_dirty(id);
    }

    fn abort_open_first(&mut self, id: ConnectionId, key: SessionKey, batch: &mut Batch) {
        if let Some((open, stream)) = self.open(id)
            && open == key
        {
            self.streams.leave(stream, key);
            self.abort_copy(key, stream);
            self.write_copy(id, key, stream, 0, batch);
        }
    }
}
