//! A stored value with all that judges it: validity lives in the entry, so that any copy anywhere
//! (in the store, in a joiner's hand) is judged alike.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::backoff::Backoff;
use crate::clock::nanos;
use crate::ledger::Reading;
use crate::life::Life;
use crate::marks::{Marked, TagRecord, examine};
use crate::reason::{NotStorable, Reason};
use crate::sync::{AtomicU64, Ordering};

/// Any value that can be kept.
pub(crate) type Erased = dyn Any + Send + Sync;

/// A value, its tags and its times. All times are nanoseconds of the cache's clock.
///
/// What a hit reads stands together, behind the reference count that it has just touched: a line of
/// the processor's cache for a small value. The rest is apart.
#[repr(C)]
pub(crate) struct Entry<V: ?Sized = Erased> {
    /// The published number at which its marks were last found clean.
    checked: AtomicU64,
    /// Until then a hit needs no second thought: expiry, less the lead of a refresh ahead.
    calm_until: u64,
    pub(crate) fresh_until: u64,
    rest: Box<Rest>,
    pub(crate) value: V,
}

/// What only the storing, the judging of the second thought and the making of other values read; an
/// entry's fields to all of them.
pub(crate) struct Rest {
    /// The sequence number read before its load began.
    pub(crate) loaded_at: u64,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
    /// For how long it is kept once it is stale, be it served or not: who stored it may validate it.
    pub(crate) kept_stale: u64,
    /// When the oldest of the loads in it began.
    pub(crate) filled_at: u64,
    /// When the source of the oldest of them was asked by this process: a load's start, or when the
    /// second level was read. The bound on what is not proven counts from then.
    pub(crate) asked_at: u64,
    /// How long what is not proven may be served, past half the bound that all share.
    pub(crate) unproven_for: Unproven,
    /// When it expires on other nodes; here it may be asked for again sooner.
    pub(crate) full_until: u64,
    /// For how long it is not tried to replace it, as that failed.
    pub(crate) backoff: Backoff,
    pub(crate) tags: Box<[Arc<TagRecord>]>,
    pub(crate) weight: u32,
    /// Set where its tags could not all be kept: it cannot be judged, and is given only to those
    /// who were waiting before anything changed.
    pub(crate) partial: Option<NotStorable>,
    /// Made from a value that was stale already.
    pub(crate) born_stale: bool,
    /// Another node's, as the second level had it.
    pub(crate) promoted: bool,
    /// Made although a load inside failed: what is made from it may not be stored either.
    pub(crate) failed: bool,
    /// Its key, or that of a value inside, holds what says who is calling; a key of HTTP shows no such thing.
    pub(crate) by_caller: bool,
}

impl<V: ?Sized> Deref for Entry<V> {
    type Target = Rest;

    #[inline]
    fn deref(&self) -> &Rest {
        &self.rest
    }
}

impl<V: ?Sized> DerefMut for Entry<V> {
    fn deref_mut(&mut self) -> &mut Rest {
        &mut self.rest
    }
}

/// What an entry is good for at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Serve it; `early` asks for a refresh ahead of expiry.
    Fresh { early: bool },
    /// Its time is over, or it was softly invalidated.
    Stale {
        /// May be served while it is refreshed.
        servable: bool,
        /// May be served if its load fails.
        on_error: bool,
        /// Since when.
        since: u64,
        why: Reason,
    },
    /// Never to be served again.
    Dead(Reason),
}

/// The times of an entry, reckoned from its life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) loaded_at: u64,
    pub(crate) filled_at: u64,
    pub(crate) asked_at: u64,
    pub(crate) fresh_until: u64,
}

/// The bound of one entry on its life without proof, spread so that not all end at once when a node is
/// cut off.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unproven {
    /// Since its source was asked.
    pub(crate) bound: u64,
    /// What of that is past the least bound, which [`Reading::proven_until`] includes.
    pub(crate) extra: u64,
}

impl<V> Entry<V> {
    pub(crate) fn new(value: V, tags: Vec<Arc<TagRecord>>, times: Times, life: &Life) -> Self {
        Self {
            checked: AtomicU64::new(times.loaded_at),
            calm_until: times
                .fresh_until
                .saturating_sub(nanos(life.refresh_ahead_lead())),
            fresh_until: times.fresh_until,
            rest: Box::new(Rest {
                loaded_at: times.loaded_at,
                stale_while_revalidate: nanos(life.stale_while_revalidate_window()),
                stale_if_error: nanos(life.stale_if_error_window()),
                kept_stale: 0,
                filled_at: times.filled_at,
                asked_at: times.asked_at,
                unproven_for: Unproven::default(),
                full_until: times.fresh_until,
                backoff: Backoff::new(),
                tags: tags.into_boxed_slice(),
                weight: 0,
                partial: None,
                born_stale: false,
                promoted: false,
                failed: false,
                by_caller: false,
            }),
            value,
        }
    }
}

impl<V: ?Sized> Entry<V> {
    /// Has it expire here by then, whatever its lifetime: it is asked for again.
    pub(crate) fn expire_here_by(&mut self, moment: u64) {
        self.fresh_until = self.fresh_until.min(moment);
        self.calm_until = self.calm_until.min(moment);
    }

    /// How long before it expires it is refreshed.
    pub(crate) fn refresh_ahead(&self) -> u64 {
        self.fresh_until.saturating_sub(self.calm_until)
    }

    /// Judges it for a reader that read `reading` first and `now` after its read began.
    #[inline]
    pub(crate) fn judge(&self, reading: Reading, now: u64) -> Verdict {
        if self.checked.load(Ordering::Relaxed) == reading.sequence
            && now < self.calm_until
            && now <= reading.proven_until
        {
            return Verdict::Fresh { early: false };
        }
        self.judge_slowly(reading, now)
    }

    /// Whether what is known of it was proven lately enough for a reader of that moment.
    pub(crate) fn is_proven(&self, reading: Reading, now: u64) -> bool {
        let Unproven { bound, extra } = self.unproven_for;
        now <= reading.proven_until.saturating_add(extra)
            || reading.is_recent(self.asked_at, bound, now)
    }

    #[cold]
    fn judge_slowly(&self, reading: Reading, now: u64) -> Verdict {
        match self.judge_marks(reading.sequence, now) {
            Verdict::Dead(why) => Verdict::Dead(why),
            verdict if self.is_proven(reading, now) => verdict,
            // What other nodes invalidated may be unknown here: it is as good as stale, and only for who
            // asked for that on errors.
            Verdict::Fresh { .. } => Verdict::Stale {
                servable: false,
                on_error: self.stale_if_error > 0,
                since: now,
                why: Reason::Unproven,
            },
            Verdict::Stale {
                on_error, since, ..
            } => Verdict::Stale {
                servable: false,
                on_error,
                since,
                why: Reason::Unproven,
            },
        }
    }

    fn judge_marks(&self, sequence: u64, now: u64) -> Verdict {
        let (since, why) = match examine(&self.tags, self.loaded_at) {
            Marked::Hard => return Verdict::Dead(Reason::Tag),
            Marked::Local => return Verdict::Dead(Reason::Removed),
            Marked::Soft(at) if at < self.fresh_until => (at, Reason::Tag),
            Marked::Soft(_) => (self.fresh_until, Reason::Tag),
            Marked::Clean => {
                // What was read before the marks, never after: a mark set in between is seen next time.
                self.checked.store(sequence, Ordering::Relaxed);
                if now < self.fresh_until {
                    return Verdict::Fresh {
                        early: now >= self.calm_until,
                    };
                }
                (self.fresh_until, Reason::Expired)
            }
        };
        self.stale(since, now, why)
    }

    /// What it is good for when it is stale since then.
    pub(crate) fn stale(&self, since: u64, now: u64, why: Reason) -> Verdict {
        let stale_for = now.saturating_sub(since);
        Verdict::Stale {
            servable: stale_for < self.stale_while_revalidate,
            on_error: stale_for < self.stale_if_error,
            since,
            why,
        }
    }

    /// Whether nothing will ever be made of it again, and when that will be so.
    pub(crate) fn spent(&self, sequence: u64, now: u64) -> Spent {
        // Proof may come yet.
        match self.judge_marks(sequence, now) {
            Verdict::Dead(why) => Spent::Already(why),
            Verdict::Stale { since, why, .. } => {
                let windows = self.stale_while_revalidate.max(self.stale_if_error);
                let end = since.saturating_add(windows.max(self.kept_stale));
                if now < end {
                    Spent::At(end)
                } else {
                    Spent::Already(why)
                }
            }
            Verdict::Fresh { .. } => Spent::NotYet,
        }
    }
}

/// Whether an entry is still good for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    Already(Reason),
    /// Stale, and served so or validated until then.
    At(u64),
    NotYet,
}

impl<V: ?Sized> fmt::Debug for Entry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("loaded_at", &self.loaded_at)
            .field("fresh_until", &self.fresh_until)
            .field("tags", &self.tags.len())
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// The value, where it has this type.
    #[inline]
    pub(crate) fn value<V: 'static>(&self) -> Option<&V> {
        self.value.downcast_ref()
    }
}
