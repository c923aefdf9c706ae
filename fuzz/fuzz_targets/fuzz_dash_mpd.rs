#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::dash::read::fuzz_dash_mpd(data));
