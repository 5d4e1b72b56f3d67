//! `msrp-chat check` and `msrp-chat load` as an operator uses them, against real proxies: a check
//! reports working steps as fine, and a fault at its step, with a remedy.

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "harness/mod.rs"]
mod harness;

use std::process::{Command, Output};

use certificates::{Authority, Folder};
use harness::host::Family;
use harness::on_every_host;
use harness::plan::{Plan, free_port};
use serde_json::Value;

/// Runs `msrp-chat` to its end.
fn msrp_chat(line: &[&str]) -> (i32, Vec<Value>, Output) {
    let output = Command::new(env!("CARGO_BIN_EXE_msrp-chat"))
        .args(line)
        .env_remove("MSRP_CHAT_PASSWORD")
        .output()
        .expect("msrp-chat");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let objects = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let status = output.status.code().expect("an exit status");
    (status, objects.collect(), output)
}

/// Expects a check to fail at `step`, with advice that names `remedy`, and to stop there.
fn fails_at(step: &str, remedy: &str, line: &[&str]) {
    let (status, steps, output) =
        msrp_chat(&[&["check", "--json", "--patience", "4"], line].concat());
    assert_eq!(status, 1, "{output:?}");
    let last = &steps[steps.len() - 2];
    assert_eq!(
        (&last["step"], &last["result"]),
        (&step.into(), &"failed".into()),
        "{last}"
    );
    let advice = last["advice"].as_str().unwrap_or_default();
    assert!(advice.contains(remedy), "{remedy:?} is not in {advice:?}");
    assert_eq!(steps[steps.len() - 1]["result"], "failed");
}

#[test]
fn a_good_server_is_checked_green() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let (status, steps, output) = msrp_chat(&["check", "--json", &proxy.room("lobby")]);
        assert_eq!(status, 0, "{output:?}");
        let named: Vec<_> = steps
            .iter()
            .filter_map(|step| step["step"].as_str())
            .collect();
        assert_eq!(
            named,
            [
                "address",
                "sip",
                "join",
                "focus",
                "description",
                "connection",
                "certificate",
                "bind",
                "roster",
                "second",
                "second-bind",
                "news",
                "message",
                "reply",
                "ack",
                "leave"
            ]
        );
        assert!(
            steps.iter().all(|step| step["result"] != "failed"),
            "{steps:?}"
        );
        let (status, steps, output) =
            msrp_chat(&["check", "--json", "--tcp", &proxy.room("lobby")]);
        assert_eq!((status, steps.len()), (0, 17), "{output:?}");
        proxy.stop();
    });
}

/// The observation of a step.
fn seen<'a>(steps: &'a [Value], name: &str) -> &'a str {
    let step = steps.iter().find(|step| step["step"] == name);
    step.and_then(|step| step["seen"].as_str())
        .unwrap_or_default()
}

#[test]
fn accounts_are_asked_for() {
    on_every_host(|host| {
        let needed: &[&str] = match host.family {
            Family::Kamailio => &["auth", "htable", "registrar"],
            Family::OpenSips => &["auth", "cachedb_local", "registrar"],
        };
        if !host.has_modules(needed) {
            return;
        }
        let proxy = Plan::new(host).example("authenticated").start();
        let room = proxy.room("lobby");
        fails_at("join", "--account", &[&room]);
        fails_at(
            "join",
            "user name and password",
            &["--account", "alice:no", &room],
        );
        let stranger = [
            "--account",
            "alice:wonderland",
            "--account",
            "bob:no",
            &room,
        ];
        fails_at("second", "second --account", &stranger);
        // One account is enough, and two work as well.
        let one = ["--account", "alice:wonderland"];
        for accounts in [&one[..], &[one[0], one[1], one[0], "bob:builder"]] {
            let (status, steps, output) =
                msrp_chat(&[&["check", "--json"], accounts, &[&room]].concat());
            assert_eq!(status, 0, "{output:?}\n{}", proxy.log());
            assert!(
                steps.iter().all(|step| step["result"] != "failed"),
                "{output:?}"
            );
        }
        let accounts = [
            "--user",
            "alice",
            "--password",
            "wonderland",
            "--second",
            "sip:bob@127.0.0.1",
            "--second-user",
            "bob",
            "--second-password",
            "builder",
            &room,
        ];
        let alice = ["--from", "sip:alice@127.0.0.1"];
        let (status, steps, output) =
            msrp_chat(&[&["check", "--json"], &alice[..], &accounts].concat());
        assert_eq!(status, 0, "{output:?}\n{}", proxy.log());
        assert!(
            seen(&steps, "join").contains("with an account"),
            "{output:?}"
        );
        // Whatever the From header claims, the account is her identity.
        let mallory = ["--from", "sip:mallory@127.0.0.1"];
        let (status, steps, output) =
            msrp_chat(&[&["check", "--json"], &mallory[..], &accounts].concat());
        assert_eq!(status, 1, "{output:?}");
        assert!(
            seen(&steps, "roster").contains("but sip:alice@127.0.0.1"),
            "{output:?}"
        );
        assert!(seen(&steps, "message").contains("403"), "{output:?}");
        proxy.stop();
    });
}

#[test]
fn the_certificate_is_looked_at() {
    on_every_host(|host| {
        let files = Folder::new();
        let authority = Authority::new();
        let own = files.files(&authority.certify(&["127.0.0.1"]));
        let proxy = Plan::new(host)
            .example("tls")
            .parameter("tls_certificate", own.certificate.display())
            .parameter("tls_private_key", own.private_key.display())
            .start();
        let room = proxy.room("lobby");
        let ca = files.ca_list(&authority);
        let ca = ca.to_str().expect("UTF-8");
        let line = ["check", "--json", "--msrps", "--ca", ca, &room];
        let (status, steps, output) = msrp_chat(&line);
        assert_eq!(status, 0, "{output:?}");
        assert!(
            seen(&steps, "certificate").contains("CA-signed; for 127.0.0.1, issued by"),
            "{output:?}"
        );
        // Without its authority it is at least the one that SIP has announced.
        let (status, steps, output) = msrp_chat(&["check", "--json", "--msrps", &room]);
        assert_eq!(status, 0, "{output:?}");
        assert!(
            seen(&steps, "certificate").contains("UnknownIssuer"),
            "{output:?}"
        );
        assert_eq!(steps.last().expect("an end")["warnings"], 1);
        let warned = steps.iter().find(|step| step["result"] == "warning");
        let advice = &warned.expect("a warning")["advice"];
        assert!(advice.to_string().contains("fullchain.pem"), "{advice}");
        fails_at("join", "--msrps", &[&room]);
        let large = [
            "--json", "--msrps", "--size", "30000", "--rate", "20", "--for", "1", &room,
        ];
        let (status, _, output) = msrp_chat(&[&["load"], &large[..]].concat());
        assert_eq!(status, 0, "{output:?}");
        proxy.stop();
    });
}

/// Tries the connections of browsers, without a browser.
#[test]
fn websockets_are_tried() {
    on_every_host(|host| {
        let plan = Plan::new(host);
        let listener = format!("ws:127.0.0.1:{}", plan.ws);
        let with = plan.clone().parameter("listen", listener).start();
        let room = with.room("lobby");
        let (status, steps, output) = msrp_chat(&["check", "--json", "--websocket", &room]);
        assert_eq!(status, 0, "{output:?}");
        assert!(
            seen(&steps, "connection").contains(&plan.ws.to_string()),
            "{output:?}"
        );
        with.stop();
        let without = plan.start();
        let room = without.room("lobby");
        fails_at("join", "leave --websocket out", &["--websocket", &room]);
        without.stop();
    });
}

#[test]
fn what_is_broken_is_found_at_its_step() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("advertise", format!("127.0.0.1:{}", free_port()))
            .parameter("adhoc", "no")
            .start();
        fails_at("connection", "firewall", &[&proxy.room("lobby")]);
        fails_at("join", "no such room", &[&proxy.room("nowhere")]);
        proxy.stop();
        let nothing = format!("sip:lobby@127.0.0.1:{}", free_port());
        fails_at("sip", "Is the server running", &[&nothing]);
        fails_at("address", "--proxy", &["sip:lobby@no-such-host.invalid"]);
    });
}

/// Another proxy on the port, or a script that answers itself.
#[test]
fn an_answer_that_is_not_the_modules_is_told_as_such() {
    on_every_host(|host| {
        let (code, text) = ("403", "Not relaying");
        let answer = match host.family {
            Family::Kamailio => format!("sl_send_reply(\"{code}\", \"{text}\");"),
            Family::OpenSips => format!("sl_send_reply({code}, \"{text}\");"),
        };
        let script = format!("if (is_method(\"INVITE\")) {{ {answer} exit; }}");
        let proxy = Plan::new(host).script(&script).start();
        fails_at("join", "not the module's", &[&proxy.room("lobby")]);
        proxy.stop();
    });
}

#[test]
fn monitoring_plugins_get_their_line_and_status() {
    let plugin = |line: &[&str]| {
        let (status, _, output) = msrp_chat(&[&["check", "--nagios"], line].concat());
        (status, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let room = proxy.room("lobby");
        let (status, line) = plugin(&[&room]);
        assert_eq!(status, 0, "{line}");
        assert!(
            line.starts_with("CHAT OK - 15 steps in order|time="),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
        // NOTIFYs are delayed longer than the check waits.
        let slow = Plan::new(host)
            .parameter("notify_interval_ms", 60_000)
            .start();
        let (status, line) = plugin(&["--patience", "2", &slow.room("lobby")]);
        assert_eq!(status, 1, "{line}");
        assert!(line.starts_with("CHAT WARNING - news: "), "{line}");
        slow.stop();
        proxy.stop();
        let (status, line) = plugin(&["--patience", "1", &room]);
        assert_eq!(status, 2, "{line}");
        assert!(line.starts_with("CHAT CRITICAL - "), "{line}");
    });
    let (status, line) = plugin(&["lobby"]);
    assert_eq!(status, 3, "{line}");
    assert!(line.starts_with("CHAT UNKNOWN - "), "{line}");
}

/// A check once a minute must not fill the history that newcomers get.
#[test]
fn what_a_check_says_is_in_no_history() {
    on_every_host(|host| {
        let den = "sip:den@127.0.0.1;history=20";
        let proxy = Plan::new(host).parameter("room", den).start();
        let room = proxy.room("den");
        let (status, _, output) = msrp_chat(&["check", "--json", &room]);
        assert_eq!(status, 0, "{output:?}");
        let listen = [
            "--json",
            "--from",
            "sip:al@127.0.0.1",
            "--say",
            "mine",
            "--for",
            "1",
            &room,
        ];
        for heard in [0, 1] {
            let (status, events, output) = msrp_chat(&listen);
            assert_eq!(status, 0, "{output:?}");
            let messages = events.iter().filter(|event| event["event"] == "message");
            let texts: Vec<_> = messages.map(|event| event["text"].clone()).collect();
            assert_eq!(texts, vec!["mine"; heard], "{output:?}");
        }
        proxy.stop();
    });
}

/// Expects `step` to fail, with advice that names `remedy`, whatever follows it.
fn finds(step: &str, remedy: &str, room: &str) {
    let (status, steps, output) = msrp_chat(&["check", "--json", "--patience", "3", room]);
    assert_eq!(status, 1, "{step}: {output:?}");
    let failed = |found: &&Value| found["result"] == "failed" && found["step"] == step;
    let found = steps.iter().find(failed);
    let found = found.unwrap_or_else(|| panic!("{step} has not failed: {steps:?}"));
    let advice = found["advice"].as_str().unwrap_or_default();
    assert!(advice.contains(remedy), "{remedy:?} is not in {advice:?}");
}

#[test]
fn a_script_that_loses_requests_is_told_which() {
    for (method, step, remedy) in [
        ("INVITE", "join", "lost in the script"),
        ("ACK", "ack", "ACK must come"),
        ("SUBSCRIBE", "roster", "SUBSCRIBE must come"),
        ("BYE", "leave", "loose_route()"),
    ] {
        on_every_host(|host| {
            let lost = format!("if (is_method(\"{method}\")) exit;");
            let plan = Plan::new(host).parameter("notify_interval_ms", 200);
            let proxy = plan.script(&lost).start();
            finds(step, remedy, &proxy.room("lobby"));
            proxy.stop();
        });
    }
}

#[test]
fn a_wrong_parameter_is_told_by_name() {
    for (name, value, step, remedy) in [
        (
            "advertise",
            "no-such-host.invalid",
            "connection",
            "`advertise`",
        ),
        (
            "identity",
            "sip:fixed@example.com",
            "message",
            "sip:fixed@example.com",
        ),
        ("identity", "$au", "join", "`identity`"),
        ("room", "sip:small@127.0.0.1;max=1", "second", "`max`"),
    ] {
        on_every_host(|host| {
            let plan = Plan::new(host).parameter("notify_interval_ms", 200);
            let proxy = plan.parameter(name, value).start();
            finds(step, remedy, &proxy.room("small"));
            proxy.stop();
        });
    }
}

/// The result of a run without failures.
fn load(options: &str, room: &str) -> Value {
    let line: Vec<&str> = ["load", "--json"]
        .into_iter()
        .chain(options.split(' '))
        .collect();
    let (status, mut objects, output) = msrp_chat(&[&line, &[room][..]].concat());
    assert_eq!(status, 0, "{output:?}");
    objects.pop().expect("a result")
}

#[test]
fn a_load_reaches_everybody() {
    on_every_host(|host| {
        let proxy = Plan::new(host).parameter("notify_interval_ms", 200).start();
        let room = proxy.room("load");
        let options = "--subscribe --participants 12 --rooms 3 --join-rate 100 --rate 60 --for 2";
        let result = load(options, &room);
        assert_eq!(
            (&result["event"], &result["joined"]),
            (&"result".into(), &12.into())
        );
        let number = |name: &str| result[name].as_u64().unwrap_or_default();
        assert!(number("sent") >= 60, "{result}");
        // Four in a room: three copies of every message.
        assert_eq!(number("delivered"), number("sent") * 3, "{result}");
        assert_eq!(result["latency_microseconds"]["count"], result["delivered"]);
        assert!(number("rosters") >= 12, "{result}");
        proxy.stop();
    });
}

#[test]
fn a_load_counts_its_own_messages_alone() {
    on_every_host(|host| {
        let den = "sip:den@127.0.0.1;history=20";
        let proxy = Plan::new(host).parameter("room", den).start();
        // The second run finds the history of the first.
        for _ in 0..2 {
            let options = "--participants 3 --join-rate 100 --rate 60 --for 1";
            let result = load(options, &proxy.room("den"));
            let number = |name: &str| result[name].as_u64().expect("a number");
            assert!(number("sent") >= 30, "{result}");
            assert_eq!(number("delivered"), number("sent") * 2, "{result}");
        }
        proxy.stop();
    });
}

#[test]
fn nobody_elses_server_is_loaded_by_mistake() {
    let (status, _, output) = msrp_chat(&["load", "sip:load@192.0.2.1"]);
    assert_eq!(status, 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--remote"));
}

#[test]
fn a_load_without_server_says_so() {
    let room = format!("sip:load@127.0.0.1:{}", free_port());
    let (status, objects, _) =
        msrp_chat(&["load", "--json", "--participants", "2", "--for", "1", &room]);
    assert_eq!(status, 3);
    let result = objects.last().expect("a result");
    assert_eq!(result["refused"], 2);
    let reasons = result["reasons"].to_string();
    assert!(reasons.contains("nothing listens"), "{reasons}");
}
