//! Building a node: from settings to a listener that serves.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use chord_disk::OpenError;
use chord_kv::Store;
use chord_kv::replication::{self, Now, REPLICAS_DEFAULT, REPLICAS_MAX, Replicator};
use chord_ring::{
    Config, Incarnation, NodeName, NodeNameError, Peer, RingName, RingSize, RingTag, SUCCESSORS_DEFAULT,
    SlownessError, SuccessorsError,
};
use chord_wire::Copies;
use tokio::sync::{OnceCell, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::age::now_ms;
use crate::annex::Annex;
use crate::beginning::{Beginning, Meanwhile, Past};
use crate::clients::Clients;
use crate::clock::{Differences, check_clock};
use crate::contact::Contact;
use crate::crawl::Crawler;
use crate::crew::{Crew, Runtimes};
use crate::door::BUDGET_UNIT;
use crate::guard::Guard;
use crate::links::{Links, tidy};
use crate::listen::bind;
use crate::metrics::Metrics;
use crate::network::Network;
use crate::node::Node;
use crate::owner::Owner;
use crate::probe::{Probe, probe};
use crate::reach::{OwnCall, check_name};
use crate::records::{Records, follow_store, keep_time};
use crate::secret::{Holder, SecretFile};
use crate::shared::{MAILBOX_MAX, ROUNDS_MAX, Shared, Stage};
use crate::shortcuts::Shortcuts;
use crate::storage::{DataDir, Storage, remember, report_damage};
use crate::tls::NodeTls;
use crate::{
    Language, LimitError, Limits, MemoryError, OnDamage, SecretFileError, Shape, Syncing, TlsFileError,
    TlsFiles, door,
};

/// Where a node listens that was told nothing.
const LISTEN_DEFAULT: &str = "127.0.0.1:4567";

/// The settings of a node that is to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    listen: String,
    name: Option<NodeName>,
    ring_size: RingSize,
    ring_name: RingName,
    successors: u8,
    replicas: u8,
    write_quorum: Option<u8>,
    data: Option<DataDir>,
    beginning: Beginning,
    meanwhile: Meanwhile,
    language: Language,
    limits: Limits,
    may_flush: bool,
    slowness: u8,
    network: Option<Network>,
    annex: Option<Arc<dyn Annex>>,
    threads: Option<NonZeroUsize>,
    secret_file: Option<PathBuf>,
    tls: Option<TlsFiles>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is no `HOST:PORT`.
    #[error("cannot listen on that address: {0}")]
    Address(#[from] NodeNameError),
    /// The host is unknown.
    #[error("cannot listen on {address}: the host name is unknown ({error})")]
    UnknownHost {
        /// The address.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody listens there already.
    #[error(
        "cannot listen on {address}: the port is taken; stop the program that uses it, or choose another port"
    )]
    PortTaken {
        /// The address.
        address: String,
    },
    /// The system does not allow it.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// An address that means every interface cannot be a node's name.
    #[error(
        "cannot listen on {0}: it means every address of this machine, and no other node can reach a node by it; \
         name the address or host name that they use, or listen there under a name that they do"
    )]
    Unspecified(String),
    /// The number of successors is out of range.
    #[error(transparent)]
    Successors(#[from] SuccessorsError),
    /// Maintenance cannot be that slow.
    #[error(transparent)]
    Slowness(#[from] SlownessError),
    /// The number of copies is out of range.
    #[error("the number of replicas must be from 1 to {max}")]
    Replicas {
        /// The most there can be.
        max: u8,
    },
    /// Copies are kept by successors, and the node lists too few of them.
    #[error("{replicas} copies of a key are kept by a node and its successors, of which it lists {successors} alone: list {} or more, or keep fewer copies", .replicas - 1)]
    FewSuccessors {
        /// How many copies there are to be.
        replicas: u8,
        /// How many successors the node keeps.
        successors: u8,
    },
    /// More copies are wanted for a write than there are to be, or none.
    #[error("the write quorum must be from 1 to the number of replicas, which is {replicas}")]
    WriteQuorum {
        /// How many copies there are to be.
        replicas: u8,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The limits allow more memory than there may be.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There are no secrets where they were to be.
    #[error(transparent)]
    Secrets(#[from] SecretFileError),
    /// TLS cannot be spoken with the files that were named.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// Connections cannot be served on threads of their own.
    #[error("cannot start the threads that serve connections: {0}; ask for fewer")]
    Threads(io::Error),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: LISTEN_DEFAULT.to_owned(),
            name: None,
            ring_size: RingSize::DEFAULT,
            ring_name: RingName::default(),
            successors: SUCCESSORS_DEFAULT,
            replicas: REPLICAS_DEFAULT,
            write_quorum: None,
            data: None,
            beginning: Beginning::Found,
            meanwhile: Meanwhile::Wait,
            language: Language::Http,
            limits: Limits::default(),
            may_flush: false,
            slowness: 1,
            network: None,
            annex: None,
            threads: None,
            secret_file: None,
            tls: None,
        }
    }
}

impl Builder {
    /// Listens on `address`, `HOST:PORT`; port 0 takes any free one. With the real port this is the node's name, so other
    /// nodes must be able to reach it. `127.0.0.1:4567` unless told otherwise.
    pub fn listen(self, address: &str) -> Self {
        Self { listen: address.to_owned(), ..self }
    }

    /// The node's name is another than where it listens, which may be every address of the machine then: it is in a container,
    /// it stands behind a proxy, or its port is mapped. Other nodes must be able to reach it by that name; soon after the start
    /// the node looks whether it reaches itself so, and says in its log if not.
    pub fn known_as(self, name: NodeName) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The size of the ring in bits; 160 unless told otherwise. The same on all its nodes.
    pub fn ring_size(self, size: RingSize) -> Self {
        Self { ring_size: size, ..self }
    }

    /// The name of the ring; `chord` unless told otherwise. The same on all its nodes.
    pub fn ring_name(self, name: RingName) -> Self {
        Self { ring_name: name, ..self }
    }

    /// How many successors to keep, 1 to 64; 8 unless told otherwise. The same on all nodes of a ring.
    pub fn successors(self, successors: u8) -> Self {
        Self { successors, ..self }
    }

    /// Joins the ring of `contact`, rather than found one. With several contacts the first that answers is taken; the
    /// node keeps trying until one does.
    pub fn join(self, contact: NodeName) -> Self {
        self.join_through(contact.into())
    }

    /// The same through a contact that need not be one node.
    pub fn join_through(self, contact: Contact) -> Self {
        let mut contacts = match self.beginning {
            Beginning::Join(contacts) => contacts,
            Beginning::Found | Beginning::WaitForCommand => Vec::new(),
        };
        contacts.push(contact);
        Self { beginning: Beginning::Join(contacts), ..self }
    }

    /// Founds a ring if none of the contacts to join is in one, rather than wait for that. For one node of a ring only,
    /// which so finds its way back when it starts again: two that do it may found two rings, which merge later.
    pub fn found_if_none(self) -> Self {
        Self { meanwhile: Meanwhile::Found, ..self }
    }

    /// Neither founds nor joins: waits for a `create` or `join` from a client.
    pub fn wait_for_command(self) -> Self {
        Self { beginning: Beginning::WaitForCommand, ..self }
    }

    /// What the node speaks first to a peer that it does not know; JSON over HTTP unless told otherwise. A peer that speaks
    /// only the other language is spoken to in that.
    pub fn language(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// Keeps its records, its identity and the names of its peers in that directory, which is made if it is not there; in
    /// memory unless told so. A node that is started again with it has its records, and finds its ring by itself.
    pub fn data(self, dir: impl AsRef<Path>) -> Self {
        let path = dir.as_ref().to_path_buf();
        let data =
            self.data.map_or_else(|| DataDir::new(&path), |data| DataDir { path: path.clone(), ..data });
        Self { data: Some(data), ..self }
    }

    /// When what is written to the data directory is safe; before it is acknowledged unless told otherwise. To be said after
    /// [`Builder::data`], and nothing without it.
    pub fn sync(self, sync: Syncing) -> Self {
        Self { data: self.data.map(|data| DataDir { sync, ..data }), ..self }
    }

    /// What to do with records that turn out damaged as a whole when the node starts; set them aside unless told otherwise.
    /// To be said after [`Builder::data`], and nothing without it.
    pub fn on_damage(self, on_damage: OnDamage) -> Self {
        Self { data: self.data.map(|data| DataDir { on_damage, ..data }), ..self }
    }

    /// What the node accepts, keeps and waits for.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Lets Redis clients of this node delete all keys of the ring, by FLUSHDB and FLUSHALL, whoever wrote them.
    pub fn allow_flush(self) -> Self {
        Self { may_flush: true, ..self }
    }

    /// Maintenance of the ring in slow motion, to look at: its pauses are that many times as long, 1 to 200.
    pub fn slowness(self, slowness: u8) -> Self {
        Self { slowness, ..self }
    }

    /// Reaches other nodes by a network that can be cut.
    pub fn network(self, network: Network) -> Self {
        Self { network: Some(network), ..self }
    }

    /// Has requests below `/dev/` at its door answered by that; see [`Annex`].
    pub fn annex(self, annex: Arc<dyn Annex>) -> Self {
        Self { annex: Some(annex), ..self }
    }

    /// Serves connections on so many threads of the node's own, each connection on one of them. A program that does nothing but
    /// run a node is faster so, with one thread for each core. Unless told otherwise, they are served in the runtime that the
    /// node is started in, as everything else is.
    pub fn threads(self, threads: NonZeroUsize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Lets nobody in who does not know a secret of that file, and proves to the other nodes that this one does. Read again
    /// when it changes.
    ///
    /// Each of its lines is a secret of at least 16 printable characters, or a [`Role`](crate::Role), a space and a secret. A
    /// secret alone is that of nodes, which allows everything; all nodes of a ring have one in common.
    pub fn secret_file(self, path: impl AsRef<Path>) -> Self {
        Self { secret_file: Some(path.as_ref().to_owned()), ..self }
    }

    /// Speaks nothing but TLS, with clients and with the other nodes, which all do so too; read again when the files change.
    ///
    /// Clients need no certificate; other nodes show one for the host of their name, and this node does so to them.
    pub fn tls(self, files: TlsFiles) -> Self {
        Self { tls: Some(files), ..self }
    }

    /// R: how many nodes keep a copy of each key, its owner included, 1 to 8; 3 unless told otherwise. The same on all nodes
    /// of a ring, and at most one more than the successors that they list.
    pub fn replicas(self, replicas: u8) -> Self {
        Self { replicas, ..self }
    }

    /// W: how many copies must be made before a write is acknowledged, 1 to R; more than half of R unless told otherwise. The
    /// same on all nodes of a ring.
    pub fn write_quorum(self, copies: u8) -> Self {
        Self { write_quorum: Some(copies), ..self }
    }

    fn replication(&self) -> replication::Settings {
        replication::Settings {
            replicas: self.replicas,
            write_quorum: self.write_quorum,
            value_bytes_max: self.limits.value_bytes,
            departure_max: self.limits.departure,
            copies_bytes_max: self.limits.copies_bytes,
            unheard_bytes_max: self.limits.watched_bytes,
            waits_for_disk: !self.data.as_ref().is_some_and(|data| matches!(data.sync, Syncing::Interval(_))),
            ..replication::Settings::new(self.ring_size)
        }
    }

    fn secrets(&self) -> Result<Option<Arc<SecretFile>>, SecretFileError> {
        let opened = self.secret_file.as_ref().map(|path| SecretFile::open(path, Holder::Node));
        Ok(opened.transpose()?.map(Arc::new))
    }

    fn certificates(&self, name: &NodeName) -> Result<Option<Arc<NodeTls>>, TlsFileError> {
        let opened = self.tls.clone().map(|files| NodeTls::open(files, name.clone()));
        Ok(opened.transpose()?.map(Arc::new))
    }

    fn links(
        &self,
        me: &NodeName,
        ring: &RingTag,
        secrets: Option<Arc<SecretFile>>,
        tls: Option<&NodeTls>,
    ) -> Links {
        let copies = Copies { replicas: self.replicas, write_quorum: self.write_quorum };
        let dialer = tls.map(|tls| tls.dialer().clone());
        let (limits, language) = (self.limits.clone(), self.language);
        Links::new(me.clone(), ring.clone(), copies, limits, language, secrets, dialer)
            .over(self.network.clone())
    }

    fn config(&self, ring: &RingTag) -> Result<Config, StartError> {
        Ok(Config::new(ring.clone()).with_successors(self.successors)?.with_slowness(self.slowness)?)
    }

    /// What decides what the node keeps in memory, beside its limits.
    fn shape(&self) -> Shape {
        let threads = self.threads.map_or(0, NonZeroUsize::get);
        Shape { replicas: self.replicas, on_disk: self.data.is_some(), in_tls: self.tls.is_some(), threads }
    }

    fn check_numbers(&self) -> Result<(), StartError> {
        self.limits.check()?;
        self.limits.check_memory(self.shape())?;
        if !(1..=REPLICAS_MAX).contains(&self.replicas) {
            return Err(StartError::Replicas { max: REPLICAS_MAX });
        }
        let (replicas, successors) = (self.replicas, self.successors);
        if successors > 0 && replicas - 1 > successors {
            return Err(StartError::FewSuccessors { replicas, successors });
        }
        match self.write_quorum {
            Some(copies) if !(1..=self.replicas).contains(&copies) => {
                Err(StartError::WriteQuorum { replicas: self.replicas })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Binds the listener and starts to serve. A node that founds a ring is a member when this returns; for one that
    /// joins, see [`Node::ready`].
    ///
    /// # Errors
    /// The settings make no sense, or the address cannot be had.
    pub async fn start(self) -> Result<Node, StartError> {
        self.check_numbers()?;
        let (settings, size, secrets) = (self.replication(), self.ring_size, self.secrets()?);
        let now = Now { elapsed: Duration::ZERO, wall_ms: now_ms() };
        let ring = RingTag { name: self.ring_name.clone(), size };
        let config = self.config(&ring)?;
        // The port is taken before a directory is made, and opened after it: nobody should wait while records are read.
        let bound = bind(&self.listen, self.name.is_some()).await?;
        // Where it listens follows what its name means, unless that leads elsewhere.
        let follows = self.name.is_none().then(|| bound.name.clone());
        let name = self.name.clone().unwrap_or_else(|| bound.name.clone());
        let tls = self.certificates(&name)?;
        let storage = Storage::open(self.data.as_ref(), &name, &ring, &self.limits).await?;
        let listener = bound.listen()?;
        let listens_at = listener.local_addr().ok();
        let (store, past) = (storage.store(), storage.past(&name).await);
        let me = Peer::of_name(name, size);
        // Later lives of a node have later numbers, as long as its clock does not go back.
        let machine = chord_ring::Node::new(config, me.clone(), Incarnation(now_ms()));
        let records = replicator(&me, settings, &store, &past, now);
        let (mailbox, letters) = mpsc::channel(MAILBOX_MAX);
        let crew = Crew::of(self.threads).map_err(StartError::Threads)?;
        let runtimes = Runtimes::with(&crew);
        let links = self.links(&me.name, &ring, secrets.clone(), tls.as_deref()).beside(runtimes.crew());
        let guard = Guard::new(secrets.clone()).with_certificates(tls.is_some());
        let shared = Arc::new_cyclic(|shared| Shared {
            runtimes,
            me: me.clone(),
            ring,
            view: ArcSwap::from_pointee(machine.view().clone()),
            view_changed: watch::Sender::new(()),
            disk: storage.disk(),
            clock: records.clock(),
            records: Records::new(me.clone(), records, store.clone(), shared.clone()),
            store,
            body_budget: Semaphore::new(self.limits.bodies_bytes / BUDGET_UNIT),
            clients: Clients::new(guard.offences().clone()),
            watched_bytes: Arc::default(),
            dozes: AtomicU64::new(0),
            rounds: Semaphore::new(ROUNDS_MAX),
            links,
            annex: self.annex,
            mailbox,
            acquaintances: watch::Sender::new(Vec::new()),
            departed: Mutex::default(),
            askers: Mutex::default(),
            shortcuts: Shortcuts::new(size),
            unmet: Mutex::default(),
            waits_for: Mutex::default(),
            join_refused: watch::Sender::new(None),
            stage: watch::Sender::new(Stage::Running),
            departure: OnceCell::new(),
            started_at_ms: now.wall_ms,
            crawler: Crawler::default(),
            violations: AtomicU64::new(0),
            metrics: Metrics::default(),
            probe: Probe::default(),
            own_call: OwnCall::new(follows.is_none()),
            clock_differences: Differences::default(),
            limits: self.limits,
            may_flush: self.may_flush,
            guard,
            tls,
        });
        let owner = Owner::new(machine, shared.clone(), letters);
        run(owner, door::serve(listener, follows, crew, shared.clone()), &shared);
        look_after(storage, secrets, listens_at, &shared);
        self.beginning.begin(self.meanwhile, &shared, past).await;
        Ok(Node::new(shared))
    }
}

/// The machine of the records, which knows with whom it was if it has some of an earlier life.
fn replicator(
    me: &Peer,
    settings: replication::Settings,
    store: &Arc<dyn Store>,
    past: &Past,
    now: Now,
) -> Replicator {
    let size = settings.size;
    let mut records = Replicator::new(me.clone(), settings, store.clone(), now);
    if store.usage().records > 0 {
        let known = past.peers().iter().map(|name| Peer::of_name(name.clone(), size));
        records.handle(now, replication::Input::Recall(known.collect()));
    }
    records
}

/// Looks whether this node's clock and its name are what they should be, and says in the log if not.
fn check(listens_at: Option<SocketAddr>, shared: &Arc<Shared>) {
    check_clock(&shared.me.name, shared.started_at_ms);
    if let Some(there) = listens_at {
        let checking = tokio::spawn(check_name(shared.clone(), there));
        tokio::spawn(watch_over("check of the name", checking, shared.clone(), Stage::Closing));
    }
}

/// Starts the tasks without which the node is none.
fn run(owner: Owner, door: impl Future<Output = ()> + Send + 'static, shared: &Arc<Shared>) {
    let owner = tokio::spawn(owner.run());
    let timing = tokio::spawn(keep_time(shared.clone()));
    shared.runtimes.serving().spawn(follow_store(shared.clone()));
    let door = tokio::spawn(door);
    tokio::spawn(watch_over("owner", owner, shared.clone(), Stage::Closing));
    tokio::spawn(watch_over("records", timing, shared.clone(), Stage::Closing));
    tokio::spawn(watch_over("door", door, shared.clone(), Stage::Stopped));
}

/// Closes connections that nobody uses, asks others whether they find this node, takes secrets and certificates as they change, says what turns
/// out damaged on a disk, and writes down there whom the node knows.
fn look_after(
    storage: Storage,
    secrets: Option<Arc<SecretFile>>,
    listens_at: Option<SocketAddr>,
    shared: &Arc<Shared>,
) {
    check(listens_at, shared);
    if let Some(secrets) = secrets {
        let following = tokio::spawn(follow(secrets, shared.clone()));
        tokio::spawn(watch_over("secrets", following, shared.clone(), Stage::Closing));
    }
    if let Some(tls) = &shared.tls {
        let following = tokio::spawn(follow_files(tls.clone(), shared.clone()));
        tokio::spawn(watch_over("certificates", following, shared.clone(), Stage::Closing));
    }
    let tidying = tokio::spawn(tidy(shared.clone()));
    tokio::spawn(watch_over("tidying", tidying, shared.clone(), Stage::Closing));
    let probing = tokio::spawn(probe(shared.clone()));
    tokio::spawn(watch_over("probe", probing, shared.clone(), Stage::Closing));
    let Storage::Disk(disk) = storage else { return };
    let reporting = tokio::spawn(report_damage(shared.clone(), disk.clone()));
    tokio::spawn(watch_over("report of damage", reporting, shared.clone(), Stage::Closing));
    let remembering = tokio::spawn(remember(shared.clone(), disk));
    tokio::spawn(watch_over("memory of peers", remembering, shared.clone(), Stage::Closing));
}

/// Takes the secrets of the file as they change, until the node has stopped.
async fn follow(secrets: Arc<SecretFile>, shared: Arc<Shared>) {
    tokio::select! {
        () = secrets.follow() => {}
        () = shared.reached(Stage::Stopped) => {}
    }
}

/// Takes certificates, keys and authorities as their files change, until the node has stopped.
async fn follow_files(tls: Arc<NodeTls>, shared: Arc<Shared>) {
    tokio::select! {
        () = tls.follow() => {}
        () = shared.reached(Stage::Stopped) => {}
    }
}

/// A node of which one task broke would go on without it, and wait for it when it ends: it goes to that stage instead.
async fn watch_over(name: &'static str, task: JoinHandle<()>, shared: Arc<Shared>, stage: Stage) {
    if let Err(error) = task.await {
        tracing::error!(event = "task-broke", "the {name} task broke, the node stops: {error}");
        shared.advance(stage);
    }
}
