#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::hls::read::fuzz_hls_playlist(data));
