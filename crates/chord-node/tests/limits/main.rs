//! Each limit of a node: kept at the limit, refused with a sentence just above it.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod first_bytes;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod http;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod support;
