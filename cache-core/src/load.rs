//! One cached call: look, and on a miss load, join or wait.
//!
//! [`look`] is the hit path: no await, no lock, no allocation. What it cannot answer becomes a
//! [`Call`], which a loader completes.

mod alone;
mod apart;
mod fly;
mod look;
mod outcome;
mod plan;

use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use self::fly::{Outcome, fly, fly_apart};
pub(crate) use self::look::look;
use self::plan::Plan;
use crate::cache::Cache;
use crate::clock::{Clock, Timestamp};
use crate::context::{Context, LoadScope};
use crate::engine::Engine;
use crate::entry::{Entry, Verdict};
use crate::error::LoadTimeout;
use crate::flight::{Boarding, Lead, Passenger, Stage};
use crate::key::{Key, Space};
use crate::ledger::Reading;
use crate::life::Life;
use crate::marks::TagRecord;
use crate::reason::{NotStorable, Reason};
use crate::remote::RemoteCodec;
use crate::sync::spawn;
use crate::tag::TagName;
use crate::waits::Wait;

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
    /// Its key holds what says who is calling: a response made of it is that caller's.
    pub by_caller: bool,
    /// Its key holds who calls a web method, which its load may ask for.
    pub keyed_on_caller: bool,
    /// What a value weighs.
    pub weigh: fn(&V) -> usize,
    /// Whether it goes to other nodes.
    pub sharing: Sharing<V>,
}

/// Whether the values of a call go to other nodes, where the cache has a remote.
#[derive(Debug)]
pub enum Sharing<V> {
    /// They do, so written.
    Shared(RemoteCodec<V>),
    /// They are meant not to.
    Local,
    /// Their type cannot.
    Cannot,
}

impl<V> Clone for Sharing<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Sharing<V> {}

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
    /// What was read before the look, and when it was.
    arrival: Reading,
    arrived: u64,
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

/// What a caller came to who looked among the loads of others.
enum Sought<V> {
    Value(V),
    /// It is to load, for all.
    Lead(Lead),
    /// It is to load, for itself.
    Alone,
    TimedOut,
}

/// Puts off the next refresh of a value when dropped, also by a panic, unless disarmed.
struct RefreshFailed(Option<(Arc<Entry>, Clock)>);

impl RefreshFailed {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for RefreshFailed {
    fn drop(&mut self) {
        if let Some((held, clock)) = self.0.take() {
            held.backoff.failed(clock.now().0);
        }
    }
}

impl<V: Clone + Send + Sync + 'static> Call<V> {
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
        self.tell_caller(options.by_caller || options.keyed_on_caller);
        let unfinished = self.unfinished();
        let fetched = self.load_as_task(options, start).await;
        unfinished.over();
        fetched
    }

    async fn load_as_task<R, F>(
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
        let deadline = options
            .timeout
            .map(|timeout| engine.clock.now().plus(timeout));
        let names = match options.tags {
            Ok(ref names) => names,
            Err(why) => return self.run_alone(options, start(), Some(why), deadline).await,
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
        if let Some(value) = self.while_backing_off(engine) {
            return Fetched::Value(value);
        }
        match self.seek(engine, &key, &tags, deadline).await {
            Sought::Value(value) => Fetched::Value(value),
            Sought::Lead(lead) => {
                let _waits = self.waits_for(engine, lead.flight.id);
                let plan = self.plan(&cache, &options, &tags);
                let left = deadline.map(|deadline| deadline.since(engine.clock.now()));
                let load = fly_apart(lead, plan, start);
                match within(&engine.clock, left, load.over()).await {
                    Some(outcome) => self.conclude(engine, outcome),
                    None => self.timed_out(engine, options.timeout),
                }
            }
            Sought::TimedOut => self.timed_out(engine, options.timeout),
            Sought::Alone => self.run_alone(options, start(), None, deadline).await,
        }
    }

    /// Completes the call with a load inside the caller: nothing need outlive it, and a caller who
    /// leaves ends it. Stale values are not served meanwhile.
    pub async fn load_here<R, F>(
        self,
        options: CallOptions<V>,
        start: impl FnOnce() -> F,
    ) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        self.tell_caller(options.by_caller || options.keyed_on_caller);
        let unfinished = self.unfinished();
        // Boxed: loads inside of their callers, within one another, stand on one stack.
        let fetched = Box::pin(self.load_inside(options, start)).await;
        unfinished.over();
        fetched
    }

    async fn load_inside<R, F>(
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
        let deadline = options
            .timeout
            .map(|timeout| engine.clock.now().plus(timeout));
        let names = match options.tags {
            Ok(ref names) => names,
            Err(why) => return self.run_alone(options, start(), Some(why), deadline).await,
        };
        let tags = engine.tags(&self.space, names);
        if let Some(value) = self.while_backing_off(engine) {
            return Fetched::Value(value);
        }
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
            Sought::Alone => self.run_alone(options, start(), None, deadline).await,
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
        let path = self
            .context
            .as_ref()
            .and_then(|context| context.path.as_ref());
        let floor = engine.paths.newest(path);
        // One limit for all its waiting, however often it looks again.
        let until = engine.clock.now().plus(engine.settings.wait_limit);
        loop {
            let boarding = if self.forced {
                engine.board_anew(key, tags)
            } else {
                engine.board(key, self.arrival, tags, floor)
            };
            let (passenger, may_take) = match boarding {
                Boarding::Stored(entry) => return self.take(engine, &entry, Reason::Hit, false),
                Boarding::Lead(lead) => return Sought::Lead(lead),
                Boarding::Join(passenger) => (passenger, true),
                Boarding::Wait(passenger) => (passenger, false),
            };
            if let Some(sought) = self
                .join(engine, passenger, deadline, until, may_take, floor)
                .await
            {
                return sought;
            }
        }
    }

    fn waits_for(&self, engine: &Engine, flight: u64) -> Option<Wait> {
        engine.waits.wait(self.load_scope()?.flight, flight)
    }

    /// Judges an entry now, for this call.
    fn judge(&self, engine: &Engine, entry: &Entry) -> Verdict {
        let reading = engine.ledger.reading();
        engine.judge(
            entry,
            self.context.as_deref(),
            reading,
            engine.clock.now().0,
        )
    }

    fn why_stale(&self, engine: &Engine) -> Reason {
        match self.held.as_ref().map(|held| self.judge(engine, held)) {
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
        if held.backoff.holds(engine.clock.now().0) {
            return;
        }
        let Some(lead) = engine.board_refresh(key, tags) else {
            return;
        };
        let mut plan = plan();
        // A refresh is nobody's part: it neither reports to its caller nor runs under its permit.
        plan.around = None;
        plan.observer = None;
        plan.permit = None;
        let failure = RefreshFailed(Some((held, engine.clock.clone())));
        drop(spawn(async move {
            if let Outcome::Landed(_, true) = fly(lead, plan, start).await {
                failure.disarm();
            }
        }));
    }

    /// Waits for a load of another; `None` where its value will not do, and the caller looks again.
    async fn join(
        &self,
        engine: &Arc<Engine>,
        mut passenger: Passenger,
        deadline: Option<Timestamp>,
        until: Timestamp,
        may_take: bool,
        floor: u64,
    ) -> Option<Sought<V>> {
        let _waits = match self.load_scope() {
            None => None,
            Some(load) => match engine.waits.wait(load.flight, passenger.flight.id) {
                Some(wait) => Some(wait),
                None => return Some(Sought::Alone),
            },
        };
        // It may wait for a permit that only the end of this very load would free.
        if let Some(permit) = self.load_scope().and_then(|load| load.permit.as_ref()) {
            passenger.flight.loan.offer(permit);
        }
        let last = deadline.map_or(until, |deadline| deadline.min(until));
        let left = last.since(engine.clock.now());
        match within(&engine.clock, Some(left), passenger.over()).await {
            None if deadline == Some(last) => Some(Sought::TimedOut),
            None => Some(Sought::Alone),
            Some(_) if !may_take => None,
            Some(Stage::Landed(entry)) => {
                // What is stale in it was in its window when the load began, or when another node stored it; who came
                // later, or waits for it inside of a load, goes by what that is now.
                let stale =
                    entry.born_stale && (entry.promoted || self.arrived > passenger.flight.began());
                if passenger.flight.start() >= self.arrival.sequence
                    && entry.is_proven(self.arrival, self.arrived)
                    && entry.made_after() >= floor
                    && !stale
                {
                    return Some(self.take(engine, &entry, self.reason_of(&entry), true));
                }
                // It began before this caller came, or what it holds did: only what no mark has overtaken will do.
                let reason = match self.judge(engine, &entry) {
                    _ if entry.partial.is_some() => return None,
                    Verdict::Fresh { .. } => self.reason_of(&entry),
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
}
