//! What an application does on one node: reads, reads inside loads, changes and what it invalidates for them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::remote::Bookmark;
use cache_core::{Cache, Clock, Delivery, Invalidating, Reason, cache_tag, observe};
use fastrand::Rng;

use crate::checker::{Covers, Demand};
use crate::node::{Habits, Settings};
use crate::source::{Failed, GROUPS, Key, Kind, ROWS, Value, group_tag, row_tag, tags_of};
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
struct Pace {
    before: Duration,
    after: Duration,
    fails: bool,
}

impl Pace {
    fn of(rng: &mut Rng, habits: &Habits) -> Self {
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
            fails: rng.u8(0..3) == 0,
        }
    }

    const PROMPT: Self = Self {
        before: Duration::ZERO,
        after: Duration::ZERO,
        fails: false,
    };
}

/// How a value is read.
#[derive(Clone, Default)]
struct How {
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
    fn some_row(&self, rng: &mut Rng) -> usize {
        let rare = rng.u8(0..8) == 0;
        rng.usize(
            0..if rare {
                ROWS
            } else {
                self.settings.habits.rows
            },
        )
    }

    fn some_key(&self, rng: &mut Rng) -> Key {
        let kinds = &self.settings.habits.kinds;
        let kind = kinds[rng.usize(0..kinds.len())];
        let row = self.some_row(rng);
        let id = if kind == Kind::Group {
            row % GROUPS
        } else {
            row
        };
        Key { kind, id }
    }

    /// Of what is put.
    fn some_put_key(&self, rng: &mut Rng) -> Key {
        let kinds = [Kind::Row, Kind::Late, Kind::Window];
        Key {
            kind: kinds[rng.usize(0..kinds.len())],
            id: self.some_row(rng),
        }
    }

    fn now(&self) -> Duration {
        self.shared.time.now()
    }

    fn name(&self) -> String {
        format!("n{}", self.process.0)
    }

    /// How long somebody has waited here since a moment of this clock.
    fn waits(&self) -> impl Fn() -> Duration {
        let (clock, stood_still) = (self.clock.clone(), Arc::clone(&self.stood_still));
        let (began, before) = (clock.now(), stood_still.load(Ordering::SeqCst));
        move || {
            let still = Duration::from_nanos(stood_still.load(Ordering::SeqCst) - before);
            clock.now().since(began).saturating_sub(still)
        }
    }

    fn check_wait(&self, what: &str, waited: Duration, limit: Duration) {
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
        let load = match key.kind {
            Kind::Page => 3 * self.longest(key.parts()[0], None),
            Kind::Group => Duration::from_millis(2 * SLOWEST) * 2,
            _ => Duration::from_millis(2 * SLOWEST),
        };
        // It waits for another, or for a permit; asks the second level; loads.
        2 * wait_limit + 3 * remote_timeout + self.settings.lease + load
    }

    /// Reads, and checks what it got.
    async fn read(self: &Arc<Self>, key: Key, pace: Pace, how: How) -> Option<Value> {
        let told = how.told.as_ref().map(|(_, demand)| *demand);
        let allowed = lock(&self.shared.checker).begins(self.now(), self.process, key, told);
        let waited = self.waits();
        let fetch = self.fetch(key, pace, how.limit);
        let (result, reason) = match &how.told {
            // What is inside a load is awaited, never stale.
            _ if how.inside => (fetch.await, Reason::Hit),
            Some((bookmark, _)) => {
                let (result, reads) = observe(self.cache.read_after(bookmark, fetch)).await;
                (result, reads.last().map_or(Reason::Hit, |read| read.reason))
            }
            None => {
                let (result, reads) = observe(fetch).await;
                (result, reads.last().map_or(Reason::Hit, |read| read.reason))
            }
        };
        let mut longest = self.longest(key, how.limit);
        if how.told.is_some() {
            longest += self.settings.delivery_limit;
        }
        self.check_wait(&format!("{key:?}"), waited(), longest);
        self.shared.time.tell(|| {
            let name = self.name();
            let inside = if how.inside { " inside" } else { "" };
            match &result {
                Ok(value) => {
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
        let value = match result {
            Ok(value) => value,
            Err(Failed::Timeout) => {
                self.shared.seen.timeouts.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Err(Failed::Load) => return None,
        };
        if reason == Reason::Stale {
            self.shared.seen.stale.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.seen.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(wrong) = allowed.wrong(&value, reason) {
            let name = self.name();
            let at = self.now();
            self.shared
                .time
                .fail(format!("{name} read {key:?} at {at:?}: {wrong}"));
        }
        Some(value)
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
                value.extend(self.read(part, pace, inside).await.ok_or(Failed::Load)?);
            }
            if key.kind == Kind::Fallback && pace.fails {
                return Err(Failed::Load);
            }
            Ok(value)
        })
    }

    /// Changes a row, and drops what was made of it.
    async fn change(self: &Arc<Self>, rng: &mut Rng) {
        let row = self.some_row(rng);
        let version = self.shared.source.write(row);
        self.shared
            .time
            .tell(|| format!("{} writes row {row}: version {version}", self.name()));
        if rng.u8(0..4) == 0 {
            self.clock
                .sleep(Duration::from_millis(rng.u64(0..10)))
                .await;
        }
        let how = rng.u8(0..16);
        // Nobody need wait for it.
        let awaited = rng.u8(0..8) > 0;
        let mut tries = if rng.bool() { 20 } else { 1 };
        loop {
            tries -= 1;
            let (invalidating, call) = self.invalidate(how, row);
            if !awaited {
                drop(invalidating);
                break;
            }
            if rng.u8(0..4) == 0 {
                // The caller's very next read.
                let key = self.some_key(rng);
                let pace = Pace::of(rng, &self.settings.habits);
                let _ = self.read(key, pace, How::default()).await;
            }
            if self.delivered(invalidating, call).await || tries == 0 {
                break;
            }
            let tired = self.stopping.load(Ordering::SeqCst);
            if tired {
                break;
            }
        }
    }

    fn invalidate(&self, how: u8, row: usize) -> (Invalidating, usize) {
        let cache = &self.cache;
        let group = row % GROUPS;
        let removed = [Kind::Row, Kind::Late, Kind::Window, Kind::Page];
        let removed = Key {
            kind: removed[usize::from(how) % removed.len()],
            id: row,
        };
        let (invalidating, covers, soft) = match how {
            0..5 => (
                cache.invalidate_cache(row_tag(row)),
                Covers::Row(row),
                false,
            ),
            5..7 => (
                cache.invalidate_cache(group_tag(group)),
                Covers::Group(group),
                false,
            ),
            7 => {
                let tags = [row_tag(row), "nobody has it".to_owned()];
                (cache.invalidate_cache(tags), Covers::Row(row), false)
            }
            8..11 => (cache.revalidate_tag(row_tag(row)), Covers::Row(row), true),
            11 => (
                cache.revalidate_tag(group_tag(group)),
                Covers::Group(group),
                true,
            ),
            12..15 => (cache.remove(removed.cached()), Covers::Key(removed), false),
            _ => (cache.clear(), Covers::Everything, false),
        };
        let versions = self.shared.source.versions();
        let now = self.now();
        let call = lock(&self.shared.checker).called(now, self.process, covers, soft, versions);
        self.shared.time.tell(|| {
            let kind = if soft { "softly" } else { "hard" };
            format!("{} invalidates {covers:?} {kind} ({call})", self.name())
        });
        (invalidating, call)
    }

    /// Waits for a delivery; `true` where it was acknowledged.
    async fn delivered(&self, invalidating: Invalidating, call: usize) -> bool {
        let waited = self.waits();
        let delivered = invalidating.await.expect("it is no misuse");
        self.check_wait("a delivery", waited(), self.settings.delivery_limit);
        let now = self.now();
        self.shared.time.tell(|| {
            let name = self.name();
            format!("{name}'s invalidation {call}: {:?}", delivered.delivery)
        });
        if delivered.delivery != Delivery::Everywhere {
            self.shared.seen.queued.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let demand = lock(&self.shared.checker).acknowledged(now, call);
        if let Some(bookmark) = delivered.bookmark {
            *lock(&self.shared.told) = Some((bookmark, demand));
        }
        true
    }

    /// Puts what is true now.
    fn put(&self, rng: &mut Rng) {
        let key = self.some_put_key(rng);
        let value = vec![self.shared.source.read(key.id)];
        self.shared
            .time
            .tell(|| format!("{} puts {key:?}: {:#x}", self.name(), value[0]));
        let _ = self
            .cache
            .put(key.cached(), value, key.life(), tags_of(key.id));
    }

    /// Reads what it puts, which takes a while.
    async fn put_from(&self, rng: &mut Rng) {
        let key = self.some_put_key(rng);
        let pace = Pace::of(rng, &self.settings.habits);
        let pending = self.cache.begin(key.cached());
        self.clock.sleep(pace.before).await;
        let value = vec![self.shared.source.read(key.id)];
        self.clock.sleep(pace.after).await;
        self.shared
            .time
            .tell(|| format!("{} puts from {key:?}: {:#x}", self.name(), value[0]));
        let _ = self
            .cache
            .put_from(pending, value, key.life(), tags_of(key.id));
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
