#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_emulator::namespace::fuzz::fuzz_super_packet(data));
