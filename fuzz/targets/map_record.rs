#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::connector::map_record(data));
