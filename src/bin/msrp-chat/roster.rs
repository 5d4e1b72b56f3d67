//! The people in the room, according to the applied conference-info documents (RFC 4575 §4.6).

use crate::msrp::same_address;
use msrp_conference::wire::conference_info::{
    Applied, ApplyError, Document, EndpointStatus, ReadError, User, apply,
};
use msrp_conference::wire::sip::Uri;
use serde::Serialize;

/// A user in the form to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    pub(crate) entity: String,
    pub(crate) display: String,
    pub(crate) nickname: Option<String>,
    pub(crate) status: String,
}

impl Shown {
    fn present(&self) -> bool {
        self.status != EndpointStatus::Disconnected.as_str()
    }

    /// Display name of the user: nickname, name, or the user part of the URI.
    pub(crate) fn name(&self) -> &str {
        match (&self.nickname, self.display.as_str()) {
            (Some(nickname), _) if !nickname.is_empty() => nickname,
            (_, "") => short(&self.entity),
            (_, display) => display,
        }
    }
}

/// A change to report in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Joined(String),
    /// The user's name, and the way they left (`departed`, `booted`, `failed`; empty when unknown).
    Left(String, String),
    Renamed(String, String),
}

/// The effect of a document.
#[derive(Debug)]
pub(crate) struct Update {
    pub(crate) version: u32,
    /// The document was a full one.
    pub(crate) full: bool,
    /// The conference has ceased to exist.
    pub(crate) ended: bool,
    /// It is the first document.
    pub(crate) first: bool,
    pub(crate) changes: Vec<Change>,
}

/// Why a document was useless.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RosterError {
    #[error("the roster the server sent cannot be read: {0}")]
    Read(#[from] ReadError),
    /// Request a full document.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// The roster.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    document: Option<Document>,
}

impl Roster {
    /// Applies a document; `None` when it contains nothing new.
    pub(crate) fn take(&mut self, octets: &[u8]) -> Result<Option<Update>, RosterError> {
        let before = self.users();
        let first = self.document.is_none();
        let received = Document::read(octets)?;
        let ways = ways_out(&received);
        let applied = apply(&mut self.document, received)?;
        if applied == Applied::Ignored {
            return Ok(None);
        }
        let after = self.users();
        Ok(Some(Update {
            version: self
                .document
                .as_ref()
                .map_or(0, |document| document.version),
            full: applied == Applied::Full,
            ended: applied == Applied::Ended,
            first,
            changes: changes(&before, &after, &ways),
        }))
    }

    /// Resets the versions: a new subscription counts its documents anew (§4.3).
    pub(crate) fn forget(&mut self) {
        self.document = None;
    }

    /// Everybody in the document.
    pub(crate) fn users(&self) -> Vec<Shown> {
        let users = self
            .document
            .iter()
            .filter_map(|document| document.users.as_ref());
        users.flat_map(|users| &users.users).map(shown).collect()
    }

    /// The users who are in.
    pub(crate) fn present(&self) -> Vec<Shown> {
        let mut users = self.users();
        users.retain(Shown::present);
        users
    }

    /// Display name for a URI; `given` is the name in the message.
    pub(crate) fn name_of(&self, uri: &str, given: &str) -> String {
        let users = self.users();
        let user = users.iter().find(|user| same_address(&user.entity, uri));
        match user {
            Some(user) if user.nickname.is_some() || given.is_empty() => user.name().to_owned(),
            _ if !given.is_empty() => given.to_owned(),
            _ => short(uri).to_owned(),
        }
    }

    /// Whether a document has arrived.
    pub(crate) fn known(&self) -> bool {
        self.document.is_some()
    }

    /// Display names of the people in the room.
    pub(crate) fn names(&self) -> Vec<String> {
        let present = self.present();
        present.iter().map(|user| user.name().to_owned()).collect()
    }

    /// The URI of a user with this nickname, name, URI or user part; otherwise the text itself if
    /// it looks like a URI.
    pub(crate) fn find(&self, wanted: &str) -> Option<String> {
        let users = self.present();
        let same = |name: &str| !name.is_empty() && name.to_lowercase() == wanted.to_lowercase();
        let by = |test: &dyn Fn(&Shown) -> bool| users.iter().find(|user| test(user));
        by(&|user| same(user.nickname.as_deref().unwrap_or_default()))
            .or_else(|| by(&|user| same_address(&user.entity, wanted)))
            .or_else(|| by(&|user| same(&user.display)))
            .or_else(|| by(&|user| same(short(&user.entity))))
            .map(|user| user.entity.clone())
            .or_else(|| wanted.parse::<Uri>().is_ok().then(|| wanted.to_owned()))
    }
}

/// The user part of a URI, or all of it.
pub(crate) fn short(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or(rest, |(user, _)| user)
}

fn shown(user: &User) -> Shown {
    let statuses = user.endpoints.iter().filter_map(|endpoint| endpoint.status);
    // Of several devices, the one furthest in counts.
    let status = statuses.max_by_key(|status| match status {
        EndpointStatus::Connected => 3,
        EndpointStatus::Disconnected => 0,
        EndpointStatus::Disconnecting => 1,
        _ => 2,
    });
    Shown {
        entity: user.entity.clone(),
        display: user.display_text.clone().unwrap_or_default(),
        nickname: user.nickname.clone(),
        status: status
            .unwrap_or(EndpointStatus::Connected)
            .as_str()
            .to_owned(),
    }
}

fn ways_out(document: &Document) -> Vec<(String, String)> {
    let users = document.users.iter().flat_map(|users| &users.users);
    users
        .filter_map(|user| {
            let mut ways = user
                .endpoints
                .iter()
                .filter_map(|device| device.disconnection_method);
            ways.next()
                .map(|way| (user.entity.clone(), way.as_str().to_owned()))
        })
        .collect()
}

fn changes(before: &[Shown], after: &[Shown], ways: &[(String, String)]) -> Vec<Change> {
    let find = |users: &'_ [Shown], entity: &str| -> Option<Shown> {
        let user = users
            .iter()
            .find(|user| user.entity == entity && user.present());
        user.cloned()
    };
    let mut changes = Vec::new();
    for user in after.iter().filter(|user| user.present()) {
        match find(before, &user.entity) {
            None => changes.push(Change::Joined(user.name().to_owned())),
            Some(old) if old.name() != user.name() => {
                let (old, new) = (old.name().to_owned(), user.name().to_owned());
                changes.push(Change::Renamed(old, new));
            }
            Some(_) => {}
        }
    }
    for user in before.iter().filter(|user| user.present()) {
        if find(after, &user.entity).is_none() {
            let way = ways.iter().find(|(entity, _)| *entity == user.entity);
            let way = way.map(|(_, way)| way.clone()).unwrap_or_default();
            changes.push(Change::Left(user.name().to_owned(), way));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(version: u32, state: &str, users: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><conference-info xmlns="urn:ietf:params:xml:ns:conference-info"
            entity="sip:lobby@h" state="{state}" version="{version}">
            <conference-description/><users state="{state}">{users}</users></conference-info>"#
        )
    }

    fn user(name: &str, status: &str, rest: &str) -> String {
        format!(
            r#"<user entity="sip:{name}@h"><endpoint entity="sip:{name}@h;gr=1">
            <status>{status}</status>{rest}</endpoint></user>"#
        )
    }

    #[test]
    fn people_come_and_go() {
        let mut roster = Roster::default();
        let full = document(1, "full", &user("al", "connected", ""));
        let update = roster.take(full.as_bytes()).unwrap().unwrap();
        assert!(update.full && update.first);
        let more = document(2, "partial", &user("bo", "connected", ""));
        let update = roster.take(more.as_bytes()).unwrap().unwrap();
        assert_eq!(update.changes, [Change::Joined("bo".into())]);
        let way = "<disconnection-method>failed</disconnection-method>";
        let gone = document(3, "partial", &user("al", "disconnected", way));
        let update = roster.take(gone.as_bytes()).unwrap().unwrap();
        assert_eq!(update.changes, [Change::Left("al".into(), "failed".into())]);
        assert_eq!(roster.present().len(), 1);
        let cleared = document(4, "partial", r#"<user entity="sip:al@h" state="deleted"/>"#);
        let update = roster.take(cleared.as_bytes()).unwrap().unwrap();
        assert!(update.changes.is_empty());
        assert_eq!(roster.find("BO"), Some("sip:bo@h".into()));
        assert_eq!(roster.find("nobody"), None);
    }

    #[test]
    fn a_gap_asks_for_a_full_document() {
        let mut roster = Roster::default();
        let full = document(1, "full", "");
        assert!(roster.take(full.as_bytes()).is_ok());
        assert!(roster.take(full.as_bytes()).unwrap().is_none());
        let late = document(3, "partial", "");
        let error = roster.take(late.as_bytes()).unwrap_err();
        assert!(matches!(error, RosterError::Apply(ApplyError::Gap { .. })));
    }
}
