//! See `hostile::log_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::log_reader::run(bytes));
