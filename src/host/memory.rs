//! Reads memory of this process that may not be mapped: through the kernel, which returns an error
//! where a read would crash.

use std::ffi::{c_char, c_int};
use std::io;
use std::mem::MaybeUninit;

/// Longest text to read, in octets.
const TEXT: usize = 1024;

/// Octets of a C string read at a time: a power of two, so that no piece crosses a page.
const PIECE: usize = 64;

/// Memory that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeekError {
    /// Nothing is mapped there, or not all of it.
    #[error("there is no memory at {0:#x}")]
    Absent(usize),
    /// The memory there holds no text, or one without an end.
    #[error("there is no text at {0:#x}")]
    NoText(usize),
    /// The kernel does not let this process read it.
    #[error(
        "the system call process_vm_readv is refused ({0}): the module needs it to look at the \
         host's memory before it relies on it. Allow it in the sandbox (a container's seccomp \
         profile; in a unit of systemd: SystemCallFilter=@ipc)"
    )]
    Refused(#[source] io::Error),
}

/// Copies `into.len()` octets from there.
///
/// # Errors
/// The memory is not mapped, or reading is forbidden.
pub(crate) fn peek(address: usize, into: &mut [u8]) -> Result<(), PeekError> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: into.len(),
    };
    // SAFETY: the kernel checks the remote range; the local one is valid for its length.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
    if usize::try_from(copied) == Ok(into.len()) {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match copied < 0 && error.raw_os_error() != Some(libc::EFAULT) {
        true => Err(PeekError::Refused(error)),
        false => Err(PeekError::Absent(address)),
    }
}

/// Whether this process may read its memory this way at all.
///
/// # Errors
/// It may not: a sandbox forbids the system call.
pub(crate) fn may_peek() -> Result<(), PeekError> {
    static KNOWN: u8 = 0;
    peek(&raw const KNOWN as usize, &mut [0])
}

/// A copy of the value there.
///
/// # Safety
/// Any octets are a `T`.
///
/// # Errors
/// As for [`peek`].
pub(crate) unsafe fn read<T>(address: usize) -> Result<T, PeekError> {
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: the octets of `copy` are initialised.
    let octets =
        unsafe { std::slice::from_raw_parts_mut(copy.as_mut_ptr().cast::<u8>(), size_of::<T>()) };
    peek(address, octets)?;
    // SAFETY: the caller promises that whatever octets came are a `T`.
    Ok(unsafe { copy.assume_init() })
}

/// The counted text there; empty for a null pointer or no length.
///
/// # Errors
/// As for [`peek`]; also when it is longer than the longest text to read.
pub(crate) fn text(start: *const c_char, length: c_int) -> Result<String, PeekError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if start.is_null() || length == 0 {
        return Ok(String::new());
    }
    if length > TEXT {
        return Err(PeekError::NoText(start as usize));
    }
    let mut octets = vec![0; length];
    peek(start as usize, &mut octets)?;
    Ok(super::text::lossy(&octets))
}

/// The C string there.
///
/// # Errors
/// As for [`text`].
pub(crate) fn c_text(start: *const c_char) -> Result<String, PeekError> {
    let mut octets = Vec::new();
    while octets.len() < TEXT {
        let address = (start as usize).wrapping_add(octets.len());
        let mut piece = [0u8; PIECE];
        let piece = &mut piece[..PIECE - address % PIECE];
        peek(address, piece)?;
        if let Some(end) = piece.iter().position(|octet| *octet == 0) {
            octets.extend_from_slice(&piece[..end]);
            return Ok(super::text::lossy(&octets));
        }
        octets.extend_from_slice(piece);
    }
    Err(PeekError::NoText(start as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_not_read() {
        let known = [1u8, 2, 3];
        let mut copy = [0; 3];
        peek(known.as_ptr() as usize, &mut copy).expect("memory");
        assert_eq!(copy, known);
        assert!(matches!(
            peek(0x10, &mut copy),
            Err(PeekError::Absent(0x10))
        ));
        may_peek().expect("no sandbox");
        // SAFETY: any octets are a number.
        let number = unsafe { read::<u16>(known.as_ptr() as usize) }.expect("memory");
        assert_eq!(number, u16::from_ne_bytes([1, 2]));
    }

    #[test]
    fn texts_are_read_to_their_end_and_no_further() {
        let long = format!("{}\0beyond", "x".repeat(200));
        assert_eq!(c_text(long.as_ptr().cast()).expect("text").len(), 200);
        assert_eq!(text(long.as_ptr().cast(), 3).expect("text"), "xxx");
        assert_eq!(text(std::ptr::null(), 3).expect("text"), "");
        assert!(text(long.as_ptr().cast(), -1).is_err());
        assert!(c_text(0x10 as *const c_char).is_err());
        let endless = vec![b'x'; 2 * TEXT];
        assert!(matches!(
            c_text(endless.as_ptr().cast()),
            Err(PeekError::NoText(_))
        ));
    }
}
