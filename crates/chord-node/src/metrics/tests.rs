use std::collections::BTreeSet;
use std::fmt::Write;

use chord_wire::rest::{Reason, ReasonBody, encode_body};

use super::exposition::Exposition;
use super::sink::Sink;
use super::table::{ALL, BUILD_INFO, Kind, Metric, Values};
use super::*;
use crate::Node;

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
const BEGIN: &str =
    "<!-- The table follows; UPDATE_EXPECT=1 cargo test -p chord-node metrics:: writes it. -->\n\n";

/// The table as the documentation has it.
fn documented() -> String {
    let mut table = "| name | type | labels | what |\n|---|---|---|---|\n".to_owned();
    for Metric { name, kind, help, labels, .. } in ALL {
        let labels = labels.iter().map(|(name, values)| match values {
            Values::These(words) => format!("`{name}`: {}", words.join(", ")),
            Values::Version => format!("`{name}`"),
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        writeln!(table, "| `{name}` | {} | {labels} | {help} |", kind.word()).unwrap();
    }
    table
}

#[test]
fn the_documentation_has_the_table_of_all_metrics() {
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let (before, behind) = text.split_once(BEGIN).expect("the table has its place");
    let end = behind.find("\n\n").map_or(behind.len(), |end| end + 1);
    let (table, after) = behind.split_at(end);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(DOCUMENTATION, format!("{before}{BEGIN}{}{after}", documented())).unwrap();
    } else {
        assert_eq!(table, documented());
    }
}

#[test]
fn the_documentation_has_every_reason_for_which_a_node_is_not_well() {
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    for code in Reason::ALL {
        let body = encode_body(&ReasonBody { code, detail: String::new() });
        let body = String::from_utf8(body).unwrap();
        let word = body.split('"').nth(3).expect("a code");
        assert!(text.contains(&format!("| `{word}` | ")), "{word}");
    }
}

#[test]
fn names_say_their_units_and_what_only_grows() {
    let mut names = BTreeSet::new();
    for Metric { name, kind, unit, help, labels } in ALL {
        assert!(names.insert(*name), "{name} is there once");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let bare = name.strip_suffix("_total");
        assert_eq!(bare.is_some(), *kind == Kind::Counter, "{name}");
        let said =
            ["seconds", "bytes"].into_iter().find(|unit| bare.unwrap_or(name).ends_with(&format!("_{unit}")));
        assert_eq!(said, *unit, "{name}");
        assert!(help.ends_with('.') && !help.contains(['\n', '|', '"', '\\']), "{help}");
        let few =
            labels.iter().all(|(_, values)| !matches!(values, Values::These(words) if words.len() > 12));
        assert!(few, "{name} has few series");
    }
}

#[tokio::test]
async fn every_metric_is_told_once_and_in_its_order() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = exposition(node.shared(), &Process::read(), format);
        let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let expected = ALL.iter().map(|metric| match (format, metric.kind) {
            (Format::OpenMetrics, Kind::Counter) => metric.name.trim_end_matches("_total"),
            _ => metric.name,
        });
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<_> = series.map(|line| line.rsplit_once(' ').unwrap()).collect();
        assert!(names.iter().all(|(_, number)| number.parse::<f64>().is_ok()), "{text}");
        let distinct: BTreeSet<_> = names.iter().map(|(name, _)| name).collect();
        assert_eq!(distinct.len(), names.len(), "no series is told twice");
        assert!(names.len() < 1000, "{}", names.len());
    }
    node.shutdown().await;
}

#[tokio::test]
async fn the_values_are_those_of_the_text() {
    let node = Node::builder().listen("127.0.0.1:0").start().await.unwrap();
    node.put(b"key", b"value").await.unwrap();
    let process = Process::read();
    let (values, text) =
        (measured(node.shared(), &process), exposition(node.shared(), &process, Format::Prometheus));
    let names = values.iter().map(|metric| metric.name);
    assert_eq!(names.collect::<Vec<_>>(), ALL.iter().map(|metric| metric.name).collect::<Vec<_>>());
    let mut n_series = 0;
    for Measured { name, series, kind, .. } in &values {
        for Series { labels, number } in series {
            n_series += 1;
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            let behind = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let said = match number {
                Measurement::Whole(number) => format!("\n{name}{behind} {number}\n"),
                // What time it takes changes meanwhile.
                Measurement::Real(_) => format!("\n{name}{behind} "),
                Measurement::Distribution { counts, .. } => {
                    format!("\n{name}_count{behind} {}\n", counts.iter().sum::<u64>())
                }
            };
            let may_change = ["chord_runtime_", "chord_peer"].iter().any(|begin| name.starts_with(begin));
            assert!(may_change || text.contains(&said), "{said} is not in {text}");
            assert_eq!(
                *kind == Kind::Histogram,
                matches!(number, Measurement::Distribution { .. }),
                "{name}"
            );
        }
    }
    assert!(n_series > 250, "{n_series}");
    node.shutdown().await;
}

#[test]
fn no_label_ends_its_line_or_its_quotes() {
    for hostile in ["\"} 1\nchord_x 7", "\\", "\u{1b}[31m<b>", &"\u{1f980}".repeat(1024)] {
        let mut to = Exposition::new(Format::Prometheus);
        (&mut to as &mut dyn Sink).begin(&BUILD_INFO).one(&[hostile], 1u64);
        let text = to.end();
        assert_eq!(text.lines().count(), 3, "{text:?}");
        let said = text.lines().last().unwrap().strip_prefix("chord_build_info{version=\"").unwrap();
        let said = said.strip_suffix("\"} 1").unwrap();
        let back = said.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\");
        assert_eq!(back, hostile);
    }
}

#[test]
fn open_metrics_is_for_those_who_name_it() {
    for accept in ["", "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;q=0, */*"] {
        assert_eq!(Format::wanted(accept), Format::Prometheus, "{accept}");
    }
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    assert_eq!(Format::wanted(prometheus), Format::OpenMetrics);
}

/// The names of ours in a text that is about metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("chord_") || word.starts_with("process_")).collect()
}

#[test]
fn the_dashboard_and_the_alerts_use_only_metrics_that_there_are() {
    let of_histogram = |name: &str| ["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"));
    let there_are: BTreeSet<String> = ALL
        .iter()
        .flat_map(|metric| match metric.kind {
            Kind::Histogram => of_histogram(metric.name).to_vec(),
            _ => vec![metric.name.to_owned()],
        })
        .collect();
    for text in [include_str!("../../../../ops/grafana.json"), include_str!("../../../../ops/alerts.yml")] {
        let named = named(text);
        assert!(named.len() > 8, "it is about our metrics");
        let unknown: Vec<_> = named.iter().filter(|name| !there_are.contains(**name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
