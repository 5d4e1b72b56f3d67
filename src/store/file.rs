//! The database file: opening, migration, reading, writing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params, params_from_iter,
};
use serde::de::DeserializeOwned;

use super::rows;
use super::schema::{APPLICATION_ID, STATE, STEPS};
use super::{Config, Durability, StoreError};
use crate::focus::record::{Change, HistoryChange, Key, Record};

/// Prepared statements to keep: one per table and kind.
const STATEMENTS: usize = 32;

/// The content found in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// Rooms that management made.
    pub(super) rooms: usize,
    /// Tables with unreadable rows: how many, and the error of one.
    pub(super) unreadable: Vec<(&'static str, usize, String)>,
}

/// An open file.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    connection: Connection,
}

/// Checks a file without changing anything.
pub(super) fn inspect(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        // The user that will write it makes its folder.
        return Ok(());
    }
    let connection = open_to_read(path, super::BUSY)?;
    version(path, &connection).map(|_| ())
}

/// A read-only connection. It fails as long as nobody has made the file.
pub(super) fn open_to_read(path: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| explain(path, error))?;
    connection
        .busy_timeout(busy)
        .map_err(|error| explain(path, error))?;
    Ok(connection)
}

/// The file's schema, if it is ours.
pub(super) fn version(path: &Path, connection: &Connection) -> Result<usize, StoreError> {
    let number = |pragma: &str| {
        connection
            .query_row(pragma, [], |row| row.get::<_, i64>(0))
            .map_err(|error| explain(path, error))
    };
    let application = number("PRAGMA application_id")?;
    let version = usize::try_from(number("PRAGMA user_version")?).unwrap_or(usize::MAX);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application != i64::from(APPLICATION_ID) && (version != 0 || tables != 0) {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if version > STEPS.len() {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: STEPS.len(),
        });
    }
    Ok(version)
}

impl File {
    /// Opens the file, creates it if it is missing, and migrates it.
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let path = config.path.clone();
        let connection = Connection::open(&path).map_err(|error| explain(&path, error))?;
        let mut file = Self { path, connection };
        version(&file.path, &file.connection)?;
        file.prepare(config.durability, config.busy)
            .map_err(|error| explain(&file.path, error))?;
        file.examine()?;
        file.bring_up_to_date()?;
        Ok(file)
    }

    fn prepare(&mut self, durability: Durability, busy: Duration) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.busy_timeout(busy)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::Normal => "NORMAL",
            Durability::Full => "FULL",
        };
        connection.pragma_update(None, "synchronous", synchronous)
    }

    /// Checks every page.
    fn examine(&self) -> Result<(), StoreError> {
        let said: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| explain(&self.path, error))?;
        match said.as_str() {
            "ok" => Ok(()),
            _ => Err(StoreError::Damaged {
                path: self.path.clone(),
                detail: said,
            }),
        }
    }

    fn bring_up_to_date(&mut self) -> Result<(), StoreError> {
        let steps = |transaction: &Transaction<'_>, from: usize| {
            for step in STEPS.iter().skip(from) {
                transaction.execute_batch(step)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", STEPS.len())
        };
        let from = version(&self.path, &self.connection)?;
        if from == STEPS.len() {
            // Finds out at once whether it can be written.
            return self.transact(|_| Ok(()));
        }
        self.transact(|transaction| steps(transaction, from))
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let result = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                work(&transaction)?;
                transaction.commit()
            });
        result.map_err(|error| explain(&self.path, error))
    }

    /// Writes batches of changes in one commit.
    pub(super) fn commit<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
    ) -> Result<(), StoreError> {
        self.transact(|transaction| {
            changes
                .into_iter()
                .try_for_each(|it| apply(transaction, it))
        })
    }

    /// Replaces the state. Rooms and histories stay, except for these changes to them.
    pub(super) fn replace(
        &mut self,
        everything: &[Change],
        rooms: &[Change],
    ) -> Result<(), StoreError> {
        self.transact(|transaction| {
            for table in STATE {
                transaction.execute(&format!("DELETE FROM {table}"), [])?;
            }
            let all = everything.iter().chain(rooms);
            all.into_iter().try_for_each(|it| apply(transaction, it))
        })
    }

    /// The connection, for queries.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Simulates a disk with room for this many pages.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        let limit = format!("PRAGMA max_page_count = {pages}");
        self.connection
            .query_row(&limit, [], |_| Ok(()))
            .expect("a pragma");
    }

    /// Reads the state. Rooms stay in the file, except for those that run.
    pub(super) fn load(&self) -> Result<Found, StoreError> {
        let mut found = Found::default();
        self.load_all(&mut found)
            .map_err(|error| explain(&self.path, error))?;
        Ok(found)
    }

    fn load_all(&self, found: &mut Found) -> rusqlite::Result<()> {
        let connection = &self.connection;
        found.rooms = connection.query_row("SELECT count(*) FROM rooms", [], |row| row.get(0))?;
        let running = "rooms JOIN conferences ON rooms.uri = conferences.room";
        load_from(connection, "rooms", running, found, Record::Room)?;
        load(connection, "decisions", found, Record::Decisions)?;
        load(connection, "conferences", found, Record::Conference)?;
        load(connection, "participants", found, Record::Participant)?;
        load(connection, "publications", found, Record::Publication)?;
        load(connection, "endpoints", found, Record::Endpoint)?;
        load(connection, "subscriptions", found, Record::Subscription)?;
        load(connection, "held_nicknames", found, Record::HeldNickname)?;
        load(connection, "left_by_bye", found, Record::Departed)?;
        load(connection, "counters", found, Record::LastAnonymous)
    }
}

fn load<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    found: &mut Found,
    record: fn(T) -> Record,
) -> rusqlite::Result<()> {
    load_from(connection, table, table, found, record)
}

fn load_from<T: DeserializeOwned>(
    connection: &Connection,
    table: &'static str,
    source: &str,
    found: &mut Found,
    record: fn(T) -> Record,
) -> rusqlite::Result<()> {
    let query = format!("SELECT {table}.record FROM {source}");
    let mut statement = connection.prepare(&query)?;
    let mut rows = statement.query([])?;
    let (mut unreadable, mut why) = (0, String::new());
    while let Some(row) = rows.next()? {
        match rows::taken(row) {
            Ok(one) => found.records.push(record(one)),
            Err(error) => (unreadable, why) = (unreadable + 1, error.to_string()),
        }
    }
    if unreadable > 0 {
        found.unreadable.push((table, unreadable, why));
    }
    Ok(())
}

fn apply(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Put(record) => {
            let (table, values) = rows::row(record);
            put(transaction, table, values)
        }
        Change::Delete(key) => delete(transaction, key),
        Change::Remember(change) => remember(transaction, change),
    }
}

fn remember(transaction: &Transaction<'_>, change: &HistoryChange) -> rusqlite::Result<()> {
    let room = change.room.as_str();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut statement =
        transaction.prepare_cached("INSERT OR REPLACE INTO history VALUES (?, ?, ?)")?;
    for message in &change.messages {
        statement.execute(params![room, number(message.number), &message.octets[..]])?;
    }
    let mut statement =
        transaction.prepare_cached("DELETE FROM history WHERE room = ? AND number <= ?")?;
    statement.execute(params![room, number(change.gone)])?;
    Ok(())
}

fn put(transaction: &Transaction<'_>, table: &str, values: Vec<Value>) -> rusqlite::Result<()> {
    let places = vec!["?"; values.len()].join(",");
    let statement = format!("INSERT OR REPLACE INTO {table} VALUES ({places})");
    let mut statement = transaction.prepare_cached(&statement)?;
    statement.execute(params_from_iter(values)).map(|_| ())
}

fn delete(transaction: &Transaction<'_>, key: &Key) -> rusqlite::Result<()> {
    for (table, columns, values) in rows::places(key) {
        let found = columns.iter().map(|column| format!("{column} = ?"));
        let found = found.collect::<Vec<_>>().join(" AND ");
        let statement = format!("DELETE FROM {table} WHERE {found}");
        let mut statement = transaction.prepare_cached(&statement)?;
        statement.execute(params_from_iter(values))?;
    }
    Ok(())
}

/// The operator's view of an error of SQLite.
pub(super) fn explain(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(path),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            let mend = super::mend(&path);
            StoreError::ReadOnly { path, mend }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
            path,
            detail: source.to_string(),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked(path),
        _ => StoreError::Other { path, source },
    }
}
