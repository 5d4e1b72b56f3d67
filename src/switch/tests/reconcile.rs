//! The focus goes and comes back, the switch lives on (docs/msrp-switchd.md).

use super::*;
use crate::control::{RECONCILE_SESSIONS, Stand, Standing};

const ORPHAN_TIMEOUT: Duration = Duration::from_secs(120);
const SECOND: Duration = Duration::from_secs(1);

impl Stage {
    fn reconcile(&mut self, room: &str, names: &[&str], last: bool) -> Vec<Stand> {
        let order = Order::Reconcile {
            room: RoomUri::new(room),
            sessions: names.iter().map(|name| SessionId::new(*name)).collect(),
            last,
        };
        self.switch.order(self.now, order);
        self.pump();
        match self.notices().pop() {
            Some(Notice::Reconciled { sessions, .. }) => sessions,
            other => panic!("{other:?}"),
        }
    }
}

fn stand(name: &str, standing: Standing, nickname: Option<&str>) -> Stand {
    Stand {
        session: SessionId::new(name),
        standing,
        nickname: nickname.map(str::to_owned),
    }
}

#[test]
fn flow4_the_switch_names_who_is_bound_who_waits_and_who_is_gone() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let bob = stage.join("bob");
    stage.admit(admission(LOBBY, "carol"));
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    // Events without a focus: their notices are lost.
    let headers = ["Use-Nickname: \"Al  ice\""];
    let nickname = request(
        "alice",
        "nicktid1",
        "NICKNAME",
        &headers,
        "-------nicktid1$\r\n",
    );
    stage.give(alice, nickname);
    assert_eq!(stage.codes(alice), [200]);
    stage.switch.closed(stage.now, bob);
    stage.notices();

    let stands = stage.reconcile(LOBBY, &["alice", "bob", "carol", "dave"], true);
    assert_eq!(
        stands,
        [
            stand("alice", Standing::Bound, Some("Al  ice")),
            stand("bob", Standing::Gone, None),
            stand("carol", Standing::Waiting, None),
            stand("dave", Standing::Gone, None),
        ]
    );
}

#[test]
fn flow4_conversation_goes_on_while_no_focus_is_there() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let bob = stage.join("bob");
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    stage.pass(ORPHAN_TIMEOUT - SECOND);
    stage.give(
        alice,
        send("alice", "saytid01", &[], &cpim("alice", "hello")),
    );
    assert_eq!(stage.texts(bob), ["hello"]);
}

#[test]
fn sessions_nobody_claims_end_after_the_timeout_and_not_before() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let bob = stage.join("bob");
    let carol = stage.enter(admission("sip:other@example.com", "carol"));
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    stage.reconcile(LOBBY, &["alice"], false);
    stage.pass(ORPHAN_TIMEOUT - SECOND);
    assert_eq!(stage.finished, []);
    assert_eq!(stage.switch.sessions(), 3);
    stage.pass(SECOND);
    let mut finished = stage.finished.clone();
    finished.sort();
    assert_eq!(finished, [bob, carol]);
    assert_eq!(stage.notices(), [], "no focus knows them");
    stage.give(alice, empty_send("alice", "stilltid"));
    assert_eq!(stage.codes(alice), [200]);
}

#[test]
fn a_complete_list_ends_the_rooms_unclaimed_sessions_at_once() {
    let mut stage = Stage::new();
    stage.join("alice");
    let bob = stage.join("bob");
    let carol = stage.enter(admission("sip:other@example.com", "carol"));
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    stage.reconcile(LOBBY, &["alice"], true);
    assert_eq!(stage.finished, [bob]);
    stage.reconcile("sip:other@example.com", &[], true);
    assert_eq!(stage.finished, [bob, carol]);
    assert_eq!(stage.switch.sessions(), 1);
}

#[test]
fn a_focus_that_never_went_loses_nobody_by_presenting_its_list() {
    let mut stage = Stage::new();
    stage.join("alice");
    stage.join("bob");
    stage.reconcile(LOBBY, &["alice"], true);
    assert_eq!(stage.switch.sessions(), 2);
}

#[test]
fn admission_and_amendment_claim_too() {
    let mut stage = Stage::new();
    stage.join("alice");
    stage.join("bob");
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    stage.admit(admission(LOBBY, "alice"));
    let amend = Order::Amend(Box::new(admission(LOBBY, "bob")));
    stage.switch.order(stage.now, amend);
    stage.join("carol");
    stage.pass(ORPHAN_TIMEOUT);
    assert_eq!(stage.switch.sessions(), 3);
}

#[test]
fn a_focus_that_goes_again_starts_the_time_anew() {
    let mut stage = Stage::new();
    stage.join("alice");
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    stage.pass(ORPHAN_TIMEOUT - SECOND);
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    stage.pass(ORPHAN_TIMEOUT - SECOND);
    assert_eq!(stage.switch.sessions(), 1);
    stage.pass(SECOND);
    assert_eq!(stage.switch.sessions(), 0);
}

#[test]
fn a_session_of_another_room_is_not_claimed() {
    let mut stage = Stage::new();
    stage.join("alice");
    stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
    let stands = stage.reconcile("sip:other@example.com", &["alice"], true);
    assert_eq!(stands, [stand("alice", Standing::Gone, None)]);
    stage.pass(ORPHAN_TIMEOUT);
    assert_eq!(stage.switch.sessions(), 0);
}

#[test]
fn the_answer_is_as_bounded_as_the_order() {
    let mut stage = Stage::new();
    let names = vec!["nobody"; RECONCILE_SESSIONS + 7];
    let stands = stage.reconcile(LOBBY, &names, true);
    assert_eq!(stands.len(), RECONCILE_SESSIONS);
}

#[test]
fn a_focus_that_comes_and_goes_keeps_nobody_for_ever() {
    let mut stage = Stage::new();
    stage.join("alice");
    let bob = stage.join("bob");
    let mut passed = Duration::ZERO;
    while stage.finished.is_empty() {
        stage.switch.unclaim(stage.now, ORPHAN_TIMEOUT);
        stage.reconcile(LOBBY, &["alice"], false);
        stage.pass(ORPHAN_TIMEOUT / 4);
        passed += ORPHAN_TIMEOUT / 4;
        assert!(passed <= 3 * ORPHAN_TIMEOUT, "nobody ever claims bob");
    }
    assert_eq!(stage.finished, [bob]);
    assert!(passed >= 2 * ORPHAN_TIMEOUT);
    assert_eq!(stage.switch.sessions(), 1);
}
