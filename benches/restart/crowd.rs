//! Many participants in many rooms, and a restart: focus, store and switch, without the proxy
//! around them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::arrival::arrival;
use crossbeam_channel::{Receiver, unbounded};
use msrp_conference::control::{Notice, RoomUri, SwitchRun};
use msrp_conference::entropy::Seeded;
use msrp_conference::focus::record::Query;
use msrp_conference::focus::{Config, Focus, Input, Output, RoomEntry, TransactionId};
use msrp_conference::net::{self, Pool};
use msrp_conference::parameters::Collected;
use msrp_conference::store::{self, Durability, OnError, Store};
use msrp_conference::time::Clock;

/// Durations of the two phases.
pub(crate) struct Times {
    /// Until the focus had restored everybody.
    pub(crate) restored: Duration,
    /// Until the switch had confirmed everybody, and the store had that.
    pub(crate) reconciled: Duration,
}

/// Numbers of participants and rooms.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) rooms: usize,
    pub(crate) members: usize,
}

impl Size {
    fn participants(self) -> usize {
        self.rooms * self.members
    }
}

struct Crowd {
    focus: Focus,
    store: Store,
    pool: Arc<Pool>,
    notices: Receiver<Notice>,
    clock: Clock,
    sent: usize,
    ticket: u64,
    size: Size,
}

fn config(size: Size) -> Config {
    let settings = Collected::default().settings().expect("defaults");
    Config {
        rooms: (0..size.rooms)
            .map(|n| RoomEntry::new(RoomUri::new(room(n))))
            .collect(),
        ..settings.focus
    }
}

fn room(number: usize) -> String {
    format!("sip:room{number}@example.com")
}

impl Crowd {
    fn new(size: Size, database: PathBuf, pool: Arc<Pool>, notices: Receiver<Notice>) -> Self {
        let (log, _lines) = unbounded();
        let store = store::Config {
            path: database,
            durability: Durability::Normal,
            on_error: OnError::Refuse,
            busy: store::BUSY,
        };
        let opened = store::open(store, log, Arc::new(|| {})).expect("a database");
        let clock = Clock::start();
        let mut focus = Focus::new(config(size), Box::new(Seeded(1)));
        focus.use_store(opened.rooms);
        focus.restore(clock.now(), opened.records, &mut |_| 0);
        let mut new = Self {
            focus,
            store: opened.store,
            pool,
            notices,
            clock,
            sent: 0,
            ticket: 0,
            size,
        };
        new.perform();
        new
    }

    fn feed(&mut self, input: Input) {
        self.focus.handle(self.clock.now(), input);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(output) = self.focus.poll() {
            match output {
                Output::Order(order) => self.pool.order(order),
                Output::Store(changes) => self.ticket = self.store.write(changes),
                Output::Ask(query) => self.ask(query),
                Output::Send(_) => self.sent += 1,
                Output::Reply(..)
                | Output::Cancel(_)
                | Output::Release(_)
                | Output::Withdraw(_)
                | Output::Log(_)
                | Output::Event(_)
                | Output::Remember(..) => {}
            }
        }
    }

    /// Queries the store, and waits.
    fn ask(&mut self, query: Query) {
        self.store.ask(query);
        let found = std::iter::repeat_with(|| self.store.found())
            .flatten()
            .next();
        let input = Input::Found(found.expect("an answer"));
        self.focus.handle(self.clock.now(), input);
    }

    fn join(&mut self, number: usize, member: usize) {
        let (room, user) = (room(number), format!("sip:u{number}-{member}@example.com"));
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
             m=message 2855 TCP/MSRP *\r\na=path:msrp://192.0.2.7:2855/p{number}x{member};tcp\r\n\
             a=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\na=setup:active\r\n\
             a=chatroom:nickname private-messages\r\n"
        );
        let message = format!(
            "INVITE {room} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKx\r\n\
             From: <{user}>;tag=t{member}\r\nTo: <{room}>\r\nCall-ID: c{number}-{member}\r\n\
             CSeq: 1 INVITE\r\nContact: <{user}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let id = u32::try_from(number * self.size.members + member).expect("few");
        let transaction = Some(TransactionId { hash: 1, label: id });
        let to_tag = None;
        self.feed(arrival(message, room, user, transaction, to_tag));
    }

    /// Takes this many notices of a kind.
    fn take(&mut self, count: usize, of: impl Fn(&Notice) -> usize) {
        let mut taken = 0;
        while taken < count {
            let notice = self
                .notices
                .recv_timeout(Duration::from_secs(20))
                .expect("a notice");
            taken += of(&notice);
            self.feed(Input::Notice(notice));
        }
    }
}

/// Lets a crowd join, drops the focus, and starts another one from the stored state, while the
/// switch stays.
pub(crate) fn restart(database: &Path, size: Size) -> Times {
    let (notices_in, notices) = unbounded();
    let (lines_in, _lines) = unbounded();
    let config = net::Config {
        listen: Vec::new(),
        threads: 2,
        ..net::Config::default()
    };
    let pool = Pool::start(config, notices_in, lines_in, Arc::new(|| {})).expect("a pool");
    let pool = Arc::new(pool);
    let run = SwitchRun(5);
    let mut first = Crowd::new(size, database.into(), Arc::clone(&pool), notices.clone());
    first.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    for number in 0..size.rooms {
        for member in 0..size.members {
            first.join(number, member);
        }
        let admitted = |notice: &Notice| usize::from(matches!(notice, Notice::Admitted { .. }));
        first.take(size.members, admitted);
    }
    assert_eq!(first.focus.counts().participants, size.participants());
    first.store.stop();
    drop(first.focus);

    let started = Instant::now();
    let mut second = Crowd::new(size, database.into(), pool, notices);
    let restored = started.elapsed();
    assert_eq!(second.focus.counts().participants, size.participants());
    second.feed(Input::Notice(Notice::Connected {
        run,
        listen: Vec::new(),
    }));
    let named = |notice: &Notice| match notice {
        Notice::Reconciled { sessions, .. } => sessions.len(),
        _ => 0,
    };
    second.take(size.participants(), named);
    let ticket = second.ticket;
    while second.store.settled() < ticket {
        std::thread::yield_now();
    }
    let reconciled = started.elapsed();
    assert_eq!(second.sent, 0, "nobody hears of it");
    assert_eq!(second.focus.counts().participants, size.participants());
    second.store.stop();
    Times {
        restored,
        reconciled,
    }
}
