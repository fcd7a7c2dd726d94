//! Entity tags: versions as HTTP names them, and the conditions that are made of them (RFC 9110, sections 8.8.3 and 13.1).

use chord_kv::Version;

/// Most tags in one header: more than any cache keeps of one key.
pub const ENTITY_TAGS_MAX: usize = 64;

/// What an `If-None-Match` of a read looks like, for the document: `*`, or tags with commas between them.
pub(super) const CONDITION_PATTERN: &str = r#"^(\*|(W/)?"[!#-~]*"( ?, ?(W/)?"[!#-~]*"){0,63})$"#;

/// What an entity tag of ours looks like.
pub(super) const ENTITY_TAG_PATTERN: &str = r#"^"[0-9]+\.[0-9]+\.[0-9]+"$"#;

/// A header that names no entity tags. Never repeats what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a condition is * or up to {ENTITY_TAGS_MAX} entity tags, each in double quotes, with commas between them"
)]
pub struct BadEntityTag;

/// The entity tag of a version; `None` of one that no clock made: it may be that of several values.
pub fn entity_tag(version: &Version) -> Option<String> {
    (version.time_ms() > 0).then(|| format!("\"{version}\""))
}

/// What a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// Whatever is there: `*`.
    Any,
    /// These versions. Tags that are none of ours are left out: nothing that is stored has them.
    Of(Vec<Version>),
}

impl EntityTags {
    /// The tags of an `If-Match`, where a weak tag is none: those are compared strongly.
    ///
    /// # Errors
    /// The header is no condition.
    pub fn read_strong(header: &[u8]) -> Result<Self, BadEntityTag> {
        Self::read(header, |is_weak| !is_weak)
    }

    /// The tags of an `If-None-Match`, where a weak tag counts like a strong one.
    ///
    /// # Errors
    /// The header is no condition.
    pub fn read_weak(header: &[u8]) -> Result<Self, BadEntityTag> {
        Self::read(header, |_| true)
    }

    fn read(header: &[u8], counts: impl Fn(bool) -> bool) -> Result<Self, BadEntityTag> {
        let mut rest = header.trim_ascii();
        if rest == b"*" {
            return Ok(Self::Any);
        }
        let (mut versions, mut n_tags) = (Vec::new(), 0);
        loop {
            let opaque = rest.strip_prefix(b"W/");
            let is_weak = opaque.is_some();
            let opaque = opaque.unwrap_or(rest).strip_prefix(b"\"").ok_or(BadEntityTag)?;
            let end = opaque.iter().position(|byte| !is_of_tag(*byte)).ok_or(BadEntityTag)?;
            let (tag, after) = opaque.split_at_checked(end).ok_or(BadEntityTag)?;
            let after = after.strip_prefix(b"\"").ok_or(BadEntityTag)?.trim_ascii_start();
            n_tags += 1;
            versions.extend(version(tag).filter(|_| counts(is_weak)));
            rest = match after {
                [] => return Ok(Self::Of(versions)),
                [b',', after @ ..] if n_tags < ENTITY_TAGS_MAX => after.trim_ascii_start(),
                _ => return Err(BadEntityTag),
            };
        }
    }

    /// Whether something that has this version is named; `None` is that nothing is there.
    pub fn names(&self, there: Option<&Version>) -> bool {
        match (self, there) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::Of(versions), Some(there)) => entity_tag(there).is_some() && versions.contains(there),
        }
    }
}

fn is_of_tag(byte: u8) -> bool {
    byte == b'!' || (b'#'..=b'~').contains(&byte) || byte >= 0x80
}

/// The version that a tag is, written in the one way that we write it.
fn version(tag: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(tag).ok()?;
    text.parse().ok().filter(|version: &Version| version.to_string() == text)
}

#[cfg(test)]
mod tests {
    use chord_ring::Position;
    use proptest::prelude::*;

    use super::*;

    fn some_version(time_ms: u64) -> Version {
        Version::new(time_ms, 3, Position::from_be_bytes([7; 32]))
    }

    #[test]
    fn conditions_are_read_as_http_writes_them() {
        let (one, two) = (some_version(1), some_version(2));
        let cases = [
            ("*".to_owned(), EntityTags::Any),
            (" * ".to_owned(), EntityTags::Any),
            (format!("\"{one}\""), EntityTags::Of(vec![one])),
            (format!("\"{one}\" ,\"{two}\""), EntityTags::Of(vec![one, two])),
            (format!("W/\"{one}\", \"{two}\""), EntityTags::Of(vec![two])),
            ("\"\", \"a,b\"".to_owned(), EntityTags::Of(Vec::new())),
            (format!("\"0{one}\""), EntityTags::Of(Vec::new())),
        ];
        for (text, tags) in cases {
            assert_eq!(EntityTags::read_strong(text.as_bytes()), Ok(tags), "{text}");
        }
        let weak = EntityTags::read_weak(format!("W/\"{one}\"").as_bytes());
        assert_eq!(weak, Ok(EntityTags::Of(vec![one])));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let many = vec!["\"a\""; ENTITY_TAGS_MAX + 1].join(",");
        for wrong in [
            "", "a", "\"", "\"a", "a\"", "\"a\"b", "\"a\",", ",\"a\"", "w/\"a\"", "\"a b\"", "* *",
            "\"a\", *", &many,
        ] {
            assert_eq!(EntityTags::read_strong(wrong.as_bytes()), Err(BadEntityTag), "{wrong}");
        }
        assert!(EntityTags::read_strong(vec!["\"a\""; ENTITY_TAGS_MAX].join(",").as_bytes()).is_ok());
    }

    #[test]
    fn nothing_that_is_stored_is_named_by_a_tag_that_several_values_may_have() {
        let ageless = some_version(0);
        assert_eq!(entity_tag(&ageless), None);
        assert!(!EntityTags::Of(vec![ageless]).names(Some(&ageless)));
        assert!(EntityTags::Any.names(Some(&ageless)) && !EntityTags::Any.names(None));
    }

    proptest! {
        #[test]
        fn every_version_of_a_clock_survives_as_a_tag(time_ms in 1..=chord_kv::VERSION_TIME_MS_MAX, counter: u16, writer: [u8; 32]) {
            let version = Version::new(time_ms, counter, Position::from_be_bytes(writer));
            let tag = entity_tag(&version).expect("a clock made it");
            prop_assert_eq!(EntityTags::read_strong(tag.as_bytes()), Ok(EntityTags::Of(vec![version])));
        }

        #[test]
        fn any_bytes_are_a_condition_or_refused(header: Vec<u8>) {
            let (strong, weak) = (EntityTags::read_strong(&header), EntityTags::read_weak(&header));
            prop_assert_eq!(strong.is_ok(), weak.is_ok());
        }

        #[test]
        fn the_documented_pattern_is_understood(header in CONDITION_PATTERN.trim_matches(['^', '$'])) {
            prop_assert!(EntityTags::read_strong(header.as_bytes()).is_ok());
        }
    }
}
