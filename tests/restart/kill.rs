//! SIGKILL of everything at random moments: the promises to clients hold afterwards. `KILL_ROUNDS`
//! sets the number of rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::agent::{Agent, Transport, unique};
use crate::harness::draft::Dialog;
use crate::harness::msrp::{Frame, Link};
use crate::harness::participant::{
    Participant, Subscription, client_path, cpim, invite, offer, path_of,
};
use crate::harness::proxy::Proxy;
use crate::harness::{PATIENCE, on_every_host};
use crate::{Folder, plan};

const GUESTS: usize = 12;
const ROUNDS: usize = 4;
/// Longest wait for an answer before the client takes the proxy for dead.
const ONE_ANSWER: Duration = Duration::from_secs(2);

/// The proxy's promise to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// Its INVITE had a 200.
    In,
    /// Its BYE had one.
    Out,
    /// The proxy died before it answered.
    None,
}

struct Guest {
    agent: Agent,
    room: String,
    own_path: String,
    room_path: String,
    dialog: Option<Dialog>,
    link: Option<Link>,
    promise: Promise,
    /// The nickname, once its NICKNAME had a 200.
    nickname: Option<String>,
    random: u64,
}

impl Guest {
    fn new(number: usize, proxy: &Proxy) -> Self {
        let agent = Agent::new(&format!("guest{number}"), proxy.sip, Transport::Udp);
        let own_path = client_path();
        agent.describe(offer(&own_path));
        Self {
            agent,
            room: proxy.room("lobby"),
            own_path,
            room_path: String::new(),
            dialog: None,
            link: None,
            promise: Promise::Out,
            nickname: None,
            random: number as u64 + 1,
        }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % sides
    }

    /// Joins, leaves and talks until nobody answers any more.
    fn live(&mut self, msrp: SocketAddr, over: &AtomicBool, done: &AtomicUsize) {
        let mut answered = true;
        while answered && !over.load(Ordering::Relaxed) {
            answered = match (self.promise, self.dice(10)) {
                (Promise::Out, _) => self.join(msrp),
                (_, 0..3) => self.leave(),
                (_, 3..6) => self.rename(),
                _ => self.say(),
            };
            done.fetch_add(usize::from(answered), Ordering::Relaxed);
        }
    }

    fn join(&mut self, msrp: SocketAddr) -> bool {
        let draft = invite(&self.agent, &self.room, &self.own_path);
        self.agent.send(&draft);
        self.promise = Promise::None;
        let Some(answer) = self.agent.response(&draft, ONE_ANSWER, |code| code >= 200) else {
            return false;
        };
        if answer.code != 200 {
            self.promise = Promise::Out;
            return true;
        }
        self.promise = Promise::In;
        self.nickname = None;
        let dialog = Dialog::new(&draft, &answer);
        self.agent.send(&dialog.ack(&self.agent));
        self.dialog = Some(dialog);
        self.room_path = path_of(&answer.body);
        self.connect(msrp)
    }

    fn connect(&mut self, msrp: SocketAddr) -> bool {
        let Ok(stream) = TcpStream::connect(msrp) else {
            return false;
        };
        let link = Link::over(stream);
        let bind = Frame::request("SEND", &self.room_path, &self.own_path)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", "1-0/0");
        link.send(&bind);
        let bound = link.response(&bind, ONE_ANSWER);
        self.link = Some(link);
        bound.is_some_and(|answer| answer.kind == "200")
    }

    fn leave(&mut self) -> bool {
        let Some(dialog) = &mut self.dialog else {
            return false;
        };
        let bye = dialog.request(&self.agent, "BYE");
        self.agent.send(&bye);
        self.promise = Promise::None;
        let answer = self.agent.response(&bye, ONE_ANSWER, |code| code >= 200);
        let left = answer.is_some_and(|answer| answer.code == 200);
        if left {
            self.promise = Promise::Out;
            self.link = None;
            self.dialog = None;
        }
        left
    }

    fn rename(&mut self) -> bool {
        let nickname = format!("N{} {}", unique(), self.agent.user);
        let frame = Frame::request("NICKNAME", &self.room_path, &self.own_path)
            .header("Use-Nickname", format!("\"{nickname}\""));
        self.nickname = None;
        let answered = self.asks(&frame);
        if answered {
            self.nickname = Some(nickname);
        }
        answered
    }

    fn say(&mut self) -> bool {
        let body = cpim(&self.agent.address(), &self.room, "so it goes");
        let frame = Frame::request("SEND", &self.room_path, &self.own_path)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", format!("1-{0}/{0}", body.len()))
            .content("message/cpim", &body);
        self.asks(&frame)
    }

    fn asks(&self, frame: &Frame) -> bool {
        let Some(link) = &self.link else {
            return false;
        };
        link.send(frame);
        let answer = link.response(frame, ONE_ANSWER);
        answer.is_some_and(|answer| answer.kind == "200")
    }

    /// The proxy is dead: a client without a promise knows of no dialog.
    fn prepare(&mut self) {
        self.link = None;
        self.agent.inbox.drain();
        let knows = self.promise == Promise::In;
        self.agent
            .answer("INVITE", Some(if knows { 200 } else { 481 }));
    }

    /// The proxy is back.
    fn resume(&mut self, proxy: &Proxy) {
        if self.promise == Promise::In {
            let called = self.agent.request("INVITE", PATIENCE);
            let user = &self.agent.user;
            let called = called.unwrap_or_else(|| panic!("{user} is forgotten\n{}", proxy.log()));
            self.room_path = path_of(&called.body);
            assert!(
                self.connect(proxy.msrp),
                "{} is not let in",
                self.agent.user
            );
        } else {
            // A re-INVITE that is still to come finds no dialog here.
            self.promise = Promise::Out;
            self.dialog = None;
        }
    }
}

#[test]
fn what_was_promised_holds_after_a_kill_at_any_moment() {
    let rounds = std::env::var("KILL_ROUNDS").ok();
    let rounds = rounds.and_then(|it| it.parse().ok()).unwrap_or(ROUNDS);
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        let mut proxy = plan.clone().start();
        let mut guests: Vec<Guest> = (0..GUESTS).map(|n| Guest::new(n, &proxy)).collect();
        let watcher = Agent::new("watcher", proxy.sip, Transport::Udp);
        let mut watched = Subscription::start(&watcher, &proxy.room("lobby"), 3600);
        let mut total = 0;
        for round in 0..rounds {
            total += play_and_kill(&proxy, &mut guests, round);
            guests.iter_mut().for_each(Guest::prepare);
            // Messages that were on their way to the watcher when the proxy died.
            while watched.next(&watcher, Duration::ZERO).is_some() {}
            proxy = plan.clone().start();
            for guest in &mut guests {
                guest.resume(&proxy);
            }
            let truth: BTreeSet<String> = guests
                .iter()
                .filter(|guest| guest.promise == Promise::In)
                .map(|guest| guest.agent.address())
                .collect();
            watched.roster.crashes += 1;
            watched
                .next(&watcher, PATIENCE)
                .unwrap_or_else(|| panic!("no NOTIFY in round {round}\n{}", proxy.log()));
            watched.follow(&watcher, &truth);
            let judge = Agent::new("judge", proxy.sip, Transport::Udp);
            let mut seen = Subscription::start(&judge, &proxy.room("lobby"), 60);
            seen.follow(&judge, &truth);
            check_nicknames(&guests, &seen.roster.nicknames());
        }
        println!(
            "{}: {rounds} kills during {total} answered requests",
            host.name
        );
        proxy.stop();
    });
}

/// Number of answers before the proxy was killed.
fn play_and_kill(proxy: &Proxy, guests: &mut [Guest], round: usize) -> usize {
    let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for guest in guests.iter_mut() {
            scope.spawn(|| guest.live(proxy.msrp, &over, &done));
        }
        // A moment that differs from round to round: after some tens of answers.
        let enough = 50 + round * 37 % 200;
        let patience = Instant::now();
        while done.load(Ordering::Relaxed) < enough && patience.elapsed() < PATIENCE {
            thread::yield_now();
        }
        proxy.kill_all();
        over.store(true, Ordering::Relaxed);
    });
    done.into_inner()
}

fn check_nicknames(guests: &[Guest], shown: &BTreeMap<String, String>) {
    for guest in guests.iter().filter(|guest| guest.promise == Promise::In) {
        if let Some(nickname) = &guest.nickname {
            let address = guest.agent.address();
            assert_eq!(shown.get(&address), Some(nickname), "{address}'s nickname");
        }
    }
}

#[test]
fn g67_the_nickname_of_who_has_left_is_still_kept_after_a_kill() {
    on_every_host(|host| {
        let folder = Folder::new();
        let plan = plan(host, &folder);
        let proxy = plan.clone().start();
        let mut bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby").stays();
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        assert_eq!(alice.take_nickname("The Alice"), "200");
        alice.leave();
        assert_eq!(bob.take_nickname("the alice"), "425", "as long as it runs");
        proxy.kill_all();
        let proxy = plan.start();
        bob.come_back(&proxy);
        assert_eq!(bob.take_nickname("the alice"), "425", "and after it");
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        assert_eq!(alice.take_nickname("The Alice"), "200", "it is hers");
        proxy.stop();
    });
}
