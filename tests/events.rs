//! The conference event package inside real proxies, under load: a room with a thousand subscribers
//! and a thousand joins, subscribers that never answer, and publications.

#[path = "harness/mod.rs"]
mod harness;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use harness::agent::{Agent, Transport};
use harness::draft::Dialog;
use harness::participant::{Participant, client_path, invite, subscribe};
use harness::plan::Plan;
use harness::proxy::{Proxy, wait_until};
use harness::{PATIENCE, alone, schema};
use msrp_conference::wire::conference_info::{Document, MEDIA_TYPE, State, apply};
use msrp_conference::wire::sip::{Message, Request};

const CONNECTIONS: usize = 20;
const SUBSCRIBERS: usize = 1_000;
const JOINERS: usize = 1_000;
const BETWEEN_JOINS: Duration = Duration::from_millis(10);

/// One subscription, by its Call-ID.
#[derive(Default)]
struct Watch {
    notifies: usize,
    version: Option<u32>,
    /// Hash of everything received so far, versions aside.
    heard: u64,
}

/// Subscribers behind one connection. Equal input makes equal rosters, so each is rebuilt once.
#[derive(Default)]
struct Crowd {
    watches: HashMap<String, Watch>,
    rosters: HashMap<u64, Option<Document>>,
    /// Distinct documents, to validate against the schema.
    documents: HashMap<u64, String>,
}

impl Crowd {
    fn hear(&mut self, notify: &Request) {
        let call = notify.headers.first("Call-ID").expect("a Call-ID");
        let watch = self.watches.entry(call.to_owned()).or_default();
        let text = std::str::from_utf8(&notify.body).expect("UTF-8");
        let (version, same) = split_version(text);
        let is_full = text.contains(" state=\"full\"");
        if let Some(last) = watch.version {
            assert!(
                version == last + 1 || is_full,
                "E06: {version} after {last}"
            );
        }
        watch.version = Some(version);
        watch.notifies += 1;
        let before = watch.heard;
        watch.heard = hash(&(before, hash(&same)));
        let document = || Document::read(text.as_bytes()).expect("a document");
        self.documents
            .entry(hash(&same))
            .or_insert_with(|| text.to_owned());
        if !self.rosters.contains_key(&watch.heard) {
            let mut known = self.rosters.get(&before).cloned().flatten();
            let mut next = document();
            if let Some(known) = &mut known {
                known.version = next.version.saturating_sub(1);
            }
            next.version = version;
            apply(&mut known, next).expect("E09: no gap");
            self.rosters.insert(watch.heard, known);
        }
    }

    /// Users in the smallest roster of all subscribers.
    fn fewest(&self) -> usize {
        let sizes = self.watches.values().map(|watch| {
            let known = self.rosters.get(&watch.heard).cloned().flatten();
            known
                .and_then(|known| known.users)
                .map_or(0, |users| users.users.len())
        });
        sizes.min().unwrap_or_default()
    }
}

/// The version, and the rest of the document.
fn split_version(text: &str) -> (u32, (String, String)) {
    let (before, rest) = text.split_once(" version=\"").expect("E06: a version");
    // The XML declaration has a version, too.
    let (more, rest) = rest.split_once(" version=\"").expect("E06: a version");
    let (version, after) = rest.split_once('"').expect("a quote");
    let before = format!("{before}{more}");
    (
        version.parse().expect("a number"),
        (before, after.to_owned()),
    )
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Subscribes `count` users over one connection and listens until `is_over`.
fn listen(agent: &Agent, crowd: &Mutex<Crowd>, is_over: &dyn Fn() -> bool) {
    while !is_over() {
        while let Some(received) = agent.inbox.take(Duration::from_millis(100), |_| true) {
            if let Message::Request(request) = received.message
                && request.method.as_str() == "NOTIFY"
            {
                crowd.lock().unwrap().hear(&request);
            }
        }
    }
}

fn subscribe_many(agent: &Agent, room: &str, first: usize, count: usize) {
    for user in first..first + count {
        let draft = subscribe(agent, room, 3600);
        let from = draft
            .header("From")
            .replace(&agent.user, &format!("w{user}"));
        let answer = agent.exchange(&draft.set("From", from));
        assert_eq!(answer.code, 200, "{}", answer.reason);
    }
}

/// Joins at a steady rate; returns the time of each 200.
fn join_many(proxy: &Proxy, room: &str) -> Vec<Duration> {
    let agent = Agent::new("p", proxy.sip, Transport::Udp);
    let mut sent = HashMap::new();
    let mut drafts = HashMap::new();
    let mut took = Vec::new();
    let mut take = |agent: &Agent,
                    sent: &mut HashMap<String, Instant>,
                    drafts: &mut HashMap<String, harness::draft::Draft>,
                    patience: Duration| {
        let Some(received) = agent.inbox.take(patience, |_| true) else {
            return false;
        };
        if let Message::Response(response) = received.message
            && response.code >= 200
        {
            let call = response.headers.first("Call-ID").unwrap_or_default();
            if let (Some(at), Some(draft)) = (sent.remove(call), drafts.remove(call)) {
                assert_eq!(response.code, 200, "{}", response.reason);
                took.push(received.at - at);
                agent.send(&Dialog::new(&draft, &response).ack(agent));
            }
        }
        true
    };
    let start = Instant::now();
    for number in 0..JOINERS {
        let draft = invite(&agent, room, &client_path());
        let from = draft
            .header("From")
            .replace("sip:p@", &format!("sip:p{number}@"));
        let draft = draft.set("From", from);
        let call = draft.header("Call-ID").to_owned();
        sent.insert(call.clone(), Instant::now());
        agent.send(&draft);
        drafts.insert(call, draft);
        let next = start + BETWEEN_JOINS * (number as u32 + 1);
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            take(&agent, &mut sent, &mut drafts, left);
        }
    }
    let end = Instant::now() + PATIENCE;
    while !sent.is_empty() && Instant::now() < end {
        take(&agent, &mut sent, &mut drafts, Duration::from_millis(100));
    }
    assert!(sent.is_empty(), "{} INVITEs are not answered", sent.len());
    took.sort();
    took
}

#[test]
fn e11_a_thousand_watch_while_a_thousand_join() {
    alone(|host| {
        let proxy = Plan::new(host)
            .parameter("max_participants", 5_000)
            .parameter("roster_limit", 5_000)
            .parameter("bind_timeout", 3_000)
            .parameter("notify_memory", 64 << 20)
            .start();
        let room = proxy.room("lobby");
        let agents: Vec<_> = (0..CONNECTIONS)
            .map(|number| Agent::new(&format!("c{number}"), proxy.sip, Transport::Tcp))
            .collect();
        let crowds: Vec<_> = agents
            .iter()
            .map(|_| Mutex::new(Crowd::default()))
            .collect();
        let over = Mutex::new(false);
        thread::scope(|scope| {
            for (number, agent) in agents.iter().enumerate() {
                let (crowd, room, over) = (&crowds[number], &room, &over);
                scope.spawn(move || {
                    let each = SUBSCRIBERS / CONNECTIONS;
                    subscribe_many(agent, room, number * each, each);
                    listen(agent, crowd, &|| *over.lock().unwrap());
                });
            }
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                storm(&proxy, &room, &crowds);
            }));
            *over.lock().unwrap() = true;
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
        proxy.stop();
    });
}

fn storm(proxy: &Proxy, room: &str, crowds: &[Mutex<Crowd>]) {
    let all = |of: &dyn Fn(&Crowd) -> usize| -> Vec<usize> {
        crowds
            .iter()
            .map(|crowd| of(&crowd.lock().unwrap()))
            .collect()
    };
    let told = || all(&|crowd| crowd.watches.values().filter(|w| w.notifies > 0).count());
    let everybody = wait_until(PATIENCE * 3, || told().iter().sum::<usize>() == SUBSCRIBERS);
    assert!(everybody, "first NOTIFYs: {:?}", told());
    // Waits for the interval after the first NOTIFY, so that all subscribers start the storm alike.
    thread::sleep(Duration::from_secs(6));
    for crowd in crowds {
        let mut crowd = crowd.lock().unwrap();
        crowd
            .watches
            .values_mut()
            .for_each(|watch| watch.notifies = 0);
    }
    let before = (proxy.statistic("notifies"), cpu(proxy));
    let took = join_many(proxy, room);
    let started = Instant::now();
    let know = || all(&|crowd| crowd.fewest());
    let all_know = wait_until(PATIENCE * 6, || {
        know().iter().all(|known| *known == JOINERS)
    });
    assert!(all_know, "rosters: {:?}", know());
    let most = all(&|crowd| {
        crowd
            .watches
            .values()
            .map(|w| w.notifies)
            .max()
            .unwrap_or(0)
    });
    let notifies = proxy.statistic("notifies") - before.0;
    eprintln!(
        "{}: 200s after {:?} (median), {:?} (99th), {:?} (slowest); {notifies} NOTIFYs, {:?} CPU \
         of the conference process; everybody knew {:?} after the last join",
        proxy.host.name,
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1],
        cpu(proxy) - before.1,
        started.elapsed(),
    );
    assert!(
        most.iter().all(|most| *most <= 3),
        "NOTIFYs a subscriber: {most:?}"
    );
    let mut documents = HashMap::new();
    for crowd in crowds {
        documents.extend(crowd.lock().unwrap().documents.clone());
    }
    schema::validate_all(documents.values().map(String::as_str)).expect("E05");
}

/// CPU time of the conference process, kernel and user together.
fn cpu(proxy: &Proxy) -> Duration {
    let stat = format!("/proc/{}/stat", proxy.conference_process());
    let stat = std::fs::read_to_string(stat).expect("a process");
    let fields: Vec<_> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn e33_subscribers_who_say_nothing_are_removed() {
    alone(|host| {
        let proxy = Plan::new(host).start();
        let room = proxy.room("lobby");
        let silent = Agent::new("silent", proxy.sip, Transport::Udp);
        silent.answer("NOTIFY", None);
        for user in 0..50 {
            let draft = subscribe(&silent, &room, 3600);
            let from = draft
                .header("From")
                .replace("sip:silent@", &format!("sip:silent{user}@"));
            let answer = silent.exchange(&draft.set("From", from));
            assert_eq!(answer.code, 200);
        }
        assert!(wait_until(PATIENCE, || proxy.statistic("subscriptions") == 50));
        // Timer F of the NOTIFYs: 32 s.
        let patience = Duration::from_secs(60);
        assert!(wait_until(patience, || proxy.statistic("subscriptions") == 0));
        let notifies = proxy.statistic("notifies");
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "lobby");
        drop(alice);
        assert!(wait_until(patience, || proxy.transactions() == 0));
        assert_eq!(
            proxy.statistic("notifies"),
            notifies,
            "they cost nothing any more"
        );
        proxy.stop();
    });
}

#[test]
fn f23_publications_show_in_everybodys_roster() {
    alone(|host| {
        let proxy = Plan::new(host).parameter("notify_interval_ms", 100).start();
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "lobby");
        alice.sees(&["alice"]);
        let entity = format!(
            "sip:{}",
            alice
                .room
                .trim_start_matches("sip:")
                .split(':')
                .next()
                .unwrap_or_default()
        );
        let body = format!(
            "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"{entity}\" \
             version=\"0\"><users><user entity=\"{}\"><display-text>Alice is busy</display-text>\
             </user></users></conference-info>",
            alice.agent.address()
        );
        let draft = alice
            .agent
            .draft("PUBLISH", &alice.room)
            .add("Event", "conference")
            .add("Expires", "600")
            .body(MEDIA_TYPE, body);
        let answer = alice.agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        let tag = answer.headers.first("SIP-ETag").expect("an entity tag");
        let told = alice.agent.timed_request(PATIENCE, |request| {
            String::from_utf8_lossy(&request.body).contains("Alice is busy")
        });
        assert!(told.is_some(), "nobody was told");
        let refresh = |tag: &str| {
            let draft = alice.agent.draft("PUBLISH", &alice.room);
            let draft = draft.add("Event", "conference").add("Expires", "0");
            draft.add("SIP-If-Match", tag)
        };
        assert_eq!(alice.agent.exchange(&refresh("stale")).code, 412);
        assert_eq!(alice.agent.exchange(&refresh(tag)).code, 200);
        let told = alice.agent.timed_request(PATIENCE, |request| {
            let document = Document::read(&request.body);
            document.is_ok_and(|d| d.state != State::Deleted)
                && !String::from_utf8_lossy(&request.body).contains("busy")
        });
        assert!(told.is_some(), "nobody was told");
        proxy.stop();
    });
}
