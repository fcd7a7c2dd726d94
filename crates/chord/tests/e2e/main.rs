//! End-to-end tests: real `chord` processes on loopback sockets, seen from outside.
//!
//! What is expected here comes from the wire's documentation and not from this program's code: the HTTP client, the
//! hash and the sorted ring in `support` are the tests' own. One binary holds all of them, so that it is linked once:
//! `cargo test -p chord --test e2e failures::` runs one file of them.

#[cfg(test)]
mod all_doors;
#[cfg(test)]
mod all_keys;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod cut;
#[cfg(test)]
mod durable;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod many_nodes;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod mixed_rings;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod seed_wire;
#[cfg(test)]
mod slow_peers;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod xmlrpc;
