//! See `hostile::client_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::client_frame::run(bytes));
