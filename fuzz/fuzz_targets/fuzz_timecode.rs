#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_codec::fuzz::fuzz_timecode(data));
