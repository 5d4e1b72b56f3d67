//! Random lives of two rooms against a reference that only counts. Some members know
//! text/plain only, some take every message in one SEND. One of the rooms has a history.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::streams::messages;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Leave(u8),
    Vanish(u8),
    Send(u8, u16),
    /// The first chunk of a large message.
    Begin(u8, u32),
    /// The next one, of at most so many octets.
    More(u8, u32),
    Abort(u8),
    Block(u8),
    Unblock(u8),
    Flush,
    /// The store is done with what the focus was told.
    Keep,
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0u8..8;
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Join),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::Vanish),
        10 => (who.clone(), 0u16..6000).prop_map(|(who, size)| Step::Send(who, size)),
        4 => (who.clone(), 66_000u32..300_000).prop_map(|(who, size)| Step::Begin(who, size)),
        8 => (who.clone(), 0u32..80_000).prop_map(|(who, octets)| Step::More(who, octets)),
        1 => who.clone().prop_map(Step::Abort),
        1 => who.clone().prop_map(Step::Block),
        2 => who.prop_map(Step::Unblock),
        3 => Just(Step::Flush),
        1 => Just(Step::Keep),
        1 => (0u8..4).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..120)
}

/// The reference's state of a member.
struct Member {
    who: u8,
    id: ConnectionId,
    name: String,
    expected: Vec<String>,
    /// Large messages it must get, by their number.
    large: Vec<u32>,
    /// The one it sends: its number, and how much of it is sent.
    sending: Option<(u32, usize)>,
    /// Since when it takes nothing.
    blocked: Option<Moment>,
}

/// A large message: its text, and whether all of it was sent.
struct Large {
    text: String,
    whole: bool,
}

/// It knows no message/cpim.
fn is_plain(who: u8) -> bool {
    who >= 6
}

/// It ends its session when a message comes in two chunks.
fn takes_one_send(who: u8) -> bool {
    who == 4 || who == 5
}

/// The body with which a member sends a text.
fn body_of(who: u8, text: &str) -> String {
    match is_plain(who) {
        true => text.to_owned(),
        false => cpim_to(&format!("user{who}"), &room_of(who), text),
    }
}

fn media_of(who: u8) -> &'static str {
    match is_plain(who) {
        true => "Content-Type: text/plain",
        false => "Content-Type: message/cpim",
    }
}

fn room_of(who: u8) -> String {
    format!("sip:room{}@example.com", who % 2)
}

/// How many of the last messages a newcomer is given in the room of somebody.
fn history_of(who: u8) -> u16 {
    u16::from(who % 2 == 1) * 5
}

struct Model {
    stage: Stage,
    /// Nothing may be lost to slowness.
    strict: bool,
    members: BTreeMap<u8, Member>,
    large: BTreeMap<u32, Large>,
    /// The last small messages of the room that has a history, and what a store has of it.
    said: VecDeque<String>,
    stored: BTreeMap<u64, String>,
    joined: u32,
    sent: u32,
}

impl Model {
    fn new(outbox_bytes: usize, strict: bool) -> Self {
        let config = Config {
            outbox_bytes,
            ..Config::default()
        };
        Self {
            stage: Stage::with(config, Box::new(Alone)),
            strict,
            members: BTreeMap::new(),
            large: BTreeMap::new(),
            said: VecDeque::new(),
            stored: BTreeMap::new(),
            joined: 0,
            sent: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join(who) if !self.members.contains_key(&who) => self.join(who),
            Step::Send(who, size) if self.may_send(who) => self.send(who, size),
            Step::Begin(who, size) if self.may_send(who) => self.begin(who, size),
            Step::More(who, octets) if self.may_send(who) => self.more(who, octets as usize),
            Step::Abort(who) if self.may_send(who) => self.abort(who),
            Step::Leave(who) => self.leave(who),
            Step::Vanish(who) => {
                if let Some(member) = self.members.remove(&who) {
                    self.stage.switch.closed(self.stage.now, member.id);
                    self.stage.raw(member.id);
                }
            }
            Step::Block(who) => self.block(who, true),
            Step::Unblock(who) => self.block(who, false),
            Step::Flush => self.stage.pump(),
            Step::Pass(seconds) => self.pass(seconds),
            Step::Keep => self.keep(),
            _ => {}
        }
        self.check_memory();
    }

    /// The driver does not read connections that must wait.
    fn may_send(&self, who: u8) -> bool {
        let member = self.members.get(&who);
        member.is_some_and(|member| !self.stage.switch.paused(member.id))
    }

    fn join(&mut self, who: u8) {
        self.joined += 1;
        let name = format!("user{who}-{}", self.joined);
        let mut head = admission(&room_of(who), &name);
        head.policy.plain_text = true;
        head.peer.plain_text = is_plain(who);
        head.peer.one_send = takes_one_send(who);
        head.policy.history = history_of(who);
        self.stage.admit(head);
        let id = self.stage.switch.opened(self.stage.now);
        self.stage.give(id, empty_send(&name, "bindtid1"));
        let past = self.said.iter().filter(|_| history_of(who) > 0);
        let member = Member {
            who,
            id,
            name,
            expected: past.cloned().collect(),
            large: Vec::new(),
            sending: None,
            blocked: None,
        };
        self.members.insert(who, member);
    }

    fn leave(&mut self, who: u8) {
        let Some(member) = self.members.remove(&who) else {
            return;
        };
        // Blocked output stays queued for now; all small output must arrive.
        self.stage.switch.blocked(self.stage.now, member.id, false);
        let order = Order::Expel {
            room: RoomUri::new(room_of(who)),
            session: SessionId::new(member.name.as_str()),
        };
        self.stage.switch.order(self.stage.now, order);
        self.keep_unread(member, false);
    }

    fn send(&mut self, who: u8, size: u16) {
        self.sent += 1;
        let text = format!("{who}:{}:{}", self.sent, "x".repeat(size.into()));
        let member = &self.members[&who];
        let tid = format!("tid{:08}", self.sent);
        let body = body_of(who, &text);
        let octets = send(&member.name, &tid, &["Failure-Report: no"], &body);
        let octets = octets.replace("Content-Type: message/cpim", media_of(who));
        // Not pumped: later steps of the same turn are part of the test.
        self.stage
            .switch
            .received(self.stage.now, member.id, octets.as_bytes());
        for member in self.others(who) {
            member.expected.push(text.clone());
        }
        self.said.push_back(text);
        if history_of(who) == 0 {
            self.said.pop_back();
        } else if self.said.len() > history_of(who).into() {
            self.said.pop_front();
        }
    }

    /// The store takes the focus' reports, and the switch gets its confirmation.
    fn keep(&mut self) {
        let mut notices = VecDeque::from(self.stage.all_notices());
        while let Some(notice) = notices.pop_front() {
            let Notice::Remember {
                room,
                messages,
                gone,
            } = notice
            else {
                continue;
            };
            let done = Order::Remembered {
                room,
                up_to: messages.last().unwrap().number,
                octets: messages.iter().map(|it| it.octets.len()).sum(),
            };
            for message in messages {
                let text = text_of(&message.octets, 0);
                self.stored.insert(message.number, text);
            }
            self.stored.retain(|number, _| *number > gone);
            self.stage.switch.order(self.stage.now, done);
            notices.extend(self.stage.all_notices());
        }
    }

    fn others(&mut self, who: u8) -> impl Iterator<Item = &mut Member> {
        let others = self.members.iter_mut();
        others
            .filter(move |(other, _)| **other != who && room_of(**other) == room_of(who))
            .map(|(_, member)| member)
    }

    fn begin(&mut self, who: u8, size: u32) {
        if self.members[&who].sending.is_some() {
            return;
        }
        self.sent += 1;
        let number = self.sent;
        let text = format!("L{number}:{}", "y".repeat(size as usize));
        let whole = false;
        self.large.insert(number, Large { text, whole });
        let now = self.stage.now;
        for member in self.others(who) {
            // Senders do not wait for a receiver that accepts nothing.
            let stalled = |since| since + Duration::from_secs(2) <= now;
            if !member.blocked.is_some_and(stalled) {
                member.large.push(number);
            }
        }
        if let Some(member) = self.members.get_mut(&who) {
            member.sending = Some((number, 0));
        }
        self.more(who, 300);
    }

    fn more(&mut self, who: u8, octets: usize) {
        let Some((number, from)) = self.members[&who].sending else {
            return;
        };
        let large = self.large.get_mut(&number).unwrap();
        let body = body_of(who, &large.text).into_bytes();
        let to = body.len().min(from + octets);
        large.whole = to == body.len();
        let flag = if large.whole { '$' } else { '+' };
        let (part, total) = (body[from..to].to_vec(), body.len());
        let sending = (!large.whole).then_some((number, to));
        self.chunk(who, number, from, total, &part, flag);
        if let Some(member) = self.members.get_mut(&who) {
            member.sending = sending;
        }
    }

    fn abort(&mut self, who: u8) {
        let member = self.members.get_mut(&who).unwrap();
        if let Some((number, from)) = member.sending.take() {
            let total = body_of(who, &self.large[&number].text).len();
            self.chunk(who, number, from, total, b"", '#');
        }
    }

    fn chunk(&mut self, who: u8, number: u32, from: usize, total: usize, part: &[u8], flag: char) {
        let member = &self.members[&who];
        self.sent += 1;
        let tid = format!("tid{:08}", self.sent);
        let id = format!("Message-ID: large{number}");
        let range = format!("Byte-Range: {}-*/{total}", from + 1);
        let headers = [id.as_str(), &range, "Failure-Report: no", media_of(who)];
        let head = request(&member.name, &tid, "SEND", &headers, "\r\n");
        let end = format!("\r\n-------{tid}{flag}\r\n");
        let octets = [head.as_bytes(), part, end.as_bytes()].concat();
        for piece in octets.chunks(7_000) {
            self.stage.switch.received(self.stage.now, member.id, piece);
        }
    }

    fn block(&mut self, who: u8, blocked: bool) {
        if let Some(member) = self.members.get_mut(&who) {
            let now = self.stage.now;
            member.blocked = blocked.then_some(now);
            self.stage.switch.blocked(now, member.id, blocked);
        }
    }

    fn pass(&mut self, seconds: u8) {
        // A probe that is never answered would end the session.
        for member in self.members.values() {
            let key = self.stage.switch.named(member.name.as_str());
            self.stage.switch.rooms.session_mut(key).unwrap().probe = None;
        }
        self.stage.pass(Duration::from_secs(seconds.into()));
    }

    fn check_memory(&self) {
        let switch = &self.stage.switch;
        let outbox = switch.config.outbox_bytes;
        // A chunk may come after the one that was too much.
        let most = outbox + 90_000;
        assert!(
            switch.budget.octets() <= switch.streams.len() * most,
            "{}",
            switch.budget.octets()
        );
        let unfinished = switch.rooms.present().map(|key| {
            let session = switch.rooms.session(key).unwrap();
            let Some(assemblies) = session.assemblies.get() else {
                return 0;
            };
            let streams = assemblies.streams().map(|key| switch.streams.get(key));
            let streams: usize = streams.map(|it| it.unwrap().buffer.octets()).sum();
            assemblies.octets() + streams
        });
        assert_eq!(switch.budget.octets(), unfinished.sum::<usize>());
        let mut histories = 0;
        for room in (0..2).filter_map(|index| switch.room(room_of(index).as_str())) {
            assert!(room.log.octets() <= outbox);
            assert!(room.history.octets() <= outbox / 2);
            histories += room.history.octets();
        }
        assert_eq!(switch.rooms.histories.octets, histories);
    }

    /// `stays`: the member was there to the end, and took everything.
    fn keep_unread(&mut self, member: Member, stays: bool) {
        let mut chunks = self.stage.chunks(member.id);
        // The answer to its bind.
        chunks.retain(|chunk| chunk.flag.is_some());
        let in_parts = chunks.iter().any(|chunk| chunk.flag == Some('+'));
        assert!(!(takes_one_send(member.who) && in_parts), "one SEND");
        let got = messages(&chunks).into_iter();
        let got = got.map(|(body, flag)| (text_of(&body, member.who), flag));
        let (large, small): (Vec<_>, Vec<_>) = got.partition(|(text, _)| text.starts_with('L'));
        let mut small: Vec<_> = small.into_iter().map(|(text, _)| text).collect();
        small.retain(|text| !text.contains("not delivered"));
        if self.strict {
            assert_eq!(small, member.expected, "{}", member.name);
        } else {
            let mut expected = member.expected.iter();
            let in_order = small.iter().all(|text| expected.any(|other| other == text));
            assert!(in_order, "nothing twice, order kept");
        }
        let mut seen = Vec::new();
        for (text, flag) in large {
            let number = text[1..].split(':').next().unwrap().parse().unwrap();
            assert!(member.large.contains(&number) && !seen.contains(&number));
            seen.push(number);
            let sent = &self.large[&number];
            assert!(sent.text.starts_with(&text));
            match flag {
                Some('$') => assert!(sent.whole && sent.text == text),
                // A SEND that must not be interrupted may be aborted for the output that waits.
                Some('#') if takes_one_send(member.who) => {}
                Some('#') => assert!(!(self.strict && stays && sent.whole)),
                _ => assert!(stays && !sent.whole, "a SEND that is never ended"),
            }
        }
        if self.strict && stays {
            for number in &member.large {
                assert!(!self.large[number].whole || seen.contains(number));
            }
        }
    }

    fn finish(mut self) {
        for member in self.members.values() {
            self.stage.switch.blocked(self.stage.now, member.id, false);
        }
        self.stage.pump();
        // Output held up by an open SEND does not wait for ever.
        self.pass(11);
        self.pass(11);
        for index in 0..2 {
            if let Some(room) = self.stage.switch.room(room_of(index).as_str()) {
                assert_eq!(room.log.octets(), 0, "everything passed is let go");
            }
        }
        self.keep();
        let stored: Vec<_> = self.stored.values().collect();
        assert_eq!(stored, self.said.iter().collect::<Vec<_>>());
        let under_way = self.members.values().filter(|it| it.sending.is_some());
        assert!(self.stage.switch.streams.len() <= under_way.count());
        let members = std::mem::take(&mut self.members);
        for (_, member) in members {
            self.keep_unread(member, true);
        }
    }
}

/// The sender's text in a message as `who` gets it.
fn text_of(body: &[u8], who: u8) -> String {
    let all = String::from_utf8_lossy(body);
    let text = match is_plain(who) {
        // Status texts of the switch have no name in front.
        true if !all.starts_with("user") => None,
        true => all.split_once(": ").map(|(_, text)| text),
        false => all.splitn(3, "\r\n\r\n").nth(2),
    };
    text.unwrap_or(&all).to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Nothing lost, nothing twice, one order for all, no self-echo.
    #[test]
    fn everybody_gets_what_was_said_while_they_were_there(steps in steps()) {
        let mut model = Model::new(64 << 20, true);
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }

    /// With little memory, only slow receivers lose messages: whole ones, or large ones that end
    /// with an abort. The rest arrives in order and once.
    #[test]
    fn slow_receivers_cost_themselves_only(steps in steps()) {
        let mut model = Model::new(64 * 1024, false);
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }
}
