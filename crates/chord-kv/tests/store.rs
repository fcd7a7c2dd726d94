//! The memory engine keeps the contract of engines.

mod contract;

use chord_kv::MemoryStore;
use chord_ring::RingSize;
use contract::{any_case, any_record, shuffled_case};
use proptest::prelude::*;

struct Memory;

impl contract::Engine for Memory {
    type Store = MemoryStore;

    const CASES: u32 = 256;

    fn new(size: RingSize, bytes_limit: u64) -> MemoryStore {
        MemoryStore::new(size, bytes_limit)
    }

    fn settled(store: MemoryStore) -> MemoryStore {
        store
    }
}

contract!(Memory);
