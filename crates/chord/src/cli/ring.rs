//! `chord ring`: the whole ring as one node sees it, drawn and as a table, once or as it changes.

mod json;
mod share;
mod view;

use std::time::Duration;

use clap::Args;

use super::client::NodeArgs;
use super::draw::Letters;
use super::follow::{Follower, Sight};
use super::output::{self, note};
use super::signals::Signals;
use super::terminal::{self, Screen};
use view::Sheet;

/// How often it is seen whether anybody reads still: in a quiet ring nothing is written that would tell.
const HEARD_PAUSE: Duration = Duration::from_secs(1);

/// Show the whole ring: drawn, in words, and as a table
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  chord ring
  chord ring --watch
  chord ring --json | jq .verdict
  chord ring --watch --json --node 127.0.0.1:4568

Nodes stand at their true places: the top is position 0, and the way is clockwise. The line before a node is what it \
answers for, by its own word: dashed where it may lack something, not there where nobody answers (?), double where several \
do (&). A dashed line through the ring is a belief about who is next that the other node does not share.
With --watch it is drawn anew when something changes, until q or Ctrl-C; when the node that shows it is gone, another one of \
the ring is asked. Where standard output is no terminal, each change is printed after the one before, and with --json on \
a line.
With --json, what is said of each node is its own word; docs/terminal.md has all fields.
Exit codes: 0 the ring was shown, whole or not; 1 or 2 as for every command.")]
pub(crate) struct RingArgs {
    #[command(flatten)]
    node: NodeArgs,

    /// Show what changes, as it changes
    #[arg(long, short)]
    watch: bool,

    /// The words and the table alone, without the drawing
    #[arg(long, conflicts_with = "json")]
    table: bool,

    /// Draw with ASCII letters alone, as where the locale or the terminal has no others
    #[arg(long, conflicts_with = "json")]
    ascii: bool,

    /// Print a JSON object: verdict, reasons, nodes, torn, unowned and more; with --watch one for each change
    #[arg(long)]
    json: bool,
}

impl RingArgs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut follower = Follower::begin(self.node.client()?, self.node.wait.deadline()).await?;
        follower.first_sight().await?;
        if !self.watch {
            return self.print(&follower);
        }
        if terminal::is_screen() && !self.json {
            self.watch_on_screen(&mut follower).await
        } else {
            self.watch_in_lines(&mut follower).await
        }
    }

    fn print(&self, follower: &Follower) -> anyhow::Result<()> {
        if self.json {
            output::json(&json::Report::of(follower.ring()))
        } else {
            let columns = terminal::size().map(|(columns, _)| columns);
            output::styled(&view::page(follower.ring(), &self.sheet(columns, None)))
        }
    }

    fn sheet(&self, columns: Option<usize>, rows: Option<usize>) -> Sheet {
        let letters = terminal::letters(self.ascii);
        Sheet { letters, columns, rows, has_drawing: !self.table }
    }

    async fn watch_on_screen(&self, follower: &mut Follower) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let mut screen = Screen::enter()?;
        let mut trouble = None;
        loop {
            let size = terminal::size();
            let sheet = self.sheet(size.map(|(columns, _)| columns), size.map(|(_, rows)| rows));
            screen.show(&view::screen(follower.ring(), &sheet, trouble.as_deref()))?;
            tokio::select! {
                sight = follower.next() => trouble = lost(sight),
                key = screen.next() => if let Some(b'q' | b'Q') = key? { return Ok(()) },
                () = signals.next() => return Ok(()),
            }
        }
    }

    /// One block, or one line, for each change that can be seen in it.
    async fn watch_in_lines(&self, follower: &mut Follower) -> anyhow::Result<()> {
        let mut signals = Signals::new()?;
        let mut last = String::new();
        let mut ticks = tokio::time::interval(HEARD_PAUSE);
        loop {
            let seen = serde_json::to_string(&json::Report::of(follower.ring()).without_time())?;
            if seen != last {
                if !self.json && !last.is_empty() {
                    output::lines("\n")?;
                }
                self.print(follower)?;
                last = seen;
            }
            tokio::select! {
                sight = follower.next() => {
                    if let Some(trouble) = lost(sight) {
                        note(trouble);
                    }
                }
                _ = ticks.tick() => if !terminal::is_heard() { return Ok(()) },
                () = signals.next() => return Ok(()),
            }
        }
    }
}

/// That the ring is not to be seen, in a sentence.
pub(super) fn lost(sight: Sight) -> Option<String> {
    match sight {
        Sight::Changed => None,
        Sight::Lost { why, next } => Some(format!("The ring is out of sight: {why}. Asking {next}...")),
    }
}

/// Whether lines and blocks are drawn with more than ASCII.
impl Letters {
    pub(crate) const fn is_ascii(self) -> bool {
        matches!(self, Self::Ascii)
    }
}
