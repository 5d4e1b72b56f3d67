//! One MSRP session, pure: events of the decoder and time in, octets and [`Happening`]s out.

use super::assembly::Assembly;
use crate::failure::{Failure, TIMEOUT};
use crate::offer::Stream;
use msrp_conference::entropy::Entropy;
use msrp_conference::time::Moment;
use msrp_conference::wire::cpim::{self, Composition};
use msrp_conference::wire::msrp::{
    ByteRange, Event, FailureReport, Flag, HeadWriter, Method, Request, Response, Status,
    TransactionId, TransactionIds, contains_end_line, end_line_after_body,
};
use msrp_conference::wire::sip::Uri;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a request waits for its response (RFC 4975 §7.1.1).
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Octets above which a chunk must be interruptible (§7.1.1).
const UNINTERRUPTED: usize = 2048;

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// URI of the sender; empty when unknown.
    pub(crate) from: String,
    /// Name of the sender as written; may be empty.
    pub(crate) name: String,
    /// The addressee.
    pub(crate) to: String,
    /// Addressed to us alone.
    pub(crate) private: bool,
    /// A notice of the server, without a speaker.
    pub(crate) notice: bool,
    /// When it was sent, if it says so.
    pub(crate) said: Option<Moment>,
    /// `type/subtype`.
    pub(crate) media_type: String,
    /// The content.
    pub(crate) content: Vec<u8>,
}

/// An event of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// The room has bound our connection.
    Bound,
    /// The room refused to bind it.
    NotBound(Failure),
    /// A message came.
    Message(Received),
    /// A message of ours was accepted.
    Sent,
    /// A message of ours failed.
    NotSent(Failure, String),
    /// Our nickname is now this; empty: none.
    Nickname(String),
    /// The nickname was refused.
    NotNicknamed(Failure),
}

enum Asked {
    Bind,
    Text(String),
    Nickname(String),
}

/// The session.
pub(crate) struct Session {
    own_uri: String,
    peer_path: String,
    cpim: bool,
    me: (String, String),
    room: String,
    ids: TransactionIds,
    asked: BTreeMap<u64, (Moment, Asked)>,
    chunk: Option<Chunk>,
    assembly: Assembly,
    out: Vec<u8>,
    happenings: VecDeque<Happening>,
}

/// The head of the incoming chunk, and its octets so far.
struct Chunk {
    transaction: TransactionId,
    previous_hop: String,
    from_path: String,
    message_id: String,
    range: ByteRange,
    content_type: String,
    success_report: bool,
    failure_report: FailureReport,
    body: Vec<u8>,
}

impl Session {
    /// `me` is name and URI; `room` the URI that addresses everybody. Binds at once.
    pub(crate) fn start(
        now: Moment,
        stream: &Stream,
        me: (&str, &str),
        room: &str,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let peer = stream.peer.as_ref();
        let mut session = Self {
            own_uri: stream.own_uri.clone(),
            peer_path: peer.map(|peer| peer.path.clone()).unwrap_or_default(),
            cpim: peer.is_none_or(|peer| peer.cpim),
            me: (me.0.to_owned(), me.1.to_owned()),
            room: room.to_owned(),
            ids: TransactionIds::new(entropy),
            asked: BTreeMap::new(),
            chunk: None,
            assembly: Assembly::default(),
            out: Vec::new(),
            happenings: VecDeque::new(),
        };
        // The active side sends at once, even if only an empty SEND (§5.4).
        let transaction = session.ask(now, Asked::Bind);
        session
            .head(&transaction, Method::Send)
            .message_id(transaction.as_str())
            .byte_range(ByteRange::whole(0))
            .end(Flag::Last);
        session
    }

    /// Sends a text to the room, or to one participant.
    pub(crate) fn say(&mut self, now: Moment, to: Option<&str>, text: &str) {
        self.send(now, to, "text/plain; charset=utf-8", text);
    }

    /// Sends a text to everybody inside an idle typing notice (RFC 3994): clients show no such
    /// message, and a room's history keeps none.
    pub(crate) fn say_unseen(&mut self, now: Moment, text: &str) {
        let notice = format!(
            "<?xml version=\"1.0\"?><isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\
             <state>idle</state><contenttype>{text}</contenttype></isComposing>"
        );
        self.send(now, None, "application/im-iscomposing+xml", &notice);
    }

    fn send(&mut self, now: Moment, to: Option<&str>, media_type: &str, text: &str) {
        let (content_type, body) = match self.cpim {
            true => ("message/cpim", self.wrap(now, to, media_type, text)),
            false => (media_type, text.as_bytes().to_vec()),
        };
        let mut transaction = self.ask(now, Asked::Text(text.to_owned()));
        // Nobody can know the id beforehand; a check costs nothing (§7.1).
        while contains_end_line(&body, &transaction) {
            self.forget(&transaction);
            transaction = self.ask(now, Asked::Text(text.to_owned()));
        }
        let total = body.len() as u64;
        let range = ByteRange {
            end: (body.len() <= UNINTERRUPTED).then_some(total),
            ..ByteRange::whole(total)
        };
        self.head(&transaction, Method::Send)
            .message_id(transaction.as_str())
            .byte_range(range)
            .body(content_type);
        self.out.extend_from_slice(&body);
        end_line_after_body(&mut self.out, &transaction, Flag::Last);
    }

    fn wrap(&self, now: Moment, to: Option<&str>, media_type: &str, text: &str) -> Vec<u8> {
        cpim::compose(&Composition {
            from: (&self.me.0, &self.me.1),
            to: ("", to.unwrap_or(&self.room)),
            date_time: Some(now),
            headers: &[],
            content_type: media_type,
            content: text.as_bytes(),
        })
    }

    /// Requests a nickname (RFC 7701 §7); an empty one gives it up.
    pub(crate) fn nickname(&mut self, now: Moment, nickname: &str) {
        let transaction = self.ask(now, Asked::Nickname(nickname.to_owned()));
        self.head(&transaction, Method::Nickname)
            .use_nickname(nickname)
            .end(Flag::Last);
    }

    /// Messages of ours without an answer yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// Octets to write.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The next event.
    pub(crate) fn happening(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    /// When `tick` must be called.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.asked.values().map(|(at, _)| *at).min()
    }

    /// Fails requests without a response (§7.1.1, C48).
    pub(crate) fn tick(&mut self, now: Moment) {
        let late = self.asked.iter().filter(|(_, (at, _))| *at <= now);
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in late {
            self.answered(number, TIMEOUT, "no answer");
        }
    }

    /// An event of the decoder.
    pub(crate) fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Message {
                request,
                body,
                flag,
            } => self.request(&request, body, flag),
            Event::Begin(request) => self.chunk = Some(Chunk::new(&request)),
            Event::Body(piece) => {
                if let Some(chunk) = &mut self.chunk {
                    chunk.push(piece);
                }
            }
            Event::End(flag) => {
                if let Some(chunk) = self.chunk.take() {
                    self.send_came(chunk, flag);
                }
            }
            Event::Response(response) => self.response(&response),
            Event::Malformed(bad) => {
                let hop = bad.from_path.map(|path| path.first());
                let silent =
                    bad.method == Method::Report || bad.failure_report == FailureReport::No;
                if let Some(hop) = hop.filter(|_| !silent) {
                    self.respond(&bad.transaction, 400, "Bad Request", hop);
                }
            }
            Event::Skipped => {}
        }
    }

    fn request(&mut self, request: &Request<'_>, body: Option<&[u8]>, flag: Flag) {
        match request.method {
            Method::Send => match body {
                // A keep-alive, or another endpoint's bind: answered, not shown (G20).
                None => self.answer(request, 200, "OK"),
                Some(body) => {
                    let mut chunk = Chunk::new(request);
                    chunk.push(body);
                    self.send_came(chunk, flag);
                }
            },
            Method::Report => self.report(request),
            _ => self.answer(request, 501, "Not Implemented"),
        }
    }

    fn answer(&mut self, request: &Request<'_>, code: u16, comment: &str) {
        let silent = match request.failure_report {
            FailureReport::Yes => false,
            FailureReport::Partial => code == 200,
            FailureReport::No => true,
        };
        if !silent {
            // Only the previous hop answers a SEND (§7.2, C44).
            let path = match request.method {
                Method::Send => request.from_path.first(),
                _ => request.from_path.as_str(),
            };
            self.respond(&request.transaction, code, comment, path);
        }
    }

    fn respond(&mut self, transaction: &TransactionId, code: u16, comment: &str, to: &str) {
        HeadWriter::response(&mut self.out, transaction, code, comment, to, &self.own_uri)
            .end(Flag::Last);
    }

    fn send_came(&mut self, chunk: Chunk, flag: Flag) {
        let added = self
            .assembly
            .add(&chunk.message_id, chunk.range, &chunk.body, flag);
        let code = if added.is_ok() { 200 } else { 413 };
        let silent = match chunk.failure_report {
            FailureReport::Yes => false,
            FailureReport::Partial => code == 200,
            FailureReport::No => true,
        };
        if !silent {
            let comment = if code == 200 {
                "OK"
            } else {
                "Message Too Large"
            };
            self.respond(&chunk.transaction, code, comment, &chunk.previous_hop);
        }
        if let Ok(Some(message)) = added {
            if chunk.success_report {
                self.report_success(&chunk, message.len() as u64);
            }
            self.message(&chunk.content_type, message);
        }
    }

    fn report_success(&mut self, chunk: &Chunk, length: u64) {
        let transaction = self.ids.next_id().1;
        let status = Status {
            namespace: 0,
            code: 200,
            comment: "OK",
        };
        HeadWriter::request(
            &mut self.out,
            &transaction,
            Method::Report,
            &chunk.from_path,
            &self.own_uri,
        )
        .message_id(&chunk.message_id)
        .byte_range(ByteRange::whole(length))
        .status(status)
        .end(Flag::Last);
    }

    fn message(&mut self, content_type: &str, octets: Vec<u8>) {
        let media_type = bare(content_type);
        if media_type != "message/cpim" {
            return self.happenings.push_back(Happening::Message(Received {
                from: String::new(),
                name: String::new(),
                to: self.me.1.clone(),
                private: false,
                notice: false,
                said: None,
                media_type,
                content: octets,
            }));
        }
        // Broken CPIM is not shown; the room is responsible for the messages it forwards.
        let Ok(Some(message)) = cpim::Message::parse(&octets) else {
            return;
        };
        let to = message.to.first().map_or("", |to| to.uri);
        let notice = message.header_in("urn:ag-projects:xml:ns:cpim", "Message-Type");
        self.happenings.push_back(Happening::Message(Received {
            from: message.from.uri.to_owned(),
            name: message.from.name().into_owned(),
            to: to.to_owned(),
            private: !same_address(to, &self.room),
            notice: notice == Some("status"),
            said: message.header("DateTime").and_then(Moment::from_rfc3339),
            media_type: message.media_type(),
            content: octets[message.content..].to_vec(),
        }));
    }

    /// The room answers a SEND itself; a report tells of a later failure (§7.1.4).
    fn report(&mut self, report: &Request<'_>) {
        let Some(status) = report.status.filter(|status| status.code != 200) else {
            return;
        };
        let id = report.message_id.and_then(TransactionId::new);
        if id.is_some_and(|id| self.ids.number(&id).is_some()) {
            let failure = Failure::msrp("send", status.code, status.comment);
            self.happenings
                .push_back(Happening::NotSent(failure, String::new()));
        }
    }

    fn response(&mut self, response: &Response<'_>) {
        if let Some(number) = self.ids.number(&response.transaction) {
            self.answered(number, response.code, response.comment);
        }
    }

    fn answered(&mut self, number: u64, code: u16, comment: &str) {
        let Some((_, asked)) = self.asked.remove(&number) else {
            return;
        };
        let good = code == 200;
        self.happenings.push_back(match asked {
            Asked::Bind if good => Happening::Bound,
            Asked::Bind => Happening::NotBound(Failure::msrp("join", code, comment)),
            Asked::Text(_) if good => Happening::Sent,
            Asked::Text(text) => Happening::NotSent(Failure::msrp("send", code, comment), text),
            Asked::Nickname(name) if good => Happening::Nickname(name),
            Asked::Nickname(_) => {
                Happening::NotNicknamed(Failure::msrp("take that nickname", code, comment))
            }
        });
    }

    fn ask(&mut self, now: Moment, asked: Asked) -> TransactionId {
        let (number, transaction) = self.ids.next_id();
        self.asked.insert(number, (now + RESPONSE_TIMEOUT, asked));
        transaction
    }

    fn forget(&mut self, transaction: &TransactionId) {
        if let Some(number) = self.ids.number(transaction) {
            self.asked.remove(&number);
        }
    }

    fn head<'a>(
        &'a mut self,
        transaction: &'a TransactionId,
        method: Method<'_>,
    ) -> HeadWriter<'a, Vec<u8>> {
        HeadWriter::request(
            &mut self.out,
            transaction,
            method,
            &self.peer_path,
            &self.own_uri,
        )
    }
}

impl Chunk {
    fn new(request: &Request<'_>) -> Self {
        Self {
            transaction: request.transaction,
            previous_hop: request.from_path.first().to_owned(),
            from_path: request.from_path.as_str().to_owned(),
            message_id: request.message_id.unwrap_or_default().to_owned(),
            range: request.range(),
            content_type: request.content_type.unwrap_or("text/plain").to_owned(),
            success_report: request.success_report,
            failure_report: request.failure_report,
            body: Vec::new(),
        }
    }

    /// Appends octets up to one beyond the limit, enough to recognise an oversized message.
    fn push(&mut self, piece: &[u8]) {
        let space = (super::assembly::MAX_MESSAGE + 1).saturating_sub(self.body.len());
        self.body
            .extend_from_slice(&piece[..piece.len().min(space)]);
    }
}

fn bare(content_type: &str) -> String {
    let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    media_type.trim().to_ascii_lowercase()
}

/// Whether two SIP URIs name the same address of record.
pub(crate) fn same_address(left: &str, right: &str) -> bool {
    let address = |text: &str| text.parse::<Uri>().map(|uri| uri.address_of_record());
    match (address(left), address(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests;
