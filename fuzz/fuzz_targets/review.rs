//! Reviews of pods, over any bytes: what is taken stays taken when we are asked again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_injector::admission::{self, Mode};

fuzz_target!(|input: &[u8]| {
    for mode in [Mode::Enabled, Mode::Enforced] {
        admission::fuzz(input, mode);
    }
});
