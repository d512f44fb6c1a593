//! What the store gave up, until it can be let go. A value's `Drop` is a stranger's code, which may
//! call the cache or panic: it runs in one place, outside of every lock and of the store itself.
#![cfg_attr(revalidate_shuttle, allow(dead_code))]

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::entry::Entry;
use crate::sync::{Mutex, lock};

/// Entries that the store took out, oldest first. The store itself keeps references for a while, and
/// drops them anywhere: the last reference to what was ever stored is one of these.
#[derive(Debug, Default)]
pub(crate) struct GivenUp {
    entries: Mutex<VecDeque<Arc<Entry>>>,
    letting_go: AtomicBool,
}

impl GivenUp {
    /// Takes in what the store gives up, before the store drops it.
    pub(crate) fn take_in(&self, entry: Arc<Entry>) {
        lock(&self.entries).push_back(entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.entries).is_empty()
    }

    /// Drops those that nobody else holds, having looked at so many at most. No lock may be held.
    pub(crate) fn let_go(&self, most: usize) {
        let waiting = lock(&self.entries).len().min(most);
        // Not within itself, by a `Drop` that calls the cache; nor while unwinding, where a panic aborts.
        if waiting == 0 || std::thread::panicking() || self.letting_go.swap(true, Ordering::Acquire)
        {
            return;
        }
        for _ in 0..waiting {
            let Some(entry) = lock(&self.entries).pop_front() else {
                break;
            };
            // Nobody can come by another reference to it if this one is the last.
            if Arc::strong_count(&entry) > 1 {
                lock(&self.entries).push_back(entry);
            } else if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(entry))) {
                // It has been reported; whoever happens to be here is not to blame for it, nor for
                // what it carries, whose own `Drop` may panic.
                std::mem::forget(panic);
            }
        }
        self.letting_go.store(false, Ordering::Release);
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.let_go(usize::MAX);
    }
}
