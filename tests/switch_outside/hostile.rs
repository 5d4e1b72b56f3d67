//! Hostile peers of the control socket: they are no focus, or a bad one.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use msrp_conference::control::{Order, RoomUri};
use msrp_conference::remote::{
    FocusHello, FocusRun, Frames, MAX_FRAME, PREAMBLE_OCTETS, ToFocus, ToSwitch, encode, preamble,
};

use crate::harness::PATIENCE;
use crate::stage::{Focus, Folder, Outside};

const LONG: Duration = Duration::from_secs(600);

fn connect(folder: &Folder) -> UnixStream {
    let stream = UnixStream::connect(folder.socket()).expect("the control socket");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn hello(run: u128, pid: u32) -> Vec<u8> {
    let mut octets = preamble().to_vec();
    let hello = FocusHello {
        run: FocusRun(run),
        pid,
    };
    encode(&ToSwitch::Hello(hello), &mut octets).unwrap();
    octets
}

/// Reads until the switch closes; a switch that does not fails the test.
fn rest(mut stream: &UnixStream) -> Vec<u8> {
    let mut octets = Vec::new();
    match stream.read_to_end(&mut octets) {
        Ok(_) => octets,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => octets,
        Err(error) => panic!("not closed: {error}"),
    }
}

/// The switch's frames after its preamble.
struct Said {
    stream: UnixStream,
    frames: Frames,
}

impl Said {
    fn new(mut stream: UnixStream) -> Self {
        let mut theirs = [0; PREAMBLE_OCTETS];
        stream.read_exact(&mut theirs).expect("a preamble");
        assert_eq!(theirs, preamble());
        Self {
            stream,
            frames: Frames::default(),
        }
    }

    fn next(&mut self) -> ToFocus {
        let mut octets = [0; 4096];
        loop {
            if let Some(message) = self.frames.next(MAX_FRAME).expect("frames") {
                return message;
            }
            let count = self.stream.read(&mut octets).expect("something comes");
            assert!(count > 0, "closed");
            self.frames.push(&octets[..count]);
        }
    }
}

#[test]
fn strangers_are_shut_out_and_disturb_nobody() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let mut other_version = preamble();
    other_version[PREAMBLE_OCTETS - 1] = 99;
    let mut huge = preamble().to_vec();
    huge.extend_from_slice(&u32::MAX.to_be_bytes());
    let mut no_hello = preamble().to_vec();
    encode(&ToSwitch::Alive, &mut no_hello).unwrap();
    let mut malformed = preamble().to_vec();
    malformed.extend_from_slice(&[0, 0, 0, 3, 0xff, 0xff, 0xff]);
    for (octets, line) in [
        (
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            "does not speak the control protocol",
        ),
        (&other_version, "speaks version 99"),
        (&huge, "too long"),
        (&no_hello, "did not greet"),
        (&malformed, "cannot be read"),
    ] {
        let mut stream = connect(&folder);
        stream.write_all(octets).unwrap();
        assert!(rest(&stream).len() <= PREAMBLE_OCTETS);
        outside.logs(line);
    }
    focus.join(outside.msrp, "alice");
}

#[test]
fn a_focus_that_turns_bad_loses_its_connection_not_its_sessions() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let focus = Focus::connect(&folder.socket());
    let alice = focus.join(outside.msrp, "alice");
    focus.stop();
    let mut stream = connect(&folder);
    stream.write_all(&hello(7, 7)).unwrap();
    let mut said = Said::new(stream.try_clone().unwrap());
    assert!(matches!(said.next(), ToFocus::Hello(hello) if hello.totals.sessions == 1));
    stream
        .write_all(&(MAX_FRAME as u32 + 1).to_be_bytes())
        .unwrap();
    rest(&stream);
    outside.logs("too long");
    assert_eq!(alice.send_empty(), "200");
    Focus::connect(&folder.socket());
}

#[test]
fn the_same_focus_on_a_new_connection_takes_over_and_its_old_orders_come_first() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let mut first = connect(&folder);
    first.write_all(&hello(7, 70)).unwrap();
    let mut said = Said::new(first.try_clone().unwrap());
    assert!(matches!(said.next(), ToFocus::Hello(_)));

    let mut second = connect(&folder);
    second.write_all(&hello(7, 70)).unwrap();
    let mut said_second = Said::new(second.try_clone().unwrap());
    // The switch disconnects the old connection and still reads what was written to it.
    assert_eq!(rest(&said.stream), b"");
    let mut order = Vec::new();
    let admit = crate::member::admit(outside.msrp, "alice");
    encode(&ToSwitch::Order(admit), &mut order).unwrap();
    first.write_all(&order).unwrap();
    drop((first, said));
    assert!(matches!(said_second.next(), ToFocus::Hello(_)));
    outside.logs("it closed the connection");
    let mut order = Vec::new();
    for reconcile in Order::reconcile(&crate::member::room(), &[crate::member::session("alice")]) {
        encode(&ToSwitch::Order(reconcile), &mut order).unwrap();
    }
    second.write_all(&order).unwrap();
    loop {
        if let ToFocus::Notice(notice) = said_second.next() {
            let text = format!("{notice:?}");
            if text.starts_with("Reconciled") {
                assert!(text.contains("Waiting"), "{text}");
                break;
            }
        }
    }
    // Another focus is refused with the process id of the present one.
    let mut third = connect(&folder);
    third.write_all(&hello(8, 80)).unwrap();
    let mut said_third = Said::new(third);
    assert_eq!(said_third.next(), ToFocus::Busy { pid: 70 });
}

#[test]
fn a_hello_too_many_ends_the_connection() {
    let folder = Folder::new();
    let outside = Outside::start(&folder.socket(), 1, LONG);
    let mut stream = connect(&folder);
    stream.write_all(&hello(7, 7)).unwrap();
    stream.write_all(&hello(7, 7)[PREAMBLE_OCTETS..]).unwrap();
    rest(&stream);
    outside.logs("has gone");
    let mut huge = Vec::new();
    let order = Order::Close {
        room: RoomUri::new("x".repeat(MAX_FRAME)),
    };
    assert!(encode(&ToSwitch::Order(order), &mut huge).is_err());
}
