//! One page on all experiments: the paper's figures beside ours, cell by cell, as Markdown and as HTML.

use super::Effort;
use super::findings::{Cell, Findings, Measure, Table};
use super::plot::{Chart, escaped};

/// How the experiments were run, so that anybody can run them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command line.
    pub command: String,
    /// The version of this program.
    pub version: String,
    /// How much was run.
    pub effort: Effort,
}

/// What several experiments found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How they were run.
    pub run: Run,
    /// In the order of the papers.
    pub findings: Vec<Findings>,
    /// The experiments that were wanted and of which nothing was measured, as the run was stopped: by their ids.
    pub unreached: Vec<&'static str>,
}

/// A piece of a page.
enum Block {
    Heading(String),
    /// One sentence a line.
    Text(String),
    Items(Vec<String>),
    Grid(Grid),
    Plot(Chart),
}

/// A table as it is shown. The first column is to the left.
struct Grid {
    /// What stands above several columns, and above how many.
    groups: Vec<(String, usize)>,
    head: Vec<String>,
    rows: Vec<Vec<Shown>>,
}

/// A cell as it is shown.
struct Shown {
    text: String,
    /// It lies outside of its band.
    is_outside: bool,
}

const TITLE: &str = "The Chord papers, reproduced";

const INTRODUCTION: &str = "\
Each figure and table of the two Chord papers, measured on the lookups and nodes that this program ships, beside the paper's figures.
TON is Stoica and others, \"Chord: A Scalable Peer-to-peer Lookup Protocol for Internet Applications\", IEEE/ACM Transactions on Networking 11(1), 2003; SIGCOMM is its version of 2001.
Where a paper prints no numbers, its figures were read off its plots, to about one unit of the plot.
A figure of ours that lies outside of its band is set in bold and explained below its table; so is why a column beside the paper's has no band.";

const QUICK: &str = "\
This was a quick run, on smaller and fewer rings: figures scatter more, and some miss bands that are made for a full run.";

impl Report {
    /// The page as Markdown, with one sentence a line; plots are files beside it.
    pub fn markdown(&self) -> String {
        let blocks: Vec<String> = self.blocks().iter().map(Block::markdown).collect();
        format!("# {TITLE}\n\n{}\n", blocks.join("\n\n"))
    }

    /// The page as HTML, whole in one file.
    pub fn html(&self) -> String {
        let blocks: Vec<String> = self.blocks().iter().map(Block::html).collect();
        format!("{HTML_HEAD}<h1>{TITLE}</h1>\n{}\n</body>\n</html>\n", blocks.join("\n"))
    }

    fn blocks(&self) -> Vec<Block> {
        let Run { command, version, effort } = &self.run;
        let how = format!("Made by chord {version} with this command, which makes the same bytes again:");
        let mut blocks =
            vec![Block::Text(INTRODUCTION.to_owned()), Block::Text(format!("{how}\n`{command}`"))];
        if *effort == Effort::Quick {
            blocks.push(Block::Text(QUICK.to_owned()));
        }
        if !self.unreached.is_empty() {
            let which = self.unreached.join(", ");
            blocks.push(Block::Text(format!("The run was stopped before it came to these: {which}.")));
        }
        blocks.push(Block::Grid(self.overview()));
        for findings in &self.findings {
            blocks.extend(findings.blocks());
        }
        blocks
    }

    fn overview(&self) -> Grid {
        let head = ["experiment", "source", "cells with a band", "within it", "claims", "hold"];
        let rows = self.findings.iter().map(|findings| {
            let score = findings.score();
            let of =
                |n_good: usize, n_all: usize| Shown { text: n_good.to_string(), is_outside: n_good < n_all };
            vec![
                Shown::plain(format!("{}: {}", findings.id, findings.title)),
                Shown::plain(findings.source),
                Shown::plain(score.n_banded.to_string()),
                of(score.n_within, score.n_banded),
                Shown::plain(score.n_claims.to_string()),
                of(score.n_true, score.n_claims),
            ]
        });
        let groups = vec![(String::new(), head.len())];
        Grid { groups, head: head.map(str::to_owned).into(), rows: rows.collect() }
    }
}

impl Findings {
    fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![
            Block::Heading(format!("{}: {} ({})", self.id, self.title, self.source)),
            Block::Text(self.method.clone()),
        ];
        if !self.is_complete {
            blocks.push(Block::Text(
                "The run was stopped early: settings that were not complete are left out.".to_owned(),
            ));
        }
        for table in self.tables.iter().filter(|table| !table.rows.is_empty()) {
            blocks.push(Block::Grid(table.grid()));
            let explained: Vec<String> = table.outside().into_iter().chain(table.without_band()).collect();
            if !explained.is_empty() {
                blocks.push(Block::Items(explained));
            }
        }
        let claims = self.claims.iter().map(|claim| {
            let verdict = if claim.holds { "holds" } else { "does not hold" };
            format!("{}: {verdict}, {}.", claim.text, claim.ours)
        });
        if !self.claims.is_empty() {
            blocks.push(Block::Items(claims.collect()));
        }
        blocks.extend(self.charts.iter().cloned().map(Block::Plot));
        blocks
    }
}

impl Table {
    fn grid(&self) -> Grid {
        let (mut groups, mut head) = (vec![(String::new(), 1)], vec![self.setting.to_owned()]);
        for (idx, measure) in self.measures.iter().enumerate() {
            let columns = self.columns(idx);
            groups.push((measure.name.to_owned(), columns.len()));
            head.extend(columns.iter().map(|column| column.heading().to_owned()));
        }
        let rows = self.rows.iter().map(|row| {
            let cells = row.cells.iter().enumerate().flat_map(|(idx, cell)| {
                let measure = self.measures[idx];
                self.columns(idx).into_iter().map(move |column| column.shown(&measure, cell))
            });
            std::iter::once(Shown::plain(&row.setting)).chain(cells).collect()
        });
        Grid { groups, head, rows: rows.collect() }
    }

    fn columns(&self, idx: usize) -> Vec<Column> {
        let columns = [
            (Column::Paper, self.has_paper(idx)),
            (Column::Model, self.has_model(idx)),
            (Column::Ours, true),
            (Column::Band, self.has_band(idx)),
        ];
        columns.into_iter().filter(|(_, is_there)| *is_there).map(|(column, _)| column).collect()
    }

    /// Each cell outside of its band, and why.
    fn outside(&self) -> Vec<String> {
        let outside = self.banded().filter(|(_, _, cell)| cell.is_within() == Some(false));
        let lines = outside.map(|(row, measure, cell)| {
            let ours = cell.ours.map_or(0.0, |ours| ours.value);
            let band = Column::Band.shown(measure, cell).text;
            let why = if measure.outside.is_empty() { "not explained" } else { measure.outside };
            let (setting, name, ours) = (&row.setting, measure.name, measure.number(ours));
            format!("{} = {setting}, {name}: {ours} is outside of {band}: {why}.", self.setting)
        });
        lines.collect()
    }

    /// Each column where the paper's figures are no band for ours, and why.
    fn without_band(&self) -> impl Iterator<Item = String> {
        self.unbanded().map(|measure| {
            let why = if measure.unbanded.is_empty() { "not explained" } else { measure.unbanded };
            format!("{}, where it has no band: {why}.", measure.name)
        })
    }
}

/// What stands beside each other for one measure.
#[derive(Clone, Copy)]
enum Column {
    Paper,
    Model,
    Ours,
    Band,
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Model => "model",
            Self::Ours => "ours",
            Self::Band => "band",
        }
    }

    fn shown(self, measure: &Measure, cell: &Cell) -> Shown {
        let text = match self {
            Self::Paper => cell.paper.map(|paper| measure.figure(paper)),
            Self::Model => cell.model.map(|model| measure.number(model)),
            Self::Ours => cell.ours.map(|ours| measure.figure(ours)),
            Self::Band => {
                cell.band.map(|band| format!("{} to {}", measure.short(band.low), measure.short(band.high)))
            }
        };
        let is_outside = matches!(self, Self::Ours) && cell.is_within() == Some(false);
        Shown { text: text.unwrap_or_default(), is_outside }
    }
}

impl Shown {
    fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_outside: false }
    }

    fn markdown(&self) -> String {
        if self.is_outside { format!("**{}**", self.text) } else { self.text.clone() }
    }

    fn html(&self) -> String {
        let class = if self.is_outside { " class=\"outside\"" } else { "" };
        format!("<td{class}>{}</td>", escaped(&self.text))
    }
}

impl Block {
    fn markdown(&self) -> String {
        match self {
            Self::Heading(text) => format!("## {text}"),
            Self::Text(text) => text.clone(),
            Self::Items(items) => items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n"),
            Self::Grid(grid) => grid.markdown(),
            Self::Plot(chart) => format!("![{}]({}.svg)", chart.title, chart.id),
        }
    }

    fn html(&self) -> String {
        match self {
            Self::Heading(text) => format!("<h2>{}</h2>", escaped(text)),
            Self::Text(text) => format!("<p>{}</p>", code(&escaped(text))),
            Self::Items(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
                format!("<ul>\n{}\n</ul>", items.join("\n"))
            }
            Self::Grid(grid) => grid.html(),
            Self::Plot(chart) => format!("<figure>\n{}</figure>", chart.svg()),
        }
    }
}

impl Grid {
    fn markdown(&self) -> String {
        let groups = self.groups.iter().flat_map(|(name, width)| std::iter::repeat_n(name, *width));
        let heads = groups.zip(&self.head).map(|(group, name)| match group.as_str() {
            "" => name.clone(),
            group => format!("{group}: {name}"),
        });
        let mut lines = vec![format!("| {} |", heads.collect::<Vec<_>>().join(" | "))];
        lines.push(format!("|---|{}", "---:|".repeat(self.head.len() - 1)));
        lines.extend(self.rows.iter().map(|row| {
            let cells: Vec<String> = row.iter().map(Shown::markdown).collect();
            format!("| {} |", cells.join(" | "))
        }));
        lines.join("\n")
    }

    fn html(&self) -> String {
        let mut lines = vec!["<table>".to_owned()];
        if self.groups.iter().any(|(name, _)| !name.is_empty()) {
            let groups = self
                .groups
                .iter()
                .map(|(name, width)| format!("<th colspan=\"{width}\">{}</th>", escaped(name)));
            lines.push(format!("<tr>{}</tr>", groups.collect::<String>()));
        }
        let head = self.head.iter().map(|name| format!("<th>{}</th>", escaped(name)));
        lines.push(format!("<tr>{}</tr>", head.collect::<String>()));
        let rows = self.rows.iter().map(|row| row.iter().map(Shown::html).collect::<String>());
        lines.extend(rows.map(|cells| format!("<tr>{cells}</tr>")));
        lines.push("</table>".to_owned());
        lines.join("\n")
    }
}

/// What stands between two backquotes, as code.
fn code(html: &str) -> String {
    let parts = html.split('`').enumerate();
    parts
        .map(|(idx, part)| if idx % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

const HTML_HEAD: &str = "\
<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>The Chord papers, reproduced</title>
<style>
body { font: 15px/1.5 Helvetica, Arial, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; display: block; overflow-x: auto; }
th { vertical-align: bottom; font-weight: bold; border-bottom: 1px solid #111; max-width: 9rem; }
th, td { padding: 0.15rem 0.6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr:nth-child(even) td { background: #f4f4f4; }
td.outside { font-weight: bold; color: #b00; }
figure { margin: 1rem 0; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
</style>
</head>
<body>
";
