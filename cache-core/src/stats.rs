//! What the cache did, counted always; the `metrics` and `tracing` features tell it to the outside.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::reason::Reason;

/// Each of so many threads has a stripe of its own; the others share the last one.
const STRIPES: usize = 32;

/// One line of the processor's cache for each thread, so that hits of two do not meet.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    hits: AtomicU64,
}

/// The counters of one cache.
#[derive(Debug)]
pub(crate) struct Counters {
    hits: [Stripe; STRIPES],
    reasons: [AtomicU64; Reason::COUNT],
    pub(crate) loads: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) invalidations: AtomicU64,
    pub(crate) late_tags: AtomicU64,
    pub(crate) recording: AtomicU64,
}

/// The stripe that a thread owns until it ends. Nobody else writes there, so that it counts without
/// a locked instruction; the lock under which stripes change hands orders the two owners' counts.
struct Slot(usize);

/// The stripes that ended threads left, and how many were ever given away.
static SLOTS: Mutex<(Vec<usize>, usize)> = Mutex::new((Vec::new(), 0));

impl Slot {
    fn take() -> Self {
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        let (free, given) = &mut *slots;
        Self(free.pop().unwrap_or_else(|| {
            let next = *given;
            if next < STRIPES - 1 {
                *given += 1;
            }
            next
        }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0 < STRIPES - 1 {
            SLOTS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .0
                .push(self.0);
        }
    }
}

std::thread_local! {
    static SLOT: Slot = Slot::take();
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            hits: Default::default(),
            reasons: [const { AtomicU64::new(0) }; Reason::COUNT],
            loads: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            late_tags: AtomicU64::new(0),
            recording: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn hit(&self) {
        let slot = SLOT.try_with(|slot| slot.0).unwrap_or(STRIPES - 1);
        let hits = &self.hits[slot.min(STRIPES - 1)].hits;
        if slot < STRIPES - 1 {
            hits.store(hits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        } else {
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn outcome(&self, reason: Reason) {
        if reason == Reason::Hit {
            self.hit();
        } else {
            self.reasons[reason.index()].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, reason: Reason) -> u64 {
        if reason == Reason::Hit {
            let hits = self
                .hits
                .iter()
                .map(|stripe| stripe.hits.load(Ordering::Relaxed));
            hits.sum()
        } else {
            self.reasons[reason.index()].load(Ordering::Relaxed)
        }
    }

    /// The counts, by reason; only those that happened.
    pub(crate) fn by_reason(&self) -> Vec<(Reason, u64)> {
        let all = (0..Reason::COUNT).filter_map(Reason::from_index);
        all.map(|reason| (reason, self.of(reason)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// A count that the feature `metrics` tells to the outside as well, under its name.
pub(crate) struct Told {
    count: AtomicU64,
    name: &'static str,
}

impl Told {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            count: AtomicU64::new(0),
            name,
        }
    }

    pub(crate) fn count(&self) {
        Counters::count(&self.count);
        #[cfg(feature = "metrics")]
        metrics::counter!(self.name).increment(1);
    }

    pub(crate) fn read(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.read())
    }
}

/// What a cache holds and did since it was built; from [`Cache::stats`](crate::Cache::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Fresh values served.
    pub hits: u64,
    /// Stale values served.
    pub stale: u64,
    /// Reads that had to load, for whatever reason.
    pub misses: u64,
    /// Reads that went past the cache.
    pub bypassed: u64,
    /// Every outcome by its reason; only those that happened.
    pub reasons: Vec<(Reason, u64)>,
    /// Loads begun, shared or alone.
    pub loads: u64,
    /// Reads served by a load that another caller began.
    pub joined: u64,
    /// Values stored.
    pub stored: u64,
    /// Invalidations applied, by tag, path, key or all.
    pub invalidations: u64,
    /// Tags added after the load they were meant for had ended, and so lost: a bug in the caller.
    pub late_tags: u64,
    /// Entries kept now.
    pub entries: u64,
    /// Bytes kept now: values, keys, tags and bookkeeping.
    pub bytes: u64,
    /// Bytes of responses that are being recorded now.
    pub recording: u64,
    /// Tag records kept now.
    pub tags: u64,
    /// Loads and recordings running now.
    pub running: u64,
    /// Of this process as one node of many, where it is.
    pub remote: Option<RemoteStats>,
}

/// What a node did and knows of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStats {
    /// Whether it has a session with the remote, and was once current by it.
    pub connected: bool,
    /// How long ago it last was shown to know all that others invalidated; `None` before the first time.
    pub last_current: Option<Duration>,
    /// Loads answered by the second level.
    pub hits: u64,
    /// Loads that it had nothing valid for.
    pub misses: u64,
    /// Of those, how often it had something that an invalidation of this node might be about to drop.
    pub refused: u64,
    /// Entries that could not be read: of another format, damaged, of another type, or (Cluster) stored by a server
    /// that no longer has their slot.
    pub unreadable: u64,
    /// Values stored in the second level.
    pub shared: u64,
    /// Values that were not, as they were overtaken or too large, or as it failed.
    pub unshared: u64,
    /// Of those, how many were larger than [`max_remote_bytes`](crate::CacheBuilder::max_remote_bytes). It is
    /// said, once, of which function, scope or route they are.
    pub too_large: u64,
    /// Loads of values whose type cannot go to other nodes.
    pub local_only: u64,
    /// Tags and keys whose invalidation is not acknowledged yet.
    pub outbox: u64,
    /// Records of other nodes applied here.
    pub learned: u64,
    /// How often the remote was another server than before.
    pub epochs: u64,
    /// How often the log did not reach back to what the node knew, so that its cache began anew.
    pub resets: u64,
    /// Calls of the remote that failed.
    pub errors: u64,
}
