//! One node asked what it tells of itself. Its answer may be anything, and may never end.

use std::time::Duration;

use bytes::Bytes;
use chord_ring::NodeName;
use chord_wire::Context;
use chord_wire::rest::{BadReport, NODE_PATH, REPORT_BYTES_MAX, ReportBody, SeenAs};
use http::StatusCode;

use crate::links::{Answered, Connections, NoAnswer, Said, Sending};
use crate::shared::Shared;

/// How long a node may take to tell of itself: it asks nobody, and a picture should not wait for one that hangs.
pub(super) const ASK_WAIT: Duration = Duration::from_secs(1);

/// Connections for that to one node.
pub(super) fn connections(name: &NodeName) -> Connections {
    Connections::new(name.clone(), 1, REPORT_BYTES_MAX)
}

/// Asks a node once.
pub(crate) async fn ask_once(shared: &Shared, name: &NodeName) -> Result<ReportBody, SeenAs> {
    ask(shared, &connections(name), name).await
}

/// Asks a node: over kept connections or, where there are secrets or TLS, in frames, so that both sides show
/// who they are.
pub(super) async fn ask(
    shared: &Shared,
    connections: &Connections,
    name: &NodeName,
) -> Result<ReportBody, SeenAs> {
    if shared.guard.secrets().is_some() || shared.tls.is_some() {
        let told = tokio::time::timeout(ASK_WAIT, shared.links.to(name).describe()).await;
        let report = told.unwrap_or(Err(SeenAs::Silent))?;
        return read(shared, name, &report);
    }
    let said = Said { path: NODE_PATH, content_type: "application/json", body: Bytes::new() };
    let (sending, context) = (Sending::new(Answered::ByItself), Context::default());
    let exchange = connections.exchange(&sending, &said, &context);
    let answer = match tokio::time::timeout(ASK_WAIT, exchange).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(NoAnswer::Refused)) => return Err(SeenAs::Unreachable),
        Ok(Err(NoAnswer::Broken | NoAnswer::TooLarge { .. })) => return Err(SeenAs::Garbled),
        Ok(Err(NoAnswer::NoConnection(_) | NoAnswer::NoTls(_) | NoAnswer::Closed)) | Err(_) => {
            return Err(SeenAs::Silent);
        }
    };
    match answer.status {
        StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => return Err(SeenAs::Silent),
        _ => return Err(SeenAs::OtherProgram),
    }
    read(shared, name, &answer.body)
}

fn read(shared: &Shared, name: &NodeName, report: &[u8]) -> Result<ReportBody, SeenAs> {
    let (ring_name, size) = (shared.ring.name.to_string(), shared.ring.size);
    ReportBody::decode(report, name, &ring_name, size).map_err(|bad| match bad {
        BadReport::OtherRing => SeenAs::OtherRing,
        _ => SeenAs::Garbled,
    })
}
