//! The way to what the program itself answers at this door, and who may take it: only the page that this node served.

use std::sync::Arc;

use bytes::Bytes;
use chord_wire::encode_error;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::content::Content;
use super::http::read_body;
use super::pages::{self, Own};
use crate::annex::{ANNEX_BYTES_MAX, ANNEX_WAIT, Annex, AnnexAnswer, AnnexAsked};
use crate::shared::Shared;

/// Below this is what the program answers.
const PREFIX: &str = "/dev/";

/// The annex, if there is one and this is asked of it.
pub(super) fn of<B>(shared: &Shared, request: &Request<B>) -> Option<Arc<dyn Annex>> {
    shared.annex.clone().filter(|_| request.uri().path().starts_with(PREFIX))
}

/// Answers a request to the annex.
pub(super) async fn respond(
    annex: Arc<dyn Annex>,
    shared: &Arc<Shared>,
    request: Request<Incoming>,
) -> Response<Content> {
    let (head, body) = request.into_parts();
    let is_order = head.method == Method::POST;
    let own = Own { name: &shared.me.name, is_in_tls: shared.tls.is_some() };
    if let Err(why) = check(&head.headers, own, is_order) {
        return refuse(StatusCode::FORBIDDEN, why);
    }
    if !is_order && head.method != Method::GET {
        let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "this is read by GET, and done by POST");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
        return response;
    }
    let Ok(body) = read_body(shared, body, ANNEX_BYTES_MAX).await else {
        return refuse(StatusCode::BAD_REQUEST, "the body is too long, or did not come whole and in time");
    };
    let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    let asked = AnnexAsked { at: shared.me.name.clone(), is_order, path, body: body.bytes.clone() };
    match tokio::time::timeout(ANNEX_WAIT, annex.answer(asked)).await {
        Ok(AnnexAnswer { status, json }) => say(status, json),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "it takes too long; look again in a while"),
    }
}

/// Whether the request comes from the page that this node served, under this node's own name.
///
/// A page of another site can have a browser send a request here: the browser then says where that page is from. And another
/// site's name can be made to lead here, so that its pages are of the same origin as far as the browser knows: then that name
/// is the host.
fn check(headers: &HeaderMap, own: Own<'_>, is_order: bool) -> Result<(), &'static str> {
    let only = |name| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none()).map(HeaderValue::as_bytes)
    };
    if only(HOST) != Some(own.name.as_str().as_bytes()) {
        return Err("this is only for the page of this node: open it by the node's own name");
    }
    let origin = only(ORIGIN);
    if headers.contains_key(ORIGIN) && !origin.is_some_and(|origin| own.is(origin)) {
        return Err("this is only for the page of this node, and not for those of other sites");
    }
    if is_order && origin.is_none() {
        return Err(
            "this is only for the page of this node, by whose origin a browser says that it is one: \
                    give the header origin, http:// and the node's name, if you are no browser",
        );
    }
    let mut sites = headers.get_all(pages::SITE).iter();
    if sites.any(|site| site != "same-origin" && (is_order || site != "none")) {
        return Err("this is only for the page of this node, and not for those of other sites");
    }
    Ok(())
}

fn refuse(status: StatusCode, why: &str) -> Response<Content> {
    let mut response = say(status.as_u16(), encode_error(why));
    // What is left of a body that nobody reads cannot be told from the next request.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn say(status: u16, json: Vec<u8>) -> Response<Content> {
    let mut response = Response::new(Content::Whole(Bytes::from(json)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(order: bool, headers: &[(&str, &str)]) -> bool {
        let pairs = headers.iter().map(|(name, value)| {
            (name.parse::<http::HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        let own = Own { name: &"127.0.0.1:4567".parse().unwrap(), is_in_tls: false };
        check(&map, own, order).is_ok()
    }

    #[test]
    fn only_the_page_of_this_node_may_ask() {
        let (host, origin) = (("host", "127.0.0.1:4567"), ("origin", "http://127.0.0.1:4567"));
        let same = ("sec-fetch-site", "same-origin");
        assert!(may(true, &[host, origin, same]) && may(true, &[host, origin]));
        assert!(may(false, &[host]) && may(false, &[host, same]) && may(false, &[host, origin, same]));
        assert!(may(false, &[host, ("sec-fetch-site", "none")]), "typed by the user");
        for order in [true, false] {
            for foreign in
                ["http://evil.example", "null", "https://127.0.0.1:4567", "http://127.0.0.1:4568", ""]
            {
                assert!(!may(order, &[host, ("origin", foreign)]), "{foreign}");
                assert!(!may(order, &[host, origin, ("origin", foreign)]), "{foreign}");
            }
            for site in ["cross-site", "same-site", "", "new"] {
                assert!(!may(order, &[host, origin, ("sec-fetch-site", site)]), "{site}");
            }
            for rebound in ["evil.example:4567", "localhost:4567", "127.0.0.1", "127.0.0.1:4568", ""] {
                let pretended = format!("http://{rebound}");
                assert!(!may(order, &[("host", rebound), ("origin", &pretended), same]), "{rebound}");
                assert!(!may(order, &[("host", rebound), origin]), "{rebound}");
            }
            assert!(!may(order, &[origin]), "no host");
            assert!(!may(order, &[host, host, origin]), "two hosts");
        }
        assert!(!may(true, &[host]) && !may(true, &[host, same]), "an order has an origin");
        assert!(!may(true, &[host, origin, ("sec-fetch-site", "none")]), "nobody types an order");
    }
}
