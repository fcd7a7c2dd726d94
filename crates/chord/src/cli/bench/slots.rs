//! A Redis cluster as a client sees it that knows where each key is: every key belongs to one of 16,384 slots, and every slot
//! to one of the masters.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use chord::NodeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::door::{Reply, reply};
use super::keys::key;

const SLOTS: u16 = 16_384;

/// How long a node may take to say who has which slots.
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// Most bytes of what it says: a line for each of a thousand nodes.
const TOLD_BYTES_MAX: u64 = 256 << 10;

/// The slots that one master answers for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots(Vec<RangeInclusive<u16>>);

impl Slots {
    /// Whether the key of that number is in one of them.
    pub(super) fn hold(&self, number: u64) -> bool {
        let slot = slot(&key(number));
        self.0.iter().any(|range| range.contains(&slot))
    }
}

/// The masters of the cluster that the node belongs to, each with its slots.
pub(super) async fn masters(node: &NodeName) -> anyhow::Result<(Vec<NodeName>, Vec<Slots>)> {
    let told = tokio::time::timeout(TELL_WITHIN, ask(node)).await;
    let told = told.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", TELL_WITHIN.as_secs())));
    let masters = told.and_then(|told| read(&told));
    masters.with_context(|| format!("cannot learn from {node} who is in its cluster"))
}

async fn ask(node: &NodeName) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((node.host(), node.port())).await?;
    stream.write_all(b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n").await?;
    let mut stream = stream.take(TOLD_BYTES_MAX);
    let mut received = Vec::new();
    loop {
        match reply(&received)? {
            Some((Reply::Bulk(told), _)) => return Ok(String::from_utf8_lossy(told).into_owned()),
            Some((Reply::Error(_), _)) => bail!("it is in no cluster"),
            Some((Reply::Line(_) | Reply::Null, _)) => bail!("the answer is to another command"),
            None => {}
        }
        if stream.read_buf(&mut received).await? == 0 {
            bail!("the answer is cut off");
        }
    }
}

/// Reads lines of an id, an address, flags, five words, and slots, of which those in brackets are on their way.
fn read(told: &str) -> anyhow::Result<(Vec<NodeName>, Vec<Slots>)> {
    let (mut nodes, mut all_slots) = (Vec::new(), Vec::new());
    for line in told.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, address, flags, _, _, _, _, _, ranges @ ..] = &words[..] else {
            bail!("a line of the answer has too few words");
        };
        let slots: Vec<_> =
            ranges.iter().filter(|range| !range.starts_with('[')).copied().map(range).collect();
        if flags.split(',').any(|flag| flag == "master") && !slots.is_empty() {
            let address = address.split(['@', ',']).next().unwrap_or_default();
            nodes.push(address.parse().map_err(|_| anyhow!("a master has no address that can be used"))?);
            all_slots.push(Slots(slots.into_iter().collect::<anyhow::Result<_>>()?));
        }
    }
    let n_slots: usize = all_slots.iter().flat_map(|slots| &slots.0).map(ExactSizeIterator::len).sum();
    if n_slots != usize::from(SLOTS) {
        bail!("its masters answer for {n_slots} of {SLOTS} slots");
    }
    Ok((nodes, all_slots))
}

fn range(text: &str) -> anyhow::Result<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let slot =
        |text: &str| text.parse().ok().filter(|slot| *slot < SLOTS).context("a slot is no number of one");
    Ok(slot(first)?..=slot(last)?)
}

/// CRC-16/XMODEM of a key without braces, as the specification of Redis Cluster has it.
fn slot(key: &[u8]) -> u16 {
    let crc = key.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!((slot(b"foo"), slot(b"")), (12_182, 0));
    }

    #[test]
    fn masters_are_told_with_their_slots() {
        let told = "\
a1 127.0.0.1:7001@17001,host master - 0 1 2 connected 5461-10922 [93->-a0]
a0 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5459 5460
b0 127.0.0.1:7003@17003 slave a0 0 0 1 connected
a2 127.0.0.1:7002@17002 master - 0 1 3 connected 10923-16383
";
        let (nodes, slots) = read(told).unwrap();
        let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["127.0.0.1:7001", "127.0.0.1:7000", "127.0.0.1:7002"]);
        assert_eq!(slots[1], Slots(vec![0..=5459, 5460..=5460]));
        for number in 0..100 {
            assert_eq!(slots.iter().filter(|slots| slots.hold(number)).count(), 1, "{number}");
        }
    }

    #[test]
    fn a_cluster_with_a_gap_is_refused() {
        for told in ["", "x", "a0 127.0.0.1:7000@17000 master - 0 0 1 connected 0-16382"] {
            assert!(read(told).is_err(), "{told}");
        }
        assert!(read("a0 127.0.0.1:7000@17000 master - 0 0 1 connected 0-16384").is_err());
    }
}
