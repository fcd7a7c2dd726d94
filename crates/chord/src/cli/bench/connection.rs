//! One kept-open connection to one node, with as little between it and the socket as can be.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, bail};
use chord::NodeName;
use chord::wire::{Answer, Command, xmlrpc};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Door;
use super::response::{self, Head};
use super::workload::{Operation, Template, Workload, is_value};

/// How long one request may take before it counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Room for what an answer holds beside the value.
const BODY_BYTES_SPARE: usize = 64 << 10;

/// A connection for one kind of request. Connects when it must.
#[derive(Debug)]
pub(super) struct Connection {
    door: Door,
    node: NodeName,
    operation: Operation,
    template: Template,
    value_bytes: usize,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl Connection {
    /// The connection of that number.
    pub(super) fn new(workload: &Workload, number: u16, operation: Operation) -> Self {
        let (door, node, value_bytes) = (workload.door, workload.node(number).clone(), workload.value_bytes);
        let template = Template::new(door, operation, &node, value_bytes);
        let received = Vec::with_capacity(value_bytes + 4096);
        Self { door, node, operation, template, value_bytes, stream: None, received }
    }

    /// Sends one request and checks its answer. After a failure the next call connects anew.
    pub(super) async fn exchange(&mut self, key: u64) -> anyhow::Result<()> {
        let ended = match tokio::time::timeout(ANSWER_WITHIN, self.try_exchange(key)).await {
            Ok(ended) => ended,
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs())),
        };
        if ended.is_err() {
            self.stream = None;
        }
        ended.with_context(|| format!("{} at {}", self.operation.name(), self.node))
    }

    async fn try_exchange(&mut self, key: u64) -> anyhow::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.node).await?,
        };
        stream.write_all(self.template.request(key)).await?;
        let head = self.receive(&mut stream).await?;
        self.check(head, key)?;
        if head.keep_alive {
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Reads one whole answer into `received`, which then holds nothing else.
    async fn receive(&mut self, stream: &mut TcpStream) -> anyhow::Result<Head> {
        let body_bytes_max =
            self.value_bytes.saturating_mul(self.door.growth()).saturating_add(BODY_BYTES_SPARE);
        let bytes_max = response::HEAD_BYTES_MAX + body_bytes_max;
        let mut known = None;
        self.received.clear();
        loop {
            if known.is_none() {
                known = response::head(&self.received)?;
            }
            if let Some(head @ Head { bytes, body_bytes: Some(body_bytes), .. }) = known {
                if body_bytes > body_bytes_max {
                    bail!("the answer has {body_bytes} bytes, more than any right one");
                }
                if self.received.len() >= bytes + body_bytes {
                    return Ok(head);
                }
            }
            let n_read = stream.read_buf(&mut self.received).await?;
            match known {
                Some(head) if n_read == 0 && head.body_bytes.is_none() => return Ok(head),
                _ if n_read == 0 => bail!("the connection was closed before the answer was complete"),
                _ if self.received.len() > bytes_max => bail!("the answer is larger than any right one"),
                _ => {}
            }
        }
    }

    fn check(&self, head: Head, key: u64) -> anyhow::Result<()> {
        let body = self.received.get(head.bytes..).unwrap_or_default();
        if head.status != 200 {
            let told = serde_json::from_slice::<ErrorBody<'_>>(body).ok();
            bail!("status {}: {}", head.status, told.as_ref().map_or("no reason given", |body| &body.error));
        }
        let value = match (self.door, self.operation) {
            (Door::Http, Operation::Put) => return Ok(()),
            (Door::Http, Operation::Get) => {
                let body: GetBody<'_> =
                    serde_json::from_slice(body).context("the answer is not that of a get")?;
                body.value
            }
            (Door::XmlRpc, operation) => match answer(operation, body)? {
                Answer::Get { value, .. } => value.map(Cow::Owned),
                _ => return Ok(()),
            },
        };
        let value = value.context("a key that was written is not found")?;
        if is_value(&value, key, self.value_bytes) {
            Ok(())
        } else {
            bail!("the value is not the one written")
        }
    }
}

/// What a body in XML-RPC says.
fn answer(operation: Operation, body: &[u8]) -> anyhow::Result<Answer> {
    let command = match operation {
        Operation::Put => Command::Put,
        Operation::Get => Command::Get,
    };
    match xmlrpc::decode_answer(command, body)? {
        Ok(answer) => Ok(answer),
        Err(fault) => bail!("fault {}: {}", fault.code, fault.sentence),
    }
}

/// Requests are small and waited for: nothing may sit in a buffer to grow.
async fn connect(node: &NodeName) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect((node.host(), node.port())).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[derive(Deserialize)]
struct GetBody<'a> {
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
}
