//! Loads in flight: who leads, who joins, and what may be stored. Every write to the store of a key
//! happens here, under the lock of that key's shard.
//!
//! A flight is *attached* until its key is removed, put, or it lands. A detached one still serves
//! those who already wait; nobody later finds it, and it stores nothing.

mod aboard;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

pub(crate) use self::aboard::{Flight, HandOver, Passenger, Stage};

use crate::engine::Engine;
use crate::entry::{Entry, Spent, Verdict};
use crate::key::{BuildHashed, Key, KeyRef};
use crate::ledger::{Reading, Running};
use crate::marks::TagRecord;
use crate::reason::{NotStorable, Reason};
use crate::record::Record;
use crate::store::Store;
use crate::sync::{AtomicU64, EXPLORED, Mutex, MutexGuard, Ordering, lock};

/// The most shared loads of one key that run at once, detached ones included.
const MOST_AT_ONCE: usize = 2;
const SHARDS: usize = if EXPLORED { 2 } else { 64 };

type Shard = HashMap<Key, Slot, BuildHashed>;

#[derive(Debug)]
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    next_id: AtomicU64,
}

/// What is in flight for one key.
#[derive(Debug, Default)]
struct Slot {
    flights: SmallVec<[(Arc<Flight>, Attached); 2]>,
    /// Attachments without a loader: `begin()`.
    pending: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    Yes,
    No,
}

/// How a caller gets its value.
#[derive(Debug)]
pub(crate) enum Boarding {
    /// It was stored meanwhile.
    Stored(Arc<Entry>),
    Lead(Lead),
    Join(Passenger),
    /// Two loads run, and neither may serve this caller.
    Wait(Passenger),
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            next_id: AtomicU64::new(1),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(hash >> 32) as usize % SHARDS])
    }

    /// How many shared loads of this key run.
    pub(crate) fn running(&self, key: &Key) -> usize {
        let shard = self.shard(key.hash());
        shard.get(key).map_or(0, |slot| slot.flights.len())
    }
}

impl Engine {
    /// Finds a load for a caller that read `arrival` before it looked, or lets it lead one.
    /// What is stored or runs and began before `floor` is not for this caller.
    pub(crate) fn board(
        self: &Arc<Self>,
        key: &Key,
        arrival: Reading,
        known: &[Arc<TagRecord>],
        floor: u64,
    ) -> Boarding {
        let mut shard = self.flights.shard(key.hash());
        // A load may have landed between the caller's look and this lock.
        let reading = self.ledger.reading();
        let now = self.clock.now().0;
        if let Some(entry) = self.store.get(&key.as_ref())
            && let Verdict::Fresh { early: false } = entry.judge(reading, now)
            && entry.made_after() >= floor
        {
            return Boarding::Stored(entry);
        }
        let slot = shard.entry(key.clone()).or_default();
        // A load that began longer ago than the bound, while this node is cut off, may have read what others
        // have invalidated since, and this caller would be served it past the bound.
        let bounded = |flight: &Flight| {
            let began = flight.began();
            now <= reading.proven_until || reading.is_recent(began, self.least_bound(), now)
        };
        let attached = || {
            let attached = slot.flights.iter().rev();
            attached
                .filter(|(_, attached)| *attached == Attached::Yes)
                .map(|(flight, _)| flight)
                .filter(|flight| bounded(flight))
        };
        if let Some(flight) = attached().find(|flight| flight.start() >= arrival.sequence) {
            return Boarding::Join(Passenger::new(flight));
        }
        if let Some(flight) =
            attached().find(|flight| flight.start() >= floor && !flight.overtaken())
        {
            return Boarding::Join(Passenger::new(flight));
        }
        if slot.flights.len() >= MOST_AT_ONCE
            && let Some((flight, _)) = slot.flights.first()
        {
            return Boarding::Wait(Passenger::new(flight));
        }
        Boarding::Lead(self.lead(slot, key, known))
    }

    /// Lets a caller lead a refresh, unless a load of this key runs already.
    pub(crate) fn board_refresh(
        self: &Arc<Self>,
        key: &Key,
        known: &[Arc<TagRecord>],
    ) -> Option<Lead> {
        let mut shard = self.flights.shard(key.hash());
        let slot = shard.entry(key.clone()).or_default();
        slot.flights.is_empty().then(|| self.lead(slot, key, known))
    }

    /// Lets a caller lead a new load whatever is stored or runs, unless two run.
    pub(crate) fn board_anew(self: &Arc<Self>, key: &Key, known: &[Arc<TagRecord>]) -> Boarding {
        let mut shard = self.flights.shard(key.hash());
        let slot = shard.entry(key.clone()).or_default();
        match slot.flights.first() {
            Some((flight, _)) if slot.flights.len() >= MOST_AT_ONCE => {
                Boarding::Wait(Passenger::new(flight))
            }
            _ => Boarding::Lead(self.lead(slot, key, known)),
        }
    }

    fn lead(self: &Arc<Self>, slot: &mut Slot, key: &Key, known: &[Arc<TagRecord>]) -> Lead {
        let running = self.ledger.begin();
        let began = self.clock.now().0;
        if let Some(node) = &self.node {
            node.knows(key.space());
        }
        let flight = Arc::new(Flight::new(self.flights.id(), &running, began, known));
        slot.flights.push((Arc::clone(&flight), Attached::Yes));
        Lead {
            engine: Arc::clone(self),
            key: key.clone(),
            flight,
            running: Some(running),
            began,
        }
    }

    /// Has the store let go of what it gave up. No lock may be held.
    pub(crate) fn store_lets_go(&self) {
        self.store.let_go();
    }

    /// Has the store let go of what it gives up, once what is locked after this is free again: a
    /// value's `Drop` may call the cache.
    const fn after(&self) -> LetGo<'_> {
        LetGo(self)
    }

    /// Detaches what runs for `key` and drops what is stored; returns whether anything was.
    pub(crate) fn detach_and_remove(&self, key: &KeyRef<'_>) -> bool {
        let _after = self.after();
        self.detach_and_remove_held(key)
    }

    /// The same where a lock is held, under which no value may be dropped.
    pub(crate) fn detach_and_remove_held(&self, key: &KeyRef<'_>) -> bool {
        let mut shard = self.flights.shard(key.hash());
        detach(&mut shard, key);
        let removed = self.store.remove(key);
        if removed {
            self.trace.note(key.hash(), Reason::Removed);
        }
        removed
    }

    /// Detaches what runs for `key` and stores `entry` in the place of what is there, unless it is
    /// overtaken. `pending`: an attachment that is made where it is stored.
    pub(crate) fn detach_and_insert(
        &self,
        key: &Key,
        entry: Arc<Entry>,
        pending: Option<u64>,
    ) -> Result<(), Reason> {
        let _after = self.after();
        let mut shard = self.flights.shard(key.hash());
        detach(&mut shard, &key.as_ref());
        let fate = self.admit(&entry);
        match fate {
            Ok(()) => {
                self.store.insert(key.clone(), entry);
                attach(&mut shard, key, pending);
            }
            Err(_) => drop(self.store.remove(&key.as_ref())),
        }
        fate
    }

    /// Stores `entry` unless it is overtaken, whatever runs for `key`.
    pub(crate) fn insert_beside(&self, key: &Key, entry: Arc<Entry>) -> Result<(), Reason> {
        let _after = self.after();
        let _shard = self.flights.shard(key.hash());
        self.admit(&entry)?;
        self.store.insert(key.clone(), entry);
        Ok(())
    }

    /// Attaches something that may be stored under `key` later.
    pub(crate) fn attach_pending(&self, key: &Key) -> u64 {
        let id = self.flights.id();
        attach(&mut self.flights.shard(key.hash()), key, Some(id));
        id
    }

    /// Ends an attachment, storing `entry` if it was still attached and nothing overtook it. `next`: one that
    /// is made where it is stored.
    pub(crate) fn land_pending(
        &self,
        key: &Key,
        id: u64,
        entry: Option<Arc<Entry>>,
        next: Option<u64>,
    ) -> Result<(), Reason> {
        let _after = self.after();
        let mut shard = self.flights.shard(key.hash());
        let attached = shard.get_mut(key).is_some_and(|slot| {
            let at = slot.pending.iter().position(|&pending| pending == id);
            at.map(|at| slot.pending.swap_remove(at)).is_some()
        });
        tidy(&mut shard, key);
        let Some(entry) = entry else { return Ok(()) };
        if !attached {
            return Err(Reason::LoadRaced);
        }
        self.admit(&entry)?;
        self.store.insert(key.clone(), entry);
        attach(&mut shard, key, next);
        Ok(())
    }

    /// Whether an attachment is one still.
    pub(crate) fn is_pending(&self, key: &Key, id: u64) -> bool {
        let shard = self.flights.shard(key.hash());
        shard
            .get(key)
            .is_some_and(|slot| slot.pending.contains(&id))
    }

    /// Removes `entry` if it is still the one that is stored.
    pub(crate) fn remove_same(&self, key: &Key, entry: &Arc<Entry>) -> bool {
        let _shard = self.flights.shard(key.hash());
        let key = key.as_ref();
        let same = self
            .store
            .get(&key)
            .is_some_and(|stored| Arc::ptr_eq(&stored, entry));
        same && self.store.remove(&key)
    }

    /// Whether an entry may be stored: its marks are examined under the key's lock, and once it is
    /// stored every later mark reaches it.
    fn admit(&self, entry: &Entry) -> Result<(), Reason> {
        if self.ledger.below_floor(entry.loaded_at) {
            return Err(Reason::LoadRaced);
        }
        match entry.spent(self.ledger.sequence(), self.clock.now().0) {
            Spent::Already(Reason::Expired) => Err(Reason::Expired),
            Spent::Already(_) => Err(Reason::LoadRaced),
            Spent::At(_) | Spent::NotYet => Ok(()),
        }
    }
}

/// See [`Engine::after`].
struct LetGo<'a>(&'a Engine);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.store.let_go();
    }
}

fn detach(shard: &mut Shard, key: &KeyRef<'_>) {
    // The map looks up owned keys only; a key in flight is rare, a look-up by reference needs no copy.
    if shard.is_empty() {
        return;
    }
    let key = key.to_key();
    if let Some(slot) = shard.get_mut(&key) {
        slot.pending.clear();
        for (_, attached) in &mut slot.flights {
            *attached = Attached::No;
        }
        tidy(shard, &key);
    }
}

fn attach(shard: &mut Shard, key: &Key, pending: Option<u64>) {
    if let Some(id) = pending {
        shard.entry(key.clone()).or_default().pending.push(id);
    }
}

fn tidy(shard: &mut Shard, key: &Key) {
    if shard
        .get(key)
        .is_some_and(|slot| slot.flights.is_empty() && slot.pending.is_empty())
    {
        shard.remove(key);
    }
}

/// The right and the duty to end a flight. Dropped without an end, its passengers are released.
#[derive(Debug)]
pub(crate) struct Lead {
    pub(crate) engine: Arc<Engine>,
    pub(crate) key: Key,
    pub(crate) flight: Arc<Flight>,
    running: Option<Running>,
    /// When the load began.
    pub(crate) began: u64,
}

impl Lead {
    pub(crate) fn start(&self) -> u64 {
        self.running.as_ref().map_or(0, |running| running.start)
    }

    /// Begins anew, as nothing was read yet: after waiting for a permit.
    pub(crate) fn restart(&mut self) {
        let running = self.engine.ledger.begin();
        self.began = self.engine.clock.now().0;
        self.flight.restart(&running, self.began);
        self.running = Some(running);
    }

    /// Proof for what outlives it that it ran.
    pub(crate) fn running(&self) -> Option<Running> {
        self.running.as_ref().map(Running::also)
    }

    /// Completes when it has no passengers.
    pub(crate) async fn unawaited(&self) {
        self.flight.stage.closed().await;
    }

    /// Whether it has passengers.
    pub(crate) fn is_awaited(&self) -> bool {
        self.flight.stage.receiver_count() > 0
    }

    /// Lets passengers in before the end.
    pub(crate) fn share_head(&self, head: Arc<dyn Any + Send + Sync>, record: &Arc<Record>) {
        let head = Stage::Head(head, Arc::clone(record));
        self.flight.stage.send_replace(head);
    }

    /// Ends with a value: stores it if it may be, and gives it to those who wait in any case.
    /// `under`: another key to store it under.
    pub(crate) fn land(
        mut self,
        mut entry: Entry<impl Any + Send + Sync>,
        storable: Result<(), NotStorable>,
        under: Option<&Key>,
    ) -> (Arc<Entry>, Result<(), Reason>) {
        if self.engine.ledger.below_floor(entry.loaded_at) {
            entry.partial = entry.partial.or(Some(NotStorable::MarksDropped));
        }
        let entry: Arc<Entry> = Arc::new(entry);
        let hash = self.key.hash();
        let engine = &self.engine;
        let _after = engine.after();
        let fate = {
            let mut shard = engine.flights.shard(hash);
            let attached = self.leave(&mut shard);
            match storable {
                Err(why) => Err(Reason::NotStorable(why)),
                Ok(()) if attached == Attached::No => Err(Reason::LoadRaced),
                Ok(()) if under.is_some() => {
                    self.supersede(&mut shard);
                    Ok(())
                }
                Ok(()) => engine.admit(&entry).map(|()| {
                    engine.store.insert(self.key.clone(), Arc::clone(&entry));
                    self.supersede(&mut shard);
                }),
            }
        };
        let fate = match under {
            Some(key) => fate.and_then(|()| engine.insert_beside(key, Arc::clone(&entry))),
            None => fate,
        };
        if let Err(reason) = fate {
            self.engine.trace.note(hash, reason);
        }
        self.running = None;
        self.flight
            .stage
            .send_replace(Stage::Landed(Arc::clone(&entry)));
        (entry, fate)
    }

    /// Ends without a value that others may have.
    pub(crate) fn fail(mut self, why: NotStorable) {
        self.end(why);
    }

    fn end(&mut self, why: NotStorable) {
        if self.running.take().is_none() {
            return;
        }
        let hash = self.key.hash();
        self.leave(&mut self.engine.flights.shard(hash));
        self.engine.trace.note(hash, Reason::NotStorable(why));
        self.flight.stage.send_replace(Stage::Failed(why));
    }

    /// Detaches the flights that began before this one, which is stored now: an older value, if only
    /// softly invalidated, would replace it.
    fn supersede(&self, shard: &mut Shard) {
        let start = self.start();
        let Some(slot) = shard.get_mut(&self.key) else {
            return;
        };
        for (flight, attached) in &mut slot.flights {
            if flight.id < self.flight.id && flight.start() <= start {
                *attached = Attached::No;
            }
        }
    }

    fn leave(&self, shard: &mut Shard) -> Attached {
        self.flight.loan.close();
        let mut was = Attached::No;
        if let Some(slot) = shard.get_mut(&self.key) {
            slot.flights.retain(|(flight, attached)| {
                let mine = Arc::ptr_eq(flight, &self.flight);
                if mine {
                    was = *attached;
                }
                !mine
            });
        }
        tidy(shard, &self.key);
        was
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() {
            NotStorable::Panicked
        } else {
            NotStorable::Cancelled
        });
    }
}
