//! Readers and writers, each a thread with a client of its own, and what they saw.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::NODES;
use crate::node::Did;
use crate::truth::{ROWS, Truth};

const READERS: usize = 4;

/// What was seen so far.
#[derive(Default)]
struct Seen {
    reads: AtomicU64,
    failures: AtomicU64,
    changes: AtomicU64,
    everywhere: AtomicU64,
    /// Reads beyond the promise.
    stale: AtomicU64,
    /// Reads on the node that invalidated that did not see it.
    own_unseen: AtomicU64,
    /// Milliseconds from an acknowledgement until every node gave the new version.
    spread: Mutex<Vec<u64>>,
}

struct Shared {
    addresses: Mutex<[SocketAddr; NODES]>,
    truth: Arc<Truth>,
    seen: Seen,
    over: Arc<AtomicBool>,
}

/// The drivers.
pub(crate) struct Drive {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// The hits by level that each node last told of, and those of processes before them.
    told: [[u64; 2]; NODES],
    before: [u64; 2],
}

fn sum(one: [u64; 2], other: [u64; 2]) -> [u64; 2] {
    [one[0] + other[0], one[1] + other[1]]
}

fn client() -> ureq::Agent {
    let limit = Some(Duration::from_secs(1));
    ureq::Agent::config_builder()
        .timeout_global(limit)
        .build()
        .into()
}

impl Shared {
    fn node(&self, node: usize) -> SocketAddr {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)[node]
    }

    fn read(&self, client: &ureq::Agent, node: usize, row: usize) -> Option<u64> {
        let url = format!("http://{}/rows/{row}", self.node(node));
        let began = Instant::now();
        let text = client
            .get(&url)
            .call()
            .ok()?
            .body_mut()
            .read_to_string()
            .ok()?;
        let version = text.parse().ok()?;
        self.seen.reads.fetch_add(1, Ordering::Relaxed);
        if !self.truth.allows(row, version, began) {
            self.seen.stale.fetch_add(1, Ordering::Relaxed);
        }
        Some(version)
    }

    fn reads(&self) {
        let client = client();
        while !self.over.load(Ordering::Relaxed) {
            // A few rows are read most.
            let row = fastrand::usize(0..=fastrand::usize(0..ROWS));
            if self.read(&client, fastrand::usize(0..NODES), row).is_none() {
                self.seen.failures.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn writes(&self) {
        let client = client();
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            let (node, row) = (fastrand::usize(0..NODES), fastrand::usize(0..ROWS));
            let version = self.truth.change(row);
            let url = format!("http://{}/changed/{row}", self.node(node));
            let Ok(mut answer) = client.post(&url).send_empty() else {
                // Its process may be gone, and the invalidation with it: the next change of the row will do.
                continue;
            };
            let everywhere = answer
                .body_mut()
                .read_to_string()
                .is_ok_and(|text| text == "everywhere");
            self.seen.changes.fetch_add(1, Ordering::Relaxed);
            if self
                .read(&client, node, row)
                .is_some_and(|read| read < version)
            {
                self.seen.own_unseen.fetch_add(1, Ordering::Relaxed);
            }
            if everywhere {
                self.seen.everywhere.fetch_add(1, Ordering::Relaxed);
                self.truth.acknowledged(row, version);
                self.spreads(&client, row, version);
            }
        }
    }

    /// Looks until every node gives the version, or one takes longer than nodes that are well do.
    fn spreads(&self, client: &ureq::Agent, row: usize, version: u64) {
        let began = Instant::now();
        for node in 0..NODES {
            loop {
                if began.elapsed() > Duration::from_secs(1) {
                    return;
                }
                match self.read(client, node, row) {
                    Some(read) if read >= version => break,
                    _ => std::thread::sleep(Duration::from_micros(200)),
                }
            }
        }
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.seen
            .spread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(took);
    }
}

impl Drive {
    pub(crate) const HEADING: &str = "  time   reads  L1 hits  L2 hits  loads  failed  changes  everywhere  to the last node  stale";

    pub(crate) fn begin(
        addresses: [SocketAddr; NODES],
        truth: &Arc<Truth>,
        over: &Arc<AtomicBool>,
    ) -> Self {
        let shared = Arc::new(Shared {
            addresses: Mutex::new(addresses),
            truth: Arc::clone(truth),
            seen: Seen::default(),
            over: Arc::clone(over),
        });
        let thread = |act: fn(&Shared)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || act(&shared))
        };
        let readers = (0..READERS).map(|_| thread(Shared::reads));
        let threads = readers.chain([thread(Shared::writes)]).collect();
        Self {
            shared,
            threads,
            told: [[0; 2]; NODES],
            before: [0; 2],
        }
    }

    /// Tells where the nodes are now.
    pub(crate) fn know(&self, addresses: [SocketAddr; NODES]) {
        *self
            .shared
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// The hits of all since the start, by level: also of those that do not answer.
    fn hits(&mut self) -> [u64; 2] {
        let limit = Some(Duration::from_millis(100));
        let client: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(limit)
            .build()
            .into();
        for node in 0..NODES {
            let url = format!("http://{}/did", self.shared.node(node));
            let did = client.get(&url).call().ok();
            let did = did.and_then(|mut did| did.body_mut().read_to_string().ok());
            let Some(did) = did.and_then(|did| serde_json::from_str::<Did>(&did).ok()) else {
                continue;
            };
            let known = std::mem::replace(&mut self.told[node], [did.hits, did.second_level]);
            if did.hits < known[0] {
                // Another process by now.
                self.before = sum(self.before, known);
            }
        }
        self.told.into_iter().fold(self.before, sum)
    }

    /// A row of the table.
    pub(crate) fn row(&mut self, time: Duration, said: &str) -> String {
        let [hits, second_level] = self.hits();
        let seen = &self.shared.seen;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = seen
            .spread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last()
            .copied();
        format!(
            "{:>4} s {:>7} {:>8} {:>8} {:>6} {:>7} {:>8} {:>11} {:>14} ms {:>6}  {said}",
            time.as_secs(),
            read(&seen.reads),
            hits,
            second_level,
            self.shared.truth.loads(),
            read(&seen.failures),
            read(&seen.changes),
            read(&seen.everywhere),
            last.map_or_else(|| "-".to_owned(), |last| last.to_string()),
            read(&seen.stale),
        )
    }

    /// Ends all threads, and says what they saw.
    pub(crate) fn end(self) -> Summary {
        for thread in self.threads {
            // A driver does not panic; if one did, what it saw until then counts.
            let _ = thread.join();
        }
        let seen = &self.shared.seen;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut spread = seen
            .spread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        spread.sort_unstable();
        let at = |part: usize| spread.get(spread.len() * part / 100).copied();
        Summary {
            reads: read(&seen.reads),
            changes: read(&seen.changes),
            everywhere: read(&seen.everywhere),
            stale: read(&seen.stale),
            own_unseen: read(&seen.own_unseen),
            median: at(50),
            late: at(99),
        }
    }
}

/// What it came to.
pub(crate) struct Summary {
    reads: u64,
    changes: u64,
    everywhere: u64,
    stale: u64,
    own_unseen: u64,
    median: Option<u64>,
    late: Option<u64>,
}

impl Summary {
    /// Whether the promise held, and something was promised at all.
    pub(crate) const fn holds(&self) -> bool {
        self.stale == 0 && self.own_unseen == 0 && self.reads > 0 && self.everywhere > 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        writeln!(
            f,
            "{} reads, {} changes, {} acknowledged everywhere; to the last node in {} (median), {} (99 of 100)",
            self.reads,
            self.changes,
            self.everywhere,
            shown(self.median),
            shown(self.late)
        )?;
        write!(
            f,
            "reads beyond the promise: {}; own invalidations unseen: {}. {}",
            self.stale,
            self.own_unseen,
            if self.holds() {
                "The promise held."
            } else {
                "THE PROMISE BROKE."
            }
        )
    }
}
