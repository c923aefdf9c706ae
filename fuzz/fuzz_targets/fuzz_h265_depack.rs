#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::rtp::fuzz::fuzz_h265_depack(data));
