//! What was measured as plots and as lines for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use chord_sim::paper::{Axis, Chart, Point, Series};

use super::figures::{Hops, half_of_log2, real};
use super::processes::{Cost, Grown};
use super::simulated::Simulated;

/// The line of the papers, and that of whoever knows all owners.
const HALF_OF_LOG2: &str = "½ log2 N";
const ONE_HOP: &str = "one hop";

const NODES: Axis = Axis::log2("nodes N");

/// Makes the folder, before minutes are spent on what could not be written.
pub(super) fn prepare(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {} for the plots, choose another with --out", folder.display())
    })?;
    let tried = folder.join(".chord-bench-grow");
    fs::write(&tried, "").and_then(|()| fs::remove_file(&tried)).with_context(|| {
        format!("cannot write into the folder {} for the plots, choose another with --out", folder.display())
    })
}

/// A file for each plot and each table.
pub(super) fn write(folder: &Path, grown: &[Grown], simulated: &[Simulated]) -> anyhow::Result<()> {
    for chart in [hops(grown, simulated), requests(grown), cpu(grown)] {
        write_file(&folder.join(format!("{}.svg", chart.id)), &chart.svg())?;
    }
    write_file(&folder.join("processes.csv"), &csv_of_processes(grown))?;
    write_file(&folder.join("simulated.csv"), &csv_of_simulated(simulated))
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn hops(grown: &[Grown], simulated: &[Simulated]) -> Chart {
    let simulated = || simulated.iter().map(|ring| (ring.nodes as u64, ring.hops));
    let processes = |hops: fn(&Grown) -> Hops| grown.iter().map(move |ring| (ring.nodes.into(), hops(ring)));
    let mean = |(n_nodes, hops): (u64, Hops)| Point::new(real(n_nodes), hops.mean);
    let mut sizes: Vec<u64> =
        simulated().chain(processes(|ring| ring.lookup_hops)).map(|(n_nodes, _)| n_nodes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let [half, one] = references(&sizes);
    Chart {
        id: "hops",
        title: "Hops of a lookup, and of a get or a put, beside ½ log2 N and one hop".to_owned(),
        x: NODES,
        y: Axis::linear("times forwarded"),
        series: vec![
            half,
            one,
            Series::ours("lookup, simulated (p1, mean, p99)", simulated().map(with_spread)),
            Series::shipped("lookup, processes", processes(|ring| ring.lookup_hops).map(mean)),
            Series::shipped("get, processes", processes(|ring| ring.get.hops).map(mean)).second(),
        ],
    }
}

#[expect(clippy::cast_precision_loss, reason = "hops are few")]
fn with_spread((n_nodes, hops): (u64, Hops)) -> Point {
    Point::new(real(n_nodes), hops.mean).between(hops.p1 as f64, hops.p99 as f64)
}

fn requests(grown: &[Grown]) -> Chart {
    let sizes: Vec<u64> = grown.iter().map(|ring| ring.nodes.into()).collect();
    let [half, one] = references(&sizes);
    let [get, put] = operations(grown, |cost| Some(cost.requests));
    Chart {
        id: "requests",
        title: "Requests between nodes for one operation".to_owned(),
        x: NODES,
        y: Axis::linear("requests an operation"),
        series: vec![half, one, get, put],
    }
}

fn cpu(grown: &[Grown]) -> Chart {
    Chart {
        id: "cpu",
        title: "CPU of all nodes for one operation".to_owned(),
        x: NODES,
        y: Axis::linear("µs of one core an operation"),
        series: operations(grown, |cost| cost.cpu_micros).into(),
    }
}

fn references(sizes: &[u64]) -> [Series; 2] {
    let line = |height: fn(u64) -> f64| sizes.iter().map(move |size| Point::new(real(*size), height(*size)));
    [Series::model(HALF_OF_LOG2, line(half_of_log2)), Series::model(ONE_HOP, line(|_| 1.0)).second()]
}

fn operations(grown: &[Grown], figure: fn(&Cost) -> Option<f64>) -> [Series; 2] {
    let points = |cost: fn(&Grown) -> &Cost| {
        grown.iter().filter_map(move |ring| Some(Point::new(ring.nodes.into(), figure(cost(ring))?)))
    };
    [Series::ours("get", points(|ring| &ring.get)), Series::shipped("put", points(|ring| &ring.put))]
}

fn csv_of_processes(grown: &[Grown]) -> String {
    let mut text = String::from("nodes,half_of_log2,lookup_hops,lookup_hops_p1,lookup_hops_p99");
    for operation in ["get", "put"] {
        for figure in ["hops", "requests", "to_find", "to_operate", "to_copy", "for_upkeep", "cpu_micros"] {
            let _ = write!(text, ",{operation}_{figure}");
        }
        let _ = write!(text, ",{operation}s_per_second");
    }
    text.push_str(",rest_requests_per_second,rest_cpu_percent\n");
    for ring in grown {
        let Hops { mean, p1, p99 } = ring.lookup_hops;
        let _ = write!(text, "{},{},{mean},{p1},{p99}", ring.nodes, ring.half_of_log2);
        for cost in [&ring.get, &ring.put] {
            let Cost { requests, to_find, to_operate, to_copy, for_upkeep, per_second, .. } = cost;
            let cpu = number(cost.cpu_micros);
            let _ = write!(
                text,
                ",{},{requests},{to_find},{to_operate},{to_copy},{for_upkeep},{cpu},{per_second}",
                cost.hops.mean
            );
        }
        let _ = writeln!(text, ",{},{}", ring.at_rest.requests_per_second, number(ring.at_rest.cpu_percent));
    }
    text
}

fn csv_of_simulated(simulated: &[Simulated]) -> String {
    let mut text = String::from("nodes,half_of_log2,hops,hops_p1,hops_p99,cpu_micros\n");
    for Simulated { nodes, half_of_log2, hops, cpu_micros, .. } in simulated {
        let Hops { mean, p1, p99 } = hops;
        let _ = writeln!(text, "{nodes},{half_of_log2},{mean},{p1},{p99},{}", number(*cpu_micros));
    }
    text
}

/// A cell, empty where nothing was measured.
fn number(figure: Option<f64>) -> String {
    figure.map(|figure| figure.to_string()).unwrap_or_default()
}
