//! The control socket's file. A process that may write to it can drive the switch.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::chown;

use crate::privileges::Identity;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error("--socket: {0} is there and is no socket")]
    NoSocket(PathBuf),
    #[error("--socket: another process serves {0}")]
    Taken(PathBuf),
    #[error("--socket: {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// The listening socket; its file is removed with it.
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: another process may have put its own socket in the same place.
    file: (u64, u64),
}

/// Makes sure that the path is free; removes a socket that nobody serves any more.
///
/// # Errors
/// It is not free.
pub(crate) fn check(path: &Path) -> Result<(), SocketError> {
    let failed = |error| SocketError::Io {
        path: path.to_owned(),
        error,
    };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

impl ControlSocket {
    /// Listens at `path`, with the owner and the group of `identity`, and with `mode`.
    ///
    /// # Errors
    /// The file cannot be made, or its owner cannot be changed.
    pub(crate) fn bind(path: &Path, mode: u32, identity: &Identity) -> Result<Self, SocketError> {
        Self::try_bind(path, mode, identity).map_err(|error| SocketError::Io {
            path: path.to_owned(),
            error,
        })
    }

    fn try_bind(path: &Path, mode: u32, identity: &Identity) -> io::Result<Self> {
        // Nobody else may connect before owner and permissions are right.
        let before = umask(Mode::S_IRWXG | Mode::S_IRWXO);
        let listener = UnixListener::bind(path);
        umask(before);
        let listener = listener?;
        let made = fs::symlink_metadata(path)?;
        let (owner, group) = (identity.uid(), identity.gid());
        // The unit's filter of system calls has no chown; only root needs to change the owner.
        if (made.uid(), made.gid()) != (owner.as_raw(), group.as_raw()) {
            chown(path, Some(owner), Some(group))?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file: (made.dev(), made.ino()),
        })
    }

    /// The socket itself.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|file| (file.dev(), file.ino()));
        if found.is_ok_and(|file| file == self.file) {
            // Without the right to remove it, it stays, and the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
