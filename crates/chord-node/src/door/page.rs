//! The page that shows the ring to people. It is files and nothing else: what it shows it asks REST for, as anybody may.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::content::Content;

/// Below this the files are; the page itself is at `/`.
const PREFIX: &str = "/page/";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// What a browser may do for the page: take its own files from here, and ask here. Nothing in the page itself is run, so that
/// no name or key can become a program. It may also knock at other addresses, to go on at another node when this one stands
/// still: which nodes there will be then nobody knows when the page is opened, and what they say it cannot read.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' http: https:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// A file of the page.
struct File {
    /// Behind the prefix.
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal, $kind:ident) => {
        File { name: $name, kind: $kind, bytes: include_bytes!(concat!("page/", $name)) }
    };
}

/// All files, the page first.
static FILES: [File; FILES_COUNT] = [
    file!("index.html", HTML),
    file!("style.css", CSS),
    file!("icon.svg", PICTURE),
    file!("main.js", SCRIPT),
    file!("angle.js", SCRIPT),
    file!("dev.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("health.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("lessons.js", SCRIPT),
    file!("live.js", SCRIPT),
    file!("model.js", SCRIPT),
    file!("no-dev.js", SCRIPT),
    file!("node.js", SCRIPT),
    file!("play.js", SCRIPT),
    file!("ring.js", SCRIPT),
    file!("table.js", SCRIPT),
    file!("trace.js", SCRIPT),
];
const FILES_COUNT: usize = 18;

/// The tag of each file, by its bytes.
static TAGS: LazyLock<[HeaderValue; FILES_COUNT]> =
    LazyLock::new(|| std::array::from_fn(|idx| FILES.get(idx).map_or(POLICY, |file| tag(file.bytes))));

/// The page or one of its files, if that is what is asked for; `has_annex` says whether the program answers the page's buttons.
pub(super) fn respond<B>(request: &Request<B>, has_annex: bool) -> Option<Response<Content>> {
    let path = request.uri().path();
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let name = match path.strip_prefix(PREFIX) {
        Some("dev.js") if !has_annex => "no-dev.js",
        Some(name) => name,
        // The seed's clients ask here too, for something else.
        None if path == "/" && is_read && wants_page(request.headers()) => "index.html",
        None => return None,
    };
    if !is_read {
        let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    let file = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name);
    Some(
        file.map_or_else(
            || answer(StatusCode::NOT_FOUND, Bytes::new()),
            |(file, tag)| send(file, tag, request),
        ),
    )
}

/// Whether it is a browser that asks, for a page to show.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let mut kinds = accepts.flat_map(|accept| accept.split(','));
    kinds.any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

fn send<B>(file: &File, tag: &HeaderValue, request: &Request<B>) -> Response<Content> {
    let is_same = request.headers().get_all(IF_NONE_MATCH).iter().any(|known| known == tag);
    let mut response = if is_same {
        answer(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        answer(StatusCode::OK, Bytes::from_static(file.bytes))
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(ETAG, tag.clone());
    response
}

fn answer(status: StatusCode, body: Bytes) -> Response<Content> {
    let mut response = Response::new(Content::Whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    response
}

fn tag(bytes: &[u8]) -> HeaderValue {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let hex = format!("\"{:x}\"", u128::from_be_bytes(*digest.first_chunk().unwrap_or(&[0; 16])));
    HeaderValue::from_str(&hex).unwrap_or(POLICY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(accept: &'static str) -> bool {
        wants_page(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn browsers_want_a_page_and_programs_do_not() {
        assert!(accepts("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(accepts("application/json, Text/HTML;q=0.1"));
        assert!(!accepts("*/*") && !accepts("application/json") && !accepts("text/htmlx"));
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn each_file_has_a_tag_of_its_own() {
        let tags: std::collections::HashSet<_> = TAGS.iter().collect();
        assert_eq!(tags.len(), FILES_COUNT);
    }

    #[test]
    fn nothing_in_the_page_needs_more_than_the_policy_allows() {
        let page = std::str::from_utf8(FILES[0].bytes).unwrap();
        for refused in ["<style", " style=", " onclick", "<script>", "http://", "https://"] {
            assert!(!page.contains(refused), "{refused}");
        }
        for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
            let script = std::str::from_utf8(file.bytes).unwrap();
            for refused in ["innerHTML", "insertAdjacentHTML", "eval(", "https://", "document.write"] {
                assert!(!script.contains(refused), "{} has {refused}", file.name);
            }
        }
    }
}
