//! A greeting: who is at an address, by its own word. Nothing is asked and nothing proved.

use bytes::BytesMut;
use chord_ring::NodeName;
use chord_wire::frame::{Challenge, HELLO_BYTES_MAX, Hello, Inbox, Kind, Outbox, VERSIONS, Welcome};

use super::dialogue::write_all;
use super::ear::Ear;
use super::unanswered::Unanswered;
use crate::tls::Dialer;

/// Connects to `place`, and returns what whoever listens there says of itself. The caller sets the deadline.
///
/// The challenge is what a node with secrets wants to hear from whoever comes. That this side has none to prove shows only
/// after the answer, where the connection ends.
pub(crate) async fn greet(
    place: &NodeName,
    challenge: Challenge,
    tls: Option<&Dialer>,
) -> Result<Welcome, Unanswered> {
    let stream = Dialer::connect_to_anybody(tls, place).await?;
    let (reader, mut writer) = stream.into_split();
    let mut outbox = Outbox::default();
    let hello =
        Hello { versions: VERSIONS, name: None, ring: None, copies: None, challenge: Some(challenge) };
    outbox.open();
    outbox.put(Kind::Hello, 0, |to| hello.write(to));
    write_all(&mut writer, &mut outbox).await?;
    let mut ear = Ear { reader, inbox: Inbox::of_answers(HELLO_BYTES_MAX), arrived: BytesMut::new() };
    ear.hear(Kind::Welcome, Welcome::read).await
}
