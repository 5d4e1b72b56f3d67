//! Start of both hosts before the first fork: settings, listeners, bridge, statistics.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::access::{self, Wish};
use crate::bridge::{Bridge, CHANNEL_OCTETS};
use crate::host::user::{self, FurtherGroups};
use crate::host::{fds, guard, logging};
use crate::log::Line;
use crate::net;
use crate::parameters::{Collected, Settings, SwitchPlace, Value, doubt};
use crate::remote;
use crate::retry::retry;
use crate::statistics;
use crate::store::{self, OnError};

/// How long an address may stay taken: the process of the last run may still be leaving.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Bound in `init`, taken by the conference process.
static LISTENERS: Mutex<Option<net::Listeners>> = Mutex::new(None);

static COLLECTED: Mutex<Option<Collected>> = Mutex::new(None);

/// Runs before anything else once a host is recognised: its log, panics, the shared page.
pub(crate) fn prepare(writer: fn(&Line)) {
    logging::use_writer(writer);
    guard::report_panics();
    match fds::shared_statistics() {
        Ok(page) => statistics::share(page),
        Err(error) => logging::error(format_args!("no shared memory for statistics: {error}")),
    }
}

/// Takes a parameter's value from the host's configuration; false stops the start.
pub(crate) fn take_parameter(number: usize, value: Value) -> bool {
    let Ok(mut collected) = COLLECTED.lock() else {
        return false;
    };
    match collected.get_or_insert_default().set(number, value) {
        Ok(()) => true,
        Err(error) => {
            logging::error(error);
            false
        }
    }
}

/// Settings and bridge, with everything checked and every listener bound; `None` stops the start,
/// and has logged the reason.
pub(crate) fn settings_and_bridge(groups: FurtherGroups) -> Option<(Settings, Bridge)> {
    let collected = match COLLECTED.lock() {
        Ok(collected) => collected.clone().unwrap_or_default(),
        Err(_) => return None,
    };
    let settings = collected.settings().map_err(logging::error).ok()?;
    if let Some(doubt) = doubt(&settings.identity) {
        logging::warning(doubt);
    }
    if settings.switch == SwitchPlace::Embedded {
        bind(&settings.net.listen).map_err(logging::error).ok()?;
    }
    user::as_the_proxy_will_run(groups, || check_files(&settings, groups))
        .map_err(|error| format!("cannot look at files as the proxy's user: {error}"))
        .flatten()
        .map_err(logging::error)
        .ok()?;
    let bridge = Bridge::new()
        .map_err(|error| logging::error(format_args!("no sockets for the workers: {error}")))
        .ok()?;
    for socket in bridge.sending() {
        fds::enlarge_send_buffer(socket, CHANNEL_OCTETS);
    }
    Some((settings, bridge))
}

/// Binds the listeners while the host may still take any port. Every forked process inherits them;
/// the conference process serves them. They do not disturb the host: they close on exec, and accept
/// nothing once the switch has stopped.
fn bind(listen: &[net::Listen]) -> Result<(), net::StartError> {
    let taken = |error: &net::StartError| match error {
        net::StartError::Bind { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
        _ => false,
    };
    let bound = retry(ADDRESS_TIMEOUT, taken, || net::Listeners::bind(listen))?;
    if let Ok(mut listeners) = LISTENERS.lock() {
        *listeners = Some(bound);
    }
    Ok(())
}

/// The listeners, for the conference process.
pub(crate) fn listeners() -> Option<net::Listeners> {
    LISTENERS.lock().ok()?.take()
}

/// Checks that the proxy's user may use the files it will need. A database that it may do without
/// is left to the conference process, which reports the same and goes on.
fn check_files(settings: &Settings, groups: FurtherGroups) -> Result<(), String> {
    match &settings.switch {
        SwitchPlace::Unix(socket) => {
            check_socket(socket, groups)?;
            remote::check_listeners(socket, &settings.focus.listen)?;
        }
        SwitchPlace::Embedded => {
            let files = settings.net.tls.as_ref();
            files
                .map_or(Ok(()), net::TlsFiles::check)
                .map_err(|error| format!("parameter {}: {error}", error.parameter()))?;
        }
    }
    let store = settings.store.as_ref();
    match store.filter(|config| config.on_error == OnError::Refuse) {
        Some(config) => store::check(config).map_err(|error| format!("database {error}")),
        None => Ok(()),
    }
}

/// The outside switch may start later; but if its socket exists, the proxy must have access to it.
fn check_socket(socket: &Path, groups: FurtherGroups) -> Result<(), String> {
    let Some(obstacle) = access::obstacle(socket, Wish::Write) else {
        return Ok(());
    };
    let user = access::user();
    let mend = match (obstacle.open_to_group(), groups) {
        (Some(group), FurtherGroups::OfTheUser) => {
            format!("usermod --append --groups {group} {user}")
        }
        (Some(group), FurtherGroups::Kept) => format!("start the proxy with -g {group}"),
        (None, _) => "start msrp-switchd with --group and a group of that user".to_owned(),
    };
    Err(format!("parameter switch: {obstacle}: {mend}"))
}
