//! Who may do what: by the secret that was given, or by where it is asked from where there are none.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chord_wire::Code;

use crate::asked::Refused;
use crate::offence::{Offence, Offences};
use crate::secret::{Known, Role, SecretFile};

/// Somebody who asks, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor {
    /// The secret that it has given or proved, if it is one of ours.
    known: Option<Known>,
    from: IpAddr,
    /// It is on this node's own machine.
    is_same_host: bool,
    /// It has shown a certificate that is for the host of the node's name by which it calls itself.
    is_certified: bool,
}

impl Visitor {
    /// One from there who has given nothing.
    pub(crate) fn stranger(from: IpAddr, is_same_host: bool) -> Self {
        Self { known: None, from, is_same_host, is_certified: false }
    }

    /// The same, known by a secret.
    pub(crate) fn known_by(self, known: Option<Known>) -> Self {
        Self { known, ..self }
    }

    /// The same, and whether it is the node that it says.
    pub(crate) fn certified(self, is_certified: bool) -> Self {
        Self { is_certified, ..self }
    }

    /// Whether it is.
    pub(crate) fn is_certified(&self) -> bool {
        self.is_certified
    }
}

/// Pause between two looks whether somebody who hears of changes may still do so: as often as the file of secrets is read.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Lets in who may come in.
#[derive(Clone)]
pub(crate) struct Guard {
    file: Option<Arc<SecretFile>>,
    /// Nodes show certificates.
    wants_certificates: bool,
    offences: Arc<Offences>,
}

impl Guard {
    /// By the secrets of that file, or without any.
    pub(crate) fn new(file: Option<Arc<SecretFile>>) -> Self {
        Self { file, wants_certificates: false, offences: Arc::default() }
    }

    /// The same, and nodes have to show certificates beside that.
    pub(crate) fn with_certificates(self, wants_certificates: bool) -> Self {
        Self { wants_certificates, ..self }
    }

    /// The secrets, if there are any.
    pub(crate) fn secrets(&self) -> Option<&Arc<SecretFile>> {
        self.file.as_ref()
    }

    /// What was refused.
    pub(crate) fn offences(&self) -> &Arc<Offences> {
        &self.offences
    }

    /// What is known of who gives this.
    pub(crate) fn recognize(&self, given: &[u8]) -> Option<Known> {
        self.file.as_ref()?.recognize(given)
    }

    /// Lets somebody do what takes that role, or refuses it.
    pub(crate) fn admit(&self, visitor: &Visitor, needed: Role) -> Result<(), Refused> {
        self.judge(visitor, needed).map_err(|(offence, refused)| {
            self.offences.note(offence, visitor.from);
            refused
        })
    }

    /// Whether somebody may do what takes that role, where nothing is refused.
    pub(crate) fn allows(&self, visitor: &Visitor, needed: Role) -> bool {
        self.judge(visitor, needed).is_ok()
    }

    /// Without secrets everybody may do everything but rule the node, which only its own machine may.
    fn judge(&self, visitor: &Visitor, needed: Role) -> Result<(), (Offence, Refused)> {
        if self.wants_certificates && needed == Role::Node && !visitor.is_certified {
            return Err((Offence::Certificate, Refused::new(Code::Forbidden, NO_CERTIFICATE)));
        }
        let Some(file) = &self.file else {
            return match needed {
                Role::Admin if !visitor.is_same_host => {
                    Err((Offence::Place, Refused::new(Code::Forbidden, NOT_HERE)))
                }
                Role::Read | Role::Write | Role::Admin | Role::Node => Ok(()),
            };
        };
        match visitor.known.as_ref().and_then(|known| file.role_now(known)) {
            Some(role) if role >= needed => Ok(()),
            Some(role) => {
                let sentence =
                    format!("the secret that was given is of the role {role}, and this takes {needed}");
                Err((Offence::Role, Refused::new(Code::Forbidden, sentence)))
            }
            None => Err((Offence::Secret, Refused::new(Code::NoSecret, NO_SECRET))),
        }
    }

    /// Ends when somebody who was admitted is admitted no more, since the secret that it gave is no longer valid. May be
    /// dropped and begun anew at any time: it looks at once.
    pub(crate) async fn dismissed(&self, visitor: &Visitor, needed: Role) {
        if self.file.is_none() {
            return std::future::pending().await;
        }
        while self.allows(visitor, needed) {
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

/// What somebody is told who gives no secret where one is wanted, or a wrong one.
pub(crate) const NO_SECRET: &str = "this node wants a secret, and none that it knows was given: name the file that holds it by --secret-file, give it as a bearer token or as the password of any user, or by AUTH";

/// What one is told who calls itself a node, or asks what nodes alone may, without a certificate for it.
pub(crate) const NO_CERTIFICATE: &str = "this is for nodes of the ring alone, and those show a certificate of an authority that this node trusts, which is for the host of the name that they say is theirs";

const NOT_HERE: &str = "this is obeyed only when it comes from the node's own machine";

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(is_same_host: bool) -> Visitor {
        Visitor::stranger(IpAddr::from([192, 0, 2, 1]), is_same_host)
    }

    #[test]
    fn without_secrets_everybody_may_do_everything_but_rule_the_node_from_afar() {
        let guard = Guard::new(None);
        for role in Role::ALL {
            assert!(guard.admit(&stranger(true), role).is_ok());
            let from_afar = guard.admit(&stranger(false), role);
            assert_eq!(
                from_afar.map_err(|refused| refused.code).err(),
                (role == Role::Admin).then_some(Code::Forbidden)
            );
        }
        assert!(guard.recognize(b"the-secret-of-nobody").is_none());
    }

    #[test]
    fn with_secrets_each_role_allows_what_it_is_for_and_the_same_machine_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        crate::secret::write_for_tests(
            &path,
            "the-secret-of-nodes\nread the-secret-of-readers\nwrite the-secret-of-writers\nadmin the-secret-of-admins",
        );
        let file = SecretFile::open(&path, crate::secret::Holder::Node).unwrap();
        let guard = Guard::new(Some(Arc::new(file)));
        let secrets =
            ["the-secret-of-readers", "the-secret-of-writers", "the-secret-of-admins", "the-secret-of-nodes"];
        for (secret, role) in secrets.into_iter().zip(Role::ALL) {
            let known = guard.recognize(secret.as_bytes());
            let visitor = stranger(false).known_by(known);
            for needed in Role::ALL {
                let admitted = guard.admit(&visitor, needed);
                assert_eq!(admitted.is_ok(), needed <= role, "{needed} by {role}");
                assert!(admitted.err().is_none_or(|refused| refused.code == Code::Forbidden));
            }
        }
        for needed in Role::ALL {
            assert!(guard.admit(&stranger(true), needed).is_err());
        }
        let counted = |offence| guard.offences().count(offence);
        assert_eq!((counted(Offence::Secret), counted(Offence::Role)), (4, 6), "what is refused is counted");
        assert!(!guard.allows(&stranger(true), Role::Read));
        assert_eq!(counted(Offence::Secret), 4, "nothing was refused");
        assert!(guard.recognize(b"the-secret-of-nobody").is_none());
    }
}
