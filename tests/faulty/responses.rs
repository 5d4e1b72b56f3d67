//! Faulty responses to requests of the focus: NOTIFY, REFER, INVITE and BYE.

use std::collections::HashSet;
use std::iter;
use std::time::Duration;

use msrp_conference::wire::sip::{Headers, Request};
use serde_json::json;

use super::faults::Faults;
use super::harness::agent::{Agent, Transport, unique};
use super::harness::bystanders::Bystanders;
use super::harness::draft::{Dialog, Draft};
use super::harness::host::Host;
use super::harness::participant::{client_path, invite, offer, subscribe};
use super::harness::plan::Plan;
use super::harness::proxy::{Proxy, tail, wait_until};
use super::harness::{PATIENCE, on_every_host};
use super::{management, plan};

/// Requests to provoke at a time: an INVITE takes 4.3 KiB of the 208 KiB that the kernel keeps for
/// the phone's socket by default. More would be lost, and the same ones again when all are repeated
/// at once.
const BATCH: usize = 40;

/// The proxy's tm repeats a request for two seconds (`plan`): none comes later.
const GIVEN_UP: Duration = Duration::from_secs(3);

/// Description of a fault, and the function that puts it into a good response.
type Variant = (String, Box<dyn Fn(&Draft) -> Vec<u8>>);

/// The phone that sends faulty answers, and its room.
struct Phone<'a> {
    proxy: &'a Proxy,
    agent: Agent,
    /// Branches of requests already taken.
    seen: HashSet<String>,
    /// Method of the requests it answers.
    method: &'static str,
}

impl<'a> Phone<'a> {
    fn new(proxy: &'a Proxy, transport: Transport, method: &'static str) -> Self {
        let agent = Agent::new("mallory", proxy.sip, transport);
        agent.answer(method, None);
        agent.be_lenient();
        let seen = HashSet::new();
        Self {
            proxy,
            agent,
            seen,
            method,
        }
    }

    /// Makes the focus send this many requests, each in a transaction of its own.
    fn provoke(&mut self, number: usize) -> Vec<Request> {
        let room = unique();
        match self.method {
            "NOTIFY" => self.fetch(number),
            "BYE" => self.join_and_end(&room, number),
            _ => self.invite_a_list(&room, number),
        }
        let taken: Vec<_> = iter::from_fn(|| self.take()).take(number).collect();
        let (all, log) = (taken.len(), self.proxy.log());
        assert_eq!(all, number, "{}\n{log}", self.method);
        // Participants still in the room joined only for this.
        let _ = self.proxy.try_call(
            &management(self.proxy, "end"),
            json!([self.proxy.room(&room)]),
        );
        taken
    }

    /// The next request that is not a retransmission, if one comes.
    fn take(&mut self) -> Option<Request> {
        let (seen, method) = (&mut self.seen, self.method);
        let new = |request: &Request| {
            let via = request.headers.first("Via").unwrap_or_default();
            request.method.as_str() == method && !seen.contains(via)
        };
        let (request, _) = self.agent.timed_request(GIVEN_UP, new)?;
        let via = request.headers.first("Via").unwrap_or_default();
        seen.insert(via.to_owned());
        Some(request)
    }

    /// A subscription that ends with its first NOTIFY.
    fn fetch(&self, number: usize) {
        for number in 0..number {
            // Each subscribes as another user: repeated full documents to one user are delayed.
            let from = format!("<sip:m{number}@127.0.0.1>;tag={}", unique());
            let draft = subscribe(&self.agent, &self.proxy.room("team"), 0).set("From", from);
            assert_eq!(self.agent.exchange(&draft).code, 200);
        }
    }

    /// Makes calls, which management ends.
    fn join_and_end(&self, room: &str, number: usize) {
        let room = self.proxy.room(room);
        for number in 0..number {
            let from = format!("<sip:m{number}@127.0.0.1>;tag={}", unique());
            let draft = invite(&self.agent, &room, &client_path()).set("From", from);
            let answer = self.agent.exchange(&draft);
            assert_eq!(answer.code, 200, "{}", answer.reason);
            self.agent
                .send(&Dialog::new(&draft, &answer).ack(&self.agent));
        }
        self.proxy
            .call(&management(self.proxy, "end"), json!([room]));
    }

    /// Invites a list of this phone's own addresses.
    fn invite_a_list(&self, room: &str, number: usize) {
        let (user, place) = (unique(), self.agent.local);
        let entry = |number| format!("<entry uri=\"sip:p{number}@{place}\"/>");
        let entries: String = (0..number).map(entry).collect();
        let body = format!(
            "--b1\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b1\r\n\
             Content-Type: application/resource-lists+xml\r\n\
             Content-Disposition: recipient-list\r\n\r\n<?xml version=\"1.0\"?>\
             <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>{entries}\
             </list></resource-lists>\r\n--b1--\r\n",
            offer(&client_path())
        );
        let inviter = Agent::new(&user, self.proxy.sip, Transport::Udp);
        let draft = inviter.draft("INVITE", &self.proxy.room(room));
        let draft = draft.body("multipart/mixed;boundary=b1", body);
        let answer = inviter.exchange(&draft);
        assert_eq!(answer.code, 200, "{}", answer.reason);
        inviter.send(&Dialog::new(&draft, &answer).ack(&inviter));
    }

    /// A correct answer, in the form of a request.
    fn answer(&self, request: &Request) -> Draft {
        let mut headers = Vec::new();
        for name in ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"] {
            let values = request.headers.all(name);
            headers.extend(values.map(|value| (name.to_owned(), value.to_owned())));
        }
        let body = offer(&client_path()).into_bytes();
        let answer = Draft {
            method: "SIP/2.0".into(),
            uri: "200".into(),
            headers,
            body,
        };
        let to = answer.header("To").to_owned();
        let answer = match to.contains(";tag=") {
            true => answer,
            false => answer.set("To", format!("{to};tag=phone")),
        };
        let answer = answer.set("Contact", self.agent.contact());
        answer.set("Content-Type", "application/sdp")
    }

    /// Answers requests, each with another fault, and then correctly.
    fn try_out(&mut self, variants: &[Variant]) {
        let requests = self.provoke(variants.len());
        for (request, (_, variant)) in requests.iter().zip(variants) {
            self.agent.send_raw(&variant(&self.answer(request)));
        }
        for _ in 0..3 {
            let draft = self.agent.draft("OPTIONS", &self.proxy.room("team"));
            self.agent.send(&draft);
            self.agent.response(&draft, PATIENCE, |code| code >= 200);
        }
        let code = if self.method == "INVITE" { 486 } else { 200 };
        for request in &requests {
            self.agent
                .respond(request, code, "phone", Headers::new(), "");
        }
    }
}

/// The octets of a response.
fn written(status: &str, answer: &Draft) -> Vec<u8> {
    let text = answer.octets();
    let first = text
        .windows(2)
        .position(|two| two == b"\r\n")
        .expect("a line");
    [status.as_bytes(), &text[first..]].concat()
}

fn with_faults(faults: Faults) -> Variant {
    let name = format!("{faults:?}");
    let make = move |answer: &Draft| written("SIP/2.0 200 OK", &faults.in_message(answer));
    (name, Box::new(make))
}

fn with_status(status: &'static str) -> Variant {
    (
        status.into(),
        Box::new(move |answer| written(status, answer)),
    )
}

fn with(status: &'static str, name: &'static str, value: &str) -> Variant {
    let value = value.to_owned();
    let title = format!("{status} with {name}: {}", &value[..value.len().min(40)]);
    let make = move |answer: &Draft| written(status, &answer.clone().set(name, value.clone()));
    (title, Box::new(make))
}

fn changed(title: &str, change: impl Fn(Draft) -> Draft + 'static) -> Variant {
    let make = move |answer: &Draft| written("SIP/2.0 200 OK", &change(answer.clone()));
    (title.into(), Box::new(make))
}

fn cut(title: &str, cut: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Variant {
    (
        title.into(),
        Box::new(move |answer| cut(written("SIP/2.0 200 OK", answer))),
    )
}

const STATUS_LINES: [&str; 12] = [
    "SIP/2.0 200",
    "SIP/2.0 200 ",
    "SIP/2.0 200 \u{1F44B}",
    "SIP/2.0 200 100%s%n",
    "SIP/2.0 000 None",
    "SIP/2.0 099 Less",
    "SIP/2.0 700 More",
    "SIP/2.0 999 Most",
    "SIP/2.0 20 Short",
    "SIP/2.0 -20 Negative",
    "SIP/2.0 2000 Long",
    "SIP/3.0 200 Newer",
];

/// All other faults of a response.
fn oddities() -> Vec<Variant> {
    let long = "x".repeat(50_000);
    let mut all: Vec<Variant> = STATUS_LINES.map(with_status).into();
    all.extend([
        with("SIP/2.0 200 OK", "To", "<sip:phone@127.0.0.1>;tag=another"),
        with("SIP/2.0 200 OK", "To", "<sip:phone@127.0.0.1>"),
        with("SIP/2.0 200 OK", "From", "<sip:team@127.0.0.1>;tag=another"),
        with("SIP/2.0 200 OK", "Call-ID", "another"),
        with("SIP/2.0 200 OK", "CSeq", "1 PUBLISH"),
        with("SIP/2.0 200 OK", "CSeq", "99999999999 INVITE"),
        with(
            "SIP/2.0 200 OK",
            "Contact",
            &format!("<sip:{long}@127.0.0.1>"),
        ),
        with(
            "SIP/2.0 200 OK",
            "Contact",
            "<sip:a@127.0.0.1?Subject=x>, <tel:1>, *",
        ),
        with(
            "SIP/2.0 200 OK",
            "Record-Route",
            "<sip:127.0.0.1:9;lr>, <<>>",
        ),
        with("SIP/2.0 200 OK", "Session-Expires", "soon;refresher=nobody"),
        with("SIP/2.0 200 OK", "Subject", &long),
        with("SIP/2.0 200 OK", "Content-Length", "0"),
        with("SIP/2.0 200 OK", "Content-Length", "-1"),
        with("SIP/2.0 200 OK", "Content-Length", "100000"),
        with("SIP/2.0 200 OK", "Content-Length", "many"),
        with("SIP/2.0 200 OK", "Content-Type", ""),
        with("SIP/2.0 183 Progress", "Require", "100rel"),
        with("SIP/2.0 183 Progress", "To", "<<>>"),
        with(
            "SIP/2.0 302 Moved",
            "Contact",
            "<<>>, <sip:a@127.0.0.1:9>;q=2",
        ),
        with("SIP/2.0 401 Who", "WWW-Authenticate", "Digest"),
        with("SIP/2.0 407 Who", "Proxy-Authenticate", "Digest realm=\"x"),
        with("SIP/2.0 422 Short", "Min-SE", "-1"),
        with("SIP/2.0 503 Later", "Retry-After", "99999999999999999999"),
        changed("without any header", |answer| Draft {
            headers: Vec::new(),
            ..answer
        }),
        changed("a body of zeros", |answer| Draft {
            body: vec![0; 50_000],
            ..answer
        }),
        changed("half an SDP", |answer| Draft {
            body: answer.body[..40].into(),
            ..answer
        }),
        changed("every header twice", |answer| {
            let headers = [&answer.headers[..], &answer.headers].concat();
            Draft { headers, ..answer }
        }),
        cut("no Content-Length", |text| {
            let text = String::from_utf8(text).expect("UTF-8");
            text.replace("Content-Length", "Subject").into_bytes()
        }),
        cut("a status line alone", |text| text[..16].into()),
        cut("no end of the headers", |text| {
            text[..text.len() / 3].into()
        }),
        cut("line feeds alone", |text| {
            text.into_iter().filter(|octet| *octet != b'\r').collect()
        }),
        cut("zeros in between", |mut text| {
            let middle = text.len() / 4;
            text[middle] = 0;
            text
        }),
    ]);
    all
}

/// Faulty responses to requests of a method.
fn variants(method: &str) -> Vec<Variant> {
    let told = |faults: &Faults| {
        !faults.concern("Max-Forwards") && (method == "INVITE" || !faults.concern("Contact"))
    };
    let faulty = Faults::all().into_iter().filter(told).map(with_faults);
    faulty.chain(oddities()).collect()
}

fn plan_of(host: &Host, method: &str) -> Plan {
    let mode = if method == "REFER" {
        "refer"
    } else {
        "dial_out"
    };
    plan(host).parameter("invite_mode", mode)
}

/// The variant that ends a fresh proxy.
fn killer<'v>(host: &Host, method: &'static str, variants: &'v [Variant]) -> &'v str {
    for variant in variants {
        let proxy = plan_of(host, method).start();
        let _others = Bystanders::join(&proxy, "team");
        Phone::new(&proxy, Transport::Udp, method).try_out(std::slice::from_ref(variant));
        if !wait_until(super::harness::SILENCE, || !proxy.lives()) {
            continue;
        }
        return &variant.0;
    }
    "no single one"
}

fn any_response_harms_nobody(method: &'static str) {
    on_every_host(|host| {
        let proxy = plan_of(host, method).start();
        let bystanders = Bystanders::join(&proxy, "team");
        let mut phone = Phone::new(&proxy, Transport::Udp, method);
        for batch in variants(method).chunks(BATCH) {
            phone.try_out(batch);
            if !proxy.lives() {
                let log = tail(&proxy.log(), 8);
                let what = killer(host, method, batch);
                panic!(
                    "{} is ended by a response to {method}: {what}\n{log}",
                    host.name
                );
            }
        }
        drop(phone);
        bystanders.unharmed(proxy);
    });
}

#[test]
fn any_response_to_notify_harms_nobody() {
    any_response_harms_nobody("NOTIFY");
}

#[test]
fn any_response_to_refer_harms_nobody() {
    any_response_harms_nobody("REFER");
}

#[test]
fn any_response_to_invite_harms_nobody() {
    any_response_harms_nobody("INVITE");
}

#[test]
fn any_response_to_bye_harms_nobody() {
    any_response_harms_nobody("BYE");
}
