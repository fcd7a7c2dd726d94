//! Where a node listens, and by which name others reach it.

use std::net::IpAddr;

use chord::NodeName;
use clap::Args;

use super::address;
use super::exit::Usage;

/// Where a node listens that was told nothing.
const LISTEN_DEFAULT: &str = "127.0.0.1:4567";

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Where to listen; as written, with the real port, this is the node's name on the ring
    ///
    /// Other nodes connect to this name, so it must mean the same thing to all of them. Port 0 takes any free
    /// port. Where the two differ, as in a container, give --bind and --advertise instead.
    #[arg(long, value_name = "HOST:PORT", env = "CHORD_LISTEN", default_value = LISTEN_DEFAULT,
        value_parser = address::listen)]
    listen: String,

    /// Where to listen, if others reach the node by another name, which --advertise says: 0.0.0.0:4567 is port 4567 of every
    /// address of this machine
    ///
    /// Without --advertise it is the node's name too, like --listen.
    #[arg(long, value_name = "ADDR:PORT", env = "CHORD_BIND", value_parser = address::listen)]
    bind: Option<String>,

    /// The node's name on the ring, by which others reach what --bind says
    ///
    /// Soon after the start the node connects to it, and says in its log if that does not lead to it.
    #[arg(long, value_name = "HOST:PORT", env = "CHORD_ADVERTISE")]
    advertise: Option<NodeName>,
}

/// Where one node is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// HOST:PORT.
    pub(crate) listen: String,
    /// Its name, if that is another.
    pub(crate) advertise: Option<NodeName>,
}

impl PlaceArgs {
    /// What the options say together.
    pub(crate) fn place(&self) -> Result<Place, Usage> {
        if let Some(usage) = self.conflicts(false).into_iter().next() {
            return Err(usage);
        }
        let listen = self.bind.as_ref().unwrap_or(&self.listen).clone();
        Ok(Place { listen, advertise: self.advertise.clone() })
    }

    /// The name of a node there, if they say one together; with any port where that is free.
    pub(crate) fn name(&self) -> Option<NodeName> {
        let Place { listen, advertise } = self.place().ok()?;
        advertise.or_else(|| match listen.strip_suffix(":0") {
            Some(host) => format!("{host}:1").parse().ok(),
            None => listen.parse().ok(),
        })
    }

    /// All in them that makes no sense together; `says_both` whether --listen and --bind have been given.
    pub(crate) fn conflicts(&self, says_both: bool) -> Vec<Usage> {
        let Self { listen, bind, advertise } = self;
        let mut wrong = Vec::new();
        match (bind, advertise) {
            (Some(_), _) if says_both || listen != LISTEN_DEFAULT => wrong.push(both()),
            (Some(bind), None) if means_every_address(bind) => wrong.push(Usage::new(format!(
                "--bind {bind} means every address of this machine, and no other node can reach a node by it: say with --advertise HOST:PORT by which name they do"
            ))),
            (None, Some(name)) => wrong.push(Usage::new(format!(
                "--advertise says by which name others reach this node, and not where it listens: say that with --bind, as in --bind 0.0.0.0:{}",
                name.port()
            ))),
            (None, None) if means_every_address(listen) => wrong.push(Usage::new(format!(
                "--listen {listen} means every address of this machine, and no other node can reach a node by it: give it as --bind, and with --advertise HOST:PORT the name that others use"
            ))),
            _ => {}
        }
        if let Some(name) = advertise.as_ref().filter(|name| means_every_address(name.as_str())) {
            wrong.push(Usage::new(format!(
                "--advertise {name} means every address of a machine, and no other node can reach a node by it: name the address or host name that they use"
            )));
        }
        wrong
    }
}

/// That two options say one thing.
pub(crate) fn both() -> Usage {
    Usage::new(
        "--listen and --bind both say where to listen: give --listen where others reach the node by the same name, and --bind with --advertise where they do not",
    )
}

/// Whether that place is on each address of a machine.
pub(crate) fn means_every_address(place: &str) -> bool {
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(listen: &str, bind: Option<&str>, advertise: Option<&str>) -> Result<Place, String> {
        let bind = bind.map(str::to_owned);
        let advertise = advertise.map(|name| name.parse().unwrap());
        PlaceArgs { listen: listen.to_owned(), bind, advertise }.place().map_err(|error| error.to_string())
    }

    #[test]
    fn one_option_says_both_or_two_say_one_each() {
        let at = |listen: &str, advertise: Option<&str>| {
            let advertise = advertise.map(|name| name.parse().unwrap());
            Ok(Place { listen: listen.to_owned(), advertise })
        };
        assert_eq!(place("node1:1", None, None), at("node1:1", None));
        assert_eq!(place(LISTEN_DEFAULT, Some("10.0.0.1:1"), None), at("10.0.0.1:1", None));
        for every in ["0.0.0.0:4567", "[::]:4567"] {
            let expected = at(every, Some("node1:80"));
            assert_eq!(place(LISTEN_DEFAULT, Some(every), Some("node1:80")), expected);
        }
    }

    #[test]
    fn what_leaves_open_where_the_node_is_or_how_it_is_reached_is_refused_with_the_remedy() {
        for (listen, bind, advertise, remedy) in [
            ("0.0.0.0:1", None, None, "give it as --bind"),
            ("[::]:1", None, None, "give it as --bind"),
            (LISTEN_DEFAULT, None, Some("node1:80"), "--bind 0.0.0.0:80"),
            ("node1:1", Some("node1:2"), None, "give --listen where"),
            (LISTEN_DEFAULT, Some("0.0.0.0:1"), None, "say with --advertise"),
            (LISTEN_DEFAULT, Some("[::]:0"), None, "say with --advertise"),
            (LISTEN_DEFAULT, Some("127.0.0.1:1"), Some("0.0.0.0:1"), "name the address"),
        ] {
            let refused = place(listen, bind, advertise).unwrap_err();
            assert!(refused.contains(remedy), "{refused}");
        }
    }
}
