//! The interfaces that operators use, each with its own client if there is one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::harness::agent::{Transport, unique};
use crate::harness::host::{Family, Host};
use crate::harness::on_every_host;
use crate::harness::participant::Participant;
use crate::harness::plan::{FOLDER, Plan, free_port};
use crate::harness::proxy::Proxy;
use crate::{name, order};

const COMMANDS: [&str; 14] = [
    "list", "show", "create", "end", "invite", "expel", "role", "say", "lock", "unlock", "ban",
    "unban", "reload", "stats",
];

fn on(family: Family, scenario: impl Fn(&Host)) {
    on_every_host(|host| {
        if host.family == family {
            scenario(host);
        }
    });
}

fn request(method: &str, parameters: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": parameters }).to_string()
}

/// Acts as a client of the FIFO: makes a reply FIFO of its own, writes one line, reads one answer.
fn ask_fifo(fifo: &Path, reply: &Path, line: &str) -> Value {
    let made = Command::new("mkfifo").arg(reply).status().expect("mkfifo");
    assert!(made.success());
    let (from, request) = (reply.to_owned(), line.to_owned());
    let answer = thread::spawn(move || fs::read_to_string(from).expect("an answer"));
    fs::write(fifo, request).expect("the FIFO");
    let answer = answer.join().expect("no panic");
    let _ = fs::remove_file(reply);
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn ask_http(port: u16, path: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("HTTP");
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).expect("sent");
    serde_json::from_str(&http_body(stream)).expect("JSON")
}

/// The body of a response that ends with the connection or after its length.
fn http_body(mut stream: TcpStream) -> String {
    let mut octets = Vec::new();
    let mut part = [0; 4096];
    loop {
        let got = stream.read(&mut part).expect("a response");
        octets.extend_from_slice(&part[..got]);
        let text = String::from_utf8_lossy(&octets);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok())?
            });
            if got == 0 || length.is_some_and(|length| body.len() >= length) {
                return body.to_owned();
            }
        }
        assert!(got > 0, "the connection ended early: {text}");
    }
}

#[test]
fn kamcmd_lists_shows_and_orders() {
    on(Family::Kamailio, |host| {
        let proxy = Plan::new(host).start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let kamcmd = |arguments: &[&str]| {
            let beside = host.program.with_file_name("kamcmd");
            let output = Command::new(beside)
                .arg("-s")
                .arg(format!("unix:{}", proxy.file("kamailio_ctl").display()))
                .args(arguments)
                .output()
                .expect("kamcmd");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            String::from_utf8_lossy(&output.stdout).into_owned() + &error
        };
        let list = kamcmd(&["msrp_conference.list"]);
        assert!(list.contains("uri: sip:lobby@127.0.0.1"), "{list}");
        assert!(list.contains("participants: 1"), "{list}");
        let show = kamcmd(&["msrp_conference.show", "sip:lobby@127.0.0.1"]);
        for part in [
            "entity: sip:alice@127.0.0.1",
            "status: connected",
            "role: participant",
        ] {
            assert!(show.contains(part), "{part} is not in {show}");
        }
        assert!(kamcmd(&["msrp_conference.create", "s:team@h"]).contains("uri: sip:team@h"));
        let number = kamcmd(&["msrp_conference.say", "lobby@127.0.0.1", "7"]);
        assert!(number.contains("ok"), "{number}");
        assert!(alice.hear().body.expect("a body").ends_with(b"7"));
        let page = kamcmd(&["msrp_conference.list", "1", "1"]);
        assert!(
            page.contains("sip:team@h") && !page.contains("lobby"),
            "{page}"
        );
        // A text longer than binrpc's limit would print nothing at all.
        for (room, said) in [
            (
                "team2@h;maks=1",
                "\"maks=1\" is not allowed (options: docs/parameters.md#room-string)",
            ),
            (
                "team2@h;max=-1",
                "\"max=-1\" is not allowed (max=1..100000)",
            ),
            ("room1", "\"sip:room1\" is not allowed (sip:USER@HOST"),
        ] {
            let error = kamcmd(&["msrp_conference.create", &format!("s:{room}")]);
            assert!(
                error.contains("400") && error.contains(said),
                "{room}: {error}"
            );
        }
        let error = kamcmd(&["msrp_conference.show", "nowhere@h"]);
        assert!(
            error.contains("404") && error.contains("there is no room"),
            "{error}"
        );
        let many = kamcmd(&["msrp_conference.stats", "surplus"]);
        assert!(many.contains("400") && many.contains("too many"), "{many}");
        let help = kamcmd(&["help", "msrp_conference.role"]);
        assert!(help.contains("role room user role"), "{help}");
        for number in 0..300 {
            order(
                &proxy,
                "create",
                &[&format!("sip:room-{number:03}@conference.example.com")],
            );
        }
        let all = kamcmd(&["msrp_conference.list", "1000"]);
        assert_eq!(all.matches("uri: ").count(), 302, "{}", all.len());
        let alone = kamcmd(&["msrp_conference.list"]);
        assert_eq!(alone.matches("uri: ").count(), 100);
        proxy.stop();
    });
}

#[test]
fn json_rpc_over_fifo_and_http() {
    on(Family::Kamailio, |host| {
        let port = free_port();
        let proxy = Plan::new(host)
            .lines(&format!(
                "listen=tcp:127.0.0.1:{port}\nloadmodule \"xhttp.so\"\n\
                 modparam(\"jsonrpcs\", \"transport\", 7)\n\
                 modparam(\"jsonrpcs\", \"fifo_name\", \"{FOLDER}/rpc_fifo\")\n\
                 modparam(\"jsonrpcs\", \"fifo_reply_dir\", \"{FOLDER}/\")\n\
                 tcp_accept_no_cl=yes\n"
            ))
            .routes("event_route[xhttp:request] { jsonrpc_dispatch(); }")
            .start();
        let ask = |method: &str, parameters: &Value| {
            let line = request(&name(&proxy, method), parameters);
            let over_http = ask_http(port, "/RPC", &line);
            let answer = format!("answer-{}", unique());
            let line = line.replacen('{', &format!("{{\"reply_name\":\"{answer}\","), 1);
            let over_fifo = ask_fifo(&proxy.file("rpc_fifo"), &proxy.file(&answer), &line);
            assert_eq!(over_fifo["result"], over_http["result"]);
            over_http
        };
        check(&proxy, ask);
        proxy.stop();
    });
    on(Family::OpenSips, |host| {
        let port = free_port();
        let httpd = host
            .modules
            .as_ref()
            .is_some_and(|it| it.join("httpd.so").exists());
        let reply_dir = format!("modparam(\"mi_fifo\", \"reply_dir\", \"{FOLDER}/\")\n");
        let mut plan = Plan::new(host).lines(&reply_dir);
        if httpd {
            plan = plan.lines(&format!(
                "loadmodule \"httpd.so\"\nloadmodule \"mi_http.so\"\n\
                 modparam(\"httpd\", \"ip\", \"127.0.0.1\")\nmodparam(\"httpd\", \"port\", {port})\n"
            ));
        }
        let proxy = plan.start();
        let ask = |method: &str, parameters: &Value| {
            let line = request(&name(&proxy, method), parameters);
            let answer = format!("answer-{}", unique());
            let reply = proxy.file(&answer);
            let fifo = proxy.file("opensips_fifo");
            let over_fifo = ask_fifo(&fifo, &reply, &format!(":{answer}:{line}"));
            if httpd {
                let over_http = ask_http(port, "/mi", &line);
                assert_eq!(over_fifo["result"], over_http["result"]);
            }
            over_fifo
        };
        check(&proxy, ask);
        let which = proxy.call("which", json!([]));
        let known: Vec<_> = which.as_array().expect("names").iter().collect();
        for command in COMMANDS {
            let name = json!(name(&proxy, command));
            assert!(known.contains(&&name), "which does not know {name}");
        }
        // By name, as opensips-cli does it: every parameter a string.
        let named = json!({ "room": "lobby@127.0.0.1", "limit": "5", "offset": "0" });
        let shown = proxy.call("msrp_conference:show", named);
        assert_eq!(shown["uri"], "sip:lobby@127.0.0.1");
        if host.name.contains("-4.") {
            let alias = proxy.call("msrp_conference_list", json!([]));
            assert_eq!(alias[0]["uri"], "sip:lobby@127.0.0.1");
        }
        proxy.stop();
    });
}

/// The same over every interface.
fn check(proxy: &Proxy, ask: impl Fn(&str, &Value) -> Value) {
    let _alice = Participant::join(proxy, "alice", Transport::Udp, "lobby");
    let list = ask("list", &json!([10]));
    assert_eq!(list["id"], 7);
    assert_eq!(list["result"][0]["uri"], "sip:lobby@127.0.0.1");
    assert_eq!(list["result"][0]["participants"], 1);
    let show = ask("show", &json!(["sip:lobby@127.0.0.1", "10", 0]));
    assert_eq!(show["result"]["users"][0]["entity"], "sip:alice@127.0.0.1");
    assert_eq!(show["result"]["locked"], false);
    let error = ask("show", &json!(["sip:nowhere@127.0.0.1"]));
    assert_eq!(error["error"]["code"], 404, "{error}");
    for number in 0..300 {
        order(
            proxy,
            "create",
            &[&format!("sip:room-{number:03}@conference.example.com")],
        );
    }
    let many = ask("list", &json!([300]));
    assert_eq!(many["result"].as_array().map(Vec::len), Some(300));
}

#[test]
fn pseudo_variables_can_be_used_in_routes() {
    on_every_host(|host| {
        let plan = Plan::new(host);
        let plan = match host.family {
            Family::Kamailio => plan.lines("loadmodule \"xlog.so\"").script(
                "if (is_method(\"OPTIONS\") && $rU == \"count\") {\n\
                 if ($msrp_conference(participants) == 2 && $msrp_conference(rooms) > 0) {\n\
                 sl_send_reply(\"200\", \"Found $msrp_conference(participants) of $msrp_conference(rooms)\");\n\
                 } else { sl_send_reply(\"480\", \"Not Yet\"); }\nexit;\n}",
            ),
            Family::OpenSips => plan.script(
                "if (is_method(\"OPTIONS\") && $rU == \"count\") {\n\
                 if ($msrp_conference(participants) == 2 && $msrp_conference(rooms) > 0) {\n\
                 sl_send_reply(200, \"Found $msrp_conference(participants) of $msrp_conference(rooms)\");\n\
                 } else { sl_send_reply(480, \"Not Yet\"); }\nexit;\n}",
            ),
        };
        let proxy = plan.start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let _bob = Participant::join(&proxy, "bob", Transport::Udp, "another");
        let counted = crate::harness::proxy::wait_until(crate::harness::PATIENCE, || {
            let options = alice.agent.draft("OPTIONS", &proxy.room("count"));
            let response = alice.agent.exchange(&options);
            response.code == 200 && response.reason == "Found 2 of 2"
        });
        assert!(counted, "{}", proxy.log());
        proxy.stop();
        let unknown = Plan::new(host)
            .script("if ($msrp_conference(colour) == 1) { exit; }")
            .start_refused();
        assert!(
            unknown.contains("there is no $msrp_conference(colour)"),
            "{unknown}"
        );
    });
}

#[test]
fn exporters_export_the_statistics() {
    on_every_host(|host| {
        let port = free_port();
        let plan = Plan::new(host);
        let (plan, path, prefix) = match host.family {
            Family::Kamailio => {
                let modules = host.modules.clone();
                let modules =
                    modules.unwrap_or("/usr/lib/x86_64-linux-gnu/kamailio/modules".into());
                if !modules.join("xhttp_prom.so").exists() {
                    eprintln!("{}: no xhttp_prom", host.name);
                    return;
                }
                let plan = plan
                    .lines(&format!(
                        "listen=tcp:127.0.0.1:{port}\nloadmodule \"xhttp.so\"\n\
                         loadmodule \"xhttp_prom.so\"\ntcp_accept_no_cl=yes\n\
                         modparam(\"xhttp_prom\", \"xhttp_prom_stats\", \"msrp_conference:\")\n"
                    ))
                    .routes(
                        "event_route[xhttp:request] {\n\
                         if (prom_check_uri()) { prom_dispatch(); exit; }\n}",
                    );
                (plan, "/metrics", "kamailio_msrp_conference_")
            }
            Family::OpenSips => {
                let modules = host.modules.as_ref();
                if !modules.is_some_and(|it| it.join("httpd.so").exists()) {
                    eprintln!("{}: no httpd", host.name);
                    return;
                }
                let plan = plan.lines(&format!(
                    "loadmodule \"httpd.so\"\nloadmodule \"prometheus.so\"\n\
                     modparam(\"httpd\", \"ip\", \"127.0.0.1\")\n\
                     modparam(\"httpd\", \"port\", {port})\n\
                     modparam(\"prometheus\", \"statistics\", \"msrp_conference:\")\n"
                ));
                (plan, "/metrics", "opensips_")
            }
        };
        let proxy = plan.start();
        let _alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        let exported = crate::harness::proxy::wait_until(crate::harness::PATIENCE, || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("HTTP");
            let head = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("sent");
            let page = http_body(stream);
            let value = |name: &str| {
                let line = page.lines().find(|line| {
                    line.starts_with(&format!("{prefix}{name}"))
                        || (line.contains(&format!("{prefix}{name}")) && !line.starts_with('#'))
                });
                line.map(str::to_owned)
            };
            let missing = ["conferences", "participants", "messages_in", "panics"]
                .iter()
                .find(|name| value(name).is_none());
            assert!(missing.is_none(), "{missing:?} is not in {page}");
            value("participants").is_some_and(|line| line.split_whitespace().nth(1) == Some("1"))
        });
        assert!(exported);
        proxy.stop();
    });
}
