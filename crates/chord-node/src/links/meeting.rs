//! How a peer is met in frames where there are secrets: each side shows the other that it knows one.

use std::sync::Arc;

use chord_ring::NodeName;
use chord_wire::frame::{Challenge, Hello, Proof, Welcome};
use subtle::ConstantTimeEq;

use super::dialogue::Terms;
use super::unanswered::Unanswered;
use crate::secret::{Exchange, Holder, SecretFile, Side, draw};

/// One meeting, as the side that connects sees it.
pub(super) struct Meeting<'a> {
    dialled: &'a NodeName,
    /// What is said first.
    pub(super) hello: Hello,
    ours: Option<(Arc<SecretFile>, Challenge)>,
}

/// The proof that the other side is to send.
pub(super) struct Expected(Proof);

impl<'a> Meeting<'a> {
    /// With the node to which this side has connected.
    pub(super) fn new(dialled: &'a NodeName, terms: &Terms) -> Self {
        let ours = terms.secrets.clone().map(|file| (file, draw()));
        let challenge = ours.as_ref().map(|(_, challenge)| *challenge);
        Self { dialled, hello: Hello { challenge, ..terms.hello.clone() }, ours }
    }

    /// The proof of this side and that of the other; none where neither has secrets.
    pub(super) fn proofs(&self, welcome: &Welcome) -> Result<Option<(Proof, Expected)>, Unanswered> {
        let strange = |why: String| Err(Unanswered::Strange(why));
        let Some((file, asker_challenge)) = &self.ours else {
            return match welcome.challenge {
                None => Ok(None),
                Some(_) => strange(
                    "it wants a secret, and this side has none: name the file that holds it by --secret-file"
                        .to_owned(),
                ),
            };
        };
        let Some(answerer_challenge) = welcome.challenge else {
            return strange(
                "it does not show that it knows a secret of the ring: start it with --secret-file too"
                    .to_owned(),
            );
        };
        // A node that is asked for another one's name passes on what it hears. A client may call a node by another name.
        if file.holder() == Holder::Node && welcome.name != *self.dialled {
            return strange(format!("it says that it is {}", welcome.name));
        }
        let exchange = Exchange {
            ring: &welcome.ring,
            asker: self.hello.name.as_ref(),
            answerer: &welcome.name,
            asker_challenge: *asker_challenge,
            answerer_challenge,
        };
        let secrets = file.secrets();
        let Some(own) = secrets.own(file.holder()) else {
            return strange("this side has no secret".to_owned());
        };
        let expected = Expected(exchange.proof(Side::Answerer, own));
        Ok(Some((exchange.proof(Side::Asker, own), expected)))
    }
}

impl Expected {
    /// Looks whether it is the one that came.
    pub(super) fn is(&self, came: &Proof) -> Result<(), Unanswered> {
        if bool::from(self.0.0.ct_eq(&came.0)) {
            return Ok(());
        }
        Err(Unanswered::Strange("its proof that it knows a secret of the ring is wrong".to_owned()))
    }
}
