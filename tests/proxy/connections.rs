//! Contacts that lead nowhere: requests of the room go over the connection that the client opened,
//! be it UDP through a NAT, TCP, TLS or a WebSocket of the proxy.

use std::net::SocketAddr;
use std::time::Duration;

use msrp_conference::wire::sip::Headers;

use super::certificates::{Authority, Folder};
use super::harness::agent::{Agent, Transport};
use super::harness::draft::Dialog;
use super::harness::host::{Family, Host};
use super::harness::participant::{Participant, Subscription, client_path, invite, offer};
use super::harness::plan::{Plan, free_port};
use super::harness::proxy::{Proxy, wait_until};
use super::harness::{PATIENCE, on_every_host};
use super::tls::tunnelled;

/// Neither of these is an address of ours: RFC 5737, RFC 7118 §8.2.
const BEHIND_A_NAT: &str = "192.0.2.77:5060";
const BROWSER: &str = "df7jal23ls0d.invalid";

/// Such a client gets NOTIFYs while it is in, and the room's BYE at the end.
fn everything_comes_by_its_own_connection(proxy: Proxy, agent: Agent) {
    let contact = agent.contact();
    let mut alice = Participant::join_as(agent, &proxy, "team");
    alice.subscription = Some(Subscription::start(&alice.agent, &alice.room, 600));
    let mut bob = Participant::join(&proxy, "bob", Transport::Udp, "team");
    alice.sees(&["alice", "bob"]);
    let words = bob.say("can you hear me?");
    alice.hears(&words);
    bob.leave();
    alice.sees(&["alice"]);
    // She removes herself, and the BYE is the room's.
    let refer = alice
        .agent
        .draft("REFER", &alice.room)
        .set("Refer-To", "<sip:alice@127.0.0.1;method=BYE>");
    assert_eq!(alice.agent.exchange(&refer).code, 200);
    let bye = alice.agent.request("BYE", PATIENCE).expect("a BYE");
    assert_eq!(format!("<{}>", bye.uri), contact, "RFC 3261 §12.2.1.1");
    assert!(wait_until(PATIENCE * 2, || proxy.transactions() == 0));
    proxy.stop();
}

fn plan(host: &Host) -> Plan {
    Plan::new(host).parameter("notify_interval_ms", 100)
}

#[test]
fn a_phone_behind_a_nat_is_reached_over_udp_and_tcp() {
    on_every_host(|host| {
        for transport in [Transport::Udp, Transport::Tcp] {
            let proxy = plan(host).start();
            let agent = Agent::new("alice", proxy.sip, transport).reached_at(BEHIND_A_NAT);
            everything_comes_by_its_own_connection(proxy, agent);
        }
    });
}

#[test]
fn a_reinvite_and_its_ack_come_over_the_own_connection_too() {
    on_every_host(|host| {
        let proxy = plan(host)
            .parameter("session_expires", 90)
            .parameter("bind_timeout", 300)
            .start();
        let phone = Agent::new("alice", proxy.sip, Transport::Tcp).reached_at(BEHIND_A_NAT);
        phone.answer("INVITE", None);
        let own = client_path();
        let draft = invite(&phone, &proxy.room("team"), &own);
        let answer = phone.exchange(&draft);
        assert_eq!(answer.code, 200);
        phone.send(&Dialog::new(&draft, &answer).ack(&phone));
        let again = phone.request("INVITE", Duration::from_secs(45) + PATIENCE);
        let again = again.expect("the refresh");
        let headers = Headers::new()
            .with("Contact", phone.contact())
            .with("Content-Type", "application/sdp");
        phone.respond(&again, 200, "", headers, &offer(&own));
        let ack = phone.request("ACK", PATIENCE).expect("its ACK");
        assert_eq!(format!("<{}>", ack.uri), phone.contact());
        assert!(wait_until(PATIENCE, || proxy.transactions() == 0));
        proxy.stop();
    });
}

#[test]
fn a_browser_is_reached_over_its_websocket() {
    on_every_host(|host| {
        let Some((plan, address)) = with_websocket(host) else {
            return;
        };
        let proxy = plan.start();
        let address = address.unwrap_or(proxy.sip);
        let agent = Agent::new("alice", address, Transport::Ws).reached_at(BROWSER);
        everything_comes_by_its_own_connection(proxy, agent);
    });
}

#[test]
fn a_phone_behind_a_nat_is_reached_over_tls() {
    on_every_host(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        let Some((plan, address)) = with_tls(host, &folder, &authority) else {
            return;
        };
        let proxy = plan.start();
        let stream = tunnelled(address, authority.roots());
        let agent = Agent::over("alice", stream, Transport::Tls).reached_at(BEHIND_A_NAT);
        everything_comes_by_its_own_connection(proxy, agent);
    });
}

#[test]
fn a_browser_is_reached_over_its_websocket_in_tls() {
    on_every_host(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        // OpenSIPS has a separate listener for it.
        if host.family != Family::Kamailio {
            return;
        }
        let secure = with_tls(host, &folder, &authority);
        let Some((plan, address)) = secure.filter(|_| host.has_modules(&["websocket"])) else {
            return;
        };
        let proxy = plan.settings(KAMAILIO_WEBSOCKET).start();
        let stream = tunnelled(address, authority.roots());
        let agent = Agent::over("alice", stream, Transport::Wss).reached_at(BROWSER);
        everything_comes_by_its_own_connection(proxy, agent);
    });
}

const KAMAILIO_WEBSOCKET: &str = "tcp_accept_no_cl=yes
loadmodule \"xhttp.so\"
loadmodule \"websocket.so\"
event_route[xhttp:request] {
    ws_handle_handshake();
}
";

/// A proxy with SIP over WebSockets, if possible; its address, if it is not the SIP port.
fn with_websocket(host: &Host) -> Option<(Plan, Option<SocketAddr>)> {
    match host.family {
        Family::Kamailio => {
            assert!(host.has_modules(&["websocket"]), "run `.ci/deps`");
            Some((plan(host).settings(KAMAILIO_WEBSOCKET), None))
        }
        Family::OpenSips => {
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            let settings = format!("loadmodule \"proto_ws.so\"\nsocket=ws:{address}\n");
            let can = host.has_modules(&["proto_ws"]);
            can.then(|| (plan(host).settings(&settings), Some(address)))
        }
    }
}

/// A proxy with SIP over TLS, if possible; its address.
fn with_tls(host: &Host, folder: &Folder, authority: &Authority) -> Option<(Plan, SocketAddr)> {
    let files = folder.files(&authority.certify(&["localhost"]));
    let (certificate, key) = (files.certificate.display(), files.private_key.display());
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let settings = match host.family {
        Family::Kamailio => {
            assert!(host.has_modules(&["tls"]), "run `.ci/deps`");
            format!(
                "enable_tls=yes\nlisten=tls:{address}\nloadmodule \"tls.so\"\n\
                 modparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
                 modparam(\"tls\", \"certificate\", \"{certificate}\")\n\
                 modparam(\"tls\", \"private_key\", \"{key}\")\n"
            )
        }
        Family::OpenSips if host.has_modules(&["proto_tls", "tls_mgm", "tls_openssl"]) => format!(
            "loadmodule \"tls_openssl.so\"\nloadmodule \"tls_mgm.so\"\n\
             loadmodule \"proto_tls.so\"\nsocket=tls:{address}\n\
             modparam(\"tls_mgm\", \"server_domain\", \"d\")\n\
             modparam(\"tls_mgm\", \"match_ip_address\", \"[d]*\")\n\
             modparam(\"tls_mgm\", \"certificate\", \"[d]{certificate}\")\n\
             modparam(\"tls_mgm\", \"private_key\", \"[d]{key}\")\n\
             modparam(\"tls_mgm\", \"verify_cert\", \"[d]0\")\n\
             modparam(\"tls_mgm\", \"require_cert\", \"[d]0\")\n"
        ),
        Family::OpenSips => return None,
    };
    Some((plan(host).settings(&settings), address))
}
