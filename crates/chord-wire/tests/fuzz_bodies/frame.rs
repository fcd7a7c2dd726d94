//! Frames: however the bytes are cut, the same messages come of them; and a message has one encoding only, but for the fields
//! that one passes over.

use chord_kv::VALUE_BYTES_DEFAULT;
use chord_ring::{Peer, RingName, RingSize, RingTag};
use chord_wire::frame::{
    Answer, Arrived, Asked, Declined, FrameError, Hello, Inbox, MessageError, Outbox, Proof, Speaker, Welcome,
};
use chord_wire::replica::ReplicaLimits;

/// A message, and whether it was begun or was whole.
type Came = (bool, u8, u32, Vec<u8>);

/// The first byte says how large the ring is, the next two where the others are cut.
pub(crate) fn check(bytes: &[u8]) {
    let Some(([bits, low, high], bytes)) = bytes.split_first_chunk() else { return };
    let size = RingSize::new(u64::from(*bits) + 1).expect("there are rings of 1 to 256 bits");
    let limits = ReplicaLimits { size, value_bytes: VALUE_BYTES_DEFAULT };
    let cut = usize::from(u16::from_le_bytes([*low, *high])) % (bytes.len() + 1);
    for of in [Inbox::of_requests, Inbox::of_answers] {
        let whole = read(of(limits.message_bytes()), [bytes]);
        let (before, after) = bytes.split_at(cut);
        assert_eq!(read(of(limits.message_bytes()), [before, after]), whole);
        assert_eq!(read(of(limits.message_bytes()), bytes.chunks(1)), whole);
        for (_, kind, id, content) in whole.0.iter().filter(|(is_whole, ..)| *is_whole) {
            check_message(*kind, *id, content, &limits);
        }
    }
}

fn read<'a>(mut inbox: Inbox, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Came>, Option<FrameError>) {
    let (mut came, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut rest = &buffer[..];
        loop {
            match inbox.next(&mut rest) {
                Ok(Some(Arrived::Message(message))) => {
                    came.push((true, message.kind, message.id, message.content.into_owned()));
                }
                Ok(Some(Arrived::Begun { id, .. } | Arrived::TooLarge { id })) => {
                    came.push((false, 0, id, Vec::new()));
                }
                Ok(Some(Arrived::Piece)) => {}
                Ok(None) => break,
                Err(error) => return (came, Some(error)),
            }
        }
        let n_rest = rest.len();
        buffer.drain(..buffer.len() - n_rest);
    }
    (came, None)
}

fn check_message(kind: u8, id: u32, content: &[u8], limits: &ReplicaLimits) {
    let read = |content: &[u8]| Asked::read(kind, content, limits);
    check_encoding(content, read, |asked, to| {
        asked.write(to);
        assert_eq!(asked.request.kind(1).number(), kind);
    });
    let ring = RingTag { name: RingName::default(), size: limits.size };
    let name = "127.0.0.1:4567".parse().expect("a name");
    let speaker = Speaker { peer: Peer::of_name(name, limits.size), ring };
    let read = |content: &[u8]| Answer::read(kind, content, limits, &speaker);
    check_encoding(content, read, |answer, to| {
        answer.write(to);
        assert_eq!(answer.kind().number(), kind);
    });
    check_encoding(content, Hello::read, Hello::write);
    check_encoding(content, Welcome::read, Welcome::write);
    check_encoding(content, Declined::read, Declined::write);
    // A proof is not to be compared, but its bytes may be here.
    let proof = |content: &[u8]| Proof::read(content).map(|proof| proof.0);
    check_encoding(content, proof, |proof, to| Proof(*proof).write(to));
    let mut outbox = Outbox::default();
    outbox.open();
    outbox.put_kind(kind, id, |to| to.extend_from_slice(content));
    while outbox.cut().is_some() {}
    let again = self::read(Inbox::of_answers(limits.message_bytes()), [outbox.unsent()]);
    if again.1.is_none() {
        assert_eq!(again.0, [(true, kind, id, content.to_vec())]);
    }
}

/// What is read is written as the same bytes, or as fewer, if there were fields that nobody knows.
fn check_encoding<T: PartialEq + std::fmt::Debug>(
    content: &[u8],
    read: impl Fn(&[u8]) -> Result<T, MessageError>,
    write: impl Fn(&T, &mut Vec<u8>),
) {
    let Ok(message) = read(content) else { return };
    let mut written = Vec::new();
    write(&message, &mut written);
    if written.len() >= content.len() {
        assert_eq!(written, content);
    } else {
        assert_eq!(read(&written), Ok(message));
    }
}
