//! Events for the host's event interface: `E_MSRP_CONFERENCE_START` and so on.

use std::ffi::{c_int, c_void};

use super::abi::{self, opensips_text};
use crate::focus::{Detail, EVENTS, Event, EventKind};
use crate::host::guard::c_string;
use crate::host::logging as log;
use crate::host::symbols::{self, host_symbols};

host_symbols! {
    /// Functions of the event interface.
    struct Functions {
        publish: abi::PublishEvent = c"evi_publish_event",
        has_listeners: abi::ProbeEvent = c"evi_probe_event",
        details: abi::NewDetails = c"evi_get_params",
        add: abi::AddDetail = c"evi_param_add",
        raise: abi::RaiseEvent = c"evi_raise_event",
    }
}

/// The events the host knows, in the order of [`EVENTS`].
#[derive(Clone, Copy)]
pub(super) struct Events {
    functions: Functions,
    ids: [c_int; EVENTS.len()],
}

impl Events {
    /// Publishes the events. In `init`, before any fork; `None` has logged the reason.
    pub(super) fn publish() -> Option<Self> {
        // SAFETY: the types in Functions are those of every supported series.
        let functions = unsafe { Functions::load(symbols::of_core) }
            .map_err(log::error)
            .ok()?;
        let ids = std::array::from_fn(|number| {
            let name = format!("E_MSRP_CONFERENCE_{}", EVENTS[number].name.to_uppercase());
            let counted = opensips_text {
                len: name.len() as c_int,
                // The host keeps it.
                s: c_string(name).into_raw(),
            };
            // SAFETY: in `init`; the name lives for ever.
            unsafe { (functions.publish)(counted) }
        });
        if ids.iter().any(|id: &c_int| *id < 0) {
            log::error("the host does not take our events");
            return None;
        }
        Some(Self { functions, ids })
    }

    /// Whether the event interface has a subscriber to messages.
    ///
    /// # Safety
    /// On the main thread of a process.
    pub(super) unsafe fn wants_messages(&self) -> bool {
        // SAFETY: the id is one the host gave.
        unsafe { (self.functions.has_listeners)(self.ids[EventKind::Message as usize]) > 0 }
    }

    /// Raises the event for its subscribers.
    ///
    /// # Safety
    /// On the main thread of the conference process, outside any other host call.
    pub(super) unsafe fn raise(&self, event: &Event) {
        let id = self.ids[event.kind() as usize];
        // SAFETY: as the caller promises; the id is one the host gave.
        unsafe {
            if (self.functions.has_listeners)(id) <= 0 {
                return;
            }
            let list = (self.functions.details)();
            if list.is_null() {
                return;
            }
            let details = event.details();
            // The host keeps pointers to names and values until the event is raised.
            let texts: Vec<_> = details
                .iter()
                .map(|(name, value)| text(name, value))
                .collect();
            for (name, value) in &texts {
                self.add(list, name, value);
            }
            // The list belongs to the host again, whatever the result.
            (self.functions.raise)(id, list);
        }
    }

    /// # Safety
    /// As for [`Self::raise`]; name and value live until the event is raised.
    unsafe fn add(&self, list: *mut c_void, name: &opensips_text, value: &Value) {
        // SAFETY: the caller's promise; the flag says what the value is.
        unsafe {
            match value {
                Value::Text(text) => {
                    (self.functions.add)(list, name, (&raw const *text).cast(), abi::EVENT_TEXT)
                }
                Value::Number(number) => {
                    (self.functions.add)(list, name, (&raw const *number).cast(), abi::EVENT_NUMBER)
                }
            };
        }
    }
}

enum Value {
    Text(opensips_text),
    Number(c_int),
}

fn text(name: &str, value: &Detail<'_>) -> (opensips_text, Value) {
    let counted = |text: &str| opensips_text {
        s: crate::host::text::start(text.as_bytes()),
        len: text.len() as c_int,
    };
    let value = match value {
        Detail::Text(text) => Value::Text(counted(text)),
        Detail::Number(number) => Value::Number(c_int::try_from(*number).unwrap_or(c_int::MAX)),
    };
    (counted(name), value)
}
