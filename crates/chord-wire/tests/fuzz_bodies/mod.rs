//! What must hold for any bytes, one file for each kind of them: the fuzzer looks for bytes for which it does not, and
//! `corpora.rs` tries those that it has found on the way.

pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod replica;
pub(crate) mod resp;
pub(crate) mod rest;
pub(crate) mod sniff;
pub(crate) mod xmlrpc;
