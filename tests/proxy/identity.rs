//! Nobody joins under another's name, whatever the request claims: with the configuration for
//! users, and with the lines in the guides.

use std::fs;

use digest_auth::{AuthContext, HttpMethod};
use msrp_conference::wire::sip::Response;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::agent::{Agent, Transport, unique};
use crate::harness::draft::{Dialog, Draft};
use crate::harness::host::{Family, Host};
use crate::harness::page::block;
use crate::harness::participant::{client_path, invite};
use crate::harness::plan::Plan;
use crate::harness::proxy::Proxy;
use crate::harness::{SILENCE, on_every_host};

/// A user with a password.
#[derive(Clone, Copy)]
struct Account {
    user: &'static str,
    domain: &'static str,
    password: &'static str,
}

impl Account {
    fn address(self) -> String {
        format!("sip:{}@{}", self.user, self.domain)
    }

    fn credentials(self) -> Credentials {
        Credentials::new(self.user, self.domain, self.password)
    }
}

/// The domain of `BOARD`, which admits only its users.
const FOREIGN: &str = "board.example.com";

/// A request's answer to a challenge, genuine or not.
#[derive(Clone)]
struct Credentials {
    /// `None`: the header that the challenge demands.
    header: Option<&'static str>,
    user: String,
    realm: String,
    password: &'static str,
    /// Other parameters.
    more: &'static str,
}

impl Credentials {
    fn new(user: &str, realm: &str, password: &'static str) -> Self {
        Self {
            header: None,
            user: user.into(),
            realm: realm.into(),
            password,
            more: "",
        }
    }

    fn value(&self, challenge: &str, draft: &Draft) -> String {
        let mut prompt = digest_auth::parse(challenge).expect("a challenge");
        prompt.realm.clone_from(&self.realm);
        let context = AuthContext::new_with_method(
            self.user.as_str(),
            self.password,
            draft.uri.as_str(),
            Some(&draft.body[..]),
            HttpMethod::from(draft.method.as_str()),
        );
        let answer = prompt.respond(&context).expect("an answer");
        format!("{answer}{}", self.more)
    }
}

/// A running proxy with the rooms `hall`, which alice moderates, and `board`.
struct Place {
    proxy: Proxy,
    /// Host of the rooms' URIs.
    host: String,
    alice: Account,
    bob: Account,
    /// The database of the accounts.
    _accounts: Option<TempDir>,
}

impl Place {
    fn start(plan: Plan, host: &str, domain: &'static str, accounts: Option<TempDir>) -> Self {
        let account = |user, password| Account {
            user,
            domain,
            password,
        };
        let alice = account("alice", "wonderland");
        let hall = format!("sip:hall@{host};moderators={}", alice.address());
        let board = format!("sip:board@{host};allow=sip:*@{FOREIGN}");
        let proxy = plan
            .parameter("room", hall)
            .parameter("room", board)
            .start();
        let host = match host {
            "127.0.0.1" => proxy.sip.to_string(),
            _ => host.to_owned(),
        };
        Self {
            proxy,
            host,
            alice,
            bob: account("bob", "builder"),
            _accounts: accounts,
        }
    }

    /// `authenticated.cfg`.
    fn example(host: &Host) -> Option<Self> {
        let needed: &[&str] = match host.family {
            Family::Kamailio => &["auth", "htable", "registrar"],
            Family::OpenSips => &["auth", "cachedb_local", "registrar"],
        };
        host.has_modules(needed).then(|| {
            let plan = Plan::new(host).example("authenticated");
            Self::start(plan, "127.0.0.1", "127.0.0.1", None)
        })
    }

    /// The guide's lines for an existing configuration, with its route for several domains.
    fn guide(host: &Host, several: bool) -> Option<Self> {
        if !host.has_modules(&["auth", "auth_db", "db_text"]) {
            return None;
        }
        let page = format!("docs/{}.md", host.family.as_str());
        let mut text = block(&page, "## Beside an existing configuration");
        if several {
            let (rest, _) = text.split_once("# Who calls").expect("the route");
            text = rest.to_owned() + &block(&page, "### Users of several domains");
        }
        let missing = match host.family {
            Family::Kamailio => "sl_send_reply(\"404\", \"Not Found\");",
            Family::OpenSips => "sl_send_reply(404, \"Not Found\");",
        };
        let text = text
            .replace("192.0.2.5", "127.0.0.1")
            .replace("# … the rest as before …", missing);
        let front = match host.family {
            Family::Kamailio => "",
            Family::OpenSips => {
                "mpath=\"/usr/lib/x86_64-linux-gnu/opensips/modules/\"\nsocket=udp:127.0.0.1:5060\n"
            }
        };
        let accounts = accounts();
        let plan = Plan::new(host)
            .text(&format!("{front}{text}"))
            .settings(&existing(host.family, &accounts, several));
        Some(Self::start(
            plan,
            "conf.example.com",
            "example.com",
            Some(accounts),
        ))
    }

    fn room(&self, name: &str) -> String {
        format!("sip:{name}@{}", self.host)
    }

    /// The users in the hall, with their roles.
    fn hall(&self) -> Vec<(String, String)> {
        let show = match self.proxy.host.family {
            Family::Kamailio => "msrp_conference.show",
            Family::OpenSips => "msrp_conference:show",
        };
        let room = format!(
            "sip:hall@{}",
            self.host.split(':').next().unwrap_or_default()
        );
        let shown = self.proxy.call(show, json!([room]));
        let users = shown["users"].as_array().expect("users");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let users = users.iter();
        users
            .map(|user| (text(&user["entity"]), text(&user["role"])))
            .collect()
    }

    /// A challenge to this method, and the header it demands.
    fn challenge(&self, agent: &Agent, method: &str) -> (String, &'static str) {
        let uri = match method {
            "REGISTER" => format!("sip:{}", self.host),
            _ => self.room("hall"),
        };
        let answer = agent.exchange(&from(agent.draft(method, &uri), &self.bob.address()));
        let asked = |name| answer.headers.first(name).map(str::to_owned);
        match answer.code {
            401 => (
                asked("WWW-Authenticate").expect("a challenge"),
                "Authorization",
            ),
            407 => (
                asked("Proxy-Authenticate").expect("a challenge"),
                "Proxy-Authorization",
            ),
            code => panic!("{method} is not challenged: {code}"),
        }
    }

    /// Sends a request with these credentials, in this order.
    fn present(&self, agent: &Agent, draft: Draft, all: &[Credentials]) -> (Draft, Response) {
        let (challenge, header) = self.challenge(agent, &draft.method);
        // OpenSIPS finds a second one only where it is the last header of all.
        let length = draft.body.len().to_string();
        let mut draft = draft.set("Content-Length", length);
        for credentials in all {
            let value = credentials.value(&challenge, &draft);
            draft = draft.add(credentials.header.unwrap_or(header), value);
        }
        let answer = agent.exchange(&draft);
        (draft, answer)
    }

    /// Calls the hall; returns the users in it with their roles. `None`: refused.
    fn calls(&self, attempt: &Attempt) -> Option<Vec<(String, String)>> {
        let (agent, draft) = self.invite(attempt, "hall");
        let (draft, answer) = self.present(&agent, draft, &attempt.credentials);
        if answer.code >= 300 {
            return None;
        }
        let mut dialog = Dialog::new(&draft, &answer);
        agent.send(&dialog.ack(&agent));
        let there = self.hall();
        assert_eq!(agent.exchange(&dialog.request(&agent, "BYE")).code, 200);
        Some(there)
    }

    fn invite(&self, attempt: &Attempt, room: &str) -> (Agent, Draft) {
        let agent = Agent::new("bob", self.proxy.sip, Transport::Udp);
        let draft = invite(&agent, &self.room(room), &client_path());
        let mut draft = from(draft, &attempt.from);
        if attempt.within {
            let to = format!("<{}>;tag=invented", draft.uri);
            draft = draft.set("To", to);
        }
        (agent, draft)
    }

    /// Whatever bob claims, he joins as himself, or not at all.
    fn keeps_bob_bob(&self, attempt: &Attempt) {
        let own = vec![(self.bob.address(), "participant".to_owned())];
        if let Some(there) = self.calls(attempt) {
            assert_eq!(there, own, "{attempt}\n{}", self.proxy.log());
        }
        let (agent, draft) = self.invite(attempt, "board");
        let (_, answer) = self.present(&agent, draft, &attempt.credentials);
        assert!(answer.code >= 400, "in the board: {attempt}");
    }

    /// Impersonations that the owner of bob's account might try.
    fn attempts(&self) -> Vec<Attempt> {
        let Self { alice, bob, .. } = *self;
        let froms = [
            bob.address(),
            alice.address(),
            format!("sip:bob@{FOREIGN}"),
            format!("sip:alice@{FOREIGN}"),
            "sip:alice@ceo.example.net".to_owned(),
        ];
        let all = froms.iter().flat_map(|from| {
            let sets = sets(alice, bob).into_iter();
            let calls = sets.map(|credentials| Attempt::new(from, credentials));
            // With a tag, as if it were within a dialog.
            let within = lies(alice, bob).into_iter().map(|lie| Attempt {
                within: true,
                ..Attempt::new(from, vec![lie])
            });
            calls.chain(within)
        });
        all.collect()
    }
}

/// An attempt to call.
struct Attempt {
    from: String,
    /// With a To tag.
    within: bool,
    credentials: Vec<Credentials>,
}

impl Attempt {
    fn new(from: &str, credentials: Vec<Credentials>) -> Self {
        Self {
            from: from.to_owned(),
            within: false,
            credentials,
        }
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "From {}, To tag {}", self.from, self.within)?;
        for it in &self.credentials {
            let header = it.header.unwrap_or("the header that was asked for");
            let (user, realm, more) = (&it.user, &it.realm, it.more);
            write!(f, "; in {header}: {user:?} of {realm:?}{more}")?;
        }
        Ok(())
    }
}

/// Sets of credentials for one request.
fn sets(alice: Account, bob: Account) -> Vec<Vec<Credentials>> {
    let own = bob.credentials();
    let elsewhere = Credentials::new("bob", FOREIGN, bob.password);
    // Bob's password for alice's name.
    let crossed = Credentials::new("alice", bob.domain, bob.password);
    let named = |user: &String| Credentials::new(user, bob.domain, bob.password);
    let mut all = vec![
        vec![own.clone()],
        vec![elsewhere.clone()],
        vec![elsewhere, crossed],
    ];
    all.extend(names(alice, bob).iter().map(|user| vec![named(user)]));
    for lie in lies(alice, bob) {
        all.push(vec![lie.clone(), own.clone()]);
        all.push(vec![own.clone(), lie.clone()]);
        all.push(vec![lie]);
    }
    all
}

/// User names that contain another's.
fn names(alice: Account, bob: Account) -> Vec<String> {
    vec![
        format!("bob@{FOREIGN}"),
        format!("sip:bob@{FOREIGN}"),
        format!("alice@{}", alice.domain),
        alice.address(),
        "bob:alice".to_owned(),
        "alice:bob".to_owned(),
        format!("bob@{FOREIGN}@{}", bob.domain),
        format!("bob;x=@{FOREIGN}"),
        "alice%40x".to_owned(),
    ]
}

/// Credentials of another user with a wrong password, in either header: for our realm, for another,
/// and for ours in a form that a proxy may skip.
fn lies(alice: Account, bob: Account) -> Vec<Credentials> {
    let odd = |credentials| Credentials {
        more: ", algorithm=ODD",
        ..credentials
    };
    let of = |user, realm: &str| Credentials::new(user, realm, "a guess");
    let mut all = vec![
        of("alice", alice.domain),
        of("alice", FOREIGN),
        of("bob", FOREIGN),
        of("alice", &alice.domain.to_ascii_uppercase()),
        odd(of("alice", alice.domain)),
        odd(of("bob", FOREIGN)),
        odd(Credentials::new("bob", bob.domain, bob.password)),
    ];
    for header in ["Authorization", "Proxy-Authorization"] {
        for index in 0..7 {
            let header = Some(header);
            let lie = all[index].clone();
            all.push(Credentials { header, ..lie });
        }
    }
    all
}

fn from(draft: Draft, address: &str) -> Draft {
    draft.set("From", format!("<{address}>;tag=f{}", unique()))
}

/// Accounts for `auth_db`, in files.
fn accounts() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [
        ("alice", "example.com", "wonderland"),
        ("bob", "example.com", "builder"),
        ("alice", FOREIGN, "chairwoman"),
        ("dave", FOREIGN, "treasurer"),
    ];
    let rows = rows
        .iter()
        .enumerate()
        .map(|(number, (user, domain, password))| {
            format!("{number}:{user}:{domain}:{password}:x:x:x:x\n")
        });
    let subscriber = "id(int,auto) username(string) domain(string) password(string) ha1(string) \
                      ha1b(string) ha1_sha256(string) ha1_sha512t256(string)\n"
        .to_owned()
        + &rows.collect::<String>();
    fs::write(folder.path().join("subscriber"), subscriber).expect("a file");
    folder
}

/// The modules and settings of an existing configuration.
fn existing(family: Family, accounts: &TempDir, several: bool) -> String {
    let (modules, aliases, version): (&[_], _, _) = match family {
        Family::Kamailio => (
            &[
                "tm", "sl", "pv", "textops", "siputils", "auth", "db_text", "auth_db",
            ],
            format!("alias=\"example.com\"\nalias=\"{FOREIGN}\"\n"),
            7,
        ),
        Family::OpenSips => (
            &[
                "proto_udp",
                "signaling",
                "sl",
                "tm",
                "sipmsgops",
                "auth",
                "db_text",
                "auth_db",
            ],
            format!("alias=example.com\nalias={FOREIGN}\n"),
            8,
        ),
    };
    let versions = format!("table_name(string) table_version(int)\nsubscriber:{version}\n");
    fs::write(accounts.path().join("version"), versions).expect("a file");
    let load = modules
        .iter()
        .map(|module| format!("loadmodule \"{module}.so\"\n"));
    let mut text = aliases + &load.collect::<String>();
    let url = format!("\"text://{}\"", accounts.path().display());
    for (name, value) in [
        ("db_url", url.as_str()),
        ("calculate_ha1", "1"),
        ("password_column", "\"password\""),
        ("load_credentials", "\"\""),
        // For several domains the guide sets it itself.
        ("use_domain", if several { "0" } else { "1" }),
    ] {
        text += &format!("modparam(\"auth_db\", \"{name}\", {value})\n");
    }
    text
}

/// Checks that everybody has their account's identity, and keeps it.
fn holds(place: Place) {
    let (alice, bob) = (place.alice, place.bob);
    for (account, role) in [(alice, "moderator"), (bob, "participant")] {
        let attempt = Attempt::new(&account.address(), vec![account.credentials()]);
        let own = vec![(account.address(), role.to_owned())];
        assert_eq!(
            place.calls(&attempt),
            Some(own),
            "{attempt}\n{}",
            place.proxy.log()
        );
    }
    for attempt in place.attempts() {
        place.keeps_bob_bob(&attempt);
    }
    place.proxy.stop();
}

#[test]
fn with_the_example_nobody_is_somebody_else() {
    on_every_host(|host| Place::example(host).into_iter().for_each(holds));
}

#[test]
fn with_the_guides_lines_nobody_is_somebody_else() {
    on_every_host(|host| Place::guide(host, false).into_iter().for_each(holds));
}

#[test]
fn with_the_guides_lines_for_several_domains_nobody_is_somebody_else() {
    on_every_host(|host| Place::guide(host, true).into_iter().for_each(holds));
}

#[test]
fn namesakes_of_two_domains_are_told_apart() {
    on_every_host(|host| {
        let chairwoman = Account {
            user: "alice",
            domain: FOREIGN,
            password: "chairwoman",
        };
        for several in [false, true] {
            let Some(place) = Place::guide(host, several) else {
                return;
            };
            let user = format!("alice@{FOREIGN}");
            for from in [place.alice.address(), chairwoman.address()] {
                for realm in ["example.com", FOREIGN] {
                    for user in ["alice", user.as_str()] {
                        let attempt =
                            Attempt::new(&from, vec![Credentials::new(user, realm, "chairwoman")]);
                        let own = (chairwoman.address(), "participant".to_owned());
                        let welcome = several && from == chairwoman.address() && realm == FOREIGN;
                        let there = place.calls(&attempt);
                        assert_eq!(there, welcome.then(|| vec![own]), "{attempt}");
                    }
                }
            }
            place.proxy.stop();
        }
    });
}

/// Methods that a room accepts (RFC 3261, 3515, 3903, 6665), and some that it does not.
const METHODS: [&str; 10] = [
    "INVITE",
    "SUBSCRIBE",
    "REFER",
    "PUBLISH",
    "OPTIONS",
    "NOTIFY",
    "MESSAGE",
    "UPDATE",
    "BYE",
    "INFO",
];

fn every_method_is_challenged(place: Place) {
    let agent = Agent::new("bob", place.proxy.sip, Transport::Udp);
    let lie = Credentials::new("alice", place.alice.domain, "a guess");
    for method in METHODS {
        let (challenge, header) = place.challenge(&agent, method);
        // A tag that nobody issued belongs to no dialog.
        let room = place.room("hall");
        let draft = from(agent.draft(method, &room), &place.alice.address())
            .set("To", format!("<{room}>;tag=invented"))
            .set("Event", "conference");
        let value = lie.value(&challenge, &draft);
        let code = agent.exchange(&draft.add(header, value)).code;
        assert!(code >= 400, "{method} with an invented tag: {code}");
    }
    // These cannot be challenged (RFC 3261 §22.1).
    let call = from(
        agent.draft("INVITE", &place.room("hall")),
        &place.bob.address(),
    );
    let ack = call.ack_of_refusal(call.header("To"));
    agent.send(&ack);
    assert_eq!(agent.exchange(&call.cancel()).code, 481);
    assert!(agent.response(&ack, SILENCE, |_| true).is_none(), "to ACK");
    assert_eq!(place.hall(), []);
    place.proxy.stop();
}

#[test]
fn every_method_is_challenged_outside_a_dialog() {
    on_every_host(|host| {
        Place::example(host)
            .into_iter()
            .for_each(every_method_is_challenged);
        Place::guide(host, false)
            .into_iter()
            .for_each(every_method_is_challenged);
        Place::guide(host, true)
            .into_iter()
            .for_each(every_method_is_challenged);
    });
}

#[test]
fn an_account_registers_its_own_address_alone() {
    on_every_host(|host| {
        let Some(place) = Place::example(host) else {
            return;
        };
        let agent = Agent::new("bob", place.proxy.sip, Transport::Udp);
        let registrar = format!("sip:{}", place.host);
        let register = |to: &str| {
            let draft = agent.draft("REGISTER", &registrar).set("To", to);
            place.present(
                &agent,
                from(draft, "sip:bob@127.0.0.1"),
                &[place.bob.credentials()],
            )
        };
        let (_, answer) = register("<sip:bob@127.0.0.1>");
        assert_eq!(answer.code, 200);
        assert!(
            answer
                .headers
                .first("Contact")
                .is_some_and(|it| it.contains("sip:bob@"))
        );
        assert_eq!(register("<sip:alice@127.0.0.1>").1.code, 403);
        // A tag does not make it part of a dialog.
        let tagged = agent
            .draft("REGISTER", &registrar)
            .set("To", "<sip:alice@127.0.0.1>;tag=invented");
        assert_eq!(agent.exchange(&tagged).code, 401);
        place.proxy.stop();
    });
}
