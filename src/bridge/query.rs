//! Queries with an answer: from the process of a management interface to the conference process and
//! back.
//!
//! A query travels as a datagram with two files: a piece of memory for the answer, which may be
//! large, and one end of a socket pair, over which the conference process announces the answer. The
//! conference process therefore never waits for the other side, and notices when it has gone.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, send, sendmsg,
};

use crate::management::{Answer, Call};

/// Largest query in octets: the longest text for `say`, and a margin.
pub const MAX_QUERY: usize = 16 * 1024;
/// Largest answer in octets; a thousand users with all their devices are far below.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// Files that travel with a query.
const FILES: usize = 2;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Too many queries wait.
    #[error("the conference process is busy")]
    Busy,
    /// The conference process does not answer.
    #[error("the conference process does not answer")]
    Silent,
    /// The caller is the conference process, which cannot wait for itself.
    #[error("not from the conference process itself (a route of an event, a callback)")]
    Inside,
    /// The arguments are too long.
    #[error("longer than {MAX_QUERY} octets")]
    TooLong,
    /// The kernel refused a file, or the answer is malformed.
    #[error("cannot ask the conference process: {0}")]
    System(#[from] io::Error),
}

/// Makes memory that is never executable, so that systems with `vm.memfd_noexec=2` allow it.
/// Kernels before 6.3 do not know the flag.
fn memory_for_an_answer() -> io::Result<File> {
    let make = |more| memfd_create("msrp_conference", MemfdFlags::CLOEXEC | more);
    let made = match make(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => make(MemfdFlags::empty()),
        made => made,
    };
    Ok(File::from(made?))
}

/// A query, in the conference process.
#[derive(Debug)]
pub struct Query {
    /// The requested call.
    pub call: Call,
    memory: File,
    asker: UnixStream,
}

/// The socket pair that queries travel over.
#[derive(Debug)]
pub(super) struct Queries {
    pub(super) near: UnixDatagram,
    pub(super) far: UnixDatagram,
    /// Whether this is the conference process.
    inside: AtomicBool,
}

impl Queries {
    pub(super) fn new() -> io::Result<Self> {
        let (near, far) = UnixDatagram::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self {
            near,
            far,
            inside: AtomicBool::new(false),
        })
    }

    pub(super) fn enter(&self) {
        self.inside.store(true, Ordering::Relaxed);
    }

    /// Sends a query, and waits for the answer until the time is over.
    pub(super) fn send_and_wait(
        &self,
        call: &Call,
        timeout: Duration,
    ) -> Result<Answer, QueryError> {
        if self.inside.load(Ordering::Relaxed) {
            return Err(QueryError::Inside);
        }
        let until = Instant::now() + timeout;
        let octets = postcard::to_allocvec(call).map_err(io::Error::other)?;
        if octets.len() > MAX_QUERY {
            return Err(QueryError::TooLong);
        }
        let memory = memory_for_an_answer()?;
        let (ours, theirs) = UnixStream::pair()?;
        self.send(&octets, &memory, &theirs)?;
        // From here on, only the conference process holds the other end.
        drop(theirs);
        if let Err(error) = await_word(&ours, until) {
            // The other end notices this even while a child forked meanwhile has a copy.
            let _ = ours.shutdown(Shutdown::Both);
            return Err(error);
        }
        let mut answer = Vec::new();
        let length = memory.metadata()?.len().min(MAX_ANSWER);
        answer.resize(usize::try_from(length).unwrap_or(0), 0);
        memory.read_exact_at(&mut answer, 0)?;
        postcard::from_bytes(&answer).map_err(|error| QueryError::System(io::Error::other(error)))
    }

    fn send(&self, octets: &[u8], memory: &File, asker: &UnixStream) -> Result<(), QueryError> {
        let files = [memory.as_fd(), asker.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            return match sendmsg(&self.near, &[IoSlice::new(octets)], &mut control, flags) {
                Ok(_) => Ok(()),
                Err(Errno::INTR) => continue,
                // The kernel limits the files in flight, too.
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS) => Err(QueryError::Busy),
                Err(error) => Err(system(error)),
            };
        }
    }

    /// The next query, `None` when none waits. Malformed or abandoned queries are dropped together
    /// with their files.
    pub(super) fn receive(&self) -> Option<Query> {
        let mut buffer = [0u8; MAX_QUERY + 1];
        loop {
            let (length, files) = receive_with_files(&self.far, &mut buffer)?;
            let query = read(buffer.get(..length).unwrap_or_default(), files);
            if let Some(query) = query.filter(Query::is_awaited) {
                return Some(query);
            }
        }
    }
}

impl Query {
    /// Sends the answer; the other side may have gone meanwhile.
    pub fn answer(mut self, answer: &Answer) {
        let Ok(octets) = postcard::to_allocvec(answer) else {
            return;
        };
        // Memory: writing never waits.
        if self.memory.write_all(&octets).is_ok() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let _ = send(&self.asker, b"!", flags);
        }
    }

    /// Whether the other side still waits.
    fn is_awaited(&self) -> bool {
        let mut octet = [0u8; 1];
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        let looked = rustix::net::recv(&self.asker, &mut octet, flags);
        matches!(looked, Err(Errno::AGAIN | Errno::INTR))
    }
}

fn receive_with_files(socket: &UnixDatagram, buffer: &mut [u8]) -> Option<(usize, Vec<OwnedFd>)> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(message) => {
                let files = control.drain().filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(files) => Some(files),
                    _ => None,
                });
                let files = files.flatten().collect();
                let cut = message.flags.contains(ReturnFlags::TRUNC);
                return Some((if cut { 0 } else { message.bytes }, files));
            }
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn read(octets: &[u8], files: Vec<OwnedFd>) -> Option<Query> {
    let [memory, asker]: [OwnedFd; FILES] = files.try_into().ok()?;
    Some(Query {
        call: postcard::from_bytes(octets).ok()?,
        memory: File::from(memory),
        asker: UnixStream::from(asker),
    })
}

/// Waits until the answer is there.
fn await_word(mut from: &UnixStream, until: Instant) -> Result<(), QueryError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(QueryError::Silent);
        }
        from.set_read_timeout(Some(left))?;
        match from.read(&mut [0u8; 1]) {
            Ok(1) => return Ok(()),
            // The query was dropped.
            Ok(_) => return Err(QueryError::Silent),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                _ => return Err(error.into()),
            },
        }
    }
}

fn system(error: Errno) -> QueryError {
    QueryError::System(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::{Argument, Command, Fault, Value};
    use std::thread;

    fn call(text: &str) -> Call {
        Call {
            command: Command::Say,
            arguments: vec![Argument::positional("sip:a@b"), Argument::positional(text)],
        }
    }

    /// The memory files of queries that this process has open; other tests may open files of other
    /// kinds.
    fn open_memories() -> usize {
        let open = std::fs::read_dir("/proc/self/fd").expect("/proc").flatten();
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|path| path.to_string_lossy().contains("memfd:msrp_conference"))
            .count()
    }

    #[test]
    fn a_query_gets_its_answer_however_large() {
        let queries = Queries::new().expect("socketpair");
        assert!(queries.receive().is_none());
        let large = Value::List(vec![Value::Text("x".repeat(1000)); 1000]);
        for answer in [Ok(large), Err(Fault::new(404, "there is no room"))] {
            thread::scope(|scope| {
                let asked =
                    scope.spawn(|| queries.send_and_wait(&call("hello"), Duration::from_secs(20)));
                let query = loop {
                    match queries.receive() {
                        Some(query) => break query,
                        None => thread::yield_now(),
                    }
                };
                assert_eq!(query.call, call("hello"));
                query.answer(&answer);
                let got = asked.join().expect("no panic").expect("an answer");
                assert_eq!(got, answer);
            });
        }
    }

    #[test]
    fn the_memory_of_an_answer_can_never_be_executed() {
        use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
        let memory = memory_for_an_answer().expect("memory");
        let knows = memfd_create("test", MemfdFlags::NOEXEC_SEAL).is_ok();
        let seals = fcntl_get_seals(&memory).expect("seals");
        assert_eq!(seals.contains(SealFlags::EXEC), knows);
        let mode = fstat(&memory).expect("about it").st_mode;
        assert_eq!(mode & 0o111 == 0, knows);
    }

    #[test]
    fn silence_is_an_error_and_a_late_query_is_not_carried_out() {
        let queries = Queries::new().expect("socketpair");
        for _ in 0..50 {
            let asked = queries.send_and_wait(&call("late"), Duration::from_millis(1));
            assert!(matches!(asked, Err(QueryError::Silent)), "{asked:?}");
        }
        assert!(queries.receive().is_none(), "nobody waits any more");
        // Tests that run in parallel have one or two open at a time.
        assert!(open_memories() < 40, "files leak");
    }

    #[test]
    fn with_a_query_nobody_waits_for_its_files_are_closed() {
        let queries = Queries::new().expect("socketpair");
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).expect("memory");
        let (mut ours, theirs) = UnixStream::pair().expect("socketpair");
        let octets = postcard::to_allocvec(&call("late")).expect("written");
        let sent = queries.send(&octets, &File::from(memory), &theirs);
        sent.expect("sent");
        drop(theirs);
        ours.set_nonblocking(true).expect("set");
        let waits = ours.read(&mut [0u8; 1]).map_err(|error| error.kind());
        assert_eq!(waits, Err(io::ErrorKind::WouldBlock), "the query has it");
        // Gives up, but keeps an end to observe the other one.
        ours.shutdown(Shutdown::Write).expect("shut down");
        assert!(queries.receive().is_none());
        // Not at once: a child that a parallel test starts may hold a copy until it runs.
        ours.set_nonblocking(false).expect("set");
        let patience = Some(Duration::from_secs(20));
        ours.set_read_timeout(patience).expect("set");
        assert_eq!(ours.read(&mut [0u8; 1]).expect("the end"), 0);
    }

    #[test]
    fn the_queue_is_bounded_and_a_long_text_is_refused() {
        let queries = Queries::new().expect("socketpair");
        let long = queries.send_and_wait(&call(&"x".repeat(MAX_QUERY)), Duration::from_millis(1));
        assert!(matches!(long, Err(QueryError::TooLong)));
        let text = "x".repeat(8_000);
        let full = (0..10_000).find_map(|_| {
            let asked = queries.send_and_wait(&call(&text), Duration::ZERO);
            matches!(asked, Err(QueryError::Busy)).then_some(())
        });
        assert!(full.is_some(), "never full");
        queries.enter();
        let inside = queries.send_and_wait(&call("self"), Duration::from_secs(1));
        assert!(matches!(inside, Err(QueryError::Inside)));
    }
}
