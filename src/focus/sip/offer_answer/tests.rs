use std::net::IpAddr;

use super::*;
use crate::control::Dial;
use crate::focus::sip::cause::Cause;

const BOTH: Terms = Terms {
    tcp: true,
    tls: true,
    ws: false,
    wss: false,
    plain_text: false,
};

fn only(secure: bool) -> Terms {
    let local = Local { secure, ..local() };
    Terms::again(&local)
}

/// An offer whose stream has these attributes; `{}` stands for host and port of the path.
fn offered(protocol: &str, lines: &[&str]) -> Description {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=message 2855 {protocol} *\r\na=accept-types:message/cpim\r\n"
    );
    if !lines.iter().any(|line| line.starts_with("a=path")) {
        let scheme = match protocol {
            TLS => "msrps",
            _ => "msrp",
        };
        text += &format!("a=path:{scheme}://192.0.2.1:2855/own;tcp\r\n");
    }
    for line in lines {
        text += &format!("{line}\r\n");
    }
    Description::parse(text.as_bytes()).expect("SDP")
}

fn source() -> Option<IpAddr> {
    Some(IpAddr::from([198, 51, 100, 7]))
}

fn evaluated(lines: &[&str]) -> Result<Accepted, Cause> {
    evaluate_offer(&offered("TCP/MSRP", lines), BOTH, source())
}

fn accepted(lines: &[&str]) -> Accepted {
    evaluated(lines).expect("an offer that can be used")
}

fn answer_to(lines: &[&str]) -> String {
    answer(
        &offered("TCP/MSRP", lines),
        &accepted(lines),
        &local(),
        origin(),
    )
    .write()
}

fn answered(lines: &[&str]) -> Accepted {
    evaluate_answer(&offered("TCP/MSRP", lines), BOTH, source()).expect("an answer")
}

fn origin() -> Origin {
    Origin {
        session: 1,
        version: 1,
    }
}

fn local() -> Local {
    Local {
        host: "203.0.113.5".into(),
        port: 2855,
        own_uri: "msrp://203.0.113.5:2855/x;tcp".into(),
        secure: false,
        fingerprint: None,
        max_size: 1000,
        nicknames: true,
        private_messages: true,
        plain_text: false,
        observer: false,
    }
}

fn digest(hash: &str, octet: &str, times: usize) -> String {
    format!("a=fingerprint:{hash} {}", vec![octet; times].join(":"))
}

#[test]
fn u01_every_word_of_setup_is_understood_and_holdconn_is_none() {
    for (said, offer, answer) in [
        ("a=setup:active", Setup::Passive, Setup::Passive),
        ("a=setup:passive", Setup::Active, Setup::Active),
        ("a=setup:actpass", Setup::Passive, Setup::Active),
        ("a=setup:ActPass", Setup::Passive, Setup::Active),
        ("a=setup:holdconn", Setup::Passive, Setup::Active),
        ("a=setup:nonsense", Setup::Passive, Setup::Active),
    ] {
        assert_eq!(accepted(&[said]).setup, offer, "{said}");
        assert_eq!(answered(&[said]).setup, answer, "{said}");
        assert!(answer_to(&[said]).contains("a=setup:"), "always present");
        assert!(!answer_to(&[said]).contains("holdconn"));
    }
}

#[test]
fn u02_an_offer_of_ours_says_actpass_and_where_we_listen() {
    let text = offer(&local(), origin()).write();
    assert!(text.contains("a=setup:actpass\r\n"), "{text}");
    assert!(text.contains("a=path:msrp://203.0.113.5:2855/x;tcp\r\n"));
    assert!(text.contains("m=message 2855 TCP/MSRP *\r\n"));
}

#[test]
fn u03_to_actpass_we_are_passive() {
    assert!(answer_to(&["a=setup:actpass"]).contains("a=setup:passive\r\n"));
}

#[test]
fn u04_connection_is_ignored_and_never_said() {
    let lines = ["a=connection:new", "a=setup:active"];
    assert_eq!(accepted(&lines), accepted(&["a=setup:active"]));
    assert!(!answer_to(&lines).contains("a=connection"));
}

#[test]
fn u05_a_peer_behind_a_relay_is_no_less_active() {
    let path = "a=path:msrps://relay.example.com:2855/r;tcp msrp://10.0.0.1:9/own;tcp";
    assert_eq!(accepted(&[path, "a=setup:actpass"]).setup, Setup::Passive);
    let active = accepted(&[path, "a=setup:passive"]);
    assert_eq!(active.setup, Setup::Active);
    let expected = Dial {
        host: "relay.example.com".into(),
        port: 2855,
        secure: true,
        name: "relay.example.com".into(),
        source: source(),
    };
    assert_eq!(active.peer.dial, Some(expected), "R01: the first URI");
}

#[test]
fn u06_without_setup_the_offerer_connects() {
    assert_eq!(accepted(&[]).setup, Setup::Passive);
    assert_eq!(answered(&[]).setup, Setup::Active);
    assert_eq!(accepted(&[]).peer.dial, None);
    let dial = answered(&[]).peer.dial.expect("where to");
    assert_eq!((dial.host.as_str(), dial.port), ("192.0.2.1", 2855));
}

#[test]
fn c81_without_cema_the_path_is_where_to_connect() {
    // An answer may come through a middlebox that writes its own address into the c= line; such an
    // offer is refused (U11).
    let lines = [
        "c=IN IP4 203.0.113.77",
        "a=path:msrp://192.0.2.1:9999/own;tcp",
        "a=setup:passive",
    ];
    let dial = answered(&lines).peer.dial.expect("where to");
    assert_eq!((dial.host.as_str(), dial.port), ("192.0.2.1", 9999));
    // A name in the c= line does not contradict the path.
    let named = ["c=IN IP4 host.example", lines[1], lines[2]];
    let dial = accepted(&named).peer.dial.expect("where to");
    assert_eq!((dial.host.as_str(), dial.port), ("192.0.2.1", 9999));
}

#[test]
fn u10_with_cema_on_both_sides_the_c_line_is_where_to_connect() {
    let lines = [
        "c=IN IP4 203.0.113.77",
        "a=path:msrp://192.0.2.1:9999/own;tcp",
        "a=setup:passive",
        "a=msrp-cema",
    ];
    let accepted = accepted(&lines);
    let dial = accepted.peer.dial.expect("where to");
    assert_eq!((dial.host.as_str(), dial.port), ("203.0.113.77", 2855));
    assert_eq!(dial.name, "192.0.2.1", "the path is the identity");
    assert!(answer_to(&lines).contains("a=msrp-cema\r\n"));
    assert!(!answer_to(&["a=setup:passive"]).contains("cema"));
}

#[test]
fn u11_an_address_somebody_rewrote_is_refused() {
    let rewritten = |lines: &[&str]| evaluated(lines).err() == Some(Cause::RewrittenAddress);
    let path = |uri: &str| format!("a=path:{uri}");
    assert!(rewritten(&[&path("msrp://192.0.2.9:2855/own;tcp")]));
    assert!(
        rewritten(&[&path("msrp://192.0.2.1:7777/own;tcp")]),
        "the port"
    );
    assert!(rewritten(&[&path("msrp://[2001:db8::1]:2855/own;tcp")]));
    assert!(rewritten(&["c=IN IP6 2001:db8::1"]));
    // The port of a side that connects does not matter.
    let active = path("msrp://192.0.2.1:7777/own;tcp");
    assert!(!rewritten(&[&active, "a=setup:active"]));
    // These cannot be compared.
    assert!(!rewritten(&[&path(
        "msrp://alice.example.com:2855/own;tcp"
    )]));
    for connection in ["IN IP4 null", "IN IP4 0.0.0.0", "IN IP4 alice.example.com"] {
        assert!(!rewritten(&[&format!("c={connection}")]), "{connection}");
    }
    // The same address, written in another way.
    assert!(!rewritten(&[
        "c=IN IP6 2001:db8:0::1",
        &path("msrp://[2001:DB8::1]:2855/own;tcp"),
    ]));
    // A relay's address is that of the path's first URI.
    assert!(!rewritten(&[&path(
        "msrps://192.0.2.1:2855/r;tcp msrp://10.0.0.1:9/own;tcp"
    )]));
    // With the attribute the middlebox supports CEMA.
    assert!(!rewritten(&[
        &path("msrp://192.0.2.9:2855/own;tcp"),
        "a=msrp-cema"
    ]));
}

#[test]
fn u12_a_relay_whose_client_connects_gets_the_old_way() {
    let path = "a=path:msrps://192.0.2.1:2855/r;tcp msrp://10.0.0.1:9/own;tcp";
    for setup in ["a=setup:active", "a=setup:holdconn"] {
        let lines = [path, setup, "a=msrp-cema"];
        assert!(!answer_to(&lines).contains("cema"), "{setup}");
        assert!(answer_to(&lines).contains("a=setup:passive"));
    }
    assert!(answer_to(&[path, "a=setup:actpass", "a=msrp-cema"]).contains("a=msrp-cema"));
}

#[test]
fn u13_our_offers_never_ask_for_cema() {
    assert!(!offer(&local(), origin()).write().contains("cema"));
}

#[test]
fn r01_the_whole_path_is_kept_in_order() {
    let path = "msrps://r1.example.com:2855/a;tcp msrp://192.0.2.1:2855/own;tcp";
    let accepted = accepted(&[&format!("a=path:{path}")]);
    assert_eq!(accepted.peer.path.join(" "), path);
}

#[test]
fn c70_fingerprints_are_those_of_the_stream() {
    let strong = digest("sha-512", "0a", 64);
    let usual = digest("SHA-256", "AB", 32);
    let old = digest("sha-1", "AB", 20);
    let tls = |lines: &[&str]| {
        let description = offered("TCP/TLS/MSRP", lines);
        evaluate_offer(&description, BOTH, source()).map(|it| it.peer.fingerprints.len())
    };
    assert_eq!(tls(&[]), Ok(0));
    assert_eq!(tls(&[&usual, &strong, &old]), Ok(2));
    assert_eq!(tls(&[&old]), Err(Cause::NoFingerprint));
    assert_eq!(tls(&["a=fingerprint:rubbish"]), Err(Cause::NoFingerprint));
    assert_eq!(accepted(&[&usual]).peer.fingerprints, [], "without TLS");
    let relay = "a=path:msrps://192.0.2.1:2855/r;tcp msrp://10.0.0.1:9/own;tcp";
    assert_eq!(
        tls(&[relay, &usual]),
        Ok(0),
        "the relay's certificate is another"
    );
    let mut session = offered("TCP/TLS/MSRP", &[]);
    let (_, value) = usual.split_once(':').expect("a value");
    session
        .attributes
        .push(Attribute::new("fingerprint", value));
    let found = evaluate_offer(&session, BOTH, source()).expect("usable");
    assert_eq!(found.peer.fingerprints.len(), 1, "of the whole description");
}

#[test]
fn c80_the_protocol_is_mirrored() {
    let description = offered("TCP/TLS/MSRP", &["a=setup:actpass"]);
    let found = evaluate_offer(&description, BOTH, source()).expect("usable");
    assert!(found.secure);
    let digest = Fingerprint::new(crate::wire::fingerprint::HashFunction::Sha256, &[7; 32]);
    let secure = Local {
        secure: true,
        own_uri: "msrps://203.0.113.5:2856/x;tcp".into(),
        port: 2856,
        fingerprint: digest,
        ..local()
    };
    let text = answer(&description, &found, &secure, origin()).write();
    assert!(text.contains("m=message 2856 TCP/TLS/MSRP *\r\n"), "{text}");
    assert!(
        text.contains("a=accept-types:message/cpim\r\na=path:msrps://"),
        "{text}"
    );
    assert!(text.contains("a=fingerprint:SHA-256 07:07:"), "{text}");
    assert!(!answer_to(&[]).contains("fingerprint"));
}

#[test]
fn a_room_may_take_tls_only_and_a_server_tcp_only() {
    let of = |protocol, terms| {
        evaluate_offer(&offered(protocol, &[]), terms, source()).map(|it| it.secure)
    };
    let (tcp, tls) = (only(false), only(true));
    assert_eq!(of("TCP/MSRP", tls), Err(Cause::OnlyTls));
    assert_eq!(of("TCP/TLS/MSRP", tls), Ok(true));
    assert_eq!(of("TCP/TLS/MSRP", tcp), Err(Cause::TlsNotOffered));
    assert_eq!(of("tcp/msrp", tcp), Ok(false));
}

#[test]
fn without_an_msrps_uri_the_path_says_how_the_stream_runs() {
    let path = "a=path:msrp://192.0.2.1:2855/own;ws";
    let of = |terms, lines: &[&str]| {
        let description = offered(TLS, lines);
        evaluate_offer(&description, terms, source()).map(|it| it.secure)
    };
    let (tcp, tls) = (only(false), only(true));
    assert_eq!(of(tcp, &[path]), Ok(false));
    assert_eq!(of(BOTH, &[path]), Ok(false));
    assert_eq!(of(tls, &[path]), Ok(true), "there is nothing else");
    let direct = "a=path:msrp://192.0.2.1:2855/own;tcp";
    assert_eq!(of(tcp, &[direct]), Ok(false));
    assert_eq!(of(BOTH, &[direct]), Ok(true), "it may well mean TLS");
    let usual = digest("SHA-256", "AB", 32);
    assert_eq!(of(BOTH, &[path, &usual]), Ok(true), "it has a certificate");
    assert_eq!(of(tcp, &[path, &usual]), Err(Cause::TlsNotOffered));
    let description = offered(TLS, &[path]);
    let found = evaluate_offer(&description, tcp, source()).expect("usable");
    let text = answer(&description, &found, &local(), origin()).write();
    assert!(text.contains("m=message 2855 TCP/TLS/MSRP *\r\n"), "{text}");
    assert!(text.contains("a=path:msrp://"), "{text}");
}

#[test]
fn of_several_streams_the_first_that_can_be_used() {
    let text = offered("TCP/TLS/MSRP", &[]).write()
        + "m=message 2855 TCP/MSRP *\r\na=accept-types:text/plain\r\n\
           a=path:msrp://192.0.2.1:2855/two;tcp\r\n\
           m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
           a=path:msrp://192.0.2.1:2855/three;tcp\r\n\
           m=message 2855 TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
           a=path:msrp://192.0.2.1:2855/four;tcp\r\n";
    let description = Description::parse(text.as_bytes()).expect("SDP");
    let found = evaluate_offer(&description, only(false), None).expect("usable");
    assert_eq!(found.index, 2);
    let answer = answer(&description, &found, &local(), origin());
    let ports: Vec<u16> = answer.media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [0, 0, 2855, 0]);
    let found = evaluate_offer(&description, BOTH, None).expect("usable");
    assert_eq!((found.index, found.secure), (0, true));
}

#[test]
fn what_is_no_target_is_not_dialled() {
    for path in [
        "a=path:msrp://192.0.2.1:2855/own;ws",
        "a=path:msrp://192.0.2.1/own;tcp",
        "a=path:msrp://192.0.2.1:0/own;tcp",
    ] {
        let found = evaluated(&[path, "a=setup:passive"]).err();
        assert!(
            matches!(found, Some(Cause::NoTarget | Cause::RewrittenAddress)),
            "{path}"
        );
    }
    let bracketed = [
        "c=IN IP6 ::1",
        "a=path:msrp://[::1]:2855/own;tcp",
        "a=setup:passive",
    ];
    let dial = accepted(&bracketed).peer.dial.expect("where to");
    assert_eq!(dial.host, "::1");
}

#[test]
fn the_dummy_port_of_sipsimple_passes() {
    // The same 2855 is in both lines although there is no listener on it.
    let lines = ["a=path:msrp://192.0.2.1:2855/a1b2c3;tcp", "a=setup:active"];
    assert_eq!(accepted(&lines).setup, Setup::Passive);
}

#[test]
fn a_room_for_plain_text_takes_who_offers_nothing_else_and_says_so() {
    let offer = |types: &str| {
        let text = offered(
            "TCP/MSRP",
            &["a=setup:active", "a=chatroom:private-messages"],
        )
        .write();
        let text = text.replace("accept-types:message/cpim", types);
        Description::parse(text.as_bytes()).expect("SDP")
    };
    let terms = Terms {
        plain_text: true,
        ..BOTH
    };
    for (types, plain) in [
        ("accept-types:text/plain", Some(true)),
        ("accept-types:text/plain text/html", Some(true)),
        ("accept-types:text/*", Some(true)),
        ("accept-types:text/plain message/cpim", Some(false)),
        ("accept-types:*", Some(false)),
        ("accept-types:image/png", None),
    ] {
        let found = evaluate_offer(&offer(types), terms, None);
        let found = found.ok().map(|it| it.peer.plain_text);
        assert_eq!(found, plain, "{types}");
        let strict = evaluate_offer(&offer(types), BOTH, None);
        assert_eq!(strict.is_ok(), plain == Some(false), "{types}");
    }
    let theirs = offer("accept-types:text/plain text/html");
    let accepted = evaluate_offer(&theirs, terms, None).expect("usable");
    let text = answer(&theirs, &accepted, &local(), origin()).write();
    assert!(
        text.contains("a=accept-types:text/plain\r\na=path:msrp://203.0.113.5:2855/x;tcp\r\n"),
        "{text}"
    );
    assert!(!text.contains("wrapped"), "{text}");
    // The client cannot address anybody.
    assert!(text.contains("a=chatroom:nickname\r\n"), "{text}");
    let ours = Local {
        plain_text: true,
        ..local()
    };
    let text = super::offer(&ours, origin()).write();
    assert!(
        text.contains("a=accept-types:message/cpim text/plain\r\na=path:"),
        "{text}"
    );
}
