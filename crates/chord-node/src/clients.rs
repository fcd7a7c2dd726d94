//! Clients: what each address has asked for at this node, held against what one may have.
//!
//! A client is an address, since nothing else is known of most; of IPv6 its first 64 bits, of which one host has all others.
//! Other nodes ask for all of their own clients, so whoever is a node is not counted; and since nobody has said who it is when
//! it connects, an address has no limit on connections while a node is there.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chord_ring::NodeName;

use crate::Limits;
use crate::offence::{Offence, Offences};
use crate::pacing::{Pace, Rate};

/// Clients without a connection that are remembered, at most, with what they have asked in the last second: about a hundred
/// bytes each. Those with one are as many as there are connections.
const REMEMBERED_MAX: usize = 4096;

/// Between two lines in the log about one client.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Lines in the log in a second, about all clients together: whoever has many addresses cannot fill it.
const TOLD_PER_S: u32 = 1;

/// What one client may not have more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rationed {
    Connections,
    Connects,
    Requests,
    Bytes,
}

impl Rationed {
    pub(crate) const ALL: [Self; 4] = [Self::Connections, Self::Connects, Self::Requests, Self::Bytes];
    pub(crate) const WORDS: [&str; 4] = ["connections", "connects", "requests", "bytes"];

    /// What it is told, and what helps.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Connections => {
                "this node serves as many connections of your address as its limit client-connections allows: close some, or try again later"
            }
            Self::Connects => {
                "your address opens connections faster than the limit client-connects of this node allows: keep them open, or try again later"
            }
            Self::Requests => {
                "your address asks for more in a second than the limit client-requests of this node allows: ask more slowly, or try again later"
            }
            Self::Bytes => {
                "your address has as many bytes of requests and unread answers at this node as its limit client-bytes allows: read the answers, or try again later"
            }
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Connections => "client-connections",
            Self::Connects => "client-connects",
            Self::Requests => "client-requests",
            Self::Bytes => "client-bytes",
        }
    }
}

/// All clients that are known at the moment.
#[derive(Debug)]
pub(crate) struct Clients {
    began: Instant,
    known: Mutex<Known>,
    refused: [AtomicU64; Rationed::ALL.len()],
    /// How fast the log tells of clients, all together.
    told: Pace,
    offences: Arc<Offences>,
}

#[derive(Debug, Default)]
struct Known {
    clients: HashMap<IpAddr, Arc<Client>>,
    /// With so many, those that are not needed are forgotten.
    tidy_at: usize,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    address: IpAddr,
    connects: Pace,
    requests: Pace,
    /// Of the budget for requests and answers, in its units.
    units: AtomicUsize,
    /// Connections of nodes.
    nodes: AtomicUsize,
    /// When the log may say something of it again, in milliseconds of the node's life.
    silent_until_ms: AtomicU64,
    refused: AtomicU64,
}

/// One connection of a client, for the task that serves it.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) client: Arc<Client>,
    is_node: AtomicBool,
}

tokio::task_local! {
    /// Whose connection the task serves. What a door does goes through many hands, of which few have to know for whom; what
    /// is done for nobody's connection counts for nobody.
    pub(crate) static VISIT: Arc<Visit>;
}

/// The part of an address that tells clients apart.
fn told_apart(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Clients {
    /// Nobody is known; what they are refused is counted there too.
    pub(crate) fn new(offences: Arc<Offences>) -> Self {
        Self {
            began: Instant::now(),
            known: Mutex::default(),
            refused: Default::default(),
            told: Pace::default(),
            offences,
        }
    }

    /// How long the node has lived.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The client at that address.
    pub(crate) fn meet(&self, address: IpAddr) -> Arc<Client> {
        let address = told_apart(address);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.clients.get(&address) {
            return client.clone();
        }
        if known.clients.len() >= known.tidy_at.max(REMEMBERED_MAX) {
            known.tidy(self.now());
        }
        let client = Arc::new(Client {
            address,
            connects: Pace::default(),
            requests: Pace::default(),
            units: AtomicUsize::new(0),
            nodes: AtomicUsize::new(0),
            silent_until_ms: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        known.clients.insert(address, client.clone());
        client
    }

    /// How many are known.
    pub(crate) fn count(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clients.len()
    }

    /// How often each of [`Rationed::ALL`] was refused.
    pub(crate) fn refused(&self) -> [u64; Rationed::ALL.len()] {
        Rationed::ALL.map(|what| self.refused[what as usize].load(Ordering::Relaxed))
    }

    /// A client opens a connection.
    pub(crate) fn connects(&self, client: &Client, limits: &Limits) -> Result<(), Rationed> {
        let per_s = limits.client_connects;
        if per_s == 0 || client.connects.takes(self.now(), Rate::per_second(per_s)) {
            return Ok(());
        }
        self.refuse(client, Rationed::Connects);
        Err(Rationed::Connects)
    }

    /// Whoever is served on this task asks for something.
    pub(crate) fn request(&self, limits: &Limits) -> Result<(), Rationed> {
        let per_s = limits.client_requests;
        if per_s == 0 {
            return Ok(());
        }
        let Some(visit) = Visit::here() else { return Ok(()) };
        if visit.client.requests.takes(self.now(), Rate::per_second(per_s)) {
            return Ok(());
        }
        self.refuse(&visit.client, Rationed::Requests);
        Err(Rationed::Requests)
    }

    /// Counts that a client was refused something, and says so once in a while.
    pub(crate) fn refuse(&self, client: &Client, what: Rationed) {
        self.refused[what as usize].fetch_add(1, Ordering::Relaxed);
        self.offences.note(Offence::Budget, client.address);
        client.refused.fetch_add(1, Ordering::Relaxed);
        if client.speaks(self.now(), &self.told) {
            let refused = client.refused.swap(0, Ordering::Relaxed);
            tracing::warn!(
                event = "client-refused",
                client = %client.address,
                "refuses some of what is asked from this address, which has reached the limit {}: {refused} times since this was said last; it is said once a minute at most",
                what.option()
            );
        }
    }
}

impl Known {
    /// Forgets those who have no connection and ask for nothing; if that is too few, all who have no connection.
    fn tidy(&mut self, now: Duration) {
        let is_here = |client: &Arc<Client>| Arc::strong_count(client) > 1;
        self.clients.retain(|_, client| {
            is_here(client) || !client.connects.is_at_rest(now) || !client.requests.is_at_rest(now)
        });
        if self.clients.len() >= REMEMBERED_MAX {
            self.clients.retain(|_, client| is_here(client));
        }
        self.tidy_at = self.clients.len() + REMEMBERED_MAX;
    }
}

impl Client {
    /// Which of an address's connections these are.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether the log is to say something of it: once a minute for each, and no faster than the log can be read, however many
    /// there are.
    fn speaks(&self, now: Duration, told: &Pace) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now_ms = millis(now);
        let is_silent = self.silent_until_ms.load(Ordering::Relaxed) > now_ms;
        if is_silent || !told.takes(now, Rate::per_second(TOLD_PER_S)) {
            return false;
        }
        let until = millis(now.saturating_add(SAID_EVERY));
        self.silent_until_ms.swap(until, Ordering::Relaxed) <= now_ms
    }

    /// Whether a node is connected from there.
    pub(crate) fn hosts_nodes(&self) -> bool {
        self.nodes.load(Ordering::Relaxed) > 0
    }

    /// Whether the name of a node is of that address.
    pub(crate) fn is_at(&self, name: &NodeName) -> bool {
        name.as_str().parse().is_ok_and(|at: SocketAddr| told_apart(at.ip()) == self.address)
    }

    /// Takes so many units of the budget more, of which one client may have so many; false if that would be too many.
    pub(crate) fn take(&self, n_units: usize, limit: usize) -> bool {
        let more = |units: usize| units.checked_add(n_units).filter(|units| *units <= limit);
        self.units.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn give_back(&self, n_units: usize) {
        self.units.fetch_sub(n_units, Ordering::Relaxed);
    }
}

impl Visit {
    pub(crate) fn of(client: Arc<Client>) -> Arc<Self> {
        Arc::new(Self { client, is_node: AtomicBool::new(false) })
    }

    /// Whose connection this task serves; nobody's, if that is another node.
    pub(crate) fn here() -> Option<Arc<Self>> {
        let visit = VISIT.try_with(Arc::clone).ok()?;
        (!visit.is_node.load(Ordering::Relaxed)).then_some(visit)
    }

    /// Does something elsewhere on behalf of whoever is served on this task.
    pub(crate) fn along<F: Future>(work: F) -> impl Future<Output = F::Output> {
        let visit = VISIT.try_with(Arc::clone).ok();
        async move {
            match visit {
                Some(visit) => VISIT.scope(visit, work).await,
                None => work.await,
            }
        }
    }

    /// Whether whoever is served on this task is a node, from now on.
    pub(crate) fn is_of_node(is_node: bool) {
        let _ = VISIT.try_with(|visit| visit.mark(is_node));
    }

    fn mark(&self, is_node: bool) {
        match (self.is_node.swap(is_node, Ordering::Relaxed), is_node) {
            (false, true) => _ = self.client.nodes.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.client.nodes.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.mark(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Clients {
        Clients::new(Arc::default())
    }

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn addresses_of_one_host_are_one_client() {
        for (one, other, are_one) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1:2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            let [a, b] = [one, other].map(|address| told_apart(address.parse().unwrap()));
            assert_eq!(a == b, are_one, "{one} and {other}");
        }
    }

    #[test]
    fn many_addresses_are_forgotten_but_for_those_that_are_here() {
        let clients = clients();
        let limits = Limits { client_connects: 1, ..Limits::default() };
        let here: Vec<_> = (0..100).map(|number| clients.meet(address(number))).collect();
        for number in 0..50_000 {
            let client = clients.meet(address(1000 + number));
            assert_eq!(clients.connects(&client, &limits), Ok(()), "each is as if it were new");
        }
        assert!(clients.count() <= 2 * REMEMBERED_MAX + here.len() + 1, "{}", clients.count());
        for (number, client) in (0..).zip(&here) {
            assert!(Arc::ptr_eq(client, &clients.meet(address(number))));
        }
    }

    #[test]
    fn the_log_tells_of_each_client_once_a_minute_and_of_all_of_them_once_a_second() {
        let clients = clients();
        let many: Vec<_> = (0..1000).map(|number| clients.meet(address(number))).collect();
        let told = Pace::default();
        let lines = |at_ms: u64| {
            many.iter().filter(|client| client.speaks(Duration::from_millis(at_ms), &told)).count()
        };
        assert_eq!([0, 1, 500, 999].map(lines), [1, 0, 0, 0], "one, of whichever client came first");
        let n_lines: usize = (1..=59).map(|s| lines(s * 1000)).sum();
        assert_eq!(n_lines, 59, "of one more each second");
        let alone = &many[0];
        assert!(
            !alone.speaks(Duration::from_millis(59_999), &Pace::default()),
            "it was told of at the beginning"
        );
        assert!(alone.speaks(Duration::from_secs(60), &Pace::default()));
    }

    #[test]
    fn an_address_hosts_nodes_while_one_of_them_is_connected() {
        let client = clients().meet(address(1));
        let [first, second] = [1, 2].map(|_| Visit::of(client.clone()));
        assert!(!client.hosts_nodes());
        for is_node in [true, true, false, false, true] {
            first.mark(is_node);
            assert_eq!(client.hosts_nodes(), is_node);
        }
        second.mark(true);
        drop(first);
        assert!(client.hosts_nodes());
        drop(second);
        assert!(!client.hosts_nodes());
    }

    #[test]
    fn one_client_that_is_refused_costs_another_nothing() {
        let clients = clients();
        let limits = Limits { client_connects: 5, ..Limits::default() };
        let [first, second] = [1, 2].map(|number| clients.meet(address(number)));
        let taken = (0..20).filter(|_| clients.connects(&first, &limits).is_ok()).count();
        assert!((5..=6).contains(&taken), "{taken}");
        assert_eq!(clients.connects(&second, &limits), Ok(()));
        assert_eq!(clients.refused(), [0, 20 - taken as u64, 0, 0]);
        assert_eq!(clients.offences.count(Offence::Budget), 20 - taken as u64);
        assert!(first.take(10, 10) && second.take(10, 10));
        assert!(!first.take(1, 10));
        first.give_back(1);
        assert!(first.take(1, 10));
    }
}
