#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_player::fuzz::fuzz_measure(data));
