//! Two and more nodes over the remote in this process: what one invalidates the others drop, what one
//! loads the others need not, and what is not known is not served.

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[path = "nodes/builds.rs"]
mod builds;
#[path = "nodes/callers.rs"]
mod callers;
#[path = "nodes/cluster.rs"]
mod cluster;
#[path = "nodes/connecting.rs"]
mod connecting;
#[path = "nodes/formats.rs"]
mod formats;
#[path = "nodes/late.rs"]
mod late;
#[path = "nodes/losses.rs"]
mod losses;
#[path = "nodes/shapes.rs"]
mod shapes;
#[path = "nodes/support.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use cache_core::remote::Memory;
use cache_core::respond::{self, Joined, ResponseKey, Scope, Turn};
use cache_core::spi::{self, Begun};
use cache_core::{
    Cache, Clock, CutOff, Delivery, InvalidateError, Invalidation, KeyPath, Life, Reason, observe,
};
use cluster::{Cluster, settle};
use support::Source;

const SECOND: Duration = Duration::from_secs(1);

/// Nodes that each keep a value of a source, 1.
async fn nodes_that_keep_one(nodes: usize) -> (Cluster, Source) {
    let (cluster, source) = (Cluster::new(nodes).await, Source::new(1));
    for node in cluster.nodes() {
        assert_eq!(source.fetch(node, "a", ["rows"]).await, 1);
    }
    (cluster, source)
}

/// Every node reads 2 who has caught up with an invalidation that was acknowledged.
async fn two_is_everywhere_after(done: &Invalidation, cluster: &Cluster, source: &Source) {
    let bookmark = done.bookmark.as_ref().expect("it was acknowledged");
    for node in cluster.nodes() {
        let read = node.read_after(bookmark, source.fetch(node, "a", ["rows"]));
        assert_eq!(read.await, 2);
    }
}

#[tokio::test]
async fn a_value_that_one_node_loaded_is_found_by_another() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(7);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 7);
    cluster.shared(0).await;
    source.set(8);
    let (value, reads) = observe(source.fetch(&cluster[1], "a", ["rows"])).await;
    assert_eq!((value, source.loads()), (7, 1));
    assert_eq!(
        (reads[0].reason, reads[0].reason.is_hit()),
        (Reason::Remote, true)
    );
    let stats = cluster[1].stats();
    assert_eq!(
        (stats.misses, stats.reasons),
        (0, vec![(Reason::Remote, 1)])
    );
    let remote = stats.remote.expect("it is a node");
    assert_eq!((remote.hits, remote.connected), (1, true));
}

#[tokio::test]
async fn an_invalidation_is_everywhere_once_it_is_acknowledged() {
    let (cluster, source) = nodes_that_keep_one(3).await;
    source.set(2);
    let done = cluster[0].invalidate_cache("rows").await.unwrap();
    assert_eq!(done.delivery, Delivery::Everywhere);
    two_is_everywhere_after(&done, &cluster, &source).await;
    let bookmark = done.bookmark.unwrap();
    let next = cluster[1].invalidate_cache("rows").await.unwrap();
    let next = next.bookmark.unwrap();
    assert_eq!(next.epoch(), bookmark.epoch());
    assert!(next.position() > bookmark.position());
}

#[tokio::test]
async fn a_removed_key_is_gone_on_every_level() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.shared(0).await;
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 1);
    source.set(2);
    let removed = cluster[0].remove("a").await.unwrap();
    let bookmark = removed.bookmark.unwrap();
    let read = cluster[1].read_after(&bookmark, source.fetch(&cluster[1], "a", ["rows"]));
    assert_eq!(read.await, 2);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 2);
}

#[tokio::test]
async fn a_value_put_on_one_node_is_read_on_another() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(0);
    assert!(cluster[0].put("a", 5_u64, "1h", ["rows"]).is_stored());
    cluster.shared(0).await;
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 5);
    assert_eq!(source.loads(), 0);
}

#[tokio::test]
async fn what_a_gateway_stores_on_one_node_is_read_on_another() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(0);
    let scopes = [cluster[0].scope("flow"), cluster[1].scope("flow")];
    let path = KeyPath::new().part("token").part(7_u64);
    let life = || Life::from("1h");
    let begun = Begun::now(&cluster[0]);
    assert!(begun.put(&scopes[0], &path, 5_u64, life()).is_stored());
    cluster.shared(0).await;
    let read = async |node: usize| {
        source
            .fetch_for(&scopes[node], path.clone(), life(), [] as [&str; 0])
            .await
    };
    assert_eq!(read(1).await, 5);
    // One that is removed while it is on its way does not arrive.
    let begun = Begun::now(&cluster[0]);
    assert!(begun.put(&scopes[0], &path, 6_u64, life()).is_stored());
    drop(scopes[0].remove(path.clone()));
    cluster.shared(0).await;
    cluster.shared(1).await;
    assert_eq!(read(1).await, 0);
    // Nor is one kept out by what stands there and is valid no more.
    cluster.shared(1).await;
    respond::invalidate(&cluster[0], &spi::key_tags(&scopes[0], &path));
    cluster.shared(0).await;
    let begun = Begun::now(&cluster[0]);
    assert!(begun.put(&scopes[0], &path, 7_u64, life()).is_stored());
    cluster.shared(0).await;
    assert_eq!((read(1).await, source.loads()), (7, 1));
}

#[tokio::test]
async fn an_invalidation_that_races_a_load_on_another_node_wins() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    let mut loading = source.begin_load(&cluster[1], "a", ["rows"]);
    loading.has_read().await;
    source.set(2);
    let done = cluster[0].invalidate_cache("rows").await.unwrap();
    // The load has read 1 and ends now.
    loading.end().await;
    cluster.shared(1).await;
    two_is_everywhere_after(&done, &cluster, &source).await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_serves_what_it_has_for_the_bound_and_no_longer() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.server.set_reachable(false);
    source.set(2);
    cluster.pass(2 * SECOND).await;
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.pass(5 * SECOND).await;
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 2);
    assert_eq!(
        cluster[0]
            .stats()
            .reasons
            .iter()
            .find(|(why, _)| *why == Reason::Unproven)
            .map(|(_, n)| *n),
        Some(1)
    );
}

/// How long a node keeps a value before it asks again is no part of the value's life.
#[tokio::test]
async fn what_is_made_of_a_value_lives_as_long_elsewhere_as_that_does() {
    let cluster = Cluster::with(2, |builder| builder.max_local_age("10s")).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[0], "inner", ["rows"]).await, 1);
    cluster.pass(9 * SECOND).await;
    let (inner, within) = (cluster[0].clone(), source.clone());
    let load = move || async move { Ok::<_, ()>(within.fetch(&inner, "inner", ["rows"]).await) };
    let outer = cluster[0].fetch("outer", Life::default(), ["pages"], load);
    assert_eq!(outer.await, Ok(1));
    cluster.shared(0).await;
    cluster.pass(3 * SECOND).await;
    source.set(2);
    assert_eq!(source.fetch(&cluster[1], "outer", ["pages"]).await, 1);
}

#[tokio::test]
async fn a_node_whose_machine_slept_serves_nothing_from_before() {
    let minute = 60 * SECOND;
    let sleeps = |clock: &Clock| clock.suspend(minute);
    let is_set = |clock: &Clock| clock.set_system_time(clock.system_time() - minute);
    for parts in [&sleeps as &dyn Fn(&Clock), &is_set] {
        let cluster = Cluster::new(2).await;
        let source = Source::new(1);
        assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
        cluster.shared(0).await;
        parts(&cluster.clock);
        cluster.pass(SECOND).await;
        // Of the second level, which knows what was invalidated meanwhile.
        assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
        assert_eq!(source.loads(), 1);
        // Nor where it is cut off, and cannot know.
        cluster.server.set_reachable(false);
        cluster.pass(SECOND).await;
        assert_eq!(source.fetch(&cluster[0], "b", ["rows"]).await, 1);
        source.set(2);
        parts(&cluster.clock);
        cluster.pass(SECOND).await;
        assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 2);
        assert_eq!(source.fetch(&cluster[0], "b", ["rows"]).await, 2);
    }
}

#[tokio::test]
async fn serve_until_ttl_serves_on() {
    let clock = Clock::manual();
    let server = Memory::with_clock(clock.clone());
    server.set_reachable(false);
    let cache = Cache::builder()
        .clock(clock.clone())
        .remote(server)
        .when_cut_off(CutOff::ServeUntilTtl)
        .build();
    let source = Source::new(1);
    assert_eq!(source.fetch(&cache, "a", ["rows"]).await, 1);
    source.set(2);
    clock.advance(600 * SECOND);
    assert_eq!(source.fetch(&cache, "a", ["rows"]).await, 1);
}

#[tokio::test]
async fn an_unproven_value_is_served_on_errors_only_where_that_was_asked_for() {
    let cluster = Cluster::new(1).await;
    let node = &cluster[0];
    let loaded = async |life: Life, key: &'static str, value: Result<u64, ()>| {
        node.fetch(key, life, ["rows"], move || async move { value })
            .await
    };
    let plain = Life::from("1h");
    let forgiving = Life::from("1h").stale_if_error("1h");
    assert_eq!(loaded(plain, "plain", Ok(1)).await, Ok(1));
    assert_eq!(loaded(forgiving, "forgiving", Ok(1)).await, Ok(1));
    cluster.server.set_reachable(false);
    cluster.pass(11 * SECOND).await;
    assert_eq!(loaded(plain, "plain", Err(())).await, Err(()));
    assert_eq!(loaded(forgiving, "forgiving", Err(())).await, Ok(1));
}

#[tokio::test]
async fn what_is_not_acknowledged_is_queued_and_delivered_later() {
    let (cluster, source) = nodes_that_keep_one(2).await;
    cluster.shared(0).await;
    cluster.server.set_reachable(false);
    source.set(2);
    let queued =
        cluster.while_time_passes(async { cluster[0].invalidate_cache("rows").await.unwrap() });
    assert_eq!(queued.await.delivery, Delivery::Queued);
    let queued =
        cluster.while_time_passes(async { cluster[0].invalidate_cache("rows").everywhere().await });
    assert_eq!(queued.await, Err(InvalidateError::NotEverywhere));
    // The caller sees its own at once, whatever the second level holds.
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 2);
    cluster.server.set_reachable(true);
    cluster.pass(10 * SECOND).await;
    assert_eq!(cluster[0].shutdown().await, Ok(()));
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 2);
}

#[tokio::test]
async fn a_process_that_ends_has_told_all_or_says_how_much_is_left() {
    let cluster = Cluster::new(2).await;
    cluster.server.set_reachable(false);
    drop(cluster[0].invalidate_cache(["one", "other"]));
    let ended = cluster.while_time_passes(cluster[0].shutdown());
    assert_eq!(ended.await.map_err(|left| left.queued), Err(2));
    cluster.server.set_reachable(true);
    let ended = cluster.while_time_passes(cluster[0].shutdown());
    assert_eq!(ended.await, Ok(()));
    assert_eq!(cluster[0].stats().remote.map(|stats| stats.outbox), Some(0));
}

#[tokio::test]
async fn a_server_that_was_emptied_loses_no_invalidation() {
    for lose in [
        Memory::flush as fn(&Memory),
        Memory::restart_empty,
        Memory::restart,
    ] {
        let (cluster, source) = nodes_that_keep_one(2).await;
        cluster.shared(0).await;
        lose(&cluster.server);
        source.set(2);
        let done =
            cluster.while_time_passes(async { cluster[0].invalidate_cache("rows").await.unwrap() });
        let _ = done.await;
        cluster.pass(6 * SECOND).await;
        for node in cluster.nodes() {
            assert_eq!(source.fetch(node, "a", ["rows"]).await, 2);
        }
    }
}

/// As a request of this path.
async fn on_path<F: Future>(cache: &Cache, path: &str, read: F) -> F::Output {
    let mut scope = Scope::passing(cache, false);
    scope.on(path, None);
    scope.enter(read).await
}

/// Two nodes of which one shared 1, and the other has dropped a page since; by now it is 2.
async fn shared_before_a_page_was_dropped() -> (Cluster, Source) {
    let (cluster, source) = (Cluster::new(2).await, Source::new(1));
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.shared(0).await;
    source.set(2);
    cluster[1].revalidate_path("/page").await.unwrap();
    (cluster, source)
}

#[tokio::test]
async fn what_the_second_level_had_is_older_than_any_path_that_was_dropped() {
    let (cluster, source) = shared_before_a_page_was_dropped().await;
    let read = || source.fetch(&cluster[1], "a", ["rows"]);
    // Its value is right for all but the requests of that path, whoever asked for it first.
    assert_eq!(read().await, 1);
    assert_eq!(on_path(&cluster[1], "/other", read()).await, 1);
    assert_eq!(on_path(&cluster[1], "/page", read()).await, 2);
    assert_eq!((read().await, source.loads()), (2, 2));
}

#[tokio::test]
async fn a_request_whose_path_was_dropped_takes_nothing_of_another_that_finds_it_in_the_second_level()
 {
    let (cluster, source) = shared_before_a_page_was_dropped().await;
    let read = || source.fetch(&cluster[1], "a", ["rows"]);
    // Both come before the server answers the first.
    cluster.server.set_answering(false);
    let answers = async {
        settle().await;
        cluster.server.set_answering(true);
    };
    let of_page = on_path(&cluster[1], "/page", read());
    let (first, of_page, ()) = tokio::join!(read(), of_page, answers);
    assert_eq!((first, of_page), (1, 2));
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn who_joins_a_response_takes_it_only_if_it_is_proven_for_it() {
    let half = 5 * SECOND / 2;
    for at_its_head in [true, false] {
        let cluster = Cluster::new(1).await;
        let (node, source) = (&cluster[0], Source::new(1));
        cluster.server.set_reachable(false);
        cluster.pass(SECOND).await;
        assert_eq!(source.fetch(node, "a", ["rows"]).await, 1);
        cluster.pass(half).await;
        let key = ResponseKey::new(b"GET /");
        let board = || {
            let (arrival, _) = respond::find::<u64>(node, b"GET /");
            respond::board::<u64>(node, &key, arrival, &[])
        };
        let Turn::Lead(lead) = board() else {
            panic!("nothing runs");
        };
        // Proven for as long as every value is, and that is half of the bound.
        let read = lead.scope().enter(source.fetch(node, "a", ["rows"]));
        assert_eq!((read.await, source.loads()), (1, 1));
        cluster.pass(half).await;
        let Turn::Join(join) = board() else {
            panic!("it began no longer ago than that");
        };
        if at_its_head {
            lead.share_head(Arc::new("the head"));
        } else {
            let _ = lead.store(1_u64, 8, (Some("1h".into()), Duration::ZERO), None);
        }
        // What it is made of is as old as the whole bound.
        let joined = join.wait::<u64>(node, respond::wait_until(node)).await;
        assert!(
            matches!(joined, Joined::Again | Joined::Alone),
            "{joined:?}"
        );
    }
}

#[tokio::test]
async fn a_lost_tag_record_is_a_miss() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.shared(0).await;
    cluster.server.evict(|name| name == b"#rows");
    source.set(2);
    assert_eq!(source.fetch(&cluster[1], "a", ["rows"]).await, 2);
}

#[tokio::test]
async fn a_value_of_another_type_under_the_key_is_a_miss_on_other_nodes_too() {
    let cluster = Cluster::new(2).await;
    assert!(cluster[0].put("a", 7_u64, "1h", ["rows"]).is_stored());
    cluster.shared(0).await;
    let load = || async { Ok::<_, std::convert::Infallible>(bytes::Bytes::from("loaded")) };
    // Any bytes are bytes, those of a number too.
    let Ok(read) = cluster[1].fetch("a", "1h", ["rows"], load).await;
    assert_eq!(read, "loaded");
    assert_eq!(cluster[1].stats().remote.unwrap().unreadable, 1);
}

#[tokio::test]
async fn a_node_that_keeps_nothing_itself_shares_what_it_loads_all_the_same() {
    let cluster = Cluster::with(2, |builder| builder.max_local_age(0)).await;
    let source = Source::new(1);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    cluster.shared(0).await;
    for node in [0, 1, 0] {
        assert_eq!(source.fetch(&cluster[node], "a", ["rows"]).await, 1);
    }
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn a_node_asks_the_second_level_again_after_an_hour() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    assert_eq!(source.fetch_for(&cluster[0], "a", "1d", ["rows"]).await, 1);
    cluster.shared(0).await;
    cluster.pass(3601 * SECOND).await;
    assert_eq!(source.fetch_for(&cluster[0], "a", "1d", ["rows"]).await, 1);
    assert_eq!(source.loads(), 1);
    assert_eq!(cluster[0].stats().remote.unwrap().hits, 1);
}
