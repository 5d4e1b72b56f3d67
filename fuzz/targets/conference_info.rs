//! conference-info: what is written is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::conference_info::Document;

fuzz_target!(|octets: &[u8]| {
    if let Ok(document) = Document::read(octets) {
        let written = document.write();
        if let Ok(again) = Document::read(written.as_bytes()) {
            assert_eq!(again.write(), written);
        }
    }
});
