//! Every status code of the switch on the wire, over TCP and over TLS, by IPv4 and by IPv6.

use crate::certificates::{Authority, Folder};
use crate::harness::agent::{Agent, Transport, unique};
use crate::harness::msrp::{Frame, Link};
use crate::harness::on_every_host;
use crate::harness::participant::{Participant, cpim, offer, offer_with};
use crate::harness::plan::{Plan, free_port};
use crate::harness::proxy::Proxy;
use crate::tls::{over_tls, secure, tunnel};

/// Address and transport of a participant's MSRP.
struct Way<'a> {
    path: String,
    sdp: Box<dyn Fn(&str) -> String + 'a>,
    connect: Box<dyn Fn() -> Link + 'a>,
}

impl Way<'_> {
    fn join(&self, proxy: &Proxy, user: &str, room: &str) -> Participant {
        let agent = Agent::new(user, proxy.sip, Transport::Udp);
        let path = self.path.replace("OWN", &format!("s{}", unique()));
        let room = proxy.room(room);
        let draft = agent.draft("INVITE", &room);
        let draft = draft.body("application/sdp", (self.sdp)(&path));
        Participant::enter(agent, room, &draft, path, &self.connect)
    }
}

/// A room with small limits, one without private messages and nicknames, and one with observers.
fn rooms(plan: Plan) -> Plan {
    plan.parameter("max_message_size", 10_000)
        .parameter("room", "sip:strict@127.0.0.1;private=no;nickname=no")
        .parameter("room", "sip:lecture@127.0.0.1;observers=alice@127.0.0.1")
}

fn nickname(who: &Participant, value: &str) -> Frame {
    Frame::request("NICKNAME", &who.room_path, &who.own_path).header("Use-Nickname", value)
}

/// Provokes every code once; each answer must have the form of RFC 4975 §7.2.
fn every_code(proxy: &Proxy, way: &Way<'_>) {
    let alice = way.join(proxy, "alice", "lobby");
    let bob = way.join(proxy, "bob", "lobby");
    let gets = |who: &Participant, frame: Frame, code: &str| {
        let response = who.link.exchange(&frame);
        assert_eq!(response.kind, code, "{frame:?}");
        assert_eq!(response.flag, '$');
        assert_eq!(response.body, None);
        let (to, from) = (response.value("To-Path"), response.value("From-Path"));
        assert_eq!(to, frame.value("From-Path"), "C44, C41");
        assert_eq!(from, frame.value("To-Path"));
    };
    let own = alice.agent.address();
    let to = |target: &str| alice.frame(&cpim(&own, target, "x"));
    gets(&alice, alice.bind(), "200");
    gets(&alice, alice.frame(&alice.words("x")), "200");
    let ranged = alice.bind().without("Byte-Range").header("Byte-Range", "x");
    gets(&alice, ranged, "400");
    gets(&alice, alice.frame(b"no CPIM"), "400");
    let forged = cpim("sip:bob@127.0.0.1", &alice.room, "x");
    gets(&alice, alice.frame(&forged), "403");
    gets(&alice, to("sip:nobody@127.0.0.1"), "404");
    gets(
        &alice,
        alice.frame(&alice.words(&"x".repeat(10_000))),
        "413",
    );
    let html = alice
        .bind()
        .without("Byte-Range")
        .content("text/html", b"x");
    gets(&alice, html, "415");
    gets(&alice, nickname(&alice, "\"  \""), "424");
    gets(&alice, nickname(&alice, "\"Al\""), "200");
    gets(&bob, nickname(&bob, "\" AL \""), "425");
    gets(&bob, nickname(&bob, "\"admin\""), "425");
    let stray = alice.bind();
    let stray = Frame {
        headers: vec![
            ("To-Path".into(), alice.room_path.replace(";tcp", "x;tcp")),
            stray.headers[1].clone(),
        ],
        ..stray
    };
    gets(&alice, stray, "481");
    gets(
        &alice,
        Frame::request("JUMP", &alice.room_path, &alice.own_path),
        "501",
    );
    let thief = (way.connect)();
    let response = thief.exchange(&alice.bind());
    assert_eq!(response.kind, "506");
    let strict = way.join(proxy, "alice", "strict");
    let private = cpim(&own, "sip:alice@127.0.0.1", "x");
    gets(&strict, strict.frame(&private), "403");
    gets(&strict, nickname(&strict, "\"Al\""), "403");
    let lecture = way.join(proxy, "alice", "lecture");
    gets(&lecture, lecture.frame(&lecture.words("x")), "403");
    // 428: Carol's client never announced support for private messages.
    let deaf = Way {
        path: way.path.clone(),
        sdp: Box::new(|path| (way.sdp)(path).replace(" private-messages", "")),
        connect: Box::new(|| (way.connect)()),
    };
    let _carol = deaf.join(proxy, "carol", "lobby");
    gets(&alice, to("sip:carol@127.0.0.1"), "428");
    bob.hears(&alice.words("x"));
}

#[test]
fn c89_every_code_over_tcp() {
    on_every_host(|host| {
        let proxy = rooms(Plan::new(host)).start();
        let way = Way {
            path: "msrp://127.0.0.1:2855/OWN;tcp".to_owned(),
            sdp: Box::new(offer),
            connect: Box::new(|| Link::connect(proxy.msrp)),
        };
        every_code(&proxy, &way);
        drop(way);
        proxy.stop();
    });
}

#[test]
fn c89_every_code_over_tls() {
    on_every_host(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        let (proxy, tls) = secure(rooms(Plan::new(host)), &folder, &authority);
        let way = Way {
            path: "msrps://127.0.0.1:2855/OWN;tcp".to_owned(),
            sdp: Box::new(|path| over_tls(&offer(path))),
            connect: Box::new(|| tunnel(tls, authority.roots())),
        };
        every_code(&proxy, &way);
        drop(way);
        proxy.stop();
    });
}

#[test]
fn c68_every_code_by_ipv6() {
    on_every_host(|host| {
        let port = free_port();
        let plan = rooms(Plan::new(host))
            .parameter("listen", format!("msrp:[::1]:{port}"))
            .parameter("advertise", format!("[::1]:{port}"));
        let proxy = plan.start();
        let way = Way {
            path: "msrp://[::1]:2855/OWN;tcp".to_owned(),
            sdp: Box::new(|path| {
                let lines = "a=setup:active\r\na=chatroom:nickname private-messages\r\n";
                offer_with(path, "message/cpim", lines).replace("IP4 127.0.0.1", "IP6 ::1")
            }),
            connect: Box::new(|| Link::connect((std::net::Ipv6Addr::LOCALHOST, port).into())),
        };
        let first = way.join(&proxy, "dave", "lobby");
        let answer = String::from_utf8_lossy(&first.answer.body).into_owned();
        assert!(answer.contains("c=IN IP6 ::1\r\n"), "{answer}");
        assert!(
            answer.contains(&format!("a=path:msrp://[::1]:{port}/")),
            "{answer}"
        );
        drop(first);
        every_code(&proxy, &way);
        drop(way);
        proxy.stop();
    });
}
