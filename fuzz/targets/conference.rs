//! A whole conference without a network: focus and switch together, a script of SIP requests,
//! MSRP octets, failures and time. Whatever the script, nothing panics, what the switch writes
//! is MSRP, and after the end nothing is left.
//!
//! The script's steps stand between lines `%%`; their first word says what they are:
//!
//! | step | what happens |
//! | --- | --- |
//! | `sip USER` | the rest is a request; `$TAG` is the To-tag of the focus' last answer |
//! | `msrp N` | the rest comes on connection N; `$PATH` is the path of the focus' last SDP |
//! | `close N` | connection N breaks |
//! | `answer CODE` | all requests of the focus have this outcome |
//! | `cancel` | the last request is cancelled |
//! | `host takes`, `host refuses`, `host holds` | what the host does with answers of success, those it holds included |
//! | `wait SECONDS` | time passes |
//! | `crash focus`, `crash switch`, `crash` | one or both begin anew with what is kept |

#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use msrp_conference::control::{Notice, Order, RoomUri, SwitchRun};
use msrp_conference::entropy::Seeded;
use msrp_conference::focus::record::{Change, Key, Record};
use msrp_conference::focus::{
    Arrival, Config, Focus, Input, Output, RequestId, RoomEntry, ScriptOptions, Socket,
    TransactionId,
};
use msrp_conference::parameters::Collected;
use msrp_conference::switch::{self, After, Alone, Batch, ConnectionId, Switch};
use msrp_conference::time::Moment;
use msrp_conference::wire::msrp::Decoder;
use msrp_conference::wire::sip::{Message, Method};

/// More steps show nothing that fewer do not.
const MOST_STEPS: usize = 64;
/// Longer than anything waits once everybody has been told.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// What the host does with a 2xx.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    Takes,
    Refuses,
    Holds,
}

struct World {
    now: Moment,
    focus: Focus,
    switch: Switch,
    runs: u128,
    kept: BTreeMap<Key, Record>,
    connections: HashMap<char, ConnectionId>,
    decoders: HashMap<ConnectionId, (Decoder, Vec<u8>)>,
    pending: Vec<RequestId>,
    /// What the host does with a 2xx.
    host: Taking,
    /// Those it holds.
    held: Vec<TransactionId>,
    last: u32,
    tag: String,
    path: String,
}

fn config() -> Config {
    let room = |uri: &str| RoomEntry::new(RoomUri::new(uri));
    let settings = Collected::default().settings().expect("defaults");
    let mut lobby = room("sip:lobby@example.com");
    lobby.rules.history = 5;
    Config {
        rooms: vec![lobby],
        factories: vec![room("sip:new@example.com")],
        ..settings.focus
    }
}

fn new_switch(run: u128) -> Switch {
    let seed = Box::new(Seeded(run as u64));
    Switch::new(switch::Config::default(), seed, Box::new(Alone))
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Moment::from_epoch(Duration::from_secs(1_800_000_000)),
            focus: Focus::new(config(), Box::new(Seeded(0))),
            switch: new_switch(1),
            runs: 1,
            kept: BTreeMap::new(),
            connections: HashMap::new(),
            decoders: HashMap::new(),
            pending: Vec::new(),
            host: Taking::Takes,
            held: Vec::new(),
            last: 0,
            tag: String::new(),
            path: String::new(),
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        let run = SwitchRun(self.runs);
        self.feed(Input::Notice(Notice::Connected {
 run,
 listen: Vec::new(),
 }));
    }

    fn step(&mut self, step: &[u8]) {
        let end = step.iter().position(|octet| *octet == b'\n');
        let (head, rest) = step.split_at(end.map_or(step.len(), |end| end + 1));
        let head = String::from_utf8_lossy(head);
        let mut words = head.split_ascii_whitespace();
        let (verb, word) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        match verb {
            "sip" => self.sip(word, rest),
            "msrp" => self.msrp(word.chars().next().unwrap_or('1'), rest),
            "close" => {
                let connection = self.connections.remove(&word.chars().next().unwrap_or('1'));
                if let Some(id) = connection {
                    self.switch.closed(self.now, id);
                }
            }
            "answer" => self.answer(word.parse().unwrap_or(200)),
            "cancel" => self.feed(Input::Cancel(self.transaction())),
            "host" => self.let_host(word),
            "wait" => self.wait(Duration::from_secs(word.parse::<u16>().unwrap_or(1).into())),
            "crash" => self.crash(word),
            _ => {}
        }
        self.settle();
    }

    fn transaction(&self) -> TransactionId {
        TransactionId {
            hash: 1,
            label: self.last,
        }
    }

    fn sip(&mut self, user: &str, message: &[u8]) {
        let message = self.filled(message);
        let Ok(Message::Request(request)) = Message::parse(&message) else {
            return;
        };
        self.last += 1;
        self.feed(Input::Request(Box::new(Arrival {
            transaction: (request.method != Method::Ack).then(|| self.transaction()),
            to_tag: None,
            request_uri: request.uri.clone(),
            message: message.into(),
            source: "192.0.2.7:5060".parse().expect("an address"),
            socket: Socket {
                handle: 1,
                transport: "udp".to_owned(),
                host: "198.51.100.1".to_owned(),
                port: 5060,
            },
            identity: format!("sip:{user}@example.com"),
            options: ScriptOptions::default(),
        })));
    }

    /// A script has no line ends of its own unless it wants to, and knows nothing of tags.
    fn filled(&self, octets: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(octets) else {
            return octets.to_vec();
        };
        let text = match text.contains('\r') {
            true => text.to_owned(),
            false => text.replace('\n', "\r\n"),
        };
        text.replace("$TAG", &self.tag)
            .replace("$PATH", &self.path)
            .into_bytes()
    }

    fn msrp(&mut self, name: char, octets: &[u8]) {
        let octets = self.filled(octets);
        let (now, switch) = (self.now, &mut self.switch);
        let id = *self
            .connections
            .entry(name)
            .or_insert_with(|| switch.opened(now));
        self.switch.received(now, id, &octets);
    }

    fn let_host(&mut self, word: &str) {
        self.host = match word {
            "refuses" => Taking::Refuses,
            "holds" => Taking::Holds,
            _ => Taking::Takes,
        };
        for transaction in std::mem::take(&mut self.held) {
            self.reply(transaction);
        }
    }

    /// A 2xx comes to the host.
    fn reply(&mut self, transaction: TransactionId) {
        match self.host {
            Taking::Takes => self.feed(Input::Answered(transaction)),
            Taking::Refuses => self.feed(Input::Unanswered(transaction)),
            Taking::Holds => self.held.push(transaction),
        }
    }

    fn answer(&mut self, code: u16) {
        for request in std::mem::take(&mut self.pending) {
            self.feed(Input::Outcome {
                reached: None,
 request,
                code: code.clamp(200, 699),
                response: None,
            });
        }
    }

    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let both = [self.focus.deadline(), self.switch.deadline()];
            let Some(at) = both.into_iter().flatten().min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.switch.tick(self.now);
            self.feed(Input::Deadline);
            self.settle();
        }
        self.now = end;
    }

    fn crash(&mut self, who: &str) {
        if who != "focus" {
            self.runs += 1;
            self.switch = new_switch(self.runs);
            self.connections.clear();
            self.decoders.clear();
        }
        if who != "switch" {
            let seed = Box::new(Seeded(self.last.into()));
            self.focus = Focus::new(config(), seed);
            self.pending.clear();
            self.held.clear();
            let records = self.kept.values().cloned().collect();
            self.focus.restore(self.now, records, &mut |_| 1);
            self.switch.unclaim(self.now, Duration::from_secs(60));
        }
        self.connect();
    }

    fn feed(&mut self, input: Input) {
        let mut granted = Vec::new();
        self.focus.handle(self.now, input);
        while let Some(output) = self.focus.poll() {
            match output {
                Output::Store(changes) => changes.into_iter().for_each(|it| self.keep(it)),
                Output::Remember(_, order) | Output::Order(order) => self.order(order),
                Output::Reply(transaction, reply) => {
                    if reply.code < 300 {
                        granted.push(transaction);
                    }
                    self.tag = reply.to_tag.unwrap_or_default();
                    self.note_path(&reply.body);
                }
                Output::Send(request) => {
                    self.note_path(&request.body);
                    if request.method != Method::Ack {
                        self.pending.push(request.id);
                    }
                }
                Output::Cancel(_)
                | Output::Event(_)
                | Output::Log(_)
                | Output::Release(_)
                | Output::Ask(_) => {}
                Output::Withdraw(transaction) => {
                    self.held.retain(|held| *held != transaction);
                    granted.retain(|granted| *granted != transaction);
                }
            }
        }
        granted.into_iter().for_each(|granted| self.reply(granted));
    }

    fn keep(&mut self, change: Change) {
        match change {
            Change::Put(record) => {
                self.kept.insert(record.key(), record);
            }
            Change::Delete(key) => {
                if let Key::Conference(room) = &key {
                    self.kept.retain(|it, _| match it {
                        Key::Participant(other, _) | Key::Departed(other, _) => other != room,
                        _ => true,
                    });
                }
                self.kept.remove(&key);
            }
            Change::Remember(_) => {}
        }
    }

    fn order(&mut self, order: Order) {
        self.switch.order(self.now, order);
    }

    fn note_path(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let path = text.lines().find_map(|line| line.strip_prefix("a=path:"));
        self.path = path.map_or(std::mem::take(&mut self.path), str::to_owned);
    }

    /// Lets both say all they have to say.
    fn settle(&mut self) {
        loop {
            if let Some(notice) = self.switch.poll_notice() {
                self.feed(Input::Notice(notice));
            } else if let Some(id) = self.switch.poll_dirty() {
                self.write(id);
            } else if let Some(id) = self.switch.poll_close() {
                self.switch.closed(self.now, id);
            } else {
                break;
            }
        }
    }

    fn write(&mut self, id: ConnectionId) {
        let mut batch = Batch::default();
        loop {
            batch.clear();
            let after = self.switch.transmit(self.now, id, &mut batch);
            self.read(id, &batch.to_vec());
            match after {
                After::More => {}
                After::Idle => return,
                After::Close => return self.switch.closed(self.now, id),
            }
        }
    }

    fn read(&mut self, id: ConnectionId, octets: &[u8]) {
        let (decoder, unread) = self.decoders.entry(id).or_default();
        unread.extend_from_slice(octets);
        let mut used = 0;
        while let Some(decoded) = decoder.decode(&unread[used..]).expect("MSRP") {
            used += decoded.used;
        }
        unread.drain(..used);
    }

    /// Everybody goes, and everything must have gone.
    fn end(&mut self) {
        self.feed(Input::Stop);
        self.settle();
        for _ in 0..8 {
            self.answer(200);
            self.wait(LONG);
        }
        let counts = self.focus.counts();
        assert_eq!(counts, Default::default(), "left behind");
        // Nicknames of who has left are held a while longer than anything else.
        let left = self.focus.leftovers();
        let longer = ["held nicknames", "timers", "counted messages", "outputs"];
        let left: Vec<_> = left.iter().filter(|it| !longer.contains(it)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.switch.sessions(), 0);
        let kept = self.kept.keys();
        let left: Vec<_> = kept
            .filter(|key| !matches!(key, Key::HeldNickname(..) | Key::LastAnonymous))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fuzz_target!(|script: &[u8]| {
    let mut world = World::new();
    let mut rest = script;
    for _ in 0..MOST_STEPS {
        let end = rest.windows(4).position(|octets| octets == b"\n%%\n");
        world.step(&rest[..end.map_or(rest.len(), |end| end + 1)]);
        match end {
            Some(end) => rest = &rest[end + 4..],
            None => break,
        }
    }
    world.end();
});
