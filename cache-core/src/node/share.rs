//! What a load made goes to the second level, off its caller's path: first the records of its tags are
//! made sure of, which shows what the log has that this node lacks, then it takes its place.
//!
//! It is refused without proof, where a tag was invalidated since the load began, and where the place is
//! not as the load's read found or left it. So no token is read before the loader has run.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Node;
use super::learn::Learned;
use super::level::Place;
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::entry::{Entry, Erased};
use crate::key::Key;
use crate::ledger::Running;
use crate::load::within;
use crate::marks::{Marked, examine};
use crate::reason::Reason;
use crate::remote::{Coding, Envelope, RemoteError, RemoteFormat, Token, pack, type_of};
use crate::weight::CacheWeight;

/// The most values on their way at once; others stay here.
const MOST_AT_ONCE: u64 = 256;
/// How long a removal is waited for before what was put in its place.
const PUT_WITHIN: Duration = Duration::from_secs(30);
/// Records of tags outlive the entries that need them.
const BEYOND: Duration = Duration::from_secs(60);

/// Writes a value whose type is known to it alone.
type Write = Box<dyn Fn(&Erased, RemoteFormat, &mut Vec<u8>) -> bool + Send + Sync>;

/// A value of whatever type, and how it is written.
pub(crate) struct Shared {
    entry: Arc<Entry>,
    write: Write,
    of: u64,
    /// Marks that concern it are kept while it is on its way.
    running: Running,
}

impl Shared {
    pub(crate) fn new<V: Any + Send + Sync>(
        entry: &Arc<Entry>,
        coding: Coding<V>,
        running: Running,
    ) -> Self {
        let filled_at = Timestamp(entry.filled_at);
        Self {
            entry: Arc::clone(entry),
            write: Box::new(move |value, format, to| {
                value
                    .downcast_ref::<V>()
                    .is_some_and(|value| coding.write(value, format, filled_at, to))
            }),
            of: type_of::<V>(),
            running,
        }
    }
}

/// Why a value did not go to the second level, for counting.
enum Unshared {
    Refused,
    Failed(RemoteError),
}

impl From<RemoteError> for Unshared {
    fn from(error: RemoteError) -> Self {
        Self::Failed(error)
    }
}

impl Entry {
    /// Whether it is for other nodes, by what its landing here came to: also where this node is told to keep
    /// nothing for so long.
    pub(crate) fn goes_on(&self, fate: Result<(), Reason>, now: u64) -> bool {
        fate.is_ok() || (fate == Err(Reason::Expired) && now < self.full_until)
    }
}

impl Engine {
    /// Sends what a load made to its place.
    pub(crate) fn share(self: &Arc<Self>, shared: Shared, place: Place) {
        let Some(way) = OnItsWay::begin(self) else {
            return;
        };
        drop(crate::sync::spawn(async move {
            let outcome = way.engine.share_now(&shared, &place, None).await;
            way.over(outcome);
        }));
    }

    /// Sends what is stored under another key than the second level was asked for.
    pub(crate) fn share_beside(self: &Arc<Self>, shared: Shared, key: Key) {
        let Some(way) = OnItsWay::begin(self) else {
            return;
        };
        drop(crate::sync::spawn(async move {
            let outcome = way.engine.share_at(&shared, &key, None).await;
            way.over(outcome);
        }));
    }

    /// Sends what was put under a key, once the `removal` of what was there is acknowledged. `pending`: the
    /// attachment to the key, which ends by a removal since.
    pub(crate) fn share_put(
        self: &Arc<Self>,
        shared: Shared,
        key: Key,
        pending: u64,
        removal: Option<u64>,
    ) {
        let way = match OnItsWay::begin(self) {
            Some(way) if tokio::runtime::Handle::try_current().is_ok() => way,
            _ => {
                let _ = self.land_pending(&key, pending, None, None);
                return;
            }
        };
        drop(crate::sync::spawn(async move {
            let engine = &way.engine;
            let outcome = engine.share_after(&shared, &key, pending, removal).await;
            let _ = engine.land_pending(&key, pending, None, None);
            way.over(outcome);
        }));
    }

    /// The same of a value that says itself how it is written.
    pub(crate) fn share_value<V: CacheWeight + Any + Send + Sync>(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        running: Running,
        key: &Key,
        pending: u64,
        removal: Option<u64>,
    ) {
        match V::remote_codec() {
            Some(codec) => {
                let shared = Shared::new(entry, Coding::Value(codec), running);
                self.share_put(shared, key.clone(), pending, removal);
            }
            None => {
                self.stays_local(key.space());
                let _ = self.land_pending(key, pending, None, None);
            }
        }
    }

    async fn share_after(
        self: &Arc<Self>,
        shared: &Shared,
        key: &Key,
        pending: u64,
        removal: Option<u64>,
    ) -> Result<(), Unshared> {
        let Some(node) = &self.node else {
            return Ok(());
        };
        if let Some(removal) = removal {
            let removed = node.outbox.delivered(removal);
            if within(&self.clock, Some(PUT_WITHIN), removed)
                .await
                .is_none()
            {
                return Err(Unshared::Refused);
            }
        }
        self.share_at(shared, key, Some(pending)).await
    }

    /// Sends it to the place of `key`, whatever is there: what makes that no longer right came by the log
    /// before, and the proof shows it.
    async fn share_at(
        self: &Arc<Self>,
        shared: &Shared,
        key: &Key,
        pending: Option<u64>,
    ) -> Result<(), Unshared> {
        let Some(node) = &self.node else {
            return Ok(());
        };
        let place = self.take_place(node, key).await?;
        let place = place.ok_or(Unshared::Refused)?;
        let pending = pending.map(|pending| (key, pending));
        self.share_now(shared, &place, pending).await
    }

    async fn share_now(
        self: &Arc<Self>,
        shared: &Shared,
        place: &Place,
        pending: Option<(&Key, u64)>,
    ) -> Result<(), Unshared> {
        let Some(node) = &self.node else {
            return Ok(());
        };
        let entry = &*shared.entry;
        let (wall, now) = (self.wall(), self.clock.now().0);
        let windows = entry.stale_while_revalidate.max(entry.stale_if_error);
        let left = entry
            .full_until
            .saturating_add(windows.max(entry.kept_stale))
            .saturating_sub(now);
        let lasting = Duration::from_nanos(left).max(Duration::from_millis(1));
        if entry.born_stale || entry.partial.is_some() || entry.failed || left == 0 {
            return Err(Unshared::Refused);
        }
        let mut value = Vec::new();
        let format = node.settings.format;
        if !(shared.write)(&entry.value, format, &mut value) {
            return Err(Unshared::Refused);
        }
        let (above, most) = (node.settings.compress_above, node.settings.max_value);
        let Some((packing, value)) = pack(&value, above, most) else {
            node.refuse_too_large(&place.name, entry, value.len());
            return Err(Unshared::Refused);
        };
        let asked = node.ask(self).ok_or(Unshared::Refused)?;
        let at = asked.at.ok_or(Unshared::Refused)?;
        if !Arc::ptr_eq(&asked.session, &place.session) {
            return Err(Unshared::Refused);
        }
        let names: Vec<_> = entry
            .tags
            .iter()
            .map(|tag| Arc::clone(tag.name()))
            .collect();
        let prepare = place
            .session
            .prepare(names.clone(), Token::random(), lasting + BEYOND, at);
        let prepared = node.answer(&self.clock, prepare).await?;
        // Refused without proof, and by what the proof brought to light.
        if self.learn(node, &asked, prepared.since) != Learned::Current
            || examine(&entry.tags, entry.loaded_at) != Marked::Clean
            || self.ledger.below_floor(shared.running.start)
            || pending.is_some_and(|(key, id)| !self.is_pending(key, id))
            || prepared.tokens.len() != names.len()
        {
            return Err(Unshared::Refused);
        }
        let at_wall = |moment: u64| match moment.checked_sub(now) {
            Some(left) => wall.saturating_add(left / 1_000_000),
            None => wall.saturating_sub((now - moment).div_ceil(1_000_000)),
        };
        let envelope = Envelope {
            key: &place.name,
            of: shared.of,
            tags: names
                .iter()
                .zip(&prepared.tokens)
                .map(|(name, token)| (&**name, token.0))
                .collect(),
            filled_at: at_wall(entry.filled_at),
            fresh_until: at_wall(entry.full_until),
            stale_while_revalidate: entry.stale_while_revalidate / 1_000_000,
            stale_if_error: entry.stale_if_error / 1_000_000,
            kept_stale: entry.kept_stale / 1_000_000,
            refresh_ahead: entry.refresh_ahead() / 1_000_000,
            by_caller: entry.by_caller,
            format: format.number(),
            packing,
            value: &value,
        };
        let sealed = envelope.seal(Token::random()).ok_or(Unshared::Refused)?;
        if sealed.len() > most {
            node.refuse_too_large(&place.name, entry, sealed.len());
            return Err(Unshared::Refused);
        }
        let stored = place
            .session
            .store(place.name.clone(), place.occupant, sealed, lasting);
        if node.answer(&self.clock, stored).await? {
            Ok(())
        } else {
            Err(Unshared::Refused)
        }
    }
}

/// A value on its way, counted until it is over.
struct OnItsWay {
    engine: Arc<Engine>,
    node: Arc<Node>,
}

impl OnItsWay {
    fn begin(engine: &Arc<Engine>) -> Option<Self> {
        let node = engine.node.clone()?;
        let before = node.counters.sharing.fetch_add(1, Ordering::Relaxed);
        let way = Self {
            engine: Arc::clone(engine),
            node,
        };
        if before >= MOST_AT_ONCE {
            way.over(Err(Unshared::Refused));
            return None;
        }
        Some(way)
    }

    fn over(self, outcome: Result<(), Unshared>) {
        let counters = &self.node.counters;
        let counter = match outcome {
            Ok(()) => &counters.shared,
            Err(Unshared::Refused) => &counters.unshared,
            Err(Unshared::Failed(error)) => {
                self.node.count_error(&error);
                &counters.unshared
            }
        };
        counter.count();
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.node.counters.sharing.fetch_sub(1, Ordering::Relaxed);
        self.node.tell();
    }
}
