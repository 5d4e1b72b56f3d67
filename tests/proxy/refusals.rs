//! A refusal explains itself: the code, a Warning for people, and when to try again.

use msrp_conference::wire::sip::Response;

use super::harness::agent::{Agent, Transport};
use super::harness::draft::Draft;
use super::harness::host::Host;
use super::harness::participant::{Participant, client_path, invite, offer_with};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};

/// Asserts the code and a Warning (RFC 3261 §20.43) with these words.
fn says(answer: &Response, code: u16, words: &str) {
    assert_eq!(answer.code, code, "{words}");
    let warning = answer.headers.first("Warning").unwrap_or_default();
    let text = warning.strip_prefix("399 msrp_conference \"");
    assert!(
        text.is_some_and(|text| text.contains(words)),
        "{code}: {warning:?}"
    );
}

fn start(host: &Host) -> Proxy {
    Plan::new(host)
        .parameter("adhoc", "no")
        .parameter("max_conferences", 3)
        .parameter("room", "sip:club@127.0.0.1;deny=*mallory*")
        .parameter(
            "room",
            "sip:vault@127.0.0.1;locked=yes;moderators=sip:alice@127.0.0.1",
        )
        .parameter("room", "sip:cabin@127.0.0.1;max=1")
        .parameter("factory", "sip:new@127.0.0.1;end=empty")
        .start()
}

fn knock(proxy: &Proxy, user: &str, room: &str) -> Response {
    let agent = Agent::new(user, proxy.sip, Transport::Udp);
    agent.exchange(&invite(&agent, &proxy.room(room), &client_path()))
}

#[test]
fn each_refusal_of_a_join_says_why() {
    on_every_host(|host| {
        let proxy = start(host);
        says(&knock(&proxy, "mallory", "club"), 403, "not welcome");
        let line = "sip:mallory@127.0.0.1 was not let into sip:club@127.0.0.1";
        assert!(wait_until(PATIENCE, || proxy.log().contains(line)));
        says(&knock(&proxy, "bob", "nowhere"), 404, "no such room");
        says(&knock(&proxy, "bob", "new-abcdefgh"), 404, "no such room");
        says(&knock(&proxy, "bob", "vault"), 480, "locked");
        let _first = Participant::join(&proxy, "alice", Transport::Udp, "cabin");
        says(&knock(&proxy, "bob", "cabin"), 486, "full");
        let agent = Agent::new("bob", proxy.sip, Transport::Udp);
        let draft = |sdp: String| {
            agent
                .draft("INVITE", &proxy.room("club"))
                .body("application/sdp", sdp)
        };
        let no_cpim = offer_with(&client_path(), "text/plain", "a=setup:active\r\n");
        says(&agent.exchange(&draft(no_cpim)), 488, "message/cpim");
        let over_tls = offer_with(&client_path(), "message/cpim", "")
            .replace("TCP/MSRP", "TCP/TLS/MSRP")
            .replace("msrp:", "msrps:");
        says(&agent.exchange(&draft(over_tls)), 488, "TLS");
        // The cabin's conference runs; two more fill the server.
        let (_one, _two) = (
            Participant::join(&proxy, "bob", Transport::Udp, "lobby"),
            Participant::join(&proxy, "bob", Transport::Udp, "club"),
        );
        let full = knock(&proxy, "carol", "new");
        says(&full, 503, "too many conferences");
        let pause = full.headers.first("Retry-After").map(str::parse::<u32>);
        assert!(matches!(pause, Some(Ok(1..))), "{pause:?}");
        proxy.stop();
    });
}

#[test]
fn each_privileged_act_without_the_role_gets_403() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter(
                "room",
                "sip:board@127.0.0.1;moderators=sip:alice@127.0.0.1;observers=sip:olga@127.0.0.1;invite=moderators",
            )
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "board");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "board");
        let olga = Participant::join(&proxy, "olga", Transport::Udp, "board");
        let mallory = Agent::new("mallory", proxy.sip, Transport::Udp);
        let refer = |agent: &Agent, target: &str| -> Response {
            let room = proxy.room("board");
            agent.exchange(&agent.draft("REFER", &room).set("Refer-To", target))
        };
        for agent in [&bob.agent, &olga.agent] {
            let answer = refer(agent, "<sip:alice@127.0.0.1;method=BYE>");
            says(&answer, 403, "only moderators may remove");
            let answer = refer(agent, "<sip:dave@127.0.0.1:9>");
            says(&answer, 403, "only moderators may add");
        }
        says(
            &refer(&mallory, "<sip:dave@127.0.0.1:9>"),
            403,
            "only participants",
        );
        let list = list_of(&bob.agent, &proxy, "sip:dave@127.0.0.1:9");
        says(
            &bob.agent.exchange(&list),
            403,
            "only moderators may invite",
        );
        let mut dialog = bob.dialog.clone();
        let foreign = format!("{};local-tag=x;remote-tag=y", alice.dialog.call_id);
        let draft = dialog
            .request(&bob.agent, "REFER")
            .set("Refer-To", "<sip:bob@127.0.0.1;method=BYE>")
            .set("Target-Dialog", foreign);
        says(&bob.agent.exchange(&draft), 403, "Target-Dialog");
        let draft = dialog
            .request(&bob.agent, "SUBSCRIBE")
            .set("Event", "conference");
        says(
            &bob.agent.exchange(&draft),
            403,
            "outside the INVITE dialog",
        );
        proxy.stop();
    });
}

fn list_of(agent: &Agent, proxy: &Proxy, uri: &str) -> Draft {
    let body = super::refer::with_list(&[uri.to_owned()]);
    agent
        .draft("INVITE", &proxy.room("board"))
        .set("Require", "recipient-list-invite")
        .body("multipart/mixed;boundary=b1", body)
}
