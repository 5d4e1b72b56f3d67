//! Visibility of users to each other (rows E12, E13).

use super::*;

const HALL: &str = "sip:hall@example.com";

/// A hall with the moderator boss, alice with privacy, and bob; all of them watch, and so does an
/// outsider.
fn masquerade() -> Scenario {
    masquerade_of(&["alice"])
}

/// The same, with privacy for these users.
fn masquerade_of(masked: &[&str]) -> Scenario {
    let mut scenario = Scenario::with(Config {
        rooms: vec![
            RoomRules {
                moderators: vec![Pattern::new("boss@example.com")],
                ..RoomRules::default()
            }
            .of(RoomUri::new(HALL)),
        ],
        ..config()
    });
    scenario.join("boss", HALL);
    for _ in masked {
        enter_masked(&mut scenario);
    }
    scenario.join("bob", HALL);
    for user in ["boss", "bob", "outsider"].iter().chain(masked) {
        scenario.watch(user, HALL);
    }
    scenario.pass(10);
    scenario
}

fn enter_masked(scenario: &mut Scenario) -> Phone {
    let mut alice = scenario.phone("alice");
    let headers = [
        ("Privacy", "id"),
        ("Call-Info", "<http://alice.example.com/face>"),
    ];
    let code = scenario.request(&mut alice, "INVITE", HALL, &headers, &offer("alice"));
    assert_eq!(code, Some(200));
    scenario.ack(&mut alice, HALL, "");
    alice
}

/// The octets sent to a user.
fn heard(scenario: &Scenario, user: &str) -> String {
    let all = scenario
        .sent
        .iter()
        .filter(|sent| sent.method == Method::Notify && short(&sent.remote_uri) == user);
    all.map(|sent| String::from_utf8_lossy(&sent.body).into_owned())
        .collect()
}

#[test]
fn e13_nothing_tells_who_the_anonymous_are() {
    let mut scenario = masquerade();
    assert_eq!(users(&scenario.rosters["bob"]), "anonymous1=+ bob=+ boss=+");
    // Alice stays anonymous throughout.
    let mut second = enter_masked(&mut scenario);
    scenario.pass(6);
    scenario.request(&mut second, "BYE", HALL, &[], "");
    scenario.pass(6);
    scenario.lose("anonymous1", HALL, LossCause::Disconnected);
    scenario.pass(60);
    for watcher in ["alice", "bob", "outsider"] {
        let heard = heard(&scenario, watcher);
        assert!(heard.contains("sip:anonymous1@anonymous.invalid"));
        for telling in ["alice", "192.0.2.7:5060\"><display-text>alice", "call-"] {
            assert!(!heard.contains(telling), "{watcher}: {heard}");
        }
    }
    for user in ["bob", "outsider"] {
        assert!(!users(&scenario.rosters[user]).contains("anonymous1=-"));
    }
}

#[test]
fn e12_moderators_see_who_the_anonymous_are() {
    let scenario = masquerade();
    let roster = scenario.rosters["boss"].users.as_ref().expect("users");
    let alice = &roster
        .users
        .iter()
        .find(|user| user.entity == "sip:anonymous1@anonymous.invalid");
    let alice = alice.expect("under the address she writes from");
    assert_eq!(alice.associated_aors[0].uri, "sip:alice@example.com");
    assert_eq!(alice.display_text.as_deref(), Some("alice A."));
    assert_eq!(alice.endpoints[0].entity, "sip:alice@192.0.2.7:5060");
}

#[test]
fn e12_a_new_moderator_is_shown_everything_at_once() {
    let mut scenario = masquerade();
    scenario.transcript();
    let room = RoomUri::new(HALL);
    let bob = crate::control::UserUri::new("sip:bob@example.com");
    let promote = |scenario: &mut Scenario, role| {
        let conference = scenario
            .focus
            .rooms
            .conference_mut(&room)
            .expect("a conference");
        conference.set_role(&bob, role);
        let now = scenario.now;
        scenario.focus.conference_changed(now, &room);
        scenario.pass(6);
        scenario.transcript()
    };
    let told = promote(&mut scenario, Role::Moderator);
    assert!(told.contains("NOTIFY bob active full"), "{told}");
    assert!(told.contains("NOTIFY outsider active partial"), "{told}");
    assert!(heard(&scenario, "bob").contains("sip:alice@example.com"));
    promote(&mut scenario, Role::Participant);
    let users = scenario.rosters["bob"].users.as_ref().expect("users");
    let alice = users
        .users
        .iter()
        .find(|user| user.entity.contains("anonymous1"));
    assert_eq!(alice.expect("alice").associated_aors, []);
}

#[test]
fn e12_the_script_may_call_a_watcher_moderator() {
    let mut scenario = masquerade();
    let mut phone = scenario.phone("auditor");
    phone.role = Some(Role::Moderator);
    let headers = [("Event", "conference")];
    scenario.request(&mut phone, "SUBSCRIBE", HALL, &headers, "");
    assert!(heard(&scenario, "auditor").contains("sip:alice@example.com"));
}

#[test]
fn e13_a_nickname_is_shown_it_was_chosen() {
    let mut scenario = masquerade();
    scenario.nickname(HALL, "sip:anonymous1@anonymous.invalid", "Ghost");
    scenario.pass(6);
    let users = scenario.rosters["bob"].users.as_ref().expect("users");
    let ghost = users
        .users
        .iter()
        .find(|user| user.entity.contains("anonymous1"));
    assert_eq!(ghost.expect("alice").display_text.as_deref(), Some("Ghost"));
}

#[test]
fn e13_what_the_anonymous_publish_stays_unsaid() {
    let mut scenario = masquerade();
    let body = format!(
        "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"{HALL}\" \
         version=\"1\"><users><user entity=\"sip:alice@example.com\"><display-text>Alice in \
         person</display-text></user></users></conference-info>"
    );
    let headers = [("Event", "conference"), ("Content-Type", info::MEDIA_TYPE)];
    let mut phone = scenario.phone("alice");
    let code = scenario.request(&mut phone, "PUBLISH", HALL, &headers, &body);
    assert_eq!(code, Some(200));
    scenario.pass(6);
    assert!(heard(&scenario, "boss").contains("Alice in person"));
    assert!(!heard(&scenario, "bob").contains("in person"));
}

/// The documents sent to bob and an outsider while a user joins and leaves with privacy, and the
/// moderator, the newcomer and a mixer publish about alice.
fn published_about(newcomer: &str) -> Vec<(String, String)> {
    let mut scenario = masquerade_of(&[]);
    let about = |name: &str| {
        format!(
            "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"{HALL}\" \
             version=\"1\"><users>{name}</users></conference-info>"
        )
    };
    let named = |user: &str, name: &str| {
        about(&format!(
            "<user entity=\"sip:{user}@example.com\"><display-text>{name}</display-text>\
             <endpoint entity=\"sip:{user}@mixer.example.com\"/></user>"
        ))
    };
    let publish = |scenario: &mut Scenario, user: &str, tag: Option<&str>, body: &str| {
        let mut phone = scenario.phone(user);
        let kind = ("Content-Type", info::MEDIA_TYPE);
        let mut headers = vec![("Event", "conference"), kind];
        headers.extend(tag.map(|tag| ("SIP-If-Match", tag)));
        let transaction = scenario.begin(&mut phone, "PUBLISH", HALL, &headers, body);
        let reply = scenario.reply_to(transaction).expect("an answer").clone();
        assert_eq!(reply.code, 200);
        scenario.pass(6);
        reply.headers.first("SIP-ETag").expect("a tag").to_owned()
    };
    let tag = publish(&mut scenario, "boss", None, &named("alice", "Elsewhere"));
    let mut phone = scenario.phone(newcomer);
    let private = [("Privacy", "id")];
    scenario.request(&mut phone, "INVITE", HALL, &private, &offer("x"));
    scenario.ack(&mut phone, HALL, "");
    scenario.pass(6);
    let tag = publish(
        &mut scenario,
        "boss",
        Some(&tag),
        &named("alice", "Changed"),
    );
    publish(&mut scenario, newcomer, None, &named(newcomer, "Myself"));
    let tag = publish(&mut scenario, "boss", Some(&tag), &about(""));
    publish(&mut scenario, "boss", Some(&tag), &named("alice", "Back"));
    let mut second = scenario.phone(newcomer);
    scenario.request(&mut second, "INVITE", HALL, &private, &offer("y"));
    scenario.ack(&mut second, HALL, "");
    scenario.pass(6);
    scenario.standing = Some(Standing::Bound);
    scenario.restart(true, 1);
    scenario.pass(10);
    for phone in [&mut second, &mut phone] {
        scenario.request(phone, "BYE", HALL, &[], "");
        scenario.pass(6);
    }
    let sent = scenario
        .sent
        .iter()
        .filter(|sent| sent.method == Method::Notify);
    let seen = sent.filter(|sent| ["bob", "outsider"].contains(&short(&sent.remote_uri).as_str()));
    seen.map(|sent| {
        let body = String::from_utf8_lossy(&sent.body).into_owned();
        (sent.remote_uri.clone(), body)
    })
    .collect()
}

#[test]
fn e13_what_is_published_of_an_address_tells_nothing_of_who_is_in_under_a_number() {
    let (known, stranger) = (published_about("alice"), published_about("carol"));
    assert!(known.iter().any(|(_, body)| body.contains("anonymous1")));
    assert!(known.iter().any(|(_, body)| body.contains("Elsewhere")));
    for (known, stranger) in known.iter().zip(&stranger) {
        assert_eq!(known, stranger);
    }
    assert_eq!(known.len(), stranger.len());
}

#[test]
fn e13_dropping_the_mask_starts_a_new_user() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    let mut alice = scenario.phone("alice");
    scenario.request(
        &mut alice,
        "INVITE",
        ROOM,
        &[("Privacy", "id")],
        &offer("alice"),
    );
    scenario.ack(&mut alice, ROOM, "");
    scenario.pass(6);
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    scenario.join("alice", ROOM);
    scenario.pass(30);
    assert_eq!(users(&scenario.rosters["outsider"]), "alice=+ host=+");
}

#[test]
fn e17_datagrams_carry_a_crowd_when_the_roster_does_not_fit() {
    let mut scenario = Scenario::with(Config {
        max_participants: 1000,
        ..config()
    });
    scenario.join("host", ROOM);
    let mut udp = scenario.phone("udp");
    let mut tcp = scenario.phone("tcp");
    tcp.transport = "tcp";
    for phone in [&mut udp, &mut tcp] {
        scenario.request(phone, "SUBSCRIBE", ROOM, &[("Event", "conference")], "");
    }
    for user in 0..200 {
        scenario.join(&format!("u{user}"), ROOM);
    }
    scenario.pass(20);
    assert_eq!(users(&scenario.rosters["udp"]), "host=+");
    assert_eq!(users(&scenario.rosters["tcp"]).split(' ').count(), 201);
    let state = scenario.rosters["udp"].conference_state.as_ref();
    assert_eq!(state.and_then(|state| state.user_count), Some(201));
    let room = RoomUri::new(ROOM);
    for (role, shown) in [
        (Role::Moderator, "host=+ u7=+"),
        (Role::Participant, "host=+"),
    ] {
        let conference = scenario
            .focus
            .rooms
            .conference_mut(&room)
            .expect("a conference");
        let user = crate::control::UserUri::new("sip:u7@example.com");
        conference.set_role(&user, role);
        let now = scenario.now;
        scenario.focus.conference_changed(now, &room);
        scenario.pass(6);
        assert_eq!(users(&scenario.rosters["udp"]), shown);
    }
}

fn user_as_shown<'a>(
    scenario: &'a Scenario,
    watcher: &str,
    entity: &str,
) -> Option<&'a info::User> {
    let users = scenario.rosters[watcher].users.as_ref().expect("users");
    users.users.iter().find(|user| user.entity == entity)
}

const ALICE: &str = "sip:alice@example.com";
const MASK: &str = "sip:anonymous1@anonymous.invalid";

#[test]
fn e13_naming_somebody_as_referrer_tells_nothing_of_them() {
    let mut scenario = masquerade();
    let mut carol = scenario.phone("carol");
    let headers = [("Referred-By", "<sip:alice@example.com>")];
    scenario.request(&mut carol, "INVITE", HALL, &headers, &offer("carol"));
    scenario.ack(&mut carol, HALL, "");
    scenario.pass(6);
    let carol = user_as_shown(&scenario, "bob", "sip:carol@example.com").expect("carol");
    let by = carol.endpoints[0].referred.as_ref();
    let by = by.and_then(|referred| referred.by.as_deref());
    assert_eq!(by, Some(ALICE), "what she said, whoever is in");
}

/// Bob invites alice, who is in with privacy.
fn call_alice(scenario: &mut Scenario) {
    let mut bob = scenario.phone("bob");
    let headers = [("Refer-To", "<sip:alice@example.com>")];
    let code = scenario.request(&mut bob, "REFER", HALL, &headers, "");
    assert_eq!(code, Some(200));
    scenario.pass(6);
}

#[test]
fn e13_whoever_invites_an_address_does_not_learn_its_number() {
    let mut scenario = masquerade();
    call_alice(&mut scenario);
    for watcher in ["alice", "bob", "boss", "outsider"] {
        let alice = user_as_shown(&scenario, watcher, ALICE).expect("who is called");
        assert_eq!(
            alice.endpoints[0].status,
            Some(info::EndpointStatus::DialingOut)
        );
        assert_eq!((alice.endpoints.len(), &alice.display_text), (1, &None));
        let mask = user_as_shown(&scenario, watcher, MASK).expect("who is in");
        assert_eq!(mask.endpoints.len(), 1, "{watcher}");
    }
    // The outcome of the call does not reveal her, either.
    let before = heard(&scenario, "bob").len();
    scenario.party_answers("alice", 486, &[], "");
    scenario.pass(30);
    let heard = heard(&scenario, "bob");
    assert!(heard[before..].contains(ALICE), "she does not come");
    assert!(!heard[before..].contains(MASK), "{}", &heard[before..]);
    assert_eq!(users(&scenario.rosters["bob"]), "anonymous1=+ bob=+ boss=+");
}

#[test]
fn e13_an_invited_device_of_the_anonymous_is_as_anonymous() {
    let mut scenario = masquerade();
    call_alice(&mut scenario);
    scenario.party_answers("alice", 200, &[], &offer("alice"));
    scenario.pass(30);
    assert_eq!(
        users(&scenario.rosters["bob"]),
        "anonymous1=++ bob=+ boss=+"
    );
    let admission = scenario.admissions.last().expect("an order");
    assert_eq!(admission.user.as_str(), MASK);
    assert_eq!(admission.uris, [crate::control::UserUri::new(MASK)]);
    assert_eq!(admission.display, "");
    let mask = user_as_shown(&scenario, "bob", MASK).expect("alice");
    for device in &mask.endpoints {
        assert_eq!((&device.referred, device.joining_method), (&None, None));
    }
    assert_eq!(scenario.focus.counts().participants, 3);
}

#[test]
fn e13_the_order_of_a_roster_does_not_tell_who_the_anonymous_are() {
    let mut scenario = masquerade();
    scenario.join("zoe", HALL);
    scenario.watch("zoe", HALL);
    let users = scenario.rosters["zoe"].users.as_ref().expect("users");
    let order: Vec<_> = users.users.iter().map(|user| short(&user.entity)).collect();
    assert_eq!(order, ["bob", "boss", "zoe", "anonymous1"]);
}
