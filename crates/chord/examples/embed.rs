//! Two nodes of one ring inside one program: `cargo run --example embed`.

use chord::Node;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let first = Node::builder().listen("127.0.0.1:0").start().await?;
    first.ready().await?;
    let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await?;
    second.ready().await?;

    first.put(b"greeting", b"hello").await?;
    let got = second.get(b"greeting").await?;
    assert_eq!(got.value.expect("it was just stored").as_bytes(), b"hello");

    second.shutdown().await;
    first.shutdown().await;
    Ok(())
}
