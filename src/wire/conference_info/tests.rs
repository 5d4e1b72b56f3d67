//! Tests that reading inverts writing, and that applying a difference gives the new document.

use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn read(xml: &str) -> Document {
    Document::read(xml.as_bytes()).unwrap_or_else(|error| panic!("{error}: {xml}"))
}

fn roster(version: u32, users: &[(&str, &[&str])]) -> Document {
    let endpoint = |entity: &&str| Endpoint {
        entity: entity.to_string(),
        status: Some(EndpointStatus::Connected),
        ..Default::default()
    };
    let user = |(entity, endpoints): &(&str, &[&str])| User {
        entity: entity.to_string(),
        endpoints: endpoints.iter().map(endpoint).collect(),
        ..Default::default()
    };
    Document {
        entity: "sip:dev@conf.example.com".into(),
        version,
        description: Some(Description::default()),
        users: Some(Users {
            state: State::Full,
            users: users.iter().map(user).collect(),
        }),
        ..Default::default()
    }
}

#[test]
fn a_full_document_on_the_wire() {
    let mut document = roster(0, &[("sip:al@example.com", &["sip:al@192.0.2.1"])]);
    let user = &mut document.users.as_mut().unwrap().users[0];
    user.nickname = Some("Al \"the\" <1st>".into());
    user.display_text = user.nickname.clone();
    user.endpoints[0].joining_method = Some(JoiningMethod::DialedIn);
    insta::assert_snapshot!(document.write().replace("><", ">\n<"), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <conference-info xmlns="urn:ietf:params:xml:ns:conference-info" xmlns:xcon="urn:ietf:params:xml:ns:xcon-conference-info" entity="sip:dev@conf.example.com" state="full" version="0">
    <conference-description>
    </conference-description>
    <users>
    <user entity="sip:al@example.com" xcon:nickname="Al &quot;the&quot; &lt;1st&gt;">
    <display-text>Al &quot;the&quot; &lt;1st&gt;</display-text>
    <endpoint entity="sip:al@192.0.2.1">
    <status>connected</status>
    <joining-method>dialed-in</joining-method>
    </endpoint>
    </user>
    </users>
    </conference-info>
    "#);
    assert_eq!(read(&document.write()), document);
}

#[test]
fn e07_a_partial_document_on_the_wire() {
    let old = roster(
        6,
        &[
            ("sip:a@x", &["1", "2"]),
            ("sip:b@x", &["3"]),
            ("sip:c@x", &["4"]),
        ],
    );
    let mut new = roster(
        0,
        &[
            ("sip:a@x", &["1"]),
            ("sip:c@x", &["4"]),
            ("sip:d@x", &["5"]),
        ],
    );
    new.users.as_mut().unwrap().users[1].endpoints[0].status = Some(EndpointStatus::OnHold);
    let partial = diff(&old, &new).unwrap();
    insta::assert_snapshot!(partial.write().replace("><", ">\n<"), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:dev@conf.example.com" state="partial" version="7">
    <users state="partial">
    <user entity="sip:a@x" state="partial">
    <endpoint entity="2" state="deleted"/>
    </user>
    <user entity="sip:c@x" state="partial">
    <endpoint entity="4">
    <status>on-hold</status>
    </endpoint>
    </user>
    <user entity="sip:d@x">
    <endpoint entity="5">
    <status>connected</status>
    </endpoint>
    </user>
    <user entity="sip:b@x" state="deleted"/>
    </users>
    </conference-info>
    "#);
    assert_eq!(read(&partial.write()), partial);
}

#[test]
fn e19_the_end_has_no_children() {
    let old = roster(1, &[("sip:a@x", &["1"])]);
    let end = Document {
        state: State::Deleted,
        ..old.clone()
    };
    let end = diff(&old, &end).unwrap();
    insta::assert_snapshot!(end.write(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:dev@conf.example.com" state="deleted" version="2"/>
    "#);
    let mut local = Some(old);
    assert_eq!(apply(&mut local, end.clone()), Ok(Applied::Ended));
    let late = Document {
        state: State::Partial,
        version: 3,
        ..Default::default()
    };
    assert_eq!(apply(&mut local, late), Err(ApplyError::NoFullState));
    assert_eq!(diff(&end, &end), None);
}

#[test]
fn e06_versions_rule() {
    let mut local = None;
    let partial = |version| Document {
        state: State::Partial,
        version,
        ..Default::default()
    };
    assert_eq!(apply(&mut local, partial(1)), Err(ApplyError::NoFullState));
    assert_eq!(apply(&mut local, roster(5, &[])), Ok(Applied::Full));
    assert_eq!(
        apply(&mut local, roster(5, &[("sip:a@x", &[])])),
        Ok(Applied::Ignored)
    );
    assert_eq!(apply(&mut local, partial(4)), Ok(Applied::Ignored));
    assert_eq!(
        apply(&mut local, partial(7)),
        Err(ApplyError::Gap {
            known: 5,
            received: 7
        })
    );
    assert_eq!(apply(&mut local, partial(6)), Ok(Applied::Partial));
    assert_eq!(apply(&mut local, roster(9, &[])), Ok(Applied::Full));
    assert_eq!(local, Some(roster(9, &[])));
}

#[test]
fn partial_endpoints_of_others_are_merged() {
    let mut local = Some(roster(1, &[("sip:a@x", &["1"])]));
    let media = |label: &str| Media {
        id: "m".into(),
        label: Some(label.into()),
        ..Default::default()
    };
    let mut change = |version, endpoint: Endpoint| {
        let state = State::Partial;
        let endpoints = vec![Endpoint {
            entity: "1".into(),
            state,
            ..endpoint
        }];
        let users = vec![User {
            entity: "sip:a@x".into(),
            state,
            endpoints,
            ..Default::default()
        }];
        let users = Some(Users { state, users });
        let document = Document {
            state,
            version,
            users,
            ..Default::default()
        };
        assert_eq!(apply(&mut local, document), Ok(Applied::Partial));
        local.as_ref().unwrap().users.as_ref().unwrap().users[0].endpoints[0].clone()
    };
    change(
        2,
        Endpoint {
            media: vec![media("1")],
            ..Default::default()
        },
    );
    let status = Some(EndpointStatus::OnHold);
    let merged = change(
        3,
        Endpoint {
            media: vec![media("2")],
            status,
            ..Default::default()
        },
    );
    assert_eq!(merged.media, [media("2")]);
    assert_eq!((merged.status, merged.state), (status, State::Full));
}

#[test]
fn other_peoples_documents_are_read() {
    let document = read(
        "\u{feff}<?xml version='1.0'?><!-- x --><c:conference-info xmlns:c='urn:ietf:params:xml:ns:conference-info'
          xmlns:o='urn:other' xmlns:x='urn:ietf:params:xml:ns:xcon-conference-info' entity='sip:r@h' version='7'>
          <o:conference-state><c:user-count>9</c:user-count></o:conference-state>
          <c:conference-description><c:display-text><![CDATA[a<b]]>&amp;&#x63;</c:display-text>
            <c:keywords> a  b </c:keywords></c:conference-description>
          <c:users>
            <c:user entity='sip:a@[::1]' x:nickname='A&lt;' state='partial' o:state='deleted'>
              <c:endpoint entity='1'><c:status> declined </c:status>
                <c:joining-info><c:when>yesterday</c:when></c:joining-info><c:media/></c:endpoint>
            </c:user><c:user/>
            <c:user entity='sip:b@%5B::1%5D:5'><x:nickname>B</x:nickname></c:user>
            <user entity='sip:nobody@h'/>
          </c:users></c:conference-info>",
    );
    let description = document.description.unwrap();
    assert_eq!(description.display_text.as_deref(), Some("a<b&c"));
    assert_eq!(description.keywords, ["a", "b"]);
    assert_eq!(document.conference_state, None);
    assert_eq!((document.version, document.state), (7, State::Full));
    let users = document.users.unwrap().users;
    assert_eq!(users.len(), 2);
    assert_eq!(
        (users[0].nickname.as_deref(), users[0].state),
        (Some("A<"), State::Partial)
    );
    assert_eq!(users[0].endpoints[0].status, None);
    assert_eq!(
        users[0].endpoints[0].joining_info,
        Some(ExecutionInfo::default())
    );
    assert_eq!(users[1].entity, "sip:b@[::1]:5");
    assert_eq!(users[1].nickname.as_deref(), Some("B"));
}

#[test]
fn times_that_are_none_are_dropped() {
    let when = |when: &str| {
        let mut document = roster(0, &[("sip:a@x", &["1"])]);
        document.users.as_mut().unwrap().users[0].endpoints[0].joining_info = Some(ExecutionInfo {
            when: Some(when.into()),
            ..Default::default()
        });
        let again = read(&document.write());
        again.users.unwrap().users[0].endpoints[0]
            .joining_info
            .clone()
            .unwrap()
            .when
    };
    for good in [
        "2025-11-23T09:35:00Z",
        "2024-02-29T23:59:59.123Z",
        "2025-01-31T00:00:00+01:00",
        "2025-04-30T00:00:00",
    ] {
        assert_eq!(when(good).as_deref(), Some(good));
    }
    for bad in [
        "",
        "2025",
        "2025-02-29T00:00:00Z",
        "2025-04-31T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-01-00T00:00:00Z",
        "2025-01-01T24:00:01Z",
        "2025-01-01 00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-01-01T00:00:00.Z",
        "2025-01-01T00:00:00z",
        "2025-01-01T00:00:00+1:00",
        "é025-01-01T00:00:00Z",
        "2025-01-01T00:00:0é",
    ] {
        assert_eq!(when(bad), None, "{bad}");
    }
}

#[test]
fn documents_that_are_none_are_refused() {
    let root = |inner: &str| {
        let start =
            "<conference-info xmlns='urn:ietf:params:xml:ns:conference-info' entity='sip:a@b'";
        Document::read(format!("{start}{inner}").as_bytes()).map(|_| ())
    };
    assert_eq!(root("/>"), Ok(()));
    assert_eq!(root(">"), Err(ReadError::Malformed));
    assert_eq!(
        root("></users></conference-info>"),
        Err(ReadError::Malformed)
    );
    assert_eq!(root(" a='1' a='2'/>"), Err(ReadError::Malformed));
    assert_eq!(root(">&unknown;</conference-info>"), Err(ReadError::Dtd));
    assert_eq!(root("/><x>"), Err(ReadError::Malformed));
    let all = |xml: &str| Document::read(xml.as_bytes());
    assert_eq!(all(""), Err(ReadError::NotConferenceInfo));
    assert_eq!(
        all("<conference-info entity='x'/>"),
        Err(ReadError::NotConferenceInfo)
    );
    assert_eq!(
        all("<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><x>&b;</x>"),
        Err(ReadError::Dtd)
    );
    assert_eq!(Document::read(b"<x>\xff</x>"), Err(ReadError::Malformed));
}

#[test]
fn sizes_are_bounded() {
    let root = |inner: String| {
        let start =
            "<conference-info xmlns='urn:ietf:params:xml:ns:conference-info' entity='sip:a@b'";
        Document::read(format!("{start}{inner}</conference-info>").as_bytes()).map(|_| ())
    };
    let nested = |levels: usize| format!(">{}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    assert_eq!(root(nested(MAX_DEPTH - 1)), Ok(()));
    assert_eq!(root(nested(MAX_DEPTH)), Err(ReadError::TooLarge));
    assert_eq!(
        root(format!(">{}", "<a/>".repeat(MAX_ELEMENTS))),
        Err(ReadError::TooLarge)
    );
    let many: String = (0..64).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(root(format!("{many}>")), Err(ReadError::TooLarge));
    assert_eq!(
        root(format!(">{}", "x".repeat(MAX_OCTETS))),
        Err(ReadError::TooLarge)
    );
}

/// Text as a peer may send it, less what XML cannot hold.
fn text() -> impl Strategy<Value = Option<String>> {
    option::of("[ -~\t\r\né🦀]{0,6}")
}

fn execution() -> impl Strategy<Value = Option<ExecutionInfo>> {
    option::of(
        (text(), option::of("sip:[a-z]{1,3}@h")).prop_map(|(reason, by)| ExecutionInfo {
            when: Some("2025-11-23T09:35:00Z".into()),
            reason,
            by,
        }),
    )
}

fn status() -> impl Strategy<Value = Option<EndpointStatus>> {
    option::of(proptest::sample::select(EndpointStatus::ALL))
}

fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let one = (text(), execution(), status(), vec("[a-c]", 0..2));
    proptest::collection::btree_map("[0-4]", one, 0..3).prop_map(|all| {
        let endpoint =
            |(entity, (display_text, info, status, media)): (_, (_, _, _, Vec<String>))| Endpoint {
                entity,
                display_text,
                joining_info: info,
                status,
                media: media
                    .into_iter()
                    .map(|id| Media {
                        id,
                        status: Some(MediaStatus::Recvonly),
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            };
        all.into_iter().map(endpoint).collect()
    })
}

fn users() -> impl Strategy<Value = Option<Users>> {
    let one = (
        text(),
        text(),
        vec("[a-z]{1,3}", 0..2),
        vec("sip:[a-z]@h", 0..2),
        endpoints(),
    );
    let all = proptest::collection::btree_map("sip:[a-f]@(h|\\[::1\\])", one, 0..6);
    option::weighted(
        0.9,
        all.prop_map(|all: BTreeMap<_, _>| Users {
            state: State::Full,
            users: all
                .into_iter()
                .map(
                    |(entity, (display_text, nickname, roles, aors, endpoints))| User {
                        entity,
                        state: State::Full,
                        display_text,
                        nickname,
                        roles,
                        associated_aors: aors
                            .into_iter()
                            .map(|uri| UriEntry {
                                uri,
                                ..Default::default()
                            })
                            .collect(),
                        endpoints,
                    },
                )
                .collect(),
        }),
    )
}

fn document() -> impl Strategy<Value = Document> {
    let description = option::weighted(
        0.9,
        text().prop_map(|subject| Description {
            subject,
            ..Default::default()
        }),
    );
    let state = option::weighted(
        0.9,
        any::<Option<u32>>().prop_map(|user_count| ConferenceState {
            user_count,
            active: Some(true),
            locked: None,
        }),
    );
    let host = option::of(text().prop_map(|display_text| HostInfo {
        display_text,
        ..Default::default()
    }));
    let sidebars = vec("sip:[a-z]@h", 0..2);
    (description, state, users(), host, sidebars).prop_map(
        |(description, conference_state, users, host_info, sidebars)| Document {
            entity: "sip:dev@h".into(),
            description,
            host_info,
            conference_state,
            users,
            sidebars: sidebars
                .into_iter()
                .map(|uri| UriEntry {
                    uri,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        },
    )
}

/// Order carries no meaning.
fn sorted(document: &Document) -> Document {
    let mut document = document.clone();
    if let Some(users) = &mut document.users {
        users.users.sort_by(|a, b| a.entity.cmp(&b.entity));
        for user in &mut users.users {
            user.endpoints.sort_by(|a, b| a.entity.cmp(&b.entity));
        }
    }
    document
}

proptest! {
    #[test]
    fn e09_applied_partials_make_the_fresh_full_document(history in vec(document(), 1..8)) {
        let mut sent = history[0].clone();
        let mut local = None;
        prop_assert_eq!(apply(&mut local, read(&sent.write())), Ok(Applied::Full));
        for fresh in &history {
            if let Some(change) = diff(&sent, fresh) {
                prop_assert_ne!(apply(&mut local, read(&change.write())), Ok(Applied::Ignored));
                sent = Document { version: change.version, ..fresh.clone() };
            }
            prop_assert_eq!(local.as_ref().map(sorted), Some(sorted(&sent)));
            prop_assert_eq!(diff(&sent, fresh), None);
        }
    }

    #[test]
    fn what_is_written_is_read(document in document()) {
        let xml = document.write();
        prop_assert_eq!(&read(&xml), &document);
        prop_assert_eq!(read(&xml).write(), xml);
    }

    #[test]
    fn written_users_make_the_same_document(document in document(), version: u32) {
        let elements: Vec<_> = document.users.iter().flat_map(|users| &users.users).map(User::element).collect();
        let expected = Document { version, ..document.clone() }.write();
        prop_assert_eq!(document.template(Some(&elements)).with_version(version), expected);
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in vec(any::<u8>(), 0..200), markup in "[<>/&;#x\"'=a!\\[\\]: -]{0,60}") {
        let _ = Document::read(&octets);
        let _ = Document::read(markup.as_bytes());
    }

    #[test]
    fn damaged_documents_never_panic(document in document(), at: usize, octet: u8) {
        let mut octets = document.write().into_bytes();
        let at = at % octets.len();
        octets[at] = octet;
        if let Ok(read) = Document::read(&octets) {
            let xml = read.write();
            prop_assert_eq!(Document::read(xml.as_bytes()).map(|again| again.write()), Ok(xml));
        }
    }
}
