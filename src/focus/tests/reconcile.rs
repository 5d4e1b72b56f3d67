//! The switch went out of sight and is back.

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
