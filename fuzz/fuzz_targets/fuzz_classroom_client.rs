#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_proto::classroom::fuzz::fuzz_classroom_client(data));
