//! A cache, a database that knows its own truth, and the checks that every read goes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Unseen, AtomicUsize, Ordering::SeqCst};

use cache_core::{Cache, Clock, Life, Reason, cache_tag, observe};
use shuttle::future::{JoinHandle, spawn, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler, UrwRandomScheduler};
use shuttle::sync::atomic::AtomicU64;
use shuttle::{Config, MaxSteps, Runner};

/// Makes a test of each scenario, and counts them.
macro_rules! scenarios {
    ($($(#[$meta:meta])* $name:ident => $body:expr;)+) => {
        pub(crate) const SCENARIOS: usize = [$(stringify!($name)),+].len();
        $(
            $(#[$meta])*
            #[test]
            fn $name() {
                $crate::world::explore(stringify!($name), || shuttle::future::block_on($body));
            }
        )+
    };
}
pub(crate) use scenarios;

/// Runs `scenario` for its part of the schedules: half of them random, a quarter by probabilistic
/// concurrency testing, which finds bugs of few ordering constraints with a known probability, and
/// a quarter by uniform random walks.
pub(crate) fn explore(name: &str, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let total = std::env::var("SCHEDULES").map_or(20_000, |text| {
        text.parse().expect("SCHEDULES is a number of schedules")
    });
    let part = (total / crate::SCENARIOS).max(4);
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.max_steps = MaxSteps::FailAfter(100_000);
    let began = std::time::Instant::now();
    let run = scenario.clone();
    let mut ran = Runner::new(RandomScheduler::new(part / 2), config.clone()).run(run);
    let run = scenario.clone();
    ran += Runner::new(PctScheduler::new(3, part / 4), config.clone()).run(run);
    ran += Runner::new(UrwRandomScheduler::new(part / 4), config).run(scenario);
    println!("{name}: {ran} schedules in {:?}", began.elapsed());
}

/// How a scenario's values are kept.
pub(crate) fn plain() -> Life {
    Life::from_secs(3600)
}

/// With a stale window.
pub(crate) fn with_window() -> Life {
    plain().stale_while_revalidate("1h")
}

pub(crate) struct World {
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    rows: Vec<Row>,
}

/// One row of the database. What the checks use is unseen by the explorer: it adds no schedules.
#[derive(Default)]
struct Row {
    version: AtomicU64,
    /// A read that begins now never gets less.
    hard: Unseen,
    /// A read that begins now gets less only as a stale value.
    soft: Unseen,
    loading: AtomicUsize,
    most: AtomicUsize,
    loads: AtomicUsize,
}

/// A load that runs; also one that is dropped half-way ends.
struct Loading<'a>(&'a Row);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.loading.fetch_sub(1, SeqCst);
    }
}

/// What a read that begins now may get.
#[derive(Clone, Copy)]
pub(crate) struct Floor {
    hard: u64,
    soft: u64,
}

impl Floor {
    #[track_caller]
    pub(crate) fn check(self, value: u64, reason: Reason) {
        assert!(
            value >= self.hard,
            "version {value} was given ({reason}) to a read that began after version {} was \
             invalidated hard",
            self.hard
        );
        assert!(
            value >= self.soft || reason == Reason::Stale,
            "version {value} was given as {reason}, not as stale, to a read that began after \
             version {} was invalidated",
            self.soft
        );
    }
}

impl World {
    pub(crate) fn new(rows: usize) -> Arc<Self> {
        Self::with(rows, 1024)
    }

    pub(crate) fn with(rows: usize, max_concurrent_loads: usize) -> Arc<Self> {
        let clock = Clock::manual();
        let cache = Cache::builder()
            .clock(clock.clone())
            .max_concurrent_loads(max_concurrent_loads);
        Arc::new(Self {
            cache: cache.build(),
            clock,
            rows: (0..rows).map(|_| Row::default()).collect(),
        })
    }

    pub(crate) fn tag(row: usize) -> String {
        format!("row:{row}")
    }

    pub(crate) fn version(&self, row: usize) -> u64 {
        self.rows[row]
            .version
            .load(shuttle::sync::atomic::Ordering::SeqCst)
    }

    /// Changes a row, as a transaction that commits.
    pub(crate) fn write(&self, row: usize) -> u64 {
        let version = &self.rows[row].version;
        version.fetch_add(1, shuttle::sync::atomic::Ordering::SeqCst) + 1
    }

    /// From now on no read gets less than `version`.
    pub(crate) fn hardened(&self, row: usize, version: u64) {
        self.rows[row].hard.fetch_max(version, SeqCst);
        self.softened(row, version);
    }

    /// From now on no read gets less than `version` but as a stale value.
    pub(crate) fn softened(&self, row: usize, version: u64) {
        self.rows[row].soft.fetch_max(version, SeqCst);
    }

    pub(crate) fn write_and_invalidate(&self, row: usize) {
        let version = self.write(row);
        drop(self.cache.invalidate_cache(Self::tag(row)));
        self.hardened(row, version);
    }

    pub(crate) fn write_and_revalidate(&self, row: usize) {
        let version = self.write(row);
        drop(self.cache.revalidate_tag(Self::tag(row)));
        self.softened(row, version);
    }

    pub(crate) fn floor(&self, row: usize) -> Floor {
        let row = &self.rows[row];
        Floor {
            hard: row.hard.load(SeqCst),
            soft: row.soft.load(SeqCst),
        }
    }

    /// How many loads of a row ran, and how many at once.
    pub(crate) fn loads(&self, row: usize) -> (usize, usize) {
        let row = &self.rows[row];
        (row.loads.load(SeqCst), row.most.load(SeqCst))
    }

    /// What a loader does; `late`: the tag is known only once the row was read.
    pub(crate) async fn load(self: Arc<Self>, row: usize, late: bool) -> Result<u64, ()> {
        let state = &self.rows[row];
        state.loads.fetch_add(1, SeqCst);
        let running = state.loading.fetch_add(1, SeqCst) + 1;
        state.most.fetch_max(running, SeqCst);
        let _loading = Loading(state);
        let version = self.version(row);
        yield_now().await;
        if late {
            cache_tag(Self::tag(row));
        }
        Ok(version)
    }

    /// Reads a row through the cache, and checks what it gets.
    pub(crate) async fn read(
        self: &Arc<Self>,
        row: usize,
        life: Life,
        late: bool,
    ) -> (u64, Reason) {
        let tags = if late {
            Vec::new()
        } else {
            vec![Self::tag(row)]
        };
        let world = Arc::clone(self);
        let floor = self.floor(row);
        let fetch = self
            .cache
            .fetch(row, life, tags, move || world.load(row, late));
        let (value, reads) = observe(fetch).await;
        let (value, reason) = (value.expect("this loader never fails"), reads[0].reason);
        floor.check(value, reason);
        (value, reason)
    }

    /// Looks without a loader.
    pub(crate) async fn look(self: &Arc<Self>, row: usize) -> Option<u64> {
        let floor = self.floor(row);
        let value = self.cache.get::<u64>(row).await;
        if let Some(value) = value {
            floor.check(value, Reason::Hit);
        }
        value
    }

    /// Waits until no load or refresh runs.
    async fn rest(&self) {
        while self.cache.stats().running > 0 {
            yield_now().await;
        }
    }

    /// At rest: what is stored is the truth, or is once a refresh has run, and no more than two
    /// loads ever ran at once.
    pub(crate) async fn at_rest(self: &Arc<Self>, rows: impl IntoIterator<Item = usize>) {
        for row in rows {
            self.rest().await;
            let (mut value, mut reason) = self.read(row, plain(), true).await;
            if reason == Reason::Stale {
                self.rest().await;
                (value, reason) = self.read(row, plain(), true).await;
                assert_ne!(reason, Reason::Stale, "a refresh brought nothing");
            }
            assert_eq!(value, self.version(row), "row {row}, {reason}");
            assert!(
                self.loads(row).1 <= 2,
                "more than two loads of a key at once"
            );
            assert_eq!(self.cache.explain(row).running, 0);
        }
        assert_eq!(self.cache.stats().running, 0);
    }
}

/// Runs `tasks` side by side to their ends.
pub(crate) async fn together<const N: usize>(tasks: [JoinHandle<()>; N]) {
    for task in tasks {
        task.await.expect("no task is aborted");
    }
}

/// A task of readers.
pub(crate) fn reader(
    world: &Arc<World>,
    row: usize,
    times: usize,
    life: Life,
    late: bool,
) -> JoinHandle<()> {
    let world = Arc::clone(world);
    spawn(async move {
        for _ in 0..times {
            world.read(row, life, late).await;
        }
    })
}

/// A task that does something with the world.
pub(crate) fn task(
    world: &Arc<World>,
    act: impl FnOnce(&Arc<World>) + Send + 'static,
) -> JoinHandle<()> {
    let world = Arc::clone(world);
    spawn(async move { act(&world) })
}
