//! Descriptors of the conference process' main loop (poll, eventfd, signals), and the page of
//! memory all processes share.

use std::ffi::{c_int, c_uint};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use crate::statistics::Statistics;

/// Wakes the main loop from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker with its own eventfd.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd has no precondition.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Ok(Self(Arc::new(owned(fd)?)))
    }

    /// Wakes the main loop.
    pub(crate) fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // A full counter means that the loop is about to wake anyway.
        // SAFETY: the buffer is valid for its length.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Clears the wakes so far.
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

/// The host's signals to this process, and the flag that SIGTERM sets.
///
/// Handlers on the main thread take them, without blocking them: processes that the operator's
/// script starts (`exec`) inherit the mask, and a child that blocks SIGTERM cannot be ended.
/// Handlers are not inherited.
#[derive(Debug)]
pub(crate) struct Signals {
    told_to_end: &'static AtomicBool,
    /// SIGALRM may end this process.
    limits_stop: bool,
}

/// SIGTERM has come.
static TOLD_TO_END: AtomicBool = AtomicBool::new(false);
/// The waker's file, for the handler.
static WAKES: AtomicI32 = AtomicI32::new(-1);

/// Signals whose handlers in the host would end this process, or act for the main process.
const TAKEN: [c_int; 6] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// Longest time for a stop, after SIGTERM or from its beginning. The stop itself needs some three
/// seconds (farewells, connections, the last commit); a hanging main loop or disk must not keep the
/// process alive. Hosts wait longer (Kamailio) or kill earlier.
const LAST_RESORT_SECONDS: c_uint = 10;

impl Signals {
    /// Takes the signals over; SIGTERM wakes the main loop. In the conference process, on its
    /// main thread.
    pub(crate) fn take_over(waker: &Waker) -> io::Result<Self> {
        // The handler may run at any time: its file is never closed.
        mem::forget(waker.clone());
        WAKES.store(waker.as_raw_fd(), Ordering::Relaxed);
        for signal in TAKEN {
            handle(signal, note as *const () as libc::sighandler_t)?;
        }
        handle(libc::SIGALRM, libc::SIG_DFL)?;
        Ok(Self {
            told_to_end: &TOLD_TO_END,
            limits_stop: true,
        })
    }

    /// For a process that goes on: `told_to_end` stands for SIGTERM.
    #[cfg(test)]
    pub(crate) fn pretended(told_to_end: &'static AtomicBool) -> Self {
        Self {
            told_to_end,
            limits_stop: false,
        }
    }

    /// Whether SIGTERM has come.
    pub(crate) fn told_to_end(&self) -> bool {
        self.told_to_end.load(Ordering::Relaxed)
    }

    /// Limits the rest of this process' life to ten seconds, by SIGALRM.
    pub(crate) fn limit_stop(&self) {
        if self.limits_stop {
            // SAFETY: alarm has no precondition; `take_over` left SIGALRM to the system.
            unsafe { libc::alarm(LAST_RESORT_SECONDS) };
        }
    }
}

fn handle(signal: c_int, handler: libc::sighandler_t) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: an all-zero record is valid, with an empty mask; the handler is `note`, which
    // does only what a handler may, or the default.
    let done = unsafe {
        let record = action.assume_init_mut();
        record.sa_sigaction = handler;
        record.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, record, ptr::null_mut())
    };
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs in the middle of anything on the main thread: async-signal-safe calls only.
extern "C" fn note(signal: c_int) {
    if signal != libc::SIGTERM {
        return;
    }
    TOLD_TO_END.store(true, Ordering::Relaxed);
    let one = 1u64.to_ne_bytes();
    // SAFETY: alarm and write are async-signal-safe, the buffer is valid for its length, and
    // what was interrupted gets its errno back.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::alarm(LAST_RESORT_SECONDS);
        libc::write(
            WAKES.load(Ordering::Relaxed),
            one.as_ptr().cast(),
            one.len(),
        );
        *errno = before;
    }
}

/// While it lives, this thread and the threads it starts block every signal except those that a
/// fault raises; the threads keep blocking them: the host's signal code must never run on one of
/// them.
#[derive(Debug)]
pub(crate) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    /// Blocks them.
    pub(crate) fn new() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set, the others read it; pthread_sigmask fills
        // the old one.
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
            match libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()) {
                0 => Ok(Self(before.assume_init())),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set is the one this thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

/// Ends this process by a signal, without a core. An exit code would not do: Kamailio's main
/// process ends with success after a child that exits, whatever its status, and OpenSIPS adds
/// statuses up, so that this one is lost. The service manager would not restart the proxy then.
pub(crate) fn abort() -> ! {
    // SAFETY: neither call has a precondition. Without a dumpable process there is no core,
    // wherever cores go.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::abort()
    }
}

/// Waits until one of the files is readable or the time is over; returns the readable ones.
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

/// Enlarges the send buffer of a socket to this many octets; beyond the system's limit where this
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

/// Requests SIGTERM from the kernel for when the host's main process dies. It may have died before:
/// check with [`is_parent`].
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
