#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::http::receive::fuzz_http_response(data));
