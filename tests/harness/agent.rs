//! A SIP user agent on one UDP socket, one TCP or TLS connection, or one WebSocket.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tungstenite::protocol::Role;
use tungstenite::{ClientRequestBuilder, Message as Frame, WebSocket};

use msrp_conference::wire::sip::{Headers, Message, NameAddr, Request, Response, reason};

use super::PATIENCE;
use super::draft::Draft;
use super::mailbox::Mailbox;

/// The transport of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// One connection.
    Tcp,
    /// One connection, encrypted elsewhere ([`Agent::over`]).
    Tls,
    /// One WebSocket (RFC 7118).
    Ws,
    /// The same, encrypted elsewhere.
    Wss,
}

impl Transport {
    /// Name in a Via.
    fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// Parameter in a Contact; `ws` over TLS too (RFC 7118 §5.2).
    fn parameter(self) -> &'static str {
        match self {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
            Transport::Ws | Transport::Wss => ";transport=ws",
        }
    }
}

/// A received message and its time.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// The time of its arrival.
    pub at: Instant,
}

enum Wire {
    Udp(UdpSocket, SocketAddr),
    Tcp(Mutex<TcpStream>),
    Ws(Box<Mutex<WebSocket<TcpStream>>>),
}

impl Wire {
    fn send(&self, octets: &[u8]) {
        match self {
            Wire::Udp(socket, peer) => drop(socket.send_to(octets, peer).expect("send")),
            // A write to a proxy that was just killed fails; the following wait will show that.
            Wire::Tcp(stream) => drop(stream.lock().unwrap().write_all(octets)),
            Wire::Ws(socket) => {
                let text = String::from_utf8(octets.to_vec()).expect("SIP is UTF-8");
                drop(socket.lock().unwrap().send(Frame::text(text)));
            }
        }
    }
}

/// A user agent. It answers requests to it automatically, with 200 unless set otherwise.
pub struct Agent {
    /// User part of its address.
    pub user: String,
    /// Its local address.
    pub local: SocketAddr,
    /// Received messages that nobody has taken yet.
    pub inbox: Arc<Mailbox<Received>>,
    transport: Transport,
    wire: Arc<Wire>,
    answers: Arc<Mutex<HashMap<String, Option<u16>>>>,
    description: Arc<Mutex<Option<String>>>,
    lenient: Arc<AtomicBool>,
    /// Address in its Contact and Via, instead of its real one.
    reached_at: Option<String>,
}

impl Agent {
    /// Opens its socket towards the proxy.
    pub fn new(user: &str, proxy: SocketAddr, transport: Transport) -> Self {
        if transport != Transport::Udp {
            let stream = TcpStream::connect(proxy).expect("connect");
            return Self::over(user, stream, transport);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let local = socket.local_addr().expect("address");
        Self::start(user, Wire::Udp(socket, proxy), local, transport)
    }

    /// Uses datagrams, on this port.
    pub fn at(user: &str, proxy: SocketAddr, port: u16) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", port)).expect("bind");
        let local = socket.local_addr().expect("address");
        Self::start(user, Wire::Udp(socket, proxy), local, Transport::Udp)
    }

    /// Uses an existing connection.
    pub fn over(user: &str, stream: TcpStream, transport: Transport) -> Self {
        let local = stream.local_addr().expect("address");
        let wire = match transport {
            Transport::Ws | Transport::Wss => {
                Wire::Ws(Box::new(Mutex::new(open_websocket(stream))))
            }
            _ => Wire::Tcp(Mutex::new(stream)),
        };
        Self::start(user, wire, local, transport)
    }

    fn start(user: &str, wire: Wire, local: SocketAddr, transport: Transport) -> Self {
        let inbox = Arc::new(Mailbox::new());
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let description = Arc::new(Mutex::new(None));
        let lenient = Arc::new(AtomicBool::new(false));
        let wire = Arc::new(wire);
        let mut reader = Reader {
            wire: Arc::clone(&wire),
            inbox: Arc::clone(&inbox),
            answers: Arc::clone(&answers),
            description: Arc::clone(&description),
            lenient: Arc::clone(&lenient),
            contact: String::new(),
            answered: HashMap::new(),
        };
        let new = Self {
            user: user.into(),
            local,
            inbox,
            transport,
            wire,
            answers,
            description,
            lenient,
            reached_at: None,
        };
        reader.contact = new.contact();
        thread::spawn(move || reader.run());
        new
    }

    /// Names another address in the Contact than its own.
    #[must_use]
    pub fn reached_at(mut self, place: &str) -> Self {
        self.reached_at = Some(place.into());
        self
    }

    /// Answers requests of this method with this code from now on; `None`: not at all.
    pub fn answer(&self, method: &str, code: Option<u16>) {
        self.answers.lock().unwrap().insert(method.into(), code);
    }

    /// Skips unreadable messages from now on, such as a proxy's own ACK of a 2xx without a Contact.
    pub fn be_lenient(&self) {
        self.lenient.store(true, Ordering::Relaxed);
    }

    /// Sets the description for the 200 to an INVITE.
    pub fn describe(&self, sdp: String) {
        *self.description.lock().unwrap() = Some(sdp);
    }

    /// Its address of record.
    pub fn address(&self) -> String {
        format!("sip:{}@127.0.0.1", self.user)
    }

    /// Its Contact value.
    pub fn contact(&self) -> String {
        let transport = self.transport.parameter();
        format!("<sip:{}@{}{transport}>", self.user, self.place())
    }

    fn place(&self) -> String {
        let place = self.reached_at.clone();
        place.unwrap_or_else(|| self.local.to_string())
    }

    /// A request outside any dialog, to `uri`.
    pub fn draft(&self, method: &str, uri: &str) -> Draft {
        let via = self.transport.name();
        let place = self.place();
        let unique = unique();
        let headers = [
            (
                "Via",
                format!("SIP/2.0/{via} {place};branch=z9hG4bK{unique};rport"),
            ),
            ("Max-Forwards", "70".into()),
            (
                "From",
                format!("\"{0}\" <{1}>;tag=f{unique}", self.user, self.address()),
            ),
            ("To", format!("<{uri}>")),
            ("Call-ID", format!("c{unique}@127.0.0.1")),
            ("CSeq", format!("1 {method}")),
            ("Contact", self.contact()),
        ];
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Draft {
            method: method.into(),
            uri: uri.into(),
            headers,
            body: Vec::new(),
        }
    }

    /// Sends a request.
    pub fn send(&self, draft: &Draft) {
        self.wire.send(&draft.octets());
    }

    /// Sends octets as they are.
    pub fn send_raw(&self, octets: &[u8]) {
        self.wire.send(octets);
    }

    /// Sends a request and waits for its final answer; non-2xx answers to INVITE are ACKed.
    pub fn exchange(&self, draft: &Draft) -> Response {
        self.send(draft);
        self.final_response(draft)
    }

    /// Waits for the final answer.
    pub fn final_response(&self, draft: &Draft) -> Response {
        let what = format!("no final answer to {} {}", draft.method, draft.uri);
        self.response(draft, PATIENCE, |code| code >= 200)
            .expect(&what)
    }

    /// Waits for an answer with a matching code. A non-2xx final answer to INVITE gets an ACK.
    pub fn response(
        &self,
        draft: &Draft,
        patience: Duration,
        fits: impl Fn(u16) -> bool,
    ) -> Option<Response> {
        let received = self
            .inbox
            .take(patience, |received| match &received.message {
                Message::Response(response) => {
                    fits(response.code) && answers_to(response, draft.branch(), &draft.method)
                }
                Message::Request(_) => false,
            })?;
        let Message::Response(response) = received.message else {
            unreachable!()
        };
        if draft.method == "INVITE" && response.code >= 300 {
            let to = response.headers.first("To").unwrap_or_default();
            self.send(&draft.ack_of_refusal(to));
        }
        Some(response)
    }

    /// Answers a request by hand; a To without a tag gets this one.
    pub fn respond(&self, request: &Request, code: u16, tag: &str, more: Headers, body: &str) {
        let mut headers = Headers::new();
        for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
            for value in request.headers.all(name) {
                headers.push(name, value);
            }
        }
        let to = request.headers.first("To").unwrap_or_default();
        let has_tag = to.parse::<NameAddr>().is_ok_and(|to| to.tag().is_some());
        let tag = if has_tag {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        headers.push("To", format!("{to}{tag}"));
        for header in more.iter() {
            headers.push(&header.name, header.value.clone());
        }
        let response = Response {
            code,
            reason: reason(code).to_owned(),
            headers,
            body: body.to_owned().into(),
        };
        self.send_raw(&response.write());
    }

    /// Waits for a request of this method.
    pub fn request(&self, method: &str, patience: Duration) -> Option<Request> {
        self.timed_request(patience, |request| request.method.as_str() == method)
            .map(|(request, _)| request)
    }

    /// Waits for a matching request, and returns the time of its arrival.
    pub fn timed_request(
        &self,
        patience: Duration,
        fits: impl Fn(&Request) -> bool,
    ) -> Option<(Request, Instant)> {
        let received = self
            .inbox
            .take(patience, |received| match &received.message {
                Message::Request(request) => fits(request),
                Message::Response(_) => false,
            })?;
        match received.message {
            Message::Request(request) => Some((request, received.at)),
            Message::Response(_) => unreachable!(),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        match &*self.wire {
            // An empty datagram from itself tells the reader to end.
            Wire::Udp(socket, _) => drop(socket.send_to(&[], self.local)),
            Wire::Tcp(stream) => drop(stream.lock().unwrap().shutdown(Shutdown::Both)),
            Wire::Ws(socket) => {
                drop(socket.lock().unwrap().get_ref().shutdown(Shutdown::Both));
            }
        }
    }
}

fn answers_to(response: &Response, branch: &str, method: &str) -> bool {
    let via = response.headers.elements("Via");
    let top = via.first().copied().unwrap_or_default();
    let cseq = response.headers.first("CSeq").unwrap_or_default();
    top.split(';')
        .any(|part| part.strip_prefix("branch=") == Some(branch))
        && cseq.ends_with(method)
}

/// The handshake, with the subprotocol of RFC 7118 §4.
fn open_websocket(stream: TcpStream) -> WebSocket<TcpStream> {
    let peer = stream.peer_addr().expect("address");
    let uri = format!("ws://{peer}/").parse().expect("a URI");
    let request = ClientRequestBuilder::new(uri)
        .with_sub_protocol("sip")
        .with_header("Origin", "http://127.0.0.1");
    let (socket, answer) = tungstenite::client(request, stream).expect("a WebSocket");
    let protocol = answer.headers().get("Sec-WebSocket-Protocol");
    assert_eq!(protocol.map(|it| it.as_bytes()), Some(b"sip".as_slice()));
    socket
}

/// A text that is unique in this process and in this test run.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}x{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

struct Reader {
    wire: Arc<Wire>,
    inbox: Arc<Mailbox<Received>>,
    answers: Arc<Mutex<HashMap<String, Option<u16>>>>,
    description: Arc<Mutex<Option<String>>>,
    lenient: Arc<AtomicBool>,
    contact: String,
    /// Answers given, by branch and method: a retransmission gets the same one again.
    answered: HashMap<String, Vec<u8>>,
}

impl Reader {
    fn run(mut self) {
        let wire = Arc::clone(&self.wire);
        match &*wire {
            Wire::Udp(socket, _) => self.read_datagrams(socket),
            Wire::Tcp(stream) => {
                let stream = stream.lock().unwrap().try_clone().expect("clone");
                self.read_stream(stream);
            }
            Wire::Ws(socket) => {
                let stream = socket.lock().unwrap().get_ref().try_clone();
                self.read_frames(stream.expect("clone"));
            }
        }
        self.inbox.close();
    }

    /// One SIP message per WebSocket message (RFC 7118 §5.3).
    fn read_frames(&mut self, stream: TcpStream) {
        let mut socket = WebSocket::from_raw_socket(stream, Role::Client, None);
        while let Ok(frame) = socket.read() {
            if frame.is_text() || frame.is_binary() {
                self.take(&frame.into_data());
            }
        }
    }

    fn read_datagrams(&mut self, socket: &UdpSocket) {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if length == 0 && Some(from) == socket.local_addr().ok() {
                return;
            }
            self.take(&buffer[..length]);
        }
    }

    fn read_stream(&mut self, mut stream: TcpStream) {
        let (mut held, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            held.extend_from_slice(&buffer[..length]);
            while let Some(length) = Message::frame(&held).expect("a broken frame from the proxy") {
                let message: Vec<u8> = held.drain(..length).collect();
                self.take(&message);
            }
        }
    }

    fn take(&mut self, octets: &[u8]) {
        if octets.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let message = match Message::parse(octets) {
            Ok(message) => message,
            Err(_) if self.lenient.load(Ordering::Relaxed) => return,
            Err(error) => panic!(
                "the proxy sent {error}: {:?}",
                String::from_utf8_lossy(octets)
            ),
        };
        if let Message::Request(request) = &message
            && self.answer(request)
        {
            return;
        }
        self.inbox.push(Received {
            message,
            at: Instant::now(),
        });
    }

    /// Answers a request; true for a retransmission.
    fn answer(&mut self, request: &Request) -> bool {
        let method = request.method.as_str();
        if method == "ACK" {
            return false;
        }
        let via = request.headers.first("Via").unwrap_or_default();
        let key = format!("{method} {via}");
        if let Some(known) = self.answered.get(&key) {
            self.wire.send(known);
            return true;
        }
        let code = self
            .answers
            .lock()
            .unwrap()
            .get(method)
            .copied()
            .unwrap_or(Some(200));
        if let Some(code) = code {
            let sdp = self.description.lock().unwrap().clone();
            let sdp = sdp.filter(|_| method == "INVITE" && code == 200);
            let octets = response_to(request, code, &self.contact, sdp);
            self.wire.send(&octets);
            self.answered.insert(key, octets);
        }
        false
    }
}

fn response_to(request: &Request, code: u16, contact: &str, sdp: Option<String>) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {code} Answer\r\n");
    for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
        for value in request.headers.all(name) {
            let tagless =
                name == "To" && value.parse::<NameAddr>().is_ok_and(|to| to.tag().is_none());
            let tag = if tagless { ";tag=harness" } else { "" };
            text += &format!("{name}: {value}{tag}\r\n");
        }
    }
    if let Some(sdp) = &sdp {
        text += &format!("Contact: {contact}\r\nContent-Type: application/sdp\r\n");
        text += &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len());
    } else {
        text += "Content-Length: 0\r\n\r\n";
    }
    text.into_bytes()
}
