//! The side that connects, certificates, and silence.

use super::*;
use crate::control::Dial;
use crate::wire::fingerprint::{Fingerprint, HashFunction};

fn target(port: u16) -> Dial {
    Dial {
        host: "198.51.100.7".into(),
        port,
        secure: false,
        name: "198.51.100.7".into(),
        source: None,
    }
}

/// Somebody the switch is to connect to.
fn waiting(name: &str) -> Admission {
    let mut admission = admission(LOBBY, name);
    admission.setup = Setup::Active;
    admission.peer.dial = Some(target(2855));
    admission
}

fn wanted(stage: &mut Stage) -> Vec<String> {
    let wanted = std::iter::from_fn(|| stage.switch.poll_wanted());
    wanted.map(|it| it.session.to_string()).collect()
}

fn connected(stage: &mut Stage, name: &str, id: ConnectionId) {
    let session = SessionId::new(name);
    stage.switch.connected(stage.now, &session, id);
    stage.pump();
}

fn answer(stage: &mut Stage, id: ConnectionId, name: &str, bind: &Got, code: u16) {
    let text = format!(
        "MSRP {0} {code} X\r\nTo-Path: {1}\r\nFrom-Path: {2}\r\n-------{0}$\r\n",
        bind.tid(),
        own_uri(name),
        peer_uri(name)
    );
    stage.give(id, text);
}

/// The causes of loss in the notices.
fn losses(stage: &mut Stage) -> Vec<LossCause> {
    let notices = stage.notices().into_iter();
    let causes = notices.filter_map(|notice| match notice {
        Notice::Lost { cause, .. } => Some(cause),
        _ => None,
    });
    causes.collect()
}

fn certificate(octet: u8) -> Fingerprint {
    Fingerprint::new(HashFunction::Sha256, &[octet; 32]).unwrap()
}

fn tls(shown: &[Fingerprint]) -> Security {
    Security::Tls(shown.to_vec().into())
}

#[test]
fn c60_a_session_of_ours_is_bound_by_the_answer_to_its_empty_send() {
    let mut stage = Stage::new();
    let bob = stage.join("bob");
    stage.admit(waiting("alice"));
    assert_eq!(wanted(&mut stage), ["alice"]);
    stage.notices();
    let id = stage.switch.opened(stage.now);
    connected(&mut stage, "alice", id);
    // C61: the switch sends nothing to a peer that has not identified itself.
    stage.give(bob, send("bob", "tid10001", &[], &cpim("bob", "early")));
    let got = stage.got(id);
    let [bind] = got.as_slice() else {
        panic!("{got:?}")
    };
    assert_eq!(bind.header("To-Path"), Some(peer_uri("alice").as_str()));
    assert_eq!(bind.header("Byte-Range"), Some("1-0/0"));
    assert_eq!((bind.header("Content-Type"), &bind.body), (None, &None));
    assert_eq!(stage.notices(), [], "not bound yet");
    let bind = bind.clone();
    answer(&mut stage, id, "alice", &bind, 200);
    assert!(matches!(stage.notices()[..], [Notice::Bound { .. }]));
    assert!(stage.got(id)[0].text().contains("early"));
}

#[test]
fn a_peer_that_refuses_keeps_silent_or_is_not_there_was_never_bound() {
    for way in ["refuses", "silent", "unreachable"] {
        let mut stage = Stage::new();
        stage.admit(waiting("alice"));
        stage.notices();
        let id = stage.switch.opened(stage.now);
        match way {
            "refuses" => {
                connected(&mut stage, "alice", id);
                let bind = stage.got(id).remove(0);
                answer(&mut stage, id, "alice", &bind, 481);
            }
            "silent" => {
                connected(&mut stage, "alice", id);
                stage.pass(Duration::from_secs(32));
            }
            _ => {
                let session = SessionId::new("alice");
                stage.switch.unreachable(stage.now, &session);
            }
        }
        assert_eq!(losses(&mut stage), [LossCause::NeverBound], "{way}");
    }
}

#[test]
fn a_connection_is_wanted_once_and_again_for_another_target() {
    let mut stage = Stage::new();
    stage.admit(waiting("alice"));
    assert_eq!(wanted(&mut stage), ["alice"]);
    let amend = |stage: &mut Stage, admission: Admission| {
        let order = Order::Amend(Box::new(admission));
        stage.switch.order(stage.now, order);
    };
    amend(&mut stage, waiting("alice"));
    assert_eq!(wanted(&mut stage), [] as [&str; 0]);
    let mut moved = waiting("alice");
    moved.peer.path = vec!["msrp://198.51.100.7:2856/new;tcp".into()];
    moved.peer.dial = Some(target(2856));
    amend(&mut stage, moved);
    assert_eq!(wanted(&mut stage), ["alice"]);
}

#[test]
fn who_connects_to_us_meanwhile_needs_no_connection_of_ours() {
    let mut stage = Stage::new();
    stage.admit(waiting("alice"));
    let theirs = stage.switch.opened(stage.now);
    stage.give(theirs, empty_send("alice", "bindtid1"));
    let ours = stage.switch.opened(stage.now);
    connected(&mut stage, "alice", ours);
    assert_eq!(stage.finished, [ours], "closed as nobody needs it");
    assert_eq!(losses(&mut stage), []);
}

#[test]
fn c64_a_second_session_shares_the_connection() {
    let mut stage = Stage::new();
    stage.admit(waiting("alice"));
    stage.admit(waiting("bob"));
    let id = stage.switch.opened(stage.now);
    for name in ["alice", "bob"] {
        connected(&mut stage, name, id);
        let bind = stage.got(id).remove(0);
        answer(&mut stage, id, name, &bind, 200);
    }
    stage.notices();
    stage.give(id, send("alice", "tid10001", &[], &cpim("alice", "hi")));
    let got = stage.got(id);
    let copy = got.iter().find(|got| got.body.is_some()).expect("a copy");
    assert_eq!(copy.header("To-Path"), Some(peer_uri("bob").as_str()));
}

#[test]
fn c70_another_certificate_tears_the_connection_down() {
    let mut stage = Stage::new();
    let mut alice = admission(LOBBY, "alice");
    alice.peer.fingerprints = vec![certificate(1)];
    stage.admit(alice);
    for shown in [&[][..], &[certificate(2)]] {
        let id = stage.switch.opened_over(stage.now, tls(shown));
        stage.give(id, empty_send("alice", "bindtid1"));
        assert_eq!(stage.cut.pop(), Some(id));
        assert_eq!(stage.got(id), [], "no answer");
    }
    let id = stage.switch.opened_over(stage.now, tls(&[certificate(1)]));
    stage.give(id, empty_send("alice", "bindtid1"));
    assert_eq!(stage.codes(id), [200]);
}

#[test]
fn c70_a_fingerprint_that_comes_with_the_ack_is_checked_then() {
    for (shown, stays) in [(1, true), (2, false)] {
        let mut stage = Stage::new();
        stage.admit(admission(LOBBY, "alice"));
        let id = stage
            .switch
            .opened_over(stage.now, tls(&[certificate(shown)]));
        stage.give(id, empty_send("alice", "bindtid1"));
        let mut known = admission(LOBBY, "alice");
        known.peer.fingerprints = vec![certificate(1)];
        let order = Order::Amend(Box::new(known));
        stage.switch.order(stage.now, order);
        stage.pump();
        assert_eq!(stage.cut.is_empty(), stays);
    }
}
