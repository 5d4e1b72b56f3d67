//! Large messages, passed on while they come in: RFC 4975 §5.1, §7.1.1, RFC 7701 §6.1.

use super::*;

const PIECE: usize = 10_000;

/// A large message that comes in a SEND a piece, or in one SEND.
pub(super) struct Large {
    pub(super) body: Vec<u8>,
    pub(super) sent: usize,
    tid: u32,
    single: bool,
}

impl Large {
    pub(super) fn new(size: usize) -> Self {
        Self::of(cpim("alice", &pattern(size)))
    }

    pub(super) fn of(body: String) -> Self {
        let body = body.into_bytes();
        Self {
            body,
            sent: 0,
            tid: 0,
            single: false,
        }
    }

    /// The head of one SEND for all of it, and its first octets.
    pub(super) fn open(&mut self, octets: usize) -> Vec<u8> {
        self.single = true;
        let range = format!("Byte-Range: 1-*/{}", self.body.len());
        let headers = ["Message-ID: large001", &range, "Content-Type: message/cpim"];
        let head = request("alice", "single01", "SEND", &headers, "\r\n");
        [head.as_bytes(), self.part(octets)].concat()
    }

    pub(super) fn part(&mut self, octets: usize) -> &[u8] {
        let from = self.sent;
        self.sent = self.body.len().min(from + octets);
        &self.body[from..self.sent]
    }

    pub(super) fn close(&self, flag: char) -> String {
        format!("\r\n-------single01{flag}\r\n")
    }

    /// The next chunk.
    pub(super) fn chunk(&mut self, octets: usize) -> Vec<u8> {
        let start = self.sent;
        let part = self.part(octets).to_vec();
        let flag = if self.sent == self.body.len() {
            '$'
        } else {
            '+'
        };
        self.tid += 1;
        chunk_at("alice", self.tid, start, self.body.len(), &part, flag)
    }
}

pub(super) fn pattern(size: usize) -> String {
    (0..size)
        .map(|at| char::from(b'a' + (at % 23) as u8))
        .collect()
}

fn chunk_at(name: &str, tid: u32, start: usize, total: usize, part: &[u8], flag: char) -> Vec<u8> {
    let tid = format!("chunk{tid:04}");
    let range = format!("Byte-Range: {}-*/{total}", start + 1);
    let headers = ["Message-ID: large001", &range, "Content-Type: message/cpim"];
    let head = request(name, &tid, "SEND", &headers, "\r\n");
    let end = format!("\r\n-------{tid}{flag}\r\n");
    [head.as_bytes(), part, end.as_bytes()].concat()
}

/// The SENDs of large messages put together as RFC 4975 §7.3.1 says, in the order in which
/// they began: body, and how it ended.
pub(super) fn messages(chunks: &[Chunk]) -> Vec<(Vec<u8>, Option<char>)> {
    let mut all: Vec<(String, Vec<u8>, Option<char>)> = Vec::new();
    for chunk in chunks {
        if !chunk.head.as_ref().unwrap().line.ends_with(" SEND") {
            continue;
        }
        let id = chunk.header("Message-ID").to_owned();
        let start: usize = chunk
            .header("Byte-Range")
            .split('-')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let place = all
            .iter()
            .position(|(own, ..)| *own == id)
            .unwrap_or_else(|| {
                all.push((id, Vec::new(), None));
                all.len() - 1
            });
        let message = &mut all[place];
        assert_eq!(start, message.1.len() + 1, "in order and without gap (C26)");
        assert!(
            !matches!(message.2, Some('$' | '#')),
            "nothing follows the end"
        );
        message.1.extend_from_slice(&chunk.body);
        message.2 = chunk.flag;
    }
    all.into_iter()
        .map(|(_, body, flag)| (body, flag))
        .collect()
}

fn trio() -> (Stage, ConnectionId, ConnectionId, ConnectionId) {
    let mut stage = Stage::new();
    let ids = ["alice", "bob", "carol"].map(|name| stage.join(name));
    (stage, ids[0], ids[1], ids[2])
}

#[test]
fn g26_a_large_message_in_one_send_is_passed_on_as_one_send_while_it_comes() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(300_000);
    stage.give(alice, large.open(PIECE));
    for receiver in [bob, carol] {
        let chunks = stage.chunks(receiver);
        assert_eq!(
            chunks[0].body,
            large.body[..PIECE],
            "before the rest has come"
        );
        assert_eq!(chunks[0].flag, None);
        let range = format!("1-*/{}", large.body.len());
        assert_eq!(chunks[0].header("Byte-Range"), range);
    }
    while large.sent < large.body.len() {
        stage.give(alice, large.part(PIECE));
    }
    stage.give(alice, large.close('$'));
    assert_eq!(stage.codes(alice), [200]);
    for receiver in [bob, carol] {
        let chunks = stage.chunks(receiver);
        assert_eq!(chunks.len(), 1, "clients end the session on chunks");
        assert_eq!(chunks[0].body, large.body);
        assert_eq!(chunks[0].flag, Some('$'));
    }
    assert_eq!(stage.switch.streams.len(), 0);
    assert_eq!(stage.switch.budget.octets(), 0);
}

#[test]
fn g26_g30_chunks_of_a_large_message_flow_into_one_send() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(200_000);
    while large.sent < large.body.len() {
        stage.give(alice, large.chunk(PIECE));
        assert_eq!(stage.codes(alice), [200]);
    }
    let chunks = stage.chunks(bob);
    assert_eq!(chunks.len(), 1);
    assert_eq!((&chunks[0].body, chunks[0].flag), (&large.body, Some('$')));
    assert_eq!(stage.switch.totals().messages_in, 1);
    assert_eq!(stage.switch.totals().messages_out, 2);
}

#[test]
fn g26_without_an_announced_length_a_message_flows_once_it_is_large() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(100_000);
    let mut first = true;
    while large.sent < large.body.len() {
        let chunk = String::from_utf8(large.chunk(30_000)).unwrap();
        let total = format!("/{}\r\n", large.body.len());
        stage.give(alice, chunk.replace(&total, "/*\r\n"));
        if large.sent <= 64 * 1024 {
            assert!(stage.chunks(bob).is_empty());
        } else if std::mem::take(&mut first) {
            assert_eq!(stage.chunks(bob)[0].body, large.body[..large.sent]);
        }
    }
    assert_eq!(stage.chunks(bob)[0].header("Byte-Range"), "1-*/*");
    assert_eq!(messages(&stage.chunks(bob)), [(large.body, Some('$'))]);
}

#[test]
fn c27_chunks_of_a_large_message_may_come_out_of_order() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(120_000);
    let mut chunks: Vec<_> = (0..5).map(|_| large.chunk(30_000)).collect();
    chunks.swap(1, 4);
    chunks.swap(2, 3);
    for chunk in &chunks {
        stage.give(alice, chunk);
    }
    assert_eq!(stage.codes(alice), [200; 5]);
    assert_eq!(messages(&stage.chunks(bob)), [(large.body, Some('$'))]);
    assert_eq!(stage.switch.budget.octets(), 0);
}

#[test]
fn c27_the_headers_may_come_late() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(120_000);
    let chunks: Vec<_> = [20, 20, 50_000, 80_000]
        .map(|octets| large.chunk(octets))
        .into();
    for index in [1, 2, 0, 3] {
        stage.give(alice, &chunks[index]);
    }
    assert_eq!(stage.codes(alice), [200; 4]);
    assert_eq!(messages(&stage.chunks(bob)), [(large.body, Some('$'))]);
}

#[test]
fn c27_chunks_from_anywhere_may_come_before_the_headers() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(99_000);
    let chunks: Vec<_> = (0..5).map(|_| large.chunk(20_000)).collect();
    for index in [4, 2, 3, 0, 1] {
        stage.give(alice, &chunks[index]);
        assert_eq!(stage.codes(alice), [200]);
        assert_eq!(stage.chunks(bob).is_empty(), index > 1);
    }
    assert_eq!(messages(&stage.chunks(bob)), [(large.body, Some('$'))]);
    assert_eq!(
        (stage.switch.streams.len(), stage.switch.budget.octets()),
        (0, 0)
    );
}

#[test]
fn p06_headers_in_the_smallest_chunks_are_headers() {
    for announced in [true, false] {
        let (mut stage, alice, bob, _) = trio();
        let long = format!("Subject: {}\r\n\r\nContent-Type", pattern(3000));
        let text = cpim("alice", &pattern(70_000));
        let mut large = Large::of(text.replacen("\r\nContent-Type", &long, 1));
        while large.sent < large.body.len() {
            let octets = if large.sent < 3500 { 3 } else { 50_000 };
            let chunk = String::from_utf8(large.chunk(octets)).unwrap();
            let total = format!("/{}\r\n", large.body.len());
            let said = if announced { &total } else { "/*\r\n" };
            stage.give(alice, chunk.replace(&total, said));
            assert_eq!(stage.codes(alice), [200]);
        }
        assert_eq!(messages(&stage.chunks(bob)), [(large.body, Some('$'))]);
        assert_eq!(stage.switch.budget.octets(), 0);
    }
}

#[test]
fn p06_what_bounds_the_headers_is_their_size() {
    let (mut stage, alice, bob, _) = trio();
    let endless = format!(
        "From: <sip:alice@example.com>\r\n{}",
        "X: y\r\n".repeat(20_000)
    );
    let mut large = Large::of(endless);
    let mut codes = Vec::new();
    while large.sent < 20_000 {
        stage.give(alice, large.chunk(500));
        codes.extend(stage.codes(alice));
    }
    let refused = codes.iter().position(|code| *code == 400).expect("refused");
    assert!((16..=18).contains(&refused), "after 8 KiB: {codes:?}");
    assert!(codes[refused..].iter().all(|code| *code == 400));
    assert_eq!(stage.switch.budget.octets(), 0);
    // Without an end they are no headers, either.
    let mut large = Large::of("From: <sip:alice@example.com>".to_owned());
    let chunk = String::from_utf8(large.chunk(1000)).unwrap();
    let chunk = chunk
        .replace("large001", "large002")
        .replace("/29\r\n", "/100000\r\n");
    stage.give(alice, chunk);
    assert_eq!(stage.codes(alice), [400]);
    assert!(stage.chunks(bob).is_empty());
    assert_eq!(stage.switch.budget.octets(), 0);
}

#[test]
fn what_lies_beyond_the_headers_is_bounded() {
    let (mut stage, alice, _, _) = trio();
    let mut large = Large::new(900_000);
    large.part(70_000);
    let mut codes = Vec::new();
    while large.sent < large.body.len() {
        stage.give(alice, large.chunk(20_000));
        codes.extend(stage.codes(alice));
        assert!(stage.switch.budget.octets() <= config().outbox_bytes / 4);
    }
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 3);
    assert_eq!(codes[3..], [413].repeat(codes.len() - 3));
}

#[test]
fn g27_who_comes_late_gets_no_tail_and_who_leaves_gets_no_more() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.chunk(PIECE));
    let dave = stage.join("dave");
    stage.give(alice, large.chunk(PIECE));
    let order = Order::Expel {
        room: RoomUri::new(LOBBY),
        session: SessionId::new("carol"),
    };
    stage.switch.order(stage.now, order);
    stage.give(alice, large.chunk(1_000_000));
    assert_eq!(
        messages(&stage.chunks(bob)),
        [(large.body.clone(), Some('$'))]
    );
    assert!(stage.chunks(dave).is_empty());
    let to_carol = messages(&stage.chunks(carol));
    assert_eq!(to_carol, [(large.body[..2 * PIECE].to_vec(), Some('#'))]);
    assert!(stage.finished.contains(&carol));
    assert_eq!(stage.switch.streams.len(), 0);
}

#[test]
fn c64_sessions_of_one_connection_that_end_together_end_no_send_within_another() {
    let mut stage = Stage::new();
    let (alice, gateway) = (stage.join("alice"), stage.join("bob"));
    for name in ["carol", "dave"] {
        stage.admit(admission(LOBBY, name));
        stage.give(gateway, empty_send(name, "bind1234"));
    }
    let mut large = Large::new(300_000);
    stage.give(alice, large.open(100_000));
    let room = RoomUri::new(LOBBY);
    stage.switch.order(stage.now, Order::Close { room });
    stage.pump();
    let got = messages(&stage.chunks(gateway));
    let begun = got.iter().filter(|(body, _)| !body.is_empty());
    assert_eq!(begun.count(), 3);
    for (body, flag) in got {
        assert!(large.body.starts_with(&body), "nothing else stands in it");
        assert_eq!(flag, Some('#'));
    }
}

#[test]
fn g28_a_large_message_that_stops_coming_is_aborted_towards_all() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.chunk(PIECE));
    stage.pass(Duration::from_secs(539));
    stage.give(alice, large.chunk(PIECE));
    stage.pass(Duration::from_secs(539));
    assert_eq!(
        stage.chunks(bob)[0].flag,
        None,
        "each chunk sets the timer anew"
    );
    stage.pass(Duration::from_secs(2));
    for receiver in [bob, carol] {
        let expected = (large.body[..2 * PIECE].to_vec(), Some('#'));
        assert_eq!(messages(&stage.chunks(receiver)), [expected]);
    }
    assert_eq!(
        (stage.switch.streams.len(), stage.switch.budget.octets()),
        (0, 0)
    );
}

#[test]
fn c30_an_abort_and_a_sender_that_vanishes_are_passed_on() {
    for vanishes in [false, true] {
        let (mut stage, alice, bob, _) = trio();
        let mut large = Large::new(200_000);
        stage.give(alice, large.open(PIECE));
        if vanishes {
            stage.switch.closed(stage.now, alice);
        } else {
            stage.give(alice, large.close('#'));
        }
        let expected = (large.body[..PIECE].to_vec(), Some('#'));
        assert_eq!(messages(&stage.chunks(bob)), [expected]);
        assert_eq!(
            (stage.switch.streams.len(), stage.switch.budget.octets()),
            (0, 0)
        );
    }
}

#[test]
fn c21_c24_c25_c26_a_large_send_yields_to_a_response_within_2048_octets() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.open(PIECE));
    stage.chunks(bob);
    stage.give(bob, empty_send("bob", "tid12345"));
    stage.give(alice, large.part(PIECE));
    let chunks = stage.chunks(bob);
    assert_eq!(chunks[0].flag, Some('+'));
    assert_eq!(chunks[0].body.len(), PIECE);
    assert_eq!(chunks[1].head.as_ref().unwrap().line, "MSRP tid12345 200");
    let again = chunks.last().unwrap();
    assert_eq!(
        again.header("Byte-Range"),
        format!("{}-*/{}", PIECE + 1, large.body.len())
    );
    assert_eq!(
        again.header("Message-ID"),
        chunks[0].header("Message-ID"),
        "C24"
    );
    assert_eq!(
        again.header("Failure-Report"),
        chunks[0].header("Failure-Report"),
        "C24"
    );
    assert_ne!(
        again.head.as_ref().unwrap().tid(),
        chunks[0].head.as_ref().unwrap().tid()
    );
}

#[test]
fn c21_a_small_message_of_the_room_passes_a_large_one() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.give(alice, large.open(PIECE));
    stage.give(
        carol,
        send("carol", "tid12345", &[], &cpim("carol", "quick")),
    );
    let chunks = stage.chunks(bob);
    assert_eq!(chunks.len(), 2, "{chunks:?}");
    assert_eq!(chunks[0].flag, Some('+'));
    assert!(chunks[1].body.ends_with(b"quick"));
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    let got = messages(&stage.chunks(bob));
    assert_eq!(got[0], (large.body.clone(), Some('$')));
    assert_eq!(
        stage
            .chunks(carol)
            .iter()
            .filter(|it| it.flag == Some('+'))
            .count(),
        1,
        "her own response interrupted it"
    );
}

#[test]
fn c23_no_chunk_is_smaller_than_2048_octets_while_more_is_there() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.switch.blocked(stage.now, bob, true);
    stage.give(alice, large.open(PIECE));
    stage.switch.blocked(stage.now, bob, false);
    for round in 0..30 {
        stage.give(alice, large.part(1000));
        let tid = format!("tid123{round:02}");
        stage.give(carol, send("carol", &tid, &[], &cpim("carol", &tid)));
    }
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    let chunks = stage.chunks(bob);
    let id = chunks[0].header("Message-ID").to_owned();
    let parts: Vec<_> = chunks
        .iter()
        .filter(|it| it.header("Message-ID") == id)
        .collect();
    for part in &parts[..parts.len() - 1] {
        assert!(part.body.len() >= 2048, "{}", part.body.len());
    }
    assert_eq!(messages(&chunks)[0], (large.body, Some('$')));
    assert_eq!(chunks.len() - parts.len(), 30);
}

#[test]
fn c22_two_large_messages_take_turns() {
    let mut stage = Stage::new();
    let (alice, dave, bob) = (stage.join("alice"), stage.join("dave"), stage.join("bob"));
    let mut one = Large::new(800_000);
    let mut two = Large::of(cpim("dave", &pattern(800_000)));
    stage.switch.blocked(stage.now, bob, true);
    stage.give(alice, one.open(100_000));
    let head = two.open(100_000);
    let head = String::from_utf8(head).unwrap();
    stage.give(dave, head.replace("/alice", "/dave"));
    stage.switch.blocked(stage.now, bob, false);
    let chunks = stage.chunks(bob);
    let ids: Vec<_> = chunks.iter().map(|it| it.header("Message-ID")).collect();
    assert!(
        ids.len() >= 3 && ids[0] != ids[1] && ids[1] != ids[2],
        "{ids:?}"
    );
    for _ in 0..7 {
        stage.give(alice, one.part(120_000));
        stage.give(dave, two.part(120_000));
    }
    stage.give(alice, one.close('$'));
    stage.give(dave, two.close('$'));
    let got = messages(&stage.chunks(bob));
    assert_eq!(got.len(), 2);
    assert!(got.contains(&(one.body, Some('$'))) && got.contains(&(two.body, Some('$'))));
}

#[test]
fn c31_a_receivers_413_stops_the_message_for_that_receiver_only() {
    for by_report in [false, true] {
        let (mut stage, alice, bob, carol) = trio();
        let mut large = Large::new(200_000);
        stage.give(alice, large.open(PIECE));
        let head = stage.chunks(bob)[0].head.clone().unwrap();
        if by_report {
            let id = format!("Message-ID: {}", head.header("Message-ID").unwrap());
            let headers = [id.as_str(), "Byte-Range: 1-9/9", "Status: 000 413 Enough"];
            stage.give(
                bob,
                request(
                    "bob",
                    "tid12346",
                    "REPORT",
                    &headers,
                    "-------tid12346$\r\n",
                ),
            );
        } else {
            stage.give(bob, answer(&head, 413));
        }
        let chunks = stage.chunks(bob);
        assert_eq!((chunks.len(), chunks[0].flag), (1, Some('#')), "at once");
        stage.give(alice, large.part(1_000_000));
        stage.give(alice, large.close('$'));
        assert_eq!(stage.chunks(bob).len(), 1);
        assert_eq!(messages(&stage.chunks(carol)), [(large.body, Some('$'))]);
        assert_eq!(stage.codes(alice), [200], "the sender is not told");
        assert_eq!(stage.lost(), []);
    }
}

fn answer(got: &Got, code: u16) -> String {
    let (to, from) = (
        got.header("From-Path").unwrap(),
        got.header("To-Path").unwrap(),
    );
    let tid = got.tid();
    format!("MSRP {tid} {code} x\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n-------{tid}$\r\n")
}

#[test]
fn c31_a_large_message_that_is_refused_is_refused_in_the_middle() {
    let (mut stage, alice, bob, _) = trio();
    let mut large = Large::of(cpim("mallory", &pattern(200_000)));
    stage.give(alice, large.open(PIECE));
    assert_eq!(stage.codes(alice), [403], "G21, and at once");
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    assert!(stage.codes(alice).is_empty());
    assert!(stage.chunks(bob).is_empty());
    let key = stage.switch.named("alice");
    assert!(
        stage
            .switch
            .rooms
            .session(key)
            .unwrap()
            .assemblies
            .get()
            .is_none_or(|it| it.is_empty())
    );
}

#[test]
fn c85_a_large_message_without_announced_length_is_aborted_at_the_limit() {
    let mut stage = Stage::new();
    let mut head = admission(LOBBY, "bob");
    head.peer.max_size = Some(120_000);
    let (bob, carol) = (stage.enter(head), stage.join("carol"));
    let mut head = admission(LOBBY, "alice");
    head.policy.max_message_size = 150_000;
    let alice = stage.enter(head);
    let mut large = Large::new(200_000);
    let mut codes = Vec::new();
    while large.sent < large.body.len() {
        let chunk = String::from_utf8(large.chunk(70_000)).unwrap();
        let total = format!("/{}\r\n", large.body.len());
        stage.give(alice, chunk.replace(&total, "/*\r\n"));
        codes.extend(stage.codes(alice));
    }
    assert_eq!(codes, [200, 200, 413]);
    assert_eq!(messages(&stage.chunks(carol))[0].1, Some('#'));
    let to_bob = messages(&stage.chunks(bob));
    assert_eq!(to_bob[0].1, Some('#'), "above what he takes");
    assert!(to_bob[0].0.len() <= 120_000);
}

#[test]
fn c04_our_end_line_is_never_in_a_large_body() {
    let (mut stage, alice, bob, _) = trio();
    let head = cpim("alice", &pattern(80_000)).into_bytes();
    let mut large = Large {
        body: head,
        ..Large::new(0)
    };
    large.body.resize(150_000, b'y');
    stage.give(alice, large.open(90_000));
    // The receiver may tell the sender the transaction id under way.
    let tid = stage.chunks(bob)[0].head.as_ref().unwrap().tid().to_owned();
    let trap = format!("\r\n-------{tid}$\r\n-------{tid}#\r\n");
    large.body[95_000..95_000 + trap.len()].copy_from_slice(trap.as_bytes());
    for octets in [5_005, 3, 10, 1, 60_000] {
        stage.give(alice, large.part(octets));
    }
    stage.give(alice, large.close('$'));
    let chunks = stage.chunks(bob);
    assert!(chunks.len() > 1);
    assert_eq!(messages(&chunks), [(large.body, Some('$'))]);
}

#[test]
fn c46_g44_a_large_message_is_reported_once_and_whole() {
    for private in [false, true] {
        let (mut stage, alice, bob, carol) = trio();
        let to = if private {
            "sip:bob@example.com"
        } else {
            LOBBY
        };
        let mut large = Large::of(cpim_to("alice", to, &pattern(200_000)));
        let head = String::from_utf8(large.open(PIECE)).unwrap();
        stage.give(
            alice,
            head.replacen("Content-Type", "Success-Report: yes\r\nContent-Type", 1),
        );
        stage.give(alice, large.part(1_000_000));
        stage.give(alice, large.close('$'));
        let got = stage.got(alice);
        assert_eq!(got.len(), 2);
        let range = format!("1-{0}/{0}", large.body.len());
        assert_eq!(got[1].header("Byte-Range"), Some(range.as_str()));
        assert_eq!(got[1].body.is_some(), private);
        assert_eq!(stage.chunks(bob).len(), 1);
        assert_eq!(stage.chunks(carol).is_empty(), private);
    }
}

#[test]
fn the_sender_waits_for_a_slow_receiver_and_then_goes_on_without_him() {
    let (mut stage, alice, bob, carol) = trio();
    stage.switch.blocked(stage.now, bob, true);
    let mut large = Large::new(600_000);
    stage.give(alice, large.open(PIECE));
    while !stage.switch.paused(alice) {
        stage.give(alice, large.part(PIECE));
        assert!(
            stage.switch.budget.octets() <= config().outbox_bytes,
            "bounded"
        );
    }
    assert!(large.sent < config().outbox_bytes);
    assert_eq!(stage.resumed.pop(), None);
    // Bob catches up in time.
    stage.switch.blocked(stage.now, bob, false);
    stage.pump();
    assert!(!stage.switch.paused(alice));
    assert_eq!(stage.resumed.pop(), Some(alice));
    // Bob does not catch up in time.
    stage.switch.blocked(stage.now, bob, true);
    while !stage.switch.paused(alice) {
        stage.give(alice, large.part(PIECE));
    }
    stage.pass(Duration::from_secs(1));
    assert!(stage.switch.paused(alice));
    stage.pass(Duration::from_secs(2));
    assert!(!stage.switch.paused(alice));
    assert_eq!(stage.resumed.pop(), Some(alice));
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    assert_eq!(
        messages(&stage.chunks(carol)),
        [(large.body.clone(), Some('$'))]
    );
    assert_eq!(stage.switch.totals().drops_slow_reader, 1);
    stage.switch.blocked(stage.now, bob, false);
    let to_bob = messages(&stage.chunks(bob));
    assert_eq!(to_bob[0].1, Some('#'));
    assert!(large.body.starts_with(&to_bob[0].0));
    assert_eq!(
        (stage.switch.streams.len(), stage.switch.budget.octets()),
        (0, 0)
    );
}

#[test]
fn what_the_socket_did_not_take_of_a_large_body_is_taken_back() {
    let (mut stage, alice, bob, carol) = trio();
    let mut large = Large::new(200_000);
    stage.switch.blocked(stage.now, bob, true);
    stage.give(alice, large.open(50_000));
    stage.switch.blocked(stage.now, bob, false);
    let mut batch = Batch::default();
    while stage.switch.poll_dirty() != Some(bob) {}
    stage.switch.transmit(stage.now, bob, &mut batch);
    let octets = batch.take_back();
    assert_eq!(octets, 50_000 - 2048);
    stage.switch.taken_back(bob, octets);
    stage.written.entry(bob).or_default().extend(batch.to_vec());
    stage.give(
        carol,
        send("carol", "tid12345", &[], &cpim("carol", "quick")),
    );
    let chunks = stage.chunks(bob);
    assert_eq!(
        chunks[0].body.len(),
        2048,
        "a small message waits for no more"
    );
    assert!(chunks[1].body.ends_with(b"quick"));
    stage.give(alice, large.part(1_000_000));
    stage.give(alice, large.close('$'));
    assert_eq!(messages(&stage.chunks(bob))[0], (large.body, Some('$')));
}

#[test]
fn c32_a_large_message_that_comes_again_is_answered_and_not_passed_on() {
    let (mut stage, mut alice, bob, _) = trio();
    for (again, copies) in [(false, 1), (true, 1)] {
        if again {
            stage.switch.closed(stage.now, alice);
            alice = stage.join("alice");
        }
        let mut large = Large::new(100_000);
        stage.give(alice, large.open(1_000_000));
        stage.give(alice, large.close('$'));
        assert_eq!(stage.codes(alice), [200]);
        assert_eq!(stage.chunks(bob).len(), copies, "again: {again}");
        assert_eq!(
            (stage.switch.streams.len(), stage.switch.budget.octets()),
            (0, 0)
        );
    }
    let mut large = Large::new(100_000);
    stage.give(alice, large.open(1_000_000));
    stage.give(alice, large.close('$'));
    let chunks = stage.chunks(bob).len();
    assert_eq!(chunks, 2, "on the same connection it is meant");
}

#[test]
fn a_large_message_flows_through_the_smallest_outbox() {
    for outbox_bytes in [64 * 1024, 100_000, 200_000] {
        let config = Config {
            outbox_bytes,
            ..config()
        };
        let mut stage = Stage::with(config, Box::new(Alone));
        let [alice, bob] = ["alice", "bob"].map(|name| stage.join(name));
        let mut large = Large::new(900_000);
        stage.give(alice, large.open(64 * 1024));
        while large.sent < large.body.len() {
            assert!(!stage.switch.paused(alice), "{outbox_bytes}: he reads");
            stage.give(alice, large.part(64 * 1024));
        }
        stage.give(alice, large.close('$'));
        assert_eq!(messages(&stage.chunks(bob)), [(large.body, Some('$'))]);
    }
}

#[test]
fn a_pause_always_ends() {
    let (mut stage, alice, bob, _) = trio();
    stage.switch.blocked(stage.now, bob, true);
    let mut large = Large::new(900_000);
    stage.give(alice, large.open(PIECE));
    while !stage.switch.paused(alice) {
        stage.give(alice, large.part(PIECE));
    }
    // Octets beyond a gap are nobody's to take.
    let key = stage.switch.named("alice");
    let session = stage.switch.rooms.session(key).unwrap();
    let stream = session.assemblies.get().unwrap().streams().next().unwrap();
    let far = large.sent as u64 + 10;
    let stream = stage.switch.streams.get_mut(stream).unwrap();
    stream.buffer.write(far, &[0; 60_000], 1 << 20);
    stage.pass(Duration::from_secs(2));
    assert!(!stage.switch.paused(alice));
}

#[test]
fn nobody_waits_again_for_who_takes_nothing() {
    let (mut stage, alice, bob, carol) = trio();
    stage.switch.blocked(stage.now, bob, true);
    stage.pass(Duration::from_secs(10));
    let mut large = Large::new(900_000);
    stage.give(alice, large.open(PIECE));
    while large.sent < large.body.len() {
        assert!(!stage.switch.paused(alice));
        stage.give(alice, large.part(PIECE));
    }
    stage.give(alice, large.close('$'));
    assert_eq!(messages(&stage.chunks(carol)).len(), 1);
    assert_eq!(stage.switch.totals().drops_slow_reader, 1);
    stage.switch.blocked(stage.now, bob, false);
    let told = messages(&stage.chunks(bob));
    assert!(
        told[0]
            .0
            .ends_with(b"1 message was not delivered: your connection is too slow.")
    );
    assert_eq!(told.len(), 1);
}

#[test]
fn nothing_is_left_of_messages_to_those_who_were_disconnected() {
    let config = Config {
        slow_reader: SlowReader::Disconnect,
        ..config()
    };
    let mut stage = Stage::with(config, Box::new(Alone));
    let alice = stage.join("alice");
    for round in 0..10 {
        let bob = stage.join(&format!("bob-{round}"));
        stage.switch.blocked(stage.now, bob, true);
        for number in 0..3 {
            let body = cpim("alice", &format!("{number}{}", "x".repeat(100_000)));
            let text = send("alice", &format!("tid{round}{number:04}"), &[], &body);
            stage.give(alice, &text);
        }
        assert_eq!(stage.lost().len(), 1, "{round}");
        assert_eq!(
            (stage.switch.streams.len(), stage.switch.budget.octets()),
            (0, 0)
        );
    }
}
