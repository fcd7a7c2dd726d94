//! `HOST PORT` on the command line, which make up a node's name.

use chord::NodeName;

use super::exit::Usage;
use super::number;

/// A port that a client can reach.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    number::within("the port", 1..=65535)(text)
}

/// A port that a server can listen on: 0 takes any free one.
pub(crate) fn listen_port(text: &str) -> Result<u16, String> {
    number::within("the port", 0..=65535)(text)
}

/// A `HOST:PORT` that a server can listen on.
pub(crate) fn listen(text: &str) -> Result<String, String> {
    let wrong = || {
        "the address to listen on is HOST:PORT, as in 127.0.0.1:4567; port 0 takes any free port".to_owned()
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = listen_port(port)?;
    check_host(host)?;
    Ok(format!("{host}:{port}"))
}

/// `HOST:PORT`; an IPv6 address comes into brackets.
pub(crate) fn join(host: &str, port: u16) -> Result<String, Usage> {
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    check_host(&host).map_err(Usage::new)?;
    Ok(format!("{host}:{port}"))
}

/// The name of the node at `host` and `port`.
pub(crate) fn name(host: &str, port: u16) -> anyhow::Result<NodeName> {
    let joined = join(host, port)?;
    joined.parse().map_err(|error| Usage::new(format!("{error}")).into())
}

/// The part of a node's name before its port, with the brackets of an IPv6 address.
pub(crate) fn host_port(name: &NodeName) -> (&str, &str) {
    name.as_str().rsplit_once(':').unwrap_or((name.as_str(), ""))
}

fn check_host(host: &str) -> Result<(), String> {
    format!("{host}:1").parse::<NodeName>().map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_host_is_bracketed_once() {
        assert_eq!(name("127.0.0.1", 4567).unwrap().as_str(), "127.0.0.1:4567");
        assert_eq!(name("::1", 4567).unwrap().as_str(), "[::1]:4567");
        assert_eq!(name("[::1]", 4567).unwrap().as_str(), "[::1]:4567");
        assert_eq!(name("node3", 5000).unwrap().as_str(), "node3:5000");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in ["", "a b", "a/b", "[::1", "http://x"] {
            assert!(join(host, 1).is_err(), "{host:?}");
        }
        for address in ["", "127.0.0.1", ":1", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"] {
            assert!(listen(address).is_err(), "{address:?}");
        }
        assert_eq!(listen("localhost:0").unwrap(), "localhost:0");
    }
}
