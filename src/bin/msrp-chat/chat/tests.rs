//! The whole program against a small room in the same process, over loopback.

use super::*;
use clap::Parser;
use msrp_conference::wire::msrp::{
    self, ByteRange, Decoder, Flag, HeadWriter, TransactionId, end_line_after_body,
};
use msrp_conference::wire::sip::{Headers, Message, Method, Request, Response};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;

const ROSTER: &str = r#"<?xml version="1.0"?>
<conference-info xmlns="urn:ietf:params:xml:ns:conference-info" entity="sip:lobby@h"
 state="full" version="0"><conference-description/><users>
 <user entity="sip:bob@h"><display-text>Bob</display-text>
 <endpoint entity="sip:bob@h;gr"><status>connected</status></endpoint></user></users>
</conference-info>"#;

/// A message that this room refuses.
const TOO_MUCH: &str = "too-much";

/// A room with one participant: it records its messages, and answers with `code`.
struct FakeRoom {
    sip: UdpSocket,
    chat: TcpListener,
    code: u16,
}

impl FakeRoom {
    async fn open(code: u16) -> (Self, u16) {
        let sip = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let chat = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = sip.local_addr().unwrap().port();
        (Self { sip, chat, code }, port)
    }

    async fn run(self) {
        tokio::join!(self.signal(), self.talk());
    }

    async fn signal(&self) {
        let mut buffer = vec![0; 65_536];
        loop {
            let (length, source) = self.sip.recv_from(&mut buffer).await.unwrap();
            if let Ok(Message::Request(request)) = Message::parse(&buffer[..length]) {
                self.answer(&request, source).await;
            }
        }
    }

    async fn answer(&self, request: &Request, source: SocketAddr) {
        let (code, body) = match request.method {
            Method::Ack => return,
            Method::Invite => (self.code, self.description()),
            _ => (200, String::new()),
        };
        let mut headers = Headers::new()
            .with("Contact", "<sip:lobby@127.0.0.1>;isfocus")
            .with("Expires", "600");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            headers.push(name, request.headers.first(name).unwrap());
        }
        let to = request.headers.first("To").unwrap();
        let tag = if to.contains("tag=") { "" } else { ";tag=f" };
        headers.push("To", format!("{to}{tag}"));
        let response = Response {
            code,
            reason: "said the room".into(),
            headers,
            body: body.into(),
        };
        self.sip.send_to(&response.write(), source).await.unwrap();
        if request.method == Method::Subscribe {
            let notify = self.notify(request);
            self.sip.send_to(&notify, source).await.unwrap();
        }
    }

    fn description(&self) -> String {
        let port = self.chat.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=message {port} TCP/MSRP *\r\na=accept-types:message/cpim\r\n\
             a=path:msrp://127.0.0.1:{port}/room;tcp\r\na=setup:passive\r\n"
        )
    }

    fn notify(&self, subscribe: &Request) -> Vec<u8> {
        let number = subscribe.headers.first("CSeq").unwrap().split(' ').next();
        let over = subscribe.headers.first("Expires") == Some("0");
        let headers = Headers::new()
            .with(
                "Via",
                format!("SIP/2.0/UDP x;branch=z9hG4bKn{}", number.unwrap()),
            )
            .with("From", "<sip:lobby@127.0.0.1>;tag=f")
            .with("To", subscribe.headers.first("From").unwrap())
            .with("Call-ID", subscribe.headers.first("Call-ID").unwrap())
            .with("CSeq", format!("{} NOTIFY", number.unwrap()))
            .with("Event", "conference")
            .with(
                "Subscription-State",
                if over { "terminated" } else { "active" },
            )
            .with("Content-Type", "application/conference-info+xml");
        Request {
            method: Method::Notify,
            uri: "sip:alice@127.0.0.1".into(),
            headers,
            body: ROSTER.into(),
        }
        .write()
    }

    /// Answers every request; Bob repeats every message.
    async fn talk(&self) {
        let (mut stream, _) = self.chat.accept().await.unwrap();
        let (mut decoder, mut held) = (Decoder::new(), Vec::new());
        let mut heard = Heard::default();
        loop {
            if !matches!(stream.read_buf(&mut held).await, Ok(1..)) {
                return std::future::pending().await;
            }
            let mut used = 0;
            while let Some(decoded) = decoder.decode(&held[used..]).unwrap() {
                used += decoded.used;
                heard.take(decoded.event);
            }
            held.drain(..used);
            stream
                .write_all(&std::mem::take(&mut heard.out))
                .await
                .unwrap();
        }
    }
}

#[derive(Default)]
struct Heard {
    id: String,
    to: String,
    from: String,
    body: Option<Vec<u8>>,
    count: u32,
    out: Vec<u8>,
}

impl Heard {
    fn take(&mut self, event: msrp::Event<'_>) {
        match event {
            msrp::Event::Message { request, body, .. } => {
                self.head(&request);
                self.body = body.map(<[u8]>::to_vec);
                self.answer();
            }
            msrp::Event::Begin(request) => {
                self.head(&request);
                self.body = Some(Vec::new());
            }
            msrp::Event::Body(piece) => self.body.as_mut().unwrap().extend_from_slice(piece),
            msrp::Event::End(_) => self.answer(),
            _ => {}
        }
    }

    fn head(&mut self, request: &msrp::Request<'_>) {
        self.id = request.transaction.to_string();
        self.to = request.from_path.as_str().to_owned();
        self.from = request.to_path.as_str().to_owned();
    }

    fn answer(&mut self) {
        let (to, from) = (self.to.as_str(), self.from.as_str());
        let id = TransactionId::new(&self.id).unwrap();
        let body = self.body.as_deref().unwrap_or_default();
        if String::from_utf8_lossy(body).contains(TOO_MUCH) {
            HeadWriter::response(&mut self.out, &id, 413, "too much", to, from).end(Flag::Last);
            return;
        }
        HeadWriter::response(&mut self.out, &id, 200, "OK", to, from).end(Flag::Last);
        let Some(body) = self.body.take() else { return };
        self.count += 1;
        let id = TransactionId::new(&format!("bob{}", self.count)).unwrap();
        let said = String::from_utf8_lossy(&body).replace("sip:alice@127", "sip:bob@127");
        HeadWriter::request(&mut self.out, &id, msrp::Method::Send, to, from)
            .message_id(id.as_str())
            .byte_range(ByteRange::whole(said.len() as u64))
            .body("message/cpim");
        self.out.extend_from_slice(said.as_bytes());
        end_line_after_body(&mut self.out, &id, Flag::Last);
    }
}

/// Runs the program with a command line and typed lines; returns its status and its output.
async fn chat(code: u16, line: &str, typed: &[&str]) -> (Status, Vec<String>) {
    let (room, port) = FakeRoom::open(code).await;
    let line = format!("msrp-chat --from sip:alice@127.0.0.1 {line} sip:lobby@127.0.0.1:{port}");
    let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
    let (lines, receiver) = mpsc::channel(8);
    for line in typed {
        lines.send(Typed::Line((*line).to_owned())).await.unwrap();
    }
    let printed = Arc::new(Mutex::new(Vec::new()));
    let sink = printed.clone();
    let printer = Box::new(move |text| sink.lock().unwrap().push(text));
    let input = Input::scripted(receiver, printer);
    let status = tokio::select! {
        status = run(arguments, input) => status,
        () = room.run() => unreachable!("the room stays"),
    };
    let printed = printed.lock().unwrap().clone();
    (status, printed)
}

fn event<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["event"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {objects:?}"))
}

#[tokio::test]
async fn a_script_joins_talks_and_leaves() {
    let line = "--json --say hello --expect hello --for 20";
    let (status, printed) = chat(200, line, &[]).await;
    let objects: Vec<Value> = printed
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(status, Status::Fine, "{printed:?}");
    assert_eq!(event(&objects, "joined")["room"], "sip:lobby@127.0.0.1");
    let roster = event(&objects, "roster");
    assert_eq!(
        (&roster["version"], &roster["full"]),
        (&0.into(), &true.into())
    );
    assert_eq!(roster["users"][0]["display"], "Bob");
    assert_eq!(roster["users"][0]["status"], "connected");
    let message = event(&objects, "message");
    assert_eq!(message["from"], "sip:bob@127.0.0.1");
    assert_eq!(
        (&message["text"], &message["private"]),
        (&"hello".into(), &false.into())
    );
    assert_eq!(objects.last().unwrap()["event"], "left");
}

#[tokio::test]
async fn an_expectation_that_is_not_met() {
    let line = "--json --no-subscribe --say hello --expect goodbye --for 0.5";
    let (status, printed) = chat(200, line, &[]).await;
    assert_eq!(status, Status::Unmet, "{printed:?}");
}

#[tokio::test]
async fn a_room_that_is_full() {
    let (status, printed) = chat(486, "", &[]).await;
    assert_eq!(status, Status::NotJoined);
    assert!(
        printed[0].contains("486") && printed[0].contains("full"),
        "{printed:?}"
    );
}

#[tokio::test]
async fn a_person_types() {
    let line = "--name Al --for 20 --expect hi --stay";
    let (status, printed) = chat(200, line, &["/help", "/dance", "/quit"]).await;
    // A person may leave before the expected message arrives.
    assert_eq!(status, Status::Fine, "{printed:?}");
    assert!(printed.iter().any(|line| line.contains("/msg NAME TEXT")));
    assert!(
        printed
            .iter()
            .any(|line| line.contains("There is no /dance"))
    );
}

/// A script must notice that its announcement was refused.
#[tokio::test]
async fn what_the_room_refuses_ends_in_another_status() {
    let long = "x".repeat(500);
    let line = format!("--no-subscribe --say {TOO_MUCH}{long} --for 0.5");
    let (status, printed) = chat(200, &line, &[]).await;
    assert_eq!(status, Status::Unmet, "{printed:?}");
    let said = printed
        .iter()
        .find(|line| line.contains("Not sent: too-much"));
    assert!(
        said.expect("it is told").chars().count() < 100,
        "{printed:?}"
    );
    assert!(
        printed.iter().any(|line| line.contains("413")),
        "{printed:?}"
    );
}

#[tokio::test]
async fn who_is_here_comes_after_you_are_in() {
    let (status, printed) = chat(200, "--for 20", &["/quit"]).await;
    assert_eq!(status, Status::Fine, "{printed:?}");
    let place = |words: &str| printed.iter().position(|line| line.contains(words));
    let (you, here) = (place("You are in"), place("Here: "));
    assert!(
        here.is_none_or(|here| you.is_some_and(|you| you < here)),
        "{printed:?}"
    );
}
