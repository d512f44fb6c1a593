//! The engine: one per cache, shared by all its copies and scopes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{Clock, nanos};
use crate::entry::{Entry, Times};
use crate::flight::Flights;
use crate::key::{Key, Space};
use crate::ledger::Ledger;
use crate::life::Life;
use crate::marks::{Kind, TagRecord};
use crate::node::Node;
use crate::path_marks::PathMarks;
use crate::reason::NotStorable;
use crate::record::Recorded;
use crate::stats::{Counters, Stats};
use crate::store::Store;
use crate::sweep::Sweeper;
use crate::tag::TagName;
use crate::trace::Trace;
use crate::waits::Waits;

#[cfg(not(revalidate_shuttle))]
pub(crate) type LocalStore = crate::store::MokaStore;
#[cfg(revalidate_shuttle)]
pub(crate) type LocalStore = crate::store::PlainStore;

/// What an entry takes beside its value, its key and its tags: its own fields, and the maps'.
const ENTRY_OVERHEAD: usize = 200;
/// What a tag takes that only one entry has.
const TAG_OVERHEAD: usize = 160;

/// What the builder decided.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) max_bytes: u64,
    pub(crate) default_life: Life,
    pub(crate) profiles: HashMap<String, Life>,
    pub(crate) namespace: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) wait_limit: Duration,
    pub(crate) max_concurrent_loads: usize,
    pub(crate) guard_invalidation: bool,
}

pub(crate) struct Engine {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) paths: PathMarks,
    pub(crate) store: LocalStore,
    pub(crate) flights: Flights,
    pub(crate) waits: Arc<Waits>,
    pub(crate) clock: Clock,
    pub(crate) trace: Arc<Trace>,
    pub(crate) counters: Counters,
    pub(crate) settings: Settings,
    pub(crate) sweeper: Sweeper,
    pub(crate) permits: Arc<Semaphore>,
    /// This process as one node of many.
    pub(crate) node: Option<Arc<Node>>,
    /// The tag that every entry carries.
    all: Arc<TagRecord>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What decides on a value's lifetime, unless its body does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifeChoice {
    /// What the attribute, the call or the response says.
    pub(crate) said: Life,
    /// What holds for what is left unsaid. A ttl from here is a most: what is inside and ends sooner
    /// ends the value sooner.
    pub(crate) default: Life,
}

impl LifeChoice {
    /// One that takes nothing from any default.
    pub(crate) fn whole(said: Life) -> Self {
        Self {
            said,
            default: Life::default(),
        }
    }
}

impl Engine {
    pub(crate) fn new(clock: Clock, settings: Settings, node: Option<Node>) -> Arc<Self> {
        let trace = Arc::new(Trace::new());
        let ledger = Ledger::new();
        let all = ledger.records([&TagName::all()]);
        #[cfg(not(revalidate_shuttle))]
        let store = LocalStore::new(settings.max_bytes, Arc::clone(&trace));
        #[cfg(revalidate_shuttle)]
        let store = LocalStore::default();
        if node.as_ref().is_some_and(Node::is_bounded) {
            ledger.prove_until(0);
        }
        let engine = Arc::new(Self {
            store,
            paths: PathMarks::new(),
            flights: Flights::new(),
            waits: Waits::new(),
            clock,
            trace,
            counters: Counters::new(),
            sweeper: Sweeper::default(),
            permits: Arc::new(Semaphore::new(
                settings
                    .max_concurrent_loads
                    .clamp(1, Semaphore::MAX_PERMITS),
            )),
            settings,
            node: node.map(Arc::new),
            all: Arc::clone(&all[0]),
            ledger,
        });
        engine.begin_node();
        engine
    }

    /// The records of an entry's tags: these names, its space's, and the one that all carry.
    pub(crate) fn tags(&self, space: &Space, names: &[TagName]) -> Vec<Arc<TagRecord>> {
        let all = [names, &space.tags()].concat();
        let mut tags = self.ledger.records(&all);
        tags.push(Arc::clone(&self.all));
        tags
    }

    /// Invalidates here and on all other nodes; returns the ticket by which its delivery is awaited.
    pub(crate) fn invalidate(self: &Arc<Self>, kind: Kind, names: &[TagName]) -> Option<u64> {
        if names.is_empty() {
            return None;
        }
        // First: what reads the second level between the two must find that it is not acknowledged.
        let ticket = self.tell_nodes(kind, names);
        self.invalidate_here(kind, names);
        ticket
    }

    /// Invalidates in this process, and sees to it that memory comes back.
    pub(crate) fn invalidate_here(self: &Arc<Self>, kind: Kind, names: &[TagName]) {
        let now = self.clock.now().0;
        self.paths.invalidate(&self.ledger, kind, names, now);
        Counters::count(&self.counters.invalidations);
        #[cfg(feature = "metrics")]
        metrics::counter!("revalidate_invalidations_total").increment(1);
        self.sweep_soon();
    }

    /// Counts a stored value. Now and then it has the records swept of tags that evicted entries left.
    pub(crate) fn stored(self: &Arc<Self>) {
        const NOW_AND_THEN: u64 = 4096;
        let stored = self.counters.stored.fetch_add(1, Ordering::Relaxed) + 1;
        if stored.is_multiple_of(NOW_AND_THEN) {
            self.sweep_soon();
        }
    }

    /// Makes an entry of a value and what was learned while it was made, and says why it may not be stored.
    pub(crate) fn entry<V: Send + Sync + 'static>(
        &self,
        key: &Key,
        (value, weight): (V, usize),
        (loaded_at, began): (u64, u64),
        choice: LifeChoice,
        at_most: Option<Duration>,
        recorded: Recorded,
    ) -> (Entry<V>, Result<(), NotStorable>) {
        let refusal = recorded.refusal();
        let failed = recorded.failed && !recorded.failures_allowed;
        let (life, fresh_until) = self.lifetime(began, choice, at_most, &recorded);
        let times = Times {
            loaded_at,
            filled_at: began.min(recorded.filled_at),
            asked_at: began.min(recorded.asked_at),
            fresh_until,
        };
        let (mut entry, fits) = self.made_of(key, (value, weight), recorded.tags, times, &life);
        let storable = match refusal {
            Some(why) => Err(why),
            None if life.is_zero() => Err(NotStorable::ZeroLife),
            None => fits,
        };
        entry.partial = recorded.partial;
        entry.born_stale = recorded.stale;
        entry.failed = failed;
        entry.by_caller = recorded.by_caller;
        (entry, storable)
    }

    /// Makes an entry of its parts, and says whether it is too large to be stored.
    pub(crate) fn made_of<V: Send + Sync + 'static>(
        &self,
        key: &Key,
        (value, weight): (V, usize),
        tags: Vec<Arc<TagRecord>>,
        times: Times,
        life: &Life,
    ) -> (Entry<V>, Result<(), NotStorable>) {
        let beside = key.weight() + ENTRY_OVERHEAD + tag_weight(&tags);
        let weight = weight.saturating_add(beside);
        let mut entry = Entry::new(value, tags, times, life);
        self.bound_by_node(&mut entry);
        entry.weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let fits = weight as u64 <= self.settings.max_bytes.min(u32::MAX.into());
        (
            entry,
            if fits {
                Ok(())
            } else {
                Err(NotStorable::TooLarge)
            },
        )
    }

    /// What decides on the lifetime of what says no more than this, by the cache's own defaults.
    pub(crate) fn choice(&self, said: Life) -> LifeChoice {
        LifeChoice {
            said,
            default: self.settings.default_life,
        }
    }

    /// How long a value lives whose load began then, and when it expires.
    pub(crate) fn lifetime(
        &self,
        began: u64,
        choice: LifeChoice,
        at_most: Option<Duration>,
        recorded: &Recorded,
    ) -> (Life, u64) {
        let said = recorded.life.unwrap_or(choice.said);
        let explicit = said.says_ttl();
        let mut life = said.over(choice.default);
        if let Some(at_most) = at_most {
            life = life.at_most(at_most);
        }
        let mut fresh_until = began.saturating_add(self.jittered(&life));
        if !explicit {
            fresh_until = fresh_until.min(recorded.fresh_until);
        }
        if recorded.stale {
            fresh_until = fresh_until.min(began);
        }
        (life, fresh_until)
    }

    fn jittered(&self, life: &Life) -> u64 {
        let ttl = nanos(life.ttl());
        match nanos(life.jitter_bound()).min(ttl) {
            0 => ttl,
            most => ttl - fastrand::u64(0..=most),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let (entries, bytes) = self.store.size();
        let reasons = self.counters.by_reason();
        let sum = |wanted: fn(crate::Reason) -> bool| {
            reasons
                .iter()
                .filter(|(reason, _)| wanted(*reason))
                .map(|(_, n)| n)
                .sum()
        };
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            hits: sum(|reason| reason == crate::Reason::Hit),
            stale: sum(|reason| reason == crate::Reason::Stale),
            misses: sum(crate::Reason::is_miss),
            bypassed: sum(|reason| reason == crate::Reason::Bypass),
            loads: read(&self.counters.loads),
            joined: read(&self.counters.joined),
            stored: read(&self.counters.stored),
            invalidations: read(&self.counters.invalidations),
            late_tags: read(&self.counters.late_tags),
            recording: read(&self.counters.recording),
            entries,
            bytes,
            tags: self.ledger.len() as u64,
            running: self.ledger.running() as u64,
            reasons,
            remote: self
                .node
                .as_ref()
                .map(|node| node.stats(self.clock.now().0)),
        }
    }
}

impl Drop for Engine {
    /// What keeps the node current ends with it.
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            node.end();
        }
    }
}

fn tag_weight(tags: &[Arc<TagRecord>]) -> usize {
    // The ledger and the load that is ending hold it up to six times over; a tag of few entries may
    // be counted more than once, never less.
    let own = |tag: &&Arc<TagRecord>| Arc::strong_count(tag) <= 6;
    let alone: usize = tags
        .iter()
        .filter(own)
        .map(|tag| tag.name().len() + TAG_OVERHEAD)
        .sum();
    size_of_val(tags) + alone
}
