//! What `chord dev` shows of its ring.

use std::fmt::Write as _;
use std::sync::Arc;

use chord::{NodeName, Position, RingSize, View};
use serde::Serialize;

use crate::cli::address;
use crate::cli::table::{Side, Table};

/// Rings up to this size show positions as numbers; in larger ones their leading digits tell more.
const DECIMAL_BITS_MAX: u16 = 32;

/// How many leading hexadecimal digits: 32 bits, so that two of 256 nodes share them once in 130,000 rings.
const HEX_DIGITS_SHOWN: usize = 8;

/// A complete ring, in the order of positions.
#[derive(Debug, Serialize)]
pub(super) struct Ring {
    ring_size: u16,
    nodes: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    node: String,
    /// In decimal digits: as a number it would be beyond what most JSON readers keep exact.
    position: String,
    predecessor: Option<String>,
    successor: Option<String>,
    share_percent: f64,
    #[serde(skip)]
    position_shown: String,
}

impl Ring {
    pub(super) fn new(views: &[Arc<View>]) -> Self {
        let mut views: Vec<&View> = views.iter().map(AsRef::as_ref).collect();
        views.sort_by_key(|view| view.me().position);
        let ring_size = views.first().map_or(0, |view| view.ring().size.bits());
        Self { ring_size, nodes: views.into_iter().map(Member::new).collect() }
    }

    /// The table, and commands to try; `program` is how the user calls us.
    pub(super) fn text(&self, program: &str) -> String {
        let right = |heading| (heading, Side::Right);
        let left = |heading| (heading, Side::Left);
        let headings =
            [left("node"), right("position"), left("predecessor"), left("successor"), right("share")];
        let mut table = Table::new(&headings);
        for member in &self.nodes {
            let name_or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
            table.row(vec![
                member.node.clone(),
                member.position_shown.clone(),
                name_or_none(&member.predecessor),
                name_or_none(&member.successor),
                format!("{:.1} %", member.share_percent),
            ]);
        }
        format!("{}\n{}", table.render(), self.examples(program))
    }

    fn examples(&self, program: &str) -> String {
        let (Some(first), Some(last)) = (self.nodes.first(), self.nodes.last()) else { return String::new() };
        let name: Option<NodeName> = last.node.parse().ok();
        let (host, port) = name.as_ref().map_or(("", ""), address::host_port);
        let (first, last) = (&first.node, &last.node);
        let mut text = "In another terminal:\n".to_owned();
        let lines = [
            format!("{program} put greeting hello --node {first}"),
            format!("{program} get greeting --node {last}"),
            format!("{program} lookup greeting --node {last}"),
            format!("{program} http client {host} {port} get_successor_list"),
            format!("curl -s -d '{{\"key\": \"greeting\"}}' http://{first}/get"),
        ];
        for line in lines {
            writeln!(text, "  {line}").expect("a string takes every text");
        }
        text.push_str("Ctrl-C stops the ring.\n");
        text
    }
}

impl Member {
    fn new(view: &View) -> Self {
        let (me, size) = (view.me(), view.ring().size);
        let name = |peer: &chord::Peer| peer.name.to_string();
        let share = view
            .predecessor()
            .map_or(1.0, |predecessor| size.fraction(size.distance(predecessor.position, me.position)));
        Self {
            node: me.name.to_string(),
            position: me.position.to_string(),
            predecessor: view.predecessor().map(name),
            successor: view.successors().head().map(name),
            share_percent: (share * 10_000.0).round() / 100.0,
            position_shown: shown(me.position, size),
        }
    }
}

/// A position short enough for a table.
fn shown(position: Position, size: RingSize) -> String {
    if size.bits() <= DECIMAL_BITS_MAX {
        return position.to_string();
    }
    let hex = position.to_be_bytes().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes every text");
        hex
    });
    let skipped = hex.len() - usize::from(size.bits().div_ceil(4));
    hex.chars().skip(skipped).take(HEX_DIGITS_SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_positions_show_their_leading_digits() {
        let size = |bits| RingSize::new(bits).unwrap();
        assert_eq!(shown(127.into(), size(7)), "127");
        assert_eq!(shown(u64::from(u32::MAX).into(), size(32)), "4294967295");
        assert_eq!(shown(0x1_2345_6789.into(), size(33)), "12345678…");
        assert_eq!(shown(5.into(), size(160)), "00000000…");
        assert_eq!(shown(Position::MAX, size(256)), "ffffffff…");
    }

    #[test]
    fn examples_name_real_nodes() {
        let member = |node: &str| Member {
            node: node.to_owned(),
            position: "1".to_owned(),
            predecessor: None,
            successor: None,
            share_percent: 100.0,
            position_shown: "1".to_owned(),
        };
        let ring = Ring { ring_size: 7, nodes: vec![member("127.0.0.1:4567"), member("127.0.0.1:4568")] };
        let text = ring.text("./chord");
        assert!(text.contains("  ./chord get greeting --node 127.0.0.1:4568\n"), "{text}");
        assert!(text.contains("  ./chord http client 127.0.0.1 4568 get_successor_list\n"), "{text}");
        assert!(text.contains("100.0 %"), "{text}");
    }
}
