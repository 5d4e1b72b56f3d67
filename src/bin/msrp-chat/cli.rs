//! The command line: a chat, or one of the operator's tools.

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use msrp_conference::wire::sip::Uri;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Where a password may stand so that it does not show in the process list.
const PASSWORD_VARIABLE: &str = "MSRP_CHAT_PASSWORD";
/// The same for the second participant of `check`.
const SECOND_PASSWORD_VARIABLE: &str = "MSRP_CHAT_SECOND_PASSWORD";

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

  Try a server step by step, and see what it bears:
    msrp-chat check sip:lobby@127.0.0.1:5060
    msrp-chat load --participants 50 --rooms 5 --rate 100 sip:load@127.0.0.1:5060

Commands: typed lines are sent to the room; /who shows who is there, /msg WHO TEXT speaks to one
alone, /nick NAME takes a nickname, /quit leaves, /help lists them all.

NO_COLOR, if set, turns the colours off.

Exit status: 0 all right; 1 an expected message did not come, or the room was lost;
2 wrong usage; 3 could not join.";

/// What to do.
#[derive(Debug)]
pub(crate) enum CommandLine {
    /// A chat, when no tool is named.
    Chat(Box<Arguments>),
    /// One of the tools.
    Tool(Box<Tool>),
}

impl CommandLine {
    /// The whole command line's description: a chat, and the tools beside it.
    pub(crate) fn command() -> clap::Command {
        let chat = Arguments::command();
        let about = chat.get_about().cloned().unwrap_or_default();
        Tool::augment_subcommands(chat)
            .about(about)
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
    }

    /// Reads the words of a command line.
    pub(crate) fn read<W>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error>
    where
        W: Into<OsString> + Clone,
    {
        let matches = Self::command().try_get_matches_from(words)?;
        Ok(match matches.subcommand_name() {
            Some(_) => CommandLine::Tool(Box::new(Tool::from_arg_matches(&matches)?)),
            None => CommandLine::Chat(Box::new(Arguments::from_arg_matches(&matches)?)),
        })
    }
}

/// The operator's tools.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Try a server step by step, and say what is wrong and how to mend it
    Check(CheckArguments),
    /// Put many participants into rooms, let them talk, and measure
    Load(LoadArguments),
    /// Write the completion script for a shell to standard output
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: KnownShell,
    },
    /// Write the manual page (roff) to standard output
    Man {
        /// Of which tool; without: of msrp-chat itself
        #[arg(value_name = "TOOL")]
        tool: Option<String>,
    },
}

/// The shells we write completions for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl From<KnownShell> for Shell {
    fn from(shell: KnownShell) -> Self {
        match shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        }
    }
}

/// How to reach the server, and the account there.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Access {
    /// Use TCP instead of UDP for SIP
    #[arg(long)]
    pub(crate) tcp: bool,
    /// Encrypt the chat: MSRP over TLS
    #[arg(long)]
    pub(crate) msrps: bool,
    /// Come to the chat as browsers do: MSRP over WebSocket
    #[arg(long)]
    pub(crate) websocket: bool,
    /// Authorities to believe, PEM (default: those of this machine)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Send all SIP to this server instead of the room's host
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) proxy: Option<String>,
    /// Account name, if the server asks for one (default: the user of --from)
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Password; better in the environment variable MSRP_CHAT_PASSWORD
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) password: Option<String>,
}

const CHECK_EXAMPLES: &str = "\
Two participants join the room, talk to each other and leave. Each failure is printed with a
suggested fix; dependent steps are skipped. The room sees check-1 and check-2 come and go; what
they say is marked as a typing notice, which clients do not show and no history keeps. For a
check that runs again and again use a room of its own, such as sip:check@conf.example.com.

Steps:
  address      the server's name has an address
  sip          OPTIONS is answered
  join         INVITE is answered with 200, after a challenge if there is one
  focus        the one who answers is a conference server (isfocus)
  description  the answer names an address for the chat that can be reached from here
  connection   a connection to it; with --websocket, the handshake of a WebSocket for MSRP
  certificate  with --msrps: whether it is CA-signed, its issuer, its name, when it ends
  bind         the first MSRP request is answered
  roster       SUBSCRIBE, and a NOTIFY that names us
  second       the second participant joins too; second-bind: its connection
  news         the first is told of the second by NOTIFY
  message      what the first says the second hears; reply: the other way round
  ack          the room has got the ACK: it does not repeat its 200
  leave        BYE is answered

Examples:
  msrp-chat check sip:lobby@127.0.0.1:5060
  With accounts; one is enough, which then joins twice:
    msrp-chat check --account alice@example.com:secret sip:lobby@conf.example.com
    msrp-chat check --account alice@example.com:secret --account bob@example.com:other \\
        sip:lobby@conf.example.com
  The same without passwords in the process list:
    MSRP_CHAT_PASSWORD=secret msrp-chat check --account alice@example.com \\
        sip:lobby@conf.example.com
  For Nagios, Icinga and their like:
    msrp-chat check --nagios sip:check@conf.example.com

Exit status: 0 everything in order (warnings included); 1 a step failed; 2 wrong usage. With
--nagios: 0 in order, 1 a warning, 2 a step failed, 3 wrong usage.";

/// `msrp-chat check`.
#[derive(Clone, Debug, Parser)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArguments {
    /// The room: sip:ROOM@HOST[:PORT]
    #[arg(value_name = "ROOM", value_parser = sip_uri)]
    pub(crate) room: String,
    /// An account to join with: alice, alice@DOMAIN or either with :PASSWORD; give a second one
    /// for the second participant, or the same account joins twice
    #[arg(long, value_name = "USER[@DOMAIN][:PASSWORD]", value_parser = account,
          conflicts_with_all = ["from", "second", "user", "password", "second_user",
                                "second_password"])]
    pub(crate) account: Vec<Account>,
    /// The first participant's address (default: sip:check-1@ the room's host)
    #[arg(long, value_name = "URI", value_parser = sip_uri)]
    pub(crate) from: Option<String>,
    /// The second participant's address (default: sip:check-2@ the room's host)
    #[arg(long, value_name = "URI", value_parser = sip_uri)]
    pub(crate) second: Option<String>,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Account name of the second participant (default: that of --user, or the user of --second)
    #[arg(long, value_name = "NAME")]
    pub(crate) second_user: Option<String>,
    /// Its password; better in the environment variable MSRP_CHAT_SECOND_PASSWORD
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) second_password: Option<String>,
    /// How long a step may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = patience)]
    pub(crate) patience: Duration,
    /// Write one JSON object a step
    #[arg(long)]
    pub(crate) json: bool,
    /// Write one line and end with 0, 1, 2 or 3, as monitoring plugins do
    #[arg(long, conflicts_with = "json")]
    pub(crate) nagios: bool,
}

/// An account as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    user: String,
    domain: Option<String>,
    password: Option<String>,
}

const LOAD_EXAMPLES: &str = "\
Only servers on this machine are loaded unless --remote is given: load your own servers, and
nobody else's. ROOM is the room when --rooms is 1; otherwise -1, -2, … are added to its name.

Examples:
  msrp-chat load sip:load@127.0.0.1:5060
  msrp-chat load --participants 500 --rooms 20 --join-rate 100 --rate 400 --for 60 \\
      sip:load@127.0.0.1:5060

Exit status: 0 everybody joined and every message came to everybody; 1 something is missing;
2 wrong usage; 3 nobody could join.";

/// `msrp-chat load`.
#[derive(Clone, Debug, Parser)]
#[command(after_help = LOAD_EXAMPLES)]
pub(crate) struct LoadArguments {
    /// The room, or the pattern of the rooms: sip:ROOM@HOST[:PORT]
    #[arg(value_name = "ROOM", value_parser = sip_uri)]
    pub(crate) room: String,
    /// Who takes part: -1, -2, … are added to the user (default: sip:load@ the room's host)
    #[arg(long, value_name = "URI", value_parser = sip_uri)]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Participants in all
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) participants: u32,
    /// Rooms they are spread over
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rooms: u32,
    /// Joins a second
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = rate)]
    pub(crate) join_rate: f64,
    /// Messages a second, of all participants together
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Text size of a message in octets (at least 30: it carries a time stamp)
    #[arg(long, value_name = "OCTETS", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) size: u32,
    /// How many seconds to send messages after the last join request (at most 3600)
    #[arg(long = "for", value_name = "SECONDS", default_value = "10", value_parser = talk)]
    pub(crate) talk_for: Duration,
    /// Subscribe everybody to the roster
    #[arg(long)]
    pub(crate) subscribe: bool,
    /// Allow a server on another machine
    #[arg(long)]
    pub(crate) remote: bool,
    /// Write JSON objects: progress every second, and the result
    #[arg(long)]
    pub(crate) json: bool,
}

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
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) access: Access,
    /// Send this text after joining (repeatable); if the room refuses it, the exit status is 1
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

impl Access {
    /// The account, name and password; `from` gives the name when none was named.
    pub(crate) fn account(&self, from: &str) -> Option<(String, String)> {
        let password = self
            .password
            .clone()
            .or_else(|| std::env::var(PASSWORD_VARIABLE).ok())?;
        let user = self.user.clone().or_else(|| {
            let from: Uri = from.parse().ok()?;
            from.user
        });
        Some((user.unwrap_or_default(), password))
    }
}

impl CheckArguments {
    /// Who the participant with this number is: address and access. Without --account and
    /// without another word it is `check-1` or `check-2` at the room's host.
    pub(crate) fn participant(&self, number: usize) -> (String, Access) {
        if let Some(account) = self.account.get(number).or(self.account.last()) {
            let (own, other) = (PASSWORD_VARIABLE, SECOND_PASSWORD_VARIABLE);
            let own_place = number == 0 || self.account.len() == 1;
            let variable = if own_place { own } else { other };
            return account.caller(&self.room, &self.access, variable);
        }
        let (given, access) = match number {
            0 => (&self.from, self.access.clone()),
            _ => (&self.second, self.second_access()),
        };
        let named = || identity_at(&self.room, &format!("check-{}", number + 1));
        (given.clone().unwrap_or_else(named), access)
    }

    /// The account of the second identity, where it has its own.
    pub(crate) fn second_access(&self) -> Access {
        let mut access = self.access.clone();
        if self.second_user.is_some() {
            access.user.clone_from(&self.second_user);
        }
        let password = self.second_password.clone();
        let password = password.or_else(|| std::env::var(SECOND_PASSWORD_VARIABLE).ok());
        access.password = password.or(access.password);
        access
    }
}

impl Arguments {
    /// When to leave, counted from the start.
    pub(crate) fn limit(&self) -> Option<Duration> {
        match self.expect.is_empty() {
            true => self.stay_for,
            false => Some(self.stay_for.unwrap_or(EXPECT_FOR)),
        }
    }
}

impl Account {
    fn caller(&self, room: &str, access: &Access, variable: &str) -> (String, Access) {
        let from = match &self.domain {
            Some(domain) => format!("sip:{}@{domain}", self.user),
            None => identity_at(room, &self.user),
        };
        let password = self.password.clone();
        let access = Access {
            user: Some(self.user.clone()),
            password: password.or_else(|| std::env::var(variable).ok()),
            ..access.clone()
        };
        (from, access)
    }
}

/// `alice`, `alice@example.com`, each with `:PASSWORD` or without; `sip:` may stand in front.
fn account(text: &str) -> Result<Account, String> {
    let text = text.strip_prefix("sip:").unwrap_or(text);
    let (user, rest) = text.split_at(text.find([':', '@']).unwrap_or(text.len()));
    let (domain, password) = match rest.strip_prefix('@') {
        None => (None, rest.strip_prefix(':')),
        Some(rest) => {
            // Colons in brackets are an address's own.
            let host = rest.find(']').unwrap_or(0);
            let end = rest[host..].find(':').map_or(rest.len(), |at| host + at);
            (Some(&rest[..end]), rest[end..].strip_prefix(':'))
        }
    };
    if user.is_empty() || domain == Some("") || password == Some("") {
        return Err("write it as USER, USER@DOMAIN or either with :PASSWORD".to_owned());
    }
    Ok(Account {
        user: user.to_owned(),
        domain: domain.map(str::to_owned),
        password: password.map(str::to_owned),
    })
}

fn sip_uri(text: &str) -> Result<String, String> {
    match text.parse::<Uri>() {
        Ok(uri) if uri.scheme == "sip" && uri.user.is_some() => Ok(text.to_owned()),
        Ok(uri) if uri.scheme == "sips" => Err(
            "SIP over TLS is not supported yet: use sip: (--msrps encrypts the chat)".to_owned(),
        ),
        _ => Err("write it as sip:NAME@HOST or sip:NAME@HOST:PORT".to_owned()),
    }
}

/// A room's or person's URI beside `uri`: its user replaced.
pub(crate) fn with_user(uri: &str, user: &str) -> String {
    let rest = uri.split_once('@').map_or(uri, |(_, rest)| rest);
    format!("sip:{user}@{rest}")
}

/// Somebody at a room's host. An identity is no place: no port, no parameters.
pub(crate) fn identity_at(room: &str, user: &str) -> String {
    let uri = with_user(room, user);
    let end = uri.find('@').map_or(uri.len(), |at| {
        let host = &uri[at..];
        let close = host.find(']').unwrap_or(0);
        at + host[close..]
            .find([':', ';', '?'])
            .map_or(host.len(), |end| close + end)
    });
    uri[..end].to_owned()
}

/// At most this many a second: more than the machine could make in any case.
const MAX_RATE: f64 = 100_000.0;
/// Fewer would be none within the hour that a run may last.
const MIN_RATE: f64 = 0.001;

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (MIN_RATE..=MAX_RATE).contains(&rate) => Ok(rate),
        _ => Err(format!("write a number from {MIN_RATE} to {MAX_RATE}")),
    }
}

fn talk(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        span if span <= Duration::from_secs(3_600) => Ok(span),
        _ => Err("an hour (3600) at most".to_owned()),
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        span if (Duration::from_millis(100)..=Duration::from_secs(600)).contains(&span) => Ok(span),
        _ => Err("from 0.1 to 600".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "write a positive number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::read(line.split(' '))
    }

    fn tool(line: &str) -> Tool {
        match read(line) {
            Ok(CommandLine::Tool(tool)) => *tool,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn without_a_tool_it_is_a_chat() {
        for line in [
            "msrp-chat --from sip:al@h sip:lobby@h:5070 --say a --say b --for 1.5 --tcp",
            "msrp-chat sip:lobby@h:5070 --tcp --say a --say b --for 1.5 --from sip:al@h",
        ] {
            let Ok(CommandLine::Chat(arguments)) = read(line) else {
                panic!("{line}")
            };
            assert_eq!(arguments.say, ["a", "b"]);
            assert_eq!(arguments.limit(), Some(Duration::from_millis(1500)));
            assert!(arguments.access.tcp);
        }
        for wrong in [
            "msrp-chat",
            "msrp-chat sip:a@b",
            "msrp-chat --from al sip:a@b",
            "msrp-chat --from sip:al@b",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tools_have_their_own_arguments() {
        let Tool::Check(check) = tool("msrp-chat check --tcp --second-user bob sip:lobby@h") else {
            panic!("no check")
        };
        assert!(check.access.tcp);
        assert_eq!(check.second_access().user.as_deref(), Some("bob"));
        let line = "msrp-chat load --rooms 3 --rate 0.5 sip:load@127.0.0.1:5070";
        let Tool::Load(load) = tool(line) else {
            panic!("no load")
        };
        assert_eq!((load.rooms, load.participants), (3, 10));
        for wrong in [
            "msrp-chat check",
            "msrp-chat load --rate 0 sip:a@b",
            "msrp-chat load --for 4000 sip:a@b",
            "msrp-chat load --participants 10001 sip:a@b",
            "msrp-chat completions tcsh",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn accounts_are_read() {
        let check = |line: &str| match tool(&format!("msrp-chat check {line} sip:lobby@conf.h")) {
            Tool::Check(check) => [0, 1].map(|number| {
                let (from, access) = check.participant(number);
                let (user, password) = (access.user, access.password);
                (from, user.unwrap_or_default(), password.unwrap_or_default())
            }),
            _ => panic!("no check"),
        };
        let is = |from: &str, user: &str, password: &str| {
            (from.to_owned(), user.to_owned(), password.to_owned())
        };
        let alice = is("sip:alice@h", "alice", "a:b@c");
        let both = check("--account alice@h:a:b@c");
        assert_eq!(both, [alice.clone(), alice.clone()]);
        let both = check("--account alice@h:a:b@c --account sip:bob:builder");
        assert_eq!(both, [alice, is("sip:bob@conf.h", "bob", "builder")]);
        let both = check("--account bob@[::1]:x");
        assert_eq!(both[0], is("sip:bob@[::1]", "bob", "x"));
        let both = check("--user alice --second sip:bob@h");
        assert_eq!(both[0].0, "sip:check-1@conf.h");
        assert_eq!(both[1].0, "sip:bob@h");
        for wrong in ["", "@h", "a@", "a:", ":x"] {
            assert!(account(wrong).is_err(), "{wrong}");
        }
        assert!(read("msrp-chat check --account a:b --user c sip:lobby@h").is_err());
        assert!(read("msrp-chat check --nagios --json sip:lobby@h").is_err());
    }

    #[test]
    fn the_user_is_replaced() {
        assert_eq!(with_user("sip:a@h:5070", "b-1"), "sip:b-1@h:5070");
        assert_eq!(identity_at("sip:a@h:5070", "b"), "sip:b@h");
        assert_eq!(
            identity_at("sip:a@[::1]:5070;transport=tcp", "b"),
            "sip:b@[::1]"
        );
        assert_eq!(identity_at("sip:a@h", "b"), "sip:b@h");
    }
}
