//! XML-RPC: the seed's messages in the language that Python, PHP and many others speak out of the box.
//!
//! The method is the command, its one parameter is a struct, and so is the answer; their fields are those that
//! [`seed`](crate::seed) defines for every language. `<nil/>` stands for null, and `<i8>` for what a 32-bit
//! `<int>` cannot hold.
//!
//! What is read may be written in any way that XML allows, except that it is UTF-8 and declares no document
//! type: nothing is expanded. What is written is always XML: a text with a character that XML does not have is
//! refused, never bent.
//!
//! ```
//! use chord_wire::seed::{Answer, Request};
//! use chord_wire::xmlrpc::{Call, decode_answer, decode_call, encode_answer};
//!
//! let body = br#"<?xml version="1.0"?>
//! <methodCall>
//!   <methodName>get</methodName>
//!   <params><param><value><struct>
//!     <member><name>key</name><value><string>foo</string></value></member>
//!   </struct></value></param></params>
//! </methodCall>"#;
//! let Ok(Call::Seed(request)) = decode_call(body) else { panic!("one of the seed's commands") };
//! assert_eq!(request, Request::Get { key: "foo".to_owned() });
//!
//! let answer = Answer::Get {
//!     storage_node: "127.0.0.1:4567".parse()?,
//!     hops: 0,
//!     value: Some("bar".to_owned()),
//! };
//! let body = encode_answer(&answer)?;
//! assert_eq!(decode_answer(request.command(), &body)?, Ok(answer));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod call;
mod characters;
mod method;
mod tokens;
mod value;
mod writer;

pub use answer::{CallAnswer, Fault, decode_answer, encode_answer, encode_call_answer, encode_fault};
pub use call::{BadCall, Call, MULTICALL_MAX, decode_call, encode_call};
pub use method::Method;
pub use tokens::{BadXml, DEPTH_MAX};
pub use value::{NAME_BYTES_MAX, VALUES_MAX};
pub use writer::NotXml;
