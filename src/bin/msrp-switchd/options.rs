//! The command line. What the module has a parameter for is checked by the same table.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, ValueEnum};
use msrp_conference::log::Level;
use msrp_conference::net;
use msrp_conference::parameters::{
    Collected, Kind, Parameter, ParameterError, SwitchOption, TABLE, Value,
};

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
    #[command(flatten)]
    parameters: Parameters,
    /// Seconds a session may live that no proxy claims
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    orphan_timeout: u64,
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
        let mut named = options().filter(|(_, parameter, _)| parameter.name == error.name);
        let option = named.next().map_or(error.name, |(.., option)| option.name);
        Self {
            option: option.to_owned(),
            value: error.value,
            allowed: error.allowed.replace('_', "-"),
        }
    }
}

/// The parameters of the module that are options here, with their numbers.
fn options() -> impl Iterator<Item = (usize, &'static Parameter, SwitchOption)> {
    let all = TABLE.iter().enumerate();
    all.filter_map(|(number, parameter)| Some((number, parameter, parameter.option?)))
}

/// What was given for these, by their numbers.
#[derive(Clone, Debug, Default)]
struct Parameters(Vec<(usize, String)>);

impl Args for Parameters {
    fn augment_args(command: Command) -> Command {
        command.args(options().map(|(_, parameter, option)| argument(parameter, option)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(parameter: &Parameter, option: SwitchOption) -> Arg {
    let argument = Arg::new(option.name).long(option.name);
    if parameter.kind == Kind::Flag {
        return argument.help(option.help).action(ArgAction::SetTrue);
    }
    let help = match parameter.default {
        "" => option.help.to_owned(),
        default => format!("{} [default: {default}]", option.help),
    };
    let action = match parameter.repeatable {
        true => ArgAction::Append,
        false => ArgAction::Set,
    };
    argument.help(help).value_name(option.value).action(action)
}

impl FromArgMatches for Parameters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for (number, parameter, option) in options() {
            if parameter.kind != Kind::Flag {
                let values = matches.get_many::<String>(option.name).unwrap_or_default();
                given.extend(values.map(|value| (number, value.clone())));
            } else if matches.get_flag(option.name) {
                given.push((number, "yes".to_owned()));
            }
        }
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Arguments {
    /// What the switch is to be.
    ///
    /// # Errors
    /// The first option with a value that is not allowed.
    pub(crate) fn switch(&self) -> Result<net::Config, OptionError> {
        let mut collected = Collected::default();
        for (number, value) in &self.parameters.0 {
            collected.set(*number, Value::Text(value.clone()))?;
        }
        Ok(collected.settings()?.net)
    }

    /// How long a session may live that no focus claims.
    pub(crate) fn orphan_timeout(&self) -> Duration {
        Duration::from_secs(self.orphan_timeout)
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
        assert_eq!(config.switch.outbox_bytes, 70_000);
        assert_eq!(config.switch.forward_whole_below, 4096);
        assert_eq!(config.switch.chunk_timeout, Duration::from_secs(20));
        assert!(config.switch.nickname_confusables);
        assert_eq!(
            config.switch.slow_reader,
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
