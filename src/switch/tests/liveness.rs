//! Dead peers, and slow ones.

use super::requests::answer;
use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn c48_who_answers_nothing_and_says_nothing_is_gone() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    let got = stage.got(bob);
    stage.pass(SILENCE - seconds(1));
    assert_eq!(stage.lost(), []);
    stage.give(bob, answer(&got[0], 200));
    stage.pass(seconds(600));
    assert_eq!(stage.lost(), [], "nothing is owed");
    stage.give(alice, send("alice", "tid12346", &[], &cpim("alice", "hi")));
    stage.pass(SILENCE);
    assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::Undeliverable)]);
    assert_eq!(stage.cut, [bob]);
}

#[test]
fn who_is_in_the_middle_of_a_long_send_is_not_gone() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let body = cpim("alice", &"x".repeat(400_000));
    let upload = send("alice", "upload01", &[], &body);
    let mut pieces = upload.as_bytes().chunks(upload.len().div_ceil(300));
    stage.give(alice, pieces.next().unwrap());
    // A probe, which cannot be answered before the SEND has ended.
    stage.give(bob, send("bob", "tid12345", &[], &cpim("bob", "hi")));
    for piece in pieces {
        stage.pass(seconds(1));
        stage.give(alice, piece);
    }
    assert_eq!(stage.lost(), []);
    let whole = (body.into_bytes(), Some('$'));
    assert!(streams::messages(&stage.chunks(bob)).contains(&whole));
}

#[test]
fn who_stops_in_the_middle_of_a_request_is_gone() {
    for cut in [30, 500, 100_000] {
        let mut stage = Stage::new();
        let alice = stage.join("alice");
        let body = cpim("alice", &"x".repeat(400_000));
        let upload = send("alice", "upload01", &[], &body);
        stage.give(alice, &upload[..cut]);
        stage.pass(SILENCE - seconds(1));
        assert_eq!(stage.lost(), []);
        stage.pass(seconds(1));
        assert_eq!(
            stage.lost(),
            [("alice".to_owned(), LossCause::Disconnected)]
        );
        assert_eq!(
            (stage.cut.pop(), stage.switch.budget.octets()),
            (Some(alice), 0)
        );
    }
}

#[test]
fn who_reads_slowly_stays_and_who_reads_nothing_goes() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    for _ in 0..20 {
        // Bob accepted some output, and there is more.
        stage.switch.blocked(stage.now, bob, true);
        stage.pass(SILENCE - seconds(1));
    }
    assert_eq!(stage.lost(), []);
    stage.pass(seconds(1));
    assert_eq!(stage.lost(), [("bob".to_owned(), LossCause::TooSlow)]);
    assert_eq!(stage.cut, [bob]);
}

#[test]
fn what_is_answered_to_who_reads_nothing_is_bounded() {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    stage.switch.blocked(stage.now, alice, true);
    let requests = empty_send("alice", "tid12345").repeat(400);
    let mut reads = 0;
    while !stage.switch.paused(alice) {
        reads += 1;
        assert!(reads < 10, "it is read on and on");
        stage.give(alice, &requests);
    }
    let held = stage.switch.connections.get(alice).unwrap().replies.len();
    assert!(held < 2 * 64 * 1024 + requests.len(), "{held}");
    assert_eq!(stage.resumed.pop(), None);
    stage.switch.blocked(stage.now, alice, false);
    assert_eq!(stage.codes(alice), vec![200; 400 * reads]);
    assert_eq!(stage.resumed.pop(), Some(alice));
    assert!(!stage.switch.paused(alice));
}

#[test]
fn who_sends_nothing_more_still_gets_what_waits_for_him() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    let said = send("alice", "tid12345", &[], &cpim("alice", "hi"));
    stage.switch.received(stage.now, alice, said.as_bytes());
    stage.switch.ended(stage.now, alice);
    stage.switch.ended(stage.now, bob);
    assert!(stage.switch.paused(alice));
    assert_eq!(stage.codes(alice), [200]);
    assert_eq!(stage.texts(bob), ["hi"]);
    assert_eq!(stage.finished, [alice, bob]);
    assert_eq!(stage.lost().len(), 2);
}

#[test]
fn a_session_that_ends_early_has_its_grace_to_be_written() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.join("alice"), stage.join("bob"));
    stage.pass(seconds(31));
    stage.give(alice, send("alice", "tid12345", &[], &cpim("alice", "hi")));
    stage.got(bob);
    stage.switch.blocked(stage.now, bob, true);
    stage.give(alice, send("alice", "tid12346", &[], &cpim("alice", "bye")));
    let session = SessionId::new("bob");
    let room = RoomUri::new(LOBBY);
    let order = Order::Expel { room, session };
    stage.switch.order(stage.now, order);
    stage.pass(seconds(4));
    assert_eq!(stage.cut, []);
    stage.switch.blocked(stage.now, bob, false);
    assert_eq!(stage.texts(bob), ["bye"]);
    assert_eq!(stage.finished, [bob]);
}

#[test]
fn silence_is_asked_about_and_then_ended() {
    let config = Config {
        idle_timeout: Duration::from_secs(60),
        ..config()
    };
    let mut stage = Stage::with(config, Box::new(Alone));
    let id = stage.join("alice");
    stage.pass(Duration::from_secs(29));
    assert_eq!(stage.got(id), []);
    stage.give(id, empty_send("alice", "bindtid2"));
    stage.got(id);
    stage.pass(Duration::from_secs(29));
    assert_eq!(stage.got(id), [], "it has just said something");
    stage.pass(Duration::from_secs(1));
    let asked = stage.got(id).remove(0);
    assert_eq!(
        (asked.header("Byte-Range"), &asked.body),
        (Some("1-0/0"), &None)
    );
    stage.pass(Duration::from_secs(10));
    stage.give(id, answer(&asked, 200));
    stage.pass(Duration::from_secs(30));
    assert_eq!(stage.got(id).len(), 1, "asked again");
    stage.pass(Duration::from_secs(29));
    assert_eq!(stage.lost(), []);
    stage.pass(Duration::from_secs(1));
    assert_eq!(
        stage.lost(),
        [("alice".to_owned(), LossCause::Disconnected)]
    );
    assert_eq!(stage.cut, [id]);
}
