#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::rtp::fuzz::fuzz_vpx_av1_depack(data));
