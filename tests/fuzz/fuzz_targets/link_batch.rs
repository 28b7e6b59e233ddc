//! See `hostile::link_batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::link_batch::run(bytes));
