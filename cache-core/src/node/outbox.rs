//! Invalidations that the server has not acknowledged: merged, so that any number of them is bounded.
//!
//! What is in here the second level may still hold unharmed. So a read of it is refused for a tag or key
//! that is in here, or was when the read began, or was in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::marks::{Kind, TagRecord};
use crate::remote::{Bookmark, Record, Token};
use crate::sync::{Mutex, lock};
use crate::tag::TagName;

/// Past so many tags and keys it is everything that is invalidated.
const MOST: usize = 10_000;
/// And past so many bytes of them: what the server cannot take within the time for an answer would be sent
/// again for ever, and grow its log each time.
const MOST_BYTES: usize = 1 << 20;
/// The most batches that are remembered apart.
const MOST_APART: usize = 1024;

/// Invalidations merged into one.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    soft: BTreeSet<Arc<str>>,
    hard: BTreeSet<Arc<str>>,
    keys: BTreeSet<Bytes>,
    /// Of all their names.
    bytes: usize,
    /// The last ticket in it.
    last: u64,
}

/// Adds what is not there yet; returns how many bytes that is.
fn added<T: Ord>(to: &mut BTreeSet<T>, from: BTreeSet<T>, length: fn(&T) -> usize) -> usize {
    let added = |value: T| Some(length(&value)).filter(|_| to.insert(value));
    from.into_iter().filter_map(added).sum()
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.soft.len() + self.hard.len() + self.keys.len()
    }

    fn merge(&mut self, other: Self) {
        self.bytes += added(&mut self.soft, other.soft, |name| name.len())
            + added(&mut self.hard, other.hard, |name| name.len())
            + added(&mut self.keys, other.keys, Bytes::len);
        self.last = self.last.max(other.last);
        if self.len() > MOST || self.bytes > MOST_BYTES {
            *self = Self {
                hard: BTreeSet::from([Arc::clone(TagName::all().raw())]),
                last: self.last,
                ..Self::default()
            };
        }
    }

    fn covers(&self, tags: &[Arc<TagRecord>], key: &[u8]) -> bool {
        // Nearly always it is empty. Every entry carries the tag of everything.
        !self.is_empty()
            && (self.keys.contains(key)
                || tags
                    .iter()
                    .any(|tag| self.hard.contains(tag.name()) || self.soft.contains(tag.name())))
    }

    fn record(&self, origin: Token) -> Record {
        Record::new(origin, Token::random())
            .soft(self.soft.iter().cloned())
            .hard(self.hard.iter().cloned())
            .keys(self.keys.iter().cloned())
    }
}

#[derive(Debug, Default)]
struct Held {
    tickets: u64,
    waiting: Batch,
    sending: Batch,
    /// Counts acknowledgements.
    acknowledgements: u64,
    /// What was acknowledged while reads of the second level ran, with its number.
    acknowledged: VecDeque<(u64, Batch)>,
    /// After how many acknowledgements the reads began that run.
    reads: BTreeMap<u64, usize>,
}

/// Remembers a batch; past the most that are remembered apart, the oldest counts as the one after it.
fn remember(batches: &mut VecDeque<(u64, Batch)>, batch: (u64, Batch)) {
    batches.push_back(batch);
    if batches.len() > MOST_APART
        && let Some((_, mut oldest)) = batches.pop_front()
        && let Some((_, next)) = batches.front_mut()
    {
        // The few into the many: it is thousands after a while.
        std::mem::swap(next, &mut oldest);
        next.merge(oldest);
    }
}

/// What waits to be acknowledged.
#[derive(Debug)]
pub(crate) struct Outbox {
    held: Mutex<Held>,
    /// The last ticket that was acknowledged, and where its record is.
    delivered: watch::Sender<(u64, Option<Bookmark>)>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            delivered: watch::Sender::new((0, None)),
        }
    }
}

impl Outbox {
    /// Adds tags; returns the ticket by which their delivery is known.
    pub(crate) fn add(&self, kind: Kind, names: &[TagName]) -> Option<u64> {
        let names = names.iter().map(|name| Arc::clone(name.raw())).collect();
        let mut added = Batch::default();
        match kind {
            Kind::Soft => added.soft = names,
            Kind::Hard => added.hard = names,
            Kind::Local => return None,
        }
        Some(self.put(added))
    }

    /// Adds the name of a key's place.
    pub(crate) fn add_key(&self, place: Bytes) -> u64 {
        self.put(Batch {
            keys: BTreeSet::from([place]),
            ..Batch::default()
        })
    }

    fn put(&self, mut added: Batch) -> u64 {
        let mut held = lock(&self.held);
        held.tickets += 1;
        added.last = held.tickets;
        held.waiting.merge(added);
        held.tickets
    }

    /// Takes what waits, to be sent; by one at a time.
    pub(crate) fn take(&self) -> Option<Sending<'_>> {
        let mut held = lock(&self.held);
        if held.waiting.is_empty() {
            return None;
        }
        held.sending = std::mem::take(&mut held.waiting);
        Some(Sending(self))
    }

    /// Begins a read of the second level.
    pub(crate) fn begin_read(&self) -> LevelRead<'_> {
        let mut held = lock(&self.held);
        let began = held.acknowledgements;
        *held.reads.entry(began).or_insert(0) += 1;
        LevelRead {
            outbox: self,
            began,
        }
    }

    /// How many tags and keys wait, or are being sent.
    pub(crate) fn len(&self) -> usize {
        let held = lock(&self.held);
        held.waiting.len() + held.sending.len()
    }

    /// Whether something waits that is not being sent.
    pub(crate) fn has_waiting(&self) -> bool {
        !lock(&self.held).waiting.is_empty()
    }

    /// Waits until a ticket is acknowledged. Cancel-safe.
    pub(crate) async fn delivered(&self, ticket: u64) -> Option<Bookmark> {
        let mut delivered = self.delivered.subscribe();
        let known = delivered.wait_for(|(last, _)| *last >= ticket).await;
        known.ok().and_then(|known| known.1.clone())
    }
}

/// What is being sent. Dropped without an acknowledgement, also with the task that sends it, it waits again: it may
/// have been carried out, and is sent once more.
#[derive(Debug)]
pub(crate) struct Sending<'a>(&'a Outbox);

impl Sending<'_> {
    /// As the log has it; each time under a nonce of its own.
    pub(crate) fn record(&self, origin: Token) -> Record {
        lock(&self.0.held).sending.record(origin)
    }

    /// Notes that it is acknowledged. That clears it alone: what was added since waits.
    pub(crate) fn acknowledge(self, at: Bookmark) {
        let mut held = lock(&self.0.held);
        let batch = std::mem::take(&mut held.sending);
        let last = batch.last;
        held.acknowledgements += 1;
        if !held.reads.is_empty() {
            let number = held.acknowledgements;
            remember(&mut held.acknowledged, (number, batch));
        }
        drop(held);
        self.0.delivered.send_replace((last, Some(at)));
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let mut held = lock(&self.0.held);
        let batch = std::mem::take(&mut held.sending);
        held.waiting.merge(batch);
    }
}

/// A read of the second level; it ends when dropped.
#[derive(Debug)]
pub(crate) struct LevelRead<'a> {
    outbox: &'a Outbox,
    began: u64,
}

impl LevelRead<'_> {
    /// Whether what was read may be what an invalidation of this node is yet to drop there.
    pub(crate) fn refuses(&self, tags: &[Arc<TagRecord>], key: &[u8]) -> bool {
        let held = lock(&self.outbox.held);
        let since = held.acknowledged.iter();
        let since = since.filter(|(number, _)| *number > self.began);
        [&held.waiting, &held.sending]
            .into_iter()
            .chain(since.map(|(_, batch)| batch))
            .any(|batch| batch.covers(tags, key))
    }
}

impl Drop for LevelRead<'_> {
    fn drop(&mut self) {
        let mut held = lock(&self.outbox.held);
        if let Some(count) = held.reads.get_mut(&self.began) {
            *count -= 1;
            if *count == 0 {
                held.reads.remove(&self.began);
            }
        }
        let first = held.reads.first_key_value();
        let needed_after = first.map_or(u64::MAX, |(began, _)| *began);
        held.acknowledged
            .retain(|(number, _)| *number > needed_after);
    }
}
