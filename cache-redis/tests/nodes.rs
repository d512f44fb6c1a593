//! Whole caches over a real server that is killed, stopped, cut off, emptied, filled and replaced: the
//! application is answered throughout, within its limits, and what is promised holds.

#[path = "support/application.rs"]
mod application;
#[path = "support/proxy.rs"]
mod proxy;
mod support;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use application::{BOUND, LIMIT, Row, all_read_after_the_bound, change, node};
use cache_core::remote::Remote;
use cache_core::{Cache, Delivery};
use cache_redis::Redis;
use proxy::Proxy;
use support::{Keeping, Server, until};

fn node_at(url: &str) -> Cache {
    node(Redis::new(url).unwrap())
}

async fn nodes(server: &Server, count: usize) -> Vec<Cache> {
    let nodes: Vec<_> = (0..count).map(|_| node_at(&server.url())).collect();
    for node in &nodes {
        node.connected().await;
    }
    nodes
}

/// A row that each of these nodes has read, and so keeps.
async fn row_kept_by(nodes: &[Cache]) -> Row {
    let row = Row::default();
    row.set(1);
    for node in nodes {
        assert_eq!(row.read(node).await, 1);
    }
    row
}

/// A node beside the server, and one behind a proxy.
async fn near_and_far(server: &Server) -> (Proxy, Cache, Cache) {
    let proxy = Proxy::to(server.port).await;
    let (near, far) = (node_at(&server.url()), node_at(&proxy.url()));
    near.connected().await;
    far.connected().await;
    (proxy, near, far)
}

#[tokio::test]
async fn values_and_invalidations_reach_the_other_nodes() {
    let server = Server::new();
    let nodes = nodes(&server, 3).await;
    let row = Row::default();
    row.set(1);
    assert_eq!(row.read(&nodes[0]).await, 1);
    nodes[0].shutdown().await.unwrap();
    for node in &nodes {
        assert_eq!(row.read(node).await, 1);
    }
    assert_eq!(row.loads(), 1, "the others found it");
    assert_eq!(change(&row, 2, &nodes[1]).await, Delivery::Everywhere);
    for node in &nodes {
        until("an invalidation arrives", async || {
            row.read(node).await == 2
        })
        .await;
    }
}

/// Its first replica gives a server another identity, and no connection ends by that.
#[test]
fn a_node_that_was_frozen_looks_into_no_place_of_a_server_that_is_another_by_now() {
    let (server, replica) = (Server::new(), Server::new());
    let (here, frozen) = (runtime(), runtime());
    let row = Row::default();
    row.set(1);
    let near = here.block_on(async {
        let near = node_at(&server.url());
        near.connected().await;
        assert_eq!(row.read(&near).await, 1);
        near.shutdown().await.unwrap();
        near
    });
    let far = frozen.block_on(async {
        let far = node_at(&server.url());
        far.connected().await;
        assert_eq!(row.read(&far).await, 1);
        far
    });
    replica.replicate(&server);
    replica.waits_for("replication", "master_link_status:up");
    here.block_on(async {
        until("the server is known to be another", async || {
            near.stats().remote.is_some_and(|remote| remote.epochs == 1)
        })
        .await;
        row.set(2);
        until("it is removed", async || {
            let removed = near.remove("row").await.unwrap();
            removed.delivery == Delivery::Everywhere
        })
        .await;
        tokio::time::sleep(BOUND + LIMIT).await;
    });
    assert_eq!(frozen.block_on(row.read(&far)), 2);
}

/// As where an application begins in a runtime that is not its servers'.
#[test]
fn what_was_being_sent_in_a_runtime_that_ended_is_sent_in_the_next() {
    let server = Server::new();
    let (first, next) = (runtime(), runtime());
    let node = first.block_on(async {
        let node = node_at(&server.url());
        node.connected().await;
        server.signal("-STOP");
        drop(node.invalidate_cache("rows"));
        // It is on its way, and not given up.
        tokio::time::sleep(LIMIT / 4).await;
        node
    });
    drop(first);
    server.signal("-CONT");
    next.block_on(async {
        assert_eq!(node.shutdown().await, Ok(()));
    });
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[tokio::test]
async fn a_process_starts_without_its_server_and_is_connected_when_it_comes() {
    let mut server = Server::new();
    server.kill();
    let node = node_at(&server.url());
    let row = Row::default();
    row.set(1);
    assert_eq!(row.read(&node).await, 1);
    assert_eq!(change(&row, 2, &node).await, Delivery::Queued);
    server.start_again(Keeping::Nothing);
    node.connected().await;
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_killed_and_started_again_loses_no_invalidation() {
    for keeping in [Keeping::Nothing, Keeping::All] {
        let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
        let nodes = nodes(&server, 2).await;
        let row = row_kept_by(&nodes).await;
        nodes[0].shutdown().await.unwrap();
        server.kill();
        assert_eq!(change(&row, 2, &nodes[0]).await, Delivery::Queued);
        server.start_again(keeping);
        nodes[0].shutdown().await.unwrap();
        all_read_after_the_bound(&row, 2, &nodes).await;
        assert!(nodes[1].stats().remote.unwrap().epochs >= 1);
    }
}

#[tokio::test]
async fn a_stopped_server_delays_what_it_acknowledges_and_nothing_else() {
    let server = Server::new();
    let nodes = nodes(&server, 2).await;
    let row = row_kept_by(&nodes).await;
    server.signal("-STOP");
    assert_eq!(change(&row, 2, &nodes[0]).await, Delivery::Queued);
    // Ten seconds in which the application is answered.
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_secs(10) {
        for node in &nodes {
            let read = row.read(node).await;
            assert!(
                read == 2 || stopped.elapsed() < BOUND,
                "cut off, past the bound: {read}"
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.signal("-CONT");
    nodes[0].shutdown().await.unwrap();
    all_read_after_the_bound(&row, 2, &nodes).await;
}

#[tokio::test]
async fn an_emptied_server_and_killed_connections_lose_no_invalidation() {
    for fault in [
        &["FLUSHALL"][..],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["SCRIPT", "FLUSH"],
    ] {
        let server = Server::new();
        let nodes = nodes(&server, 2).await;
        let row = row_kept_by(&nodes).await;
        nodes[0].shutdown().await.unwrap();
        server.command(fault);
        let _ = change(&row, 2, &nodes[0]).await;
        nodes[0].shutdown().await.unwrap();
        all_read_after_the_bound(&row, 2, &nodes).await;
    }
}

#[tokio::test]
async fn a_trimmed_log_resets_who_missed_it_alone() {
    let server = Server::new();
    let (proxy, near, far) = near_and_far(&server).await;
    let row = row_kept_by(std::slice::from_ref(&far)).await;
    proxy.cut_answers(true);
    for value in 2..10 {
        change(&row, value, &near).await;
    }
    let log = server.command(&["KEYS", "rv:*log*"]);
    let log = log.lines().find(|line| line.starts_with("rv:")).unwrap();
    server.command(&["XTRIM", log, "MAXLEN", "1"]);
    proxy.cut_answers(false);
    until("it is reset", async || {
        far.stats().remote.unwrap().resets == 1
    })
    .await;
    assert_eq!(row.read(&far).await, 9);
    assert_eq!(near.stats().remote.unwrap().resets, 0);
}

#[tokio::test]
async fn a_node_that_hears_nothing_serves_nothing_older_than_the_bound() {
    let server = Server::new();
    let (proxy, near, far) = near_and_far(&server).await;
    let row = row_kept_by(std::slice::from_ref(&far)).await;
    // What it sends arrives, what is sent to it does not.
    proxy.cut_answers(true);
    assert_eq!(change(&row, 2, &near).await, Delivery::Everywhere);
    all_read_after_the_bound(&row, 2, std::slice::from_ref(&far)).await;
    proxy.cut_answers(false);
    proxy.delay(Duration::from_millis(50));
    until("it is connected again", async || {
        far.stats().remote.unwrap().connected
    })
    .await;
    assert_eq!(change(&row, 3, &near).await, Delivery::Everywhere);
    all_read_after_the_bound(&row, 3, &[far]).await;
}

#[tokio::test]
async fn a_full_server_evicts_and_no_value_is_old() {
    let server = Server::with(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]);
    let nodes = nodes(&server, 2).await;
    let row = Row::default();
    for value in 1..=20 {
        row.set(value);
        let done = nodes[0].invalidate_cache("rows").await.unwrap();
        for filler in 0..50 {
            let key = ("filler", value, filler);
            let load = || async {
                // Not to be made smaller.
                let bytes: Vec<u8> = (0..20_000).map(|_| fastrand::u8(..)).collect();
                Ok::<_, Infallible>(bytes)
            };
            let Ok(_) = nodes[0].fetch(key, "1h", ["fillers"], load).await;
        }
        let bookmark = done.bookmark.expect("evicting is no failure");
        let read = nodes[1].read_after(&bookmark, row.read(&nodes[1]));
        assert_eq!(read.await, value);
    }
    let evicted = server.command(&["INFO", "stats"]);
    let evicted = evicted
        .lines()
        .find(|line| line.starts_with("evicted_keys:"))
        .unwrap();
    assert_ne!(evicted, "evicted_keys:0");
}

#[tokio::test]
async fn a_full_disk_delays_what_it_refuses_and_nothing_else() {
    let server = Server::new();
    let nodes = nodes(&server, 2).await;
    let row = row_kept_by(&nodes).await;
    nodes[0].shutdown().await.unwrap();
    server.fill_disk(true);
    // Longer than what is known holds.
    let full = Instant::now();
    let mut value = 1;
    while full.elapsed() < 2 * BOUND {
        value += 1;
        assert_eq!(change(&row, value, &nodes[0]).await, Delivery::Queued);
        row.read(&nodes[1]).await;
    }
    // One that comes now is answered as well.
    let new = node_at(&server.url());
    assert_eq!(row.read(&new).await, value);
    let told = Redis::new(server.url())
        .unwrap()
        .connect("revalidate")
        .await
        .unwrap();
    let told = told.since(None).await.unwrap_err().to_string();
    assert!(told.contains("MISCONF"), "{told}");

    server.fill_disk(false);
    nodes[0].shutdown().await.unwrap();
    all_read_after_the_bound(&row, value, &nodes).await;
    assert_eq!(change(&row, value + 1, &new).await, Delivery::Everywhere);
}

#[tokio::test]
async fn a_failover_to_a_replica_that_missed_the_last_writes_loses_no_invalidation() {
    let (first, second) = (Server::new(), Server::new());
    // A master with its first replica has another identity than before.
    second.replicate(&first);
    let proxy = Proxy::to(first.port).await;
    let nodes = [node_at(&proxy.url()), node_at(&proxy.url())];
    for node in &nodes {
        node.connected().await;
    }
    let row = row_kept_by(&nodes).await;
    nodes[0].shutdown().await.unwrap();
    // From here on the replica misses what the master acknowledges.
    second.command(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(change(&row, 2, &nodes[0]).await, Delivery::Everywhere);
    proxy.lead_to(second.port);
    until("both go by the new one", async || {
        nodes.iter().all(|node| {
            let remote = node.stats().remote.unwrap();
            remote.connected && remote.epochs == 1
        })
    })
    .await;
    nodes[0].shutdown().await.unwrap();
    for node in &nodes {
        assert_eq!(row.read(node).await, 2);
    }
    let found = second.command(&["KEYS", "rv:*log*"]);
    assert!(found.contains("rv:"), "{found}");
}

#[tokio::test]
async fn a_wrong_password_is_no_failure_of_the_application() {
    let server = Server::with(&["--requirepass", "right"]);
    let node = node_at(&server.url());
    let row = Row::default();
    row.set(1);
    assert_eq!(row.read(&node).await, 1);
    assert_eq!(change(&row, 2, &node).await, Delivery::Queued);
    until("the refusals are counted", async || {
        node.stats().remote.unwrap().errors > 0
    })
    .await;
}
