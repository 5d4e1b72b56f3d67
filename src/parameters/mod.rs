//! The module's parameters: one table that feeds both hosts' exports and
//! `docs/parameters.md`, and the way from what the operator wrote to [`Settings`].
//!
//! A wrong value stops the start with the parameter, the value and what is allowed.

mod room;
mod table;
mod values;

use std::time::Duration;

use crate::focus;
use crate::net;
use crate::store;

pub use table::{Kind, Parameter, TABLE, markdown};
pub(crate) use values::doubt;
pub use values::{SwitchPlace, Value};

/// The product as it names itself in SIP.
const SOFTWARE: &str = concat!("msrp_conference/", env!("CARGO_PKG_VERSION"));

/// A parameter with a value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name}: {value:?} is not allowed (allowed: {allowed})")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// What the operator wrote.
    pub value: String,
    /// What may be written.
    pub allowed: String,
}

/// Reads a room as modparam `room` has it.
///
/// # Errors
/// It is not understood.
pub fn room(text: &str) -> Result<focus::RoomEntry, ParameterError> {
    room::room(text)
}

/// What the operator decided, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For the focus.
    pub focus: focus::Config,
    /// For the switch.
    pub net: net::Config,
    /// For the store; `None` keeps everything in memory.
    pub store: Option<store::Config>,
    /// Where the switch is.
    pub switch: SwitchPlace,
    /// The pseudo-variables that say who a caller is.
    pub identity: String,
    /// The function of another script language that is called for events; empty for none.
    pub event_callback: String,
}

/// The values so far, as the host reads its configuration.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    values: Vec<(usize, Value)>,
}

impl Collected {
    /// Takes one value of the parameter with this number in [`TABLE`]. A parameter that is
    /// not repeatable keeps the last one.
    ///
    /// # Errors
    /// The value is not allowed.
    pub fn set(&mut self, number: usize, value: Value) -> Result<(), ParameterError> {
        let Some(parameter) = TABLE.get(number) else {
            return Ok(());
        };
        parameter.check(&value)?;
        if !parameter.repeatable {
            self.values.retain(|(known, _)| *known != number);
        }
        self.values.push((number, value));
        Ok(())
    }

    /// All values, defaults filled in.
    ///
    /// # Errors
    /// A value is not allowed (a default never is one of these), or two do not fit.
    pub fn settings(&self) -> Result<Settings, ParameterError> {
        let switch = values::switch_place(&self.text("switch"))?;
        let listen = self.list("listen", values::listen)?;
        // A switch outside says itself where it listens.
        let told = switch != SwitchPlace::Embedded && self.given("listen").next().is_none();
        let focus = focus::Config {
            listen: if told { Vec::new() } else { listen.clone() },
            advertise: values::advertise(&self.text("advertise"))?,
            rooms: self.list("room", room::room)?,
            factories: self.list("factory", room::factory)?,
            adhoc: values::flag("adhoc", &self.one("adhoc"))?,
            max_conferences: self.number("max_conferences")? as usize,
            max_participants: self.number("max_participants")? as usize,
            max_list_size: self.number("max_list_size")? as usize,
            invite_mode: values::invite_mode(&self.text("invite_mode"))?,
            credentials: self.list("credential", values::credential)?,
            max_message_size: self.number("max_message_size")?,
            bind_timeout: Duration::from_secs(self.number("bind_timeout")?),
            rejoin_grace: Duration::from_secs(self.number("rejoin_grace")?),
            session_expires: Duration::from_secs(self.number("session_expires")?),
            min_se: Duration::from_secs(self.number("min_se")?),
            subscription_expires: Duration::from_secs(self.number("subscription_expires")?),
            notify_interval: Duration::from_millis(self.number("notify_interval_ms")?),
            notify_memory: self.number("notify_memory")? as usize,
            roster_limit: self.number("roster_limit")? as usize,
            full_notify_limit: self.number("full_notify_limit")? as usize,
            full_notify_agents: values::pattern(
                "full_notify_agents",
                self.text("full_notify_agents"),
            )?,
            one_send_agents: values::pattern("one_send_agents", self.text("one_send_agents"))?,
            software: SOFTWARE.to_owned(),
        };
        room::distinct(&focus.rooms, &focus.factories)?;
        values::intervals_fit(&focus)?;
        let tls = values::tls(
            &self.text("tls_certificate"),
            &self.text("tls_private_key"),
            &self.text("tls_ca_list"),
            values::flag("tls_verify_client", &self.one("tls_verify_client"))?,
        )?;
        if switch == SwitchPlace::Embedded {
            values::listeners_have_certificates(&listen, tls.as_ref())?;
        }
        let net = net::Config {
            tls,
            dial_allow: values::dial_allow(&self.text("dial_allow"))?,
            ws_origins: values::ws_origins(&self.text("ws_origins"))?,
            idle_timeout: Duration::from_secs(self.number("idle_timeout")?),
            listen: listen.clone(),
            threads: self.threads()?,
            outbox_bytes: self.number("outbox_bytes")? as usize,
            chunk_timeout: Duration::from_secs(self.number("chunk_timeout")?),
            forward_whole_below: self.number("forward_whole_below")? as usize,
            slow_reader: values::slow_reader(&self.text("slow_reader"))?,
            nickname_confusables: values::flag(
                "nickname_confusables",
                &self.one("nickname_confusables"),
            )?,
        };
        Ok(Settings {
            focus,
            net,
            store: self.store()?,
            switch,
            identity: values::identity(self.text("identity"))?,
            event_callback: self.text("event_callback"),
        })
    }

    fn store(&self) -> Result<Option<store::Config>, ParameterError> {
        let path = values::db_path(&self.text("db_path"))?;
        let durability = values::db_sync(&self.text("db_sync"))?;
        let on_error = values::db_on_error(&self.text("db_on_error"))?;
        Ok(path.map(|path| store::Config {
            path,
            durability,
            on_error,
            busy: store::BUSY,
        }))
    }

    /// 0 means one thread a core.
    fn threads(&self) -> Result<usize, ParameterError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(match self.number("switch_threads")? {
            0 => cores(),
            threads => threads as usize,
        })
    }

    fn number(&self, name: &'static str) -> Result<u64, ParameterError> {
        table::find(name).number(&self.one(name))
    }

    fn text(&self, name: &'static str) -> String {
        self.one(name).to_string()
    }

    fn list<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, ParameterError>,
    ) -> Result<Vec<T>, ParameterError> {
        let given: Vec<String> = self.given(name).map(Value::to_string).collect();
        if given.is_empty() && !table::find(name).default.is_empty() {
            return Ok(vec![parse(table::find(name).default)?]);
        }
        given.iter().map(|text| parse(text)).collect()
    }

    fn one(&self, name: &'static str) -> Value {
        let default = || Value::Text(table::find(name).default.to_owned());
        self.given(name).next().cloned().unwrap_or_else(default)
    }

    fn given(&self, name: &'static str) -> impl Iterator<Item = &Value> {
        self.values
            .iter()
            .filter(move |(number, _)| TABLE.get(*number).is_some_and(|p| p.name == name))
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests;
