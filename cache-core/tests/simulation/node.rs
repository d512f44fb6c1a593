//! A node: a machine with a clock, which may sleep, and on it a process that freezes and crashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::{Cache, Clock, Timestamp};
use tokio::runtime::{Builder, Runtime};

use crate::clients::{self, Site};
use crate::network::{Link, Network};
use crate::source::Kind;
use crate::world::Shared;

/// How caches are set up in a run; small, so that much happens in little time.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bound: Duration,
    pub(crate) remote_timeout: Duration,
    pub(crate) delivery_limit: Duration,
    pub(crate) wait_limit: Duration,
    pub(crate) max_local_age: Duration,
    pub(crate) lease: Duration,
    pub(crate) loads: usize,
    pub(crate) clients: usize,
    pub(crate) habits: Habits,
}

/// What clients are wont to do: each run is dense in something else.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Of what they read.
    pub(crate) kinds: Vec<Kind>,
    /// Most is about the first so many rows.
    pub(crate) rows: usize,
    /// How many of a hundred steps are changes.
    pub(crate) changes: u8,
    /// Nothing is changed after that, which would hide what was not heard of.
    pub(crate) changes_until: Duration,
    /// How many of a hundred loads are slow.
    pub(crate) slow: u8,
    /// The longest pause between two steps, in microseconds.
    pub(crate) pause: u64,
}

pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) clock: Clock,
    /// For how long, in nanoseconds, it stood still or its clock jumped: nobody's waiting.
    pub(crate) stood_still: Arc<AtomicU64>,
    /// By its clock.
    pub(crate) frozen_since: Option<Timestamp>,
    /// Since when, and until when at least, by the time of the run.
    pub(crate) asleep: Option<(Duration, Duration)>,
    pub(crate) process: Option<Process>,
    processes: u32,
}

/// One life of a node.
pub(crate) struct Process {
    runtime: Runtime,
    pub(crate) site: Arc<Site>,
}

impl Node {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            clock: Clock::manual(),
            stood_still: Arc::default(),
            frozen_since: None,
            asleep: None,
            process: None,
            processes: 0,
        }
    }

    /// Starts a process with its clients.
    pub(crate) fn start(
        &mut self,
        settings: &Settings,
        shared: &Arc<Shared>,
        network: &Arc<Network>,
    ) {
        self.processes += 1;
        let mut builder = Builder::new_current_thread();
        // One poll of the runtime runs all that can run.
        builder.event_interval(100_000);
        #[cfg(tokio_unstable)]
        {
            let seed = shared.time.pick(|rng| rng.u64(..)).to_le_bytes();
            builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed));
        }
        let runtime = builder.build().expect("a runtime");
        let link = Link {
            network: Arc::clone(network),
            node: self.number,
        };
        let cache = {
            let _here = runtime.enter();
            Cache::builder()
                .clock(self.clock.clone())
                .version("simulated")
                .max_bytes(1 << 20)
                .remote(link)
                .proof_bound(settings.bound)
                .remote_timeout(settings.remote_timeout)
                .delivery_limit(settings.delivery_limit)
                .wait_limit(settings.wait_limit)
                .max_local_age(settings.max_local_age)
                .max_concurrent_loads(settings.loads)
                .lease(settings.lease)
                .build()
        };
        let site = Arc::new(Site {
            shared: Arc::clone(shared),
            cache,
            clock: self.clock.clone(),
            process: (self.number, self.processes),
            settings: settings.clone(),
            stood_still: Arc::clone(&self.stood_still),
            stopping: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
        });
        for _ in 0..settings.clients {
            let rng = shared.time.pick(fastrand::Rng::fork);
            site.clients.fetch_add(1, Ordering::SeqCst);
            runtime.spawn(clients::client(Arc::clone(&site), rng));
        }
        self.process = Some(Process { runtime, site });
        shared.time.wake(self.number);
    }

    /// Runs all that can run.
    pub(crate) fn poll(&self) {
        if let Some(process) = &self.process
            && self.is_running()
        {
            process.runtime.block_on(async {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            });
        }
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(process) = &self.process {
            drop(process.runtime.spawn(future));
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some() && self.frozen_since.is_none() && self.asleep.is_none()
    }
}
