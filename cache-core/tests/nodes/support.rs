//! A cluster in this process, on a clock that is moved by hand, and a source of values.

use std::ops::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::remote::Memory;
use cache_core::{Cache, CacheBuilder, CacheKey, Clock, IntoTags, Life};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Caches that share a server.
pub(crate) struct Cluster {
    pub(crate) server: Memory,
    pub(crate) clock: Clock,
    nodes: Vec<Cache>,
}

impl Index<usize> for Cluster {
    type Output = Cache;

    fn index(&self, node: usize) -> &Cache {
        &self.nodes[node]
    }
}

impl Cluster {
    pub(crate) async fn new(nodes: usize) -> Self {
        Self::with(nodes, |builder| builder).await
    }

    /// One whose nodes are set up further.
    pub(crate) async fn with(nodes: usize, set_up: impl Fn(CacheBuilder) -> CacheBuilder) -> Self {
        let clock = Clock::manual();
        let server = Memory::with_clock(clock.clone());
        let node = || {
            let builder = Cache::builder()
                .clock(clock.clone())
                .remote(server.clone())
                .version("test");
            set_up(builder).build()
        };
        let nodes: Vec<_> = (0..nodes).map(|_| node()).collect();
        for node in &nodes {
            node.connected().await;
        }
        Self {
            server,
            clock,
            nodes,
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Cache> {
        self.nodes.iter()
    }

    /// Waits until what a node loaded is shared.
    pub(crate) async fn shared(&self, node: usize) {
        settle().await;
        self.nodes[node].shutdown().await.unwrap();
    }

    /// Lets time pass in steps in which all that is due is done.
    pub(crate) async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(100);
        let mut left = time;
        while !left.is_zero() {
            let by = step.min(left);
            self.clock.advance(by);
            left -= by;
            settle().await;
        }
    }

    /// Lets time pass until a future is over.
    pub(crate) async fn while_time_passes<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        loop {
            let polled =
                std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx)));
            if let std::task::Poll::Ready(output) = polled.await {
                return output;
            }
            self.pass(Duration::from_millis(100)).await;
        }
    }
}

/// Lets every task run that can.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

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
