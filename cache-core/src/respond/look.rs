//! The look for a stored response, and what it found.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::context;
use crate::entry::{Entry, Verdict};
use crate::key::{KeyRef, Space};
use crate::ledger::Reading;
use crate::outward::flow;
use crate::reason::Reason;
use crate::store::Store;

/// What a request read before it looked, and the moment it was judged by.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub(super) reading: Reading,
    at: Timestamp,
}

impl Arrival {
    /// The moment by which what it found was judged.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.at
    }

    /// Whether the node knew what others invalidate when this request came: what began after is as new as that.
    pub(super) const fn is_proven(self) -> bool {
        self.at.0 <= self.reading.proven_until
    }

    /// Whether what is known of an entry was proven for this request.
    pub(super) fn proves(self, entry: &Entry) -> bool {
        entry.is_proven(self.reading, self.at.0)
    }
}

/// A stored value in a caller's hand.
pub struct Held<V> {
    pub(super) entry: Arc<Entry>,
    stale: bool,
    value: PhantomData<fn() -> V>,
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            stale: self.stale,
            value: PhantomData,
        }
    }
}

impl<V> fmt::Debug for Held<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

impl<V: 'static> Deref for Held<V> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        match self.entry.value() {
            Some(value) => value,
            None => unreachable!("its type was seen when it was found"),
        }
    }
}

impl<V: 'static> Held<V> {
    pub(super) fn new(entry: Arc<Entry>, stale: bool) -> Option<Self> {
        entry.value::<V>()?;
        Some(Self {
            entry,
            stale,
            value: PhantomData,
        })
    }

    /// One that was just made of a value of this type.
    pub(super) fn made(entry: Arc<Entry>) -> Self {
        let stale = entry.born_stale;
        match Self::new(entry, stale) {
            Some(held) => held,
            None => unreachable!("it was made of this type"),
        }
    }

    /// When the oldest load in it began.
    #[must_use]
    pub fn filled_at(&self) -> Timestamp {
        Timestamp(self.entry.filled_at)
    }

    /// Until when it is fresh, unless it is invalidated.
    #[must_use]
    pub fn fresh_until(&self) -> Timestamp {
        Timestamp(self.entry.fresh_until)
    }

    /// Whether it was stale when it was found.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether it may be served now that its load failed: its marks are read again.
    #[must_use]
    pub fn usable_on_error(&self, cache: &Cache) -> bool {
        let engine = cache.engine();
        match self
            .entry
            .judge(engine.ledger.reading(), engine.clock.now().0)
        {
            Verdict::Fresh { .. } => true,
            Verdict::Stale {
                servable, on_error, ..
            } => servable || on_error,
            Verdict::Dead(_) => false,
        }
    }

    /// For how long it has been stale by now, and why: no time while it is fresh, `None` where it is
    /// dead. Its marks are read again.
    #[must_use]
    pub fn stale_for(&self, cache: &Cache) -> Option<(Duration, Reason)> {
        let engine = cache.engine();
        let now = engine.clock.now().0;
        match self.entry.judge(engine.ledger.reading(), now) {
            Verdict::Fresh { .. } => Some((Duration::ZERO, Reason::Hit)),
            Verdict::Stale { since, why, .. } => {
                Some((Duration::from_nanos(now.saturating_sub(since)), why))
            }
            Verdict::Dead(_) => None,
        }
    }

    /// Gives what it carries to the response or load around the current one.
    pub fn flow(&self, cache: &Cache) {
        if let Some(context) = context::current() {
            flow(&context, cache.engine(), &self.entry, self.stale);
        }
    }
}

/// A key that is known not to be storable, for a while.
pub(super) struct Unstorable(pub(super) u16);

/// Whether this is such a mark and no response.
pub(crate) fn is_mark(entry: &Entry) -> bool {
    entry.value::<Unstorable>().is_some()
}

/// The outcome of a look.
#[derive(Debug)]
pub enum Found<V> {
    /// Serve it; `early`: it is about to expire, refresh it.
    Fresh(Held<V>, bool),
    /// Serve it, and refresh it.
    Stale(Held<V>),
    /// The last response of this key was not storable; the layer's own code for why.
    Unstorable(u16),
    /// Load it; what is held may be served if that fails.
    Miss(Reason, Option<Held<V>>),
}

impl<V> Found<V> {
    /// What is held, for whatever it may do.
    #[must_use]
    pub fn into_held(self) -> Option<Held<V>> {
        match self {
            Self::Fresh(held, _) | Self::Stale(held) => Some(held),
            Self::Miss(_, held) => held,
            Self::Unstorable(_) => None,
        }
    }
}

/// Looks for a response: no lock, no allocation.
#[inline]
pub fn find<V: Send + Sync + 'static>(cache: &Cache, bytes: &[u8]) -> (Arrival, Found<V>) {
    let engine = cache.engine();
    let key = KeyRef::new(&Space::Http, bytes);
    let reading = engine.ledger.reading();
    let held = engine.store.get(&key);
    let at = engine.clock.now();
    let arrival = Arrival { reading, at };
    let absent = || Found::Miss(engine.trace.reason(key.hash()), None);
    let Some(entry) = held else {
        return (arrival, absent());
    };
    let found = match entry.judge(reading, at.0) {
        Verdict::Fresh { early } => match entry.value::<Unstorable>() {
            Some(mark) => Found::Unstorable(mark.0),
            None => Held::new(entry, false)
                .map_or(Found::Miss(Reason::NeverStored, None), |held| {
                    Found::Fresh(held, early)
                }),
        },
        Verdict::Stale { servable, why, .. } => match Held::new(entry, true) {
            Some(held) if servable => Found::Stale(held),
            Some(held) => Found::Miss(why, Some(held)),
            None => absent(),
        },
        // Of what is only a mark nothing was ever stored that could be stale.
        Verdict::Dead(_) if is_mark(&entry) => absent(),
        Verdict::Dead(why) => Found::Miss(why, None),
    };
    (arrival, found)
}
