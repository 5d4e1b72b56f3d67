//! The commands: what feeds both hosts' exports and `docs/management.md`.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Rooms or users in one answer unless the caller says otherwise: what a datagram of 32 KiB
/// holds (OpenSIPS' mi_datagram), with long names.
pub const DEFAULT_LIMIT: usize = 100;
/// Most rooms or users in one answer.
pub const MAX_LIMIT: usize = 1_000;
/// Longest text that `say` takes, in octets.
pub const MAX_SAID: usize = 4_096;

/// A parameter of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandParameter {
    /// Its name.
    pub name: &'static str,
    /// Whether it may be left out; optional ones stand last.
    pub optional: bool,
    /// Its meaning, for the documentation.
    pub doc: &'static str,
}

/// Description of a command.
#[derive(Clone, Copy, Debug)]
pub struct CommandInfo {
    /// The command.
    pub command: Command,
    /// The name, without that of the module.
    pub name: &'static str,
    /// Its parameters, in order.
    pub parameters: &'static [CommandParameter],
    /// Whether the answer is a list.
    pub lists: bool,
    /// Its effect, for the documentation.
    pub doc: &'static str,
    /// Its answer, for the documentation.
    pub answer: &'static str,
    /// Arguments worth showing.
    pub example: &'static [&'static str],
}

const fn required(name: &'static str, doc: &'static str) -> CommandParameter {
    CommandParameter {
        name,
        optional: false,
        doc,
    }
}

const fn optional(name: &'static str, doc: &'static str) -> CommandParameter {
    CommandParameter {
        name,
        optional: true,
        doc,
    }
}

const ROOM: CommandParameter = required(
    "room",
    "The room's URI, `sip:` may be left out, as may be everything behind the host.",
);
const USER: CommandParameter = required("user", "The user's address of record.");
const LIMIT: CommandParameter = optional("limit", "How many at most: 1 to 1000; 100 if not given.");
const OFFSET: CommandParameter = optional("offset", "How many to leave out first; 0 if not given.");
const DONE: &str = "`ok`.";

macro_rules! commands {
    ($( $command:ident { $($fields:tt)* } )*) => {
        /// One command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Command {
            $( #[doc = concat!("The command ", stringify!($command), ".")] $command, )*
        }

        /// Every command, in the order of the documentation.
        pub const COMMANDS: &[CommandInfo] =
            &[$( CommandInfo { command: Command::$command, $($fields)* } ),*];
    };
}

commands! {
    List {
        name: "list",
        parameters: &[LIMIT, OFFSET],
        lists: true,
        doc: "The rooms, ordered by their URIs: those that are configured or were made by \
              `create`, and those with a conference at present. `stats` says how many there are \
              (`rooms`).",
        answer: "A list of `uri`, `participants`, `subscribers`, `created` (when the room was \
                 made, UTC; for a configured room when the proxy started) and `messages` (how many \
                 its participants have sent since then; after a restart of the proxy it counts \
                 from 0 again).",
        example: &["50", "0"],
    }
    Show {
        name: "show",
        parameters: &[ROOM, LIMIT, OFFSET],
        lists: false,
        doc: "One room and who is in it or invited, ordered by their addresses; `limit` and \
              `offset` are about the users.",
        answer: "What `list` says of it; `lasting` (it outlives its participants), `locked`, \
                 `max` (participants), `history` (messages a newcomer is given), `subject`; and `users`, a list of `entity`, `display`, \
                 `nickname`, `role`, `invited` (is not in: `participants` does not count them) \
                 and `endpoints`, each with `dialog` (its Call-ID), `status` (`connected`, \
                 `on-hold`, `lost`: its MSRP connection is; of the invited `dialing-out`, \
                 `alerting`, or `pending`, `dialing-in` where it is asked to call), `msrp` (its \
                 own MSRP URI) and `joined` (UTC).",
        example: &["sip:lobby@conf.example.com"],
    }
    Create {
        name: "create",
        parameters: &[
            required(
                "room",
                "The room's URI, and behind it the options of modparam `room`.",
            ),
            optional("options", "Such options, if they do not stand in `room`."),
        ],
        lists: false,
        doc: "Makes a room that lasts until `end`, over restarts too (modparam `db_path`), as if it were \
              configured. An ad hoc \
              conference that runs under this URI becomes that room. A room that exists is \
              refused with 409. The script must hand over requests for the room's host: a room at \
              a host that the proxy does not know as its own cannot be reached, and the module \
              does not see that.",
        answer: "The room's canonical `uri`.",
        example: &["'sip:team@conf.example.com;max=50;moderators=sip:alice@example.com'"],
    }
    End {
        name: "end",
        parameters: &[ROOM],
        lists: false,
        doc: "Ends a room's conference: everybody gets BYE, every subscription its last NOTIFY; \
              its history (docs/history.md) is deleted. A room made by `create` is gone then; a \
              configured one stays, empty, and as it is configured: what `role`, `ban` and \
              `lock` had changed is forgotten. It also deletes the history of a room \
              that is no longer configured.",
        answer: DONE,
        example: &["sip:team@conf.example.com"],
    }
    Invite {
        name: "invite",
        parameters: &[ROOM, required("uri", "Whom, a SIP URI.")],
        lists: false,
        doc: "Invites a party into a room, as modparam `invite_mode` says. `show` and the \
              conference event package tell how it goes. The room's rules (`allow`, `deny`, \
              `max`) hold.",
        answer: "`ok` as soon as the invitation is under way.",
        example: &["sip:team@conf.example.com", "sip:bob@example.com"],
    }
    Expel {
        name: "expel",
        parameters: &[ROOM, USER],
        lists: false,
        doc: "Takes a user out of a room: BYE to every device, with the reason (RFC 3326), CANCEL to \
              every invitation. They \
              may join again: see `ban`.",
        answer: DONE,
        example: &["sip:team@conf.example.com", "sip:mallory@example.com"],
    }
    Role {
        name: "role",
        parameters: &[
            ROOM,
            USER,
            required("role", "`participant`, `moderator` or `observer`."),
        ],
        lists: false,
        doc: "Gives a user a role: at once if they are in the room, and whenever they join. Whether \
              an observer may write changes at once; the SDP of the client follows with its next \
              re-INVITE.",
        answer: DONE,
        example: &[
            "sip:team@conf.example.com",
            "sip:bob@example.com",
            "moderator",
        ],
    }
    Say {
        name: "say",
        parameters: &[ROOM, required("text", "The text, 1 to 4096 octets.")],
        lists: false,
        doc: "Says something to everybody in a room, in the name of the room. Clients of AG \
              Projects show it as a notice, others as a message.",
        answer: DONE,
        example: &[
            "sip:team@conf.example.com",
            "\"The server restarts in five minutes.\"",
        ],
    }
    Lock {
        name: "lock",
        parameters: &[ROOM],
        lists: false,
        doc: "Lets nobody into a room but moderators and who is in already. Like `role` and `ban` it \
              holds as long as the room lasts.",
        answer: DONE,
        example: &["sip:team@conf.example.com"],
    }
    Unlock {
        name: "unlock",
        parameters: &[ROOM],
        lists: false,
        doc: "Takes `lock` back.",
        answer: DONE,
        example: &["sip:team@conf.example.com"],
    }
    Ban {
        name: "ban",
        parameters: &[
            ROOM,
            required(
                "user",
                "An address of record, in which `*` stands for any characters.",
            ),
        ],
        lists: false,
        doc: "Keeps a user out of a room from now on, and removes them if they are in it.",
        answer: DONE,
        example: &["sip:team@conf.example.com", "sip:mallory@example.com"],
    }
    Unban {
        name: "unban",
        parameters: &[ROOM, required("user", "As it was given to `ban`.")],
        lists: false,
        doc: "Takes `ban`, or a part of the room's option `deny`, back.",
        answer: DONE,
        example: &["sip:team@conf.example.com", "sip:mallory@example.com"],
    }
    Reload {
        name: "reload",
        parameters: &[],
        lists: false,
        doc: "Reads the TLS files again (`tls_certificate`, `tls_private_key`, `tls_ca_list`), \
              which otherwise happens within a second after they have changed. The \
              other parameters belong to the proxy's configuration, which no module can read \
              again: rooms are added by `create`, everything else needs a restart of the proxy. \
              `msrp-switchd` reads its files by itself.",
        answer: "`tls`: whether there are such files here. Files that cannot be used are an error, \
                 and what was read before stays.",
        example: &[],
    }
    Stats {
        name: "stats",
        parameters: &[],
        lists: false,
        doc: "Every statistic of the group `msrp_conference`, at once.",
        answer: "The statistics by their names, and `rooms`: how many `list` knows.",
        example: &[],
    }
}

/// The texts above name these numbers.
const _: () = assert!(DEFAULT_LIMIT == 100 && MAX_LIMIT == 1_000 && MAX_SAID == 4_096);

/// Hosts have room for three parameters.
const _: () = {
    let mut at = 0;
    while at < COMMANDS.len() {
        assert!(COMMANDS[at].parameters.len() <= 3);
        at += 1;
    }
};

impl Command {
    /// The description of this command.
    pub fn info(self) -> &'static CommandInfo {
        &COMMANDS[self as usize]
    }
}

impl CommandInfo {
    /// `room`, `user`, `[limit]`…, as help texts show it.
    pub fn usage(&self) -> String {
        let mut usage = self.name.to_owned();
        for parameter in self.parameters {
            let _ = match parameter.optional {
                true => write!(usage, " [{}]", parameter.name),
                false => write!(usage, " {}", parameter.name),
            };
        }
        usage
    }

    /// Parameters that must be given.
    pub fn required(&self) -> usize {
        self.parameters.iter().filter(|it| !it.optional).count()
    }
}

/// The page of documentation the table renders.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for entry in COMMANDS {
        let _ = write!(page, "\n## {}\n\n{}\n", entry.usage(), entry.doc);
        if !entry.parameters.is_empty() {
            page += "\n| parameter | |\n| --- | --- |\n";
        }
        for parameter in entry.parameters {
            let optional = if parameter.optional {
                " (optional)"
            } else {
                ""
            };
            let _ = writeln!(
                page,
                "| `{}`{optional} | {} |",
                parameter.name, parameter.doc
            );
        }
        let _ = write!(page, "\nAnswer: {}\n", entry.answer);
        let arguments = entry.example.iter().map(|argument| format!(" {argument}"));
        let arguments: String = arguments.collect();
        let name = entry.name;
        let _ = write!(
            page,
            "\n```\nopensips-cli -x mi msrp_conference:{name}{arguments}\n\
             kamcmd msrp_conference.{name}{arguments}\n```\n"
        );
    }
    page
}

const HEAD: &str = "# Management\n\n\
This page is written from the table in `src/management/table.rs`: \
`UPDATE_DOCS=1 cargo test management`.\n\n\
The same commands are there in both proxies. In OpenSIPS they are MI commands, \
`msrp_conference:list` and so on (4.0 also takes `msrp_conference_list`), over whatever \
MI interface is loaded (4.0's opensips-cli knows the form with the colon only); in Kamailio RPC \
commands, `msrp_conference.list`, over kamcmd and JSON-RPC. kamcmd needs the module `ctl` (with our \
examples: `kamcmd -s unix:/tmp/kamailio_ctl …`), and ends with status 0 even after an error, which \
it prints. Parameters stand by position, in OpenSIPS also by name; each may be a string or a \
number.\n\n\
Whoever reaches the management interface can do everything: protect it as the proxy's own \
documentation says.\n\n\
The conference process answers, within two seconds or the command fails with 504. It takes \
thousands of commands a second, and they do not hold up calls. Errors have a code and a text: \
400 what was given is not understood, 404 there is no such room or user, 409 it exists already, \
480 not now, 486 the room is full, 503 the conference process is busy, 504 it does not answer. A \
text names the one thing that is wrong in at most 119 octets, which is what kamcmd and JSON-RPC \
take. With a wrong number of parameters OpenSIPS itself answers `-32602 Invalid params`.\n";
