//! What every engine promises, against a dumb oracle: a list of records that is searched from end to end.
//!
//! A test file of an engine includes this one and calls [`contract!`](crate::contract) with its [`Engine`].

#![allow(clippy::unwrap_used, reason = "these are tests, though not by name")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use chord_kv::{
    Cursor, Digest, Key, PageLimit, RECORD_OVERHEAD_BYTES, Range, Record, Sequence, Store, StoreError, Usage,
    VALUE_BYTES_DEFAULT, Value, Version,
};
use chord_ring::{Position, RingSize};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

const NO_LIMIT: u64 = u64::MAX;

/// An engine under test.
pub(crate) trait Engine {
    type Store: Store;

    /// How often each property is tried.
    const CASES: u32;

    /// An empty store for a ring of that size with that limit on bytes.
    fn new(size: RingSize, bytes_limit: u64) -> Self::Store;

    /// The same store once all that was applied lies where it stays.
    fn settled(store: Self::Store) -> Self::Store;
}

/// A store that is as simple as can be.
#[derive(Default)]
struct Oracle(Vec<Record>);

impl Oracle {
    fn merge(&mut self, record: &Record) -> bool {
        match self.0.iter_mut().find(|old| (old.position, &old.key) == (record.position, &record.key)) {
            Some(old) if old.version >= record.version => return false,
            Some(old) => *old = record.clone(),
            None => self.0.push(record.clone()),
        }
        true
    }

    fn range(&self, size: RingSize, range: &Range) -> Vec<Record> {
        let mut records: Vec<_> =
            self.0.iter().filter(|record| range.contains(record.position)).cloned().collect();
        // The position `after` itself is the last of the whole circle, not the first.
        let one_on = size.finger_start(range.after, 0);
        records.sort_by_key(|record| (size.distance(one_on, record.position), record.key.clone()));
        records
    }

    fn digest(&self, range: &Range) -> Digest {
        let mut digest = Digest::EMPTY;
        for record in self.0.iter().filter(|record| range.contains(record.position)).rev() {
            digest.add(record);
        }
        digest
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|record| record.size_bytes() as u64).sum()
    }
}

fn ring(bits: u64) -> RingSize {
    RingSize::new(bits).expect("a size")
}

fn key(text: &str) -> Key {
    Key::new(text.as_bytes()).expect("a short key")
}

fn record(position: u64, name: &str, time_ms: u64, value: Option<&[u8]>) -> Record {
    Record {
        position: Position::from(position),
        key: key(name),
        value: value.map(|bytes| Value::new(bytes, VALUE_BYTES_DEFAULT).expect("a short value")),
        version: Version::new(time_ms, 0, Position::ZERO),
        expires_at_ms: None,
    }
}

fn limit(records: usize, bytes: usize) -> PageLimit {
    PageLimit { records: NonZeroUsize::new(records).expect("not zero"), bytes }
}

/// All records of a range, page by page.
fn read_pages<S: Store>(store: &S, range: &Range, limit: PageLimit) -> Vec<Record> {
    let mut records = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = store.range(range, cursor.as_ref(), limit).expect("the cursor is from this range");
        let bytes: usize = page.records.iter().map(Record::size_bytes).sum();
        assert!(page.records.len() <= limit.records.get());
        assert!(page.records.len() == 1 || bytes <= limit.bytes, "{bytes} bytes in a page");
        records.extend(page.records);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return records,
        }
    }
}

/// Few positions, keys and times, so that records meet. The value follows from the version, as it does on a ring.
pub(crate) fn any_record(bits: u64) -> impl Strategy<Value = Record> {
    let positions = 1u64 << bits.min(4);
    (0..positions, 0..3u8, 0..4u64, 0..2u64).prop_map(move |(position, name, time_ms, writer)| {
        let text = ["", "a", "ab"][usize::from(name)];
        let content = [b'v'; 7];
        let length = usize::try_from(time_ms).expect("small");
        let mut record = record(position, text, time_ms, Some(&content[..length]).filter(|_| time_ms != 2));
        record.position = spread(bits, position);
        record.version = Version::new(time_ms, 0, Position::from(writer));
        record
    })
}

/// Spreads 16 positions over the whole of a large ring, its two ends included.
fn spread(bits: u64, position: u64) -> Position {
    if bits <= 4 {
        return Position::from(position);
    }
    let mut bytes = [0; 32];
    bytes[0] = u8::try_from(position).expect("below 16") * 0x11;
    if position == 15 { ring(bits).reduce(Position::MAX) } else { shifted(bits, bytes) }
}

fn shifted(bits: u64, top: [u8; 32]) -> Position {
    let skipped = usize::try_from((256 - bits) / 8).expect("small");
    let mut bytes = [0; 32];
    bytes[skipped..].copy_from_slice(&top[..32 - skipped]);
    Position::from_be_bytes(bytes)
}

/// A number of bits, records for a ring of that size, and a range of it.
pub(crate) type Case = (u64, Vec<Record>, Range);

/// Records, and the same in another order.
pub(crate) fn shuffled_case() -> impl Strategy<Value = (u64, Vec<Record>, Vec<Record>)> {
    any_case()
        .prop_flat_map(|(bits, records, _)| (Just(bits), Just(records.clone()), Just(records).prop_shuffle()))
}

pub(crate) fn any_case() -> impl Strategy<Value = Case> {
    prop_oneof![Just(1u64), Just(2), Just(4), Just(8), Just(64), Just(256)].prop_flat_map(|bits| {
        let ends = 0..1u64 << bits.min(4);
        (prop::collection::vec(any_record(bits), 0..60), ends.clone(), ends).prop_map(
            move |(records, after, up_to)| {
                (bits, records, Range { after: spread(bits, after), up_to: spread(bits, up_to) })
            },
        )
    })
}

pub(crate) fn a_store_merges_reads_and_counts_as_the_oracle_does<E: Engine>(
    (bits, records, _): Case,
) -> TestCaseResult {
    let mut store = E::new(ring(bits), NO_LIMIT);
    let mut oracle = Oracle::default();
    for (n, record) in records.iter().enumerate() {
        let applied = store.apply(vec![record.clone()]).unwrap();
        prop_assert_eq!(applied.news, usize::from(oracle.merge(record)));
        if n == 30 {
            store = E::settled(store);
        }
    }
    for held in &oracle.0 {
        let read = store.read(held.position, &held.key).unwrap();
        prop_assert_eq!(read.as_ref(), Some(held));
    }
    prop_assert_eq!(store.usage(), Usage { records: oracle.0.len() as u64, bytes: oracle.bytes() });
    Ok(())
}

pub(crate) fn pages_of_any_size_show_a_range_in_its_order<E: Engine>(
    (bits, mut records, range): Case,
    limits: (usize, usize),
) -> TestCaseResult {
    let store = E::new(ring(bits), NO_LIMIT);
    let mut oracle = Oracle::default();
    for record in &records {
        oracle.merge(record);
    }
    let later = records.split_off(records.len() / 2);
    store.apply(records).unwrap();
    let store = E::settled(store);
    store.apply(later).unwrap();
    let expected = oracle.range(ring(bits), &range);
    prop_assert_eq!(&read_pages(&store, &range, limit(limits.0, limits.1)), &expected);
    let whole = store.range(&range, None, limit(expected.len().max(1), usize::MAX)).unwrap();
    prop_assert_eq!(whole.next, None, "a page that holds the rest says that nothing is left");
    prop_assert_eq!(store.digest(&range).unwrap(), oracle.digest(&range));
    Ok(())
}

pub(crate) fn the_order_in_which_records_arrive_does_not_matter<E: Engine>(
    (bits, records, shuffled): (u64, Vec<Record>, Vec<Record>),
) -> TestCaseResult {
    let [one, other] = [records, shuffled].map(|batch| {
        let store = E::new(ring(bits), NO_LIMIT);
        store.apply(batch.clone()).unwrap();
        assert_eq!(store.apply(batch).unwrap().news, 0, "what is known is no news");
        store
    });
    let whole = limit(1000, usize::MAX);
    prop_assert_eq!(one.range(&Range::ALL, None, whole), other.range(&Range::ALL, None, whole));
    prop_assert_eq!(one.digest(&Range::ALL), other.digest(&Range::ALL));
    prop_assert_eq!(one.usage(), other.usage());
    Ok(())
}

pub(crate) fn two_digests_are_equal_exactly_when_the_ranges_hold_the_same<E: Engine>(
    (bits, mine, range): Case,
    yours: Vec<Record>,
) -> TestCaseResult {
    let [one, other] = [0, 1].map(|_| E::new(ring(bits), NO_LIMIT));
    one.apply(mine.clone()).unwrap();
    other.apply(mine).unwrap();
    other.apply(yours).unwrap();
    let whole = limit(1000, usize::MAX);
    let same = one.range(&range, None, whole).unwrap() == other.range(&range, None, whole).unwrap();
    prop_assert_eq!(one.digest(&range) == other.digest(&range), same);
    Ok(())
}

pub(crate) fn the_digest_of_a_range_combines_those_of_its_parts<E: Engine>(
    (bits, records, range): Case,
    cut: u64,
) -> TestCaseResult {
    let cut = spread(bits, cut % (1 << bits.min(4)));
    prop_assume!(range.contains(cut) && cut != range.up_to);
    let store = E::new(ring(bits), NO_LIMIT);
    store.apply(records).unwrap();
    let store = E::settled(store);
    let mut sum = store.digest(&Range { after: range.after, up_to: cut }).unwrap();
    sum.combine(&store.digest(&Range { after: cut, up_to: range.up_to }).unwrap());
    prop_assert_eq!(sum, store.digest(&range).unwrap());
    prop_assert_eq!(Digest::from_bytes(sum.to_bytes()), sum);
    Ok(())
}

pub(crate) fn what_stays_in_place_is_seen_once_whatever_comes_and_goes<E: Engine>(
    (bits, records, range): Case,
    others: &[Record],
) -> TestCaseResult {
    let store = E::new(ring(bits), NO_LIMIT);
    let stays = |record: &Record| record.key.as_bytes() == b"a";
    store.apply(records).unwrap();
    let store = E::settled(store);
    let expected: Vec<_> =
        read_pages(&store, &range, limit(100, usize::MAX)).into_iter().filter(stays).collect();
    let mut seen = Vec::new();
    let mut cursor: Option<Cursor> = None;
    for other in others.iter().cycle() {
        let page = store.range(&range, cursor.as_ref(), limit(2, usize::MAX)).unwrap();
        for gone in page.records.iter().filter(|record| !stays(record)) {
            prop_assert!(store.remove(gone.position, &gone.key, &gone.version).unwrap());
        }
        seen.extend(page.records.into_iter().filter(stays));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
        if !stays(other) && !seen.is_empty() {
            let comes = Record { position: seen[0].position, ..other.clone() };
            store.apply(vec![comes]).unwrap();
        }
    }
    prop_assert_eq!(seen, expected);
    Ok(())
}

pub(crate) fn a_record_is_removed_only_at_exactly_the_version_given<E: Engine>() {
    let store = E::new(ring(8), NO_LIMIT);
    let old = record(5, "k", 1, Some(b"old"));
    let new = record(5, "k", 2, Some(b"new"));
    store.apply(vec![old.clone(), new.clone()]).unwrap();
    assert!(!store.remove(old.position, &old.key, &old.version).unwrap(), "a newer write came in since");
    assert!(store.remove(new.position, &new.key, &new.version).unwrap());
    assert!(!store.remove(new.position, &new.key, &new.version).unwrap());
    assert_eq!(store.usage(), Usage::default());
    assert_eq!(store.read(new.position, &new.key), Ok(None));
}

pub(crate) fn a_full_store_still_reads_replaces_and_deletes<E: Engine>() {
    let room = RECORD_OVERHEAD_BYTES as u64 + 1 + 10;
    let store = E::new(ring(8), room);
    store.apply(vec![record(1, "a", 1, Some(&[0; 10]))]).unwrap();
    assert_eq!(store.usage().bytes, room, "exactly at the limit");
    let full = Err(StoreError::Full { limit_bytes: room });
    assert_eq!(store.apply(vec![record(1, "a", 2, Some(&[0; 11]))]), full, "one byte over it");
    assert_eq!(store.apply(vec![record(2, "b", 1, None)]), full);
    assert_eq!(store.apply(vec![record(1, "a", 2, Some(&[1; 10]))]).unwrap().news, 1);
    assert_eq!(store.apply(vec![record(1, "a", 3, None)]).unwrap().news, 1);
    assert_eq!(store.usage(), Usage { records: 1, bytes: room - 10 });
}

pub(crate) fn what_comes_before_the_record_that_does_not_fit_is_merged<E: Engine>() {
    let store = E::new(ring(8), 2 * RECORD_OVERHEAD_BYTES as u64);
    let batch = vec![record(1, "a", 1, None), record(2, "b", 1, None), record(3, "", 1, None)];
    assert!(matches!(store.apply(batch), Err(StoreError::Full { .. })));
    assert!(store.read(Position::from(1), &key("a")).unwrap().is_some());
    assert!(store.read(Position::from(2), &key("b")).unwrap().is_none());
}

pub(crate) fn a_cursor_from_another_range_is_refused<E: Engine>() {
    let store = E::new(ring(8), NO_LIMIT);
    let range = Range { after: Position::from(10), up_to: Position::from(20) };
    let cursor = Cursor { position: Position::from(10), key: key("") };
    let refused = store.range(&range, Some(&cursor), limit(1, usize::MAX));
    assert_eq!(refused, Err(StoreError::ForeignCursor));
}

pub(crate) fn the_same_key_at_two_positions_is_two_records<E: Engine>() {
    let store = E::new(ring(8), NO_LIMIT);
    store.apply(vec![record(1, "k", 1, Some(b"x")), record(2, "k", 2, None)]).unwrap();
    assert_eq!(store.usage().records, 2);
}

#[allow(clippy::disallowed_methods, reason = "an engine with a disk needs a moment")]
pub(crate) fn each_batch_has_a_greater_sequence_and_becomes_durable<E: Engine>() {
    let store = E::new(ring(8), NO_LIMIT);
    assert_eq!(store.durable(), Sequence(0));
    let first = store.apply(vec![record(1, "k", 1, None)]).unwrap();
    let second = store.apply(vec![record(1, "k", 1, None)]).unwrap();
    assert!(second.sequence > first.sequence);
    let patience = Instant::now() + Duration::from_secs(20);
    while store.durable() < second.sequence {
        assert!(Instant::now() < patience, "{:?} is durable", store.durable());
        std::thread::yield_now();
    }
    assert_eq!(store.durable(), second.sequence);
}

pub(crate) fn records_beyond_the_end_of_a_small_ring_are_kept_in_order<E: Engine>() {
    let store = E::new(ring(1), NO_LIMIT);
    let records = vec![record(1, "k", 1, None), record(900, "k", 1, None)];
    store.apply(records.clone()).unwrap();
    assert_eq!(read_pages(&store, &Range::ALL, limit(1, 0)), records);
}

pub(crate) fn a_digest_of_many_records_is_that_of_a_plain_scan<E: Engine>() {
    let size = ring(160);
    let mut store = E::new(size, NO_LIMIT);
    let mut oracle = Oracle::default();
    let records: Vec<_> = (0..3000u32)
        .map(|n| {
            let mut record = record(0, &n.to_string(), 1, Some(b"v"));
            record.position = record.key.position(size);
            record
        })
        .collect();
    oracle.0.clone_from(&records);
    store.apply(records.clone()).unwrap();
    store = E::settled(store);
    let newer = Record { version: Version::new(2, 0, Position::ZERO), ..records[0].clone() };
    store.apply(vec![newer.clone()]).unwrap();
    oracle.merge(&newer);
    for gone in &records[2000..] {
        assert!(store.remove(gone.position, &gone.key, &gone.version).unwrap());
    }
    oracle.0.truncate(2000);
    for (after, up_to) in [(5, 1000), (1000, 5), (77, 78), (3, 3)] {
        let range = Range { after: records[after].position, up_to: records[up_to].position };
        assert_eq!(store.digest(&range).unwrap(), oracle.digest(&range), "{range:?}");
    }
    assert_eq!(store.digest(&Range::ALL).unwrap(), oracle.digest(&Range::ALL));
    let store = E::settled(store);
    assert_eq!(store.digest(&Range::ALL).unwrap(), oracle.digest(&Range::ALL));
}

/// Records that stand close together, of every kind, come and go by the thousand.
pub(crate) fn a_crowd_at_near_positions_is_kept_in_order<E: Engine>() {
    let mut store = E::new(ring(160), NO_LIMIT);
    let mut oracle = std::collections::BTreeMap::new();
    let mut random = 7u64;
    for step in 0..6000u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = random >> 33;
        let value = vec![b'v'; usize::try_from(number % 7).expect("small") * 90];
        let mut record =
            record(number % 1500, if step.is_multiple_of(2) { "" } else { "k" }, step, Some(&value));
        record.version = Version::new(step, 0, Position::from(number % 400));
        record.expires_at_ms = (number.is_multiple_of(3)).then_some(number);
        if number.is_multiple_of(50) {
            record.position = Position::MAX; // beyond the end of the ring
        }
        if number.is_multiple_of(11) {
            record.value = None;
        }
        let slot = (record.position, record.key.clone());
        if step % 3 == 2 || (step > 4000 && !step.is_multiple_of(5)) {
            let old: Option<Record> = oracle.remove(&slot);
            let version = old.as_ref().map_or(record.version, |old| old.version);
            assert_eq!(store.remove(slot.0, &slot.1, &version).unwrap(), old.is_some());
        } else {
            assert_eq!(store.apply(vec![record.clone()]).unwrap().news, 1);
            oracle.insert(slot, record);
        }
        if step == 3000 {
            store = E::settled(store);
        }
    }
    let expected: Vec<_> = oracle.into_values().collect();
    assert_eq!(read_pages(&store, &Range::ALL, limit(100, usize::MAX)), expected);
    for record in &expected {
        assert_eq!(store.read(record.position, &record.key).unwrap().as_ref(), Some(record));
    }
    let oracle = Oracle(expected);
    assert_eq!(store.usage(), Usage { records: oracle.0.len() as u64, bytes: oracle.bytes() });
    for (after, up_to) in [(100, 900), (900, 100), (1, 2)] {
        let range = Range { after: Position::from(after), up_to: Position::from(up_to) };
        assert_eq!(store.digest(&range).unwrap(), oracle.digest(&range), "{range:?}");
    }
}

/// All tests of the contract for one engine.
#[macro_export]
macro_rules! contract {
    ($engine:ty) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(<$engine as contract::Engine>::CASES))]

            #[test]
            fn a_store_merges_reads_and_counts_as_the_oracle_does(case in any_case()) {
                contract::a_store_merges_reads_and_counts_as_the_oracle_does::<$engine>(case)?;
            }

            #[test]
            fn pages_of_any_size_show_a_range_in_its_order(case in any_case(), limits in (1usize..8, 0usize..1500)) {
                contract::pages_of_any_size_show_a_range_in_its_order::<$engine>(case, limits)?;
            }

            #[test]
            fn the_order_in_which_records_arrive_does_not_matter(case in shuffled_case()) {
                contract::the_order_in_which_records_arrive_does_not_matter::<$engine>(case)?;
            }

            #[test]
            fn two_digests_are_equal_exactly_when_the_ranges_hold_the_same(case in any_case(), yours in prop::collection::vec(any_record(1), 0..6)) {
                contract::two_digests_are_equal_exactly_when_the_ranges_hold_the_same::<$engine>(case, yours)?;
            }

            #[test]
            fn the_digest_of_a_range_combines_those_of_its_parts(case in any_case(), cut in 0u64..16) {
                contract::the_digest_of_a_range_combines_those_of_its_parts::<$engine>(case, cut)?;
            }

            #[test]
            fn what_stays_in_place_is_seen_once_whatever_comes_and_goes(case in any_case(), others in prop::collection::vec(any_record(4), 20)) {
                contract::what_stays_in_place_is_seen_once_whatever_comes_and_goes::<$engine>(case, &others)?;
            }
        }

        #[test]
        fn a_record_is_removed_only_at_exactly_the_version_given() {
            contract::a_record_is_removed_only_at_exactly_the_version_given::<$engine>();
        }

        #[test]
        fn a_full_store_still_reads_replaces_and_deletes() {
            contract::a_full_store_still_reads_replaces_and_deletes::<$engine>();
        }

        #[test]
        fn what_comes_before_the_record_that_does_not_fit_is_merged() {
            contract::what_comes_before_the_record_that_does_not_fit_is_merged::<$engine>();
        }

        #[test]
        fn a_cursor_from_another_range_is_refused() {
            contract::a_cursor_from_another_range_is_refused::<$engine>();
        }

        #[test]
        fn the_same_key_at_two_positions_is_two_records() {
            contract::the_same_key_at_two_positions_is_two_records::<$engine>();
        }

        #[test]
        fn each_batch_has_a_greater_sequence_and_becomes_durable() {
            contract::each_batch_has_a_greater_sequence_and_becomes_durable::<$engine>();
        }

        #[test]
        fn records_beyond_the_end_of_a_small_ring_are_kept_in_order() {
            contract::records_beyond_the_end_of_a_small_ring_are_kept_in_order::<$engine>();
        }

        #[test]
        fn a_crowd_at_near_positions_is_kept_in_order() {
            contract::a_crowd_at_near_positions_is_kept_in_order::<$engine>();
        }

        #[test]
        fn a_digest_of_many_records_is_that_of_a_plain_scan() {
            contract::a_digest_of_many_records_is_that_of_a_plain_scan::<$engine>();
        }
    };
}
