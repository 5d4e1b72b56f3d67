//! Queries about rooms that management made, its decisions about others, and the histories of
//! rooms. The writing thread answers them, from the file and from changes not yet in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde::de::DeserializeOwned;

use super::StoreError;
use super::file::{open_to_read, version};
use super::rows::{place, taken};
use super::writer::Shared;
use crate::control::{HISTORY_OCTETS, PastMessage, RoomUri};
use crate::focus::RoomEntry;
use crate::focus::record::{Content, Found, Kept, Key, Query, Unreadable};

/// The latest messages first.
const LAST_MESSAGES: &str =
    "SELECT number, message FROM history WHERE room = ? ORDER BY number DESC LIMIT ?";

/// The connection for queries while there is no file that can be written.
#[derive(Default)]
pub(super) struct Reader(Option<Connection>);

impl Reader {
    /// A read-only connection to the file; `None` when it contains nothing of ours.
    fn open(&mut self, path: &Path, busy: Duration) -> Result<Option<&Connection>, Unreadable> {
        if self.0.is_none() {
            // The file does not exist, so it contains nothing.
            if !path.try_exists().map_err(|_| Unreadable)? {
                return Ok(None);
            }
            let connection = open_to_read(path, busy).map_err(|_| Unreadable)?;
            match version(path, &connection) {
                Ok(0) | Err(StoreError::Foreign(_)) => return Ok(None),
                Ok(_) => self.0 = Some(connection),
                Err(_) => return Err(Unreadable),
            }
        }
        Ok(self.0.as_ref())
    }

    /// Closes the connection: the path may lead to another file by now.
    pub(super) fn close(&mut self) {
        self.0 = None;
    }

    /// Answers a query, from the open file if there is one.
    pub(super) fn answer(
        &mut self,
        query: Query,
        open: Option<&Connection>,
        (path, busy): (&Path, Duration),
        shared: &Shared,
    ) -> Found {
        let connection = match open {
            Some(open) => Ok(Some(open)),
            None => self.open(path, busy),
        };
        let unwritten = shared.unwritten().len();
        let found = connection.and_then(|connection| {
            let Some(connection) = connection else {
                return Ok(nothing(&query));
            };
            look_up(&query, unwritten, connection).map_err(|_| Unreadable)
        });
        if found.is_err() {
            self.close();
        }
        let answer = with_unwritten(&query, found, shared);
        Found { query, answer }
    }
}

fn nothing(query: &Query) -> Content {
    match query {
        Query::Room(_) => Content::Room {
            kept: None,
            remembers: false,
        },
        Query::History(..) => Content::History(Vec::new()),
        Query::Page { .. } => Content::Page(Vec::new()),
    }
}

/// Answers from the file. `unwritten` rooms have changes that are not in it, so that a page begins
/// at its start and is cut later.
fn look_up(query: &Query, unwritten: usize, connection: &Connection) -> rusqlite::Result<Content> {
    Ok(match query {
        Query::Room(room) => Content::Room {
            kept: kept(connection, room)?,
            remembers: !last_messages(connection, room, 1)?.is_empty(),
        },
        Query::History(room, most) => Content::History(last_messages(connection, room, *most)?),
        Query::Page { offset, limit } if unwritten == 0 => {
            Content::Page(page(connection, *offset, *limit)?)
        }
        Query::Page { offset, limit } => {
            let most = offset.saturating_add(*limit).saturating_add(unwritten);
            Content::Page(page(connection, 0, most)?)
        }
    })
}

fn kept(connection: &Connection, room: &RoomUri) -> rusqlite::Result<Option<Kept>> {
    if let Some(made) = one(connection, &Key::Room(room.clone()))? {
        return Ok(Some(Kept::Made(made)));
    }
    let decided = one(connection, &Key::Decisions(room.clone()))?;
    Ok(decided.map(Kept::Decided))
}

fn one<T: DeserializeOwned>(connection: &Connection, key: &Key) -> rusqlite::Result<Option<T>> {
    let (table, _, cells) = place(key);
    connection
        .prepare_cached(&format!("SELECT record FROM {table} WHERE uri = ?"))?
        .query_row(params_from_iter(cells), taken)
        .optional()
}

fn page(connection: &Connection, offset: usize, limit: usize) -> rusqlite::Result<Vec<RoomEntry>> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement =
        connection.prepare_cached("SELECT record FROM rooms ORDER BY uri LIMIT ? OFFSET ?")?;
    let rows = statement.query_map(params![number(limit), number(offset)], taken)?;
    // An unreadable row hides no other.
    Ok(rows.flatten().collect())
}

fn last_messages(
    connection: &Connection,
    room: &RoomUri,
    most: u16,
) -> rusqlite::Result<Vec<PastMessage>> {
    let mut statement = connection.prepare_cached(LAST_MESSAGES)?;
    let mut rows = statement.query(params![room.as_str(), most])?;
    let mut messages = Vec::new();
    let mut octets = 0;
    while let Some(row) = rows.next()? {
        let message = row.get_ref(1)?.as_blob()?;
        octets += message.len();
        if octets > HISTORY_OCTETS {
            break;
        }
        messages.push(PastMessage {
            number: row.get(0)?,
            octets: Bytes::copy_from_slice(message),
        });
    }
    messages.reverse();
    Ok(messages)
}

/// Changes not yet in the file take precedence, even where the file cannot be read.
fn with_unwritten(
    query: &Query,
    found: Result<Content, Unreadable>,
    shared: &Shared,
) -> Result<Content, Unreadable> {
    match query {
        Query::Room(room) => {
            let unwritten = shared.unwritten().get(room).cloned();
            let forgotten = shared.forgotten().contains(room);
            let (kept, remembers) = match (unwritten, found) {
                (Some(kept), Ok(Content::Room { remembers, .. })) => (kept, remembers),
                (Some(kept), _) => (kept, false),
                (None, Ok(Content::Room { kept, remembers })) => (kept, remembers),
                (None, other) => return other,
            };
            let remembers = remembers && !forgotten;
            Ok(Content::Room { kept, remembers })
        }
        Query::History(room, _) if shared.forgotten().contains(room) => {
            Ok(Content::History(Vec::new()))
        }
        Query::History(..) => found,
        Query::Page { offset, limit } => {
            let Content::Page(in_file) = found? else {
                return Err(Unreadable);
            };
            let unwritten = shared.unwritten();
            if unwritten.is_empty() {
                return Ok(Content::Page(in_file));
            }
            // During a commit, or as long as the file fails.
            let in_file = in_file.into_iter();
            let mut all: BTreeMap<_, _> = in_file.map(|it| (it.uri.clone(), it)).collect();
            for (room, kept) in unwritten.iter() {
                match kept {
                    Some(Kept::Made(entry)) => all.insert(room.clone(), entry.as_ref().clone()),
                    Some(Kept::Decided(_)) | None => all.remove(room),
                };
            }
            let page = all.into_values().skip(*offset).take(*limit);
            Ok(Content::Page(page.collect()))
        }
    }
}
