//! The transcript's reader, over any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_parsers::{fuzz, memcache, r2d2};

fuzz_target!(|input: &[u8]| {
    for protocol in [&memcache::PROTOCOL, &r2d2::PROTOCOL] {
        fuzz::transcript(protocol, input);
    }
});
