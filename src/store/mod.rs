//! State that survives a restart, in one SQLite file: records as rows, changes as commits.
//!
//! One thread writes; everything that has arrived meanwhile becomes one commit. While the file
//! cannot be written, conferences go on in memory and the log gives advice. As soon as it works
//! again, one transaction writes everything anew. The file is never half written: every batch of
//! changes is in it completely or not at all.
//!
//! This folder knows no rule of conferences, and no other folder contains SQL.

mod file;
mod lock;
mod rooms;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::access::{self, Wish};
use crate::focus::record::{Change, Found, Query, Record, Unreadable};
use crate::log::{Level, Line};

use file::File;
use lock::Lock;
use writer::{Shared, Writer};

/// The failures that a commit survives (modparam `db_sync`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process. A power failure may lose the last commits, never the file.
    Normal,
    /// A power failure too: every commit waits for the disk.
    Full,
}

/// The reaction to an unusable file (modparam `db_on_error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Conferences go on in memory.
    Memory,
    /// The proxy does not start; later, newcomers are refused until the file works again.
    Refuse,
}

/// The operator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// The failures that a commit survives.
    pub durability: Durability,
    /// The reaction to an unusable file.
    pub on_error: OnError,
    /// How long another process, such as an operator's shell, may delay a commit: [`BUSY`].
    pub busy: Duration,
}

/// Default of [`Config::busy`]: shorter than the time after which a commit counts as hanging.
pub const BUSY: Duration = Duration::from_secs(1);

/// Why a file cannot be used; each text contains advice.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder is not there and cannot be made.
    #[error("{path}: no such folder ({source}): {mend}, or set db_path")]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// The command that makes it.
        mend: String,
    },
    /// Another process uses the file.
    #[error(
        "{0}: another process uses this database; two proxies must not share one: give each its own db_path, or end the other"
    )]
    Locked(PathBuf),
    /// The lock beside the file cannot be taken.
    #[error("{path}: cannot lock ({source}); {mend}")]
    Lock {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// Advice to the operator.
        mend: String,
    },
    /// A database of something else.
    #[error("{0}: a database, but not of msrp_conference; set db_path to another file")]
    Foreign(PathBuf),
    /// Written by a later release.
    #[error(
        "{path}: written by a later release (schema {found}, this one knows {known}); install that release, or move the file away to start empty"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The last schema known here.
        known: usize,
    },
    /// Damaged.
    #[error(
        "{path}: damaged ({detail}); move it away to start empty, or recover it with sqlite3 .recover"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's finding.
        detail: String,
    },
    /// The disk is full.
    #[error("{0}: the disk is full; make room")]
    Full(PathBuf),
    /// The file or its folder cannot be written.
    #[error("{path}: not writable; {mend}")]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// Advice to the operator.
        mend: String,
    },
    /// Anything else.
    #[error("{path}: {source}")]
    Other {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// No thread could be started.
    #[error("no thread for the database: {0}")]
    Thread(std::io::Error),
}

/// Checks whether the file can be used, as far as possible without changing anything: before the
/// proxy forks, with the rights of the user it will run as. Nothing stays open.
///
/// # Errors
/// It cannot be used.
pub fn check(config: &Config) -> Result<(), StoreError> {
    lock::probe(&config.path)?;
    file::inspect(&config.path)?;
    if !lock::has_folder(&config.path) {
        return lock::may_make_folder(&config.path);
    }
    match obstacle(&config.path) {
        Some(mend) => Err(StoreError::ReadOnly {
            path: config.path.clone(),
            mend,
        }),
        None => Ok(()),
    }
}

/// Owner of the file that is in the way, and the command that repairs it.
fn obstacle(database: &Path) -> Option<String> {
    let beside = |suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    // The database, our lock, and SQLite's own files, which a crash leaves behind.
    let mut files = ["", ".lock", "-wal", "-shm"].map(beside).into_iter();
    let found = files.find_map(|file| access::obstacle(&file, Wish::Make))?;
    // A run as the wrong user leaves all of them behind.
    let all = format!("{}*", database.display());
    Some(format!("{found}: {}", found.command(all)))
}

/// Advice about a database that cannot be written.
fn mend(database: &Path) -> String {
    obstacle(database).unwrap_or_else(|| {
        let user = access::user();
        format!("give the file and its folder to the user the proxy runs as ({user})")
    })
}

/// The running store, and the state found in it.
pub struct Opened {
    /// Takes changes.
    pub store: Store,
    /// Number of rooms that management made; they are read when they are needed.
    pub rooms: usize,
    /// The running state, and the stored data of rooms that run or are configured.
    pub records: Vec<Record>,
}

/// Opens the file and starts its thread. `log` takes lines, and `wake` is called after lines and
/// commits. With [`OnError::Memory`] an unusable file is logged and retried later.
///
/// # Errors
/// The file cannot be used and the operator chose to refuse, or there is no thread.
pub fn open(
    config: Config,
    log: Sender<Line>,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> Result<Opened, StoreError> {
    let (lock, file, found) = match open_file(&config) {
        Usable::Yes(lock, file, found) => (Some(lock), Some(file), found),
        Usable::No(_, error) if config.on_error == OnError::Refuse => return Err(error),
        Usable::No(lock, error) => {
            let until = match lock {
                Some(_) => "until then",
                None => "as long as this proxy runs",
            };
            let line = format!("database {error}. Conferences are kept in memory {until}");
            let _ = log.send(Line::new(Level::Error, line));
            (lock, None, file::Found::default())
        }
    };
    for (table, rows, why) in &found.unreadable {
        let line = format!(
            "database {}: {rows} rows of {table} cannot be read and are passed over ({why})",
            config.path.display(),
        );
        let _ = log.send(Line::new(Level::Error, line));
    }
    let shared = Arc::new(Shared::new(file.is_some()));
    let (path, refuses) = (config.path.clone(), config.on_error == OnError::Refuse);
    let writer = Writer::start(config, lock, file, Arc::clone(&shared), log.clone(), wake)
        .map_err(StoreError::Thread)?;
    let store = Store {
        shared,
        writer,
        given: 0,
        path,
        refuses,
        log,
        unanswered: VecDeque::new(),
    };
    Ok(Opened {
        store,
        rooms: found.rooms,
        records: found.records,
    })
}

enum Usable {
    Yes(Lock, File, file::Found),
    No(Option<Lock>, StoreError),
}

fn open_file(config: &Config) -> Usable {
    let lock = match Lock::take_with_retry(&config.path) {
        Ok(lock) => lock,
        Err(error) => return Usable::No(None, error),
    };
    let opened = File::open(config).and_then(|file| {
        let found = file.load()?;
        Ok((file, found))
    });
    match opened {
        Ok((file, found)) => Usable::Yes(lock, file, found),
        Err(error) => Usable::No(Some(lock), error),
    }
}

/// Number of a batch of changes, in the order given.
pub type Ticket = u64;

/// Takes changes and reports which are safe.
pub struct Store {
    shared: Arc<Shared>,
    writer: Writer,
    given: Ticket,
    path: PathBuf,
    refuses: bool,
    log: Sender<Line>,
    /// Answers to queries that the thread cannot take now.
    unanswered: VecDeque<Found>,
}

impl Store {
    /// Takes a batch of changes, to be stored all or none; never waits.
    pub fn write(&mut self, changes: Vec<Change>) -> Ticket {
        self.shared.note(&changes);
        self.given += 1;
        if !self.writer.write(self.given, changes) {
            self.say_hanging("cannot keep up with what is to be written");
        }
        self.given
    }

    /// Queries the store; never waits. The answer comes by [`Store::found`].
    pub fn ask(&mut self, query: Query) {
        if !self.writer.ask(query.clone()) {
            let answer = Err(Unreadable);
            self.unanswered.push_back(Found { query, answer });
        }
    }

    /// The next answer.
    pub fn found(&mut self) -> Option<Found> {
        self.unanswered.pop_front().or_else(|| self.writer.found())
    }

    /// The latest batch that nobody needs to wait for: it is stored, or cannot be for now.
    pub fn settled(&self) -> Ticket {
        match self.shared.is_safe() {
            true => self.shared.settled(),
            false => self.given,
        }
    }

    /// Gives up a commit that has not returned for too long: it counts as failed. Changes until it
    /// returns are not queued; the store then needs a complete rewrite.
    pub fn give_up(&mut self) {
        if self.writer.give_up() {
            self.say_hanging("does not return from a commit (a disk or network that hangs?)");
        }
    }

    fn say_hanging(&self, what: &str) {
        let until = match self.refuses {
            true => "nobody new is let in (db_on_error)",
            false => "conferences are kept in memory, and a crash would lose what changes",
        };
        let path = self.path.display();
        let line = format!("database {path}: {what}. Until it does, {until}");
        let _ = self.log.send(Line::new(Level::Error, line));
    }

    /// Whether newcomers are refused because nothing can be stored (modparam `db_on_error`).
    pub fn refuses(&self) -> bool {
        self.refuses && !self.shared.is_safe()
    }

    /// Whether the file works again and lacks changes: call [`Store::rewrite`].
    pub fn wants_everything(&self) -> bool {
        self.shared.wants_everything()
    }

    /// Replaces the content of the file by this complete state.
    pub fn rewrite(&mut self, everything: Vec<Change>) -> Ticket {
        self.given += 1;
        if !self.writer.rewrite(self.given, everything) {
            self.say_hanging("cannot keep up with what is to be written");
        }
        self.given
    }

    /// Whether everything settled is really in the file.
    pub fn is_safe(&self) -> bool {
        self.shared.is_safe()
    }

    /// Writes the remaining changes and closes the file, within a second.
    pub fn stop(self) {
        self.writer.stop();
    }
}
