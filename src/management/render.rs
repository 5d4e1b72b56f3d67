//! Rooms and users in the form of answers.

use super::answer::Value;
use crate::focus::{EndpointDetail, RoomDetail, RoomSummary, UserDetail};
use crate::time::Moment;

pub(super) fn summary(room: &RoomSummary) -> Value {
    Value::record([
        ("uri", room.uri.as_str().into()),
        ("participants", room.participants.into()),
        ("subscribers", room.subscribers.into()),
        ("created", room.created.utc().into()),
        ("messages", room.messages.into()),
    ])
}

pub(super) fn detail(room: RoomDetail) -> Value {
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
