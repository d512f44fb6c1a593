//! One run: nodes, a network, servers, and what happens to them.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::Clock;
use cache_core::remote::{Bookmark, Memory};

use crate::checker::{Checker, Demand};
use crate::faults::{Class, Fault, Plan};
use crate::network::{CALM, Cut, Network};
use crate::node::Node;
use crate::source::Source;
use crate::timeline::{Timeline, lock};

/// What everybody in a run has.
pub(crate) struct Shared {
    pub(crate) time: Arc<Timeline>,
    pub(crate) source: Source,
    pub(crate) checker: Mutex<Checker>,
    /// Where the last invalidation stands that was acknowledged: readers are told.
    pub(crate) told: Mutex<Option<(Bookmark, Demand)>>,
    pub(crate) seen: Seen,
}

/// What was seen in all runs together: what never happens is not tested.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) queued: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) shared: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) learned: AtomicU64,
    pub(crate) epochs: AtomicU64,
    pub(crate) resets: AtomicU64,
    /// Processes that ended when all was told.
    pub(crate) ended: AtomicU64,
    /// Replies that did not show all of the log.
    pub(crate) more: AtomicU64,
    /// Responses that were joined while they were made.
    pub(crate) heads: AtomicU64,
    /// Responses that the second level had.
    pub(crate) pages: AtomicU64,
}

pub(crate) struct World {
    shared: Arc<Shared>,
    network: Arc<Network>,
    nodes: Vec<Node>,
    plan: Plan,
    /// The clock that servers read.
    clock: Clock,
    /// The last copy of what the server held.
    snapshot: Option<Memory>,
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) failure: Option<String>,
    pub(crate) told: Vec<String>,
    pub(crate) seen: Seen,
}

/// Runs a seed to its end.
pub(crate) fn run(class: Class, seed: u64, told: bool) -> Ended {
    // The engine's own random numbers.
    fastrand::seed(seed);
    let time = Timeline::new(seed, told);
    let plan = time.pick(|rng| Plan::of(class, rng));
    let clock = Clock::manual();
    let server = Memory::with_clock(clock.clone());
    let promised = class.promised(plan.settings.bound);
    let shared = Arc::new(Shared {
        checker: Mutex::new(Checker::new(class, promised)),
        source: Source::new(),
        told: Mutex::default(),
        seen: Seen::default(),
        time: Arc::clone(&time),
    });
    let mut world = World {
        network: Network::new(&time, plan.nodes, server),
        nodes: (0..plan.nodes).map(Node::new).collect(),
        snapshot: None,
        clock,
        plan,
        shared: Arc::clone(&shared),
    };
    world.run();
    for number in 0..world.nodes.len() {
        world.crash(number);
    }
    let more = world.network.more.load(Ordering::Relaxed);
    shared.seen.more.store(more, Ordering::Relaxed);
    drop(world);
    let seen = std::mem::take(&mut Arc::into_inner(shared).map(|shared| shared.seen));
    Ended {
        failure: time.failure(),
        told: time.told(),
        seen: seen.unwrap_or_default(),
    }
}

impl World {
    fn run(&mut self) {
        let time = Arc::clone(&self.shared.time);
        time.tell(|| format!("{} nodes, {:?}", self.nodes.len(), self.plan.settings));
        for number in 0..self.nodes.len() {
            self.start(number);
        }
        for (at, fault) in std::mem::take(&mut self.plan.faults) {
            self.run_until(at);
            self.apply(fault);
        }
        self.run_until(self.plan.until);
        self.heal();
        let bound = self.plan.settings.bound;
        self.run_until(time.now() + 2 * bound);
        lock(&self.shared.checker).settle(time.now(), self.plan.until);
        self.run_until(time.now() + bound);
        self.stop();
    }

    /// Clients end, everything is read once more, and everything drains.
    fn stop(&self) {
        let time = Arc::clone(&self.shared.time);
        let processes = || self.nodes.iter().filter_map(|node| node.process.as_ref());
        for process in processes() {
            process.site.stopping.store(true, Ordering::SeqCst);
        }
        self.drain("clients");
        // By then everybody knows everything, and no window is open.
        let bound = self.plan.settings.bound;
        self.run_until(time.now() + 2 * bound);
        lock(&self.shared.checker).settle(time.now(), time.now());
        self.run_until(time.now() + 2 * bound);
        for node in &self.nodes {
            if let Some(process) = &node.process {
                process.site.clients.fetch_add(1, Ordering::SeqCst);
                node.spawn(Arc::clone(&process.site).close());
                time.wake(node.number);
            }
        }
        self.drain("the end");
        // Refreshes that the last reads began.
        self.run_until(time.now() + 2 * self.plan.settings.bound);
        for node in &self.nodes {
            let Some(process) = &node.process else {
                continue;
            };
            let stats = process.site.cache.stats();
            let Some(remote) = &stats.remote else {
                continue;
            };
            if stats.running > 0 || remote.outbox > 0 || !remote.connected {
                time.fail(format!("n{} does not come to rest: {stats:?}", node.number));
            }
        }
    }

    fn drain(&self, what: &str) {
        let time = Arc::clone(&self.shared.time);
        let until = time.now() + Duration::from_secs(20);
        while self.nodes.iter().any(|node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| process.site.clients.load(Ordering::SeqCst) > 0)
        }) {
            if time.failure().is_some() {
                return;
            }
            if time.now() > until {
                return time.fail(format!("{what} wait for ever"));
            }
            self.run_until(time.now() + Duration::from_millis(100));
        }
    }

    /// Goes on from one moment at which something happens to the next.
    fn run_until(&self, end: Duration) {
        let time = Arc::clone(&self.shared.time);
        loop {
            for number in time.woken() {
                self.nodes[number].poll();
            }
            if time.failure().is_some() {
                return;
            }
            if let Some(event) = time.due() {
                event();
                continue;
            }
            let now = time.now();
            let timers = self.nodes.iter().filter(|node| node.is_running());
            let timers = timers.filter_map(|node| node.clock.next_wake());
            let timer = timers.min().map(|wait| now + wait);
            let next = timer.into_iter().chain(time.next()).min();
            let next = next.map_or(end, |next| next.min(end));
            if next <= now {
                return;
            }
            self.pass(next - now);
            if next == end && time.next() != Some(end) && timer != Some(end) {
                return;
            }
        }
    }

    /// Time passes for all, whatever they do.
    fn pass(&self, passed: Duration) {
        self.shared.time.clock.advance(passed);
        self.clock.advance(passed);
        for node in self.nodes.iter().filter(|node| node.asleep.is_none()) {
            if node.clock.next_wake().is_some_and(|wait| wait <= passed) {
                self.shared.time.wake(node.number);
            }
            node.clock.advance(passed);
        }
    }

    fn start(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if node.process.is_none() {
            node.start(&self.plan.settings, &self.shared, &self.network);
            self.runs(number);
        }
    }

    fn thaw(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if let Some(since) = node.frozen_since.take() {
            let still = node.clock.now().since(since).as_nanos() as u64;
            node.stood_still.fetch_add(still, Ordering::SeqCst);
            self.runs(number);
        }
    }

    /// A node goes on, unless something else keeps it from it.
    fn runs(&self, number: usize) {
        let noticed = self.shared.time.now() + self.plan.settings.bound / 5;
        if self.nodes[number].is_running() {
            lock(&self.shared.checker).runs(number, noticed);
            self.shared.time.wake(number);
        }
    }

    fn fall_asleep(&mut self, number: usize, nap: Duration) {
        let now = self.shared.time.now();
        let node = &mut self.nodes[number];
        if node.asleep.is_none() {
            node.asleep = Some((now, now + nap));
            self.network.falls_asleep(number);
            lock(&self.shared.checker).falls_asleep(now, number);
        }
    }

    fn wake(&mut self, number: usize) {
        let now = self.shared.time.now();
        let node = &mut self.nodes[number];
        if let Some((since, _)) = node.asleep.take() {
            node.clock.suspend(now - since);
            self.network.wakes(number);
            lock(&self.shared.checker).wakes(now, number);
            self.runs(number);
        }
    }

    fn crash(&mut self, number: usize) {
        self.wake(number);
        self.thaw(number);
        let Some(process) = self.nodes[number].process.take() else {
            return;
        };
        if let Some(stats) = process.site.cache.stats().remote {
            let seen = &self.shared.seen;
            seen.hits.fetch_add(stats.hits, Ordering::Relaxed);
            seen.shared.fetch_add(stats.shared, Ordering::Relaxed);
            seen.refused.fetch_add(stats.refused, Ordering::Relaxed);
            seen.learned.fetch_add(stats.learned, Ordering::Relaxed);
            seen.epochs.fetch_add(stats.epochs, Ordering::Relaxed);
            seen.resets.fetch_add(stats.resets, Ordering::Relaxed);
        }
        let crashed = process.site.process;
        drop(process);
        self.network.break_connections(|node, _| node == number);
        lock(&self.shared.checker).crashed(crashed);
    }

    fn apply(&mut self, fault: Fault) {
        let network = Arc::clone(&self.network);
        self.shared.time.tell(|| format!("-- {fault:?}"));
        match fault {
            Fault::Weather(weather) => network.set_weather(weather),
            Fault::Cut(node, cut) => network.cut(node, cut),
            Fault::Broken(node) => network.break_connections(|other, _| other == node),
            Fault::Freeze(node) => {
                lock(&self.shared.checker).freezes(self.shared.time.now(), node);
                let node = &mut self.nodes[node];
                node.frozen_since.get_or_insert(node.clock.now());
            }
            Fault::Thaw(node) => self.thaw(node),
            Fault::Crash(node) => self.crash(node),
            Fault::Start(node) => self.start(node),
            Fault::Jump(node, by) => {
                let node = &self.nodes[node];
                node.clock.advance(by);
                let by = by.as_nanos() as u64;
                node.stood_still.fetch_add(by, Ordering::SeqCst);
                self.shared.time.wake(node.number);
            }
            Fault::Sleep(node, nap) => self.fall_asleep(node, nap),
            Fault::Wake(node) => {
                let now = self.shared.time.now();
                if self.nodes[node].asleep.is_some_and(|(_, end)| end <= now) {
                    self.wake(node);
                }
            }
            Fault::Wall(node, by) => {
                let clock = &self.nodes[node].clock;
                let (wall, apart) = (clock.system_time(), by.unsigned_abs());
                let apart = Duration::from_millis(apart);
                clock.set_system_time(if by < 0 { wall - apart } else { wall + apart });
            }
            Fault::ServerAhead(by) => self.clock.advance(by),
            Fault::Stop(node) => {
                let node = &self.nodes[node];
                if let Some(process) = &node.process {
                    node.spawn(Arc::clone(&process.site).end());
                    self.shared.time.wake(node.number);
                }
            }
            Fault::Down => {
                network.server().set_reachable(false);
                network.break_connections(|_, _| true);
            }
            Fault::Up => network.server().set_reachable(true),
            Fault::Restart { keeping, unseen } => {
                let server = network.server();
                if keeping {
                    server.restart();
                } else {
                    server.restart_empty();
                }
                network.break_connections(|_, _| !unseen);
            }
            Fault::Snapshot => self.snapshot = Some(network.server().fork()),
            Fault::RestartOlder { unseen } => {
                if let Some(snapshot) = &self.snapshot {
                    network.server().restart_from(snapshot);
                    network.break_connections(|_, _| !unseen);
                }
            }
            Fault::Failover => {
                if let Some(snapshot) = &self.snapshot {
                    network.put_in_charge(snapshot.fork());
                }
            }
            Fault::OldEnds => network.break_connections(|_, in_charge| !in_charge),
            Fault::Flush => network.server().flush(),
            Fault::Evict(of_hundred, number) => {
                let hasher = BuildHasherDefault::<DefaultHasher>::default();
                let evicted = |key: &[u8]| {
                    let drawn = hasher.hash_one((key, number)) % 100;
                    drawn < u64::from(of_hundred)
                };
                network.server().evict(evicted);
            }
            Fault::LogLength(length) => drop(network.server().log_length(length)),
            Fault::AtOnce(records) => drop(network.server().records_at_once(records)),
        }
    }

    /// All is well from now on.
    fn heal(&mut self) {
        self.shared.time.tell(|| "-- all is well".into());
        self.network.set_weather(CALM);
        self.network.server().set_reachable(true);
        self.network.break_connections(|_, in_charge| !in_charge);
        for number in 0..self.nodes.len() {
            self.network.cut(number, Cut::default());
            self.wake(number);
            self.thaw(number);
            self.start(number);
        }
    }
}
