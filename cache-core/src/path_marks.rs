//! `revalidate_path` as it reaches cached functions. What a function made belongs to no path, so it
//! carries no path's tag; but when a request asks for it whose path was invalidated since, it is as
//! stale as that request's response (Next.js's soft tags).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use crate::context::Context;
use crate::engine::Engine;
use crate::entry::{Entry, Verdict};
use crate::ledger::{Ledger, Reading};
use crate::marks::{Kind, Marked, TagRecord, examine};
use crate::path::path_tags;
use crate::reason::Reason;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::tag::TagName;

/// The most path tags that are remembered; past it the oldest is forgotten, and whatever was loaded
/// before its invalidation counts as overtaken on every path.
const MAX_PATHS: usize = 4096;

/// The path of the request that a call is made for.
#[derive(Debug)]
pub(crate) struct RequestPath {
    path: String,
    route: Option<String>,
    tags: OnceLock<Vec<TagName>>,
}

impl RequestPath {
    pub(crate) fn new(path: &str, route: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            route: route.map(str::to_owned),
            tags: OnceLock::new(),
        })
    }

    /// Written out when first needed: hardly ever.
    fn tags(&self) -> &[TagName] {
        let tags = || path_tags(&self.path, self.route.as_deref()).unwrap_or_default();
        self.tags.get_or_init(tags)
    }
}

/// The path tags that were invalidated. Holding their records keeps their marks.
#[derive(Debug)]
pub(crate) struct PathMarks {
    /// The number of the last one: what was loaded since needs no second look.
    last: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    records: HashMap<TagName, Arc<TagRecord>>,
    /// Oldest first.
    order: VecDeque<TagName>,
    floor: u64,
}

impl Kept {
    fn forget_oldest(&mut self) {
        let oldest = self.order.pop_front();
        if let Some(record) = oldest.and_then(|path| self.records.remove(&path)) {
            self.floor = self.floor.max(record.last());
        }
    }
}

impl PathMarks {
    pub(crate) fn new() -> Self {
        Self {
            last: AtomicU64::new(0),
            kept: Mutex::new(Kept::default()),
        }
    }

    /// Invalidates, remembering those of the names that are paths.
    pub(crate) fn invalidate(&self, ledger: &Ledger, kind: Kind, names: &[TagName], now: u64) {
        let paths: Vec<_> = names
            .iter()
            .filter(|name| name.is_path())
            .cloned()
            .collect();
        if paths.is_empty() {
            return ledger.invalidate(kind, names, now);
        }
        let mut kept = lock(&self.kept);
        let records = ledger.records(&paths);
        for (path, record) in paths.into_iter().zip(records) {
            if kept.records.insert(path.clone(), record).is_none() {
                kept.order.push_back(path);
            }
        }
        ledger.invalidate(kind, names, now);
        while kept.order.len() > MAX_PATHS {
            kept.forget_oldest();
        }
        self.last.store(ledger.sequence(), Ordering::Release);
    }

    /// The number that something made for a request of this path must not be below.
    pub(crate) fn newest(&self, path: Option<&Arc<RequestPath>>) -> u64 {
        let Some(path) = path.filter(|_| self.last.load(Ordering::Acquire) > 0) else {
            return 0;
        };
        let kept = lock(&self.kept);
        let marks = path.tags().iter().filter_map(|tag| kept.records.get(tag));
        marks.map(|record| record.last()).fold(kept.floor, u64::max)
    }

    fn marked(&self, path: &RequestPath, loaded_at: u64) -> Marked {
        let kept = lock(&self.kept);
        if loaded_at < kept.floor {
            // Softly, and nobody knows how long ago.
            return Marked::Soft(0);
        }
        let names = path.tags().iter();
        let records: Vec<_> = names
            .filter_map(|tag| kept.records.get(tag).cloned())
            .collect();
        examine(&records, loaded_at)
    }
}

impl Engine {
    /// Judges an entry for a call that is made in this context.
    #[inline]
    pub(crate) fn judge(
        &self,
        entry: &Entry,
        context: Option<&Context>,
        reading: Reading,
        now: u64,
    ) -> Verdict {
        let verdict = entry.judge(reading, now);
        match context.and_then(|context| context.path.as_ref()) {
            Some(path) if self.paths.last.load(Ordering::Acquire) > entry.made_after() => {
                self.judge_for(path, entry, verdict, now)
            }
            _ => verdict,
        }
    }

    #[cold]
    fn judge_for(&self, path: &RequestPath, entry: &Entry, verdict: Verdict, now: u64) -> Verdict {
        let at = match (verdict, self.paths.marked(path, entry.made_after())) {
            (Verdict::Dead(_), _) | (_, Marked::Clean) => return verdict,
            (_, Marked::Hard | Marked::Local) => return Verdict::Dead(Reason::Tag),
            (_, Marked::Soft(at)) => at,
        };
        let since = match verdict {
            // Not to be served while it is refreshed, whatever its window.
            Verdict::Stale {
                why: Reason::Unproven,
                ..
            } => return verdict,
            Verdict::Stale { since, .. } => since.min(at),
            Verdict::Fresh { .. } | Verdict::Dead(_) => at.min(entry.fresh_until),
        };
        entry.stale(since, now, Reason::Tag)
    }
}
