//! The user the proxy will run as. Hosts run our `init` as root and drop their privileges after it,
//! so files are checked with the later rights.

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;

use nix::unistd::{
    Gid, Group, Uid, User, getegid, geteuid, getgrouplist, getgroups, setfsgid, setfsuid, setgroups,
};

use crate::host::{symbols, text};

/// The effect of the host's drop of privileges on root's supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FurtherGroups {
    /// The host takes those of the new user instead.
    OfTheUser,
    /// The host keeps them.
    Kept,
}

/// An id that no file and nobody has.
const NOBODY_AT_ALL: u32 = u32::MAX;

/// Runs `look`, which only reads the file system, with the rights the proxy will have. In `init`.
///
/// # Errors
/// Root's own rights cannot be restored.
pub(crate) fn as_the_proxy_will_run<R>(
    groups: FurtherGroups,
    look: impl FnOnce() -> R,
) -> io::Result<R> {
    match Rights::of_proxy(groups) {
        Some(rights) => rights.during(look),
        None => Ok(look()),
    }
}

/// The ids by which the kernel decides on access to files.
#[derive(Debug)]
struct Rights {
    user: Uid,
    group: Gid,
    groups: Vec<Gid>,
}

impl Rights {
    /// `None`: the rights stay as they are, or the host itself will report why they cannot change.
    fn of_proxy(further: FurtherGroups) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let account = variable(c"user").and_then(|name| account(&name));
        let group = variable(c"group").and_then(|name| group(&name));
        let (user, account) = account.unzip();
        let account: Option<User> = account.flatten();
        let group = group.or(account.as_ref().map(|account| account.gid));
        if user.is_none_or(Uid::is_root) && group.is_none() {
            return None;
        }
        let groups = match further {
            FurtherGroups::OfTheUser if user.is_some() => further_groups(user?)?,
            _ => getgroups().ok()?,
        };
        Some(Self {
            user: user.unwrap_or_else(geteuid),
            group: group.unwrap_or_else(getegid),
            groups,
        })
    }

    /// The present rights.
    fn current() -> io::Result<Self> {
        Ok(Self {
            user: setfsuid(Uid::from_raw(NOBODY_AT_ALL)),
            group: setfsgid(Gid::from_raw(NOBODY_AT_ALL)),
            groups: getgroups()?,
        })
    }

    fn during<R>(&self, look: impl FnOnce() -> R) -> io::Result<R> {
        let before = Self::current()?;
        let dumps = dumps();
        self.assume()?;
        let result = look();
        before.assume()?;
        // The kernel clears the dumpable flag when the rights change.
        set_dumps(dumps);
        Ok(result)
    }

    /// Changes only the ids for access to files: this thread stays root, and may always go back.
    fn assume(&self) -> io::Result<()> {
        if getgroups()? != self.groups {
            setgroups(&self.groups)?;
        }
        setfsgid(self.group);
        setfsuid(self.user);
        let now = Self::current()?;
        if (now.user, now.group) != (self.user, self.group) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(())
    }
}

/// A name or number, read as both hosts do; a number alone implies no group.
fn account(text: &str) -> Option<(Uid, Option<User>)> {
    match text.parse() {
        Ok(number) => Some((Uid::from_raw(number), None)),
        Err(_) => {
            let user = User::from_name(text).ok()??;
            Some((user.uid, Some(user)))
        }
    }
}

fn group(text: &str) -> Option<Gid> {
    match text.parse() {
        Ok(number) => Some(Gid::from_raw(number)),
        Err(_) => Group::from_name(text).ok()?.map(|group| group.gid),
    }
}

fn further_groups(user: Uid) -> Option<Vec<Gid>> {
    let user = User::from_uid(user).ok()??;
    getgrouplist(&CString::new(user.name).ok()?, user.gid).ok()
}

/// A `char *` of the core's; `None` when it is not set.
fn variable(name: &CStr) -> Option<String> {
    let variable = symbols::of_core(name).cast::<*const c_char>();
    // SAFETY: in both hosts `user` and `group` are variables of this type, set while the
    // configuration was read, to C strings that live as long as the process.
    let value = unsafe { variable.as_ref().copied()? };
    // SAFETY: as above; of_c takes null for nothing.
    let value = unsafe { text::of_c(value) };
    (!value.is_empty()).then_some(value)
}

fn dumps() -> c_int {
    // SAFETY: prctl with this argument has no precondition.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE) }
}

fn set_dumps(dumps: c_int) {
    // SAFETY: prctl with these arguments has no precondition; a value it does not take (2)
    // changes nothing.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, dumps) };
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::access::{self, Wish};

    /// The user nobody of any Linux.
    const NOBODY: u32 = 65534;

    #[test]
    fn a_look_sees_files_as_somebody_else_and_nothing_remains_of_it() {
        if !geteuid().is_root() {
            return eprintln!("not root: there are no rights to be given up");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let open = Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("own folder");
        let file = folder.path().join("key");
        fs::write(&file, "secret").expect("own folder");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("own file");
        let nobody = Rights {
            user: Uid::from_raw(NOBODY),
            group: Gid::from_raw(NOBODY),
            groups: vec![Gid::from_raw(NOBODY)],
        };
        let (groups, dumps_before) = (getgroups().expect("groups"), dumps());
        let look = || {
            let opened = File::open(&file).map(drop).map_err(|error| error.kind());
            let obstacle = access::obstacle(&file, Wish::Read).expect("root's file");
            (
                opened,
                obstacle.command(file.display()),
                geteuid().is_root(),
            )
        };
        let (opened, command, is_root) = nobody.during(look).expect("root again");
        assert_eq!(opened, Err(io::ErrorKind::PermissionDenied));
        assert_eq!(command, format!("chown nobody {}", file.display()));
        assert!(is_root, "root's rights stay within reach");
        File::open(&file).expect("root's own again");
        assert_eq!(access::obstacle(&file, Wish::Read), None);
        assert_eq!(getgroups().expect("groups"), groups);
        assert_eq!(dumps(), dumps_before);
    }

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        let root = account("root").expect("a user");
        assert_eq!(root.0, Uid::from_raw(0));
        assert!(root.1.is_some_and(|root| root.gid == Gid::from_raw(0)));
        assert_eq!(account("1234"), Some((Uid::from_raw(1234), None)));
        assert_eq!(account("nobody-of-this-name"), None);
        assert_eq!(group("root"), Some(Gid::from_raw(0)));
        assert_eq!(group("77"), Some(Gid::from_raw(77)));
    }
}
