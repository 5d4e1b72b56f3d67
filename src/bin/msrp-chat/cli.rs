//! The command line.

use clap::Parser;
use msrp_conference::wire::sip::Uri;
use std::time::Duration;

/// Where a password may stand so that it does not show in the process list.
const PASSWORD_VARIABLE: &str = "MSRP_CHAT_PASSWORD";

const EXAMPLES: &str = "\
Examples:
  Join a room and talk:
    msrp-chat --from sip:alice@127.0.0.1 sip:lobby@127.0.0.1:5060

  The same over TCP, with an account:
    MSRP_CHAT_PASSWORD=secret msrp-chat --tcp --user alice \\
        --from sip:alice@example.com sip:lobby@conf.example.com

  Say something, wait for an answer, leave; exit status 1 if none comes in ten seconds:
    msrp-chat --from sip:bot@127.0.0.1 --say 'anybody here?' --expect yes --for 10 \\
        sip:lobby@127.0.0.1:5060 </dev/null

  Record a room for a minute, one JSON object a line:
    msrp-chat --json --for 60 --from sip:log@127.0.0.1 sip:lobby@127.0.0.1:5060 </dev/null

Typed lines are sent to the room; /help lists the commands.

Exit status: 0 all right; 1 an expected message did not come, or the room was lost;
2 wrong usage; 3 could not join.";

/// Chat in a room of a SIP conference server (MSRP, RFC 4975 and 7701).
#[derive(Clone, Debug, Parser)]
#[command(name = "msrp-chat", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The room: sip:ROOM@HOST[:PORT]
    #[arg(value_name = "ROOM", value_parser = sip_uri)]
    pub(crate) room: String,
    /// Who you are: sip:USER@DOMAIN
    #[arg(long, value_name = "URI", value_parser = sip_uri)]
    pub(crate) from: String,
    /// The name others see
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) name: String,
    /// Use TCP instead of UDP for SIP
    #[arg(long)]
    pub(crate) tcp: bool,
    /// Send all SIP to this server instead of the room's host
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) proxy: Option<String>,
    /// Account name, if the server asks for one (default: the user of --from)
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Password; better in the environment variable MSRP_CHAT_PASSWORD
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
    /// Say this once in the room and the roster is known (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Vec<String>,
    /// Wait until a message with this text has come, then leave (repeatable: wait for all)
    #[arg(long, value_name = "TEXT")]
    pub(crate) expect: Vec<String>,
    /// Leave after this time; with --expect: give up after it (default there: 60)
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) stay_for: Option<Duration>,
    /// With --expect and --for: stay to the end although all has come
    #[arg(long)]
    pub(crate) stay: bool,
    /// Write one JSON object a line instead of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not subscribe to the roster
    #[arg(long)]
    pub(crate) no_subscribe: bool,
}

/// How long to wait for what is expected when nothing else was said.
const EXPECT_FOR: Duration = Duration::from_secs(60);

impl Arguments {
    /// The account: name and password.
    pub(crate) fn account(&self) -> Option<(String, String)> {
        let password = match &self.password {
            Some(password) => password.clone(),
            None => std::env::var(PASSWORD_VARIABLE).ok()?,
        };
        let user = self.user.clone().or_else(|| {
            let from: Uri = self.from.parse().ok()?;
            from.user
        });
        Some((user.unwrap_or_default(), password))
    }

    /// When to leave, counted from the start.
    pub(crate) fn limit(&self) -> Option<Duration> {
        match self.expect.is_empty() {
            true => self.stay_for,
            false => Some(self.stay_for.unwrap_or(EXPECT_FOR)),
        }
    }
}

fn sip_uri(text: &str) -> Result<String, String> {
    match text.parse::<Uri>() {
        Ok(uri) if uri.scheme == "sip" && uri.user.is_some() => Ok(text.to_owned()),
        Ok(uri) if uri.scheme == "sips" => Err("TLS is not supported yet: use sip:".to_owned()),
        _ => Err("write it as sip:NAME@HOST or sip:NAME@HOST:PORT".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "write a positive number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn arguments_are_read() {
        let line = "msrp-chat --from sip:al@h sip:lobby@h:5070 --say a --say b --for 1.5 --tcp";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(arguments.say, ["a", "b"]);
        assert_eq!(arguments.limit(), Some(Duration::from_millis(1500)));
        for wrong in ["msrp-chat sip:a@b", "msrp-chat --from al sip:a@b"] {
            assert!(Arguments::try_parse_from(wrong.split(' ')).is_err());
        }
    }
}
