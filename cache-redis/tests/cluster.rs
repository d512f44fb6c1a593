//! Whole caches over a Cluster whose slots move and whose masters are replaced, while the application reads on
//! every node and invalidates on one: it is answered throughout, and what is promised holds.

#[path = "support/application.rs"]
mod application;
#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use application::{BOUND, LIMIT, node};
use cache_core::{Cache, Delivery};
use cluster::Cluster;
use support::{Server, until};
use tokio::task::JoinHandle;

/// Read under keys of their own, so in slots of their own.
const ROWS: u64 = 40;

/// What is read and written all the while.
struct Traffic {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    nodes: [Cache; 2],
    /// Of the database: all rows have it.
    version: AtomicU64,
    /// What the first node invalidated, and so may not be older there.
    invalidated: AtomicU64,
    /// And what was acknowledged, and when.
    acknowledged: Mutex<Vec<(Instant, u64)>>,
    /// Until when a fault may show that lost what was acknowledged.
    losing: Mutex<Option<Instant>>,
    ended: AtomicBool,
}

/// What was counted so far.
struct Seen {
    found: u64,
    errors: u64,
    acknowledged: u64,
}

impl Shared {
    /// The oldest that a read which begins now may get.
    fn least(&self, node: usize, now: Instant) -> u64 {
        if node == 0 {
            return self.invalidated.load(Ordering::SeqCst);
        }
        if self.losing.lock().unwrap().is_some_and(|until| now < until) {
            return 0;
        }
        let acknowledged = self.acknowledged.lock().unwrap();
        let known = acknowledged.iter().filter(|(at, _)| *at + BOUND < now);
        known.map(|(_, version)| *version).max().unwrap_or(0)
    }

    async fn read(self: &Arc<Self>, node: usize, row: u64) {
        let database = Arc::clone(self);
        let load =
            move || async move { Ok::<_, Infallible>(database.version.load(Ordering::SeqCst)) };
        let began = Instant::now();
        let least = self.least(node, began);
        let read = self.nodes[node].fetch(("row", row), "1h", ["rows"], load);
        let Ok(version) = read.await;
        let took = began.elapsed();
        assert!(
            took < 4 * LIMIT + Duration::from_secs(1),
            "a read took {took:?}"
        );
        assert!(
            version >= least,
            "node {node} reads {version}, not even {least}"
        );
    }

    async fn write(&self) {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        let began = Instant::now();
        let delivery = self.nodes[0].invalidate_cache("rows");
        self.invalidated.store(version, Ordering::SeqCst);
        let delivery = delivery.await.unwrap().delivery;
        let took = began.elapsed();
        assert!(
            took < LIMIT + Duration::from_secs(1),
            "an invalidation took {took:?}"
        );
        if delivery == Delivery::Everywhere {
            let mut acknowledged = self.acknowledged.lock().unwrap();
            acknowledged.push((Instant::now(), version));
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Traffic {
    async fn over(cluster: &Cluster) -> Self {
        let shared = Arc::new(Shared {
            nodes: [(); 2].map(|()| node(cluster.redis())),
            version: AtomicU64::new(0),
            invalidated: AtomicU64::new(0),
            acknowledged: Mutex::default(),
            losing: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        for node in &shared.nodes {
            node.connected().await;
        }
        let mut tasks = Vec::new();
        for node in [0, 1] {
            let shared = Arc::clone(&shared);
            tasks.push(tokio::spawn(async move {
                for row in (0..ROWS).cycle() {
                    if shared.has_ended() {
                        break;
                    }
                    shared.read(node, row).await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }));
        }
        let writing = Arc::clone(&shared);
        tasks.push(tokio::spawn(async move {
            while !writing.has_ended() {
                writing.write().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
        let traffic = Self { shared, tasks };
        traffic.is_well("the entries are shared").await;
        traffic
    }

    /// A fault that loses what was acknowledged begins, or is over.
    fn loses(&self, begins: bool) {
        let until = Duration::from_secs(if begins { 600 } else { 0 }) + BOUND;
        *self.shared.losing.lock().unwrap() = Some(Instant::now() + until);
    }

    /// Waits until all rows are read a few times without an error, some of them as one node stored them and the other found, and
    /// invalidations are acknowledged.
    async fn is_well(&self, what: &str) {
        until(what, async || {
            self.runs();
            let before = self.seen();
            tokio::time::sleep(Duration::from_millis(700)).await;
            let after = self.seen();
            let more = |what: fn(&Seen) -> u64| what(&after) > what(&before);
            more(|seen| seen.found) && more(|seen| seen.acknowledged) && !more(|seen| seen.errors)
        })
        .await;
    }

    fn seen(&self) -> Seen {
        let nodes = self.shared.nodes.each_ref();
        let remotes = nodes.map(|node| node.stats().remote.unwrap());
        Seen {
            found: remotes.iter().map(|remote| remote.hits).sum(),
            errors: remotes.iter().map(|remote| remote.errors).sum(),
            acknowledged: self.shared.acknowledged.lock().unwrap().len() as u64,
        }
    }

    fn runs(&self) {
        assert!(
            self.tasks.iter().all(|task| !task.is_finished()),
            "see above"
        );
    }

    /// Ends it; what was invalidated last is seen by all.
    async fn ends(self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        for node in &self.shared.nodes {
            node.shutdown().await.unwrap();
        }
        tokio::time::sleep(BOUND).await;
        let last = self.shared.invalidated.load(Ordering::SeqCst);
        self.shared
            .acknowledged
            .lock()
            .unwrap()
            .push((Instant::now() - 2 * BOUND, last));
        for (node, row) in (0..2).flat_map(|node| (0..ROWS).map(move |row| (node, row))) {
            self.shared.read(node, row).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_while_nodes_work() {
    let cluster = Cluster::new().await;
    let traffic = Traffic::over(&cluster).await;
    let log = cluster.slot("{revalidate}");
    let home = cluster.place("{revalidate}");
    let (beside, away) = ((home + 1) % 3, (home + 2) % 3);

    // Slots of entries, while nobody but them is concerned.
    let names = cluster.names(beside);
    let slots = names.iter().map(|name| cluster.slot(name));
    for slot in slots.take(10) {
        cluster.begin_move(&slot, beside, away);
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.move_keys(&slot, beside, away);
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.end_move(&slot, beside, away);
        traffic.runs();
    }
    traffic.is_well("the moved entries are shared").await;
    for node in &traffic.shared.nodes {
        let remote = node.stats().remote.unwrap();
        assert_eq!(
            (remote.resets, remote.epochs),
            (0, 0),
            "the log is where it was"
        );
    }

    // The log's, there and back.
    for (from, to) in [(home, away), (away, home)] {
        cluster.begin_move(&log, from, to);
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.move_keys(&log, from, to);
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.end_move(&log, from, to);
        traffic.is_well("the moved log is followed").await;
    }
    traffic.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_are_replaced_while_nodes_work() {
    let mut cluster = Cluster::new().await;
    let home = cluster.place("{revalidate}");
    let beside = (home + 1) % 3;
    cluster.add_replicas([beside, home]).await;
    let traffic = Traffic::over(&cluster).await;
    for (master, replica) in [(beside, 3), (home, 4)] {
        // By itself, which loses nothing.
        let took_over = cluster.0[replica].command(&["CLUSTER", "FAILOVER"]);
        assert!(took_over.starts_with("+OK"), "{took_over}");
        cluster.is_in_charge(replica).await;
        traffic.is_well("the replica is spoken to").await;
        cluster.0[master].waits_for("replication", "master_link_status:up");

        // And because it is dead: back to the first.
        traffic.loses(true);
        cluster.0[replica].kill();
        cluster.is_in_charge(master).await;
        traffic.is_well("the first is spoken to again").await;
        traffic.loses(false);
    }
    traffic.ends().await;
}

/// How often the servers have read what clients sent: of many commands that come together, seldom.
fn reads(cluster: &Cluster) -> u64 {
    let of = |server: &Server| {
        let stats = server.command(&["INFO", "stats"]);
        let mut lines = stats.lines();
        let reads = lines.find_map(|line| line.strip_prefix("total_reads_processed:"));
        reads.unwrap().parse::<u64>().unwrap()
    };
    cluster.0.iter().map(of).sum()
}

/// One after the other they could take longer than an answer is waited for, and be sent again for ever.
#[tokio::test]
async fn many_keys_removed_at_once_are_removed_in_time() {
    const KEYS: u64 = 500;
    let cluster = Cluster::new().await;
    let nodes = [(); 2].map(|()| node(cluster.redis()));
    let version = AtomicU64::new(1);
    let read = async |node: &Cache, row: u64| {
        let version = version.load(Ordering::SeqCst);
        let load = move || async move { Ok::<_, Infallible>(version) };
        let Ok(read) = node.fetch(("row", row), "1h", ["rows"], load).await;
        read
    };
    for node in &nodes {
        node.connected().await;
    }
    let [near, far] = &nodes;
    for row in 0..KEYS {
        assert_eq!(read(near, row).await, 1);
        if row % 100 == 99 {
            near.shutdown().await.unwrap();
        }
    }
    version.store(2, Ordering::SeqCst);
    let remote = |node: &Cache| node.stats().remote.unwrap();
    // One may be missing, of a machine that has much else to do.
    for row in 0..10 {
        read(far, row).await;
    }
    assert!(remote(near).shared > KEYS / 2 && remote(far).hits > 5);

    let (before, errors) = (reads(&cluster), remote(near).errors);
    let removals: Vec<_> = (0..KEYS).map(|row| near.remove(("row", row))).collect();
    let mut bookmark = None;
    for removal in removals {
        let removed = removal.await.unwrap();
        assert_eq!(removed.delivery, Delivery::Everywhere);
        bookmark = removed.bookmark;
    }
    let took = reads(&cluster) - before;
    assert!(took < KEYS / 2, "{took} reads");
    assert_eq!(remote(near).errors, errors);
    let bookmark = bookmark.expect("it was acknowledged");
    for row in 0..KEYS {
        assert_eq!(far.read_after(&bookmark, read(far, row)).await, 2);
    }
    assert_eq!(remote(far).learned, 1, "all went as one");
}
