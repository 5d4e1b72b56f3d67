//! The main loop, with a focus that panics on demand.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::bridge::Frame;
use crate::control::Order;
use crate::counters::Totals;
use crate::focus::record::Change;
use crate::focus::{
    Arrival, Input, OutgoingRequest, Output, RequestId, ScriptOptions, Socket, TransactionId,
};
use crate::management::{self, Answer};
use crate::service::{Departure, NotReplied, NotSent};
use crate::time::Moment;

/// Settings and observations of a test.
#[derive(Default)]
struct Stage {
    /// Every input panics.
    broken: Cell<bool>,
    deadline: Cell<Option<Moment>>,
    idle: Cell<bool>,
    inputs: Cell<usize>,
    replies: RefCell<Vec<(TransactionId, u16)>>,
    stopping: Cell<bool>,
    switch_stopped: Cell<bool>,
}

impl Core for Rc<Stage> {
    fn handle(&mut self, _now: Moment, _input: Input) {
        self.inputs.set(self.inputs.get() + 1);
        assert!(!self.broken.get(), "as the test wants it");
    }
    fn poll(&mut self) -> Option<Output> {
        None
    }
    fn deadline(&self) -> Option<Moment> {
        self.deadline.get()
    }
    fn is_idle(&self) -> bool {
        self.idle.get()
    }
    fn totals(&self) -> Totals {
        Totals::default()
    }
    fn snapshot(&mut self) -> Vec<Change> {
        Vec::new()
    }
    fn operate(&mut self, _now: Moment, _request: &management::Action) -> Answer {
        Ok("done".into())
    }
    fn rooms(&self) -> usize {
        0
    }
}

impl Switch for Rc<Stage> {
    fn order(&mut self, _order: Order) {}
    fn totals(&self) -> Totals {
        Totals::default()
    }
    fn stop(&mut self) {
        self.switch_stopped.set(true);
    }
}

impl Host for Rc<Stage> {
    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        self.replies.borrow_mut().push((transaction, reply.code));
        Ok(())
    }
    fn send(
        &mut self,
        _request: &OutgoingRequest,
        _to: &Hop,
        _attempt: RequestId,
    ) -> Result<Departure, NotSent> {
        Ok(Departure::Sent)
    }
    fn connected(&mut self, _to: &Hop) -> bool {
        true
    }
    fn has_socket(&mut self, _to: &Hop) -> bool {
        true
    }
    fn cancel(&mut self, _transaction: TransactionId, _transport: Transport) {}
    fn find_socket(&mut self, _socket: &Socket) -> u64 {
        0
    }
    fn stopping(&mut self) {
        self.stopping.set(true);
    }
    fn log(&mut self, _line: &Line) {}
}

struct Bench {
    stage: Rc<Stage>,
    conference: Conference<Rc<Stage>, Rc<Stage>>,
    told_to_end: &'static AtomicBool,
    host_pipe: UnixStream,
    _ours: UnixStream,
}

impl Bench {
    fn new() -> Self {
        let stage = Rc::new(Stage::default());
        let (host_pipe, ours) = UnixStream::pair().expect("a socket pair");
        let told_to_end: &AtomicBool = Box::leak(Box::default());
        let switch: Box<dyn Switch> = Box::new(Rc::clone(&stage));
        let statistics = fds::shared_statistics().expect("memory");
        let notices = unbounded().1;
        let conference = Conference {
            host: Rc::clone(&stage),
            service: Service::new(Rc::clone(&stage), switch, None, notices, statistics),
            lines: unbounded().1,
            clock: Clock::start(),
            bridge: Box::leak(Box::new(Bridge::new().expect("sockets"))),
            buffer: Buffer::default(),
            signals: Signals::pretended(told_to_end),
            waker: Waker::new().expect("eventfd"),
            pipe: ours.as_raw_fd(),
            parent: parent_id().cast_signed(),
            abandoned: false,
            outside: false,
            taking: None,
            panicked: None,
        };
        Self {
            stage,
            conference,
            told_to_end,
            host_pipe,
            _ours: ours,
        }
    }

    /// Sends a request as a worker.
    fn request(&self, hash: u32) -> TransactionId {
        let transaction = TransactionId { hash, label: 1 };
        let arrival = Arrival {
            transaction: Some(transaction),
            to_tag: None,
            message: Bytes::from_static(b"OPTIONS"),
            request_uri: "sip:lobby@a".to_owned(),
            source: "127.0.0.1:5060".parse().expect("an address"),
            socket: Socket {
                handle: 1,
                transport: "udp".into(),
                host: "127.0.0.1".into(),
                port: 5060,
            },
            identity: "sip:alice@a".to_owned(),
            options: ScriptOptions::default(),
        };
        let frame = Frame::Request(Box::new(arrival));
        self.conference.bridge.send(&frame).expect("room");
        transaction
    }

    fn break_focus(&self) {
        self.stage.broken.set(true);
    }

    /// Sets the last panic long enough ago that another one does not follow it.
    fn forget_panic(&mut self) {
        let last = self.conference.panicked.as_mut().expect("a panic");
        *last = last.checked_sub(PANICS_APART).expect("an uptime");
    }
}

#[test]
fn a_request_that_panics_is_answered_and_the_next_one_taken() {
    let mut bench = Bench::new();
    bench.break_focus();
    let first = bench.request(1);
    assert_eq!(bench.conference.turn(), Turn::Again);
    assert_eq!(*bench.stage.replies.borrow(), [(first, 500)]);
    bench.stage.broken.set(false);
    bench.request(2);
    assert_eq!(bench.conference.turn(), Turn::Again);
    assert_eq!(bench.stage.inputs.get(), 2);
    assert_eq!(
        bench.stage.replies.borrow().len(),
        1,
        "the focus answers it"
    );
}

#[test]
fn a_second_panic_within_a_second_is_the_last_and_a_later_one_is_not() {
    let mut bench = Bench::new();
    bench.break_focus();
    bench.request(1);
    assert_eq!(bench.conference.turn(), Turn::Again);
    bench.forget_panic();
    bench.request(2);
    assert_eq!(bench.conference.turn(), Turn::Again);
    let last = bench.request(3);
    assert_eq!(bench.conference.turn(), Turn::Broken);
    let replies = bench.stage.replies.borrow();
    assert_eq!(replies.last(), Some(&(last, 500)), "answered all the same");
}

#[test]
fn a_panic_due_by_a_deadline_does_not_go_round() {
    let mut bench = Bench::new();
    bench.break_focus();
    let past = Moment::from_epoch(Duration::ZERO);
    bench.stage.deadline.set(Some(past));
    assert_eq!(bench.conference.turn(), Turn::Again);
    assert_eq!(bench.conference.turn(), Turn::Broken);
    assert_eq!(bench.stage.inputs.get(), 2);
}

#[test]
fn sigterm_is_obeyed_whatever_panics() {
    let mut bench = Bench::new();
    bench.break_focus();
    bench.told_to_end.store(true, Ordering::Relaxed);
    bench.request(1);
    assert_eq!(bench.conference.turn(), Turn::End);
    bench.request(2);
    assert_eq!(bench.conference.turn(), Turn::End, "even by the second");
}

#[test]
fn the_hosts_pipe_is_seen_whatever_panics() {
    let mut bench = Bench::new();
    bench.break_focus();
    bench.host_pipe.write_all(b"job").expect("room");
    bench.request(1);
    assert_eq!(bench.conference.turn(), Turn::HostPipe);
}

#[test]
fn a_stop_ends_in_time_although_the_focus_never_is_idle() {
    let mut bench = Bench::new();
    let started = Instant::now();
    bench.conference.stop();
    assert!(started.elapsed() >= STOP_GRACE, "outcomes are waited for");
    assert!(bench.stage.stopping.get() && bench.stage.switch_stopped.get());
}

#[test]
fn a_stop_reaches_its_end_although_the_focus_panics() {
    let mut bench = Bench::new();
    bench.stage.idle.set(true);
    bench.break_focus();
    bench.conference.stop();
    assert_eq!(bench.stage.inputs.get(), 1, "it was told");
    assert!(bench.stage.switch_stopped.get());
}
