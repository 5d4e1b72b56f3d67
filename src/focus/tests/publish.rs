//! PUBLISH (RFC 3903, row F23).

use super::*;

const HALL: &str = "sip:hall@example.com";

/// A conference-info document of this room with these children.
fn document(children: &str) -> String {
    format!(
        "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"{ROOM}\" \
         state=\"full\" version=\"1\">{children}</conference-info>"
    )
}

fn user(uri: &str, name: &str) -> String {
    format!(
        "<users><user entity=\"{uri}\"><display-text>{name}</display-text>\
         <roles><entry>speaker</entry></roles><endpoint entity=\"{uri};x\">\
         <status>connected</status><call-info><sip><call-id>c</call-id><from-tag>f</from-tag>\
         <to-tag>t</to-tag></sip></call-info></endpoint></user></users>"
    )
}

fn note(name: &str) -> String {
    document(&user("sip:alice@example.com", name))
}

/// A room with its moderator host and the participant alice; outsider watches.
fn room() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.join("alice", ROOM);
    scenario.watch("outsider", ROOM);
    scenario.pass(10);
    scenario.transcript();
    scenario
}

fn publish(
    scenario: &mut Scenario,
    user: &str,
    tag: Option<&str>,
    expires: &str,
    body: &str,
) -> Reply {
    let mut headers = vec![("Event", "conference"), ("Expires", expires)];
    headers.extend(tag.map(|tag| ("SIP-If-Match", tag)));
    if !body.is_empty() {
        headers.push(("Content-Type", info::MEDIA_TYPE));
    }
    let mut phone = scenario.phone(user);
    let transaction = scenario.begin(&mut phone, "PUBLISH", ROOM, &headers, body);
    scenario.reply_to(transaction).expect("an answer").clone()
}

fn tag_of(reply: &Reply) -> String {
    assert_eq!(reply.code, 200);
    let tag = reply.headers.first("SIP-ETag").expect("an entity tag");
    tag.to_owned()
}

fn shown<'a>(scenario: &'a Scenario, entity: &str) -> Option<&'a info::User> {
    let users = scenario.rosters["outsider"].users.as_ref()?;
    users.users.iter().find(|user| user.entity == entity)
}

fn name_of_alice(scenario: &Scenario) -> Option<&str> {
    shown(scenario, "sip:alice@example.com")?
        .display_text
        .as_deref()
}

#[test]
fn f23_publish_refresh_modify_remove() {
    let mut scenario = room();
    let first = tag_of(&publish(
        &mut scenario,
        "alice",
        None,
        "600",
        &note("Alice (busy)"),
    ));
    scenario.pass(6);
    assert_eq!(name_of_alice(&scenario), Some("Alice (busy)"));
    scenario.transcript();

    let second = tag_of(&publish(&mut scenario, "alice", Some(&first), "600", ""));
    assert_ne!(first, second, "every success has a new tag");
    scenario.pass(10);
    assert!(
        !scenario.transcript().contains("NOTIFY"),
        "a refresh is no news"
    );
    assert_eq!(
        publish(&mut scenario, "alice", Some(&first), "600", "").code,
        412
    );

    let third = tag_of(&publish(
        &mut scenario,
        "alice",
        Some(&second),
        "600",
        &note("Al"),
    ));
    scenario.pass(6);
    assert_eq!(name_of_alice(&scenario), Some("Al"));

    let removed = publish(&mut scenario, "alice", Some(&third), "0", "");
    assert_eq!(removed.headers.first("Expires"), Some("0"));
    let fourth = tag_of(&removed);
    scenario.pass(6);
    assert_eq!(name_of_alice(&scenario), Some("alice A."));
    assert_eq!(
        publish(&mut scenario, "alice", Some(&fourth), "600", "").code,
        412
    );
}

#[test]
fn f23_publications_expire_unless_refreshed() {
    let mut scenario = room();
    let reply = publish(&mut scenario, "alice", None, "100", &note("Al"));
    assert_eq!(reply.headers.first("Expires"), Some("100"));
    let tag = tag_of(&reply);
    scenario.pass(90);
    let tag = tag_of(&publish(&mut scenario, "alice", Some(&tag), "100", ""));
    scenario.pass(90);
    assert_eq!(name_of_alice(&scenario), Some("Al"));
    scenario.pass(20);
    assert_eq!(name_of_alice(&scenario), Some("alice A."));
    assert_eq!(
        publish(&mut scenario, "alice", Some(&tag), "100", "").code,
        412
    );
    let reply = publish(&mut scenario, "alice", None, "86400", &note("Al"));
    assert_eq!(reply.headers.first("Expires"), Some("3600"), "shortened");
}

#[test]
fn f23_refusals() {
    let mut scenario = room();
    let mut answer = |user: &str, headers: &[(&str, &str)], body: &str| {
        let mut phone = scenario.phone(user);
        let transaction = scenario.begin(&mut phone, "PUBLISH", ROOM, headers, body);
        scenario.reply_to(transaction).expect("an answer").clone()
    };
    let event = ("Event", "conference");
    let kind = ("Content-Type", info::MEDIA_TYPE);
    let body = note("Al");
    let reply = answer("alice", &[("Event", "presence"), kind], &body);
    assert_eq!(reply.code, 489);
    assert_eq!(
        reply.headers.first("Allow-Events"),
        Some("conference, refer")
    );
    assert_eq!(answer("alice", &[kind], &body).code, 489);
    let reply = answer("alice", &[event, kind, ("Expires", "10")], &body);
    assert_eq!(reply.code, 423);
    assert_eq!(reply.headers.first("Min-Expires"), Some("60"));
    let reply = answer("alice", &[event, ("Content-Type", "text/plain")], "x");
    assert_eq!(reply.code, 415);
    assert_eq!(reply.headers.first("Accept"), Some(info::MEDIA_TYPE));
    assert_eq!(
        answer("alice", &[event], "").code,
        400,
        "nothing is published"
    );
    assert_eq!(answer("alice", &[event, kind], "<x/>").code, 400);
    let elsewhere = body.replace("lobby", "hall");
    assert_eq!(answer("alice", &[event, kind], &elsewhere).code, 400);
    let two = ("SIP-If-Match", "a, b");
    assert_eq!(answer("alice", &[event, kind, two], &body).code, 400);
    assert_eq!(answer("outsider", &[event, kind], &body).code, 403);
}

#[test]
fn f23_unknown_rooms_404() {
    let mut scenario = Scenario::new();
    assert_eq!(
        publish(&mut scenario, "alice", None, "600", &note("Al")).code,
        404
    );
}

#[test]
fn f23_tags_belong_to_their_publisher() {
    let mut scenario = room();
    let tag = tag_of(&publish(&mut scenario, "alice", None, "600", &note("Al")));
    assert_eq!(
        publish(&mut scenario, "host", Some(&tag), "0", "").code,
        412
    );
}

#[test]
fn f23_participants_speak_for_themselves() {
    let mut scenario = room();
    let body = document(&format!(
        "<conference-description><subject>Mine</subject></conference-description>{}",
        user("sip:host@example.com", "Nobody")
    ));
    tag_of(&publish(&mut scenario, "alice", None, "600", &body));
    tag_of(&publish(&mut scenario, "alice", None, "600", &note("Al")));
    scenario.pass(6);
    let host = shown(&scenario, "sip:host@example.com").expect("the host");
    assert_eq!(host.display_text.as_deref(), Some("host A."));
    let alice = shown(&scenario, "sip:alice@example.com").expect("alice");
    assert_eq!(alice.roles, ["participant"]);
    let description = scenario.rosters["outsider"].description.as_ref();
    assert_eq!(description.and_then(|d| d.subject.as_deref()), None);
}

#[test]
fn f23_a_mixer_adds_its_users_and_what_it_knows_of_the_conference() {
    let mut scenario = room();
    let body = document(&format!(
        "<conference-description><subject>Plans</subject><service-uris><entry>\
         <uri>http://example.com/plans</uri><purpose>web-page</purpose></entry></service-uris>\
         </conference-description><host-info><display-text>Mixer</display-text></host-info>\
         {}<sidebars-by-ref><entry><uri>sip:side@example.com</uri></entry></sidebars-by-ref>\
         <x:secret xmlns:x=\"urn:x\">dropped</x:secret>",
        user("sip:phone@example.org", "A phone")
    ));
    let tag = tag_of(&publish(&mut scenario, "host", None, "600", &body));
    scenario.pass(6);
    let roster = &scenario.rosters["outsider"];
    let description = roster.description.as_ref().expect("a description");
    assert_eq!(description.subject.as_deref(), Some("Plans"));
    assert_eq!(description.service_uris[0].uri, "http://example.com/plans");
    assert_eq!(
        roster
            .host_info
            .as_ref()
            .and_then(|host| host.display_text.as_deref()),
        Some("Mixer")
    );
    assert_eq!(roster.sidebars[0].uri, "sip:side@example.com");
    let state = roster.conference_state.as_ref().expect("a state");
    assert_eq!(state.user_count, Some(3));
    let phone = shown(&scenario, "sip:phone@example.org").expect("the mixer's user");
    assert_eq!(phone.roles, ["speaker"]);
    assert_eq!(phone.endpoints[0].call_info, None, "never shown");

    // The mixer's user joins, leaves, and is the mixer's again.
    let mut recipient = scenario.phone("phone");
    recipient.domain = "example.org";
    scenario.request(&mut recipient, "INVITE", ROOM, &[], &offer("phone"));
    scenario.ack(&mut recipient, ROOM, "");
    scenario.pass(6);
    let joined = shown(&scenario, "sip:phone@example.org").expect("the participant");
    assert_eq!(joined.roles, ["participant"]);
    assert_eq!(joined.endpoints.len(), 2);
    scenario.request(&mut recipient, "BYE", ROOM, &[], "");
    scenario.pass(20);
    let phone = shown(&scenario, "sip:phone@example.org").expect("the mixer's user");
    assert_eq!(phone.endpoints.len(), 1);

    tag_of(&publish(&mut scenario, "host", Some(&tag), "0", ""));
    scenario.pass(20);
    let mut truth = scenario.truth(ROOM, false);
    truth.version = scenario.rosters["outsider"].version;
    assert_eq!(scenario.rosters["outsider"], truth);
    assert_eq!(shown(&scenario, "sip:phone@example.org"), None);
}

#[test]
fn f23_publications_are_bounded() {
    let mut scenario = room();
    let large = document(&format!(
        "<users><user entity=\"sip:a@b\"><display-text>{}</display-text></user></users>",
        "x".repeat(50_000)
    ));
    let codes: Vec<_> = (0..6)
        .map(|_| publish(&mut scenario, "host", None, "600", &large).code)
        .collect();
    assert_eq!(codes, [200, 200, 200, 200, 200, 413]);
    let codes: Vec<_> = (0..9)
        .map(|_| publish(&mut scenario, "alice", None, "600", &note("Al")).code)
        .collect();
    assert_eq!(codes, [200, 200, 200, 200, 200, 200, 200, 200, 403]);
}

#[test]
fn f23_what_leavers_said_goes_with_them() {
    let mut scenario = Scenario::new();
    let mut host = scenario.join("host", ROOM);
    let mut alice = scenario.join("alice", ROOM);
    publish(&mut scenario, "alice", None, "600", &note("Al"));
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    assert!(
        scenario.focus.rooms.conferences()[ROOM]
            .publications
            .is_empty()
    );
    publish(&mut scenario, "host", None, "600", &note("Al"));
    scenario.request(&mut host, "BYE", ROOM, &[], "");
    scenario.pass(40);
    assert!(scenario.focus.is_idle());
    assert_eq!(scenario.focus.deadline(), None);
}

#[test]
fn f23_a_room_that_something_is_published_about_stays() {
    let mut scenario = Scenario::new();
    let body = note("Al").replace("lobby", "hall");
    let headers = [
        ("Event", "conference"),
        ("Expires", "600"),
        ("Content-Type", info::MEDIA_TYPE),
    ];
    let mut phone = scenario.phone("mixer");
    phone.role = Some(Role::Moderator);
    let code = scenario.request(&mut phone, "PUBLISH", HALL, &headers, &body);
    assert_eq!(code, Some(200));
    let mut watcher = scenario.watch("outsider", HALL);
    assert_eq!(name_of_alice(&scenario), Some("Al"));
    let end = [("Event", "conference"), ("Expires", "0")];
    scenario.request(&mut watcher, "SUBSCRIBE", HALL, &end, "");
    assert_eq!(scenario.focus.counts().conferences, 1);
    scenario.pass(600);
    assert_eq!(scenario.focus.counts(), Counts::default());
}

#[test]
fn a_publication_with_thousands_of_entries_in_a_list_is_refused() {
    let mut scenario = room();
    let endpoints = |count: usize, prefix: &str| -> String {
        let all = (0..count).map(|n| format!("<endpoint entity=\"{prefix}{n}\"/>"));
        all.collect()
    };
    let about = |endpoints: &str| {
        document(&format!(
            "<users><user entity=\"sip:alice@example.com\">{endpoints}</user></users>"
        ))
    };
    let huge = about(&endpoints(9_000, "e"));
    assert_eq!(
        publish(&mut scenario, "alice", None, "600", &huge).code,
        413
    );
    let words = "w ".repeat(33);
    let keywords = document(&format!(
        "<conference-description><keywords>{words}</keywords></conference-description>"
    ));
    let many: String = (0..1_001)
        .map(|n| format!("<user entity=\"sip:u{n}@h\"/>"))
        .collect();
    for body in [keywords, document(&format!("<users>{many}</users>"))] {
        assert_eq!(publish(&mut scenario, "host", None, "600", &body).code, 413);
    }
    // The merged statement obeys the same limit.
    for prefix in ["a", "b", "c"] {
        let body = about(&endpoints(20, prefix));
        assert_eq!(publish(&mut scenario, "host", None, "600", &body).code, 200);
    }
    scenario.pass(6);
    let alice = shown(&scenario, "sip:alice@example.com").expect("alice");
    assert_eq!(alice.endpoints.len(), 32);
}

#[test]
fn leave_and_end_are_told_of_the_last_to_leave_who_had_published() {
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    tag_of(&publish(&mut scenario, "alice", None, "600", &note("Al")));
    scenario.events.clear();
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    let told: Vec<_> = scenario.events.iter().map(std::mem::discriminant).collect();
    let room = RoomUri::new(ROOM);
    let leave = Event::Leave {
        room: room.clone(),
        user: UserUri::new("sip:alice@example.com"),
        method: info::DisconnectionMethod::Departed,
    };
    let expected = [leave, Event::End(room)].map(|event| std::mem::discriminant(&event));
    assert_eq!(told, expected);
    assert_eq!(scenario.focus.counts(), Counts::default());
}
