//! A room's life, as a client sees it: joins, messages, invitations, departures.

use msrp_conference::wire::conference_info::State;
use tempfile::TempDir;

use super::harness::agent::{Agent, Transport};
use super::harness::host::{Family, Host};
use super::harness::invited::Invited;
use super::harness::msrp::Link;
use super::harness::participant::{Participant, client_path, invite, offer};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};

/// A configuration whose script runs other modules before the room gets a request.
pub(crate) struct Neighbour {
    /// The host of these modules.
    pub(crate) family: Family,
    /// Settings of the core.
    pub(crate) settings: &'static str,
    /// The modules it needs beside those of the example, in this order.
    pub(crate) modules: &'static [&'static str],
    /// Their parameters.
    pub(crate) lines: String,
    /// Statements first in the request route.
    pub(crate) script: String,
    /// Further routes.
    pub(crate) routes: &'static str,
}

impl Neighbour {
    /// A script that adds nothing to the example.
    pub(crate) const fn none(family: Family) -> Self {
        Self {
            family,
            settings: "",
            modules: &[],
            lines: String::new(),
            script: String::new(),
            routes: "",
        }
    }

    /// Whether this host is of the family and has the modules; prints a message when it lacks some.
    pub(crate) fn is_at(&self, host: &Host) -> bool {
        host.family == self.family && host.has_modules(self.modules)
    }

    /// The example with this neighbour.
    pub(crate) fn beside(&self, plan: Plan) -> Plan {
        let load = |name: &&str| format!("loadmodule \"{name}.so\"\n");
        let modules: String = self.modules.iter().map(load).collect();
        plan.parameter("notify_interval_ms", 100)
            .settings(self.settings)
            .lines(&(modules + &self.lines))
            .script(&self.script)
            .routes(self.routes)
    }

    fn start(&self, host: &Host) -> Proxy {
        let plan = Plan::new(host).parameter("invite_mode", "dial_out");
        self.beside(plan).start()
    }

    /// Runs the story on every host of the family, twice: the second run must leave nothing behind.
    pub(crate) fn leaves_nothing(&self) {
        on_every_host(|host| self.leaves_nothing_on(host, |_| {}));
    }

    /// The same on one host; then `check` verifies further conditions.
    pub(crate) fn leaves_nothing_on(&self, host: &Host, check: impl Fn(&Proxy)) {
        if !self.is_at(host) {
            return;
        }
        let proxy = self.start(host);
        tell(&proxy);
        let before = at_rest(&proxy);
        tell(&proxy);
        at_rest(&proxy);
        holds_no_more(&proxy, before);
        check(&proxy);
        proxy.stop();
    }

    /// The room works, but a module of the host keeps something, which `check` verifies.
    pub(crate) fn works_but(&self, check: impl Fn(&Proxy)) {
        on_every_host(|host| {
            if !self.is_at(host) {
                return;
            }
            let proxy = self.start(host);
            tell(&proxy);
            at_rest(&proxy);
            check(&proxy);
            proxy.stop();
        });
    }
}

/// The story.
fn tell(proxy: &Proxy) {
    let mut alice = Participant::join_and_subscribe(proxy, "alice", Transport::Udp, "team");
    let mut bob = Participant::join_and_subscribe(proxy, "bob", Transport::Tcp, "team");
    for each in [&mut alice, &mut bob] {
        assert!(is_focus(&each.answer.headers), "{:?}", each.answer);
        each.sees(&["alice", "bob"]);
    }
    let told = &alice.subscription.as_ref().expect("a subscription").roster;
    assert_eq!(told.kinds.first(), Some(&State::Full));
    assert_eq!(told.kinds.last(), Some(&State::Partial));
    talk(&alice, &bob);
    refresh(&mut alice, "UPDATE");
    refresh(&mut bob, "INVITE");
    talk(&alice, &bob);
    withdraw(proxy);
    let (dave, link) = bring_in(proxy, &alice, "dave");
    bob.sees(&["alice", "bob", "dave"]);
    let words = alice.say("welcome");
    let heard = link.request("SEND", PATIENCE).and_then(|frame| frame.body);
    assert_eq!(heard, Some(words));
    assert_eq!(refer(&alice, "<sip:dave@127.0.0.1;method=BYE>"), 200);
    assert!(dave.agent.request("BYE", PATIENCE).is_some(), "no BYE");
    assert!(link.is_closed(PATIENCE));
    succeeds(&alice);
    bob.leave();
    alice.sees(&["alice"]);
    unsubscribe(&mut alice);
    unsubscribe(&mut bob);
    alice.leave();
}

/// Whether a Contact has `isfocus` (RFC 4579 §5.2).
fn is_focus(headers: &msrp_conference::wire::sip::Headers) -> bool {
    let contact = headers.first("Contact").unwrap_or_default();
    contact.contains(";isfocus")
}

fn talk(alice: &Participant, bob: &Participant) {
    let words = alice.say("good morning");
    bob.hears(&words);
    let words = bob.say("it is noon");
    alice.hears(&words);
}

/// A session refresh by the client, with its present description.
fn refresh(who: &mut Participant, method: &str) {
    let draft = who.dialog.request(&who.agent, method);
    let draft = draft.body("application/sdp", offer(&who.own_path));
    let answer = who.agent.exchange(&draft);
    assert_eq!(answer.code, 200, "{method}: {}", answer.reason);
    if method == "INVITE" {
        who.agent.send(&who.dialog.ack(&who.agent));
    }
}

/// An INVITE that is cancelled before the room gets it: 487, and nobody joined.
fn withdraw(proxy: &Proxy) {
    let carol = Agent::new("carol", proxy.sip, Transport::Udp);
    let draft = invite(&carol, &proxy.room("team"), &client_path());
    let conference = proxy.conference_process();
    proxy.signal(conference, "STOP");
    carol.send(&draft);
    // Until then, a CANCEL may overtake its INVITE (RFC 3261 §9.1).
    let trying = carol.response(&draft, PATIENCE, |code| code == 100);
    let cancelled = carol.exchange(&draft.cancel()).code;
    proxy.signal(conference, "CONT");
    assert!(trying.is_some(), "no 100");
    assert_eq!(cancelled, 200, "CANCEL");
    assert_eq!(carol.final_response(&draft).code, 487);
}

/// Sends REFER outside the INVITE dialog; returns the code.
fn refer(who: &Participant, target: &str) -> u16 {
    let draft = who.agent.draft("REFER", &who.room).set("Refer-To", target);
    who.agent.exchange(&draft).code
}

/// The room invites a user.
fn bring_in(proxy: &Proxy, by: &Participant, user: &str) -> (Invited, Link) {
    let guest = Invited::new(proxy, user);
    assert_eq!(refer(by, &format!("<{}>", guest.uri())), 200);
    let invite = guest.asked("INVITE");
    assert!(is_focus(&invite.headers), "{invite:?}");
    guest.answer(&invite, 180);
    let link = guest.accept(proxy, &invite, &invite.body);
    succeeds(by);
    (guest, link)
}

/// The last report of a REFER must be a success.
fn succeeds(who: &Participant) {
    let last = who.agent.timed_request(PATIENCE, |request| {
        let event = request.headers.first("Event").unwrap_or_default();
        let state = request.headers.first("Subscription-State");
        event.starts_with("refer") && state.is_some_and(|state| state.starts_with("terminated"))
    });
    let (report, _) = last.expect("the REFER has no outcome");
    assert!(report.body.starts_with(b"SIP/2.0 200"), "{report:?}");
}

fn unsubscribe(who: &mut Participant) {
    let watch = who.subscription.as_mut().expect("a subscription");
    let draft = watch.dialog.request(&who.agent, "SUBSCRIBE");
    let draft = draft.set("Event", "conference").set("Expires", "0");
    assert_eq!(who.agent.exchange(&draft).code, 200);
    let last = who.agent.timed_request(PATIENCE, |request| {
        let state = request.headers.first("Subscription-State");
        request.headers.first("Call-ID") == Some(&watch.dialog.call_id)
            && state.is_some_and(|state| state.starts_with("terminated"))
    });
    assert!(last.is_some(), "the subscription does not end");
}

/// Waits until nothing happens any more; returns the octets of shared memory.
pub(crate) fn at_rest(proxy: &Proxy) -> u64 {
    let gauges = ["conferences", "participants", "subscriptions", "sessions"];
    let held = || gauges.map(|name| proxy.statistic(name));
    assert!(wait_until(PATIENCE, || held() == [0; 4]), "{:?}", held());
    assert_eq!(proxy.statistic("panics"), 0);
    let done = wait_until(PATIENCE * 2, || proxy.transactions() == 0);
    assert!(done, "{} transactions stay", proxy.transactions());
    proxy.assert_quiet_log();
    proxy.shared_memory()
}

/// Asserts that shared memory has not grown by an octet.
pub(crate) fn holds_no_more(proxy: &Proxy, before: u64) {
    let no_more = wait_until(PATIENCE, || proxy.shared_memory() <= before);
    let now = proxy.shared_memory();
    assert!(no_more, "shared memory: {before}, then {now}");
}

/// Asserts that the accounting module has written a line for every call.
pub(crate) fn has_records(proxy: &Proxy) {
    let log = proxy.log();
    for method in ["INVITE", "BYE"] {
        let record = [
            "ACC: transaction answered",
            &format!("method={method}"),
            "code=200",
        ];
        let is_it = |line: &str| record.iter().all(|part| line.contains(part));
        assert!(log.lines().any(is_it), "no record of {method}: {log}");
    }
}

/// A folder that is deleted with its owner. Not in one called `tmp`: the harness replaces that
/// name.
pub(crate) fn folder() -> TempDir {
    let program = std::env::current_exe().expect("own path");
    let beside = program.parent().expect("a folder");
    TempDir::new_in(beside).expect("a folder")
}
