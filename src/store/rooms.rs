//! Rooms that management made, and the histories of rooms, looked up in the file when somebody
//! asks for one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::cell::Taken;
use super::file::open_to_read;
use super::rows::Stored;
use super::writer::Shared;
use crate::control::{HISTORY_OCTETS, PastMessage, RoomUri};
use crate::focus::{RoomEntry, Rooms};

/// The latest first.
const LAST_MESSAGES: &str =
    "SELECT number, message FROM history WHERE room = ? ORDER BY number DESC LIMIT ?";

/// A connection that only reads, and what is not in the file yet.
pub(super) struct StoredRooms {
    path: PathBuf,
    shared: Arc<Shared>,
    /// Opened at the first question; the focus asks from one thread alone.
    connection: RefCell<Option<Connection>>,
}

impl StoredRooms {
    pub(super) fn new(path: PathBuf, shared: Arc<Shared>) -> Self {
        Self {
            path,
            shared,
            connection: RefCell::default(),
        }
    }

    /// Asks the file; `None` when it cannot be read: such rooms are not there then.
    fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let mut slot = self.connection.borrow_mut();
        if slot.is_none() {
            *slot = open_to_read(&self.path, super::BUSY).ok();
        }
        let answer = question(slot.as_ref()?);
        if answer.is_err() {
            // The file may be another one by now.
            *slot = None;
        }
        answer.ok()
    }

    fn page_in_file(&self, offset: usize, limit: usize) -> Vec<RoomEntry> {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.ask(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM rooms ORDER BY uri LIMIT ? OFFSET ?")?;
            let rows = statement.query_map(params![number(limit), number(offset)], |row| {
                RoomEntry::taken(&mut Taken::from(row))
            })?;
            Ok(rows.flatten().collect())
        })
        .unwrap_or_default()
    }
}

fn in_file(connection: &Connection, room: &RoomUri) -> rusqlite::Result<Option<RoomEntry>> {
    connection
        .prepare_cached("SELECT * FROM rooms WHERE uri = ?")?
        .query_row([room.as_str()], |row| {
            RoomEntry::taken(&mut Taken::from(row))
        })
        .optional()
}

impl Rooms for StoredRooms {
    fn find(&self, room: &RoomUri) -> Option<RoomEntry> {
        if let Some(entry) = self.shared.unwritten().get(room) {
            return entry.clone();
        }
        self.ask(|connection| in_file(connection, room)).flatten()
    }

    fn keep(&mut self, entry: &RoomEntry) {
        let mut unwritten = self.shared.unwritten();
        unwritten.insert(entry.uri.clone(), Some(entry.clone()));
    }

    fn forget(&mut self, room: &RoomUri) {
        self.shared.unwritten().insert(room.clone(), None);
    }

    fn page(&self, offset: usize, limit: usize) -> Vec<RoomEntry> {
        let unwritten = self.shared.unwritten().clone();
        if unwritten.is_empty() {
            return self.page_in_file(offset, limit);
        }
        // For the moment of a commit, or as long as the file fails.
        let most = offset.saturating_add(limit).saturating_add(unwritten.len());
        let in_file = self.page_in_file(0, most).into_iter();
        let mut all: BTreeMap<RoomUri, RoomEntry> =
            in_file.map(|entry| (entry.uri.clone(), entry)).collect();
        for (room, entry) in unwritten {
            match entry {
                Some(entry) => all.insert(room, entry),
                None => all.remove(&room),
            };
        }
        all.into_values().skip(offset).take(limit).collect()
    }

    fn count(&self) -> usize {
        // Before the file is asked: what is written in between must not be missed in both.
        let unwritten = self.shared.unwritten().clone();
        let count = |connection: &Connection| {
            let one_state = connection.unchecked_transaction()?;
            let mut count: usize =
                one_state.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0))?;
            for (room, entry) in &unwritten {
                match (entry.is_some(), in_file(&one_state, room)?.is_some()) {
                    (true, false) => count += 1,
                    (false, true) => count -= 1,
                    _ => {}
                }
            }
            Ok(count)
        };
        self.ask(count)
            .unwrap_or_else(|| unwritten.values().flatten().count())
    }

    fn history(&self, room: &RoomUri, most: u16) -> Vec<PastMessage> {
        if self.shared.forgotten().contains(room) {
            return Vec::new();
        }
        let last = |connection: &Connection| {
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
        };
        self.ask(last).unwrap_or_default()
    }

    fn forget_history(&mut self, room: &RoomUri) {
        // While the file fails nothing is written, and nothing need be deleted then.
        if self.shared.is_safe() || !self.history(room, 1).is_empty() {
            self.shared.forgotten().insert(room.clone());
        }
    }
}
