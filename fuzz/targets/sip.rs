//! SIP messages, and the values of their headers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::sip::{Message, NameAddr, Params, ReferTo, Replaces, Uri};

fuzz_target!(|octets: &[u8]| {
    let headers = match Message::parse(octets) {
        Ok(Message::Request(request)) => request.headers,
        Ok(Message::Response(response)) => response.headers,
        Err(_) => return,
    };
    for header in headers.iter() {
        let _ = Params::parse(&header.value);
        let _ = ReferTo::parse(&header.value);
        let _ = header.value.parse::<Replaces>();
        if let Ok(address) = header.value.parse::<NameAddr>()
            && let Ok(uri) = address.uri.parse::<Uri>()
        {
            // The canonical form is its own.
            let canonical = uri.address_of_record();
            if let Ok(again) = canonical.parse::<Uri>() {
                assert_eq!(again.address_of_record(), canonical);
            }
        }
    }
});
