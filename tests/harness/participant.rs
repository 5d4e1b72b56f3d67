//! A participant in a room: dialog, MSRP session and subscription together.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use msrp_conference::wire::sdp::Description;
use msrp_conference::wire::sip::{Request, Response};

use super::PATIENCE;
use super::agent::{Agent, Transport, unique};
use super::draft::{Dialog, Draft};
use super::msrp::{Frame, Link};
use super::proxy::Proxy;
use super::roster::Roster;

/// A new MSRP URI of a client that connects out (its port is never used).
pub fn client_path() -> String {
    format!("msrp://127.0.0.1:2855/s{};tcp", unique())
}

/// The offer of a chat client, with `path` as its own MSRP URI.
pub fn offer(path: &str) -> String {
    offer_with(
        path,
        "message/cpim",
        "a=setup:active\r\na=chatroom:nickname private-messages\r\n",
    )
}

/// An offer with these accept-types and these lines after it.
pub fn offer_with(path: &str, accept_types: &str, more: &str) -> String {
    format!(
        "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 2855 TCP/MSRP *\r\n\
         a=path:{path}\r\na=accept-types:{accept_types}\r\na=accept-wrapped-types:*\r\n{more}"
    )
}

/// A message/cpim body.
pub fn cpim(from: &str, to: &str, text: &str) -> Vec<u8> {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nDateTime: 2026-01-02T03:04:05Z\r\n\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"
    )
    .into_bytes()
}

/// The INVITE of a chat client.
pub fn invite(agent: &Agent, room: &str, path: &str) -> Draft {
    agent
        .draft("INVITE", room)
        .body("application/sdp", offer(path))
}

/// The `a=path` of an SDP body.
pub fn path_of(body: &[u8]) -> String {
    let description = Description::parse(body).expect("an SDP answer");
    let media = description
        .media
        .iter()
        .find(|media| media.kind == "message")
        .expect("a message stream");
    media
        .attribute("path")
        .flatten()
        .expect("a=path")
        .to_owned()
}

/// A participant.
pub struct Participant {
    /// Its SIP side.
    pub agent: Agent,
    /// The room's URI as dialled.
    pub room: String,
    /// Its INVITE dialog.
    pub dialog: Dialog,
    /// The 2xx to its INVITE.
    pub answer: Response,
    /// Its MSRP connection.
    pub link: Link,
    /// Its own MSRP URI.
    pub own_path: String,
    /// The MSRP URI that the room gave it.
    pub room_path: String,
    /// Its subscription, if it has one.
    pub subscription: Option<Subscription>,
}

impl Participant {
    /// INVITE, ACK, MSRP bind; no subscription.
    pub fn join(proxy: &Proxy, user: &str, transport: Transport, room: &str) -> Self {
        let agent = Agent::new(user, proxy.sip, transport);
        Self::join_as(agent, proxy, room)
    }

    /// The same with an existing agent.
    pub fn join_as(agent: Agent, proxy: &Proxy, room: &str) -> Self {
        let own_path = client_path();
        let room = proxy.room(room);
        let draft = invite(&agent, &room, &own_path);
        Self::enter(agent, room, &draft, own_path, || Link::connect(proxy.msrp))
    }

    /// Joins with this INVITE; `connect` makes the MSRP connection.
    pub fn enter(
        agent: Agent,
        room: String,
        draft: &Draft,
        own_path: String,
        connect: impl FnOnce() -> Link,
    ) -> Self {
        let answer = agent.exchange(draft);
        assert_eq!(
            answer.code, 200,
            "{} may not join: {}",
            agent.user, answer.reason
        );
        let dialog = Dialog::new(draft, &answer);
        agent.send(&dialog.ack(&agent));
        let room_path = path_of(&answer.body);
        let link = connect();
        let new = Self {
            agent,
            room,
            dialog,
            answer,
            link,
            own_path,
            room_path,
            subscription: None,
        };
        let bound = new.link.exchange(&new.bind());
        assert_eq!(bound.kind, "200", "the bind is refused: {bound:?}");
        new
    }

    /// `join`, then SUBSCRIBE, until the first document has arrived.
    pub fn join_and_subscribe(proxy: &Proxy, user: &str, transport: Transport, room: &str) -> Self {
        let mut new = Self::join(proxy, user, transport, room);
        new.subscription = Some(Subscription::start(&new.agent, &new.room, 600));
        new
    }

    /// The empty SEND that binds the connection.
    pub fn bind(&self) -> Frame {
        Frame::request("SEND", &self.room_path, &self.own_path)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", "1-0/0")
    }

    /// A SEND with this CPIM body in one chunk.
    pub fn frame(&self, body: &[u8]) -> Frame {
        Frame::request("SEND", &self.room_path, &self.own_path)
            .header("Message-ID", format!("m{}", unique()))
            .header("Byte-Range", format!("1-{0}/{0}", body.len()))
            .content("message/cpim", body)
    }

    /// A CPIM body from this participant to the room.
    pub fn words(&self, text: &str) -> Vec<u8> {
        cpim(&self.agent.address(), &self.room, text)
    }

    /// Sends a text to the room; returns the CPIM octets.
    pub fn say(&self, text: &str) -> Vec<u8> {
        let body = self.words(text);
        let response = self.link.exchange(&self.frame(&body));
        assert_eq!(
            response.kind, "200",
            "{} may not speak: {response:?}",
            self.agent.user
        );
        body
    }

    /// Waits for the next message from the room.
    pub fn hear(&self) -> Frame {
        let heard = self.link.inbox.take(PATIENCE, |frame| {
            frame.kind == "SEND" && frame.body.is_some()
        });
        heard.unwrap_or_else(|| panic!("{} hears nothing", self.agent.user))
    }

    /// Asserts that the next message is exactly this.
    pub fn hears(&self, body: &[u8]) {
        let heard = self.hear();
        assert_eq!(heard.value("Content-Type"), Some("message/cpim"));
        assert_eq!(
            String::from_utf8_lossy(&heard.body.unwrap_or_default()),
            String::from_utf8_lossy(body)
        );
    }

    /// Answers the re-INVITE after a restart automatically from now on.
    pub fn stays(self) -> Self {
        self.agent.describe(offer(&self.own_path));
        self
    }

    /// Takes the path of the re-INVITE after a restart, and connects anew.
    pub fn come_back(&mut self, proxy: &Proxy) {
        let user = &self.agent.user;
        let invite = self
            .agent
            .request("INVITE", PATIENCE)
            .unwrap_or_else(|| panic!("{user} is not called\n{}", proxy.log()));
        self.room_path = path_of(&invite.body);
        self.link = Link::connect(proxy.msrp);
        let bound = self.link.exchange(&self.bind());
        assert_eq!(bound.kind, "200", "the new session is refused: {bound:?}");
    }

    /// Requests a nickname; returns the answer's code.
    pub fn take_nickname(&self, nickname: &str) -> String {
        let frame = Frame::request("NICKNAME", &self.room_path, &self.own_path)
            .header("Use-Nickname", format!("\"{nickname}\""));
        self.link.exchange(&frame).kind
    }

    /// Leaves by BYE; the switch must then close the connection.
    pub fn leave(&mut self) {
        let bye = self.dialog.request(&self.agent, "BYE");
        assert_eq!(self.agent.exchange(&bye).code, 200, "BYE");
        assert!(
            self.link.is_closed(PATIENCE),
            "the connection outlives the BYE"
        );
    }

    /// Waits until its roster shows exactly these users connected.
    pub fn sees(&mut self, users: &[&str]) {
        let truth = users
            .iter()
            .map(|user| format!("sip:{user}@127.0.0.1"))
            .collect();
        let subscription = self.subscription.as_mut().expect("a subscription");
        subscription.follow(&self.agent, &truth);
    }
}

/// A subscription to a room, with the roster rebuilt from its documents.
pub struct Subscription {
    /// Its dialog.
    pub dialog: Dialog,
    /// The roster rebuilt from the documents.
    pub roster: Roster,
    /// The answer to the SUBSCRIBE.
    pub answer: Response,
    /// When the last document arrived.
    pub last: Instant,
}

impl Subscription {
    /// SUBSCRIBE outside the INVITE dialog, and the first document.
    pub fn start(agent: &Agent, room: &str, expires: u32) -> Self {
        let draft = subscribe(agent, room, expires);
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "SUBSCRIBE: {}", answer.reason);
        let dialog = Dialog::new(&draft, &answer);
        let mut new = Self {
            dialog,
            roster: Roster::default(),
            answer,
            last: Instant::now(),
        };
        new.next(agent, PATIENCE)
            .expect("no NOTIFY after SUBSCRIBE");
        new
    }

    /// The next NOTIFY, applied to the roster.
    pub fn next(&mut self, agent: &Agent, patience: Duration) -> Option<Request> {
        let (notify, at) = agent.timed_request(patience, |request| {
            request.method.as_str() == "NOTIFY"
                && request.headers.first("Call-ID") == Some(&self.dialog.call_id)
        })?;
        self.last = at;
        assert_eq!(
            notify
                .headers
                .first("Event")
                .map(|event| event.split(';').next()),
            Some(Some("conference"))
        );
        if !notify.body.is_empty() {
            assert_eq!(
                notify.headers.first("Content-Type"),
                Some("application/conference-info+xml")
            );
            self.roster.apply(&notify.body);
        }
        Some(notify)
    }

    /// Reads documents until the roster equals `truth`.
    pub fn follow(&mut self, agent: &Agent, truth: &BTreeSet<String>) {
        while self.roster.connected() != *truth {
            let come = self.next(agent, PATIENCE);
            assert!(
                come.is_some(),
                "{} sees {:?}, the truth is {truth:?}",
                agent.user,
                self.roster.connected()
            );
        }
    }
}

/// A SUBSCRIBE to the conference event.
pub fn subscribe(agent: &Agent, room: &str, expires: u32) -> Draft {
    agent
        .draft("SUBSCRIBE", room)
        .set("Event", "conference")
        .set("Expires", expires.to_string())
        // The participant accepts partial documents.
        .set("Last-Notify-Version", "0")
        .set("Accept", "application/conference-info+xml")
}
