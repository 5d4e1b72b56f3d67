//! Both ends in one process.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use msrp_conference::control::{
    AdmitError, Listen, LossCause, Notice, Order, RoomUri, Standing, SwitchRun, Transport,
};
use msrp_conference::counters::Totals;
use msrp_conference::remote::{SwitchHello, ToFocus, check_listeners, encode, preamble};

use crate::harness::PATIENCE;
use crate::harness::proxy::wait_until;
use crate::member::{Member, admission, admit, room, session};
use crate::stage::{Focus, Folder, Outside};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn the_focus_drives_it_as_it_drives_the_embedded_one() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::start(&folder.socket());
    assert_eq!(focus.connected(), SwitchRun(1));
    let alice = focus.join(outside.msrp, "alice");
    let bob = focus.join(outside.msrp, "bob");
    alice.say("hello");
    bob.hears("hello");
    alice.nickname_while("Al", || {
        let notice = focus.notice();
        let Notice::Nickname {
            room,
            nickname,
            change,
            ..
        } = notice
        else {
            panic!("{notice:?} instead of Nickname");
        };
        assert_eq!(nickname.as_deref(), Some("Al"));
        focus.order(Order::Kept { room, change });
    });
    alice.link.close();
    let lost = Notice::Lost {
        room: room(),
        session: session("alice"),
        cause: LossCause::Disconnected,
    };
    assert_eq!(focus.notice(), lost);
    focus.order(Order::Expel {
        room: room(),
        session: session("bob"),
    });
    assert!(bob.link.is_closed(PATIENCE));
    let counted = wait_until(PATIENCE, || {
        let totals = focus.totals();
        (totals.messages_in, totals.messages_out, totals.sessions) == (1, 1, 0)
    });
    assert!(counted, "{:?}", focus.totals());
}

#[test]
fn flow4_talk_goes_on_without_a_focus_and_a_new_one_learns_what_it_missed() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(outside.msrp, "alice");
    let bob = focus.join(outside.msrp, "bob");
    let carol = focus.join(outside.msrp, "carol");
    focus.order(admit(outside.msrp, "dave"));
    focus.notice();
    focus.order(admit(outside.msrp, "erin"));
    focus.notice();
    focus.stop();
    outside.logs("5 sessions go on");

    alice.say("anybody in charge?");
    bob.hears("anybody in charge?");
    carol.hears("anybody in charge?");
    alice.nickname("Al");
    carol.link.close();
    let _dave = Member::bind(outside.msrp, "dave");

    let focus = Focus::start(&folder.socket());
    assert_eq!(focus.connected(), SwitchRun(1));
    // Nothing shows when the switch has noticed carol's loss, so ask until it has.
    let gone = |stands: &[(String, Standing, Option<String>)]| {
        stands
            .iter()
            .any(|(name, standing, _)| name == "carol" && *standing == Standing::Gone)
    };
    let everybody = ["alice", "bob", "carol", "dave", "erin", "frank"];
    let mut stands = Vec::new();
    let told = wait_until(PATIENCE, || {
        stands = focus.reconcile(&everybody);
        gone(&stands)
    });
    assert!(told, "{stands:?}");
    let bound = |name: &str, nickname: Option<&str>| {
        (
            name.to_owned(),
            Standing::Bound,
            nickname.map(str::to_owned),
        )
    };
    assert_eq!(
        stands,
        [
            bound("alice", Some("Al")),
            bound("bob", None),
            ("carol".to_owned(), Standing::Gone, None),
            bound("dave", None),
            ("erin".to_owned(), Standing::Waiting, None),
            ("frank".to_owned(), Standing::Gone, None),
        ]
    );
    bob.say("welcome back");
    alice.hears("welcome back");
}

#[test]
fn what_no_focus_claims_ends_and_what_one_claims_stays() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, Duration::from_secs(4));
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(outside.msrp, "alice");
    let bob = focus.join(outside.msrp, "bob");
    focus.stop();
    let focus = Focus::connect(&folder.socket());
    // Not the last part of the list: bob is not given up at once.
    focus.order(Order::Reconcile {
        room: room(),
        sessions: vec![session("alice")],
        last: false,
    });
    assert!(matches!(focus.notice(), Notice::Reconciled { .. }));
    assert_eq!(bob.send_empty(), "200");
    assert!(bob.link.is_closed(PATIENCE), "bob is nobody's");
    assert_eq!(alice.send_empty(), "200");
    let counted = wait_until(PATIENCE, || focus.totals().sessions == 1);
    assert!(counted, "{:?}", focus.totals());
}

#[test]
fn a_complete_list_ends_the_rest_of_the_room_at_once() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(outside.msrp, "alice");
    let bob = focus.join(outside.msrp, "bob");
    focus.stop();
    let focus = Focus::connect(&folder.socket());
    focus.reconcile(&["alice"]);
    assert!(bob.link.is_closed(PATIENCE));
    assert_eq!(alice.send_empty(), "200");
}

#[test]
fn a_second_focus_is_refused_until_the_first_has_gone() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let first = Focus::connect(&folder.socket());
    let second = Focus::start(&folder.socket());
    second.logs("another focus, process");
    outside.logs("a second focus, process");
    second.order(admit(outside.msrp, "mallory"));
    let refused = Notice::Refused {
        room: room(),
        session: session("mallory"),
        error: AdmitError::Unreachable,
    };
    assert_eq!(second.notice(), refused);
    let _alice = first.join(outside.msrp, "alice");
    first.stop();
    assert_eq!(second.connected(), SwitchRun(1));
    second.join(outside.msrp, "bob");
}

#[test]
fn without_a_switch_admissions_are_refused_at_once_and_said_once() {
    let folder = Folder::new();
    let focus = Focus::start(&folder.socket());
    focus.logs("trying again and again");
    let nowhere = "127.0.0.1:9".parse().unwrap();
    for name in ["alice", "bob"] {
        focus.order(admit(nowhere, name));
        let refused = Notice::Refused {
            room: room(),
            session: session(name),
            error: AdmitError::Unreachable,
        };
        assert_eq!(focus.notice(), refused);
    }
    let outside = Outside::start(&folder.socket(), 1, LONG);
    focus.connected();
    let line = focus.log.recv_timeout(PATIENCE).expect("a line");
    assert!(
        line.text.contains("drives the switch"),
        "one line, not one an attempt: {line:?}"
    );
    focus.join(outside.msrp, "carol");
}

#[test]
fn another_run_of_the_switch_has_nobody() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(outside.msrp, "alice");
    alice.say("to nobody");
    assert!(wait_until(PATIENCE, || focus.totals().messages_in == 1));
    drop(outside);
    let until_disconnected = |focus: &Focus| {
        while focus.notice() != Notice::Disconnected {}
    };
    until_disconnected(&focus);
    let outside = Outside::start(&folder.socket(), 2, LONG);
    assert_eq!(focus.connected(), SwitchRun(2));
    assert_eq!(
        focus.reconcile(&["alice"]),
        [("alice".to_owned(), Standing::Gone, None)]
    );
    let alice = focus.join(outside.msrp, "alice");
    alice.say("again");
    let counted = wait_until(PATIENCE, || focus.totals().messages_in == 2);
    assert!(counted, "counters of both runs: {:?}", focus.totals());
}

/// Lets another focus do this while the switch lives on where that focus does not find it.
fn out_of_reach(folder: &Folder, focus: Focus, then: impl FnOnce(&Focus)) -> Focus {
    let hidden = folder.path().join("hidden");
    std::fs::rename(folder.socket(), &hidden).unwrap();
    focus.stop();
    let focus = Focus::start(&folder.socket());
    focus.logs("trying again and again");
    then(&focus);
    std::fs::rename(&hidden, folder.socket()).unwrap();
    focus.connected();
    focus
}

#[test]
fn a_room_that_ended_without_a_switch_is_closed_when_it_is_back() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(outside.msrp, "alice");
    let focus = out_of_reach(&folder, focus, |focus| {
        focus.order(Order::Close { room: room() });
    });
    assert!(alice.link.is_closed(PATIENCE));
    focus.join(outside.msrp, "bob").say("into a new conference");
}

#[test]
fn an_amendment_made_without_a_switch_reaches_it_first_of_all() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let _alice = focus.join(outside.msrp, "alice");
    let mut moved = admission(outside.msrp, "alice");
    moved.peer.path = vec!["msrp://127.0.0.1:10/elsewhere;tcp".to_owned()];
    let focus = out_of_reach(&folder, focus, |focus| focus.order(Order::Amend(moved)));
    assert_eq!(
        focus.reconcile(&["alice"]),
        [("alice".to_owned(), Standing::Waiting, None)],
        "a new path waits for its connection"
    );
    let _alice = Member::bind_from(outside.msrp, "alice", "msrp://127.0.0.1:10/elsewhere;tcp");
}

#[test]
fn a_listener_the_switch_does_not_have_is_said() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let listen = |address: SocketAddr| Listen {
        transport: Transport::Tcp,
        address,
    };
    let (right, wrong) = (listen(outside.msrp), listen("127.0.0.1:9".parse().unwrap()));
    let secure = Listen {
        transport: Transport::Tls,
        ..right.clone()
    };
    let socket = folder.socket();
    let path = socket.display();
    for wrong in [wrong, secure] {
        let said = format!(
            "the parameter listen names {wrong}, but the switch at {path} listens at {right}"
        );
        let named = [right.clone(), wrong];
        let checked = check_listeners(&socket, &named).expect_err("contradicts");
        assert!(checked.starts_with(&said), "{checked}");
        // A query does not drive the switch.
        let focus = Focus::expecting(&socket, named.to_vec());
        focus.logs(&said);
        focus.stop();
        outside.logs("has gone (it stopped)");
    }
    assert_eq!(
        check_listeners(&socket, std::slice::from_ref(&right)),
        Ok(())
    );
    assert_eq!(
        check_listeners(&folder.path().join("nobody"), &[right]),
        Ok(())
    );
}

#[test]
fn the_greeting_says_where_the_switch_listens() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::start(&folder.socket());
    match focus.notice() {
        Notice::Connected { run, listen } => {
            assert_eq!(run, SwitchRun(1));
            let address = outside.msrp;
            let transport = Transport::Tcp;
            assert_eq!(listen, [Listen { transport, address }]);
        }
        other => panic!("{other:?} instead of Connected"),
    }
}

/// A switch that greets everybody and dies at once.
#[test]
fn a_switch_that_greets_and_dies_is_not_hurried_back_to() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.socket()).expect("a control socket");
    let focus = Focus::start(&folder.socket());
    let mut met = Vec::new();
    for _ in 0..5 {
        let (mut stream, _) = listener.accept().expect("the focus");
        met.push(Instant::now());
        let mut octets = preamble().to_vec();
        let hello = SwitchHello {
            run: SwitchRun(1),
            totals: Totals::default(),
            listen: Vec::new(),
        };
        encode(&ToFocus::Hello(hello), &mut octets).unwrap();
        stream.write_all(&octets).unwrap();
        focus.connected();
        drop(stream);
        assert_eq!(focus.notice(), Notice::Disconnected);
    }
    let (first, last) = (met[3] - met[2], met[4] - met[3]);
    assert!(first >= Duration::from_millis(400), "{first:?}");
    assert!(last >= Duration::from_millis(800), "{last:?}");
}

#[test]
fn a_room_of_many_is_reconciled_in_parts() {
    const MANY: usize = 1000;
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let names: Vec<String> = (0..MANY).map(|number| format!("user{number}")).collect();
    for name in &names {
        focus.order(admit(outside.msrp, name));
    }
    for _ in &names {
        assert!(matches!(focus.notice(), Notice::Admitted { .. }));
    }
    focus.stop();
    let focus = Focus::connect(&folder.socket());
    let sessions: Vec<_> = names.iter().map(|name| session(name)).collect();
    for order in Order::reconcile(&room(), &sessions) {
        focus.order(order);
    }
    let mut stands = Vec::new();
    while stands.len() < MANY {
        match focus.notice() {
            Notice::Reconciled { sessions, .. } => stands.extend(sessions),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        stands
            .iter()
            .all(|stand| stand.standing == Standing::Waiting)
    );
    let named: Vec<_> = stands.into_iter().map(|stand| stand.session).collect();
    assert_eq!(named, sessions);
}

#[test]
fn a_thousand_rooms_of_ten_are_reconciled() {
    const ROOMS: usize = 1000;
    const EACH: usize = 10;
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let uri = |number| RoomUri::new(format!("sip:room{number}@example.com"));
    let members = |number| -> Vec<_> {
        let name = |member| session(&format!("room{number}member{member}"));
        (0..EACH).map(name).collect()
    };
    for number in 0..ROOMS {
        for member in members(number) {
            let mut admission = admission(outside.msrp, member.as_str());
            admission.room = uri(number);
            focus.order(Order::Admit(admission));
        }
    }
    for _ in 0..ROOMS * EACH {
        assert!(matches!(focus.notice(), Notice::Admitted { .. }));
    }
    focus.stop();
    let focus = Focus::connect(&folder.socket());
    for number in 0..ROOMS {
        for order in Order::reconcile(&uri(number), &members(number)) {
            focus.order(order);
        }
    }
    let mut there = 0;
    for _ in 0..ROOMS {
        match focus.notice() {
            Notice::Reconciled { sessions, .. } => there += sessions.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(there, ROOMS * EACH);
}
