//! What must hold for a change to happen, from the headers that say so.

use chord_kv::Version;
use chord_kv::replication::Condition;

use super::entity_tag::{BadEntityTag, EntityTags};

/// What an `If-Match` of a change looks like, for the document: `*` or one tag.
pub(super) const SINGLE_TAG_PATTERN: &str = r#"^(\*|(W/)?"[!#-~]*")$"#;

/// What must hold for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// This.
    Is(Condition),
    /// What never holds: a tag is named that nothing stored can have.
    Never,
}

/// Conditions that cannot be held against what is stored. Never repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPrecondition {
    /// A header is no condition.
    #[error(transparent)]
    Tag(#[from] BadEntityTag),
    /// Both are there, and no key can satisfy them.
    #[error("If-Match and If-None-Match contradict each other: say one of them")]
    Both,
    /// Several versions.
    #[error("If-Match of a change names one entity tag, or * for any")]
    Several,
    /// A change that depends on what is not there.
    #[error("If-None-Match of a change is *: it happens only if nothing is stored under the key")]
    NotAny,
}

impl Precondition {
    /// What the two headers of a change say.
    ///
    /// # Errors
    /// They make no sense, or not together.
    pub fn read(if_match: Option<&[u8]>, if_none_match: Option<&[u8]>) -> Result<Self, BadPrecondition> {
        let condition = match (if_match, if_none_match) {
            (None, None) => Condition::Always,
            (Some(_), Some(_)) => return Err(BadPrecondition::Both),
            (None, Some(header)) => match EntityTags::read_weak(header)? {
                EntityTags::Any => Condition::Absent,
                EntityTags::Of(_) => return Err(BadPrecondition::NotAny),
            },
            (Some(header), None) => match EntityTags::read_strong(header)? {
                EntityTags::Any => Condition::Present,
                EntityTags::Of(versions) => return Self::version(&versions),
            },
        };
        Ok(Self::Is(condition))
    }

    fn version(versions: &[Version]) -> Result<Self, BadPrecondition> {
        match versions {
            [] => Ok(Self::Never),
            [version] => Ok(Self::Is(Condition::Version(*version))),
            _ => Err(BadPrecondition::Several),
        }
    }
}

#[cfg(test)]
mod tests {
    use chord_ring::Position;

    use super::*;

    #[test]
    fn the_headers_of_a_change_come_to_one_condition() {
        let version = Version::new(5, 1, Position::ZERO);
        let tag = format!("\"{version}\"");
        let cases = [
            (None, None, Ok(Precondition::Is(Condition::Always))),
            (Some("*"), None, Ok(Precondition::Is(Condition::Present))),
            (Some(tag.as_str()), None, Ok(Precondition::Is(Condition::Version(version)))),
            (Some("\"other\""), None, Ok(Precondition::Never)),
            (Some("W/\"5.1.0\""), None, Ok(Precondition::Never)),
            (None, Some("*"), Ok(Precondition::Is(Condition::Absent))),
            (None, Some(tag.as_str()), Err(BadPrecondition::NotAny)),
            (Some("*"), Some("*"), Err(BadPrecondition::Both)),
            (Some("\"5.1.0\", \"6.1.0\""), None, Err(BadPrecondition::Several)),
            (Some("5.1.0"), None, Err(BadPrecondition::Tag(BadEntityTag))),
        ];
        for (if_match, if_none_match, condition) in cases {
            let read = Precondition::read(if_match.map(str::as_bytes), if_none_match.map(str::as_bytes));
            assert_eq!(read, condition, "{if_match:?} {if_none_match:?}");
        }
    }
}
