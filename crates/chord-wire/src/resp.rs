//! RESP, the protocol of Redis: what clients ask, and what is answered, in both versions of it.
//!
//! A request is flat: an array of bulk strings, or a line of words as somebody types them. So the parser keeps no stack,
//! and nothing that arrives can be deep. It never waits for more than it needs, and never looks at a byte again because
//! another came. Nothing is set aside for what a length or a count claims: memory grows as bytes come.
//!
//! An answer is written straight into the bytes that go out. Whoever answers says what it is, a map for example, and
//! [`ReplyWriter`] knows how each [`Protocol`] says that.
//!
//! A port that speaks HTTP too asks [`sniff`] what a connection begins with.
//!
//! ```
//! use chord_wire::resp::{Protocol, ReplyWriter, RequestLimits, RequestParser};
//!
//! let mut parser = RequestParser::new(RequestLimits::default());
//! parser.feed(b"*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\nPING he");
//!
//! let request = parser.next_request()?.expect("the first is whole");
//! assert_eq!((request.command(), request.args_exactly()), (&b"GET"[..], Some([&b"foo"[..]])));
//! assert!(parser.next_request()?.is_none());
//!
//! parser.feed(b"llo\r\n");
//! let request = parser.next_request()?.expect("the second is whole now");
//! assert_eq!(request.args_exactly(), Some([&b"hello"[..]]));
//!
//! let mut bytes = Vec::new();
//! ReplyWriter::new(Protocol::Resp3, &mut bytes).map(1).bulk(b"role").simple("master");
//! assert_eq!(bytes, b"%1\r\n$4\r\nrole\r\n+master\r\n");
//! # Ok::<(), chord_wire::resp::ProtocolError>(())
//! ```

mod array;
mod decimal;
mod inline;
mod limits;
mod parser;
mod reply;
mod request;
mod sniff;
mod writer;

pub use limits::{ProtocolError, RequestLimits};
pub use parser::RequestParser;
pub use reply::Reply;
pub use request::{Args, Request};
pub use sniff::{SNIFF_BYTES_MAX, Sniffed, sniff};
pub use writer::{Protocol, ReplyWriter};
