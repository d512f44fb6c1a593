//! Several nodes in this process, on one server and one clock that is moved by hand.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::ops::Index;
use std::time::Duration;

use cache_core::remote::Memory;
use cache_core::{Cache, CacheBuilder, Clock};

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

    /// Waits until what the nodes loaded is shared, and what they invalidated is known to all.
    pub(crate) async fn settled(&self) {
        for node in 0..self.nodes.len() {
            self.shared(node).await;
        }
        settle().await;
    }

    /// Whether the server holds these bytes anywhere.
    pub(crate) fn holds(&self, bytes: &str) -> bool {
        let within = |entry: &[u8]| entry.windows(bytes.len()).any(|w| w == bytes.as_bytes());
        self.server.entries().iter().any(|entry| within(entry))
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
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
