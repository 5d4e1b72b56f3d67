//! The socket pairs under frames and errands.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::frame::{Frame, FrameError, MAX_FRAME};
use super::query::{Queries, Query, QueryError};
use crate::management::{Answer, Call};

/// Octets that may wait in one channel. The kernel doubles it and counts its own overhead, which
/// makes some two thousand requests. Each waiting request holds 10 kB of the host's shared memory,
/// of which hosts have 64 MB by default. Without CAP_NET_ADMIN the kernel grants less
/// (net.core.wmem_max).
pub const CHANNEL_OCTETS: usize = 2 * 1024 * 1024;

/// Why a frame was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The conference process does not keep up: answer 503.
    #[error("the conference process is busy")]
    Full,
    /// The frame cannot be sent at all.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The kernel refused it for another reason.
    #[error("hand-over failed: {0}")]
    System(io::Error),
}

/// Largest errand in octets; few systems allow an unprivileged process more.
pub const MAX_ERRAND: usize = 256 * 1024;

/// All channels, both ends: every process inherits all of these sockets.
#[derive(Debug)]
pub struct Bridge {
    requests: Channel,
    acks: Channel,
    events: Channel,
    errands: Channel,
    queries: Queries,
}

#[derive(Debug)]
struct Channel {
    near: UnixDatagram,
    far: UnixDatagram,
}

impl Bridge {
    /// Makes the channels. Before the fork.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            requests: Channel::new()?,
            acks: Channel::new()?,
            events: Channel::new()?,
            errands: Channel::new()?,
            queries: Queries::new()?,
        })
    }

    /// Hands a frame over; never blocks. Any process. An outcome that is too long is shortened, not
    /// lost.
    pub fn send(&self, frame: &Frame) -> Result<(), SendError> {
        let channel = match frame {
            Frame::Request(_) if frame.transaction().is_some() => &self.requests,
            Frame::Request(_) => &self.acks,
            Frame::Cancel(_)
            | Frame::Progress { .. }
            | Frame::Outcome { .. }
            | Frame::Sent { .. } => &self.events,
        };
        let octets = frame.encode().or_else(|error| match frame.shortened() {
            Some(shorter) => shorter.encode(),
            None => Err(error),
        });
        channel.send(&octets?)
    }

    /// The next frame, `None` when none waits. Cancels and outcomes come first, ACKs and
    /// requests by turns. Conference process only.
    pub fn receive(&self, buffer: &mut Buffer) -> Option<Result<Frame, FrameError>> {
        buffer.acks_first = !buffer.acks_first;
        let [first, second] = match buffer.acks_first {
            true => [&self.acks, &self.requests],
            false => [&self.requests, &self.acks],
        };
        let mut channels = [&self.events, first, second].into_iter();
        let length = channels.find_map(|channel| channel.receive(&mut buffer.octets))?;
        Some(Frame::decode(buffer.octets.get(..length)?))
    }

    /// The files whose send buffer limits a channel: the host gives each [`CHANNEL_OCTETS`].
    pub fn sending(&self) -> [RawFd; 4] {
        [&self.events, &self.acks, &self.requests, &self.errands]
            .map(|channel| channel.near.as_raw_fd())
    }

    /// Queues an errand for any worker; never blocks. Conference process only.
    pub fn send_errand(&self, octets: &[u8]) -> Result<(), SendError> {
        if octets.len() > MAX_ERRAND {
            return Err(FrameError::TooLong.into());
        }
        self.errands.send(octets)
    }

    /// The next errand, `None` when none waits. Workers only; each errand is given once.
    pub fn errand(&self) -> Option<Vec<u8>> {
        let mut octets = vec![0; MAX_ERRAND];
        let length = self.errands.receive(&mut octets)?;
        octets.truncate(length);
        Some(octets)
    }

    /// The files that become readable when a frame waits.
    pub fn readable(&self) -> [RawFd; 4] {
        [
            self.events.far.as_raw_fd(),
            self.acks.far.as_raw_fd(),
            self.requests.far.as_raw_fd(),
            self.queries.far.as_raw_fd(),
        ]
    }

    /// Queries the conference process and waits at most `timeout` for its answer. Any process
    /// except that one, where it is an error.
    ///
    /// # Errors
    /// There is no answer.
    pub fn query(&self, call: &Call, timeout: Duration) -> Result<Answer, QueryError> {
        self.queries.send_and_wait(call, timeout)
    }

    /// The next query, `None` when none waits. Conference process only.
    pub fn next_query(&self) -> Option<Query> {
        self.queries.receive()
    }

    /// Marks this process as the conference process from now on.
    pub fn enter(&self) {
        self.queries.enter();
    }
}

/// Buffer for one frame, and the channel whose turn it is.
#[derive(Debug)]
pub struct Buffer {
    octets: Vec<u8>,
    acks_first: bool,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            // One octet more than allowed, to detect a longer datagram.
            octets: vec![0; MAX_FRAME + 1],
            acks_first: false,
        }
    }
}

impl Channel {
    fn new() -> io::Result<Self> {
        let (near, far) = UnixDatagram::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok(Self { near, far })
    }

    fn send(&self, octets: &[u8]) -> Result<(), SendError> {
        loop {
            return match self.near.send(octets) {
                Ok(_) => Ok(()),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => Err(SendError::Full),
                    _ if error.raw_os_error() == Some(libc::ENOBUFS) => Err(SendError::Full),
                    _ => Err(SendError::System(error)),
                },
            };
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match self.far.recv(buffer) {
                Ok(length) => return Some(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::{Arrival, RequestId, ScriptOptions, Socket, TransactionId};
    use bytes::Bytes;

    fn outcome(id: u64) -> Frame {
        Frame::Outcome {
            request: RequestId(id),
            code: 200,
            response: Bytes::from(vec![7; 1000]),
        }
    }

    #[test]
    fn frames_arrive_in_order_and_then_none() {
        let bridge = Bridge::new().expect("socketpair");
        let mut buffer = Buffer::default();
        assert!(bridge.receive(&mut buffer).is_none());
        for id in 0..3 {
            bridge.send(&outcome(id)).expect("room");
        }
        for id in 0..3 {
            assert_eq!(bridge.receive(&mut buffer), Some(Ok(outcome(id))));
        }
        assert!(bridge.receive(&mut buffer).is_none());
    }

    /// A request; without a transaction, an ACK.
    fn request(transaction: Option<TransactionId>) -> Frame {
        Frame::Request(Box::new(Arrival {
            transaction,
            to_tag: None,
            message: Bytes::from(vec![7; 1000]),
            request_uri: "sip:lobby@a".to_owned(),
            source: "127.0.0.1:5060".parse().expect("an address"),
            socket: Socket {
                handle: 1,
                transport: "udp".into(),
                host: "127.0.0.1".into(),
                port: 5060,
            },
            identity: "sip:alice@a".to_owned(),
            options: ScriptOptions::default(),
        }))
    }

    const ID: TransactionId = TransactionId { hash: 1, label: 2 };

    #[test]
    fn neither_requests_nor_acks_fill_the_channel_of_the_other() {
        for (flood, other) in [(Some(ID), None), (None, Some(ID))] {
            let bridge = Bridge::new().expect("socketpair");
            while bridge.send(&request(flood)).is_ok() {}
            bridge.send(&request(other)).expect("a channel of its own");
            bridge.send(&outcome(1)).expect("a channel of its own");
            let mut buffer = Buffer::default();
            let mut next = || bridge.receive(&mut buffer);
            assert_eq!(next(), Some(Ok(outcome(1))), "these come first");
            let soon = [next(), next()];
            assert!(soon.contains(&Some(Ok(request(other)))), "by turns");
        }
    }

    #[test]
    fn an_outcome_that_is_too_long_arrives_all_the_same() {
        let bridge = Bridge::new().expect("socketpair");
        let long = format!(
            "SIP/2.0 200 OK\r\nTo: <sip:b@b>;tag=2\r\n\r\n{}",
            "x".repeat(MAX_FRAME)
        );
        let outcome = Frame::Outcome {
            request: RequestId(7),
            code: 200,
            response: long.into(),
        };
        bridge.send(&outcome).expect("cut");
        let Some(Ok(Frame::Outcome {
            request,
            code,
            response,
        })) = bridge.receive(&mut Buffer::default())
        else {
            panic!("no outcome");
        };
        assert_eq!((request, code), (RequestId(7), 200));
        assert!(response.starts_with(b"SIP/2.0 200 OK\r\nTo: <sip:b@b>;tag=2\r\n"));
    }

    #[test]
    fn each_errand_is_fetched_once_in_order_and_none_is_too_long() {
        let bridge = Bridge::new().expect("socketpair");
        assert_eq!(bridge.errand(), None);
        for errand in [b"first".to_vec(), vec![7; 100_000]] {
            bridge.send_errand(&errand).expect("room");
        }
        assert_eq!(bridge.errand(), Some(b"first".to_vec()));
        assert_eq!(bridge.errand().map(|octets| octets.len()), Some(100_000));
        assert_eq!(bridge.errand(), None);
        let long = bridge.send_errand(&vec![0; MAX_ERRAND + 1]);
        assert!(matches!(long, Err(SendError::Frame(FrameError::TooLong))));
        let full = (0..10_000).find_map(|_| bridge.send_errand(&[0; 10_000]).err());
        assert!(
            matches!(full, Some(SendError::Full)),
            "a channel is bounded"
        );
    }

    #[test]
    fn a_full_channel_says_so_at_once_and_recovers() {
        let bridge = Bridge::new().expect("socketpair");
        let mut sent = 0u64;
        while bridge.send(&outcome(sent)).is_ok() {
            sent += 1;
            assert!(sent < 1_000_000, "a channel is bounded");
        }
        assert!(matches!(bridge.send(&outcome(sent)), Err(SendError::Full)));
        let mut buffer = Buffer::default();
        assert_eq!(bridge.receive(&mut buffer), Some(Ok(outcome(0))));
        while bridge.receive(&mut buffer).is_some() {}
        let cancel = Frame::Cancel(TransactionId { hash: 1, label: 2 });
        bridge.send(&cancel).expect("room again");
        assert_eq!(bridge.receive(&mut buffer), Some(Ok(cancel)));
    }
}
