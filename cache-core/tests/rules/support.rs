//! What the modules share: a cache with a manual clock, loads that stop at gates, calls of functions
//! as the macros make them.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::spi::{self, CallKey, CallOptions, Fetched, Finished, Function, Looked, TagName};
use cache_core::{Cache, Clock, Life, NotStorable, Reason};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};

/// What differs between caches that are alone and nodes.
pub(crate) use crate::{DELIVERY, build, pause};

pub(crate) type Loaded<V> = Result<V, &'static str>;

/// A cache that reads a clock which only the test moves.
pub(crate) fn cache() -> (Cache, Clock) {
    let clock = Clock::manual();
    (build(Cache::builder().clock(clock.clone())), clock)
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A loader that gives `value` at once.
pub(crate) fn ok<V>(value: V) -> impl FnOnce() -> Ready<Loaded<V>> {
    move || ready(Ok(value))
}

/// A loader that fails.
pub(crate) fn err<V>(error: &'static str) -> impl FnOnce() -> Ready<Loaded<V>> {
    move || ready(Err(error))
}

/// A loader that must not run.
pub(crate) fn never<V>() -> impl FnOnce() -> Ready<Loaded<V>> {
    || panic!("a hit was expected")
}

/// Lets every other task run until all wait for something.
pub(crate) async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
    pause().await;
}

/// Waits, with real time, for what another thread does.
pub(crate) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

/// Waits until no load runs, and nothing that one made is on its way to other nodes.
pub(crate) async fn nothing_runs(cache: &Cache) {
    eventually("nothing runs", || cache.stats().running == 0).await;
}

/// Moves the clock on until `done`, for a minute of its time at most.
pub(crate) async fn within_a_minute(clock: &Clock, what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6 {
        settle().await;
        clock.advance(secs(10));
        for _ in 0..40 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    panic!("not within a minute: {what}");
}

/// A point that a load stops at.
pub(crate) struct Gate {
    began: oneshot::Sender<()>,
    go: oneshot::Receiver<()>,
}

/// The test's side of a gate.
pub(crate) struct Keeper {
    began: Option<oneshot::Receiver<()>>,
    go: Option<oneshot::Sender<()>>,
}

pub(crate) fn gate() -> (Gate, Keeper) {
    let (began, has_begun) = oneshot::channel();
    let (go, may_go) = oneshot::channel();
    let keeper = Keeper {
        began: Some(has_begun),
        go: Some(go),
    };
    (Gate { began, go: may_go }, keeper)
}

impl Gate {
    /// Says that the load is here, and stays until it is let through.
    pub(crate) async fn pass(self) {
        let _ = self.began.send(());
        let _ = self.go.await;
    }
}

impl Keeper {
    /// Waits until the load is at the gate.
    pub(crate) async fn reached(&mut self) {
        if let Some(began) = self.began.take() {
            began.await.expect("the load reaches its gate");
        }
    }

    pub(crate) fn open(&mut self) {
        if let Some(go) = self.go.take() {
            let _ = go.send(());
        }
    }
}

/// A `fetch` in a task of its own, held at a gate.
pub(crate) struct Fetching<V> {
    pub(crate) keeper: Keeper,
    pub(crate) task: JoinHandle<Loaded<V>>,
}

impl<V: Send + 'static> Fetching<V> {
    /// Lets the load end, and gives what the caller got.
    pub(crate) async fn end(mut self) -> Loaded<V> {
        self.keeper.open();
        self.task.await.expect("the caller does not panic")
    }
}

/// Begins a load of `key` that has read `value` and stands at its gate.
pub(crate) async fn begin_load(
    cache: &Cache,
    key: &'static str,
    life: impl Into<Life>,
    tags: &'static [&'static str],
    value: u64,
) -> Fetching<u64> {
    begin_load_saying(cache, key, life, tags, value, || ()).await
}

/// The same; `then` runs in the load after its gate, as its last act.
pub(crate) async fn begin_load_saying(
    cache: &Cache,
    key: &'static str,
    life: impl Into<Life>,
    tags: &'static [&'static str],
    value: u64,
    then: impl FnOnce() + Send + 'static,
) -> Fetching<u64> {
    let (gate, mut keeper) = gate();
    let (cache, life) = (cache.clone(), life.into());
    let task = tokio::spawn(async move {
        let load = move || async move {
            gate.pass().await;
            then();
            Ok(value)
        };
        cache.fetch(key, life, tags, load).await
    });
    keeper.reached().await;
    Fetching { keeper, task }
}

/// A caller who asks for `key`, and would load `value`; it has looked and waits when this returns.
pub(crate) async fn ask(
    cache: &Cache,
    key: &'static str,
    life: impl Into<Life>,
    tags: &'static [&'static str],
    value: u64,
) -> JoinHandle<Loaded<u64>> {
    let (cache, life) = (cache.clone(), life.into());
    let task =
        tokio::spawn(async move { cache.fetch(key, life, tags, move || ready(Ok(value))).await });
    settle().await;
    task
}

/// Counts how often a loader ran.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    pub(crate) fn up(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Why the key is, or is not, there.
pub(crate) fn reason(cache: &Cache, key: &str) -> Reason {
    cache.explain(key).reason
}

/// How a macro's expansion would be set up: no life is said, so what is inside decides.
pub(crate) fn options<V: cache_core::CacheWeight>(tags: &[&str]) -> CallOptions<V> {
    CallOptions {
        life: None,
        profile: None,
        timeout: None,
        tags: tags.iter().map(|tag| TagName::user(tag)).collect(),
        by_caller: false,
        keyed_on_caller: false,
        sharing: cache_core::spi::Sharing::Local,
        weigh: V::cache_weight,
    }
}

/// Calls a cached function, on the current cache.
pub(crate) async fn call<F>(
    function: &'static Function,
    argument: u64,
    options: CallOptions<u64>,
    body: impl FnOnce() -> F + Send + 'static,
) -> Fetched<u64, &'static str>
where
    F: Future<Output = Loaded<u64>> + Send + 'static,
{
    match spi::lookup(&call_key(function, argument)) {
        Looked::Hit(value) => Fetched::Value(value),
        Looked::Call(call) => {
            let start = move || -> Pin<Box<dyn Future<Output = Finished<_, _>> + Send>> {
                Box::pin(async move { finish(body()).await })
            };
            Box::pin(call.load(options, start)).await
        }
    }
}

pub(crate) fn call_key(function: &'static Function, argument: u64) -> CallKey {
    use cache_core::CacheKey as _;
    let mut key = CallKey::new(function);
    argument.encode(&mut key.writer());
    key
}

pub(crate) async fn finish<V>(body: impl Future<Output = Loaded<V>>) -> Finished<V, &'static str> {
    match body.await {
        Ok(value) => Finished::Store(value),
        Err(error) => Finished::Refuse(error, NotStorable::Error),
    }
}

/// What a call came to, or its error.
pub(crate) fn value_of(fetched: Fetched<u64, &'static str>) -> Loaded<u64> {
    match fetched {
        Fetched::Value(value) => Ok(value),
        Fetched::Output(error) => Err(error),
        Fetched::TimedOut(_) => Err("timed out"),
    }
}
