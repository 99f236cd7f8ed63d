//! The transcript's reader, over any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_parsers::{cassandra, fuzz, memcache, r2d2};

fuzz_target!(|input: &[u8]| {
    for protocol in [&cassandra::PROTOCOL, &memcache::PROTOCOL, &r2d2::PROTOCOL] {
        fuzz::transcript(protocol, input);
    }
});
