//! Clients that connect to us.

use std::io::{Read, Write};

use msrp_conference::net::{Config, Pool, StartError, TlsError, TlsFiles};

use crate::certificates::{Authority, Certified, Folder};
use crate::client::{self, How};
use crate::{LOBBY, Rig, admission, peer_uri};

static TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

fn sip(name: &str) -> String {
    format!("sip:{name}@example.com")
}

/// Two clients talk over TLS.
fn talk(host: &str, how: &How<'_>) {
    let (folder, authority) = (Folder::new(), Authority::new());
    let rig = Rig::start(host, folder.files(&authority.certify(&["localhost"])));
    let how = How {
        roots: Some(authority.roots()),
        versions: how.versions,
        ..How::default()
    };
    rig.expect("alice", Vec::new());
    rig.expect("bob", Vec::new());
    let mut alice = client::secure(rig.tls, &how).expect("a handshake");
    let mut bob = client::secure(rig.tls, &how).expect("a handshake");
    assert_eq!(
        alice.bind(&rig.uri("alice"), &peer_uri("alice")).unwrap(),
        "200"
    );
    assert_eq!(bob.bind(&rig.uri("bob"), &peer_uri("bob")).unwrap(), "200");
    for size in [5, 300_000] {
        let text = "t".repeat(size);
        alice.say(
            &rig.uri("alice"),
            &peer_uri("alice"),
            &sip("alice"),
            LOBBY,
            &text,
        );
        let copy = bob.message("SEND").expect("a copy");
        assert!(copy.contains(&text), "{} octets", copy.len());
    }
}

#[test]
fn c69_two_talk_over_tls_13() {
    talk("127.0.0.1", &How::default());
}

#[test]
fn c69_two_talk_over_tls_12() {
    talk(
        "127.0.0.1",
        &How {
            versions: TLS12,
            ..How::default()
        },
    );
}

#[test]
fn c69_two_talk_over_ipv6() {
    talk("[::1]", &How::default());
}

#[test]
fn c69_msrps_is_taken_over_tls_only() {
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    rig.expect("alice", Vec::new());
    let mut plain = client::plain(rig.tcp);
    assert_eq!(
        plain.bind(&rig.uri("alice"), &peer_uri("alice")).unwrap(),
        "481"
    );
    let mut secure = client::secure(rig.tls, &How::default()).unwrap();
    assert_eq!(
        secure.bind(&rig.uri("alice"), &peer_uri("alice")).unwrap(),
        "200"
    );
}

#[test]
fn c70_a_client_shows_the_certificate_its_sdp_announced() {
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    let (own, other) = (
        Certified::self_signed(&["x"]),
        Certified::self_signed(&["x"]),
    );
    for (name, fingerprints) in [
        ("alice", vec![own.fingerprint()]),
        ("bob", vec![own.sha512_fingerprint(), other.fingerprint()]),
    ] {
        rig.expect(name, fingerprints);
        for wrong in [None, Some(&other)] {
            let how = How {
                own: wrong,
                ..How::default()
            };
            let mut imposter = client::secure(rig.tls, &how).unwrap();
            let answer = imposter.bind(&rig.uri(name), &peer_uri(name));
            assert_eq!(answer, None, "torn down at once");
        }
        let how = How {
            own: Some(&own),
            ..How::default()
        };
        let mut right = client::secure(rig.tls, &how).unwrap();
        assert_eq!(right.bind(&rig.uri(name), &peer_uri(name)).unwrap(), "200");
        rig.bound(name);
    }
}

#[test]
fn a_chain_longer_than_a_record_is_taken() {
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    let own = Certified::self_signed(&["x"]);
    rig.expect("alice", vec![own.fingerprint()]);
    let copies = 20 * 1024 / own.certificate.len();
    let how = How {
        own: Some(&own),
        copies,
        ..How::default()
    };
    let mut alice = client::secure(rig.tls, &how).expect("a handshake");
    let bound = alice.bind(&rig.uri("alice"), &peer_uri("alice"));
    assert_eq!(bound.expect("an answer"), "200");
}

#[test]
fn clients_need_a_certificate_where_the_operator_says_so() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let files = TlsFiles {
        ca_list: Some(folder.ca_list(&authority)),
        verify_client: true,
        ..folder.files(&Certified::self_signed(&["a"]))
    };
    let rig = Rig::start("127.0.0.1", files);
    rig.expect("alice", Vec::new());
    let stranger = Certified::self_signed(&["x"]);
    for own in [None, Some(&stranger)] {
        let how = How {
            own,
            ..How::default()
        };
        // With TLS 1.3 the client's handshake is over before ours fails.
        if let Ok(mut refused) = client::secure(rig.tls, &how) {
            let _ = refused.stream.write_all(b"MSRP x SEND\r\n");
            refused.closed();
        }
    }
    let known = authority.certify(&["alice.example.com"]);
    let how = How {
        own: Some(&known),
        ..How::default()
    };
    let mut alice = client::secure(rig.tls, &how).unwrap();
    assert_eq!(
        alice.bind(&rig.uri("alice"), &peer_uri("alice")).unwrap(),
        "200"
    );
}

#[test]
fn a_client_finds_out_a_wrong_name() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let rig = Rig::start(
        "127.0.0.1",
        folder.files(&authority.certify(&["a.example.com"])),
    );
    let how = How {
        roots: Some(authority.roots()),
        name: "b.example.com",
        ..How::default()
    };
    assert!(client::secure(rig.tls, &how).is_err());
    let how = How {
        name: "a.example.com",
        ..how
    };
    assert!(client::secure(rig.tls, &how).is_ok());
}

#[test]
fn what_is_no_tls_costs_its_own_connection_only() {
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    rig.expect("alice", Vec::new());
    let mut alice = client::secure(rig.tls, &How::default()).unwrap();
    let to = rig.uri("alice");
    assert_eq!(alice.bind(&to, &peer_uri("alice")).unwrap(), "200");
    for garbage in [
        format!("MSRP a786hjs2 SEND\r\nTo-Path: {to}\r\n"),
        "\u{16}\u{3}\u{1}\u{7f}\u{7f}".repeat(100),
        "x".repeat(100_000),
    ] {
        let mut broken = client::plain(rig.tls);
        // It may be closed before it has read everything.
        let _ = broken.stream.write_all(garbage.as_bytes());
        let mut octets = Vec::new();
        let _ = broken.stream.read_to_end(&mut octets);
        assert!(!octets.starts_with(b"MSRP"), "answered in the clear");
    }
    assert_eq!(alice.bind(&to, &peer_uri("alice")).unwrap(), "200");
}

#[test]
fn certificate_files_are_read_again_when_they_change() {
    let folder = Folder::new();
    let (old, new) = (
        Certified::self_signed(&["a"]),
        Certified::self_signed(&["a"]),
    );
    let rig = Rig::start("127.0.0.1", folder.files(&old));
    assert_eq!(rig.fingerprint(), old.fingerprint());
    rig.expect("alice", Vec::new());
    let mut alice = client::secure(rig.tls, &How::default()).unwrap();
    assert_eq!(
        alice.bind(&rig.uri("alice"), &peer_uri("alice")).unwrap(),
        "200"
    );
    // The key of another certificate, then an unusable file: the old certificate stays.
    folder.write("key.pem", "half a ke");
    let shown = |rig: &Rig| {
        let secure = client::secure(rig.tls, &How::default()).unwrap();
        secure.stream.conn.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(shown(&rig), old.certificate);
    folder.files(&new);
    assert_eq!(rig.fingerprint(), new.fingerprint());
    assert_eq!(shown(&rig), new.certificate);
    // Existing members have noticed nothing.
    assert_eq!(
        alice.bind(&rig.uri("alice"), &peer_uri("alice")).unwrap(),
        "200"
    );
}

#[test]
fn files_that_cannot_be_used_stop_the_start() {
    let folder = Folder::new();
    let good = folder.files(&Certified::self_signed(&["a"]));
    let start = |files: TlsFiles| {
        let config = Config {
            tls: Some(files),
            ..Config::default()
        };
        let (notices, log) = (
            crossbeam_channel::unbounded().0,
            crossbeam_channel::unbounded().0,
        );
        match Pool::start(config, notices, log, std::sync::Arc::new(|| ())) {
            Err(StartError::Tls(error)) => error,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("started"),
        }
    };
    let missing = folder.path().join("missing.pem");
    let empty = folder.write("empty.pem", "nothing\n");
    let other = Folder::new();
    let foreign_key = other.files(&Certified::self_signed(&["b"])).private_key;
    let with_certificate = |certificate: &std::path::Path| TlsFiles {
        certificate: certificate.to_owned(),
        ..good.clone()
    };
    let with_key = |private_key: &std::path::Path| TlsFiles {
        private_key: private_key.to_owned(),
        ..good.clone()
    };
    let error = start(with_certificate(&missing));
    assert!(matches!(error, TlsError::Read { .. }), "{error}");
    assert_eq!(error.parameter(), "tls_certificate");
    let error = start(with_certificate(&empty));
    assert!(matches!(error, TlsError::Empty { .. }), "{error}");
    let error = start(with_key(&missing));
    assert_eq!(error.parameter(), "tls_private_key");
    let error = start(with_key(&empty));
    assert!(matches!(error, TlsError::Empty { .. }), "{error}");
    let error = start(with_key(&foreign_key));
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
    let error = start(TlsFiles {
        ca_list: Some(empty),
        ..good.clone()
    });
    assert_eq!(error.parameter(), "tls_ca_list");
    let error = start(TlsFiles {
        verify_client: true,
        ..good
    });
    assert_eq!(error.parameter(), "tls_verify_client");
}

#[test]
fn one_connection_to_tls_carries_sessions_of_rooms_on_several_threads() {
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    let own = Certified::self_signed(&["x"]);
    let how = How {
        own: Some(&own),
        ..How::default()
    };
    let mut shared = client::secure(rig.tls, &how).unwrap();
    for number in 0..8 {
        let name = format!("shared{number}");
        let mut admission = admission(rig.uri(&name), &name, |peer| {
            // C70 holds on every thread.
            peer.fingerprints = vec![own.fingerprint()];
        });
        admission.room = msrp_conference::control::RoomUri::new(format!("sip:r{number}@a"));
        rig.admit(admission);
        assert_eq!(
            shared.bind(&rig.uri(&name), &peer_uri(&name)).unwrap(),
            "200"
        );
    }
}

#[test]
fn what_one_turn_writes_is_one_record() {
    const MESSAGES: usize = 20;
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    rig.expect("alice", Vec::new());
    rig.expect("bob", Vec::new());
    let mut alice = client::secure(rig.tls, &How::default()).unwrap();
    let mut bob = client::secure(rig.tls, &How::default()).unwrap();
    let (to, from) = (rig.uri("alice"), peer_uri("alice"));
    assert_eq!(alice.bind(&to, &from).unwrap(), "200");
    assert_eq!(bob.bind(&rig.uri("bob"), &peer_uri("bob")).unwrap(), "200");
    let before = bob.stream.sock.records;
    let text: String = (0..MESSAGES)
        .map(|number| {
            let body = format!(
                "From: <{}>\r\nTo: <{LOBBY}>\r\n\r\nContent-Type: text/plain\r\n\r\n{number:02}",
                sip("alice")
            );
            let length = body.len();
            format!(
                "MSRP tid{number:05} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n\
                 Message-ID: m{number:05}\r\nByte-Range: 1-{length}/{length}\r\n\
                 Content-Type: message/cpim\r\n\r\n{body}\r\n-------tid{number:05}$\r\n"
            )
        })
        .collect();
    // One record here is read in one turn there.
    assert!(text.len() < 16 * 1024);
    alice.write(&text);
    for number in 0..MESSAGES {
        let copy = bob.message("SEND").expect("a copy");
        assert!(copy.contains(&format!("\r\n{number:02}\r\n")), "{copy}");
    }
    assert_eq!(bob.stream.sock.records - before, 1);
}

#[test]
fn silent_connections_hold_no_handshake_up() {
    let folder = Folder::new();
    let rig = Rig::start("127.0.0.1", folder.files(&Certified::self_signed(&["a"])));
    // More than the limit of handshakes; some begin and send nothing more.
    let silent: Vec<_> = (0..1_200)
        .map(|number| {
            let mut stream = client::plain(rig.tls).stream;
            if number % 2 == 0 {
                stream.write_all(&[0x16, 3, 1]).expect("it reads");
            }
            stream
        })
        .collect();
    let started = std::time::Instant::now();
    rig.expect("alice", Vec::new());
    let mut alice = client::secure(rig.tls, &How::default()).expect("a handshake");
    let to = rig.uri("alice");
    assert_eq!(alice.bind(&to, &peer_uri("alice")).unwrap(), "200");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    drop(silent);
}
