#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::amf::fuzz::fuzz_amf3(data));
