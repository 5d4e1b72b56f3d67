//! Our answers: kept for repeated requests, and those of re-INVITEs repeated until their ACK (RFC
//! 3261 §8.2, §13.3.1.4).

use super::Hop;
use super::event::USER_AGENT;
use super::transaction::{GIVE_UP, T1, T2};
use bytes::Bytes;
use msrp_conference::time::Moment;
use msrp_conference::wire::sip::dialog::cseq_number;
use msrp_conference::wire::sip::{Headers, NameAddr, Request, Response, reason};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Answers kept for repeated requests; a room has at most a few requests on the way to us.
const KEPT_ANSWERS: usize = 32;

/// Our answers to the room's requests.
#[derive(Debug, Default)]
pub(super) struct Served {
    recent: VecDeque<(String, Vec<u8>)>,
    waiting_for_ack: Option<WaitingForAck>,
}

/// A 2xx to a re-INVITE, repeated until its ACK comes (§13.3.1.4).
#[derive(Debug)]
struct WaitingForAck {
    cseq: Option<u32>,
    answer: Vec<u8>,
    source: SocketAddr,
    resend_at: Moment,
    interval: Duration,
    ends_at: Moment,
    /// The re-INVITE had no offer: the ACK brings the answer.
    we_offered: bool,
}

impl Served {
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.waiting_for_ack
            .as_ref()
            .map(|waiting| waiting.resend_at)
    }

    pub(super) fn tick(&mut self, now: Moment, out: &mut Vec<(Hop, Vec<u8>)>) {
        let Some(waiting) = &mut self.waiting_for_ack else {
            return;
        };
        if waiting.ends_at <= now {
            self.waiting_for_ack = None;
        } else if waiting.resend_at <= now {
            out.push((Hop::Source(waiting.source), waiting.answer.clone()));
            waiting.interval = (waiting.interval * 2).min(T2);
            waiting.resend_at = now + waiting.interval;
        }
    }

    /// The earlier answer to this request, if it is a repetition.
    pub(super) fn known(&self, request: &Request) -> Option<&[u8]> {
        let key = key(request);
        let mut known = self.recent.iter().filter(|(known, _)| *known == key);
        known.next().map(|(_, answer)| &answer[..])
    }

    pub(super) fn keep(&mut self, request: &Request, answer: Vec<u8>) {
        if self.recent.len() == KEPT_ANSWERS {
            self.recent.pop_front();
        }
        self.recent.push_back((key(request), answer));
    }

    /// Repeats this 2xx to a re-INVITE until its ACK comes.
    pub(super) fn await_ack(
        &mut self,
        now: Moment,
        source: SocketAddr,
        request: &Request,
        answer: Vec<u8>,
    ) {
        self.waiting_for_ack = Some(WaitingForAck {
            cseq: cseq_number(request),
            answer,
            source,
            resend_at: now + T1,
            interval: T1,
            ends_at: now + GIVE_UP,
            we_offered: request.body.is_empty(),
        });
    }

    /// Handles an ACK; true when it must bring the answer to an offer of ours.
    pub(super) fn acknowledged(&mut self, ack: &Request) -> bool {
        let number = cseq_number(ack);
        let done = self.waiting_for_ack.take_if(|it| it.cseq == number);
        done.is_some_and(|it| it.we_offered)
    }
}

/// An answer under construction.
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn code(code: u16) -> Self {
        Self {
            code,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The octets of the answer to this request.
    pub(super) fn write(self, request: &Request) -> Vec<u8> {
        let mut headers = Headers::new();
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            for value in request.headers.all(name) {
                headers.push(name, value);
            }
        }
        // A final answer outside a dialog has a tag too (§8.2.6.2).
        let to = headers
            .first("To")
            .and_then(|to| to.parse::<NameAddr>().ok());
        if let Some(mut to) = to.filter(|to| to.tag().is_none()) {
            to.params = to.params.with("tag", Some("msrp-chat"));
            headers.set("To", to.to_string());
        }
        headers.push("User-Agent", USER_AGENT);
        for header in self.headers.iter() {
            headers.push(&header.name, header.value.as_str());
        }
        Response {
            code: self.code,
            reason: reason(self.code).to_owned(),
            headers,
            body: self.body,
        }
        .write()
    }
}

/// Key of a transaction: its method and topmost Via (RFC 3261 §17.2.3).
fn key(request: &Request) -> String {
    let vias = request.headers.elements("Via");
    let via = vias.first().copied().unwrap_or_default();
    format!("{} {via}", request.method)
}
