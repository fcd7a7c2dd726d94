//! See `fuzz_bodies/frame.rs` of chord-wire's tests.
#![no_main]

#[path = "../../crates/chord-wire/tests/fuzz_bodies/frame.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::check(bytes));
