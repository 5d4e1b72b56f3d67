//! Copies of large messages, one receiver's each: SENDs that stay open while more comes and
//! are interrupted when something else waits for the connection (RFC 4975 §7.1.1).
//!
//! A chunk costs some clients the session, so a SEND is interrupted only when it must be: for
//! responses, reports and small messages that wait (C21), and for other large messages after
//! a fair share (C22). One is begun again when 2,048 octets or the end have come (C23).

use std::collections::VecDeque;

use crate::wire::cpim::MESSAGE_CPIM;
use crate::wire::msrp::{Flag, TransactionId, end_line_after_body};

use crate::switch::Switch;
use crate::switch::ids::{ConnectionId, SessionKey, StreamKey};
use crate::switch::message::plain_text;
use crate::switch::out::batch::Batch;
use crate::switch::out::stream::Stream;
use crate::switch::room::session::Session;

/// RFC 4975 §7.1.1: no chunk but the last is smaller, and none above is uninterruptible.
pub(in crate::switch) const LEAST_CHUNK: u64 = 2048;
/// What large messages may add to one batch, and what one of several may write before the
/// next has its turn.
const SHARE: usize = 64 * 1024;
/// Chunks of a copy of which the response is still understood.
const RECENT_CHUNKS: usize = 16;

/// One large message for one receiver.
#[derive(Debug)]
pub(in crate::switch) struct LargeCopy {
    pub(in crate::switch) stream: StreamKey,
    /// Number of its Message-ID, the same for every chunk (C24).
    pub(in crate::switch) message: u64,
    /// The length its sender announced.
    announced: Option<u64>,
    /// Octets of it that are done with.
    pub(in crate::switch) sent: u64,
    /// For who reads plain text: what stands in front, and where the text begins.
    text: Option<(Box<str>, u64)>,
    /// The SEND that is open: number of its transaction, offset of its first octet.
    chunk: Option<(u64, u64)>,
    /// Numbers of the last transactions.
    recent: VecDeque<u64>,
    /// It ends here; the receiver must still be told.
    pub(in crate::switch) aborted: bool,
}

impl LargeCopy {
    /// `text`: for who reads plain text, what stands in front, and where the text begins.
    pub(in crate::switch) fn new(
        stream: StreamKey,
        message: u64,
        announced: Option<u64>,
        text: Option<(Box<str>, u64)>,
    ) -> Self {
        Self {
            stream,
            message,
            announced,
            sent: text.as_ref().map_or(0, |(_, content)| *content),
            text,
            chunk: None,
            recent: VecDeque::new(),
            aborted: false,
        }
    }

    /// Where octet `at` of the message stands in what this receiver gets; the opening stands
    /// at the start.
    fn place(&self, at: u64) -> u64 {
        match &self.text {
            Some((opening, content)) if at > *content => at - content + opening.len() as u64,
            Some(_) => 0,
            None => at,
        }
    }

    /// The receiver has got something of it.
    fn has_begun(&self) -> bool {
        self.place(self.sent) > 0 || self.chunk.is_some()
    }

    /// Whether a transaction or Message-ID of this number is about it.
    fn is_about(&self, number: u64) -> bool {
        self.message == number || self.recent.contains(&number)
    }

    /// Whether there is enough to write.
    fn is_ready(&self, stream: Option<&Stream>, least: u64) -> bool {
        let Some(stream) = stream else {
            return self.aborted;
        };
        let waiting = stream.buffer.end().saturating_sub(self.sent);
        self.aborted || stream.whole || waiting >= least || (self.chunk.is_some() && waiting > 0)
    }

    fn begin(&mut self, session: &mut Parts<'_>, batch: &mut Batch) -> TransactionId {
        if let Some((number, _)) = self.chunk {
            return session.id(number);
        }
        let (number, id) = session.next_id();
        self.chunk = Some((number, self.sent));
        self.recent.push_back(number);
        if self.recent.len() > RECENT_CHUNKS {
            self.recent.pop_front();
        }
        let message = session.id(self.message);
        let start = self.place(self.sent) + 1;
        let total = self.announced.map(|total| self.place(total));
        let total = total.map_or("*".to_owned(), |it| it.to_string());
        let (opening, media) = match &self.text {
            Some((opening, _)) if start == 1 => (&**opening, plain_text::WRITTEN),
            Some(_) => ("", plain_text::WRITTEN),
            None => ("", MESSAGE_CPIM),
        };
        batch.extend_with(|out| {
            session.session.write_head(&id, &message, out);
            let headers = format!(
                "Byte-Range: {start}-*/{total}\r\nFailure-Report: partial\r\n\
                 Content-Type: {media}\r\n\r\n{opening}"
            );
            out.extend_from_slice(headers.as_bytes());
        });
        id
    }

    fn end(&mut self, session: &Parts<'_>, flag: Flag, batch: &mut Batch) {
        if let Some((number, _)) = self.chunk.take() {
            let id = session.id(number);
            batch.extend_with(|out| end_line_after_body(out, &id, flag));
        }
    }
}

/// The session of a copy while the copy is held apart from it.
struct Parts<'a> {
    session: &'a mut Session,
}

impl Parts<'_> {
    fn id(&self, number: u64) -> TransactionId {
        self.session.ids.id(number)
    }
    fn next_id(&mut self) -> (u64, TransactionId) {
        self.session.ids.next_id()
    }
}

/// What became of a copy's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is over.
    Over,
    /// Nothing more has come; its SEND may be open.
    Waits,
    /// There is more than its share.
    More,
}

impl Switch {
    /// Something else waits for a connection: its open SEND, if any, is interrupted as soon
    /// as RFC 4975 §7.1.1 lets it be (C21).
    pub(in crate::switch) fn interrupt(&mut self, id: ConnectionId, batch: &mut Batch) {
        let Some((session, stream)) = self.open(id) else {
            return;
        };
        let copy = self.sessions.get(session).and_then(|it| it.copy(stream));
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
            .filter_map(|key| Some((*key, self.sessions.get(*key)?)))
            .filter(|(_, session)| session.is_ready())
            .flat_map(|(key, session)| {
                let least = self.least(session);
                let copies = session.copies.get().into_iter().flatten();
                let copies = copies.map(move |copy| (key, copy));
                copies.filter(move |(_, it)| it.is_ready(self.streams.get(it.stream), least))
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
        let Some(session) = self.sessions.get_mut(key) else {
            return Turn::Over;
        };
        let Some(mut copy) = session.take_copy(stream_key) else {
            return Turn::Over;
        };
        let max_size = session.max_size;
        let mut parts = Parts { session };
        let stream = self.streams.get(stream_key);
        let turn = match stream.filter(|it| !copy.aborted && it.buffer.end() <= max_size) {
            Some(stream) => {
                let turn = write_body(&mut copy, &mut parts, stream, most, batch);
                self.totals.messages_out += u64::from(turn == Turn::Over);
                turn
            }
            None => {
                if copy.has_begun() {
                    copy.begin(&mut parts, batch);
                    copy.end(&parts, Flag::Abort, batch);
                }
                Turn::Over
            }
        };
        let open = copy.chunk.is_some();
        if turn != Turn::Over {
            session.put_copy(copy);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.open = open.then_some((key, stream_key));
        }
        if turn == Turn::Over {
            self.leave_stream(stream_key, key);
        }
        self.touch(stream_key);
        turn
    }

    /// Writes the end-line of the open SEND.
    fn close_open(&mut self, id: ConnectionId, flag: Flag, batch: &mut Batch) {
        let connection = self.connections.get_mut(id);
        let Some((key, stream)) = connection.and_then(|it| it.open.take()) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if let Some(mut copy) = session.take_copy(stream) {
            copy.end(&Parts { session }, flag, batch);
            session.put_copy(copy);
        }
    }

    /// Octets of the open SEND that were in a batch were not written after all.
    pub fn taken_back(&mut self, id: ConnectionId, octets: usize) {
        let Some((key, stream)) = self.open(id) else {
            return;
        };
        let session = self.sessions.get_mut(key);
        if let Some(copy) = session.and_then(|it| it.copy_mut(stream)) {
            copy.sent = copy.sent.saturating_sub(octets as u64);
        }
    }

    /// The receiver gets no more of a message: it is told so, if it got something.
    pub(in crate::switch) fn abort_copy(&mut self, key: SessionKey, stream: StreamKey) {
        let Some(session) = self.sessions.get_mut(key) else {
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
        let session = self.sessions.get(key);
        let mut copies = session.and_then(|it| it.copies.get()).into_iter().flatten();
        let stream = copies.find(|copy| copy.is_about(number));
        if let Some(stream) = stream.map(|copy| copy.stream) {
            self.leave_stream(stream, key);
            self.abort_copy(key, stream);
        }
    }

    /// A session ends or moves: its copies end before anything else is written.
    pub(in crate::switch) fn end_copies(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
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
            self.leave_stream(stream, key);
            self.abort_copy(key, stream);
            self.write_copy(id, key, stream, 0, &mut batch);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            // What is open on the wire must end before a reply can follow; that end may wait in
            // front of the replies already, from another session.
            let at = if open { 0 } else { connection.replies.len() };
            connection.replies.splice(at..at, batch.to_vec());
        }
        self.mark_dirty(id);
    }

    fn abort_open_first(&mut self, id: ConnectionId, key: SessionKey, batch: &mut Batch) {
        if let Some((open, stream)) = self.open(id)
            && open == key
        {
            self.leave_stream(stream, key);
            self.abort_copy(key, stream);
            self.write_copy(id, key, stream, 0, batch);
        }
    }

    pub(in crate::switch) fn mark_session_dirty(&mut self, key: SessionKey) {
        let session = self.sessions.get(key);
        if let Some(id) = session.and_then(|session| session.connection) {
            self.mark_dirty(id);
        }
    }
}

fn write_body(
    copy: &mut LargeCopy,
    session: &mut Parts<'_>,
    stream: &Stream,
    most: usize,
    batch: &mut Batch,
) -> Turn {
    let mut left = most;
    while left > 0
        && let Some(octets) = stream.buffer.slice(copy.sent, left)
    {
        let id = copy.begin(session, batch);
        let from = copy.chunk.map_or(copy.sent, |(_, from)| from);
        let free = stream
            .buffer
            .free_of_end_line(from, copy.sent, &octets, &id);
        batch.push_body(&octets.slice(..free));
        copy.sent += free as u64;
        left -= free.min(left);
        if free < octets.len() {
            // C04: our own end-line would stand in the body.
            copy.end(session, Flag::More, batch);
        }
    }
    if copy.sent < stream.buffer.end() {
        return Turn::More;
    }
    if !stream.whole {
        return Turn::Waits;
    }
    copy.begin(session, batch);
    copy.end(session, Flag::Last, batch);
    Turn::Over
}
