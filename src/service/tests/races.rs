//! INVITE, CANCEL, the host's own answers, ACK and BYE in every order: a real focus between a
//! host, a switch and a store that do one thing at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::control::{Admission, LossCause};
use crate::entropy::Seeded;
use crate::focus;
use crate::focus::{Config, Focus, InviteMode, Listen, ScriptOptions, Transport};

const ROOM: &str = "sip:lobby@127.0.0.1";
/// CSeq and transaction numbers of BYEs begin here.
const FIRST_BYE: u32 = 100;
/// Longer than every timer of an INVITE, and shorter than a session.
const WHILE: Duration = Duration::from_secs(100);

/// The next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Invite,
    /// The switch admits every waiting session.
    Admit,
    /// The store commits everything.
    Settle,
    Cancel(Way),
    /// The ACK of a refusal, with the INVITE's own branch.
    AckOfRefusal,
    /// The ACK of a 2xx, a transaction of its own.
    AckOfAnswer,
    Bye,
}

/// The element that handles a CANCEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The script hands it to the module.
    Module,
    /// The script relays it: the host answers the INVITE 487.
    Host,
    /// The same, and the module is not notified.
    HostInSilence,
}

/// The purpose of the INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    First,
    /// It changes the session.
    Again,
    /// It brings a lost session back.
    Rejoin,
}

/// The host: one final answer a transaction.
#[derive(Default)]
struct Tm {
    answers: BTreeMap<u32, u16>,
    /// Answers it repeats until they are released.
    kept: BTreeSet<u32>,
}

impl Host for Tm {
    fn reply(&mut self, transaction: TransactionId, reply: &Reply) -> Result<(), NotReplied> {
        if self.answers.contains_key(&transaction.label) {
            return Err(NotReplied::Refused);
        }
        self.answers.insert(transaction.label, reply.code);
        if reply.until_ack {
            self.kept.insert(transaction.label);
        }
        Ok(())
    }
    fn release(&mut self, transaction: TransactionId) {
        assert!(self.kept.remove(&transaction.label), "released once");
    }
    fn send(
        &mut self,
        _request: &OutgoingRequest,
        _to: &Hop,
        _attempt: RequestId,
    ) -> Result<Departure, NotSent> {
        // Nobody is there to answer, so there is no outcome to wait for.
        Err(NotSent::Stopping)
    }
    fn connected(&mut self, _to: &Hop) -> bool {
        true
    }
    fn has_socket(&mut self, _to: &Hop) -> bool {
        true
    }
    fn cancel(&mut self, _transaction: TransactionId, _transport: resolve::Transport) {}
    fn find_socket(&mut self, _socket: &Socket) -> u64 {
        0
    }
    fn log(&mut self, _line: &Line) {}
}

/// The switch: its sessions, and those that wait for admission.
#[derive(Default)]
struct Sessions {
    asked: Vec<Admission>,
    known: BTreeMap<SessionId, Admission>,
}

impl Switch for Sessions {
    fn order(&mut self, order: Order) {
        match order {
            Order::Admit(admission) => {
                self.known
                    .insert(admission.session.clone(), (*admission).clone());
                self.asked.push(*admission);
            }
            Order::Amend(admission) => {
                let known = self.known.get_mut(&admission.session);
                *known.expect("amended after it ended") = *admission;
            }
            Order::Expel { session, .. } => drop(self.known.remove(&session)),
            _ => {}
        }
    }
    fn totals(&self) -> Totals {
        Totals::default()
    }
    fn stop(&mut self) {}
}

fn config() -> Config {
    let seconds = Duration::from_secs;
    Config {
        listen: vec![Listen {
            transport: Transport::Tcp,
            address: "127.0.0.1:2855".parse().expect("an address"),
        }],
        advertise: None,
        rooms: Vec::new(),
        factories: Vec::new(),
        adhoc: true,
        max_conferences: 10,
        max_participants: 10,
        max_list_size: 10,
        invite_mode: InviteMode::DialOut,
        credentials: Vec::new(),
        max_message_size: 10_000,
        bind_timeout: seconds(32),
        rejoin_grace: seconds(60),
        session_expires: seconds(1800),
        min_se: seconds(90),
        subscription_expires: seconds(600),
        notify_interval: seconds(1),
        notify_memory: 1 << 20,
        roster_limit: 100,
        full_notify_limit: 0,
        full_notify_agents: None,
        one_send_agents: None,
        software: "test".to_owned(),
    }
}

struct Race {
    service: Service<Focus, Sessions, Book>,
    notices: Sender<Notice>,
    tm: Tm,
    now: Moment,
    kind: Kind,
    cseq: u32,
    /// Number of the INVITE and of its transaction.
    transaction: u32,
    /// BYEs sent.
    byes: u32,
    /// The CANCEL came before a final answer.
    cancelled: bool,
    /// The ACK came after the 2xx.
    acknowledged: bool,
}

impl Race {
    fn new(kind: Kind) -> Self {
        let (notices, receiver) = unbounded();
        let statistics: &'static Statistics = Box::leak(Box::default());
        let mut new = Self {
            service: Service::new(
                Focus::new(config(), Box::new(Seeded(7))),
                Sessions::default(),
                Book::default(),
                receiver,
                statistics,
            ),
            notices,
            tm: Tm::default(),
            now: NOW,
            kind,
            cseq: 1,
            transaction: 1,
            byes: 0,
            cancelled: false,
            acknowledged: false,
        };
        if kind != Kind::First {
            new.be_in();
        }
        new
    }

    /// Joins, before the INVITE in question.
    fn be_in(&mut self) {
        for step in [Step::Invite, Step::Admit, Step::Settle, Step::AckOfAnswer] {
            self.happen(step);
        }
        assert!(self.acknowledged);
        if self.kind == Kind::Rejoin {
            let session = self.session();
            self.service.switch.known.clear();
            let room = RoomUri::new(ROOM);
            let cause = LossCause::Disconnected;
            self.tell(Notice::Lost {
                room,
                session,
                cause,
            });
        }
        (self.cseq, self.transaction) = (2, 2);
        self.acknowledged = false;
    }

    fn session(&self) -> SessionId {
        let mut known = self.service.switch.known.keys();
        known.next().expect("a session").clone()
    }

    fn tell(&mut self, notice: Notice) {
        self.notices.send(notice).expect("the service lives");
        self.service.turn(self.now, &mut self.tm);
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Invite => self.invite(),
            Step::Admit => {
                for admission in std::mem::take(&mut self.service.switch.asked) {
                    self.tell(Notice::Admitted {
                        room: admission.room,
                        session: admission.session,
                    });
                }
            }
            Step::Settle => {
                self.service.store.settled = self.service.store.given;
                self.service.turn(self.now, &mut self.tm);
            }
            Step::Cancel(way) => self.cancel(way),
            Step::AckOfRefusal => self.ack(self.transaction),
            Step::AckOfAnswer => self.ack(1_000 + self.transaction),
            Step::Bye => self.bye(),
        }
    }

    /// The final answer to the INVITE.
    fn answer(&self) -> Option<u16> {
        self.tm.answers.get(&self.transaction).copied()
    }

    fn invite(&mut self) {
        // If a CANCEL came first, the host may have answered already.
        let path = format!("msrp://127.0.0.1:2855/a{};tcp", self.cseq);
        let offer = format!(
            "v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=message 2855 TCP/MSRP *\r\na=path:{path}\r\na=accept-types:message/cpim\r\n\
             a=accept-wrapped-types:*\r\na=setup:active\r\n",
            self.cseq
        );
        self.request("INVITE", self.cseq, self.transaction, &offer);
    }

    fn cancel(&mut self, way: Way) {
        self.cancelled = self.answer().is_none();
        if way != Way::Module {
            self.tm.answers.entry(self.transaction).or_insert(487);
        }
        if way != Way::HostInSilence {
            let id = id(self.transaction);
            self.service
                .accept(self.now, Frame::Cancel(id), &mut self.tm);
        }
    }

    /// Once the 2xx has left, the ACK can belong to no other final answer, whatever its branch:
    /// some clients use the INVITE's branch for both.
    fn ack(&mut self, branch: u32) {
        self.acknowledged |= self.answer() == Some(200);
        self.request("ACK", self.cseq, branch, "");
    }

    fn bye(&mut self) {
        self.byes += 1;
        self.request("BYE", FIRST_BYE + self.byes, FIRST_BYE + self.byes, "");
    }

    fn is_gone(&self) -> bool {
        let mut byes = self.tm.answers.range(FIRST_BYE..);
        byes.any(|(_, code)| *code == 200)
    }

    fn request(&mut self, method: &str, cseq: u32, branch: u32, body: &str) {
        // The host's tag is known to a client that has received any answer with a tag.
        let inside = method != "INVITE" || cseq > 1;
        let tag = if inside { ";tag=ours" } else { "" };
        let message = format!(
            "{method} {ROOM} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK{branch}\r\n\
             From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <{ROOM}>{tag}\r\nCall-ID: c\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:alice@127.0.0.1:5070>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let arrival = Arrival {
            transaction: (method != "ACK").then(|| id(branch)),
            to_tag: Some("ours".to_owned()),
            message: message.into(),
            request_uri: ROOM.to_owned(),
            source: "127.0.0.1:5070".parse().expect("an address"),
            socket: Socket {
                handle: 1,
                transport: "udp".into(),
                host: "127.0.0.1".into(),
                port: 5060,
            },
            identity: "sip:alice@127.0.0.1".to_owned(),
            options: ScriptOptions::default(),
        };
        let frame = Frame::Request(Box::new(arrival));
        self.service.accept(self.now, frame, &mut self.tm);
    }

    /// Lets time pass; switch and store go on.
    fn pass(&mut self, while_: Duration) {
        let end = self.now + while_;
        loop {
            self.happen(Step::Admit);
            self.happen(Step::Settle);
            match self.service.deadline().filter(|at| *at <= end) {
                Some(at) => self.now = at.max(self.now),
                None => break,
            }
        }
        self.happen(Step::Settle);
        self.now = end;
    }

    fn counts(&self) -> focus::Counts {
        self.service.core.counts()
    }

    /// The invariants once every event has arrived.
    fn check(&mut self) {
        self.happen(Step::Admit);
        self.happen(Step::Settle);
        let answered = self.answer().expect("every INVITE gets a final answer") == 200;
        assert!(!(answered && self.cancelled), "RFC 3261 §9.2");
        if self.kind != Kind::First && !self.is_gone() && !answered {
            self.check_unchanged();
        }
        if !self.is_gone() && !answered && self.kind == Kind::First {
            self.nothing_is_left();
        }
        self.pass(WHILE);
        let stays = match self.kind {
            Kind::First => answered && self.acknowledged,
            Kind::Again => !answered || self.acknowledged,
            // Without its session nothing waits for it any longer.
            Kind::Rejoin => answered && self.acknowledged,
        };
        let inside = usize::from(stays && !self.is_gone());
        assert_eq!(self.counts().participants, inside);
        assert_eq!(self.service.switch.known.len(), inside);
        if inside == 1 {
            self.happen(Step::Bye);
            self.happen(Step::Settle);
        }
        self.nothing_is_left();
        assert_eq!(self.service.deadline(), None);
    }

    /// The participant is as it was before a re-INVITE that was refused.
    fn check_unchanged(&self) {
        assert_eq!(self.counts().participants, 1);
        let known = &self.service.switch.known;
        match self.kind {
            Kind::Rejoin => assert_eq!(known.len(), 0, "still lost"),
            _ => assert_eq!(
                known[&self.session()].peer.path,
                ["msrp://127.0.0.1:2855/a1;tcp"]
            ),
        }
    }

    fn nothing_is_left(&self) {
        assert_eq!(self.counts(), focus::Counts::default());
        assert!(self.service.switch.known.is_empty(), "a session is left");
        assert!(self.tm.kept.is_empty(), "an answer is repeated for ever");
        assert!(self.service.is_idle());
    }
}

fn id(label: u32) -> TransactionId {
    TransactionId { hash: 1, label }
}

/// Every order of `steps` in which the switch admits after the INVITE and the store commits after
/// that.
fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in steps.iter().enumerate() {
        let waits_for = |earlier| steps.contains(&earlier);
        let early = match first {
            Step::Admit => waits_for(Step::Invite),
            Step::Settle => waits_for(Step::Admit),
            _ => false,
        };
        if early {
            continue;
        }
        let mut rest = steps.to_vec();
        rest.remove(at);
        for mut order in orders(&rest) {
            order.insert(0, *first);
            all.push(order);
        }
    }
    all
}

/// Plays every order of these steps, with and without each of the last three.
fn play(kind: Kind) {
    for way in [Way::Module, Way::Host, Way::HostInSilence] {
        let cancel = Step::Cancel(way);
        let (refusal, answer) = (Step::AckOfRefusal, Step::AckOfAnswer);
        for more in [
            vec![],
            vec![cancel],
            vec![cancel, refusal],
            vec![answer, Step::Bye],
            vec![cancel, refusal, answer],
            vec![cancel, refusal, answer, Step::Bye],
        ] {
            let steps = [vec![Step::Invite, Step::Admit, Step::Settle], more].concat();
            for order in orders(&steps) {
                let run = std::panic::AssertUnwindSafe(|| {
                    let mut race = Race::new(kind);
                    order.iter().for_each(|step| race.happen(*step));
                    race.check();
                });
                if let Err(panic) = std::panic::catch_unwind(run) {
                    eprintln!("{kind:?}: {order:?}");
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

#[test]
fn f16_an_invite_that_is_not_answered_200_leaves_nothing_in_any_order() {
    play(Kind::First);
}

#[test]
fn f16_a_reinvite_that_is_not_answered_200_changes_nothing_in_any_order() {
    play(Kind::Again);
}

#[test]
fn f16_a_rejoin_that_is_not_answered_200_changes_nothing_in_any_order() {
    play(Kind::Rejoin);
}
