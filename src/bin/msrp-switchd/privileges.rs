//! The user and group that the process runs as.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, initgroups, setgid, setgroups, setuid};

/// The user and group of the process, and of the control socket.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    user: Option<User>,
    group: Option<Gid>,
}

/// Why the process cannot run as this user and group.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("--{what}: there is no {what} {name:?}")]
    Unknown { what: &'static str, name: String },
    #[error("--user and --group need root at start")]
    NotRoot,
    #[error("cannot become user {user} and group {group}: {error}")]
    Refused { user: Uid, group: Gid, error: Errno },
    #[error("root could be had back")]
    NotDropped,
}

impl Identity {
    /// Looks the names up.
    ///
    /// # Errors
    /// There is no such user or group, or only root could switch to them.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Self, IdentityError> {
        let unknown = |what, name: &str| IdentityError::Unknown {
            what,
            name: name.to_owned(),
        };
        let user = user.map(|name| {
            let found = User::from_name(name).ok().flatten();
            found.ok_or_else(|| unknown("user", name))
        });
        let user = user.transpose()?;
        let group = group.map(|name| {
            let found = Group::from_name(name).ok().flatten();
            found
                .map(|group| group.gid)
                .ok_or_else(|| unknown("group", name))
        });
        let group = group.transpose()?.or(user.as_ref().map(|user| user.gid));
        let identity = Self { user, group };
        let already = identity.uid() == geteuid() && identity.gid() == getegid();
        if !already && !geteuid().is_root() {
            return Err(IdentityError::NotRoot);
        }
        Ok(identity)
    }

    /// The user, in numbers.
    pub(crate) fn uid(&self) -> Uid {
        self.user.as_ref().map_or_else(geteuid, |user| user.uid)
    }

    /// The group, in numbers.
    pub(crate) fn gid(&self) -> Gid {
        self.group.unwrap_or_else(getegid)
    }

    /// Whether it is root.
    pub(crate) fn is_root(&self) -> bool {
        self.uid().is_root()
    }

    /// Switches all threads to them (glibc sees to that), for good.
    ///
    /// # Errors
    /// The kernel refuses, or would allow a return to root.
    pub(crate) fn assume(&self) -> Result<(), IdentityError> {
        if !geteuid().is_root() || (self.user.is_none() && self.group.is_none()) {
            return Ok(());
        }
        let (user, group) = (self.uid(), self.gid());
        self.switch_to(user, group)
            .map_err(|error| IdentityError::Refused { user, group, error })?;
        if !user.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(IdentityError::NotDropped);
        }
        Ok(())
    }

    /// Groups first: a user who is not root may not change them.
    fn switch_to(&self, user: Uid, group: Gid) -> Result<(), Errno> {
        match self
            .user
            .as_ref()
            .map(|user| CString::new(user.name.as_str()))
        {
            Some(Ok(name)) => initgroups(&name, group)?,
            _ => setgroups(&[group])?,
        }
        setgid(group)?;
        setuid(user)
    }
}
