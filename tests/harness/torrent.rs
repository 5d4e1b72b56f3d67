//! A participant that sends and receives messages too large to keep.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use super::PATIENCE;
use super::agent::{Agent, Transport, unique};
use super::draft::Dialog;
use super::large::{Reader, Sum};
use super::msrp::Frame;
use super::participant::{client_path, invite, path_of};
use super::proxy::Proxy;

/// A participant that keeps only sums of messages.
pub struct Torrent {
    /// Incoming messages.
    pub reader: Reader,
    /// Writes on the same connection.
    pub writer: Writer,
}

/// The sending side of the connection.
pub struct Writer {
    stream: TcpStream,
    agent: Arc<Agent>,
    own_path: String,
    room_path: String,
    room: String,
}

impl Torrent {
    /// Joins and binds.
    pub fn join(proxy: &Proxy, user: &str, room: &str) -> Self {
        let agent = Arc::new(Agent::new(user, proxy.sip, Transport::Udp));
        let (room, own_path) = (proxy.room(room), client_path());
        let draft = invite(&agent, &room, &own_path);
        let answer = agent.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        agent.send(&Dialog::new(&draft, &answer).ack(&agent));
        let stream = TcpStream::connect(proxy.msrp).expect("connect to the MSRP port");
        stream
            .set_read_timeout(Some(PATIENCE * 3))
            .expect("a timeout");
        let mut reader = Reader::new(stream);
        let writer = Writer {
            stream: reader.stream(),
            agent,
            own_path,
            room_path: path_of(&answer.body),
            room,
        };
        let bind = Frame::request("SEND", &writer.room_path, &writer.own_path)
            .header("Message-ID", unique())
            .header("Byte-Range", "1-0/0");
        reader.write(&bind.octets());
        assert_eq!(reader.code(), 200);
        Self { reader, writer }
    }
}

impl Writer {
    fn write(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("the switch reads");
    }

    /// Sends `octets` of text, in one chunk with its length; returns the sum that must arrive.
    pub fn say(&mut self, octets: usize) -> Sum {
        self.say_held(octets, || ())
    }

    /// The same; calls `hold` before the last piece.
    pub fn say_held(&mut self, octets: usize, hold: impl Fn()) -> Sum {
        let front = format!(
            "From: <{}>\r\nTo: <{}>\r\n\r\nContent-Type: text/plain\r\n\r\n",
            self.agent.address(),
            self.room
        );
        let total = front.len() + octets;
        let frame = Frame::request("SEND", &self.room_path, &self.own_path)
            .header("Message-ID", unique())
            .header("Byte-Range", format!("1-*/{total}"))
            .header("Failure-Report", "no")
            .content("message/cpim", front.as_bytes())
            .octets();
        let end = format!("\r\n-------{}$\r\n", end_of(&frame)).into_bytes();
        self.write(&frame[..frame.len() - end.len()]);
        let piece: Vec<u8> = (0..1 << 16).map(|at| b'a' + (at % 25) as u8).collect();
        let mut sum = Sum::default();
        sum.add(front.as_bytes());
        let mut left = octets;
        while left > 0 {
            let part = &piece[..left.min(piece.len())];
            if part.len() == left {
                hold();
            }
            self.write(part);
            sum.add(part);
            left -= part.len();
        }
        self.write(&end);
        sum
    }
}

/// The transaction id of a frame.
fn end_of(frame: &[u8]) -> String {
    let line = String::from_utf8_lossy(&frame[..64]).into_owned();
    line.split(' ').nth(1).expect("a transaction id").to_owned()
}
