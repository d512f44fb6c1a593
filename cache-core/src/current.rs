//! The free functions: the same as the methods, on the cache and the load that are current.

use crate::CacheKey;
use crate::cache::Cache;
use crate::context::{self, Access, Observer, Scoped};
use crate::error::InvalidateError;
use crate::life::Life;
use crate::outward::late;
use crate::path::PathTarget;
use crate::reason::NotStorable;
use crate::tag::{self, IntoTags};
use crate::verbs::Invalidating;
use crate::weight::CacheWeight;

/// [`Cache::revalidate_tag`] on the current cache.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::revalidate_tag;
///
/// async fn rename(id: i64) -> Result<(), Box<dyn std::error::Error>> {
///     // .. write to the database, commit, then:
///     revalidate_tag(format!("contact:{id}")).await?;
///     Ok(())
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() { rename(7).await.unwrap() }
/// ```
pub fn revalidate_tag<M>(tags: impl IntoTags<M>) -> Invalidating {
    on_current(|cache| cache.revalidate_tag(tags))
}

/// [`Cache::invalidate_cache`] on the current cache.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use cache_core as revalidate;
/// use revalidate::invalidate_cache;
///
/// invalidate_cache(["contacts", "crm"]).await?;
/// # Ok(()) }
/// ```
pub fn invalidate_cache<M>(tags: impl IntoTags<M>) -> Invalidating {
    on_current(|cache| cache.invalidate_cache(tags))
}

/// [`Cache::revalidate_path`] on the current cache.
pub fn revalidate_path(path: impl Into<PathTarget>) -> Invalidating {
    on_current(|cache| cache.revalidate_path(path))
}

pub(crate) fn on_current(act: impl FnOnce(&Cache) -> Invalidating) -> Invalidating {
    match Cache::current() {
        Some(cache) => act(&cache),
        None => Invalidating::refused(InvalidateError::NoCurrentCache),
    }
}

/// [`Cache::fetch`] on the current cache; without one the loader just runs.
///
/// # Errors
///
/// The loader's.
///
/// # Panics
///
/// As [`Cache::fetch`].
pub async fn fetch<V, E, F, L, M>(
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
    match Cache::current() {
        Some(cache) => cache.fetch(key, life, tags, loader).await,
        None => Box::pin(loader()).await,
    }
}

/// Adds tags to the cached function or response that this runs in; outside of one, nothing.
///
/// May be called once the data is known, any number of times, from anything that the cached
/// function awaits. At most 128 tags of 1 to 256 characters: past that the value is served but not
/// stored, because an entry that lacks a tag would outlive its invalidation.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{Cache, cache_tag};
/// use std::convert::Infallible;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// async fn bookings() -> Result<Vec<u64>, Infallible> {
///     let found = vec![3, 5];
///     cache_tag(found.iter().map(|id| format!("booking:{id}")));
///     Ok(found)
/// }
///
/// let cache = Cache::new();
/// cache.fetch("bookings", "1h", ["bookings"], bookings).await.unwrap();
/// cache.invalidate_cache("booking:5").await.unwrap();
/// assert_eq!(cache.get::<Vec<u64>>("bookings").await, None);
/// # }
/// ```
pub fn cache_tag<M>(tags: impl IntoTags<M>) {
    add_tags(tag::names(tags));
}

pub(crate) fn add_tags(names: Result<Vec<tag::TagName>, NotStorable>) {
    let Some(context) = context::current() else {
        return;
    };
    let Some(record) = &context.record else {
        return;
    };
    let open = match names {
        Ok(names) => {
            let tags = record.engine.ledger.records(&names);
            record.with(|recorded| tags.iter().for_each(|tag| recorded.add(tag)))
        }
        Err(why) => record.with(|recorded| recorded.partial = Some(why)),
    };
    if !open {
        late(&record.engine);
    }
}

/// Gives the cached function or response that this runs in its lifetime, over what its attribute or
/// layer says; outside of one, nothing.
///
/// # Panics
///
/// On text that is no lifetime.
#[track_caller]
pub fn cache_life(life: impl Into<Life>) {
    let life = life.into();
    with_record(|recorded| recorded.life = Some(life));
}

/// Lets the cached function or response that this runs in be stored although cached calls inside it
/// fail, or are dropped before they end (`select!`, a time limit): for values that are right without
/// what failed, and need not follow its tags.
pub fn allow_inner_failures() {
    with_record(|recorded| recorded.failures_allowed = true);
}

fn with_record(change: impl FnOnce(&mut crate::record::Recorded)) {
    let Some(context) = context::current() else {
        return;
    };
    let Some(record) = &context.record else {
        return;
    };
    if !record.with(change) {
        late(&record.engine);
    }
}

/// Runs `future` and tells what every cached read in it came to, for at most 10,000 reads.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{Cache, Reason, observe};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cache = Cache::new();
/// let (value, reads) = observe(cache.get::<u64>("answer")).await;
/// assert_eq!(value, None);
/// assert_eq!(reads[0].reason, Reason::NeverStored);
/// # }
/// ```
pub async fn observe<F: Future>(future: F) -> (F::Output, Vec<Access>) {
    let observer = Observer::new();
    let context = context::derive(|context| context.observer = Some(observer.clone()));
    let output = Scoped::new(Some(context), future).await;
    (output, observer.take())
}

/// Runs `future` past every cache: its cached calls neither read, nor write, nor join loads.
pub fn bypass<F>(future: F) -> Scoped<F> {
    let context = context::derive(|context| context.bypass = true);
    Scoped::new(Some(context), future)
}

/// Carries the current load into spawned tasks.
pub trait FutureExt: Sized {
    /// Runs this future as a part of the cached function or response that is current now: what it
    /// calls, wherever it is polled, adds its tags there. As tracing's `in_current_span`.
    ///
    /// ```
    /// # use cache_core as revalidate;
    /// use revalidate::{Cache, FutureExt, cache_tag};
    /// use std::convert::Infallible;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let cache = Cache::new();
    /// let load = || async {
    ///     let task = async { cache_tag("from-a-task") }.in_current_load();
    ///     tokio::spawn(task).await.unwrap();
    ///     Ok::<_, Infallible>(1)
    /// };
    /// cache.fetch("one", "1h", ["numbers"], load).await.unwrap();
    /// assert!(cache.explain("one").tags.contains(&"from-a-task".to_owned()));
    /// # }
    /// ```
    fn in_current_load(self) -> Scoped<Self>;
}

impl<F: Future> FutureExt for F {
    fn in_current_load(self) -> Scoped<Self> {
        Scoped::new(context::current(), self)
    }
}
