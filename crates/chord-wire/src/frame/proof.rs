//! What two sides say to show each other that both know a secret. What a proof is made of, the node knows.

use super::error::MessageError;
use super::field::{FieldWriter, Tag, read_fields, whole};
use super::hello::{reader, writing};
use crate::replica::reader::Reader;

/// Bytes of a challenge and of a proof: those of SHA-256.
pub const PROOF_BYTES: usize = 32;

/// What a side draws for one connection alone, so that no proof is worth anything on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge(pub [u8; PROOF_BYTES]);

/// What a side makes of both challenges and its secret. Not to be compared by `==`, which takes longer the more of it is right.
#[derive(Clone, Copy, Debug)]
pub struct Proof(pub [u8; PROOF_BYTES]);

impl Proof {
    /// Writes the content of its frame behind what is there.
    pub fn write(&self, to: &mut Vec<u8>) {
        writing(to, |to| {
            let mut fields = FieldWriter(to);
            fields.bytes(Tag::Proof, &self.0);
            fields.end();
        });
    }

    /// The proof that is the content of a frame.
    ///
    /// # Errors
    /// It is none.
    pub fn read(content: &[u8]) -> Result<Self, MessageError> {
        let mut from = reader(content);
        let (limits, mut proof) = (from.limits(), None);
        read_fields(&mut from, |tag, bytes| {
            if tag != Tag::Proof {
                return Err(tag.misplaced());
            }
            proof = Some(Self(whole(limits, bytes, Reader::fixed)?));
            Ok(())
        })?;
        from.end()?;
        proof.ok_or(Tag::Proof.missing())
    }
}
