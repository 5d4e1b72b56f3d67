//! Many participants at once: losses that appear only under load. One scenario at a time.
//!
//! The ignored scenarios measure a release build, or take a minute and more:
//! `MSRP_CONFERENCE_SO=target/release/libmsrp_conference.so cargo test --test load -- --ignored`.

#[path = "../tls/certificates.rs"]
mod certificates;
#[path = "../harness/mod.rs"]
mod harness;

mod slow;
mod strangers;
mod unread;

use std::collections::{HashMap, HashSet};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use harness::agent::{Agent, Transport, unique};
use harness::draft::{Dialog, Draft};
use harness::host::Family;
use harness::participant::{Participant, client_path, invite};
use harness::plan::Plan;
use harness::proxy::{Proxy, wait_until};
use harness::torrent::Torrent;
use harness::{PATIENCE, alone, sipp};
use msrp_conference::wire::sip::{Message, Response};

/// Asserts that dialogs, sessions, transactions and shared memory are back where they were.
fn nothing_left(proxy: &Proxy, memory: u64) {
    for name in ["participants", "sessions", "conferences"] {
        assert!(
            wait_until(PATIENCE, || proxy.statistic(name) == 0),
            "{name}: {}",
            proxy.statistic(name)
        );
    }
    assert!(
        wait_until(PATIENCE * 2, || proxy.transactions() == 0),
        "{} transactions",
        proxy.transactions()
    );
    let back = wait_until(PATIENCE, || proxy.shared_memory() <= memory);
    assert!(
        back,
        "shared memory: {memory} before, {} after",
        proxy.shared_memory()
    );
}

/// Shared memory after a first small run, which makes the host allocate everything it keeps.
fn settled_memory(proxy: &Proxy, warm_up: impl FnOnce()) -> u64 {
    warm_up();
    assert!(wait_until(PATIENCE * 2, || proxy.transactions() == 0));
    proxy.shared_memory()
}

#[test]
fn a_thousand_joins_at_100_a_second() {
    alone(|host| {
        let proxy = Plan::new(host).start();
        let memory = settled_memory(&proxy, || sipp::run("join", proxy.sip, 50, 100));
        sipp::run("join", proxy.sip, 1_000, 100);
        nothing_left(&proxy, memory);
        assert_eq!(proxy.statistic("joins"), 1_050);
        proxy.stop();
    });
}

#[test]
fn two_thousand_invites_with_their_cancel_behind() {
    alone(|host| {
        let proxy = Plan::new(host).start();
        let agent = Agent::new("mallory", proxy.sip, Transport::Udp);
        let pairs = |count: usize| {
            let rooms = (0..count).map(|number| proxy.room(&format!("brief{}", number % 100)));
            rooms
                .flat_map(|room| cancelled(&agent, &room, [Duration::ZERO; 2]))
                .collect()
        };
        let memory = settled_memory(&proxy, || play(&agent, pairs(50)));
        play(&agent, pairs(2_000));
        nothing_left(&proxy, memory);
        proxy.stop();
    });
}

/// Handling of a CANCEL as in every default configuration of either host.
const SCRIPTS_OWN: &str = "\
if (is_method(\"CANCEL\") && $rU =~ \"^own\") {
    if (t_check_trans()) {
        t_relay();
    }
    exit;
}
";

/// The CANCEL goes to the module, or tm answers it on the script's order; it comes at once, or
/// about when the INVITE is answered.
#[test]
fn invites_cancelled_while_they_are_answered_leave_nobody_behind() {
    const PAIRS: u32 = 2_000;
    const EVERY: Duration = Duration::from_micros(3_333);
    alone(|host| {
        let folder = tempfile::tempdir().expect("a folder");
        let proxy = Plan::new(host)
            .script(SCRIPTS_OWN)
            .state_in(folder.path())
            .start();
        let agent = Agent::new("mallory", proxy.sip, Transport::Udp);
        let pairs = |count: u32| {
            let pair = |number: u32| {
                let way = ["own", "module"][number as usize % 2];
                let room = proxy.room(&format!("{way}{}", number % 100));
                let (at, later) = (EVERY * number, Duration::from_millis((number % 10).into()));
                cancelled(&agent, &room, [at, at + later])
            };
            (0..count).flat_map(pair).collect()
        };
        let memory = settled_memory(&proxy, || play(&agent, pairs(100)));
        play(&agent, pairs(PAIRS));
        let left = || ["participants", "sessions"].map(|name| proxy.statistic(name));
        let gone = wait_until(Duration::from_secs(1), || left() == [0, 0]);
        assert!(gone, "{:?} are left\n{}", left(), rooms(&proxy));
        nothing_left(&proxy, memory);
        proxy.stop();
    });
}

/// The list of rooms, for an error message.
fn rooms(proxy: &Proxy) -> serde_json::Value {
    let list = match proxy.host.family {
        Family::Kamailio => "msrp_conference.list",
        Family::OpenSips => "msrp_conference:list",
    };
    proxy.call(list, serde_json::json!([]))
}

/// An INVITE of a new user and its CANCEL, and the time to send each.
fn cancelled(agent: &Agent, room: &str, at: [Duration; 2]) -> [(Duration, Draft); 2] {
    let from = format!("<sip:caller{}@127.0.0.1>;tag={}", unique(), unique());
    let draft = invite(agent, room, &client_path()).set("From", from);
    let cancel = draft.cancel();
    [(at[0], draft), (at[1], cancel)]
}

/// Sends each at its time; every one must get a final answer. (SIPp cannot accept the two answers
/// in any order.)
fn play(agent: &Agent, mut plan: Vec<(Duration, Draft)>) {
    plan.sort_by_key(|(at, _)| *at);
    let mut plan = plan.into_iter().peekable();
    let (mut open, mut acks) = (HashMap::new(), HashMap::new());
    let (begun, mut heard) = (Instant::now(), Instant::now());
    while plan.peek().is_some() || !open.is_empty() {
        while let Some((_, draft)) = plan.next_if(|(at, _)| begun.elapsed() >= *at) {
            agent.send(&draft);
            // The script does not answer a CANCEL that comes too early or too late.
            if draft.method != "CANCEL" || !draft.uri.starts_with("sip:own") {
                open.insert(transaction(&draft), draft);
            }
        }
        let pause = plan
            .peek()
            .map(|(at, _)| at.saturating_sub(begun.elapsed()));
        let received = agent
            .inbox
            .take(pause.unwrap_or(ONE_TRY).min(ONE_TRY), |_| true);
        let Some(received) = received else {
            let left = open.len();
            let first = open.values().next();
            assert!(
                heard.elapsed() < PATIENCE,
                "{left} are not answered: {first:?}"
            );
            // Requests lost over UDP are sent again, as SIP does.
            if plan.peek().is_none() {
                open.values().for_each(|draft| agent.send(draft));
            }
            continue;
        };
        heard = Instant::now();
        let Message::Response(response) = received.message else {
            continue;
        };
        let Some(key) = transaction_of(&response).filter(|_| response.code >= 200) else {
            continue;
        };
        if let Some(draft) = open
            .remove(&key)
            .filter(|draft: &Draft| draft.method == "INVITE")
        {
            acks.insert(key.clone(), conclude(agent, &draft, &response, &mut open));
        }
        if let Some(ack) = acks.get(&key) {
            agent.send(ack);
        }
    }
}

/// Time after which open requests are sent again.
const ONE_TRY: Duration = Duration::from_millis(500);

type Transaction = (String, String);

fn transaction(draft: &Draft) -> Transaction {
    (draft.branch().into(), draft.method.clone())
}

fn transaction_of(response: &Response) -> Option<Transaction> {
    let branch = response
        .headers
        .first("Via")?
        .split(";branch=")
        .nth(1)?
        .split(';')
        .next()?;
    let method = response.headers.first("CSeq")?.split(' ').nth(1)?;
    Some((branch.into(), method.into()))
}

/// The ACK of an INVITE's final answer; an accepted call ends at once.
fn conclude(
    agent: &Agent,
    draft: &Draft,
    response: &Response,
    open: &mut HashMap<Transaction, Draft>,
) -> Draft {
    match response.code {
        200 => {
            let mut dialog = Dialog::new(draft, response);
            let ack = dialog.ack(agent);
            agent.send(&ack);
            let bye = dialog.request(agent, "BYE");
            agent.send(&bye);
            open.insert(transaction(&bye), bye);
            ack
        }
        487 => draft.ack_of_refusal(response.headers.first("To").unwrap_or_default()),
        other => panic!("{other} to an INVITE with its CANCEL behind"),
    }
}

#[test]
fn a_room_of_100_hears_1000_messages() {
    const PEOPLE: usize = 100;
    const SPEAKERS: usize = 10;
    const MESSAGES: usize = 1_000;
    alone(|host| {
        let proxy = Plan::new(host).start();
        let room: Vec<_> = (0..PEOPLE)
            .map(|n| Participant::join(&proxy, &format!("u{n}"), Transport::Udp, "hall"))
            .collect();
        for round in 0..MESSAGES / SPEAKERS {
            for (number, speaker) in room.iter().take(SPEAKERS).enumerate() {
                let text = format!("{number}/{round}/{}", "x".repeat(200));
                speaker
                    .link
                    .send(&speaker.frame(&speaker.words(&text[..200])));
            }
        }
        let heard: usize = room
            .iter()
            .enumerate()
            .map(|(place, listener)| everything(place, listener, MESSAGES, SPEAKERS))
            .sum();
        assert_eq!(heard, (PEOPLE - 1) * MESSAGES);
        let extra = room
            .iter()
            .map(|each| each.link.inbox.count(|frame| frame.body.is_some()))
            .sum::<usize>();
        assert_eq!(extra, 0, "delivered twice");
        assert!(wait_until(PATIENCE, || proxy.statistic("messages_out") == heard as u64));
        proxy.stop();
    });
}

/// Asserts that this listener got every message of the others once, in order per speaker; returns
/// how many.
fn everything(place: usize, listener: &Participant, messages: usize, speakers: usize) -> usize {
    let own = if place < speakers {
        messages / speakers
    } else {
        0
    };
    let mut next = vec![0; speakers];
    let mut seen = HashSet::new();
    for _ in 0..messages - own {
        let body = listener.hear().body.unwrap_or_default();
        let text = String::from_utf8(body).expect("UTF-8");
        let words = text.rsplit("\r\n").next().unwrap_or_default();
        let mut numbers = words
            .split('/')
            .map(|number| number.parse::<usize>().unwrap_or(usize::MAX));
        let (speaker, round) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!(
            seen.insert((speaker, round)),
            "{place} hears {speaker}/{round} twice"
        );
        assert_eq!(next[speaker], round, "{place} hears {speaker} out of order");
        next[speaker] += 1;
    }
    messages - own
}

/// Only a release build is fast enough, and SIPp needs a core of its own.
#[test]
#[ignore = "for a release build"]
fn ten_thousand_joins_at_1000_a_second() {
    alone(|host| {
        let proxy = Plan::new(host).start();
        let memory = settled_memory(&proxy, || sipp::run("join", proxy.sip, 1_000, 1_000));
        sipp::run("join", proxy.sip, 10_000, 1_000);
        nothing_left(&proxy, memory);
        assert_eq!(proxy.statistic("joins"), 11_000);
        proxy.stop();
    });
}

/// Peak memory of a process in KiB since the last call.
pub(crate) fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the peak is set back");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    size.expect("VmHWM")
}

#[test]
fn g26_200_megabytes_go_through_a_room_of_10_in_flat_memory() {
    const OCTETS: usize = 200 << 20;
    alone(|host| {
        let plan = Plan::new(host).parameter("max_message_size", 1 << 30);
        let proxy = plan.start();
        let mut alice = Torrent::join(&proxy, "alice", "lobby");
        let receivers: Vec<_> = (0..9)
            .map(|number| {
                let mut torrent = Torrent::join(&proxy, &format!("user{number}"), "lobby");
                thread::spawn(move || {
                    torrent.reader.until(|it| it.has_whole(OCTETS));
                    torrent
                })
            })
            .collect();
        let process = proxy.conference_process();
        peak(process);
        let before = peak(process);
        let sent = alice.writer.say(OCTETS);
        for receiver in receivers {
            let torrent = receiver.join().expect("a receiver");
            assert_eq!(torrent.reader.messages[0].sum, sent);
        }
        let grown = peak(process).saturating_sub(before);
        assert!(grown < 48 * 1024, "{grown} KiB more");
        proxy.stop();
    });
}

#[test]
fn c21_small_messages_pass_a_large_one_at_once() {
    const OCTETS: usize = 50 << 20;
    const SMALL: usize = 20;
    alone(|host| {
        let plan = Plan::new(host).parameter("max_message_size", 1 << 30);
        let proxy = plan.start();
        let mut alice = Torrent::join(&proxy, "alice", "lobby");
        let carol = Torrent::join(&proxy, "carol", "lobby");
        let mut bob = Torrent::join(&proxy, "bob", "lobby").reader;
        let (mut hears, mut says) = (carol.reader, carol.writer);
        let takes = thread::spawn(move || hears.until(|it| it.has_whole(OCTETS)));
        // Closing with unread data would cut off the last message sent. However slow this machine
        // is, the large message must not end before the small ones arrive.
        let (go, held) = mpsc::channel::<()>();
        let hold = move || {
            let _ = held.recv();
        };
        let sends = thread::spawn(move || (alice.writer.say_held(OCTETS, hold), alice.reader));
        bob.until(|it| !it.messages.is_empty());
        let mut worst = Duration::ZERO;
        for number in 1..=SMALL {
            let said = Instant::now();
            says.say(10);
            bob.until(|it| it.small() == number);
            worst = worst.max(said.elapsed());
            assert!(!bob.messages[0].whole, "the large one is still under way");
        }
        drop(go);
        assert!(worst < Duration::from_secs(1), "{worst:?}");
        bob.until(|it| it.messages[0].whole);
        let (sent, _alice) = sends.join().expect("the sender");
        assert_eq!(bob.messages[0].sum, sent);
        takes.join().expect("the other receiver");
        proxy.stop();
    });
}
