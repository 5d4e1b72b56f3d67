//! The conference event package.

use super::*;

#[test]
fn e04_e05_first_notify_is_full_and_at_once() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.transcript();
    scenario.watch("alice", ROOM);
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n< NOTIFY alice active full v1 (alice=+)"
    );
    let document = &scenario.rosters["alice"];
    assert!(document.description.is_some());
    assert_eq!(document.entity, ROOM);
}

#[test]
fn e06_e07_versions_count_per_subscription_and_deltas_are_partial() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    scenario.pass(10);
    scenario.join("bob", ROOM);
    scenario.watch("bob", ROOM);
    scenario.pass(10);
    scenario.transcript();
    scenario.join("carol", ROOM);
    scenario.pass(10);
    assert_eq!(
        scenario.transcript(),
        "! admit carol\n< 200 carol OK\n\
         < NOTIFY alice active partial v3 (carol=+)\n\
         < NOTIFY bob active partial v2 (carol=+)"
    );
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+ carol=+");
    assert_eq!(users(&scenario.rosters["bob"]), "alice=+ bob=+ carol=+");
}

#[test]
fn e11_a_burst_of_joins_is_one_delta() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    for user in ["bob", "carol", "dave"] {
        scenario.join(user, ROOM);
        scenario.pass(1);
    }
    scenario.transcript();
    scenario.pass(3);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice active partial v2 (bob=+ carol=+ dave=+)"
    );
}

#[test]
fn never_two_notifies_in_flight() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.notify_answer = None;
    scenario.watch("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.transcript();
    scenario.pass(30);
    assert_eq!(scenario.transcript(), "");
    let first = scenario.sent.back().expect("the NOTIFY").id;
    scenario.feed(Input::Outcome {
        reached: None,
        request: first,
        code: 200,
        response: None,
    });
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice active partial v2 (bob=+)"
    );
}

#[test]
fn e33_answers_that_end_the_subscription() {
    for code in [481, 489, 408] {
        let mut scenario = Scenario::new();
        scenario.join("alice", ROOM);
        scenario.notify_answer = Some(code);
        scenario.watch("alice", ROOM);
        assert_eq!(scenario.focus.counts().subscriptions, 0, "{code}");
    }
}

#[test]
fn a_lost_document_is_followed_by_a_full_one() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    scenario.pass(10);
    scenario.notify_answer = Some(500);
    scenario.join("bob", ROOM);
    scenario.notify_answer = Some(200);
    scenario.transcript();
    scenario.pass(5);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice active full v3 (alice=+ bob=+)"
    );
}

#[test]
fn silent_subscribers_are_dropped() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.notify_answer = None;
    scenario.watch("alice", ROOM);
    scenario.pass(61);
    assert_eq!(scenario.focus.counts().subscriptions, 0);
    assert_eq!(scenario.focus.counts().requests, 0);
}

#[test]
fn refresh_is_answered_with_everything() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    let mut watcher = scenario.watch("alice", ROOM);
    scenario.pass(5);
    scenario.transcript();
    let headers = [("Event", "conference"), ("Expires", "600")];
    assert_eq!(
        scenario.request(&mut watcher, "SUBSCRIBE", ROOM, &headers, ""),
        Some(200)
    );
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n< NOTIFY alice active full v2 (alice=+)"
    );
    let notify = scenario.sent.back().expect("the NOTIFY");
    let state = notify.headers.first("Subscription-State");
    assert_eq!(state, Some("active;expires=600"), "E32");
}

#[test]
fn e35_expiry_is_told() {
    let mut scenario = Scenario::new();
    scenario.watch("alice", "sip:hall@example.com");
    scenario.transcript();
    scenario.pass(3600);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice terminated;timeout full v2 ()"
    );
    assert_eq!(scenario.focus.counts().subscriptions, 0);
}

#[test]
fn zero_is_a_fetch() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.transcript();
    let mut phone = scenario.phone("alice");
    let headers = [("Event", "conference"), ("Expires", "0")];
    assert_eq!(
        scenario.request(&mut phone, "SUBSCRIBE", ROOM, &headers, ""),
        Some(200)
    );
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n< NOTIFY alice terminated;timeout full v1 (alice=+)"
    );
    assert_eq!(scenario.focus.counts().subscriptions, 0);
}

fn subscribe(headers: &[(&str, &str)]) -> Reply {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let room = "sip:hall@example.com";
    let transaction = scenario.begin(&mut phone, "SUBSCRIBE", room, headers, "");
    scenario.reply_to(transaction).expect("an answer").clone()
}

#[test]
fn e30_refused_subscriptions() {
    let reply = subscribe(&[("Event", "presence")]);
    assert_eq!(reply.code, 489);
    assert_eq!(
        reply.headers.first("Allow-Events"),
        Some("conference, refer")
    );
    assert_eq!(subscribe(&[]).code, 489);
    let reply = subscribe(&[("Event", "conference"), ("Expires", "59")]);
    assert_eq!(reply.code, 423);
    assert_eq!(reply.headers.first("Min-Expires"), Some("60"));
    let reply = subscribe(&[("Event", "conference"), ("Accept", "text/plain")]);
    assert_eq!(reply.code, 406, "E01");
    let reply = subscribe(&[("Event", "conference"), ("Expires", "soon")]);
    assert_eq!(reply.code, 400);
}

#[test]
fn e30_expires_shrinks_and_never_grows() {
    let granted = |expires| {
        let reply = subscribe(&[("Event", "conference"), ("Expires", expires)]);
        reply.headers.first("Expires").map(str::to_owned)
    };
    assert_eq!(granted("86400").as_deref(), Some("3600"));
    assert_eq!(granted("61").as_deref(), Some("61"));
}

#[test]
fn unknown_rooms_cannot_be_watched_configured_ones_can() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let headers = [("Event", "conference")];
    assert_eq!(
        scenario.request(&mut phone, "SUBSCRIBE", ROOM, &headers, ""),
        Some(404)
    );
    scenario.transcript();
    let mut watcher = scenario.watch("alice", "sip:hall@example.com");
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n< NOTIFY alice active full v1 ()"
    );
    let headers = [("Event", "conference"), ("Expires", "0")];
    scenario.request(
        &mut watcher,
        "SUBSCRIBE",
        "sip:hall@example.com",
        &headers,
        "",
    );
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn e02_the_end_of_an_adhoc_room_is_told() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.watch("bob", ROOM);
    scenario.transcript();
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    assert_eq!(
        scenario.transcript(),
        "< 200 alice OK\n! expel alice\n\
         ! close lobby\n< NOTIFY bob terminated;noresource deleted v2 ()"
    );
}

#[test]
fn blink_gets_full_documents_only() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    let mut phone = scenario.phone("alice");
    let headers = [("Event", "conference"), ("User-Agent", "Blink 5.0")];
    scenario.request(&mut phone, "SUBSCRIBE", ROOM, &headers, "");
    scenario.pass(10);
    let mut bob = scenario.join("bob", ROOM);
    scenario.pass(10);
    scenario.transcript();
    scenario.request(&mut bob, "BYE", ROOM, &[], "");
    scenario.pass(60);
    assert_eq!(
        scenario.transcript(),
        "< 200 bob OK\n! expel bob\n< NOTIFY alice active full v3 (alice=+)"
    );
}

#[test]
fn e34_subscribe_inside_the_invite_dialog_403() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    let headers = [("Event", "conference")];
    assert_eq!(
        scenario.request(&mut alice, "SUBSCRIBE", ROOM, &headers, ""),
        Some(403)
    );
}

#[test]
fn g68_nicknames_stand_in_the_roster() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    scenario.pass(10);
    scenario.nickname(ROOM, "sip:alice@example.com", "Al");
    scenario.pass(5);
    let roster = &scenario.rosters["alice"];
    let user = &roster.users.as_ref().expect("users").users[0];
    assert_eq!(user.nickname.as_deref(), Some("Al"));
    assert_eq!(user.display_text.as_deref(), Some("Al"));
}

#[test]
fn e09_a_second_device_comes_and_goes() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    scenario.pass(10);
    let mut second = scenario.join("alice", ROOM);
    scenario.pass(10);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=++");
    scenario.request(&mut second, "BYE", ROOM, &[], "");
    scenario.pass(10);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+");
}

#[test]
fn e09_who_returns_at_once_is_not_deleted() {
    let mut scenario = Scenario::new();
    scenario.join("alice", ROOM);
    scenario.watch("alice", ROOM);
    let mut bob = scenario.join("bob", ROOM);
    scenario.pass(10);
    scenario.request(&mut bob, "BYE", ROOM, &[], "");
    scenario.join("bob", ROOM);
    scenario.pass(30);
    assert_eq!(users(&scenario.rosters["alice"]), "alice=+ bob=+");
}
