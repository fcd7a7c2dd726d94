//! Context: what our nodes tell each other beside the seed's bodies, as HTTP headers that a seed node ignores.

use std::str::FromStr;
use std::time::Duration;

use chord_kv::Version;
use chord_ring::{NodeName, RING_BITS_MAX, RingName, RingSize, RingTag};

use crate::Code;
use crate::frame::Versions;

/// What the names of all context headers begin with, and of no others.
pub const HEADER_PREFIX: &str = "chord-";

/// Most names in a path: a lookup is given up after 2 m + r hops, where m is at most 256 and 64 is more than
/// any successor list holds that we keep.
pub const PATH_NAMES_MAX: usize = 2 * RING_BITS_MAX as usize + 64;

/// Most bytes in a path header: what HTTP servers commonly accept in one, and well above 576 names of the
/// usual length.
pub const PATH_BYTES_MAX: usize = 16 << 10;

/// Longest time that a request can be told to have left; a longer one is cut to it. Far more than any
/// operation takes, and small enough to be added to any clock.
pub const REMAINING_MAX: Duration = Duration::from_secs(3600);

/// The header by which a node says its name.
pub const FROM_HEADER: &str = "chord-from";

/// The header that says how long the sender waits, in milliseconds.
pub const DEADLINE_HEADER: &str = "chord-deadline-ms";

const RING_NAME: &str = "chord-ring-name";
const RING_SIZE: &str = "chord-ring-size";
const PATH: &str = "chord-path";
const NAMED: &str = "chord-named";
const VERSION: &str = "chord-version";
const EXPIRES: &str = "chord-expires-ms";
const REPEATED: &str = "chord-repeated";
const OWNER: &str = "chord-owner";
const HOPS: &str = "chord-hops";
const COPIES: &str = "chord-copies";
const PREDECESSOR: &str = "chord-predecessor";
const MEMBER: &str = "chord-member";
const REPLICAS: &str = "chord-replicas";
const WRITE_QUORUM: &str = "chord-write-quorum";
const FRAMES: &str = "chord-frames";
/// The header that says why nothing was done, in a word.
pub const ERROR_HEADER: &str = "chord-error";

const NONE: &str = "none";

/// What a request or an answer says beside its body. All of it may be absent: then it comes from a seed node
/// or a plain client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The sender's ring.
    pub ring: Option<RingTag>,
    /// The sender.
    pub from: Option<NodeName>,
    /// The nodes that a request has passed, first to last. The first are left out of a header that would be
    /// longer than [`PATH_BYTES_MAX`].
    pub path: Vec<NodeName>,
    /// Whether the sender takes the receiver for the owner of what the request is about, and so the receiver answers for
    /// itself or refuses.
    pub named: bool,
    /// How long the sender will wait.
    pub remaining: Option<Duration>,
    /// The version of the record that the answer is about.
    pub version: Option<Version>,
    /// Whether the answer is about a change that came twice, so that what was there before is not known any more.
    pub repeated: bool,
    /// When that record expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// The node that owns the key that the answer is about.
    pub owner: Option<NodeName>,
    /// How many times the request was forwarded until it came there.
    pub hops: Option<u32>,
    /// How many nodes have the record that the answer is about, as far as they were asked.
    pub copies: Option<u32>,
    /// The sender's predecessor, where it says so.
    pub predecessor: Option<KnownPredecessor>,
    /// Whether the sender is a member of its ring.
    pub member: Option<bool>,
    /// How the sender keeps copies, where it says so.
    pub keeping: Option<Copies>,
    /// Which versions of frames the sender speaks, where it says so. Words that we do not know count as absent.
    pub frames: Option<Versions>,
    /// Why the answer is an error. A word of a newer version that we do not know counts as absent.
    pub code: Option<Code>,
}

/// How a node was told to keep copies. All nodes of a ring should have been told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copies {
    /// How many there are to be of each key.
    pub replicas: u8,
    /// How many must be made before a write is acknowledged; without it, more than half of those that there can be.
    pub write_quorum: Option<u8>,
}

/// What a node says about its predecessor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownPredecessor {
    /// It knows of none.
    Nobody,
    /// It is this node.
    Node(NodeName),
}

/// A context header that makes no sense. Never repeats what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {header} must be {wanted}")]
pub struct BadContext {
    /// Which header.
    pub header: &'static str,
    /// What it should hold.
    pub wanted: &'static str,
}

impl Context {
    /// Hands each header that is to be sent to `header`.
    pub fn write(&self, header: &mut dyn FnMut(&'static str, &str)) {
        if let Some(ring) = &self.ring {
            header(RING_NAME, ring.name.as_str());
            header(RING_SIZE, &ring.size.to_string());
        }
        if let Some(from) = &self.from {
            header(FROM_HEADER, from.as_str());
        }
        if !self.path.is_empty() {
            header(PATH, &path_text(&self.path));
        }
        if self.named {
            header(NAMED, "1");
        }
        if let Some(remaining) = self.remaining {
            header(DEADLINE_HEADER, &remaining.min(REMAINING_MAX).as_millis().to_string());
        }
        if let Some(version) = &self.version {
            header(VERSION, &version.to_string());
        }
        if self.repeated {
            header(REPEATED, "1");
        }
        if let Some(expires_at_ms) = self.expires_at_ms {
            header(EXPIRES, &expires_at_ms.to_string());
        }
        if let Some(owner) = &self.owner {
            header(OWNER, owner.as_str());
        }
        if let Some(hops) = self.hops {
            header(HOPS, &hops.to_string());
        }
        if let Some(copies) = self.copies {
            header(COPIES, &copies.to_string());
        }
        match &self.predecessor {
            Some(KnownPredecessor::Node(name)) => header(PREDECESSOR, name.as_str()),
            Some(KnownPredecessor::Nobody) => header(PREDECESSOR, NONE),
            None => {}
        }
        if let Some(member) = self.member {
            header(MEMBER, if member { "1" } else { "0" });
        }
        if let Some(Copies { replicas, write_quorum }) = self.keeping {
            header(REPLICAS, &replicas.to_string());
            if let Some(copies) = write_quorum {
                header(WRITE_QUORUM, &copies.to_string());
            }
        }
        if let Some(versions) = self.frames {
            header(FRAMES, &versions.to_string());
        }
        if let Some(code) = self.code {
            header(ERROR_HEADER, code.as_str());
        }
    }

    /// The context that is in the headers, which `header` finds by name in lower case.
    ///
    /// A caller that sees at a glance that no header begins with [`HEADER_PREFIX`] can use the default instead.
    ///
    /// # Errors
    /// A header is there and makes no sense.
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a [u8]>) -> Result<Self, BadContext> {
        let headers = Headers(header);
        Ok(Self {
            ring: headers.ring()?,
            from: headers.parse(FROM_HEADER, A_NODE)?,
            path: headers.path()?,
            named: headers.flag(NAMED)?.unwrap_or(false),
            remaining: headers
                .number(DEADLINE_HEADER)?
                .map(|ms| Duration::from_millis(ms).min(REMAINING_MAX)),
            version: headers.parse(VERSION, "a version: TIME.COUNTER.WRITER")?,
            repeated: headers.flag(REPEATED)?.unwrap_or(false),
            expires_at_ms: headers.number(EXPIRES)?,
            owner: headers.parse(OWNER, A_NODE)?,
            hops: headers.number(HOPS)?,
            copies: headers.number(COPIES)?,
            predecessor: headers.parse(PREDECESSOR, "a node's name or the word none")?,
            member: headers.flag(MEMBER)?,
            keeping: headers.keeping()?,
            frames: headers.text(FRAMES, "versions")?.and_then(|text| text.parse().ok()),
            code: headers.text(ERROR_HEADER, "a word")?.and_then(Code::from_token),
        })
    }
}

const A_NODE: &str = "a node's name: HOST:PORT";

impl FromStr for KnownPredecessor {
    type Err = chord_ring::NodeNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == NONE { Ok(Self::Nobody) } else { text.parse().map(Self::Node) }
    }
}

/// Whether a receiver takes a path of these names whole.
pub fn path_fits(path: &[NodeName]) -> bool {
    let bytes: usize = path.iter().map(|name| name.as_str().len() + 1).sum();
    path.len() <= PATH_NAMES_MAX && bytes <= PATH_BYTES_MAX
}

/// The names at the end of a path, as many as a receiver takes: those asked last are the ones most likely to
/// be asked again.
fn path_text(path: &[NodeName]) -> String {
    let mut room = PATH_BYTES_MAX;
    let fits = |name: &&NodeName| {
        let left = room.checked_sub(name.as_str().len() + 1);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let mut names: Vec<_> = path.iter().rev().take(PATH_NAMES_MAX).take_while(fits).collect();
    names.reverse();
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",")
}

/// Finds headers by name.
struct Headers<F>(F);

impl<'a, F: Fn(&'static str) -> Option<&'a [u8]>> Headers<F> {
    fn text(&self, header: &'static str, wanted: &'static str) -> Result<Option<&'a str>, BadContext> {
        let text = (self.0)(header).map(std::str::from_utf8).transpose();
        text.map_err(|_| BadContext { header, wanted })
    }

    fn parse<T: FromStr>(&self, header: &'static str, wanted: &'static str) -> Result<Option<T>, BadContext> {
        let parsed = self.text(header, wanted)?.map(T::from_str).transpose();
        parsed.map_err(|_| BadContext { header, wanted })
    }

    /// Digits alone: `u64::from_str` would take a sign too.
    fn number<T: FromStr>(&self, header: &'static str) -> Result<Option<T>, BadContext> {
        let wanted = "a whole number, 0 or more and not too large";
        let Some(text) = self.text(header, wanted)? else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Some).ok_or(BadContext { header, wanted })
    }

    fn flag(&self, header: &'static str) -> Result<Option<bool>, BadContext> {
        match (self.0)(header) {
            None => Ok(None),
            Some(b"0") => Ok(Some(false)),
            Some(b"1") => Ok(Some(true)),
            Some(_) => Err(BadContext { header, wanted: "1 or 0" }),
        }
    }

    fn ring(&self) -> Result<Option<RingTag>, BadContext> {
        let name: Option<RingName> =
            self.parse(RING_NAME, "1 to 63 letters, digits, '.', '-' or '_', beside chord-ring-size")?;
        let size: Option<RingSize> =
            self.parse(RING_SIZE, "a number of bits from 1 to 256, beside chord-ring-name")?;
        match (name, size) {
            (None, None) => Ok(None),
            (Some(name), Some(size)) => Ok(Some(RingTag { name, size })),
            (Some(_), None) => Err(BadContext { header: RING_SIZE, wanted: "there when chord-ring-name is" }),
            (None, Some(_)) => Err(BadContext { header: RING_NAME, wanted: "there when chord-ring-size is" }),
        }
    }

    fn keeping(&self) -> Result<Option<Copies>, BadContext> {
        let write_quorum = self.number(WRITE_QUORUM)?;
        let replicas = self.number(REPLICAS)?;
        Ok(replicas.map(|replicas| Copies { replicas, write_quorum }))
    }

    fn path(&self) -> Result<Vec<NodeName>, BadContext> {
        let error = BadContext { header: PATH, wanted: "at most 576 node names in 16 KiB, with commas" };
        let Some(text) = self.text(PATH, error.wanted)? else { return Ok(Vec::new()) };
        if text.len() > PATH_BYTES_MAX || text.split(',').nth(PATH_NAMES_MAX).is_some() {
            return Err(error);
        }
        text.split(',').map(|name| name.trim_ascii().parse().map_err(|_| error)).collect()
    }
}
