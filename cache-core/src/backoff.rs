//! How long a source that fails is left alone: a stale value carries it, and is served meanwhile.

use crate::sync::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;
/// After the first failure; each that follows doubles it.
const SHORTEST: u64 = SECOND;
/// After many.
const LONGEST: u64 = 60 * SECOND;

/// The pause between the attempts to replace one value. It ends with the value: what replaces it
/// begins without one. All times are nanoseconds of the cache's clock.
#[derive(Debug)]
pub(crate) struct Backoff {
    until: AtomicU64,
    pause: AtomicU64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self {
            until: AtomicU64::new(0),
            pause: AtomicU64::new(0),
        }
    }

    /// Whether it is too early for another attempt.
    pub(crate) fn holds(&self, now: u64) -> bool {
        now < self.until.load(Ordering::Relaxed)
    }

    /// An attempt failed. What fails while a pause lasts began before it, and is no attempt more.
    pub(crate) fn failed(&self, now: u64) {
        let until = self.until.load(Ordering::Relaxed);
        if now < until {
            return;
        }
        let pause = self.pause.load(Ordering::Relaxed).saturating_mul(2);
        let pause = pause.clamp(SHORTEST, LONGEST);
        let next = now.saturating_add(pause);
        let mine = self
            .until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            self.pause.store(pause, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let backoff = Backoff::new();
        let mut now = 5 * SECOND;
        assert!(!backoff.holds(now));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.failed(now);
            // Others who waited for the same attempt.
            backoff.failed(now);
            backoff.failed(now + pause * SECOND - 1);
            assert!(backoff.holds(now + pause * SECOND - 1), "{pause}");
            now += pause * SECOND;
            assert!(!backoff.holds(now), "{pause}");
        }
    }
}
