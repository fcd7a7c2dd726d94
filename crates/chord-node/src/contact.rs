//! Contacts: through whom a node may come into a ring.

use std::fmt;
use std::str::FromStr;

use chord_ring::{NodeName, NodeNameError};

/// What stands before a name that is that of many nodes.
const DNS: &str = "dns:";

/// Through whom to join: a node by its name, or whoever is found at the addresses of a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contact {
    /// That node.
    Node(NodeName),
    /// `dns:HOST:PORT`: the nodes that listen on this port of any address of that host, which is looked up anew for each
    /// attempt. What the nodes are called, they say themselves.
    Dns(NodeName),
}

/// Why a text names no contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactParseError {
    /// It is no name of a node.
    #[error(transparent)]
    Node(#[from] NodeNameError),
    /// What is behind `dns:` is none.
    #[error("behind dns: come a host name and a port, as in dns:chord:4567: {0}")]
    Dns(NodeNameError),
}

impl Contact {
    /// The name of the one node, if it is one.
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Node(name) => Some(name),
            Self::Dns(_) => None,
        }
    }
}

impl From<NodeName> for Contact {
    fn from(name: NodeName) -> Self {
        Self::Node(name)
    }
}

impl FromStr for Contact {
    type Err = ContactParseError;

    fn from_str(text: &str) -> Result<Self, ContactParseError> {
        match text.strip_prefix(DNS) {
            Some(place) => place.parse().map(Self::Dns).map_err(ContactParseError::Dns),
            None => Ok(Self::Node(text.parse()?)),
        }
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => name.fmt(f),
            Self::Dns(place) => write!(f, "{DNS}{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_a_node_or_a_name_of_many() {
        for text in ["node1:4567", "[::1]:4567", "dns:chord.default.svc:4567", "dns:[::1]:1"] {
            assert_eq!(text.parse::<Contact>().unwrap().to_string(), text);
        }
        let name: NodeName = "dns:1".parse().unwrap();
        assert_eq!("dns:1".parse(), Err::<Contact, _>(ContactParseError::Dns(NodeNameError::NoPort)));
        assert_eq!(Contact::from(name.clone()).node(), Some(&name));
        for wrong in ["", "node1", "dns:", "dns:chord", "dns:chord:0", "dns:dns:chord:1", "DNS:chord:1"] {
            assert!(wrong.parse::<Contact>().is_err(), "{wrong}");
        }
    }
}
