//! A roster rebuilt from conference-info documents by the rules of RFC 4575 §4.6.

use std::collections::{BTreeMap, BTreeSet};

use msrp_conference::wire::conference_info::{
    Applied, DisconnectionMethod, Document, EndpointStatus, State, apply,
};

use super::schema::validate;

/// A subscriber's knowledge of a room.
#[derive(Debug, Default)]
pub struct Roster {
    /// `state` of every document so far.
    pub kinds: Vec<State>,
    /// Crashes of its proxy: after each, one full document may have any higher version.
    pub crashes: usize,
    known: Option<Document>,
    versions: Vec<u32>,
    departures: BTreeMap<String, DisconnectionMethod>,
    deleted: BTreeSet<String>,
}

impl Roster {
    /// Applies a document: valid by the schema, in sequence, coherent, without users that were
    /// shown as departed before.
    pub fn apply(&mut self, body: &[u8]) {
        let text = String::from_utf8(body.to_vec()).expect("UTF-8");
        validate(&text).unwrap_or_else(|fault| panic!("E05: {fault}\n{text}"));
        // In the schema the version is optional (E06).
        assert!(text.contains(" version=\""), "no version: {text}");
        let document = Document::read(body).expect("a document");
        self.record(&document);
        self.assert_sequence(&document, &text);
        let state = document.state;
        match apply(&mut self.known, document) {
            Ok(Applied::Ignored) => {
                assert_eq!(state, State::Full, "an old partial document: {text}")
            }
            Ok(_) => {}
            Err(error) => panic!("{error}: {text}"),
        }
    }

    /// E06: a version per subscription, each partial one above the last.
    fn assert_sequence(&mut self, document: &Document, text: &str) {
        if let Some(last) = self.versions.last() {
            let next = document.version == last + 1;
            let repeated = document.state == State::Full && document.version == *last;
            let resumed = !next
                && self.crashes > 0
                && document.state == State::Full
                && document.version > *last;
            self.crashes -= usize::from(resumed);
            assert!(
                next || repeated || resumed,
                "version {} after {last}: {text}",
                document.version
            );
        }
        self.versions.push(document.version);
        self.kinds.push(document.state);
    }

    fn record(&mut self, document: &Document) {
        for user in document.users.iter().flat_map(|users| &users.users) {
            if user.state == State::Deleted {
                assert!(
                    self.departures.contains_key(&user.entity),
                    "{} is deleted without having been shown as departed",
                    user.entity
                );
                self.deleted.insert(user.entity.clone());
            }
            for endpoint in &user.endpoints {
                if endpoint.status == Some(EndpointStatus::Disconnected) {
                    assert_ne!(
                        document.state,
                        State::Full,
                        "a full document lists the departed"
                    );
                    let method = endpoint
                        .disconnection_method
                        .expect("E14: disconnection-method");
                    self.departures.insert(user.entity.clone(), method);
                }
            }
        }
    }

    /// The nickname of every user who has one.
    pub fn nicknames(&self) -> BTreeMap<String, String> {
        let known = self.known.iter().flat_map(|document| &document.users);
        known
            .flat_map(|users| &users.users)
            .filter_map(|user| Some((user.entity.clone(), user.nickname.clone()?)))
            .collect()
    }

    /// The version of the last document.
    pub fn version(&self) -> Option<u32> {
        self.versions.last().copied()
    }

    /// The users with a connected endpoint.
    pub fn connected(&self) -> BTreeSet<String> {
        let users = self
            .known
            .iter()
            .flat_map(|document| &document.users)
            .flat_map(|users| &users.users);
        let here = users.filter(|user| {
            user.endpoints
                .iter()
                .any(|endpoint| endpoint.status == Some(EndpointStatus::Connected))
        });
        here.map(|user| user.entity.clone()).collect()
    }

    /// All users in it, whatever the state of their endpoints.
    pub fn users(&self) -> BTreeSet<String> {
        let users = self
            .known
            .iter()
            .flat_map(|document| &document.users)
            .flat_map(|users| &users.users);
        users.map(|user| user.entity.clone()).collect()
    }

    /// Whether a document deleted this user.
    pub fn was_deleted(&self, user: &str) -> bool {
        self.deleted.contains(user)
    }

    /// How this user left.
    pub fn departure(&self, user: &str) -> Option<DisconnectionMethod> {
        self.departures.get(user).copied()
    }
}
