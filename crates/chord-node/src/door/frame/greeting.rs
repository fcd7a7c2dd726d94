//! How a connection of frames begins: who is there, who is here, and that both know a secret where there are any.

use std::io;
use std::sync::Arc;

use bytes::Buf;
use chord_ring::RingTag;
use chord_wire::Code;
use chord_wire::frame::{
    Arrived, Declined, FrameError, HELLO_BYTES_MAX, Hello, Kind, Message, MessageError, Proof, VERSIONS,
    Welcome,
};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::{Connection, READ_BYTES_MIN, broken};
use crate::asked::Whom;
use crate::clients::Visit;
use crate::door::share::Share;
use crate::guard::{NO_CERTIFICATE, NO_SECRET};
use crate::offence::Offence;
use crate::secret::{Exchange, Role, Side, draw};

/// Why nobody is let in, for programs and for people.
struct No(Code, String);

impl From<MessageError> for No {
    fn from(error: MessageError) -> Self {
        Self(Code::BadRequest, error.to_string())
    }
}

impl Connection<'_> {
    /// Hears who is there and says who is here. Returns whether the connection goes on.
    pub(super) async fn greet(&mut self) -> io::Result<bool> {
        let until = Instant::now() + self.shared.limits.header_read;
        let changes = self.shared.tls.as_ref().map(|tls| tls.changes());
        let Some(hello) = self.hear(Kind::Hello, Hello::read, until).await? else { return Ok(false) };
        // Also what is declined is said behind the opening.
        self.outbox.open();
        let met = hello.and_then(|hello| Ok((self.meet(&hello)?, hello)));
        let (welcome, hello) = match met {
            Ok(met) => met,
            Err(no) => return self.decline(no).await,
        };
        self.outbox.put(Kind::Welcome, 0, |to| welcome.write(to));
        if welcome.challenge.is_some() {
            self.send()?;
            let Some(proof) = self.hear(Kind::Proof, Proof::read, until).await? else { return Ok(false) };
            match proof.and_then(|proof| self.prove(&hello, &welcome, &proof)) {
                Ok(ours) => _ = self.outbox.put(Kind::Proof, 0, |to| ours.write(to)),
                Err(no) => return self.decline(no).await,
            }
        }
        let peer = hello.name.map(|name| self.shared.peer(name));
        self.visitor = self.visitor.certified(self.shared.tls.is_some() && peer.is_some());
        self.changes = changes.filter(|_| peer.is_some());
        if peer.is_some() {
            Visit::is_of_node(true);
            // In an open ring anybody says so.
            if self.shared.tls.is_some() || self.shared.guard.secrets().is_some() {
                self.seat.is_of_node();
            }
            self.unread = Share::of(&self.shared);
        }
        self.whom = Arc::new(Whom { peer, ring: hello.ring });
        Ok(true)
    }

    /// Waits for a message of that kind; `None` if the other side ends the connection, or it is ended.
    async fn hear<T>(
        &mut self,
        wanted: Kind,
        read: fn(&[u8]) -> Result<T, MessageError>,
        until: Instant,
    ) -> io::Result<Option<Result<T, No>>> {
        loop {
            let mut rest = &self.arrived[..];
            let heard = match self.inbox.next(&mut rest).map_err(broken)? {
                Some(Arrived::Message(Message { kind, content, .. })) if kind == wanted.number() => {
                    let limit = HELLO_BYTES_MAX;
                    let is_short = content.len() <= limit;
                    Some(if is_short { read(&content) } else { Err(MessageError::TooLarge { limit }) })
                }
                Some(_) => return Err(broken(FrameError::NotFrames)),
                None => None,
            };
            let n_taken = self.arrived.len() - rest.len();
            self.arrived.advance(n_taken);
            if let Some(heard) = heard {
                return Ok(Some(heard.map_err(No::from)));
            }
            let late = || io::Error::new(io::ErrorKind::TimedOut, "who is there was not said in time");
            self.arrived.reserve(READ_BYTES_MIN);
            let n_bytes = tokio::select! {
                received = self.reader.read_buf(&mut self.arrived) => received?,
                () = self.seat.asked_to_leave() => 0,
                () = tokio::time::sleep_until(until) => return Err(late()),
            };
            if n_bytes == 0 {
                return Ok(None);
            }
        }
    }

    /// What is said to a hello.
    fn meet(&self, hello: &Hello) -> Result<Welcome, No> {
        let bad = |sentence: String| No(Code::BadRequest, sentence);
        let version = hello.versions.common(VERSIONS).ok_or_else(|| {
            bad(format!("this node speaks versions {VERSIONS} of frames, and the other side none of them"))
        })?;
        if hello.name.is_some() && hello.ring.is_none() {
            return Err(bad("a node says which ring it is of".to_owned()));
        }
        if let Some(challenge) = &hello.challenge {
            self.shared.own_call.hear(challenge);
        }
        let is_guarded = self.shared.guard.secrets().is_some();
        if is_guarded && hello.challenge.is_none() {
            return Err(No(Code::NoSecret, NO_SECRET.to_owned()));
        }
        if let (Some(tls), Some(name)) = (&self.shared.tls, &hello.name)
            && !tls.vouches_for(&self.shown, name)
        {
            return Err(No(Code::Forbidden, NO_CERTIFICATE.to_owned()));
        }
        let asker = self.shared.asker();
        Ok(Welcome {
            version,
            name: self.shared.me.name.clone(),
            ring: self.shared.ring.clone(),
            is_member: self.shared.pong().member,
            copies: asker.links.copies(),
            challenge: is_guarded.then(draw),
        })
    }

    /// Looks whether the other side knows a secret, and makes the proof that this one does.
    fn prove(&mut self, hello: &Hello, welcome: &Welcome, proof: &Proof) -> Result<Proof, No> {
        let no = || No(Code::NoSecret, WRONG_SECRET.to_owned());
        let file = self.shared.guard.secrets().ok_or_else(no)?;
        let (Some(asker_challenge), Some(answerer_challenge)) = (hello.challenge, welcome.challenge) else {
            return Err(no());
        };
        let ring: &RingTag = &welcome.ring;
        let asker = hello.name.as_ref();
        let exchange = Exchange { ring, asker, answerer: &welcome.name, asker_challenge, answerer_challenge };
        let secrets = file.secrets();
        let secret = secrets.prover(Side::Asker, &exchange, proof).ok_or_else(no)?;
        if asker.is_some() && secret.role() < Role::Node {
            let role = secret.role();
            return Err(No(
                Code::NoSecret,
                format!("a secret of the role {role} is for clients, and makes nobody a node"),
            ));
        }
        self.visitor = self.visitor.known_by(file.recognize_by(secret));
        Ok(exchange.proof(Side::Answerer, secret))
    }

    /// Says why the connection does not go on.
    async fn decline(&mut self, No(code, sentence): No) -> io::Result<bool> {
        tracing::debug!("declined a connection of frames: {sentence}");
        let offence = match code {
            Code::NoSecret => Some(Offence::Secret),
            // Nothing else is forbidden before anything is asked.
            Code::Forbidden => Some(Offence::Certificate),
            _ => Offence::of_last(code),
        };
        if let Some(offence) = offence {
            self.note(offence);
        }
        let declined = Declined { versions: VERSIONS, code: Some(code), sentence };
        self.outbox.put(Kind::Declined, 0, |to| declined.write(to));
        self.send()?; // So few bytes always fit.
        self.hang_up().await?;
        Ok(false)
    }
}

const WRONG_SECRET: &str = "the other side has another secret than this node: the file that --secret-file names must hold one that both know";
