#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::sdp::fuzz::fuzz_sdp(data));
