//! Certificates that are no longer believed, on connections that are open, and how those hear of it who show them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod certificates;

use std::time::Duration;

use chord_kv::Key;
use chord_kv::replication::{Consistency, Operation};
use chord_node::{Client, ClientTls, Connected, Node, TlsFiles};
use chord_ring::NodeName;
use chord_wire::frame::{Kind, OPENING, Outbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use certificates::{Authority, DEADLINE, HERE, THERE, hello, showing, start, write};

/// The files of a node that `own` has signed, and that believes both.
fn believing_both(own: &Authority, other: &Authority, host: &str) -> TlsFiles {
    let path = own.path(&format!("both-{host}.pem"));
    let both = [own, other].map(|authority| std::fs::read_to_string(authority.file()).unwrap());
    write(&path, &both.concat(), 0o644);
    TlsFiles { authority: path, ..own.node(host) }
}

/// A connection of frames, as a node of that name or a client, that has heard a welcome.
struct Frames(Connected);

impl Frames {
    async fn open(node: &NodeName, tls: &ClientTls, name: Option<&str>) -> Self {
        let mut frames = Self(Connected::to(node, Some(tls)).await.unwrap());
        frames.say(&hello(name)).await;
        let mut opening = [0; OPENING.len()];
        frames.0.read_exact(&mut opening).await.unwrap();
        assert_eq!(frames.hear().await, Some(Kind::Welcome.number()));
        frames
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn is_answered(&mut self, id: u32) -> bool {
        let mut outbox = Outbox::default();
        outbox.put(Kind::Ping, id, |to| to.push(0));
        self.say(outbox.unsent()).await;
        self.hear().await == Some(Kind::Pong.number())
    }

    /// The kind of the next frame; nothing at the end.
    async fn hear(&mut self) -> Option<u8> {
        let hears = async {
            let length = self.0.read_u32().await.ok()?;
            let mut frame = vec![0; length as usize];
            self.0.read_exact(&mut frame).await.ok()?;
            Some(frame[0])
        };
        tokio::time::timeout(DEADLINE, hears).await.expect("something in time")
    }
}

#[tokio::test]
async fn whoever_shows_a_certificate_that_is_not_believed_is_told_so_in_http_and_in_frames() {
    let (authority, other) = (Authority::new(), Authority::new());
    let secret = authority.path("secret");
    write(&secret, "the-secret-of-this-ring\n", 0o600);
    let builder = Node::builder().listen("127.0.0.1:0").tls(authority.node(HERE)).secret_file(&secret);
    let node = builder.start().await.unwrap();
    let stranger = showing(TlsFiles { authority: authority.file(), ..other.node(THERE) });
    let client = || Client::new(node.name().clone()).with_tls(stranger.clone());
    // Whoever has a secret proves it, in frames.
    for client in [client(), client().with_secret_file(&secret).unwrap()] {
        let key = Key::new(b"k").unwrap();
        let error = client.operate(key, Operation::Get, Consistency::Usual, DEADLINE).await.unwrap_err();
        assert!(error.to_string().contains("does not believe the certificate"), "{error}");
    }
    node.shutdown().await;
}

#[tokio::test]
async fn open_connections_of_nodes_end_when_their_authority_is_taken_out_of_the_file() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = believing_both(&authority, &other, HERE);
    let node = start(HERE, files.clone(), None).await;
    let believing = |files: TlsFiles| showing(TlsFiles { authority: authority.file(), ..files });
    let (stays, goes) = (believing(authority.node(THERE)), believing(other.node(THERE)));
    let client = ClientTls::new(authority.file()).unwrap();
    let mut stays = Frames::open(node.name(), &stays, Some("127.0.0.2:1")).await;
    let mut goes = Frames::open(node.name(), &goes, Some("127.0.0.2:2")).await;
    let mut client = Frames::open(node.name(), &client, None).await;
    for frames in [&mut stays, &mut goes, &mut client] {
        assert!(frames.is_answered(1).await);
    }
    write(&files.authority, &std::fs::read_to_string(authority.file()).unwrap(), 0o644);
    assert_eq!(goes.hear().await, Some(Kind::Farewell.number()));
    assert_eq!(goes.hear().await, None, "and it ends");
    for frames in [&mut stays, &mut client] {
        assert!(frames.is_answered(2).await, "others go on");
    }
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_asks_another_no_more_whose_authority_is_taken_out_of_the_file() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = believing_both(&authority, &other, HERE);
    let node = start(HERE, files.clone(), None).await;
    let neighbour = start(THERE, believing_both(&other, &authority, THERE), Some(&node)).await;
    tokio::time::timeout(DEADLINE, neighbour.ready()).await.expect("it joins").unwrap();
    let is_alone = async |expected: bool| {
        while node.view().successors().is_empty() != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, is_alone(false)).await.expect("they are neighbours");
    write(&files.authority, &std::fs::read_to_string(authority.file()).unwrap(), 0o644);
    tokio::time::timeout(DEADLINE, is_alone(true)).await.expect("it is dropped, as who does not answer");
    neighbour.shutdown().await;
    node.shutdown().await;
}
