//! A participant from the switch's point of view: an admission, and an MSRP connection.

use std::net::SocketAddr;

use msrp_conference::control::{Admission, Order, RoomUri, SessionId};

use crate::harness::PATIENCE;
use crate::harness::admission::{self, peer_uri};
use crate::harness::msrp::{Frame, Link};

pub(crate) const LOBBY: &str = "sip:lobby@example.com";

pub(crate) fn room() -> RoomUri {
    RoomUri::new(LOBBY)
}

pub(crate) fn session(name: &str) -> SessionId {
    SessionId::new(name)
}

pub(crate) fn own_uri(switch: SocketAddr, name: &str) -> String {
    format!("msrp://{switch}/{name};tcp")
}

pub(crate) fn admission(switch: SocketAddr, name: &str) -> Box<Admission> {
    Box::new(admission::admission(own_uri(switch, name), LOBBY, name))
}

pub(crate) fn admit(switch: SocketAddr, name: &str) -> Order {
    Order::Admit(admission(switch, name))
}

/// A connected participant.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) link: Link,
    switch: SocketAddr,
    peer: String,
}

impl Member {
    /// Connects and binds an admitted session.
    pub(crate) fn bind(switch: SocketAddr, name: &str) -> Self {
        Self::bind_from(switch, name, &peer_uri(name))
    }

    /// The same with another path of its own.
    pub(crate) fn bind_from(switch: SocketAddr, name: &str, peer: &str) -> Self {
        let member = Self {
            name: name.to_owned(),
            link: Link::connect(switch),
            switch,
            peer: peer.to_owned(),
        };
        assert_eq!(member.send_empty(), "200");
        member
    }

    /// The status of a SEND without a body.
    pub(crate) fn send_empty(&self) -> String {
        let frame = self.request("SEND").header("Message-ID", "m1");
        self.link
            .exchange(&frame.header("Byte-Range", "1-0/0"))
            .kind
    }

    pub(crate) fn request(&self, method: &str) -> Frame {
        Frame::request(method, &own_uri(self.switch, &self.name), &self.peer)
    }

    /// Sends a text to the room, and waits until the switch has taken it.
    pub(crate) fn say(&self, text: &str) {
        let body = format!(
            "From: <sip:{}@example.com>\r\nTo: <{LOBBY}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}",
            self.name
        );
        let frame = self
            .request("SEND")
            .header("Message-ID", "m2")
            .header("Byte-Range", format!("1-{0}/{0}", body.len()))
            .content("message/cpim", body.as_bytes());
        assert_eq!(self.link.exchange(&frame).kind, "200", "{text}");
    }

    /// Waits for a message, which must be this one.
    pub(crate) fn hears(&self, text: &str) {
        let copy = self.link.request("SEND", PATIENCE);
        let copy = copy.unwrap_or_else(|| panic!("{} does not hear {text:?}", self.name));
        let body = String::from_utf8(copy.body.unwrap_or_default()).expect("UTF-8");
        assert_eq!(body.rsplit("\r\n\r\n").next(), Some(text));
    }

    pub(crate) fn nickname(&self, nickname: &str) {
        self.nickname_while(nickname, || {});
    }

    /// Requests a nickname; `meanwhile` happens before the answer.
    pub(crate) fn nickname_while(&self, nickname: &str, meanwhile: impl FnOnce()) {
        let frame = self.request("NICKNAME");
        let frame = frame.header("Use-Nickname", format!("\"{nickname}\""));
        self.link.send(&frame);
        meanwhile();
        let answer = self.link.response(&frame, PATIENCE).expect("an answer");
        assert_eq!(answer.kind, "200");
    }
}
