//! Proofs: how either side of a connection shows that it knows a secret, without saying it.
//!
//! Both sides draw a challenge, and each answers with a keyed hash (HMAC-SHA-256, RFC 2104) of everything that this one
//! meeting is about. So a proof is worth nothing on another connection, to another node, in another ring or from the other
//! side.

use chord_ring::{NodeName, RingTag};
use chord_wire::frame::{Challenge, Proof};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Secret;

/// What a proof is of, and its version: no other use of the same secret makes the same bytes.
const PURPOSE: &[u8] = b"chord proof 1";

/// A new challenge, so that no proof is ever worth anything twice.
pub(crate) fn draw() -> Challenge {
    Challenge(rand::random())
}

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Side {
    /// The one that connected.
    Asker = 1,
    /// The one that was connected to.
    Answerer = 2,
}

/// One meeting of two sides, as both see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    /// The ring that both are of.
    pub(crate) ring: &'a RingTag,
    /// The name of the node that connected; a client has none.
    pub(crate) asker: Option<&'a NodeName>,
    /// The name to which it connected.
    pub(crate) answerer: &'a NodeName,
    pub(crate) asker_challenge: Challenge,
    pub(crate) answerer_challenge: Challenge,
}

impl Exchange<'_> {
    /// The proof of that side.
    pub(crate) fn proof(&self, side: Side, secret: &Secret) -> Proof {
        // A key may have any length; that it is refused is not possible (RFC 2104, section 3).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret.bytes) else { return Proof([0; 32]) };
        let asker = self.asker.map_or("", NodeName::as_str);
        let parts = [
            PURPOSE,
            &[side as u8],
            self.ring.name.as_str().as_bytes(),
            &self.ring.size.bits().to_be_bytes(),
            asker.as_bytes(),
            self.answerer.as_str().as_bytes(),
            &self.asker_challenge.0,
            &self.answerer_challenge.0,
        ];
        for part in parts {
            // With its length before it, so that no part can pass for the end of the one before.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Proof(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Holder, Role, Secrets};
    use super::*;

    fn ring(name: &str, bits: u16) -> RingTag {
        RingTag { name: name.parse().unwrap(), size: chord_ring::RingSize::new(bits.into()).unwrap() }
    }

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_proof_is_known_by_who_has_the_secret_and_says_what_it_allows() {
        let theirs = Secrets::parse("the-secret-of-this-ring").unwrap();
        let ours = Secrets::parse("write some-other-secret\nthe-next-secret-of-it\nthe-secret-of-this-ring")
            .unwrap();
        let (ring, [asker, answerer]) = (ring("chord", 160), [name("a:1"), name("b:1")]);
        let exchange = Exchange {
            ring: &ring,
            asker: Some(&asker),
            answerer: &answerer,
            asker_challenge: draw(),
            answerer_challenge: draw(),
        };
        let proof = exchange.proof(Side::Asker, theirs.own(Holder::Node).unwrap());
        let prover = ours.prover(Side::Asker, &exchange, &proof).unwrap();
        assert_eq!(prover.role(), Role::Node);
        // The other side proves that it knows the same one.
        let back = exchange.proof(Side::Answerer, prover);
        assert!(theirs.prover(Side::Answerer, &exchange, &back).is_some());
        let strangers = Secrets::parse("the-secret-of-another-ring").unwrap();
        assert!(strangers.prover(Side::Asker, &exchange, &proof).is_none());
    }

    #[test]
    fn a_proof_is_of_the_parts_that_the_documentation_lists() {
        let documentation = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md"));
        let (_, section) = documentation.split_once("\n### Proofs\n").expect("the section is there");
        let rows = section.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
        let parts = rows.take_while(|line| line.starts_with('|')).map(|row| {
            match row.trim_matches('|').split('|').next().unwrap_or_default().trim() {
                "purpose" => row.split('`').nth(1).expect("it is told").as_bytes().to_vec(),
                "side" => vec![2],
                "ring" => b"blue".to_vec(),
                "bits of a position" => vec![0, 160],
                "who connected" => b"a:1".to_vec(),
                "who was connected to" => b"b:2".to_vec(),
                "first challenge" => vec![7; 32],
                "second challenge" => vec![9; 32],
                other => panic!("nothing is known of {other}"),
            }
        });
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the-secret-of-this-ring").unwrap();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(&part);
        }
        let (ring, [asker, answerer]) = (ring("blue", 160), [name("a:1"), name("b:2")]);
        let exchange = Exchange {
            ring: &ring,
            asker: Some(&asker),
            answerer: &answerer,
            asker_challenge: Challenge([7; 32]),
            answerer_challenge: Challenge([9; 32]),
        };
        let secrets = Secrets::parse("the-secret-of-this-ring").unwrap();
        let proof = exchange.proof(Side::Answerer, secrets.own(Holder::Node).unwrap());
        assert_eq!(proof.0.as_slice(), mac.finalize().into_bytes().as_slice());
    }

    #[test]
    fn a_proof_is_worth_nothing_in_any_other_meeting() {
        let secrets = Secrets::parse("the-secret-of-this-ring").unwrap();
        let (here, [asker, answerer]) = (ring("chord", 160), [name("a:1"), name("b:1")]);
        let exchange = Exchange {
            ring: &here,
            asker: Some(&asker),
            answerer: &answerer,
            asker_challenge: draw(),
            answerer_challenge: draw(),
        };
        let proof = exchange.proof(Side::Asker, secrets.own(Holder::Node).unwrap());
        let (other_name, other_size, stranger) = (ring("drohc", 160), ring("chord", 161), name("c:1"));
        // Its own proof sent back to it.
        assert!(secrets.prover(Side::Answerer, &exchange, &proof).is_none());
        for other in [
            Exchange { ring: &other_name, ..exchange },
            Exchange { ring: &other_size, ..exchange },
            Exchange { asker: None, ..exchange },
            Exchange { asker: Some(&stranger), ..exchange },
            Exchange { answerer: &stranger, ..exchange },
            Exchange { asker: Some(&answerer), answerer: &asker, ..exchange },
            Exchange { asker_challenge: draw(), ..exchange },
            Exchange { answerer_challenge: draw(), ..exchange },
            Exchange {
                asker_challenge: exchange.answerer_challenge,
                answerer_challenge: exchange.asker_challenge,
                ..exchange
            },
        ] {
            assert!(secrets.prover(Side::Asker, &other, &proof).is_none(), "{other:?}");
        }
    }
}
