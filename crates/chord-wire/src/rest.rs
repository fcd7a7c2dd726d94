//! REST: paths, parameters, conditions and bodies of everything below `/v1`, and the document that describes them.
//!
//! [`Route`] is the table: which paths there are and what each is asked by. The document is made of that table, of the
//! types of the bodies and of [`Code`](crate::Code), so that it cannot promise what the code does not know.

mod batch;
mod body;
mod copies;
mod document;
mod entity_tag;
mod health;
mod lifetime;
mod listing;
mod live;
mod percent;
mod precondition;
mod problem;
mod query;
mod report;
mod route;
mod sight;
mod trace;
mod watch;
mod work;

pub use batch::*;
pub use body::*;
pub use copies::*;
pub use document::{DocumentLimits, document};
pub use entity_tag::*;
pub use health::*;
pub use lifetime::*;
pub use listing::*;
pub use live::*;
pub use percent::*;
pub use precondition::*;
pub use problem::*;
pub use query::*;
pub use report::*;
pub use route::*;
pub use sight::*;
pub use trace::*;
pub use watch::*;
pub use work::*;
