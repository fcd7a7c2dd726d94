//! Routes: which paths there are, and what each is asked by.

use std::fmt;

use super::percent::{BadPercent, percent_decode};
use super::query::Parameter;

/// Where a node tells of itself.
pub const NODE_PATH: &str = "/v1/node";

/// Where the whole ring is to be seen.
pub const LIVE_PATH: &str = LIVE;

/// Where the document is that describes REST.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// Where a node tells its numbers.
pub const METRICS_PATH: &str = "/metrics";

/// Where it is asked whether a node works.
pub const HEALTHY_PATH: &str = "/healthz";

/// Where it is asked whether a node is ready.
pub const READY_PATH: &str = "/readyz";

const PREFIX: &str = "/v1";
const KV: &str = "/v1/kv/";
const LOOKUP: &str = "/v1/lookup/";
const RING: &str = "/v1/ring";
const LIVE: &str = "/v1/ring/live";
const COPIES: &str = "/v1/copies/";
const TRACE: &str = "/v1/trace/";
const BATCH: &str = "/v1/batch";
const KEYS: &str = "/v1/keys";
const WATCH: &str = "/v1/watch/";
const WATCH_MANY: &str = "/v1/watch";

/// What stands behind a key that is a number to be added to.
const INCR: &[u8] = b"/incr";

/// A method of HTTP that some route knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Asks what is there.
    Get,
    /// The same, without the body.
    Head,
    /// Stores.
    Put,
    /// Deletes.
    Delete,
    /// Does something else.
    Post,
}

impl Verb {
    /// The verb of that name, which is written in capital letters.
    pub fn of(method: &str) -> Option<Self> {
        let all = [Self::Get, Self::Head, Self::Put, Self::Delete, Self::Post];
        all.into_iter().find(|verb| verb.as_str() == method)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Post => "POST",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A kind of path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A key and its value.
    Kv,
    /// A key that is added to.
    Incr,
    /// Many operations at once.
    Batch,
    /// What the node believes of the ring.
    Ring,
    /// The ring as the node sees it, as it changes.
    Live,
    /// What the node tells of itself.
    Node,
    /// The way to the owner of a key.
    Lookup,
    /// The copies of a key.
    Copies,
    /// The way to a key and its copies, explained.
    Trace,
    /// All keys, or all with one beginning.
    Keys,
    /// The changes of a key.
    Watch,
    /// The changes of all keys with one beginning.
    WatchMany,
    /// The node's numbers.
    Metrics,
    /// Whether the node works.
    Healthy,
    /// Whether it is ready.
    Ready,
    /// The document that describes all this.
    Document,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The kind of path.
    pub route: Route,
    /// The bytes of the key in it.
    pub key: Vec<u8>,
}

/// Whether a path is REST's, also one that leads nowhere.
pub fn is_rest(path: &str) -> bool {
    let below = path.strip_prefix(PREFIX);
    matches!(path, DOCUMENT_PATH | METRICS_PATH | HEALTHY_PATH | READY_PATH)
        || below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

impl Route {
    /// All routes.
    pub const ALL: [Self; 16] = [
        Self::Kv,
        Self::Incr,
        Self::Batch,
        Self::Ring,
        Self::Live,
        Self::Node,
        Self::Lookup,
        Self::Copies,
        Self::Trace,
        Self::Keys,
        Self::Watch,
        Self::WatchMany,
        Self::Metrics,
        Self::Healthy,
        Self::Ready,
        Self::Document,
    ];

    /// Whether whoever restarts nodes asks it, who needs no secret for that.
    pub const fn is_for_everybody(self) -> bool {
        matches!(self, Self::Healthy | Self::Ready)
    }

    /// Where a path leads; `None` if nowhere.
    ///
    /// All behind `/v1/kv/`, `/v1/lookup/`, `/v1/copies/`, `/v1/trace/` and `/v1/watch/` is the key, slashes too. Only where `/incr` stands at its end, in plain
    /// letters, it is what is asked for; as `%2Fincr` it is part of the key.
    ///
    /// # Errors
    /// The key is encoded wrongly.
    pub fn of(path: &str) -> Result<Option<Place>, BadPercent> {
        let exact = match path {
            RING => Some(Self::Ring),
            LIVE => Some(Self::Live),
            NODE_PATH => Some(Self::Node),
            BATCH => Some(Self::Batch),
            KEYS => Some(Self::Keys),
            WATCH_MANY => Some(Self::WatchMany),
            METRICS_PATH => Some(Self::Metrics),
            HEALTHY_PATH => Some(Self::Healthy),
            READY_PATH => Some(Self::Ready),
            DOCUMENT_PATH => Some(Self::Document),
            _ => None,
        };
        if let Some(route) = exact {
            return Ok(Some(Place { route, key: Vec::new() }));
        }
        let (route, key) = if let Some(key) = path.strip_prefix(LOOKUP) {
            (Self::Lookup, key.as_bytes())
        } else if let Some(key) = path.strip_prefix(COPIES) {
            (Self::Copies, key.as_bytes())
        } else if let Some(key) = path.strip_prefix(TRACE) {
            (Self::Trace, key.as_bytes())
        } else if let Some(key) = path.strip_prefix(WATCH) {
            (Self::Watch, key.as_bytes())
        } else if let Some(key) = path.strip_prefix(KV) {
            match key.as_bytes().strip_suffix(INCR) {
                Some(key) => (Self::Incr, key),
                None => (Self::Kv, key.as_bytes()),
            }
        } else {
            return Ok(None);
        };
        Ok(Some(Place { route, key: percent_decode(key)? }))
    }

    /// What it is asked by.
    pub const fn verbs(self) -> &'static [Verb] {
        match self {
            Self::Kv => &[Verb::Get, Verb::Head, Verb::Put, Verb::Delete],
            Self::Incr | Self::Batch => &[Verb::Post],
            Self::Ring
            | Self::Node
            | Self::Lookup
            | Self::Copies
            | Self::Trace
            | Self::Metrics
            | Self::Healthy
            | Self::Ready
            | Self::Document => &[Verb::Get, Verb::Head],
            Self::Keys | Self::Watch | Self::WatchMany | Self::Live => &[Verb::Get],
        }
    }

    /// The parameters that it takes.
    pub const fn parameters(self, verb: Verb) -> &'static [Parameter] {
        match (self, verb) {
            (Self::Kv, Verb::Put) => &[Parameter::Ttl, Parameter::Consistency],
            (Self::Kv, _) => &[Parameter::Consistency],
            (Self::Incr, _) => &[Parameter::By, Parameter::Ttl, Parameter::Consistency],
            (Self::Keys, _) => &[Parameter::Prefix],
            (Self::Watch, _) => &[Parameter::For, Parameter::LastEventId],
            (Self::WatchMany, _) => &[Parameter::Prefix, Parameter::For, Parameter::LastEventId],
            (Self::Live, _) => &[Parameter::For],
            (
                Self::Batch
                | Self::Ring
                | Self::Node
                | Self::Lookup
                | Self::Copies
                | Self::Trace
                | Self::Metrics
                | Self::Healthy
                | Self::Ready
                | Self::Document,
                _,
            ) => &[],
        }
    }

    /// Whether it is asked by programs that add parameters of their own, which mean nothing here.
    pub const fn takes_any_parameters(self) -> bool {
        matches!(self, Self::Metrics | Self::Healthy | Self::Ready)
    }

    /// Its path, with `{key}` for the key.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Kv => "/v1/kv/{key}",
            Self::Incr => "/v1/kv/{key}/incr",
            Self::Batch => BATCH,
            Self::Ring => RING,
            Self::Live => LIVE,
            Self::Node => NODE_PATH,
            Self::Lookup => "/v1/lookup/{key}",
            Self::Copies => "/v1/copies/{key}",
            Self::Trace => "/v1/trace/{key}",
            Self::Keys => KEYS,
            Self::Watch => "/v1/watch/{key}",
            Self::WatchMany => WATCH_MANY,
            Self::Metrics => METRICS_PATH,
            Self::Healthy => HEALTHY_PATH,
            Self::Ready => READY_PATH,
            Self::Document => DOCUMENT_PATH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(path: &str) -> Option<(Route, Vec<u8>)> {
        Route::of(path).unwrap().map(|place| (place.route, place.key))
    }

    #[test]
    fn a_path_leads_to_its_key() {
        let cases: [(&str, Route, &[u8]); 16] = [
            ("/v1/kv/greeting", Route::Kv, b"greeting"),
            ("/v1/kv/a/b", Route::Kv, b"a/b"),
            ("/v1/kv/a%2Fb", Route::Kv, b"a/b"),
            ("/v1/kv/%00%FF", Route::Kv, b"\0\xff"),
            ("/v1/kv/", Route::Kv, b""),
            ("/v1/kv/incr", Route::Kv, b"incr"),
            ("/v1/kv/visits/incr", Route::Incr, b"visits"),
            ("/v1/kv/visits%2Fincr", Route::Kv, b"visits/incr"),
            ("/v1/kv/visits/incr/incr", Route::Incr, b"visits/incr"),
            ("/v1/kv//incr", Route::Incr, b""),
            ("/v1/lookup/a/incr", Route::Lookup, b"a/incr"),
            ("/v1/trace/a/b", Route::Trace, b"a/b"),
            ("/v1/watch/a/incr", Route::Watch, b"a/incr"),
            ("/v1/watch/", Route::Watch, b""),
            ("/v1/watch", Route::WatchMany, b""),
            ("/v1/keys", Route::Keys, b""),
        ];
        for (path, route, key) in cases {
            assert_eq!(leads(path), Some((route, key.to_vec())), "{path}");
        }
    }

    #[test]
    fn every_route_is_found_by_its_template() {
        for route in Route::ALL {
            let path = route.template().replace("{key}", "k");
            assert_eq!(leads(&path).map(|(route, _)| route), Some(route));
            assert!(is_rest(&path));
        }
    }

    #[test]
    fn paths_that_lead_nowhere_are_still_rests() {
        for path in ["/v1", "/v1/", "/v1/kv", "/v1/nothing", "/v1/ring/", "/v1/copies"] {
            assert!(is_rest(path) && leads(path).is_none(), "{path}");
        }
        for path in ["/", "/v1x", "/get", "/V1/ring"] {
            assert!(!is_rest(path), "{path}");
        }
        assert_eq!(Route::of("/v1/kv/%4"), Err(BadPercent));
    }
}
