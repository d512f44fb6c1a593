//! Values under keys of one's own: read, stored, loaded.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::Cache;
use crate::error::LoadTimeout;
use crate::key::{CacheKey, Key, KeyRef, beginnings, encoded};
use crate::ledger::Running;
use crate::life::{Life, Span};
use crate::load::{CallOptions, Fetched, Finished, Looked, Sharing, look};
use crate::reason::{NotStorable, Reason};
use crate::record::Recorded;
use crate::tag::{self, IntoTags, TagName};
use crate::verbs::permitted;
use crate::weight::CacheWeight;

impl Cache {
    /// The value under `key`, where this process has it, it is fresh and of this type. A value in its stale
    /// window is not given, as there is no loader to refresh it; for the same reason the second level of many
    /// nodes is not asked.
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
    /// It drops what was there, and who may not do that may not put: inside of a web method whose caller
    /// may not invalidate ([`guard_invalidation`](crate::CacheBuilder::guard_invalidation)) nothing is
    /// stored or dropped (`permission` is the reason), unless [elevated](crate::elevate). A cached
    /// function stores whoever calls it.
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
        if permitted(&self.engine).is_err() {
            return Stored::forbidden();
        }
        let bytes = encoded(&key);
        let key = KeyRef::new(&self.space, &bytes.bytes).to_key();
        let running = self.engine.ledger.begin();
        let times = (running.start, self.engine.clock.now().0);
        // First: what reads the second level between the two must find that it is not acknowledged.
        let removal = bytes
            .flaw
            .is_none()
            .then(|| self.engine.tell_nodes_of(&key.as_ref()))
            .flatten();
        let pending = removal.map(|_| self.engine.flights.id());
        let names = bytes.flaw.map_or_else(|| tag::names(tags), Err);
        let made = self.made(&key, value, life.into(), names, times);
        // What was there goes in any case: the caller said that it is no longer the value.
        let fate = match made {
            Ok(entry) => {
                let stored = Arc::clone(&entry);
                let fate = self.engine.detach_and_insert(&key, entry, pending);
                if let (Ok(()), Some(pending)) = (fate, pending) {
                    self.engine
                        .share_value::<V>(&stored, running.also(), &key, pending, removal);
                }
                fate
            }
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
        let choice = self.choice(life);
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
    /// or one of its tags invalidated, since then. Who may not [`put`](Self::put) may not do this.
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
        if permitted(&pending.cache.engine).is_err() {
            return Stored::forbidden();
        }
        let key = match &pending.key {
            Ok(key) => key.clone(),
            Err(flaw) => return Stored(Some(Reason::NotStorable(*flaw))),
        };
        let cache = &pending.cache;
        let times = (pending.running.start, pending.began);
        let made = cache.made(&key, value, life.into(), tag::names(tags), times);
        let next = cache
            .engine
            .node
            .as_ref()
            .map(|_| cache.engine.flights.id());
        let landed = made.and_then(|entry| {
            let stored = Arc::clone(&entry);
            cache
                .engine
                .land_pending(&key, pending.id, Some(entry), next)?;
            if let Some(next) = next {
                let running = pending.running.also();
                cache
                    .engine
                    .share_value::<V>(&stored, running, &key, next, None);
            }
            Ok(())
        });
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
        let tags = tag::names(tags).map(|names| [names, own].concat());
        let options = fetching(life.into(), None, tags);
        match Box::pin(call.load(options, as_load(loader))).await {
            Fetched::Value(value) => Ok(value),
            Fetched::Output(error) => Err(error),
            Fetched::TimedOut(_) => unreachable!("no time limit was given"),
        }
    }

    /// The same, and the caller waits for no longer than `limit`. Past it a value in its window of
    /// [`stale_if_error`](Life::stale_if_error) is served, else the error is a [`LoadTimeout`]. The load
    /// goes on, and its value is stored when it ends.
    ///
    /// ```
    /// # use cache_core as revalidate;
    /// use revalidate::{Cache, Clock, LoadTimeout};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let cache = Cache::new();
    /// let never = || std::future::pending::<Result<u64, LoadTimeout>>();
    /// let limit = Duration::from_millis(10);
    /// assert!(cache.fetch_within(limit, "slow", "1h", ["slow"], never).await.is_err());
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As [`fetch`](Self::fetch), and on a limit given as text that is no duration.
    pub async fn fetch_within<V, E, F, L, M>(
        &self,
        limit: impl Into<Span>,
        key: impl CacheKey,
        life: impl Into<Life>,
        tags: impl IntoTags<M>,
        loader: L,
    ) -> Result<V, E>
    where
        V: CacheWeight + Clone + Send + Sync + 'static,
        E: From<LoadTimeout> + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        L: FnOnce() -> F + Send + 'static,
    {
        let bytes = encoded(&key);
        let call = match look::<V>(Some(self), &self.space, &bytes) {
            Looked::Hit(value) => return Ok(value),
            Looked::Call(call) => call,
        };
        let own = beginnings(&self.space, &bytes.bytes);
        let tags = tag::names(tags).map(|names| [names, own].concat());
        let options = fetching(life.into(), Some(limit.into().into()), tags);
        match Box::pin(call.load(options, as_load(loader))).await {
            Fetched::Value(value) => Ok(value),
            Fetched::Output(error) => Err(error),
            Fetched::TimedOut(timeout) => Err(timeout.into()),
        }
    }
}

/// How a value under a key of the user's own is loaded.
fn fetching<V: CacheWeight>(
    life: Life,
    timeout: Option<Duration>,
    tags: Result<Vec<TagName>, NotStorable>,
) -> CallOptions<V> {
    CallOptions {
        life: Some(life),
        profile: None,
        timeout,
        tags,
        by_caller: false,
        keyed_on_caller: false,
        weigh: V::cache_weight,
        sharing: V::remote_codec().map_or(Sharing::Cannot, Sharing::Shared),
    }
}

/// A loader of the user's own. Boxed with its type erased: loads within loads would otherwise hold one
/// another many times over.
fn as_load<V, E, F>(
    loader: impl FnOnce() -> F + Send + 'static,
) -> impl FnOnce() -> Pin<Box<dyn Future<Output = Finished<V, E>> + Send>> + Send + 'static
where
    F: Future<Output = Result<V, E>> + Send + 'static,
{
    move || {
        Box::pin(async move {
            match loader().await {
                Ok(value) => Finished::Store(value),
                Err(error) => Finished::Refuse(error, NotStorable::Error),
            }
        })
    }
}

/// Whether a value was stored, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored(pub(crate) Option<Reason>);

impl Stored {
    const fn forbidden() -> Self {
        Self(Some(Reason::NotStorable(NotStorable::Permission)))
    }

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
            let _ = self.cache.engine.land_pending(key, self.id, None, None);
        }
    }
}
