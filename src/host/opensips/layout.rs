//! Checks the layout of structures in OpenSIPS' memory against our declarations and the row of its
//! series, as far as only messages show them: at the first request, in the conference process, and
//! at each response. `start_checks` does the rest in `init`.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Core;
use super::abi::{
    self, opensips_event, opensips_message_prefix, opensips_reception, opensips_text,
    opensips_transaction_prefix,
};
use super::series::Series;
use crate::host::layout::{LayoutError, same, see, see_text};
use crate::host::{fds, text};

/// Most sockets to remember; a proxy has a handful.
const SOCKETS_SEEN: usize = 64;

/// The pseudo-variables of `Module::reception`: source and socket of a request, as the host's
/// parser gives them.
pub(super) const RECEPTION: &str = "$si $sp $socket_in(proto) $socket_in(ip) $socket_in(port) \
     $socket_in(advertised_ip) $socket_in(advertised_port)";

/// Whether a request's reception agrees with the host, and its socket has the layout of the series.
/// Called for the first request through each socket in each process, because a socket that
/// advertises nothing has nothing to compare. `said` is the host's expansion of [`RECEPTION`].
pub(super) fn reception(
    series: &Series,
    reception: &opensips_reception,
    said: impl FnOnce() -> String,
) -> Result<(), LayoutError> {
    thread_local! {
        static SEEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    }
    let socket = reception.socket as usize;
    if SEEN.with_borrow(|seen| seen.contains(&socket)) {
        return Ok(());
    }
    let found = reception_words(series, reception)?;
    same(
        "the reception of a message, or its socket",
        found,
        words(&said()),
    )?;
    SEEN.with_borrow_mut(|seen| {
        // With more sockets, some are checked each time.
        if seen.len() < SOCKETS_SEEN {
            seen.push(socket);
        }
    });
    Ok(())
}

/// The host's own description of a reception, in the form of [`reception_words`].
fn words(said: &str) -> Vec<String> {
    let mut words: Vec<String> = said.split(' ').map(str::to_owned).collect();
    if let Some(transport) = words.get_mut(2) {
        // Transports without a name in SIP count as UDP here.
        *transport = text::transport(text::protocol(transport).into()).to_owned();
    }
    if let Some(address) = words.first_mut()
        && let Ok(parsed) = address.trim_matches(['[', ']']).parse::<IpAddr>()
    {
        *address = parsed.to_string();
    }
    words
}

fn reception_words(
    series: &Series,
    reception: &opensips_reception,
) -> Result<Vec<String>, LayoutError> {
    let family = reception.source.family as c_int;
    let known = family == libc::AF_INET || family == libc::AF_INET6;
    same("the address family of a message", known, true)?;
    let address = text::address(reception.source.family, reception.source.octets);
    let mut words = vec![
        address.to_string(),
        reception.source_port.to_string(),
        text::transport(reception.protocol).to_owned(),
    ];
    words.extend(socket_words(series, reception.socket as usize)?);
    Ok(words)
}

/// Address and port of a socket of the host's, and the advertised ones.
pub(super) fn socket_words(series: &Series, socket: usize) -> Result<[String; 4], LayoutError> {
    const SOCKET: &str = "a socket of the host's";
    let at = |offset| -> Result<String, LayoutError> {
        // SAFETY: any octets are a counted text to look at.
        let counted: opensips_text = unsafe { see(SOCKET, socket + offset)? };
        match counted.s.is_null() {
            true => Ok("<null>".to_owned()),
            false => see_text(SOCKET, counted.s, counted.len),
        }
    };
    // SAFETY: any octets are a number.
    let port: u16 = unsafe { see(SOCKET, socket + series.socket_port)? };
    Ok([
        at(series.socket_address)?,
        port.to_string(),
        at(series.socket_advertised_name)?,
        at(series.socket_advertised_port)?,
    ])
}

/// Whether a transaction has this request in the expected place. The two have one number; a message
/// that tm made from its copy, to resume a script with it, has the copy's own buffer.
///
/// # Safety
/// In a worker, with the message its script works on and a transaction of tm's.
pub(super) unsafe fn kept_request(
    series: &Series,
    message: *mut abi::Message,
    transaction: *const opensips_transaction_prefix,
) -> Result<(), LayoutError> {
    const WHAT: &str = "the request of a transaction";
    // SAFETY: any octets are what is looked at here; the message is the caller's promise.
    unsafe {
        let transaction: opensips_transaction_prefix = see(WHAT, transaction as usize)?;
        let copy = transaction.request as usize;
        let kept: opensips_message_prefix = see(WHAT, copy)?;
        let start: *const u8 = see(WHAT, copy + series.message_buffer)?;
        let own = &*message.cast::<opensips_message_prefix>();
        let is_its = kept.id == own.id || start == buffer(series, message).0;
        same(WHAT, (is_its, kept.kind), (true, own.kind))
    }
}

/// Whether tm's record of an event has the expected layout.
///
/// # Safety
/// `event` is what tm passed to a callback of a request of ours, which still runs.
pub(super) unsafe fn event(event: &opensips_event) -> Result<(), LayoutError> {
    const WHAT: &str = "tm's record of a response";
    same(WHAT, (100..700).contains(&event.code), true)?;
    let response = event.response as usize;
    if response == 0 || response == abi::FAKED_RESPONSE {
        return Ok(());
    }
    // SAFETY: any octets are what is looked at here.
    let prefix: opensips_message_prefix = unsafe { see(WHAT, response)? };
    same(WHAT, prefix.kind, abi::RESPONSE)
}

/// The reading end of this process' pipe, after a job of ours has come through it. In the
/// conference process, on its main thread, before any other thread starts.
pub(super) fn own_pipe(core: &Core, series: &Series) -> Result<RawFd, LayoutError> {
    const WHAT: &str = "the table of processes";
    // SAFETY: the core's own variables; any octets are what is looked at.
    let (pid, [reading, writing]) = unsafe {
        let number = usize::try_from(*core.process_number).unwrap_or(0);
        let record = *core.processes as usize + number * series.process_size;
        let pid: libc::pid_t = see(WHAT, record)?;
        (pid, see::<[RawFd; 2]>(WHAT, record + series.process_pipe)?)
    };
    // SAFETY: getpid has no precondition.
    same(WHAT, pid, unsafe { libc::getpid() })?;
    same(
        "the pipe of a process",
        fds::are_one_pipe(reading, writing),
        true,
    )?;
    // SAFETY: the job is a function of this process.
    let came = unsafe { job_comes(core, reading) };
    same("the pipe of a process", came, true)?;
    Ok(reading)
}

/// Whether a job that this process sends itself arrives through `pipe`.
///
/// # Safety
/// In the conference process, on its main thread; `pipe` is the reading end of a pipe.
unsafe fn job_comes(core: &Core, pipe: RawFd) -> bool {
    static CAME: AtomicBool = AtomicBool::new(false);
    unsafe extern "C" fn come(_sender: c_int, _argument: *mut c_void) {
        CAME.store(true, Ordering::Relaxed);
    }
    // SAFETY: the host writes a job into a pipe that it made not to block, and reads one that
    // is there.
    unsafe {
        if (core.send_job)(*core.process_number, come, ptr::null_mut()) < 0 {
            return false;
        }
        while !CAME.load(Ordering::Relaxed)
            && fds::wait_readable([pipe], std::time::Duration::ZERO)[0]
        {
            (core.handle_job)(pipe);
        }
    }
    CAME.load(Ordering::Relaxed)
}

/// Address and length of a message as it was received.
///
/// # Safety
/// `message` is one of this series' own.
pub(super) unsafe fn buffer(series: &Series, message: *mut abi::Message) -> (*const u8, usize) {
    let base = message.cast::<u8>();
    // SAFETY: the caller's promise.
    unsafe {
        (
            base.add(series.message_buffer).cast::<*const u8>().read(),
            base.add(series.message_length).cast::<u32>().read() as usize,
        )
    }
}
