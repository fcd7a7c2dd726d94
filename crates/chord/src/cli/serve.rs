//! `chord serve`: one node, until it is told to stop.

mod conflicts;

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::bail;
use chord::{
    Builder, CONNECTIONS_MIN, Contact, Departure, JoinEnded, Language, Node, NodeName, OnDamage,
    REPLICAS_DEFAULT, REPLICAS_MAX, RingName, RingSize, SUCCESSORS_DEFAULT, SUCCESSORS_LIMIT, Shape,
    StartError, Syncing, THREAD_FILES, TlsFileError,
};
use clap::{Args, ValueEnum};

use super::exit::{Unfit, Usage};
use super::files;
use super::hosts;
use super::limits::LimitArgs;
use super::number::{self, Bytes};
use super::otlp::OtlpArgs;
use super::output::note;
use super::place::{Place, PlaceArgs, means_every_address};
use super::signals::Signals;
use super::tls::NodeTlsArgs;
pub(crate) use conflicts::{Conflict, Refused};

/// Run one node: it founds a ring, or with --join becomes a member of one
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// A file that says what options and variables leave open; each of its keys is an option of this command
    ///
    /// An option comes before its variable, that before the file, and that before the default. `chord config example` prints a
    /// file with every key, and `chord config check` says what is wrong with one.
    #[arg(long, value_name = "FILE", env = "CHORD_CONFIG")]
    config: Option<PathBuf>,

    /// Print what the node would be told, with where each value comes from, as a file for --config, and end
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    place: PlaceArgs,

    /// Number of bits of a position, 1 to 256; the same on every node of a ring
    #[arg(long, value_name = "BITS", env = "CHORD_RING_SIZE", default_value_t = RingSize::DEFAULT)]
    ring_size: RingSize,

    #[command(flatten)]
    member: MemberArgs,
}

/// What every command that runs one node takes.
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    /// Name of the ring; nodes of different rings never mix
    #[arg(long, value_name = "NAME", env = "CHORD_RING", default_value = "chord")]
    ring: RingName,

    /// How many successors the node keeps, 1 to 64: more survive more failures at one time
    #[arg(long, value_name = "COUNT", env = "CHORD_SUCCESSORS", default_value_t = SUCCESSORS_DEFAULT,
        value_parser = number::within::<u8>("the number of successors", 1..=SUCCESSORS_LIMIT.into()))]
    successors: u8,

    /// A member of the ring to join; may be repeated, or hold several with commas between: the first that answers is
    /// taken, and they are tried until one does
    ///
    /// With `dns:` before it, HOST is a name that stands for many nodes: all its addresses are asked who is there, and it is
    /// looked up anew each time.
    #[arg(long, value_name = "HOST:PORT", env = "CHORD_JOIN", value_delimiter = ',')]
    join: Vec<Contact>,

    /// Found a ring if none of the nodes to join is in one, rather than wait; for one node of a ring only
    ///
    /// So the node that founded a ring finds its way back into it when it starts again.
    #[arg(long, env = "CHORD_FOUND", value_parser = yes_or_no)]
    found: bool,

    /// How many nodes keep a copy of each key, 1 to 8; the same on every node of a ring
    #[arg(long, value_name = "COUNT", env = "CHORD_REPLICAS", default_value_t = REPLICAS_DEFAULT,
        value_parser = number::within::<u8>("the number of replicas", 1..=REPLICAS_MAX.into()))]
    replicas: u8,

    /// How many copies must be made before a write is acknowledged, 1 to the number of replicas; more than half of them, or of
    /// the nodes that there are, if not given; the same on every node of a ring
    #[arg(long, value_name = "COUNT", env = "CHORD_WRITE_QUORUM",
        value_parser = number::within::<u8>("the write quorum", 1..=REPLICAS_MAX.into()))]
    write_quorum: Option<u8>,

    /// Threads that serve connections, 1 to 1024; as many as the machine has cores, if not given, but no more than one for
    /// each 16 MiB of --memory-max
    #[arg(long, value_name = "COUNT", env = "CHORD_THREADS",
        value_parser = number::within::<u16>("the number of threads", 1..=1024))]
    threads: Option<u16>,

    /// Let Redis clients of this node delete all keys of the ring, by FLUSHDB and FLUSHALL
    ///
    /// Whoever reaches the node can do it then, and it deletes what others wrote too.
    #[arg(long, env = "CHORD_ALLOW_FLUSH", value_parser = yes_or_no)]
    allow_flush: bool,

    /// Let nobody in who does not know a secret of this file, and join nodes that know one
    ///
    /// Each line is a secret of 16 characters or more, or a role (read, write, admin or node), a space and a secret; a secret
    /// alone allows everything. The nodes of a ring have one in common. The file is read again when it changes; others than
    /// its owner and group must not be able to read it.
    #[arg(long, value_name = "FILE", env = "CHORD_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    #[command(flatten)]
    tls: NodeTlsArgs,

    #[command(flatten)]
    storage: StorageArgs,

    #[command(flatten)]
    pub(crate) otlp: OtlpArgs,

    #[command(flatten)]
    limits: LimitArgs,

    /// The node's name, if another than where it listens leads to it: for measurements that stand between
    #[arg(long, value_name = "HOST:PORT", hide = true)]
    known_as: Option<NodeName>,

    /// End at once when standard input ends: whoever holds its other end may die without a word
    #[arg(long, hide = true)]
    end_with_input: bool,
}

/// Where a node keeps its records.
#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// Keep records, identity and the names of peers in this directory, which is made if it is not there; in memory if not
    /// given
    ///
    /// A node that starts again with it has its records, and finds its ring by itself.
    #[arg(long, value_name = "DIR", env = "CHORD_DATA")]
    data: Option<PathBuf>,

    /// When a write is on the disk: always before it is acknowledged, or at an interval of a second, while only the other
    /// copies outlive a crash; always if not given
    #[arg(long, value_name = "WHEN", env = "CHORD_SYNC", value_enum)]
    sync: Option<When>,

    /// What to do at the start when the file with the records is damaged as a whole, gone or empty: set it aside and begin a
    /// new one with what can be read of it, since other nodes have copies, or refuse to start; set-aside if not given
    ///
    /// Refuse where this node has the only copy, and restore it from a backup then.
    #[arg(long, value_name = "WHAT", env = "CHORD_ON_DAMAGE", value_enum)]
    on_damage: Option<What>,
}

/// What to do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    SetAside,
    Refuse,
}

/// When what was written is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Always,
    Interval,
}

/// Between two syncs of the disk where they are not waited for.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

impl StorageArgs {
    fn configure(&self, builder: Builder) -> Builder {
        let Some(dir) = &self.data else { return builder };
        let sync = match self.sync {
            None | Some(When::Always) => Syncing::Always,
            Some(When::Interval) => Syncing::Interval(SYNC_INTERVAL),
        };
        let on_damage = match self.on_damage {
            None | Some(What::SetAside) => OnDamage::SetAside,
            Some(What::Refuse) => OnDamage::Refuse,
        };
        builder.data(dir).sync(sync).on_damage(on_damage)
    }
}

const EXAMPLES: &str = "\
Examples:
  chord serve
  chord serve --data /var/lib/chord
  chord serve --listen 127.0.0.1:4568 --join 127.0.0.1:4567
  chord serve --config /etc/chord/chord.toml
  chord serve --bind 0.0.0.0:4567 --advertise node1:4567 --join dns:chord:4567
  chord serve --listen node2:4567 --join node1:4567 --join node3:4567
  chord serve --listen node1:4567 --join node2:4567 --join node3:4567 --found";

/// One node's settings, whichever command they came from.
#[derive(Debug)]
pub(crate) struct ServeOptions {
    pub(crate) place: Place,
    pub(crate) ring_size: RingSize,
    /// What it speaks first to peers.
    pub(crate) language: Language,
    pub(crate) member: MemberArgs,
    pub(crate) begin: Begin,
}

/// What a node does first when it was not told whom to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Founds a ring.
    Found,
    /// Waits for `create` or `join`, as chord.py does.
    OnCommand,
}

impl ServeArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { config: _, print_config: _, place, ring_size, member } = self;
        let (place, language) = (place.place()?, Language::Http);
        ServeOptions { place, ring_size, language, member, begin: Begin::Found }.run().await
    }

    pub(crate) fn otlp(&self) -> &OtlpArgs {
        &self.member.otlp
    }
}

impl MemberArgs {
    /// What decides what the node keeps in memory, beside its limits.
    fn shape(&self) -> Shape {
        let in_tls = matches!(self.tls.files(), Ok(Some(_)));
        let threads = self.n_threads().get();
        Shape { replicas: self.replicas, on_disk: self.storage.data.is_some(), in_tls, threads }
    }

    /// How many threads serve connections.
    fn n_threads(&self) -> NonZeroUsize {
        if let Some(wanted) = self.threads.and_then(|wanted| NonZeroUsize::new(wanted.into())) {
            return wanted;
        }
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let at_most = self.limits.threads_at_most().unwrap_or(usize::MAX);
        cores.min(NonZeroUsize::new(at_most).unwrap_or(NonZeroUsize::MIN))
    }

    /// Raises the limit on open files, and fails if what somebody wants does not fit.
    fn ensure_files(&self) -> anyhow::Result<()> {
        let (connections, threads) = (self.limits.connections_wanted(), self.threads);
        let what = match (connections, threads) {
            (None, None) => {
                files::raise_limit();
                return Ok(());
            }
            (Some(_), None) => "--connections",
            (None, Some(_)) => "--threads",
            (Some(_), Some(_)) => "--connections with --threads",
        };
        let of_threads = THREAD_FILES.saturating_mul(self.n_threads().get() as u64);
        files::ensure(connections.unwrap_or(CONNECTIONS_MIN as u64) + of_threads, what)
    }
}

impl ServeOptions {
    /// Runs the node until a signal or a client ends it.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.member.check()?;
        let mut signals = Signals::new()?;
        self.member.ensure_files()?;
        let node = self.member.tls.configure(self.builder()?)?.start().await.map_err(not_started)?;
        self.member.otlp.send_while(&node, self.serve(&node, &mut signals)).await
    }

    /// Runs a node that has been started, until it has left.
    async fn serve(&self, node: &Node, signals: &mut Signals) -> anyhow::Result<()> {
        note(format_args!("Running on {} with ring size {}...", node.name(), self.ring_size));
        self.tell_memory();
        if self.member.storage.data.is_none() {
            tracing::info!(
                event = "memory-only",
                "records are kept in memory: what this node alone has ends with its process"
            );
        }
        if self.member.secret_file.is_none() && !self.is_local(node) {
            tracing::warn!(
                event = "no-secret",
                "whoever reaches {} can read, change and delete every key of the ring: name a file with a secret by --secret-file, on each node the same, unless all who do are to be trusted",
                self.listens_at(node)
            );
        }
        tokio::select! {
            ended = self.belong(node) => ended,
            () = signals.next() => self.leave(node, signals).await,
            () = end_of_input(), if self.member.end_with_input => {
                bail!("stopped: the program that started this node has ended")
            }
        }
    }

    /// Says what the memory is divided into, if there is a limit on it.
    fn tell_memory(&self) {
        let Ok(limits) = self.member.limits.limits(self.member.shape()) else { return };
        let Some(memory) = limits.memory else { return };
        let (what, records) = match self.member.storage.data {
            None => ("records", limits.store_bytes),
            Some(_) => ("records at hand", Bytes::of(limits.cache_bytes).0),
        };
        tracing::info!(
            event = "memory-divided",
            "of {} of memory {} are for {what}, {} for large requests and answers, and the rest for {} connections and what else a node needs",
            Bytes(memory).about(),
            Bytes(records).about(),
            Bytes::of(limits.bodies_bytes).about(),
            limits.connections
        );
    }

    /// Where the node listens, in words.
    fn listens_at(&self, node: &Node) -> String {
        let has_other_name = self.place.advertise.is_some() || self.member.known_as.is_some();
        let at = if has_other_name { self.place.listen.as_str() } else { node.name().as_str() };
        let every = if means_every_address(at) { ", which is every address of this machine," } else { "" };
        format!("{at}{every}")
    }

    /// Whether only this machine reaches the node: it listens there alone, and is called so.
    fn is_local(&self, node: &Node) -> bool {
        let listens_at = self.place.listen.rsplit_once(':').map_or("", |(host, _)| host);
        is_loopback(node.name().host()) && is_loopback(listens_at)
    }

    fn builder(&self) -> Result<Builder, Usage> {
        let MemberArgs {
            ring,
            successors,
            join,
            found,
            replicas,
            write_quorum,
            threads: _,
            allow_flush,
            secret_file,
            tls: _,
            storage,
            otlp: _,
            limits,
            known_as,
            end_with_input: _,
        } = &self.member;
        let builder = storage.configure(Node::builder()).replicas(*replicas);
        let builder = write_quorum.iter().fold(builder, |builder, copies| builder.write_quorum(*copies));
        let builder = builder
            .limits(limits.limits(self.member.shape())?)
            .listen(&self.place.listen)
            .ring_size(self.ring_size)
            .language(self.language)
            .threads(self.member.n_threads())
            .ring_name(ring.clone())
            .successors(*successors);
        let builder = if *allow_flush { builder.allow_flush() } else { builder };
        let builder = secret_file.iter().fold(builder, Builder::secret_file);
        let name = self.place.advertise.as_ref().or(known_as.as_ref());
        let builder = name.iter().fold(builder, |builder, name| builder.known_as((*name).clone()));
        if join.is_empty() && self.begin == Begin::OnCommand {
            return Ok(builder.wait_for_command());
        }
        let builder = if *found { builder.found_if_none() } else { builder };
        Ok(join.iter().fold(builder, |builder, contact| builder.join_through(contact.clone())))
    }

    /// Says when the node is a member, and ends when a client has stopped it. May be dropped at any point.
    async fn belong(&self, node: &Node) -> anyhow::Result<()> {
        let joins = !self.member.join.is_empty();
        let waits = !joins && self.begin == Begin::OnCommand;
        if !waits {
            let telling = tokio::spawn(hosts::tell_unknown(self.member.join.clone()));
            let ready = node.ready().await;
            telling.abort();
            match ready {
                Ok(()) => welcome(node),
                // A client ended the node before it was a member.
                Err(JoinEnded::Stopped) => {}
                Err(error) => return Err(error.into()),
            }
        }
        node.stopped().await;
        self.conclude(&node.shutdown().await)
    }
}

/// Why a node did not start: by what it was told, which stays wrong however often it is started, or by what may be otherwise soon.
fn not_started(error: StartError) -> anyhow::Error {
    match error {
        // The clock goes on, and may be set right meanwhile.
        StartError::Tls(TlsFileError::NotYet { .. }) => error.into(),
        StartError::Secrets(_) | StartError::Tls(_) => Unfit::new(error).into(),
        _ => error.into(),
    }
}

/// The value of a switch in the environment.
fn yes_or_no(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "a switch is true or false".to_owned())
}

/// Ends when standard input does, or cannot be read.
async fn end_of_input() {
    // What comes before the end means nothing. A read from a pipe would hold up the executor: it has a thread.
    let read = || io::copy(&mut io::stdin().lock(), &mut io::sink());
    let _ = tokio::task::spawn_blocking(read).await;
}

/// Whether only this machine reaches that host.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().map_or(host == "localhost", |address| address.is_loopback())
}

/// Signals within so short a time are one.
const ONE_WISH: Duration = Duration::from_millis(500);

fn welcome(node: &Node) {
    let (name, view) = (node.name(), node.view());
    match view.successors().head() {
        Some(next) => note(format_args!("Joined the ring; the next node is {}", next.name)),
        None => note(format_args!("Founded a ring; another node joins it with --join {name}")),
    }
}

impl ServeOptions {
    /// Leaves the ring in good order, unless a second signal comes first.
    async fn leave(&self, node: &Node, signals: &mut Signals) -> anyhow::Result<()> {
        note("Handing the keys over; once more stops at once...");
        let once_more = async {
            // Some supervisors signal the process and then its group, which is one wish.
            tokio::time::sleep(ONE_WISH).await;
            signals.forget();
            signals.next().await;
        };
        tokio::select! {
            departure = node.shutdown() => self.conclude(&departure),
            () = once_more => match self.member.storage.data {
                Some(_) => bail!("stopped before the keys were handed over: other nodes may lack copies until this one is back"),
                None => bail!("stopped before the keys were handed over: what no other node holds is lost"),
            }
        }
    }

    /// Says how the node left. Keys that may be lost are a failure, unless no other node stays that could have kept them.
    fn conclude(&self, departure: &Departure) -> anyhow::Result<()> {
        let (handed_over, left_behind) = (keys(departure.handed_over), keys(departure.left_behind));
        match &self.member.storage.data {
            _ if departure.left_behind == 0 => note(format_args!("Stopped; {handed_over} handed over")),
            Some(dir) if matches!(dir.try_exists(), Ok(false)) => bail!(
                "{left_behind} may be lost: somebody has moved or removed {}, where this node had them; {handed_over} handed over",
                dir.display()
            ),
            Some(dir) if departure.ended_ring => note(format_args!(
                "Stopped; no other node of the ring stays, and {left_behind} wait in {}",
                dir.display()
            )),
            None if departure.ended_ring => note(format_args!(
                "Stopped; no other node of the ring stays, and {left_behind} ended with it"
            )),
            Some(dir) => bail!(
                "too few other nodes confirmed in time that they have {left_behind} of this one: they wait in {}; {handed_over} handed over",
                dir.display()
            ),
            None => bail!(
                "{left_behind} may be lost: too few other nodes confirmed in time that they have what this one had; {handed_over} handed over"
            ),
        }
        Ok(())
    }
}

/// "1 key", "2 keys".
fn keys(count: u64) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{count} keys") }
}
