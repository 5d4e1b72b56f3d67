//! Faulty or huge requests: each gets the answer that its RFC names, or none, and costs nothing.
//! Requests that the proxy itself refuses before any script are outside this test.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::harness::agent::{Agent, Transport};
use super::harness::bystanders::Bystanders;
use super::harness::draft::Draft;
use super::harness::host::{Family, Host};
use super::harness::participant::{client_path, invite, offer};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};
use super::refer::{last_report, refer, with_list};

/// Kamailio 5.7 and later by default accept no SIP message above 32 KiB; earlier ones do not know
/// the setting.
const LARGE_MESSAGES: &str = "\
#!ifndef KAMAILIO_5_6
msg_recv_max_size=4194304
#!endif
";

fn plan(host: &Host) -> Plan {
    match host.family {
        Family::Kamailio => Plan::new(host).settings(LARGE_MESSAGES),
        Family::OpenSips => Plan::new(host),
    }
}

/// A proxy with two well-behaved participants in a room, and a third agent.
fn stage(host: &Host) -> (Proxy, Bystanders, Agent) {
    let proxy = plan(host).start();
    let bystanders = Bystanders::join(&proxy, "team");
    let mallory = Agent::new("mallory", proxy.sip, Transport::Udp);
    (proxy, bystanders, mallory)
}

#[test]
fn bodies_without_an_end_and_lists_that_never_end() {
    on_every_host(|host| {
        let (proxy, bystanders, mallory) = stage(host);
        let room = proxy.room("trap");
        let ask = |content_type: &str, body: &str| {
            let draft = mallory.draft("INVITE", &room).body(content_type, body);
            let before = Instant::now();
            let code = mallory.exchange(&draft).code;
            assert!(before.elapsed() < Duration::from_secs(5), "{content_type}");
            code
        };
        let multipart = "multipart/mixed;boundary=b1";
        let whole = with_list(&["sip:x@127.0.0.1:9".to_owned()]);
        assert_eq!(ask(multipart, &whole.replace("--b1--", "")), 400, "no end");
        assert_eq!(ask("multipart/mixed", &whole), 400, "no boundary");
        assert_eq!(
            ask("multipart/mixed;boundary=other", &whole),
            400,
            "another boundary"
        );
        let parts = "--b1\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(1_500);
        assert_eq!(
            ask(multipart, &format!("{parts}--b1--\r\n")),
            400,
            "parts without number"
        );
        let deep: String = (0..200)
            .map(|n| {
                format!(
                    "--b{n}\r\nContent-Type: multipart/mixed;boundary=b{}\r\n\r\n",
                    n + 1
                )
            })
            .collect();
        assert_eq!(
            ask("multipart/mixed;boundary=b0", &deep),
            400,
            "parts in parts"
        );

        let list = |inside: &str| {
            let sdp = offer(&client_path());
            format!(
                "--b1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b1\r\n\
                 Content-Type: application/resource-lists+xml\r\n\
                 Content-Disposition: recipient-list\r\n\r\n{inside}\r\n--b1--\r\n"
            )
        };
        let open = "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">";
        let mut laughs = "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY l0 \"lol\">".to_owned();
        for n in 1..12 {
            let ten = format!("&l{};", n - 1).repeat(10);
            laughs += &format!("<!ENTITY l{n} \"{ten}\">");
        }
        laughs += &format!("]>{open}<list><entry uri=\"sip:&l11;@x\"/></list></resource-lists>");
        assert_eq!(ask(multipart, &list(&laughs)), 400, "a billion laughs");
        let file = format!(
            "<!DOCTYPE r [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>{open}<list>\
             <entry uri=\"sip:a@x\"><display-name>&f;</display-name></entry></list></resource-lists>"
        );
        assert_eq!(ask(multipart, &list(&file)), 400, "a file");
        let nested = format!("{open}{}", "<list>".repeat(5_000));
        assert_eq!(ask(multipart, &list(&nested)), 403, "lists in lists");
        assert_eq!(
            ask(multipart, &list("<resource-lists")),
            400,
            "half an element"
        );
        let entries: String = (0..2_000)
            .map(|n| format!("<entry uri='sip:{n}@b'/>"))
            .collect();
        let many = format!("{open}<list>{entries}</list></resource-lists>");
        assert_eq!(ask(multipart, &list(&many)), 403, "max_list_size");
        bystanders.unharmed(proxy);
    });
}

#[test]
fn l10_lists_that_lead_in_circles_are_passed_over() {
    on_every_host(|host| {
        let (proxy, bystanders, mallory) = stage(host);
        // A process that fetched this would connect to the test.
        let trap = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        trap.set_nonblocking(true).expect("non-blocking");
        let url = format!("http://{}/list.xml", trap.local_addr().expect("address"));
        let body = with_list(&[]).replace(
            "<list></list>",
            &format!(
                "<list name=\"a\"><external anchor=\"{url}\"/>\
                 <entry-ref ref=\"resource-lists/list%5b@name=%22a%22%5d\"/>\
                 <list name=\"b\"><external anchor=\"{url}#a\"/></list></list>"
            ),
        );
        let draft = mallory
            .draft("INVITE", &proxy.room("circle"))
            .body("multipart/mixed;boundary=b1", body);
        let answer = mallory.exchange(&draft);
        assert_eq!(answer.code, 200);
        let mut dialog = super::harness::draft::Dialog::new(&draft, &answer);
        mallory.send(&dialog.ack(&mallory));
        assert_eq!(mallory.exchange(&dialog.request(&mallory, "BYE")).code, 200);
        assert!(trap.accept().is_err(), "it was fetched");
        assert!(wait_until(PATIENCE, || proxy.statistic("conferences") == 1));
        bystanders.unharmed(proxy);
    });
}

#[test]
fn l10_ten_thousand_entries_in_one_invite() {
    on_every_host(|host| {
        // OpenSIPS reads at most 64 KiB from a connection, and closes it.
        if host.family != Family::Kamailio {
            return;
        }
        let proxy = plan(host).settings("tcp_rd_buf_size=1000000\n").start();
        let uris: Vec<_> = (0..10_000).map(|n| format!("sip:u{n}@127.0.0.1")).collect();
        let mallory = Agent::new("mallory", proxy.sip, Transport::Tcp);
        let draft = mallory
            .draft("INVITE", &proxy.room("crowd"))
            .body("multipart/mixed;boundary=b1", with_list(&uris));
        assert_eq!(
            mallory.exchange(&draft).code,
            513,
            "more than a worker hands over"
        );
        assert_eq!(proxy.statistic("conferences"), 0);
        assert!(wait_until(PATIENCE * 2, || proxy.transactions() == 0));
        proxy.stop();
    });
}

/// The code of the answer to a request, read by hand: the harness accepts no lines as long as
/// these.
fn code_of(proxy: &Proxy, draft: &Draft) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
    socket.send_to(&draft.octets(), proxy.sip).expect("send");
    let mut buffer = vec![0; 65_536];
    loop {
        let length = socket.recv(&mut buffer).expect("an answer");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let code = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        match code.expect("a status line") {
            100..200 => {}
            code => return code,
        }
    }
}

#[test]
fn headers_that_make_no_sense() {
    on_every_host(|host| {
        let (proxy, mut bystanders, mallory) = stage(host);
        let room = proxy.room("nonsense");
        let draft = || invite(&mallory, &room, &client_path());
        let refused = |what: &str, draft: Draft| {
            mallory.send(&draft);
            let answer = mallory.response(&draft, Duration::from_secs(2), |code| code >= 200);
            // The proxies drop or refuse some of them by themselves.
            let code = answer.map_or(400, |answer| answer.code);
            assert!((400..500).contains(&code), "{what}: {code}");
        };
        refused("CSeq 2^31", draft().set("CSeq", "2147483648 INVITE"));
        refused(
            "CSeq beyond 32 bits",
            draft().set("CSeq", "99999999999 INVITE"),
        );
        refused("no number", draft().set("CSeq", "one INVITE"));
        refused("negative", draft().set("CSeq", "-1 INVITE"));
        refused("another method", draft().set("CSeq", "1 BYE"));
        refused("no CSeq", draft().without("CSeq"));
        refused("no Call-ID", draft().without("Call-ID"));
        refused("no From", draft().without("From"));
        refused("no To", draft().without("To"));
        refused("no Contact", draft().without("Contact"));
        refused("a Contact that is none", draft().set("Contact", "<<>>"));
        refused(
            "a From that is none",
            draft().set("From", "\"x <sip:>;tag=;;"),
        );
        refused(
            "length beyond the datagram",
            draft().set("Content-Length", "100000"),
        );
        refused("no length", draft().set("Content-Length", "many"));
        refused("negative length", draft().set("Content-Length", "-1"));
        refused("half a body", draft().set("Content-Length", "20"));
        refused("Session-Expires", draft().set("Session-Expires", "soon"));
        let huge = "t".repeat(20_000);
        let from = format!("<sip:mallory@127.0.0.1>;tag={huge}");
        for draft in [draft().set("From", from), draft().set("Call-ID", huge)] {
            assert_eq!(code_of(&proxy, &draft), 400, "a line of 20 kB");
        }
        // RFC 2543 peers have no tag, and an empty body is not an offer.
        for draft in [
            draft().set("From", "<sip:mallory@127.0.0.1>"),
            mallory.draft("INVITE", &room).body("application/sdp", ""),
        ] {
            let answer = mallory.exchange(&draft);
            assert_eq!(answer.code, 200);
            let mut dialog = super::harness::draft::Dialog::new(&draft, &answer);
            assert_eq!(mallory.exchange(&dialog.request(&mallory, "BYE")).code, 200);
        }
        // Inside a dialog too.
        let alice = &mut bystanders.alice;
        alice.dialog.cseq = 0x7FFF_FFFE;
        let last = alice.dialog.request(&alice.agent, "OPTIONS");
        assert_eq!(alice.agent.exchange(&last).code, 200);
        let over = last.clone().set("CSeq", "2147483648 OPTIONS");
        let via = over.header("Via").replace("z9hG4bK", "z9hG4bKover");
        let code = alice.agent.exchange(&over.set("Via", via)).code;
        assert_eq!(code, 400);
        assert!(wait_until(PATIENCE, || proxy.statistic("conferences") == 1));
        bystanders.unharmed(proxy);
    });
}

#[test]
fn a_megabyte_of_tag() {
    on_every_host(|host| {
        let (proxy, bystanders, _) = stage(host);
        let huge = "t".repeat(1 << 20);
        let mallory = Agent::new("mallory", proxy.sip, Transport::Tcp);
        let from = format!("<sip:mallory@127.0.0.1>;tag={huge}");
        let draft = invite(&mallory, &proxy.room("tag"), &client_path()).set("From", from);
        mallory.send(&draft);
        // Both proxies close a connection on which more arrives than they read at a time.
        let answer = mallory.response(&draft, Duration::from_secs(3), |code| code >= 200);
        let code = answer.map_or(400, |answer| answer.code);
        assert!([400, 413, 513].contains(&code), "{code}");
        bystanders.unharmed(proxy);
    });
}

/// Both hosts skip line ends in front of a request (RFC 3261 §7.5), however many.
#[test]
fn a_request_behind_line_ends_is_answered_as_any_other() {
    on_every_host(|host| {
        let (proxy, bystanders, mallory) = stage(host);
        let over_tcp = Agent::new("mallory", proxy.sip, Transport::Tcp);
        for agent in [&mallory, &over_tcp] {
            for number in [0, 1, 70, 700] {
                let options = agent.draft("OPTIONS", &proxy.room("team"));
                let line_ends = "\r\n".repeat(number).into_bytes();
                agent.send_raw(&[line_ends, options.octets()].concat());
                let answer = agent.final_response(&options);
                assert_eq!(answer.code, 200, "behind {number}: {}", answer.reason);
            }
        }
        let log = proxy.log();
        assert!(!log.contains("laid out"), "{log}");
        bystanders.unharmed(proxy);
    });
}

/// OpenSIPS reads no response from a connection that a worker cannot hand over.
#[test]
fn a_response_too_long_to_be_handed_over_ends_its_request_all_the_same() {
    on_every_host(|host| {
        if host.family != Family::Kamailio {
            return;
        }
        let large = plan(host).settings("tcp_rd_buf_size=1000000\n");
        let proxy = large.parameter("invite_mode", "dial_out").start();
        let bystanders = Bystanders::join(&proxy, "team");
        let carol = Agent::new("carol", proxy.sip, Transport::Tcp);
        carol.describe(
            offer(&client_path()) + &format!("a=x:{}\r\n", "x".repeat(100)).repeat(1_000),
        );
        let target = format!("<sip:carol@{};transport=tcp>", carol.local);
        assert_eq!(refer(&bystanders.alice, &target), 200);
        let told = last_report(&bystanders.alice);
        assert!(told.starts_with("terminated SIP/2.0"), "{told}");
        bystanders.unharmed(proxy);
    });
}
