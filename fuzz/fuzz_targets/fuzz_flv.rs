#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_media::fuzz::fuzz_flv(data));
