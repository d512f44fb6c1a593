//! What a call comes to: a value taken, a stale one fallen back to, a failure; counted and told once.

use std::sync::Arc;
use std::time::Duration;

use super::fly::Outcome;
use super::{Call, Fetched, Sought};
use crate::cache::Cache;
use crate::engine::Engine;
use crate::entry::{Entry, Verdict};
use crate::error::LoadTimeout;
use crate::outward::{flow, flow_recorded, note, tell};
use crate::reason::{NotStorable, Reason};
use crate::record::{Record, Recorded};
use crate::stats::Counters;

impl<V: Clone + Send + Sync + 'static> Call<V> {
    /// Takes an entry's value; an entry of another type is none of this caller's.
    pub(super) fn take(
        &self,
        engine: &Arc<Engine>,
        entry: &Arc<Entry>,
        reason: Reason,
        joined: bool,
    ) -> Sought<V> {
        let Some(value) = entry.value::<V>().cloned() else {
            return Sought::Alone;
        };
        if joined {
            Counters::count(&engine.counters.joined);
        }
        self.done(engine, Some(entry), reason, joined);
        Sought::Value(value)
    }

    pub(super) fn serve(&self, engine: &Arc<Engine>, entry: &Arc<Entry>) -> Option<V> {
        let value = entry.value::<V>().cloned()?;
        self.done(engine, Some(entry), self.reason, false);
        Some(value)
    }

    /// The stale value that was found, if it may still be served now that its load did not succeed:
    /// the marks are read again.
    pub(super) fn fallback(&self, engine: &Arc<Engine>, joined: bool) -> Option<V> {
        let held = self.held.as_ref()?;
        let allowed = match self.judge(engine, held) {
            Verdict::Fresh { .. } => true,
            Verdict::Stale {
                servable, on_error, ..
            } => on_error || (servable && !self.fresh_only()),
            Verdict::Dead(_) => false,
        };
        let value = if allowed {
            held.value::<V>().cloned()?
        } else {
            return None;
        };
        held.backoff.failed(engine.clock.now().0);
        self.done(engine, Some(held), Reason::Stale, joined);
        Some(value)
    }

    /// The stale value that was found, if replacing it failed a moment ago: its source is not asked
    /// again yet. Inside a load it is, as stale values are awaited there.
    pub(super) fn while_backing_off(&self, engine: &Arc<Engine>) -> Option<V> {
        let held = self.held.as_ref().filter(|_| !self.forced)?;
        let holds = !self.fresh_only() && held.backoff.holds(engine.clock.now().0);
        holds.then(|| self.fallback(engine, false)).flatten()
    }

    /// Counts the outcome, tells who watches, and lets what the value carries flow outward.
    pub(super) fn done(
        &self,
        engine: &Arc<Engine>,
        entry: Option<&Arc<Entry>>,
        reason: Reason,
        joined: bool,
    ) {
        engine.counters.outcome(reason);
        tell(&self.space, reason, joined);
        if let Some(context) = &self.context {
            if let Some(entry) = entry {
                flow(context, engine, entry, reason == Reason::Stale);
            }
            note(context, &self.space, reason, joined, self.began);
        }
    }

    /// What a call came to that was given an entry which was not there before.
    pub(super) fn reason_of(&self, entry: &Entry) -> Reason {
        match (entry.promoted, entry.born_stale) {
            (true, false) => Reason::Remote,
            (true, true) => Reason::Stale,
            (false, _) => self.reason,
        }
    }

    pub(super) fn conclude<R>(
        &self,
        engine: &Arc<Engine>,
        outcome: Outcome<V, R>,
    ) -> Fetched<V, R> {
        match outcome {
            Outcome::Landed(entry, _) => match entry.value::<V>().cloned() {
                Some(value) => {
                    self.done(engine, Some(&entry), self.reason_of(&entry), false);
                    Fetched::Value(value)
                }
                None => unreachable!("a flight lands with the type it was led for"),
            },
            Outcome::Own(value, recorded) => {
                self.own(engine, recorded);
                Fetched::Value(value)
            }
            Outcome::Refused(output, why, recorded) => {
                if why == NotStorable::Error
                    && let Some(value) = self.fallback(engine, false)
                {
                    return Fetched::Value(value);
                }
                self.failed(engine, Some(recorded));
                Fetched::Output(output)
            }
        }
    }

    /// Ends with a value that became no entry: what it carries flows outward all the same.
    pub(super) fn own(&self, engine: &Arc<Engine>, recorded: Recorded) {
        self.done(engine, None, self.reason, false);
        if let Some(context) = &self.context {
            flow_recorded(context, engine, recorded);
        }
    }

    pub(super) fn failed(&self, engine: &Arc<Engine>, recorded: Option<Recorded>) {
        self.done(engine, None, self.reason, false);
        if let Some(context) = &self.context {
            let mut recorded = recorded.unwrap_or_else(Recorded::new);
            recorded.failed = true;
            recorded.failures_allowed = false;
            flow_recorded(context, engine, recorded);
        }
    }

    /// Tells what is around the call that it is one caller's, whatever the call comes to: a failure is too.
    pub(super) fn tell_caller(&self, by_caller: bool) {
        if by_caller && let Some(record) = self.context.as_ref().and_then(|c| c.record.as_ref()) {
            // Where what is around it is over, nothing is made of that.
            let _ = record.with(|recorded| recorded.by_caller = true);
        }
    }

    /// A call that is left before it came to anything is a failure inside what is around it: by a
    /// panic that is caught there, or dropped there (`select!`, a time limit).
    pub(super) fn unfinished(&self) -> Unfinished {
        Unfinished(Some(Around {
            record: self
                .context
                .as_ref()
                .and_then(|context| context.record.clone()),
            cache: self.cache.clone(),
            reason: self.reason,
        }))
    }

    pub(super) fn timed_out<R>(
        &self,
        engine: &Arc<Engine>,
        limit: Option<Duration>,
    ) -> Fetched<V, R> {
        if let Some(value) = self.fallback(engine, false) {
            return Fetched::Value(value);
        }
        self.failed(engine, None);
        Fetched::TimedOut(LoadTimeout {
            name: self.space.name().to_owned(),
            limit: limit.unwrap_or_default(),
        })
    }
}

/// Tells the record around a call, unless the call is over: what is made without its value must not
/// be stored, as nobody knows by which tags.
pub(super) struct Unfinished(Option<Around>);

struct Around {
    record: Option<Arc<Record>>,
    cache: Option<Cache>,
    reason: Reason,
}

impl Unfinished {
    pub(super) fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(around) = &self.0 else {
            return;
        };
        if let Some(record) = &around.record {
            // Where what is around it is over too, nothing is made of that.
            let _ = record.with(|recorded| recorded.failed = true);
        }
        // A panic is an outcome; a caller who left waited for none.
        if std::thread::panicking()
            && let Some(cache) = &around.cache
        {
            cache.engine().counters.outcome(around.reason);
        }
    }
}
