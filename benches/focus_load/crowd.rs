//! The focus alone, with a crowd that joins and subscribes. The switch admits everybody at once,
//! phones answer 200, and time is simulated.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::arrival::arrival;
use msrp_conference::control::{Notice, Order, RoomUri, SwitchRun};
use msrp_conference::entropy::Seeded;
use msrp_conference::focus::record::{Change, Key, Record};
use msrp_conference::focus::{Config, Focus, Input, Output, RoomEntry, TransactionId};
use msrp_conference::parameters::Collected;
use msrp_conference::time::Moment;
use msrp_conference::wire::sip::Method;

/// A focus, and everything around it.
pub(crate) struct Crowd {
    focus: Focus,
    now: Moment,
    rooms: usize,
    transactions: u32,
    /// NOTIFYs sent.
    pub(crate) notifies: u64,
    /// The stored records, by key; `None` when nothing is stored.
    kept: Option<BTreeMap<Key, Record>>,
}

fn room(number: usize) -> String {
    format!("sip:room{number}@conference.example.com")
}

impl Crowd {
    /// This many rooms, all empty.
    pub(crate) fn new(rooms: usize) -> Self {
        let mut crowd = Self::without_switch(rooms);
        crowd.connect();
        crowd
    }

    fn without_switch(rooms: usize) -> Self {
        let settings = Collected::default().settings().expect("defaults");
        let config = Config {
            rooms: (0..rooms)
                .map(|n| RoomEntry::new(RoomUri::new(room(n))))
                .collect(),
            max_participants: 20_000,
            ..settings.focus
        };
        Self {
            focus: Focus::new(config, Box::new(Seeded(1))),
            now: Moment::from_epoch(Duration::from_secs(1_800_000_000)),
            rooms,
            transactions: 0,
            notifies: 0,
            kept: None,
        }
    }

    fn connect(&mut self) {
        self.feed(Input::Notice(Notice::Connected {
            run: SwitchRun(5),
            listen: vec![msrp_conference::control::Listen {
                transport: msrp_conference::control::Transport::Tcp,
                address: "192.0.2.1:2855".parse().expect("an address"),
            }],
        }));
    }

    /// Stores records from now on.
    #[allow(dead_code, reason = "the test of memory does not")]
    pub(crate) fn keep(&mut self) {
        self.kept = Some(BTreeMap::new());
    }

    /// Starts another focus from the stored records.
    #[allow(dead_code, reason = "the test of memory does not")]
    pub(crate) fn restore(&mut self) -> Self {
        let records = self.kept.take().unwrap_or_default().into_values().collect();
        let mut next = Self::without_switch(self.rooms);
        next.now = self.now;
        next.focus.restore(next.now, records, &mut |_| 1);
        next.connect();
        next
    }

    /// Number of participants.
    pub(crate) fn participants(&self) -> usize {
        self.focus.counts().participants
    }

    /// A participant joins: INVITE, its 200, ACK.
    pub(crate) fn join(&mut self, name: usize) {
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
             m=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.7:2855/p{name};tcp\r\n\
             a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=setup:active\r\n\
             a=chatroom:nickname private-messages\r\n"
        );
        self.request(name, "INVITE", "Content-Type: application/sdp\r\n", &body);
        self.request(name, "ACK", "", "");
    }

    /// The same participant subscribes.
    pub(crate) fn subscribe(&mut self, name: usize) {
        self.request(
            name,
            "SUBSCRIBE",
            "Event: conference\r\nExpires: 3600\r\n",
            "",
        );
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.focus.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.feed(Input::Deadline);
        }
        self.now = end;
    }

    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.focus.handle(self.now, input);
            while let Some(output) = self.focus.poll() {
                inputs.extend(self.perform(output));
            }
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Order(Order::Admit(admission)) => Some(Input::Notice(Notice::Admitted {
                room: admission.room,
                session: admission.session,
            })),
            Output::Reply(id, reply) => {
                assert_eq!(reply.code, 200, "{}", reply.reason);
                Some(Input::Answered(id))
            }
            Output::Store(changes) => {
                self.store(changes);
                None
            }
            Output::Send(request) => {
                self.notifies += u64::from(request.method == Method::Notify);
                Some(Input::Outcome {
                    reached: None,
                    request: request.id,
                    code: 200,
                    response: None,
                })
            }
            _ => None,
        }
    }

    fn store(&mut self, changes: Vec<Change>) {
        let Some(kept) = &mut self.kept else {
            return;
        };
        for change in changes {
            match change {
                Change::Put(record) => {
                    kept.insert(record.key(), record);
                }
                Change::Delete(key) => {
                    kept.remove(&key);
                }
                Change::Remember(_) => {}
            }
        }
    }

    fn request(&mut self, name: usize, method: &str, headers: &str, body: &str) {
        let room = room(name % self.rooms);
        let user = format!("sip:user{name}@example.com");
        let to = match method {
            "ACK" => format!("<{room}>;tag=hosttag{name}"),
            _ => format!("<{room}>"),
        };
        let call = match method {
            "SUBSCRIBE" => format!("s{name}-a84b4c76e66710@192.0.2.7"),
            _ => format!("i{name}-a84b4c76e66710@192.0.2.7"),
        };
        let message = format!(
            "{method} {room} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK{method}{name}\r\n\
             From: <{user}>;tag=t{name}\r\nTo: {to}\r\nCall-ID: {call}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:user{name}@192.0.2.7:5060>\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.transactions += 1;
        let transaction = TransactionId {
            hash: 1,
            label: self.transactions,
        };
        let transaction = (method != "ACK").then_some(transaction);
        let to_tag = (method != "ACK").then(|| format!("hosttag{name}"));
        self.feed(arrival(message, room, user, transaction, to_tag));
    }
}
