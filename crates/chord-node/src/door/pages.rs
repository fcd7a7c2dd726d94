//! Web pages that have a browser ask this node: which of them are its own.
//!
//! A browser sends requests for every page that its user looks at, and may run on the machine from which orders are obeyed.
//! Where the page comes from it says truly, and so under which name it was opened.

use std::net::IpAddr;

use chord_ring::NodeName;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};

/// How the page that asks and this node belong together, by the browser's account.
pub(super) const SITE: &str = "sec-fetch-site";

const FOREIGN_PAGE: &str =
    "this node does nothing for web pages of other sites: use a program that is no browser";

const FOREIGN_HOST: &str = "this node does nothing for web pages under a name that is not its own, since anybody can make \
    a name lead here: open the page by the node's own name or by an address, or start the node with a secret";

/// Under what pages of this node's own are opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    pub(super) name: &'a NodeName,
    pub(super) is_in_tls: bool,
}

impl Own<'_> {
    /// Whether an origin is this node's own. Where it speaks TLS, whoever is on the way could make a page of the other sort.
    pub(super) fn is(self, origin: &[u8]) -> bool {
        let scheme: &[u8] = if self.is_in_tls { b"https://" } else { b"http://" };
        origin.strip_prefix(scheme) == Some(self.name.as_str().as_bytes())
    }
}

/// Why a browser's request is not for a page of this node's own, if so.
///
/// A page of another site can be opened under a name that is made to lead to this node afterwards; its requests are then of
/// the same origin as far as the browser knows, and only the host tells (DNS rebinding). Where a secret is wanted, nobody's
/// browser has it for that name.
pub(super) fn is_foreign(headers: &HeaderMap, own: Own<'_>, has_secrets: bool) -> Option<&'static str> {
    let is_harmless = |site: &HeaderValue| site == "same-origin" || site == "none";
    let is_of_another = headers.get(ORIGIN).is_some_and(|origin| !own.is(origin.as_bytes()))
        || headers.get(SITE).is_some_and(|site| !is_harmless(site));
    if is_of_another {
        return Some(FOREIGN_PAGE);
    }
    let is_asked_by_page = headers.get(SITE).is_some_and(|site| site == "same-origin");
    let is_own_host = headers.get(HOST).is_some_and(|host| is_trusted(host.as_bytes(), own.name));
    (is_asked_by_page && !is_own_host && !has_secrets).then_some(FOREIGN_HOST)
}

/// Whether nobody else can make that host lead here: an address, this machine, or this node's own name.
fn is_trusted(host: &[u8], me: &NodeName) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = |host: &str| {
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
        name.trim_end_matches('.').to_ascii_lowercase()
    };
    let host = name(host);
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
    address.parse::<IpAddr>().is_ok() || host == "localhost" || host == name(me.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(me: &str, has_secrets: bool, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let own = Own { name: &me.parse().unwrap(), is_in_tls: false };
        is_foreign(&headers, own, has_secrets).is_some()
    }

    const ME: &str = "node1:4567";

    #[test]
    fn a_page_of_another_site_is_foreign_under_whatever_host() {
        for (header, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://node1:4568"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            for has_secrets in [false, true] {
                assert!(is_refused(ME, has_secrets, &[("host", ME), (header, value)]), "{header}: {value}");
            }
        }
        assert!(!is_refused(ME, false, &[("host", ME), ("origin", "http://node1:4567")]));
    }

    #[test]
    fn in_tls_a_page_that_is_not_is_foreign() {
        let name = ME.parse().unwrap();
        for is_in_tls in [false, true] {
            let own = Own { name: &name, is_in_tls };
            assert_eq!(
                (own.is(b"http://node1:4567"), own.is(b"https://node1:4567")),
                (!is_in_tls, is_in_tls)
            );
            assert!(!own.is(b"node1:4567") && !own.is(b"https://node2:4567"));
        }
    }

    #[test]
    fn a_name_that_anybody_could_make_lead_here_is_foreign_for_pages_and_for_nobody_else() {
        let asked = ("sec-fetch-site", "same-origin");
        for host in
            ["evil.example:4567", "evil.example", "127.0.0.1.evil.example:4567", "[::1", "", "node2:4567"]
        {
            assert!(is_refused(ME, false, &[("host", host), asked]), "{host}");
            assert!(!is_refused(ME, true, &[("host", host), asked]), "{host}: its browser knows no secret");
            assert!(!is_refused(ME, false, &[("host", host)]), "{host}: no browser");
            assert!(!is_refused(ME, false, &[("host", host), ("sec-fetch-site", "none")]), "{host}: typed");
        }
        for host in
            ["node1:4567", "NODE1.:4567", "node1", "127.0.0.1:4567", "[::1]:4567", "[::1]", "localhost:80"]
        {
            assert!(!is_refused(ME, false, &[("host", host), asked]), "{host}");
        }
    }
}
