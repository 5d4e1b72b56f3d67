//! Every document that we can write is valid: clients such as sipsimple silently drop invalid ones.

mod schema;

use msrp_conference::wire::conference_info::*;
use schema::validate;

const HOSTILE: &str = "<&>\"'\u{0}\u{1}\u{b}\u{1f}\u{fffe}\u{ffff}\r\n\t]]> é 🦀 <!-- &bogus; %zz";

fn valid(document: &Document) {
    let xml = document.write();
    validate(&xml).unwrap_or_else(|fault| panic!("{fault}"));
}

fn invalid(xml: &str) {
    assert!(validate(xml).is_err(), "{xml}");
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn info(words: &str) -> Option<ExecutionInfo> {
    Some(ExecutionInfo {
        when: text("2025-11-23T09:35:00Z"),
        reason: text(words),
        by: text(&format!("sip:{words}@example.com")),
    })
}

fn uris(words: &str) -> Vec<UriEntry> {
    let entry = UriEntry {
        uri: format!("sip:{words}@example.com"),
        display_text: text(words),
        purpose: text("participation"),
    };
    vec![
        UriEntry {
            purpose: None,
            display_text: None,
            ..entry.clone()
        },
        entry,
    ]
}

/// An endpoint with every field of the model, and `words` wherever text may stand.
fn endpoint(words: &str) -> Endpoint {
    Endpoint {
        entity: words.to_owned(),
        state: State::Full,
        display_text: text(words),
        referred: info(words),
        status: Some(EndpointStatus::Connected),
        joining_method: Some(JoiningMethod::DialedIn),
        joining_info: info(words),
        disconnection_method: Some(DisconnectionMethod::Booted),
        disconnection_info: info(words),
        media: MediaStatus::ALL
            .iter()
            .map(|status| Media {
                id: words.to_owned(),
                display_text: text(words),
                kind: text(words),
                label: text(words),
                status: Some(*status),
            })
            .collect(),
        call_info: Some(CallInfo {
            call_id: words.to_owned(),
            from_tag: words.to_owned(),
            to_tag: words.to_owned(),
        }),
    }
}

fn user(words: &str) -> User {
    User {
        entity: format!("sip:{words}@example.com"),
        state: State::Full,
        display_text: text(words),
        nickname: text(words),
        associated_aors: uris(words),
        roles: vec![words.to_owned(), "participant".to_owned()],
        endpoints: vec![endpoint(words), Endpoint::default()],
    }
}

fn full(words: &str) -> Document {
    Document {
        entity: format!("sip:{words}@example.com"),
        state: State::Full,
        version: u32::MAX,
        description: Some(Description {
            display_text: text(words),
            subject: text(words),
            free_text: text(words),
            keywords: vec![words.to_owned()],
            conf_uris: uris(words),
            service_uris: uris(words),
            maximum_user_count: Some(200),
            available_media: vec![MediaEntry {
                label: words.to_owned(),
                display_text: text(words),
                kind: words.to_owned(),
                status: Some(MediaStatus::Sendrecv),
            }],
        }),
        host_info: Some(HostInfo {
            display_text: text(words),
            web_page: text("https://example.com/dev?a=b#c"),
            uris: uris(words),
        }),
        sidebars: uris(words),
        conference_state: Some(ConferenceState {
            user_count: Some(1),
            active: Some(true),
            locked: Some(false),
        }),
        users: Some(Users {
            state: State::Full,
            users: vec![user(words), User::default()],
        }),
    }
}

fn partial(users: Vec<User>) -> Document {
    let state = State::Partial;
    Document {
        entity: "sip:dev@example.com".to_owned(),
        state,
        users: Some(Users { state, users }),
        ..Default::default()
    }
}

#[test]
fn e05_e16_e17_e18_full_documents_are_valid() {
    valid(&full("al"));
    valid(&full(""));
    valid(&Document {
        entity: "sip:dev@example.com".to_owned(),
        description: Some(Description::default()),
        users: Some(Users::default()),
        ..Default::default()
    });
}

#[test]
fn e08_hostile_text_stays_text() {
    valid(&full(HOSTILE));
    let again = Document::read(full(HOSTILE).write().as_bytes()).expect("readable");
    assert_eq!(again.write(), full(HOSTILE).write());
    valid(&partial(vec![User {
        state: State::Partial,
        ..user(HOSTILE)
    }]));
    valid(&Document {
        state: State::Deleted,
        ..full(HOSTILE)
    });
}

#[test]
fn e07_partial_documents_are_valid() {
    for user_state in [State::Full, State::Partial, State::Deleted] {
        for endpoint_state in [State::Full, State::Partial, State::Deleted] {
            let mut user = User {
                state: user_state,
                ..user("al")
            };
            user.endpoints[1].state = endpoint_state;
            valid(&partial(vec![user]));
        }
    }
    valid(&partial(Vec::new()));
    let users = |state| {
        Some(Users {
            state,
            users: vec![user("al")],
        })
    };
    valid(&Document {
        users: users(State::Deleted),
        ..partial(Vec::new())
    });
    valid(&Document {
        users: users(State::Full),
        ..partial(Vec::new())
    });
    valid(&Document {
        users: None,
        ..partial(Vec::new())
    });
}

#[test]
fn e07_a_full_element_never_holds_another_kind() {
    let mut document = full("al");
    let users = document.users.as_mut().expect("users");
    users.state = State::Partial;
    users.users[0].state = State::Partial;
    users.users[0].endpoints[0].state = State::Deleted;
    users.users[1].state = State::Deleted;
    valid(&document);
}

#[test]
fn e14_every_word_is_in_the_schema() {
    let with = |endpoint: Endpoint| {
        valid(&partial(vec![User {
            endpoints: vec![endpoint],
            ..user("al")
        }]));
    };
    for status in EndpointStatus::ALL {
        with(Endpoint {
            status: Some(*status),
            ..Default::default()
        });
    }
    for method in JoiningMethod::ALL {
        with(Endpoint {
            joining_method: Some(*method),
            ..Default::default()
        });
    }
    for method in DisconnectionMethod::ALL {
        with(Endpoint {
            disconnection_method: Some(*method),
            ..Default::default()
        });
    }
}

#[test]
fn e19_the_end_is_valid_and_empty() {
    let end = Document {
        state: State::Deleted,
        ..full("al")
    };
    valid(&end);
    assert!(
        end.write().ends_with("version=\"4294967295\"/>"),
        "{}",
        end.write()
    );
}

#[test]
fn the_grammar_sees_what_is_wrong() {
    let root = |rest: &str| {
        format!(
            "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"sip:a@b\" {rest}</conference-info>"
        )
    };
    let body = "<conference-description/><users>";
    validate(&root(&format!("state='full' version='1'>{body}</users>"))).expect("valid");
    invalid(&root(&format!("state='full'>{body}</users>")));
    invalid(&root(&format!("version='1'>{body}</users>")));
    invalid(&root("state='full' version='1'><conference-description/>"));
    invalid(&root("state='full' version='1'><users/>"));
    invalid(&root(
        "state='full' version='1'><users/><conference-description/>",
    ));
    invalid(&root("state='deleted' version='1'><users/>"));
    for user in [
        "<user/>",
        "<user entity='sip:a@b' state='partial'/>",
        "<user entity='sip:a@b' state='deleted'/>",
        "<user entity='sip:a@b' nickname='x'/>",
        "<user entity='sip:a@b'><roles/></user>",
        "<user entity='sip:a@b'><endpoint entity='x'><status>declined</status></endpoint></user>",
        "<user entity='sip:a@b'><endpoint entity='x' state='deleted'/></user>",
    ] {
        invalid(&root(&format!(
            "state='full' version='1'>{body}{user}</users>"
        )));
    }
    let changes = "<users state='partial'><user entity='sip:a@b' state='deleted'><roles><entry>x</entry></roles></user></users>";
    invalid(&root(&format!("state='partial' version='1'>{changes}")));
}
