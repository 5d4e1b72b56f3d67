//! Contents of the documents (RFC 4575 §5).

use super::*;

const HALL: &str = "sip:hall@example.com";

fn user_of<'a>(scenario: &'a Scenario, watcher: &str, user: &str) -> &'a info::User {
    let users = scenario.rosters[watcher].users.as_ref().expect("users");
    let entity = format!("sip:{user}@example.com");
    let found = users.users.iter().find(|known| known.entity == entity);
    found.unwrap_or_else(|| panic!("{user} is not in the roster"))
}

/// The last document sent.
fn last(scenario: &Scenario) -> info::Document {
    let notify = scenario
        .sent
        .iter()
        .rev()
        .find(|sent| sent.method == Method::Notify);
    info::Document::read(&notify.expect("a NOTIFY").body).expect("a document")
}

#[test]
fn e18_the_description_tells_what_the_operator_said() {
    let mut scenario = Scenario::with(Config {
        rooms: vec![
            RoomRules {
                max_participants: Some(20),
                about: About {
                    name: Some("The hall".to_owned()),
                    subject: Some("Plans".to_owned()),
                    services: vec![("web-page".into(), "http://example.com/hall".to_owned())],
                },
                ..RoomRules::default()
            }
            .of(RoomUri::new(HALL)),
        ],
        ..config()
    });
    scenario.watch("alice", HALL);
    let uri = |uri: &str, purpose: &str| info::UriEntry {
        uri: uri.to_owned(),
        purpose: Some(purpose.to_owned()),
        ..Default::default()
    };
    let expected = info::Description {
        display_text: Some("The hall".to_owned()),
        subject: Some("Plans".to_owned()),
        conf_uris: vec![uri(HALL, "participation"), uri(HALL, "grouptextchat")],
        service_uris: vec![uri("http://example.com/hall", "web-page")],
        maximum_user_count: Some(20),
        available_media: vec![info::MediaEntry {
            label: "1".to_owned(),
            display_text: None,
            kind: "message".to_owned(),
            status: Some(info::MediaStatus::Sendrecv),
        }],
        ..Default::default()
    };
    assert_eq!(scenario.rosters["alice"].description, Some(expected));
}

#[test]
fn e17_the_state_counts_and_says_locked() {
    let mut scenario = Scenario::new();
    scenario.watch("outsider", HALL);
    let state = |scenario: &Scenario| {
        let state = scenario.rosters["outsider"].conference_state.clone();
        let state = state.expect("a state");
        (state.user_count, state.active, state.locked)
    };
    assert_eq!(state(&scenario), (Some(0), Some(false), Some(false)));
    scenario.join("alice", HALL);
    scenario.pass(6);
    assert_eq!(state(&scenario), (Some(1), Some(true), Some(false)));
    let room = RoomUri::new(HALL);
    let conference = scenario
        .focus
        .rooms
        .conference_mut(&room)
        .expect("a conference");
    conference.locked = true;
    conference.change();
    let now = scenario.now;
    scenario.focus.conference_changed(now, &room);
    scenario.pass(6);
    assert_eq!(state(&scenario), (Some(1), Some(true), Some(true)));
}

#[test]
fn e10_joins_and_leaves_are_told() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    scenario.pass(10);
    let mut alice = scenario.join("alice", ROOM);
    scenario.pass(6);
    assert_eq!(users(&scenario.rosters["outsider"]), "alice=+ host=+");
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    scenario.pass(20);
    assert_eq!(users(&scenario.rosters["outsider"]), "host=+");
}

#[test]
fn e14_endpoints_tell_how_they_came_and_went() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    scenario.pass(10);
    let mut alice = scenario.join("alice", ROOM);
    scenario.pass(6);
    let endpoint = &user_of(&scenario, "outsider", "alice").endpoints[0];
    assert_eq!(endpoint.entity, "sip:alice@192.0.2.7:5060");
    assert_eq!(endpoint.status, Some(info::EndpointStatus::Connected));
    assert_eq!(endpoint.joining_method, Some(info::JoiningMethod::DialedIn));
    let when = |info: &Option<info::ExecutionInfo>| info.as_ref().and_then(|i| i.when.clone());
    assert_eq!(
        when(&endpoint.joining_info).as_deref(),
        Some("2001-09-09T01:46:50Z")
    );
    scenario.request(&mut alice, "BYE", ROOM, &[], "");
    scenario.pass(1);
    let left = user_of(&scenario, "outsider", "alice").endpoints[0].clone();
    assert_eq!(left.status, Some(info::EndpointStatus::Disconnected));
    assert_eq!(
        left.disconnection_method,
        Some(info::DisconnectionMethod::Departed)
    );
    assert_eq!(
        when(&left.disconnection_info).as_deref(),
        Some("2001-09-09T01:46:56Z")
    );
    assert_eq!(
        when(&left.joining_info).as_deref(),
        Some("2001-09-09T01:46:50Z")
    );

    scenario.join("bob", ROOM);
    scenario.lose("bob", ROOM, LossCause::Disconnected);
    scenario.pass(35);
    let failed = scenario
        .documents
        .iter()
        .any(|xml| xml.contains("<disconnection-method>failed</disconnection-method>"));
    assert!(failed, "a loss is no departure");
}

#[test]
fn e14_e16_media_have_a_direction() {
    let mut scenario = Scenario::new();
    let mut host = scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    scenario.pass(10);
    let medium = |scenario: &Scenario| {
        let endpoint = &user_of(scenario, "outsider", "host").endpoints[0];
        let medium = endpoint.media[0].clone();
        let label = scenario.rosters["outsider"].description.as_ref();
        let label = label.map(|d| d.available_media[0].label.clone());
        assert_eq!(medium.label, label, "it is one of the conference's media");
        assert_eq!(medium.kind.as_deref(), Some("message"));
        (endpoint.status, medium.status)
    };
    use info::{EndpointStatus::*, MediaStatus::*};
    assert_eq!(medium(&scenario), (Some(Connected), Some(Sendrecv)));
    for (line, expected) in [
        ("a=recvonly", (Some(Connected), Some(Recvonly))),
        ("a=inactive", (Some(OnHold), Some(Inactive))),
        ("a=sendonly", (Some(OnHold), Some(Sendonly))),
        ("a=sendrecv", (Some(Connected), Some(Sendrecv))),
    ] {
        let body = format!("{}{line}\r\n", offer("host"));
        scenario.request(&mut host, "INVITE", ROOM, &[], &body);
        scenario.ack(&mut host, ROOM, "");
        scenario.pass(6);
        assert_eq!(medium(&scenario), expected, "{line}");
    }
}

#[test]
fn e15_who_referred_whom() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    let mut alice = scenario.phone("alice");
    let headers = [("Referred-By", "\"Bob\" <sip:bob@Example.com>;cid=\"1@x\"")];
    scenario.request(&mut alice, "INVITE", ROOM, &headers, &offer("alice"));
    scenario.ack(&mut alice, ROOM, "");
    scenario.pass(6);
    let endpoint = &user_of(&scenario, "outsider", "alice").endpoints[0];
    let by = endpoint
        .referred
        .as_ref()
        .and_then(|referred| referred.by.as_deref());
    assert_eq!(by, Some("sip:bob@example.com"));
}

#[test]
fn e08_keys_are_the_same_octets_in_every_document() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    let mut phone = scenario.phone("a%20b&c");
    scenario.request(&mut phone, "INVITE", ROOM, &[], &offer("a"));
    scenario.ack(&mut phone, ROOM, "");
    scenario.watch("outsider", ROOM);
    scenario.pass(10);
    let key = |xml: &str| {
        let users = xml
            .matches("<user entity=\"sip:a%20b&amp;c@example.com\"")
            .count();
        let endpoints = xml
            .matches("<endpoint entity=\"sip:a%20b&amp;c@192.0.2.7:5060\"")
            .count();
        (users, endpoints)
    };
    scenario.request(&mut phone, "BYE", ROOM, &[], "");
    scenario.pass(20);
    let notifies: Vec<_> = scenario
        .sent
        .iter()
        .filter(|sent| sent.method == Method::Notify)
        .collect();
    let keys: Vec<_> = notifies
        .iter()
        .map(|sent| key(&String::from_utf8_lossy(&sent.body)))
        .collect();
    assert_eq!(
        keys,
        [(1, 1), (1, 1), (1, 0)],
        "full, disconnected, deleted"
    );
}

#[test]
fn e19_the_end_of_a_conference_is_a_deleted_document() {
    let mut scenario = Scenario::new();
    let mut host = scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    scenario.request(&mut host, "BYE", ROOM, &[], "");
    let document = last(&scenario);
    assert_eq!(document.state, info::State::Deleted);
    assert_eq!(document.version, 2);
    let notify = scenario.sent.back().expect("the NOTIFY");
    let state = notify.headers.first("Subscription-State");
    assert_eq!(state, Some("terminated;reason=noresource"), "E02");
}

#[test]
fn e11_a_partial_document_longer_than_everything_is_sent_full() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.watch("outsider", ROOM);
    scenario.pass(10);
    let mut phones: Vec<_> = (0..12)
        .map(|n| scenario.join(&format!("u{n}"), ROOM))
        .collect();
    for phone in &mut phones {
        scenario.request(phone, "BYE", ROOM, &[], "");
    }
    scenario.pass(5);
    // The first change of the burst was sent at once; the joins and departures of the others are
    // longer than the remaining list.
    assert_eq!(last(&scenario).state, info::State::Full);
    assert_eq!(users(&scenario.rosters["outsider"]), "host=+");
}

/// Found by a review: the cache dropped a document in use to make room for the full one it was
/// compared with, and the subscriber never saw its changes.
#[test]
fn e09_a_document_in_use_is_not_thrown_out() {
    use roster::cache::Scope;
    use roster::view::{Extent, Seen, View};
    let mut scenario = Scenario::new();
    let room = RoomUri::new(ROOM);
    let mut revisions = Vec::new();
    for user in 0..20 {
        scenario.join(&format!("u{user}"), ROOM);
        revisions.push(scenario.focus.rooms.conferences()[ROOM].changes.revision());
    }
    let view = View {
        unmasked: false,
        extent: Extent::Everybody,
    };
    let now = scenario.now;
    let rooms = &scenario.focus.rooms;
    let conference = rooms.conference(&room).expect("a conference");
    let mut documents = roster::cache::DocumentCache::default();
    let mut listed = |scope| {
        let document = roster::document::document(
            &mut documents,
            conference,
            rooms.endpoints(),
            &view,
            scope,
            (now, now),
        );
        let body = document.body(1)?;
        let document = info::Document::read(&body).expect("a document");
        Some(document.users.expect("users").users.len())
    };
    let behind = |buried| {
        Scope::Partial(Seen {
            shown: revisions[7],
            buried,
        })
    };
    assert_eq!(listed(Scope::Full), Some(20));
    assert_eq!(listed(behind(0)), Some(12), "more than half, and shorter");
    for buried in 0..15 {
        let shown = revisions[18];
        assert_eq!(listed(Scope::Partial(Seen { shown, buried })), Some(1));
    }
    assert_eq!(listed(behind(0)), Some(12));
}

/// Status of `user`'s devices in `watcher`'s roster.
fn statuses(
    scenario: &Scenario,
    watcher: &str,
    user: &str,
) -> Vec<(Option<info::EndpointStatus>, Option<info::MediaStatus>)> {
    let endpoints = user_of(scenario, watcher, user).endpoints.iter();
    let media = |endpoint: &info::Endpoint| endpoint.media.first().and_then(|it| it.status);
    endpoints.map(|it| (it.status, media(it))).collect()
}

#[test]
fn e13_who_has_lost_its_connection_is_not_connected() {
    use info::{EndpointStatus as Status, MediaStatus};
    let connected = [(Some(Status::Connected), Some(MediaStatus::Sendrecv))];
    let lost = [(Some(Status::OnHold), Some(MediaStatus::Inactive))];
    let mut scenario = Scenario::new();
    let mut alice = scenario.join("alice", ROOM);
    scenario.join("bob", ROOM);
    scenario.watch("bob", ROOM);
    assert_eq!(statuses(&scenario, "bob", "alice"), connected);
    scenario.lose("alice", ROOM, LossCause::Disconnected);
    scenario.pass(6);
    assert_eq!(statuses(&scenario, "bob", "alice"), lost);
    assert_eq!(statuses(&scenario, "bob", "bob"), connected);
    // A new subscriber sees the same.
    scenario.watch("carol", ROOM);
    assert_eq!(statuses(&scenario, "carol", "alice"), lost);
    let code = scenario.request(&mut alice, "INVITE", ROOM, &[], &offer("alice"));
    assert_eq!(code, Some(200));
    scenario.pass(6);
    assert_eq!(statuses(&scenario, "bob", "alice"), connected);
}

#[test]
fn e13_who_is_called_anew_is_not_connected_before_it_answers() {
    use info::EndpointStatus as Status;
    let mut scenario = Scenario::new();
    let run = |run| {
        Input::Notice(Notice::Connected {
            run: SwitchRun(run),
            listen: Vec::new(),
        })
    };
    scenario.feed(run(1));
    scenario.join("alice", ROOM);
    scenario.watch("outsider", ROOM);
    // Another switch, and a phone that rings.
    scenario.standing = Some(Standing::Gone);
    scenario.refresh_answer = None;
    scenario.feed(run(2));
    scenario.pass(6);
    let shown = |scenario: &Scenario| statuses(scenario, "outsider", "alice")[0].0;
    assert_eq!(shown(&scenario), Some(Status::OnHold));
    let request = scenario.sent.iter().rev();
    let mut invites = request.filter(|it| it.method == Method::Invite);
    let request = invites.next().expect("a re-INVITE").id;
    let response = Box::new(Response {
        code: 200,
        reason: "OK".to_owned(),
        headers: Headers::new(),
        body: offer("alice").into(),
    });
    scenario.feed(Input::Outcome {
        reached: None,
        request,
        code: 200,
        response: Some(response),
    });
    scenario.pass(6);
    assert_eq!(shown(&scenario), Some(Status::Connected));
}

#[test]
fn e16_names_in_rosters_have_a_length() {
    let mut scenario = Scenario::new();
    scenario.join("host", ROOM);
    scenario.watch("host", ROOM);
    scenario.pass(10);
    let before = last(&scenario).write().len();
    let (name, long) = ("\u{e4}".repeat(4000), "x".repeat(4000));
    let from = format!("\"{name}\" <sip:alice@example.com>;tag=tag-alice");
    let by = format!("<sip:{long}@example.com>");
    let headers = [
        ("From", from.as_str()),
        ("Subject", &long),
        ("Referred-By", &by),
    ];
    let mut alice = scenario.phone("alice");
    let code = scenario.request(&mut alice, "INVITE", ROOM, &headers, &offer("alice"));
    assert_eq!(code, Some(200));
    scenario.pass(10);
    let shown = user_of(&scenario, "host", "alice");
    assert_eq!(shown.display_text.as_deref(), Some(&*"\u{e4}".repeat(128)));
    assert_eq!(shown.endpoints[0].display_text, shown.display_text);
    assert_eq!(shown.endpoints[0].referred, None);
    let most = before + 4 * 128 + 2000;
    assert!(last(&scenario).write().len() < most);
    // The first participant's subject is in every full document.
    let mut scenario = Scenario::new();
    let mut first = scenario.phone("alice");
    scenario.request(&mut first, "INVITE", ROOM, &headers, &offer("alice"));
    scenario.watch("host", ROOM);
    let description = scenario.rosters["host"].description.as_ref();
    let subject = description.and_then(|it| it.subject.as_deref());
    assert_eq!(subject, Some(&*"x".repeat(128)));
}

/// A list may contain URIs with long parameters; the URI dialled differs from the one shown.
#[test]
fn e16_a_long_uri_that_is_dialled_is_shown_by_its_address() {
    let mut scenario = Scenario::new();
    let mut host = scenario.join("host", ROOM);
    scenario.watch("host", ROOM);
    let target = format!("<sip:bob@example.com;x={}>", "y".repeat(600));
    let headers = [("Refer-To", target.as_str())];
    let code = scenario.request(&mut host, "REFER", ROOM, &headers, "");
    assert_eq!(code, Some(200));
    scenario.pass(10);
    let bob = user_of(&scenario, "host", "bob");
    assert_eq!(bob.endpoints[0].entity, "sip:bob@example.com");
}
