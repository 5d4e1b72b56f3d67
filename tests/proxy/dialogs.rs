//! Dialogs with the room in all variants: late and repeated offers, hold, glare, timers, devices
//! that replace each other.

use std::time::{Duration, Instant};

use msrp_conference::wire::sdp::Description;
use msrp_conference::wire::sip::{Headers, Request, Response};

use super::harness::agent::{Agent, Transport, unique};
use super::harness::draft::{Dialog, Draft};
use super::harness::host::Host;
use super::harness::msrp::{Frame, Link};
use super::harness::participant::{
    Participant, Subscription, client_path, cpim, invite, offer, path_of,
};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, SILENCE, on_every_host};
use super::refer::is_report;

fn start(host: &Host) -> Proxy {
    Plan::new(host).parameter("notify_interval_ms", 100).start()
}

/// A request with SDP in a participant's dialog.
fn describe(who: &mut Participant, method: &str, more: &str) -> Response {
    let sdp = offer(&who.own_path) + more;
    let draft = who.dialog.request(&who.agent, method);
    let answer = who.agent.exchange(&draft.body("application/sdp", sdp));
    if method == "INVITE" && answer.code == 200 {
        who.agent.send(&who.dialog.ack(&who.agent));
    }
    answer
}

fn direction(answer: &Response) -> Option<String> {
    let media = Description::parse(&answer.body)
        .expect("an SDP answer")
        .media;
    let known = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let said = media[0].attributes.iter().map(|it| it.name.clone());
    said.into_iter().find(|name| known.contains(&name.as_str()))
}

#[test]
fn c88_an_invite_without_offer_is_offered_to() {
    on_every_host(|host| {
        let proxy = start(host);
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = alice.draft("INVITE", &proxy.room("team"));
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200);
        let offered = Description::parse(&answer.body).expect("an offer");
        assert_eq!(
            offered.media[0].attribute("setup"),
            Some(Some("actpass")),
            "U02"
        );
        let mut dialog = Dialog::new(&draft, &answer);
        // While our offer has no answer, another one is glare (RFC 3311 §5.2).
        let early = dialog.request(&alice, "UPDATE");
        let early = early.body("application/sdp", offer(&client_path()));
        assert_eq!(alice.exchange(&early).code, 491);
        let own = client_path();
        let ack = Dialog { cseq: 1, ..dialog }.ack(&alice);
        alice.send(&ack.body("application/sdp", offer(&own)));
        let link = Link::connect(proxy.msrp);
        let bind = Frame::request("SEND", &path_of(&answer.body), &own)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", "1-0/0");
        assert_eq!(link.exchange(&bind).kind, "200");
        let words = bob.say("hello");
        let heard = link.inbox.take(PATIENCE, |frame| frame.body.is_some());
        assert_eq!(heard.and_then(|frame| frame.body), Some(words));
        proxy.stop();
    });
}

#[test]
fn e14_f18_hold_by_invite_and_by_update() {
    on_every_host(|host| {
        let proxy = start(host);
        let mut alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let bob = Participant::join(&proxy, "bob", Transport::Tcp, "team");
        let mut watch = Subscription::start(&bob.agent, &bob.room, 600);
        for method in ["INVITE", "UPDATE"] {
            let held = describe(&mut alice, method, "a=inactive\r\n");
            assert_eq!(
                (held.code, direction(&held).as_deref()),
                (200, Some("inactive"))
            );
            shows(&mut watch, &bob.agent, "on-hold");
            bob.say("she does not hear this");
            let back = describe(&mut alice, method, "");
            assert_eq!((back.code, direction(&back)), (200, None));
            shows(&mut watch, &bob.agent, "connected");
            let words = bob.say("but this");
            alice.hears(&words);
        }
        // An unusable offer leaves everything as it was.
        let draft = alice.dialog.request(&alice.agent, "INVITE");
        let audio = "v=0\r\no=- 7 9 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let refused = alice.agent.exchange(&draft.body("application/sdp", audio));
        assert_eq!(refused.code, 488);
        let words = bob.say("still here?");
        alice.hears(&words);
        proxy.stop();
    });
}

/// Waits for a document in which Alice's device has this status.
fn shows(watch: &mut Subscription, agent: &Agent, status: &str) {
    let wanted = format!("<status>{status}</status>");
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "nobody is {status}");
        let notify = watch.next(agent, PATIENCE).expect("a NOTIFY");
        let body = String::from_utf8_lossy(&notify.body).into_owned();
        if body.contains(&wanted) && body.contains("sip:alice@127.0.0.1") {
            return;
        }
    }
}

#[test]
fn f19_merged_and_late_requests() {
    on_every_host(|host| {
        let proxy = start(host);
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let by_another_way = |draft: &Draft| {
            let via = draft
                .header("Via")
                .replace("branch=z9hG4bK", "branch=z9hG4bKmerged");
            draft.clone().set("Via", via)
        };
        let draft = invite(&alice, &proxy.room("team"), &client_path());
        let answer = alice.exchange(&draft);
        assert_eq!(answer.code, 200);
        assert_eq!(alice.exchange(&by_another_way(&draft)).code, 482);
        let mut dialog = Dialog::new(&draft, &answer);
        alice.send(&dialog.ack(&alice));
        let watch = super::harness::participant::subscribe(&alice, &proxy.room("team"), 600);
        assert_eq!(alice.exchange(&watch).code, 200);
        assert_eq!(alice.exchange(&by_another_way(&watch)).code, 482);
        let add = alice
            .draft("REFER", &proxy.room("team"))
            .set("Refer-To", "<sip:nobody@127.0.0.1:9>");
        assert_eq!(alice.exchange(&add).code, 200);
        assert_eq!(alice.exchange(&by_another_way(&add)).code, 482);
        // RFC 3261 §12.2.2: out of order is 500, and the dialog lives on.
        dialog.cseq = 10;
        assert_eq!(alice.exchange(&dialog.request(&alice, "OPTIONS")).code, 200);
        dialog.cseq = 4;
        assert_eq!(alice.exchange(&dialog.request(&alice, "OPTIONS")).code, 500);
        dialog.cseq = 11;
        assert_eq!(alice.exchange(&dialog.request(&alice, "BYE")).code, 200);
        assert_eq!(alice.exchange(&dialog.request(&alice, "BYE")).code, 481);
        proxy.stop();
    });
}

/// `Replaces` or `Join` in the notation of its own side.
fn reference(dialog: &Dialog) -> String {
    let tag = |value: &str| value.split("tag=").nth(1).unwrap_or_default().to_owned();
    format!(
        "{};to-tag={};from-tag={}",
        dialog.call_id,
        tag(&dialog.remote),
        tag(&dialog.local)
    )
}

#[test]
fn f08_replaces_moves_a_user_to_another_device() {
    on_every_host(|host| {
        let proxy = start(host);
        let old = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let mut bob = Participant::join_and_subscribe(&proxy, "bob", Transport::Udp, "team");
        let tablet = Agent::new("alice", proxy.sip, Transport::Tcp);
        let ask = |agent: &Agent, name: &str, value: &str| {
            let draft = invite(agent, &proxy.room("team"), &client_path());
            let draft = draft
                .set("Require", name.to_ascii_lowercase())
                .set(name, value);
            (agent.exchange(&draft), draft)
        };
        let replaces = reference(&old.dialog);
        let mallory = Agent::new("mallory", proxy.sip, Transport::Udp);
        assert_eq!(ask(&mallory, "Replaces", &replaces).0.code, 403);
        assert_eq!(
            ask(&tablet, "Replaces", "x;to-tag=y;from-tag=z").0.code,
            481
        );
        assert_eq!(
            ask(&tablet, "Replaces", &format!("{replaces};early-only"))
                .0
                .code,
            486
        );
        assert_eq!(ask(&tablet, "Replaces", "nonsense").0.code, 400);
        let (answer, draft) = ask(&tablet, "Replaces", &replaces);
        assert_eq!(answer.code, 200);
        tablet.send(&Dialog::new(&draft, &answer).ack(&tablet));
        assert!(
            old.agent.request("BYE", PATIENCE).is_some(),
            "the old device"
        );
        assert!(old.link.is_closed(PATIENCE));
        // Nobody has left: the next thing Bob gets is about Carol.
        let _carol = Participant::join(&proxy, "carol", Transport::Udp, "team");
        bob.sees(&["alice", "bob", "carol"]);
        let roster = &bob.subscription.as_ref().expect("a subscription").roster;
        assert!(!roster.was_deleted("sip:alice@127.0.0.1"));
        assert_eq!(roster.departure("sip:alice@127.0.0.1"), None);
        proxy.stop();
    });
}

/// RFC 3911 §4: the script's permission for this room holds for no other.
#[test]
fn f08_join_leads_to_no_other_room_than_the_one_asked_for() {
    on_every_host(|host| {
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        let bob = Agent::new("bob", proxy.sip, Transport::Udp);
        for room in ["elsewhere", "team"] {
            let draft = invite(&bob, &proxy.room(room), &client_path())
                .set("Require", "join")
                .set("Join", reference(&alice.dialog));
            let answer = bob.exchange(&draft);
            assert_eq!(answer.code, 200);
            let contact = answer.headers.first("Contact").unwrap_or_default();
            assert!(contact.contains(&format!("sip:{room}@")), "{contact}");
            bob.send(&Dialog::new(&draft, &answer).ack(&bob));
        }
        alice.sees(&["alice", "bob"]);
        proxy.stop();
    });
}

#[test]
fn f13_f15_target_dialog_and_refer_sub() {
    on_every_host(|host| {
        let proxy = start(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
        let tag = |value: &str| value.split("tag=").nth(1).unwrap_or_default().to_owned();
        let target = |of: &Dialog| {
            let (local, remote) = (tag(&of.remote), tag(&of.local));
            format!("{};local-tag={local};remote-tag={remote}", of.call_id)
        };
        let refer = |of: &Dialog| {
            let draft = alice.agent.draft("REFER", &alice.room);
            let draft = draft
                .set("Refer-To", "<sip:bob@127.0.0.1;method=BYE>")
                .set("Require", "tdialog, norefersub")
                .set("Refer-Sub", "false")
                .set("Target-Dialog", target(of));
            alice.agent.exchange(&draft)
        };
        assert_eq!(refer(&bob.dialog).code, 403);
        let answer = refer(&alice.dialog);
        assert_eq!(
            (answer.code, answer.headers.first("Refer-Sub")),
            (200, Some("false"))
        );
        assert!(bob.agent.request("BYE", PATIENCE).is_some());
        assert!(alice.agent.timed_request(SILENCE, is_report).is_none());
        proxy.stop();
    });
}

#[test]
fn f11_g06_e13_who_asks_for_privacy_is_nobody_in_particular() {
    on_every_host(|host| {
        let proxy = start(host);
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let mut watch = Subscription::start(&bob.agent, &bob.room, 600);
        let ghost = Agent::new("ghost", proxy.sip, Transport::Udp);
        let own = client_path();
        let draft = invite(&ghost, &proxy.room("lobby"), &own).set("Privacy", "id");
        let answer = ghost.exchange(&draft);
        assert_eq!(answer.code, 200);
        ghost.send(&Dialog::new(&draft, &answer).ack(&ghost));
        let shown = "sip:anonymous1@anonymous.invalid";
        let mut told = String::new();
        while !told.contains(shown) {
            let notify = watch.next(&bob.agent, PATIENCE).expect("a NOTIFY");
            told += &String::from_utf8_lossy(&notify.body);
        }
        assert!(!told.contains("ghost"), "{told}");
        let link = Link::connect(proxy.msrp);
        let room_path = path_of(&answer.body);
        let bind = Frame::request("SEND", &room_path, &own)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", "1-0/0");
        assert_eq!(link.exchange(&bind).kind, "200");
        let say = |from: &str| {
            let words = cpim(from, &proxy.room("lobby"), "boo");
            let frame = Frame::request("SEND", &room_path, &own)
                .header("Message-ID", format!("m{}", unique()))
                .header("Byte-Range", format!("1-{0}/{0}", words.len()))
                .content("message/cpim", &words);
            (link.exchange(&frame).kind, words)
        };
        let (kind, words) = say(shown);
        assert_eq!(kind, "200");
        bob.hears(&words);
        assert_eq!(say("sip:bob@127.0.0.1").0, "403", "G21");
        proxy.stop();
    });
}

fn number(request: &Request) -> u32 {
    let cseq = request.headers.first("CSeq").unwrap_or_default();
    let number = cseq
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok());
    number.expect("a CSeq")
}

/// The next session refresh of the room.
fn refresh(agent: &Agent, method: &str) -> Request {
    refresh_after(agent, method, 0)
}

/// The next request that is not a retransmission.
fn refresh_after(agent: &Agent, method: &str, last: u32) -> Request {
    let patience = Duration::from_secs(45) + PATIENCE;
    let is_it = |request: &Request| request.method.as_str() == method && number(request) > last;
    let (refresh, _) = agent
        .timed_request(patience, is_it)
        .unwrap_or_else(|| panic!("{} gets no {method}", agent.user));
    refresh
}

/// Joins with these headers and answers refreshes by hand.
fn join_with(
    proxy: &Proxy,
    user: &str,
    transport: Transport,
    more: &[(&str, &str)],
) -> (Agent, Dialog) {
    let agent = Agent::new(user, proxy.sip, transport);
    for method in ["INVITE", "UPDATE"] {
        agent.answer(method, None);
    }
    let mut draft = invite(&agent, &proxy.room("lobby"), &client_path());
    for (name, value) in more {
        draft = draft.set(name, *value);
    }
    let answer = agent.exchange(&draft);
    assert_eq!(answer.code, 200);
    let dialog = Dialog::new(&draft, &answer);
    agent.send(&dialog.ack(&agent));
    (agent, dialog)
}

#[test]
fn f18_f21_refreshes_by_the_room_and_by_its_guests() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("session_expires", 90)
            .parameter("bind_timeout", 300)
            .start();
        let short = Agent::new("short", proxy.sip, Transport::Udp);
        let draft = invite(&short, &proxy.room("lobby"), &client_path())
            .set("Supported", "timer")
            .set("Session-Expires", "60");
        let answer = short.exchange(&draft);
        assert_eq!(
            (answer.code, answer.headers.first("Min-SE")),
            (422, Some("90"))
        );

        let update = [("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")];
        let (updated, _) = join_with(&proxy, "updated", Transport::Tcp, &update);
        let (invited, _) = join_with(&proxy, "invited", Transport::Tcp, &[]);
        let (glaring, mut glare) = join_with(&proxy, "glaring", Transport::Udp, &update);
        let (longer, _) = join_with(&proxy, "longer", Transport::Udp, &update);
        let (gone, _) = join_with(&proxy, "gone", Transport::Udp, &update);
        let promises = [
            ("Supported", "timer"),
            ("Session-Expires", "90;refresher=uac"),
        ];
        let (lazy, _) = join_with(&proxy, "lazy", Transport::Udp, &promises);

        // UPDATE without a body where the peer allows it.
        let request = refresh(&updated, "UPDATE");
        assert!(request.body.is_empty());
        assert_eq!(
            request.headers.first("Session-Expires"),
            Some("90;refresher=uac")
        );
        updated.respond(&request, 200, "", Headers::new(), "");
        // Otherwise an INVITE that changes nothing; after 491 once more.
        let request = refresh(&invited, "INVITE");
        invited.respond(&request, 491, "", Headers::new(), "");
        let again = refresh_after(&invited, "INVITE", number(&request));
        assert_eq!(again.body, request.body, "C86");
        let headers = Headers::new()
            .with("Contact", invited.contact())
            .with("Content-Type", "application/sdp");
        invited.respond(&again, 200, "", headers, &offer(&client_path()));
        let is_ack = |request: &Request| {
            request.method.as_str() == "ACK" && number(request) == number(&again)
        };
        assert!(invited.timed_request(PATIENCE, is_ack).is_some(), "no ACK");
        // The room's own UPDATE contains no offer: an offer meanwhile is not glare.
        let request = refresh(&glaring, "UPDATE");
        let offer = glare
            .request(&glaring, "UPDATE")
            .body("application/sdp", offer(&client_path()));
        assert_eq!(glaring.exchange(&offer).code, 200);
        glaring.respond(&request, 200, "", Headers::new(), "");
        // 422: the same with a longer interval.
        let request = refresh(&longer, "UPDATE");
        longer.respond(&request, 422, "", Headers::new().with("Min-SE", "1000"), "");
        let request = refresh_after(&longer, "UPDATE", number(&request));
        assert_eq!(
            request.headers.first("Session-Expires"),
            Some("1000;refresher=uac")
        );
        longer.respond(&request, 200, "", Headers::new(), "");
        // 481: it is out.
        let request = refresh(&gone, "UPDATE");
        gone.respond(&request, 481, "", Headers::new(), "");
        assert!(gone.request("BYE", PATIENCE).is_some());
        // A client that promised to refresh and does not gets BYE: after 90 s less a third.
        let bye = lazy.request("BYE", Duration::from_secs(60) + PATIENCE);
        assert!(bye.is_some(), "no BYE");
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 4));
        proxy.stop();
    });
}

#[test]
fn rcs_ids_and_the_ways_back() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("invite_mode", "dial_out")
            .parameter("factory", "sip:new@127.0.0.1;end=empty")
            .parameter("rejoin_grace", 0)
            .start();
        let group = |draft: Draft| {
            draft
                .set("Contribution-ID", "group-1")
                .set("Conversation-ID", "thread-1")
                .set("Subject", "Plans")
        };
        let alice = Agent::new("alice", proxy.sip, Transport::Udp);
        let draft = group(invite(&alice, &proxy.room("new"), &client_path()));
        let answer = alice.exchange(&draft);
        let mut dialog = Dialog::new(&draft, &answer);
        alice.send(&dialog.ack(&alice));
        let room = dialog.target.clone();
        // A user whom the room invites learns the group's ids.
        let carol = super::harness::invited::Invited::new(&proxy, "carol");
        let add = alice
            .draft("REFER", &room)
            .set("Refer-To", format!("<{}>", carol.uri()));
        assert_eq!(alice.exchange(&add).code, 200);
        let asked = carol.asked("INVITE");
        for (name, value) in [
            ("Contribution-ID", "group-1"),
            ("Conversation-ID", "thread-1"),
            ("Subject", "Plans"),
        ] {
            assert_eq!(asked.headers.first(name), Some(value), "{name}");
        }
        let link = carol.accept(&proxy, &asked, &asked.body);
        // A user who left on purpose gets 403, and can only join another group.
        assert_eq!(alice.exchange(&dialog.request(&alice, "BYE")).code, 200);
        let rejoin = group(invite(&alice, &room, &client_path()));
        assert_eq!(alice.exchange(&rejoin).code, 403);
        // The group has ended: only 404 makes clients start another.

        // The gauge takes a moment, up and down.
        assert!(wait_until(PATIENCE, || proxy.statistic("conferences") == 1));
        link.close();
        let over = wait_until(PATIENCE, || proxy.statistic("conferences") == 0);
        assert!(over, "the conference does not end");
        let rejoin = group(invite(&alice, &room, &client_path()));
        assert_eq!(alice.exchange(&rejoin).code, 404);
        proxy.stop();
    });
}
