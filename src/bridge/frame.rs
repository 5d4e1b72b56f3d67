//! One frame, and its octets: a version byte, then postcard.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::focus::{Arrival, RequestId, TransactionId};

/// Worker and conference process run the same file, so a different version means corrupted memory
/// or a wrong file descriptor.
const VERSION: u8 = 1;

/// Largest frame in octets: a SIP message of 64 KiB (OpenSIPS' BUF_SIZE, Kamailio's
/// tcp_rd_buf_size) with all data that accompanies it.
pub const MAX_FRAME: usize = 96 * 1024;

/// A frame from a worker to the conference process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// A request to answer, or an ACK.
    Request(Box<Arrival>),
    /// The worker answered a CANCEL of this transaction.
    Cancel(TransactionId),
    /// A provisional response to an INVITE of ours.
    Progress {
        /// The request.
        request: RequestId,
        /// Status code.
        code: u16,
        /// tm's transaction of the request, needed to cancel it.
        transaction: TransactionId,
    },
    /// tm finished a request of ours.
    Outcome {
        /// The request.
        request: RequestId,
        /// The final status code.
        code: u16,
        /// The response as received; empty when tm made the code up.
        response: Bytes,
    },
    /// The worker's result for a request of ours that it was to send.
    Sent {
        /// The request.
        request: RequestId,
        /// 0 when the worker has sent it, else tm's own error number.
        error: i32,
    },
}

/// Why octets are not a frame, or a frame cannot be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME`].
    #[error("frame above {MAX_FRAME} octets")]
    TooLong,
    /// Another version, or no octets at all.
    #[error("frame of another version")]
    Version,
    /// The content does not match the version.
    #[error("malformed frame")]
    Malformed,
}

impl Frame {
    /// The transaction to answer.
    pub fn transaction(&self) -> Option<TransactionId> {
        match self {
            Frame::Request(arrival) => arrival.transaction,
            _ => None,
        }
    }

    /// A shorter form of an outcome that is too long: without the response's body, and without
    /// headers that neither identify a dialog nor determine the next step. `None` for other frames.
    pub(super) fn shortened(&self) -> Option<Frame> {
        let Frame::Outcome {
            request,
            code,
            response,
        } = self
        else {
            return None;
        };
        let kept = Some(essentials(response)).filter(|kept| kept.len() <= MAX_FRAME / 2);
        Some(Frame::Outcome {
            request: *request,
            code: *code,
            response: kept.unwrap_or_default().into(),
        })
    }

    /// The octets of one datagram.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        let octets = postcard::to_extend(self, vec![VERSION]).map_err(|_| FrameError::Malformed)?;
        if octets.len() > MAX_FRAME {
            return Err(FrameError::TooLong);
        }
        Ok(octets)
    }

    /// Reads one datagram.
    pub fn decode(octets: &[u8]) -> Result<Self, FrameError> {
        if octets.len() > MAX_FRAME {
            return Err(FrameError::TooLong);
        }
        let (version, rest) = octets.split_first().ok_or(FrameError::Version)?;
        if *version != VERSION {
            return Err(FrameError::Version);
        }
        match postcard::take_from_bytes(rest) {
            Ok((frame, [])) => Ok(frame),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// Headers the focus needs of any response, even one too large for a frame: it must end the dialog
/// that a 2xx to INVITE makes, answer a challenge, and follow a redirection.
const ESSENTIAL: [&str; 14] = [
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "record-route",
    "www-authenticate",
    "proxy-authenticate",
    "min-se",
    "retry-after",
];

/// Status line and essential headers of a response, with the lines they are folded into.
fn essentials(response: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut keeps = true;
    for line in response.split_inclusive(|octet| *octet == b'\n') {
        match line.first() {
            Some(b'\r' | b'\n') => break,
            Some(b' ' | b'\t') => {}
            _ if kept.is_empty() => {}
            _ => {
                let name = line.split(|octet| *octet == b':').next();
                let name = name.unwrap_or_default().trim_ascii_end();
                keeps = ESSENTIAL
                    .iter()
                    .any(|it| name.eq_ignore_ascii_case(it.as_bytes()));
            }
        }
        if keeps {
            kept.extend_from_slice(line);
        }
    }
    kept.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    kept
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::focus::{Role, ScriptOptions, Socket};
    use proptest::prelude::*;

    fn arrival() -> impl Strategy<Value = Arrival> {
        (
            proptest::option::of((any::<u32>(), any::<u32>())),
            proptest::option::of("[a-z0-9.]{1,40}"),
            proptest::collection::vec(any::<u8>(), 0..2000),
            ("sip:[a-z]{1,10}@[a-z]{1,10}", "\\PC{0,40}"),
            any::<([u8; 4], u16)>(),
            (any::<u64>(), "[a-z.:\\[\\]]{0,20}", any::<u16>()),
            (
                proptest::option::of(any::<bool>()),
                proptest::option::of(any::<bool>()),
            ),
        )
            .prop_map(
                |(ids, to_tag, message, uris, source, socket, options)| Arrival {
                    transaction: ids.map(|(hash, label)| TransactionId { hash, label }),
                    to_tag,
                    message: message.into(),
                    request_uri: uris.0,
                    source: source.into(),
                    socket: Socket {
                        handle: socket.0,
                        transport: "udp".into(),
                        host: socket.1,
                        port: socket.2,
                    },
                    identity: uris.1,
                    options: ScriptOptions {
                        create: options.0,
                        role: options.1.map(|moderates: bool| {
                            if moderates {
                                Role::Moderator
                            } else {
                                Role::Observer
                            }
                        }),
                    },
                },
            )
    }

    pub(crate) fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            arrival().prop_map(|arrival| Frame::Request(Box::new(arrival))),
            any::<(u32, u32)>()
                .prop_map(|(hash, label)| Frame::Cancel(TransactionId { hash, label })),
            (
                any::<u64>(),
                200u16..700,
                proptest::collection::vec(any::<u8>(), 0..2000)
            )
                .prop_map(|(id, code, response)| Frame::Outcome {
                    request: RequestId(id),
                    code,
                    response: response.into(),
                }),
            any::<(u64, i32)>().prop_map(|(id, error)| Frame::Sent {
                request: RequestId(id),
                error,
            }),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back_as_they_were(frame in frame()) {
            let octets = frame.encode().expect("within bounds");
            prop_assert_eq!(Frame::decode(&octets), Ok(frame));
        }

        #[test]
        fn no_octets_make_decode_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::decode(&octets);
        }

        #[test]
        fn a_cut_frame_is_refused(frame in frame(), cut in 1usize..40) {
            let octets = frame.encode().expect("within bounds");
            let keep = octets.len().saturating_sub(cut);
            prop_assert!(Frame::decode(&octets[..keep]).is_err());
        }
    }

    #[test]
    fn another_version_and_too_many_octets_are_refused() {
        assert_eq!(
            Frame::decode(&[VERSION + 1, 1, 2]),
            Err(FrameError::Version)
        );
        assert_eq!(Frame::decode(&[]), Err(FrameError::Version));
        assert_eq!(
            Frame::decode(&vec![VERSION; MAX_FRAME + 1]),
            Err(FrameError::TooLong)
        );
        let long = Frame::Outcome {
            request: RequestId(1),
            code: 200,
            response: vec![0; MAX_FRAME].into(),
        };
        assert_eq!(long.encode(), Err(FrameError::TooLong));
    }

    fn outcome(response: String) -> Frame {
        Frame::Outcome {
            request: RequestId(1),
            code: 200,
            response: response.into(),
        }
    }

    const DIALOG: &str = "SIP/2.0 200 OK\r\n\
        f: <sip:lobby@a>;tag=1\r\n\
        To : <sip:bob@b>\r\n ;tag=2\r\n\
        i: call\r\n\
        CSEQ: 1 INVITE\r\n\
        Record-Route: <sip:p1;lr>\r\n\
        Contact: <sip:bob@10.0.0.1>\r\n";

    #[test]
    fn a_response_that_is_too_long_keeps_what_names_the_dialog() {
        let junk = "X-Junk: yes\r\n and more\r\n".repeat(5000);
        let body = "Contact: <sip:forged@body>\r\n".repeat(5000);
        let length = body.len();
        for long in [
            format!("{DIALOG}Content-Length: {length}\r\n\r\n{body}"),
            format!("{DIALOG}{junk}Content-Length: 0\r\n\r\n"),
        ] {
            let frame = outcome(long);
            assert_eq!(frame.encode(), Err(FrameError::TooLong));
            let short = frame.shortened().expect("an outcome");
            let expected = outcome(format!("{DIALOG}Content-Length: 0\r\n\r\n"));
            assert_eq!(short, expected);
            assert!(short.encode().is_ok());
        }
    }

    #[test]
    fn an_outcome_keeps_its_code_if_nothing_else_fits() {
        let endless = format!("SIP/2.0 200 OK\r\nContact: {}", "x".repeat(MAX_FRAME));
        let short = outcome(endless).shortened().expect("an outcome");
        assert_eq!(short, outcome(String::new()));
    }

    proptest! {
        #[test]
        fn whatever_came_is_shortened_to_what_fits(
            response in proptest::collection::vec(any::<u8>(), 0..300),
            times in 1usize..1000,
        ) {
            let frame = Frame::Outcome {
                request: RequestId(1),
                code: 200,
                response: response.repeat(times).into(),
            };
            prop_assert!(frame.shortened().expect("an outcome").encode().is_ok());
        }
    }
}
