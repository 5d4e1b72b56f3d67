//! Random lives of two rooms against a reference that only counts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Leave(u8),
    Vanish(u8),
    Send(u8, u16),
    Block(u8),
    Unblock(u8),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0u8..8;
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Join),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::Vanish),
        12 => (who.clone(), 0u16..6000).prop_map(|(who, size)| Step::Send(who, size)),
        1 => who.clone().prop_map(Step::Block),
        2 => who.prop_map(Step::Unblock),
        3 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 1..120)
}

/// What the reference knows of a member.
struct Member {
    id: ConnectionId,
    name: String,
    expected: Vec<String>,
    got: Vec<String>,
}

fn room_of(who: u8) -> String {
    format!("sip:room{}@example.com", who % 2)
}

struct Model {
    stage: Stage,
    members: BTreeMap<u8, Member>,
    joined: u32,
    sent: u32,
}

impl Model {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join(who) if !self.members.contains_key(&who) => self.join(who),
            Step::Send(who, size) if self.members.contains_key(&who) => self.send(who, size),
            Step::Leave(who) => {
                if let Some(member) = self.members.remove(&who) {
                    // What was blocked stays queued for the moment: everything must come.
                    self.stage.switch.blocked(member.id, false);
                    let order = Order::Expel {
                        room: RoomUri::new(room_of(who)),
                        session: SessionId::new(member.name.as_str()),
                    };
                    self.stage.switch.order(self.stage.now, order);
                    self.settle(member);
                }
            }
            Step::Vanish(who) => {
                if let Some(member) = self.members.remove(&who) {
                    self.stage.switch.closed(self.stage.now, member.id);
                    self.stage.raw(member.id);
                }
            }
            Step::Block(who) => self.block(who, true),
            Step::Unblock(who) => self.block(who, false),
            Step::Flush => self.stage.pump(),
            Step::Join(_) | Step::Send(..) => {}
        }
    }

    fn join(&mut self, who: u8) {
        self.joined += 1;
        let name = format!("user{who}-{}", self.joined);
        let id = self.stage.enter(admission(&room_of(who), &name));
        let member = Member {
            id,
            name,
            expected: Vec::new(),
            got: Vec::new(),
        };
        self.members.insert(who, member);
    }

    fn send(&mut self, who: u8, size: u16) {
        self.sent += 1;
        let text = format!("{who}:{}:{}", self.sent, "x".repeat(size.into()));
        let member = &self.members[&who];
        let body = cpim_to(&format!("user{who}"), &room_of(who), &text);
        let tid = format!("tid{:08}", self.sent);
        let octets = send(&member.name, &tid, &["Failure-Report: no"], &body);
        // Not pumped: what follows in the same turn is part of the test.
        self.stage
            .switch
            .received(self.stage.now, member.id, octets.as_bytes());
        for (other, member) in &mut self.members {
            if *other != who && room_of(*other) == room_of(who) {
                member.expected.push(text.clone());
            }
        }
    }

    fn block(&mut self, who: u8, blocked: bool) {
        if let Some(member) = self.members.get(&who) {
            self.stage.switch.blocked(member.id, blocked);
        }
    }

    fn settle(&mut self, mut member: Member) {
        member.got.extend(self.stage.texts(member.id));
        assert_eq!(member.got, member.expected, "{}", member.name);
    }

    fn finish(mut self) {
        for member in self.members.values() {
            self.stage.switch.blocked(member.id, false);
        }
        for (_, member) in std::mem::take(&mut self.members) {
            self.settle(member);
        }
        for index in 0..2 {
            let room = self.stage.switch.by_room.get(room_of(index).as_str());
            if let Some(room) = room.and_then(|key| self.stage.switch.rooms.get(*key)) {
                assert_eq!(room.backlog.octets(), 0, "everything passed is let go");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Nothing lost, nothing twice, one order for all, no self-echo.
    #[test]
    fn everybody_gets_what_was_said_while_they_were_there(steps in steps()) {
        let unbounded = Config { outbox_bytes: 64 << 20, ..Config::default() };
        let stage = Stage::with(unbounded, Box::new(Alone));
        let mut model = Model { stage, members: BTreeMap::new(), joined: 0, sent: 0 };
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }
}
