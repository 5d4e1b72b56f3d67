//! Writing to the socket of a connection.
//!
//! The operating system holds at most 64 KiB of unsent data. A response must not wait behind
//! megabytes on a slow line (RFC 4975 §7.1.1, C21), and output for a slow reader must stay in the
//! room's log, which is bounded and counted. Data that is sent and not acknowledged is left to the
//! network.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Unsent octets above which the operating system accepts no more (`TCP_NOTSENT_LOWAT`)...
const UNSENT: u32 = 1024;
/// ...and octets of one write, which it accepts whole below that limit.
const WRITE: usize = 63 * 1024;
/// Writes of at least this size are not merged with the next one. Otherwise the limit would only be
/// checked every 64 KiB.
const APART_FROM: usize = 16 * 1024;

/// Limits the unsent data of a connection in the operating system.
pub(super) fn limit_unsent(stream: &TcpStream) {
    // Best effort: a system without this option works too.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
}

/// Writes as much as the socket accepts.
pub(super) fn poll_write(
    stream: &TcpStream,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let mut parts = [IoSlice::new(&[]); 32];
    let (count, octets) = cut(slices, &mut parts);
    let parts = parts.get(..count).unwrap_or_default();
    // Report a broken pipe as an error, not as a signal.
    let flags = match octets < APART_FROM {
        true => libc::MSG_NOSIGNAL,
        false => libc::MSG_NOSIGNAL | libc::MSG_EOR,
    };
    loop {
        ready!(stream.poll_write_ready(context))?;
        let socket = SockRef::from(stream);
        let write = || match parts {
            [only] => socket.send_with_flags(only, flags),
            _ => socket.send_vectored_with_flags(parts, flags),
        };
        match stream.try_io(Interest::WRITABLE, write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
}

/// Cuts `slices` to the first [`WRITE`] octets, as far as `parts` go. Returns the number of parts
/// and octets.
fn cut<'a>(slices: &'a [IoSlice<'_>], parts: &mut [IoSlice<'a>]) -> (usize, usize) {
    let (mut left, mut count) = (WRITE, 0);
    for (slice, part) in slices.iter().zip(parts) {
        if left == 0 {
            break;
        }
        let octets = slice.get(..left).unwrap_or(slice);
        *part = IoSlice::new(octets);
        left -= octets.len();
        count += 1;
    }
    (count, WRITE - left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_the_front_of_what_there_is() {
        let octets = vec![7; 3 * WRITE];
        for (lengths, expected) in [
            (&[5, 10][..], &[5, 10][..]),
            (&[5, WRITE], &[5, WRITE - 5]),
            (&[WRITE, 1], &[WRITE]),
            (&[3 * WRITE], &[WRITE]),
            (&[1; 20], &[1; 8]),
            (&[], &[]),
        ] {
            let slices: Vec<_> = lengths
                .iter()
                .map(|it| IoSlice::new(&octets[..*it]))
                .collect();
            let mut parts = [IoSlice::new(&[]); 8];
            let (count, total) = cut(&slices, &mut parts);
            let got: Vec<usize> = parts[..count].iter().map(|part| part.len()).collect();
            assert_eq!(got, expected);
            assert_eq!(total, got.iter().sum::<usize>());
        }
    }
}
