//! The wiring, with a scripted focus, a switch that records its orders, and a host that can fail.

mod races;

use std::slice;

use super::commits::{COMMIT_TIMEOUT, MAX_PENDING};
use super::*;
use crate::control::{NicknameChange, RoomUri, SessionId};
use crate::counters::Place;
use crate::focus::record::{Found, HistoryChange};
use crate::focus::{OutgoingRequest, Socket};
use crate::resolve::{self, Hop};
use crate::statistics::{ALL, Statistic};
use crate::store::Ticket;
use crate::wire::sip::{Headers, Method};
use bytes::Bytes;
use crossbeam_channel::{Sender, unbounded};

/// Records every input; gives the outputs that the test prepared.
#[derive(Default)]
pub(super) struct Script {
    inputs: Vec<Input>,
    /// Outputs, in batches: one batch per input.
    batches: VecDeque<Vec<Output>>,
    outputs: VecDeque<Output>,
    deadline: Option<Moment>,
    totals: Totals,
    needs: Option<StoreQuery>,
    operated: usize,
}

impl Core for Script {
    fn handle(&mut self, _now: Moment, input: Input) {
        self.inputs.push(input);
        self.outputs
            .extend(self.batches.pop_front().unwrap_or_default());
    }
    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
    fn deadline(&self) -> Option<Moment> {
        self.deadline
    }
    fn is_idle(&self) -> bool {
        self.inputs.iter().any(|i| matches!(i, Input::Stop))
    }
    fn totals(&self) -> Totals {
        self.totals
    }
    fn snapshot(&mut self) -> Vec<Change> {
        vec![change()]
    }
    fn needs(&self, _request: &management::Action) -> Option<StoreQuery> {
        self.needs.clone()
    }
    fn operate(&mut self, _now: Moment, _request: &management::Action) -> Answer {
        self.operated += 1;
        Ok("ok".into())
    }
    fn rooms(&self) -> usize {
        self.totals.conferences as usize
    }
}

#[derive(Default)]
pub(super) struct Orders {
    orders: Vec<Order>,
    totals: Totals,
    stopped: bool,
}

impl Switch for Orders {
    fn order(&mut self, order: Order) {
        self.orders.push(order);
    }
    fn totals(&self) -> Totals {
        self.totals
    }
    fn stop(&mut self) {
        self.stopped = true;
    }
}

/// A store whose commits the test controls.
#[derive(Default)]
pub(super) struct Book {
    given: Ticket,
    settled: Ticket,
    lost: bool,
    rewritten: usize,
    safe: bool,
    given_up: usize,
    asked: Vec<StoreQuery>,
    found: VecDeque<Found>,
    refuses: bool,
}

impl Store for Book {
    fn write(&mut self, _changes: Vec<Change>) -> Ticket {
        self.given += 1;
        self.given
    }
    fn settled(&self) -> Ticket {
        self.settled
    }
    fn wants_everything(&self) -> bool {
        self.lost
    }
    fn rewrite(&mut self, everything: Vec<Change>) -> Ticket {
        self.lost = false;
        self.rewritten = everything.len();
        self.write(everything)
    }
    fn is_safe(&self) -> bool {
        self.safe
    }
    fn give_up(&mut self) {
        self.given_up += 1;
        self.settled = Ticket::MAX;
    }
    fn refuses(&self) -> bool {
        self.refuses
    }
    fn ask(&mut self, query: StoreQuery) {
        self.asked.push(query);
    }
    fn found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }
    fn stop(&mut self) {}
}

fn change() -> Change {
    let room = RoomUri::new("sip:lobby@example.com");
    Change::Delete(crate::focus::record::Key::Room(room))
}

#[derive(Default)]
pub(super) struct FakeHost {
    replies: Vec<(TransactionId, u16)>,
    sent: Vec<RequestId>,
    pub(super) cancelled: Vec<TransactionId>,
    released: Vec<TransactionId>,
    pub(super) lines: Vec<Line>,
    refuse_replies: Option<NotReplied>,
    refuse_requests: bool,
    /// Everything sent, and where.
    pub(super) departed: Vec<(RequestId, String)>,
    /// Places that refuse what is sent there.
    pub(super) down: Vec<&'static str>,
    /// Connections that live.
    pub(super) connections: Vec<&'static str>,
    /// Requests that need a connection go to workers.
    pub(super) has_workers: bool,
}

impl Host for FakeHost {
    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        self.replies.push((transaction, reply.code));
        self.refuse_replies.map_or(Ok(()), Err)
    }
    fn release(&mut self, transaction: TransactionId) {
        self.released.push(transaction);
    }
    fn send(
        &mut self,
        request: &OutgoingRequest,
        to: &Hop,
        attempt: RequestId,
    ) -> Result<Departure, NotSent> {
        let place = to.to_string();
        if self.refuse_requests || self.down.iter().any(|it| place.contains(it)) {
            return Err(NotSent::Refused(-5));
        }
        self.sent.push(request.id);
        self.departed.push((attempt, place));
        match self.hands_over(to) {
            true => Ok(Departure::Handed),
            false => Ok(Departure::Sent),
        }
    }

    fn hands_over(&mut self, to: &Hop) -> bool {
        self.has_workers && to.transport.is_stream()
    }

    fn connected(&mut self, to: &Hop) -> bool {
        self.connections.contains(&to.to_string().as_str())
    }

    fn has_socket(&mut self, to: &Hop) -> bool {
        to.transport != resolve::Transport::Tls
    }

    fn cancel(&mut self, transaction: TransactionId, _transport: resolve::Transport) {
        self.cancelled.push(transaction);
    }

    fn find_socket(&mut self, _socket: &Socket) -> u64 {
        0
    }

    fn log(&mut self, line: &Line) {
        self.lines.push(line.clone());
    }
}

pub(super) struct Bench {
    pub(super) service: Service<Script, Orders, Book>,
    notices: Sender<Notice>,
    pub(super) host: FakeHost,
    pub(super) statistics: &'static Statistics,
}

pub(super) const ID: TransactionId = TransactionId { hash: 7, label: 9 };
pub(super) const NOW: Moment = Moment::from_epoch(Duration::from_secs(1000));

impl Bench {
    pub(super) fn new(batches: impl IntoIterator<Item = Vec<Output>>) -> Self {
        let (notices, receiver) = unbounded();
        let statistics: &'static Statistics = Box::leak(Box::default());
        let script = Script {
            batches: batches.into_iter().collect(),
            ..Script::default()
        };
        Self {
            service: Service::new(
                script,
                Orders::default(),
                Book::default(),
                receiver,
                statistics,
            ),
            notices,
            host: FakeHost::default(),
            statistics,
        }
    }

    pub(super) fn accept(&mut self, frame: Frame) {
        self.service.accept(NOW, frame, &mut self.host);
    }

    pub(super) fn turn(&mut self, now: Moment) {
        self.service.turn(now, &mut self.host);
    }

    pub(super) fn inputs(&self) -> String {
        let names = self.service.core.inputs.iter().map(|input| match input {
            Input::Request(_) => "request".to_owned(),
            Input::Cancel(id) => format!("cancel {}:{}", id.hash, id.label),
            Input::Answered(id) => format!("answered {}:{}", id.hash, id.label),
            Input::Unanswered(id) => format!("unanswered {}:{}", id.hash, id.label),
            Input::Progress { request, code } => format!("progress {} {code}", request.0),
            Input::Outcome {
                reached: _,
                request,
                code,
                response,
            } => format!("outcome {} {code} {}", request.0, response.is_some()),
            Input::Notice(_) => "notice".to_owned(),
            Input::Found(_) => "found".to_owned(),
            Input::Close(closed) => format!("close {closed}"),
            Input::Deadline => "deadline".to_owned(),
            Input::Stop => "stop".to_owned(),
            Input::Suspend => "suspend".to_owned(),
        });
        names.collect::<Vec<_>>().join(", ")
    }
}

fn reply(code: u16) -> Output {
    Output::Reply(
        ID,
        Reply {
            code,
            reason: "x".into(),
            headers: Headers::new(),
            body: Bytes::new(),
            to_tag: None,
            until_ack: false,
        },
    )
}

pub(super) fn request(id: u64) -> Output {
    Output::Send(Box::new(OutgoingRequest {
        id: RequestId(id),
        method: Method::Notify,
        request_uri: "sip:a@127.0.0.1".into(),
        routes: Vec::new(),
        next_hop: "sip:a@127.0.0.1".into(),
        flow: None,
        principal: "sip:a@127.0.0.1".into(),
        call_id: "c".into(),
        cseq: 1,
        local_uri: "sip:lobby@127.0.0.1".into(),
        local_tag: "l".into(),
        remote_uri: "sip:a@127.0.0.1".into(),
        remote_tag: "r".into(),
        socket: Socket {
            handle: 1,
            transport: "udp".into(),
            host: "127.0.0.1".into(),
            port: 5060,
        },
        headers: Headers::new(),
        body: Bytes::new(),
    }))
}

fn outcome(code: u16, response: &'static [u8]) -> Frame {
    Frame::Outcome {
        request: RequestId(4),
        code,
        response: Bytes::from_static(response),
    }
}

#[test]
fn outputs_reach_host_and_switch_in_order() {
    let close = Order::Close {
        room: RoomUri::new("sip:lobby@127.0.0.1"),
    };
    let mut bench = Bench::new([vec![
        Output::Order(close.clone()),
        reply(200),
        request(1),
        Output::Log(Line::new(Level::Info, "said")),
    ]]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.inputs(), "cancel 7:9, answered 7:9");
    assert_eq!(bench.service.switch.orders, [close]);
    assert_eq!(bench.host.replies, [(ID, 200)]);
    assert_eq!(bench.host.sent, [RequestId(1)]);
    assert_eq!(bench.host.lines, [Line::new(Level::Info, "said")]);
}

#[test]
fn what_lets_the_switch_promise_waits_for_the_store_as_a_200_does() {
    let room = RoomUri::new("sip:lobby@127.0.0.1");
    let close = Order::Close { room: room.clone() };
    let kept = Order::Kept {
        room,
        change: NicknameChange(3),
    };
    let mut bench = Bench::new([vec![
        Output::Store(vec![change()]),
        Output::Order(kept.clone()),
        Output::Order(close.clone()),
    ]]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.service.switch.orders, slice::from_ref(&close));
    bench.service.store.settled = 1;
    bench.turn(NOW);
    assert_eq!(bench.service.switch.orders, [close, kept]);
}

/// A history that loses this many messages and gains none.
fn gone_of(room: &RoomUri, gone: u64) -> HistoryChange {
    HistoryChange {
        room: room.clone(),
        messages: Vec::new(),
        gone,
    }
}

#[test]
fn a_history_is_kept_without_anybody_waiting_but_the_switch() {
    let room = RoomUri::new("sip:lobby@127.0.0.1");
    let change = gone_of(&room, 3);
    let done = Order::Remembered {
        room,
        up_to: 4,
        octets: 5,
    };
    let remember = || Output::Remember(change.clone(), done.clone());
    let mut bench = Bench::new([vec![remember(), reply(200)], vec![], vec![remember()]]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.host.replies, [(ID, 200)], "the 200 does not wait");
    assert_eq!(bench.service.switch.orders, []);
    bench.service.store.settled = 1;
    bench.turn(NOW);
    assert_eq!(bench.service.switch.orders, slice::from_ref(&done));
    // Without a store nothing ever waits.
    bench.service.store.settled = Ticket::MAX;
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.service.switch.orders, [done.clone(), done]);
}

#[test]
fn outcomes_carry_the_response_when_there_was_one() {
    let mut bench = Bench::new([]);
    bench.accept(outcome(200, b"SIP/2.0 200 OK\r\nCall-ID: c\r\n\r\n"));
    bench.accept(outcome(408, b""));
    bench.accept(outcome(500, b"no message at all"));
    assert_eq!(
        bench.inputs(),
        "outcome 4 200 true, outcome 4 408 false, outcome 4 500 false"
    );
}

#[test]
fn a_success_the_host_refuses_was_never_told() {
    for refused in [NotReplied::Gone, NotReplied::Refused] {
        let mut bench = Bench::new([vec![reply(200)]]);
        bench.host.refuse_replies = Some(refused);
        bench.accept(outcome(200, b""));
        assert_eq!(bench.inputs(), "outcome 4 200 false, unanswered 7:9");
    }
    let mut bench = Bench::new([vec![reply(487)]]);
    bench.host.refuse_replies = Some(NotReplied::Refused);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.inputs(), "cancel 7:9", "a refusal is not repeated");
}

#[test]
fn a_success_that_still_waits_can_be_taken_back() {
    let mut bench = Bench::new([
        vec![Output::Store(vec![change()]), reply(200), request(1)],
        vec![Output::Withdraw(ID), reply(487)],
    ]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.host.replies, [], "it waits for the store");
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.host.replies, [(ID, 487)]);
    bench.service.store.settled = 1;
    bench.turn(NOW);
    assert_eq!(bench.host.replies, [(ID, 487)], "one final answer");
    assert_eq!(bench.host.sent, [RequestId(1)], "all else goes out");
    assert_eq!(bench.inputs(), "cancel 7:9, cancel 7:9");
}

#[test]
fn an_answer_is_released_at_once() {
    let mut bench = Bench::new([vec![Output::Store(vec![change()]), Output::Release(ID)]]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.host.released, [ID]);
}

#[test]
fn a_request_that_was_not_sent_ends_after_the_outputs_under_way() {
    let mut bench = Bench::new([vec![request(1), reply(200)]]);
    bench.host.refuse_requests = true;
    bench.accept(Frame::Cancel(ID));
    assert_eq!(
        bench.inputs(),
        "cancel 7:9, answered 7:9, outcome 1 503 false"
    );
    assert_eq!(bench.host.replies, [(ID, 200)]);
}

#[test]
fn a_turn_takes_notices_and_the_deadline_when_it_has_come() {
    let mut bench = Bench::new([]);
    bench.service.core.deadline = Some(NOW);
    bench
        .notices
        .send(Notice::Bound {
            room: RoomUri::new("sip:lobby@127.0.0.1"),
            session: SessionId::new("s"),
        })
        .expect("the service lives");
    assert_eq!(
        bench.service.deadline(),
        Some(Moment::from_epoch(Duration::ZERO)),
        "a waiting notice is due at once"
    );
    bench.turn(NOW - Duration::from_millis(1));
    assert_eq!(bench.inputs(), "notice");
    bench.turn(NOW);
    assert_eq!(bench.inputs(), "notice, deadline");
    assert_eq!(bench.service.deadline(), Some(NOW));
}

#[test]
fn statistics_follow_focus_and_switch() {
    let mut bench = Bench::new([]);
    bench.service.core.totals.participants = 3;
    bench.service.switch.totals.messages_in = 10;
    bench.service.switch.totals.sessions = 2;
    bench.turn(NOW);
    bench.service.core.totals.participants = 1;
    bench.service.switch.totals.messages_in = 15;
    bench.service.switch.totals.sessions = 0;
    bench.turn(NOW + Duration::from_millis(1));
    assert_eq!(
        bench.statistics.value(Statistic::Participants),
        3,
        "not counted on every turn"
    );
    bench.turn(NOW + COUNT_INTERVAL);
    let value = |which| bench.statistics.value(which);
    assert_eq!(value(Statistic::Participants), 1);
    assert_eq!(value(Statistic::MessagesIn), 15);
    assert_eq!(value(Statistic::Sessions), 0);
}

/// Every part of the program is covered, and also the panics that a switch outside the proxy has
/// counted of its own.
#[test]
fn every_figure_reaches_its_statistic() {
    for which in ALL {
        let mut bench = Bench::new([]);
        let one = Totals::from_fn(|it| u64::from(it == *which));
        match which.place() {
            Place::Focus => bench.service.core.totals = one,
            Place::Switch | Place::Everywhere => bench.service.switch.totals = one,
            // Counted by the resolver's own tests.
            Place::Resolver => continue,
        }
        bench.turn(NOW);
        assert_eq!(bench.statistics.value(*which), 1, "{}", which.name());
    }
}

#[test]
fn the_end_tells_the_focus_first_and_stops_the_switch_last() {
    let mut bench = Bench::new([vec![request(1)]]);
    assert!(!bench.service.is_idle());
    bench.service.stop(NOW, &mut bench.host);
    assert_eq!(bench.host.sent, [RequestId(1)]);
    assert!(bench.service.is_idle() && !bench.service.switch.stopped);
    bench.service.finish();
    assert!(bench.service.switch.stopped);
}

#[test]
fn what_was_said_in_the_last_moment_is_kept_before_the_store_closes() {
    let room = RoomUri::new("sip:lobby@127.0.0.1");
    let change = gone_of(&room, 0);
    let done = Order::Forget { room: room.clone() };
    let mut bench = Bench::new([vec![], vec![Output::Remember(change, done)]]);
    bench.service.stop(NOW, &mut bench.host);
    let (messages, gone) = (Vec::new(), 0);
    for notice in [
        Notice::Disconnected,
        Notice::Remember {
            room,
            messages,
            gone,
        },
    ] {
        bench.notices.send(notice).expect("it is there");
    }
    bench.service.finish();
    assert_eq!(bench.inputs(), "stop, notice", "nothing else matters now");
    assert_eq!(bench.service.store.given, 1);
}

#[test]
fn an_invite_is_cancelled_once_it_has_rung() {
    let ringing = || Frame::Progress {
        request: RequestId(3),
        code: 180,
        transaction: ID,
    };
    let sent = || {
        let mut invite = request(3);
        if let Output::Send(request) = &mut invite {
            request.method = Method::Invite;
        }
        vec![invite]
    };
    let other = || Frame::Cancel(TransactionId { hash: 1, label: 1 });
    let cancel = || vec![Output::Cancel(RequestId(3))];
    // Cancelled before it rings: the CANCEL waits (RFC 3261 §9.1).
    let mut bench = Bench::new([sent(), cancel(), vec![]]);
    bench.accept(other());
    bench.accept(other());
    assert!(bench.host.cancelled.is_empty());
    bench.accept(ringing());
    bench.accept(ringing());
    assert_eq!(bench.host.cancelled, [ID]);
    // Cancelled while it rings: the CANCEL leaves at once.
    let mut bench = Bench::new([sent(), vec![], cancel()]);
    bench.accept(other());
    bench.accept(ringing());
    assert!(bench.host.cancelled.is_empty());
    bench.accept(other());
    bench.accept(ringing());
    assert_eq!(bench.host.cancelled, [ID]);
    // Its outcome overtook the provisional response: nothing is kept.
    let mut bench = Bench::new([sent(), vec![], vec![], cancel()]);
    bench.accept(other());
    bench.accept(Frame::Outcome {
        request: RequestId(3),
        code: 486,
        response: Bytes::new(),
    });
    bench.accept(ringing());
    bench.accept(other());
    assert!(bench.host.cancelled.is_empty() && bench.service.outgoing.is_empty());
}

#[test]
fn nobody_hears_of_a_change_before_it_is_kept() {
    let mut bench = Bench::new([
        vec![
            Output::Store(vec![change()]),
            reply(200),
            request(1),
            reply(486),
        ],
        vec![request(2)],
        vec![Output::Store(vec![change()]), request(3)],
    ]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(
        bench.host.replies,
        [(ID, 486)],
        "a refusal promises nothing"
    );
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.host.sent, [], "in order behind what waits");
    bench.accept(Frame::Cancel(ID));
    bench.service.store.settled = 1;
    bench.turn(NOW);
    assert_eq!(bench.host.replies, [(ID, 486), (ID, 200)]);
    assert_eq!(bench.host.sent, [RequestId(1), RequestId(2)]);
    assert!(!bench.service.is_idle());
    bench.service.store.settled = 2;
    bench.turn(NOW);
    assert_eq!(bench.host.sent.len(), 3);
}

#[test]
fn a_store_that_has_lost_changes_gets_everything() {
    let mut bench = Bench::new([vec![request(1)]]);
    bench.service.store.lost = true;
    bench.turn(NOW);
    assert_eq!(bench.service.store.rewritten, 1);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(
        bench.host.sent,
        [],
        "it may say what is only in the new one"
    );
}

#[test]
fn a_stop_leaves_everything_to_the_next_run_where_there_will_be_one() {
    for (safe, said) in [(true, "suspend"), (false, "stop")] {
        let mut bench = Bench::new([vec![]]);
        bench.service.store.safe = safe;
        bench.service.stop(NOW, &mut bench.host);
        assert_eq!(bench.inputs(), said);
    }
}

#[test]
fn a_socket_on_every_address_is_named_by_the_one_the_caller_sees() {
    for (host, source, named) in [
        ("0.0.0.0", "127.0.0.1:5070", "127.0.0.1"),
        ("[::]", "[::1]:5070", "[::1]"),
        ("192.0.2.1", "127.0.0.1:5070", "192.0.2.1"),
        ("sip.example.com", "127.0.0.1:5070", "sip.example.com"),
    ] {
        let mut arrival = Arrival {
            transaction: None,
            to_tag: None,
            message: Bytes::new(),
            request_uri: String::new(),
            source: source.parse().unwrap(),
            socket: Socket {
                handle: 1,
                transport: "udp".into(),
                host: host.into(),
                port: 5060,
            },
            identity: String::new(),
            options: crate::focus::ScriptOptions::default(),
        };
        name_socket(&mut arrival);
        assert_eq!(arrival.socket.host, named);
    }
}

#[test]
fn a_commit_that_does_not_return_is_given_up_after_two_seconds() {
    let keep = || vec![Output::Store(vec![change()]), reply(200)];
    let mut bench = Bench::new([keep(), vec![Output::Store(vec![change()])]]);
    bench.accept(Frame::Cancel(ID));
    let end = NOW + COMMIT_TIMEOUT;
    assert_eq!(
        bench.service.deadline(),
        Some(end),
        "it comes back for that"
    );
    bench.turn(end - Duration::from_millis(1));
    assert_eq!(
        (bench.service.store.given_up, bench.host.replies.len()),
        (0, 0)
    );
    bench.turn(end);
    assert_eq!(bench.service.store.given_up, 1);
    assert_eq!(bench.host.replies, [(ID, 200)], "the answer goes out");
    assert_eq!(bench.service.deadline(), None);
}

#[test]
fn a_store_that_makes_progress_is_waited_for() {
    let keep = || vec![Output::Store(vec![change()])];
    let mut bench = Bench::new([keep(), keep(), keep()]);
    bench.accept(Frame::Cancel(ID));
    bench.accept(Frame::Cancel(ID));
    let second = Duration::from_secs(1);
    bench.turn(NOW + second);
    bench.service.store.settled = 1;
    bench.turn(NOW + second + second);
    bench.turn(NOW + second + second + second);
    assert_eq!(bench.service.store.given_up, 0, "one of two, a second ago");
    // An idle hour does not count as hanging.
    bench.service.store.settled = 2;
    bench.turn(NOW + second * 3600);
    bench
        .service
        .accept(NOW + second * 7200, Frame::Cancel(ID), &mut bench.host);
    bench.turn(NOW + second * 7201);
    assert_eq!(bench.service.store.given_up, 0);
    bench.turn(NOW + second * 7202);
    assert_eq!(bench.service.store.given_up, 1);
}

#[test]
fn nobody_new_is_let_in_while_too_much_waits_or_nothing_is_kept() {
    let mut flood = vec![Output::Store(vec![change()])];
    flood.extend((0..MAX_PENDING as u64).map(request));
    let mut bench = Bench::new([flood]);
    bench.accept(Frame::Cancel(ID));
    bench.turn(NOW);
    bench.turn(NOW);
    bench.service.store.settled = 1;
    bench.turn(NOW);
    bench.turn(NOW);
    bench.service.store.refuses = true;
    bench.turn(NOW);
    let all = bench.inputs();
    assert_eq!(all, "cancel 7:9, close true, close false, close true");
}

#[test]
fn a_request_of_the_operator_waits_for_what_it_needs_and_nobody_else_does() {
    let room = RoomUri::new("sip:team@example.com");
    let query = StoreQuery::Room(room.clone());
    let mut bench = Bench::new([vec![reply(200)]]);
    bench.service.core.needs = Some(query.clone());
    let request = || management::Action::Lock(room.clone(), true);
    bench.service.order(NOW, request(), &mut bench.host);
    bench.service.order(NOW, request(), &mut bench.host);
    assert_eq!(bench.service.store.asked, [query.clone(), query.clone()]);
    bench.accept(Frame::Cancel(ID));
    assert_eq!(bench.host.replies, [(ID, 200)]);
    assert_eq!(bench.service.core.operated, 0);
    let found = |answer| Found {
        query: query.clone(),
        answer,
    };
    let content = crate::focus::record::Content::Room {
        kept: None,
        remembers: false,
    };
    bench.service.store.found.push_back(found(Ok(content)));
    bench.turn(NOW);
    assert_eq!(bench.service.core.operated, 2);
    assert_eq!(bench.inputs(), "cancel 7:9, answered 7:9, found");
    // A request is not carried out when its rows cannot be read, or not in time.
    bench.service.order(NOW, request(), &mut bench.host);
    bench.service.store.found.push_back(found(Err(Unreadable)));
    bench.turn(NOW);
    bench.service.order(NOW, request(), &mut bench.host);
    bench.turn(NOW + DEFERRED_TIMEOUT);
    assert_eq!(bench.service.core.operated, 2);
    assert_eq!(bench.host.lines.len(), 2);
    assert!(
        bench
            .host
            .lines
            .iter()
            .all(|it| it.text.contains("cannot be read"))
    );
}
