//! The cache as applications hold it: scopes, both verbs, what is known of it. Its values under keys of
//! one's own are in [`values`].

mod values;

use std::sync::Arc;

use crate::builder::CacheBuilder;
use crate::clock::Clock;
use crate::context::{self, Scoped};
use crate::engine::{Engine, LifeChoice};
use crate::error::{InstallError, InvalidateError, ShutdownError};
use crate::explain::Explanation;
use crate::key::{Function, IntoKey, ScopePath, Space};
use crate::life::Life;
use crate::load::within;
use crate::marks::Kind;
use crate::path::PathTarget;
use crate::remote::Bookmark;
use crate::stats::{Counters, Stats};
use crate::tag::{IntoTags, TagName};
use crate::verbs::Invalidating;

pub use self::values::{Pending, Stored};

/// A tagged cache, of one process or [shared by many](CacheBuilder::remote). Cheap to clone; copies are
/// the same cache.
///
/// Values are kept under keys ([`CacheKey`](crate::CacheKey): text, numbers, tuples, your own types) with tags and a
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
    /// Of this view, where it has its own: over the outer views', not yet over the cache's.
    default_life: Option<Arc<Life>>,
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
            default_life: None,
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
    /// see nor disturb each other's values. All else that is in force stays so, as in
    /// [`enter`](Self::enter).
    pub fn isolated<F>(future: F) -> Scoped<F> {
        Self::unbuilt().enter(future)
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
            default_life: self.default_life.clone(),
        }
    }

    /// A view of the same keys with another [default life](CacheBuilder::default_life), for values under
    /// keys of your own: a call's life goes before it part by part, and it before that of the view it
    /// was made from, down to the cache's. Scopes made from it have it too. The values of cached
    /// functions do not take it: one function has one lifetime, wherever it is called.
    ///
    /// ```
    /// # use cache_core as revalidate;
    /// use revalidate::{Cache, Life};
    ///
    /// let cache = Cache::builder().default_life("1m").build();
    /// let users = cache.scope("users").default_life(Life::default().stale_if_error("1h"));
    /// // Fresh for a minute by the cache, kept for errors by the scope, not so by this call:
    /// users.put("guest", "nobody", Life::default().stale_if_error(0), ["users"]);
    /// // Ten minutes by the call, the hour by the scope:
    /// users.put("ada", "Ada", "10m", ["users"]);
    /// assert_eq!(users.explain("ada").fresh_for.as_secs().div_ceil(60), 10);
    /// ```
    ///
    /// # Panics
    ///
    /// On text that is no lifetime.
    #[must_use]
    #[track_caller]
    pub fn default_life(&self, life: impl Into<Life>) -> Self {
        let outer = self.default_life.as_deref().copied();
        let life = life.into().over(outer.unwrap_or_default());
        Self {
            default_life: Some(Arc::new(life)),
            ..self.clone()
        }
    }

    /// What decides on the lifetime of a value under a key of this view that says no more than this.
    pub(crate) fn choice(&self, said: Life) -> LifeChoice {
        let mut choice = self.engine.choice(said);
        if let Some(own) = self.default_life.as_deref() {
            choice.default = own.over(choice.default);
        }
        choice
    }

    /// The view of this cache that a function's values are in.
    pub(crate) fn of_function(&self, function: &'static Function) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            space: Space::Function(function),
            default_life: None,
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

    /// Drops the value under `key`. A load of it that runs still serves those who wait for it, and is
    /// not stored. Values made from it stay: tags drop those.
    pub fn remove(&self, key: impl IntoKey) -> Invalidating {
        let key = key.to_key(&self.space);
        Invalidating::applied_by(&self.engine, || {
            let key = key.ok()?;
            Counters::count(&self.engine.counters.invalidations);
            let ticket = self.engine.tell_nodes_of(&key.as_ref());
            self.engine.detach_and_remove(&key.as_ref());
            ticket
        })
    }

    /// Drops this process's copy of the value under `key`, as if it had been given up for lack of room:
    /// allowed inside of a cached function too.
    pub fn remove_local(&self, key: impl IntoKey) -> Invalidating {
        let key = key.to_key(&self.space);
        Invalidating::locally(&self.engine, || {
            let key = key.ok()?;
            Counters::count(&self.engine.counters.invalidations);
            self.engine.detach_and_remove(&key.as_ref());
            None
        })
    }

    /// Drops everything: of a scope, what is stored under it and what was made from that; of the
    /// cache itself, all there is.
    pub fn clear(&self) -> Invalidating {
        Invalidating::apply(&self.engine, Kind::Hard, (vec![self.own_tag()], None))
    }

    /// Drops this process's copies of everything, or of a scope. Touches no other level, and no log, and
    /// is allowed inside of a cached function too.
    pub fn clear_memory(&self) -> Invalidating {
        Invalidating::locally(&self.engine, || {
            self.engine.invalidate_here(Kind::Local, &[self.own_tag()]);
            None
        })
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

    /// Completes once this node has a session with its remote and knows the log of invalidations up to
    /// then; at once where it has no remote, and not before the remote can be reached: give it a time limit
    /// where something depends on it. Nothing needs to wait for it: until then the cache serves what it loads
    /// itself, for no longer than the [bound](CacheBuilder::proof_bound). Cancel-safe.
    pub async fn connected(&self) {
        if let Some(node) = &self.engine.node {
            self.engine.begin_node();
            node.until(|node| node.is_connected() && node.last_current() > 0)
                .await;
        }
    }

    /// Waits until what this node has to tell the others is acknowledged, and what it shares with them is on
    /// its way no longer; for ten seconds at most. Call it before the process ends: what is not
    /// acknowledged is lost with it, and other nodes keep what it was to drop until its lifetime ends.
    ///
    /// ```
    /// # use cache_core as revalidate;
    /// # use revalidate::Cache;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let cache = Cache::new();
    /// if let Err(left) = cache.shutdown().await {
    ///     eprintln!("{left}");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] says how much was left.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        let Some(node) = &self.engine.node else {
            return Ok(());
        };
        self.engine.begin_node();
        let drained = node.until(|node| node.outbox.len() == 0 && !node.is_sharing());
        let limit = Some(std::time::Duration::from_secs(10));
        within(&self.engine.clock, limit, drained).await;
        match node.outbox.len() {
            0 => Ok(()),
            queued => Err(ShutdownError { queued }),
        }
    }

    /// Runs `future` so that it sees what was invalidated up to a bookmark, on whatever node that was: waits
    /// until this node has heard of it, for the [delivery limit](CacheBuilder::delivery_limit) at most, and
    /// goes [past the cache](crate::bypass) where it has not by then, or goes by another server.
    /// Without a remote it runs `future`.
    pub async fn read_after<F: Future>(&self, bookmark: &Bookmark, future: F) -> F::Output {
        let Some(node) = &self.engine.node else {
            return self.enter(future).await;
        };
        self.engine.begin_node();
        let limit = Some(node.settings.delivery);
        let known = node.until(|node| match node.has_reached(bookmark) {
            Some(false) => {
                node.look_now();
                false
            }
            Some(true) | None => true,
        });
        let reached = within(&self.engine.clock, limit, known).await.is_some()
            && node.has_reached(bookmark) == Some(true);
        // One context: each of two would be the whole of what is inside it.
        let context = context::derive(|context| {
            context.cache = Some(self.clone());
            context.bypass |= !reached;
        });
        Scoped::new(Some(context), future).await
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
