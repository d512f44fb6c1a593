//! A source of values.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::{Cache, CacheKey, IntoTags, Life};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where values come from.
#[derive(Clone)]
pub(crate) struct Source(Arc<(AtomicU64, AtomicU64)>);

impl Source {
    pub(crate) fn new(value: u64) -> Self {
        Self(Arc::new((value.into(), 0.into())))
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.0.store(value, Ordering::SeqCst);
    }

    pub(crate) fn loads(&self) -> u64 {
        self.0.1.load(Ordering::SeqCst)
    }

    fn load(&self) -> u64 {
        self.0.1.fetch_add(1, Ordering::SeqCst);
        self.0.0.load(Ordering::SeqCst)
    }

    pub(crate) async fn fetch<M>(&self, cache: &Cache, key: &str, tags: impl IntoTags<M>) -> u64 {
        self.fetch_for(cache, key, "1h", tags).await
    }

    pub(crate) async fn fetch_for<M>(
        &self,
        cache: &Cache,
        key: impl CacheKey,
        life: impl Into<Life>,
        tags: impl IntoTags<M>,
    ) -> u64 {
        let source = self.clone();
        let load = move || async move { Ok::<_, std::convert::Infallible>(source.load()) };
        let Ok(value) = cache.fetch(key, life, tags, load).await;
        value
    }

    /// Begins a load that has read its value and ends when told to.
    pub(crate) fn begin_load(
        &self,
        cache: &Cache,
        key: &'static str,
        tags: [&'static str; 1],
    ) -> Loading {
        let (read, has_read) = oneshot::channel();
        let (end, ends) = oneshot::channel::<()>();
        let (cache, source) = (cache.clone(), self.clone());
        let task = tokio::spawn(async move {
            let load = move || async move {
                let value = source.load();
                let _ = read.send(());
                let _ = ends.await;
                Ok::<_, std::convert::Infallible>(value)
            };
            let Ok(value) = cache.fetch(key, "1h", tags, load).await;
            value
        });
        Loading {
            has_read: Some(has_read),
            end: Some(end),
            task,
        }
    }
}

/// A load that runs.
pub(crate) struct Loading {
    has_read: Option<oneshot::Receiver<()>>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<u64>,
}

impl Loading {
    /// Waits until it has read.
    pub(crate) async fn has_read(&mut self) {
        if let Some(has_read) = self.has_read.take() {
            let _ = has_read.await;
        }
    }

    pub(crate) async fn end(mut self) -> u64 {
        self.has_read().await;
        drop(self.end.take());
        self.task.await.unwrap()
    }
}
