//! The store of this process: bytes by key, bounded by weight. Moka keeps it and chooses what to
//! evict; what is valid is never its business.
//!
//! Assumed of it: each operation is linearisable per key. Everything else (what is stored after a
//! removal, by whom) is decided by the locks of `flight`, under which all its writes happen.
#![cfg_attr(revalidate_shuttle, allow(dead_code))]

use std::sync::Arc;

use crate::entry::Entry;
use crate::given_up::GivenUp;
use crate::key::{BuildHashed, Key, KeyRef};
use crate::reason::Reason;
use crate::trace::Trace;

/// What the engine needs of a store.
pub(crate) trait Store: Send + Sync {
    fn get(&self, key: &KeyRef<'_>) -> Option<Arc<Entry>>;
    fn insert(&self, key: Key, entry: Arc<Entry>);
    fn remove(&self, key: &KeyRef<'_>) -> bool;
    /// Looks at every entry, without order, some perhaps twice; stops where `visit` says `false`.
    fn visit(&self, visit: &mut dyn FnMut(&Key, &Arc<Entry>) -> bool);
    /// Entries, and bytes by their weights.
    fn size(&self) -> (u64, u64);
    /// Drops some of what it gave up. No lock may be held: this runs the `Drop` of values.
    fn let_go(&self);
    /// Does what the store put off, and drops what it gave up; `false` where some is still held.
    fn settle(&self) -> bool;
}

/// What it gave up that is looked at after a write: more than a write gives up, by and by.
const LET_GO: usize = 32;

/// The production store.
#[derive(Debug)]
pub(crate) struct MokaStore {
    entries: moka::sync::Cache<Key, Arc<Entry>, BuildHashed>,
    given_up: Arc<GivenUp>,
}

impl MokaStore {
    pub(crate) fn new(max_bytes: u64, trace: Arc<Trace>) -> Self {
        let given_up = Arc::new(GivenUp::default());
        let taken_out = Arc::clone(&given_up);
        let entries = moka::sync::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_: &Key, entry: &Arc<Entry>| entry.weight)
            .eviction_listener(move |key, entry, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    trace.note(key.hash(), Reason::Evicted);
                }
                taken_out.take_in(entry);
            })
            .build_with_hasher(BuildHashed);
        Self { entries, given_up }
    }
}

/// What is stored at the end is given up like the rest.
impl Drop for MokaStore {
    fn drop(&mut self) {
        for (_, entry) in &self.entries {
            self.given_up.take_in(entry);
        }
    }
}

impl Store for MokaStore {
    /// On its own, so that what it found comes back in registers: inlined, it is written in two
    /// halves and read as a whole, which waits for both.
    #[inline(never)]
    fn get(&self, key: &KeyRef<'_>) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    fn insert(&self, key: Key, entry: Arc<Entry>) {
        self.entries.insert(key, entry);
    }

    fn remove(&self, key: &KeyRef<'_>) -> bool {
        self.entries.remove(key).is_some()
    }

    fn visit(&self, visit: &mut dyn FnMut(&Key, &Arc<Entry>) -> bool) {
        for (key, entry) in &self.entries {
            if !visit(&key, &entry) {
                return;
            }
        }
    }

    fn size(&self) -> (u64, u64) {
        self.entries.run_pending_tasks();
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    fn let_go(&self) {
        self.given_up.let_go(LET_GO);
    }

    fn settle(&self) -> bool {
        self.entries.run_pending_tasks();
        self.given_up.let_go(usize::MAX);
        self.given_up.is_empty()
    }
}

/// A store without a bound, a thread or a clock, for the schedule explorers, which see only their
/// own primitives.
#[cfg(revalidate_shuttle)]
#[derive(Debug, Default)]
pub(crate) struct PlainStore(crate::sync::Mutex<std::collections::HashMap<Key, Arc<Entry>>>);

#[cfg(revalidate_shuttle)]
impl Store for PlainStore {
    fn get(&self, key: &KeyRef<'_>) -> Option<Arc<Entry>> {
        crate::sync::lock(&self.0).get(&key.to_key()).cloned()
    }

    fn insert(&self, key: Key, entry: Arc<Entry>) {
        crate::sync::lock(&self.0).insert(key, entry);
    }

    fn remove(&self, key: &KeyRef<'_>) -> bool {
        crate::sync::lock(&self.0).remove(&key.to_key()).is_some()
    }

    fn visit(&self, visit: &mut dyn FnMut(&Key, &Arc<Entry>) -> bool) {
        let all: Vec<_> = crate::sync::lock(&self.0)
            .iter()
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect();
        let _ = all.iter().all(|(key, entry)| visit(key, entry));
    }

    fn size(&self) -> (u64, u64) {
        let map = crate::sync::lock(&self.0);
        (
            map.len() as u64,
            map.values().map(|entry| u64::from(entry.weight)).sum(),
        )
    }

    fn let_go(&self) {}

    fn settle(&self) -> bool {
        true
    }
}
