//! Whether a node is ready: it has everything that it should have, and others have its copies.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chord::NodeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::response::{self, HEAD_BYTES_MAX};

/// How often a node is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How long its answer may take, even on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Waits until the node says that it is ready.
pub(super) async fn wait_until_ready(node: &NodeName, within: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + within;
    while let Some(why) = why_not(node).await? {
        if Instant::now() >= until {
            bail!(
                "{node} was not ready after {} s: {}",
                within.as_secs(),
                why.trim_start_matches("not ready: ")
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

/// Why the node is not ready; `None` if it is.
async fn why_not(node: &NodeName) -> anyhow::Result<Option<String>> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(node)).await;
    let asked = asked.map_err(|_| anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs()));
    asked.and_then(|asked| asked).with_context(|| format!("cannot ask {node} whether it is ready"))
}

async fn ask(node: &NodeName) -> anyhow::Result<Option<String>> {
    let mut stream = TcpStream::connect((node.host(), node.port())).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(2 * HEAD_BYTES_MAX as u64).read_to_end(&mut answer).await?;
    let head = response::head(&answer)?.context("the answer is cut off")?;
    let sentence = String::from_utf8_lossy(answer.get(head.bytes..).unwrap_or_default());
    match head.status {
        200 => Ok(None),
        503 => Ok(Some(sentence.trim_end().to_owned())),
        status => bail!("status {status}"),
    }
}
