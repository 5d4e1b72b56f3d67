//! The coherence algorithm of a subscriber (RFC 4575 §4.6).

use super::model::*;

/// The effect of a received document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It replaced the known state.
    Full,
    /// It was merged into the known state.
    Partial,
    /// The conference has ceased to exist: unsubscribe.
    Ended,
    /// It is not newer than the known state.
    Ignored,
}

/// The reason why a partial document cannot be used: refresh the subscription to get a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Documents are missing between the two versions.
    #[error("document {received} follows {known}: some are missing")]
    Gap {
        /// The version we have.
        known: u32,
        /// The version that came.
        received: u32,
    },
    /// There is no full document to apply it to.
    #[error("a partial document before any full one")]
    NoFullState,
    /// More users than the limit, or more endpoints of one user.
    #[error("the roster has grown too large")]
    TooLarge,
}

/// Limit of users in a roster, and of endpoints of a user; our own notifier admits 1000
/// (`max_participants`).
pub const MAX_USERS: usize = 10_000;

/// Brings `local` up to date with a document received on the same subscription. A new
/// subscription starts with `None`.
pub fn apply(local: &mut Option<Document>, received: Document) -> Result<Applied, ApplyError> {
    if let Some(known) = local
        && received.version <= known.version
    {
        return Ok(Applied::Ignored);
    }
    match (received.state, &mut *local) {
        (State::Full, _) => {
            *local = Some(received);
            Ok(Applied::Full)
        }
        (State::Deleted, _) => {
            *local = Some(received);
            Ok(Applied::Ended)
        }
        (State::Partial, Some(known)) if known.state == State::Full => {
            if known.version.checked_add(1) != Some(received.version) {
                return Err(ApplyError::Gap {
                    known: known.version,
                    received: received.version,
                });
            }
            let merged = merge(known, received);
            if merged.is_err() {
                // A later document could not be applied to half of this one.
                *local = None;
            }
            merged.map(|()| Applied::Partial)
        }
        (State::Partial, _) => Err(ApplyError::NoFullState),
    }
}

fn merge(known: &mut Document, received: Document) -> Result<(), ApplyError> {
    known.version = received.version;
    // These have no state of their own and come whole (step 3.2).
    replace(&mut known.description, received.description);
    replace(&mut known.host_info, received.host_info);
    replace(&mut known.conference_state, received.conference_state);
    replace_list(&mut known.sidebars, received.sidebars);
    match received.users {
        None => {}
        Some(users) if users.state == State::Full => known.users = Some(users),
        Some(users) if users.state == State::Deleted => known.users = None,
        Some(users) => {
            let list = &mut known.users.get_or_insert_default().users;
            for user in users.users {
                merge_user(list, user)?;
            }
        }
    }
    Ok(())
}

fn merge_user(users: &mut Vec<User>, received: User) -> Result<(), ApplyError> {
    let is_full = users.len() >= MAX_USERS;
    let known = users.iter_mut().find(|u| u.entity == received.entity);
    match (known, received.state) {
        (_, State::Deleted) => users.retain(|u| u.entity != received.entity),
        (Some(known), State::Full) => *known = received,
        (Some(known), State::Partial) => {
            replace(&mut known.display_text, received.display_text);
            replace(&mut known.nickname, received.nickname);
            replace_list(&mut known.associated_aors, received.associated_aors);
            replace_list(&mut known.roles, received.roles);
            for endpoint in received.endpoints {
                merge_endpoint(&mut known.endpoints, endpoint)?;
            }
        }
        (None, _) if is_full => return Err(ApplyError::TooLarge),
        (None, _) => {
            let mut user = User {
                state: State::Full,
                endpoints: Vec::new(),
                ..received
            };
            for endpoint in received.endpoints {
                merge_endpoint(&mut user.endpoints, endpoint)?;
            }
            users.push(user);
        }
    }
    Ok(())
}

fn merge_endpoint(endpoints: &mut Vec<Endpoint>, received: Endpoint) -> Result<(), ApplyError> {
    let is_full = endpoints.len() >= MAX_USERS;
    let known = endpoints.iter_mut().find(|e| e.entity == received.entity);
    match (known, received.state) {
        (_, State::Deleted) => endpoints.retain(|e| e.entity != received.entity),
        (Some(known), State::Full) => *known = received,
        (Some(known), State::Partial) => update_endpoint(known, received),
        (None, _) if is_full => return Err(ApplyError::TooLarge),
        (None, _) => endpoints.push(Endpoint {
            state: State::Full,
            ..received
        }),
    }
    Ok(())
}

fn update_endpoint(known: &mut Endpoint, received: Endpoint) {
    replace(&mut known.display_text, received.display_text);
    replace(&mut known.referred, received.referred);
    replace(&mut known.status, received.status);
    replace(&mut known.joining_method, received.joining_method);
    replace(&mut known.joining_info, received.joining_info);
    replace(
        &mut known.disconnection_method,
        received.disconnection_method,
    );
    replace(&mut known.disconnection_info, received.disconnection_info);
    replace(&mut known.call_info, received.call_info);
    for media in received.media {
        match known.media.iter_mut().find(|m| m.id == media.id) {
            Some(same) => *same = media,
            None => known.media.push(media),
        }
    }
}

/// A partial element leaves unmentioned values unchanged.
fn replace<T>(known: &mut Option<T>, received: Option<T>) {
    if received.is_some() {
        *known = received;
    }
}

fn replace_list<T>(known: &mut Vec<T>, received: Vec<T>) {
    if !received.is_empty() {
        *known = received;
    }
}
