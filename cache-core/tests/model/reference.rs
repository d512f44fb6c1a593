//! The reference: what the cache promises, said as plainly as it can be. It keeps every invalidation
//! in a list, knows nothing of locks or atomics, and does one thing at a time.
//!
//! Where several callers are woken at once the runtime decides who goes first: `order` says who does
//! here, and the driver tries every order.

use std::collections::BTreeMap;
use std::rc::Rc;

use cache_core::{NotStorable, Reason};

/// How long a caller waits for the load of another.
pub(crate) const WAIT_LIMIT: u64 = 30;
/// What failed to replace a stale value is not tried again for this long; each failure that follows
/// doubles it, up to the second.
const PAUSES: (u64, u64) = (1, 60);

/// What is fixed of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) ttl: u64,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
    pub(crate) refresh_ahead: u64,
    /// The user's tags that are known before a load.
    pub(crate) tags: Vec<String>,
    /// The implicit ones.
    pub(crate) implied: Vec<String>,
}

impl Plan {
    pub(crate) fn known(&self) -> Vec<String> {
        self.tags.iter().chain(&self.implied).cloned().collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Soft,
    Hard,
    Local,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    number: u64,
    kind: Kind,
    tag: String,
    at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) value: u64,
    loaded_at: u64,
    pub(crate) filled_at: u64,
    pub(crate) fresh_until: u64,
    stale_while_revalidate: u64,
    stale_if_error: u64,
    refresh_ahead: u64,
    pub(crate) tags: Vec<String>,
    born_stale: bool,
    /// Made although a load inside failed; never stored.
    failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fresh {
        early: bool,
    },
    Stale {
        servable: bool,
        on_error: bool,
        why: Reason,
    },
    Dead(Reason),
}

/// What a load learned of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    tags: Vec<String>,
    oldest: Option<u64>,
    stale: bool,
    failed: bool,
}

impl Record {
    fn tag(&mut self, tag: &str) {
        if !self.tags.iter().any(|held| held == tag) {
            self.tags.push(tag.to_owned());
        }
    }

    fn take_in(&mut self, tags: &[String], filled_at: u64, stale: bool, failed: bool) {
        tags.iter().for_each(|tag| self.tag(tag));
        self.oldest = Some(
            self.oldest
                .map_or(filled_at, |oldest| oldest.min(filled_at)),
        );
        self.stale |= stale;
        self.failed |= failed;
    }
}

/// A load that runs; it has the name of the reader whose loader it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Load {
    key: usize,
    /// Found by others, and stored.
    shared: bool,
    attached: bool,
    /// In the order in which they were begun.
    order: u64,
    start: u64,
    began: u64,
    /// Which load the circle check knows it as.
    scope: usize,
    record: Record,
    /// The caller who waits for its own load.
    caller: Option<usize>,
    /// The inner read that it waits for.
    busy: Option<usize>,
    /// A background refresh of this value.
    refreshes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Waits {
    /// For its own load.
    Own,
    /// For the shared load of another.
    For { load: usize, may_take: bool },
    /// Woken, to look again.
    Woken,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Reader {
    key: usize,
    inside: Option<usize>,
    arrival: u64,
    arrived: u64,
    reason: Reason,
    held: Option<Entry>,
    until: u64,
    waits: Waits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    id: usize,
    key: usize,
    start: u64,
    began: u64,
    attached: bool,
}

/// What a reader got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Got {
    Value(u64),
    Error,
    Panic,
}

/// What can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The loader of this reader began.
    Began(usize),
    Done {
        reader: usize,
        got: Got,
        reason: Option<Reason>,
        joined: bool,
    },
}

impl Seen {
    pub(crate) fn sort_key(&self) -> (usize, bool) {
        match self {
            Self::Began(reader) => (*reader, false),
            Self::Done { reader, .. } => (*reader, true),
        }
    }
}

/// How a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Value,
    Error,
    Panic,
}

/// What a look at a key shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) reason: Reason,
    pub(crate) tags: Vec<String>,
    pub(crate) age: u64,
    pub(crate) fresh_for: u64,
    pub(crate) running: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    plans: Rc<Vec<Plan>>,
    now: u64,
    number: u64,
    marks: Vec<Mark>,
    stored: Vec<Option<Entry>>,
    last_words: Vec<Reason>,
    loads: BTreeMap<usize, Load>,
    begun: u64,
    readers: BTreeMap<usize, Reader>,
    pending: Vec<Pending>,
    /// Of a stale value: until when it is not tried to replace it, and how long that pause is.
    backoff: BTreeMap<u64, (u64, u64)>,
    /// Who goes first of those who are woken at once.
    pub(crate) order: Vec<usize>,
    pub(crate) seen: Vec<Seen>,
    /// The most that were woken at once since this was last emptied.
    pub(crate) woken: Vec<usize>,
}

impl Model {
    pub(crate) fn new(plans: Vec<Plan>) -> Self {
        Self {
            now: 1_000_000,
            number: 1,
            marks: Vec::new(),
            stored: vec![None; plans.len()],
            last_words: vec![Reason::NeverStored; plans.len()],
            plans: Rc::new(plans),
            loads: BTreeMap::new(),
            begun: 0,
            readers: BTreeMap::new(),
            pending: Vec::new(),
            backoff: BTreeMap::new(),
            order: Vec::new(),
            seen: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// The loads that wait to be told what to do.
    pub(crate) fn idle_loads(&self) -> Vec<usize> {
        let idle = self.loads.iter().filter(|(_, load)| load.busy.is_none());
        idle.map(|(id, _)| *id).collect()
    }

    /// Readers outside of any load who still wait.
    pub(crate) fn waiting(&self) -> Vec<usize> {
        let outer = self.readers.iter().filter(|(_, r)| r.inside.is_none());
        outer.map(|(id, _)| *id).collect()
    }

    pub(crate) fn pendings(&self) -> Vec<usize> {
        self.pending.iter().map(|pending| pending.id).collect()
    }

    pub(crate) fn depth(&self, load: usize) -> usize {
        let caller = self.loads[&load].caller;
        let outer = caller.and_then(|reader| self.readers.get(&reader)?.inside);
        outer.map_or(0, |outer| 1 + self.depth(outer))
    }

    pub(crate) fn show(&self, key: usize) -> Shown {
        let running = self.running(key).len();
        let Some(entry) = &self.stored[key] else {
            return Shown {
                reason: self.last_words[key],
                tags: Vec::new(),
                age: 0,
                fresh_for: 0,
                running,
            };
        };
        let reason = match self.judge(entry) {
            Verdict::Fresh { .. } => Reason::Hit,
            Verdict::Stale { servable: true, .. } => Reason::Stale,
            Verdict::Stale { on_error: true, .. } if self.backs_off(entry.value) => Reason::Stale,
            Verdict::Stale { why, .. } | Verdict::Dead(why) => why,
        };
        let mut tags = entry.tags.clone();
        tags.sort();
        Shown {
            reason,
            tags,
            age: self.now - entry.filled_at,
            fresh_for: entry.fresh_until.saturating_sub(self.now),
            running,
        }
    }

    // ---- judgement ----

    fn marks_of<'a>(&'a self, tag: &'a str, after: u64) -> impl Iterator<Item = &'a Mark> {
        let marks = self.marks.iter();
        marks.filter(move |mark| mark.tag == tag && mark.number > after)
    }

    fn judge(&self, entry: &Entry) -> Verdict {
        let mut softened = None::<u64>;
        for tag in &entry.tags {
            let after = |kind| self.marks_of(tag, entry.loaded_at).find(|m| m.kind == kind);
            if after(Kind::Hard).is_some() {
                return Verdict::Dead(Reason::Tag);
            }
            if after(Kind::Local).is_some() {
                return Verdict::Dead(Reason::Removed);
            }
            if let Some(mark) = after(Kind::Soft) {
                softened = Some(softened.map_or(mark.at, |at| at.min(mark.at)));
            }
        }
        let (since, why) = match softened {
            None if self.now < entry.fresh_until => {
                let early = self.now + entry.refresh_ahead >= entry.fresh_until;
                return Verdict::Fresh { early };
            }
            None => (entry.fresh_until, Reason::Expired),
            Some(at) => (at.min(entry.fresh_until), Reason::Tag),
        };
        Verdict::Stale {
            servable: self.now - since < entry.stale_while_revalidate,
            on_error: self.now - since < entry.stale_if_error,
            why,
        }
    }

    /// Whether a value may be stored now.
    fn admit(&self, entry: &Entry) -> Result<(), Reason> {
        match self.judge(entry) {
            Verdict::Dead(_) => Err(Reason::LoadRaced),
            Verdict::Stale {
                servable: false,
                on_error: false,
                why,
            } => Err(match why {
                Reason::Expired => Reason::Expired,
                _ => Reason::LoadRaced,
            }),
            Verdict::Stale { .. } | Verdict::Fresh { .. } => Ok(()),
        }
    }

    fn entry(&self, key: usize, value: u64, start: u64, began: u64, record: Record) -> Entry {
        let plan = &self.plans[key];
        let fresh_until = began + plan.ttl;
        Entry {
            value,
            loaded_at: start,
            filled_at: record.oldest.map_or(began, |oldest| oldest.min(began)),
            fresh_until: if record.stale { began } else { fresh_until },
            stale_while_revalidate: plan.stale_while_revalidate,
            stale_if_error: plan.stale_if_error,
            refresh_ahead: plan.refresh_ahead,
            tags: record.tags,
            born_stale: record.stale,
            failed: record.failed,
        }
    }

    // ---- what is not a read ----

    pub(crate) fn invalidate(&mut self, kind: Kind, tags: &[String]) {
        if tags.is_empty() {
            return;
        }
        self.number += 1;
        for tag in tags {
            self.marks.push(Mark {
                number: self.number,
                kind,
                tag: tag.clone(),
                at: self.now,
            });
        }
    }

    fn detach(&mut self, key: usize) {
        let loads = self.loads.values_mut();
        loads
            .filter(|load| load.key == key)
            .for_each(|load| load.attached = false);
        let pending = self.pending.iter_mut();
        pending
            .filter(|p| p.key == key)
            .for_each(|p| p.attached = false);
    }

    pub(crate) fn remove(&mut self, key: usize) {
        self.detach(key);
        if self.stored[key].take().is_some() {
            self.last_words[key] = Reason::Removed;
        }
    }

    fn put_record(&self, key: usize, tags: &[String]) -> Record {
        let mut record = Record::default();
        let implied = self.plans[key].implied.iter();
        tags.iter().chain(implied).for_each(|tag| record.tag(tag));
        record
    }

    pub(crate) fn put(&mut self, key: usize, value: u64, tags: &[String]) {
        self.detach(key);
        let record = self.put_record(key, tags);
        self.stored[key] = Some(self.entry(key, value, self.number, self.now, record));
    }

    pub(crate) fn begin(&mut self, key: usize, id: usize) {
        self.pending.push(Pending {
            id,
            key,
            start: self.number,
            began: self.now,
            attached: true,
        });
    }

    /// Ends an attempt to store; why it was not.
    pub(crate) fn put_from(&mut self, id: usize, value: u64, tags: &[String]) -> Option<Reason> {
        let at = self.pending.iter().position(|pending| pending.id == id)?;
        let pending = self.pending.remove(at);
        let key = pending.key;
        let record = self.put_record(key, tags);
        let entry = self.entry(key, value, pending.start, pending.began, record);
        let fate = match pending.attached {
            true => self.admit(&entry),
            false => Err(Reason::LoadRaced),
        };
        match fate {
            Ok(()) => self.stored[key] = Some(entry),
            Err(reason) => self.last_words[key] = reason,
        }
        fate.err()
    }

    pub(crate) fn forget(&mut self, id: usize) {
        self.pending.retain(|pending| pending.id != id);
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.now += seconds;
        let tired: Vec<_> = self
            .readers
            .iter()
            .filter(|(_, r)| matches!(r.waits, Waits::For { .. }) && r.until <= self.now)
            .map(|(id, _)| *id)
            .collect();
        tired.into_iter().for_each(|reader| self.load_alone(reader));
    }

    // ---- reads ----

    /// A look without a loader.
    pub(crate) fn look(&self, key: usize) -> (Option<u64>, Reason) {
        match &self.stored[key] {
            None => (None, self.last_words[key]),
            Some(entry) => match self.judge(entry) {
                Verdict::Fresh { .. } => (Some(entry.value), Reason::Hit),
                Verdict::Stale { why, .. } | Verdict::Dead(why) => (None, why),
            },
        }
    }

    /// A read with a loader; `inside` a load or not.
    pub(crate) fn read(&mut self, id: usize, key: usize, inside: Option<usize>) {
        if let Some(load) = inside {
            self.loads.get_mut(&load).expect("it runs").busy = Some(id);
        }
        let held = self.stored[key].clone();
        let verdict = held.as_ref().map(|entry| self.judge(entry));
        let fresh_only = inside.is_some();
        let (reason, served) = match verdict {
            None => (self.last_words[key], false),
            Some(Verdict::Fresh { early }) => (Reason::Hit, early && !fresh_only),
            Some(Verdict::Stale { servable, why, .. }) => match servable && !fresh_only {
                true => (Reason::Stale, true),
                false => (why, false),
            },
            Some(Verdict::Dead(why)) => (why, false),
        };
        self.readers.insert(
            id,
            Reader {
                key,
                inside,
                arrival: self.number,
                arrived: self.now,
                reason,
                held: held.clone(),
                until: self.now + WAIT_LIMIT,
                waits: Waits::Woken,
            },
        );
        match held {
            Some(entry) if served || reason == Reason::Hit => {
                self.take(id, &entry, reason, false);
                if served && !self.backs_off(entry.value) && self.running(key).is_empty() {
                    self.begin_load(id, key, true, None);
                    self.loads.get_mut(&id).expect("begun").refreshes = Some(entry.value);
                }
            }
            Some(entry) if !fresh_only && self.backs_off(entry.value) => {
                if !self.fall_back(id, false) {
                    self.board(id);
                }
            }
            _ => self.board(id),
        }
    }

    fn backs_off(&self, value: u64) -> bool {
        self.backoff
            .get(&value)
            .is_some_and(|(until, _)| self.now < *until)
    }

    fn failed_to_replace(&mut self, value: u64) {
        if self.backs_off(value) {
            return;
        }
        let last = self.backoff.get(&value).map_or(0, |(_, pause)| *pause);
        let pause = (2 * last).clamp(PAUSES.0, PAUSES.1);
        self.backoff.insert(value, (self.now + pause, pause));
    }

    fn running(&self, key: usize) -> Vec<usize> {
        let mut shared: Vec<_> = self
            .loads
            .iter()
            .filter(|(_, load)| load.shared && load.key == key)
            .map(|(id, load)| (load.order, *id))
            .collect();
        shared.sort_unstable();
        shared.into_iter().map(|(_, id)| id).collect()
    }

    /// Finds a load to wait for, or begins one.
    fn board(&mut self, id: usize) {
        let reader = self.readers[&id].clone();
        let key = reader.key;
        if let Some(entry) = self.stored[key].clone()
            && self.judge(&entry) == (Verdict::Fresh { early: false })
        {
            return self.take(id, &entry, Reason::Hit, false);
        }
        let running = self.running(key);
        let attached = || {
            running
                .iter()
                .rev()
                .filter(|load| self.loads[load].attached)
        };
        let overtaken = |load: usize| {
            let start = self.loads[&load].start;
            let known = self.plans[key].known();
            known
                .iter()
                .any(|tag| self.marks_of(tag, start).next().is_some())
        };
        let newer = attached().find(|load| self.loads[load].start >= reader.arrival);
        let joined = newer.or_else(|| attached().find(|load| !overtaken(**load)));
        match (joined, running.first()) {
            (Some(&load), _) => self.wait_for(id, load, true),
            (None, Some(&load)) if running.len() >= 2 => self.wait_for(id, load, false),
            (None, _) => self.begin_load(id, key, true, Some(id)),
        }
    }

    fn wait_for(&mut self, id: usize, load: usize, may_take: bool) {
        let inside = self.readers[&id]
            .inside
            .map(|outer| self.loads[&outer].scope);
        if inside.is_some_and(|from| self.closes_a_circle(from, load)) {
            return self.load_alone(id);
        }
        self.readers.get_mut(&id).expect("it waits").waits = Waits::For { load, may_take };
    }

    fn closes_a_circle(&self, from: usize, on: usize) -> bool {
        let mut seen = vec![on];
        let mut next = 0;
        while let Some(&scope) = seen.get(next) {
            if scope == from {
                return true;
            }
            next += 1;
            for (id, reader) in &self.readers {
                let Some(outer) = reader.inside.and_then(|load| self.loads.get(&load)) else {
                    continue;
                };
                let target = match reader.waits {
                    Waits::For { load, .. } => load,
                    Waits::Own if self.loads.get(id).is_some_and(|load| load.shared) => *id,
                    Waits::Own | Waits::Woken => continue,
                };
                if outer.scope == scope && !seen.contains(&target) {
                    seen.push(target);
                }
            }
        }
        false
    }

    fn begin_load(&mut self, id: usize, key: usize, shared: bool, caller: Option<usize>) {
        let outer = self.readers.get(&id).and_then(|reader| reader.inside);
        let scope = match outer {
            Some(outer) if !shared => self.loads[&outer].scope,
            _ => id,
        };
        let mut record = Record::default();
        self.plans[key]
            .known()
            .iter()
            .for_each(|tag| record.tag(tag));
        self.begun += 1;
        self.loads.insert(
            id,
            Load {
                key,
                shared,
                attached: shared,
                order: self.begun,
                start: self.number,
                began: self.now,
                scope,
                record,
                caller,
                busy: None,
                refreshes: None,
            },
        );
        if let Some(reader) = caller.and_then(|caller| self.readers.get_mut(&caller)) {
            reader.waits = Waits::Own;
        }
        self.seen.push(Seen::Began(id));
    }

    fn load_alone(&mut self, id: usize) {
        let key = self.readers[&id].key;
        self.begin_load(id, key, false, Some(id));
    }

    /// The caller leaves; what it runs in itself ends with it.
    pub(crate) fn leave(&mut self, id: usize) {
        self.readers.remove(&id);
        let Some(load) = self.loads.get_mut(&id) else {
            return;
        };
        load.caller = None;
        if !load.shared {
            let inner = load.busy;
            self.loads.remove(&id);
            if let Some(inner) = inner {
                self.leave(inner);
            }
        }
    }

    pub(crate) fn tag(&mut self, load: usize, tag: &str) {
        self.loads.get_mut(&load).expect("it runs").record.tag(tag);
    }

    /// A load ends, and what follows from that.
    pub(crate) fn end(&mut self, id: usize, how: End) {
        let load = self.loads.remove(&id).expect("it runs");
        let key = load.key;
        if !load.shared {
            return self.end_alone(id, load, how);
        }
        let landed = match how {
            End::Value => {
                let record = load.record.clone();
                let entry = self.entry(key, id as u64, load.start, load.began, record);
                let fate = match (load.record.failed, load.attached) {
                    (true, _) => Err(Reason::NotStorable(NotStorable::InnerFailed)),
                    (false, false) => Err(Reason::LoadRaced),
                    (false, true) => self.admit(&entry),
                };
                match fate {
                    Ok(()) => {
                        self.stored[key] = Some(entry.clone());
                        let older = self.loads.values_mut().filter(|other| {
                            other.key == key
                                && other.order < load.order
                                && other.start <= load.start
                        });
                        older.for_each(|other| other.attached = false);
                    }
                    Err(reason) => self.last_words[key] = reason,
                }
                // What cannot be stored now cannot be in a moment either.
                if let (Err(Reason::NotStorable(_)), Some(value)) = (fate, load.refreshes) {
                    self.failed_to_replace(value);
                }
                Some(entry)
            }
            End::Error | End::Panic => {
                self.last_words[key] = Reason::NotStorable(match how {
                    End::Panic => NotStorable::Panicked,
                    _ => NotStorable::Error,
                });
                if let Some(value) = load.refreshes {
                    self.failed_to_replace(value);
                }
                None
            }
        };
        let mut woken: Vec<_> = self
            .readers
            .iter()
            .filter(|(_, r)| matches!(r.waits, Waits::For { load, .. } if load == id))
            .map(|(reader, _)| *reader)
            .collect();
        woken.extend(load.caller);
        self.woken.extend(&woken);
        woken.sort_by_key(|reader| self.order.iter().position(|first| first == reader));
        for reader in woken {
            if load.caller == Some(reader) {
                self.conclude(reader, &load, landed.as_ref(), how);
            } else {
                self.arrive(reader, &load, landed.as_ref());
            }
        }
    }

    /// The one who led.
    fn conclude(&mut self, id: usize, load: &Load, landed: Option<&Entry>, how: End) {
        let reason = self.readers[&id].reason;
        match (landed, how) {
            (Some(entry), _) => self.take(id, entry, reason, false),
            (None, End::Panic) => self.panic(id),
            (None, _) => {
                if !self.fall_back(id, false) {
                    self.fail(id, &load.record);
                }
            }
        }
    }

    /// One who waited for the load of another.
    fn arrive(&mut self, id: usize, load: &Load, landed: Option<&Entry>) {
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        let Waits::For { may_take, .. } = reader.waits else {
            return;
        };
        reader.waits = Waits::Woken;
        let reader = reader.clone();
        let later = |entry: &Entry| entry.born_stale && reader.arrived > load.began;
        match landed {
            _ if !may_take => self.board(id),
            Some(entry) if load.start >= reader.arrival && !later(entry) => {
                self.take(id, entry, reader.reason, true);
            }
            Some(entry) => match self.judge(entry) {
                Verdict::Fresh { .. } => self.take(id, entry, reader.reason, true),
                Verdict::Stale { servable: true, .. } if reader.inside.is_none() => {
                    self.take(id, entry, Reason::Stale, true);
                }
                Verdict::Stale { .. } | Verdict::Dead(_) => self.board(id),
            },
            None => {
                if !self.fall_back(id, true) {
                    self.load_alone(id);
                }
            }
        }
    }

    fn end_alone(&mut self, id: usize, load: Load, how: End) {
        let caller = load.caller.expect("it runs in its caller");
        match how {
            End::Value => {
                let reason = self.readers[&caller].reason;
                let mut record = load.record;
                record.take_in(&[], load.began, false, false);
                self.flow(caller, &record);
                self.done(caller, Got::Value(id as u64), Some(reason), false);
            }
            End::Error => {
                if !self.fall_back(caller, false) {
                    self.fail(caller, &load.record);
                }
            }
            End::Panic => self.panic(caller),
        }
    }

    // ---- outcomes ----

    fn flow(&mut self, reader: usize, inner: &Record) {
        if let Some(load) = self.readers[&reader].inside {
            let outer = &mut self.loads.get_mut(&load).expect("it runs").record;
            let oldest = inner.oldest.unwrap_or(u64::MAX);
            outer.take_in(&inner.tags, oldest, inner.stale, inner.failed);
        }
    }

    fn take(&mut self, id: usize, entry: &Entry, reason: Reason, joined: bool) {
        let inner = Record {
            tags: entry.tags.clone(),
            oldest: Some(entry.filled_at),
            stale: entry.born_stale || reason == Reason::Stale,
            failed: entry.failed,
        };
        self.flow(id, &inner);
        self.done(id, Got::Value(entry.value), Some(reason), joined);
    }

    /// Serves the stale value that was found, where that may be.
    fn fall_back(&mut self, id: usize, joined: bool) -> bool {
        let reader = self.readers[&id].clone();
        let Some(held) = reader.held else {
            return false;
        };
        let allowed = match self.judge(&held) {
            Verdict::Fresh { .. } => true,
            Verdict::Stale {
                servable, on_error, ..
            } => on_error || (servable && reader.inside.is_none()),
            Verdict::Dead(_) => false,
        };
        if allowed {
            self.failed_to_replace(held.value);
            self.take(id, &held, Reason::Stale, joined);
        }
        allowed
    }

    fn fail(&mut self, id: usize, record: &Record) {
        let reason = self.readers[&id].reason;
        let mut record = record.clone();
        record.failed = true;
        self.flow(id, &record);
        self.done(id, Got::Error, Some(reason), false);
    }

    fn panic(&mut self, id: usize) {
        let inside = self.readers[&id].inside;
        self.done(id, Got::Panic, None, false);
        if let Some(outer) = inside {
            self.end(outer, End::Panic);
        }
    }

    fn done(&mut self, id: usize, got: Got, reason: Option<Reason>, joined: bool) {
        let reader = self.readers.remove(&id).expect("it reads");
        if let Some(load) = reader.inside {
            self.loads.get_mut(&load).expect("it runs").busy = None;
        }
        // The reads of a load that panics are not told.
        if got != Got::Panic || reader.inside.is_none() {
            self.seen.push(Seen::Done {
                reader: id,
                got,
                reason,
                joined,
            });
        }
    }
}
