//! Frames and preamble. Both ends together are tested in `tests/switch_outside/`.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::control::{
    Admission, AdmitError, Dial, HISTORY_MESSAGES, HISTORY_OCTETS, HeldNickname, Listen, LossCause,
    NicknameChange, Notice, Order, PastMessage, Peer, RoomPolicy, RoomUri, SessionId, Setup, Stand,
    Standing, SwitchRun, Transport, UserUri,
};
use crate::counters::Totals;

fn room() -> impl Strategy<Value = RoomUri> {
    ".{0,20}".prop_map(RoomUri::new)
}

fn session() -> impl Strategy<Value = SessionId> {
    "[a-z2-7]{0,32}".prop_map(SessionId::new)
}

fn admission() -> impl Strategy<Value = Box<Admission>> {
    let texts = || vec(".{0,12}", 0..3);
    (
        (session(), room(), ".{0,20}", ".{0,20}", texts(), texts()),
        (any::<[bool; 6]>(), any::<Option<u64>>(), any::<u64>()),
    )
        .prop_map(
            |((session, room, own_uri, user, path, types), (flags, max_size, limit))| {
                Box::new(Admission {
                    session,
                    room,
                    policy: RoomPolicy {
                        nicknames: flags[0],
                        private_messages: flags[1],
                        max_message_size: limit,
                        plain_text: false,
                        history: 5,
                        bind_timeout: Duration::from_nanos(limit),
                    },
                    own_uri,
                    user: UserUri::new(user.clone()),
                    display: user.clone(),
                    nickname: None,
                    uris: vec![UserUri::new(user)],
                    newcomer: flags[3],
                    setup: if flags[2] {
                        Setup::Active
                    } else {
                        Setup::Passive
                    },
                    peer: Peer {
                        path,
                        accept_types: types.clone(),
                        accept_wrapped_types: types,
                        max_size,
                        chatroom: flags[3],
                        private_messages: flags[3],
                        plain_text: false,
                        one_send: false,
                        sends: flags[4],
                        receives: flags[5],
                        fingerprints: Vec::new(),
                        dial: flags[2].then(|| Dial {
                            host: "host.example".to_owned(),
                            port: 2855,
                            secure: flags[4],
                            name: "name.example".to_owned(),
                            source: flags[5].then_some([192, 0, 2, 1].into()),
                        }),
                    },
                })
            },
        )
}

fn messages() -> impl Strategy<Value = Vec<PastMessage>> {
    let message = (any::<u64>(), vec(any::<u8>(), 0..40));
    let message = message.prop_map(|(number, octets)| PastMessage {
        number,
        octets: octets.into(),
    });
    vec(message, 0..3)
}

fn to_switch() -> impl Strategy<Value = ToSwitch> {
    let order = prop_oneof![
        admission().prop_map(Order::Admit),
        admission().prop_map(Order::Amend),
        (room(), session()).prop_map(|(room, session)| Order::Expel { room, session }),
        (room(), messages()).prop_map(|(room, messages)| Order::Recall { room, messages }),
        (room(), any::<u64>(), any::<usize>()).prop_map(|(room, up_to, octets)| {
            Order::Remembered {
                room,
                up_to,
                octets,
            }
        }),
        room().prop_map(|room| Order::Forget { room }),
        room().prop_map(|room| Order::Close { room }),
        (room(), any::<u64>()).prop_map(|(room, change)| Order::Kept {
            room,
            change: NicknameChange(change),
        }),
        (room(), vec((".{0,20}", any::<Duration>()), 0..3)).prop_map(|(room, held)| {
            let held = held.into_iter().map(|(nickname, left)| HeldNickname {
                user: UserUri::new(nickname.clone()),
                nickname,
                left,
            });
            Order::Hold {
                room,
                nicknames: held.collect(),
            }
        }),
        (room(), vec(session(), 0..5), any::<bool>()).prop_map(|(room, sessions, last)| {
            Order::Reconcile {
                room,
                sessions,
                last,
            }
        }),
    ];
    let hello = (any::<u128>(), any::<u32>()).prop_map(|(run, pid)| FocusHello {
        run: FocusRun(run),
        pid,
    });
    prop_oneof![
        4 => order.prop_map(ToSwitch::Order),
        1 => hello.prop_map(ToSwitch::Hello),
        1 => Just(ToSwitch::Alive),
        1 => Just(ToSwitch::Goodbye),
    ]
}

fn notice() -> impl Strategy<Value = Notice> {
    let causes = prop_oneof![
        Just(LossCause::NeverBound),
        Just(LossCause::Disconnected),
        Just(LossCause::ProtocolError),
        Just(LossCause::Undeliverable),
    ];
    let errors = prop_oneof![
        Just(AdmitError::Full),
        Just(AdmitError::Stopping),
        Just(AdmitError::Unreachable),
    ];
    let standings = prop_oneof![
        Just(Standing::Bound),
        Just(Standing::Waiting),
        Just(Standing::Gone),
    ];
    let stand = (session(), standings, any::<Option<String>>());
    let stand = stand.prop_map(|(session, standing, nickname)| Stand {
        session,
        standing,
        nickname,
    });
    prop_oneof![
        (room(), session()).prop_map(|(room, session)| Notice::Admitted { room, session }),
        (room(), messages(), any::<u64>()).prop_map(|(room, messages, gone)| Notice::Remember {
            room,
            messages,
            gone,
        }),
        room().prop_map(|room| Notice::Forgotten { room }),
        (room(), session()).prop_map(|(room, session)| Notice::Bound { room, session }),
        (room(), session(), errors).prop_map(|(room, session, error)| Notice::Refused {
            room,
            session,
            error
        }),
        (room(), session(), causes).prop_map(|(room, session, cause)| Notice::Lost {
            room,
            session,
            cause
        }),
        (room(), ".{0,9}", any::<Option<String>>(), any::<u64>()).prop_map(
            |(room, user, nickname, change)| Notice::Nickname {
                room,
                user: UserUri::new(user),
                nickname,
                change: NicknameChange(change),
            }
        ),
        (room(), vec(stand, 0..4))
            .prop_map(|(room, sessions)| Notice::Reconciled { room, sessions }),
    ]
}

fn to_focus() -> impl Strategy<Value = ToFocus> {
    let totals = any::<(u64, u64)>().prop_map(|(sessions, bytes_in)| Totals {
        sessions,
        bytes_in,
        ..Totals::default()
    });
    let hello = (any::<u128>(), totals.clone()).prop_map(|(run, totals)| SwitchHello {
        run: SwitchRun(run),
        totals,
        listen: vec![Listen {
            transport: Transport::Tls,
            address: "[::1]:2855".parse().expect("an address"),
        }],
    });
    prop_oneof![
        4 => notice().prop_map(ToFocus::Notice),
        1 => totals.prop_map(ToFocus::Totals),
        1 => hello.prop_map(ToFocus::Hello),
        1 => any::<u32>().prop_map(|pid| ToFocus::Busy { pid }),
        1 => Just(ToFocus::Alive),
        1 => Just(ToFocus::Listens(Vec::new())),
    ]
}

/// Writes all messages, reads them in parts of these lengths (again and again).
fn through<T>(messages: &[T], cuts: &[usize]) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let mut octets = Vec::new();
    for message in messages {
        encode(message, &mut octets).expect("short enough");
    }
    let mut frames = Frames::default();
    let mut read = Vec::new();
    let mut rest = &octets[..];
    for cut in cuts.iter().cycle() {
        let (part, after) = rest.split_at((*cut).min(rest.len()));
        rest = after;
        frames.push(part);
        while let Some(message) = frames.next::<T>(MAX_FRAME).expect("what was written") {
            read.push(message);
        }
        if rest.is_empty() {
            break;
        }
    }
    prop_assert_eq!(messages, &read[..]);
    Ok(())
}

proptest! {
    #[test]
    fn what_the_focus_says_arrives_however_it_is_cut(
        messages in vec(to_switch(), 1..5), cuts in vec(1usize..40, 1..6)
    ) {
        through(&messages, &cuts)?;
    }

    #[test]
    fn what_the_switch_says_arrives_however_it_is_cut(
        messages in vec(to_focus(), 1..5), cuts in vec(1usize..40, 1..6)
    ) {
        through(&messages, &cuts)?;
    }

    #[test]
    fn octets_of_anybody_never_panic(octets in vec(any::<u8>(), 0..300)) {
        let mut frames = Frames::default();
        frames.push(&octets);
        while let Ok(Some(_)) = frames.next::<ToSwitch>(MAX_FRAME) {}
        let mut framed = u32::try_from(octets.len()).expect("short").to_be_bytes().to_vec();
        framed.extend_from_slice(&octets);
        let mut frames = Frames::default();
        frames.push(&framed);
        let _ = frames.next::<ToSwitch>(MAX_FRAME);
        let _ = frames.next::<ToFocus>(MAX_FRAME);
    }

    #[test]
    fn a_damaged_message_is_read_or_refused(
        message in to_switch(), at in any::<prop::sample::Index>(), flip in 1u8..
    ) {
        let mut octets = Vec::new();
        encode(&message, &mut octets).expect("short enough");
        let at = at.index(octets.len());
        octets[at] ^= flip;
        let mut frames = Frames::default();
        frames.push(&octets);
        let _ = frames.next::<ToSwitch>(MAX_FRAME);
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_length_alone() {
    let too_long = MAX_FRAME + 1;
    let mut frames = Frames::default();
    frames.push(&u32::try_from(too_long).unwrap().to_be_bytes());
    assert_eq!(
        frames.next::<ToSwitch>(usize::MAX),
        Err(FrameError::TooLong(too_long))
    );
    let mut frames = Frames::default();
    frames.push(&1025u32.to_be_bytes());
    assert_eq!(
        frames.next::<ToSwitch>(1024),
        Err(FrameError::TooLong(1025))
    );
    let mut octets = Vec::new();
    let huge = Order::Close {
        room: RoomUri::new("x".repeat(too_long)),
    };
    assert!(encode(&ToSwitch::Order(huge), &mut octets).is_err());
    assert!(octets.is_empty());
}

#[test]
fn what_follows_a_message_in_its_frame_is_refused() {
    let mut octets = Vec::new();
    encode(&ToSwitch::Alive, &mut octets).expect("short enough");
    octets[3] += 1;
    octets.push(0);
    let mut frames = Frames::default();
    frames.push(&octets);
    assert_eq!(
        frames.next::<ToSwitch>(MAX_FRAME),
        Err(FrameError::Malformed)
    );
}

#[test]
fn the_preamble_says_which_version_is_missing() {
    assert_eq!(check_preamble(&preamble()), Ok(()));
    assert_eq!(
        check_preamble(b"msrpctl\xff"),
        Err(PreambleError::Version(255))
    );
    assert_eq!(check_preamble(b"MSRP abc"), Err(PreambleError::Foreign));
    let said = PreambleError::Version(9).to_string();
    assert!(
        said.contains("version 9") && said.contains("same release"),
        "{said}"
    );
}

/// One of every message: an older side would misread any change of it.
fn samples() -> (Vec<ToSwitch>, Vec<ToFocus>) {
    let (room, session) = (RoomUri::new("sip:r@h"), SessionId::new("s"));
    let (user, path) = (UserUri::new("sip:u@h"), "msrp://h:1/p;tcp".to_owned());
    let admission = Admission {
        session: session.clone(),
        room: room.clone(),
        policy: RoomPolicy {
            nicknames: true,
            private_messages: false,
            max_message_size: 300,
            plain_text: false,
            history: 5,
            bind_timeout: Duration::new(32, 5),
        },
        own_uri: "msrp://h:2/s;tcp".to_owned(),
        user: user.clone(),
        display: "U".to_owned(),
        nickname: None,
        uris: vec![user.clone()],
        newcomer: true,
        setup: Setup::Active,
        peer: Peer {
            path: vec![path],
            accept_types: vec!["message/cpim".to_owned()],
            accept_wrapped_types: vec!["*".to_owned()],
            max_size: Some(9),
            chatroom: true,
            private_messages: false,
            plain_text: false,
            one_send: false,
            sends: true,
            receives: false,
            fingerprints: Vec::new(),
            dial: None,
        },
    };
    let message = PastMessage {
        number: 300,
        octets: Bytes::from_static(b"hi"),
    };
    let to_switch = vec![
        ToSwitch::Hello(FocusHello {
            run: FocusRun(1),
            pid: 2,
        }),
        ToSwitch::Order(Order::Admit(Box::new(admission))),
        ToSwitch::Order(Order::Reconcile {
            room: room.clone(),
            sessions: vec![session.clone()],
            last: true,
        }),
        ToSwitch::Order(Order::Kept {
            room: room.clone(),
            change: NicknameChange(300),
        }),
        ToSwitch::Order(Order::Recall {
            room: room.clone(),
            messages: vec![message.clone()],
        }),
        ToSwitch::Order(Order::Remembered {
            room: room.clone(),
            up_to: 300,
            octets: 2,
        }),
        ToSwitch::Order(Order::Forget { room: room.clone() }),
        ToSwitch::Goodbye,
        ToSwitch::Look,
    ];
    let stand = Stand {
        session: session.clone(),
        standing: Standing::Gone,
        nickname: Some("N".to_owned()),
    };
    let listen = Listen {
        transport: Transport::Tcp,
        address: "127.0.0.1:2855".parse().expect("an address"),
    };
    let to_focus = vec![
        ToFocus::Hello(SwitchHello {
            run: SwitchRun(1),
            totals: Totals::default(),
            listen: vec![listen.clone()],
        }),
        ToFocus::Notice(Notice::Reconciled {
            room: room.clone(),
            sessions: vec![stand],
        }),
        ToFocus::Notice(Notice::Lost {
            room: room.clone(),
            session,
            cause: LossCause::Undeliverable,
        }),
        ToFocus::Notice(Notice::Remember {
            room: room.clone(),
            messages: vec![message],
            gone: 299,
        }),
        ToFocus::Notice(Notice::Forgotten { room: room.clone() }),
        ToFocus::Notice(Notice::Nickname {
            room,
            user,
            nickname: None,
            change: NicknameChange(9),
        }),
        ToFocus::Alive,
        ToFocus::Listens(vec![listen]),
    ];
    (to_switch, to_focus)
}

/// When this fails, the octets between module and `msrp-switchd` have changed. If a release has the
/// old ones, add one to [`VERSION`]; then accept the new ones.
#[test]
fn the_octets_of_this_version_stay_as_they_are() {
    fn line(message: &impl Serialize) -> String {
        let mut octets = Vec::new();
        encode(message, &mut octets).expect("short enough");
        octets.escape_ascii().to_string()
    }
    let (to_switch, to_focus) = samples();
    let mut lines = vec![format!("version {VERSION}")];
    lines.extend(to_switch.iter().map(line));
    lines.extend(to_focus.iter().map(line));
    insta::assert_snapshot!(lines.join("\n"), @r#"
    version 5
    \x00\x00\x00\x03\x00\x01\x02
    \x00\x00\x00h\x01\x00\x01s\x07sip:r@h\x01\x00\xac\x02\x00\x05 \x05\x10msrp://h:2/s;tcp\x07sip:u@h\x01U\x00\x01\x07sip:u@h\x01\x01\x01\x10msrp://h:1/p;tcp\x01\x0cmessage/cpim\x01\x01*\x01\t\x01\x00\x00\x00\x01\x00\x00\x00
    \x00\x00\x00\x0e\x01\x04\x07sip:r@h\x01\x01s\x01
    \x00\x00\x00\x0c\x01\x08\x07sip:r@h\xac\x02
    \x00\x00\x00\x10\x01\t\x07sip:r@h\x01\xac\x02\x02hi
    \x00\x00\x00\r\x01\n\x07sip:r@h\xac\x02\x02
    \x00\x00\x00\n\x01\x0b\x07sip:r@h
    \x00\x00\x00\x01\x03
    \x00\x00\x00\x01\x04
    \x00\x00\x00\x0c\x00\x01\x00\x01\x00\x00\x7f\x00\x00\x01\xa7\x16
    \x00\x00\x00\x11\x02\x02\x07sip:r@h\x01\x01s\x02\x01\x01N
    \x00\x00\x00\r\x02\x06\x07sip:r@h\x01s\x03
    \x00\x00\x00\x12\x02\t\x07sip:r@h\x01\xac\x02\x02hi\xab\x02
    \x00\x00\x00\n\x02\n\x07sip:r@h
    \x00\x00\x00\x14\x02\x07\x07sip:r@h\x07sip:u@h\x00\t
    \x00\x00\x00\x01\x04
    \x00\x00\x00\n\x05\x01\x00\x00\x7f\x00\x00\x01\xa7\x16
    "#);
}

/// Nothing is split: a room's whole history fits in one frame, and so do the reports sent at once.
#[test]
fn the_longest_history_is_one_frame() {
    let room = RoomUri::new(format!("sip:{}@example.com", "r".repeat(1000)));
    let count = usize::from(HISTORY_MESSAGES);
    let messages = vec![
        PastMessage {
            number: u64::MAX,
            octets: vec![b'x'; HISTORY_OCTETS / count].into(),
        };
        count
    ];
    let mut octets = Vec::new();
    let order = Order::Recall { room, messages };
    encode(&ToSwitch::Order(order), &mut octets).expect("a frame");
    assert!(octets.len() > HISTORY_OCTETS - count);
}
