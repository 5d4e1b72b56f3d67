//! The user agent: one call to a room and its subscription.

use super::Hop;
use super::call::{Call, Phase};
use super::credentials::Credentials;
use super::dialog::{Dialog, branch};
use super::event::{ALLOW, Capabilities, Event, USER_AGENT, in_words};
use super::served::{Reply, Served};
use super::subscription::{Next, Subscription};
use super::transaction::{Client, Clients, Matched};
use crate::failure::Failure;
use crate::offer::Stream;
use msrp_conference::entropy::Entropy;
use msrp_conference::time::Moment;
use msrp_conference::wire::sip::{CSeq, Message, Method, NameAddr, Request, Response};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// The module's name in the Warning of a refusal.
const MODULE: &str = "msrp_conference";
/// Redirections after which they count as a loop (RFC 3261 §8.1.3.4).
const MAX_REDIRECTIONS: u8 = 5;

/// Our addresses and names.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// From.
    pub(crate) from: NameAddr,
    /// Our own address, for Via and Contact.
    pub(crate) address: SocketAddr,
    /// TCP instead of UDP.
    pub(crate) tcp: bool,
    /// The host part of the given room.
    pub(crate) server_host: String,
}

/// The state machine.
pub(crate) struct Agent {
    me: Identity,
    entropy: Box<dyn Entropy>,
    clients: Clients,
    call: Call,
    subscription: Subscription,
    served: Served,
    events: VecDeque<Event>,
    out: Vec<(Hop, Vec<u8>)>,
    credentials: Option<Credentials>,
    wants_roster: bool,
    redirections: u8,
    cancelled: bool,
    challenged: bool,
    is_focus: bool,
    /// Number of times the 2xx came again after our ACK.
    repeats: u32,
    /// The Server header of the element that refused our INVITE, unless its Warning is the
    /// module's.
    refused_by: Option<String>,
    /// The answer to our BYE.
    parting: Option<u16>,
    /// The ACK of the 2xx, repeated for every repetition of it.
    ack: Option<(Hop, Vec<u8>)>,
}

impl Agent {
    pub(crate) fn new(
        me: Identity,
        room: &str,
        stream: Stream,
        credentials: Option<Credentials>,
        wants_roster: bool,
        mut entropy: Box<dyn Entropy>,
    ) -> Self {
        let call = Call {
            dialog: Dialog::new(&me.from, room, &mut *entropy),
            phase: Phase::Idle,
            stream,
        };
        let clients = Clients::new(me.tcp);
        Self {
            me,
            entropy,
            clients,
            call,
            subscription: Subscription::default(),
            served: Served::default(),
            events: VecDeque::new(),
            out: Vec::new(),
            credentials,
            wants_roster,
            redirections: 0,
            cancelled: false,
            challenged: false,
            is_focus: false,
            repeats: 0,
            refused_by: None,
            parting: None,
            ack: None,
        }
    }

    /// Calls the room.
    pub(crate) fn join(&mut self, now: Moment) {
        self.call.phase = Phase::Inviting;
        let mut invite = self.call.dialog.request(Method::Invite);
        invite.headers.push("Allow", ALLOW);
        invite.headers.push("Allow-Events", "conference");
        invite.headers.push("Content-Type", "application/sdp");
        invite.body = self.call.stream.offer().into();
        let hop = self.call.dialog.hop(&self.me.server_host);
        self.send(now, invite, hop, false);
    }

    /// Sends OPTIONS; `Event::Capable` follows.
    pub(crate) fn ask_capabilities(&mut self, now: Moment) {
        let mut options = self.call.dialog.request(Method::Options);
        options.headers.push("Accept", "application/sdp");
        let hop = self.call.dialog.hop(&self.me.server_host);
        self.send(now, options, hop, false);
    }

    /// Whether the server challenged us and got credentials.
    pub(crate) fn challenged(&self) -> bool {
        self.challenged
    }

    /// Whether the room's Contact has `isfocus` (RFC 4579 §5.1).
    pub(crate) fn is_focus(&self) -> bool {
        self.is_focus
    }

    /// Number of times the room repeated its 2xx although it was acknowledged: the ACK gets lost.
    pub(crate) fn repeats(&self) -> u32 {
        self.repeats
    }

    /// The element that refused our INVITE, if not the module; empty when it does not identify
    /// itself.
    pub(crate) fn refused_by(&self) -> Option<&str> {
        self.refused_by.as_deref()
    }

    /// The answer to our BYE, if there was one.
    pub(crate) fn parting(&self) -> Option<u16> {
        self.parting
    }

    /// Whether our SUBSCRIBE was accepted.
    pub(crate) fn subscribed_well(&self) -> bool {
        self.subscription.accepted
    }

    /// Ends subscription and call; `Event::Left` follows.
    pub(crate) fn leave(&mut self, now: Moment) {
        match self.call.phase {
            Phase::Inviting => self.cancel(now),
            Phase::Up => {
                if let Some(request) = self.subscription.unsubscribe() {
                    self.send_subscribe(now, request);
                }
                self.call.phase = Phase::Leaving;
                let bye = self.call.dialog.request(Method::Bye);
                let hop = self.call.dialog.hop(&self.me.server_host);
                self.send(now, bye, hop, false);
            }
            Phase::Idle | Phase::Over => self.events.push_back(Event::Left),
            Phase::Leaving => {}
        }
    }

    /// Forgets a call that cannot succeed.
    pub(crate) fn abandon(&mut self) {
        self.call.phase = Phase::Over;
        self.clients = Clients::new(self.me.tcp);
    }

    fn cancel(&mut self, now: Moment) {
        self.call.phase = Phase::Leaving;
        let Some(invite) = self.clients.ringing() else {
            return;
        };
        self.cancelled = true;
        let (cancel, hop) = (invite.cancel(), invite.hop.clone());
        let branch = invite.branch().to_owned();
        self.clients
            .start(now, cancel, hop, branch, true, &mut self.out);
    }

    /// The media negotiated with the room.
    pub(crate) fn stream(&self) -> &Stream {
        &self.call.stream
    }

    /// Whether no exchange is open any more.
    pub(crate) fn finished(&self) -> bool {
        self.call.phase == Phase::Over && self.subscription.over()
    }

    /// The next message to send.
    pub(crate) fn outgoing(&mut self) -> Vec<(Hop, Vec<u8>)> {
        std::mem::take(&mut self.out)
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When `tick` must be called.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        [
            self.clients.deadline(),
            self.subscription.deadline(),
            self.served.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles everything due by `now`.
    pub(crate) fn tick(&mut self, now: Moment) {
        for lost in self.clients.tick(now, &mut self.out) {
            self.unanswered(&lost.request.method);
        }
        self.served.tick(now, &mut self.out);
        if self.subscription.deadline().is_some_and(|at| at <= now) {
            self.subscribe(now);
        }
    }

    fn unanswered(&mut self, method: &Method) {
        match method {
            Method::Invite if self.call.phase == Phase::Leaving => self.left(),
            Method::Invite => {
                self.call.phase = Phase::Over;
                let failure = Failure::silence("join");
                self.events.push_back(Event::Failed(failure));
            }
            Method::Subscribe => self.no_roster(Failure::silence("see who is here")),
            Method::Bye => self.left(),
            Method::Options => self.events.push_back(Event::Capable(Capabilities {
                code: 0,
                reason: "no answer".to_owned(),
                software: String::new(),
            })),
            _ => {}
        }
    }

    /// Handles a received message.
    pub(crate) fn receive(&mut self, now: Moment, source: SocketAddr, message: Message) {
        match message {
            Message::Request(request) => self.request(now, source, request),
            Message::Response(response) => self.response(now, response),
        }
    }

    /// Handles a request of the room.
    fn request(&mut self, now: Moment, source: SocketAddr, request: Request) {
        if request.method == Method::Ack {
            if self.served.acknowledged(&request) {
                self.events.extend(self.call.take_answer(&request.body));
            }
            return;
        }
        if let Some(answer) = self.served.known(&request) {
            let answer = answer.to_owned();
            return self.out.push((Hop::Source(source), answer));
        }
        let contact = self.contact();
        let (reply, event) = match request.method {
            Method::Bye => self.call.bye(&request),
            Method::Notify => (Reply::code(self.notified(now, &request)), None),
            Method::Invite => self.call.reinvite(&request, &contact),
            Method::Update => self.call.update(&request, &contact),
            Method::Options => (Reply::code(200).with("Allow", ALLOW), None),
            // Nothing is left to cancel: a re-INVITE gets its answer at once (§9.2).
            Method::Cancel => (Reply::code(481), None),
            _ => (Reply::code(405).with("Allow", ALLOW), None),
        };
        self.events.extend(event);
        let granted = request.method == Method::Invite && reply.code == 200;
        let answer = reply.write(&request);
        if granted {
            self.served.await_ack(now, source, &request, answer.clone());
        }
        self.served.keep(&request, answer.clone());
        self.out.push((Hop::Source(source), answer));
    }

    fn notified(&mut self, now: Moment, request: &Request) -> u16 {
        let (code, next) = self.subscription.notified(now, request);
        for next in next {
            self.follow(now, next);
        }
        code
    }

    /// Subscribes or refreshes; also to get a full document after a missed one.
    pub(crate) fn subscribe(&mut self, now: Moment) {
        if self.call.phase != Phase::Up {
            return self.subscription.pause();
        }
        let room = &self.call.dialog.target;
        let request = self
            .subscription
            .subscribe(&self.me.from, room, &mut *self.entropy);
        self.send_subscribe(now, request);
    }

    fn send_subscribe(&mut self, now: Moment, request: Request) {
        let hop = self.subscription.hop(&self.me.server_host);
        self.send(now, request, hop, false);
    }

    fn no_roster(&mut self, failure: Failure) {
        let next = self.subscription.failed(failure);
        self.events.extend(next);
    }

    /// Carries out the next action of the subscription.
    fn follow(&mut self, now: Moment, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Subscribe => self.subscribe(now),
            Next::Tell(Event::RosterEnded) if self.call.phase != Phase::Up => {}
            Next::Tell(event) => self.events.push_back(event),
        }
    }

    fn response(&mut self, now: Moment, response: Response) {
        match self.clients.response(now, &response, &mut self.out) {
            // We wanted to leave before we could say so.
            Matched::Nothing if self.call.phase == Phase::Leaving && !self.cancelled => {
                self.cancel(now);
            }
            Matched::Nothing => {}
            Matched::Final(client) => self.answered(now, *client, response),
            // A repeated 2xx: its ACK was lost (RFC 3261 §13.2.2.4).
            Matched::Unknown if self.call.dialog.holds_response(&response) => {
                let invite = cseq(&response).is_some_and(|cseq| cseq.method == Method::Invite);
                if invite && response.code / 100 == 2 {
                    self.repeats += 1;
                    self.out.extend(self.ack.clone());
                }
            }
            Matched::Unknown => {}
        }
    }

    fn answered(&mut self, now: Moment, client: Client, response: Response) {
        if matches!(response.code, 401 | 407) && self.authenticate(now, &client, &response) {
            return;
        }
        match client.request.method {
            Method::Invite => self.invited(now, &client.request, response),
            Method::Subscribe => {
                let next = self.subscription.answered(now, &client.request, &response);
                self.follow(now, next);
            }
            Method::Bye => {
                self.parting = Some(response.code);
                self.left();
            }
            Method::Options => self
                .events
                .push_back(Event::Capable(Capabilities::of(&response))),
            _ => {}
        }
    }

    /// Answers a challenge with a new request; only once, as a second challenge means a wrong
    /// password.
    fn authenticate(&mut self, now: Moment, client: &Client, challenge: &Response) -> bool {
        let Some(credentials) = self.credentials.clone() else {
            return false;
        };
        let mut request = client.request.clone();
        if client.authenticated || !credentials.answer(challenge, &mut request) {
            return false;
        }
        self.challenged = true;
        let dialog = match (&mut self.subscription.dialog, &request.method) {
            (Some(dialog), Method::Subscribe) => dialog,
            _ => &mut self.call.dialog,
        };
        let next = dialog.request(request.method.clone());
        if let Some(cseq) = next.headers.first("CSeq") {
            request.headers.set("CSeq", cseq);
        }
        for ours in ["Via", "Contact", "User-Agent"] {
            request.headers.remove(ours);
        }
        self.send(now, request, client.hop.clone(), true);
        true
    }

    fn invited(&mut self, now: Moment, invite: &Request, response: Response) {
        match response.code {
            200..=299 => self.accepted(now, invite, &response),
            300..=399 if self.call.phase == Phase::Inviting => self.redirected(now, &response),
            code => {
                let warned = response.headers.first("Warning");
                let ours = warned.is_some_and(|warning| warning.contains(MODULE));
                let server = response.headers.first("Server").unwrap_or_default();
                self.refused_by = (!ours).then(|| server.to_owned());
                let gave_up = self.call.phase == Phase::Leaving;
                self.call.phase = Phase::Over;
                self.events.push_back(match gave_up {
                    true => Event::Left,
                    false => Event::Failed(self.refusal(code, &in_words(&response))),
                });
            }
        }
    }

    fn refusal(&self, code: u16, reason: &str) -> Failure {
        let failure = Failure::sip("join", code, reason);
        match (code, &self.credentials) {
            (401 | 407, Some(_)) => Failure {
                advice: "The server does not accept this user name and password.".to_owned(),
                ..failure
            },
            _ => failure,
        }
    }

    fn accepted(&mut self, now: Moment, invite: &Request, response: &Response) {
        self.call.dialog.confirm(response);
        let number = cseq(response).map_or(1, |cseq| cseq.number);
        let mut ack = self.call.dialog.request_numbered(Method::Ack, number);
        // The ACK of a 2xx carries the INVITE's credentials (RFC 3261 §13.2.2.4).
        for name in ["Authorization", "Proxy-Authorization"] {
            for value in invite.headers.all(name) {
                ack.headers.push(name, value);
            }
        }
        self.dress(&mut ack);
        let hop = self.call.dialog.hop(&self.me.server_host);
        self.ack = Some((hop, ack.write()));
        self.out.extend(self.ack.clone());
        let gave_up = self.call.phase == Phase::Leaving;
        self.call.phase = Phase::Up;
        if gave_up {
            return self.leave(now);
        }
        self.is_focus = response.headers.elements("Contact").iter().any(|contact| {
            let contact = contact.parse::<NameAddr>();
            contact.is_ok_and(|contact| contact.params.has("isfocus"))
        });
        if let Err(error) = self.call.stream.read(&response.body) {
            self.events.push_back(Event::Failed(Failure::unusable(
                "join",
                &error.to_string(),
                error.advice(),
            )));
            return self.leave(now);
        }
        self.events.push_back(Event::Accepted);
        match (self.wants_roster, self.is_focus) {
            (true, true) => self.subscribe(now),
            (true, false) => self.no_roster(Failure::unusable(
                "see who is here",
                "the server is no conference server",
                "Messages work all the same.",
            )),
            (false, _) => {}
        }
    }

    fn redirected(&mut self, now: Moment, response: &Response) {
        let contact = response.headers.elements("Contact").first().copied();
        let contact = contact.and_then(|text| text.parse::<NameAddr>().ok());
        self.redirections += 1;
        match contact {
            Some(contact) if self.redirections <= MAX_REDIRECTIONS => {
                self.call.dialog = Dialog::new(&self.me.from, &contact.uri, &mut *self.entropy);
                self.join(now);
            }
            _ => {
                self.call.phase = Phase::Over;
                let failure = Failure::sip("join", response.code, &in_words(response));
                self.events.push_back(Event::Failed(failure));
            }
        }
    }

    fn left(&mut self) {
        self.call.phase = Phase::Over;
        self.events.push_back(Event::Left);
    }

    /// Gives a request its Via and Contact and starts its transaction.
    fn send(&mut self, now: Moment, mut request: Request, hop: Hop, tried: bool) {
        let branch = self.dress(&mut request);
        self.clients
            .start(now, request, hop, branch, tried, &mut self.out);
    }

    fn dress(&mut self, request: &mut Request) -> String {
        let branch = branch(&mut *self.entropy);
        let transport = if self.me.tcp { "TCP" } else { "UDP" };
        let via = format!(
            "SIP/2.0/{transport} {};rport;branch={branch}",
            self.me.address
        );
        request.headers.set("Via", via);
        request.headers.set("Contact", self.contact());
        request.headers.set("User-Agent", USER_AGENT);
        branch
    }

    fn contact(&self) -> String {
        let user = self
            .me
            .from
            .uri
            .split_once(':')
            .map_or("", |(_, rest)| rest);
        let user = user.split(['@', ';', ':']).next().unwrap_or_default();
        let transport = if self.me.tcp { ";transport=tcp" } else { "" };
        format!("<sip:{user}@{}{transport}>", self.me.address)
    }
}

fn cseq(response: &Response) -> Option<CSeq> {
    response.headers.first("CSeq")?.parse().ok()
}

#[cfg(test)]
mod tests;
