//! See `hostile::store_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::store_reader::run(bytes));
