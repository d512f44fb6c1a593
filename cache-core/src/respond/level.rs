//! Responses and the second level: it is asked before the inner service is, and what is stored goes there.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::look::Held;
use super::{Recording, ResponseKey};
use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::entry::Entry;
use crate::key::Key;
use crate::ledger::Running;
use crate::node::{Accepting, Answer, Asking, Place, Shared};
use crate::reason::NotStorable;
use crate::remote::Coding;

/// What is kept of responses, as it goes to other nodes.
pub trait RemoteResponse: Any + Send + Sync + Sized {
    /// Appends it; `false` where it is not for others. `filled_at`: when the oldest load in it began, from
    /// which its own moments are told.
    fn write(&self, filled_at: Timestamp, to: &mut Vec<u8>) -> bool;

    /// Reads what was written; `None` where it is none of that. Nothing of `from` may be kept.
    fn read(from: &[u8], filled_at: Timestamp) -> Option<Self>;

    /// Its bytes in memory.
    fn weight(&self) -> usize;
}

const fn coding<V: RemoteResponse>() -> Coding<V> {
    Coding::Response {
        write: V::write,
        read: V::read,
    }
}

/// How a recording shares what it stores, once it has asked.
#[derive(Debug)]
pub(super) struct Sharing {
    /// Where the value goes that it asked for, as the read found or left it.
    place: Option<Place>,
    shared: fn(&Arc<Entry>, Running) -> Shared,
}

/// A response, or what stands for several, as the second level had it: valid, and not stored here yet.
pub struct Promoted<V> {
    entry: Entry<V>,
    storable: Result<(), NotStorable>,
}

impl<V> Deref for Promoted<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.entry.value
    }
}

impl<V> fmt::Debug for Promoted<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

impl<V: RemoteResponse> Promoted<V> {
    /// Stores it under a key that is not that of the recording.
    pub fn put(self, cache: &Cache, key: &ResponseKey) {
        if self.storable.is_ok() {
            // Overtaken already: the next request finds out again.
            let _ = cache.engine().insert_beside(&key.0, Arc::new(self.entry));
        }
    }
}

impl Recording {
    /// Whether there is a second level to ask.
    #[must_use]
    pub fn has_level(&self) -> bool {
        self.lead.engine.node.is_some()
    }

    /// Asks the second level for what is to be loaded, `under` another key where it is known to be there.
    /// Whatever it answers, what is stored in the end goes there. Bounded in time by the cache's
    /// [`remote_timeout`](crate::CacheBuilder::remote_timeout).
    pub async fn ask_level<V: RemoteResponse>(
        &mut self,
        under: Option<&ResponseKey>,
        accepting: Accepting,
    ) -> Option<Promoted<V>> {
        let asking = Asking {
            coding: coding::<V>(),
            weigh: V::weight,
            accepting,
        };
        let key = under.map_or(&self.lead.key, |under| &under.0);
        let answer = self.lead.engine.ask_level(&self.lead, key, &asking).await;
        let (promoted, place) = match answer {
            Answer::Found(entry, storable) => (Some(Promoted { entry, storable }), None),
            Answer::Load(place) => (None, place),
        };
        self.sharing = Some(Sharing {
            place,
            shared: |entry, running| Shared::new(entry, coding::<V>(), running),
        });
        promoted
    }

    /// Ends with what the second level had. `under`: another key to store it under.
    pub fn promote<V: RemoteResponse>(
        self,
        promoted: Promoted<V>,
        under: Option<&ResponseKey>,
    ) -> Held<V> {
        let engine = Arc::clone(&self.lead.engine);
        let Promoted { entry, storable } = promoted;
        let (entry, fate) = self.lead.land(entry, storable, under.map(|under| &under.0));
        if fate.is_ok() {
            engine.stored();
        }
        Held::made(entry)
    }
}

impl Sharing {
    /// Sends an entry that was stored under `key` to its place.
    pub(super) fn share(
        self,
        engine: &Arc<Engine>,
        entry: &Arc<Entry>,
        key: &Key,
        running: Running,
    ) {
        let Some(node) = &engine.node else { return };
        let shared = (self.shared)(entry, running);
        match self.place {
            Some(place) if place.is_of(key, node) => engine.share(shared, place),
            _ => engine.share_beside(shared, key.clone()),
        }
    }

    /// That of something stored beside, whose place nobody asked for.
    pub(super) const fn beside(&self) -> Self {
        Self {
            place: None,
            shared: self.shared,
        }
    }
}
