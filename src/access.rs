//! Explains why this process cannot access a file, in one line an operator can act on.
//!
//! Uses the rights the calling thread has at the moment, so that a start as root can check for the
//! user the proxy will run as.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User, setfsuid};
use rustix::fs::{Access, AtFlags, CWD, accessat};

/// The intended access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Read it, if it is there.
    Read,
    /// Write it (connect to it, if it is a socket), if it is there.
    Write,
    /// Write it, made if need be.
    Make,
}

/// A file or folder whose owner or mode prevents access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    path: PathBuf,
    missing: Right,
    owner: Uid,
    group: Gid,
    mode: u32,
}

/// The right that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Enter,
    Read,
    Write,
    /// Make an entry, in a folder.
    Make,
}

/// The first obstacle on the way to `path`; `None` when no change of owner or mode would help.
pub(crate) fn obstacle(path: &Path, wish: Wish) -> Option<Obstacle> {
    let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
    folders.reverse();
    let closed = folders
        .iter()
        .find_map(|folder| Obstacle::at(folder, Right::Enter));
    if closed.is_some() {
        return closed;
    }
    let parent = folders.last().copied();
    match wish {
        Wish::Read => Obstacle::at(path, Right::Read),
        Wish::Make if !path.exists() => Obstacle::at(parent?, Right::Make),
        Wish::Write | Wish::Make => Obstacle::at(path, Right::Write),
    }
}

/// Name of this thread's file-system user.
pub(crate) fn user() -> String {
    // An id that nobody has changes nothing, and the call returns the present one.
    user_name(setfsuid(Uid::from_raw(u32::MAX)))
}

impl Obstacle {
    fn at(path: &Path, missing: Right) -> Option<Self> {
        let access = match missing {
            Right::Enter => Access::EXEC_OK,
            Right::Read => Access::READ_OK,
            Right::Write => Access::WRITE_OK,
            Right::Make => Access::WRITE_OK | Access::EXEC_OK,
        };
        match accessat(CWD, path, access, AtFlags::EACCESS) {
            Err(rustix::io::Errno::ACCESS) => {}
            // A sandbox may not know the system call; then the file's first use will show the
            // error.
            _ => return None,
        }
        let found: Metadata = fs::metadata(path).ok()?;
        Some(Self {
            path: path.to_owned(),
            missing,
            owner: Uid::from_raw(found.uid()),
            group: Gid::from_raw(found.gid()),
            mode: found.mode(),
        })
    }

    /// The command that removes the obstacle, to be run as root; `files` are the files, in shell
    /// notation, that get a new owner when a file has the wrong one.
    pub(crate) fn command(&self, files: impl fmt::Display) -> String {
        let (path, user) = (self.path.display(), user());
        let own = user_name(self.owner) == user;
        match self.missing {
            Right::Enter => format!("chmod a+x {path}"),
            Right::Read if own => format!("chmod u+r {files}"),
            Right::Write if own => format!("chmod u+rw {files}"),
            Right::Make if own => format!("chmod u+rwx {path}"),
            Right::Read | Right::Write => format!("chown {user} {files}"),
            Right::Make => format!("chown {user} {path}"),
        }
    }

    /// The group whose members have access, if there is one.
    pub(crate) fn open_to_group(&self) -> Option<String> {
        let bits = match self.missing {
            Right::Enter => 0o010,
            Right::Read => 0o040,
            Right::Write => 0o020,
            Right::Make => 0o030,
        };
        let open = self.mode & bits == bits && self.group.as_raw() != 0;
        open.then(|| group_name(self.group))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.missing {
            Right::Enter => "enter",
            Right::Read => "read",
            Right::Write => "write",
            Right::Make => "write into",
        };
        let (path, owner, mode) = (
            self.path.display(),
            user_name(self.owner),
            self.mode & 0o7777,
        );
        let user = user();
        write!(
            f,
            "{path} belongs to {owner} (mode {mode:04o}) and user {user} may not {what} it"
        )
    }
}

fn user_name(id: Uid) -> String {
    let known = User::from_uid(id).ok().flatten();
    known.map_or_else(|| id.to_string(), |user| user.name)
}

fn group_name(id: Gid) -> String {
    let known = Group::from_gid(id).ok().flatten();
    known.map_or_else(|| id.to_string(), |group| group.name)
}
