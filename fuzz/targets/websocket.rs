//! WebSocket frames however they are cut: the first octet says how, the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::websocket::Unframer;

/// What was in the frames, and whether they are right to their end.
fn read(stream: &[u8], step: usize) -> (Vec<u8>, bool, Option<Vec<u8>>) {
    let (mut unframer, mut all) = (Unframer::default(), Vec::new());
    for piece in stream.chunks(step) {
        let mut piece = piece.to_vec();
        match unframer.unframe(&mut piece) {
            Ok(count) => all.extend_from_slice(&piece[..count]),
            Err(_) => return (all, false, None),
        }
    }
    (all, true, unframer.take_ping())
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, stream)) = input.split_first() else {
        return;
    };
    let (octets, right, ping) = read(stream, stream.len().max(1));
    let (pieces, also_right, same_ping) = read(stream, usize::from(*cut).max(1));
    assert_eq!((right, ping), (also_right, same_ping));
    if right {
        assert_eq!(octets, pieces);
    }
});
