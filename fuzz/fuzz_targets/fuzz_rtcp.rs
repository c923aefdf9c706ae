#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::rtcp::fuzz::fuzz_rtcp(data));
