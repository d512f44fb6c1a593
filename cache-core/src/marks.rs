//! A tag's record, the sequence, and the judgement that compares them (the rule of one lock and one
//! counter). The only hand-made atomics of the crate are here.
//!
//! An invalidation holds the ledger's lock, sets the marks of its tags to the next number and only
//! then publishes that number. A reader reads the published number *first*. So a reader that saw
//! number `n` sees every mark up to `n`, and an entry whose marks it found clean may remember `n`:
//! while the published number is still `n`, nothing was invalidated since.

use std::sync::{Arc, OnceLock};

use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The published number. Only the holder of the ledger's lock publishes.
#[derive(Debug)]
pub(crate) struct Sequence(AtomicU64);

impl Sequence {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    #[inline]
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Marks `records` with the next number, then publishes it. The caller holds the ledger's lock.
    pub(crate) fn publish(&self, mark: impl FnOnce(u64)) -> u64 {
        let next = self.0.load(Ordering::Relaxed) + 1;
        mark(next);
        self.0.store(next, Ordering::Release);
        next
    }
}

/// Which mark an invalidation sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Stale: served while it is refreshed, where the entry has a window.
    Soft,
    /// Never served again.
    Hard,
    /// The bytes of this process are dropped; another level may still serve.
    Local,
}

/// What is known of one tag.
#[derive(Debug)]
pub(crate) struct TagRecord {
    name: Arc<str>,
    soft: AtomicU64,
    hard: AtomicU64,
    local: AtomicU64,
    softened: OnceLock<Box<Mutex<Softenings>>>,
}

impl TagRecord {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            soft: AtomicU64::new(0),
            hard: AtomicU64::new(0),
            local: AtomicU64::new(0),
            softened: OnceLock::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Sets a mark; inside [`Sequence::publish`] only.
    pub(crate) fn mark(&self, kind: Kind, number: u64, now: u64) {
        match kind {
            Kind::Soft => {
                lock(self.softened.get_or_init(Box::default)).note(number, now);
                self.soft.store(number, Ordering::Release);
            }
            Kind::Hard => self.hard.store(number, Ordering::Release),
            Kind::Local => self.local.store(number, Ordering::Release),
        }
    }

    /// Whether anything that began at `start` has been overtaken by a mark of this tag.
    pub(crate) fn marked_above(&self, start: u64) -> bool {
        self.last() > start
    }

    /// The number of its last invalidation.
    pub(crate) fn last(&self) -> u64 {
        let soft = self.soft.load(Ordering::Acquire);
        let hard = self.hard.load(Ordering::Acquire);
        soft.max(hard).max(self.local.load(Ordering::Acquire))
    }
}

/// What the marks say of a value whose load began at some number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    Clean,
    /// Softly invalidated, first at this moment.
    Soft(u64),
    Hard,
    Local,
}

/// Examines the marks of `tags` for a value whose load began at `loaded_at`.
pub(crate) fn examine(tags: &[Arc<TagRecord>], loaded_at: u64) -> Marked {
    let mut since = None::<u64>;
    for tag in tags {
        if tag.hard.load(Ordering::Acquire) > loaded_at {
            return Marked::Hard;
        }
        if tag.local.load(Ordering::Acquire) > loaded_at {
            return Marked::Local;
        }
        if tag.soft.load(Ordering::Acquire) > loaded_at {
            let first = tag
                .softened
                .get()
                .map_or(0, |softenings| lock(softenings).first_after(loaded_at));
            since = Some(since.map_or(first, |since| since.min(first)));
        }
    }
    since.map_or(Marked::Clean, Marked::Soft)
}

/// When a tag was softly invalidated: an entry's stale window runs from the *first* time after its
/// load, which the last mark does not tell. Neighbours closer than a second are kept as one, with
/// the later number and the earlier moment, and so are the closest two past the cap: a window can
/// only become shorter by that.
#[derive(Debug, Default)]
struct Softenings(Vec<(u64, u64)>);

impl Softenings {
    const CAP: usize = 16;
    const TOGETHER: u64 = 1_000_000_000;

    fn note(&mut self, number: u64, now: u64) {
        if let Some((last, at)) = self.0.last_mut()
            && now.saturating_sub(*at) < Self::TOGETHER
        {
            *last = number;
            return;
        }
        self.0.push((number, now));
        if self.0.len() > Self::CAP {
            let gap = |pair: &[(u64, u64)]| pair[1].1.saturating_sub(pair[0].1);
            let closest = (1..self.0.len())
                .min_by_key(|&i| gap(&self.0[i - 1..=i]))
                .unwrap_or(1);
            self.0[closest - 1].0 = self.0[closest].0;
            self.0.remove(closest);
        }
    }

    /// The moment of the first one after `loaded_at`; long ago where it is not known.
    fn first_after(&self, loaded_at: u64) -> u64 {
        let first = self.0.iter().find(|(number, _)| *number > loaded_at);
        first.map_or(0, |(_, at)| *at)
    }
}

#[cfg(all(test, not(any(revalidate_shuttle, revalidate_loom))))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn noted(moments: impl IntoIterator<Item = u64>) -> Softenings {
        let mut softenings = Softenings::default();
        for (i, at) in moments.into_iter().enumerate() {
            softenings.note(i as u64 + 1, at);
        }
        softenings
    }

    #[test]
    fn a_window_runs_from_the_first_softening_after_the_load() {
        let softenings = noted([10 * SECOND, 20 * SECOND, 30 * SECOND]);
        let moments = [0, 1, 2, 3].map(|loaded_at| softenings.first_after(loaded_at));
        assert_eq!(moments, [10 * SECOND, 20 * SECOND, 30 * SECOND, 0]);
    }

    #[test]
    fn softenings_within_a_second_of_the_first_are_one() {
        let second = noted([10 * SECOND, 10 * SECOND + 1, 11 * SECOND - 1, 11 * SECOND]);
        assert_eq!(second.0, [(3, 10 * SECOND), (4, 11 * SECOND)]);
        assert_eq!(second.first_after(2), 10 * SECOND);
    }

    #[test]
    fn past_the_cap_the_closest_two_are_one_and_no_window_is_longer() {
        // Each gap is wider than the one before, but for one in the middle.
        let mut at = 100 * SECOND;
        let moments: Vec<_> = (0..40_u64)
            .map(|i| {
                at += if i == 9 { 2 } else { 10 + i } * SECOND;
                at
            })
            .collect();
        let first = noted(moments[..Softenings::CAP].iter().copied());
        assert_eq!(first.0.len(), Softenings::CAP);
        let next = noted(moments[..=Softenings::CAP].iter().copied());
        assert_eq!(next.0.len(), Softenings::CAP);
        assert!(next.0.contains(&(10, moments[8])), "{next:?}");
        assert!(!next.0.iter().any(|(number, _)| *number == 9), "{next:?}");
        let all = noted(moments.iter().copied());
        assert_eq!(all.0.len(), Softenings::CAP);
        for (loaded_at, first_after) in moments.iter().enumerate() {
            assert!(all.first_after(loaded_at as u64) <= *first_after);
            assert!(all.first_after(loaded_at as u64) > 0);
        }
    }
}
