//! Statements of CQL, over any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_parsers::fuzz;

fuzz_target!(|input: &[u8]| fuzz::statement(input));
