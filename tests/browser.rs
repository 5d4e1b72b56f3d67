//! People with a browser in a room: the page of `web/` in Chromium, on both hosts' `browser.cfg`,
//! together with a client on TCP.
//!
//! This test makes the picture in README.md: `UPDATE_DOCS=1 cargo test --test browser everybody`.
//! It needs `npm ci && npm run build` in `web/` (`.ci/deps`); without a browser or the page the
//! tests report that and pass.

#[path = "harness/mod.rs"]
mod harness;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use harness::agent::Transport;
use harness::host::{Family, Host};
use harness::participant::Participant;
use harness::plan::{Plan, root};
use harness::proxy::{Proxy, wait_until};
use harness::{PATIENCE, on_every_host};
use serde_json::{Value, json};

/// A large message: larger than a chunk, a frame or an outbox.
const LARGE: usize = 5 << 20;

/// Browsers with the page, and the connections between them and the servers.
struct Browsers {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Browsers {
    fn start(plan: &Plan) -> Option<Self> {
        let chromium = ["/usr/bin/chromium", "/usr/bin/google-chrome"];
        let chromium = chromium.into_iter().find(|it| Path::new(it).exists());
        let built = ["dist/page.js", "node_modules/playwright-core"];
        let built = built.iter().all(|it| root().join("web").join(it).exists());
        let (Some(chromium), true) = (chromium, built) else {
            eprintln!("no browser, or no page in web/dist: not tried");
            return None;
        };
        let mut child = Command::new("node")
            .arg(root().join("web/driver.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let mut browsers = Self {
            commands: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("stdout")),
            child,
        };
        browsers.run(json!({
            "do": "start", "executable": chromium, "sip": plan.http, "msrp": plan.ws,
            "domain": "127.0.0.1", "room": "lobby",
        }));
        Some(browsers)
    }

    /// Runs a command; returns its result.
    #[track_caller]
    fn run(&mut self, command: Value) -> Value {
        let commands = self.commands.as_mut().expect("its input");
        writeln!(commands, "{command}").expect("the driver reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        match answer.get("ok") {
            Some(answer) => answer.clone(),
            None => panic!("{command}: {}", answer["error"].as_str().unwrap_or(&line)),
        }
    }

    #[track_caller]
    fn act(&mut self, page: &str, what: &str) {
        self.run(json!({"page": page, "do": what}));
    }

    #[track_caller]
    fn say(&mut self, page: &str, text: &str) {
        self.run(json!({"page": page, "do": "say", "text": text}));
    }

    /// Waits for a message; returns its classes in the page.
    #[track_caller]
    fn sees(&mut self, page: &str, text: &str) -> String {
        let seen = self.run(json!({"page": page, "do": "sees", "text": text}));
        assert_eq!(seen["count"], 1, "{page} sees {text} more than once");
        seen["classes"].as_str().expect("classes").to_owned()
    }

    #[track_caller]
    fn roster(&mut self, page: &str, names: &[&str]) {
        self.run(json!({"page": page, "do": "roster", "names": names}));
    }

    /// Texts that a page shows, in order.
    fn texts(&mut self, page: &str) -> Vec<String> {
        let texts = self.run(json!({"page": page, "do": "texts"}));
        serde_json::from_value(texts).expect("texts")
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        // The end of its input ends it, and every process it started.
        self.commands = None;
        let _ = self.child.wait();
    }
}

/// Runs at most two browsers at a time, which is enough for a machine.
fn with_browsers(scenario: impl Fn(&Host, Plan, &mut Browsers)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_every_host(|host| {
        let module = match host.family {
            Family::Kamailio => "websocket",
            Family::OpenSips => "proto_ws",
        };
        if !host.has_module(module) {
            eprintln!("{} has no {module}: not tried", host.name);
            return;
        }
        let plan = Plan::new(host).example("browser");
        if let Some(mut browsers) = Browsers::start(&plan) {
            scenario(host, plan, &mut browsers);
        }
    });
}

fn hears(carol: &Participant, text: &str) {
    let heard = carol.link.inbox.take(PATIENCE, |frame| {
        let body = frame.body.as_deref().unwrap_or_default();
        body.ends_with(text.as_bytes())
    });
    assert!(heard.is_some(), "carol does not hear {text}");
}

#[test]
fn people_with_browsers_talk_with_those_on_tcp() {
    with_browsers(|_, plan, browsers| {
        let proxy = plan.parameter("notify_interval_ms", 200).start();
        browsers.act("alice", "join");
        browsers.act("bob", "join");
        let mut carol = Participant::join_and_subscribe(&proxy, "carol", Transport::Tcp, "lobby");

        browsers.say("alice", "from a page");
        assert!(!browsers.sees("bob", "from a page").contains("history"));
        hears(&carol, "from a page");
        carol.say("from a telephone");
        browsers.sees("alice", "from a telephone");
        browsers.sees("bob", "from a telephone");

        carol.sees(&["alice", "bob", "carol"]);
        for page in ["alice", "bob"] {
            browsers.roster(page, &["alice", "bob", "carol"]);
        }

        nicknames(browsers);
        private_messages(browsers, &carol);
        typing(browsers);
        large_messages(browsers, &carol);

        browsers.act("bob", "leave");
        browsers.roster("alice", &["Ally", "carol"]);
        carol.sees(&["alice", "carol"]);
        browsers.act("alice", "close");
        carol.sees(&["carol"]);
        drop(carol);
        proxy.stop();
    });
}

fn nicknames(browsers: &mut Browsers) {
    let mut nickname = |page: &str, name: &str| {
        browsers.run(json!({"page": page, "do": "nickname", "name": name}))
    };
    assert_eq!(nickname("alice", "Ally"), "");
    assert_eq!(nickname("bob", "Ally"), "Somebody else has this nickname.");
    browsers.roster("bob", &["Ally", "bob", "carol"]);
}

fn private_messages(browsers: &mut Browsers, carol: &Participant) {
    browsers.run(json!({"page": "alice", "do": "to", "name": "bob"}));
    browsers.say("alice", "for you alone");
    assert!(browsers.sees("bob", "for you alone").contains("private"));
    let how = json!({"page": "alice", "do": "delivered", "text": "for you alone", "how": "read"});
    browsers.run(how);
    browsers.act("alice", "toAll");
    browsers.say("alice", "for all again");
    hears(carol, "for all again");
    let private = carol.link.inbox.take(std::time::Duration::ZERO, |frame| {
        let body = frame.body.as_deref().unwrap_or_default();
        body.ends_with(b"for you alone")
    });
    assert!(private.is_none(), "carol hears what is for bob");
}

fn typing(browsers: &mut Browsers) {
    browsers.run(json!({"page": "alice", "do": "type", "text": "hm"}));
    browsers.run(json!({"page": "bob", "do": "typing", "text": "Ally is typing"}));
    browsers.say("alice", "said it");
    browsers.sees("bob", "said it");
}

fn large_messages(browsers: &mut Browsers, carol: &Participant) {
    browsers.run(json!({"page": "alice", "do": "sendFile", "octets": LARGE}));
    assert_eq!(
        browsers.run(json!({"page": "bob", "do": "file"})),
        "application/octet-stream, 5.0 MiB"
    );
    let mut heard = 0;
    while heard < LARGE {
        let frame = carol.link.inbox.take(PATIENCE, |frame| {
            frame.body.as_ref().is_some_and(|body| body.contains(&b'~'))
        });
        let body = frame
            .expect("the large message goes on")
            .body
            .unwrap_or_default();
        heard += body.iter().filter(|octet| **octet == b'~').count();
    }
    assert_eq!(heard, LARGE);

    let text = String::from_utf8(carol.words("")).expect("text");
    let head = text.replace("text/plain", "application/x-large");
    let body = [head.as_bytes(), &vec![b'~'; LARGE]].concat();
    let answer = carol.link.exchange(&carol.frame(&body));
    assert_eq!(answer.kind, "200");
    for page in ["alice", "bob"] {
        let file = json!({"page": page, "do": "file"});
        while browsers.run(file.clone()) != "application/x-large, 5.0 MiB" {}
    }
}

#[test]
fn a_page_that_was_loaded_again_or_cut_off_is_back_without_a_ghost() {
    with_browsers(|_, plan, browsers| {
        let proxy = plan.parameter("notify_interval_ms", 200).start();
        browsers.act("alice", "join");
        browsers.act("bob", "join");
        let mut carol = Participant::join_and_subscribe(&proxy, "carol", Transport::Tcp, "lobby");
        carol.say("one");
        for page in ["alice", "bob"] {
            browsers.sees(page, "one");
        }

        browsers.act("alice", "reload");
        assert!(browsers.sees("alice", "one").contains("history"));
        browsers.say("alice", "two");
        browsers.sees("bob", "two");
        hears(&carol, "two");

        browsers.act("any", "cut");
        for page in ["alice", "bob"] {
            browsers.act(page, "offline");
        }
        carol.say("three");
        browsers.say("alice", "four");
        browsers.act("any", "mend");
        for page in ["alice", "bob"] {
            browsers.act(page, "online");
            browsers.sees(page, "three");
            browsers.sees(page, "four");
        }
        hears(&carol, "four");
        carol.sees(&["alice", "bob", "carol"]);
        for page in ["alice", "bob"] {
            browsers.roster(page, &["alice", "bob", "carol"]);
            assert_eq!(
                browsers.texts(page),
                ["one", "two", "three", "four"],
                "{page}"
            );
        }
        drop(carol);
        proxy.stop();
    });
}

/// opensips-js 0.1.52 needs a room for plain text, and a challenge to REGISTER, from which it takes
/// its realm.
#[test]
fn opensips_js_talks_and_comes_back() {
    with_browsers(|host, plan, browsers| {
        if host.family != Family::Kamailio {
            return;
        }
        let proxy = plan
            .parameter("rejoin_grace", 2)
            .lines("loadmodule \"auth.so\"\n")
            .script(
                "if (is_method(\"REGISTER\") && !pv_www_authenticate(\"127.0.0.1\", \"builder\", \"0\")) {\n\
                 www_challenge(\"127.0.0.1\", \"1\");\nexit;\n}",
            )
            .parameter("room", "sip:plain@127.0.0.1;plain_text=yes")
            .parameter("notify_interval_ms", 200)
            .start();
        let mut carol = Participant::join_and_subscribe(&proxy, "carol", Transport::Tcp, "plain");
        browsers.run(json!({
            "page": "bob", "do": "opensipsJs", "user": "bob", "room": "plain", "text": "here I am",
        }));
        hears(&carol, "here I am");
        carol.sees(&["bob", "carol"]);
        carol.say("welcome");
        browsers.run(json!({"page": "bob", "do": "opensipsHears", "text": "welcome"}));
        browsers.run(json!({"page": "bob", "do": "opensipsSays", "text": "thank you"}));
        hears(&carol, "thank you");
        // It calls anew, and sends its opening again.
        browsers.run(json!({"do": "cut", "wire": "msrp"}));
        browsers.run(json!({"do": "mend"}));
        hears(&carol, "here I am");
        browsers.run(json!({"page": "bob", "do": "opensipsSays", "text": "back again"}));
        hears(&carol, "back again");
        browsers.run(json!({"page": "bob", "do": "opensipsLeaves"}));
        carol.sees(&["carol"]);
        drop(carol);
        proxy.stop();
    });
}

/// Kills the proxy, and starts another one that finds the same database.
fn killed_and_started_again(plan: &Plan, proxy: Proxy) -> Proxy {
    proxy.kill_all();
    drop(proxy);
    plan.clone().start()
}

#[test]
fn the_room_goes_on_after_the_proxy_was_killed() {
    with_browsers(|_, plan, browsers| {
        let folder = tempfile::tempdir().expect("a folder");
        let plan = plan
            .parameter("notify_interval_ms", 200)
            .state_in(folder.path());
        let proxy = plan.clone().start();
        browsers.act("alice", "join");
        browsers.act("bob", "join");
        browsers.say("alice", "before");
        browsers.sees("bob", "before");
        let proxy = killed_and_started_again(&plan, proxy);
        browsers.say("alice", "meanwhile");
        for page in ["alice", "bob"] {
            browsers.act(page, "online");
            browsers.sees(page, "meanwhile");
            browsers.roster(page, &["alice", "bob"]);
        }
        browsers.say("bob", "after");
        browsers.sees("alice", "after");
        for page in ["alice", "bob"] {
            assert_eq!(
                browsers.texts(page),
                ["before", "meanwhile", "after"],
                "{page}"
            );
        }
        proxy.stop();
    });
}

/// With the switch outside the proxy, the conversation does not even pause.
#[test]
fn nobody_notices_that_the_proxy_was_killed_beside_msrp_switchd() {
    with_browsers(|_, plan, browsers| {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("control");
        let switch = Switchd::start(&socket, &plan);
        let plan = plan
            .parameter("notify_interval_ms", 200)
            .parameter("switch", format!("unix:{}", socket.display()))
            .state_in(folder.path());
        let proxy = plan.clone().start();
        browsers.act("alice", "join");
        browsers.act("bob", "join");
        browsers.say("alice", "before");
        browsers.sees("bob", "before");
        proxy.kill_all();
        browsers.say("alice", "meanwhile");
        browsers.sees("bob", "meanwhile");
        drop(proxy);
        let proxy = plan.clone().start();
        let mut carol = Participant::join_and_subscribe(&proxy, "carol", Transport::Tcp, "lobby");
        for page in ["alice", "bob"] {
            browsers.roster(page, &["alice", "bob", "carol"]);
        }
        carol.sees(&["alice", "bob", "carol"]);
        browsers.say("bob", "after");
        browsers.sees("alice", "after");
        for page in ["alice", "bob"] {
            assert_eq!(
                browsers.texts(page),
                ["before", "meanwhile", "after"],
                "{page}"
            );
        }
        drop(carol);
        proxy.stop();
        drop(switch);
    });
}

/// A running `msrp-switchd`. Dropped, it is killed.
struct Switchd(Child);

impl Switchd {
    fn start(socket: &Path, plan: &Plan) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_msrp-switchd"))
            .arg("--socket")
            .arg(socket)
            .arg(format!("--listen=msrp:127.0.0.1:{}", plan.msrp))
            .arg(format!("--listen=ws:127.0.0.1:{}", plan.ws))
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::null())
            .spawn()
            .expect("msrp-switchd");
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, plan.ws)).is_ok();
        assert!(
            wait_until(PATIENCE, || socket.exists() && listens()),
            "it does not start"
        );
        Self(child)
    }
}

impl Drop for Switchd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_page_can_be_read_by_everybody_everywhere() {
    let pictures = root().join("target/pictures");
    std::fs::create_dir_all(&pictures).expect("a folder");
    with_browsers(|host, plan, browsers| {
        if host.family != Family::Kamailio {
            return;
        }
        let proxy = plan.parameter("notify_interval_ms", 200).start();
        let carol = Participant::join(&proxy, "carol", Transport::Tcp, "lobby");
        carol.say("Good morning! The build is green again.");
        for page in ["alice", "bob"] {
            browsers.act(page, "join");
        }
        browsers.say(
            "alice",
            "Thanks. Who looks at https://example.com/issues/17 today?",
        );
        browsers.sees("bob", "Good morning! The build is green again.");
        browsers.say("bob", "I do.\nGive me an hour.");
        browsers.run(json!({"page": "bob", "do": "to", "name": "alice"}));
        browsers.say("bob", "Shall we have lunch?");
        browsers.sees("alice", "Shall we have lunch?");
        let long = "A long line that wraps, as people write them now and then. ".repeat(4);
        let dated = String::from_utf8(carol.words(&long)).expect("text");
        let undated = dated.replace("DateTime: 2026-01-02T03:04:05Z\r\n", "");
        let answer = carol.link.exchange(&carol.frame(undated.as_bytes()));
        assert_eq!(answer.kind, "200");
        browsers.roster("alice", &["alice", "bob", "carol"]);
        browsers.run(json!({"page": "bob", "do": "toAll"}));
        browsers.run(json!({"page": "bob", "do": "type", "text": "and"}));
        browsers.run(json!({"page": "alice", "do": "typing", "text": "bob is typing"}));
        for (scheme, width, height) in [
            ("light", 1440, 900),
            ("dark", 1440, 900),
            ("light", 360, 740),
            ("dark", 360, 740),
        ] {
            picture(browsers, &pictures, "alice", scheme, width, height);
            let audit = browsers.run(json!({"page": "alice", "do": "audit"}));
            assert_eq!(audit, json!([]), "{scheme} {width}");
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let path = root().join("docs/page.png");
            browsers.run(json!({
                "page": "alice", "do": "picture", "path": path, "scheme": "light",
                "width": 1000, "height": 600,
            }));
        }
        browsers.act("alice", "leave");
        for (scheme, width, height) in [("light", 1440, 900), ("dark", 360, 740)] {
            picture(browsers, &pictures, "alice", scheme, width, height);
            let audit = browsers.run(json!({"page": "alice", "do": "audit"}));
            assert_eq!(audit, json!([]), "{scheme} {width}");
        }
        proxy.stop();
    });
}

/// Takes a picture, and checks that nothing overflows at the side.
fn picture(
    browsers: &mut Browsers,
    folder: &Path,
    page: &str,
    scheme: &str,
    width: u32,
    height: u32,
) {
    let number = std::fs::read_dir(folder).expect("a folder").count();
    let path: PathBuf = folder.join(format!("{number:02}-{scheme}-{width}.png"));
    let used = browsers.run(json!({
        "page": page, "do": "picture", "path": path, "scheme": scheme, "width": width,
        "height": height,
    }));
    assert_eq!(used, width, "the page is as wide as its window");
}
