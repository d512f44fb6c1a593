//! Nodes whose server, or whose outbox, loses what it held, in the ways that are seldom met by chance.

use std::time::Duration;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::{Cluster, settle};
use crate::support::Source;
use cache_core::remote::{Memory, Remote, Reply, Session};
use cache_core::{Cache, Clock, Delivery, Life};

const SECOND: Duration = Duration::from_secs(1);

/// Invalidates on the first node while the server cannot be reached.
async fn invalidate_cut_off(cluster: &Cluster, invalidate: impl AsyncFnOnce() -> Delivery) {
    cluster.server.set_reachable(false);
    settle().await;
    assert_eq!(
        cluster.while_time_passes(invalidate()).await,
        Delivery::Queued
    );
    cluster.server.set_reachable(true);
}

#[tokio::test]
async fn more_invalidations_than_are_kept_are_one_of_everything() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 1);
    source.set(2);
    invalidate_cut_off(&cluster, async || {
        let tags: Vec<_> = (0..10_001).map(|tag| format!("tag-{tag}")).collect();
        drop(cluster[0].invalidate_cache("rows"));
        let invalidated = cluster[0].invalidate_cache(tags).await;
        invalidated.unwrap().delivery
    })
    .await;
    cluster.pass(6 * SECOND).await;
    assert_eq!(cluster[0].shutdown().await, Ok(()));
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 2);
}

/// More bytes than a server takes at once would never be acknowledged.
#[tokio::test]
async fn longer_invalidations_than_are_kept_are_one_of_everything() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 1);
    source.set(2);
    let key = |number: usize| number.to_string() + &"k".repeat(1 << 15);
    invalidate_cut_off(&cluster, async || {
        for number in 0..31 {
            drop(cluster[0].remove(key(number)));
            drop(cluster[0].remove(key(number)));
        }
        assert_eq!(cluster[0].stats().remote.unwrap().outbox, 31);
        cluster[0].remove(key(31)).await.unwrap().delivery
    })
    .await;
    assert_eq!(cluster[0].stats().remote.unwrap().outbox, 1);
    cluster.pass(6 * SECOND).await;
    assert_eq!(cluster[0].shutdown().await, Ok(()));
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 2);
}

#[tokio::test]
async fn both_kinds_of_one_tag_are_delivered() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    let life = || Life::from_secs(3600).stale_while_revalidate("1h");
    let read = async |node: usize| {
        source
            .fetch_for(&cluster[node], "a", life(), ["rows"])
            .await
    };
    assert_eq!(read(1).await, 1);
    source.set(2);
    invalidate_cut_off(&cluster, async || {
        drop(cluster[0].invalidate_cache("rows"));
        let invalidated = cluster[0].revalidate_tag("rows").await;
        invalidated.unwrap().delivery
    })
    .await;
    cluster.pass(2 * SECOND).await;
    assert_eq!(cluster[0].shutdown().await, Ok(()));
    settle().await;
    assert_eq!(read(1).await, 2);
}

#[tokio::test]
async fn what_was_made_of_a_stale_value_stays_where_it_was_made() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    let life = Life::from_secs(3600).stale_if_error("1h");
    assert_eq!(
        source.fetch_for(&cluster[0], "inner", life, ["rows"]).await,
        1
    );
    cluster[0].revalidate_tag("rows").await.unwrap();
    let inner = cluster[0].clone();
    let load = move || async move {
        let fails = || async { Err::<u64, ()>(()) };
        inner.fetch("inner", life, ["rows"], fails).await
    };
    let shown_meanwhile = Life::from_secs(3600).stale_while_revalidate("1h");
    let outer = cluster[0].fetch("outer", shown_meanwhile, ["pages"], load);
    assert_eq!(outer.await, Ok(1));
    cluster.shared(0).await;
    source.set(2);
    assert_eq!(source.fetch(&cluster[1], "outer", ["pages"]).await, 2);
}

/// The clock stands still, so the new log's first record has the id of the old one's.
#[tokio::test]
async fn a_log_that_was_begun_anew_is_not_the_old_one() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 1);
    cluster.shared(1).await;
    cluster.server.flush();
    source.set(2);
    let invalidated = cluster[0].invalidate_cache("rows").await;
    assert_eq!(invalidated.unwrap().delivery, Delivery::Everywhere);
    cluster.pass(6 * SECOND).await;
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 2);
}

/// It may have stood still meanwhile, and the server have become another, under which the place was emptied.
#[tokio::test]
async fn a_node_that_is_not_current_looks_into_no_place() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.shared(0).await;
    source.set(2);
    // Nothing has been asked since.
    cluster.clock.advance(6 * SECOND);
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 2);
}

/// An address behind which one server or the other answers.
#[derive(Clone, Debug)]
struct Either(Arc<AtomicUsize>, [Memory; 2]);

impl Either {
    fn is_now(&self, which: usize) {
        self.1[which].set_reachable(true);
        self.0.store(which, Ordering::SeqCst);
        self.1[1 - which].set_reachable(false);
    }
}

impl Remote for Either {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        self.1[self.0.load(Ordering::SeqCst)].connect(namespace)
    }
}

/// It was out of reach and never stopped, so it is the same server, and knows nothing of what the other
/// acknowledged since.
#[tokio::test]
async fn a_server_that_comes_back_serves_nothing_of_before() {
    let clock = Clock::manual();
    let server = || Memory::with_clock(clock.clone());
    let either = Either(Arc::default(), [server(), server()]);
    let node = || {
        let builder = Cache::builder().clock(clock.clone()).version("test");
        builder.remote(either.clone()).build()
    };
    let (one, other) = (node(), node());
    let connected = async || {
        for _ in 0..300 {
            clock.advance(SECOND / 10);
            settle().await;
        }
        assert!(one.stats().remote.unwrap().connected);
        assert!(other.stats().remote.unwrap().connected);
    };
    connected().await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&one, "a", ["rows"]).await, 1);
    settle().await;
    assert_eq!(source.fetch(&other, "a", ["rows"]).await, 1);
    assert_eq!(source.loads(), 1);
    either.is_now(1);
    connected().await;
    source.set(2);
    let invalidated = one.invalidate_cache("rows").await.unwrap();
    assert_eq!(invalidated.delivery, Delivery::Everywhere);
    connected().await;
    either.is_now(0);
    connected().await;
    assert_eq!(source.fetch(&other, "a", ["rows"]).await, 2);
}
/// Nor to who began while another was in charge, and so does not know it for one of before.
#[tokio::test]
async fn a_server_that_comes_back_serves_nothing_of_before_to_who_never_met_it() {
    let clock = Clock::manual();
    let server = || Memory::with_clock(clock.clone());
    let either = Either(Arc::default(), [server(), server()]);
    let node = || {
        let builder = Cache::builder().clock(clock.clone()).version("test");
        builder.remote(either.clone()).build()
    };
    let passes = async || {
        for _ in 0..300 {
            clock.advance(SECOND / 10);
            settle().await;
        }
    };
    let source = Source::new(1);
    let before = node();
    before.connected().await;
    assert_eq!(source.fetch(&before, "a", ["rows"]).await, 1);
    settle().await;
    before.shutdown().await.unwrap();
    drop(before);
    either.is_now(1);
    let since = node();
    since.connected().await;
    source.set(2);
    let invalidated = since.invalidate_cache("rows").await.unwrap();
    assert_eq!(invalidated.delivery, Delivery::Everywhere);
    passes().await;
    either.is_now(0);
    passes().await;
    assert!(since.stats().remote.unwrap().connected);
    assert_eq!(source.fetch(&since, "a", ["rows"]).await, 2);
}
