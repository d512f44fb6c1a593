//! What flows outward: everything that a running load or response learns about itself from the
//! cached calls and the `cache_tag`s inside it.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Engine, LifeChoice};
use crate::entry::Entry;
use crate::key::Space;
use crate::life::Life;
use crate::marks::TagRecord;
use crate::reason::{NotStorable, Reason};
use crate::sync::{Mutex, lock};
use crate::tag::MAX_TAGS;

/// The most tags of any kind on one entry: explicit ones, and those of functions, scopes and paths.
const MAX_ALL_TAGS: usize = 4 * MAX_TAGS;

/// The most cached calls that a response tells of.
const MAX_READS: usize = 4;

/// The open record of one load or response.
#[derive(Debug)]
pub(crate) struct Record {
    /// Whose numbers, records and moments it holds.
    pub(crate) engine: Arc<Engine>,
    /// That of the load or response around it.
    around: Option<Arc<Record>>,
    state: Mutex<Recorded>,
}

/// What was learned.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) tags: Vec<Arc<TagRecord>>,
    /// Set where a tag could not be kept: an entry without it would outlive its invalidation.
    pub(crate) partial: Option<NotStorable>,
    /// When the oldest load inside began.
    pub(crate) filled_at: u64,
    /// When the oldest source inside was asked.
    pub(crate) asked_at: u64,
    /// When the first value inside expires.
    pub(crate) fresh_until: u64,
    /// A value inside was served stale.
    pub(crate) stale: bool,
    /// A load inside failed.
    pub(crate) failed: bool,
    /// The body said that failures inside do not matter.
    pub(crate) failures_allowed: bool,
    /// Made for one caller: the key of a call inside holds what says who that is.
    pub(crate) by_caller: bool,
    /// Its own key holds who calls a web method.
    pub(crate) keyed_on_caller: bool,
    /// It was asked who calls, and its key does not hold that: what is made is that caller's.
    pub(crate) asked_caller: bool,
    /// The body invalidated something.
    pub(crate) invalidated: bool,
    /// The lifetime that the body gave.
    pub(crate) life: Option<Life>,
    /// What the cached calls of a response came to, the first few of them.
    pub(crate) reads: Vec<(Space, Reason)>,
    explicit: usize,
    closed: bool,
}

impl Recorded {
    pub(crate) fn new() -> Self {
        Self {
            tags: Vec::new(),
            partial: None,
            filled_at: u64::MAX,
            asked_at: u64::MAX,
            fresh_until: u64::MAX,
            stale: false,
            failed: false,
            failures_allowed: false,
            by_caller: false,
            keyed_on_caller: false,
            asked_caller: false,
            invalidated: false,
            life: None,
            reads: Vec::new(),
            explicit: 0,
            closed: false,
        }
    }

    /// Why a value made so may not be stored.
    pub(crate) fn refusal(&self) -> Option<NotStorable> {
        if self.invalidated {
            Some(NotStorable::Invalidated)
        } else if self.asked_caller {
            Some(NotStorable::Caller)
        } else if self.failed && !self.failures_allowed {
            Some(NotStorable::InnerFailed)
        } else {
            self.partial
        }
    }

    /// Lets what is made of a value that is not stored live no longer than it would have, had it been.
    pub(crate) fn bound(
        &mut self,
        engine: &Engine,
        began: u64,
        choice: LifeChoice,
        at_most: Option<Duration>,
    ) {
        self.fresh_until = engine.lifetime(began, choice, at_most, self).1;
        self.filled_at = self.filled_at.min(began);
        self.asked_at = self.asked_at.min(began);
    }

    pub(crate) fn add(&mut self, tag: &Arc<TagRecord>) {
        if self.tags.iter().any(|held| Arc::ptr_eq(held, tag)) {
            return;
        }
        let explicit = crate::tag::is_explicit(tag.name());
        if self.explicit + usize::from(explicit) > MAX_TAGS || self.tags.len() >= MAX_ALL_TAGS {
            self.partial = Some(NotStorable::TooManyTags);
            return;
        }
        self.explicit += usize::from(explicit);
        self.tags.push(Arc::clone(tag));
    }
}

impl Record {
    pub(crate) fn new(engine: &Arc<Engine>, around: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            engine: Arc::clone(engine),
            around,
            state: Mutex::new(Recorded::new()),
        })
    }

    /// Changes the record; `false` where it is closed already: its load has ended.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Recorded)) -> bool {
        let mut recorded = lock(&self.state);
        if recorded.closed {
            return false;
        }
        change(&mut recorded);
        true
    }

    /// Whether something in it was served stale so far.
    pub(crate) fn is_stale(&self) -> bool {
        lock(&self.state).stale
    }

    /// Notes that it was asked who calls, unless the key holds that; `false` where the record is closed.
    /// What is around learns it at once: a load that panics, is left, runs out of time or is stood in
    /// for by a stale value has nothing to hand outward when it ends.
    pub(crate) fn ask_caller(&self) -> bool {
        let mut keyed = false;
        let open = self.with(|recorded| {
            keyed = recorded.keyed_on_caller;
            recorded.asked_caller |= !keyed;
        });
        let mut around = self.around.as_ref().filter(|_| !keyed);
        while let Some(record) = around {
            // Where it is over, nothing is made of that.
            let _ = record.with(|recorded| recorded.asked_caller = true);
            around = record.around.as_ref();
        }
        open
    }

    /// Takes in what an inner value carries. Not its `loaded_at`: it was judged after this load
    /// began, and the older number would make this one dead on arrival.
    pub(crate) fn absorb(&self, inner: &Entry, served_stale: bool) -> bool {
        self.with(|recorded| {
            for tag in &inner.tags {
                recorded.add(tag);
            }
            recorded.partial = recorded.partial.or(inner.partial);
            recorded.filled_at = recorded.filled_at.min(inner.filled_at);
            recorded.asked_at = recorded.asked_at.min(inner.asked_at);
            recorded.fresh_until = recorded.fresh_until.min(inner.full_until);
            recorded.stale |= served_stale;
            recorded.failed |= inner.failed;
            recorded.by_caller |= inner.by_caller;
        })
    }

    /// Takes in what an inner load learned whose value became no entry.
    pub(crate) fn absorb_recorded(&self, inner: &Recorded) -> bool {
        self.with(|recorded| {
            for tag in &inner.tags {
                recorded.add(tag);
            }
            recorded.partial = recorded.partial.or(inner.partial);
            recorded.filled_at = recorded.filled_at.min(inner.filled_at);
            recorded.asked_at = recorded.asked_at.min(inner.asked_at);
            recorded.fresh_until = recorded.fresh_until.min(inner.fresh_until);
            recorded.stale |= inner.stale;
            recorded.failed |= inner.failed && !inner.failures_allowed;
            recorded.by_caller |= inner.by_caller;
            recorded.asked_caller |= inner.asked_caller;
            recorded.invalidated |= inner.invalidated;
        })
    }

    /// Notes what a cached call of a response came to.
    pub(crate) fn read(&self, space: &Space, reason: Reason) {
        self.with(|recorded| {
            if recorded.reads.len() < MAX_READS {
                recorded.reads.push((space.clone(), reason));
            }
        });
    }

    /// What is known so far.
    pub(crate) fn snapshot(&self) -> Recorded {
        lock(&self.state).clone()
    }

    /// Ends it: what comes later is refused.
    pub(crate) fn close(&self) -> Recorded {
        let mut recorded = lock(&self.state);
        recorded.closed = true;
        recorded.clone()
    }
}
