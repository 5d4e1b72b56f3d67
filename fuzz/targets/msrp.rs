//! MSRP however it is cut: the first octet says how, the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::msrp::{Decoder, Event, UriRef};

/// What came, without the cuts in bodies; `false`: the stream is lost.
fn read(stream: &[u8], step: usize) -> (String, bool) {
    let (mut decoder, mut unread, mut seen) = (Decoder::new(), Vec::new(), String::new());
    for piece in stream.chunks(step) {
        unread.extend_from_slice(piece);
        let mut used = 0;
        loop {
            match decoder.decode(&unread[used..]) {
                Ok(Some(decoded)) => {
                    assert!(decoded.used > 0 && decoded.used <= unread.len() - used);
                    used += decoded.used;
                    tell(&decoded.event, &mut seen);
                }
                Ok(None) => break,
                Err(_) => return (seen, false),
            }
        }
        unread.drain(..used);
    }
    (seen, true)
}

fn tell(event: &Event<'_>, seen: &mut String) {
    match event {
        Event::Message { request, body, flag } => {
            seen.push_str(&format!("{} {:?}", request.transaction, request.method));
            for uri in request.to_path.uris().chain(request.from_path.uris()) {
                let _ = (uri.session_id(), uri.host(), uri.port());
            }
            seen.push_str(&body.unwrap_or_default().escape_ascii().to_string());
            seen.push(flag.octet().into());
        }
        Event::Begin(request) => {
            seen.push_str(&format!("{} {:?}", request.transaction, request.method));
        }
        Event::Body(octets) => seen.push_str(&octets.escape_ascii().to_string()),
        Event::End(flag) => seen.push(flag.octet().into()),
        Event::Response(response) => seen.push_str(&format!("{}", response.code)),
        Event::Malformed(request) => seen.push_str(&format!("{} ?", request.transaction)),
        Event::Skipped => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let whole = read(stream, stream.len().max(1));
    let cut = read(stream, usize::from(*cut).max(1));
    assert_eq!(whole, cut);
    if let Ok(text) = std::str::from_utf8(stream) {
        let _ = UriRef::parse(text);
    }
});
