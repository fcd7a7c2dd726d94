//! A server process to whom others come through somebody else, and that can be frozen.

use anyhow::{Context, bail};
use chord::NodeName;
use tokio::process::Command;

use super::{Cluster, RING_WITHIN, START_WITHIN, Server, in_order};
use crate::cli::output::note;

/// A server whose name leads to whoever listens there.
#[derive(Debug)]
pub(in crate::cli::bench) struct Behind {
    pub(in crate::cli::bench) name: NodeName,
    /// Where it listens itself.
    pub(in crate::cli::bench) there: NodeName,
}

impl Behind {
    pub(in crate::cli::bench) fn name(&self) -> (&str, u16) {
        (self.name.host(), self.name.port())
    }

    pub(in crate::cli::bench) fn there(&self) -> (&str, u16) {
        (self.there.host(), self.there.port())
    }
}

impl Cluster {
    /// Starts so many server processes whose names lead to whoever listens there.
    pub(in crate::cli::bench) async fn start_behind(
        &mut self,
        n_servers: usize,
    ) -> anyhow::Result<Vec<Behind>> {
        note(format_args!("Starting {n_servers} server processes..."));
        if self.home.is_none() {
            self.home = self.setup.keeping.home()?;
        }
        let mut names = self.free_names(2 * n_servers)?;
        let there = names.split_off(n_servers);
        let mut behind = Vec::new();
        for (name, there) in names.into_iter().zip(there) {
            behind.push(self.start_one_behind(name, there).await?);
        }
        Ok(behind)
    }

    async fn start_one_behind(&mut self, name: NodeName, there: NodeName) -> anyhow::Result<Behind> {
        let mut command = self.command(&there)?;
        let child = command.args(["--known-as", name.as_str()]).spawn();
        let child = child.context("cannot start a server process")?;
        let mut server = Server { name: name.clone(), child };
        let serving = tokio::time::timeout(START_WITHIN, server.wait_until_it_serves()).await;
        self.servers.push(server);
        serving.with_context(|| format!("the server process {name} did not come up"))??;
        Ok(Behind { name, there })
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
