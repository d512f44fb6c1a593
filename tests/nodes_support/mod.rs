//! Several nodes in this process, on one server and one clock that is moved by hand.
#![allow(dead_code, unreachable_pub)]

use std::ops::Index;
use std::time::Duration;

use cache_core::remote::Memory;
use cache_core::{Cache, CacheBuilder, Clock};

pub struct Cluster {
    pub server: Memory,
    pub clock: Clock,
    nodes: Vec<Cache>,
}

impl Index<usize> for Cluster {
    type Output = Cache;

    fn index(&self, node: usize) -> &Cache {
        &self.nodes[node]
    }
}

impl Cluster {
    pub async fn new(nodes: usize) -> Self {
        Self::with(nodes, |builder| builder).await
    }

    pub async fn with(nodes: usize, told: impl Fn(CacheBuilder) -> CacheBuilder) -> Self {
        let clock = Clock::manual();
        let server = Memory::with_clock(clock.clone());
        let builder = || {
            Cache::builder()
                .clock(clock.clone())
                .remote(server.clone())
                .version("test")
        };
        let nodes: Vec<_> = (0..nodes).map(|_| told(builder()).build()).collect();
        for node in &nodes {
            node.connected().await;
        }
        Self {
            server,
            clock,
            nodes,
        }
    }

    /// Waits until what the nodes loaded is shared, and what they invalidated is known to all.
    pub async fn settled(&self) {
        settle().await;
        for node in &self.nodes {
            node.shutdown().await.unwrap();
        }
        settle().await;
    }

    /// Lets time pass in steps in which all that is due is done.
    pub async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(100);
        let mut left = time;
        while !left.is_zero() {
            let by = step.min(left);
            self.clock.advance(by);
            left -= by;
            settle().await;
        }
    }

    /// Whether the server holds these bytes anywhere.
    pub fn holds(&self, bytes: &str) -> bool {
        let within = |entry: &[u8]| entry.windows(bytes.len()).any(|w| w == bytes.as_bytes());
        self.server.entries().iter().any(|entry| within(entry))
    }
}

/// Lets every task run that can.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
