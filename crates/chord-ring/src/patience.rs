//! How long whoever drives a node waits for its peers: here, so that a running node and a simulated one do the same.
//!
//! The waits themselves need a clock, and so belong to the driver.

use std::time::Duration;

use crate::{NodeName, Refusal};

/// The wait for a peer that was never measured, and the shortest one otherwise: long enough for a busy machine to
/// schedule a process, short enough that two of them in a row are one second.
pub const WAIT_MIN: Duration = Duration::from_millis(500);

/// How long one node waits for another at most, also if that one has to ask others, unless its operator says otherwise.
pub const REQUEST_WAIT_DEFAULT: Duration = Duration::from_secs(2);

/// How long an operation may take that a client asked for, whatever happens in the ring, unless the operator says
/// otherwise.
pub const OPERATION_WAIT_DEFAULT: Duration = Duration::from_secs(4);

/// How long a peer that failed is passed over by lookups at least, so that each does not find out anew. Maintenance, which
/// drops it, takes about as long.
pub const SUSPECT_FOR: Duration = Duration::from_secs(1);

/// Pause before a lookup that got stuck begins anew: the ring is changing, and one exchange between neighbours mends most
/// of it.
pub const LOOKUP_RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How much of its own time a node gives a peer that may have to ask others: what is left is for the way back.
pub fn budget_onward(budget: Duration) -> Duration {
    budget * 9 / 10
}

/// Whether a lookup that got stuck begins anew after [`LOOKUP_RETRY_PAUSE`], where the question has come by `path`: while
/// the ring is changing and time is left. One that is only passing through is left to whoever sent it.
pub fn begins_anew(refusal: &Refusal, path: &[NodeName], remaining: Duration) -> bool {
    *refusal != Refusal::NotMember && path.is_empty() && remaining >= 2 * LOOKUP_RETRY_PAUSE
}

const _: () = assert!(
    WAIT_MIN.as_millis() < REQUEST_WAIT_DEFAULT.as_millis()
        && REQUEST_WAIT_DEFAULT.as_millis() < OPERATION_WAIT_DEFAULT.as_millis(),
    "a client outlasts a peer that is waited for in vain"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_begins_anew_where_it_began_while_there_is_time() {
        let stuck = Refusal::NoRoute;
        let (enough, path) = (LOOKUP_RETRY_PAUSE * 2, ["127.0.0.1:1".parse().unwrap()]);
        assert!(begins_anew(&stuck, &[], enough));
        assert!(!begins_anew(&stuck, &[], enough / 2));
        assert!(!begins_anew(&stuck, &path, enough));
        assert!(!begins_anew(&Refusal::NotMember, &[], enough));
    }

    #[test]
    fn each_peer_on_the_way_has_less_time_than_the_one_before() {
        assert_eq!(budget_onward(Duration::from_secs(2)), Duration::from_millis(1_800));
    }
}
