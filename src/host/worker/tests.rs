use std::cell::RefCell;

use super::*;
use crate::bridge::Buffer;

/// A host that records the calls it gets.
struct Fake {
    bridge: Bridge,
    octets: Vec<u8>,
    /// Offset of the method in the buffer.
    method_at: usize,
    method_length: c_int,
    created: fn() -> Created,
    response: bool,
    answers_here: bool,
    keeps: bool,
    invite: Option<TransactionId>,
    calls: RefCell<Vec<String>>,
}

const INVITE: TransactionId = TransactionId { hash: 7, label: 8 };

fn new() -> Created {
    Created::Transaction(Transaction::current(TransactionId { hash: 1, label: 2 }))
}

fn host(request: &str) -> Fake {
    let method_length = request.find(' ').expect("a method") as c_int;
    Fake {
        bridge: Bridge::new().expect("socketpair"),
        octets: request.into(),
        method_at: 0,
        method_length,
        created: new,
        response: false,
        answers_here: true,
        keeps: true,
        invite: Some(INVITE),
        calls: RefCell::default(),
    }
}

impl Fake {
    fn call(&self, what: impl Into<String>) {
        self.calls.borrow_mut().push(what.into());
    }

    fn calls(&self) -> String {
        self.calls
            .borrow_mut()
            .drain(..)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn handle(&self) -> c_int {
        self.handle_with("")
    }

    fn handle_with(&self, argument: &str) -> c_int {
        let address = self.octets.as_ptr().cast_mut().cast();
        // SAFETY: the fake looks at no message.
        let message = unsafe { Message::new(address) }.expect("an address");
        handle(self, &message, argument)
    }

    fn handed_over(&self) -> Option<Frame> {
        self.bridge
            .receive(&mut Buffer::default())
            .map(|frame| frame.expect("a frame"))
    }

    fn fill_channels(&self) {
        while self.bridge.send(&Frame::Cancel(INVITE)).is_ok() {}
        let envelope = envelope();
        let arrival = Arrival {
            transaction: None,
            to_tag: None,
            message: vec![b'x'; 1000].into(),
            request_uri: envelope.uri,
            source: envelope.source,
            socket: envelope.socket,
            identity: String::new(),
            options: crate::focus::ScriptOptions::default(),
        };
        // ACKs, then requests.
        for transaction in [None, Some(INVITE)] {
            let arrival = Arrival {
                transaction,
                ..arrival.clone()
            };
            while self
                .bridge
                .send(&Frame::Request(Box::new(arrival.clone())))
                .is_ok()
            {}
        }
    }
}

fn envelope() -> Envelope {
    Envelope {
        uri: "sip:lobby@h".into(),
        source: ([127, 0, 0, 1], 5060).into(),
        socket: Socket {
            handle: 1,
            transport: "udp".into(),
            host: "h".into(),
            port: 5060,
        },
    }
}

impl Primitives for Fake {
    fn bridge(&self) -> &Bridge {
        &self.bridge
    }

    fn answers_here(&self) -> bool {
        self.answers_here
    }

    fn place(&self, _: &Message<'_>) -> Option<Place> {
        (!self.response).then(|| Place {
            buffer: self.octets.as_ptr(),
            length: self.octets.len(),
            method: self.octets.as_ptr().wrapping_add(self.method_at),
            method_length: self.method_length,
            line_length: self.method_length + 1,
        })
    }

    fn envelope(&self, _: &Message<'_>) -> Result<Envelope, LayoutError> {
        Ok(envelope())
    }

    fn identity(&self, _: &Message<'_>) -> String {
        "sip:alice@h".into()
    }

    fn create(&self, _: &Message<'_>) -> Created {
        self.call("create");
        (self.created)()
    }

    fn keep(&self, _: &Message<'_>, _: &Transaction, invite: bool) -> bool {
        self.call(if invite { "keep invite" } else { "keep" });
        self.keeps
    }

    fn reply_tag(&self, _: &Message<'_>, _: &Transaction) -> Option<String> {
        Some("tag".into())
    }

    fn answer(&self, _: &Message<'_>, _: &Transaction, code: u16, _: &CStr, _: &str) {
        self.call(code.to_string());
    }

    fn cancelled(&self, _: &Message<'_>, _: &Transaction) -> Option<TransactionId> {
        self.call("cancelled");
        self.invite
    }

    fn absorb(&self, _: &Message<'_>) {
        self.call("absorb");
    }
}

#[test]
fn a_request_is_kept_and_handed_over() {
    let host = host("INVITE sip:lobby@h SIP/2.0\r\n\r\n");
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, keep invite");
    let Some(Frame::Request(arrival)) = host.handed_over() else {
        panic!("not handed over");
    };
    assert_eq!(
        arrival.transaction,
        Some(TransactionId { hash: 1, label: 2 })
    );
    assert_eq!(arrival.identity, "sip:alice@h");
    assert_eq!(arrival.message, host.octets);
}

#[test]
fn a_script_that_calls_twice_hands_over_once() {
    let host = host("OPTIONS sip:lobby@h SIP/2.0\r\n\r\n");
    assert_eq!([host.handle(), host.handle()], [TAKEN; 2]);
    assert!(host.handed_over().is_some());
    assert_eq!(host.handed_over(), None);
}

#[test]
fn what_tm_makes_no_transaction_of_is_malformed_or_out_of_memory() {
    for (code, result) in [(-2, refused::BROKEN), (-478, refused::MALFORMED)] {
        for method in ["INVITE", "CANCEL"] {
            let host = Fake {
                created: if code == -2 {
                    || Created::Failed(-2)
                } else {
                    || Created::Failed(-478)
                },
                ..host(&format!("{method} sip:lobby@h SIP/2.0\r\n\r\n"))
            };
            assert_eq!(host.handle(), result, "{method} {code}");
            assert_eq!(host.calls(), "create");
            assert_eq!(host.handed_over(), None);
        }
    }
}

#[test]
fn tm_looks_for_the_cancelled_invite_only_after_it_has_checked_the_headers() {
    let host = host("CANCEL sip:lobby@h SIP/2.0\r\n\r\n");
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, cancelled, 200");
    assert_eq!(host.handed_over(), Some(Frame::Cancel(INVITE)));
}

#[test]
fn a_cancel_that_means_nothing_is_told_so() {
    let host = Fake {
        invite: None,
        ..host("CANCEL sip:lobby@h SIP/2.0\r\n\r\n")
    };
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, cancelled, 481");
    assert_eq!(host.handed_over(), None);
}

#[test]
fn an_ack_that_cannot_be_handed_over_is_not_absorbed() {
    let host = host("ACK sip:lobby@h SIP/2.0\r\n\r\n");
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "absorb");
    host.fill_channels();
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "");
}

#[test]
fn a_request_that_cannot_be_handed_over_is_answered_503() {
    let host = host("BYE sip:lobby@h SIP/2.0\r\n\r\n");
    host.fill_channels();
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, keep, 503");
}

#[test]
fn a_transaction_that_cannot_be_kept_is_answered_500() {
    let host = Fake {
        keeps: false,
        ..host("BYE sip:lobby@h SIP/2.0\r\n\r\n")
    };
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, keep, 500");
    assert_eq!(host.handed_over(), None);
}

#[test]
fn any_number_of_line_ends_may_stand_before_a_request() {
    let line_ends = "\r\n".repeat(700);
    let host = Fake {
        method_at: line_ends.len(),
        method_length: 7,
        ..host(&format!("{line_ends}OPTIONS sip:lobby@h SIP/2.0\r\n\r\n"))
    };
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, keep");
}

#[test]
fn a_message_that_lies_elsewhere_is_answered_503_and_not_read() {
    for method_at in [3, 1_000_000, usize::MAX] {
        let host = Fake {
            method_at,
            ..host("OPTIONS sip:lobby@h SIP/2.0\r\n\r\n")
        };
        assert_eq!(host.handle(), TAKEN);
        assert_eq!(host.calls(), "create, 503");
        assert_eq!(host.handed_over(), None);
    }
}

#[test]
fn a_transaction_that_holds_its_request_elsewhere_is_answered_503() {
    let host = Fake {
        created: || Created::Misplaced(Transaction::current(TransactionId { hash: 1, label: 2 })),
        ..host("OPTIONS sip:lobby@h SIP/2.0\r\n\r\n")
    };
    assert_eq!(host.handle(), TAKEN);
    assert_eq!(host.calls(), "create, 503");
}

#[test]
fn what_cannot_be_taken_here_touches_no_transaction() {
    let request = "OPTIONS sip:lobby@h SIP/2.0\r\n\r\n";
    let response = Fake {
        response: true,
        ..host(request)
    };
    let elsewhere = Fake {
        answers_here: false,
        ..host(request)
    };
    let nonsense = host(request);
    assert_eq!(response.handle(), refused::NOT_OURS);
    assert_eq!(elsewhere.handle(), refused::BROKEN);
    assert_eq!(nonsense.handle_with("create=perhaps"), refused::BROKEN);
    for host in [response, elsewhere, nonsense] {
        assert_eq!(host.calls(), "");
    }
}
