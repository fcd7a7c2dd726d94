//! `chord top`: what each node of the ring does, second by second.

mod heard;
mod rates;
mod sample;
mod view;

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::client::NodeArgs;
use super::follow::Follower;
use super::output::{self, note};
use super::ring::lost;
use super::signals::Signals;
use super::terminal::{self, Screen};
use sample::Sampler;

/// How often every node is asked. What is shown are the rates between two answers.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the first second waits for those that have not answered, or not twice: it is to be the whole ring, and a node that is
/// gone does not keep it for ever.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// Show what each node of the ring does, second by second
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chord top
  chord top --sort p99
  chord top --once --json | jq .total

Rates are made of what each node has counted between two answers. Reads and writes are what clients asked the node for, and p50 \
and p99 how long these took at most, by the bounds in which it counts; hops is how often they were forwarded, on average; \
repair is records that it sent or fetched so that copies are where they should be; cpu and memory are those of its process, \
which may be one for several nodes, and 100 % is one core. A rate is by the node's own clock, whenever its answer came. Every node is asked directly; one that \
cannot be reached from here is shown by what it tells the node asked, every five seconds.
q or Ctrl-C ends, and s sorts by the next column. Where standard output is no terminal, each second is printed after the one \
before, and with --json on a line; docs/terminal.md has all fields.
Exit codes: as for every command.")]
pub(crate) struct TopArgs {
    #[command(flatten)]
    node: NodeArgs,

    /// By what to sort
    #[arg(long, value_name = "COLUMN", default_value = "ops")]
    sort: Column,

    /// Print one second and end
    #[arg(long)]
    once: bool,

    /// Mark states with ASCII letters alone, as where the locale or the terminal has no others
    #[arg(long, conflicts_with = "json")]
    ascii: bool,

    /// Print a JSON object for each second: total, nodes
    #[arg(long)]
    json: bool,
}

/// What nodes are sorted by; the largest first, but for the ring's own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Column {
    /// Their places on the ring
    Ring,
    /// Reads and writes together
    Ops,
    /// Reads
    Reads,
    /// Writes
    Writes,
    /// The slowest of a hundred
    P99,
    /// How often was forwarded
    Hops,
    /// Records on their way
    Repair,
    /// Records
    Records,
    /// Copies that are missing
    Missing,
    /// CPU of its process
    Cpu,
    /// Memory of its process
    Memory,
}

impl TopArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut follower = Follower::begin(self.node.client()?, self.node.wait.deadline()).await?;
        follower.first_sight().await?;
        let mut sampler = Sampler::default();
        sampler.begin(&follower);
        if self.once {
            return self.show_once(&mut follower, &mut sampler).await;
        }
        if terminal::is_screen() && !self.json {
            self.show_on_screen(&mut follower, &mut sampler).await
        } else {
            self.show_in_lines(&mut follower, &mut sampler).await
        }
    }

    async fn show_once(&self, follower: &mut Follower, sampler: &mut Sampler) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let (mut ticks, until) = (ticks(), Instant::now() + FIRST_WAIT);
        loop {
            tokio::select! {
                _ = follower.next() => {}
                () = sampler.next() => if sampler.is_idle() && is_due(follower, sampler, until) {
                    return self.print(follower, sampler);
                },
                _ = ticks.tick() => {
                    if is_due(follower, sampler, until) {
                        return self.print(follower, sampler);
                    }
                    sampler.begin(follower);
                }
                () = signals.next() => return Ok(()),
            }
        }
    }

    fn print(&self, follower: &Follower, sampler: &Sampler) -> anyhow::Result<()> {
        let top = view::Top::of(follower.ring(), sampler, self.sort);
        if self.json {
            return output::json(&top);
        }
        let letters = terminal::letters(self.ascii);
        output::styled(&view::page(&top, letters, terminal::size().map(|(columns, _)| columns)))
    }

    async fn show_on_screen(&self, follower: &mut Follower, sampler: &mut Sampler) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let mut screen = Screen::enter()?;
        let (mut trouble, mut sort) = (None, self.sort);
        let mut ticks = ticks();
        loop {
            let size = terminal::size();
            let top = view::Top::of(follower.ring(), sampler, sort);
            screen.show(&view::screen(&top, terminal::letters(self.ascii), size, trouble.as_deref()))?;
            tokio::select! {
                sight = follower.next() => trouble = lost(sight),
                () = sampler.next() => {}
                _ = ticks.tick() => sampler.begin(follower),
                key = screen.next() => match key? {
                    Some(b'q' | b'Q') => return Ok(()),
                    Some(b's' | b'S') => sort = sort.next(),
                    _ => {}
                },
                () = signals.next() => return Ok(()),
            }
        }
    }

    async fn show_in_lines(&self, follower: &mut Follower, sampler: &mut Sampler) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let (mut ticks, mut is_first, until) = (ticks(), true, Instant::now() + FIRST_WAIT);
        loop {
            tokio::select! {
                sight = follower.next() => if let Some(trouble) = lost(sight) {
                    note(trouble);
                },
                () = sampler.next() => {}
                _ = ticks.tick() => {
                    if !is_first || is_due(follower, sampler, until) {
                        if !self.json && !is_first {
                            output::lines("\n")?;
                        }
                        is_first = false;
                        self.print(follower, sampler)?;
                    }
                    sampler.begin(follower);
                }
                () = signals.next() => return Ok(()),
            }
        }
    }
}

/// Whether the first second can be shown: every node that is known has told of itself twice, or somebody has, and the others were
/// waited for.
fn is_due(follower: &Follower, sampler: &Sampler, until: Instant) -> bool {
    let ring = follower.ring();
    let (n_members, n_told) = (ring.members().count(), sampler.n_with_rates());
    let is_whole = ring.n_absent() == 0 && n_told >= n_members;
    is_whole || (n_told > 0 && Instant::now() >= until)
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset_at(Instant::now() + PAUSE);
    ticks
}

impl Column {
    fn next(self) -> Self {
        let all = Self::value_variants();
        let idx = all.iter().position(|column| *column == self).unwrap_or_default();
        all.get((idx + 1) % all.len()).copied().unwrap_or(self)
    }
}
