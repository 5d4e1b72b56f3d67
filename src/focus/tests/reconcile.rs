//! The switch was lost and is back.

use super::*;
use crate::control::Stand;

fn connected() -> Input {
    Input::Notice(Notice::Connected {
        run: SwitchRun(1),
        listen: Vec::new(),
    })
}

fn reconciled(scenario: &Scenario, stands: &[(&str, Standing, Option<&str>)]) -> Input {
    let stand = |(user, standing, nickname): &(&str, Standing, Option<&str>)| Stand {
        session: scenario.sessions[*user].clone(),
        standing: *standing,
        nickname: nickname.map(str::to_owned),
    };
    Input::Notice(Notice::Reconciled {
        room: RoomUri::new(ROOM),
        sessions: stands.iter().map(stand).collect(),
    })
}

#[test]
fn every_session_is_presented_when_a_switch_comes() {
    let mut scenario = Scenario::new();
    scenario.feed(connected());
    assert_eq!(scenario.transcript(), "");
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.transcript();
    scenario.feed(connected());
    assert_eq!(scenario.transcript(), "! reconcile lobby (alice bob)");
}

#[test]
fn who_is_gone_is_lost_and_nicknames_are_caught_up() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(10);
    scenario.transcript();
    let answer = reconciled(
        &scenario,
        &[
            ("alice", Standing::Gone, None),
            ("bob", Standing::Bound, Some("Bobby")),
        ],
    );
    scenario.feed(answer);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY bob active partial v2 (alice=h bob=+)"
    );
    scenario.pass(30);
    assert!(
        scenario
            .transcript()
            .contains("< BYE alice\n< NOTIFY bob active partial v3 (alice=-)")
    );
    let session = scenario.sessions["bob"].clone();
    let stand = Stand {
        session,
        standing: Standing::Bound,
        nickname: Some("Bobby".to_owned()),
    };
    scenario.pass(10);
    scenario.transcript();
    scenario.feed(Input::Notice(Notice::Reconciled {
        room: RoomUri::new(ROOM),
        sessions: vec![stand],
    }));
    scenario.pass(10);
    assert_eq!(scenario.transcript(), "", "nothing new, no NOTIFY");
}

/// A refresh of ours is under way when another switch appears: the endpoint gets a re-INVITE with a
/// fresh session after the answer to the refresh, and leaves if there is none.
#[test]
fn flow4_who_is_being_refreshed_while_the_switch_restarts_does_not_become_a_ghost() {
    for answered in [true, false] {
        let mut scenario = Scenario::new();
        scenario.describes = true;
        scenario.feed(connected());
        scenario.join("alice", ROOM);
        scenario.refresh_answer = None;
        scenario.pass(900);
        let request = scenario.sent.back().expect("a refresh").id;
        scenario.feed(Input::Notice(Notice::Connected {
            run: SwitchRun(2),
            listen: Vec::new(),
        }));
        scenario.transcript();
        let answer = reconciled(&scenario, &[("alice", Standing::Gone, None)]);
        scenario.feed(answer);
        assert_eq!(scenario.transcript(), "", "one offer at a time");
        if answered {
            scenario.refresh_answer = Some(200);
            let response = crate::wire::sip::Response {
                code: 200,
                reason: "OK".to_owned(),
                headers: Headers::new(),
                body: bytes::Bytes::new(),
            };
            scenario.feed(Input::Outcome {
                request,
                code: 200,
                response: Some(Box::new(response)),
                reached: None,
            });
            scenario.pass(3);
            assert_eq!(
                scenario.transcript(),
                "! admit alice\n< INVITE alice\n! amend alice"
            );
            scenario.pass(40);
            assert_eq!(scenario.focus.counts().participants, 1);
        } else {
            scenario.pass(30);
            assert_eq!(scenario.focus.counts().participants, 0);
            assert!(scenario.transcript().contains("< BYE alice"));
        }
    }
}
