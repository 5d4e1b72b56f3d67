//! The history of rooms: a newcomer receives the last messages, in order and once.

use super::*;
use crate::control::PastMessage;

const MINUTE: Duration = Duration::from_secs(60);
/// Time between two reports about a room.
const PACE: Duration = Duration::from_millis(100);

fn head(name: &str, history: u16) -> Admission {
    let mut head = admission(LOBBY, name);
    head.policy.history = history;
    head
}

impl Stage {
    /// Says something to the room.
    fn say(&mut self, id: ConnectionId, name: &str, text: &str) {
        self.say_body(id, name, &cpim(name, text));
    }

    fn say_body(&mut self, id: ConnectionId, name: &str, body: &str) {
        let number = self.switch.totals().messages_in;
        self.give(id, send(name, &format!("tid{number:05}"), &[], body));
        assert_eq!(self.codes(id), [200]);
    }

    /// The texts that a newcomer gets.
    fn newcomer(&mut self, head: Admission) -> Vec<String> {
        let name = head.session.to_string();
        self.admit(head);
        let id = self.bind(&name);
        self.texts(id)
    }

    fn bind(&mut self, name: &str) -> ConnectionId {
        let id = self.switch.opened(self.now);
        self.give(id, empty_send(name, "bindtid1"));
        id
    }

    /// The history reports to the focus: numbers, and removals.
    fn told(&mut self) -> Vec<(Vec<PastMessage>, u64)> {
        let notices = self.all_notices().into_iter();
        let told = notices.filter_map(|notice| match notice {
            Notice::Remember { messages, gone, .. } => Some((messages, gone)),
            _ => None,
        });
        told.collect()
    }

    /// The store has this.
    fn kept(&mut self, messages: &[PastMessage]) {
        let done = Order::Remembered {
            room: RoomUri::new(LOBBY),
            up_to: messages.last().expect("one").number,
            octets: messages.iter().map(|it| it.octets.len()).sum(),
        };
        self.switch.order(self.now, done);
    }

    fn recall(&mut self, messages: Vec<PastMessage>) {
        let room = RoomUri::new(LOBBY);
        let order = Order::Recall { room, messages };
        self.switch.order(self.now, order);
    }
}

/// Alice is in a room that keeps three messages.
fn room_of_three() -> (Stage, ConnectionId) {
    let mut stage = Stage::new();
    let alice = stage.enter(head("alice", 3));
    (stage, alice)
}

fn past(number: u64, text: &str) -> PastMessage {
    PastMessage {
        number,
        octets: cpim("zoe", text).into_bytes().into(),
    }
}

#[test]
fn a_newcomer_gets_the_history_then_what_is_said_and_nothing_twice() {
    let (mut stage, alice) = room_of_three();
    for text in ["one", "two", "three", "four"] {
        stage.say(alice, "alice", text);
    }
    stage.admit(head("bob", 3));
    stage.say(alice, "alice", "five");
    let bob = stage.switch.opened(stage.now);
    stage.give(bob, empty_send("bob", "bindtid1"));
    let got = stage.got(bob);
    assert_eq!(got[0].line, "MSRP bindtid1 200", "the bind comes first");
    let texts: Vec<_> = got[1..].iter().map(|got| got.text().to_owned()).collect();
    let ends = ["two", "three", "four", "five"];
    assert_eq!(texts.len(), ends.len());
    for (text, end) in texts.iter().zip(ends) {
        assert!(text.ends_with(end), "{text} should end with {end}");
    }
    stage.say(alice, "alice", "six");
    assert_eq!(stage.texts(bob), ["six"]);
    assert!(stage.raw(alice).is_empty(), "who was in gets nothing again");
}

#[test]
fn another_device_is_a_newcomer_and_gets_what_its_user_said_too() {
    let (mut stage, alice) = room_of_three();
    stage.say(alice, "alice", "mine");
    assert_eq!(stage.newcomer(head("alice-tablet", 3)), ["mine"]);
}

#[test]
fn who_was_in_before_gets_none() {
    let (mut stage, alice) = room_of_three();
    stage.say(alice, "alice", "one");
    let renewed = Admission {
        newcomer: false,
        ..head("bob", 3)
    };
    assert_eq!(stage.newcomer(renewed), Vec::<String>::new());
    // New head of the same session.
    let amended = Order::Amend(Box::new(head("bob", 3)));
    stage.switch.order(stage.now, amended);
    stage.admit(head("bob", 3));
    stage.say(alice, "alice", "two");
    assert_eq!(stage.newcomer(head("carol", 3)), ["one", "two"]);
}

#[test]
fn a_room_without_history_keeps_nothing() {
    let mut stage = Stage::new();
    let alice = stage.enter(head("alice", 0));
    stage.say(alice, "alice", "one");
    assert_eq!(stage.told(), []);
    // Its rules change: from now on.
    let amended = Order::Amend(Box::new(head("alice", 2)));
    stage.switch.order(stage.now, amended);
    stage.say(alice, "alice", "two");
    assert_eq!(stage.newcomer(head("bob", 2)), ["two"]);
    // And fewer from now on.
    stage.say(alice, "alice", "three");
    assert_eq!(stage.newcomer(head("carol", 1)), ["three"]);
    assert_eq!(stage.newcomer(head("dave", 0)), Vec::<String>::new());
}

#[test]
fn the_oldest_go_first_also_where_the_octets_are_too_many() {
    let mut stage = Stage::new();
    let half = config().outbox_bytes / 2;
    let alice = stage.enter(head("alice", 100));
    let text = |letter: char| letter.to_string().repeat(half / 4);
    for letter in ['a', 'b', 'c', 'd'] {
        stage.say(alice, "alice", &text(letter));
    }
    let got = stage.newcomer(head("bob", 100));
    assert_eq!(got.len(), 3, "with their headers four are more than half");
    assert!(got[0].starts_with('b') && got[2].starts_with('d'));
    assert_eq!(stage.switch.totals().drops_slow_reader, 0);
}

#[test]
fn a_message_that_is_more_than_a_whole_history_may_be_is_not_kept() {
    let small = Config {
        outbox_bytes: 64 * 1024,
        ..config()
    };
    let mut stage = Stage::with(small, Box::new(Alone));
    let alice = stage.enter(head("alice", 100));
    stage.say(alice, "alice", "one");
    stage.say(alice, "alice", &"x".repeat(40 * 1024));
    assert_eq!(stage.newcomer(head("bob", 100)), ["one"]);
}

/// A newcomer's history takes no room in the queues of other members.
#[test]
fn many_newcomers_at_once_cost_nobody_a_message() {
    let mut stage = Stage::new();
    let alice = stage.enter(head("alice", 100));
    let slow = stage.enter(head("bob", 100));
    for number in 0..4 {
        stage.say(
            alice,
            "alice",
            &format!("{number}{}", "x".repeat(25 * 1024)),
        );
    }
    assert_eq!(stage.texts(slow).len(), 4);
    stage.switch.blocked(stage.now, slow, true);
    let names: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    for name in &names {
        stage.admit(head(name, 100));
    }
    stage.say(alice, "alice", "last");
    for name in &names {
        let id = stage.bind(name);
        let texts = stage.texts(id);
        assert_eq!(texts.len(), 5);
        assert!(texts[0].starts_with('0') && texts[4] == "last");
    }
    stage.switch.blocked(stage.now, slow, false);
    assert_eq!(stage.texts(slow), ["last"]);
    assert_eq!(stage.switch.totals().drops_slow_reader, 0);
}

#[test]
fn kept_is_what_is_said_to_the_room_and_nothing_else() {
    let (mut stage, alice) = room_of_three();
    let bob = stage.enter(head("bob", 3));
    stage.say(alice, "alice", "said");
    let to_bob = cpim_to("alice", "sip:bob@example.com", "privately");
    stage.say_body(alice, "alice", &to_bob);
    for media in [
        "application/im-iscomposing+xml",
        "message/imdn+xml",
        "Text/X-MSRP-Heartbeat",
    ] {
        let body = cpim("alice", "nothing said").replace("text/plain", media);
        stage.say_body(alice, "alice", &body);
    }
    let room = RoomUri::new(LOBBY);
    let text = "by the operator".to_owned();
    stage.switch.order(stage.now, Order::Say { room, text });
    assert_eq!(stage.texts(bob).len(), 6, "all of it was delivered");
    assert_eq!(stage.newcomer(head("carol", 3)), ["said"]);
    let told = stage.told();
    assert_eq!(told.len(), 1);
}

#[test]
fn a_message_that_is_sent_again_is_kept_once() {
    let (mut stage, alice) = room_of_three();
    stage.enter(head("carol", 3));
    stage.say(alice, "alice", "once");
    stage.switch.closed(stage.now, alice);
    let replacement = Admission {
        newcomer: false,
        ..head("alice-2", 3)
    };
    let tablet = stage.enter(replacement);
    let again = send("alice-2", "tid00000", &[], &cpim("alice", "once"));
    stage.give(tablet, again);
    assert_eq!(stage.codes(tablet), [200]);
    assert_eq!(stage.newcomer(head("bob", 3)), ["once"]);
}

#[test]
fn a_kept_message_says_when_it_was_said() {
    let (mut stage, alice) = room_of_three();
    let bob = stage.enter(head("bob", 3));
    let body = cpim("alice", "hi");
    stage.say_body(alice, "alice", &body);
    assert_eq!(stage.got(bob)[0].text(), body, "live as it was sent");
    let own = "DateTime: 2001-02-03T04:05:06-07:00\r\n\r\nContent-Type";
    let dated = body.replacen("\r\nContent-Type", own, 1);
    stage.say_body(alice, "alice", &dated);
    let spaced = body.replacen("\r\n\r\n", "\r\nNS: <urn:else>\r\nDateTime: x\r\n\r\n", 1);
    let spaced = spaced.replace("DateTime: x", "Date: x");
    stage.say_body(alice, "alice", &spaced);
    stage.admit(head("carol", 3));
    let carol = stage.bind("carol");
    let got = stage.got(carol);
    let texts: Vec<_> = got[1..].iter().map(Got::text).collect();
    let line = "DateTime: 1970-01-01T00:16:40Z\r\n";
    assert_eq!(
        texts[0],
        body.replacen("\r\n\r\n", &format!("\r\n{line}\r\n"), 1)
    );
    assert_eq!(texts[1], dated, "octet for octet");
    assert_eq!(texts[2], spaced.replacen("NS:", &format!("{line}NS:"), 1));
}

#[test]
fn who_reads_plain_text_gets_it_unwrapped_with_the_name_in_front() {
    let (mut stage, alice) = room_of_three();
    stage.say(alice, "alice", "hi");
    let named = cpim("alice", "hello").replace("<sip:alice", "\"Al \\\"A\\\"\" <sip:alice");
    stage.say_body(alice, "alice", &named);
    let picture = cpim("alice", "GIF").replace("text/plain", "image/gif");
    stage.say_body(alice, "alice", &picture);
    let mut plain = head("paula", 3);
    plain.policy.plain_text = true;
    plain.peer.plain_text = true;
    plain.peer.accept_types = vec!["text/plain".into()];
    plain.peer.accept_wrapped_types = Vec::new();
    stage.admit(plain);
    let paula = stage.bind("paula");
    let got = stage.got(paula);
    let texts: Vec<_> = got[1..].iter().map(Got::text).collect();
    assert_eq!(texts, ["alice@example.com: hi", "Al \"A\": hello"]);
    let media = got[1].header("Content-Type");
    assert_eq!(media, Some("text/plain; charset=utf-8"));
}

#[test]
fn what_a_newcomer_cannot_take_is_passed_over() {
    let (mut stage, alice) = room_of_three();
    stage.say(alice, "alice", "hi");
    stage.say(alice, "alice", &"x".repeat(500));
    let picture = cpim("alice", "GIF").replace("text/plain", "image/gif");
    stage.say_body(alice, "alice", &picture);
    let mut narrow = head("bob", 3);
    narrow.peer.accept_wrapped_types = vec!["text/*".into()];
    narrow.peer.max_size = Some(300);
    assert_eq!(stage.newcomer(narrow), ["hi"]);
    let mut deaf = head("carol", 3);
    deaf.peer.receives = false;
    assert_eq!(stage.newcomer(deaf), Vec::<String>::new());
}

/// With an offerless INVITE the peer's capabilities arrive after its admission: those at delivery
/// count.
#[test]
fn what_the_answer_says_counts() {
    let (mut stage, alice) = room_of_three();
    stage.say(alice, "alice", "hi");
    let mut silent = head("bob", 3);
    silent.peer.path = Vec::new();
    silent.peer.accept_wrapped_types = Vec::new();
    stage.admit(silent);
    let mut answered = head("bob", 3);
    answered.peer.accept_wrapped_types = vec!["image/*".into()];
    let order = Order::Amend(Box::new(answered));
    stage.switch.order(stage.now, order);
    let bob = stage.bind("bob");
    assert_eq!(stage.texts(bob), Vec::<String>::new());
}

#[test]
fn the_focus_is_told_of_the_first_at_once_then_ten_times_a_second_and_of_what_is_gone() {
    let (mut stage, alice) = room_of_three();
    let numbers = |(messages, gone): &(Vec<PastMessage>, u64)| {
        let numbers: Vec<_> = messages.iter().map(|it| it.number).collect();
        (numbers, *gone)
    };
    stage.say(alice, "alice", "one");
    let told = stage.told();
    // Milliseconds, and one more where no time has passed.
    let [first] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(numbers(first), (vec![1_000_000], 0));
    for text in ["two", "three", "four"] {
        stage.say(alice, "alice", text);
    }
    assert_eq!(stage.told(), []);
    stage.pass(PACE);
    let told = stage.told();
    let [others] = &told[..] else {
        panic!("{told:?}");
    };
    let all = (vec![1_000_001, 1_000_002, 1_000_003], 1_000_000);
    assert_eq!(numbers(others), all);
    assert!(others.0[2].octets.ends_with(b"four"));
    // After a pause at once.
    stage.pass(PACE);
    stage.say(alice, "alice", "five");
    let told = stage.told();
    assert_eq!(numbers(&told[0]), (vec![1_000_200], 1_000_001));
}

/// However much is said, and however slow the store: only so much is on its way.
#[test]
fn a_flood_does_not_pile_up_in_front_of_the_store() {
    const UNDER_WAY: usize = 64 * 1024;
    let mut stage = Stage::new();
    let alice = stage.enter(head("alice", 10));
    let size = |messages: &[PastMessage]| messages.iter().map(|it| it.octets.len()).sum::<usize>();
    let mut told = Vec::new();
    let mut said = 0;
    let mut flood = |stage: &mut Stage, told: &mut Vec<PastMessage>| {
        for _ in 0..1000 {
            stage.say(alice, "alice", &format!("{said} {}", "x".repeat(2000)));
            said += 1;
            stage.pass(PACE / 10);
            told.extend(stage.told().into_iter().flat_map(|(messages, _)| messages));
        }
    };
    flood(&mut stage, &mut told);
    assert!(size(&told) > UNDER_WAY / 2 && size(&told) < UNDER_WAY + 36 * 1024);
    // The store catches up: entries still in the history are reported, the others are lost.
    let heard = std::mem::take(&mut told);
    stage.kept(&heard);
    let rest = stage.told();
    let [(messages, gone)] = &rest[..] else {
        panic!("{} parts", rest.len());
    };
    let texts: Vec<_> = messages
        .iter()
        .map(|it| String::from_utf8_lossy(&it.octets).into_owned())
        .collect();
    assert_eq!(texts.len(), 10);
    assert!(texts[9].contains("\r\n\r\n999 "), "{}", texts[9]);
    assert_eq!(*gone, messages[0].number - 10);
    assert!(*gone > heard.last().expect("one").number);
    // And so on.
    flood(&mut stage, &mut told);
    assert!(size(&told) < UNDER_WAY + 36 * 1024);
}

#[test]
fn rooms_take_turns_in_being_told() {
    let mut stage = Stage::new();
    let alice = stage.enter(head("alice", 500));
    let mut other = head("bob", 500);
    other.room = RoomUri::new("sip:other@example.com");
    let bob = stage.enter(other);
    for _ in 0..8 {
        stage.say(alice, "alice", &"x".repeat(60 * 1024));
        stage.pass(PACE);
    }
    let flood = stage.told();
    let body = cpim_to("bob", "sip:other@example.com", "small");
    stage.say_body(bob, "bob", &body);
    stage.say(alice, "alice", &"x".repeat(60 * 1024));
    assert_eq!(stage.told(), []);
    for (messages, _) in &flood {
        stage.kept(messages);
    }
    let rooms: Vec<_> = stage
        .all_notices()
        .into_iter()
        .filter_map(|notice| match notice {
            Notice::Remember { room, .. } => Some(room.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(rooms, [LOBBY, "sip:other@example.com", LOBBY]);
}

/// In a test all histories together have a MiB, and each half of 256 KiB.
#[test]
fn all_histories_together_are_bounded_and_each_room_has_its_share() {
    let mut stage = Stage::new();
    let fill = |stage: &mut Stage, number: usize| {
        let room = format!("sip:room{number}@example.com");
        let name = format!("user{number}");
        let mut head = head(&name, 500);
        head.room = RoomUri::new(room.as_str());
        let id = stage.enter(head);
        for _ in 0..40 {
            let body = cpim_to(&name, &room, &"x".repeat(4000));
            stage.say_body(id, &name, &body);
            for notice in stage.all_notices() {
                if let Notice::Remember { room, messages, .. } = notice {
                    let up_to = messages.last().expect("one").number;
                    let octets = messages.iter().map(|it| it.octets.len()).sum();
                    let done = Order::Remembered {
                        room,
                        up_to,
                        octets,
                    };
                    stage.switch.order(stage.now, done);
                }
            }
        }
        stage.switch.room(room.as_str()).unwrap().history.octets()
    };
    for number in 0..8 {
        assert!(fill(&mut stage, number) > 120 * 1024);
    }
    // The next ones stop where the bound is reached, and keep the least.
    fill(&mut stage, 8);
    for number in 9..20 {
        let octets = fill(&mut stage, number);
        assert!((12 * 1024..=16 * 1024).contains(&octets), "{octets}");
    }
    assert!(stage.switch.rooms.histories.octets < (1024 + 140 + 11 * 16) * 1024);
    // A room that closes makes room for others.
    for number in 0..8 {
        let room = RoomUri::new(format!("sip:room{number}@example.com"));
        stage.switch.order(stage.now, Order::Close { room });
    }
    assert!(fill(&mut stage, 20) > 120 * 1024);
}

#[test]
fn an_empty_room_has_its_history_for_ten_minutes() {
    for (minutes, expected) in [(9, vec!["one".to_owned()]), (10, Vec::new())] {
        let (mut stage, alice) = room_of_three();
        stage.say(alice, "alice", "one");
        stage.switch.closed(stage.now, alice);
        stage.pass(MINUTE * minutes);
        assert_eq!(stage.newcomer(head("bob", 3)), expected, "{minutes}");
    }
}

#[test]
fn a_room_that_empties_is_told_at_once() {
    let mut stage = Stage::new();
    let alice = stage.enter(head("alice", 500));
    for _ in 0..8 {
        stage.say(alice, "alice", &"x".repeat(30 * 1024));
    }
    let mut told = stage.told();
    stage.say(alice, "alice", &"x".repeat(30 * 1024));
    stage.say(alice, "alice", "the last words");
    told.extend(stage.told());
    let before: usize = told.iter().map(|(messages, _)| messages.len()).sum();
    assert!(before < 10);
    stage.switch.closed(stage.now, alice);
    let rest = stage.told();
    let last = rest.last().and_then(|(messages, _)| messages.last());
    let last = last.expect("told");
    assert!(last.octets.ends_with(b"the last words"));
}

#[test]
fn a_run_that_does_not_know_a_room_is_given_its_history() {
    let mut stage = Stage::new();
    let garbage = PastMessage {
        number: 6,
        octets: "no message".into(),
    };
    stage.recall(vec![past(5, "old"), garbage, past(7, "older run")]);
    let alice = stage.enter(Admission {
        newcomer: false,
        ..head("alice", 3)
    });
    assert_eq!(stage.told(), [], "the store has it");
    assert_eq!(stage.newcomer(head("bob", 3)), ["old", "older run"]);
    stage.say(alice, "alice", "new");
    let told = stage.told();
    assert_eq!(told.len(), 1, "and no more is told than what is new");
    assert!(told[0].0[0].number > 7);
    // One that has the room knows better: the focus gives it all the same.
    stage.recall(vec![past(5, "old")]);
    let all = ["old", "older run", "new"];
    assert_eq!(stage.newcomer(head("carol", 3)), all);
    for name in ["alice", "bob", "carol"] {
        let room = RoomUri::new(LOBBY);
        let session = SessionId::new(name);
        stage
            .switch
            .order(stage.now, Order::Expel { room, session });
    }
    stage.recall(vec![past(5, "old")]);
    assert_eq!(
        stage.newcomer(head("dave", 3)),
        all,
        "it was only just left"
    );
}

#[test]
fn numbers_go_on_behind_those_of_earlier_runs() {
    let mut stage = Stage::new();
    stage.recall(vec![past(2_000_000, "from the future")]);
    let alice = stage.enter(Admission {
        newcomer: false,
        ..head("alice", 3)
    });
    stage.say(alice, "alice", "now");
    let told = stage.told();
    assert_eq!(told[0].0[0].number, 2_000_001);
}

#[test]
fn a_history_that_ends_is_given_to_nobody() {
    let (mut stage, alice) = room_of_three();
    let forget = |stage: &mut Stage| {
        let room = RoomUri::new(LOBBY);
        stage.all_notices();
        stage.switch.order(stage.now, Order::Forget { room });
        let room = RoomUri::new(LOBBY);
        assert_eq!(stage.all_notices(), [Notice::Forgotten { room }]);
    };
    stage.say(alice, "alice", "one");
    forget(&mut stage);
    assert_eq!(stage.newcomer(head("bob", 3)), Vec::<String>::new());
    stage.say(alice, "alice", "two");
    stage.pass(PACE);
    let told = stage.told();
    assert!(told[0].1 > 0, "what was before is gone from the store, too");
    assert!(told[0].0[0].number > told[0].1);
    assert_eq!(stage.newcomer(head("carol", 3)), ["two"]);
    let room = RoomUri::new(LOBBY);
    stage.switch.order(stage.now, Order::Close { room });
    forget(&mut stage);
    assert_eq!(stage.newcomer(head("dave", 3)), Vec::<String>::new());
}

/// Reports to a focus that has gone are repeated to the next one, unless the store has them.
#[test]
fn flow4_what_no_focus_has_heard_is_told_again() {
    let texts = |told: Vec<(Vec<PastMessage>, u64)>| {
        let messages = told.into_iter().flat_map(|(messages, _)| messages);
        let text = messages.map(|it| String::from_utf8_lossy(&it.octets).into_owned());
        text.map(|it| it.rsplit("\r\n").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let reconcile = |stage: &mut Stage, name: &str| {
        let order = Order::Reconcile {
            room: RoomUri::new(LOBBY),
            sessions: vec![SessionId::new(name)],
            last: true,
        };
        stage.switch.order(stage.now, order);
    };
    let (mut stage, alice) = room_of_three();
    stage.say(alice, "alice", "one");
    let told = stage.told();
    stage.kept(&told[0].0);
    stage.pass(PACE);
    stage.say(alice, "alice", "two");
    stage.told();
    stage.switch.unclaim(stage.now, MINUTE);
    stage.say(alice, "alice", "three");
    stage.pass(PACE);
    stage.told();
    stage.pass(PACE);
    stage.switch.unclaim(stage.now, MINUTE);
    assert_eq!(stage.told(), [], "not before the focus asks");
    reconcile(&mut stage, "alice");
    assert_eq!(texts(stage.told()), ["two", "three"]);
    reconcile(&mut stage, "alice");
    assert_eq!(texts(stage.told()), Vec::<String>::new());
    // Also if everybody has left meanwhile.
    stage.switch.unclaim(stage.now, MINUTE);
    stage.switch.closed(stage.now, alice);
    stage.told();
    stage.switch.unclaim(stage.now, MINUTE);
    reconcile(&mut stage, "alice");
    assert_eq!(texts(stage.told()), ["two", "three"]);
}
