//! Two hosts with a cable between them that can be cut, and clients that reach both all the same.

use std::process::Command;

use crate::support::*;

/// The two hosts, and a cable from each of them to the clients' host.
pub(crate) struct Lab(Hosts);

/// The cable to one host: its network at the clients' end and at the other one. Each is of its own, so that nothing
/// of the ring goes this way.
struct ClientCable {
    host_addr: &'static str,
    near_end: &'static str,
    far_end: &'static str,
}

const CLIENT_CABLES: [ClientCable; 2] = [
    ClientCable { host_addr: Hosts::NEAR, near_end: "10.213.78.1", far_end: "10.213.78.2" },
    ClientCable { host_addr: Hosts::FAR, near_end: "10.213.78.5", far_end: "10.213.78.6" },
];

impl Lab {
    /// None if this user may not make namespaces, or the addresses are in use, as they are after a run that was killed.
    pub(crate) fn new() -> Option<Self> {
        let lab = Self(Hosts::new()?);
        let namespaces = [&lab.0.near, &lab.0.far];
        let connected = CLIENT_CABLES.iter().zip(namespaces).all(|(cable, host)| cable.connect(host));
        connected.then_some(lab)
    }

    /// Names of nodes on the one host and on the other.
    pub(crate) fn names(n_near: usize, n_far: usize) -> Vec<String> {
        let on =
            |addr: &'static str, count| (0..count).map(move |number| format!("{addr}:{}", 5000 + number));
        on(Hosts::NEAR, n_near).chain(on(Hosts::FAR, n_far)).collect()
    }

    /// The program, to be run on the host that the node's name tells.
    pub(crate) fn program_at(&self, name: &str) -> Command {
        let is_near = name.starts_with(&format!("{}:", Hosts::NEAR));
        Hosts::program_at(if is_near { &self.0.near } else { &self.0.far })
    }

    #[track_caller]
    pub(crate) fn cut(&self) {
        self.0.cut();
    }

    #[track_caller]
    pub(crate) fn mend(&self) {
        self.0.mend();
    }
}

impl ClientCable {
    /// Lays the cable; it goes away with the namespace.
    fn connect(&self, host: &str) -> bool {
        let last = self.near_end.rsplit('.').next().unwrap_or_default();
        let id = std::process::id();
        // Interface names have at most 15 bytes.
        let (near, far) = (format!("cc{last}-{id}"), format!("cd{last}-{id}"));
        let steps: [&[&str]; 7] = [
            &["link", "add", &near, "type", "veth", "peer", "name", &far],
            &["link", "set", &far, "netns", host],
            &["addr", "add", &format!("{}/30", self.near_end), "dev", &near],
            &["-n", host, "addr", "add", &format!("{}/30", self.far_end), "dev", &far],
            &["link", "set", &near, "up"],
            &["-n", host, "link", "set", &far, "up"],
            &["route", "add", &format!("{}/32", self.host_addr), "via", self.far_end],
        ];
        steps.iter().all(|step| ip(step))
    }
}
