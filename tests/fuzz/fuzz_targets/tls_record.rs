//! See `hostile::tls_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::tls_record::run(bytes));
