//! The ledger: every tag's record, which loads run, and the one lock under which tags are invalidated.
//!
//! A record lives while an entry or a load holds it, and while a load runs that began before its
//! last mark: that load may yet turn out to carry the tag. Marks of tags that nobody holds are
//! bounded; past the bound they are dropped and a *floor* rises instead, below which no load is stored.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::marks::{Kind, Sequence, TagRecord};
use crate::sync::{AtomicU64, EXPLORED, Mutex, Ordering, lock};
use crate::tag::TagName;

/// The most marks kept of tags that nobody holds; few where schedules are explored, so that they
/// reach the bound.
pub(crate) const MAX_ORPHANS: usize = if EXPLORED { 4 } else { 4096 };
/// Record maps: each is swept under one hold of the lock.
const PARTS: usize = if EXPLORED { 2 } else { 64 };

#[derive(Debug)]
pub(crate) struct Ledger {
    sequence: Sequence,
    /// Until when what this process knows of other nodes' invalidations is proven; for ever where
    /// there are no others.
    proven_until: AtomicU64,
    /// When that was last taken back, as the machine had slept: for how long is not known, and what was loaded
    /// before is older by that than its own time says.
    disproved_at: AtomicU64,
    floor: AtomicU64,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    parts: Vec<Part>,
    hasher: RandomState,
    /// Starts of what runs, with how many began there.
    running: BTreeMap<u64, usize>,
    /// Marks left for running loads on tags that nobody held, oldest first.
    orphans: VecDeque<(u64, Arc<str>)>,
}

/// What a reader reads before it looks.
///
/// The proof comes first: it is published after the marks of what was learned with it, so that who sees it
/// sees a number that is not from before them. Read the other way round, a proof of now would bless an
/// entry by a number of long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Until when what this process knows is proven.
    pub(crate) proven_until: u64,
    /// What was asked for up to then is not proven by when that was.
    pub(crate) disproved_at: u64,
    /// The number of the last invalidation: who reads it first sees every mark up to it.
    pub(crate) sequence: u64,
}

/// Some of the records.
#[derive(Debug, Default)]
struct Part {
    records: HashMap<Arc<str>, Arc<TagRecord>, RandomState>,
    /// Swept when it would grow past this: tags that nobody holds any more never outnumber the held
    /// ones for long, however fast entries come and go.
    limit: usize,
}

/// Proof that something which may end in a stored value runs; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    ledger: Arc<Ledger>,
    /// The sequence number read before it began.
    pub(crate) start: u64,
}

impl Reading {
    /// Whether what was asked for then is new enough for a reader of `now`, within a bound of its own.
    pub(crate) fn is_recent(self, asked_at: u64, bound: u64, now: u64) -> bool {
        asked_at > self.disproved_at && now <= asked_at.saturating_add(bound)
    }
}

impl Ledger {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            sequence: Sequence::new(),
            proven_until: AtomicU64::new(u64::MAX),
            disproved_at: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            book: Mutex::new(Book {
                parts: (0..PARTS).map(|_| Part::default()).collect(),
                hasher: RandomState::default(),
                running: BTreeMap::new(),
                orphans: VecDeque::new(),
            }),
        })
    }

    /// The number of the last invalidation. What reads it first sees every mark up to it.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.read()
    }

    /// What a reader goes by.
    #[inline]
    pub(crate) fn reading(&self) -> Reading {
        let proven_until = self.proven_until.load(Ordering::Acquire);
        Reading {
            proven_until,
            disproved_at: self.disproved_at.load(Ordering::Acquire),
            sequence: self.sequence(),
        }
    }

    /// Sets until when what is known is proven. The marks of what is known are set.
    pub(crate) fn prove_until(&self, until: u64) {
        self.proven_until.store(until, Ordering::Release);
    }

    /// Takes back what was proven, and what the time of its own load proved of each entry.
    pub(crate) fn disprove(&self, now: u64) {
        self.disproved_at.store(now, Ordering::Release);
        self.prove_until(0);
    }

    /// Whether marks that a load begun at `start` would need may have been dropped.
    pub(crate) fn below_floor(&self, start: u64) -> bool {
        start < self.floor.load(Ordering::Acquire)
    }

    /// Begins something that may end in a stored value.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        let mut book = lock(&self.book);
        let start = self.sequence.read();
        *book.running.entry(start).or_insert(0) += 1;
        Running {
            ledger: Arc::clone(self),
            start,
        }
    }

    /// The records of `names`, made where there are none.
    pub(crate) fn records<'a>(
        &self,
        names: impl IntoIterator<Item = &'a TagName>,
    ) -> Vec<Arc<TagRecord>> {
        let mut book = lock(&self.book);
        names
            .into_iter()
            .map(|name| book.record(name.raw()))
            .collect()
    }

    /// Marks every one of `names` as one step.
    pub(crate) fn invalidate<'a>(
        &self,
        kind: Kind,
        names: impl IntoIterator<Item = &'a TagName>,
        now: u64,
    ) {
        let mut book = lock(&self.book);
        let book = &mut *book;
        let mut marked = Vec::new();
        for name in names {
            let held = book.part(name.raw()).records.get(name.raw()).cloned();
            // An unknown tag matters only to what runs: it may turn out to carry it.
            if held.is_none() && book.running.is_empty() {
                continue;
            }
            let known = held.is_some();
            marked.push((known, held.unwrap_or_else(|| book.record(name.raw()))));
        }
        if marked.is_empty() {
            return;
        }
        let number = self.sequence.publish(|number| {
            for (known, record) in &marked {
                record.mark(kind, number, now);
                if !known {
                    book.orphans.push_back((number, Arc::clone(record.name())));
                }
            }
        });
        drop(marked);
        if book.orphans.len() > MAX_ORPHANS {
            self.floor.store(number, Ordering::Release);
            book.free_orphans(number);
        }
    }

    /// Frees the unheld records of one part that no running load can need; returns whether there
    /// are parts after it.
    pub(crate) fn sweep(&self, part: usize) -> bool {
        let mut book = lock(&self.book);
        let book = &mut *book;
        let needed_from = book.needed_from();
        let kept = book.parts[part].free_unheld(needed_from);
        // They are not spread evenly: the bound is the marks', and this one is for what they leave out.
        if kept > 4 * MAX_ORPHANS / PARTS && book.running.first_key_value().is_some() {
            self.floor.store(self.sequence.read(), Ordering::Release);
            book.parts[part].free_unheld(u64::MAX);
        }
        part + 1 < PARTS
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        let book = lock(&self.book);
        book.parts.iter().map(|part| part.records.len()).sum()
    }

    /// How many things run that may end in a stored value.
    pub(crate) fn running(&self) -> usize {
        lock(&self.book).running.values().sum()
    }
}

impl Part {
    /// Frees the records that nothing holds and no running load can need, which are those marked up
    /// to `needed_from`; returns how many are kept for such loads alone.
    fn free_unheld(&mut self, needed_from: u64) -> usize {
        let mut needed = 0;
        self.records.retain(|_, record| {
            let held = Arc::strong_count(record) > 1;
            let kept = held || record.last() > needed_from;
            needed += usize::from(kept && !held);
            kept
        });
        needed
    }
}

impl Book {
    fn part(&mut self, name: &str) -> &mut Part {
        let hash = self.hasher.hash_one(name);
        let part = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        &mut self.parts[part]
    }

    fn record(&mut self, name: &Arc<str>) -> Arc<TagRecord> {
        const LEAST: usize = 64;
        let needed_from = self.needed_from();
        let part = self.part(name);
        if let Some(record) = part.records.get(name) {
            return Arc::clone(record);
        }
        if part.records.len() >= part.limit {
            part.free_unheld(needed_from);
            part.limit = LEAST.max(2 * part.records.len());
        }
        let record = Arc::new(TagRecord::new(Arc::clone(name)));
        part.records.insert(Arc::clone(name), Arc::clone(&record));
        record
    }

    /// Marks up to this number matter to nothing that runs.
    fn needed_from(&self) -> u64 {
        self.running
            .first_key_value()
            .map_or(u64::MAX, |(start, _)| *start)
    }

    /// Frees the orphans marked up to `number`, under the lock, where nothing holds them: a record
    /// freed while an entry held it would never be marked again.
    fn free_orphans(&mut self, number: u64) {
        while let Some((at, _)) = self.orphans.front() {
            if *at > number {
                break;
            }
            let Some((_, name)) = self.orphans.pop_front() else {
                break;
            };
            let part = self.part(&name);
            if part.records.get(&name).is_some_and(|record| {
                Arc::strong_count(record) == 1 && !record.marked_above(number)
            }) {
                part.records.remove(&name);
            }
        }
    }
}

impl Running {
    /// Another that began when this one did.
    pub(crate) fn also(&self) -> Self {
        let mut book = lock(&self.ledger.book);
        *book.running.entry(self.start).or_insert(0) += 1;
        Self {
            ledger: Arc::clone(&self.ledger),
            start: self.start,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut book = lock(&self.ledger.book);
        if let Some(count) = book.running.get_mut(&self.start) {
            *count -= 1;
            if *count == 0 {
                book.running.remove(&self.start);
                let needed_from = book.needed_from();
                book.free_orphans(needed_from);
            }
        }
    }
}
