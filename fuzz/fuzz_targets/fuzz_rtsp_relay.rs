#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::rtsp::fuzz::fuzz_rtsp_relay(data));
