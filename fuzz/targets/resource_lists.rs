//! Lists of recipients.

#![no_main]

use libfuzzer_sys::fuzz_target;
use msrp_conference::wire::resource_lists::{MAX_ENTRIES, recipients};

fuzz_target!(|octets: &[u8]| {
    if let Ok(recipients) = recipients([octets]) {
        assert!(recipients.len() <= MAX_ENTRIES);
    }
});
