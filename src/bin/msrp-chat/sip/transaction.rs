//! Client transactions (RFC 3261 §17.1): retransmission, time-outs, ACK for failures.

use super::Hop;
use msrp_conference::time::Moment;
use msrp_conference::wire::sip::{CSeq, Headers, Method, Request, Response};
use std::time::Duration;

/// Round-trip estimate (RFC 3261 §17.1.1.1).
pub(crate) const T1: Duration = Duration::from_millis(500);
/// The longest pause between retransmissions (§17.1.2.1).
pub(crate) const T2: Duration = Duration::from_secs(4);
/// Timers B and F: 64 times T1.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(32);
/// How long to wait for the end of a ringing call (§16.6, timer C).
const RINGING: Duration = Duration::from_secs(180);

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) request: Request,
    pub(crate) hop: Hop,
    /// Whether it already had credentials.
    pub(crate) authenticated: bool,
    /// A provisional answer has arrived.
    proceeding: bool,
    branch: String,
    resend_at: Option<Moment>,
    interval: Duration,
    ends_at: Moment,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Waiting,
    /// The INVITE failed: every repetition of the answer gets this ACK.
    Acknowledged(Vec<u8>),
}

/// All open requests.
#[derive(Debug)]
pub(crate) struct Clients {
    open: Vec<Client>,
    reliable: bool,
}

/// A response matched against the open transactions.
pub(crate) enum Matched {
    /// The first final answer; the request it answers.
    Final(Box<Client>),
    /// A provisional answer, or a repetition.
    Nothing,
    /// It belongs to no transaction: perhaps a repeated 2xx of an INVITE.
    Unknown,
}

type Outgoing = Vec<(Hop, Vec<u8>)>;

impl Clients {
    /// `reliable`: TCP, so nothing is retransmitted.
    pub(crate) fn new(reliable: bool) -> Self {
        Self {
            open: Vec::new(),
            reliable,
        }
    }

    /// Sends a request; its first Via must carry `branch`.
    pub(crate) fn start(
        &mut self,
        now: Moment,
        request: Request,
        hop: Hop,
        branch: String,
        authenticated: bool,
        out: &mut Outgoing,
    ) {
        out.push((hop.clone(), request.write()));
        self.open.push(Client {
            request,
            hop,
            authenticated,
            proceeding: false,
            branch,
            resend_at: (!self.reliable).then(|| now + T1),
            interval: T1,
            ends_at: now + GIVE_UP,
            phase: Phase::Waiting,
        });
    }

    /// Handles a response.
    pub(crate) fn response(
        &mut self,
        now: Moment,
        response: &Response,
        out: &mut Outgoing,
    ) -> Matched {
        let Some(place) = self.open.iter().position(|client| client.owns(response)) else {
            return Matched::Unknown;
        };
        let client = &mut self.open[place];
        let invite = client.request.method == Method::Invite;
        match &client.phase {
            Phase::Acknowledged(ack) => {
                out.push((client.hop.clone(), ack.clone()));
                Matched::Nothing
            }
            Phase::Waiting if response.code < 200 => {
                client.proceeding = true;
                if invite {
                    client.resend_at = None;
                    client.ends_at = now + RINGING;
                } else {
                    client.interval = T2;
                }
                Matched::Nothing
            }
            Phase::Waiting if invite && response.code >= 300 => {
                let ack = client.acknowledge(response).write();
                out.push((client.hop.clone(), ack.clone()));
                let done = client.done();
                client.phase = Phase::Acknowledged(ack);
                client.resend_at = None;
                client.ends_at = now + GIVE_UP;
                Matched::Final(Box::new(done))
            }
            Phase::Waiting => Matched::Final(Box::new(self.open.swap_remove(place))),
        }
    }

    /// Retransmits requests that are due; returns the requests that timed out.
    pub(crate) fn tick(&mut self, now: Moment, out: &mut Outgoing) -> Vec<Client> {
        for client in &mut self.open {
            if client.resend_at.is_some_and(|at| at <= now) {
                out.push((client.hop.clone(), client.request.write()));
                client.interval *= 2;
                if client.request.method != Method::Invite {
                    client.interval = client.interval.min(T2);
                }
                client.resend_at = Some(now + client.interval);
            }
        }
        let (over, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|client: &Client| client.ends_at <= now);
        self.open = open;
        let mut over: Vec<Client> = over;
        over.retain(|client| matches!(client.phase, Phase::Waiting));
        over
    }

    /// When `tick` must be called.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let times = self.open.iter().flat_map(|client| {
            // Without this a finished INVITE would keep the program waiting.
            let ends = matches!(client.phase, Phase::Waiting).then_some(client.ends_at);
            [client.resend_at, ends]
        });
        times.flatten().min()
    }

    /// The INVITE that may be cancelled: only after its first provisional answer (§9.1).
    pub(crate) fn ringing(&self) -> Option<&Client> {
        self.open.iter().find(|client| {
            client.request.method == Method::Invite
                && client.proceeding
                && matches!(client.phase, Phase::Waiting)
        })
    }
}

impl Client {
    fn owns(&self, response: &Response) -> bool {
        let via = response
            .headers
            .elements("Via")
            .first()
            .copied()
            .unwrap_or_default();
        let method = response.headers.first("CSeq").map(str::parse::<CSeq>);
        via.contains(&self.branch)
            && matches!(method, Some(Ok(cseq)) if cseq.method == self.request.method)
    }

    /// The ACK of a failure belongs to the INVITE's own transaction (§17.1.1.3).
    fn acknowledge(&self, response: &Response) -> Request {
        let mut ack = self.follow_up(Method::Ack);
        if let Some(to) = response.headers.first("To") {
            ack.headers.set("To", to);
        }
        ack
    }

    /// A CANCEL (§9.1).
    pub(crate) fn cancel(&self) -> Request {
        self.follow_up(Method::Cancel)
    }

    pub(crate) fn branch(&self) -> &str {
        &self.branch
    }

    fn follow_up(&self, method: Method) -> Request {
        let mut headers = Headers::new();
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID", "Route"] {
            for value in self.request.headers.all(name) {
                headers.push(name, value);
            }
        }
        let cseq = self.request.headers.first("CSeq").unwrap_or_default();
        let number = cseq.split_whitespace().next().unwrap_or("1");
        headers.push("CSeq", format!("{number} {method}"));
        Request {
            method,
            uri: self.request.uri.clone(),
            headers,
            body: bytes::Bytes::new(),
        }
    }

    /// A copy for the caller; the transaction stays.
    fn done(&self) -> Client {
        Client {
            request: self.request.clone(),
            hop: self.hop.clone(),
            branch: self.branch.clone(),
            phase: Phase::Waiting,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(method: Method) -> Request {
        Request {
            headers: Headers::new()
                .with("Via", "SIP/2.0/UDP h:1;branch=z9hG4bKx")
                .with("To", "<sip:b@h>")
                .with("CSeq", format!("7 {method}")),
            method,
            uri: "sip:b@h".into(),
            body: bytes::Bytes::new(),
        }
    }

    fn answer(code: u16, method: &str) -> Response {
        Response {
            code,
            reason: String::new(),
            headers: Headers::new()
                .with("Via", "SIP/2.0/UDP h:1;branch=z9hG4bKx")
                .with("To", "<sip:b@h>;tag=t")
                .with("CSeq", format!("7 {method}")),
            body: bytes::Bytes::new(),
        }
    }

    fn at(milliseconds: u64) -> Moment {
        Moment::from_epoch(Duration::from_millis(milliseconds))
    }

    fn started(method: Method) -> (Clients, Outgoing) {
        let (mut clients, mut out) = (Clients::new(false), Vec::new());
        let branch = "z9hG4bKx".to_owned();
        clients.start(at(0), invite(method), Hop::Server, branch, false, &mut out);
        (clients, out)
    }

    #[test]
    fn an_invite_is_repeated_with_doubling_pauses_until_it_is_given_up() {
        let (mut clients, mut out) = started(Method::Invite);
        let mut sent_at = vec![0];
        let lost = loop {
            let next = clients.deadline().unwrap();
            let (before, lost) = (out.len(), clients.tick(next, &mut out));
            if out.len() > before {
                sent_at.push(next.since_epoch().as_millis());
            }
            if !lost.is_empty() {
                break lost;
            }
        };
        assert_eq!(sent_at, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(lost[0].request.method, Method::Invite);
        assert_eq!(clients.deadline(), None);
    }

    #[test]
    fn other_requests_pause_four_seconds_at_most() {
        let (mut clients, mut out) = started(Method::Bye);
        let mut last = at(0);
        while let Some(next) = clients.deadline() {
            assert!(next.saturating_since(last) <= T2);
            clients.tick(next, &mut out);
            last = next;
        }
        assert_eq!(last, at(32_000));
        assert_eq!(out.len(), 11);
    }

    #[test]
    fn a_provisional_answer_stops_the_repetition() {
        let (mut clients, mut out) = started(Method::Invite);
        clients.response(at(100), &answer(100, "INVITE"), &mut out);
        assert!(clients.tick(at(31_000), &mut out).is_empty());
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn every_repeated_failure_is_acknowledged() {
        let (mut clients, mut out) = started(Method::Invite);
        let first = clients.response(at(100), &answer(486, "INVITE"), &mut out);
        assert!(matches!(first, Matched::Final(_)));
        let again = clients.response(at(600), &answer(486, "INVITE"), &mut out);
        assert!(matches!(again, Matched::Nothing));
        assert_eq!(out.len(), 3);
        let ack = String::from_utf8(out[1].1.clone()).unwrap();
        assert!(ack.starts_with("ACK sip:b@h"), "{ack}");
        assert!(ack.contains("CSeq: 7 ACK") && ack.contains("tag=t") && ack.contains("z9hG4bKx"));
    }
}
