//! Browsers in a room: SIP and MSRP over WebSocket, with Kamailio's `msrp` module as the relay
//! between them and the room's TCP listener (RFC 4976, RFC 7977). The test runs
//! `cfg-examples/kamailio/relay.cfg`.

#[path = "harness/mod.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use digest_auth::{AuthContext, HttpMethod};
use harness::PATIENCE;
use harness::agent::{Transport, unique};
use harness::host::Family;
use harness::on_every_host;
use harness::participant::{Participant, cpim, offer_with, path_of};
use harness::plan::Plan;

const ROOM: &str = "sip:lobby@127.0.0.1";

/// A WebSocket (RFC 6455) with text frames only.
struct WebSocket {
    stream: TcpStream,
    held: Vec<u8>,
}

impl WebSocket {
    fn open(port: u16, protocol: &str) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut socket = Self {
            stream,
            held: Vec::new(),
        };
        let end = loop {
            let text = String::from_utf8_lossy(&socket.held);
            match text.find("\r\n\r\n") {
                Some(end) => break end,
                None => socket.read(),
            }
        };
        let head: Vec<u8> = socket.held.drain(..end + 4).collect();
        assert!(head.starts_with(b"HTTP/1.1 101"), "{head:?}");
        socket
    }

    fn read(&mut self) {
        let mut piece = [0; 4096];
        let length = self.stream.read(&mut piece).expect("something comes");
        assert!(length > 0, "the WebSocket was closed");
        self.held.extend_from_slice(&piece[..length]);
    }

    fn say(&mut self, text: &str) {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        frame.extend(mask);
        let masked = text.bytes().zip(mask.iter().cycle());
        frame.extend(masked.map(|(octet, mask)| octet ^ mask));
        self.stream.write_all(&frame).expect("a frame goes out");
    }

    fn hear(&mut self) -> String {
        while self.held.len() < 4 {
            self.read();
        }
        let (length, head) = match self.held[1] {
            126 => (
                usize::from(self.held[2]) << 8 | usize::from(self.held[3]),
                4,
            ),
            length => (usize::from(length), 2),
        };
        while self.held.len() < head + length {
            self.read();
        }
        let frame: Vec<u8> = self.held.drain(..head + length).collect();
        assert_eq!(frame[0], 0x81, "a whole text frame");
        String::from_utf8(frame[head..].to_vec()).expect("UTF-8")
    }

    /// The next text that satisfies `wanted`; skips others.
    fn hear_one(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.hear();
            if wanted(&text) {
                return text;
            }
        }
    }
}

/// The value of a header.
fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let start = format!("{name}: ");
    let found = text.lines().find_map(|line| line.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// A user with the page open.
struct Browser {
    user: &'static str,
    sip: WebSocket,
    msrp: WebSocket,
    /// Its own MSRP URI, and the relay's URI for it.
    own: String,
    relay: String,
    /// The room's MSRP URI.
    room: String,
    call: String,
    to: String,
}

impl Browser {
    fn join(port: u16, user: &'static str, password: &str) -> Self {
        let own = format!("msrp://{}.invalid:2855/{};ws", unique(), unique());
        let mut browser = Self {
            user,
            sip: WebSocket::open(port, "sip"),
            msrp: WebSocket::open(port, "msrp"),
            own,
            relay: format!("msrp://127.0.0.1:{port};tcp"),
            room: String::new(),
            call: unique(),
            to: format!("<{ROOM}>"),
        };
        browser.register_at_the_relay(password);
        // A client without support for rooms gets a greeting, which shows that the path works.
        let path = format!("{} {}", browser.relay, browser.own);
        let sdp = offer_with(&path, "message/cpim", "a=setup:active\r\n");
        browser.request("INVITE", 1, "Content-Type: application/sdp\r\n", &sdp);
        let answer = browser
            .sip
            .hear_one(|text| !text.starts_with("SIP/2.0 100"));
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        browser.to = header(&answer, "To").to_owned();
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        browser.room = path_of(body.as_bytes());
        browser.request("ACK", 1, "", "");
        browser.send("SEND", "", "");
        let welcome = browser.msrp.hear_one(|text| text.contains("chat room"));
        browser.accept(&welcome);
        browser
    }

    /// AUTH, the challenge, AUTH (RFC 4976 §5.1).
    fn register_at_the_relay(&mut self, password: &str) {
        let challenge = self.auth("");
        assert!(challenge.contains(" 401 "), "{challenge}");
        let mut prompt =
            digest_auth::parse(header(&challenge, "WWW-Authenticate")).expect("a challenge");
        let method = HttpMethod::from("AUTH");
        let context = AuthContext::new_with_method(
            self.user,
            password,
            &self.relay,
            Option::<&[u8]>::None,
            method,
        );
        let answer = prompt.respond(&context).expect("an answer").to_string();
        let granted = self.auth(&format!("Authorization: {answer}\r\n"));
        assert!(granted.contains(" 200 "), "{granted}");
        self.relay = header(&granted, "Use-Path").to_owned();
    }

    fn auth(&mut self, credentials: &str) -> String {
        let (transaction, relay, own) = (unique(), &self.relay, &self.own);
        self.msrp.say(&format!(
            "MSRP {transaction} AUTH\r\nTo-Path: {relay}\r\nFrom-Path: {own}\r\n{credentials}\
             -------{transaction}$\r\n"
        ));
        self.msrp.hear()
    }

    /// A SIP request of the call.
    fn request(&mut self, method: &str, number: u32, headers: &str, body: &str) {
        let (user, call, to, branch) = (self.user, &self.call, &self.to, unique());
        let length = body.len();
        self.sip.say(&format!(
            "{method} {ROOM} SIP/2.0\r\nVia: SIP/2.0/WS {call}.invalid;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@127.0.0.1>;tag={call}\r\nTo: {to}\r\n\
             Call-ID: {call}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:{user}@{call}.invalid;transport=ws>\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        ));
    }

    /// Sends an MSRP request to the room, one chunk per frame; returns its transaction.
    fn send(&mut self, method: &str, headers: &str, body: &str) -> String {
        let (transaction, length) = (unique(), body.len());
        let body = match body {
            "" => String::new(),
            _ => format!("Content-Type: message/cpim\r\n\r\n{body}\r\n"),
        };
        let (relay, room, own) = (&self.relay, &self.room, &self.own);
        self.msrp.say(&format!(
            "MSRP {transaction} {method}\r\nTo-Path: {relay} {room}\r\nFrom-Path: {own}\r\n\
             Message-ID: {transaction}\r\nByte-Range: 1-{length}/{length}\r\n{headers}{body}\
             -------{transaction}$\r\n"
        ));
        transaction
    }

    fn talk(&mut self, text: &str) {
        let own = format!("sip:{}@127.0.0.1", self.user);
        let body = String::from_utf8(cpim(&own, ROOM, text)).expect("UTF-8");
        self.send("SEND", "", &body);
    }

    /// Waits for a message, and acknowledges it.
    fn hears(&mut self, text: &str) {
        let message = self
            .msrp
            .hear_one(|frame| frame.ends_with('\n') && frame.contains(text));
        self.accept(&message);
    }

    fn accept(&mut self, message: &str) {
        let transaction = message.split(' ').nth(1).expect("a transaction");
        let to = header(message, "From-Path")
            .split(' ')
            .next()
            .expect("a hop");
        let own = &self.own;
        self.msrp.say(&format!(
            "MSRP {transaction} 200 OK\r\nTo-Path: {to}\r\nFrom-Path: {own}\r\n\
             -------{transaction}$\r\n"
        ));
    }
}

#[test]
fn browsers_talk_through_the_hosts_relay() {
    on_every_host(|host| {
        if host.family != Family::Kamailio || !host.has_modules(&["websocket", "msrp"]) {
            return;
        }
        let plan = Plan::new(host).example("relay");
        let port = plan.http;
        let proxy = plan.parameter("notify_interval_ms", 100).start();
        let mut alice = Browser::join(port, "alice", "wonderland");
        let mut bob = Browser::join(port, "bob", "builder");
        let carol = Participant::join(&proxy, "carol", Transport::Udp, "lobby");

        alice.talk("from a page");
        bob.hears("from a page");
        let heard = carol.link.inbox.take(PATIENCE, |frame| {
            frame
                .body
                .as_ref()
                .is_some_and(|body| body.ends_with(b"from a page"))
        });
        assert!(heard.is_some(), "carol hears nothing");
        carol.say("from a telephone");
        alice.hears("from a telephone");
        bob.hears("from a telephone");

        // An end-to-end answer comes back the whole way.
        let transaction = bob.send("NICKNAME", "Use-Nickname: \"Bobby\"\r\n", "");
        let answered = format!("MSRP {transaction} 200");
        bob.msrp.hear_one(|frame| frame.starts_with(&answered));

        // The roster comes over the WebSocket, to a Contact that has no address.
        let to = std::mem::replace(&mut bob.to, format!("<{ROOM}>"));
        let call = std::mem::replace(&mut bob.call, unique());
        bob.request("SUBSCRIBE", 1, "Event: conference\r\nExpires: 60\r\n", "");
        let notify = bob.sip.hear_one(|text| text.starts_with("NOTIFY "));
        for name in ["alice", "bob", "carol", "Bobby"] {
            assert!(notify.contains(name), "{name} is not in {notify}");
        }
        (bob.to, bob.call) = (to, call);

        bob.request("BYE", 2, "", "");
        bob.sip
            .hear_one(|text| text.starts_with("SIP/2.0 200") && text.contains("2 BYE"));
        proxy.stop();
    });
}

#[test]
fn the_relay_serves_accounts_alone() {
    on_every_host(|host| {
        if host.family != Family::Kamailio || !host.has_modules(&["websocket", "msrp"]) {
            return;
        }
        let plan = Plan::new(host).example("relay");
        let port = plan.http;
        let proxy = plan.start();
        let mut socket = WebSocket::open(port, "msrp");
        let wrong = "Authorization: Digest username=\"alice\", realm=\"127.0.0.1\", nonce=\"0\", \
            uri=\"x\", response=\"00000000000000000000000000000000\"\r\n";
        for credentials in ["", wrong] {
            socket.say(&format!(
                "MSRP abcd1234 AUTH\r\nTo-Path: msrp://127.0.0.1:{port};tcp\r\n\
                 From-Path: msrp://x.invalid:2855/x;ws\r\n{credentials}-------abcd1234$\r\n"
            ));
            let answer = socket.hear();
            assert!(answer.starts_with("MSRP abcd1234 401"), "{answer}");
        }
        proxy.stop();
    });
}
