//! A stopped switch: nobody waits for long, and nothing is half done.

use crate::harness::agent::{Agent, Transport};
use crate::harness::participant::{Participant, client_path, invite, offer};
use crate::harness::plan::{Plan, free_port};
use crate::harness::proxy::wait_until;
use crate::harness::{PATIENCE, on_every_host};
use crate::program::Program;
use crate::stage::Folder;

#[test]
fn f18_a_switch_that_stands_still_gets_callers_503_and_leaves_nothing() {
    on_every_host(|host| {
        let folder = Folder::new();
        let program = Program::start(&folder, &[]);
        let proxy = Plan::new(host)
            .ports(free_port(), program.msrp.port())
            .parameter("switch", format!("unix:{}", folder.socket().display()))
            .start();
        let met = || proxy.log().contains("drives the switch at");
        assert!(wait_until(PATIENCE, met), "{}", proxy.log());
        // By TCP, so that no other worker overtakes the one with her first INVITE.
        let mut alice = Participant::join(&proxy, "alice", Transport::Tcp, "lobby");
        alice.link.close();
        assert!(wait_until(PATIENCE, || proxy.statistic("losses") == 1));
        program.signal("STOP");
        // Her re-INVITE requests a new session; while it waits, another is too early.
        let mut again = || {
            let draft = alice.dialog.request(&alice.agent, "INVITE");
            draft.body("application/sdp", offer(&alice.own_path))
        };
        let (first, second, third) = (again(), again(), again());
        alice.agent.send(&first);
        let trying = alice.agent.response(&first, PATIENCE, |code| code == 100);
        assert!(trying.is_some());
        let early = alice.agent.exchange(&second);
        let pause = early
            .headers
            .first("Retry-After")
            .and_then(|it| it.parse().ok());
        assert_eq!(early.code, 500);
        assert!(pause.is_some_and(|seconds: u8| seconds <= 10), "{pause:?}");
        let bob = Agent::new("bob", proxy.sip, Transport::Udp);
        let draft = invite(&bob, &proxy.room("lobby"), &client_path());
        let refused = bob.exchange(&draft);
        let said = |name: &str| refused.headers.first(name).unwrap_or_default().to_owned();
        assert_eq!((refused.code, said("Retry-After").as_str()), (503, "10"));
        assert!(said("Warning").contains("the switch does not answer"));
        assert_eq!(alice.agent.final_response(&first).code, 503);
        assert_eq!(proxy.statistic("participants"), 1, "she has not left");
        program.signal("CONT");
        let back = alice.agent.exchange(&third);
        assert_eq!(back.code, 200);
        assert!(wait_until(PATIENCE, || proxy.statistic("sessions") == 1));
        assert_eq!(proxy.statistic("joins"), 1);
        proxy.stop();
    });
}
