//! Peers that we connect to.

use std::net::TcpListener;
use std::time::Duration;

use msrp_conference::control::{Admission, Dial, LossCause, Setup};
use msrp_conference::net::{DialPolicy, DialRule, TlsFiles};
use msrp_conference::wire::fingerprint::Fingerprint;

use crate::certificates::{Authority, Certified, Folder};
use crate::client::{self, How};
use crate::{LOBBY, Rig, admission, peer_uri};

/// A switch that may connect to any address.
fn rig(tls: Option<TlsFiles>) -> Rig {
    Rig::with("127.0.0.1", tls, |config| {
        config.dial_allow = DialPolicy(vec![DialRule::Any]);
    })
}

fn listener(host: &str) -> TcpListener {
    TcpListener::bind(format!("{host}:0")).unwrap()
}

/// A participant who waits at this host for the switch to connect.
fn waiting(rig: &Rig, name: &str, listener: &TcpListener, host: &str, secure: bool) -> Admission {
    let scheme = if secure { "msrps" } else { "msrp" };
    let own = if secure { rig.tls } else { rig.tcp };
    let mut admission = admission(format!("{scheme}://{own}/{name};tcp"), name, |peer| {
        peer.dial = Some(Dial {
            host: host.into(),
            port: listener.local_addr().unwrap().port(),
            secure,
            name: host.into(),
            source: None,
        });
    });
    admission.setup = Setup::Active;
    admission
}

fn with_fingerprint(mut admission: Admission, fingerprint: Fingerprint) -> Admission {
    admission.peer.fingerprints = vec![fingerprint];
    admission
}

#[test]
fn c60_the_active_side_binds_by_an_empty_send_and_then_talks() {
    for host in ["127.0.0.1", "::1", "localhost"] {
        let rig = rig(None);
        let bound_to = if host == "::1" { "[::1]" } else { "127.0.0.1" };
        let listener = listener(bound_to);
        rig.admit(waiting(&rig, "alice", &listener, host, false));
        let mut alice = client::accept(&listener);
        let own = format!("msrp://{}", rig.tcp);
        rig.admit(admission(format!("{own}/bob;tcp"), "bob", |_| {}));
        let mut bob = client::plain(rig.tcp);
        let uri = format!("{own}/bob;tcp");
        assert_eq!(bob.bind(&uri, &peer_uri("bob")).unwrap(), "200");
        // Sent before alice is bound: it waits for her (C61).
        bob.say(
            &uri,
            &peer_uri("bob"),
            "sip:bob@example.com",
            LOBBY,
            "early",
        );
        let bind = alice.bound(200);
        assert!(bind.contains(&format!("To-Path: {}\r\n", peer_uri("alice"))));
        assert!(bind.contains(&format!("From-Path: {own}/alice;tcp\r\n")));
        rig.bound("alice");
        assert!(alice.message("SEND").unwrap().ends_with("$\r\n"));
        let (to, from) = (format!("{own}/alice;tcp"), peer_uri("alice"));
        alice.say(&to, &from, "sip:alice@example.com", LOBBY, "hello");
        assert!(bob.message("SEND").unwrap().contains("hello"));
    }
}

#[test]
fn a_peer_that_refuses_or_is_not_there_was_never_bound() {
    let rig = rig(None);
    let listener = listener("127.0.0.1");
    rig.admit(waiting(&rig, "alice", &listener, "127.0.0.1", false));
    client::accept(&listener).bound(481);
    assert_eq!(rig.lost("alice"), LossCause::NeverBound);
    rig.admit(waiting(&rig, "bob", &listener, "127.0.0.1", false));
    drop(client::accept(&listener));
    assert_eq!(rig.lost("bob"), LossCause::Disconnected);
    let mut carol = waiting(&rig, "carol", &listener, "127.0.0.1", false);
    carol.policy.bind_timeout = Duration::from_secs(2);
    drop(listener);
    rig.admit(carol);
    assert_eq!(rig.lost("carol"), LossCause::NeverBound);
}

#[test]
fn a_peer_whose_port_opens_late_is_reached() {
    let rig = rig(None);
    let listener = listener("127.0.0.1");
    let address = listener.local_addr().unwrap();
    let alice = waiting(&rig, "alice", &listener, "127.0.0.1", false);
    drop(listener);
    rig.admit(alice);
    // Long enough for the first attempt to fail; the test is that no notice comes meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    let listener = TcpListener::bind(address).expect("free again");
    client::accept(&listener).bound(200);
    rig.bound("alice");
}

#[test]
fn c64_c70_a_connection_is_not_shared_with_who_announced_another_certificate() {
    let peer = Certified::self_signed(&["relay.example.com"]);
    let (rig, listener) = (rig(None), listener("127.0.0.1"));
    let known = waiting(&rig, "alice", &listener, "127.0.0.1", true);
    rig.admit(with_fingerprint(known, peer.fingerprint()));
    let (mut alice, _) = client::accept_secure(&listener, &peer, None).unwrap();
    alice.bound(200);
    rig.bound("alice");
    let other = Certified::self_signed(&["other.example.com"]);
    let unknown = waiting(&rig, "bob", &listener, "127.0.0.1", true);
    rig.admit(with_fingerprint(unknown, other.fingerprint()));
    // A connection of its own, on which the peer shows the announced certificate.
    let (mut bob, _) = client::accept_secure(&listener, &other, None).unwrap();
    bob.bound(200);
    rig.bound("bob");
}

#[test]
fn c68_a_name_that_does_not_resolve() {
    let rig = rig(None);
    let listener = listener("127.0.0.1");
    rig.admit(waiting(
        &rig,
        "alice",
        &listener,
        "no.such.host.invalid",
        false,
    ));
    assert_eq!(rig.lost("alice"), LossCause::NeverBound);
}

#[test]
fn c88_what_dial_allow_forbids_is_not_connected_to() {
    let rig = Rig::with("127.0.0.1", None, |_| {});
    let listener = listener("127.0.0.1");
    listener.set_nonblocking(true).unwrap();
    for host in ["127.0.0.1", "::ffff:127.0.0.1", "localhost"] {
        rig.admit(waiting(&rig, "alice", &listener, host, false));
        assert_eq!(rig.lost("alice"), LossCause::NeverBound, "{host}");
        assert!(listener.accept().is_err(), "{host}: nobody came");
    }
    // The address the offer came from.
    listener.set_nonblocking(false).unwrap();
    let mut near = waiting(&rig, "bob", &listener, "127.0.0.1", false);
    if let Some(dial) = &mut near.peer.dial {
        dial.source = Some("127.0.0.1".parse().unwrap());
    }
    rig.admit(near);
    client::accept(&listener).bound(200);
    rig.bound("bob");
}

#[test]
fn c64_r06_peers_behind_one_relay_share_a_connection() {
    let rig = rig(None);
    let listener = listener("127.0.0.1");
    rig.admit(waiting(&rig, "alice", &listener, "127.0.0.1", false));
    let mut relay = client::accept(&listener);
    relay.bound(200);
    rig.bound("alice");
    rig.admit(waiting(&rig, "bob", &listener, "127.0.0.1", false));
    assert!(relay.bound(200).contains("bob-peer"));
    rig.bound("bob");
    drop(relay);
    for _ in 0..2 {
        rig.await_notice(|notice| {
            matches!(notice, msrp_conference::control::Notice::Lost { .. }).then_some(())
        });
    }
}

#[test]
fn c70_a_peer_we_connect_to_shows_what_it_announced() {
    let (folder, own) = (Folder::new(), Certified::self_signed(&["switch"]));
    let rig = rig(Some(folder.files(&own)));
    let listener = listener("127.0.0.1");
    let (peer, other) = (
        Certified::self_signed(&["x"]),
        Certified::self_signed(&["x"]),
    );
    let alice = waiting(&rig, "alice", &listener, "127.0.0.1", true);
    rig.admit(with_fingerprint(alice.clone(), other.fingerprint()));
    assert!(client::accept_secure(&listener, &peer, None).is_err());
    assert_eq!(rig.lost("alice"), LossCause::NeverBound);
    rig.admit(with_fingerprint(alice, peer.fingerprint()));
    let (mut right, name) = client::accept_secure(&listener, &peer, None).unwrap();
    assert_eq!(name, None, "an address is no SNI");
    right.bound(200);
    rig.bound("alice");
}

#[test]
fn c69_an_authority_vouches_for_the_name_and_sni_says_it() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let files = TlsFiles {
        ca_list: Some(folder.ca_list(&authority)),
        ..folder.files(&Certified::self_signed(&["switch"]))
    };
    let rig = rig(Some(files));
    let listener = listener("127.0.0.1");
    let alice = waiting(&rig, "alice", &listener, "localhost", true);
    for wrong in [
        authority.certify(&["elsewhere.example.com"]),
        Authority::new().certify(&["localhost"]),
        Certified::self_signed(&["localhost"]),
    ] {
        rig.admit(alice.clone());
        assert!(client::accept_secure(&listener, &wrong, None).is_err());
        assert_eq!(rig.lost("alice"), LossCause::NeverBound);
    }
    rig.admit(alice);
    let right = authority.certify(&["localhost"]);
    let (mut peer, name) = client::accept_secure(&listener, &right, None).unwrap();
    assert_eq!(name.as_deref(), Some("localhost"));
    peer.bound(200);
    rig.bound("alice");
}

#[test]
fn without_fingerprint_and_authorities_nobody_is_believed() {
    let folder = Folder::new();
    let rig = rig(Some(folder.files(&Certified::self_signed(&["switch"]))));
    let listener = listener("127.0.0.1");
    rig.admit(waiting(&rig, "alice", &listener, "localhost", true));
    assert_eq!(rig.lost("alice"), LossCause::NeverBound);
}

#[test]
fn where_we_connect_we_show_the_certificate_our_sdp_announces() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let own = authority.certify(&["switch"]);
    let rig = rig(Some(folder.files(&own)));
    assert_eq!(rig.fingerprint(), own.fingerprint());
    let listener = listener("127.0.0.1");
    let peer = Certified::self_signed(&["x"]);
    let alice = waiting(&rig, "alice", &listener, "127.0.0.1", true);
    rig.admit(with_fingerprint(alice, peer.fingerprint()));
    let (mut secure, _) = client::accept_secure(&listener, &peer, Some(authority.roots())).unwrap();
    secure.bound(200);
    rig.bound("alice");
}

#[test]
fn idle_timeout_finds_a_peer_that_has_gone_without_a_word() {
    let folder = Folder::new();
    let files = folder.files(&Certified::self_signed(&["a"]));
    let rig = Rig::with("127.0.0.1", Some(files), |config| {
        config.switch.idle_timeout = std::time::Duration::from_secs(1);
    });
    rig.expect("alice", Vec::new());
    let mut alice = client::secure(rig.tls, &How::default()).unwrap();
    let (to, from) = (rig.uri("alice"), peer_uri("alice"));
    assert_eq!(alice.bind(&to, &from).unwrap(), "200");
    rig.bound("alice");
    // A peer that answers the probe stays; one that does not is lost.
    alice.bound(200);
    alice.bound(200);
    alice.closed();
    assert_eq!(rig.lost("alice"), LossCause::Disconnected);
}
