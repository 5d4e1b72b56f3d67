//! Requests of the room: BYE, re-INVITE, NOTIFY and the rest (RFC 3261 §8.2, §12.2.2).

use super::Hop;
use super::agent::{ALLOW, Agent, Event, Phase, USER_AGENT};
use super::transaction::{GIVE_UP, T1, T2};
use bytes::Bytes;
use msrp_conference::time::Moment;
use msrp_conference::wire::sip::{CSeq, Headers, Method, NameAddr, Request, Response, reason};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Answers kept for repeated requests; a room has at most a few on the way to us.
const KEPT_ANSWERS: usize = 32;

/// What we have answered.
#[derive(Debug, Default)]
pub(super) struct Served {
    recent: VecDeque<(String, Vec<u8>)>,
    waiting_for_ack: Option<WaitingForAck>,
}

/// A 2xx to a re-INVITE, repeated until its ACK comes (§13.3.1.4).
#[derive(Debug)]
struct WaitingForAck {
    cseq: u32,
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

    fn keep(&mut self, key: String, answer: Vec<u8>) {
        if self.recent.len() == KEPT_ANSWERS {
            self.recent.pop_front();
        }
        self.recent.push_back((key, answer));
    }
}

/// An answer in the making.
struct Reply {
    code: u16,
    headers: Headers,
    body: Bytes,
}

impl Reply {
    fn code(code: u16) -> Self {
        Self {
            code,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }
}

impl Agent {
    pub(super) fn request(&mut self, now: Moment, source: SocketAddr, request: Request) {
        if request.method == Method::Ack {
            return self.acknowledged(&request);
        }
        let via = request
            .headers
            .elements("Via")
            .first()
            .copied()
            .unwrap_or_default();
        let key = format!("{} {via}", request.method);
        if let Some((_, answer)) = self.served.recent.iter().find(|(known, _)| *known == key) {
            let answer = answer.clone();
            return self.out.push((Hop::Source(source), answer));
        }
        let reply = match request.method {
            Method::Bye => self.bye(&request),
            Method::Notify => Reply::code(self.notified(now, &request)),
            Method::Invite => self.reinvite(now, source, &request),
            Method::Update => self.update(&request),
            Method::Options => Reply::code(200).with("Allow", ALLOW),
            // Nothing is left to cancel: a re-INVITE is answered at once (§9.2).
            Method::Cancel => Reply::code(481),
            _ => Reply::code(405).with("Allow", ALLOW),
        };
        let answer = self.reply(&request, reply);
        let waiting = self.served.waiting_for_ack.as_mut();
        if let Some(waiting) = waiting.filter(|waiting| waiting.answer.is_empty()) {
            waiting.answer = answer.clone();
        }
        self.served.keep(key, answer.clone());
        self.out.push((Hop::Source(source), answer));
    }

    fn reply(&self, request: &Request, reply: Reply) -> Vec<u8> {
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
        for header in reply.headers.iter() {
            headers.push(&header.name, header.value.as_str());
        }
        Response {
            code: reply.code,
            reason: reason(reply.code).to_owned(),
            headers,
            body: reply.body,
        }
        .write()
    }

    fn bye(&mut self, request: &Request) -> Reply {
        if !self.call.holds(request) || self.phase == Phase::Over {
            return Reply::code(481);
        }
        let was_up = self.phase == Phase::Up;
        self.phase = Phase::Over;
        self.events.push_back(match was_up {
            true => Event::HungUp,
            false => Event::Left,
        });
        Reply::code(200)
    }

    fn reinvite(&mut self, now: Moment, source: SocketAddr, request: &Request) -> Reply {
        if !self.call.holds(request) {
            // We are in one room and take no calls.
            return Reply::code(if has_tag(request) { 481 } else { 486 });
        }
        if !self.call.in_order(request) {
            return Reply::code(500).with("Retry-After", "1");
        }
        let we_offered = request.body.is_empty();
        let reply = match we_offered {
            true => self.with_body(Ok(self.stream.clone().offer())),
            false => self.take_offer(&request.body),
        };
        if reply.code == 200 {
            self.served.waiting_for_ack = Some(WaitingForAck {
                cseq: number(request),
                answer: Vec::new(),
                source,
                resend_at: now + T1,
                interval: T1,
                ends_at: now + GIVE_UP,
                we_offered,
            });
        }
        reply
    }

    fn update(&mut self, request: &Request) -> Reply {
        match () {
            () if !self.call.holds(request) => Reply::code(481),
            () if !self.call.in_order(request) => Reply::code(500).with("Retry-After", "1"),
            // A session timer's refresh (RFC 4028 §7.4).
            () if request.body.is_empty() => Reply::code(200).with("Contact", &self.contact()),
            () => self.take_offer(&request.body),
        }
    }

    fn take_offer(&mut self, offer: &[u8]) -> Reply {
        let before = self.stream.peer.clone();
        let answer = self.stream.answer(offer).map_err(|_| ());
        if answer.is_ok() && self.stream.peer != before {
            self.events.push_back(Event::Moved);
        }
        self.with_body(answer)
    }

    fn with_body(&self, description: Result<String, ()>) -> Reply {
        let Ok(description) = description else {
            return Reply::code(488);
        };
        let mut reply = Reply::code(200)
            .with("Contact", &self.contact())
            .with("Allow", ALLOW)
            .with("Content-Type", "application/sdp");
        reply.body = description.into();
        reply
    }

    fn acknowledged(&mut self, ack: &Request) {
        let waiting = &mut self.served.waiting_for_ack;
        let Some(done) = waiting.take_if(|waiting| waiting.cseq == number(ack)) else {
            return;
        };
        if done.we_offered && matches!(self.stream.read(&ack.body), Ok(true)) {
            self.events.push_back(Event::Moved);
        }
    }
}

fn number(request: &Request) -> u32 {
    let cseq = request.headers.first("CSeq").map(str::parse::<CSeq>);
    cseq.and_then(Result::ok).map_or(0, |cseq| cseq.number)
}

fn has_tag(request: &Request) -> bool {
    let to = request.headers.first("To").map(str::parse::<NameAddr>);
    matches!(to, Some(Ok(to)) if to.tag().is_some())
}
