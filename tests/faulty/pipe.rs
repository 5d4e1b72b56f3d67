//! A connection to the proxy for packets that no agent would send, and for the answers to them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::harness::PATIENCE;
use super::harness::agent::{Transport, unique};
use super::harness::draft::Draft;
use super::harness::proxy::Proxy;

/// Time after which packets that UDP may have lost are sent again.
pub(crate) const ONE_TRY: Duration = Duration::from_millis(500);

/// A final answer, read with as few fields as it may have.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) branch: String,
    /// The method in its CSeq.
    pub(crate) method: String,
    pub(crate) to: String,
    /// Text for messages of failed tests.
    pub(crate) text: String,
}

/// The proxy has ended, hangs, or has closed the connection.
#[derive(Debug)]
pub(crate) struct Cut;

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// A socket or a connection to the proxy.
pub(crate) struct Pipe {
    wire: Wire,
    proxy: SocketAddr,
    /// Received text that is not read yet.
    text: String,
}

impl Pipe {
    pub(crate) fn open(proxy: &Proxy, transport: Transport) -> Self {
        let wire = match transport {
            Transport::Udp => Wire::Udp(UdpSocket::bind("127.0.0.1:0").expect("bind")),
            _ => Wire::Tcp(TcpStream::connect(proxy.sip).expect("connect")),
        };
        match &wire {
            Wire::Udp(socket) => socket.set_read_timeout(Some(ONE_TRY)),
            Wire::Tcp(stream) => stream
                .set_read_timeout(Some(ONE_TRY))
                .and_then(|()| stream.set_nodelay(true)),
        }
        .expect("a time-out");
        let (proxy, text) = (proxy.sip, String::new());
        Self { wire, proxy, text }
    }

    /// Sends packets, over UDP each in a datagram of its own. A closed connection shows by missing
    /// answers.
    pub(crate) fn send<'a>(&mut self, packets: impl Iterator<Item = &'a [u8]>) {
        match &mut self.wire {
            Wire::Udp(socket) => packets.for_each(|packet| {
                socket.send_to(packet, self.proxy).expect("send");
            }),
            Wire::Tcp(stream) => {
                let _ = stream.write_all(&packets.collect::<Vec<_>>().concat());
            }
        }
    }

    /// Reads available octets, and those that come soon.
    pub(crate) fn read(&mut self) -> Result<(), Cut> {
        let mut buffer = vec![0; 65_536];
        let read = match &mut self.wire {
            Wire::Udp(socket) => socket.recv(&mut buffer),
            Wire::Tcp(stream) => stream.read(&mut buffer),
        };
        match read {
            Ok(0) => return Err(Cut),
            Ok(length) => self.text += &String::from_utf8_lossy(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Err(Cut),
        }
        Ok(())
    }

    /// Waits until the proxy, including its conference process, answers a request sent behind all
    /// others.
    pub(crate) fn flush(&mut self, proxy: &Proxy) -> Result<(), Cut> {
        let branch = format!("z9hG4bKping{}", unique());
        let ping = self.draft("OPTIONS", &proxy.room("team"), &branch).octets();
        let end = Instant::now() + PATIENCE;
        let mut sent = None::<Instant>;
        while !self.text.contains(&branch) {
            if !proxy.lives() || Instant::now() > end {
                return Err(Cut);
            }
            if sent.is_none_or(|at| at.elapsed() >= ONE_TRY) {
                self.send([&ping[..]].into_iter());
                sent = Some(Instant::now());
            }
            self.read()?;
        }
        Ok(())
    }

    /// A correct request, in this branch.
    pub(crate) fn draft(&self, method: &str, uri: &str, branch: &str) -> Draft {
        let (via, local) = match &self.wire {
            Wire::Udp(socket) => ("UDP", socket.local_addr()),
            Wire::Tcp(stream) => ("TCP", stream.local_addr()),
        };
        let (local, id) = (local.expect("an address"), unique());
        let headers = [
            (
                "Via",
                format!("SIP/2.0/{via} {local};branch={branch};rport"),
            ),
            ("Max-Forwards", "70".into()),
            ("From", format!("<sip:mallory@127.0.0.1>;tag={id}")),
            ("To", format!("<{uri}>")),
            ("Call-ID", id),
            ("CSeq", format!("1 {method}")),
        ];
        Draft {
            method: method.into(),
            uri: uri.into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: Vec::new(),
        }
    }

    /// The final answers received since the last call.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        let text = std::mem::take(&mut self.text);
        // Whole messages only: the last one of a stream may be incomplete.
        let whole = match self.wire {
            Wire::Udp(_) => text.len(),
            Wire::Tcp(_) => text.rfind("\r\n\r\n").map_or(0, |at| at + 4),
        };
        self.text = text[whole..].to_owned();
        let responses = text[..whole].split("SIP/2.0 ").skip(1);
        responses.filter_map(answer).collect()
    }
}

fn answer(text: &str) -> Option<Answer> {
    let code = text.get(..3)?.parse().ok()?;
    let header = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_default().trim().to_owned()
    };
    let via = header("Via:");
    let branch = via.split("branch=").nth(1)?.split([';', ',']).next()?;
    let cseq = header("CSeq:");
    (code >= 200).then(|| Answer {
        code,
        branch: branch.to_owned(),
        method: cseq.split(' ').nth(1).unwrap_or_default().to_owned(),
        to: header("To:"),
        text: text.to_owned(),
    })
}
