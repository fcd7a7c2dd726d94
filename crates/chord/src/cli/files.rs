//! Files: how many a node's process may have open, since each connection is one, and what helps when one cannot be used.

use std::io;
use std::path::Path;

use super::exit::Usage;

/// Raises the limit to what the system allows this user; returns it, or `None` where nobody can tell.
///
/// The usual 1,024 is for programs that still use `select(2)`, which this one does not.
pub(crate) fn raise_limit() -> Option<u64> {
    rlimit::increase_nofile_limit(rlimit::INFINITY).ok()
}

/// Raises the limit, and fails if so many files do not fit; `what` wants them, for connections and threads.
pub(crate) fn ensure(files: u64, what: &str) -> anyhow::Result<()> {
    let allowed = raise_limit().unwrap_or(u64::MAX);
    match too_few(files, what, allowed) {
        Some(sentence) => Err(Usage::new(sentence).into()),
        None => Ok(()),
    }
}

/// Why so many files cannot be open beside the others, and what to do; `None` if they can.
fn too_few(files: u64, what: &str, allowed: u64) -> Option<String> {
    let needed = files + OTHER_FILES;
    (needed > allowed).then(|| {
        format!("{what} may open {needed} files, of which {allowed} are allowed: take fewer, or raise the limit with `ulimit -Hn {needed}`")
    })
}

/// Peers that one node keeps connections to: 8 successors, a predecessor, and fingers, which are some 8 more on a
/// ring of 256. Both ends of each connection are in a process that holds a whole ring.
const PEERS_MAX: u64 = 25;

/// Open files that have nothing to do with the number of nodes, connections and threads.
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

/// The file of that path; none if it stands for standard input or output.
pub(crate) fn named(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| path.as_os_str() != "-")
}

/// That something cannot be done with a file, why, and what helps.
pub(crate) fn cannot(what: &str, path: &Path) -> impl FnOnce(io::Error) -> anyhow::Error {
    let doing = format!("cannot {what} {}", path.display());
    move |error| anyhow::anyhow!("{doing}: {}", explained(&error))
}

/// What the system says, and what helps.
pub(crate) fn explained(error: &io::Error) -> String {
    use io::ErrorKind::{
        IsADirectory, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull,
    };
    let remedy = match error.kind() {
        NotFound | NotADirectory => "check the path",
        IsADirectory => "name a file",
        PermissionDenied => "give this user the right to it, or name another file",
        ReadOnlyFilesystem => "name a file on another file system",
        StorageFull | QuotaExceeded => "free space there, or name a file on another disk",
        _ => "check the disk and the system's log",
    };
    format!("{error}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_with_a_file_is_said_with_the_remedy() {
        let refused = std::fs::File::open("no-such-file")
            .map_err(cannot("read", Path::new("no-such-file")))
            .unwrap_err();
        let text = refused.to_string();
        assert!(
            text.starts_with("cannot read no-such-file: ") && text.ends_with("; check the path"),
            "{text}"
        );
        assert!(
            explained(&io::ErrorKind::StorageFull.into())
                .ends_with("; free space there, or name a file on another disk")
        );
    }

    #[test]
    fn connections_need_a_file_each() {
        assert_eq!(too_few(4096, "--connections", 4096 + OTHER_FILES), None);
        let sentence = too_few(4096, "--connections", 4096).unwrap();
        assert!(sentence.starts_with("--connections may open 4160 files, of which 4096"), "{sentence}");
    }

    #[test]
    fn five_nodes_fit_into_the_usual_limit_and_sixty_four_do_not() {
        assert_eq!(shortage(5, 1024), None);
        let shortage = shortage(64, 1024).expect("64 nodes were seen to open 2843 files");
        assert!(shortage.contains("ulimit -n 3264"), "{shortage}");
    }
}
