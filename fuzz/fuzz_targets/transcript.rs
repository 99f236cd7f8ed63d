//! The transcript's reader, over any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_parsers::{Registry, fuzz};

fuzz_target!(|input: &[u8]| {
    for protocol in Registry::BUILT_IN.protocols() {
        fuzz::transcript(protocol, input);
    }
});
