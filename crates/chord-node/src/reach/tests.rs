//! Names that lead to a node, to another, or nowhere.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::Node;

async fn node() -> Node {
    Node::builder().listen("127.0.0.1:0").start().await.unwrap()
}

/// A listener that hands what it is given on to the node at that address.
async fn way_to(to: NodeName) -> NodeName {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(to.as_str()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    name
}

#[tokio::test]
async fn a_name_leads_here_by_whatever_way_and_to_another_by_its_own_word() {
    let (node, other) = (node().await, node().await);
    assert_eq!(call(node.shared(), node.name()).await, Leads::Here);
    assert_eq!(call(node.shared(), &way_to(node.name().clone()).await).await, Leads::Here);
    assert_eq!(call(node.shared(), other.name()).await, Leads::ToAnother(other.name().clone()));
    assert_eq!(
        call(node.shared(), &way_to(other.name().clone()).await).await,
        Leads::ToAnother(other.name().clone())
    );
    // One of the same name is another all the same.
    let twin = Node::builder().listen("127.0.0.1:0").known_as(node.name().clone()).start().await.unwrap();
    assert_eq!(call(twin.shared(), twin.name()).await, Leads::ToAnother(twin.name().clone()));
    for node in [twin, other, node] {
        node.shutdown().await;
    }
}

#[tokio::test]
async fn a_node_with_a_secret_finds_itself_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "a-secret-of-this-ring").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let node = Node::builder().listen("127.0.0.1:0").secret_file(&file).start().await.unwrap();
    assert_eq!(call(node.shared(), node.name()).await, Leads::Here);
    node.shutdown().await;
}

#[tokio::test]
async fn a_name_that_leads_to_no_node_or_nowhere_is_told_apart() {
    let node = node().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name: NodeName = listener.local_addr().unwrap().to_string().parse().unwrap();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
        // The second one hears nothing.
        let silent = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(silent);
    });
    assert_eq!(call(node.shared(), &name).await, Leads::ToNoNode);
    let begun = std::time::Instant::now();
    assert_eq!(call(node.shared(), &name).await, Leads::Nowhere("nothing was heard within 2 s".to_owned()));
    assert!(begun.elapsed() < CALL_WAIT + Duration::from_secs(1));
    answering.abort();
    let _ = answering.await;
    assert_eq!(call(node.shared(), &name).await, Leads::Nowhere("nobody is there".to_owned()));
    node.shutdown().await;
}

#[test]
fn a_host_name_that_means_this_machine_alone_is_a_mistake_and_an_address_of_it_is_meant() {
    let of = |name: &str, bound: &str| is_local_by_mistake(&name.parse().unwrap(), bound.parse().unwrap());
    assert!(of("node1:4567", "127.0.1.1") && of("node1:4567", "::1"));
    assert!(!of("node1:4567", "10.0.0.1"));
    for meant in ["127.0.0.1:4567", "localhost:4567", "[::1]:4567", "node1.localhost:4567"] {
        assert!(!of(meant, "127.0.0.1"), "{meant}");
    }
}

#[tokio::test]
async fn a_node_may_listen_on_every_address_under_a_name_of_its_own_and_only_so() {
    let refused = Node::builder().listen("0.0.0.0:0").start().await.err().unwrap();
    assert!(refused.to_string().contains("listen there under a name"), "{refused}");
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let name: NodeName = format!("localhost:{port}").parse().unwrap();
    let node =
        Node::builder().listen(&format!("0.0.0.0:{port}")).known_as(name.clone()).start().await.unwrap();
    assert_eq!(*node.name(), name);
    assert_eq!(call(node.shared(), &name).await, Leads::Here);
    node.shutdown().await;
}
