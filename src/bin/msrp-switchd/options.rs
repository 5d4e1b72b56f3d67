//! The command line. What the module has a parameter for is checked by the same table.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use msrp_conference::log::Level;
use msrp_conference::net;
use msrp_conference::parameters::{Collected, ParameterError, TABLE, Value};

const EXAMPLES: &str = "\
Examples:
  For a proxy whose group is kamailio:
    msrp-switchd --socket /run/msrp-switchd/control.sock \\
        --listen msrp:192.0.2.5:2855 --user msrp-switchd --group kamailio

  With TLS beside it:
    msrp-switchd --socket /run/msrp-switchd/control.sock \\
        --listen msrp:192.0.2.5:2855 --listen msrps:192.0.2.5:2856 \\
        --tls-certificate /etc/msrp/cert.pem --tls-private-key /etc/msrp/key.pem

  In the proxy's configuration:
    modparam(\"msrp_conference\", \"switch\", \"unix:/run/msrp-switchd/control.sock\")
    modparam(\"msrp_conference\", \"listen\", \"msrp:192.0.2.5:2855\")

Whoever may write to the control socket drives the switch; nobody else should be able to.
SIGTERM and SIGINT end it, and every session with it.

Exit status: 0 stopped in good order; 1 could not start; 2 wrong usage.";

/// The MSRP switch of msrp_conference, outside the proxy: participants' connections and
/// conversations live through a restart or a crash of the proxy.
#[derive(Clone, Debug, Parser)]
#[command(name = "msrp-switchd", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Control socket; the proxy's parameter `switch` names it as unix:PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// Permissions of the control socket, octal
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = mode)]
    pub(crate) socket_mode: u32,
    /// Where to take MSRP connections: msrp:ADDRESS:PORT, or with msrps:, ws: or wss: for
    /// msrp:; IPv6 in brackets (repeatable) [default: msrp:0.0.0.0:2855]
    #[arg(long, value_name = "LISTENER")]
    listen: Vec<String>,
    /// Certificate chain of msrps: and wss: listeners, PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// Its private key, PEM; read again when it changes, so USER must be able to
    #[arg(long, value_name = "FILE")]
    tls_private_key: Option<String>,
    /// Authorities that may vouch for clients, PEM
    #[arg(long, value_name = "FILE")]
    tls_ca_list: Option<String>,
    /// Clients must show a certificate
    #[arg(long)]
    tls_verify_client: bool,
    /// Threads; a room lives on one of them [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<String>,
    /// Seconds a session may live that no proxy claims
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    orphan_timeout: u64,
    /// Most octets that wait for one receiver [default: 1048576]
    #[arg(long, value_name = "OCTETS")]
    outbox_bytes: Option<String>,
    /// What to do with slow readers: drop messages or disconnect [default: drop]
    #[arg(long, value_name = "WHAT")]
    slow_reader: Option<String>,
    /// Messages up to this size are delivered whole [default: 65536]
    #[arg(long, value_name = "OCTETS")]
    forward_whole_below: Option<String>,
    /// Longest pause between two chunks of a message [default: 540]
    #[arg(long, value_name = "SECONDS")]
    chunk_timeout: Option<String>,
    /// Silence after which a connection counts as lost; 0: never [default: 0]
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<String>,
    /// Where it may connect to: public, source, any, addresses, networks, host names; none
    /// [default: public,source]
    #[arg(long, value_name = "LIST")]
    dial_allow: Option<String>,
    /// Whose pages may open a WebSocket: own, any, or origins like https://chat.example.com
    /// [default: own]
    #[arg(long, value_name = "LIST")]
    ws_origins: Option<String>,
    /// Refuse nicknames that look like one in use
    #[arg(long)]
    nickname_confusables: bool,
    /// Run as this user, after listening; needs root at start
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Run as this group, which also owns the control socket [default: the user's]
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// What goes to the log on standard error
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level())]
    pub(crate) log_level: Level,
}

/// An option with a value that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error("--{option}: {value:?} is not allowed (allowed: {allowed})")]
pub(crate) struct OptionError {
    option: String,
    value: String,
    allowed: String,
}

impl From<ParameterError> for OptionError {
    fn from(error: ParameterError) -> Self {
        let option = match error.name {
            "switch_threads" => "threads".to_owned(),
            name => name.replace('_', "-"),
        };
        Self {
            option,
            value: error.value,
            allowed: error.allowed.replace('_', "-"),
        }
    }
}

impl Arguments {
    /// What the switch is to be.
    ///
    /// # Errors
    /// The first option with a value that is not allowed.
    pub(crate) fn switch(&self) -> Result<net::Config, OptionError> {
        let flag = |given: bool| given.then(|| "yes".to_owned());
        let mut collected = Collected::default();
        for listen in &self.listen {
            set(&mut collected, "listen", listen)?;
        }
        for (parameter, value) in [
            ("tls_certificate", self.tls_certificate.clone()),
            ("tls_private_key", self.tls_private_key.clone()),
            ("tls_ca_list", self.tls_ca_list.clone()),
            ("tls_verify_client", flag(self.tls_verify_client)),
            ("switch_threads", self.threads.clone()),
            ("outbox_bytes", self.outbox_bytes.clone()),
            ("slow_reader", self.slow_reader.clone()),
            ("forward_whole_below", self.forward_whole_below.clone()),
            ("chunk_timeout", self.chunk_timeout.clone()),
            ("idle_timeout", self.idle_timeout.clone()),
            ("dial_allow", self.dial_allow.clone()),
            ("ws_origins", self.ws_origins.clone()),
            ("nickname_confusables", flag(self.nickname_confusables)),
        ] {
            if let Some(value) = value {
                set(&mut collected, parameter, &value)?;
            }
        }
        Ok(collected.settings()?.net)
    }

    /// How long a session may live that no focus claims.
    pub(crate) fn orphan_timeout(&self) -> Duration {
        Duration::from_secs(self.orphan_timeout)
    }
}

fn set(collected: &mut Collected, name: &'static str, value: &str) -> Result<(), ParameterError> {
    match TABLE.iter().position(|parameter| parameter.name == name) {
        Some(number) => collected.set(number, Value::Text(value.to_owned())),
        None => Ok(()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "an octal number from 0 to 0777".to_owned())
}

/// The names of the levels.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelName {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

fn level() -> impl clap::builder::TypedValueParser<Value = Level> {
    use clap::builder::TypedValueParser;
    clap::builder::EnumValueParser::<LevelName>::new().map(|name| match name {
        LevelName::Error => Level::Error,
        LevelName::Warning => Level::Warning,
        LevelName::Notice => Level::Notice,
        LevelName::Info => Level::Info,
        LevelName::Debug => Level::Debug,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Arguments {
        let all = ["msrp-switchd", "--socket", "/x"].iter().chain(options);
        Arguments::try_parse_from(all).expect("options")
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_option_of_the_switch_has_its_parameter() {
        let arguments = parse(&[
            "--listen=msrp:127.0.0.1:2900",
            "--listen=msrp:[::1]:2901",
            "--threads=3",
            "--outbox-bytes=70000",
            "--slow-reader=disconnect",
            "--forward-whole-below=4096",
            "--chunk-timeout=20",
            "--nickname-confusables",
        ]);
        let config = arguments.switch().expect("allowed");
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.threads, 3);
        assert_eq!(config.outbox_bytes, 70_000);
        assert_eq!(config.forward_whole_below, 4096);
        assert_eq!(config.chunk_timeout, Duration::from_secs(20));
        assert!(config.nickname_confusables);
        assert_eq!(
            config.slow_reader,
            msrp_conference::switch::SlowReader::Disconnect
        );
    }

    #[test]
    fn a_wrong_value_is_named_as_on_the_command_line() {
        let said = |options: &[&str]| parse(options).switch().expect_err("refused").to_string();
        assert_eq!(
            said(&["--threads=many"]),
            "--threads: \"many\" is not allowed (allowed: 0 to 256)"
        );
        assert!(said(&["--listen=tcp:1"]).starts_with("--listen: \"tcp:1\" is not allowed"));
        let missing = said(&["--listen=msrps:127.0.0.1:2856"]);
        assert!(missing.contains("tls-certificate"), "{missing}");
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse(&[]).socket_mode, 0o660);
        assert_eq!(parse(&["--socket-mode=600"]).socket_mode, 0o600);
        assert!(mode("9").is_err() && mode("1777").is_err());
    }
}
