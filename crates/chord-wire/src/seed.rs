//! The seed's messages: one JSON object for each request and answer, with exactly the seed's fields.
//!
//! What we send has these fields and no others, because the seed refuses anything else. What we receive may
//! leave out what has an obvious default and may hold fields that we do not know.

pub(crate) mod answer;
pub(crate) mod field;
pub(crate) mod json;
mod list;
pub(crate) mod object;
pub(crate) mod request;

pub use answer::{Answer, BadAnswer, decode_answer, encode_answer};
pub use field::{BadBody, Wanted};
pub use list::{SUCCESSOR_LIST_MAX, cut_at_repeat, fill_successor_list};
pub use request::{BadRequest, Leaving, Request, Target, decode_request, encode_request};
