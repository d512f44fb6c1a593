//! What is known of one key: for people, and for tests.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::entry::Verdict;
use crate::key::Key;
use crate::reason::{NotStorable, Reason};
use crate::store::Store;

/// What [`Cache::explain`](crate::Cache::explain) found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The key, with the cache's namespace and version: `shop@3/app::price(7)`.
    pub key: String,
    /// What a read would come to now: [`Reason::Hit`], [`Reason::Stale`], or why it would miss.
    pub reason: Reason,
    /// The tags of what is stored: yours as they are, implicit ones in words, such as
    /// `function shop::price`, `scope users`, `path /blog`, `everything`.
    pub tags: Vec<String>,
    /// How long ago the oldest load in it began.
    pub age: Duration,
    /// How long it stays fresh.
    pub fresh_for: Duration,
    /// The bytes it counts for.
    pub weight: usize,
    /// Shared loads of the key that run now.
    pub running: usize,
}

impl Explanation {
    pub(crate) fn of(engine: &Arc<Engine>, key: Result<Key, NotStorable>) -> Self {
        let settings = &engine.settings;
        let version = if settings.version.is_empty() { "" } else { "@" };
        let prefix = format!("{}{version}{}/", settings.namespace, settings.version);
        let mut explanation = Self {
            key: prefix.clone(),
            reason: Reason::NeverStored,
            tags: Vec::new(),
            age: Duration::ZERO,
            fresh_for: Duration::ZERO,
            weight: 0,
            running: 0,
        };
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                explanation.reason = Reason::NotStorable(why);
                return explanation;
            }
        };
        explanation.key = format!("{prefix}{key}");
        explanation.running = engine.flights.running(&key);
        let reading = engine.ledger.reading();
        let Some(entry) = engine.store.get(&key.as_ref()) else {
            explanation.reason = engine.trace.reason(key.hash());
            return explanation;
        };
        let now = engine.clock.now();
        explanation.reason = match entry.judge(reading, now.0) {
            Verdict::Fresh { .. } => Reason::Hit,
            Verdict::Stale { servable: true, .. } => Reason::Stale,
            Verdict::Stale { on_error: true, .. } if entry.backoff.holds(now.0) => Reason::Stale,
            Verdict::Stale { why, .. } | Verdict::Dead(why) => why,
        };
        explanation.tags = entry
            .tags
            .iter()
            .map(|tag| crate::tag::shown(tag.name()).into_owned())
            .collect();
        explanation.age = now.since(Timestamp(entry.filled_at));
        explanation.fresh_for = Timestamp(entry.fresh_until).since(now);
        explanation.weight = entry.weight as usize;
        explanation
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)?;
        if self.weight > 0 {
            write!(
                f,
                ", {:?} old, fresh for {:?}, {} bytes, tags {:?}",
                self.age, self.fresh_for, self.weight, self.tags
            )?;
        }
        if self.running > 0 {
            write!(f, ", {} loading", self.running)?;
        }
        Ok(())
    }
}
