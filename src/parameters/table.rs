//! The table itself, and the page of documentation it renders.

use std::fmt::Write as _;

use super::value::{ParameterError, Value, Wrong};
use super::{parse, room};
use crate::focus::rules;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text; `room`, `listen` and others require a form of their own.
    Text,
    /// A whole number between these, both included; also accepted as text.
    Number {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// `yes` or `no`; also accepted as 1 and 0.
    Flag,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The name in the host's configuration.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// The value when not set; empty for none.
    pub default: &'static str,
    /// The unit of a number, empty for none.
    pub unit: &'static str,
    /// The allowed values, in words; the range of a number comes from `kind`.
    pub allowed: &'static str,
    /// Checks a text, if not every text is valid.
    pub(super) parse: fn(&str) -> Result<(), Wrong>,
    /// Whether it may be set several times.
    pub repeatable: bool,
    /// The option of `msrp-switchd` that sets it for a switch outside the proxy.
    pub option: Option<SwitchOption>,
    /// Its meaning, for the documentation.
    pub doc: &'static str,
    /// A value worth showing.
    pub example: &'static str,
}

/// An option on the command line of `msrp-switchd`.
#[derive(Clone, Copy, Debug)]
pub struct SwitchOption {
    /// The name, without its hyphens.
    pub name: &'static str,
    /// Placeholder of its value; empty for a flag, which takes none.
    pub value: &'static str,
    /// Its meaning, in one line.
    pub help: &'static str,
}

const fn option(
    name: &'static str,
    value: &'static str,
    help: &'static str,
) -> Option<SwitchOption> {
    Some(SwitchOption { name, value, help })
}

const fn text(name: &'static str, default: &'static str, allowed: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Text,
        default,
        unit: "",
        allowed,
        parse: |_| Ok(()),
        repeatable: false,
        option: None,
        doc: "",
        example: "",
    }
}

const fn number(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    (least, most): (u64, u64),
) -> Parameter {
    Parameter {
        kind: Kind::Number { least, most },
        unit,
        ..text(name, default, "")
    }
}

/// Every parameter, in the order of the documentation.
pub const TABLE: &[Parameter] = &[
    Parameter {
        option: option(
            "listen",
            "LISTENER",
            "Where to take MSRP connections: msrp:ADDRESS:PORT, or with msrps:, ws: or wss: for msrp:; IPv6 in brackets (repeatable)",
        ),
        parse: |text| parse::listen(text).map(drop),
        repeatable: true,
        doc: "Where the switch takes MSRP connections: `msrp:` (TCP), `msrps:` (TLS), `ws:` \
              (WebSocket) or `wss:` (WebSocket over TLS) and a literal address with port, IPv6 \
              in brackets. The first of each kind that is of \
              an address family the client has is put into SDP; a client that has none of \
              them is answered 488. `msrps:` and `wss:` need `tls_certificate`. Listeners are bound before the \
              proxy gives up root's rights: any port will do.",
        example: "\"msrp:[2001:db8::5]:2855\"",
        ..text(
            "listen",
            "msrp:0.0.0.0:2855",
            "msrp:ADDRESS:PORT, msrps:ADDRESS:PORT, ws:ADDRESS:PORT or wss:ADDRESS:PORT with a \
             literal address and a port from 1 to 65535",
        )
    },
    Parameter {
        option: option(
            "tls-certificate",
            "FILE",
            "Certificate chain of msrps: and wss: listeners, PEM; read again when it changes",
        ),
        doc: "Our certificate, and those between it and its authority. The file is read again \
              when it changes, without a restart; a change that cannot be used is logged, and \
              the old certificate stays.",
        example: "\"/etc/ssl/certs/chat.example.com.pem\"",
        ..text(
            "tls_certificate",
            "",
            "a readable PEM file with certificates",
        )
    },
    Parameter {
        option: option(
            "tls-private-key",
            "FILE",
            "Its private key, PEM; read again when it changes, so USER must be able to",
        ),
        doc: "The certificate's private key. Not set, it is looked for in the certificate's \
              file. The user the proxy runs as must be able to read all of these files, and \
              to read them again when they change.",
        example: "\"/etc/ssl/private/chat.example.com.key\"",
        ..text(
            "tls_private_key",
            "",
            "a readable PEM file with the key of the certificate",
        )
    },
    Parameter {
        option: option(
            "tls-ca-list",
            "FILE",
            "Authorities that may vouch for clients, PEM",
        ),
        doc: "Authorities whose certificates are believed: of clients with \
              `tls_verify_client`, and of peers the switch itself connects to over TLS. \
              Without it such a peer must announce its certificate with `a=fingerprint`.",
        example: "\"/etc/ssl/certs/ca-certificates.crt\"",
        ..text("tls_ca_list", "", "a readable PEM file with certificates")
    },
    Parameter {
        option: option("tls-verify-client", "", "Clients must show a certificate"),
        kind: Kind::Flag,
        doc: "Whether a client must show a certificate of an authority in `tls_ca_list`. With \
              `no` any is taken, or none; but a client whose SDP has an `a=fingerprint` must \
              always show that certificate.",
        example: "\"yes\"",
        ..text("tls_verify_client", "no", "yes, no")
    },
    Parameter {
        parse: |text| parse::advertise(text).map(drop),
        doc: "The host, and optionally port, that `a=path` and the `c=` line name in SDP. Not \
              set, it is the listener's own address; for one that listens on every address \
              (`0.0.0.0`, `[::]`), that of the SIP socket that took the INVITE, with the \
              listener's port. Set it when the machine stands behind NAT.",
        example: "\"chat.example.com:2855\"",
        ..text("advertise", "", "HOST or HOST:PORT, IPv6 in brackets")
    },
    Parameter {
        parse: |text| parse::identity(text).map(drop),
        doc: "Pseudo-variables that hold the caller's address; the host evaluates them for every \
              request. Several, separated by commas, are all addresses of the caller: the first \
              is the participant, and messages may name any of them as their sender \
              (`$avp(caller),$hdr(P-Asserted-Identity)`, where the proxy has taken out what it \
              does not trust). A value that is no `sip:`, `sips:` or `tel:` URI makes the \
              caller nobody (403). The default trusts the From header, which anybody can write, \
              and `$au` and `$ar` repeat credentials that need not be those that were checked. \
              Use a variable that the script sets after it has authenticated the caller against \
              a fixed realm, as the examples and guides do.",
        example: "\"$avp(caller)\"",
        ..text("identity", "$fu", "text with the host's pseudo-variables")
    },
    Parameter {
        parse: |text| room::room(text).map(drop),
        repeatable: true,
        doc: rules::OPTIONS_DOC,
        example: "\"sip:dev@conf.example.com;max=200;nickname=yes;private=yes\"",
        ..text("room", "", rules::OPTIONS_ALLOWED)
    },
    Parameter {
        parse: |text| room::factory(text).map(drop),
        repeatable: true,
        doc: "A conference factory (RFC 4579 §5.4): every INVITE to this URI makes a new room, \
              whose URI the Contact of the 200 names. Takes the options of `room`, which are \
              those of the rooms it makes; `end=creator` is their default.",
        example: "\"sip:new@conf.example.com;max=50;end=empty\"",
        ..text("factory", "", rules::OPTIONS_ALLOWED)
    },
    Parameter {
        kind: Kind::Flag,
        doc: "Whether an INVITE to a room URI that no `room` names creates the room, which \
              then ends with its last participant. The script may decide otherwise for a \
              request: `msrp_conference_handle(\"create=no\")`.",
        example: "\"no\"",
        ..text("adhoc", "yes", "yes, no")
    },
    Parameter {
        doc: "Most conferences at a time. One more is refused with 503.",
        example: "5000",
        ..number("max_conferences", "100000", "", (1, 10_000_000))
    },
    Parameter {
        doc: "Most participants of one room. One more is refused with 486. Parties that are \
              invited hold no place: who answers when the room is full gets BYE.",
        example: "200",
        ..number("max_participants", "1000", "", (1, 100_000))
    },
    Parameter {
        doc: "Most parties on a resource list in an INVITE (RFC 5366). A longer list is refused \
              with 403.",
        example: "20",
        ..number("max_list_size", "100", "", (1, 10_000))
    },
    Parameter {
        parse: |text| parse::invite_mode(text).map(drop),
        doc: "How the parties on such a list are invited: `refer` asks each by REFER to dial \
              the room, `dial_out` sends each an INVITE.",
        example: "\"dial_out\"",
        ..text("invite_mode", "refer", "refer, dial_out")
    },
    Parameter {
        parse: |text| parse::credential(text).map(drop),
        repeatable: true,
        doc: "What INVITE and REFER requests of the focus answer a digest challenge with: user, \
              realm, password. An empty realm stands for every realm.",
        example: "\"conference:example.com:secret\"",
        ..text("credential", "", "USER:REALM:PASSWORD")
    },
    Parameter {
        doc: "Largest message. A larger one is refused with 413.",
        example: "1048576",
        ..number("max_message_size", "10485760", "octets", (2048, 1 << 30))
    },
    Parameter {
        doc: "How long a participant's MSRP connection may take to come after the join.",
        example: "60",
        ..number("bind_timeout", "32", "seconds", (1, 3600))
    },
    Parameter {
        option: option(
            "idle-timeout",
            "SECONDS",
            "Silence after which a connection counts as lost; 0: never",
        ),
        doc: "How long a participant's MSRP connection may be silent before it counts as \
              lost. After half of it the switch asks with an empty SEND, which every client \
              answers. 0: nobody looks; what is left is the keep-alive of TCP (two minutes).",
        example: "120",
        ..number("idle_timeout", "0", "seconds", (0, 86_400))
    },
    Parameter {
        option: option(
            "dial-allow",
            "LIST",
            "Where it may connect to: public, source, any, addresses, networks, host names; none",
        ),
        parse: |text| parse::dial_allow(text).map(drop),
        doc: "Where the switch may connect to when a participant's SDP asks for that \
              (`a=setup:passive`, or an answer to an offer of ours). Anybody who may join \
              writes that SDP, so the default leaves out every address of your own: `public` \
              is every address of the public internet (no loopback, link-local, private or \
              special one), `source` the address the INVITE or ACK came from, or to which our \
              own INVITE went. Further: an \
              address, a network (`10.0.0.0/8`), a host name (`relay.example.com`, \
              `*.example.com`; whatever it resolves to is allowed), `any`, or `none` alone. \
              Participants who are invited by way of a proxy answer from an address that is \
              not known: allow their network if it is private.",
        example: "\"public,source,10.20.0.0/16\"",
        ..text(
            "dial_allow",
            "public,source",
            "public, source, any, addresses, networks and host names separated by commas, or none",
        )
    },
    Parameter {
        option: option(
            "ws-origins",
            "LIST",
            "Whose pages may open a WebSocket: own, any, or origins like https://chat.example.com",
        ),
        parse: |text| parse::ws_origins(text).map(drop),
        doc: "Whose pages may open a WebSocket (`ws:` and `wss:` listeners): browsers say where \
              the page they show comes from. `own` is any page of the host name that the browser \
              connects to, whatever its port; `any` is every page there is. Otherwise origins \
              with scheme, host and, where it is not the scheme's own, port; `*.` stands for all \
              hosts below a name. Others get 403. Clients that are no browsers name no origin \
              and come in.",
        example: "\"https://chat.example.com,https://*.example.org:8443\"",
        ..text(
            "ws_origins",
            "own",
            "own, any, or origins like https://chat.example.com separated by commas",
        )
    },
    Parameter {
        doc: "How long a participant whose MSRP connection was lost may take to come back \
              before the focus sends BYE.",
        example: "10",
        ..number("rejoin_grace", "30", "seconds", (0, 86_400))
    },
    Parameter {
        doc: "Session interval the focus asks for: a participant who stays away from its \
              refreshes that long is let go (RFC 4028).",
        example: "3600",
        ..number("session_expires", "1800", "seconds", (90, 86_400))
    },
    Parameter {
        doc: "Shortest session interval accepted; a shorter one is refused with 422 (RFC 4028 \
              §4 forbids less than 90).",
        example: "120",
        ..number("min_se", "90", "seconds", (90, 3600))
    },
    Parameter {
        doc: "Longest subscription to the conference event package, and the default when the \
              subscriber does not say (RFC 4575 §3.3).",
        example: "600",
        ..number("subscription_expires", "3600", "seconds", (60, 86_400))
    },
    Parameter {
        doc: "Shortest time between two NOTIFY requests to the same subscriber; changes in \
              between are collected (RFC 4575 §3.9).",
        example: "1000",
        ..number("notify_interval_ms", "5000", "milliseconds", (0, 60_000))
    },
    Parameter {
        doc: "The host's shared memory that NOTIFY requests may take at a time; what does not \
              fit waits. The host keeps each until some 5 seconds after its answer. A quarter \
              of the host's shared memory is a good value.",
        example: "67108864",
        ..number("notify_memory", "16777216", "octets", (1 << 20, 1 << 34))
    },
    Parameter {
        doc: "Largest room whose NOTIFYs list everybody. Above it they carry the number of \
              participants, the moderators, and the subscriber itself. A subscriber who is \
              reached over UDP gets that also when the whole list does not fit into a datagram.",
        example: "200",
        ..number("roster_limit", "1000", "", (1, 100_000))
    },
    Parameter {
        doc: "Largest room, counted in users, in which every NOTIFY has the full state: many \
              clients do not put partial ones together. Subscribers whose SUBSCRIBE has \
              `Last-Notify-Version`, as Linphone's do, get what has changed in any room. 0: \
              everybody else does, too.",
        example: "50",
        ..number("full_notify_limit", "20", "", (0, 1000))
    },
    Parameter {
        parse: |text| parse::pattern(text).map(drop),
        doc: "Regular expression on the User-Agent of a subscriber; one that matches gets \
              every NOTIFY with the full state, however large the room. The default names clients that understand \
              nothing else. Empty: nobody.",
        example: "\"(?i)sipsimple|blink|oldphone\"",
        ..text(
            "full_notify_agents",
            "(?i)sipsimple|blink",
            "a regular expression, or nothing",
        )
    },
    Parameter {
        parse: |text| parse::pattern(text).map(drop),
        doc: "Regular expression on the User-Agent of a participant; one that matches gets \
              every message in one SEND, however large: nothing interrupts it. Small messages, \
              responses and reports for it wait meanwhile; when they have waited ten seconds \
              the large message ends unfinished instead, and the participant is told. The \
              default names clients that end their session when a message comes in two \
              chunks. Empty: nobody.",
        example: "\"(?i)sipsimple|blink|oldphone\"",
        ..text(
            "one_send_agents",
            "(?i)sipsimple|blink",
            "a regular expression, or nothing",
        )
    },
    Parameter {
        parse: |text| parse::db_path(text).map(drop),
        doc: "The database in which conferences survive a restart of the proxy, with all that \
              belongs to them: participants, dialogs, subscriptions. The proxy's user must be \
              able to write the file and its folder; the folder is made if only it is missing. \
              Empty: everything is kept in memory, without any file, and a stop of the proxy \
              says BYE to everybody who is reached by UDP.",
        example: "\"/var/lib/msrp_conference/state.sqlite\"",
        ..text(
            "db_path",
            "/var/lib/msrp_conference/state.sqlite",
            "an absolute path, or nothing",
        )
    },
    Parameter {
        parse: |text| parse::db_sync(text).map(drop),
        doc: "What the answers of the focus outlast: `normal`, a crash of the proxy; `full`, a \
              loss of power too, at the price of waiting for the disk.",
        example: "\"full\"",
        ..text("db_sync", "normal", "normal, full")
    },
    Parameter {
        parse: |text| parse::db_on_error(text).map(drop),
        doc: "What a database that cannot be used means (disk full, damaged, not writable, of \
              another proxy or a later release). `memory`: the log says so, and conferences are \
              kept in memory. A damaged file or a full disk is tried again every five seconds, \
              and then everything is written; after a missing or unwritable folder, or a file of \
              another proxy, restart the proxy. `refuse`: the proxy does not start. A database \
              that fails later, or does not return from a commit within two seconds, never ends \
              anything: participants stay; with `refuse` nobody new is let in (503) until it \
              works again.",
        example: "\"refuse\"",
        ..text("db_on_error", "memory", "memory, refuse")
    },
    Parameter {
        parse: |text| parse::switch_place(text).map(drop),
        doc: "Where the switch is: `embedded`, in the proxy's conference process; or `unix:` and \
              the path of the control socket of `msrp-switchd`, which keeps every MSRP \
              connection through a restart or a crash of the proxy. It says itself where it \
              listens; `listen`, if it is set all the same, chooses among these, and one \
              that it does not have stops the start. The other parameters for which this page \
              names an option of `msrp-switchd` have no effect here.",
        example: "\"unix:/run/msrp-switchd/control.sock\"",
        ..text(
            "switch",
            "embedded",
            "embedded, or unix:PATH with an absolute path of at most 107 octets",
        )
    },
    Parameter {
        option: option(
            "threads",
            "N",
            "Threads; a room lives on one of them; 0: one a core",
        ),
        doc: "Threads of the switch. A room lives on one of them. 0: one a core.",
        example: "4",
        ..number("switch_threads", "0", "", (0, 256))
    },
    Parameter {
        option: option(
            "outbox-bytes",
            "OCTETS",
            "Most octets that wait for one receiver",
        ),
        doc: "Most octets that wait for one receiver. What does not fit is dropped for that \
              receiver. Before that, speakers of its room are slowed down: a receiver that \
              takes an eighth of this a second loses nothing.",
        example: "4194304",
        ..number("outbox_bytes", "1048576", "octets", (65_536, 1 << 30))
    },
    Parameter {
        option: option(
            "slow-reader",
            "WHAT",
            "What to do with slow readers: drop messages or disconnect",
        ),
        parse: |text| parse::slow_reader(text).map(drop),
        doc: "What becomes of a participant for whom more waits than `outbox_bytes`: `drop`, \
              what is oldest is not delivered and the participant is told how much that was; \
              `disconnect`, the MSRP connection is closed (RFC 7701 §6.4).",
        example: "\"disconnect\"",
        ..text("slow_reader", "drop", "drop, disconnect")
    },
    Parameter {
        option: option(
            "forward-whole-below",
            "OCTETS",
            "Messages up to this size are delivered whole",
        ),
        doc: "Messages up to this size are delivered as one SEND even if they came in chunks, \
              since deployed clients take chunks badly; larger ones are passed on while they \
              come in.",
        example: "131072",
        ..number("forward_whole_below", "65536", "octets", (2048, 1 << 24))
    },
    Parameter {
        option: option(
            "chunk-timeout",
            "SECONDS",
            "Longest pause between two chunks of a message",
        ),
        doc: "Longest pause between two chunks of a message; after it the message is given up \
              for all its receivers (RFC 7701 §6.1).",
        example: "120",
        ..number("chunk_timeout", "540", "seconds", (10, 86_400))
    },
    Parameter {
        option: option(
            "nickname-confusables",
            "",
            "Refuse nicknames that look like one in use",
        ),
        kind: Kind::Flag,
        doc: "Whether a nickname is refused that looks like one in use, as `pаypal` with a \
              Cyrillic letter does (Unicode Technical Standard 39). It also refuses some that \
              differ honestly, `rn` for `m`.",
        example: "\"yes\"",
        ..text("nickname_confusables", "no", "yes, no")
    },
    Parameter {
        doc: "Kamailio only, for scripts in Lua, Python and so on (KEMI): the function that is \
              called for every event instead of `event_route[msrp-conference:…]`, with the \
              event's name (`msrp-conference:join`). It has no effect in OpenSIPS, whose events \
              are subscribed to.",
        example: "\"ksr_msrp_conference_event\"",
        ..text("event_callback", "", "the name of a function")
    },
];

/// The parameter of this name.
///
/// # Panics
/// If there is none: names are literals of this program.
pub(super) fn find(name: &'static str) -> &'static Parameter {
    TABLE
        .iter()
        .find(|parameter| parameter.name == name)
        .unwrap_or_else(|| panic!("parameter {name} is in the table"))
}

impl Parameter {
    /// Whether the value is allowed.
    pub(super) fn check(&self, value: &Value) -> Result<(), ParameterError> {
        match (self.kind, value) {
            (Kind::Number { .. }, _) => self.number(value).map(drop),
            (Kind::Flag, _) => self.read(value, parse::flag).map(drop),
            (Kind::Text, Value::Text(_)) => self.read(value, self.parse),
            (Kind::Text, Value::Number(_)) => Err(self.refuse(value, Wrong::value())),
        }
    }

    /// The value as `parse` reads it.
    pub(super) fn read<T>(
        &self,
        value: &Value,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Result<T, ParameterError> {
        parse(&value.to_string()).map_err(|wrong| self.refuse(value, wrong))
    }

    /// The value as a number within the range.
    pub(super) fn number(&self, value: &Value) -> Result<u64, ParameterError> {
        let Kind::Number { least, most } = self.kind else {
            return Err(self.refuse(value, Wrong::value()));
        };
        let number = match value {
            Value::Number(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.trim().parse().ok(),
        };
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.refuse(value, Wrong::value()))
    }

    /// The error for a value that is not allowed.
    pub(super) fn refuse(&self, value: &Value, wrong: Wrong) -> ParameterError {
        ParameterError {
            name: self.name,
            value: wrong.part.unwrap_or_else(|| value.to_string()),
            allowed: wrong.allowed.unwrap_or_else(|| self.range()),
        }
    }

    /// The allowed values, in words.
    pub fn range(&self) -> String {
        match self.kind {
            Kind::Number { least, most } if self.unit.is_empty() => format!("{least} to {most}"),
            Kind::Number { least, most } => format!("{least} to {most} {}", self.unit),
            Kind::Text | Kind::Flag => self.allowed.to_owned(),
        }
    }
}

const HEAD: &str = "\
# Parameters

The same names and values in OpenSIPS and Kamailio. A value that is not allowed stops the
start with a line that names the parameter, the value and what is allowed. Numbers may also
be written as text.

This page is written from the table in `src/parameters/table.rs`:
`UPDATE_DOCS=1 cargo test parameters`.
";

/// `docs/parameters.md`.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for parameter in TABLE {
        // Writing to a String cannot fail.
        let _ = describe(parameter, &mut page);
    }
    page
}

fn describe(parameter: &Parameter, page: &mut String) -> std::fmt::Result {
    let kind = match parameter.kind {
        Kind::Number { .. } => "integer",
        Kind::Text | Kind::Flag => "string",
    };
    writeln!(page, "\n## `{}` ({kind})\n", parameter.name)?;
    writeln!(page, "{}\n", parameter.doc)?;
    match parameter.default {
        "" => writeln!(page, "- Default: none")?,
        default => writeln!(page, "- Default: `{default}`")?,
    }
    writeln!(page, "- Allowed: {}", parameter.range())?;
    if parameter.repeatable {
        writeln!(page, "- May stand several times")?;
    }
    if let Some(option) = parameter.option {
        writeln!(page, "- Option of `msrp-switchd`: `--{}`", option.name)?;
    }
    writeln!(
        page,
        "\n```\nmodparam(\"msrp_conference\", \"{}\", {})\n```",
        parameter.name, parameter.example
    )
}
