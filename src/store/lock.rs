//! One file, one proxy: a lock beside the database, held as long as the process lives. The database
//! itself cannot carry this lock: closing any descriptor of it would free SQLite's own locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;
use crate::access::{self, Wish};
use crate::retry::retry;

/// How long the process of the last run may take to end.
const LOCK_TIMEOUT: Duration = match cfg!(test) {
    false => Duration::from_secs(3),
    true => Duration::from_millis(100),
};

/// The lock, held.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "freed when it is closed")] File);

impl Lock {
    /// Takes the lock of a database.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        make_folder(database)?;
        let path = path(database);
        let failed = |source| StoreError::Lock {
            path: path.clone(),
            source,
            mend: super::mend(database),
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(database.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Takes the lock, and waits for it if need be.
    pub(super) fn take_with_retry(database: &Path) -> Result<Self, StoreError> {
        retry(LOCK_TIMEOUT, is_locked, || Self::take(database))
    }
}

/// Whether somebody holds the lock; creates no lock file.
pub(super) fn probe(database: &Path) -> Result<(), StoreError> {
    let path = path(database);
    retry(LOCK_TIMEOUT, is_locked, || match File::open(&path) {
        Ok(file) => match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked(database.to_owned())),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        },
        Err(_) => Ok(()),
    })
}

fn is_locked(error: &StoreError) -> bool {
    matches!(error, StoreError::Locked(_))
}

fn path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Creates the last folder of the path if it is missing, for this user alone.
fn make_folder(database: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let Some(folder) = folder(database).filter(|folder| !folder.is_dir()) else {
        return Ok(());
    };
    std::fs::DirBuilder::new()
        .mode(0o750)
        .create(folder)
        .or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })
        .map_err(|source| no_folder(database, folder, source))
}

/// Whether the folder is there.
pub(super) fn has_folder(database: &Path) -> bool {
    folder(database).is_none_or(Path::is_dir)
}

/// Whether the missing folder could be created; does not create it.
pub(super) fn may_make_folder(database: &Path) -> Result<(), StoreError> {
    let Some(folder) = folder(database) else {
        return Ok(());
    };
    let parent = folder.parent().unwrap_or(Path::new("/"));
    let source = match access::obstacle(folder, Wish::Make) {
        Some(_) => io::ErrorKind::PermissionDenied.into(),
        None if parent.is_dir() => return Ok(()),
        None => io::ErrorKind::NotFound.into(),
    };
    Err(no_folder(database, folder, source))
}

fn folder(database: &Path) -> Option<&Path> {
    let folder = database.parent();
    folder.filter(|it| !it.as_os_str().is_empty())
}

fn no_folder(database: &Path, folder: &Path, source: io::Error) -> StoreError {
    let user = access::user();
    StoreError::Folder {
        path: database.to_owned(),
        source,
        mend: format!("install -d -o {user} -m 750 {}", folder.display()),
    }
}
