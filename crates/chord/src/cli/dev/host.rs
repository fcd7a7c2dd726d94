//! One node on a thread of its own, so that it can be killed and frozen in the midst of whatever it does, as a process can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc as thread_mpsc};

use anyhow::Context;
use chord::{Builder, CommandError, Node, NodeName};
use tokio::runtime::{self, Handle};
use tokio::sync::{mpsc, oneshot, watch};

/// The thread stands still until it hears something, and ends if it hears that nobody will say anything.
type StandStill = thread_mpsc::Receiver<()>;

/// Orders that wait for a thread: one, and the one that ends it.
const ORDERS_MAX: usize = 2;

/// A node and its thread.
pub(super) struct Host {
    node: Node,
    runtime: Handle,
    orders: mpsc::Sender<StandStill>,
    /// While it is frozen: says that it may go on. Dropped, it ends the thread.
    thaws: Mutex<Option<thread_mpsc::Sender<()>>>,
    is_leaving: AtomicBool,
    ended: watch::Receiver<bool>,
}

impl Host {
    /// Starts a node.
    pub(super) async fn start(builder: Builder) -> anyhow::Result<Self> {
        let (began, beginning) = oneshot::channel();
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (ends, ended) = watch::channel(false);
        let thread = std::thread::Builder::new().name("node".to_owned());
        thread
            .spawn(move || {
                run(builder, began, inbox);
                ends.send_replace(true);
            })
            .context("no thread could be started for a node")?;
        let (node, runtime) = beginning.await.context("the thread of a node broke")??;
        let (thaws, is_leaving) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { node, runtime, orders, thaws, is_leaving, ended })
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn name(&self) -> &NodeName {
        self.node.name()
    }

    /// Founds a ring of one.
    pub(super) async fn create(&self) -> Result<(), CommandError> {
        let node = self.node.clone();
        let done = self.runtime.spawn(async move { node.create().await });
        done.await.unwrap_or(Err(CommandError::Busy))
    }

    /// Joins the ring of another.
    pub(super) async fn join(&self, contact: NodeName) -> Result<(), CommandError> {
        let node = self.node.clone();
        let done = self.runtime.spawn(async move { node.join(contact).await });
        done.await.unwrap_or(Err(CommandError::Busy))
    }

    /// Has it hand its records over and leave.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        let node = self.node.clone();
        self.runtime.spawn(async move { node.shutdown().await });
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Has the thread stand still as a process does that was sent SIGSTOP: its connections stay, and nothing on them is read.
    pub(super) fn freeze(&self) {
        let (thaws, stands_still) = thread_mpsc::channel();
        if self.orders.try_send(stands_still).is_ok() {
            *self.thaws.lock().unwrap_or_else(PoisonError::into_inner) = Some(thaws);
        }
    }

    pub(super) fn thaw(&self) {
        if let Some(thaws) = self.thaws.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Whoever does not hear it has ended.
            let _ = thaws.send(());
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.thaws.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Ends the thread at once, as SIGKILL does a process: nobody is told, nothing is kept.
    pub(super) fn kill(&self) {
        let (_, nothing) = thread_mpsc::channel();
        // A thread that takes no orders has ended already.
        let _ = self.orders.try_send(nothing);
        *self.thaws.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until the thread has ended, for whatever reason.
    pub(super) async fn ended(&self) {
        // The thread drops the sender when it ends.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

/// What the thread of a node does.
fn run(
    builder: Builder,
    began: oneshot::Sender<anyhow::Result<(Node, Handle)>>,
    orders: mpsc::Receiver<StandStill>,
) {
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            runtime.block_on(live(builder, began, orders));
            runtime.shutdown_background();
        }
        Err(error) => {
            // Whoever started it has gone if it does not hear that.
            let _ = began.send(Err(error.into()));
        }
    }
}

/// Returns when the node has stopped, or is killed: everything else that happens on this thread ends with that.
async fn live(
    builder: Builder,
    began: oneshot::Sender<anyhow::Result<(Node, Handle)>>,
    mut orders: mpsc::Receiver<StandStill>,
) {
    let node = match builder.start().await {
        Ok(node) => node,
        Err(error) => {
            let _ = began.send(Err(error.into()));
            return;
        }
    };
    if began.send(Ok((node.clone(), Handle::current()))).is_err() {
        return;
    }
    loop {
        tokio::select! {
            () = node.stopped() => return,
            order = orders.recv() => {
                let Some(stands_still) = order else { return };
                // This is the only thread that runs anything of the node, and here it stands.
                if stands_still.recv().is_err() {
                    return;
                }
            }
        }
    }
}
