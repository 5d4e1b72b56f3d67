//! The module's parameters: one table that feeds both hosts' exports and `docs/parameters.md`, and
//! the conversion of the operator's values to [`Settings`].
//!
//! A wrong value stops the start; the error names the parameter, the value and the allowed values.

mod fit;
mod parse;
mod room;
mod table;
mod value;

use std::time::Duration;

use crate::control::Listen;
use crate::{focus, net, store, switch};

use value::Wrong;

pub use parse::SwitchPlace;
pub(crate) use parse::doubt;
pub use table::{Kind, Parameter, SwitchOption, TABLE, markdown};
pub use value::{ParameterError, Value};

/// The product's name in SIP.
const SOFTWARE: &str = concat!("msrp_conference/", env!("CARGO_PKG_VERSION"));

/// Reads a room in the form of modparam `room`.
///
/// # Errors
/// The text is invalid.
pub fn room(text: &str) -> Result<focus::RoomEntry, ParameterError> {
    table::find("room").read(&Value::Text(text.to_owned()), room::room)
}

/// The operator's settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Settings of the focus.
    pub focus: focus::Config,
    /// Settings of the switch.
    pub net: net::Config,
    /// Settings of the store; `None` keeps everything in memory.
    pub store: Option<store::Config>,
    /// Place of the switch.
    pub switch: SwitchPlace,
    /// The pseudo-variables with the caller's identity.
    pub identity: String,
    /// The function of another script language to call for events; empty for none.
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
    /// A value is not allowed (a default always is), or two do not fit.
    pub fn settings(&self) -> Result<Settings, ParameterError> {
        let place = self.read("switch", parse::switch_place)?;
        let net = self.net(&place)?;
        let focus = self.focus(&place, &net.listen)?;
        Ok(Settings {
            focus,
            net,
            store: self.store()?,
            switch: place,
            identity: self.read("identity", parse::identity)?,
            event_callback: self.text("event_callback"),
        })
    }

    fn focus(
        &self,
        place: &SwitchPlace,
        listen: &[Listen],
    ) -> Result<focus::Config, ParameterError> {
        // A switch outside reports its own listeners.
        let told = *place != SwitchPlace::Embedded && self.given("listen").next().is_none();
        let focus = focus::Config {
            listen: if told { Vec::new() } else { listen.to_vec() },
            advertise: self.read("advertise", parse::advertise)?,
            rooms: self.list("room", room::room)?,
            factories: self.list("factory", room::factory)?,
            adhoc: self.read("adhoc", parse::flag)?,
            max_conferences: self.size("max_conferences")?,
            max_participants: self.size("max_participants")?,
            max_list_size: self.size("max_list_size")?,
            invite_mode: self.read("invite_mode", parse::invite_mode)?,
            credentials: self.list("credential", parse::credential)?,
            max_message_size: self.number("max_message_size")?,
            bind_timeout: self.seconds("bind_timeout")?,
            rejoin_grace: self.seconds("rejoin_grace")?,
            session_expires: self.seconds("session_expires")?,
            min_se: self.seconds("min_se")?,
            subscription_expires: self.seconds("subscription_expires")?,
            notify_interval: Duration::from_millis(self.number("notify_interval_ms")?),
            notify_memory: self.size("notify_memory")?,
            roster_limit: self.size("roster_limit")?,
            full_notify_limit: self.size("full_notify_limit")?,
            full_notify_agents: self.read("full_notify_agents", parse::pattern)?,
            one_send_agents: self.read("one_send_agents", parse::pattern)?,
            software: SOFTWARE.to_owned(),
        };
        fit::distinct(&focus.rooms, &focus.factories)?;
        fit::intervals_fit(&focus)?;
        Ok(focus)
    }

    fn net(&self, place: &SwitchPlace) -> Result<net::Config, ParameterError> {
        let listen = self.list("listen", parse::listen)?;
        let tls = fit::tls(
            &self.text("tls_certificate"),
            &self.text("tls_private_key"),
            &self.text("tls_ca_list"),
            self.read("tls_verify_client", parse::flag)?,
        )?;
        if *place == SwitchPlace::Embedded {
            fit::listeners_have_certificates(&listen, tls.as_ref())?;
        }
        Ok(net::Config {
            listen,
            tls,
            threads: self.threads()?,
            dial_allow: self.read("dial_allow", parse::dial_allow)?,
            ws_origins: self.read("ws_origins", parse::ws_origins)?,
            switch: switch::Config {
                outbox_bytes: self.size("outbox_bytes")?,
                chunk_timeout: self.seconds("chunk_timeout")?,
                idle_timeout: self.seconds("idle_timeout")?,
                forward_whole_below: self.size("forward_whole_below")?,
                slow_reader: self.read("slow_reader", parse::slow_reader)?,
                nickname_confusables: self.read("nickname_confusables", parse::flag)?,
                ..switch::Config::default()
            },
        })
    }

    fn store(&self) -> Result<Option<store::Config>, ParameterError> {
        let path = self.read("db_path", parse::db_path)?;
        let durability = self.read("db_sync", parse::db_sync)?;
        let on_error = self.read("db_on_error", parse::db_on_error)?;
        Ok(path.map(|path| store::Config {
            path,
            durability,
            on_error,
            busy: store::BUSY,
        }))
    }

    /// Number of threads; 0 means one per core.
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

    fn size(&self, name: &'static str) -> Result<usize, ParameterError> {
        Ok(self.number(name)? as usize)
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, ParameterError> {
        Ok(Duration::from_secs(self.number(name)?))
    }

    fn read<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<T, ParameterError> {
        table::find(name).read(&self.one(name), parse)
    }

    fn text(&self, name: &'static str) -> String {
        self.one(name).to_string()
    }

    fn list<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, ParameterError> {
        let parameter = table::find(name);
        if self.given(name).next().is_none() && parameter.default.is_empty() {
            return Ok(Vec::new());
        }
        let default = Value::Text(parameter.default.to_owned());
        let given: Vec<&Value> = self.given(name).collect();
        let values = if given.is_empty() {
            vec![&default]
        } else {
            given
        };
        values
            .into_iter()
            .map(|value| parameter.read(value, &parse))
            .collect()
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
