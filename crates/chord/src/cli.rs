//! The command line: reads the arguments, runs one command, and turns its end into an exit code.
//!
//! It knows nothing that a user of the library could not reach: everything goes through the crate `chord`.

mod address;
mod bench;
mod check;
mod client;
mod completions;
mod config;
mod data;
mod del;
mod dev;
mod draw;
mod environment;
mod exit;
mod files;
mod follow;
mod get;
mod hosts;
mod incr;
mod keys;
mod limits;
mod logging;
mod lookup;
mod man;
mod node;
mod number;
mod operate;
mod otlp;
mod output;
mod pair;
mod place;
mod ports;
mod put;
mod ring;
mod seed;
mod seed_client;
mod seen;
mod serve;
mod signals;
mod sim;
mod table;
mod terminal;
mod text;
mod tls;
mod top;
mod trace;
mod usage;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use chord::Language;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// A Chord distributed hash table: a ring of equal nodes that keeps keys and values, and heals.
#[derive(Debug, Parser)]
#[command(name = "chord", version, after_help = EXAMPLES, after_long_help = LONG_HELP)]
struct Cli {
    #[command(flatten)]
    logging: logging::LoggingArgs,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  chord dev                                 a ring of five nodes in one process, to try things on
  chord serve                               one node on 127.0.0.1:4567, founding a ring
  chord serve --listen 127.0.0.1:4568 --join 127.0.0.1:4567
  chord put greeting hello
  chord get greeting
  chord keys                                what the whole ring keeps
  chord ring --watch                        the whole ring, drawn, as it changes";

const LONG_HELP: &str = "\
Examples:
  chord dev                                 a ring of five nodes in one process, to try things on
  chord serve                               one node on 127.0.0.1:4567, founding a ring
  chord serve --listen 127.0.0.1:4568 --join 127.0.0.1:4567
  chord put greeting hello
  chord get greeting
  chord keys                                what the whole ring keeps
  chord ring --watch                        the whole ring, drawn, as it changes

Exit codes:
  0  done
  1  failed: one line on standard error says why and what to do; also a node that stopped and lost keys
     that another node of its ring, which stays, could have kept
  2  wrong usage, or a wrong file of configuration, and for a node also of secrets or of TLS: one line on
     standard error says what is wrong; without a command, the help
  3  chord get: no value is stored under the key; chord del: under none of the keys
  4  a change was to happen under a condition, and that does not hold: nothing changed

Ctrl-C and SIGTERM make a node hand over its keys and leave its ring; a second one stops it at once.
Answers go to standard output, everything else to standard error.";

/// One command, in a file of its own.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    Put(put::PutArgs),
    Get(get::GetArgs),
    Del(del::DelArgs),
    Incr(incr::IncrArgs),
    Keys(keys::KeysArgs),
    Lookup(lookup::LookupArgs),
    Ring(ring::RingArgs),
    Trace(trace::TraceArgs),
    Node(node::NodeCommand),
    Top(top::TopArgs),
    Dev(dev::DevArgs),
    Bench(bench::BenchArgs),
    /// Serve or call a node as chord.py does, over HTTP
    #[command(subcommand)]
    Http(seed::SeedCommand),
    /// Serve or call a node as chord.py does, over XML-RPC
    #[command(subcommand, name = "xmlrpc")]
    XmlRpc(seed::SeedCommand),
    /// Try whole rings in one process, without a network
    #[command(subcommand)]
    Sim(sim::SimCommand),
    Check(check::CheckArgs),
    /// Check, export or import the data directory of a node that is not running
    #[command(subcommand)]
    Data(data::DataCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make certificates to develop with, or show what is in one
    #[command(subcommand)]
    Tls(tls::TlsCommand),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let root = with_negative_numbers(Cli::command());
    let command_path = usage::command_path(&root, &arguments);
    match parse(&root, &arguments) {
        Ok(Told::Run(cli)) => {
            // All options of all commands: a server would keep them for as long as it runs.
            drop((root, arguments));
            exit::report(run(*cli), &command_path)
        }
        Ok(Told::Print(text)) => exit::report(output::lines(&text), &command_path),
        Err(config::Wrong::Arguments(error)) => usage::report(&error, &root, &arguments),
        Err(config::Wrong::Config(error)) => exit::report(Err(error.into()), &command_path),
    }
}

/// What the arguments, the environment and a file of configuration together want.
enum Told {
    Run(Box<Cli>),
    /// To know what they say.
    Print(String),
}

fn parse(root: &clap::Command, arguments: &[OsString]) -> Result<Told, config::Wrong> {
    let (matches, printed) = config::settle(root, arguments)?;
    Ok(match printed {
        Some(text) => Told::Print(text),
        None => Told::Run(Box::new(Cli::from_arg_matches(&matches)?)),
    })
}

/// A number below 0 is a value that is out of range, and no option that nobody knows: whoever gives one reads the range.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let takes_values = |arg: &clap::Arg| arg.get_action().takes_values();
    command
        .mut_args(|arg| if takes_values(&arg) { arg.allow_negative_numbers(true) } else { arg })
        .mut_subcommands(with_negative_numbers)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli { logging, command } = cli;
    if let Some(otlp) = command.otlp() {
        otlp.keep_the_log();
    }
    let log = logging.start(if command.serves() { "info" } else { "warn" })?;
    if command.serves() {
        environment::tell_mistyped(&Cli::command());
    }
    let runtime = command.runtime()?;
    let ended = runtime.block_on(async {
        // On the heap: the largest command would otherwise size the future of every other.
        match command {
            Command::Serve(args) => Box::pin(args.run()).await,
            Command::Put(args) => Box::pin(args.run()).await,
            Command::Get(args) => Box::pin(args.run()).await,
            Command::Del(args) => Box::pin(args.run()).await,
            Command::Incr(args) => Box::pin(args.run()).await,
            Command::Keys(args) => Box::pin(args.run()).await,
            Command::Lookup(args) => Box::pin(args.run()).await,
            Command::Ring(args) => Box::pin(args.run()).await,
            Command::Trace(args) => Box::pin(args.run()).await,
            Command::Node(args) => Box::pin(args.run()).await,
            Command::Top(args) => Box::pin(args.run()).await,
            Command::Dev(args) => Box::pin(args.run(&log)).await,
            Command::Bench(args) => Box::pin(args.run()).await,
            Command::Http(command) => Box::pin(command.run(Language::Http)).await,
            Command::XmlRpc(command) => Box::pin(command.run(Language::XmlRpc)).await,
            Command::Sim(command) => Box::pin(command.run()).await,
            Command::Check(args) => Box::pin(args.run()).await,
            Command::Data(command) => command.run(),
            Command::Config(command) => command.run(&Cli::command()),
            Command::Tls(command) => command.run(),
            Command::Completions(args) => args.run(&mut Cli::command()),
            Command::Man(args) => args.run(Cli::command()),
        }
    });
    runtime.shutdown_background(); // a read from a terminal may never end; what had to be finished is
    ended
}

impl Command {
    /// Whether this command is a server, whose log an operator wants to see.
    fn serves(&self) -> bool {
        match self {
            Self::Serve(_)
            | Self::Http(seed::SeedCommand::Server(_))
            | Self::XmlRpc(seed::SeedCommand::Server(_)) => true,
            Self::Http(seed::SeedCommand::Client(_))
            | Self::XmlRpc(seed::SeedCommand::Client(_))
            | Self::Put(_)
            | Self::Get(_)
            | Self::Del(_)
            | Self::Incr(_)
            | Self::Keys(_)
            | Self::Lookup(_)
            | Self::Ring(_)
            | Self::Trace(_)
            | Self::Node(_)
            | Self::Top(_)
            | Self::Dev(_)
            | Self::Bench(_)
            | Self::Sim(_)
            | Self::Check(_)
            | Self::Data(_)
            | Self::Config(_)
            | Self::Tls(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    /// Where what it tells is sent, if it runs a node for long.
    fn otlp(&self) -> Option<&otlp::OtlpArgs> {
        match self {
            Self::Serve(args) => Some(args.otlp()),
            Self::Http(seed::SeedCommand::Server(args)) | Self::XmlRpc(seed::SeedCommand::Server(args)) => {
                Some(args.otlp())
            }
            _ => None,
        }
    }

    /// Clients and the load generator use one core: they leave the rest to the nodes. A node serves connections on threads of
    /// its own and needs one beside them for itself, which is never the one that waits for signals.
    fn runtime(&self) -> anyhow::Result<tokio::runtime::Runtime> {
        let mut builder = if self.serves() {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1);
            builder
        } else if matches!(self, Self::Dev(_)) {
            tokio::runtime::Builder::new_multi_thread()
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        Ok(builder.enable_all().build()?)
    }
}

#[cfg(test)]
mod tests;
