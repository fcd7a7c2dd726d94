//! What a node sends to an OpenTelemetry collector: real `chord` processes, and a collector of the tests' own, which decodes
//! what it gets by the documentation of Protocol Buffers and OTLP and not by this program's code.
//!
//! `cargo test -p chord --features otel --test otel`

#[cfg(test)]
#[path = "../e2e/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the end-to-end tests use all of it")]
mod support;

#[cfg(test)]
mod collector;
#[cfg(test)]
mod decoded;
#[cfg(test)]
mod export;
