//! Segments of Cassandra's v5, over any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_parsers::fuzz;

fuzz_target!(|input: &[u8]| fuzz::segments(input));
