#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::http::fuzz::fuzz_http_chunked(data));
