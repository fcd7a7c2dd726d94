//! A server process to whom others come through somebody else, and that can be frozen.

use anyhow::{Context, bail};
use chord::NodeName;
use tokio::process::Command;

use super::{Cluster, RING_WITHIN, START_WITHIN, Server, in_order};

impl Cluster {
    /// Starts one more server, whose name leads to whoever listens there. Returns its name, and where it listens itself.
    pub(in crate::cli::bench) async fn start_behind(&mut self) -> anyhow::Result<(NodeName, NodeName)> {
        let [name, there]: [NodeName; 2] =
            self.free_names(2)?.try_into().ok().context("two names were asked for")?;
        let mut command = self.command(&there)?;
        let child = command.args(["--known-as", name.as_str()]).spawn();
        let child = child.context("cannot start a server process")?;
        let mut server = Server { name: name.clone(), child };
        let serving = tokio::time::timeout(START_WITHIN, server.wait_until_it_serves()).await;
        self.servers.push(server);
        serving.with_context(|| format!("the server process {name} did not come up"))??;
        Ok((name, there))
    }

    /// Waits until each server knows its neighbours again.
    pub(in crate::cli::bench) async fn until_whole(&self) -> anyhow::Result<()> {
        let names = self.servers.iter().map(|server| &server.name).collect();
        let whole = self.wait_until_complete(in_order(names, self.setup.ring_size));
        let whole = tokio::time::timeout(RING_WITHIN, whole).await;
        whole.with_context(|| format!("the ring was not whole again after {} s", RING_WITHIN.as_secs()))?
    }

    /// Has a server stand still.
    pub(in crate::cli::bench) async fn freeze(&self, name: &NodeName) -> anyhow::Result<()> {
        self.signal(name, "STOP").await
    }

    /// Has it go on.
    pub(in crate::cli::bench) async fn thaw(&self, name: &NodeName) -> anyhow::Result<()> {
        self.signal(name, "CONT").await
    }

    async fn signal(&self, name: &NodeName, signal: &str) -> anyhow::Result<()> {
        let server = self.servers.iter().find(|server| server.name == *name);
        let id = server.and_then(|server| server.child.id()).context("the server process has ended")?;
        let sent = Command::new("kill").args(["-s", signal, &id.to_string()]).status().await;
        if !sent.context("cannot run kill")?.success() {
            bail!("cannot send {signal} to the server process {name}");
        }
        Ok(())
    }
}
