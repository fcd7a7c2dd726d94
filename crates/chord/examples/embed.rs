//! Two nodes of one ring inside one program: `cargo run --example embed`. The README shows all that follows.
#![allow(clippy::print_stdout, reason = "what it has read is what it is about")]

use chord::Node;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let first = Node::builder().listen("127.0.0.1:0").start().await?;
    let second = Node::builder().listen("127.0.0.1:0").join(first.name().clone()).start().await?;
    second.ready().await?;

    first.put(b"greeting", b"hello").await?;
    let got = second.get(b"greeting").await?;
    let value = got.value.ok_or("it was just stored")?;
    println!("{} from {}", String::from_utf8_lossy(value.as_bytes()), got.owner);

    second.shutdown().await;
    first.shutdown().await;
    Ok(())
}
