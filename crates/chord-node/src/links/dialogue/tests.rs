use chord_ring::Request as RingRequest;
use chord_wire::frame::Request;
use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::*;
use crate::links::peer::{DEADLINE, Peer, terms};

#[tokio::test]
async fn whoever_waits_for_room_is_told_of_it_whoever_has_made_it() {
    let peer = Peer::new().await;
    let opens = async {
        let stream = Dialer::connect(None, &peer.name).await.unwrap();
        Dialogue::open(stream, &peer.name, &terms(), &Handle::current()).await.unwrap()
    };
    let (dialogue, _served) = tokio::join!(opens, peer.welcome());
    let inner = &dialogue.inner;
    // Of a long request that the peer has answered before all of it had left.
    lock(&inner.talk).outbox.put(Kind::Operate, 1, |to| to.resize(to.len() + UNSENT_BYTES_MAX, 0));
    let waits = inner.wait_for_room();
    tokio::pin!(waits);
    assert!(waits.as_mut().now_or_never().is_none(), "there is no room");
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let asked = Asked { request: Request::Ring(RingRequest::Ping), remaining: None };
    inner.put(&asked, permit).expect("the connection is well");
    assert!(inner.has_room(), "whoever asks sends what is there");
    tokio::time::timeout(DEADLINE, waits).await.expect("told in time");
}
