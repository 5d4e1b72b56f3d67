//! Copies of large messages, one receiver's each: SENDs that stay open while more comes and
//! are interrupted when something else waits for the connection (RFC 4975 §7.1.1).
//!
//! A chunk costs some clients the session, so a SEND is interrupted only when it must be: for
//! responses, reports and small messages that wait (C21), and for other large messages after
//! a fair share (C22). One is begun again when 2,048 octets or the end have come (C23).

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, StreamKey};
use crate::switch::out::batch::Batch;
use crate::switch::out::copy_writer::{self, LEAST_CHUNK, Turn};
use crate::wire::msrp::Flag;

/// What large messages may add to one batch, and what one of several may write before the
/// next has its turn.
const SHARE: usize = 64 * 1024;

impl Switch {
    /// Something else waits for a connection: its open SEND, if any, is interrupted as soon
    /// as RFC 4975 §7.1.1 lets it be (C21).
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

    /// Gives the large messages of a connection their turns; says whether there is more.
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
                // It stays open for what comes next.
                Turn::Waits | Turn::More if !others || self.uninterrupted(id).is_some() => break,
                Turn::Waits | Turn::More => self.close_open(id, Flag::More, batch),
            }
        }
        self.next_copy(id).is_some()
    }

    pub(in crate::switch) fn open(&self, id: ConnectionId) -> Option<(SessionKey, StreamKey)> {
        self.connections.get(id)?.open
    }

    /// Whose turn it is (C22), and whether others wait for theirs.
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
            // What is whole is soon over: that saves its receiver a chunk.
            Some(&same) if whole(same) => return Some((same, false)),
            _ => {}
        }
        let place = last.map_or(0, |place| (place + 1) % ready.len());
        let next = *ready.get(place)?;
        Some((next, ready.len() > 1 && !whole(next)))
    }

    /// Writes up to `most` octets of one copy; ends it where it ends.
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

    /// Octets of the open SEND that were in a batch were not written after all.
    pub fn taken_back(&mut self, id: ConnectionId, octets: usize) {
        let Some((key, stream)) = self.open(id) else {
            return;
        };
        let session = self.rooms.session_mut(key);
        if let Some(copy) = session.and_then(|it| it.copy_mut(stream)) {
            copy.sent = copy.sent.saturating_sub(octets as u64);
        }
    }

    /// The receiver gets no more of a message: it is told so, if it got something.
    pub(in crate::switch) fn abort_copy(&mut self, key: SessionKey, stream: StreamKey) {
        let Some(session) = self.rooms.session_mut(key) else {
            return;
        };
        let Some(copy) = session.copy_mut(stream) else {
            return;
        };
        copy.aborted = true;
        if !copy.has_begun() {
            // There is nothing to be told of.
            session.take_copy(stream);
        }
        self.mark_session_dirty(key);
    }

    /// A failure response or report about transaction or message `number`: if that is of a
    /// large message, it stops for this receiver (C30, C31).
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
            // Another session's SEND stands open.
            self.interrupt(id, &mut batch);
        }
        for stream in streams {
            self.streams.leave(stream, key);
            self.abort_copy(key, stream);
            self.write_copy(id, key, stream, 0, &mut batch);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            // What is open on the wire must end before a reply can follow; that end may wait in
            // front of the replies already, from another session.
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
