//! Plots as SVG: points and lines between two axes, legible in print and to the colour-blind.
//!
//! Series differ in the shape of their marks and in lightness too, not in hue alone; the colours are those of Okabe and
//! Ito, "Color Universal Design", 2008.

use std::fmt::Write as _;

use super::findings::short;

/// One plot: a file `ID.svg`.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// Names its file.
    pub id: &'static str,
    /// Stands above it.
    pub title: String,
    /// The axis from left to right.
    pub x: Axis,
    /// The axis from bottom to top.
    pub y: Axis,
    /// What is drawn, the first lowest.
    pub series: Vec<Series>,
}

/// An axis with its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: &'static str,
    /// How values lie on it.
    pub scale: Scale,
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0, or from the smallest value if that is below.
    Linear,
    /// Powers of two lie equally far apart.
    Log2,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend.
    pub label: &'static str,
    /// How it is drawn.
    pub look: Look,
    /// Whether it measures a second quantity: its marks, or its dashes, have another shape.
    pub is_second: bool,
    /// From left to right.
    pub points: Vec<Point>,
}

/// Whose figures a series shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The paper's: hollow black marks.
    Paper,
    /// Ours, by the paper's method: filled blue marks on a line.
    Ours,
    /// Ours, as shipped: filled orange marks on a line.
    Shipped,
    /// A formula's: a dashed grey line.
    Model,
}

/// A point, with the percentiles around it if they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From left to right.
    pub x: f64,
    /// From bottom to top.
    pub y: f64,
    /// The ends of a bar through the point.
    pub spread: Option<(f64, f64)>,
}

impl Point {
    /// A point without a bar.
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y, spread: None }
    }

    /// The same, with a bar from `low` to `high`.
    pub const fn between(self, low: f64, high: f64) -> Self {
        Self { spread: Some((low, high)), ..self }
    }
}

impl Axis {
    /// An axis on which equal differences are equally long.
    pub const fn linear(label: &'static str) -> Self {
        Self { label, scale: Scale::Linear }
    }

    /// An axis on which equal factors are equally long.
    pub const fn log2(label: &'static str) -> Self {
        Self { label, scale: Scale::Log2 }
    }
}

impl Series {
    fn new(label: &'static str, look: Look, points: impl IntoIterator<Item = Point>) -> Self {
        Self { label, look, is_second: false, points: points.into_iter().collect() }
    }

    /// The paper's figures.
    pub fn paper(label: &'static str, points: impl IntoIterator<Item = Point>) -> Self {
        Self::new(label, Look::Paper, points)
    }

    /// Ours, by the paper's method.
    pub fn ours(label: &'static str, points: impl IntoIterator<Item = Point>) -> Self {
        Self::new(label, Look::Ours, points)
    }

    /// Ours, as shipped.
    pub fn shipped(label: &'static str, points: impl IntoIterator<Item = Point>) -> Self {
        Self::new(label, Look::Shipped, points)
    }

    /// What a formula says.
    pub fn model(label: &'static str, points: impl IntoIterator<Item = Point>) -> Self {
        Self::new(label, Look::Model, points)
    }

    /// The same, as a second quantity in one plot.
    pub fn second(self) -> Self {
        Self { is_second: true, ..self }
    }

    fn colour(&self) -> &'static str {
        match self.look {
            Look::Paper => "#000000",
            Look::Ours => "#0072b2",
            Look::Shipped => "#e69f00",
            Look::Model => "#888888",
        }
    }
}

const WIDTH: f64 = 640.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const PLOT_HEIGHT: f64 = 300.0;
const BELOW: f64 = 48.0;
const LEGEND_LINE: f64 = 18.0;
const LEGEND_COLUMNS: usize = 2;
const TICKS: f64 = 6.0;
/// Between the bars of two series, so that they do not hide each other.
const BAR_GAP: f64 = 5.0;

impl Chart {
    /// The whole file.
    pub fn svg(&self) -> String {
        let n_legend_lines = self.series.len().div_ceil(LEGEND_COLUMNS);
        let height = TOP + PLOT_HEIGHT + BELOW + LEGEND_LINE * len(n_legend_lines);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"{title}\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n",
            title = escaped(&self.title),
        );
        let frame = Frame::new(self);
        self.draw_axes(&frame, &mut svg);
        let with_bars: Vec<&Series> = self.series.iter().filter(|series| series.has_bars()).collect();
        let middle = (len(with_bars.len()) - 1.0) / 2.0;
        for series in &self.series {
            let slot = with_bars.iter().position(|other| *other == series);
            let aside = slot.map_or(0.0, |slot| (len(slot) - middle) * BAR_GAP);
            series.draw(&frame, aside, &mut svg);
        }
        for (idx, series) in self.series.iter().enumerate() {
            let column = WIDTH / len(LEGEND_COLUMNS);
            let x = LEFT + len(idx % LEGEND_COLUMNS) * (column - LEFT / 2.0);
            let y = TOP + PLOT_HEIGHT + BELOW + LEGEND_LINE * len(idx / LEGEND_COLUMNS);
            series.draw_legend(x, y, &mut svg);
        }
        svg + "</svg>\n"
    }

    fn draw_axes(&self, frame: &Frame, svg: &mut String) {
        let (bottom, right) = (TOP + PLOT_HEIGHT, WIDTH - RIGHT);
        for tick in frame.x.ticks() {
            let x = frame.x(tick);
            line(svg, (x, TOP), (x, bottom), "#e4e4e4");
            let label = match frame.x.scale {
                Scale::Linear => tick_label(tick, frame.x.step()),
                Scale::Log2 => short(tick, 2),
            };
            text(svg, (x, bottom + 16.0), "middle", &label);
        }
        for tick in frame.y.ticks() {
            let y = frame.y(tick);
            line(svg, (LEFT, y), (right, y), "#e4e4e4");
            text(svg, (LEFT - 6.0, y + 4.0), "end", &tick_label(tick, frame.y.step()));
        }
        line(svg, (LEFT, bottom), (right, bottom), "#000000");
        line(svg, (LEFT, TOP), (LEFT, bottom), "#000000");
        let middle = f64::midpoint(LEFT, right);
        text(svg, (middle, bottom + 34.0), "middle", &escaped(self.x.label));
        let y = TOP + PLOT_HEIGHT / 2.0;
        let label = escaped(self.y.label);
        let _ = writeln!(
            svg,
            "<text x=\"14\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {y})\">{label}</text>"
        );
    }
}

impl Series {
    fn has_bars(&self) -> bool {
        self.points.iter().any(|point| point.spread.is_some())
    }

    /// `aside`: by how much it is moved to the right, in pixels.
    fn draw(&self, frame: &Frame, aside: f64, svg: &mut String) {
        let points: Vec<(f64, f64)> =
            self.points.iter().map(|point| (frame.x(point.x) + aside, frame.y(point.y))).collect();
        self.draw_line(&points, svg);
        for (point, (x, _)) in self.points.iter().zip(&points) {
            if let Some((low, high)) = point.spread {
                self.draw_bar(*x, frame.y(low), frame.y(high), svg);
            }
        }
        for (x, y) in points.iter().filter(|_| self.look != Look::Model) {
            self.draw_mark(*x, *y, svg);
        }
    }

    fn draw_line(&self, points: &[(f64, f64)], svg: &mut String) {
        let dashes = match (self.look, self.is_second) {
            (Look::Paper, _) => return,
            (Look::Model, false) => " stroke-dasharray=\"6 4\"",
            (Look::Model, true) => " stroke-dasharray=\"2 3\"",
            (Look::Ours | Look::Shipped, _) => "",
        };
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"{dashes}/>",
            points.join(" "),
            self.colour()
        );
    }

    fn draw_bar(&self, x: f64, low: f64, high: f64, svg: &mut String) {
        for (from, to) in
            [((x, low), (x, high)), ((x - 3.0, low), (x + 3.0, low)), ((x - 3.0, high), (x + 3.0, high))]
        {
            line(svg, from, to, self.colour());
        }
    }

    fn draw_mark(&self, x: f64, y: f64, svg: &mut String) {
        let colour = self.colour();
        let fill = if self.look == Look::Paper { "#ffffff" } else { colour };
        let _ = match (self.look, self.is_second) {
            (Look::Paper, false) => writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.4\"/>"
            ),
            (_, false) => writeln!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\" fill=\"{fill}\"/>",
                x - 3.0,
                y - 3.0
            ),
            (_, true) => writeln!(
                svg,
                "<polygon points=\"{:.1},{:.1} {:.1},{:.1} {:.1},{:.1}\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.4\"/>",
                x,
                y - 5.0,
                x - 4.5,
                y + 3.5,
                x + 4.5,
                y + 3.5
            ),
        };
    }

    fn draw_legend(&self, x: f64, y: f64, svg: &mut String) {
        self.draw_line(&[(x, y), (x + 26.0, y)], svg);
        if self.look != Look::Model {
            self.draw_mark(x + 13.0, y, svg);
        }
        text(svg, (x + 34.0, y + 4.0), "start", &escaped(self.label));
    }
}

/// Where values come to lie.
struct Frame {
    x: Span,
    y: Span,
}

impl Frame {
    fn new(chart: &Chart) -> Self {
        let points = || chart.series.iter().flat_map(|series| &series.points);
        let heights = points().flat_map(|point| {
            let (low, high) = point.spread.unwrap_or((point.y, point.y));
            [point.y, low, high]
        });
        Self {
            x: Span::of(chart.x.scale, points().map(|point| point.x)),
            y: Span::of(chart.y.scale, heights),
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.part(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - self.y.part(value)) * PLOT_HEIGHT
    }
}

/// The values that an axis shows.
struct Span {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Span {
    fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if !low.is_finite() {
            return Self { scale, low: 1.0, high: 2.0 };
        }
        match scale {
            Scale::Linear => {
                let span = Self {
                    scale,
                    low: low.min(0.0),
                    high: if high > low.min(0.0) { high } else { low + 1.0 },
                };
                let step = span.step();
                Self { high: (span.high / step - 0.01).ceil() * step, ..span }
            }
            // Half a step of room on both sides.
            Scale::Log2 => Self { scale, low: low / 2_f64.sqrt(), high: high * 2_f64.sqrt() },
        }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end.
    fn part(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log2 => (value / self.low).log2() / (self.high / self.low).log2(),
        }
    }

    /// Between two ticks of a linear axis: 1, 2 or 5 times a power of ten.
    fn step(&self) -> f64 {
        let rough = (self.high - self.low) / TICKS;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= rough).unwrap_or(10.0);
        step * power
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        match self.scale {
            Scale::Linear => {
                let step = self.step();
                let mut tick = (self.low / step).ceil();
                while tick * step <= self.high * 1.000_001 {
                    ticks.push(tick * step);
                    tick += 1.0;
                }
            }
            Scale::Log2 => {
                let mut tick = 2_f64.powf(self.low.log2().ceil());
                while tick <= self.high {
                    ticks.push(tick);
                    tick *= 2.0;
                }
            }
        }
        ticks
    }
}

/// A tick's value with the digits that its step needs.
fn tick_label(tick: f64, step: f64) -> String {
    let digits = [1.0, 0.1, 0.01].into_iter().take_while(|power| step < *power).count();
    format!("{tick:.digits$}")
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// `text` as it may stand in XML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[expect(clippy::cast_precision_loss, reason = "a handful of series")]
fn len(count: usize) -> f64 {
    count as f64
}
