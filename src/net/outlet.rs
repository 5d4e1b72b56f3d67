//! How octets leave by a socket.
//!
//! While a large message is under way, whatever comes next must not wait for what the
//! operating system has taken of it (RFC 4975 §7.1.1, C21): a send buffer grows to megabytes,
//! and a response behind these is minutes late on a slow line. The outlet is then narrow: only
//! little may stand in the buffer that is not yet sent. What is sent and not acknowledged is
//! the network's.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

/// Octets not yet sent above which the operating system takes no more.
const UNSENT: u32 = 8 * 1024;
/// Octets of one write. More would cost fewer calls; less, and a fast receiver of large
/// messages would cost twice the processor.
const WRITE: usize = 16 * 1024;
/// What is written is not put together with what is written next, or the limit would only be
/// looked at every 64 KiB; a broken pipe is an error and no signal.
const FLAGS: i32 = libc::MSG_EOR | libc::MSG_NOSIGNAL;

/// Makes the outlet narrow or wide.
pub(super) fn set_narrow(stream: &TcpStream, narrow: bool) {
    // Zero is what the system does without being asked.
    let unsent = if narrow { UNSENT } else { 0 };
    // Where there is no such limit, everything still works.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(unsent);
}

/// Writes what goes out at once.
pub(super) fn poll_write(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
    narrow: bool,
) -> Poll<io::Result<usize>> {
    if !narrow {
        return match slices {
            [only] => Pin::new(stream).poll_write(context, only),
            _ => Pin::new(stream).poll_write_vectored(context, slices),
        };
    }
    let mut parts = [IoSlice::new(&[]); 8];
    let count = cut(slices, &mut parts);
    let parts = parts.get(..count).unwrap_or_default();
    loop {
        ready!(stream.poll_write_ready(context))?;
        let socket = SockRef::from(&*stream);
        let write = || socket.send_vectored_with_flags(parts, FLAGS);
        match stream.try_io(Interest::WRITABLE, write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
}

/// The first [`WRITE`] octets of `slices`, as far as `parts` go; says how many parts.
fn cut<'a>(slices: &'a [IoSlice<'_>], parts: &mut [IoSlice<'a>]) -> usize {
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
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_write_is_the_front_of_what_there_is() {
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
            let count = cut(&slices, &mut parts);
            let got: Vec<usize> = parts[..count].iter().map(|part| part.len()).collect();
            assert_eq!(got, expected);
        }
    }
}
