//! One cached call: look, and on a miss load, join or wait.
//!
//! [`look`] is the hit path: no await, no lock, no allocation. What it cannot answer becomes a
//! [`Call`], which a loader completes.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::cache::Cache;
use crate::clock::{Clock, Timestamp};
use crate::context::{self, Access, Context, LoadScope, Scoped};
use crate::engine::{Engine, LifeChoice};
use crate::entry::{Entry, Verdict};
use crate::error::LoadTimeout;
use crate::flight::{Boarding, Lead, Passenger, Stage};
use crate::key::{Key, KeyBytes, KeyRef, Space};
use crate::life::Life;
use crate::marks::TagRecord;
use crate::reason::{NotStorable, Reason};
use crate::record::{Record, Recorded};
use crate::stats::Counters;
use crate::store::Store;
use crate::sync::{Ordering, spawn};
use crate::tag::TagName;
use crate::waits::Wait;

/// A failed refresh is not tried again before this has passed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a loader says of its output.
#[derive(Debug)]
pub enum Finished<V, R> {
    /// To be stored.
    Store(V),
    /// To be stored, for no longer than this.
    StoreFor(V, Duration),
    /// The caller's own, and nobody else's.
    Refuse(R, NotStorable),
}

/// What a call came to.
#[derive(Debug)]
pub enum Fetched<V, R> {
    /// A value that was, or could have been, stored.
    Value(V),
    /// The load's own output.
    Output(R),
    /// The time limit passed, and there was no stale value.
    TimedOut(LoadTimeout),
}

/// How the value is to be loaded and kept; made on a miss only.
#[derive(Debug)]
pub struct CallOptions<V> {
    /// The lifetime, where it is said.
    pub life: Option<Life>,
    /// Or the name of a profile of the cache.
    pub profile: Option<&'static str>,
    /// How long the caller waits for a load.
    pub timeout: Option<Duration>,
    /// The explicit tags.
    pub tags: Result<Vec<TagName>, NotStorable>,
    /// What a value weighs.
    pub weigh: fn(&V) -> usize,
}

/// The outcome of a look.
#[derive(Debug)]
pub enum Looked<V> {
    /// A fresh value.
    Hit(V),
    /// Anything else.
    Call(Call<V>),
}

/// A call that a look could not answer.
#[derive(Debug)]
pub struct Call<V> {
    cache: Option<Cache>,
    context: Option<Arc<Context>>,
    key: Option<Key>,
    space: Space,
    /// The sequence number read before the look.
    arrival: u64,
    reason: Reason,
    /// What is stored, stale or about to expire.
    held: Option<Arc<Entry>>,
    /// It is served at once, and refreshed in the background.
    served: bool,
    /// Load whatever is stored.
    forced: bool,
    began: Option<Instant>,
    value: PhantomData<fn() -> V>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// Looks for the value of `bytes` in `space`; `cache` where the caller names it, else the current one.
#[inline]
pub(crate) fn look<V: Clone + Send + Sync + 'static>(
    cache: Option<&Cache>,
    space: &Space,
    bytes: &KeyBytes,
) -> Looked<V> {
    let context = context::current();
    let current = match (&context, cache) {
        (_, Some(cache)) => Some(cache),
        (Some(context), None) if context.cache.is_some() => context.cache.as_ref(),
        (_, None) => context::process_cache(),
    };
    let Some(cache) = current else {
        warn_no_cache(space);
        return Looked::Call(Call::past(None, context, space.clone(), Reason::Bypass));
    };
    if context.as_ref().is_some_and(|context| context.bypass) {
        let cache = cache.clone();
        return Looked::Call(Call::past(
            Some(cache),
            context,
            space.clone(),
            Reason::Bypass,
        ));
    }
    if let Some(flaw) = bytes.flaw {
        let cache = cache.clone();
        return Looked::Call(Call::past(
            Some(cache),
            context,
            space.clone(),
            Reason::NotStorable(flaw),
        ));
    }
    let engine = cache.engine();
    let began = context
        .as_ref()
        .and_then(|context| context.observer.as_ref().map(|_| Instant::now()));
    let key = KeyRef::new(space, &bytes.bytes);
    let arrival = engine.ledger.sequence();
    let held = engine.store.get(&key);
    let mut served = false;
    let reason = match &held {
        None => None,
        Some(entry) => match entry.judge(arrival, engine.clock.now().0) {
            Verdict::Fresh { early } => {
                let fresh_only = context.as_ref().is_some_and(|context| context.fresh_only);
                match entry.value::<V>() {
                    Some(value) if !early || fresh_only => {
                        engine.counters.hit();
                        let value = value.clone();
                        if let Some(context) = &context {
                            flow(context, engine, entry, false);
                            note(context, space, Reason::Hit, false, began);
                        }
                        return Looked::Hit(value);
                    }
                    Some(_) => {
                        served = true;
                        Some(Reason::Hit)
                    }
                    None => None,
                }
            }
            Verdict::Stale { servable, why, .. } => {
                let fresh_only = context.as_ref().is_some_and(|context| context.fresh_only);
                served = servable && !fresh_only && entry.value::<V>().is_some();
                Some(if served { Reason::Stale } else { why })
            }
            Verdict::Dead(why) => Some(why),
        },
    };
    Looked::Call(Call {
        reason: reason.unwrap_or_else(|| engine.trace.reason(key.hash())),
        key: Some(key.to_key()),
        cache: Some(cache.clone()),
        context,
        space: space.clone(),
        arrival,
        held,
        served,
        forced: false,
        began,
        value: PhantomData,
    })
}

/// Tells the enclosing load or response what an inner value carries.
pub(crate) fn flow(context: &Context, engine: &Arc<Engine>, entry: &Entry, stale: bool) {
    let Some(record) = &context.record else {
        return;
    };
    let open = match foreign(record, engine) {
        None => record.absorb(entry, stale || entry.born_stale),
        Some(outer) => {
            let mut recorded = Recorded::new();
            entry.tags.iter().for_each(|tag| recorded.add(tag));
            recorded.partial = entry.partial;
            recorded.filled_at = entry.filled_at;
            recorded.fresh_until = entry.fresh_until;
            recorded.stale = stale || entry.born_stale;
            record.absorb_recorded(&translated(recorded, engine, outer))
        }
    };
    if !open {
        late(engine);
    }
}

pub(crate) fn flow_recorded(context: &Context, engine: &Arc<Engine>, recorded: Recorded) {
    let Some(record) = &context.record else {
        return;
    };
    let recorded = match foreign(record, engine) {
        None => recorded,
        Some(outer) => translated(recorded, engine, outer),
    };
    if !record.absorb_recorded(&recorded) {
        late(engine);
    }
}

/// The engine of the enclosing record, where it is another one's.
fn foreign<'a>(record: &'a Record, engine: &Arc<Engine>) -> Option<&'a Arc<Engine>> {
    (!Arc::ptr_eq(&record.engine, engine)).then_some(&record.engine)
}

/// Numbers, records and moments of one cache mean nothing in another: tags go by name, and moments
/// by what is left.
fn translated(mut recorded: Recorded, from: &Engine, to: &Engine) -> Recorded {
    let names: Vec<_> = recorded
        .tags
        .iter()
        .map(|tag| TagName::from_raw(tag.name()))
        .collect();
    recorded.tags = to.ledger.records(&names);
    let (then, now) = (from.clock.now().0, to.clock.now().0);
    let moved = |moment: u64| match moment {
        u64::MAX => u64::MAX,
        moment if moment >= then => now.saturating_add(moment - then),
        moment => now.saturating_sub(then - moment),
    };
    recorded.filled_at = moved(recorded.filled_at);
    recorded.fresh_until = moved(recorded.fresh_until);
    recorded
}

/// A tag came after the load that it was meant for had ended.
pub(crate) fn late(engine: &Engine) {
    Counters::count(&engine.counters.late_tags);
    #[cfg(feature = "tracing")]
    tracing::error!(
        "a cached call or a tag came after the load it was made in had ended; its tags are lost there: \
         await what the body starts, or end it before the body returns"
    );
}

fn warn_no_cache(space: &Space) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        function = space.name(),
        "not cached: a `Cache` was built but neither installed nor entered here"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = space;
}

/// Counts an outcome and tells who watches.
pub(crate) fn note(
    context: &Context,
    space: &Space,
    reason: Reason,
    joined: bool,
    began: Option<Instant>,
) {
    if let Some(observer) = &context.observer {
        observer.note(Access {
            name: space.name().into(),
            reason,
            joined,
            took: began.map_or(Duration::ZERO, |began| began.elapsed()),
        });
    }
}

/// `future`'s output, or `None` once `limit` has passed.
pub(crate) async fn within<F: Future>(
    clock: &Clock,
    limit: Option<Duration>,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let Some(limit) = limit else {
        return Some(future.await);
    };
    let mut sleep = pin!(clock.sleep(limit));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// What a flight came to, for the one who led it.
enum Outcome<R> {
    Landed(Arc<Entry>),
    Refused(R, NotStorable, Recorded),
}

/// What a caller came to who looked among the loads of others.
enum Sought<V> {
    Value(V),
    /// It is to load, for all.
    Lead(Lead),
    /// It is to load, for itself.
    Alone,
    TimedOut,
}

/// What a load needs besides its body.
struct Plan<V> {
    cache: Cache,
    observer: Option<Arc<context::Observer>>,
    permit: Option<Arc<tokio::sync::OwnedSemaphorePermit>>,
    tags: Vec<Arc<TagRecord>>,
    choice: Result<LifeChoice, NotStorable>,
    weigh: fn(&V) -> usize,
}

impl<V: Clone + Send + Sync + 'static> Call<V> {
    fn past(
        cache: Option<Cache>,
        context: Option<Arc<Context>>,
        space: Space,
        reason: Reason,
    ) -> Self {
        let began = context
            .as_ref()
            .and_then(|context| context.observer.as_ref().map(|_| Instant::now()));
        Self {
            cache,
            context,
            key: None,
            space,
            arrival: 0,
            reason,
            held: None,
            served: false,
            forced: false,
            began,
            value: PhantomData,
        }
    }

    /// A call of the current cache that loads anew and replaces what is stored.
    pub(crate) fn of_current(space: &Space, bytes: &KeyBytes) -> Self {
        let context = context::current();
        let entered = context.as_ref().and_then(|context| context.cache.as_ref());
        let Some(cache) = entered.or_else(|| context::process_cache()).cloned() else {
            warn_no_cache(space);
            return Self::past(None, context, space.clone(), Reason::Bypass);
        };
        let flaw = bytes.flaw.map(Reason::NotStorable);
        let bypass = context.as_ref().is_some_and(|context| context.bypass);
        if let Some(reason) = flaw.or(bypass.then_some(Reason::Bypass)) {
            return Self::past(Some(cache), context, space.clone(), reason);
        }
        let key = KeyRef::new(space, &bytes.bytes).to_key();
        let engine = cache.engine();
        let arrival = engine.ledger.sequence();
        let held = engine.store.get(&key.as_ref());
        Self {
            key: Some(key),
            arrival,
            held,
            forced: true,
            ..Self::past(Some(cache.clone()), context, space.clone(), Reason::Bypass)
        }
    }

    /// The value, where a look found it fresh but due for a refresh that cannot be done here.
    pub(crate) fn only_if_fresh(self) -> Option<V> {
        let engine = self.cache.as_ref()?.engine();
        if self.served && self.reason == Reason::Hit {
            return self.held.as_ref().and_then(|held| self.serve(engine, held));
        }
        let reason = if self.served {
            self.why_stale(engine)
        } else {
            self.reason
        };
        self.done(engine, None, reason, false);
        None
    }

    /// Completes the call with a load that is a task of its own: a caller who leaves neither stops
    /// it nor strands anyone. A stale value is served at once while the load refreshes it.
    pub async fn load<R, F>(
        self,
        options: CallOptions<V>,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> Fetched<V, R>
    where
        R: Send + 'static,
        F: Future<Output = Finished<V, R>> + Send + 'static,
    {
        let (Some(cache), Some(key)) = (self.cache.clone(), self.key.clone()) else {
            return self.run_past(options, start()).await;
        };
        let engine = cache.engine();
        let names = match options.tags {
            Ok(ref names) => names,
            Err(why) => return self.run_alone(options, start(), Some(why)).await,
        };
        let tags = engine.tags(&self.space, names);
        if self.served
            && let Some(value) = self.held.as_ref().and_then(|held| self.serve(engine, held))
        {
            self.refresh(
                engine,
                &key,
                &tags,
                || self.plan(&cache, &options, &tags),
                start,
            );
            return Fetched::Value(value);
        }
        let deadline = options
            .timeout
            .map(|timeout| engine.clock.now().plus(timeout));
        match self.seek(engine, &key, &tags, deadline).await {
            Sought::Value(value) => Fetched::Value(value),
            Sought::Lead(lead) => {
                let _waits = self.waits_for(engine, lead.flight.id);
                let plan = self.plan(&cache, &options, &tags);
                let mut task = spawn(fly(lead, plan, start));
                let left = deadline.map(|deadline| deadline.since(engine.clock.now()));
                match within(&engine.clock, left, task.join()).await {
                    Some(outcome) => self.conclude(engine, outcome),
                    None => self.timed_out(engine, options.timeout),
                }
            }
            Sought::TimedOut => self.timed_out(engine, options.timeout),
            Sought::Alone => self.run_alone(options, start(), None).await,
        }
    }

    /// Completes the call with a load inside the caller: nothing need outlive it, and a caller who
    /// leaves ends it. Stale values are not served meanwhile.
    pub async fn load_here<R, F>(
        mut self,
        options: CallOptions<V>,
        start: impl FnOnce() -> F,
    ) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let (Some(cache), Some(key)) = (self.cache.clone(), self.key.clone()) else {
            return self.run_past(options, start()).await;
        };
        let engine = cache.engine();
        if std::mem::take(&mut self.served) {
            // A refresh cannot outlive its caller here: what is fresh still is served, what is stale is loaded.
            if self.reason == Reason::Hit
                && let Some(value) = self.held.as_ref().and_then(|held| self.serve(engine, held))
            {
                return Fetched::Value(value);
            }
            self.reason = self.why_stale(engine);
        }
        let names = match options.tags {
            Ok(ref names) => names,
            Err(why) => return self.run_alone(options, start(), Some(why)).await,
        };
        let tags = engine.tags(&self.space, names);
        let deadline = options
            .timeout
            .map(|timeout| engine.clock.now().plus(timeout));
        match self.seek(engine, &key, &tags, deadline).await {
            Sought::Value(value) => Fetched::Value(value),
            Sought::Lead(lead) => {
                let _waits = self.waits_for(engine, lead.flight.id);
                let plan = self.plan(&cache, &options, &tags);
                let left = deadline.map(|deadline| deadline.since(engine.clock.now()));
                match within(&engine.clock, left, Box::pin(fly(lead, plan, start))).await {
                    Some(outcome) => self.conclude(engine, outcome),
                    None => self.timed_out(engine, options.timeout),
                }
            }
            Sought::TimedOut => self.timed_out(engine, options.timeout),
            Sought::Alone => self.run_alone(options, start(), None).await,
        }
    }

    /// Finds a value that others loaded, or the right to load it.
    async fn seek(
        &self,
        engine: &Arc<Engine>,
        key: &Key,
        tags: &[Arc<TagRecord>],
        deadline: Option<Timestamp>,
    ) -> Sought<V> {
        loop {
            let boarding = if self.forced {
                engine.board_anew(key, tags)
            } else {
                engine.board(key, self.arrival, tags)
            };
            let (passenger, may_take) = match boarding {
                Boarding::Stored(entry) => return self.take(engine, &entry, Reason::Hit, false),
                Boarding::Lead(lead) => return Sought::Lead(lead),
                Boarding::Join(passenger) => (passenger, true),
                Boarding::Wait(passenger) => (passenger, false),
            };
            let left = deadline.map(|deadline| deadline.since(engine.clock.now()));
            if let Some(sought) = self.join(engine, passenger, left, may_take).await {
                return sought;
            }
        }
    }

    fn waits_for(&self, engine: &Engine, flight: u64) -> Option<Wait> {
        engine.waits.wait(self.load_scope()?.flight, flight)
    }

    fn why_stale(&self, engine: &Engine) -> Reason {
        let now = engine.clock.now().0;
        match self
            .held
            .as_ref()
            .map(|held| held.judge(engine.ledger.sequence(), now))
        {
            Some(Verdict::Stale { why, .. } | Verdict::Dead(why)) => why,
            Some(Verdict::Fresh { .. }) | None => Reason::Expired,
        }
    }

    fn fresh_only(&self) -> bool {
        self.context
            .as_ref()
            .is_some_and(|context| context.fresh_only)
    }

    fn load_scope(&self) -> Option<&LoadScope> {
        self.context
            .as_ref()
            .and_then(|context| context.load.as_ref())
    }

    fn plan(&self, cache: &Cache, options: &CallOptions<V>, tags: &[Arc<TagRecord>]) -> Plan<V> {
        let settings = &cache.engine().settings;
        let choice = match (options.life, options.profile) {
            (Some(life), _) => Ok(LifeChoice::Explicit(life)),
            (None, None) => Ok(LifeChoice::Default),
            (None, Some(name)) => settings
                .profiles
                .get(name)
                .copied()
                .or_else(|| Life::profile(name))
                .map(LifeChoice::Explicit)
                .ok_or(NotStorable::UnknownProfile),
        };
        Plan {
            cache: cache.clone(),
            observer: self
                .context
                .as_ref()
                .and_then(|context| context.observer.clone()),
            permit: self.load_scope().and_then(|load| load.permit.clone()),
            tags: tags.to_vec(),
            choice,
            weigh: options.weigh,
        }
    }

    fn refresh<R, F>(
        &self,
        engine: &Arc<Engine>,
        key: &Key,
        tags: &[Arc<TagRecord>],
        plan: impl FnOnce() -> Plan<V>,
        start: impl FnOnce() -> F + Send + 'static,
    ) where
        R: Send + 'static,
        F: Future<Output = Finished<V, R>> + Send + 'static,
    {
        let Some(held) = self.held.clone() else {
            return;
        };
        if engine.clock.now().0 < held.retry_at.load(Ordering::Relaxed) {
            return;
        }
        let Some(lead) = engine.board_refresh(key, tags) else {
            return;
        };
        let mut plan = plan();
        // A refresh is nobody's part: it neither reports to its caller nor runs under its permit.
        plan.observer = None;
        plan.permit = None;
        let clock = engine.clock.clone();
        drop(spawn(async move {
            if let Outcome::Refused(..) = fly(lead, plan, start).await {
                let retry_at = clock.now().plus(RETRY_AFTER);
                held.retry_at.store(retry_at.0, Ordering::Relaxed);
            }
        }));
    }

    /// Waits for a load of another; `None` where its value will not do, and the caller looks again.
    async fn join(
        &self,
        engine: &Arc<Engine>,
        mut passenger: Passenger,
        left: Option<Duration>,
        may_take: bool,
    ) -> Option<Sought<V>> {
        let _waits = match self.load_scope() {
            None => None,
            Some(load) => match engine.waits.wait(load.flight, passenger.flight.id) {
                Some(wait) => Some(wait),
                None => return Some(Sought::Alone),
            },
        };
        let wait_limit = engine.settings.wait_limit;
        let limit = left.map_or(wait_limit, |left| left.min(wait_limit));
        match within(&engine.clock, Some(limit), passenger.over()).await {
            None if left == Some(limit) => Some(Sought::TimedOut),
            None => Some(Sought::Alone),
            Some(_) if !may_take => None,
            Some(Stage::Landed(entry)) => {
                if passenger.flight.start() >= self.arrival {
                    return Some(self.take(engine, &entry, self.reason, true));
                }
                // It began before this caller came: only what no mark has overtaken will do.
                let reason = match entry.judge(engine.ledger.sequence(), engine.clock.now().0) {
                    _ if entry.partial.is_some() => return None,
                    Verdict::Fresh { .. } => self.reason,
                    Verdict::Stale { servable: true, .. } if !self.fresh_only() => Reason::Stale,
                    Verdict::Stale { .. } | Verdict::Dead(_) => return None,
                };
                Some(self.take(engine, &entry, reason, true))
            }
            Some(_) => Some(match self.fallback(engine, true) {
                Some(value) => Sought::Value(value),
                None => Sought::Alone,
            }),
        }
    }

    /// Takes an entry's value; an entry of another type is none of this caller's.
    fn take(
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

    fn serve(&self, engine: &Arc<Engine>, entry: &Arc<Entry>) -> Option<V> {
        let value = entry.value::<V>().cloned()?;
        self.done(engine, Some(entry), self.reason, false);
        Some(value)
    }

    /// The stale value that was found, if it may still be served now that its load did not succeed:
    /// the marks are read again.
    fn fallback(&self, engine: &Arc<Engine>, joined: bool) -> Option<V> {
        let held = self.held.as_ref()?;
        let allowed = match held.judge(engine.ledger.sequence(), engine.clock.now().0) {
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
        self.done(engine, Some(held), Reason::Stale, joined);
        Some(value)
    }

    /// Counts the outcome, tells who watches, and lets what the value carries flow outward.
    fn done(&self, engine: &Arc<Engine>, entry: Option<&Arc<Entry>>, reason: Reason, joined: bool) {
        engine.counters.outcome(reason);
        #[cfg(feature = "metrics")]
        metrics::counter!("revalidate_reads_total", "reason" => reason.as_str()).increment(1);
        #[cfg(feature = "tracing")]
        tracing::debug!(
            name = self.space.name(),
            reason = reason.as_str(),
            joined,
            "cached read"
        );
        if let Some(context) = &self.context {
            if let Some(entry) = entry {
                flow(context, engine, entry, reason == Reason::Stale);
            }
            note(context, &self.space, reason, joined, self.began);
        }
    }

    fn conclude<R>(&self, engine: &Arc<Engine>, outcome: Outcome<R>) -> Fetched<V, R> {
        match outcome {
            Outcome::Landed(entry) => match entry.value::<V>().cloned() {
                Some(value) => {
                    self.done(engine, Some(&entry), self.reason, false);
                    Fetched::Value(value)
                }
                None => unreachable!("a flight lands with the type it was led for"),
            },
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

    fn failed(&self, engine: &Arc<Engine>, recorded: Option<Recorded>) {
        self.done(engine, None, self.reason, false);
        if let Some(context) = &self.context {
            let mut recorded = recorded.unwrap_or_else(|| Recorded::new());
            recorded.failed = true;
            recorded.failures_allowed = false;
            flow_recorded(context, engine, recorded);
        }
    }

    fn timed_out<R>(&self, engine: &Arc<Engine>, limit: Option<Duration>) -> Fetched<V, R> {
        if let Some(value) = self.fallback(engine, false) {
            return Fetched::Value(value);
        }
        self.failed(engine, None);
        Fetched::TimedOut(LoadTimeout {
            name: self.space.name().to_owned(),
            limit: limit.unwrap_or_default(),
        })
    }

    /// Loads for this caller alone: served, not stored.
    async fn run_alone<R, F>(
        self,
        options: CallOptions<V>,
        body: F,
        flaw: Option<NotStorable>,
    ) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let Some(cache) = &self.cache else {
            return self.run_past(options, body).await;
        };
        let engine = cache.engine();
        // It counts as running: marks that its outer load may need are kept meanwhile.
        let _running = engine.ledger.begin();
        Counters::count(&engine.counters.loads);
        let record = Record::new(engine);
        record.with(|recorded| {
            recorded.partial = flaw;
            let names = options.tags.as_deref().unwrap_or_default();
            engine
                .tags(&self.space, names)
                .iter()
                .for_each(|tag| recorded.add(tag));
        });
        let mut context = self.context.as_deref().cloned().unwrap_or_default();
        context.cache = Some(cache.clone());
        context.record = Some(Arc::clone(&record));
        context.fresh_only = true;
        let name: Arc<str> = self.space.name().into();
        context.load = Some(match context.load.take() {
            // It runs as a part of the load around it.
            Some(load) => LoadScope { name, ..load },
            None => LoadScope {
                flight: engine.flights.id(),
                name,
                permit: None,
            },
        });
        let body = Scoped::new(Some(Arc::new(context)), Box::pin(body));
        let limited = within(&engine.clock, options.timeout, body).await;
        let recorded = record.close();
        let Some(finished) = limited else {
            return self.timed_out(engine, options.timeout);
        };
        match finished {
            Finished::Store(value) | Finished::StoreFor(value, _) => {
                self.done(engine, None, self.reason, false);
                if let Some(context) = &self.context {
                    flow_recorded(context, engine, recorded);
                }
                Fetched::Value(value)
            }
            Finished::Refuse(output, why) => {
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

    /// Runs the body past the cache, in the context it was called in: what is around it still learns
    /// of its tags.
    async fn run_past<R, F>(self, options: CallOptions<V>, body: F) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let clock = self
            .cache
            .as_ref()
            .map_or_else(Clock::system, |cache| cache.clock());
        let finished = within(&clock, options.timeout, Box::pin(body)).await;
        if let (Some(cache), Some(context)) = (&self.cache, &self.context) {
            let engine = cache.engine();
            engine.counters.outcome(self.reason);
            let mut recorded = Recorded::new();
            match &options.tags {
                Ok(names) => {
                    engine
                        .tags(&self.space, names)
                        .iter()
                        .for_each(|tag| recorded.add(tag));
                }
                Err(why) => recorded.partial = Some(*why),
            }
            recorded.failed =
                !matches!(finished, Some(Finished::Store(_) | Finished::StoreFor(..)));
            flow_recorded(context, engine, recorded);
            note(context, &self.space, self.reason, false, self.began);
        } else if let Some(cache) = &self.cache {
            cache.engine().counters.outcome(self.reason);
        }
        match finished {
            Some(Finished::Store(value) | Finished::StoreFor(value, _)) => Fetched::Value(value),
            Some(Finished::Refuse(output, _)) => Fetched::Output(output),
            None => Fetched::TimedOut(LoadTimeout {
                name: self.space.name().to_owned(),
                limit: options.timeout.unwrap_or_default(),
            }),
        }
    }
}

/// Runs one shared load to its end.
async fn fly<V, R, F>(mut lead: Lead, plan: Plan<V>, start: impl FnOnce() -> F) -> Outcome<R>
where
    V: Clone + Send + Sync + 'static,
    F: Future<Output = Finished<V, R>>,
{
    let engine = Arc::clone(&lead.engine);
    let permit = match plan.permit {
        Some(permit) => Some(permit),
        None => {
            let (permit, waited) = engine.permit().await;
            if waited {
                lead.restart();
            }
            permit
        }
    };
    Counters::count(&engine.counters.loads);
    let record = Record::new(&engine);
    record.with(|recorded| plan.tags.iter().for_each(|tag| recorded.add(tag)));
    let context = Arc::new(Context {
        cache: Some(plan.cache),
        record: Some(Arc::clone(&record)),
        load: Some(LoadScope {
            flight: lead.flight.id,
            name: lead.key.space().name().into(),
            permit,
        }),
        fresh_only: true,
        bypass: false,
        observer: plan.observer,
    });
    let finished = Scoped::new(Some(context), async { start().await }).await;
    let recorded = record.close();
    let (value, at_most) = match finished {
        Finished::Store(value) => (value, None),
        Finished::StoreFor(value, at_most) => (value, Some(at_most)),
        Finished::Refuse(output, why) => {
            lead.fail(why);
            return Outcome::Refused(output, why, recorded);
        }
    };
    let weight = (plan.weigh)(&value);
    let choice = plan.choice.unwrap_or(LifeChoice::Default);
    let began = (lead.start(), lead.began);
    let (entry, storable) =
        engine.entry(&lead.key, value, weight, began, choice, at_most, recorded);
    let storable = storable.and(plan.choice.map(|_| ()));
    let (entry, fate) = lead.land(entry, storable, None);
    if fate.is_ok() {
        engine.stored();
    }
    Outcome::Landed(entry)
}
