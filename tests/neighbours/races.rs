//! INVITEs cancelled at the moment they are answered: whichever wins, both sides agree and nothing
//! is left.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::time::{Duration, Instant};

use msrp_conference::wire::sip::{Message, Response};

use super::harness::PATIENCE;
use super::harness::agent::{Agent, Received, Transport};
use super::harness::alone;
use super::harness::draft::{Dialog, Draft};
use super::harness::host::Host;
use super::harness::participant::{client_path, invite};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::story::{at_rest, folder, holds_no_more};

/// INVITEs in a run; `CANCEL_RACES` sets another number.
const PAIRS: usize = 600;
/// 300 a second.
const BETWEEN: Duration = Duration::from_micros(3_333);
/// Number of different delays of a CANCEL after the provisional response: from at once to after the
/// answer.
const DELAYS: u32 = 16;
const DELAY: Duration = Duration::from_micros(100);

/// A call to cancel.
struct Call {
    draft: Draft,
    /// When to send its CANCEL (RFC 3261 §9.1: not before a provisional response).
    cancel_at: Option<Instant>,
    /// The dialog that its 200 created.
    dialog: Option<Dialog>,
    code: Option<u16>,
    /// A BYE waits for its answer.
    leaving: bool,
}

/// The callers behind one socket.
struct Callers<'a> {
    agent: &'a Agent,
    room: String,
    calls: HashMap<String, Call>,
    /// Calls whose CANCEL is due, in order.
    last: Instant,
}

impl Callers<'_> {
    fn call(&mut self, number: usize) {
        let draft = invite(self.agent, &self.room, &client_path());
        let from = format!("<sip:u{number}@127.0.0.1>;tag={number}");
        let draft = draft.set("From", from);
        self.agent.send(&draft);
        let call = Call {
            draft,
            cancel_at: None,
            dialog: None,
            code: None,
            leaving: false,
        };
        self.calls.insert(call.draft.header("Call-ID").into(), call);
    }

    /// Handles messages and sends due CANCELs until `end`.
    fn until(&mut self, end: Instant) {
        loop {
            self.cancel_due();
            let next = self.calls.values().filter_map(|call| call.cancel_at).min();
            let until = next.map_or(end, |next| next.min(end));
            let left = until.saturating_duration_since(Instant::now());
            if let Some(Received { message, at }) = self.agent.inbox.take(left, |_| true)
                && let Message::Response(response) = message
            {
                self.take(&response, at);
            }
            if Instant::now() >= end {
                return;
            }
        }
    }

    fn cancel_due(&mut self) {
        let now = Instant::now();
        for call in self.calls.values_mut() {
            if call.cancel_at.is_some_and(|at| at <= now) {
                call.cancel_at = None;
                self.agent.send(&call.draft.cancel());
            }
        }
    }

    fn take(&mut self, response: &Response, at: Instant) {
        let cseq = response.headers.first("CSeq").unwrap_or_default();
        let id = response.headers.first("Call-ID").unwrap_or_default();
        let call = self.calls.get_mut(id).expect("a call");
        if cseq.ends_with("BYE") {
            call.leaving = false;
        }
        if !cseq.ends_with("INVITE") {
            return;
        }
        match response.code {
            100..200 if call.code.is_none() => {
                let delay = DELAY * (at.elapsed().subsec_micros() % DELAYS);
                call.cancel_at = Some(at + delay);
            }
            100..200 => {}
            200..300 => call.answered(self.agent, response),
            code => {
                assert!(
                    call.dialog.is_none(),
                    "{code} after a 200: {}",
                    call.draft.header("Call-ID")
                );
                call.code = Some(code);
                let to = response.headers.first("To").unwrap_or_default();
                self.agent.send(&call.draft.ack_of_refusal(to));
            }
        }
        if response.code >= 200 {
            call.cancel_at = None;
            self.last = Instant::now();
        }
    }

    fn unfinished(&self) -> usize {
        let open = |call: &&Call| call.code.is_none() || call.leaving;
        self.calls.values().filter(open).count()
    }

    /// Number of calls per final answer.
    fn outcomes(&self) -> BTreeMap<u16, usize> {
        let mut outcomes = BTreeMap::new();
        for code in self.calls.values().filter_map(|call| call.code) {
            *outcomes.entry(code).or_default() += 1;
        }
        outcomes
    }
}

impl Call {
    /// Every 200 gets its ACK; the first also a BYE.
    fn answered(&mut self, agent: &Agent, response: &Response) {
        assert!(
            self.code.is_none_or(|code| code == 200),
            "200 after {:?}",
            self.code
        );
        let is_new = self.dialog.is_none();
        let dialog = self
            .dialog
            .get_or_insert_with(|| Dialog::new(&self.draft, response));
        let mut first = dialog.clone();
        first.cseq = self.draft.cseq();
        agent.send(&first.ack(agent));
        if is_new {
            (self.code, self.leaving) = (Some(200), true);
            agent.send(&dialog.request(agent, "BYE"));
        }
    }
}

/// Runs the calls; nobody may be left a second after the last answer.
fn run(proxy: &Proxy, pairs: usize) {
    let agent = Agent::new("crowd", proxy.sip, Transport::Udp);
    let mut callers = Callers {
        agent: &agent,
        room: proxy.room("team"),
        calls: HashMap::new(),
        last: Instant::now(),
    };
    let start = Instant::now();
    for number in 0..pairs {
        callers.call(number);
        callers.until(start + BETWEEN * (number as u32 + 1));
    }
    let end = Instant::now() + PATIENCE;
    while callers.unfinished() > 0 && Instant::now() < end {
        callers.until(Instant::now() + Duration::from_millis(5));
    }
    let (open, outcomes) = (callers.unfinished(), callers.outcomes());
    assert_eq!(open, 0, "calls without an end; {outcomes:?}");
    let here = || ["conferences", "participants", "sessions"].map(|name| proxy.statistic(name));
    let gone = wait_until(Duration::from_secs(1), || here() == [0; 3]);
    eprintln!("{}: {outcomes:?}", proxy.host.name);
    assert!(
        gone,
        "{:?} stay a second after {:?}; {outcomes:?}",
        here(),
        callers.last.elapsed()
    );
    assert!(
        outcomes.keys().all(|code| [200, 487].contains(code)),
        "{outcomes:?}"
    );
}

fn race(host: &Host, script: &str) {
    // An answer waits for its commit.
    let state = folder();
    let plan = Plan::new(host).state_in(state.path());
    let proxy = plan.script(script).start();
    run(&proxy, 60);
    let before = at_rest(&proxy);
    let wanted = env::var("CANCEL_RACES").ok();
    let pairs = wanted.and_then(|it| it.parse().ok()).unwrap_or(PAIRS);
    run(&proxy, pairs);
    at_rest(&proxy);
    holds_no_more(&proxy, before);
    proxy.stop();
}

#[test]
fn cancels_handed_to_the_room_race_its_answers() {
    alone(|host| race(host, ""));
}

#[test]
fn cancels_relayed_by_the_script_race_the_rooms_answers() {
    let script = "if (is_method(\"CANCEL\")) { if (t_check_trans()) { t_relay(); } exit; }\n";
    alone(|host| race(host, script));
}
