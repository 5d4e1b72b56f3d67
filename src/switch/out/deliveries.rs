//! Copies of a room's messages for one receiver: the path of every delivery.

use std::sync::Arc;
use std::time::Duration;

use crate::time::Moment;
use crate::wire::cpim::MESSAGE_CPIM;
use crate::wire::msrp::{
    FailureReport, Flag, TransactionId, contains_end_line, end_line_after_body,
};

use crate::switch::ids::{ConnectionId, SessionKey};
use crate::switch::message::copy_headers::headers;
use crate::switch::message::entry::Entry;
use crate::switch::message::plain_text::{self, Text};
use crate::switch::out::batch::Batch;
use crate::switch::room::Room;
use crate::switch::room::log::Log;
use crate::switch::room::session::Session;
use crate::switch::room::status_text;

/// Time from the answer to a probe until the next probe. RFC 7701 §6.3 leaves the report model of
/// the copies to the switch. Most copies ask for failure responses only (`partial`), which saves a
/// response per delivery. A probe is a copy that asks for its 200, to detect a peer that accepts
/// everything and processes nothing (see `liveness`).
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// The result of writing to one receiver.
#[derive(Debug, Default)]
pub(in crate::switch) struct Drained {
    /// Copies written.
    pub(in crate::switch) copies: u64,
    /// The batch is full and there is more.
    pub(in crate::switch) more: bool,
    /// A probe was sent on this connection.
    pub(in crate::switch) probed: Option<ConnectionId>,
    /// It has left its room, and its output is written.
    pub(in crate::switch) left: bool,
}

/// Writes the pending messages of a session, until the batch holds `limit`.
pub(in crate::switch) fn drain_member(
    room: &mut Room,
    key: SessionKey,
    now: Moment,
    limit: usize,
    congested_above: u64,
    batch: &mut Batch,
) -> Drained {
    let session = room.sessions.get_mut(key.seat);
    let Some(session) = session.filter(|session| session.is_ready()) else {
        return Drained::default();
    };
    let mut nothing = Log::default();
    let log = match session.leaving {
        true => &mut nothing,
        false => &mut room.log,
    };
    let mut drained = drain(session, log, now, limit, congested_above, batch);
    if !session.leaving && session.position == log.end() && std::mem::take(&mut session.straggles) {
        room.held.stragglers -= 1;
    }
    drained.left = session.leaving && !session.lingers && session.own.is_empty();
    drained
}

/// Whether a session has output other than large messages.
pub(in crate::switch) fn some_wait(room: &mut Room, key: SessionKey) -> bool {
    let session = room.sessions.get_mut(key.seat);
    session.filter(|it| it.is_ready()).is_some_and(|session| {
        session.lost > 0
            || session.status.is_some()
            || !session.own.is_empty()
            || (!session.leaving && waits(session, &mut room.log))
    })
}

/// Writes copies of the session's pending messages, until the batch holds `limit`.
fn drain(
    session: &mut Session,
    log: &mut Log,
    now: Moment,
    limit: usize,
    congested_above: u64,
    batch: &mut Batch,
) -> Drained {
    let mut drained = Drained::default();
    if let Some(entry) = status_text::take(session, now) {
        let text = entry.text.as_deref();
        write(session, &entry, text, now, batch, &mut drained);
    }
    // P21: outdated typing indications are dropped first.
    let congested = log.waiting(session.position) > congested_above;
    loop {
        let own = session.own.next_position();
        let own = own.is_some_and(|at| at <= session.position);
        if !own && session.position >= log.end() {
            break;
        }
        if batch.len() >= limit {
            drained.more = true;
            break;
        }
        if own {
            if let Some(entry) = session.own.pop() {
                write_own(session, &entry, now, batch, &mut drained);
            }
            continue;
        }
        if let Some(entry) = log.get(session.position)
            && entry.is_for(session.said_as)
            && !(congested && entry.composing)
            && session.takes_entry(entry)
        {
            let text = entry.text.as_deref();
            write(session, entry, text, now, batch, &mut drained);
        }
        log.pass(session.position);
        session.position = session.position.next();
    }
    log.trim();
    drained
}

/// Whether a message of the log waits for the session; passes those that are not for it.
fn waits(session: &mut Session, log: &mut Log) -> bool {
    while session.position < log.end() {
        let entry = log.get(session.position);
        let for_it =
            |entry: &Arc<Entry>| entry.is_for(session.said_as) && session.takes_entry(entry);
        if entry.is_some_and(for_it) {
            return true;
        }
        log.pass(session.position);
        session.position = session.position.next();
    }
    log.trim();
    false
}

/// Writes a message of the room's history or a private one, if the session accepts it.
fn write_own(
    session: &mut Session,
    entry: &Entry,
    now: Moment,
    batch: &mut Batch,
    drained: &mut Drained,
) {
    if !session.takes(entry.body.len() as u64, entry.wrapped_type()) {
        return;
    }
    if !session.plain_text || entry.text.is_some() {
        write(session, entry, entry.text.as_deref(), now, batch, drained);
    } else if let Some(text) = plain_text::text_of_past(&entry.body) {
        write(session, entry, Some(&text), now, batch, drained);
    }
}

/// `text`: the message for plain-text clients.
fn write(
    session: &mut Session,
    entry: &Entry,
    text: Option<&Text>,
    now: Moment,
    batch: &mut Batch,
    drained: &mut Drained,
) {
    let (number, id) = fresh_id(session, entry);
    let probe = session.probe.is_none() && session.next_probe <= now;
    if probe {
        session.probe = Some(number);
        drained.probed = session.connection;
    }
    let (written, body, media) = match text.filter(|_| session.plain_text) {
        Some(text) => (&text.headers, &text.body, plain_text::WRITTEN),
        None => (&entry.headers, &entry.body, MESSAGE_CPIM),
    };
    batch.extend_with(|out| {
        session.write_copy_head(&id, out);
        if probe {
            out.extend_from_slice(&headers(body.len(), FailureReport::Yes, media));
        } else {
            out.extend_from_slice(written);
        }
    });
    batch.push_body(body);
    batch.extend_with(|out| end_line_after_body(out, &id, Flag::Last));
    drained.copies += 1;
}

/// A new transaction id whose end-line does not occur in the body (C04).
fn fresh_id(session: &mut Session, entry: &Entry) -> (u64, TransactionId) {
    loop {
        let (number, id) = session.ids.next_id();
        if !entry.hyphens || !contains_end_line(&entry.body, &id) {
            return (number, id);
        }
    }
}

/// Handles the response to a transaction; `true` if it answers the probe.
pub(in crate::switch) fn answered(session: &mut Session, number: u64, now: Moment) -> bool {
    let matches = session.probe == Some(number);
    if matches {
        session.probe = None;
        session.next_probe = now + PROBE_INTERVAL;
    }
    matches
}
