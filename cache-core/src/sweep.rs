//! The sweeper: gives memory back after invalidations, paced, in the background. No read waits for
//! it, and nothing is invalid because of it: entries are judged when read, swept or not.
#![cfg_attr(
    any(revalidate_shuttle, revalidate_loom),
    allow(dead_code, unused_imports)
)]

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::nanos;
use crate::engine::Engine;
use crate::entry::Spent;
use crate::respond::is_mark;
use crate::store::Store;

/// From the first invalidation to the sweep: others that follow are swept with it.
const DELAY: Duration = Duration::from_secs(10);
/// A sweeper that has not woken for so long never may: its runtime is not driven, and another's takes over.
const OVERDUE: Duration = Duration::from_secs(30);
/// Entries looked at between two pauses: a pass over a million takes about a quarter of a second.
const PACE: usize = 4096;
const PAUSE: Duration = Duration::from_millis(1);

/// Which sweeper runs, and whether it is to go once more.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    /// When the one that runs woke last, in the cache's time; 0 where none runs. It is the token by
    /// which that one knows that no other has taken over.
    woke: AtomicU64,
    wanted: AtomicBool,
}

impl Sweeper {
    /// Makes the caller the sweeper, unless one runs that woke lately.
    fn begin(&self, now: u64) -> bool {
        let woke = self.woke.load(Ordering::SeqCst);
        let idle = woke == 0 || now.saturating_sub(woke) > nanos(OVERDUE);
        idle && self.wakes(woke, now)
    }

    /// Notes that the sweeper that woke last then wakes now; `false` where another has taken over.
    fn wakes(&self, woke: u64, now: u64) -> bool {
        let noted = self
            .woke
            .compare_exchange(woke, now, Ordering::SeqCst, Ordering::SeqCst);
        noted.is_ok()
    }
}

impl Engine {
    /// Has what can no longer be served freed soon. Needs a runtime; without one the next call that
    /// has one does it, and until then the store's own bound holds.
    pub(crate) fn sweep_soon(self: &Arc<Self>) {
        self.sweeper.wanted.store(true, Ordering::SeqCst);
        #[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
        {
            let woke = self.clock.now().0;
            if tokio::runtime::Handle::try_current().is_err() || !self.sweeper.begin(woke) {
                return;
            }
            let engine = Arc::downgrade(self);
            let going = Going { engine, woke };
            drop(tokio::spawn(run(going, self.clock.clone())));
        }
    }

    /// One pass, on a thread that may block; returns when there will be more to free: when the next
    /// entry will be spent that is still served stale, and soon where the store gave up something,
    /// which it drops a little later, and the records of its tags with it.
    pub(crate) fn sweep(&self) -> Option<u64> {
        let mut next = None::<u64>;
        let mut seen = 0_usize;
        let mut freed = false;
        self.store.visit(&mut |key, entry| {
            seen += 1;
            if seen.is_multiple_of(PACE) {
                std::thread::sleep(PAUSE);
            }
            let (sequence, now) = (self.ledger.sequence(), self.clock.now().0);
            match entry.spent(sequence, now) {
                Spent::Already(why) => {
                    if self.remove_same(key, entry) {
                        if !is_mark(entry) {
                            self.trace.note(key.hash(), why);
                        }
                        freed = true;
                    }
                }
                Spent::At(end) => next = Some(next.map_or(end, |next| next.min(end))),
                Spent::NotYet => {}
            }
            true
        });
        let _ = self.store.settle();
        let mut part = 0;
        while self.ledger.sweep(part) {
            part += 1;
        }
        if freed {
            Some(self.clock.now().0)
        } else {
            next
        }
    }
}

/// While it lives, the sweeper counts as running: also when the runtime drops its task.
#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
struct Going {
    engine: Weak<Engine>,
    woke: u64,
}

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
impl Going {
    /// The engine, where it is there still and this its sweeper.
    fn wakes(&mut self, now: u64) -> Option<Arc<Engine>> {
        let engine = self.engine.upgrade()?;
        if !engine.sweeper.wakes(self.woke, now) {
            return None;
        }
        self.woke = now;
        Some(engine)
    }
}

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
impl Drop for Going {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.sweeper.wakes(self.woke, 0);
        }
    }
}

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
async fn run(mut going: Going, clock: crate::Clock) {
    // When something stale will be spent, at first now; and whether all that was given up is dropped.
    let (mut due, mut settled) = (Some(0), true);
    while due.is_some() || !settled {
        clock.sleep(DELAY).await;
        let now = clock.now().0;
        let Some(engine) = going.wakes(now) else {
            return;
        };
        let wanted = engine.sweeper.wanted.swap(false, Ordering::SeqCst);
        let pass = wanted || due.is_some_and(|at| now >= at);
        if !pass && settled {
            continue;
        }
        let work = move || {
            let due = if pass { engine.sweep() } else { due };
            (due, engine.store.settle())
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(left) => (due, settled) = left,
            Err(_) => return,
        }
    }
    let engine = going.engine.clone();
    drop(going);
    // Whoever asked between the last pass and this line found a sweeper running.
    if let Some(engine) = engine.upgrade()
        && engine.sweeper.wanted.load(Ordering::SeqCst)
    {
        engine.sweep_soon();
    }
}
