//! The time of a run: what happens when, and the random numbers that decide on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::{Clock, Timestamp};
use fastrand::Rng;

/// Something that will happen.
type Event = Box<dyn FnOnce() + Send>;

/// Virtual time, shared by all that takes part in a run.
pub(crate) struct Timeline {
    /// The world's clock; nodes and servers have clocks of their own.
    pub(crate) clock: Clock,
    began: Timestamp,
    ahead: Mutex<Ahead>,
    /// What happened, where somebody wants to read it.
    told: Option<Mutex<Vec<String>>>,
}

struct Ahead {
    rng: Rng,
    events: BTreeMap<(Duration, u64), Event>,
    number: u64,
    woken: BTreeSet<usize>,
    failure: Option<String>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timeline {
    pub(crate) fn new(seed: u64, told: bool) -> Arc<Self> {
        let clock = Clock::manual();
        Arc::new(Self {
            began: clock.now(),
            clock,
            ahead: Mutex::new(Ahead {
                rng: Rng::with_seed(seed),
                events: BTreeMap::new(),
                number: 0,
                woken: BTreeSet::new(),
                failure: None,
            }),
            told: told.then(Mutex::default),
        })
    }

    /// Since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now().since(self.began)
    }

    /// Has something happen after `delay`.
    pub(crate) fn after(&self, delay: Duration, event: impl FnOnce() + Send + 'static) {
        let at = self.now() + delay;
        let mut ahead = lock(&self.ahead);
        ahead.number += 1;
        let number = ahead.number;
        ahead.events.insert((at, number), Box::new(event));
    }

    /// When the next event is.
    pub(crate) fn next(&self) -> Option<Duration> {
        let ahead = lock(&self.ahead);
        ahead.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next event, where it is due.
    pub(crate) fn due(&self) -> Option<Event> {
        let now = self.now();
        let mut ahead = lock(&self.ahead);
        let first = ahead.events.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// A random choice.
    pub(crate) fn pick<T>(&self, pick: impl FnOnce(&mut Rng) -> T) -> T {
        pick(&mut lock(&self.ahead).rng)
    }

    /// Notes that a node may have something to do.
    pub(crate) fn wake(&self, node: usize) {
        lock(&self.ahead).woken.insert(node);
    }

    pub(crate) fn woken(&self) -> Vec<usize> {
        let woken = std::mem::take(&mut lock(&self.ahead).woken);
        woken.into_iter().collect()
    }

    /// Writes down what happened.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(told) = &self.told {
            let line = format!("{:10.3} ms  {}", self.now().as_secs_f64() * 1e3, what());
            lock(told).push(line);
        }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.told.as_ref();
        told.map(|told| std::mem::take(&mut *lock(told)))
            .unwrap_or_default()
    }

    /// Notes that a promise was broken; the first is what counts.
    pub(crate) fn fail(&self, why: String) {
        self.tell(|| format!("BROKEN: {why}"));
        lock(&self.ahead).failure.get_or_insert(why);
    }

    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.ahead).failure.clone()
    }
}
