//! A remote that takes its time to be connected to.

use std::sync::Arc;
use std::time::Duration;

use cache_core::remote::{Memory, Remote, Reply, Session};
use cache_core::{Cache, Clock};

use crate::cluster::settle;

#[derive(Debug)]
struct Slow(Memory, Clock);

impl Remote for Slow {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        Box::pin(async move {
            self.1.sleep(Duration::from_secs(10)).await;
            self.0.connect(namespace).await
        })
    }
}

#[tokio::test]
async fn connecting_takes_as_long_as_the_remote_lets_it() {
    let clock = Clock::manual();
    let slow = Slow(Memory::with_clock(clock.clone()), clock.clone());
    let builder = Cache::builder().clock(clock.clone());
    let node = builder.remote_timeout("500ms").remote(slow).build();
    for _ in 0..10 {
        settle().await;
        clock.advance(Duration::from_secs(1));
    }
    settle().await;
    let stats = node.stats().remote.expect("it is a node");
    assert_eq!((stats.connected, stats.errors), (true, 0));
}
