//! Writes the copy of a large message for one receiver, as SENDs that stay open while more arrives.

use crate::switch::message::plain_text;
use crate::switch::out::batch::Batch;
use crate::switch::out::stream::Stream;
use crate::switch::room::large_copy::LargeCopy;
use crate::switch::room::session::Session;
use crate::wire::cpim::MESSAGE_CPIM;
use crate::wire::msrp::{Flag, TransactionId, end_line_after_body};

/// RFC 4975 §7.1.1: chunks other than the last are at least this long, and longer chunks are
/// interruptible.
pub(in crate::switch) const LEAST_CHUNK: u64 = 2048;
/// Number of a copy's recent chunks whose responses are recognised.
const RECENT_CHUNKS: usize = 16;

/// The outcome of a copy's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Turn {
    /// The copy is finished.
    Over,
    /// All octets received are written; its SEND may be open.
    Waits,
    /// More remains after its share.
    More,
}

/// Whether there is enough of a message to write.
pub(in crate::switch) fn is_ready(copy: &LargeCopy, stream: Option<&Stream>, least: u64) -> bool {
    let Some(stream) = stream else {
        return copy.aborted;
    };
    let waiting = stream.buffer.end().saturating_sub(copy.sent);
    copy.aborted || stream.whole || waiting >= least || (copy.chunk.is_some() && waiting > 0)
}

/// Writes up to `most` octets of a copy, and its end once reached.
pub(in crate::switch) fn write(
    copy: &mut LargeCopy,
    session: &mut Session,
    stream: Option<&Stream>,
    most: usize,
    batch: &mut Batch,
) -> Turn {
    let max_size = session.max_size;
    if let Some(stream) = stream.filter(|it| !copy.aborted && it.buffer.end() <= max_size) {
        return write_body(copy, session, stream, most, batch);
    }
    if copy.has_begun() {
        begin(copy, session, batch);
        end(copy, session, Flag::Abort, batch);
    }
    Turn::Over
}

fn write_body(
    copy: &mut LargeCopy,
    session: &mut Session,
    stream: &Stream,
    most: usize,
    batch: &mut Batch,
) -> Turn {
    let (buffer, mut left) = (&stream.buffer, most);
    while left > 0
        && let Some(octets) = buffer.slice(copy.sent, left)
    {
        let id = begin(copy, session, batch);
        let from = copy.chunk.map_or(copy.sent, |(_, from)| from);
        let free = buffer.free_of_end_line(from, copy.sent, &octets, &id);
        batch.push_body(&octets.slice(..free));
        copy.sent += free as u64;
        left -= free.min(left);
        if free < octets.len() {
            // C04: our own end-line would stand in the body.
            end(copy, session, Flag::More, batch);
        }
    }
    if copy.sent < buffer.end() {
        return Turn::More;
    }
    if !stream.whole {
        return Turn::Waits;
    }
    begin(copy, session, batch);
    end(copy, session, Flag::Last, batch);
    Turn::Over
}

/// Begins a SEND unless one is open.
fn begin(copy: &mut LargeCopy, session: &mut Session, batch: &mut Batch) -> TransactionId {
    if let Some((number, _)) = copy.chunk {
        return session.ids.id(number);
    }
    let (number, id) = session.ids.next_id();
    copy.chunk = Some((number, copy.sent));
    copy.recent.push_back(number);
    if copy.recent.len() > RECENT_CHUNKS {
        copy.recent.pop_front();
    }
    let message = session.ids.id(copy.message);
    let start = copy.place(copy.sent) + 1;
    let total = copy.announced.map(|total| copy.place(total));
    let total = total.map_or("*".to_owned(), |it| it.to_string());
    let (opening, media) = match &copy.text {
        Some((opening, _)) if start == 1 => (&**opening, plain_text::WRITTEN),
        Some(_) => ("", plain_text::WRITTEN),
        None => ("", MESSAGE_CPIM),
    };
    batch.extend_with(|out| {
        session.write_head(&id, &message, out);
        let headers = format!(
            "Byte-Range: {start}-*/{total}\r\nFailure-Report: partial\r\n\
             Content-Type: {media}\r\n\r\n{opening}"
        );
        out.extend_from_slice(headers.as_bytes());
    });
    id
}

/// Writes the end-line of the open SEND.
pub(in crate::switch) fn end(
    copy: &mut LargeCopy,
    session: &Session,
    flag: Flag,
    batch: &mut Batch,
) {
    if let Some((number, _)) = copy.chunk.take() {
        let id = session.ids.id(number);
        batch.extend_with(|out| end_line_after_body(out, &id, flag));
    }
}
