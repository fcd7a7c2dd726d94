//! Lists of keys: a stream of lines, page by page, as the client reads them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chord_wire::Code;
use chord_wire::rest::{KEYS_TYPE, Problem, key_line};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::super::content::Content;
use super::super::http::Rejected;
use super::super::seed::{Refused, refused};
use super::call::Call;
use crate::OperationError;
use crate::keys::{KeyPage, Keys, Round};

/// A list under way.
struct Listing {
    keys: Keys,
    prefix: Vec<u8>,
    /// The first page, which was asked for before the answer began.
    first: Option<KeyPage>,
    has_failed: bool,
    _round: Round,
}

/// How long a list may wait for others to come to their end, before it begins.
const ROUND_WAIT: Duration = Duration::from_secs(10);

/// Lists the keys of the whole ring.
pub(super) async fn list(call: Call<'_>) -> Result<Response<Content>, Rejected> {
    let shared = call.shared.clone();
    let prefix = call.query.prefix.clone().unwrap_or_default();
    call.without_body().await?;
    let round = tokio::time::timeout(ROUND_WAIT, Round::begin(shared.clone())).await;
    let busy = "this node goes through all keys for others already: try again later, or ask another node";
    let round = round.map_err(|_| Refused::new(Code::Busy, busy))?;
    let me = shared.me.position;
    let mut keys = Keys::new(shared, chord_kv::Range { after: me, up_to: me });
    // Whatever cannot even begin is told as any other failure.
    let first = keys.next_page().await.map_err(|error| refused(&error))?;
    let listing = Listing { keys, prefix, first, has_failed: false, _round: round };
    let lines = stream::unfold(listing, |mut listing| async {
        let piece = listing.next().await?;
        Some((piece, listing))
    });
    let mut response = Response::new(Content::Pieces(Box::pin(lines)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(KEYS_TYPE));
    Ok(response)
}

impl Listing {
    /// The lines of the next page that has some; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.has_failed {
            let page = match self.first.take() {
                Some(first) => first,
                None => match self.keys.next_page().await {
                    Ok(page) => page?,
                    Err(error) => return Some(self.fail(&error)),
                },
            };
            let wanted = page.keys.iter().filter(|header| header.key.as_bytes().starts_with(&self.prefix));
            let lines: BytesMut = wanted.flat_map(key_line).collect();
            if !lines.is_empty() {
                return Some(lines.freeze());
            }
        }
        None
    }

    /// The last line, which says that the list is not whole.
    fn fail(&mut self, error: &OperationError) -> Bytes {
        self.has_failed = true;
        let Refused { code, sentence, .. } = refused(error);
        Problem::new(code, sentence).encode().into()
    }
}
