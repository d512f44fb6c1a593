//! What an application does on one node: reads, reads inside loads, and how it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::remote::Bookmark;
use cache_core::{Cache, Clock, Reason, cache_tag, explore, observe};
use fastrand::Rng;

use crate::checker::Demand;
use crate::node::{Habits, Settings};
use crate::responses::{Answer, Given};
use crate::source::{Failed, GROUPS, Key, Kind, LANGUAGES, ROWS, Value, tags_of};
use crate::timeline::lock;
use crate::world::Shared;

/// The longest that a load waits for the source, twice.
const SLOWEST: u64 = 500;

/// One process, as the clients in it know it.
pub(crate) struct Site {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    /// Node and process.
    pub(crate) process: (usize, u32),
    pub(crate) settings: Settings,
    pub(crate) stood_still: Arc<AtomicU64>,
    pub(crate) stopping: AtomicBool,
    pub(crate) clients: AtomicUsize,
}

/// How a load goes: it waits, reads the source, and waits again.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    /// Below 100; the less the sooner something fails.
    pub(crate) luck: u8,
}

impl Pace {
    pub(crate) fn of(rng: &mut Rng, habits: &Habits) -> Self {
        let slow = rng.u8(0..100) < habits.slow;
        let mut wait = || {
            Duration::from_millis(match rng.u8(0..4) {
                _ if slow => rng.u64(0..=SLOWEST),
                0 => 0,
                _ => rng.u64(1..15),
            })
        };
        let (before, after) = (wait(), wait());
        Self {
            before,
            after,
            luck: rng.u8(0..100),
        }
    }

    const PROMPT: Self = Self {
        before: Duration::ZERO,
        after: Duration::ZERO,
        luck: 99,
    };
}

/// How a value is read.
#[derive(Clone, Default)]
pub(crate) struct How {
    /// Inside a load.
    inside: bool,
    limit: Option<Duration>,
    /// The reader was told where an invalidation stands.
    told: Option<(Bookmark, Demand)>,
}

/// Does this and that until it is to stop.
pub(crate) async fn client(site: Arc<Site>, mut rng: Rng) {
    let habits = site.settings.habits.clone();
    while !site.stopping.load(Ordering::SeqCst) {
        let pause = Duration::from_micros(rng.u64(500..habits.pause));
        site.clock.sleep(pause).await;
        let changes = site.now() < habits.changes_until;
        if changes && rng.u8(0..100) < habits.changes {
            site.change(&mut rng).await;
            continue;
        }
        match rng.u8(0..100) {
            0..2 if changes => site.put(&mut rng),
            2..5 if changes => site.put_from(&mut rng).await,
            5..7 => drop(site.cache.remove_local(site.some_key(&mut rng).cached())),
            7 => drop(site.cache.clear_memory()),
            8..10 => explore::sweep(&site.cache),
            _ => {
                let how = How {
                    limit: (rng.u8(0..8) == 0).then(|| Duration::from_millis(rng.u64(5..60))),
                    told: (rng.u8(0..8) == 0)
                        .then(|| lock(&site.shared.told).clone())
                        .flatten(),
                    ..How::default()
                };
                let key = site.some_key(&mut rng);
                let _ = site.read(key, Pace::of(&mut rng, &habits), how).await;
            }
        }
    }
    site.clients.fetch_sub(1, Ordering::SeqCst);
}

impl Site {
    pub(crate) fn some_row(&self, rng: &mut Rng) -> usize {
        let rare = rng.u8(0..8) == 0;
        rng.usize(
            0..if rare {
                ROWS
            } else {
                self.settings.habits.rows
            },
        )
    }

    pub(crate) fn some_key(&self, rng: &mut Rng) -> Key {
        let kinds = &self.settings.habits.kinds;
        let kind = kinds[rng.usize(0..kinds.len())];
        let row = self.some_row(rng);
        let id = match kind {
            Kind::Group => row % GROUPS,
            Kind::View | Kind::Overview => row + ROWS * rng.usize(0..LANGUAGES),
            _ => row,
        };
        Key { kind, id }
    }

    pub(crate) fn now(&self) -> Duration {
        self.shared.time.now()
    }

    pub(crate) fn name(&self) -> String {
        format!("n{}", self.process.0)
    }

    /// Unlike that of any other process.
    pub(crate) const fn number(&self) -> u64 {
        let (node, process) = self.process;
        (node as u64) << 32 | process as u64
    }

    /// Writes down what happened here.
    pub(crate) fn tells(&self, what: impl FnOnce() -> String) {
        let time = &self.shared.time;
        time.tell(|| format!("{} {}", self.name(), what()));
    }

    /// How long somebody has waited here since a moment of this clock.
    pub(crate) fn waits(&self) -> impl Fn() -> Duration {
        let (clock, stood_still) = (self.clock.clone(), Arc::clone(&self.stood_still));
        let (began, before) = (clock.now(), stood_still.load(Ordering::SeqCst));
        move || {
            let still = Duration::from_nanos(stood_still.load(Ordering::SeqCst) - before);
            clock.now().since(began).saturating_sub(still)
        }
    }

    pub(crate) fn check_wait(&self, what: &str, waited: Duration, limit: Duration) {
        if waited > limit {
            let name = self.name();
            self.shared.time.fail(format!(
                "{name} waited {waited:?} for {what}: the limit is {limit:?}"
            ));
        }
    }

    /// The longest that a read may take.
    fn longest(&self, key: Key, limit: Option<Duration>) -> Duration {
        let Settings {
            remote_timeout,
            wait_limit,
            ..
        } = self.settings;
        if let Some(limit) = limit {
            return limit;
        }
        let one = Duration::from_millis(2 * SLOWEST);
        let load = match key.kind {
            Kind::Page => 3 * self.longest(key.parts()[0], None),
            // Of the second level two things may be asked, and it may be made twice: for others, and alone.
            Kind::View => 2 * one + 3 * remote_timeout + self.settings.lease,
            Kind::Overview => {
                2 * (one + 2 * self.longest(key.parts()[0], None))
                    + 3 * remote_timeout
                    + self.settings.lease
            }
            Kind::Group => 2 * one,
            _ => one,
        };
        // It waits for another, or for a permit; asks the second level; loads.
        2 * wait_limit + 3 * remote_timeout + self.settings.lease + load
    }

    /// Reads, and checks what it got.
    pub(crate) async fn read(self: &Arc<Self>, key: Key, pace: Pace, how: How) -> Option<Given> {
        let told = how.told.as_ref().map(|(_, demand)| *demand);
        let allowed = lock(&self.shared.checker).begins(self.now(), self.process, key, told);
        let waited = self.waits();
        let answer = self.answer(key, pace, &how);
        let answer = match &how.told {
            Some((bookmark, _)) => self.cache.read_after(bookmark, answer).await,
            None => answer.await,
        };
        let mut longest = self.longest(key, how.limit);
        if how.told.is_some() {
            longest += self.settings.delivery_limit;
        }
        self.check_wait(&format!("{key:?}"), waited(), longest);
        self.shared.time.tell(|| {
            let name = self.name();
            let inside = if how.inside { " inside" } else { "" };
            match &answer {
                Ok(Given { value, reason, .. }) => {
                    let rows: Vec<_> = value
                        .iter()
                        .map(|read| crate::source::row_and_version(*read))
                        .collect();
                    format!(
                        "{name} read{inside} {:?} {}: {rows:?} ({reason}) after {:?}",
                        key.kind,
                        key.id,
                        waited()
                    )
                }
                Err(why) => format!("{name} read{inside} {:?} {}: {why:?}", key.kind, key.id),
            }
        });
        let given = match answer {
            Ok(given) => given,
            Err(Failed::Timeout) => {
                self.shared.seen.timeouts.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Err(Failed::Load) => return None,
        };
        if given.reason == Reason::Stale {
            self.shared.seen.stale.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.seen.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(wrong) = allowed.wrong(&given) {
            let name = self.name();
            let at = self.now();
            self.shared
                .time
                .fail(format!("{name} read {key:?} at {at:?}: {wrong}"));
        }
        Some(given)
    }

    async fn answer(self: &Arc<Self>, key: Key, pace: Pace, how: &How) -> Answer {
        if !key.kind.is_response() {
            let (result, reads) = observe(self.fetch(key, pace, how.limit)).await;
            let reason = match reads.last() {
                // What is inside a load is awaited, never stale.
                Some(read) if !how.inside => read.reason,
                _ => Reason::Hit,
            };
            return Ok(Given {
                value: result?,
                reason,
                here: false,
            });
        }
        let answer = self.respond(key, pace);
        match how.limit {
            None => answer.await,
            // Its caller leaves.
            Some(limit) => tokio::select! {
                biased;
                answer = answer => answer,
                () = self.clock.sleep(limit) => Err(Failed::Timeout),
            },
        }
    }

    /// As an application fetches.
    async fn fetch(
        self: &Arc<Self>,
        key: Key,
        pace: Pace,
        limit: Option<Duration>,
    ) -> Result<Value, Failed> {
        let site = Arc::clone(self);
        let load = move || site.load(key, pace);
        let (cached, life, tags) = (key.cached(), key.life(), key.tags());
        match limit {
            Some(limit) => {
                self.cache
                    .fetch_within(limit, cached, life, tags, load)
                    .await
            }
            None => self.cache.fetch(cached, life, tags, load).await,
        }
    }

    fn load(
        self: Arc<Self>,
        key: Key,
        pace: Pace,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failed>> + Send>> {
        Box::pin(async move {
            let mut value = Value::new();
            for row in key.rows() {
                self.clock.sleep(pace.before).await;
                let read = self.shared.source.read(row);
                self.shared
                    .time
                    .tell(|| format!("{} loads row {row} for {key:?}: {read:#x}", self.name()));
                value.push(read);
                self.clock.sleep(pace.after).await;
                if matches!(key.kind, Kind::Late | Kind::Group) {
                    cache_tag(tags_of(row));
                }
            }
            for part in key.parts() {
                let inside = How {
                    inside: true,
                    ..How::default()
                };
                let read = self.read(part, pace, inside).await;
                value.extend(read.ok_or(Failed::Load)?.value);
            }
            if key.kind == Kind::Fallback && pace.luck < 33 {
                return Err(Failed::Load);
            }
            Ok(value)
        })
    }

    /// Ends as a process should that is told to.
    pub(crate) async fn end(self: Arc<Self>) {
        self.stopping.store(true, Ordering::SeqCst);
        let ended = self.cache.shutdown().await;
        self.shared
            .time
            .tell(|| format!("{} ends: {ended:?}", self.name()));
        if ended.is_ok() {
            self.shared.seen.ended.fetch_add(1, Ordering::Relaxed);
            lock(&self.shared.checker).drained(self.now(), self.process);
        }
    }

    /// When all is quiet: reads everything, and ends as a process should.
    pub(crate) async fn close(self: Arc<Self>) {
        for key in Key::all() {
            let _ = self.read(key, Pace::PROMPT, How::default()).await;
        }
        let waited = self.waits();
        if let Err(left) = self.cache.shutdown().await {
            self.shared.time.fail(format!("{}: {left}", self.name()));
        }
        self.check_wait("the end", waited(), Duration::from_secs(1));
        self.clients.fetch_sub(1, Ordering::SeqCst);
    }
}
