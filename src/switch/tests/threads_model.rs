//! Random lives of two rooms on three threads, with everything between these arriving when
//! chance will have it. What is said in a room is compared with what one member gets, who
//! sits on the thread that owns it and always reads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::streams::messages;
use super::threads::{THREADS, World, chunk};
use super::*;

/// Members beside the two that only listen.
const PEOPLE: u8 = 8;

#[derive(Clone, Debug)]
enum Step {
    /// A member joins over a connection on this thread: a new one, or one shared with others.
    Join(u8, u16, bool),
    Send(u8, u16),
    /// To everybody's first neighbour.
    Private(u8),
    /// The next chunk of a large message.
    Chunk(u8, u32),
    Leave(u8),
    /// The connection fails, for every session on it.
    Vanish(u8),
    /// The peer gets another path, and connects to this thread.
    Move(u8, u16),
    Block(u8),
    Unblock(u8),
    /// Something arrives.
    Deliver(u16, u16),
    Pass(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..PEOPLE;
    let step = prop_oneof![
        6 => (who.clone(), 0..THREADS, any::<bool>()).prop_map(|(a, b, c)| Step::Join(a, b, c)),
        12 => (who.clone(), 0u16..4000).prop_map(|(a, b)| Step::Send(a, b)),
        3 => who.clone().prop_map(Step::Private),
        8 => (who.clone(), 20_000u32..90_000).prop_map(|(a, b)| Step::Chunk(a, b)),
        1 => who.clone().prop_map(Step::Leave),
        1 => who.clone().prop_map(Step::Vanish),
        1 => (who.clone(), 0..THREADS).prop_map(|(a, b)| Step::Move(a, b)),
        1 => who.clone().prop_map(Step::Block),
        2 => who.prop_map(Step::Unblock),
        24 => (0..THREADS, 0..THREADS).prop_map(|(a, b)| Step::Deliver(a, b)),
        1 => (0u8..4).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..150)
}

/// A large message that somebody is sending.
struct Sending {
    number: u32,
    body: Vec<u8>,
    from: usize,
}

struct Member {
    who: u8,
    name: String,
    place: Place,
    /// Connections it had, with the paths of the peer.
    before: Vec<(Place, String)>,
    /// How many messages the listener had when its bind was answered; none: it has not been.
    since: Option<usize>,
    sending: Option<Sending>,
    moved: u32,
    /// Bound where it is.
    bound: bool,
    /// A connection it was moving away from vanished, with whatever was on its way there.
    cut: bool,
    blocked: bool,
}

use super::threads::Place;

/// A text, and how it ended.
type Heard = (String, Option<char>);

struct Model {
    world: World,
    /// Nothing may be lost to slowness.
    strict: bool,
    listeners: Vec<Place>,
    /// The texts each of them has heard; of large messages the first octets.
    order: Vec<Vec<String>>,
    members: Vec<Member>,
    /// Connections that several use, by thread.
    shared: Vec<Option<Place>>,
    sent: u32,
    /// The texts sent to each member privately.
    private: BTreeMap<u8, Vec<String>>,
}

fn room_of(who: u8) -> Thread {
    Thread(u16::from(who % 2))
}

impl Model {
    fn new(outbox_bytes: usize, strict: bool) -> Self {
        let config = Config {
            outbox_bytes,
            ..Config::default()
        };
        let mut world = World::new(config);
        let listeners = (0..2).map(|owner| {
            let place = world.open(Thread(owner));
            world.join(Thread(owner), &format!("listener{owner}"), place);
            place
        });
        let listeners = listeners.collect();
        Self {
            world,
            strict,
            listeners,
            order: vec![Vec::new(); 2],
            members: Vec::new(),
            shared: vec![None; THREADS.into()],
            sent: 0,
            private: BTreeMap::new(),
        }
    }

    fn index(&self, who: u8) -> Option<usize> {
        self.members.iter().position(|member| member.who == who)
    }

    /// Somebody who is not to wait.
    fn speaker(&mut self, who: u8) -> Option<usize> {
        let index = self.index(who)?;
        let (thread, id) = self.members[index].place;
        (!self.world.switch(thread).paused(id)).then_some(index)
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join(who, thread, shared) if self.index(who).is_none() => {
                self.join(who, Thread(thread), shared);
            }
            Step::Join(..) => {}
            Step::Send(who, size) => {
                if let Some(index) = self.speaker(who) {
                    self.sent += 1;
                    let name = &self.members[index].name;
                    let text = format!("{name}:{}:{}", self.sent, "x".repeat(size.into()));
                    let to = World::room(room_of(who));
                    self.say(index, &to, &text);
                }
            }
            Step::Private(who) => self.private(who),
            Step::Chunk(who, octets) => self.chunk(who, octets as usize),
            Step::Leave(who) => self.leave(who),
            Step::Vanish(who) => self.vanish(who),
            Step::Move(who, thread) => self.move_peer(who, Thread(thread)),
            Step::Block(who) => self.block(who, true),
            Step::Unblock(who) => self.block(who, false),
            Step::Deliver(from, to) => {
                self.world.deliver(Thread(from), Thread(to));
            }
            Step::Pass(seconds) => self.pass(Duration::from_secs(seconds.into())),
        }
        self.look();
    }

    /// Updates the listeners' texts and the members that are bound.
    fn look(&mut self) {
        for (listener, order) in self.listeners.iter().zip(&mut self.order) {
            let chunks = self.world.stage(listener.0).chunks(listener.1);
            *order = heard(&chunks, None)
                .into_iter()
                .map(|(text, _)| mark(&text))
                .collect();
        }
        for index in 0..self.members.len() {
            let (place, name) = (self.members[index].place, self.members[index].name.clone());
            let owner = room_of(self.members[index].who);
            let rooms = &self.world.switch(place.0).rooms;
            let session = rooms.named(&name).and_then(|key| rooms.session(key));
            let bound = session.is_some_and(|session| session.connection == Some(place.1));
            self.members[index].bound |= bound;
            if bound && self.members[index].since.is_none() {
                self.members[index].since = Some(self.order[usize::from(owner.0)].len());
            }
        }
    }

    fn connect(&mut self, thread: Thread, shared: bool) -> Place {
        if shared
            && let Some(place) = self.shared[usize::from(thread.0)]
            && self.is_open(place)
        {
            return place;
        }
        let place = self.world.open(thread);
        if shared {
            self.shared[usize::from(thread.0)] = Some(place);
        }
        place
    }

    fn is_open(&mut self, (thread, id): Place) -> bool {
        let connection = self.world.switch(thread).connections.get(id);
        connection.is_some_and(|connection| !connection.closing)
    }

    fn join(&mut self, who: u8, thread: Thread, shared: bool) {
        let place = self.connect(thread, shared);
        if self.world.switch(place.0).paused(place.1) {
            return;
        }
        self.sent += 1;
        let name = format!("user{who}-{}", self.sent);
        let owner = room_of(who);
        self.world
            .admit(owner, admission(&World::room(owner), &name));
        self.members.push(Member {
            who,
            name: name.clone(),
            place,
            before: Vec::new(),
            since: None,
            sending: None,
            moved: 0,
            bound: false,
            cut: false,
            blocked: false,
        });
        // It says something at once, before it is known to be in.
        let text = format!("{name}:first");
        let body = cpim_to(&format!("user{who}"), &World::room(owner), &text);
        let tid = format!("tid{:08}", self.sent);
        let said = send(&name, &tid, &["Failure-Report: no"], &body);
        self.world
            .give(place, empty_send(&name, "bindtid1") + &said);
    }

    fn say(&mut self, index: usize, to: &str, text: &str) {
        let member = &self.members[index];
        let body = cpim_to(&format!("user{}", member.who), to, text);
        let tid = format!("tid{:08}", self.sent);
        let octets = send(&member.name, &tid, &["Failure-Report: no"], &body);
        let place = member.place;
        self.world.give(place, octets);
    }

    fn private(&mut self, who: u8) {
        let other = (who + 2) % PEOPLE;
        let Some(index) = self.speaker(who) else {
            return;
        };
        self.sent += 1;
        let text = format!("P{}:{}", self.members[index].name, self.sent);
        let uri = format!("sip:user{other}@example.com");
        self.say(index, &uri, &text);
        self.private.entry(other).or_default().push(text);
    }

    fn chunk(&mut self, who: u8, octets: usize) {
        let Some(index) = self.speaker(who) else {
            return;
        };
        self.sent += 1;
        let (number, member) = (self.sent, &mut self.members[index]);
        let sending = member.sending.get_or_insert_with(|| {
            let text = format!("L{who}:{number}:{}", "y".repeat(150_000));
            let to = World::room(room_of(who));
            let body = cpim_to(&format!("user{who}"), &to, &text).into_bytes();
            Sending {
                number,
                body,
                from: 0,
            }
        });
        let to = sending.body.len().min(sending.from + octets);
        let octets = chunk(
            &member.name,
            sending.number,
            sending.from,
            &sending.body,
            to,
        );
        sending.from = to;
        if to == sending.body.len() {
            member.sending = None;
        }
        let place = member.place;
        self.world.give(place, octets);
    }

    fn order_focus(&mut self, owner: Thread, order: Order) {
        let now = self.world.now;
        self.world.switch(owner).order(now, order);
        self.world.stage(owner).pump();
        self.world.collect(owner);
    }

    /// A member has gone: the messages it received must be correct as far as they go.
    fn leave(&mut self, who: u8) {
        let Some(index) = self.index(who) else { return };
        let member = self.members.swap_remove(index);
        let owner = room_of(who);
        let order = Order::Expel {
            room: RoomUri::new(World::room(owner)),
            session: SessionId::new(member.name.as_str()),
        };
        self.order_focus(owner, order);
        self.check(&member, false);
    }

    fn vanish(&mut self, who: u8) {
        let Some(index) = self.index(who) else { return };
        let place = self.members[index].place;
        for shared in &mut self.shared {
            shared.take_if(|shared| *shared == place);
        }
        let gone: Vec<_> = self
            .members
            .extract_if(.., |it| it.place == place)
            .collect();
        for member in gone {
            self.check(&member, false);
        }
        for member in &mut self.members {
            let left = member.before.iter().any(|(before, _)| *before == place);
            member.cut |= !member.bound && left;
        }
        let now = self.world.now;
        self.world.switch(place.0).closed(now, place.1);
        self.world.collect(place.0);
    }

    fn move_peer(&mut self, who: u8, thread: Thread) {
        let Some(index) = self.index(who) else { return };
        // A late bind cannot be told from one for the last path.
        if !self.members[index].bound {
            return;
        }
        let place = self.world.open(thread);
        let member = &mut self.members[index];
        let old = path(&member.name, member.moved);
        member.before.push((member.place, old));
        member.moved += 1;
        (member.place, member.sending, member.blocked) = (place, None, false);
        member.bound = false;
        let (name, owner) = (member.name.clone(), room_of(who));
        let mut head = admission(&World::room(owner), &name);
        head.newcomer = false;
        head.peer.path = vec![path(&name, member.moved)];
        self.order_focus(owner, Order::Amend(Box::new(head)));
        self.world.give(place, empty_send(&name, "bindtid2"));
    }

    fn block(&mut self, who: u8, blocked: bool) {
        let Some(index) = self.index(who) else { return };
        let ((thread, id), now) = (self.members[index].place, self.world.now);
        for member in &mut self.members {
            if member.place == (thread, id) {
                member.blocked = blocked;
            }
        }
        self.world.switch(thread).blocked(now, id, blocked);
        self.world.stage(thread).pump();
        self.world.collect(thread);
    }

    fn pass(&mut self, span: Duration) {
        // A probe that is never answered would end the session.
        for stage in &mut self.world.stages {
            for session in stage.switch.rooms.sessions_mut() {
                session.probe = None;
            }
        }
        self.world.pass(span);
    }

    /// `stays`: it was there to the end, and took everything.
    fn check(&mut self, member: &Member, stays: bool) {
        let last = (member.place, path(&member.name, member.moved));
        let mut all = Vec::new();
        for (place, to) in member.before.iter().chain([&last]) {
            let chunks = self.world.stage(place.0).chunks(place.1);
            all.extend(heard(&chunks, Some(to)));
        }
        all.retain(|(text, _)| !text.contains("not delivered"));
        let (private, said): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(text, _)| text.starts_with('P'));
        let private: Vec<_> = private.into_iter().map(|(text, _)| text).collect();
        // Messages from different connections have no order.
        let expected = self.private.get(&member.who).map_or(&[][..], Vec::as_slice);
        let mut last = BTreeMap::new();
        for text in &private {
            let at = expected.iter().position(|it| it == text);
            let at = at.unwrap_or_else(|| panic!("{}: {text} was not said", member.name));
            let sender = text.split(':').next();
            let before = last.insert(sender, at);
            assert!(
                before.is_none_or(|it| it < at),
                "{}: {private:?}",
                member.name
            );
        }
        let (large, small): (Vec<_>, Vec<_>) = said
            .into_iter()
            .partition(|(text, _)| text.starts_with('L'));
        for (text, flag) in &large {
            let whole = text.len() > 150_000;
            assert!(*flag != Some('$') || whole, "a whole message is whole");
            // Output that a peer has not accepted when it moves is lost with the connection.
            let ends = flag.is_some() || member.moved > 0;
            assert!(!stays || ends, "a SEND that is never ended");
        }
        let small: Vec<_> = small.iter().map(|(text, _)| mark(text)).collect();
        let order = &self.order[usize::from(room_of(member.who).0)];
        let own = format!("{}:", member.name);
        let others: Vec<_> = order
            .iter()
            .enumerate()
            .filter(|(_, text)| !text.starts_with('L') && !text.starts_with(&own))
            .collect();
        let mut rest = others.iter();
        let in_order = small
            .iter()
            .all(|text| rest.any(|(_, other)| *other == text));
        // The listener may not have yet what others got first.
        assert!(
            !stays || in_order,
            "{}: nothing twice, one order",
            member.name
        );
        if !(self.strict && stays) || member.cut {
            return;
        }
        let since = member.since.expect("who is there is bound");
        let due = others.iter().filter(|(at, _)| *at >= since);
        let missing: Vec<_> = due
            .map(|(_, text)| (*text).clone())
            .filter(|text| !small.contains(text))
            .collect();
        assert!(missing.is_empty(), "{} misses {missing:?}", member.name);
        // No gap: every message after the first one arrived.
        let first = small.first().and_then(|first| {
            let mut others = others.iter();
            others.position(|(_, text)| *text == first)
        });
        if let Some(first) = first {
            assert_eq!(small.len(), others.len() - first, "{}", member.name);
        }
    }

    fn finish(mut self) {
        for who in 0..PEOPLE {
            self.block(who, false);
        }
        self.world.settle();
        // Speakers stop waiting for a slow reader.
        for _ in 0..4 {
            self.pass(Duration::from_secs(3));
            self.world.settle();
        }
        self.look();
        let mut members = std::mem::take(&mut self.members);
        // A connection whose first session is unknown closes, for every session that would use it.
        members.retain(|member| member.since.is_some() || self.is_open(member.place));
        // Large messages that never ended end with their senders.
        for owner in 0..2 {
            let room = RoomUri::new(World::room(Thread(owner)));
            self.order_focus(Thread(owner), Order::Close { room });
        }
        self.world.settle();
        for member in &members {
            self.check(member, true);
        }
        self.world.pass(Duration::from_secs(6));
        self.world.settle();
        self.world.assert_at_rest();
        self.world.assert_empty();
    }
}

/// The path of a peer that has moved so often.
fn path(name: &str, moved: u32) -> String {
    match moved {
        0 => peer_uri(name),
        _ => format!("msrp://198.51.100.7:9/{name}-moved{moved};tcp"),
    }
}

/// The texts in SENDs along a path, or in all SENDs.
fn heard(chunks: &[Chunk], to: Option<&str>) -> Vec<Heard> {
    let mine = |chunk: &&Chunk| {
        let head = chunk.head.as_ref().unwrap();
        head.line.ends_with(" SEND") && to.is_none_or(|to| chunk.header("To-Path") == to)
    };
    let chunks: Vec<_> = chunks.iter().filter(mine).cloned().collect();
    let texts = messages(&chunks).into_iter();
    texts
        .map(|(body, flag)| {
            let all = String::from_utf8_lossy(&body).into_owned();
            let text = all.splitn(3, "\r\n\r\n").nth(2).map(str::to_owned);
            (text.unwrap_or(all), flag)
        })
        .collect()
}

/// The part of a text that distinguishes its message.
fn mark(text: &str) -> String {
    text.chars().take(20).take_while(|it| *it != 'x').collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing lost, nothing twice, one order for all, and nothing left at the end.
    #[test]
    fn everybody_on_any_thread_gets_what_was_said(steps in steps()) {
        let mut model = Model::new(64 << 20, true);
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }

    /// With little memory, only slow receivers lose messages. The rest arrives in order and once,
    /// and no speaker waits for ever.
    #[test]
    fn slow_receivers_on_any_thread_cost_themselves_only(steps in steps()) {
        let mut model = Model::new(64 * 1024, false);
        for step in &steps {
            model.step(step);
        }
        model.finish();
    }
}
