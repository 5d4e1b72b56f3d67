//! Several instances wired together by hand: connections on one thread, rooms on another.
//! Parcels between two of them arrive when the test says so, in order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::streams::messages;
use super::*;
use crate::switch::line::connection::MAX_UNORDERED;

pub(super) const THREADS: u16 = 3;

/// The owner of each session's room, for all instances.
type Owners = Arc<Mutex<HashMap<SessionId, Thread>>>;

/// That as one instance sees it.
struct View {
    own: Thread,
    owners: Owners,
}

impl Threads for View {
    fn own(&self) -> Thread {
        self.own
    }
    fn count(&self) -> u16 {
        THREADS
    }
    fn owner(&self, session: &str) -> Option<Thread> {
        self.owners.lock().unwrap().get(session).copied()
    }
    fn place(&self, _session: &SessionId, _on: Thread) {}
    fn forget(&self, session: &SessionId) {
        self.owners.lock().unwrap().remove(session);
    }
}

/// A connection somewhere.
pub(super) type Place = (Thread, ConnectionId);

/// Several instances, and the parcels between them.
pub(super) struct World {
    pub(super) stages: Vec<Stage>,
    owners: Owners,
    mail: BTreeMap<(Thread, Thread), VecDeque<Post>>,
    pub(super) now: Moment,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let owners = Owners::default();
        let stage = |number| {
            let view = View {
                own: Thread(number),
                owners: Arc::clone(&owners),
            };
            Stage::with(config, Box::new(view))
        };
        let stages: Vec<_> = (0..THREADS).map(stage).collect();
        Self {
            now: stages[0].now,
            stages,
            owners,
            mail: BTreeMap::new(),
        }
    }

    pub(super) fn stage(&mut self, thread: Thread) -> &mut Stage {
        &mut self.stages[usize::from(thread.0)]
    }

    pub(super) fn switch(&mut self, thread: Thread) -> &mut Switch {
        &mut self.stage(thread).switch
    }

    /// A room that belongs to a thread.
    pub(super) fn room(owner: Thread) -> String {
        format!("sip:room{}@example.com", owner.0)
    }

    pub(super) fn admit(&mut self, owner: Thread, admission: Admission) {
        let mut owners = self.owners.lock().unwrap();
        owners.insert(admission.session.clone(), owner);
        drop(owners);
        self.stage(owner).admit(admission);
    }

    pub(super) fn open(&mut self, thread: Thread) -> Place {
        let now = self.now;
        (thread, self.switch(thread).opened(now))
    }

    pub(super) fn give(&mut self, (thread, id): Place, octets: impl AsRef<[u8]>) {
        self.stage(thread).give(id, octets);
        self.collect(thread);
    }

    /// Takes a thread's parcels for other threads.
    pub(super) fn collect(&mut self, from: Thread) {
        while let Some((to, post)) = self.switch(from).poll_post() {
            self.mail.entry((from, to)).or_default().push_back(post);
        }
    }

    /// Something from one thread arrives at another.
    pub(super) fn deliver(&mut self, from: Thread, to: Thread) -> bool {
        let post = self.mail.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let Some(post) = post else { return false };
        self.switch(to).arrived(from, post);
        self.take_in(to);
        true
    }

    /// A thread deals with all that has arrived.
    fn take_in(&mut self, thread: Thread) {
        let now = self.now;
        loop {
            self.switch(thread).take_in(now);
            self.stage(thread).pump();
            if !self.switch(thread).has_arrivals() {
                break;
            }
        }
        self.collect(thread);
    }

    /// Everything arrives.
    pub(super) fn settle(&mut self) {
        loop {
            let mut any = false;
            for (from, to) in (0..THREADS).flat_map(|from| (0..THREADS).map(move |to| (from, to))) {
                self.stage(Thread(from)).pump();
                self.take_in(Thread(from));
                while self.deliver(Thread(from), Thread(to)) {
                    any = true;
                }
            }
            if !any {
                return;
            }
        }
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        for number in 0..THREADS {
            self.stage(Thread(number)).pass(span);
            self.collect(Thread(number));
        }
    }

    /// Admits to the room of a thread, and binds to a connection on any.
    pub(super) fn join(&mut self, owner: Thread, name: &str, place: Place) {
        self.admit(owner, admission(&Self::room(owner), name));
        self.give(place, empty_send(name, "bindtid1"));
        self.settle();
        let got = self.stage(place.0).codes(place.1);
        assert_eq!(got, [200], "{name}");
    }

    fn say(&mut self, owner: Thread, name: &str, place: Place, text: &str) {
        let user = name.split('-').next().unwrap();
        let body = cpim_to(user, &Self::room(owner), text);
        self.give(place, send(name, "saidtid1", &[], &body));
    }

    fn texts(&mut self, (thread, id): Place) -> Vec<String> {
        self.stage(thread).texts(id)
    }

    /// Asserts that nothing is in transit, waits or is counted for a connection.
    pub(super) fn assert_at_rest(&mut self) {
        assert!(self.mail.values().all(VecDeque::is_empty));
        for stage in &mut self.stages {
            let switch = &mut stage.switch;
            assert!(switch.exchange.is_empty());
            assert!(switch.streams.is_empty());
            assert_eq!(switch.budget.octets(), 0);
            for room in switch.rooms.iter_mut() {
                assert_eq!(room.log.octets(), 0);
                assert!(room.held.is_free(), "{:?}", room.held);
                let step = switch.config.outbox_bytes / 8;
                assert!(room.waiting_abroad() < step, "{}", room.waiting_abroad());
            }
            for connection in switch.connections.iter_mut() {
                assert!(!connection.is_paused(), "{connection:?}");
                assert_eq!((connection.unordered, connection.pauses), (0, 0));
            }
        }
    }

    /// Nothing is left at all.
    pub(super) fn assert_empty(&mut self) {
        for stage in &mut self.stages {
            let switch = &stage.switch;
            assert!(switch.rooms.is_empty() && switch.exchange.abroad.is_empty());
        }
        assert!(self.owners.lock().unwrap().is_empty());
    }
}

const A: Thread = Thread(0);
const B: Thread = Thread(1);
const C: Thread = Thread(2);

#[test]
fn c64_one_connection_carries_sessions_of_rooms_on_every_thread() {
    let mut world = World::new(config());
    let shared = world.open(B);
    let mut single = Vec::new();
    for owner in [A, B, C] {
        let place = world.open(owner);
        world.join(owner, &format!("single{}", owner.0), place);
        world.join(owner, &format!("shared{}", owner.0), shared);
        single.push(place);
    }
    for (owner, place) in [A, B, C].into_iter().zip(single) {
        let name = format!("shared{}", owner.0);
        world.say(owner, &name, shared, "from afar");
        world.settle();
        assert_eq!(world.texts(place), ["from afar"]);
        assert_eq!(world.stage(B).codes(shared.1), [200], "one answer, no echo");
        world.say(owner, &format!("single{}", owner.0), place, "back");
        world.settle();
        assert_eq!(world.texts(shared), ["back"]);
        assert_eq!(world.stage(owner).codes(place.1), [200]);
    }
    let notices = world.stage(A).notices();
    let bound = |it: &&Notice| matches!(it, Notice::Bound { .. });
    assert_eq!(notices.iter().filter(bound).count(), 2, "told by the owner");
    world.assert_at_rest();
    // C63: with it, all of them are lost, and their owners say so.
    let now = world.now;
    world.switch(B).closed(now, shared.1);
    world.collect(B);
    world.settle();
    for owner in [A, B, C] {
        let lost = (format!("shared{}", owner.0), LossCause::Disconnected);
        assert_eq!(world.stage(owner).lost(), [lost]);
    }
}

#[test]
fn c62_a_session_that_is_elsewhere_is_bound() {
    let mut world = World::new(config());
    let place = world.open(B);
    world.join(A, "alice", place);
    for thread in [A, B, C] {
        let thief = world.open(thread);
        world.give(thief, empty_send("alice", "bindtid2"));
        world.settle();
        assert_eq!(world.stage(thread).codes(thief.1), [506], "{thread:?}");
    }
    let nobody = world.open(C);
    world.give(nobody, empty_send("nobody", "bindtid2"));
    assert_eq!(world.stage(C).codes(nobody.1), [481]);
}

#[test]
fn what_follows_a_claim_waits_for_it() {
    let mut world = World::new(config());
    let (place, other) = (world.open(B), world.open(A));
    world.join(A, "bob", other);
    world.admit(A, admission(&World::room(A), "alice"));
    let body = cpim_to("alice", &World::room(A), "at once");
    let requests = empty_send("alice", "bindtid1") + &send("alice", "saidtid1", &[], &body);
    // In pieces, and all at once, before anything has gone to the owner.
    let (first, second) = requests.split_at(requests.len() - 20);
    world.give(place, first);
    assert!(world.switch(B).paused(place.1), "it is not read");
    world.give(place, second);
    world.settle();
    assert_eq!(world.stage(B).codes(place.1), [200, 200]);
    assert_eq!(world.texts(other), ["at once"]);
    world.assert_at_rest();
}

#[test]
fn c70_another_certificate_is_found_out_elsewhere_too() {
    let mut world = World::new(config());
    let mut head = admission(&World::room(A), "alice");
    let announced = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
                     10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F";
    head.peer.fingerprints = vec![announced.parse().unwrap()];
    world.admit(A, head);
    let now = world.now;
    let security = Security::Tls(Arc::new([]));
    let id = world.switch(B).opened_over(now, security);
    world.give((B, id), empty_send("alice", "bindtid1"));
    world.settle();
    assert_eq!(world.stage(B).cut, [id]);
}

/// Many speakers that each send as much as may be in transit, and a reader that accepts nothing
/// meanwhile.
fn said_at_once(world: &mut World) -> (Place, Vec<String>) {
    const EACH: usize = MAX_UNORDERED / 1_100;
    let reader = world.open(C);
    world.join(A, "reader", reader);
    let now = world.now;
    world.switch(C).blocked(now, reader.1, true);
    let speakers: Vec<_> = (0..2 * config().outbox_bytes / MAX_UNORDERED)
        .map(|number| {
            let (name, place) = (format!("speaker{number}"), world.open(B));
            world.join(A, &name, place);
            (name, place)
        })
        .collect();
    let mut said = Vec::new();
    for (name, place) in speakers {
        for turn in 0..EACH {
            let text = format!("{name} {turn} {}", "x".repeat(900));
            world.say(A, &name, place, &text);
            said.push(text);
        }
    }
    assert!(said.len() * 900 > config().outbox_bytes);
    (reader, said)
}

#[test]
fn what_was_on_its_way_when_its_speaker_was_to_wait_is_not_lost() {
    let mut world = World::new(config());
    let (reader, said) = said_at_once(&mut world);
    world.settle();
    let replica = world.switch(C).rooms.iter_mut().next().expect("a room");
    assert!(replica.log.octets() < config().outbox_bytes);
    let now = world.now;
    world.switch(C).blocked(now, reader.1, false);
    world.settle();
    assert_eq!(world.texts(reader), said);
    world.settle();
    world.assert_at_rest();
}

#[test]
fn what_was_on_its_way_comes_before_the_end_of_its_session_and_room() {
    let mut world = World::new(config());
    let (reader, said) = said_at_once(&mut world);
    world.settle();
    let now = world.now;
    // The last has gone: its words have their turn, though the reader is behind.
    let last = *world
        .stage(B)
        .switch
        .connections
        .keys()
        .last()
        .expect("one");
    world.switch(B).closed(now, last);
    world.collect(B);
    world.settle();
    world.switch(C).blocked(now, reader.1, false);
    world.settle();
    let mut heard = world.texts(reader);
    heard.sort();
    let mut all = said;
    all.sort();
    assert_eq!(heard, all);
    world.settle();
    world.assert_at_rest();
}

#[test]
fn a_room_that_ends_leaves_nothing_that_waits() {
    let mut world = World::new(config());
    let (_, said) = said_at_once(&mut world);
    world.settle();
    let (now, room) = (world.now, RoomUri::new(World::room(A)));
    world.switch(A).order(now, Order::Close { room });
    world.stage(A).pump();
    world.collect(A);
    world.settle();
    world.pass(Duration::from_secs(10));
    world.settle();
    assert!(!said.is_empty());
    world.assert_empty();
}

#[test]
fn who_is_expelled_elsewhere_gets_what_is_queued_and_is_gone() {
    let mut world = World::new(config());
    let (place, other) = (world.open(B), world.open(A));
    world.join(A, "alice", place);
    world.join(A, "bob", other);
    world.say(A, "bob", other, "last words");
    let (now, room) = (world.now, RoomUri::new(World::room(A)));
    world.switch(A).order(now, Order::Close { room });
    world.stage(A).pump();
    world.collect(A);
    world.settle();
    assert_eq!(world.texts(place), ["last words"]);
    assert_eq!(world.stage(B).finished, [place.1]);
    world.assert_empty();
}

#[test]
fn c63_a_session_comes_back_with_what_waits_for_it() {
    for crossing in [false, true] {
        let mut world = World::new(config());
        let (old, other) = (world.open(B), world.open(A));
        world.join(A, "alice", old);
        world.join(A, "bob", other);
        let now = world.now;
        world.switch(B).blocked(now, old.1, true);
        world.say(A, "bob", other, "one");
        world.settle();
        let mut head = admission(&World::room(A), "alice");
        head.peer.path = vec!["msrp://198.51.100.7:9/alice-other;tcp".to_owned()];
        world.switch(A).order(now, Order::Amend(Box::new(head)));
        world.say(A, "bob", other, "two");
        let new = world.open(C);
        if !crossing {
            world.settle();
        }
        world.give(new, empty_send("alice", "bindtid2"));
        world.deliver(C, A);
        assert!(!crossing || world.switch(C).paused(new.1));
        world.settle();
        world.say(A, "bob", other, "three");
        world.settle();
        assert_eq!(world.texts(new), ["one", "two", "three"]);
        world.switch(B).blocked(now, old.1, false);
        world.settle();
        assert_eq!(world.stage(B).finished, [old.1]);
        world.assert_at_rest();
    }
}

#[test]
fn a_nickname_of_somebody_elsewhere_is_kept_here() {
    let mut world = World::new(config());
    let (place, other) = (world.open(B), world.open(A));
    world.join(A, "alice", place);
    world.join(A, "bob", other);
    let wish = |name: &str| {
        let header = "Use-Nickname: \"Al\"";
        request(
            name,
            "nicktid1",
            "NICKNAME",
            &[header],
            "-------nicktid1$\r\n",
        )
    };
    world.stage(A).keeps = false;
    world.give(place, wish("alice"));
    world.settle();
    assert_eq!(
        world.stage(B).codes(place.1),
        [0u16; 0],
        "not before it is kept"
    );
    let now = world.now;
    let room = RoomUri::new(World::room(A));
    let change = NicknameChange(1);
    world.switch(A).order(now, Order::Kept { room, change });
    world.settle();
    assert_eq!(world.stage(B).codes(place.1), [200]);
    world.give(other, wish("bob"));
    assert_eq!(world.stage(A).codes(other.1), [425]);
    world.assert_at_rest();
}

#[test]
fn a_private_message_costs_its_receivers_thread_only() {
    let mut world = World::new(config());
    let (alice, bob, carol) = (world.open(B), world.open(C), world.open(A));
    world.join(A, "alice", alice);
    world.join(A, "bob", bob);
    world.join(A, "carol", carol);
    let body = cpim_to("alice", "sip:bob@example.com", "psst");
    let headers = ["Success-Report: yes"];
    world.give(alice, send("alice", "saidtid1", &headers, &body));
    world.settle();
    assert_eq!(world.texts(bob), ["psst"]);
    let got = world.stage(B).got(alice.1);
    let lines: Vec<_> = got
        .iter()
        .map(|it| it.line.rsplit(' ').next().unwrap())
        .collect();
    assert_eq!(lines, ["200", "REPORT"]);
    assert!(got[1].text().contains("bob"), "G44");
    assert!(world.texts(carol).is_empty());
    world.assert_at_rest();
    // C31: a refused message is refused there too.
    let body = cpim_to("alice", "sip:nobody@example.com", "psst");
    world.give(alice, send("alice", "saidtid2", &[], &body));
    world.settle();
    assert_eq!(world.stage(B).codes(alice.1), [404]);
}

/// The chunks of a large message.
pub(super) fn chunk(name: &str, number: u32, from: usize, body: &[u8], to: usize) -> Vec<u8> {
    let flag = if to == body.len() { '$' } else { '+' };
    let id = format!("Message-ID: large{number}");
    let range = format!("Byte-Range: {}-{to}/{}", from + 1, body.len());
    let headers = [id.as_str(), &range, "Content-Type: message/cpim"];
    let head = request(name, "chunktid", "SEND", &headers, "\r\n");
    let end = format!("\r\n-------chunktid{flag}\r\n");
    [head.as_bytes(), &body[from..to], end.as_bytes()].concat()
}

#[test]
fn g26_a_large_message_goes_through_three_threads() {
    let mut world = World::new(config());
    let (alice, bob, carol) = (world.open(B), world.open(C), world.open(A));
    world.join(A, "alice", alice);
    world.join(A, "bob", bob);
    world.join(A, "carol", carol);
    let text: String = (0..60_000u32).map(|it| format!("{it:05} ")).collect();
    let body = cpim_to("alice", &World::room(A), &text).into_bytes();
    let mut from = 0;
    while from < body.len() {
        assert!(!world.switch(B).paused(alice.1), "all of them read");
        let to = body.len().min(from + 50_000);
        world.give(alice, chunk("alice", 1, from, &body, to));
        from = to;
        world.settle();
        assert_eq!(world.stage(B).codes(alice.1), [200]);
    }
    for place in [bob, carol] {
        let chunks = world.stage(place.0).chunks(place.1);
        assert_eq!(messages(&chunks), [(body.clone(), Some('$'))]);
    }
    world.assert_at_rest();
}

#[test]
fn c31_a_large_message_that_may_not_be_is_refused_at_once_or_at_its_end() {
    for late in [false, true] {
        let mut world = World::new(config());
        let (alice, carol) = (world.open(B), world.open(A));
        world.join(A, "alice", alice);
        world.join(A, "carol", carol);
        let body = cpim_to("somebody", &World::room(A), &"x".repeat(90_000)).into_bytes();
        world.give(alice, chunk("alice", 1, 0, &body, 70_000));
        assert_eq!(world.stage(B).codes(alice.1), [200]);
        if !late {
            world.settle();
        }
        world.give(alice, chunk("alice", 1, 70_000, &body, body.len()));
        world.settle();
        assert_eq!(world.stage(B).codes(alice.1), [403]);
        assert!(world.stage(A).chunks(carol.1).is_empty());
        world.assert_at_rest();
    }
}

#[test]
fn one_who_lags_elsewhere_loses_a_large_message_and_holds_nobody_up_for_longer() {
    let mut world = World::new(config());
    let (alice, bob, carol) = (world.open(B), world.open(C), world.open(A));
    world.join(A, "alice", alice);
    world.join(A, "bob", bob);
    world.join(A, "carol", carol);
    let now = world.now;
    world.switch(C).blocked(now, bob.1, true);
    let body = cpim_to("alice", &World::room(A), &"x".repeat(900_000)).into_bytes();
    let (mut from, mut waited) = (0, Duration::ZERO);
    while from < body.len() {
        let to = body.len().min(from + 20_000);
        if world.switch(B).paused(alice.1) {
            waited += Duration::from_millis(100);
            world.pass(Duration::from_millis(100));
        } else {
            world.give(alice, chunk("alice", 1, from, &body, to));
            from = to;
        }
        world.settle();
        for stage in &mut world.stages {
            let streams = stage.switch.streams.iter_mut();
            let held: usize = streams.map(|it| it.octets()).sum();
            assert!(held <= config().outbox_bytes, "bounded everywhere");
        }
    }
    assert!(waited <= Duration::from_millis(2_200), "{waited:?}");
    let chunks = world.stage(A).chunks(carol.1);
    assert_eq!(messages(&chunks), [(body, Some('$'))]);
    world.switch(C).blocked(now, bob.1, false);
    world.settle();
    let told = world.stage(C).chunks(bob.1);
    let told = messages(&told);
    assert!(String::from_utf8_lossy(&told.last().unwrap().0).contains("not delivered"));
    world.assert_at_rest();
}

#[test]
fn speakers_wait_for_a_reader_elsewhere_as_for_one_of_their_own() {
    for speaker in [A, B] {
        let mut world = World::new(config());
        let (alice, bob) = (world.open(speaker), world.open(C));
        world.join(A, "alice", alice);
        world.join(A, "bob", bob);
        let now = world.now;
        world.switch(C).blocked(now, bob.1, true);
        let text = "x".repeat(1_000);
        let mut said = 0;
        while !world.switch(speaker).paused(alice.1) {
            world.say(A, "alice", alice, &text);
            world.settle();
            said += 1;
            assert!(said * 1_000 < config().outbox_bytes, "somebody waits");
        }
        assert_eq!(world.switch(C).totals().drops_slow_reader, 0);
        // Bob reads again: everything arrives, and the speaker goes on.
        world.switch(C).blocked(now, bob.1, false);
        world.settle();
        assert!(!world.switch(speaker).paused(alice.1));
        assert_eq!(world.texts(bob).len(), said);
        // Bob does not read: speakers do not wait for ever, and bob gets a notice.
        world.switch(C).blocked(now, bob.1, true);
        let mut waited = Duration::ZERO;
        for _ in 0..2 * config().outbox_bytes / 1_000 {
            while world.switch(speaker).paused(alice.1) {
                waited += Duration::from_millis(100);
                world.pass(Duration::from_millis(100));
                world.settle();
                assert!(waited < Duration::from_secs(5), "it waits for ever");
            }
            world.say(A, "alice", alice, &text);
            world.settle();
        }
        world.switch(C).blocked(now, bob.1, false);
        world.settle();
        let got = world.texts(bob);
        assert!(got[0].contains("not delivered"), "{}", got[0]);
        assert!(world.switch(C).totals().drops_slow_reader > 0);
        world.assert_at_rest();
    }
}

#[test]
fn what_is_on_its_way_to_the_owner_is_bounded() {
    let mut world = World::new(config());
    let alice = world.open(B);
    world.join(A, "alice", alice);
    let text = "x".repeat(1_000);
    let mut said = 0;
    while !world.switch(B).paused(alice.1) {
        world.say(A, "alice", alice, &text);
        said += 1;
    }
    assert!(said < 70, "the owner has heard nothing of it");
    world.settle();
    assert!(!world.switch(B).paused(alice.1));
    assert_eq!(world.stage(B).codes(alice.1), vec![200; said]);
    // The session ends meanwhile: the connection may be another's, too.
    let other = World::room(C);
    world.join(C, "other", alice);
    while !world.switch(B).paused(alice.1) {
        world.say(A, "alice", alice, &text);
    }
    let (now, room) = (world.now, RoomUri::new(World::room(A)));
    world.switch(A).order(now, Order::Close { room });
    world.settle();
    assert!(!world.switch(B).paused(alice.1), "finding 10");
    let _ = other;
    world.assert_at_rest();
}

#[test]
fn c32_what_was_said_over_a_connection_elsewhere_that_is_gone_is_known_again() {
    let mut world = World::new(config());
    let (mut alice, bob) = (world.open(B), world.open(A));
    world.join(A, "alice-1", alice);
    world.join(A, "bob", bob);
    world.say(A, "alice-1", alice, "once");
    world.settle();
    let now = world.now;
    world.switch(B).closed(now, alice.1);
    world.settle();
    alice = world.open(C);
    world.join(A, "alice-2", alice);
    world.say(A, "alice-2", alice, "once");
    world.settle();
    assert_eq!(world.stage(C).codes(alice.1), [200]);
    assert_eq!(world.texts(bob), ["once"]);
}

#[test]
fn what_cannot_be_dealt_with_costs_its_connection() {
    let mut world = World::new(config());
    let alice = world.open(B);
    world.join(A, "alice", alice);
    // As if the owner had panicked over something she said.
    world.switch(A).exchange.serving = Some(super::super::ids::Credit {
        speaker: super::super::ids::Speaker {
            thread: B,
            connection: alice.1,
        },
        octets: 0,
    });
    world.switch(A).look_at_all();
    world.collect(A);
    world.settle();
    assert_eq!(world.stage(B).cut, [alice.1]);
    assert_eq!(world.stage(A).lost().len(), 1);
    world.assert_empty();
}

#[test]
fn who_parts_elsewhere_keeps_the_connection_until_the_farewell_is_over() {
    for expelled in [true, false] {
        let mut world = World::new(config());
        let place = world.open(B);
        world.join(A, "alice", place);
        let (now, room) = (world.now, RoomUri::new(World::room(A)));
        let session = SessionId::new("alice");
        let part = Order::Part {
            room: room.clone(),
            session: session.clone(),
        };
        world.switch(A).order(now, part);
        world.settle();
        assert_eq!(world.switch(A).sessions(), 0);
        assert!(world.stage(B).finished.is_empty(), "it stays a moment");
        match expelled {
            true => world.switch(A).order(now, Order::Expel { room, session }),
            false => world.pass(Duration::from_secs(2)),
        }
        world.settle();
        assert_eq!(world.stage(B).finished, [place.1], "{expelled}");
        world.assert_empty();
        for stage in &world.stages {
            assert!(stage.switch.rooms.nobody_lingers());
        }
    }
}

#[test]
fn what_came_with_an_invite_is_said_for_somebody_elsewhere_and_refused_by_a_message() {
    let mut world = World::new(config());
    let (alice, bob) = (world.open(B), world.open(A));
    world.join(A, "alice", alice);
    world.join(A, "bob", bob);
    for from in ["alice", "mallory"] {
        let (now, room) = (world.now, RoomUri::new(World::room(A)));
        let message = cpim_to(from, &World::room(A), "hello").into_bytes();
        let session = SessionId::new("alice");
        let submit = Order::Submit {
            room,
            session,
            message: message.into(),
        };
        world.switch(A).order(now, submit);
        world.settle();
    }
    assert_eq!(world.texts(bob), ["hello"]);
    let told = world.texts(alice);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("not delivered: 403"), "{}", told[0]);
}
