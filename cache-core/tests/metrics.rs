//! What the feature `metrics` tells a recorder: what `Cache::stats` counts, how a node of many stands, and nothing that
//! the guide does not list.

#[path = "nodes/cluster.rs"]
mod cluster;
#[path = "nodes/support.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use cache_core::remote::Memory;
use cache_core::{Cache, CacheWeight, Clock, FutureExt, RemoteStats, cache_tag};
use cluster::{Cluster, settle};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::Source;

/// Bytes of a value that goes to the second level.
const MOST: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// The metrics of this thread, added up as they are taken.
struct Metrics {
    snapshotter: Snapshotter,
    _recording: metrics::LocalRecorderGuard<'static>,
    counted: BTreeMap<String, u64>,
    shown: BTreeMap<String, f64>,
}

impl Metrics {
    fn record() -> Self {
        let recorder = Box::leak(Box::new(DebuggingRecorder::new()));
        Self {
            snapshotter: recorder.snapshotter(),
            _recording: metrics::set_default_local_recorder(recorder),
            counted: BTreeMap::new(),
            shown: BTreeMap::new(),
        }
    }

    /// Takes what there is since the last look.
    fn look(&mut self) {
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let name = key.key().name().to_owned();
            match value {
                DebugValue::Counter(count) => *self.counted.entry(name).or_default() += count,
                DebugValue::Gauge(value) => {
                    let of = key.key().labels().next();
                    let of = of.map(|label| (label.key(), label.value()));
                    assert_eq!(of, Some(("cache", "shop")), "{name}");
                    self.shown.insert(name, value.0);
                }
                DebugValue::Histogram(_) => panic!("{name}"),
            }
        }
    }

    fn count(&self, name: &str) -> u64 {
        let count = self.counted.get(&format!("revalidate_remote_{name}_total"));
        count.copied().unwrap_or(0)
    }

    /// Gauges, as they are now.
    fn gauges<const N: usize>(&mut self, names: [&str; N]) -> [f64; N] {
        self.look();
        names.map(|name| self.shown[&format!("revalidate_remote_{name}")])
    }
}

async fn cluster(nodes: usize) -> Cluster {
    Cluster::with(nodes, |builder| {
        let builder = builder.namespace("shop").max_local_age(0);
        builder.max_remote_bytes(MOST)
    })
    .await
}

/// One of a node's counts.
type Count = fn(&RemoteStats) -> u64;

/// A value that stays where it was made.
#[derive(Clone)]
struct Local;
impl CacheWeight for Local {}

/// Does each thing that is counted, once at least.
async fn all_there_is(cluster: &Cluster) {
    let source = Source::new(1);
    source.fetch(&cluster[0], "a", ["rows"]).await;
    cluster.shared(0).await;
    source.fetch(&cluster[1], "a", ["rows"]).await;
    let local = || async { Ok::<_, Infallible>(Local) };
    let Ok(_) = cluster[0].fetch("local", "1h", ["rows"], local).await;
    // Read as what it is not.
    let text = || async { Ok::<_, Infallible>(String::new()) };
    let Ok(_) = cluster[1].fetch("a", "1h", ["rows"], text).await;
    cluster.shared(1).await;
    let large = || async { Ok::<_, Infallible>("x".repeat(MOST + 1)) };
    let Ok(_) = cluster[0].fetch("large", "1h", ["rows"], large).await;
    cluster.shared(0).await;
    // Whether a load begins at once or as a task, one of these two is asked before the server hears of it.
    source.fetch(&cluster[0], "b", ["rows"]).await;
    source.fetch(&cluster[0], "c", ["rows"]).await;
    cluster.shared(0).await;
    let invalidate = async { drop(cluster[1].invalidate_cache("rows")) };
    tokio::join!(
        source.fetch(&cluster[1], "b", ["rows"]),
        invalidate,
        source.fetch(&cluster[1], "c", ["rows"])
    );
    cluster.settled().await;
    cluster.server.flush();
    cluster.pass(3 * SECOND).await;
    cluster.server.restart();
    cluster.pass(3 * SECOND).await;
    let late = || async {
        let late = async {
            settle().await;
            cache_tag("late");
        }
        .in_current_load();
        Ok::<_, Infallible>(tokio::spawn(late).id().to_string())
    };
    let Ok(_) = cluster[0].fetch("late", "1h", ["rows"], late).await;
    settle().await;
    cluster.settled().await;
}

#[tokio::test]
async fn what_is_counted_of_nodes_is_told_and_what_is_told_is_in_the_guide() {
    let mut metrics = Metrics::record();
    let cluster = cluster(2).await;
    all_there_is(&cluster).await;
    let of: Vec<_> = cluster
        .nodes()
        .filter_map(|node| node.stats().remote)
        .collect();
    let counts: [(&str, Count); 12] = [
        ("hits", |stats| stats.hits),
        ("misses", |stats| stats.misses),
        ("refused", |stats| stats.refused),
        ("unreadable", |stats| stats.unreadable),
        ("shared", |stats| stats.shared),
        ("unshared", |stats| stats.unshared),
        ("too_large", |stats| stats.too_large),
        ("local_only", |stats| stats.local_only),
        ("invalidations", |stats| stats.learned),
        ("epochs", |stats| stats.epochs),
        ("resets", |stats| stats.resets),
        ("errors", |stats| stats.errors),
    ];
    metrics.look();
    for (name, count) in counts {
        let counted: u64 = of.iter().map(count).sum();
        assert!(counted > 0, "{name}: {of:?}");
        assert_eq!(metrics.count(name), counted, "{name}");
    }
    let told: BTreeSet<_> = metrics.counted.keys().chain(metrics.shown.keys()).collect();
    let guide = include_str!("../../docs/guide.md");
    let listed = guide.lines().filter_map(|line| {
        let (name, what) = line.strip_prefix("| `")?.split_once(['`', '{'])?;
        let is_metric = what.contains(" counter | ") || what.contains(" gauge | ");
        is_metric.then(|| name.to_owned())
    });
    let listed: Vec<_> = listed.collect();
    assert_eq!(told, listed.iter().collect());
}

#[tokio::test]
async fn a_node_shows_since_when_it_does_not_know() {
    let mut metrics = Metrics::record();
    let cluster = cluster(1).await;
    settle().await;
    let stands = ["connected", "outbox", "lag_seconds"];
    assert_eq!(metrics.gauges(stands), [1.0, 0.0, 0.0]);
    let began = cluster.clock.system_time();
    cluster.server.set_reachable(false);
    drop(cluster[0].invalidate_cache(["rows", "row"]));
    cluster.pass(10 * SECOND).await;
    let [connected, outbox, lag] = metrics.gauges(stands);
    assert_eq!((connected, outbox), (0.0, 2.0));
    // It looks once in a second and a half, at the longest.
    assert!((8.5..=10.0).contains(&lag), "{lag}");
    let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let last = metrics.shown["revalidate_remote_last_current_timestamp_seconds"];
    assert!((last - began.as_secs_f64()).abs() < 0.1, "{last} {began:?}");
    cluster.server.set_reachable(true);
    cluster.pass(2 * SECOND).await;
    let [connected, outbox, lag] = metrics.gauges(stands);
    assert_eq!((connected, outbox), (1.0, 0.0));
    assert!(lag <= 1.0, "{lag}");
}

#[tokio::test]
async fn a_node_that_never_was_current_knows_nothing() {
    let mut metrics = Metrics::record();
    let clock = Clock::manual();
    let server = Memory::with_clock(clock.clone());
    server.set_reachable(false);
    let builder = Cache::builder().clock(clock).remote(server);
    let cache = builder.namespace("shop").build();
    Source::new(1).fetch(&cache, "a", ["rows"]).await;
    settle().await;
    let known = ["connected", "lag_seconds", "last_current_timestamp_seconds"];
    assert_eq!(metrics.gauges(known), [0.0, f64::INFINITY, 0.0]);
}
