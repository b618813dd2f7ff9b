#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dancu_fuzz::contribution(data));
