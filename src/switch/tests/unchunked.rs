//! Peers that take a message in one SEND only.

use super::streams::{Large, messages};
use super::*;

const PIECE: usize = 10_000;

/// Alice and Carol, and Bob, whose client ends its session when a message arrives in chunks.
fn trio() -> (Stage, ConnectionId, ConnectionId, ConnectionId) {
    let mut stage = Stage::new();
    let alice = stage.join("alice");
    let mut head = admission(LOBBY, "bob");
    head.peer.one_send = true;
    let bob = stage.enter(head);
    let carol = stage.join("carol");
    (stage, alice, bob, carol)
}

fn quick(tid: &str) -> String {
    send("carol", tid, &[], &cpim("carol", tid))
}

fn ends(chunks: &[Chunk]) -> Vec<Option<char>> {
    chunks.iter().map(|chunk| chunk.flag).collect()
}

#[test]
fn small_messages_and_responses_wait_for_the_end_of_a_send_that_may_not_be_interrupted() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.open(150_000));
    assert_eq!(ends(&stage.chunks(bob)), [None], "it has begun");
    stage.give(carol, quick("tid00001"));
    stage.give(bob, empty_send("bob", "tid00002"));
    stage.give(alice, large.part(PIECE));
    assert_eq!(ends(&stage.chunks(bob)), [None]);
    assert_eq!(
        ends(&stage.chunks(carol))[0],
        Some('+'),
        "C21 for everybody else"
    );
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    let chunks = stage.chunks(bob);
    assert_eq!((&chunks[0].body, chunks[0].flag), (&large.body, Some('$')));
    assert_eq!(chunks[1].head.as_ref().unwrap().line, "MSRP tid00002 200");
    assert!(chunks[2].body.ends_with(b"tid00001"));
    assert_eq!(chunks.len(), 3);
    assert_eq!(
        (stage.switch.streams.len(), stage.switch.budget.octets()),
        (0, 0)
    );
}

#[test]
fn the_send_begins_late_so_that_the_wait_is_short() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(66_000);
    stage.give(alice, large.open(60_000));
    assert_eq!(stage.chunks(carol).len(), 1);
    assert!(stage.chunks(bob).is_empty());
    stage.give(carol, quick("tid00001"));
    assert_eq!(stage.chunks(bob).len(), 1, "nothing is in its way");
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    let chunks = stage.chunks(bob);
    assert_eq!((&chunks[1].body, chunks[1].flag), (&large.body, Some('$')));
}

#[test]
fn two_large_messages_go_one_after_the_other() {
    let (mut stage, alice, bob, carol) = trio();
    let mut one = Large::new(200_000);
    let mut two = Large::of(cpim("carol", &super::streams::pattern(200_000)));
    stage.give(alice, one.open(150_000));
    let head = String::from_utf8(two.open(150_000)).unwrap();
    stage.give(carol, head.replace("/alice", "/carol"));
    stage.give(alice, one.part(1_000_000));
    stage.give(carol, two.part(1_000_000));
    stage.give(carol, two.close('$'));
    stage.give(alice, one.close('$'));
    let chunks = stage.chunks(bob);
    assert_eq!(ends(&chunks), [Some('$'), Some('$')]);
    let expected = [(one.body, Some('$')), (two.body, Some('$'))];
    assert_eq!(messages(&chunks), expected);
}

#[test]
fn what_has_waited_ten_seconds_ends_the_message_and_not_the_session() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.open(150_000));
    stage.pass(Duration::from_secs(60));
    assert_eq!(ends(&stage.chunks(bob)), [None], "nothing waits");
    stage.give(carol, quick("tid00001"));
    stage.pass(Duration::from_secs(9));
    assert_eq!(ends(&stage.chunks(bob)), [None]);
    stage.pass(Duration::from_secs(1));
    let chunks = stage.chunks(bob);
    assert_eq!(ends(&chunks), [Some('#'), Some('$'), Some('$')]);
    let told = String::from_utf8_lossy(&chunks[1].body).into_owned();
    assert!(told.contains("not delivered"), "{told}");
    assert!(chunks[2].body.ends_with(b"tid00001"));
    assert_eq!(stage.lost(), []);
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    assert_eq!(stage.chunks(bob).len(), 3);
    let (got, _) = messages(&stage.chunks(carol)).swap_remove(0);
    assert_eq!(got, large.body, "the others get all of it");
}

#[test]
fn what_may_wait_is_bounded() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.open(150_000));
    for number in 0..1000 {
        stage.give(bob, empty_send("bob", &format!("tid{number:05}")));
    }
    let chunks = stage.chunks(bob);
    assert_eq!(chunks[0].flag, Some('#'));
    let answered = chunks.iter().filter(|chunk| chunk.flag.is_none());
    assert_eq!(answered.count(), 1000, "and nothing of it is lost");
}
