//! The room's own session refreshes (RFC 4028), past every neighbour.

use std::thread;
use std::time::Duration;

use super::harness::agent::{Agent, Transport};
use super::harness::host::{Family, Host};
use super::harness::msrp::Link;
use super::harness::participant::{Participant, client_path, invite, offer};
use super::harness::plan::Plan;
use super::harness::proxy::Proxy;
use super::harness::{PATIENCE, on_every_host};
use super::story::{Neighbour, at_rest};
use super::{kamailio, opensips};

/// The shortest interval allowed (RFC 4028 §4): the refresh comes after half of it.
const SESSION_EXPIRES: u64 = 90;

#[test]
fn the_rooms_own_refreshes_pass_every_neighbour() {
    on_every_host(|host| {
        let neighbours = match host.family {
            Family::Kamailio => kamailio::all(),
            Family::OpenSips => opensips::all(),
        };
        thread::scope(|scope| {
            for neighbour in neighbours.iter().filter(|it| it.is_at(host)) {
                scope.spawn(move || refreshed_beside(neighbour, host));
            }
        });
    });
}

fn refreshed_beside(neighbour: &Neighbour, host: &Host) {
    let plan = Plan::new(host).parameter("session_expires", SESSION_EXPIRES);
    let proxy = neighbour.beside(plan).start();
    let mut updated = join(&proxy, "updated", Some("INVITE, ACK, BYE, CANCEL, UPDATE"));
    let mut invited = join(&proxy, "invited", None);
    is_refreshed(&updated.agent, "UPDATE");
    is_refreshed(&invited.agent, "INVITE");
    assert!(invited.agent.request("ACK", PATIENCE).is_some(), "no ACK");
    let words = updated.say("still here");
    invited.hears(&words);
    updated.leave();
    invited.leave();
    at_rest(&proxy);
    proxy.stop();
}

fn join(proxy: &Proxy, user: &str, allow: Option<&str>) -> Participant {
    let agent = Agent::new(user, proxy.sip, Transport::Udp);
    let own = client_path();
    agent.describe(offer(&own));
    let draft = invite(&agent, &proxy.room("team"), &own);
    let draft = allow
        .into_iter()
        .fold(draft, |draft, it| draft.set("Allow", it));
    let room = proxy.room("team");
    Participant::enter(agent, room, &draft, own, || Link::connect(proxy.msrp))
}

fn is_refreshed(agent: &Agent, method: &str) {
    let patience = Duration::from_secs(SESSION_EXPIRES / 2) + PATIENCE;
    let request = agent.request(method, patience);
    let request = request.unwrap_or_else(|| panic!("{} gets no {method}", agent.user));
    let expires = request.headers.first("Session-Expires").unwrap_or_default();
    assert!(expires.starts_with("90"), "{expires}");
}
