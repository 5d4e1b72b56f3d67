//! INVITEs of the room: forks, challenges, session timers, fifty REFERs.

use std::collections::{BTreeSet, HashMap};
use std::process::Command;
use std::time::{Duration, Instant};

use msrp_conference::wire::sip::{Headers, Request};

use super::harness::agent::{Agent, Transport};
use super::harness::host::{Family, Host};
use super::harness::invited::Invited;
use super::harness::participant::{Participant, client_path, offer};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, SILENCE, on_every_host};
use super::refer::{is_report, last_report, refer, start};

fn answered(agent: &Agent) -> Headers {
    Headers::new()
        .with("Contact", agent.contact())
        .with("Content-Type", "application/sdp")
}

#[test]
fn of_a_forked_invitation_the_first_answer_counts_and_the_others_get_bye() {
    on_every_host(|host| {
        // Its tm matches no response to an answered request, unless `reply_matching` is 0.
        if host.name.starts_with("kamailio-6.1") {
            return;
        }
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let invite = carol.asked("INVITE");
        let _link = carol.accept(&proxy, &invite, &invite.body);
        // The proxy that forked it forwards a second phone's answer twice.
        let sofa = Agent::new("carol", proxy.sip, Transport::Udp);
        for _ in 0..2 {
            let sdp = offer(&client_path());
            carol
                .agent
                .respond(&invite, 200, "sofa", answered(&sofa), &sdp);
        }
        let bye = sofa
            .request("BYE", PATIENCE)
            .expect("a BYE for the second phone");
        let to = bye.headers.first("To").unwrap_or_default();
        assert!(to.ends_with("tag=sofa"), "{to}");
        // OpenSIPS sends the ACK to the INVITE's destination, not to the Contact.
        let acknowledged = |agent: &Agent| {
            let is_it = |request: &Request| {
                let to = request.headers.first("To").unwrap_or_default();
                request.method.as_str() == "ACK" && to.ends_with("tag=sofa")
            };
            agent.timed_request(SILENCE, is_it).is_some()
        };
        assert!(acknowledged(&sofa) || acknowledged(&carol.agent), "no ACK");
        assert!(sofa.request("BYE", SILENCE).is_none(), "a second BYE");
        assert!(carol.agent.request("BYE", Duration::ZERO).is_none());
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        alice.sees(&["alice", "carol"]);
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
        proxy.stop();
    });
}

/// Answers with a challenge of this realm and nonce.
fn challenge(who: &Invited, request: &Request, code: u16, fields: &str) {
    let name = match code {
        401 => "WWW-Authenticate",
        _ => "Proxy-Authenticate",
    };
    let headers = Headers::new().with(name, format!("Digest {fields}"));
    who.agent.respond(request, code, "challenge", headers, "");
}

#[test]
fn every_challenge_to_the_room_is_answered() {
    on_every_host(|host| {
        let proxy = Plan::new(host)
            .parameter("notify_interval_ms", 100)
            .parameter("credential", "room:proxy:secret")
            .parameter("credential", "room:phone:other")
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let carol = Invited::new(&proxy, "carol");
        carol.agent.answer("BYE", None);
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let answers = |request: &Request, name: &str, nonce: &str| {
            let answer = request.headers.first(name).unwrap_or_default();
            assert!(answer.contains(&format!("nonce=\"{nonce}\"")), "{answer}");
        };
        challenge(
            &carol,
            &carol.asked("INVITE"),
            407,
            "realm=\"proxy\", nonce=\"n1\", qop=\"auth\"",
        );
        let invite = carol.asked("INVITE");
        answers(&invite, "Proxy-Authorization", "n1");
        challenge(
            &carol,
            &invite,
            401,
            "realm=\"phone\", nonce=\"n2\", algorithm=SHA-256",
        );
        let invite = carol.asked("INVITE");
        answers(&invite, "Authorization", "n2");
        challenge(
            &carol,
            &invite,
            407,
            "realm=\"proxy\", nonce=\"n3\", stale=true",
        );
        let invite = carol.asked("INVITE");
        answers(&invite, "Authorization", "n2");
        answers(&invite, "Proxy-Authorization", "n3");
        let _link = carol.accept(&proxy, &invite, &invite.body);
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        assert_eq!(refer(&alice, "<sip:carol@127.0.0.1;method=BYE>"), 200);
        challenge(
            &carol,
            &carol.asked("BYE"),
            407,
            "realm=\"proxy\", nonce=\"n4\"",
        );
        let bye = carol.asked("BYE");
        answers(&bye, "Proxy-Authorization", "n4");
        carol.answer(&bye, 200);
        // A foreign realm gets no credentials.
        let dave = Invited::new(&proxy, "dave");
        assert_eq!(refer(&alice, &format!("<{}>", dave.uri())), 200);
        challenge(
            &dave,
            &dave.asked("INVITE"),
            407,
            "realm=\"elsewhere\", nonce=\"n5\"",
        );
        let told = loop {
            let told = last_report(&alice);
            if !told.ends_with("200 OK") {
                break told;
            }
        };
        assert!(told.starts_with("terminated SIP/2.0 407"), "{told}");
        assert!(wait_until(PATIENCE * 2, || proxy.transactions() == 0));
        proxy.stop();
    });
}

#[test]
fn f21_the_room_asks_for_a_session_timer_and_takes_422() {
    on_every_host(|host| {
        let proxy = start(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let carol = Invited::new(&proxy, "carol");
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let invite = carol.asked("INVITE");
        assert_eq!(invite.headers.first("Session-Expires"), Some("1800"));
        let longer = Headers::new().with("Min-SE", "3600");
        carol.agent.respond(&invite, 422, "short", longer, "");
        let invite = carol.asked("INVITE");
        assert_eq!(invite.headers.first("Session-Expires"), Some("3600"));
        assert_eq!(invite.headers.first("Min-SE"), Some("3600"));
        let _link = carol.accept(&proxy, &invite, &invite.body);
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        proxy.stop();
    });
}

/// tm has sent the ACK; a response that cannot be handed over whole must still end as a call.
#[test]
fn a_200_too_long_to_be_handed_over_is_hung_up() {
    on_every_host(|host| {
        // OpenSIPS reads at most 64 KiB from a connection, and closes it.
        if host.family != Family::Kamailio {
            return;
        }
        let mut settings = "tcp_rd_buf_size=1000000\n".to_owned();
        let version = Command::new(&host.program).arg("-v").output();
        let version = String::from_utf8(version.expect("the host").stdout).expect("text");
        if !version.contains("kamailio 5.6.") && !version.contains("kamailio 5.7.") {
            settings += "msg_recv_max_size=1000000\n";
        }
        let proxy = Plan::new(host)
            .settings(&settings)
            .parameter("invite_mode", "dial_out")
            .start();
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let long = "x".repeat(120_000);
        for (headers, body) in [
            (
                Headers::new(),
                format!("{}a={long}\r\n", offer(&client_path())),
            ),
            (Headers::new().with("Subject", long), offer(&client_path())),
        ] {
            let carol = Agent::new("carol", proxy.sip, Transport::Tcp);
            carol.answer("INVITE", None);
            let target = format!("<sip:carol@{};transport=tcp>", carol.local);
            assert_eq!(refer(&alice, &target), 200);
            let invite = carol.request("INVITE", PATIENCE).expect("an INVITE");
            let headers = headers
                .with("Contact", carol.contact())
                .with("Content-Type", "application/sdp");
            carol.respond(&invite, 200, "long", headers, &body);
            assert!(carol.request("ACK", PATIENCE).is_some(), "no ACK");
            let bye = carol.request("BYE", PATIENCE).expect("a BYE");
            let to = bye.headers.first("To").unwrap_or_default();
            assert!(to.ends_with("tag=long"), "{to}");
            assert_eq!(
                last_report(&alice),
                "terminated SIP/2.0 488 Not Acceptable Here"
            );
        }
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
        proxy.stop();
    });
}

/// Outcome of the invitation of a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Busy,
    Declines,
    NeverAnswers,
    MovesAndComes,
    MovesNowhere,
    Comes,
}

impl Fate {
    const ALL: [Self; 6] = [
        Self::Busy,
        Self::Declines,
        Self::NeverAnswers,
        Self::MovesAndComes,
        Self::MovesNowhere,
        Self::Comes,
    ];

    /// The last code reported to its inviter.
    fn told(self) -> &'static str {
        match self {
            Self::Busy => "486",
            Self::Declines => "603",
            Self::NeverAnswers => "408",
            Self::MovesNowhere => "302",
            Self::MovesAndComes | Self::Comes => "200",
        }
    }
}

#[test]
fn l09_fifty_refers_every_outcome_and_nothing_is_left() {
    on_every_host(|host| {
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "party");
        let fates = Fate::ALL.into_iter().cycle().take(50);
        let guests: Vec<_> = fates
            .enumerate()
            .map(|(n, fate)| (Invited::new(&proxy, &format!("guest{n}")), fate))
            .collect();
        // The expected end of each REFER, by Call-ID.
        let mut awaited = HashMap::new();
        for (guest, fate) in &guests {
            let draft = alice
                .agent
                .draft("REFER", &alice.room)
                .set("Refer-To", format!("<{}>", guest.uri()));
            assert_eq!(alice.agent.exchange(&draft).code, 200);
            awaited.insert(draft.header("Call-ID").to_owned(), *fate);
        }
        let (mut links, mut phones) = (Vec::new(), Vec::new());
        let mut inside = BTreeSet::from([alice.agent.address()]);
        for (guest, fate) in &guests {
            let invite = guest.asked("INVITE");
            match fate {
                Fate::Busy => guest.answer(&invite, 486),
                Fate::Declines => guest.answer(&invite, 603),
                Fate::NeverAnswers => {}
                // The URI is not one that we could call.
                Fate::MovesNowhere => guest.redirect(&invite, "tel:+4930123456"),
                Fate::Comes => links.push(guest.accept(&proxy, &invite, &invite.body)),
                Fate::MovesAndComes => {
                    let moved = Invited::new(&proxy, &guest.agent.user);
                    guest.redirect(&invite, &moved.uri());
                    let invite = moved.asked("INVITE");
                    links.push(moved.accept(&proxy, &invite, &invite.body));
                    phones.push(moved);
                }
            }
            if fate.told() == "200" {
                inside.insert(guest.agent.address());
            }
        }
        // Parties who never answer end with tm's time-out.
        let end = Instant::now() + Duration::from_secs(90);
        while !awaited.is_empty() {
            assert!(Instant::now() < end, "not told: {awaited:?}");
            let Some((notify, _)) = alice.agent.timed_request(PATIENCE, is_report) else {
                continue;
            };
            let state = notify
                .headers
                .first("Subscription-State")
                .unwrap_or_default();
            if state.starts_with("terminated") {
                let call = notify.headers.first("Call-ID").unwrap_or_default();
                let fate = awaited.remove(call).expect("one of these, and once");
                let body = String::from_utf8_lossy(&notify.body).into_owned();
                let expected = format!("SIP/2.0 {} ", fate.told());
                assert!(body.starts_with(&expected), "{fate:?}: {body}");
            }
        }
        let subscription = alice.subscription.as_mut().expect("a subscription");
        subscription.follow(&alice.agent, &inside);
        alice.leave();
        let left = || proxy.statistic("participants") + proxy.statistic("sessions");
        drop(links);
        nothing_left(&proxy, left);
        proxy.stop();
    });
}

/// Checks that everything is gone, once the invited parties who lost their connections were given
/// up.
fn nothing_left(proxy: &Proxy, left: impl Fn() -> u64) {
    let gone = wait_until(Duration::from_secs(60), || {
        left() == 0 && proxy.statistic("conferences") == 0 && proxy.transactions() == 0
    });
    assert!(
        gone,
        "{} stay, {} transactions",
        left(),
        proxy.transactions()
    );
}

#[test]
fn of_several_places_to_be_the_preferred_is_tried_first_then_the_others() {
    on_every_host(|host: &Host| {
        let proxy = start(host);
        let mut alice = Participant::join_and_subscribe(&proxy, "alice", Transport::Udp, "team");
        let carol = Invited::new(&proxy, "carol");
        let (desk, car) = (Invited::new(&proxy, "carol"), Invited::new(&proxy, "carol"));
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        let places = format!("<{}>;q=0.3, <{}>;q=0.7", desk.uri(), car.uri());
        carol.redirect_among(&carol.asked("INVITE"), places);
        car.answer(&car.asked("INVITE"), 486);
        let invite = desk.asked("INVITE");
        let _link = desk.accept(&proxy, &invite, &invite.body);
        assert_eq!(last_report(&alice), "terminated SIP/2.0 200 OK");
        alice.sees(&["alice", "carol"]);
        proxy.stop();
    });
}

#[test]
fn redirections_lead_neither_in_circles_nor_into_the_room_itself() {
    on_every_host(|host: &Host| {
        let proxy = start(host);
        let alice = Participant::join(&proxy, "alice", Transport::Udp, "team");
        let (carol, desk) = (Invited::new(&proxy, "carol"), Invited::new(&proxy, "carol"));
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        carol.redirect(&carol.asked("INVITE"), &desk.uri());
        desk.redirect(&desk.asked("INVITE"), &carol.uri());
        assert!(last_report(&alice).starts_with("terminated SIP/2.0 302"));
        assert_eq!(refer(&alice, &format!("<{}>", carol.uri())), 200);
        carol.redirect(&carol.asked("INVITE"), &proxy.room("team"));
        let told = loop {
            let told = last_report(&alice);
            if !told.contains("200") {
                break told;
            }
        };
        assert!(told.starts_with("terminated SIP/2.0 302"), "{told}");
        assert!(wait_until(PATIENCE, || proxy.statistic("participants") == 1));
        proxy.stop();
    });
}
