//! Two hosts, as far as the program can tell: network namespaces with a cable between them.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Two network namespaces with a cable between them.
pub(crate) struct Hosts {
    pub(crate) near: String,
    pub(crate) far: String,
    cable: String,
}

impl Hosts {
    pub(crate) const NEAR: &str = "10.213.77.1";
    pub(crate) const FAR: &str = "10.213.77.2";

    /// None if this user may not make namespaces.
    pub(crate) fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Interface names have at most 15 bytes.
        let (cable, end) = (format!("ca{id}"), format!("cb{id}"));
        let hosts = Self { near: format!("chord-{id}-a"), far: format!("chord-{id}-b"), cable };
        let (near, far, cable) = (&*hosts.near, &*hosts.far, &*hosts.cable);
        let steps: [&[&str]; 10] = [
            &["netns", "add", near],
            &["netns", "add", far],
            &["-n", near, "link", "add", cable, "type", "veth", "peer", "name", &end],
            &["-n", near, "link", "set", &end, "netns", far],
            &["-n", near, "addr", "add", &format!("{}/24", Self::NEAR), "dev", cable],
            &["-n", far, "addr", "add", &format!("{}/24", Self::FAR), "dev", &end],
            &["-n", near, "link", "set", cable, "up"],
            &["-n", far, "link", "set", &end, "up"],
            &["-n", near, "link", "set", "lo", "up"],
            &["-n", far, "link", "set", "lo", "up"],
        ];
        steps.iter().all(|step| ip(step)).then_some(hosts)
    }

    /// Pulls the cable out.
    #[track_caller]
    pub(crate) fn cut(&self) {
        assert!(ip(&["-n", &self.near, "link", "set", &self.cable, "down"]), "the cable can be cut");
    }

    /// Puts it back.
    #[track_caller]
    pub(crate) fn mend(&self) {
        assert!(ip(&["-n", &self.near, "link", "set", &self.cable, "up"]), "the cable can be mended");
    }

    /// The program, to be run on one of the hosts.
    pub(crate) fn program_at(host: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", host]).arg(super::program_file());
        command.env_remove("CHORD_NODE").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.near]);
        ip(&["netns", "del", &self.far]);
    }
}

/// Runs `ip`; whether it did what it was told.
pub(crate) fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|output| output.status.success())
}
