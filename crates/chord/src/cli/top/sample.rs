//! Every node is asked what it has counted, again and again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chord::seen::ReportBody;
use chord::{Client, ClientError};
use tokio::task::JoinSet;

use super::super::follow::Follower;
use super::super::seen::Place;
use super::heard::{Heard, Source};
use super::rates::Rates;

/// Nodes that are asked at a time, and in all: more do not fit on a screen, and the rest is shown by what the ring tells.
const ASKED_AT_ONCE: usize = 16;
const ASKED_MAX: usize = 256;

/// How long a node may take to answer: it asks nobody.
const ANSWER_WAIT: Duration = Duration::from_millis(900);

/// What each node has counted.
#[derive(Default)]
pub(super) struct Sampler {
    nodes: BTreeMap<String, Track>,
    waiting: VecDeque<String>,
    asking: JoinSet<(String, Result<ReportBody, ClientError>)>,
}

/// One node.
struct Track {
    client: Arc<Client>,
    /// What the ring tells of it.
    shown: ReportBody,
    heard: Heard,
}

impl Sampler {
    /// Begins to ask every member of the ring, unless some have not answered yet.
    pub(super) fn begin(&mut self, follower: &Follower) {
        if !self.is_idle() {
            return;
        }
        let members: BTreeMap<&str, &ReportBody> =
            follower.ring().members().map(|(place, report)| (place.name(), report)).collect();
        self.nodes.retain(|name, _| members.contains_key(name.as_str()));
        for (name, report) in members {
            if let Some(track) = self.nodes.get_mut(name) {
                track.shown = report.clone();
            } else if let Ok(node) = name.parse() {
                let (client, shown) = (Arc::new(follower.client_of(node)), report.clone());
                self.nodes.insert(name.to_owned(), Track { client, shown, heard: Heard::default() });
            }
        }
        self.waiting = self.nodes.keys().take(ASKED_MAX).cloned().collect();
        let names: Vec<String> = self.nodes.keys().skip(ASKED_MAX).cloned().collect();
        for name in names {
            self.take_shown(&name);
        }
        self.ask();
    }

    fn ask(&mut self) {
        while self.asking.len() < ASKED_AT_ONCE
            && let Some(name) = self.waiting.pop_front()
        {
            if let Some(track) = self.nodes.get(&name) {
                let client = track.client.clone();
                self.asking.spawn(async move { (name, client.report(ANSWER_WAIT).await) });
            }
        }
    }

    /// Takes one answer; waits for ever where none is to come. May be dropped at any point.
    pub(super) async fn next(&mut self) {
        match self.asking.join_next().await {
            Some(Ok((name, Ok(report)))) => self.take(&name, report),
            // One that cannot be reached from here may be known by what the ring tells.
            Some(Ok((name, Err(_)))) => self.take_shown(&name),
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
        self.ask();
    }

    /// Whether no answer is to come.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.asking.is_empty()
    }

    /// How many nodes have rates, which take two answers.
    pub(super) fn n_with_rates(&self) -> usize {
        self.nodes.values().filter(|track| track.heard.rates(Instant::now()).is_some()).count()
    }

    pub(super) fn rates(&self, place: &Place) -> Option<&Rates> {
        self.nodes.get(place.name())?.heard.rates(Instant::now())
    }

    /// The newest that a node told.
    pub(super) fn report<'a>(&'a self, place: &'a Place) -> Option<&'a ReportBody> {
        let told = self.nodes.get(place.name()).and_then(|track| track.heard.last());
        place.report().map(|shown| told.unwrap_or(shown))
    }

    fn take(&mut self, name: &str, report: ReportBody) {
        if let Some(track) = self.nodes.get_mut(name) {
            track.heard.take(report, Source::Itself, Instant::now());
        }
    }

    /// Takes what the ring tells of a node.
    fn take_shown(&mut self, name: &str) {
        if let Some(track) = self.nodes.get_mut(name) {
            track.heard.take(track.shown.clone(), Source::Ring, Instant::now());
        }
    }
}
