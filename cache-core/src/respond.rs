//! What a layer needs to keep responses: the same look, flights and judgement as for values, with a
//! record that stays open while a body is read, and joiners who are let in at the head.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::context::{self, Context, LoadScope, Restore, Scoped};
use crate::engine::{Engine, LifeChoice};
use crate::entry::{Entry, Verdict};
use crate::flight::{Boarding, Lead, Passenger, Stage};
use crate::key::{Key, KeyRef, Space};
use crate::life::Life;
use crate::load::within;
use crate::outward::{flow, flow_recorded, note, tell};
use crate::path_marks::RequestPath;
use crate::reason::{NotStorable, Reason};
use crate::record::{Record, Recorded};
use crate::stats::Counters;
use crate::store::Store;
use crate::sync::Ordering;
use crate::tag::TagName;
use crate::waits::Wait;

/// The part of the store's room that responses may take while they are recorded.
const RECORDING_PART: u64 = 4;

/// The sequence number that a request read before it looked.
#[derive(Clone, Copy, Debug)]
pub struct Arrival(u64);

/// A stored value in a caller's hand.
pub struct Held<V> {
    entry: Arc<Entry>,
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
    fn new(entry: Arc<Entry>, stale: bool) -> Option<Self> {
        entry.value::<V>()?;
        Some(Self {
            entry,
            stale,
            value: PhantomData,
        })
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
            .judge(engine.ledger.sequence(), engine.clock.now().0)
        {
            Verdict::Fresh { .. } => true,
            Verdict::Stale {
                servable, on_error, ..
            } => servable || on_error,
            Verdict::Dead(_) => false,
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
struct Unstorable(u16);

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

/// An owned key of a response.
#[derive(Clone, Debug)]
pub struct ResponseKey(Key);

impl ResponseKey {
    /// The key of these canonical bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(KeyRef::new(&Space::Http, bytes).to_key())
    }
}

/// Looks for a response: no lock, no allocation.
#[inline]
pub fn find<V: Send + Sync + 'static>(cache: &Cache, bytes: &[u8]) -> (Arrival, Found<V>) {
    let engine = cache.engine();
    let key = KeyRef::new(&Space::Http, bytes);
    let arrival = engine.ledger.sequence();
    let Some(entry) = engine.store.get(&key) else {
        return (
            Arrival(arrival),
            Found::Miss(engine.trace.reason(key.hash()), None),
        );
    };
    let found = match entry.judge(arrival, engine.clock.now().0) {
        Verdict::Fresh { early } => match entry.value::<Unstorable>() {
            Some(mark) => Found::Unstorable(mark.0),
            None => Held::new(entry, false)
                .map_or(Found::Miss(Reason::NeverStored, None), |held| {
                    Found::Fresh(held, early)
                }),
        },
        Verdict::Stale { servable, why, .. } => match Held::new(entry, true) {
            Some(held) if servable => Found::Stale(held),
            held => Found::Miss(why, held),
        },
        Verdict::Dead(why) => Found::Miss(why, None),
    };
    (Arrival(arrival), found)
}

/// How a request gets its response.
#[derive(Debug)]
pub enum Turn<V> {
    /// It was stored meanwhile.
    Stored(Held<V>),
    /// It loads, for all.
    Lead(Recording),
    /// It waits for another's.
    Join(Joining),
    /// It loads for itself.
    Alone,
}

/// Finds a recording for a request that missed, or lets it lead one. `known`: the tags that are
/// known before the response is.
pub fn board<V: Send + Sync + 'static>(
    cache: &Cache,
    key: &ResponseKey,
    arrival: Arrival,
    known: &[TagName],
) -> Turn<V> {
    let engine = cache.engine();
    let tags = engine.tags(&Space::Http, known);
    match engine.board(&key.0, arrival.0, &tags, 0) {
        Boarding::Stored(entry) => Held::new(entry, false).map_or(Turn::Alone, Turn::Stored),
        Boarding::Lead(lead) => Turn::Lead(Recording::new(cache, lead, known, false)),
        Boarding::Join(passenger) => Turn::Join(Joining::new(passenger, arrival, true)),
        Boarding::Wait(passenger) => Turn::Join(Joining::new(passenger, arrival, false)),
    }
}

/// Lets a request lead the refresh of a response, unless one runs already.
pub fn board_refresh(cache: &Cache, key: &ResponseKey, known: &[TagName]) -> Option<Recording> {
    let engine = cache.engine();
    let tags = engine.tags(&Space::Http, known);
    let lead = engine.board_refresh(&key.0, &tags)?;
    Some(Recording::new(cache, lead, known, true))
}

/// A request that waits for another's response.
#[derive(Debug)]
pub struct Joining {
    passenger: Passenger,
    arrival: u64,
    may_take: bool,
}

/// What it came to.
#[derive(Debug)]
pub enum Joined<V> {
    /// The head is known and the body is being recorded: what the leader shared.
    Head(Arc<dyn Any + Send + Sync>),
    /// It is stored.
    Done(Held<V>),
    /// Look again.
    Again,
    /// Load it alone.
    Alone,
}

impl Joining {
    const fn new(passenger: Passenger, arrival: Arrival, may_take: bool) -> Self {
        Self {
            passenger,
            arrival: arrival.0,
            may_take,
        }
    }

    /// Waits, until then at most. Cancel-safe.
    pub async fn wait<V: Send + Sync + 'static>(
        mut self,
        cache: &Cache,
        until: Timestamp,
    ) -> Joined<V> {
        let engine = cache.engine();
        let around = context::current();
        let _waits = match around.as_ref().and_then(|context| context.load.as_ref()) {
            None => None,
            Some(load) => match engine.waits.wait(load.flight, self.passenger.flight.id) {
                Some(wait) => Some(wait),
                None => return Joined::Alone,
            },
        };
        let clock = &engine.clock;
        let limit = Some(until.since(clock.now()));
        if !self.may_take {
            let over = within(clock, limit, self.passenger.over()).await;
            return over.map_or(Joined::Alone, |_| Joined::Again);
        }
        let began_after = self.passenger.flight.start() >= self.arrival;
        match within(clock, limit, self.passenger.head()).await {
            // Its tags are not all known yet: one who came after the sequence moved cannot judge it.
            Some(Stage::Head(head)) if began_after => Joined::Head(head),
            Some(Stage::Landed(entry)) => {
                let verdict = entry.judge(engine.ledger.sequence(), clock.now().0);
                match verdict {
                    _ if began_after => {}
                    Verdict::Fresh { .. } if entry.partial.is_none() => {}
                    _ => return Joined::Again,
                }
                Held::new(entry, false).map_or(Joined::Alone, Joined::Done)
            }
            Some(Stage::Head(_) | Stage::Failed | Stage::Running) | None => Joined::Alone,
        }
    }
}

/// A response being made and recorded for all. Dropped without an end, its joiners are released.
#[derive(Debug)]
pub struct Recording {
    lead: Lead,
    scope: Scope,
    /// What is around it waits for it.
    _waits: Option<Wait>,
}

impl Recording {
    fn new(cache: &Cache, lead: Lead, known: &[TagName], refresh: bool) -> Self {
        Counters::count(&cache.engine().counters.loads);
        let around = context::current().filter(|_| !refresh);
        let load = around.as_ref().and_then(|context| context.load.as_ref());
        let waits = load.and_then(|load| cache.engine().waits.wait(load.flight, lead.flight.id));
        let mut scope = Scope::recorded(cache, known, refresh);
        let mut context = (*scope.context).clone();
        context.load = Some(LoadScope {
            flight: lead.flight.id,
            name: Space::Http.name().into(),
            permit: load.and_then(|load| load.permit.clone()),
            response: true,
        });
        scope.context = Arc::new(context);
        Self {
            lead,
            scope,
            _waits: waits,
        }
    }

    /// Says which request it is for; see [`Scope::on`].
    pub fn on(&mut self, path: &str, route: Option<&str>) {
        self.scope.on(path, route);
    }

    /// The context in which the handler, and later its body, is polled.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// When it began.
    #[must_use]
    pub const fn began(&self) -> Timestamp {
        Timestamp(self.lead.began)
    }

    /// Lets joiners in: the head is known and will be stored unless its body fails.
    pub fn share_head(&self, head: Arc<dyn Any + Send + Sync>) {
        self.lead.share_head(head);
    }

    /// Ends with a response. `life`: what the response or the layer says; else what is inside, and
    /// the cache's default, decide. `under`: another key to store it under (`Vary`).
    ///
    /// # Errors
    ///
    /// Second, why it was not stored.
    pub fn store<V: Send + Sync + 'static>(
        self,
        value: V,
        weight: usize,
        life: Option<Life>,
        under: Option<&ResponseKey>,
    ) -> (Held<V>, Result<(), Reason>) {
        let engine = Arc::clone(&self.lead.engine);
        let recorded = self.scope.close();
        let choice = life.map_or(LifeChoice::Default, LifeChoice::Explicit);
        let times = (self.lead.start(), self.lead.began);
        let key = under.map_or(&self.lead.key, |under| &under.0);
        let (entry, storable) = engine.entry(key, (value, weight), times, choice, None, recorded);
        let (entry, fate) = self.lead.land(entry, storable, under.map(|under| &under.0));
        if fate.is_ok() {
            engine.stored();
        }
        let stale = entry.born_stale;
        let Some(held) = Held::new(entry, stale) else {
            unreachable!("it was made of this type")
        };
        (held, fate)
    }

    /// Ends without a response that others may have.
    pub fn refuse(self, why: NotStorable) {
        self.lead.fail(why);
    }

    /// Ends so, and lets the next callers of this key know for a while, so that they do not queue.
    pub fn refuse_and_mark(self, code: u16, known: &[TagName], lasting: Duration) {
        let engine = Arc::clone(&self.lead.engine);
        let key = ResponseKey(self.lead.key.clone());
        let times = (self.lead.start(), self.lead.began);
        let mark = Unstorable(code);
        insert(
            &engine,
            &key,
            mark,
            0,
            Life::from_duration(lasting),
            known,
            times,
        );
        self.lead.fail(NotStorable::Response);
    }
}

/// Stores something beside the responses, such as the names of the headers that they vary by.
pub fn put<V: Send + Sync + 'static>(
    cache: &Cache,
    key: &ResponseKey,
    value: V,
    weight: usize,
    life: Life,
    known: &[TagName],
) {
    let engine = cache.engine();
    let running = engine.ledger.begin();
    let times = (running.start, engine.clock.now().0);
    insert(engine, key, value, weight, life, known, times);
}

fn insert<V: Send + Sync + 'static>(
    engine: &Arc<Engine>,
    key: &ResponseKey,
    value: V,
    weight: usize,
    life: Life,
    known: &[TagName],
    times: (u64, u64),
) {
    let mut recorded = Recorded::new();
    engine
        .tags(&Space::Http, known)
        .iter()
        .for_each(|tag| recorded.add(tag));
    let choice = LifeChoice::Explicit(life);
    let (entry, storable) = engine.entry(&key.0, (value, weight), times, choice, None, recorded);
    if storable.is_ok() {
        // Overtaken already: the next request finds out again.
        let _ = engine.insert_beside(&key.0, Arc::new(entry));
    }
}

/// The context of a request: the current cache, and the record of its response.
#[derive(Clone)]
pub struct Scope {
    context: Arc<Context>,
    record: Arc<Record>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// What a scope's record says so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Said {
    /// The lifetime that the handler gave by `cache_life`.
    pub life: Option<Life>,
    /// Whether a tag was added: by `cache_tag`, or by a cached call inside.
    pub tagged: bool,
    /// Why the response may not be stored.
    pub refusal: Option<NotStorable>,
    /// What the cached calls that the handler made itself came to, the first few of them.
    pub reads: Vec<(String, Reason)>,
    /// When the oldest load inside began.
    pub filled_at: Option<Timestamp>,
    /// When the first value inside expires.
    pub fresh_until: Option<Timestamp>,
}

impl Scope {
    /// A scope whose response will not be stored: what is inside is current, and learns nothing.
    #[must_use]
    pub fn passing(cache: &Cache, bypass: bool) -> Self {
        let scope = Self::recorded(cache, &[], false);
        let mut context = (*scope.context).clone();
        context.bypass |= bypass;
        Self {
            context: Arc::new(context),
            ..scope
        }
    }

    /// Says which request it is for: cached calls in it are as stale as an invalidation of its path
    /// or route makes them.
    pub fn on(&mut self, path: &str, route: Option<&str>) {
        let mut context = (*self.context).clone();
        context.path = Some(RequestPath::new(path, route));
        self.context = Arc::new(context);
    }

    fn recorded(cache: &Cache, known: &[TagName], refresh: bool) -> Self {
        let engine = cache.engine();
        let record = Record::new(engine);
        record.with(|recorded| {
            engine
                .tags(&Space::Http, known)
                .iter()
                .for_each(|tag| recorded.add(tag));
        });
        let context = context::derive(|context| {
            context.cache = Some(cache.clone());
            context.record = Some(Arc::clone(&record));
            context.fresh_only = refresh;
            context.load = context.load.take().map(|load| LoadScope {
                response: true,
                ..load
            });
        });
        Self { context, record }
    }

    /// Runs `act` in it.
    pub fn run<R>(&self, act: impl FnOnce() -> R) -> R {
        let _restore = Restore::enter(Some(Arc::clone(&self.context)));
        act()
    }

    /// Runs `future` in it.
    pub fn enter<F>(&self, future: F) -> Scoped<F> {
        Scoped::new(Some(Arc::clone(&self.context)), future)
    }

    /// Adds explicit tags; past a limit the response is not stored.
    pub fn tag(&self, names: Result<Vec<TagName>, NotStorable>) {
        self.run(|| crate::current::add_tags(names));
    }

    /// What is known so far.
    #[must_use]
    pub fn said(&self) -> Said {
        let recorded = self.record.snapshot();
        let moment = |at: u64| (at != u64::MAX).then_some(Timestamp(at));
        Said {
            life: recorded.life,
            tagged: recorded
                .tags
                .iter()
                .any(|tag| crate::tag::is_explicit(tag.name())),
            refusal: recorded.refusal(),
            reads: recorded
                .reads
                .iter()
                .map(|(space, reason)| (space.name().to_owned(), *reason))
                .collect(),
            filled_at: moment(recorded.filled_at),
            fresh_until: moment(recorded.fresh_until),
        }
    }

    /// Gives what was recorded to the load or response around the one that is current now.
    pub fn flow(&self) {
        let Some(context) = context::current() else {
            return;
        };
        let same = context
            .record
            .as_ref()
            .is_some_and(|outer| Arc::ptr_eq(outer, &self.record));
        if !same {
            flow_recorded(&context, &self.record.engine, self.record.snapshot());
        }
    }

    fn close(&self) -> Recorded {
        self.record.close()
    }
}

/// Whether the two are copies of one cache.
#[must_use]
pub fn same_cache(one: &Cache, other: &Cache) -> bool {
    Arc::ptr_eq(one.engine(), other.engine())
}

/// Whether a load or a response around this call is being recorded.
#[must_use]
pub fn in_record() -> bool {
    context::current().is_some_and(|context| context.record.is_some())
}

/// Whether this call is within [`bypass`](crate::bypass).
#[must_use]
pub fn bypassed() -> bool {
    context::current().is_some_and(|context| context.bypass)
}

/// Until when a request that arrives now waits for the loads of others.
#[must_use]
pub fn wait_until(cache: &Cache) -> Timestamp {
    let engine = cache.engine();
    engine.clock.now().plus(engine.settings.wait_limit)
}

/// Counts the outcome of a request, and tells who watches.
pub fn count(cache: &Cache, reason: Reason, joined: bool, began: Option<Instant>) {
    let engine = cache.engine();
    engine.counters.outcome(reason);
    tell(&Space::Http, reason, joined);
    if joined {
        Counters::count(&engine.counters.joined);
    }
    if let Some(context) = context::current() {
        note(&context, &Space::Http, reason, joined, began);
    }
}

/// Room for bytes that are being recorded; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    engine: Arc<Engine>,
    bytes: u64,
}

/// Begins with no room.
#[must_use]
pub fn reserve(cache: &Cache) -> Reservation {
    Reservation {
        engine: Arc::clone(cache.engine()),
        bytes: 0,
    }
}

impl Reservation {
    /// Takes room for `bytes` more; `false` where all recordings together would take more than a
    /// quarter of the cache.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let most = self.engine.settings.max_bytes / RECORDING_PART;
        let recording = &self.engine.counters.recording;
        let taken = recording.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(bytes).filter(|sum| *sum <= most)
        });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.engine
            .counters
            .recording
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
