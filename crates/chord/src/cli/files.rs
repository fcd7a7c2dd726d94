//! How many files a node's process may have open: each connection is one.

/// Raises the limit to what the system allows this user; returns it, or `None` where nobody can tell.
///
/// The usual 1,024 is for programs that still use `select(2)`, which this one does not.
pub(crate) fn raise_limit() -> Option<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY).ok()
}

/// Peers that one node keeps connections to: 8 successors, a predecessor, and fingers, which are some 8 more on a
/// ring of 256. Both ends of each connection are in a process that holds a whole ring.
const PEERS_MAX: u64 = 25;

/// Open files that have nothing to do with the number of nodes.
const OTHER_FILES: u64 = 64;

/// Why a ring of that many nodes in one process may not find enough files to open, and what to do; `None` if it will.
pub(crate) fn shortage(nodes: u16, allowed: u64) -> Option<String> {
    let needed = needed(nodes.into());
    (needed > allowed).then(|| {
        format!("{nodes} nodes may open {needed} files, of which {allowed} are allowed: if the ring does not form, use fewer --nodes or `ulimit -n {needed}`")
    })
}

fn needed(nodes: u64) -> u64 {
    nodes * nodes.saturating_sub(1).min(PEERS_MAX) * 2 + OTHER_FILES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_nodes_fit_into_the_usual_limit_and_sixty_four_do_not() {
        assert_eq!(shortage(5, 1024), None);
        let shortage = shortage(64, 1024).expect("64 nodes were seen to open 2843 files");
        assert!(shortage.contains("ulimit -n 3264"), "{shortage}");
    }
}
