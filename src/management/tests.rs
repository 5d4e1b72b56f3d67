//! The commands as an operator gives them, against a focus on a virtual clock.

use std::fs;
use std::time::Duration;

use super::*;
use crate::control::RoomUri;
use crate::entropy::Seeded;
use crate::focus::{self, Config, Focus, Output};
use crate::parameters::Collected;
use crate::time::Moment;

fn focus() -> Focus {
    let config = Collected::default().settings().expect("defaults").focus;
    let config = Config {
        rooms: vec![crate::parameters::room("sip:lobby@h;max=7").expect("a room")],
        ..config
    };
    Focus::new(config, Box::new(Seeded(1)))
}

fn now() -> Moment {
    Moment::from_epoch(Duration::from_secs(1_000_000_000))
}

fn call(command: Command, arguments: &[&str]) -> Call {
    let arguments = arguments.iter().copied().map(Argument::positional);
    Call {
        command,
        arguments: arguments.collect(),
    }
}

fn order(focus: &mut Focus, command: Command, arguments: &[&str]) -> Answer {
    let request = call(command, arguments).read()?;
    run(focus, now(), &request)
}

fn ok() -> Answer {
    Ok("ok".into())
}

fn code(answer: Answer) -> u16 {
    answer.expect_err("refused").code
}

#[test]
fn optional_parameters_come_last() {
    for entry in COMMANDS {
        let optional = entry.parameters.iter().map(|it| it.optional);
        assert!(optional.is_sorted(), "{}: optional ones last", entry.name);
    }
}

#[test]
fn the_page_of_commands_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/management.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, markdown()).expect("docs/management.md");
    }
    let page = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(page, markdown(), "run UPDATE_DOCS=1 cargo test management");
}

#[test]
fn arguments_stand_by_place_or_by_name() {
    let page = Page {
        limit: 5,
        offset: 10,
    };
    let room = RoomUri::new("sip:lobby@h");
    for call in [
        call(Command::Show, &["lobby@H", "5", "10"]),
        Call {
            command: Command::Show,
            arguments: vec![
                Argument::named("offset", "10"),
                Argument::named("room", "sip:lobby@h:5060;transport=tcp"),
                Argument::named("limit", "5"),
            ],
        },
    ] {
        assert_eq!(call.read(), Ok(Action::Show(room.clone(), page)));
    }
}

#[test]
fn mistakes_are_told_with_what_is_allowed() {
    for (command, arguments, said) in [
        (
            Command::Show,
            &[][..],
            "room is missing (usage: show room [limit] [offset])",
        ),
        (Command::Show, &[" "], "room is missing"),
        (Command::Stats, &["x"], "too many parameters (usage: stats)"),
        (
            Command::List,
            &["0"],
            "limit \"0\" is not a number from 1 to 1000",
        ),
        (Command::List, &["many"], "limit \"many\" is not a number"),
        (
            Command::List,
            &["1", "-1"],
            "offset \"-1\" is not a number from 0",
        ),
        (
            Command::Role,
            &["a@h", "b@h", "king"],
            "role \"king\" is not participant",
        ),
        (Command::Show, &["tel:+1"], "room \"tel:+1\" is no SIP URI"),
        (Command::Show, &["sip:h"], "is no SIP URI"),
        (
            Command::Invite,
            &["a@h", "http://h"],
            "uri \"http://h\" is no SIP URI",
        ),
        (
            Command::Create,
            &["a@h;max=0"],
            "\"max=0\" is not allowed (max=1..100000)",
        ),
        (
            Command::Create,
            &["a@h", "colour=red"],
            "\"colour=red\" is not allowed (options: docs/",
        ),
        (Command::Create, &["room1"], "is not allowed (sip:USER@HOST"),
        (
            Command::Say,
            &["a@h", " "],
            "text is missing (usage: say room text)",
        ),
        (Command::Say, &["a@h"], "text is missing"),
        (
            Command::Say,
            &["a@h", "b", "c"],
            "too many parameters (usage: say room text)",
        ),
        (Command::Ban, &["a@h", "*@h, b@h"], "no address of record"),
    ] {
        let fault = call(command, arguments).read().expect_err("refused");
        assert_eq!(fault.code, 400);
        assert!(
            fault.text.contains(said),
            "{command:?} {arguments:?}: {fault}"
        );
    }
    let long = "x".repeat(MAX_SAID + 1);
    assert_eq!(
        code(
            call(Command::Say, &["a@h", &long])
                .read()
                .map(|_| Value::Null)
        ),
        400
    );
    let strange = Call {
        command: Command::List,
        arguments: vec![Argument::default()],
    };
    assert!(
        strange
            .read()
            .expect_err("refused")
            .text
            .contains("neither string nor number")
    );
    for (first, second) in [("room", "room"), ("room", "colour")] {
        let call = Call {
            command: Command::Show,
            arguments: vec![
                Argument::named(first, "a@h"),
                Argument::named(second, "b@h"),
            ],
        };
        assert_eq!(call.read().expect_err("refused").code, 400);
    }
}

/// Longer errors make kamcmd print nothing at all, and JSON-RPC half of the text.
#[test]
fn errors_fit_every_interface() {
    let long = "ü".repeat(2_000);
    let room = format!("a@h;{long}=1");
    let calls = [
        (Command::Show, vec![long.as_str()]),
        (Command::Create, vec![long.as_str()]),
        (Command::Create, vec![room.as_str()]),
        (
            Command::Create,
            vec!["a@h;moderators=sip:b@h;subscribe=whoever-may-come-along"],
        ),
        (Command::Role, vec!["a@h", "b@h", long.as_str()]),
        (Command::Ban, vec!["a@h", long.as_str()]),
        (Command::List, vec![long.as_str()]),
        (Command::Invite, vec!["a@h", long.as_str(), "c"]),
    ];
    for (command, arguments) in calls {
        let fault = call(command, &arguments).read().expect_err("refused");
        assert!(fault.text.len() <= MAX_FAULT, "{fault}");
        // The end names the allowed values, or the place to read about them.
        assert!(!fault.text.ends_with('…'), "{fault}");
    }
    assert_eq!(Fault::new(400, &long).text.len(), MAX_FAULT);
}

#[test]
fn a_room_is_made_listed_shown_and_ended() {
    let mut focus = focus();
    let made = order(
        &mut focus,
        Command::Create,
        &["team@h", "max=3;subject=Plans"],
    );
    assert_eq!(made, Ok(Value::record([("uri", "sip:team@h".into())])));
    assert_eq!(code(order(&mut focus, Command::Create, &["team@h"])), 409);
    assert_eq!(code(order(&mut focus, Command::Create, &["lobby@h"])), 409);
    let Ok(Value::List(rooms)) = order(&mut focus, Command::List, &[]) else {
        panic!("no list");
    };
    let uris: Vec<_> = rooms
        .iter()
        .map(|room| room.field("uri").cloned())
        .collect();
    assert_eq!(
        uris,
        [Some("sip:lobby@h".into()), Some("sip:team@h".into())]
    );
    let Value::Record(fields) = &rooms[1] else {
        panic!("no record");
    };
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(
        names,
        ["uri", "participants", "subscribers", "created", "messages"]
    );
    let shown = order(&mut focus, Command::Show, &["team@h"]).expect("a room");
    for (name, value) in [
        ("created", "2001-09-09T01:46:40Z".into()),
        ("lasting", true.into()),
        ("max", 3_u64.into()),
        ("subject", "Plans".into()),
        ("users", Value::List(Vec::new())),
    ] {
        assert_eq!(shown.field(name), Some(&value), "{name}");
    }
    assert_eq!(order(&mut focus, Command::End, &["team@h"]), ok());
    assert_eq!(code(order(&mut focus, Command::Show, &["team@h"])), 404);
    // Configured rooms stay.
    assert_eq!(order(&mut focus, Command::End, &["lobby@h"]), ok());
    assert!(order(&mut focus, Command::Show, &["lobby@h"]).is_ok());
}

#[test]
fn what_is_not_there_is_said() {
    let mut focus = focus();
    for (command, arguments) in [
        (Command::Show, &["nowhere@h"][..]),
        (Command::End, &["nowhere@h"]),
        (Command::Invite, &["nowhere@h", "a@h"]),
        (Command::Expel, &["nowhere@h", "a@h"]),
        (Command::Expel, &["lobby@h", "nobody@h"]),
        (Command::Role, &["nowhere@h", "a@h", "moderator"]),
        (Command::Say, &["nowhere@h", "hello"]),
        (Command::Lock, &["nowhere@h"]),
        (Command::Unlock, &["nowhere@h"]),
        (Command::Ban, &["nowhere@h", "a@h"]),
        (Command::Unban, &["lobby@h", "a@h"]),
    ] {
        assert_eq!(
            code(order(&mut focus, command, arguments)),
            404,
            "{command:?}"
        );
    }
    assert_eq!(
        code(order(&mut focus, Command::Invite, &["lobby@h", "a@h"])),
        480
    );
    assert!(focus.is_idle_but_for_lines());
}

#[test]
fn a_list_of_many_pages() {
    let mut focus = focus();
    for number in 0..1_500 {
        let name = format!("room{number:04}@h");
        assert!(order(&mut focus, Command::Create, &[&name]).is_ok());
    }
    while focus.poll().is_some() {}
    let page = |focus: &mut Focus, limit: &str, offset: &str| {
        let Ok(Value::List(rooms)) = order(focus, Command::List, &[limit, offset]) else {
            panic!("no list");
        };
        rooms
            .iter()
            .map(|room| match room.field("uri") {
                Some(Value::Text(uri)) => uri.clone(),
                _ => panic!("no uri"),
            })
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = (0..3)
        .flat_map(|n| page(&mut focus, "1000", &(n * 1000).to_string()))
        .collect();
    assert_eq!(all.len(), 1_501);
    assert!(all.is_sorted());
    assert_eq!(page(&mut focus, "2", "700"), all[700..702]);
    let Ok(Value::List(first)) = order(&mut focus, Command::List, &[]) else {
        panic!("no list");
    };
    assert_eq!(first.len(), DEFAULT_LIMIT);
}

impl Focus {
    /// Whether log lines are the only outputs.
    fn is_idle_but_for_lines(&mut self) -> bool {
        std::iter::from_fn(|| self.poll()).all(|output| matches!(output, Output::Log(_)))
            && self.counts() == focus::Counts::default()
    }
}
