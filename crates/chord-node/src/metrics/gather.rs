//! Gathers what there is to tell, metric by metric.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use chord_disk::COMMIT_BOUNDS;
use chord_kv::Health;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::count::{BOUNDS_US, Distribution, HOPS_MAX};
use super::exposition::{Exposition, Format};
use super::measured::Measured;
use super::operations::{Deed, Deeds, Door, End};
use super::process::Process;
use super::sink::{Number, Sink};
use super::table as all;
use super::{CHECKS, LinkState, OF_TRIPS, Purpose, Speech};
use crate::clients::Rationed;
use crate::crew::Runtimes;
use crate::door::BUDGET_UNIT;
use crate::offence::Offence;
use crate::shared::Shared;

/// Everything, as text.
pub(crate) fn exposition(shared: &Shared, process: &Process, format: Format) -> String {
    let mut text = Exposition::new(format);
    tell(shared, process, &mut text);
    text.end()
}

/// Everything, as values.
pub(crate) fn measured(shared: &Shared, process: &Process) -> Vec<Measured> {
    let mut values = Vec::new();
    tell(shared, process, &mut values);
    values
}

fn tell(shared: &Shared, process: &Process, to: &mut dyn Sink) {
    to.begin(&all::BUILD_INFO).one(&[env!("CARGO_PKG_VERSION")], true);
    to.tell(&all::START_TIME, seconds(Duration::from_millis(shared.started_at_ms)));
    operations(shared, to);
    links(shared, to);
    ring(shared, to);
    records(shared, to);
    store(shared, to);
    doors(shared, to);
    to.tell_if(&all::MEMORY_LIMIT, shared.limits.memory);
    runtime(&shared.runtimes, to);
    to.tell_if(&all::PROCESS_CPU, process.usage.map(|usage| usage.cpu_s));
    to.tell_if(&all::PROCESS_MEMORY, process.usage.map(|usage| usage.memory_bytes));
    to.tell_if(&all::PROCESS_PEAK, process.usage.map(|usage| usage.peak_bytes));
    to.tell_if(&all::PROCESS_FILES, process.files);
    to.tell_if(&all::PROCESS_START, process.started_s);
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn operations(shared: &Shared, to: &mut dyn Sink) {
    let metrics = &shared.metrics;
    let mut ended = to.begin(&all::OPERATIONS);
    for (door, by) in Door::ALL.into_iter().zip(Door::WORDS) {
        for (deed, does) in Deed::ALL.into_iter().zip(Deed::WORDS) {
            for (end, how) in End::ALL.into_iter().zip(End::WORDS) {
                ended.one(&[by, does, how], metrics.operations.count(door, deed, end));
            }
        }
    }
    let mut took = to.begin(&all::OPERATION_DURATION);
    let bounds = BOUNDS_US.map(|bound| seconds(Duration::from_micros(bound)));
    for (door, by) in Door::ALL.into_iter().zip(Door::WORDS) {
        for (deeds, sort) in Deeds::ALL.into_iter().zip(Deeds::WORDS) {
            let times = metrics.operations.times(door, deeds);
            let total = seconds(Duration::from_nanos(times.total));
            took.distribution(&[by, sort], &times, &bounds, Number::Real(total));
        }
    }
    hops(to, &all::OPERATION_HOPS, &metrics.operation_hops.read());
    to.tell(&all::OPERATIONS_UNDER_WAY, shared.records.status().operations);
    let mut lookups = to.begin(&all::LOOKUPS);
    lookups.one(&["found"], metrics.lookups_found.read()).one(&["failed"], metrics.lookups_failed.read());
    hops(to, &all::LOOKUP_HOPS, &metrics.lookup_hops.read());
}

fn hops(to: &mut dyn Sink, metric: &'static all::Metric, counted: &Distribution) {
    let bounds: [u8; HOPS_MAX + 1] = std::array::from_fn(|bound| u8::try_from(bound).unwrap_or(u8::MAX));
    to.begin(metric).distribution(&[], counted, &bounds.map(f64::from), Number::Whole(counted.total));
}

fn links(shared: &Shared, to: &mut dyn Sink) {
    let cuts = shared.shortcuts.counts();
    let mut cache = to.begin(&all::ROUTING_CACHE);
    cache.one(&["hit"], cuts.hits).one(&["wrong"], cuts.wrong_guesses).one(&["miss"], cuts.misses);
    to.tell(&all::ROUTING_CACHE_ENTRIES, cuts.size);
    let seen = shared.links.seen();
    let mut peers = to.begin(&all::PEERS);
    for (state, word) in LinkState::ALL.into_iter().zip(LinkState::WORDS) {
        peers.one(&[word], seen.iter().filter(|(of, _)| *of == state).count());
    }
    let mut trips: Vec<Duration> = seen.iter().filter_map(|(_, trip)| *trip).collect();
    trips.sort_unstable();
    let picked = [trips.first(), trips.get(trips.len() / 2), trips.last()];
    let mut round_trip = to.begin(&all::PEER_ROUND_TRIP);
    for (word, trip) in OF_TRIPS.into_iter().zip(picked) {
        // Where nothing was measured there is no number.
        if let Some(trip) = trip {
            round_trip.one(&[word], seconds(*trip));
        }
    }
    let mut sent = to.begin(&all::PEER_REQUESTS);
    for (purpose, word) in Purpose::ALL.into_iter().zip(Purpose::WORDS) {
        sent.one(&[word], shared.links.counted(purpose).0);
    }
    let mut failed = to.begin(&all::PEER_REQUESTS_FAILED);
    for (purpose, word) in Purpose::ALL.into_iter().zip(Purpose::WORDS) {
        failed.one(&[word], shared.links.counted(purpose).1);
    }
}

fn ring(shared: &Shared, to: &mut dyn Sink) {
    let (view, metrics) = (shared.view(), &shared.metrics);
    to.tell(&all::MEMBER, view.is_member());
    to.tell(&all::READY, shared.readiness().is_ok());
    to.tell(&all::SUCCESSORS, view.successors().as_slice().len());
    to.tell(&all::SUCCESSORS_WANTED, view.config().successors());
    to.tell(&all::FINGERS, view.fingers().runs().len());
    to.tell(&all::RANGE_SHARE, shared.share());
    to.tell(&all::MAINTENANCE_ROUNDS, metrics.rounds.read());
    to.tell(&all::SUCCESSOR_CHANGES, metrics.successor_changes.read());
    to.tell(&all::PREDECESSOR_CHANGES, metrics.predecessor_changes.read());
    to.tell(&all::NEIGHBOURS_DROPPED, metrics.dropped.read());
    to.tell(&all::MERGES, metrics.merges.read());
    to.tell(&all::RING_VIOLATIONS, shared.violations.load(Ordering::Relaxed));
    let mut disagreement = to.begin(&all::RING_DISAGREEMENT);
    for (check, is_contradicted) in CHECKS.into_iter().zip(shared.contradictions()) {
        disagreement.one(&[check], is_contradicted);
    }
    let probes = shared.probe.counted();
    let mut told = to.begin(&all::SELF_PROBES);
    for (word, count) in ["agrees", "contradicts", "unanswered"].into_iter().zip(probes) {
        told.one(&[word], count);
    }
}

fn records(shared: &Shared, to: &mut dyn Sink) {
    let status = shared.records.status();
    to.tell(&all::RECORDS, shared.own_records());
    to.tell(&all::COPIES_MISSING, status.copies_missing);
    let (sent, fetched) = (status.repaired.sent, status.repaired.fetched);
    to.begin(&all::REPAIR_RECORDS).one(&["sent"], sent.records).one(&["fetched"], fetched.records);
    to.begin(&all::REPAIR_BYTES).one(&["sent"], sent.bytes).one(&["fetched"], fetched.bytes);
}

fn store(shared: &Shared, to: &mut dyn Sink) {
    let usage = shared.store.usage();
    to.tell(&all::STORE_RECORDS, usage.records);
    to.tell(&all::STORE_BYTES, usage.bytes);
    let limit = shared.disk.is_none().then_some(shared.limits.store_bytes);
    to.tell_if(&all::STORE_LIMIT, limit);
    to.tell(&all::STORE_WRITABLE, !matches!(shared.store.health(), Health::NotWriting { .. }));
    let done = shared.disk.as_ref().map(|disk| disk.statistics()).unwrap_or_default();
    to.tell(&all::STORE_COMMITS, done.commits);
    let took = Distribution { counts: done.commit_counts.to_vec(), total: 0 };
    let total = Number::Real(seconds(done.commit_time));
    to.begin(&all::STORE_COMMIT_DURATION).distribution(&[], &took, &COMMIT_BOUNDS.map(seconds), total);
    to.tell(&all::STORE_SYNCS, done.syncs);
    to.tell(&all::STORE_LOG_FAILURES, done.log_failures);
    to.tell(&all::STORE_PENDING, done.pending_bytes);
    to.tell(&all::STORE_LOGGED, done.logged_bytes);
    to.tell(&all::STORE_DAMAGED_READS, done.damaged_reads);
    to.tell(&all::STORE_SET_ASIDE, done.set_aside);
}

fn doors(shared: &Shared, to: &mut dyn Sink) {
    let metrics = &shared.metrics;
    let mut open = to.begin(&all::CONNECTIONS);
    for (gauge, word) in metrics.connections.iter().zip(Speech::WORDS) {
        open.one(&[word], gauge.read());
    }
    let mut opened = to.begin(&all::CONNECTIONS_OPENED);
    for (counter, word) in metrics.connections_opened.iter().zip(Speech::WORDS) {
        opened.one(&[word], counter.read());
    }
    to.tell(&all::CONNECTIONS_REFUSED, metrics.turned_away.read());
    to.tell(&all::CONNECTIONS_DISPLACED, metrics.displaced.read());
    let mut refused = to.begin(&all::REFUSED);
    for (offence, word) in Offence::ALL.into_iter().zip(Offence::WORDS) {
        refused.one(&[word], shared.guard.offences().count(offence));
    }
    to.tell(&all::CONNECTIONS_LIMIT, shared.limits.connections);
    to.tell(&all::CLIENTS, shared.clients.count());
    let mut refusals = to.begin(&all::CLIENT_REFUSALS);
    for (word, count) in Rationed::WORDS.into_iter().zip(shared.clients.refused()) {
        refusals.one(&[word], count);
    }
    let mut refusing = to.begin(&all::SECRETS_REFUSED);
    if let Some(secrets) = shared.guard.secrets() {
        refusing.one(&[], secrets.is_refusing());
    }
    tls(shared, to);
    let units = shared.limits.bodies_bytes / BUDGET_UNIT;
    let taken = units.saturating_sub(shared.body_budget.available_permits());
    to.tell(&all::BODIES, taken * BUDGET_UNIT);
    to.tell(&all::BODIES_LIMIT, units * BUDGET_UNIT);
    to.tell(&all::WATCHED, shared.watched_bytes.load(Ordering::Relaxed));
}

/// Where there is no TLS there is nothing to tell of it.
fn tls(shared: &Shared, to: &mut dyn Sink) {
    let state = shared.tls.as_ref().map(|tls| tls.state());
    let since = |moment: SystemTime| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut expiry = to.begin(&all::TLS_EXPIRY);
    if let Some(state) = &state {
        expiry.one(&[], seconds(since(state.expires)));
    }
    let mut begin = to.begin(&all::TLS_BEGIN);
    if let Some(state) = &state {
        begin.one(&[], seconds(since(state.begins)));
    }
    let mut authority = to.begin(&all::TLS_AUTHORITY_EXPIRY);
    if let Some(expires) = state.as_ref().and_then(|state| state.authority_expires) {
        authority.one(&[], seconds(since(expires)));
    }
    let mut refused = to.begin(&all::TLS_FILES_REFUSED);
    if let Some(state) = &state {
        refused.one(&[], state.is_refusing);
    }
    let mut handshakes = to.begin(&all::TLS_HANDSHAKES);
    if let Some(state) = state {
        let counted = [state.agreed, state.resumed, state.failed, state.plain, state.impostors];
        for (word, count) in ["agreed", "resumed", "failed", "plain", "impostor"].into_iter().zip(counted) {
            handshakes.one(&[word], count);
        }
    }
}

fn runtime(runtimes: &Runtimes, to: &mut dyn Sink) {
    let each: Vec<RuntimeMetrics> = runtimes.all().map(Handle::metrics).collect();
    let busy = |one: &RuntimeMetrics| -> Duration {
        (0..one.num_workers()).map(|worker| one.worker_total_busy_duration(worker)).sum()
    };
    to.tell(&all::RUNTIME_WORKERS, each.iter().map(RuntimeMetrics::num_workers).sum::<usize>());
    to.tell(&all::RUNTIME_TASKS, each.iter().map(RuntimeMetrics::num_alive_tasks).sum::<usize>());
    to.tell(&all::RUNTIME_QUEUE, each.iter().map(RuntimeMetrics::global_queue_depth).sum::<usize>());
    to.tell(&all::RUNTIME_BUSY, seconds(each.iter().map(busy).sum()));
}
