//! Output for people or scripts: text lines, or one JSON object a line.

use crate::failure::Failure;
use crate::input::Printer;
use crate::msrp::Received;
use crate::roster::{Change, Roster, Update};
use msrp_conference::time::Moment;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Age from which a message belongs to the room's history rather than being late.
const LATE: Duration = Duration::from_secs(60);

/// ANSI colours (SGR parameters): times and notices in grey, failures in red.
const GREY: &str = "90";
const RED: &str = "31";
/// Bold, in a colour per speaker.
const SPEAKERS: [&str; 5] = ["1;32", "1;33", "1;34", "1;35", "1;36"];

/// The output for people or scripts.
pub(crate) struct Screen {
    json: bool,
    coloured: bool,
    printer: Option<Printer>,
    /// Local time minus UTC, in seconds.
    offset: i64,
}

impl Screen {
    pub(crate) fn new(json: bool, printer: Option<Printer>) -> Self {
        Self {
            json,
            coloured: !json && is_coloured(),
            printer,
            offset: local_offset(),
        }
    }

    /// Reports the join.
    pub(crate) fn joined(&mut self, now: Moment, room: &str, from: &str) {
        match self.json {
            true => self.object(json!({"event": "joined", "room": room, "from": from})),
            false => self.line(
                now,
                &format!("* You are in {room}; /help lists the commands."),
            ),
        }
    }

    /// Shows a message.
    pub(crate) fn message(&mut self, now: Moment, message: &Received, name: &str) {
        let text = text_of(message);
        if self.json {
            return self.object(json!({
                "event": "message",
                "from": message.from,
                "name": name,
                "text": text,
                "to": message.to,
                "private": message.private,
                "notice": message.notice,
                "said": message.said.map(Moment::utc),
                "content_type": message.media_type,
            }));
        }
        let private = if message.private {
            " (only to you)"
        } else {
            ""
        };
        let text = match message.notice || message.from.is_empty() {
            true => format!("* {}", visible(&text)),
            false => format!("{}{private}: {}", self.speaker(name), visible(&text)),
        };
        // A message of the room's history is marked, with its time.
        let past = |said: &Moment| now.saturating_since(*said) >= LATE;
        match message.said.filter(past) {
            Some(said) => self.line_of(now, said, &format!("(earlier) {text}")),
            None => self.line(now, &text),
        }
    }

    /// Shows a message of our own that was not typed on this screen.
    pub(crate) fn said(&mut self, now: Moment, name: &str, text: &str) {
        if !self.json {
            self.line(now, &format!("{}: {}", self.speaker(name), visible(text)));
        }
    }

    /// Shows the changes that a document made to the roster.
    pub(crate) fn roster(&mut self, now: Moment, update: &Update, roster: &Roster) {
        if self.json {
            return self.object(json!({
                "event": "roster",
                "version": update.version,
                "full": update.full,
                "users": roster.users(),
            }));
        }
        if update.ended {
            return self.line(now, "* The conference has ended.");
        }
        if update.first {
            return self.who(now, roster);
        }
        for change in &update.changes {
            let text = match change {
                Change::Joined(name) => format!("* {} joined", noticed(name)),
                Change::Left(name, way) => format!("* {} {}", noticed(name), went(way)),
                Change::Renamed(old, new) => {
                    format!("* {} is now called {}", noticed(old), noticed(new))
                }
            };
            self.line(now, &text);
        }
    }

    /// Shows the people in the room.
    pub(crate) fn who(&mut self, now: Moment, roster: &Roster) {
        let users = roster.present();
        if self.json {
            return self.object(json!({"event": "who", "users": users}));
        }
        let names: Vec<String> = users
            .iter()
            .map(|user| match user.status.as_str() {
                "connected" => named(user.name()),
                status => format!("{} ({status})", named(user.name())),
            })
            .collect();
        let text = match names.is_empty() {
            true => "* Nobody is known to be here.".to_owned(),
            false => format!("* Here: {}", names.join(", ")),
        };
        self.line(now, &text);
    }

    /// Reports the change of our nickname.
    pub(crate) fn nickname(&mut self, now: Moment, nickname: &str) {
        match (self.json, nickname) {
            (true, _) => self.object(json!({"event": "nickname", "nickname": nickname})),
            (false, "") => self.line(now, "* You have no nickname any more."),
            (false, _) => self.line(now, &format!("* You are now called {}.", single(nickname))),
        }
    }

    /// Reports a failure.
    pub(crate) fn failed(&mut self, now: Moment, failure: &Failure) {
        if self.json {
            return self.object(json!({
                "event": "failed",
                "what": failure.what,
                "code": failure.code,
                "reason": failure.reason,
                "advice": failure.advice,
            }));
        }
        self.line(now, &format!("! {}", visible(&failure.to_string())));
    }

    /// Shows any other information.
    pub(crate) fn note(&mut self, now: Moment, text: &str) {
        match self.json {
            true => self.object(json!({"event": "note", "text": text})),
            false => self.line(now, &format!("* {}", visible(text))),
        }
    }

    /// Reports the end of the call.
    pub(crate) fn left(&mut self, now: Moment, reason: &str) {
        match self.json {
            true => self.object(json!({"event": "left", "reason": reason})),
            false => self.line(now, &format!("* You have left: {}.", single(reason))),
        }
    }

    fn line(&mut self, now: Moment, text: &str) {
        self.line_of(now, now, text);
    }

    /// A line about another time, with the date if it is not today's.
    fn line_of(&mut self, now: Moment, moment: Moment, text: &str) {
        let time = time_of_day(moment, self.offset);
        let (today, day) = (day(now, self.offset), day(moment, self.offset));
        let when = match today == day {
            true => time,
            false => format!("{day} {time}"),
        };
        let text = match text.as_bytes().first() {
            Some(b'*') => self.paint(GREY, text),
            Some(b'!') => self.paint(RED, text),
            _ => text.to_owned(),
        };
        self.print(format!("{} {text}", self.paint(GREY, &when)));
    }

    fn speaker(&self, name: &str) -> String {
        let sum: usize = name.bytes().map(usize::from).sum();
        self.paint(SPEAKERS[sum % SPEAKERS.len()], &named(name))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.coloured {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn object(&mut self, object: Value) {
        self.print(object.to_string());
    }

    fn print(&mut self, text: String) {
        match &mut self.printer {
            Some(printer) => printer(text),
            None => {
                let mut out = std::io::stdout().lock();
                // The reader of our output has gone; the call still ends in good order.
                let _ = writeln!(out, "{text}").and_then(|()| out.flush());
            }
        }
    }
}

/// Whether to use colours: on a terminal, unless its user wants none (https://no-color.org).
fn is_coloured() -> bool {
    let says = |name: &str| std::env::var(name).unwrap_or_default();
    std::io::stdout().is_terminal() && says("NO_COLOR").is_empty() && says("TERM") != "dumb"
}

fn went(way: &str) -> &'static str {
    match way {
        "failed" => "was lost (connection failed)",
        "booted" => "was removed",
        "busy" => "was busy",
        _ => "left",
    }
}

/// The text of a message, or a placeholder for other content.
pub(crate) fn text_of(message: &Received) -> String {
    match message.media_type.as_str() {
        "text/plain" | "" => String::from_utf8_lossy(&message.content).into_owned(),
        other => format!("[{}, {} octets]", other, message.content.len()),
    }
}

/// Text of a peer without characters that a terminal would act on: control characters, and the
/// marks that reverse the order of text. Further lines are indented, so that they do not look like
/// ours.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let lines = text.trim_end().replace("\r\n", "\n");
    for character in lines.chars() {
        match character {
            '\n' => out.push_str("\n         "),
            '\t' => out.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            _ if character.is_control() => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

/// The same on one line: names.
fn single(text: &str) -> String {
    visible(&text.replace(['\r', '\n'], " "))
}

/// A name, in quotes unless it consists of letters, digits and the few marks common in names, so
/// that a name cannot look like a notice, a time, or the end of the name.
fn named(name: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_.'".contains(letter);
    let is_word = |word: &str| word.starts_with(char::is_alphanumeric) && word.chars().all(plain);
    quoted_unless(name, |name| name.split(' ').all(is_word))
}

/// A name in a notice; quoted if it could be confused with the notice's own words.
fn noticed(name: &str) -> String {
    quoted_unless(&named(name), |name| {
        !name.contains(' ') || name.starts_with('"')
    })
}

fn quoted_unless(name: &str, harmless: impl Fn(&str) -> bool) -> String {
    /// Characters of a name; longer ones are cut.
    const MOST: usize = 64;
    if harmless(name) && name.chars().count() <= MOST {
        return name.to_owned();
    }
    let shown = single(name).replace('"', "'");
    let cut: String = shown.chars().take(MOST).collect();
    let more = if cut == shown { "" } else { "…" };
    format!("\"{cut}{more}\"")
}

fn day(now: Moment, offset: i64) -> String {
    let shift = Duration::from_secs(offset.unsigned_abs());
    let local = if offset < 0 { now - shift } else { now + shift };
    local.utc().chars().take(10).collect()
}

fn time_of_day(now: Moment, offset: i64) -> String {
    let seconds = i64::try_from(now.since_epoch().as_secs()).unwrap_or_default() + offset;
    let second = seconds.rem_euclid(86_400);
    format!(
        "{:02}:{:02}:{:02}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// The offset of local time. The standard library does not know it, and the C library's function
/// needs unsafe code, so `date` is run once. UTC when that fails.
fn local_offset() -> i64 {
    let output = std::process::Command::new("date").arg("+%z").output();
    let text = output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    text.and_then(|text| parse_offset(text.trim())).unwrap_or(0)
}

fn parse_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours: i64 = text.get(1..3)?.parse().ok()?;
    let minutes: i64 = text.get(3..5)?.parse().ok()?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn screen(json: bool) -> (Screen, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let printer: Printer = Box::new(move |text| sink.lock().unwrap().push(text));
        let mut screen = Screen::new(json, Some(printer));
        (screen.offset, screen.coloured) = (0, false);
        (screen, lines)
    }

    fn received(media_type: &str, content: &str) -> Received {
        Received {
            from: "sip:bob@h".into(),
            name: "Bob".into(),
            to: "sip:lobby@h".into(),
            private: false,
            notice: false,
            said: None,
            media_type: media_type.into(),
            content: content.into(),
        }
    }

    #[test]
    fn what_was_said_before_shows_when() {
        let (mut screen, lines) = screen(false);
        let mut message = received("text/plain", "hi");
        for said in [
            NOON - Duration::from_secs(59),
            NOON - Duration::from_secs(3_600),
            NOON + Duration::from_secs(3_600),
        ] {
            message.said = Some(said);
            screen.message(NOON, &message, "Bob");
        }
        screen.message(NOON + Duration::from_secs(86_400), &message, "Bob");
        assert_eq!(
            *lines.lock().unwrap(),
            [
                "12:00:00 Bob: hi",
                "11:00:00 (earlier) Bob: hi",
                "12:00:00 Bob: hi",
                "1970-01-01 13:00:00 (earlier) Bob: hi"
            ]
        );
    }

    const NOON: Moment = Moment::from_epoch(Duration::from_secs(43_200));

    #[test]
    fn a_terminal_never_gets_control_characters() {
        let (mut screen, lines) = screen(false);
        let evil = received(
            "text/plain",
            "a\u{1b}[2Jb\u{9b}c\u{202e}d\r\n12:00:00 Al: e",
        );
        screen.message(NOON, &evil, "B\no\u{7}b");
        let shown = lines.lock().unwrap()[0].clone();
        assert_eq!(
            shown,
            "12:00:00 \"B o\u{fffd}b\": a\u{fffd}[2Jb\u{fffd}cd\n         12:00:00 Al: e"
        );
    }

    /// A notice begins with a star, and no name can control the text behind it.
    #[test]
    fn nobodys_name_reads_as_a_notice() {
        for (name, shown) in [
            ("Bob", "Bob"),
            ("Dr. Anne-Marie O'Neill", "Dr. Anne-Marie O'Neill"),
            ("Zoë Ångström", "Zoë Ångström"),
            ("* admin joined", "\"* admin joined\""),
            ("Mal * admin joined", "\"Mal * admin joined\""),
            ("Al: hi\n12:00:01 Bob", "\"Al: hi 12:00:01 Bob\""),
            ("Al (only to you)", "\"Al (only to you)\""),
            ("(earlier) Al", "\"(earlier) Al\""),
            ("a\" joined \"b", "\"a' joined 'b\""),
            ("", "\"\""),
        ] {
            assert_eq!(named(name), shown);
        }
        assert!(named(&"x".repeat(500)).chars().count() < 70);
        assert_eq!(noticed("admin joined"), "\"admin joined\"");
        assert_eq!(noticed("* admin"), "\"* admin\"");
        assert_eq!(noticed("admin"), "admin");
    }

    #[test]
    fn colours_set_the_speaker_apart() {
        let (mut screen, lines) = screen(false);
        screen.coloured = true;
        screen.message(NOON, &received("text/plain", "* hi"), "Bob");
        screen.note(NOON, "all right");
        assert_eq!(
            *lines.lock().unwrap(),
            [
                "\x1b[90m12:00:00\x1b[0m \x1b[1;32mBob\x1b[0m: * hi",
                "\x1b[90m12:00:00\x1b[0m \x1b[90m* all right\x1b[0m",
            ]
        );
    }

    #[test]
    fn what_is_no_text_is_named() {
        let (mut screen, lines) = screen(false);
        screen.message(NOON, &received("image/png", "abcd"), "Bob");
        assert_eq!(
            lines.lock().unwrap()[0],
            "12:00:00 Bob: [image/png, 4 octets]"
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let (mut screen, lines) = screen(true);
        screen.message(NOON, &received("text/plain", "a\nb"), "Bob");
        screen.left(NOON, "quit");
        screen.failed(NOON, &Failure::sip("join", 404, "Not Found"));
        let lines = lines.lock().unwrap();
        let objects: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(lines.iter().all(|line| !line.contains('\n')));
        assert_eq!(objects[0]["text"], "a\nb");
        assert_eq!(objects[0]["private"], false);
        assert_eq!(objects[1]["event"], "left");
        assert_eq!(objects[2]["code"], 404);
    }

    #[test]
    fn local_time() {
        assert_eq!(parse_offset("+0130"), Some(5_400));
        assert_eq!(parse_offset("-0800"), Some(-28_800));
        assert_eq!(parse_offset("UTC"), None);
        assert_eq!(time_of_day(NOON, -43_201), "23:59:59");
    }
}
