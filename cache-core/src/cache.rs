//! The cache as applications hold it: manual keys, both verbs, scopes.

use std::pin::Pin;
use std::sync::Arc;

use crate::builder::CacheBuilder;
use crate::clock::Clock;
use crate::context::{self, Context, Scoped};
use crate::engine::{Engine, LifeChoice};
use crate::error::{InstallError, InvalidateError};
use crate::explain::Explanation;
use crate::key::{CacheKey, Function, IntoKey, Key, KeyRef, ScopePath, Space, beginnings, encoded};
use crate::ledger::Running;
use crate::life::Life;
use crate::load::{CallOptions, Fetched, Finished, Looked, look};
use crate::marks::Kind;
use crate::path::PathTarget;
use crate::reason::{NotStorable, Reason};
use crate::record::Recorded;
use crate::stats::{Counters, Stats};
use crate::tag::{self, IntoTags, TagName};
use crate::verbs::Invalidating;
use crate::weight::CacheWeight;

/// A tagged cache in one process. Cheap to clone; copies are the same cache.
///
/// Values are kept under keys ([`CacheKey`]: text, numbers, tuples, your own types) with tags and a
/// [`Life`]. An invalidation drops every value with one of its tags, in a time that does not depend
/// on how many there are, and wins over every load that began before it.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::Cache;
/// use std::convert::Infallible;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cache = Cache::builder().max_bytes(256 << 20).build();
///
/// async fn from_database(id: u64) -> Result<String, Infallible> {
///     Ok(format!("user {id}"))
/// }
///
/// let user = cache
///     .fetch(("user", 7), "10m", ["users", "user:7"], || from_database(7))
///     .await
///     .unwrap();
/// assert_eq!(user, "user 7");
/// assert_eq!(cache.get::<String>(("user", 7)).await, Some(user));
///
/// cache.invalidate_cache("user:7").await.unwrap();
/// assert_eq!(cache.get::<String>(("user", 7)).await, None);
/// # }
/// ```
///
/// A value that is no longer stored is dropped by a later call that stores or removes, outside of all
/// locks: its `Drop` may use the cache, and a panic in it ends there.
///
/// Loads and refreshes are tasks of their own: [`fetch`](Self::fetch) needs a tokio runtime with its
/// time driver enabled.
#[derive(Clone, Debug)]
pub struct Cache {
    engine: Arc<Engine>,
    space: Space,
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Cache {
    /// Sets up a cache.
    pub fn builder() -> CacheBuilder {
        CacheBuilder::new()
    }

    /// A cache with the builder's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    pub(crate) fn over(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            space: Space::Scope(Arc::default()),
        }
    }

    pub(crate) const fn space(&self) -> &Space {
        &self.space
    }

    /// One that does not count as built by the application.
    pub(crate) fn unbuilt() -> Self {
        Self::builder().build_quietly()
    }

    pub(crate) const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Makes this the process's cache: cached functions, layers and the free functions use it
    /// wherever no other is entered. It begins empty: where the default one was used before, that is said.
    ///
    /// # Errors
    ///
    /// [`InstallError`] where one is installed already.
    pub fn install(self) -> Result<Self, InstallError> {
        context::install(self.clone())?;
        Ok(self)
    }

    /// The cache that is current here: the one entered, else the installed one, else, if none was ever
    /// built, a default. `None` where one was built but is neither installed nor entered.
    #[must_use]
    pub fn current() -> Option<Self> {
        let entered = context::current().and_then(|context| context.cache.clone());
        entered.or_else(|| context::process_cache().cloned())
    }

    /// Runs `future` with this as the current cache. Spawned tasks do not inherit it.
    pub fn enter<F>(&self, future: F) -> Scoped<F> {
        let context = context::derive(|context| context.cache = Some(self.clone()));
        Scoped::new(Some(context), future)
    }

    /// Runs `future` with a new cache of its own as the current one: for tests, which then neither
    /// see nor disturb each other's values.
    pub fn isolated<F>(future: F) -> Scoped<F> {
        let context = Context {
            cache: Some(Self::unbuilt()),
            ..Context::default()
        };
        Scoped::new(Some(Arc::new(context)), future)
    }

    /// A view of this cache with keys of its own: no key of it meets one of another scope or of the
    /// cache itself. Tags are shared; [`clear`](Self::clear) drops the scope's values, and those
    /// made from them.
    #[must_use]
    pub fn scope(&self, name: impl AsRef<str>) -> Self {
        let space = match &self.space {
            Space::Scope(outer) => ScopePath::within(outer, name.as_ref()),
            Space::Function(_) | Space::Http => ScopePath::within(&Arc::default(), name.as_ref()),
        };
        Self {
            engine: Arc::clone(&self.engine),
            space: Space::Scope(space),
        }
    }

    /// The view of this cache that a function's values are in.
    pub(crate) fn of_function(&self, function: &'static Function) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            space: Space::Function(function),
        }
    }

    /// Where this cache reads the time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.engine.clock.clone()
    }

    /// What the cache is called in status headers and metrics.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.engine.settings.namespace
    }

    /// The value under `key`, where it is fresh and of this type. A value in its stale window is not
    /// given, as there is no loader to refresh it.
    pub async fn get<V>(&self, key: impl CacheKey) -> Option<V>
    where
        V: Clone + Send + Sync + 'static,
    {
        match look::<V>(Some(self), &self.space, &encoded(&key)) {
            Looked::Hit(value) => Some(value),
            Looked::Call(call) => call.only_if_fresh(),
        }
    }

    /// The values under `keys`, in their order.
    pub async fn get_many<V, K>(&self, keys: impl IntoIterator<Item = K>) -> Vec<Option<V>>
    where
        V: Clone + Send + Sync + 'static,
        K: CacheKey,
    {
        let mut values = Vec::new();
        for key in keys {
            values.push(self.get(key).await);
        }
        values
    }

    /// Stores a value now. Loads of this key that run already will not replace it. Where it cannot be
    /// stored, what was under the key before is dropped all the same.
    ///
    /// A value that was read before the call may be older than an invalidation that came since: use
    /// [`begin`](Self::begin) before reading, and [`put_from`](Self::put_from).
    ///
    /// # Panics
    ///
    /// On a life given as text that is none.
    #[track_caller]
    pub fn put<V, M>(
        &self,
        key: impl CacheKey,
        value: V,
        life: impl Into<Life>,
        tags: impl IntoTags<M>,
    ) -> Stored
    where
        V: CacheWeight + Clone + Send + Sync + 'static,
    {
        let bytes = encoded(&key);
        let key = KeyRef::new(&self.space, &bytes.bytes).to_key();
        let running = self.engine.ledger.begin();
        let times = (running.start, self.engine.clock.now().0);
        let names = bytes.flaw.map_or_else(|| tag::names(tags), Err);
        let made = self.made(&key, value, life.into(), names, times);
        // What was there goes in any case: the caller said that it is no longer the value.
        let fate = match made {
            Ok(entry) => self.engine.detach_and_insert(&key, entry),
            Err(reason) => {
                if bytes.flaw.is_none() {
                    self.engine.detach_and_remove(&key.as_ref());
                }
                Err(reason)
            }
        };
        Stored(match fate {
            Ok(()) => {
                self.engine.stored();
                None
            }
            Err(reason) => {
                self.engine.trace.note(key.hash(), reason);
                Some(reason)
            }
        })
    }

    pub(crate) fn made<V>(
        &self,
        key: &Key,
        value: V,
        life: Life,
        names: Result<Vec<TagName>, NotStorable>,
        times: (u64, u64),
    ) -> Result<Arc<crate::entry::Entry>, Reason>
    where
        V: CacheWeight + Clone + Send + Sync + 'static,
    {
        let mut names = names.map_err(Reason::NotStorable)?;
        names.append(&mut key.beginnings());
        let mut recorded = Recorded::new();
        for tag in self.engine.tags(&self.space, &names) {
            recorded.add(&tag);
        }
        let weight = value.cache_weight();
        let choice = LifeChoice::Explicit(life);
        let (entry, storable) =
            self.engine
                .entry(key, (value, weight), times, choice, None, recorded);
        storable.map_err(Reason::NotStorable)?;
        Ok(Arc::new(entry))
    }

    /// Begins a store: call it before reading what will be stored, then [`put_from`](Self::put_from).
    #[must_use = "dropping it ends the attempt"]
    pub fn begin(&self, key: impl CacheKey) -> Pending {
        let bytes = encoded(&key);
        let key = KeyRef::new(&self.space, &bytes.bytes).to_key();
        let running = self.engine.ledger.begin();
        let key = bytes.flaw.map_or(Ok(key), Err);
        Pending {
            cache: self.clone(),
            began: self.engine.clock.now().0,
            id: key
                .as_ref()
                .map_or(0, |key| self.engine.attach_pending(key)),
            key,
            running,
        }
    }

    /// Stores a value that was read since [`begin`](Self::begin), unless its key was removed or put,
    /// or one of its tags invalidated, since then.
    ///
    /// # Panics
    ///
    /// On a life given as text that is none.
    #[track_caller]
    pub fn put_from<V, M>(
        &self,
        pending: Pending,
        value: V,
        life: impl Into<Life>,
        tags: impl IntoTags<M>,
    ) -> Stored
    where
        V: CacheWeight + Clone + Send + Sync + 'static,
    {
        let key = match &pending.key {
            Ok(key) => key.clone(),
            Err(flaw) => return Stored(Some(Reason::NotStorable(*flaw))),
        };
        let cache = &pending.cache;
        let times = (pending.running.start, pending.began);
        let made = cache.made(&key, value, life.into(), tag::names(tags), times);
        let landed =
            made.and_then(|entry| cache.engine.land_pending(&key, pending.id, Some(entry)));
        Stored(match landed {
            Ok(()) => {
                cache.engine.stored();
                None
            }
            Err(reason) => {
                cache.engine.trace.note(key.hash(), reason);
                Some(reason)
            }
        })
    }

    /// The value under `key`; on a miss `loader` makes it, once for all who ask meanwhile, as a task
    /// of its own. An `Err` is the caller's own and not stored; callers who waited for it load for themselves.
    ///
    /// Cancel-safe: a caller who leaves does not stop the load. `life` and `tags` are looked at on a miss only.
    ///
    /// # Panics
    ///
    /// Where the loader panics, in the caller that began the load; outside a tokio runtime; on a life
    /// given as text that is none.
    pub async fn fetch<V, E, F, L, M>(
        &self,
        key: impl CacheKey,
        life: impl Into<Life>,
        tags: impl IntoTags<M>,
        loader: L,
    ) -> Result<V, E>
    where
        V: CacheWeight + Clone + Send + Sync + 'static,
        E: Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        L: FnOnce() -> F + Send + 'static,
    {
        let bytes = encoded(&key);
        let call = match look::<V>(Some(self), &self.space, &bytes) {
            Looked::Hit(value) => return Ok(value),
            Looked::Call(call) => call,
        };
        let own = beginnings(&self.space, &bytes.bytes);
        let options = CallOptions {
            life: Some(life.into()),
            profile: None,
            timeout: None,
            tags: tag::names(tags).map(|names| [names, own].concat()),
            by_caller: false,
            weigh: V::cache_weight,
        };
        // Boxed with its type erased: loads within loads would otherwise hold one another many times over.
        let load = move || -> Pin<Box<dyn Future<Output = Finished<V, E>> + Send>> {
            Box::pin(async move {
                match loader().await {
                    Ok(value) => Finished::Store(value),
                    Err(error) => Finished::Refuse(error, NotStorable::Error),
                }
            })
        };
        match Box::pin(call.load(options, load)).await {
            Fetched::Value(value) => Ok(value),
            Fetched::Output(error) => Err(error),
            Fetched::TimedOut(_) => unreachable!("no time limit was given"),
        }
    }

    /// Drops the value under `key`. A load of it that runs still serves those who wait for it, and is
    /// not stored. Values made from it stay: tags drop those.
    pub fn remove(&self, key: impl IntoKey) -> Invalidating {
        Invalidating::applied_by(&self.engine, || self.remove_local(key))
    }

    /// Drops this process's copy of the value under `key`.
    pub fn remove_local(&self, key: impl IntoKey) {
        if let Ok(key) = key.to_key(&self.space) {
            Counters::count(&self.engine.counters.invalidations);
            self.engine.detach_and_remove(&key.as_ref());
        }
    }

    /// Drops everything: of a scope, what is stored under it and what was made from that; of the
    /// cache itself, all there is.
    pub fn clear(&self) -> Invalidating {
        Invalidating::apply(&self.engine, Kind::Hard, (vec![self.own_tag()], None))
    }

    /// Drops this process's copies of everything, or of a scope. Touches no other level, and no log.
    pub fn clear_memory(&self) {
        self.engine.invalidate(Kind::Local, &[self.own_tag()]);
    }

    fn own_tag(&self) -> TagName {
        let own = match &self.space {
            Space::Scope(scope) => scope.tag(),
            Space::Function(function) => Some(TagName::function(function.name())),
            Space::Http => None,
        };
        own.unwrap_or_else(TagName::all)
    }

    /// Marks every value with one of `tags` stale: where it has a stale window it is served once
    /// more while one refresh runs, else the next read loads (Next.js's `revalidateTag`).
    ///
    /// Applied when called. A tag that nothing has is no error, and no tags do nothing.
    pub fn revalidate_tag<M>(&self, tags: impl IntoTags<M>) -> Invalidating {
        Invalidating::apply(&self.engine, Kind::Soft, user_tags(tags))
    }

    /// Drops every value with one of `tags`: the next read loads (Wix's `invalidateCache`, Next.js's
    /// `updateTag`).
    ///
    /// Applied when called, and seen by the caller's very next read.
    pub fn invalidate_cache<M>(&self, tags: impl IntoTags<M>) -> Invalidating {
        Invalidating::apply(&self.engine, Kind::Hard, user_tags(tags))
    }

    /// Marks stale every response stored for a path or route, as [`revalidate_tag`](Self::revalidate_tag)
    /// does for tags (Next.js's `revalidatePath`).
    pub fn revalidate_path(&self, path: impl Into<PathTarget>) -> Invalidating {
        let tags = match path.into().tags() {
            Ok(tags) => (tags, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Invalidating::apply(&self.engine, Kind::Soft, tags)
    }

    /// What is known of `key` at this moment; it counts as no read.
    #[must_use]
    pub fn explain(&self, key: impl IntoKey) -> Explanation {
        Explanation::of(&self.engine, key.to_key(&self.space))
    }

    /// What the cache holds and did. Waits for the store to settle: not for hot paths.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }
}

/// The tags of an invalidation; they may be more than an entry can carry.
fn user_tags<M>(tags: impl IntoTags<M>) -> (Vec<TagName>, Option<InvalidateError>) {
    let mut names = Vec::new();
    let mut wrong = None;
    tags.each_tag(&mut |tag| match TagName::user_or_error(tag) {
        Ok(name) => names.push(name),
        Err(error) => wrong = Some(error),
    });
    (names, wrong)
}

/// Whether a value was stored, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored(pub(crate) Option<Reason>);

impl Stored {
    /// Whether it was.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        self.0.is_none()
    }

    /// Why it was not.
    #[must_use]
    pub const fn why_not(self) -> Option<Reason> {
        self.0
    }
}

/// A store that was [begun](Cache::begin). Dropping it ends the attempt.
#[derive(Debug)]
pub struct Pending {
    cache: Cache,
    key: Result<Key, NotStorable>,
    id: u64,
    began: u64,
    running: Running,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Ok(key) = &self.key {
            let _ = self.cache.engine.land_pending(key, self.id, None);
        }
    }
}
