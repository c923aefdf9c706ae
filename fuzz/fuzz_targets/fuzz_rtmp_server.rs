#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::rtmp::fuzz::fuzz_rtmp_server(data));
