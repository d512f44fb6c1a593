//! Nodes whose server, or whose outbox, loses what it held, in the ways that are seldom met by chance.

use std::time::Duration;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::{Cluster, settle};
use crate::support::Source;
use bytes::Bytes;
use cache_core::remote::{Memory, Remote, Reply, Session, Token};
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
struct Either {
    clock: Clock,
    servers: [Memory; 2],
    now: Arc<AtomicUsize>,
}

impl Either {
    fn new() -> Self {
        let clock = Clock::manual();
        let server = || Memory::with_clock(clock.clone());
        Self {
            servers: [server(), server()],
            now: Arc::default(),
            clock,
        }
    }

    fn node(&self) -> Cache {
        let builder = Cache::builder().clock(self.clock.clone()).version("test");
        builder.remote(self.clone()).build()
    }

    fn is_now(&self, which: usize) {
        self.servers[which].set_reachable(true);
        self.now.store(which, Ordering::SeqCst);
        self.servers[1 - which].set_reachable(false);
    }

    /// Long enough for all to come over.
    async fn half_a_minute_passes(&self) {
        for _ in 0..300 {
            self.clock.advance(SECOND / 10);
            settle().await;
        }
    }
}

impl Remote for Either {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        self.servers[self.now.load(Ordering::SeqCst)].connect(namespace)
    }
}

/// It was out of reach and never stopped, so it is the same server, and knows nothing of what the other
/// acknowledged since.
#[tokio::test]
async fn a_server_that_comes_back_serves_nothing_of_before() {
    let (either, source) = (Either::new(), Source::new(1));
    let (one, other) = (either.node(), either.node());
    one.connected().await;
    other.connected().await;
    assert_eq!(source.fetch(&one, "a", ["rows"]).await, 1);
    settle().await;
    assert_eq!(source.fetch(&other, "a", ["rows"]).await, 1);
    assert_eq!(source.loads(), 1);
    either.is_now(1);
    either.half_a_minute_passes().await;
    source.set(2);
    let invalidated = one.invalidate_cache("rows").await.unwrap();
    assert_eq!(invalidated.delivery, Delivery::Everywhere);
    either.half_a_minute_passes().await;
    either.is_now(0);
    either.half_a_minute_passes().await;
    assert!(other.stats().remote.unwrap().connected);
    assert_eq!(source.fetch(&other, "a", ["rows"]).await, 2);
}

/// Nor to who began while another was in charge, and so does not know it for one of before.
#[tokio::test]
async fn a_server_that_comes_back_serves_nothing_of_before_to_who_never_met_it() {
    let (either, source) = (Either::new(), Source::new(1));
    let before = either.node();
    before.connected().await;
    assert_eq!(source.fetch(&before, "a", ["rows"]).await, 1);
    settle().await;
    before.shutdown().await.unwrap();
    drop(before);
    either.is_now(1);
    let since = either.node();
    since.connected().await;
    source.set(2);
    let invalidated = since.invalidate_cache("rows").await.unwrap();
    assert_eq!(invalidated.delivery, Delivery::Everywhere);
    either.half_a_minute_passes().await;
    either.is_now(0);
    either.half_a_minute_passes().await;
    assert!(since.stats().remote.unwrap().connected);
    assert_eq!(source.fetch(&since, "a", ["rows"]).await, 2);
}

#[tokio::test]
async fn what_is_stored_takes_no_place_that_another_holds() {
    let session = Memory::new().connect("revalidate").await.unwrap();
    let (place, entry) = (Bytes::from("place"), Bytes::from("entry"));
    let (holder, other) = (Token::random(), Token::random());
    let held = session.hold(place.clone(), holder, SECOND).await;
    assert_eq!(held, Ok(true));
    let store = |occupant| session.store(place.clone(), occupant, entry.clone(), SECOND);
    assert_eq!(store(other).await, Ok(false));
    assert_eq!(store(holder).await, Ok(true));
}
