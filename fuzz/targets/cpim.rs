//! message/cpim: more octets never change headers that are complete.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::cpim::Message;

fuzz_target!(|octets: &[u8]| {
    let Ok(Some(message)) = Message::parse(octets) else {
        return;
    };
    assert!(message.content <= octets.len() && !message.to.is_empty());
    let _ = (message.from.name(), message.media_type());
    let _ = message.header_in("urn:ietf:params:imdn", "Message-ID");
    let front = Message::parse(&octets[..message.content]);
    assert_eq!(front, Ok(Some(message)));
});
