//! The sweeper: gives memory back after invalidations, paced, in the background. No read waits for
//! it, and nothing is invalid because of it: entries are judged when read, swept or not.
#![cfg_attr(
    any(revalidate_shuttle, revalidate_loom),
    allow(dead_code, unused_imports)
)]

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::engine::Engine;
use crate::entry::Spent;
use crate::store::Store;

/// From the first invalidation to the sweep: others that follow are swept with it.
const DELAY: Duration = Duration::from_secs(10);
/// Entries looked at between two pauses: a pass over a million takes about a quarter of a second.
const PACE: usize = 4096;
const PAUSE: Duration = Duration::from_millis(1);

/// Whether a sweeper runs, and whether it is to go once more.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    running: AtomicBool,
    wanted: AtomicBool,
}

impl Engine {
    /// Has what can no longer be served freed soon. Needs a runtime; without one the next call that
    /// has one does it, and until then the store's own bound holds.
    pub(crate) fn sweep_soon(self: &Arc<Self>) {
        self.sweeper.wanted.store(true, Ordering::SeqCst);
        #[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
        {
            if tokio::runtime::Handle::try_current().is_err()
                || self.sweeper.running.swap(true, Ordering::SeqCst)
            {
                return;
            }
            let going = Going(Arc::downgrade(self));
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
                        self.trace.note(key.hash(), why);
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
struct Going(Weak<Engine>);

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
impl Drop for Going {
    fn drop(&mut self) {
        if let Some(engine) = self.0.upgrade() {
            engine.sweeper.running.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
async fn run(going: Going, clock: crate::Clock) {
    // When something stale will be spent, at first now; and whether all that was given up is dropped.
    let (mut due, mut settled) = (Some(0), true);
    while due.is_some() || !settled {
        clock.sleep(DELAY).await;
        let Some(engine) = going.0.upgrade() else {
            return;
        };
        let wanted = engine.sweeper.wanted.swap(false, Ordering::SeqCst);
        let pass = wanted || due.is_some_and(|at| clock.now().0 >= at);
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
    let engine = going.0.clone();
    drop(going);
    // Whoever asked between the last pass and this line found a sweeper running.
    if let Some(engine) = engine.upgrade()
        && engine.sweeper.wanted.load(Ordering::SeqCst)
    {
        engine.sweep_soon();
    }
}
