//! What both hosts do at start, before the first fork: settings, listeners, bridge,
//! statistics.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use crate::bridge::{Bridge, LANE_OCTETS};
use crate::host::{fds, guard, logging};
use crate::log::Line;
use crate::net;
use crate::parameters::{Collected, Settings, SwitchPlace, Value};
use crate::patience::patiently;
use crate::statistics;
use crate::store::{self, OnError};

/// How long an address may stay taken: the process of the last run may still be leaving.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(3);

static COLLECTED: Mutex<Option<Collected>> = Mutex::new(None);

/// Before anything else, when a host was recognised: its log, panics, the shared page.
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

/// Settings and bridge, everything checked; `None` stops the start, and has said why.
pub(crate) fn settings_and_bridge() -> Option<(Settings, Bridge)> {
    let collected = match COLLECTED.lock() {
        Ok(collected) => collected.clone().unwrap_or_default(),
        Err(_) => return None,
    };
    let settings = collected.settings().map_err(logging::error).ok()?;
    if settings.switch == SwitchPlace::Embedded {
        probe(&settings.net.listen).map_err(logging::error).ok()?;
    }
    if let Some(config) = &settings.store
        && config.on_error == OnError::Refuse
    {
        let checked = store::check(config);
        checked
            .map_err(|error| logging::error(format_args!("database {error}")))
            .ok()?;
    }
    let bridge = Bridge::new()
        .map_err(|error| logging::error(format_args!("no sockets for the workers: {error}")))
        .ok()?;
    for socket in bridge.sending() {
        fds::enlarge_send_buffer(socket, LANE_OCTETS);
    }
    Some((settings, bridge))
}

/// The conference process binds the listeners after the fork, too late to stop the start;
/// so they are tried once before.
fn probe(listen: &[net::Listen]) -> Result<(), net::StartError> {
    while_taken(|| net::probe(listen))
}

/// Repeats while an address is taken, for [`ADDRESS_PATIENCE`].
pub(crate) fn while_taken<T>(
    attempt: impl Fn() -> Result<T, net::StartError>,
) -> Result<T, net::StartError> {
    let taken = |error: &net::StartError| match error {
        net::StartError::Bind { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
        _ => false,
    };
    patiently(ADDRESS_PATIENCE, taken, attempt)
}
