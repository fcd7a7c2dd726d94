//! Names: what a node is called, which ring it belongs to, and the pointer that one node keeps of another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Position, RingSize};

/// Longest node name in bytes: a host name of 253 (RFC 1035, section 2.3.4) in brackets, `:`, five digits.
pub const NODE_NAME_BYTES_MAX: usize = 261;

/// Longest ring name in bytes: enough for a DNS label.
pub const RING_NAME_BYTES_MAX: usize = 63;

/// The ring name of a node that was given none.
pub const RING_NAME_DEFAULT: &str = "chord";

/// What a node is called: the text `HOST:PORT` under which others reach it, kept exactly as given.
///
/// An IPv6 address stands in brackets. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// Why a text is not the name of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeNameError {
    /// No `:` with a port behind it.
    #[error("a node's name is HOST:PORT, as in 127.0.0.1:4567")]
    NoPort,
    /// The port is no number from 1 to 65535, or has a zero in front.
    #[error("the port in a node's name is a number from 1 to 65535, without a zero in front")]
    BadPort,
    /// The host is empty or holds a character that no host name or address has.
    #[error("the host in a node's name is a host name, an IPv4 address, or an IPv6 address in brackets")]
    BadHost,
    /// Longer than [`NODE_NAME_BYTES_MAX`].
    #[error("a node's name has at most {NODE_NAME_BYTES_MAX} bytes")]
    TooLong,
}

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the port, without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or(&*self.0, |(host, _)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        if text.len() > NODE_NAME_BYTES_MAX {
            return Err(NodeNameError::TooLong);
        }
        let (host, port) = text.rsplit_once(':').ok_or(NodeNameError::NoPort)?;
        // Another spelling of the same port would be another name, at another position.
        let is_plain = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
        if !is_plain || port.parse::<u16>().is_err() {
            return Err(NodeNameError::BadPort);
        }
        let (inner, extra): (&str, &[u8]) =
            match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(address) => (address, b":%"),
                None => (host, b""),
            };
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte) || extra.contains(&byte);
        if inner.is_empty() || !inner.bytes().all(allowed) {
            return Err(NodeNameError::BadHost);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a ring is called, so that two rings never merge by accident: 1 to 63 letters, digits, `.`, `-`, `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingName(Arc<str>);

/// A text that is not the name of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ring's name has 1 to {RING_NAME_BYTES_MAX} letters, digits, '.', '-' or '_'")]
pub struct RingNameError;

impl RingName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RingName {
    fn default() -> Self {
        Self(RING_NAME_DEFAULT.into())
    }
}

impl FromStr for RingName {
    type Err = RingNameError;

    fn from_str(text: &str) -> Result<Self, RingNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let fits = (1..=RING_NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(allowed) { Ok(Self(text.into())) } else { Err(RingNameError) }
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which ring a node belongs to. Nodes whose tags differ never point at one another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RingTag {
    /// The ring's name.
    pub name: RingName,
    /// The size of its identifier space.
    pub size: RingSize,
}

/// One node's pointer to another: where it is on the ring, and the name under which it is reached.
///
/// Two peers are the same member when both agree. No code may derive one part from the other: a process
/// may come to hold several positions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Its position on the ring.
    pub position: Position,
    /// Where it is reached.
    pub name: NodeName,
}

impl Peer {
    /// The peer of that name on a ring of that size, at the position of its name.
    pub fn of_name(name: NodeName, size: RingSize) -> Self {
        Self { position: size.position_of(name.as_str().as_bytes()), name }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.position)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
