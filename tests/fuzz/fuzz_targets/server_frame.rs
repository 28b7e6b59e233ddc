//! See `hostile::server_frame`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::server_frame::run(bytes));
