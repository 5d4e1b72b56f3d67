//! The HTTP request that opens a WebSocket (RFC 6455 §4, RFC 7977 §4).

use std::time::Duration;

use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{self, Response};
use tungstenite::http::StatusCode;
use tungstenite::http::header::{HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};

use super::Origins;

/// The sub-protocol (RFC 7977 §4.1).
const PROTOCOL: &str = "msrp";
/// Size limit of a request, in octets: browsers send less than 1 KiB, plus cookies.
const MAX_REQUEST: usize = 8 * 1024;
/// Time limit for a request, after the TLS handshake.
pub(crate) const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// A request, as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Request {
    octets: Vec<u8>,
}

/// The result of reading a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request is incomplete.
    Wait,
    /// The WebSocket is open once this is written.
    Open {
        /// The response.
        response: Vec<u8>,
        /// The octets after the request.
        rest: Vec<u8>,
    },
    /// Write this and close the connection.
    Refuse {
        /// The response.
        response: Vec<u8>,
        /// The reason, for the log.
        why: &'static str,
    },
}

impl Request {
    /// Takes received octets.
    pub(crate) fn add(&mut self, octets: &[u8], origins: &Origins) -> Verdict {
        self.octets.extend_from_slice(octets);
        match server::Request::try_parse(&self.octets) {
            Ok(Some((length, request))) if length <= MAX_REQUEST => match answer(&request, origins)
            {
                Ok(response) => Verdict::Open {
                    response: write(&response),
                    rest: self.octets.split_off(length),
                },
                Err((status, why)) => refuse(status, why),
            },
            Ok(None) if self.octets.len() < MAX_REQUEST => Verdict::Wait,
            Ok(_) => refuse(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "a request that is too long",
            ),
            Err(_) => refuse(StatusCode::BAD_REQUEST, "what is no HTTP request"),
        }
    }
}

fn answer(
    request: &server::Request,
    origins: &Origins,
) -> Result<Response, (StatusCode, &'static str)> {
    let text = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    let upgrade = (StatusCode::UPGRADE_REQUIRED, "a request for no WebSocket");
    let mut response = server::create_response(request).map_err(|_| upgrade)?;
    // One that cannot be read is that of no page we know.
    let origin = request.headers().get(ORIGIN);
    let origin = origin.map(|it| it.to_str().unwrap_or_default());
    if !origins.admit(origin, text(HOST)) {
        return Err((StatusCode::FORBIDDEN, "a page of another site (ws_origins)"));
    }
    let asked = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut asked = asked
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','));
    if !asked.any(|it| it.trim().eq_ignore_ascii_case(PROTOCOL)) {
        return Err((StatusCode::BAD_REQUEST, "no sub-protocol msrp"));
    }
    // W01. No extension is negotiated, compression in particular (RFC 6455 §9.1).
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

fn refuse(status: StatusCode, why: &'static str) -> Verdict {
    let reason = status.canonical_reason().unwrap_or_default();
    let number = status.as_u16();
    let upgrade = match status {
        StatusCode::UPGRADE_REQUIRED => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        _ => "",
    };
    let response = format!(
        "HTTP/1.1 {number} {reason}\r\n{upgrade}Connection: close\r\n\
         Content-Length: 0\r\n\r\n"
    );
    Verdict::Refuse {
        response: response.into_bytes(),
        why,
    }
}

fn write(response: &Response) -> Vec<u8> {
    let mut octets = Vec::new();
    // Writing to memory does not fail, and our own header fields are ASCII.
    let _ = server::write_response(&mut octets, response);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /msrp HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Origin: https://chat.example.com\r\nSec-WebSocket-Protocol: chat, msrp\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn add(request: &str) -> Verdict {
        Request::default().add(request.as_bytes(), &Origins::Own)
    }

    #[test]
    fn w01_the_sub_protocol_is_echoed_and_no_extension() {
        let mut request = Request::default();
        let (last, first) = REQUEST.as_bytes().split_last().unwrap();
        for octet in first {
            let verdict = request.add(std::slice::from_ref(octet), &Origins::Own);
            assert_eq!(verdict, Verdict::Wait);
        }
        let Verdict::Open { response, rest } = request.add(&[*last, 0x82], &Origins::Own) else {
            panic!("refused");
        };
        assert_eq!(rest, [0x82]);
        let response = String::from_utf8(response).unwrap().to_ascii_lowercase();
        assert!(response.starts_with("http/1.1 101 "), "{response}");
        assert!(response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"));
        assert!(response.contains("sec-websocket-protocol: msrp\r\n"));
        assert!(!response.contains("extensions"));
    }

    #[test]
    fn what_is_no_websocket_of_ours_is_refused() {
        let long = "x".repeat(MAX_REQUEST);
        for (from, to, status) in [
            ("chat, msrp", "sip", "400"),
            ("Sec-WebSocket-Protocol", "X", "400"),
            ("https://chat", "https://evil", "403"),
            ("https://chat", "https://ch\u{e4}t", "403"),
            ("Upgrade: websocket", "X: y", "426"),
            ("Version: 13", "Version: 8", "426"),
            ("GET", "POST", "400"),
            ("GET /msrp HTTP/1.1", "MSRP a SEND", "400"),
            ("/msrp", long.as_str(), "431"),
        ] {
            let request = REQUEST.replace(from, to);
            let Verdict::Refuse { response, .. } = add(&request) else {
                panic!("{to} is taken");
            };
            let response = String::from_utf8(response).unwrap();
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status} ")),
                "{response}"
            );
        }
        let unfinished = format!("GET /{long}");
        assert!(matches!(add(&unfinished), Verdict::Refuse { .. }));
    }
}
