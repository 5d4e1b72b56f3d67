//! Session descriptions: what is written is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::sdp::Description;

fuzz_target!(|octets: &[u8]| {
    if let Ok(description) = Description::parse(octets) {
        let written = description.write();
        let again = Description::parse(written.as_bytes());
        assert_eq!(again.map(|it| it.write()), Ok(written));
    }
});
