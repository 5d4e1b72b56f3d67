//! The difference of two full documents, for a subscriber who has the first and needs the second.

use super::model::*;
use std::collections::{HashMap, HashSet};

/// The partial document that turns `old` into `new` (both full) when [`super::apply`] is given it;
/// `None` when nothing has changed.
///
/// It lists changed users only. A user with changed endpoints is `partial` and holds those
/// endpoints in full; a new user is full; users and endpoints that are gone are `deleted`. A
/// removed description or name cannot be expressed in a partial document, so it comes as a full
/// one. The version is that of `old` plus one; the version of `new` is ignored. The order of users
/// and endpoints carries no meaning.
pub fn diff(old: &Document, new: &Document) -> Option<Document> {
    let version = old.version.wrapping_add(1);
    let frame = |state| Document {
        entity: new.entity.clone(),
        state,
        version,
        ..Default::default()
    };
    if new.state == State::Deleted {
        return (old.state != State::Deleted).then(|| frame(State::Deleted));
    }
    if old.entity != new.entity
        || old.state == State::Deleted
        || lost(&old.description, &new.description)
        || lost(&old.host_info, &new.host_info)
        || lost(&old.conference_state, &new.conference_state)
        || (new.sidebars.is_empty() && !old.sidebars.is_empty())
    {
        let state = State::Full;
        return Some(Document {
            state,
            version,
            ..new.clone()
        });
    }
    let partial = Document {
        description: changed(&old.description, &new.description),
        host_info: changed(&old.host_info, &new.host_info),
        conference_state: changed(&old.conference_state, &new.conference_state),
        sidebars: changed_list(&old.sidebars, &new.sidebars),
        users: users(old.users.as_ref(), new.users.as_ref()),
        ..frame(State::Partial)
    };
    let says_something = partial.description.is_some()
        || partial.host_info.is_some()
        || !partial.sidebars.is_empty()
        || partial.conference_state.is_some()
        || partial.users.is_some();
    says_something.then_some(partial)
}

fn users(old: Option<&Users>, new: Option<&Users>) -> Option<Users> {
    let (old, new) = match (old, new) {
        (None, None) => return None,
        (None, Some(new)) => return Some(new.clone()),
        (Some(_), None) => {
            return Some(Users {
                state: State::Deleted,
                users: Vec::new(),
            });
        }
        (Some(old), Some(new)) => (&old.users, &new.users),
    };
    let state = State::Partial;
    let users = keyed(
        old,
        new,
        |u| &u.entity,
        user,
        |entity| User {
            entity,
            state: State::Deleted,
            ..Default::default()
        },
    );
    (!users.is_empty()).then_some(Users { state, users })
}

fn user(old: &User, new: &User) -> Option<User> {
    if old == new {
        return None;
    }
    let unsayable = lost(&old.display_text, &new.display_text)
        || lost(&old.nickname, &new.nickname)
        || (new.roles.is_empty() && !old.roles.is_empty())
        || (new.associated_aors.is_empty() && !old.associated_aors.is_empty());
    if unsayable {
        return Some(new.clone());
    }
    let endpoint = |old: &Endpoint, new: &Endpoint| (old != new).then(|| new.clone());
    let gone = |entity| Endpoint {
        entity,
        state: State::Deleted,
        ..Default::default()
    };
    let partial = User {
        entity: new.entity.clone(),
        state: State::Partial,
        display_text: changed(&old.display_text, &new.display_text),
        nickname: changed(&old.nickname, &new.nickname),
        associated_aors: changed_list(&old.associated_aors, &new.associated_aors),
        roles: changed_list(&old.roles, &new.roles),
        endpoints: keyed(
            &old.endpoints,
            &new.endpoints,
            |e| &e.entity,
            endpoint,
            gone,
        ),
    };
    // The order of endpoints is no change.
    let bare = User {
        entity: new.entity.clone(),
        state: State::Partial,
        ..Default::default()
    };
    (partial != bare).then_some(partial)
}

/// The changes of one keyed list: new items whole, common items as `change` returns them, and
/// `gone` for removed items.
fn keyed<T: Clone>(
    old: &[T],
    new: &[T],
    key: fn(&T) -> &String,
    change: impl Fn(&T, &T) -> Option<T>,
    gone: impl Fn(String) -> T,
) -> Vec<T> {
    let before: HashMap<&String, &T> = old.iter().map(|item| (key(item), item)).collect();
    let after: HashSet<&String> = new.iter().map(key).collect();
    let changes = new.iter().filter_map(|item| match before.get(key(item)) {
        Some(known) => change(known, item),
        None => Some(item.clone()),
    });
    let departures = old
        .iter()
        .map(key)
        .filter(|entity| !after.contains(entity))
        .map(|entity| gone(entity.clone()));
    changes.chain(departures).collect()
}

fn lost<T>(old: &Option<T>, new: &Option<T>) -> bool {
    old.is_some() && new.is_none()
}

fn changed<T: Clone + PartialEq>(old: &Option<T>, new: &Option<T>) -> Option<T> {
    (old != new).then(|| new.clone()).flatten()
}

fn changed_list<T: Clone + PartialEq>(old: &[T], new: &[T]) -> Vec<T> {
    match old == new {
        true => Vec::new(),
        false => new.to_vec(),
    }
}
