//! Subscriptions according to RFC 6665 and 6446.

use super::*;

const HALL: &str = "sip:hall@example.com";
const CONFERENCE: (&str, &str) = ("Event", "conference");

/// Subscribes to a permanent room and returns the answer.
fn subscribe(scenario: &mut Scenario, phone: &mut Phone, headers: &[(&str, &str)]) -> Reply {
    let transaction = scenario.begin(phone, "SUBSCRIBE", HALL, headers, "");
    let reply = scenario.reply_to(transaction).expect("an answer").clone();
    if reply.code == 200 {
        phone.to_tag.clone_from(&reply.to_tag);
    }
    reply
}

fn watcher(event: &str) -> (Scenario, Phone) {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let reply = subscribe(&mut scenario, &mut phone, &[("Event", event)]);
    assert_eq!(reply.code, 200);
    (scenario, phone)
}

/// A header of the last NOTIFY.
fn notified<'a>(scenario: &'a Scenario, header: &str) -> &'a str {
    let notify = scenario
        .sent
        .iter()
        .rev()
        .find(|sent| sent.method == Method::Notify);
    notify
        .and_then(|sent| sent.headers.first(header))
        .unwrap_or_default()
}

/// Seconds between the NOTIFYs of the next `seconds`, while one participant a second joins.
fn pace(scenario: &mut Scenario, seconds: u64) -> Vec<u64> {
    let mut at = Vec::new();
    for second in 0..seconds {
        let before = scenario.sent.len();
        change(scenario);
        scenario.pass(1);
        let notifies = scenario
            .sent
            .iter()
            .skip(before)
            .filter(|s| s.method == Method::Notify);
        at.extend(notifies.map(|_| second));
    }
    at.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Feeds an outcome with headers for the last NOTIFY.
fn outcome(scenario: &mut Scenario, code: u16, headers: Headers) {
    let notify = scenario.sent.back().expect("a NOTIFY");
    assert_eq!(notify.method, Method::Notify);
    let response = Response {
        code,
        reason: String::new(),
        headers,
        body: bytes::Bytes::new(),
    };
    scenario.feed(Input::Outcome {
        reached: None,
        request: notify.id,
        code,
        response: Some(Box::new(response)),
    });
}

/// A change that subscribers must see.
fn change(scenario: &mut Scenario) {
    let room = RoomUri::new(HALL);
    let conference = scenario.focus.rooms.conference_mut(&room);
    conference.expect("a conference").change();
    let now = scenario.now;
    scenario.focus.conference_changed(now, &room);
    scenario.pass(0);
}

#[test]
fn e01_accept_must_list_the_type() {
    for (accept, code) in [
        ("application/conference-info+xml", 200),
        ("text/plain, Application/Conference-Info+XML;q=0.5", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("application/pidf+xml", 406),
        ("text/*", 406),
    ] {
        let mut scenario = Scenario::new();
        let mut phone = scenario.phone("alice");
        let reply = subscribe(&mut scenario, &mut phone, &[CONFERENCE, ("Accept", accept)]);
        assert_eq!(reply.code, code, "{accept}");
    }
    let (scenario, _) = watcher("conference");
    assert_eq!(
        notified(&scenario, "Content-Type"),
        "application/conference-info+xml"
    );
}

#[test]
fn e02_an_hour_unless_asked_otherwise() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let reply = subscribe(&mut scenario, &mut phone, &[CONFERENCE]);
    assert_eq!(reply.headers.first("Expires"), Some("3600"));
}

#[test]
fn e03_who_may_watch() {
    let mut scenario = Scenario::with(Config {
        rooms: vec![
            RoomRules {
                subscribe_participants_only: true,
                ..RoomRules::default()
            }
            .of(RoomUri::new(HALL)),
            RoomRules {
                deny: vec![Pattern::new("mallory@example.com")],
                allow: vec![Pattern::new("*@example.com")],
                ..RoomRules::default()
            }
            .of(RoomUri::new(ROOM)),
        ],
        ..config()
    });
    let mut ask = |user: &str, room: &str, domain: &'static str| {
        let mut phone = scenario.phone(user);
        phone.domain = domain;
        scenario.request(&mut phone, "SUBSCRIBE", room, &[CONFERENCE], "")
    };
    assert_eq!(ask("alice", HALL, "example.com"), Some(403));
    assert_eq!(ask("alice", ROOM, "example.com"), Some(200));
    assert_eq!(ask("mallory", ROOM, "example.com"), Some(403));
    assert_eq!(ask("alice", ROOM, "example.org"), Some(403));
    let mut alice = scenario.join("alice", HALL);
    let mut subscription = scenario.phone("alice");
    assert_eq!(
        subscribe(&mut scenario, &mut subscription, &[CONFERENCE]).code,
        200
    );
    scenario.transcript();
    scenario.request(&mut alice, "BYE", HALL, &[], "");
    let transcript = scenario.transcript();
    assert!(
        transcript.ends_with("< NOTIFY alice terminated;rejected without a document"),
        "E35, and nothing more is told: {transcript}"
    );
    assert_eq!(
        subscribe(&mut scenario, &mut subscription, &[CONFERENCE]).code,
        481
    );
}

#[test]
fn e04_refresh_and_fetch_are_answered_at_once_and_full() {
    let (mut scenario, mut phone) = watcher("conference");
    for _ in 0..3 {
        scenario.pass(5);
        scenario.transcript();
        subscribe(&mut scenario, &mut phone, &[CONFERENCE]);
        assert!(
            scenario.transcript().contains("active full"),
            "within the same second"
        );
    }
    let mut fetch = scenario.phone("bob");
    subscribe(&mut scenario, &mut fetch, &[CONFERENCE, ("Expires", "0")]);
    assert!(
        scenario
            .transcript()
            .contains("NOTIFY bob terminated;timeout full v1")
    );
}

/// Number of NOTIFYs in the next seconds.
fn notifies(scenario: &mut Scenario, seconds: u64) -> usize {
    scenario.pass(seconds);
    scenario.transcript().matches("< NOTIFY").count()
}

#[test]
fn e04_a_whole_roster_is_not_had_faster_by_asking_more_often() {
    let (mut scenario, mut phone) = watcher("conference");
    assert_eq!(notifies(&mut scenario, 0), 1);
    for _ in 0..20 {
        assert_eq!(
            subscribe(&mut scenario, &mut phone, &[CONFERENCE]).code,
            200
        );
    }
    assert_eq!(notifies(&mut scenario, 4), 0);
    scenario.pass(1);
    let transcript = scenario.transcript();
    assert_eq!(transcript, "< NOTIFY alice active full v2 ()");
    assert_eq!(notifies(&mut scenario, 60), 0, "one for all of them");
}

#[test]
fn e04_fetches_of_one_user_have_a_pace() {
    let mut scenario = Scenario::new();
    let mut host = scenario.join("host", HALL);
    let fetch = [CONFERENCE, ("Expires", "0")];
    let mut granted = 0;
    for _ in 0..40 {
        let mut phone = scenario.phone("alice");
        granted += usize::from(subscribe(&mut scenario, &mut phone, &fetch).code == 200);
    }
    assert_eq!(
        granted, 40,
        "those that wait are less than one user may have"
    );
    assert_eq!(notifies(&mut scenario, 0), 8);
    assert_eq!(notifies(&mut scenario, 5), 8);
    // A user with few requests does not wait for the others.
    let mut bob = scenario.phone("bob");
    subscribe(&mut scenario, &mut bob, &fetch);
    assert_eq!(notifies(&mut scenario, 0), 1);
    assert_eq!(notifies(&mut scenario, 60), 24);
    scenario.request(&mut host, "BYE", HALL, &[], "");
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn e03_the_watchers_of_a_room_are_bounded() {
    use crate::focus::room::permission::MAX_WATCHERS;
    let mut scenario = Scenario::new();
    scenario.join("alice", HALL);
    scenario.takes_turns = false;
    let users = MAX_WATCHERS / 20;
    for number in 0..MAX_WATCHERS {
        let mut phone = scenario.phone(&format!("w{}", number % users));
        assert_eq!(
            subscribe(&mut scenario, &mut phone, &[CONFERENCE]).code,
            200
        );
    }
    let refused = scenario.focus.totals().refused;
    let mut late = scenario.phone("late");
    let reply = subscribe(&mut scenario, &mut late, &[CONFERENCE]);
    assert_eq!(reply.code, 486);
    assert_eq!(reply.headers.first("Retry-After"), Some("10"));
    assert_eq!(scenario.focus.totals().refused, refused + 1);
    let mut alice = scenario.phone("alice");
    let reply = subscribe(&mut scenario, &mut alice, &[CONFERENCE]);
    assert_eq!(reply.code, 200, "strangers keep no participant out");
}

/// The second NOTIFY of subscribers when a user joins a room of `users`, by User-Agent and
/// Last-Notify-Version.
fn second_documents(users: usize) -> String {
    let mut scenario = Scenario::with(Config {
        full_notify_limit: 20,
        ..config()
    });
    for user in 1..users {
        scenario.join(&format!("u{user}"), ROOM);
    }
    for (user, header) in [
        ("anybody", ("User-Agent", "phone")),
        ("counting", ("Last-Notify-Version", "0")),
        ("plain", ("User-Agent", "Blink")),
    ] {
        let mut phone = scenario.phone(user);
        scenario.request(&mut phone, "SUBSCRIBE", ROOM, &[CONFERENCE, header], "");
    }
    scenario.pass(10);
    scenario.transcript();
    scenario.join("last", ROOM);
    scenario.pass(10);
    let transcript = scenario.transcript();
    let notifies = transcript.lines().filter(|line| line.contains("NOTIFY"));
    let kinds = notifies.map(|line| {
        let mut words = line.split(' ').skip(2);
        let user = words.next().unwrap_or_default();
        format!("{user} {}", words.nth(1).unwrap_or_default())
    });
    kinds.collect::<Vec<_>>().join(", ")
}

#[test]
fn e08_small_rooms_are_told_in_full_to_clients_that_may_not_merge() {
    let small = "anybody full, counting partial, plain full";
    assert_eq!(second_documents(20), small);
    let large = "anybody partial, counting partial, plain full";
    assert_eq!(second_documents(21), large);
}

#[test]
fn e09_a_second_subscription_starts_its_own_count() {
    let (mut scenario, _) = watcher("conference");
    scenario.transcript();
    scenario.rosters.remove("alice");
    let mut again = scenario.phone("alice");
    subscribe(&mut scenario, &mut again, &[CONFERENCE]);
    assert!(
        scenario
            .transcript()
            .contains("NOTIFY alice active full v1")
    );
    assert_eq!(scenario.focus.counts().subscriptions, 2);
}

#[test]
fn e11_nobody_is_told_faster_than_the_interval() {
    let (mut scenario, _) = watcher("conference");
    assert!(pace(&mut scenario, 40).iter().all(|gap| *gap == 5));
}

#[test]
fn e11_max_rate_is_kept_and_reflected() {
    let (mut scenario, mut phone) = watcher("conference;max-rate=0.05");
    assert_eq!(
        notified(&scenario, "Subscription-State"),
        "active;expires=3600;max-rate=0.05"
    );
    assert_eq!(
        notified(&scenario, "Event"),
        "conference",
        "rates belong elsewhere"
    );
    let gaps = pace(&mut scenario, 70);
    assert!(
        !gaps.is_empty() && gaps.iter().all(|gap| *gap == 20),
        "{gaps:?}"
    );
    // A SUBSCRIBE is exempt, and one without rates removes them.
    scenario.transcript();
    subscribe(&mut scenario, &mut phone, &[CONFERENCE]);
    assert!(scenario.transcript().contains("active full"));
    assert_eq!(
        notified(&scenario, "Subscription-State"),
        "active;expires=3600"
    );
    assert!(pace(&mut scenario, 30).iter().all(|gap| *gap == 5));
}

#[test]
fn e11_min_rate_notifies_though_nothing_has_changed() {
    let (mut scenario, _) = watcher("conference;min-rate=0.1");
    scenario.pass(1);
    scenario.transcript();
    scenario.pass(30);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice active partial v2 ()\n\
         < NOTIFY alice active partial v3 ()\n\
         < NOTIFY alice active partial v4 ()"
    );
    assert!(notified(&scenario, "Subscription-State").ends_with(";min-rate=0.1"));
}

#[test]
fn e11_adaptive_min_rate_notifies_though_nothing_has_changed() {
    let (mut scenario, _) = watcher("conference;adaptive-min-rate=0.1");
    scenario.transcript();
    scenario.pass(300);
    let notifies = scenario.transcript().matches("partial").count();
    assert!(
        (25..=35).contains(&notifies),
        "{notifies} in 300 s at 0.1/s"
    );
}

#[test]
fn e11_the_answer_to_a_notify_changes_the_rates() {
    let (mut scenario, _) = watcher("conference;max-rate=0.05");
    scenario.notify_answer = None;
    scenario.pass(20);
    change(&mut scenario);
    let headers = Headers::new().with("Event", "conference;max-rate=0.1");
    outcome(&mut scenario, 200, headers);
    scenario.pass(10);
    change(&mut scenario);
    assert!(notified(&scenario, "Subscription-State").ends_with(";max-rate=0.1"));
}

#[test]
fn e20_one_subscribe_over_two_ways_is_one_subscription() {
    let (mut scenario, phone) = watcher("conference");
    let mut fork = phone.clone();
    fork.cseq -= 1;
    fork.to_tag = None;
    fork.via = "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK2";
    assert_eq!(subscribe(&mut scenario, &mut fork, &[CONFERENCE]).code, 482);
    assert_eq!(scenario.focus.counts().subscriptions, 1);
}

#[test]
fn e21_who_subscribed_over_tls_is_notified_over_tls() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    phone.transport = "tls";
    subscribe(&mut scenario, &mut phone, &[CONFERENCE]);
    let notify = scenario.sent.back().expect("a NOTIFY");
    assert_eq!(notify.socket.transport, "tls");
    assert!(notified(&scenario, "Contact").contains(";transport=tls>"));
}

#[test]
fn e22_with_the_room_every_dialog_ends() {
    let mut scenario = Scenario::new();
    for user in ["alice", "bob", "carol"] {
        scenario.join(user, ROOM);
        scenario.watch(user, ROOM);
    }
    assert_eq!(scenario.focus.counts().dialogs, 6);
    let now = scenario.now;
    scenario.focus.dismiss_all(now, &RoomUri::new(ROOM));
    scenario.pass(1);
    assert_eq!(scenario.focus.counts(), Counts::default());
    let transcript = scenario.transcript();
    assert_eq!(transcript.matches("< BYE").count(), 3);
    assert_eq!(
        transcript.matches("terminated;noresource").count(),
        3,
        "{transcript}"
    );
}

#[test]
fn e30_other_packages_489_short_ones_423_in_the_dialog_too() {
    let (mut scenario, mut phone) = watcher("conference");
    let reply = subscribe(&mut scenario, &mut phone, &[("Event", "presence")]);
    assert_eq!(reply.code, 489);
    let allow = reply.headers.first("Allow-Events").unwrap_or_default();
    assert!(allow.split(", ").any(|package| package == "conference"));
    let reply = subscribe(&mut scenario, &mut phone, &[CONFERENCE, ("Expires", "1")]);
    assert_eq!(reply.code, 423);
    assert_eq!(
        scenario.focus.counts().subscriptions,
        1,
        "it goes on as it was"
    );
}

#[test]
fn e30_an_id_is_echoed_and_names_the_only_subscription_of_its_dialog() {
    let (mut scenario, mut phone) = watcher("conference;id=7");
    assert_eq!(notified(&scenario, "Event"), "conference;id=7");
    assert_eq!(
        subscribe(&mut scenario, &mut phone, &[("Event", "conference;id=8")]).code,
        403
    );
    assert_eq!(
        subscribe(&mut scenario, &mut phone, &[CONFERENCE]).code,
        403
    );
    assert_eq!(
        subscribe(&mut scenario, &mut phone, &[("Event", "conference;id=7")]).code,
        200
    );
}

#[test]
fn e31_never_202() {
    let (mut scenario, mut phone) = watcher("conference");
    assert_eq!(
        subscribe(&mut scenario, &mut phone, &[CONFERENCE]).code,
        200
    );
    assert_eq!(
        subscribe(&mut scenario, &mut phone, &[CONFERENCE, ("Expires", "0")]).code,
        200
    );
    assert!(!scenario.transcript().contains("202"));
}

#[test]
fn e33_every_code_that_ends_a_subscription() {
    let listed = [
        404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604,
    ];
    for code in 300..700 {
        let (mut scenario, _) = watcher("conference");
        scenario.notify_answer = Some(code);
        scenario.pass(6);
        change(&mut scenario);
        scenario.documents.clear();
        let left = scenario.focus.counts().subscriptions;
        assert_eq!(left == 0, listed.contains(&code), "{code}");
    }
}

#[test]
fn e33_who_refuses_for_ever_is_given_up() {
    let (mut scenario, _) = watcher("conference");
    scenario.pass(10);
    scenario.transcript();
    scenario.notify_answer = Some(500);
    change(&mut scenario);
    scenario.pass(600);
    assert_eq!(scenario.focus.counts().subscriptions, 0);
    assert_eq!(scenario.transcript().matches("NOTIFY").count(), 5);
}

#[test]
fn e33_retry_after_is_waited_for() {
    let (mut scenario, _) = watcher("conference");
    scenario.pass(10);
    scenario.notify_answer = None;
    change(&mut scenario);
    outcome(
        &mut scenario,
        503,
        Headers::new().with("Retry-After", "60 (maintenance)"),
    );
    scenario.transcript();
    scenario.notify_answer = Some(200);
    change(&mut scenario);
    scenario.pass(59);
    assert_eq!(scenario.transcript(), "");
    scenario.pass(2);
    assert_eq!(
        scenario.transcript(),
        "< NOTIFY alice active full v3 ()",
        "what was lost"
    );
}

#[test]
fn e36_allow_events_wherever_dialogs_begin() {
    let mut scenario = Scenario::new();
    for (method, body) in [
        ("INVITE", offer("alice").as_str()),
        ("SUBSCRIBE", ""),
        ("OPTIONS", ""),
    ] {
        let mut phone = scenario.phone("alice");
        let transaction = scenario.begin(&mut phone, method, HALL, &[CONFERENCE], body);
        let reply = scenario.reply_to(transaction).expect("an answer");
        let events = reply.headers.first("Allow-Events").unwrap_or_default();
        assert!(events.contains("conference"), "{method}: {events:?}");
    }
}

#[test]
fn e37_the_answer_comes_before_the_notify() {
    let (mut scenario, _) = watcher("conference");
    let transcript = scenario.transcript();
    assert!(
        transcript.starts_with("< 200 alice OK\n< NOTIFY alice"),
        "{transcript}"
    );
}

#[test]
fn e38_cancel_of_a_subscribe_changes_nothing() {
    let mut scenario = Scenario::new();
    let mut phone = scenario.phone("alice");
    let transaction = scenario.begin(&mut phone, "SUBSCRIBE", HALL, &[CONFERENCE], "");
    scenario.feed(Input::Cancel(transaction));
    assert_eq!(
        scenario.reply_to(transaction).map(|reply| reply.code),
        Some(200)
    );
    // Also when it overtakes the SUBSCRIBE.
    let coming = TransactionId {
        hash: 1,
        label: transaction.label + 2,
    };
    scenario.feed(Input::Cancel(coming));
    let mut other = scenario.phone("bob");
    let transaction = scenario.begin(&mut other, "SUBSCRIBE", HALL, &[CONFERENCE], "");
    assert_eq!(transaction, coming);
    assert_eq!(
        scenario.reply_to(transaction).map(|reply| reply.code),
        Some(200)
    );
    assert_eq!(scenario.focus.counts().subscriptions, 2);
}

#[test]
fn e35_silence_and_expiry_leave_nothing() {
    let (mut scenario, _) = watcher("conference");
    scenario.notify_answer = None;
    change(&mut scenario);
    scenario.pass(4000);
    assert_eq!(scenario.focus.counts(), Counts::default());
    assert_eq!(scenario.focus.deadline(), None);
}

#[test]
fn the_answer_to_a_notify_refreshes_the_target() {
    let (mut scenario, _) = watcher("conference");
    scenario.notify_answer = None;
    scenario.pass(20);
    change(&mut scenario);
    let moved = "sip:alice@192.0.2.77:5099";
    let headers = Headers::new().with("Contact", format!("<{moved}>"));
    outcome(&mut scenario, 200, headers);
    scenario.pass(10);
    change(&mut scenario);
    let last = scenario.sent.back().expect("a NOTIFY");
    assert_eq!(last.request_uri, moved);
}
