//! What an application changes on one node, and what it invalidates for that.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::respond;
use cache_core::spi::path_tags;
use cache_core::{Delivery, Invalidating, PathTarget};
use fastrand::Rng;

use crate::checker::Covers;
use crate::clients::{How, Pace, Site};
use crate::source::{GROUPS, Key, Kind, group_tag, row_tag, tags_of};
use crate::timeline::lock;

impl Site {
    /// Changes a row, and drops what was made of it.
    pub(crate) async fn change(self: &Arc<Self>, rng: &mut Rng) {
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
        let kinds = self.settings.habits.kinds.iter();
        let responses = kinds.filter(|kind| kind.is_response()).count() as u8;
        let how = rng.u8(0..16 + 4 * responses);
        // Nobody need wait for it.
        let awaited = rng.u8(0..8) > 0;
        let mut tries = if rng.bool() { 20 } else { 1 };
        loop {
            tries -= 1;
            let (invalidating, call) = self.invalidate(how, row);
            let Some(invalidating) = invalidating.filter(|_| awaited) else {
                break;
            };
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

    /// Drops what was made of a row. Of what a response says that it drops nobody hears how far it got.
    fn invalidate(&self, how: u8, row: usize) -> (Option<Invalidating>, usize) {
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
            15 => (cache.clear(), Covers::Everything, false),
            _ => return self.invalidate_pages(how, row),
        };
        (Some(invalidating), self.called(covers, soft))
    }

    fn invalidate_pages(&self, how: u8, row: usize) -> (Option<Invalidating>, usize) {
        let kind = [Kind::View, Kind::Overview][usize::from(how / 4 % 2)];
        let (path, route) = kind.page(row);
        let (target, covers) = match how % 4 {
            0 => (PathTarget::page(path), Covers::Pages(kind, Some(row))),
            1 => (PathTarget::page(route), Covers::Pages(kind, None)),
            2 => {
                let (above, _) = path.rsplit_once('/').expect("it is below something");
                (PathTarget::layout(above), Covers::Pages(kind, None))
            }
            _ => {
                let tags = path_tags(&path, None).expect("it is a short path");
                respond::invalidate(&self.cache, &tags[..1]);
                return (None, self.called(Covers::Pages(kind, Some(row)), false));
            }
        };
        let invalidating = self.cache.revalidate_path(target);
        (Some(invalidating), self.called(covers, true))
    }

    /// Notes that an invalidation was called, and returned.
    fn called(&self, covers: Covers, soft: bool) -> usize {
        let versions = self.shared.source.versions();
        let now = self.now();
        let call = lock(&self.shared.checker).called(now, self.process, covers, soft, versions);
        self.shared.time.tell(|| {
            let kind = if soft { "softly" } else { "hard" };
            format!("{} invalidates {covers:?} {kind} ({call})", self.name())
        });
        call
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
    pub(crate) fn put(&self, rng: &mut Rng) {
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
    pub(crate) async fn put_from(&self, rng: &mut Rng) {
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

    /// Of what is put.
    fn some_put_key(&self, rng: &mut Rng) -> Key {
        let kinds = [Kind::Row, Kind::Late, Kind::Window];
        Key {
            kind: kinds[rng.usize(0..kinds.len())],
            id: self.some_row(rng),
        }
    }
}
