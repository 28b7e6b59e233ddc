//! See `hostile::tls_verdict`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::tls_verdict::run(bytes));
