//! Requests on their way out: names, several places, order, workers.

use std::cell::RefCell;
use std::rc::Rc;

use super::tests::{Bench, ID, NOW, request};
use super::*;
use crate::focus::OutgoingRequest;
use crate::resolve::{self, Failure, Located, Outcome, Target};
use crate::statistics::Statistic;
use crate::wire::sip::Method;
use bytes::Bytes;

/// Name servers that answer when the test says so.
#[derive(Clone, Default)]
struct Zone(Rc<RefCell<(Vec<Target>, VecDeque<Outcome>)>>);

impl Names for Zone {
    fn ask(&mut self, target: Target) {
        self.0.borrow_mut().0.push(target);
    }
    fn outcome(&mut self) -> Option<Outcome> {
        self.0.borrow_mut().1.pop_front()
    }
}

const TTL: Duration = Duration::from_secs(60);

fn target(name: &str) -> Target {
    Target::of_uri(&format!("sip:{name}")).expect("a target")
}

impl Zone {
    fn answer(&self, name: &str, found: Result<Located, Failure>) {
        let outcome = (target(name), found, TTL);
        self.0.borrow_mut().1.push_back(outcome);
    }

    fn asked(&self) -> usize {
        self.0.borrow().0.len()
    }
}

/// A request with this id to this next hop, in the call of that name.
fn to(id: u64, call: &str, next_hop: &str) -> Box<OutgoingRequest> {
    let Output::Send(mut request) = request(id) else {
        unreachable!()
    };
    request.call_id = call.into();
    request.next_hop = next_hop.into();
    request
}

fn invite(id: u64, next_hop: &str) -> Box<OutgoingRequest> {
    let mut request = to(id, "i", next_hop);
    request.method = Method::Invite;
    request
}

fn by_flow(mut request: Box<OutgoingRequest>, flow: &str) -> Box<OutgoingRequest> {
    request.flow = Some(flow.into());
    request
}

struct Desk {
    bench: Bench,
    zone: Zone,
    now: Moment,
}

impl Desk {
    fn new() -> Self {
        let mut bench = Bench::new([]);
        let zone = Zone::default();
        bench.service.resolve_with(Box::new(zone.clone()));
        let now = NOW;
        Self { bench, zone, now }
    }

    fn send(&mut self, request: Box<OutgoingRequest>) {
        let Bench { service, host, .. } = &mut self.bench;
        service.outgoing.send(self.now, request, host);
        service.run_outputs(self.now, host);
    }

    fn cancel(&mut self, id: u64) {
        let Bench { service, host, .. } = &mut self.bench;
        service.outgoing.cancel(self.now, RequestId(id), host);
        service.run_outputs(self.now, host);
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.bench.turn(self.now);
    }

    /// The outcome of the attempt that `number` others preceded.
    fn outcome(&mut self, id: u64, number: u64, code: u16, response: &'static [u8]) {
        let frame = Frame::Outcome {
            request: RequestId(id | number << 56),
            code,
            response: Bytes::from_static(response),
        };
        let Bench { service, host, .. } = &mut self.bench;
        service.accept(self.now, frame, host);
    }

    fn sent(&mut self, id: u64, error: i32) {
        let frame = Frame::Sent {
            request: RequestId(id),
            error,
        };
        let Bench { service, host, .. } = &mut self.bench;
        service.accept(self.now, frame, host);
    }

    /// The requests that have left since the last call, with their destinations.
    fn departed(&mut self) -> String {
        let departed = std::mem::take(&mut self.bench.host.departed);
        let each = departed.iter().map(|(attempt, place)| {
            let (id, number) = (attempt.0 & !(u64::MAX << 56), attempt.0 >> 56);
            let place = place.trim_start_matches("sip:");
            format!("{id}.{number}>{}", place.replace(";transport=", "/"))
        });
        each.collect::<Vec<_>>().join(" ")
    }

    fn says(&self, text: &str) -> bool {
        let lines = &self.bench.host.lines;
        lines.iter().any(|line| line.text.contains(text))
    }
}

fn places(uris: &[&str]) -> Result<Located, Failure> {
    Ok(Located::of(uris))
}

#[test]
fn an_address_is_reached_at_once_and_a_name_when_it_is_known() {
    let mut desk = Desk::new();
    desk.send(to(1, "a", "sip:x@192.0.2.1;transport=tcp"));
    assert_eq!(desk.departed(), "1.0>192.0.2.1:5060/tcp");
    desk.send(to(2, "b", "sip:x@h.test"));
    desk.send(to(3, "c", "sip:192.0.2.3"));
    assert_eq!(
        desk.departed(),
        "3.0>192.0.2.3:5060/udp",
        "nobody waits for it"
    );
    desk.zone.answer("h.test", places(&["sip:192.0.2.9:5070"]));
    desk.pass(Duration::ZERO);
    assert_eq!(desk.departed(), "2.0>192.0.2.9:5070/udp");
    desk.send(to(4, "d", "sip:y@h.test"));
    assert_eq!(desk.departed(), "4.0>192.0.2.9:5070/udp", "from memory");
    assert_eq!(desk.zone.asked(), 1);
}

#[test]
fn a_name_that_does_not_resolve_is_an_outcome_of_that_request_alone() {
    let mut desk = Desk::new();
    desk.send(to(1, "a", "sip:gone.test"));
    desk.send(to(2, "b", "sip:dead.test"));
    desk.send(to(3, "c", "sip:x@h.invalid;transport=ws"));
    desk.send(to(4, "d", "tel:+1201"));
    assert_eq!(
        desk.bench.inputs(),
        "outcome 3 503 false, outcome 4 503 false"
    );
    desk.zone.answer("gone.test", Err(Failure::NoAddress));
    desk.pass(Duration::ZERO);
    assert!(desk.says("NOTIFY to sip:a@127.0.0.1: the name has no address"));
    desk.pass(resolve::LIMIT);
    assert!(desk.says("did not resolve within 4 s"));
    assert!(
        desk.bench
            .inputs()
            .ends_with("outcome 1 503 false, outcome 2 503 false")
    );
    assert_eq!(desk.departed(), "");
    assert!(desk.bench.service.outgoing.is_empty());
}

#[test]
fn the_service_comes_back_when_a_look_up_has_taken_too_long() {
    let mut desk = Desk::new();
    desk.send(to(1, "a", "sip:dead.test"));
    assert_eq!(desk.bench.service.deadline(), Some(NOW + resolve::LIMIT));
}

#[test]
fn requests_of_one_call_leave_in_order() {
    let mut desk = Desk::new();
    desk.send(to(1, "a", "sip:slow.test"));
    desk.send(to(2, "a", "sip:192.0.2.2"));
    desk.send(to(3, "a", "sip:other.test"));
    desk.send(to(4, "b", "sip:192.0.2.4"));
    assert_eq!(desk.departed(), "4.0>192.0.2.4:5060/udp");
    desk.zone.answer("slow.test", places(&["sip:192.0.2.1"]));
    desk.pass(Duration::ZERO);
    let both = "1.0>192.0.2.1:5060/udp 2.0>192.0.2.2:5060/udp";
    assert_eq!(desk.departed(), both);
    desk.pass(resolve::LIMIT);
    assert_eq!(desk.bench.inputs(), "outcome 3 503 false");
}

#[test]
fn places_are_tried_one_after_the_other() {
    let mut desk = Desk::new();
    let three = [
        "sip:192.0.2.1",
        "sip:192.0.2.2;transport=tls",
        "sip:192.0.2.3",
        "sip:192.0.2.4",
    ];
    desk.zone.answer("h.test", places(&three));
    desk.pass(Duration::ZERO);
    desk.bench.host.down = vec!["192.0.2.1:"];
    desk.send(to(1, "a", "sip:h.test"));
    // The first refused; the second needs TLS, which the host does not have.
    assert_eq!(desk.departed(), "1.0>192.0.2.3:5060/udp");
    // tm made the code up: nobody answered there.
    desk.outcome(1, 0, 408, b"");
    assert_eq!(desk.departed(), "1.1>192.0.2.4:5060/udp");
    assert_eq!(desk.bench.inputs(), "");
    // Later reports about the first attempt do not count.
    desk.outcome(1, 0, 200, b"SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(desk.bench.inputs(), "");
    desk.outcome(1, 1, 408, b"");
    assert_eq!(desk.bench.inputs(), "outcome 1 408 false");
    assert!(desk.bench.service.outgoing.is_empty());
}

#[test]
fn a_second_phone_that_answers_a_second_attempt_is_heard() {
    let ok = b"SIP/2.0 200 OK\r\n\r\n";
    let mut desk = Desk::new();
    desk.zone
        .answer("h.test", places(&["sip:192.0.2.1", "sip:192.0.2.2"]));
    desk.pass(Duration::ZERO);
    desk.send(invite(1, "sip:h.test"));
    desk.outcome(1, 0, 408, b"");
    desk.outcome(1, 1, 200, ok);
    desk.outcome(1, 1, 200, ok);
    assert_eq!(
        desk.bench.inputs(),
        "outcome 1 200 true, outcome 1 200 true"
    );
    // A request with the same id, as after a challenge, begins anew.
    desk.departed();
    desk.send(invite(1, "sip:192.0.2.3"));
    desk.outcome(1, 0, 200, ok);
    assert_eq!(desk.departed(), "1.0>192.0.2.3:5060/udp");
    assert!(desk.bench.inputs().ends_with("outcome 1 200 true"));
    assert!(desk.bench.service.outgoing.is_empty());
}

#[test]
fn an_answer_ends_the_search() {
    for (code, response) in [
        (503, b"SIP/2.0 503 Busy\r\n\r\n".as_slice()),
        (200, b"SIP/2.0 200 OK\r\n\r\n"),
        (500, b""),
    ] {
        let mut desk = Desk::new();
        desk.zone
            .answer("h.test", places(&["sip:192.0.2.1", "sip:192.0.2.2"]));
        desk.pass(Duration::ZERO);
        desk.send(to(1, "a", "sip:h.test"));
        desk.departed();
        desk.outcome(1, 0, code, response);
        assert_eq!(desk.departed(), "", "{code}");
        assert!(
            desk.bench
                .inputs()
                .starts_with(&format!("outcome 1 {code}"))
        );
        assert!(desk.bench.service.outgoing.is_empty());
    }
}

#[test]
fn nothing_is_tried_elsewhere_once_it_is_late_or_a_later_request_has_left() {
    let known = || {
        let mut desk = Desk::new();
        desk.zone
            .answer("h.test", places(&["sip:192.0.2.1", "sip:192.0.2.2"]));
        desk.pass(Duration::ZERO);
        desk.send(to(1, "a", "sip:h.test"));
        desk
    };
    let mut desk = known();
    desk.pass(Duration::from_secs(45));
    desk.outcome(1, 0, 408, b"");
    assert_eq!(desk.bench.inputs(), "outcome 1 408 false");
    let mut desk = known();
    desk.send(to(2, "a", "sip:h.test"));
    desk.departed();
    desk.outcome(1, 0, 408, b"");
    assert_eq!(desk.departed(), "", "it would come out of order");
    desk.outcome(2, 0, 408, b"");
    assert_eq!(desk.departed(), "2.1>192.0.2.2:5060/udp");
    assert_eq!(desk.bench.inputs(), "outcome 1 408 false");
    // Nor does an ACK, whatever its result.
    let mut desk = known();
    let mut ack = to(3, "z", "sip:h.test");
    ack.method = Method::Ack;
    desk.departed();
    desk.send(ack);
    desk.outcome(3, 0, 408, b"");
    assert_eq!(desk.departed(), "3.0>192.0.2.1:5060/udp");
}

#[test]
fn a_cancelled_invite_that_waits_for_its_look_up_ends_with_487() {
    let mut desk = Desk::new();
    desk.send(invite(1, "sip:slow.test"));
    desk.send(to(2, "i", "sip:192.0.2.2"));
    desk.cancel(1);
    assert_eq!(desk.bench.inputs(), "outcome 1 487 false");
    assert_eq!(
        desk.departed(),
        "2.0>192.0.2.2:5060/udp",
        "the next moves on"
    );
    desk.zone.answer("slow.test", places(&["sip:192.0.2.1"]));
    desk.pass(Duration::ZERO);
    assert_eq!(desk.departed(), "");
    desk.outcome(2, 0, 200, b"SIP/2.0 200 OK\r\n\r\n");
    assert!(desk.bench.service.outgoing.is_empty());
}

#[test]
fn an_invite_that_rang_or_was_cancelled_is_not_tried_elsewhere() {
    let known = || {
        let mut desk = Desk::new();
        desk.zone
            .answer("h.test", places(&["sip:192.0.2.1", "sip:192.0.2.2"]));
        desk.pass(Duration::ZERO);
        desk.send(invite(1, "sip:h.test"));
        desk.departed();
        desk
    };
    let mut desk = known();
    desk.bench.accept(Frame::Progress {
        request: RequestId(1),
        code: 180,
        transaction: ID,
    });
    desk.outcome(1, 0, 408, b"");
    assert_eq!(desk.departed(), "");
    let mut desk = known();
    desk.cancel(1);
    desk.outcome(1, 0, 408, b"");
    assert_eq!(
        (desk.departed().as_str(), desk.bench.inputs().as_str()),
        ("", "outcome 1 408 false")
    );
    // The second attempt can be cancelled like the first.
    let mut desk = known();
    desk.outcome(1, 0, 408, b"");
    assert_eq!(desk.departed(), "1.1>192.0.2.2:5060/udp");
    desk.cancel(1);
    desk.bench.accept(Frame::Progress {
        request: RequestId(1 | 1 << 56),
        code: 180,
        transaction: ID,
    });
    assert_eq!(desk.bench.host.cancelled, [ID]);
    assert_eq!(desk.bench.inputs(), "progress 1 180");
}

const FLOW: &str = "sip:203.0.113.9:40000;transport=tcp";

#[test]
fn the_peers_connection_is_a_shortcut_while_it_lives() {
    let mut desk = Desk::new();
    let contact = "sip:a@192.0.2.7:5080;transport=tcp";
    desk.bench.host.connections = vec![FLOW];
    desk.send(by_flow(to(1, "a", contact), FLOW));
    assert_eq!(desk.departed(), "1.0>203.0.113.9:40000/tcp");
    desk.bench.host.connections.clear();
    desk.send(by_flow(to(2, "a", contact), FLOW));
    assert_eq!(
        desk.departed(),
        "2.0>192.0.2.7:5080/tcp",
        "RFC 3261 §12.2.1.1"
    );
    // The connection seemed to live and did not: the Contact leads to the peer now.
    desk.bench.host.connections = vec![FLOW];
    desk.send(by_flow(to(3, "b", "sip:h.test;transport=tcp"), FLOW));
    desk.zone.answer(
        "h.test;transport=tcp",
        places(&["sip:192.0.2.8;transport=tcp"]),
    );
    desk.outcome(3, 0, 408, b"");
    desk.pass(Duration::ZERO);
    let both = "3.0>203.0.113.9:40000/tcp 3.1>192.0.2.8:5060/tcp";
    assert_eq!(desk.departed(), both);
}

#[test]
fn the_way_through_a_nat_is_the_only_one() {
    let mut desk = Desk::new();
    desk.send(by_flow(
        to(1, "a", "sip:a@10.0.0.1"),
        "sip:203.0.113.9:40000",
    ));
    assert_eq!(desk.departed(), "1.0>203.0.113.9:40000/udp");
    desk.outcome(1, 0, 408, b"");
    assert_eq!(
        (desk.departed().as_str(), desk.bench.inputs().as_str()),
        ("", "outcome 1 408 false")
    );
}

#[test]
fn a_browser_whose_connection_is_gone_is_not_looked_for() {
    let mut desk = Desk::new();
    let flow = "sip:203.0.113.9:40000;transport=wss";
    desk.send(by_flow(to(1, "a", "sip:x@abc.invalid;transport=ws"), flow));
    desk.send(by_flow(to(2, "b", "sip:x@192.0.2.1;transport=ws"), flow));
    let both = "outcome 1 503 false, outcome 2 503 false";
    assert_eq!(
        (desk.departed().as_str(), desk.bench.inputs().as_str()),
        ("", both)
    );
    desk.bench.host.connections = vec![flow];
    desk.send(by_flow(to(3, "c", "sip:x@abc.invalid;transport=ws"), flow));
    assert_eq!(desk.departed(), "3.0>203.0.113.9:40000/wss");
}

/// The ids of the requests the workers have.
fn with_workers() -> Desk {
    let mut desk = Desk::new();
    desk.bench.host.has_workers = true;
    desk
}

#[test]
fn few_workers_connect_at_a_time_and_the_others_send() {
    let mut desk = with_workers();
    for id in 1..=5 {
        let place = format!("sip:192.0.2.{id};transport=tcp");
        desk.send(to(id, &format!("c{id}"), &place));
    }
    let two = "1.0>192.0.2.1:5060/tcp 2.0>192.0.2.2:5060/tcp";
    assert_eq!(desk.departed(), two);
    // Requests over a living connection, and datagrams, do not wait for workers.
    desk.bench.host.connections = vec![FLOW];
    desk.send(by_flow(to(6, "d", "sip:192.0.2.6"), FLOW));
    desk.send(to(7, "e", "sip:192.0.2.7"));
    assert_eq!(
        desk.departed(),
        "6.0>203.0.113.9:40000/tcp 7.0>192.0.2.7:5060/udp"
    );
    desk.sent(1, 0);
    assert_eq!(desk.departed(), "3.0>192.0.2.3:5060/tcp");
    desk.sent(2, -5);
    assert_eq!(desk.departed(), "4.0>192.0.2.4:5060/tcp");
    assert_eq!(desk.bench.inputs(), "outcome 2 503 false");
    desk.outcome(3, 0, 200, b"SIP/2.0 200 OK\r\n\r\n");
    assert_eq!(
        desk.departed(),
        "5.0>192.0.2.5:5060/tcp",
        "it must have been sent"
    );
}

#[test]
fn one_request_of_a_call_is_with_the_workers_at_a_time() {
    let mut desk = with_workers();
    desk.send(to(1, "a", "sip:192.0.2.1;transport=tcp"));
    desk.send(to(2, "a", "sip:192.0.2.1;transport=tcp"));
    desk.send(to(3, "a", "sip:192.0.2.1"));
    assert_eq!(desk.departed(), "1.0>192.0.2.1:5060/tcp");
    desk.sent(1, 0);
    assert_eq!(desk.departed(), "2.0>192.0.2.1:5060/tcp");
    desk.sent(2, 0);
    assert_eq!(desk.departed(), "3.0>192.0.2.1:5060/udp");
}

#[test]
fn a_worker_that_is_silent_holds_up_its_call_for_five_seconds() {
    let mut desk = with_workers();
    desk.send(to(1, "a", "sip:192.0.2.1;transport=tcp"));
    desk.send(to(2, "a", "sip:192.0.2.2"));
    desk.departed();
    assert_eq!(
        desk.bench.service.deadline(),
        Some(NOW + Duration::from_secs(5))
    );
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.departed(), "2.0>192.0.2.2:5060/udp");
    assert!(desk.says("a worker does not say"));
}

#[test]
fn an_invite_with_the_workers_is_cancelled_when_it_rings_or_not_tried_again() {
    let mut desk = with_workers();
    desk.send(invite(1, "sip:192.0.2.1;transport=tcp"));
    desk.cancel(1);
    assert_eq!(desk.bench.inputs(), "");
    desk.bench.accept(Frame::Progress {
        request: RequestId(1),
        code: 180,
        transaction: ID,
    });
    assert_eq!(desk.bench.host.cancelled, [ID]);
    let mut desk = with_workers();
    desk.zone.answer(
        "h.test;transport=tcp",
        places(&["sip:192.0.2.1;transport=tcp", "sip:192.0.2.2;transport=tcp"]),
    );
    desk.pass(Duration::ZERO);
    desk.send(invite(1, "sip:h.test;transport=tcp"));
    desk.cancel(1);
    desk.departed();
    desk.sent(1, -5);
    assert_eq!(
        (desk.departed().as_str(), desk.bench.inputs().as_str()),
        ("", "outcome 1 487 false")
    );
    assert!(desk.bench.service.outgoing.is_empty());
}

#[test]
fn an_invite_in_line_is_taken_back() {
    let mut desk = with_workers();
    for id in 1..=3 {
        let mut one = invite(id, &format!("sip:192.0.2.{id};transport=tcp"));
        one.call_id = format!("c{id}");
        desk.send(one);
    }
    desk.departed();
    desk.cancel(3);
    assert_eq!(desk.bench.inputs(), "outcome 3 487 false");
    desk.sent(1, 0);
    desk.sent(2, 0);
    assert_eq!(desk.departed(), "");
}

#[test]
fn look_ups_are_counted() {
    let mut desk = Desk::new();
    desk.send(to(1, "a", "sip:slow.test"));
    desk.pass(Duration::from_secs(1));
    let statistics = desk.bench.statistics;
    assert_eq!(statistics.value(Statistic::LookUps), 1);
    desk.pass(resolve::LIMIT);
    assert_eq!(statistics.value(Statistic::LookUps), 0);
    assert_eq!(statistics.value(Statistic::LookUpsFailed), 1);
    assert_eq!(statistics.value(Statistic::LookUpsRefused), 0);
}

#[test]
fn outcomes_that_never_come_are_forgotten() {
    let mut desk = Desk::new();
    desk.bench.host.connections = vec![FLOW];
    desk.send(by_flow(to(1, "a", "sip:192.0.2.1"), FLOW));
    assert!(!desk.bench.service.outgoing.is_empty());
    desk.pass(Duration::from_secs(300));
    assert!(desk.bench.service.outgoing.is_empty());
}
