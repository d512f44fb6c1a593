//! Why a key is not there: a small table of last words, so that a miss can say "evicted" or
//! "removed" and not only "absent". It is for people; nothing is decided by it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::reason::Reason;

const SLOTS: usize = 8192;
const CODE: u64 = 0xFF;

/// The table: 64 KiB, each slot shared by the keys whose hashes meet there; the last one wins.
#[derive(Debug)]
pub(crate) struct Trace(Box<[AtomicU64]>);

impl Trace {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    fn slot(&self, hash: u64) -> &AtomicU64 {
        // Mixed once more: a fast hash of keys in a row leaves some of its bits alike.
        let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.0[(mixed >> 32) as usize % SLOTS]
    }

    pub(crate) fn note(&self, hash: u64, reason: Reason) {
        self.slot(hash).store(
            (hash & !CODE) | (reason.index() as u64 + 1),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn reason(&self, hash: u64) -> Reason {
        let noted = self.slot(hash).load(Ordering::Relaxed);
        let code = (noted & CODE) as usize;
        if noted & !CODE != hash & !CODE || code == 0 {
            return Reason::NeverStored;
        }
        Reason::from_index(code - 1).unwrap_or(Reason::NeverStored)
    }
}
