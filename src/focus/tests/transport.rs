//! MSRP transports to the switch: TCP, TLS, and the connecting side.

use super::*;
use crate::control::Setup;
use crate::wire::fingerprint::{Fingerprint, HashFunction};
use std::net::SocketAddr;

/// A TCP and a TLS listener, and a room for TLS only.
fn both() -> Config {
    let mut config = config();
    config.listen.push(Listen {
        transport: Transport::Tls,
        address: "0.0.0.0:2856".parse().expect("an address"),
    });
    config.rooms.push(
        RoomRules {
            only_tls: true,
            ..RoomRules::default()
        }
        .of(RoomUri::new("sip:safe@example.com")),
    );
    config
}

fn secure(offer: &str) -> String {
    offer.replace("TCP/MSRP", "TCP/TLS/MSRP")
}

/// The answer to an INVITE or re-INVITE.
fn invite(scenario: &mut Scenario, phone: &mut Phone, room: &str, body: &str) -> (u16, String) {
    let transaction = scenario.begin(phone, "INVITE", room, &[], body);
    let reply = scenario.reply_to(transaction).expect("an answer").clone();
    phone.to_tag = reply.to_tag.or(phone.to_tag.take());
    (
        reply.code,
        String::from_utf8_lossy(&reply.body).into_owned(),
    )
}

#[test]
fn c80_tls_is_mirrored_on_the_tls_listener() {
    let mut scenario = Scenario::with(both());
    let fingerprint = Fingerprint::new(HashFunction::Sha256, &[0xab; 32]).expect("32 octets");
    scenario.feed(Input::Notice(Notice::Certificate { fingerprint }));
    let mut phone = scenario.phone("alice");
    let (code, body) = invite(&mut scenario, &mut phone, ROOM, &secure(&offer("alice")));
    assert_eq!(code, 200);
    assert!(body.contains("m=message 2856 TCP/TLS/MSRP *\r\n"), "{body}");
    assert!(body.contains("a=path:msrps://198.51.100.1:2856/"), "{body}");
    assert!(body.contains("a=fingerprint:SHA-256 AB:AB:"), "{body}");
    let mut phone = scenario.phone("bob");
    let (_, body) = invite(&mut scenario, &mut phone, ROOM, &offer("bob"));
    assert!(body.contains("m=message 2855 TCP/MSRP *\r\n"), "{body}");
    assert!(!body.contains("fingerprint"), "{body}");
}

/// The same from a browser, over `ws:` or `wss:`.
fn web(offer: &str, scheme: &str) -> String {
    offer
        .replace("msrp://", &format!("{scheme}://"))
        .replace(";tcp", ";ws")
}

#[test]
fn w05_websocket_clients_see_ws_paths_and_tls_in_the_m_line() {
    let mut config = both();
    for (transport, port) in [(Transport::Ws, 2857), (Transport::Wss, 2858)] {
        config.listen.push(Listen {
            transport,
            address: SocketAddr::from(([0, 0, 0, 0], port)),
        });
    }
    let mut scenario = Scenario::with(config.clone());
    for (name, offered, expected) in [
        (
            "alice",
            web(&secure(&offer("alice")), "msrps"),
            ("msrps", 2858, "TCP/TLS/MSRP", "ws"),
        ),
        // A web server before us does the TLS.
        (
            "bob",
            web(&secure(&offer("bob")), "msrp"),
            ("msrp", 2857, "TCP/TLS/MSRP", "ws"),
        ),
        (
            "carol",
            web(&offer("carol"), "msrp"),
            ("msrp", 2857, "TCP/MSRP", "ws"),
        ),
        ("dave", offer("dave"), ("msrp", 2855, "TCP/MSRP", "tcp")),
        // A relay comes over TCP, whatever its client uses.
        (
            "erin",
            offer("erin").replace("a=path:", "a=path:msrp://192.0.2.7:2855;tcp "),
            ("msrp", 2855, "TCP/MSRP", "tcp"),
        ),
    ] {
        let mut phone = scenario.phone(name);
        let (code, body) = invite(&mut scenario, &mut phone, ROOM, &offered);
        let (scheme, port, protocol, transport) = expected;
        assert_eq!(code, 200, "{name}");
        let line = format!("m=message {port} {protocol} *\r\n");
        assert!(body.contains(&line), "{name}: {body}");
        let path = format!("a=path:{scheme}://198.51.100.1:{port}/");
        let path = body.lines().find(|it| it.starts_with(&path));
        assert!(
            path.is_some_and(|it| it.ends_with(&format!(";{transport}"))),
            "{name}: {body}"
        );
        // Requests within the dialog keep the transport.
        scenario.ack(&mut phone, ROOM, "");
        assert_eq!(
            invite(&mut scenario, &mut phone, ROOM, &offered).0,
            200,
            "{name}"
        );
    }
    let mut phone = scenario.phone("frank");
    let room = "sip:safe@example.com";
    let plain = web(&offer("frank"), "msrp");
    assert_eq!(invite(&mut scenario, &mut phone, room, &plain).0, 488);
    let safe = web(&secure(&offer("frank")), "msrps");
    assert_eq!(invite(&mut scenario, &mut phone, room, &safe).0, 200);
    // A browser's fingerprint is that of its DTLS: the WebSocket has no client certificate.
    let mut phone = scenario.phone("gina");
    let media = web(&secure(&offer("gina")), "msrps") + "a=fingerprint:md2 00:11\r\n";
    assert_eq!(invite(&mut scenario, &mut phone, room, &media).0, 200);
}

#[test]
fn w06_the_path_that_auth_gave_leads_to_us() {
    let mut config = config();
    config.listen.push(Listen {
        transport: Transport::Ws,
        address: SocketAddr::from(([0, 0, 0, 0], 2857)),
    });
    let mut scenario = Scenario::with(config);
    let mut phone = scenario.phone("alice");
    let offer = secure(&web(&offer("alice"), "msrp"));
    let given = "a=path: msrp://198.51.100.1:2857/token;ws msrp://";
    let (code, body) = invite(
        &mut scenario,
        &mut phone,
        ROOM,
        &offer.replace("a=path:msrp://", given),
    );
    assert_eq!(code, 200);
    assert!(body.contains("a=path:msrp://198.51.100.1:2857/"), "{body}");
    let admitted = scenario.admissions.last().expect("an admission");
    assert_eq!(admitted.peer.path, ["msrp://192.0.2.7:2855/alice;ws"]);
}

#[test]
fn an_advertised_port_stands_for_the_first_listener() {
    let mut config = both();
    config.advertise = Some(Advertise {
        host: "chat.example.com".to_owned(),
        port: Some(9000),
    });
    let mut scenario = Scenario::with(config);
    let mut phone = scenario.phone("alice");
    let (_, body) = invite(&mut scenario, &mut phone, ROOM, &offer("alice"));
    assert!(
        body.contains("a=path:msrp://chat.example.com:9000/"),
        "{body}"
    );
    let mut phone = scenario.phone("bob");
    let (_, body) = invite(&mut scenario, &mut phone, ROOM, &secure(&offer("bob")));
    assert!(
        body.contains("a=path:msrps://chat.example.com:2856/"),
        "{body}"
    );
}

#[test]
fn a_room_that_forces_tls_refuses_tcp_and_offers_tls() {
    let mut scenario = Scenario::with(both());
    let room = "sip:safe@example.com";
    let mut phone = scenario.phone("alice");
    assert_eq!(
        invite(&mut scenario, &mut phone, room, &offer("alice")).0,
        488
    );
    let mut phone = scenario.phone("alice");
    let (code, body) = invite(&mut scenario, &mut phone, room, &secure(&offer("alice")));
    assert_eq!((code, body.contains("msrps:")), (200, true));
    let mut phone = scenario.phone("bob");
    let (code, body) = invite(&mut scenario, &mut phone, room, "");
    assert_eq!((code, body.contains("TCP/TLS/MSRP")), (200, true));
}

#[test]
fn a_session_keeps_its_transport() {
    let mut scenario = Scenario::with(both());
    let mut phone = scenario.phone("alice");
    assert_eq!(
        invite(&mut scenario, &mut phone, ROOM, &offer("alice")).0,
        200
    );
    scenario.ack(&mut phone, ROOM, "");
    let other = secure(&offer("alice")).replace("msrp:", "msrps:");
    let (code, _) = invite(&mut scenario, &mut phone, ROOM, &other);
    assert_eq!(code, 488);
    assert_eq!(
        invite(&mut scenario, &mut phone, ROOM, &offer("alice")).0,
        200
    );
}

#[test]
fn u01_the_switch_connects_once_the_peer_has_our_answer() {
    let mut scenario = Scenario::with(config());
    let mut phone = scenario.phone("alice");
    let passive = offer("alice").replace("setup:active", "setup:passive");
    let (code, body) = invite(&mut scenario, &mut phone, ROOM, &passive);
    assert_eq!((code, body.contains("a=setup:active\r\n")), (200, true));
    let admitted = scenario.admissions.last().expect("an admission");
    assert_eq!(
        (admitted.setup, &admitted.peer.dial),
        (Setup::Active, &None)
    );
    scenario.transcript();
    scenario.ack(&mut phone, ROOM, "");
    assert_eq!(scenario.transcript(), "! amend alice");
    let amended = scenario.admissions.last().expect("an amendment");
    let dial = amended.peer.dial.as_ref().expect("where to");
    assert_eq!((dial.host.as_str(), dial.port), ("192.0.2.7", 2855));
    assert_eq!(
        dial.source,
        "192.0.2.7".parse().ok(),
        "C88: where the INVITE came from"
    );
}

#[test]
fn c88_the_answer_in_the_ack_may_make_us_connect() {
    let mut scenario = Scenario::with(config());
    let mut phone = scenario.phone("alice");
    invite(&mut scenario, &mut phone, ROOM, "");
    let silent = offer("alice").replace("a=setup:active\r\n", "");
    scenario.ack(&mut phone, ROOM, &silent);
    let amended = scenario.admissions.last().expect("an amendment");
    assert_eq!(amended.setup, Setup::Active, "U06: the offerer connects");
    assert!(amended.peer.dial.is_some());
}

/// TCP listeners at these addresses.
fn at(addresses: &[&str]) -> Config {
    let listen = addresses.iter().map(|address| Listen {
        transport: Transport::Tcp,
        address: address.parse().expect("an address"),
    });
    Config {
        listen: listen.collect(),
        ..config()
    }
}

/// The description of a client that has IPv6.
fn over_ipv6(user: &str) -> String {
    offer(user)
        .replace("IN IP4 192.0.2.7", "IN IP6 2001:db8::7")
        .replace("msrp://192.0.2.7:", "msrp://[2001:db8::7]:")
}

#[test]
fn a_listener_at_one_address_is_told_by_that_address() {
    for (listen, offer, path, connection) in [
        (
            &["203.0.113.5:2855"][..],
            offer("alice"),
            "msrp://203.0.113.5:2855/",
            "IN IP4 203.0.113.5",
        ),
        (
            &["0.0.0.0:2855", "203.0.113.5:2856"],
            offer("alice"),
            "msrp://198.51.100.1:2855/",
            "IN IP4 198.51.100.1",
        ),
        (
            &["[2001:db8::5]:2855", "0.0.0.0:2856"],
            offer("alice"),
            "msrp://198.51.100.1:2856/",
            "IN IP4 198.51.100.1",
        ),
        (
            &["0.0.0.0:2855", "[2001:db8::5]:2856"],
            over_ipv6("alice"),
            "msrp://[2001:db8::5]:2856/",
            "IN IP6 2001:db8::5",
        ),
        // The client's SIP came over IPv4: it has IPv4, too.
        (
            &["0.0.0.0:2855"],
            over_ipv6("alice"),
            "msrp://198.51.100.1:2855/",
            "IN IP4 198.51.100.1",
        ),
        (
            &["[::]:2855"],
            offer("alice"),
            "msrp://198.51.100.1:2855/",
            "IN IP4 198.51.100.1",
        ),
    ] {
        let mut scenario = Scenario::with(at(listen));
        let mut phone = scenario.phone("alice");
        let (code, body) = invite(&mut scenario, &mut phone, ROOM, &offer);
        assert_eq!(code, 200, "{listen:?}");
        assert!(body.contains(&format!("a=path:{path}")), "{body}");
        assert!(body.contains(&format!("c={connection}\r\n")), "{body}");
    }
}

#[test]
fn families_that_cannot_meet_are_488() {
    let mut scenario = Scenario::with(at(&["[2001:db8::5]:2855"]));
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "INVITE", ROOM, &[], &offer("alice"));
    let reply = scenario.reply_to(transaction).expect("an answer");
    assert_eq!(reply.code, 488);
    let mut phone = scenario.phone("bob");
    let (code, _) = invite(&mut scenario, &mut phone, ROOM, &over_ipv6("bob"));
    assert_eq!(code, 200);
    // Listeners do not matter when we connect.
    let mut phone = scenario.phone("carol");
    let passive = offer("carol").replace("a=setup:active", "a=setup:passive");
    let (code, _) = invite(&mut scenario, &mut phone, ROOM, &passive);
    assert_eq!(code, 200);
}

#[test]
fn a_switch_outside_says_where_it_listens() {
    let mut scenario = Scenario::with(at(&[]));
    let mut phone = scenario.phone("alice");
    let (code, _) = invite(&mut scenario, &mut phone, ROOM, &offer("alice"));
    assert_eq!(code, 503, "nothing is known yet");
    for port in [3000, 3001] {
        scenario.feed(Input::Notice(Notice::Connected {
            run: SwitchRun(1),
            listen: at(&[&format!("203.0.113.9:{port}")]).listen,
        }));
        scenario.feed(Input::Notice(Notice::Disconnected));
        let mut phone = scenario.phone(&format!("user{port}"));
        let (code, body) = invite(&mut scenario, &mut phone, ROOM, &offer("bob"));
        assert_eq!(code, 200);
        let path = format!("a=path:msrp://203.0.113.9:{port}/");
        assert!(body.contains(&path), "{body}");
    }
}
