//! OpenTelemetry: what a node is told of a collector, and what it sends there: its metrics, and what it logs.
//!
//! It is in the build with the feature `otel` alone. Without it the options are there all the same, and say so.

#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod messages;
#[cfg(feature = "otel")]
mod post;
#[cfg(feature = "otel")]
mod protobuf;
#[cfg(feature = "otel")]
mod queue;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chord::{Node, NodeName};
use clap::Args;

use super::exit::Usage;
use super::number::{self, Wait};

#[cfg(feature = "otel")]
pub(crate) use queue::Listener;

/// How often metrics are sent: as often as Prometheus asks for them as a rule.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(15);

/// From what costs a node little to what still shows a day.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 1000..=3_600_000;

/// Longest address of a collector.
const URL_BYTES_MAX: usize = 2048;

/// What a node is told of a collector.
#[derive(Debug, Args)]
#[command(next_help_heading = "OpenTelemetry")]
pub(crate) struct OtlpArgs {
    /// Send metrics and the log to an OpenTelemetry collector there, by OTLP over HTTP: http://HOST:PORT, to which /v1/metrics
    /// and /v1/logs are added
    ///
    /// For a chord that was built with the feature `otel`. The node never waits for the collector: what that does not take is
    /// kept within a bound, and then dropped, and the log says so.
    #[arg(long, value_name = "URL", env = "CHORD_OTLP_ENDPOINT")]
    otlp_endpoint: Option<Endpoint>,

    /// How often metrics are sent to the collector, 1s to 1h
    #[arg(long, value_name = "TIME", env = "CHORD_OTLP_INTERVAL", default_value_t = Wait(INTERVAL_DEFAULT),
        value_parser = number::wait("the interval of metrics", INTERVAL_MS))]
    otlp_interval: Wait,
}

impl OtlpArgs {
    /// Refuses what this program was not built for.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        if self.otlp_endpoint.is_some() && !cfg!(feature = "otel") {
            return Err(Usage::new(
                "--otlp-endpoint needs a chord that was built with OpenTelemetry, and this one was not: build it by `cargo build --release -p chord --features otel`, or leave the endpoint out",
            ));
        }
        Ok(())
    }

    /// From now on keeps what is logged, for a node that will be started.
    #[cfg_attr(not(feature = "otel"), expect(clippy::unused_self, reason = "nothing is kept"))]
    pub(crate) fn keep_the_log(&self) {
        #[cfg(feature = "otel")]
        if self.otlp_endpoint.is_some() {
            queue::KEPT.open();
        }
    }

    /// Sends what the node tells to the collector, if there is one, until `running` has ended; and what is left then.
    #[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "nothing is sent"))]
    pub(crate) async fn send_while(
        &self,
        node: &Node,
        running: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        #[cfg(feature = "otel")]
        if let Some(endpoint) = &self.otlp_endpoint {
            let exporter = export::Exporter::start(endpoint, self.otlp_interval.0, node);
            let ended = running.await;
            // The process says so when nothing is sent any more.
            if let Err(error) = &ended {
                queue::KEPT.push_failure(&super::exit::sentence(error));
            }
            exporter.finish().await;
            return ended;
        }
        running.await
    }
}

/// Where a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    node: NodeName,
    /// What stands before `/v1`; without a slash at its end.
    path: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = "a collector is named as http://HOST:PORT, or with a path behind that";
        let (scheme, behind) = text.split_once("://").ok_or(wrong)?;
        if scheme.eq_ignore_ascii_case("https") {
            return Err("a node speaks to a collector without TLS: name one on the same machine, http://127.0.0.1:4318, which passes on in TLS what it gets".to_owned());
        }
        let is_plain = text.len() <= URL_BYTES_MAX && text.bytes().all(is_of_url);
        if !scheme.eq_ignore_ascii_case("http") || !is_plain {
            return Err(wrong.to_owned());
        }
        let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
        let with_port = NodeName::from_str(authority);
        let node = with_port.or_else(|_| format!("{authority}:80").parse()).map_err(|_| wrong)?;
        Ok(Self { node, path: path.trim_end_matches('/').to_owned() })
    }
}

/// Whether a byte may be in a name, a port or a path (RFC 3986, section 3.3); no user stands before a name here.
fn is_of_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:/%[]".contains(&byte)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.node, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_url_without_tls() {
        for (url, shown) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("HTTP://collector:4318/", "http://collector:4318"),
            ("http://[::1]:4318/otlp//", "http://[::1]:4318/otlp"),
            ("http://collector/api/v1/otlp", "http://collector:80/api/v1/otlp"),
        ] {
            assert_eq!(url.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        let long = format!("http://a:1/{}", "x".repeat(2048));
        for url in [
            "",
            "127.0.0.1:4318",
            "http://",
            "http:///v1",
            "ftp://a:1",
            "http://a:0",
            "http://a:x",
            "http://user:word@a:1",
            "http://a:1/?key=1",
            "http://a:1/#x",
            "http://a:1/ x",
            "http://a:1/<x>",
            "http://a:1/\r\nX: y",
            "http://a:1/\u{e9}",
            &long,
        ] {
            let refused = url.parse::<Endpoint>().unwrap_err();
            assert!(refused.starts_with("a collector is named as http://HOST:PORT"), "{url}: {refused}");
        }
        assert!("https://a:4318".parse::<Endpoint>().unwrap_err().contains("without TLS"));
    }
}
