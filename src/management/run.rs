//! Requests, carried out on the focus.

use super::{Answer, Fault, Page, Request, Value};
use crate::focus::record::Query;
use crate::focus::{EndpointDetail, Focus, OperatorError, RoomDetail, RoomSummary, UserDetail};
use crate::statistics::{ALL, Statistics};
use crate::time::Moment;

impl From<OperatorError> for Fault {
    fn from(error: OperatorError) -> Self {
        Fault::new(error.code(), error)
    }
}

/// Carries a request out. `Reload` and `Stats` are not the focus' business.
///
/// # Errors
/// What was asked for is not there, or may not be.
pub fn run(focus: &mut Focus, now: Moment, request: &Request) -> Answer {
    focus.begin(now);
    match request {
        Request::List(Page { limit, offset }) => {
            let rooms = focus.rooms_page(*offset, *limit);
            Ok(Value::List(rooms.iter().map(summary).collect()))
        }
        Request::Show(room, Page { limit, offset }) => {
            Ok(detail(focus.room_detail(room, *offset, *limit)?))
        }
        Request::Create(entry) => {
            let uri = entry.uri.to_string();
            focus.create_room(now, (**entry).clone())?;
            Ok(Value::record([("uri", uri.into())]))
        }
        Request::End(room) => done(focus.end_room(now, room)),
        Request::Invite(room, target) => done(focus.invite_into(now, room, target)),
        Request::Expel(room, user) => done(focus.expel(now, room, user)),
        Request::Role(room, user, role) => done(focus.give_role(now, room, user, *role)),
        Request::Say(room, text) => done(focus.say(room, text)),
        Request::Lock(room, locked) => done(focus.lock(now, room, *locked)),
        Request::Ban(room, who, true) => done(focus.ban(now, room, who)),
        Request::Ban(room, who, false) => done(focus.unban(now, room, who)),
        Request::Reload | Request::Stats => Err(Fault::new(500, "not for the focus")),
    }
}

/// What must be found out before a request can be carried out.
pub fn needs(focus: &Focus, request: &Request) -> Option<Query> {
    match request {
        Request::List(Page { limit, offset }) => focus.page_needed(*offset, *limit),
        Request::Create(entry) => focus.room_needed(&entry.uri, false),
        Request::End(room) => focus.room_needed(room, true),
        Request::Show(room, _)
        | Request::Invite(room, _)
        | Request::Expel(room, _)
        | Request::Role(room, ..)
        | Request::Say(room, _)
        | Request::Lock(room, _)
        | Request::Ban(room, ..) => focus.room_needed(room, false),
        Request::Reload | Request::Stats => None,
    }
}

/// The answer of `stats`.
pub fn statistics(statistics: &Statistics, rooms: usize) -> Value {
    let all = ALL.iter();
    let named = all.map(|which| (which.name().into(), statistics.value(*which).into()));
    let rooms = ("rooms".into(), rooms.into());
    Value::Record(named.chain([rooms]).collect())
}

fn done(result: Result<(), OperatorError>) -> Answer {
    result?;
    Ok("ok".into())
}

fn summary(room: &RoomSummary) -> Value {
    Value::record([
        ("uri", room.uri.as_str().into()),
        ("participants", room.participants.into()),
        ("subscribers", room.subscribers.into()),
        ("created", room.created.utc().into()),
        ("messages", room.messages.into()),
    ])
}

fn detail(room: RoomDetail) -> Value {
    let users = room.users.into_iter().map(user).collect();
    let mut value = summary(&room.summary);
    if let Value::Record(fields) = &mut value {
        fields.extend([
            ("lasting".into(), room.lasting.into()),
            ("locked".into(), room.locked.into()),
            ("max".into(), room.max_participants.into()),
            ("history".into(), u64::from(room.history).into()),
            ("subject".into(), room.subject.into()),
            ("users".into(), Value::List(users)),
        ]);
    }
    value
}

fn user(user: UserDetail) -> Value {
    let endpoints = user.endpoints.into_iter().map(endpoint).collect();
    Value::record([
        ("entity", user.entity.to_string().into()),
        ("display", user.display.into()),
        ("nickname", user.nickname.into()),
        ("role", user.role.as_str().into()),
        ("invited", user.invited.into()),
        ("endpoints", Value::List(endpoints)),
    ])
}

fn endpoint(endpoint: EndpointDetail) -> Value {
    Value::record([
        ("dialog", endpoint.dialog.into()),
        ("status", endpoint.status.into()),
        ("msrp", endpoint.msrp.into()),
        ("joined", endpoint.joined.map(Moment::utc).into()),
    ])
}
