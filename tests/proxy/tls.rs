//! MSRP over TLS in a real proxy, and the connecting side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use msrp_conference::wire::sdp::Description;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::certificates::{Authority, Folder};
use crate::harness::agent::{Agent, Transport};
use crate::harness::draft::Dialog;
use crate::harness::msrp::Link;
use crate::harness::participant::{Participant, client_path, offer, offer_with, path_of};
use crate::harness::plan::{Plan, free_port};
use crate::harness::proxy::Proxy;
use crate::harness::{PATIENCE, on_every_host};

/// The proxy with a TLS listener beside the TCP one.
pub(crate) fn secure(plan: Plan, folder: &Folder, authority: &Authority) -> (Proxy, SocketAddr) {
    let files = folder.files(&authority.certify(&["localhost"]));
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let proxy = plan
        .parameter("listen", format!("msrps:{address}"))
        .parameter("tls_certificate", files.certificate.display())
        .parameter("tls_private_key", files.private_key.display())
        .start();
    (proxy, address)
}

pub(crate) fn over_tls(offer: &str) -> String {
    offer
        .replace("TCP/MSRP", "TCP/TLS/MSRP")
        .replace("a=path:msrp:", "a=path:msrps:")
}

/// A connection to the switch through TLS.
pub(crate) fn tunnel(address: SocketAddr, roots: Arc<RootCertStore>) -> Link {
    Link::over(tunnelled(address, roots))
}

/// A connection through TLS: the harness uses one end of a loopback connection, and threads carry
/// everything between its other end and the TLS listener.
pub(super) fn tunnelled(address: SocketAddr, roots: Arc<RootCertStore>) -> TcpStream {
    let provider = Arc::new(rustls_graviola::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(verifier.unwrap())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut outer = TcpStream::connect(address).expect("connect to the TLS port");
    while connection.is_handshaking() {
        connection.complete_io(&mut outer).expect("a handshake");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (inner, _) = listener.accept().unwrap();
    let connection = Arc::new(Mutex::new(connection));
    let writing = (inner.try_clone().unwrap(), outer.try_clone().unwrap());
    let shared = Arc::clone(&connection);
    thread::spawn(move || encrypt(writing.0, writing.1, &shared));
    thread::spawn(move || decrypt(outer, inner, &connection));
    ours
}

fn encrypt(mut from: TcpStream, mut to: TcpStream, connection: &Mutex<ClientConnection>) {
    let mut octets = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut octets) {
        let mut connection = connection.lock().unwrap();
        connection.writer().write_all(&octets[..count]).unwrap();
        while connection.wants_write() {
            if connection.write_tls(&mut to).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn decrypt(mut from: TcpStream, mut to: TcpStream, connection: &Mutex<ClientConnection>) {
    let mut octets = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut octets) {
        let mut connection = connection.lock().unwrap();
        let (mut rest, mut plain) = (&octets[..count], Vec::new());
        while !rest.is_empty() {
            connection.read_tls(&mut rest).unwrap();
            connection.process_new_packets().expect("good records");
            let _ = connection.reader().read_to_end(&mut plain);
        }
        if to.write_all(&plain).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn c69_somebody_over_tls_talks_with_somebody_over_tcp() {
    on_every_host(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        let (proxy, tls) = secure(Plan::new(host), &folder, &authority);
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let agent = Agent::new("alice", proxy.sip, Transport::Udp);
        let (room, own_path) = (proxy.room("lobby"), client_path());
        let own_path = own_path.replace("msrp:", "msrps:");
        let draft = agent
            .draft("INVITE", &room)
            .body("application/sdp", over_tls(&offer(&own_path)));
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        let media = Description::parse(&answer.body)
            .expect("SDP")
            .media
            .remove(0);
        assert_eq!(
            (media.protocol.as_str(), media.port),
            ("TCP/TLS/MSRP", tls.port())
        );
        let fingerprint = media
            .attribute("fingerprint")
            .flatten()
            .expect("a fingerprint");
        assert!(fingerprint.starts_with("SHA-256 "), "{fingerprint}");
        let room_path = path_of(&answer.body);
        assert!(
            room_path.starts_with(&format!("msrps://{tls}/")),
            "{room_path}"
        );
        let dialog = Dialog::new(&draft, &answer);
        agent.send(&dialog.ack(&agent));
        let alice = Participant {
            agent,
            room,
            dialog,
            answer,
            link: tunnel(tls, authority.roots()),
            own_path,
            room_path,
            subscription: None,
        };
        assert_eq!(alice.link.exchange(&alice.bind()).kind, "200");
        let words = alice.say("secret");
        bob.hears(&words);
        let words = bob.say(&"long ".repeat(20_000));
        alice.hears(&words);
        proxy.stop();
    });
}

#[test]
fn a_room_that_forces_tls_refuses_tcp() {
    on_every_host(|host| {
        let (folder, authority) = (Folder::new(), Authority::new());
        let plan = Plan::new(host).parameter("room", "sip:safe@127.0.0.1;tls=yes");
        let (proxy, _) = secure(plan, &folder, &authority);
        let agent = Agent::new("alice", proxy.sip, Transport::Udp);
        let room = proxy.room("safe");
        let invite = |sdp: String| {
            let draft = agent.draft("INVITE", &room).body("application/sdp", sdp);
            agent.exchange(&draft).code
        };
        let path = client_path();
        assert_eq!(invite(offer(&path)), 488);
        assert_eq!(invite(over_tls(&offer(&path))), 200);
        proxy.stop();
    });
}

#[test]
fn u01_to_a_passive_offer_the_switch_connects() {
    on_every_host(|host| {
        let proxy = Plan::new(host).start();
        let bob = Participant::join(&proxy, "bob", Transport::Udp, "lobby");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let agent = Agent::new("alice", proxy.sip, Transport::Udp);
        let (room, own_path) = (proxy.room("lobby"), format!("msrp://{address}/own;tcp"));
        let offer = offer_with(
            &own_path,
            "message/cpim",
            "a=setup:passive\r\na=chatroom\r\n",
        )
        .replace("message 2855", &format!("message {}", address.port()));
        let draft = agent.draft("INVITE", &room).body("application/sdp", offer);
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        let media = Description::parse(&answer.body)
            .expect("SDP")
            .media
            .remove(0);
        assert_eq!(media.attribute("setup"), Some(Some("active")));
        let dialog = Dialog::new(&draft, &answer);
        agent.send(&dialog.ack(&agent));
        let (stream, _) = listener.accept().expect("the switch connects");
        let room_path = path_of(&answer.body);
        let alice = Participant {
            agent,
            room,
            dialog,
            answer,
            link: Link::over(stream),
            own_path,
            room_path,
            subscription: None,
        };
        let bind = alice.link.request("SEND", PATIENCE).expect("an empty SEND");
        assert_eq!(bind.body, None);
        assert_eq!(bind.value("Byte-Range"), Some("1-0/0"));
        assert_eq!(bind.value("From-Path"), Some(alice.room_path.as_str()));
        let words = bob.say("you are reached");
        alice.hears(&words);
        let words = alice.say("and you");
        bob.hears(&words);
        proxy.stop();
    });
}

#[test]
fn files_that_are_not_there_stop_the_start() {
    on_every_host(|host| {
        let log = Plan::new(host)
            .parameter("tls_certificate", "/nowhere/certificate.pem")
            .start_refused();
        assert!(log.contains("tls_certificate"), "{log}");
        assert!(log.contains("/nowhere/certificate.pem"), "{log}");
    });
}
