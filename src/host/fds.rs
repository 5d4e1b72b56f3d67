//! File descriptors of the conference process' main loop: poll, eventfd, signalfd, and the
//! page of memory all processes share.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crate::statistics::Statistics;

/// Wakes the main loop from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker of its own eventfd.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd has no precondition.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Ok(Self(Arc::new(owned(fd)?)))
    }

    /// Makes the main loop turn.
    pub(crate) fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // A full counter means that the loop is about to wake anyway.
        // SAFETY: the buffer is valid for its length.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Forgets the wakes so far.
    pub(crate) fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the buffer is valid for its length.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The signals of this process, readable as a file.
#[derive(Debug)]
pub(crate) struct Signals(OwnedFd);

impl Signals {
    /// Blocks every signal but those a fault raises, in this thread and all it will start,
    /// and opens the file they can be read from. Call before any thread starts: the host's
    /// own signal code must never run on one of them.
    pub(crate) fn take_over() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set, the others read it.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            for fault in [
                libc::SIGSEGV,
                libc::SIGBUS,
                libc::SIGFPE,
                libc::SIGILL,
                libc::SIGABRT,
            ] {
                libc::sigdelset(set.as_mut_ptr(), fault);
            }
            if libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            Ok(Self(owned(fd)?))
        }
    }

    /// The next signal that came, if any.
    pub(crate) fn next(&self) -> Option<i32> {
        let mut record = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the record is valid for its size.
        let got = unsafe { libc::read(self.0.as_raw_fd(), record.as_mut_ptr().cast(), size) };
        if got != size as isize {
            return None;
        }
        // SAFETY: the kernel filled the whole record, which is plain data.
        let record = unsafe { record.assume_init() };
        i32::try_from(record.ssi_signo).ok()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Waits until one of the files is readable or the time is over; says which are.
pub(crate) fn wait_readable<const N: usize>(files: [RawFd; N], longest: Duration) -> [bool; N] {
    let mut polled = files.map(|fd| libc::pollfd {
        fd, // negative ones are ignored
        events: libc::POLLIN,
        revents: 0,
    });
    // Rounded up, or the loop would spin through the last millisecond before a deadline.
    let milliseconds = longest.as_micros().div_ceil(1000).min(60_000) as i32;
    // SAFETY: the array is valid for its length.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, milliseconds) };
    polled.map(|file| ready > 0 && file.revents != 0)
}

/// Lets that many octets wait behind a socket; more than the system's limit where this
/// process may (before the host drops its privileges).
pub(crate) fn enlarge_send_buffer(socket: RawFd, octets: usize) {
    let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    for option in [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF] {
        // SAFETY: the option's value is an int, and valid for its size.
        let done = unsafe {
            libc::setsockopt(
                socket,
                libc::SOL_SOCKET,
                option,
                (&raw const octets).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if done == 0 {
            return;
        }
    }
}

/// Asks the kernel for SIGTERM when the host's main process dies. It may have died before:
/// [`is_parent`] tells.
pub(crate) fn follow_parent() {
    // SAFETY: prctl with these arguments has no precondition.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) };
}

/// Whether `parent` still is this process' parent.
pub(crate) fn is_parent(parent: libc::pid_t) -> bool {
    // SAFETY: getppid has no precondition.
    unsafe { libc::getppid() == parent }
}

/// Whether these are the two ends of one pipe.
pub(crate) fn are_one_pipe(reading: RawFd, writing: RawFd) -> bool {
    let pipe = |file| {
        let mut about = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: fstat takes any number, and fills the record when it succeeds.
        let about = unsafe {
            if libc::fstat(file, about.as_mut_ptr()) != 0 {
                return None;
            }
            about.assume_init()
        };
        (about.st_mode & libc::S_IFMT == libc::S_IFIFO).then_some((about.st_dev, about.st_ino))
    };
    pipe(reading).is_some_and(|this| pipe(writing) == Some(this))
}

/// A page of statistics that every process forked from here on shares.
pub(crate) fn shared_statistics() -> io::Result<&'static Statistics> {
    // SAFETY: an anonymous mapping has no precondition.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size_of::<Statistics>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping is page-aligned, large enough, zero (a valid value of atomics),
    // only ever used through atomics, and never unmapped.
    Ok(unsafe { &*page.cast::<Statistics>() })
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_makes_its_file_readable_once() {
        let waker = Waker::new().expect("eventfd");
        let fd = waker.as_raw_fd();
        assert_eq!(wait_readable([fd, -1], Duration::ZERO), [false, false]);
        waker.wake();
        waker.wake();
        assert_eq!(wait_readable([fd, -1], Duration::ZERO), [true, false]);
        waker.clear();
        assert_eq!(wait_readable([fd, -1], Duration::ZERO), [false, false]);
    }

    #[test]
    fn a_pipe_is_told_from_other_files() {
        let (reading, writing) = io::pipe().expect("pipe");
        let (other, _) = io::pipe().expect("pipe");
        let [reading, writing, other] =
            [reading.as_raw_fd(), writing.as_raw_fd(), other.as_raw_fd()];
        assert!(are_one_pipe(reading, writing));
        assert!(!are_one_pipe(reading, other));
        assert!(!are_one_pipe(-1, -1));
        let waker = Waker::new().expect("eventfd").as_raw_fd();
        assert!(!are_one_pipe(waker, waker));
    }

    #[test]
    fn the_shared_page_starts_at_zero() {
        use crate::statistics::{ALL, Statistic};
        let page = shared_statistics().expect("mmap");
        assert!(ALL.iter().all(|which| page.value(*which) == 0));
        page.add(Statistic::Joins, 1);
        assert_eq!(page.value(Statistic::Joins), 1);
    }
}
