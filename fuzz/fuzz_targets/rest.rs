//! See `fuzz_bodies/rest.rs` of chord-wire's tests.
#![no_main]

#[path = "../../crates/chord-wire/tests/fuzz_bodies/rest.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::check(bytes));
