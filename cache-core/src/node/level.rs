//! The second level, asked before a load's source.
//!
//! What it holds is as good as what this process would load now, if the tokens of its tags are those of the
//! records: whoever invalidates changes them, and what lost a record is no entry any more. But this process's
//! own invalidations may still be on their way there, so the outbox is asked as well.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Node;
use super::outbox::LevelRead;
use crate::clock::{Timestamp, nanos};
use crate::engine::Engine;
use crate::entry::{Entry, Times};
use crate::flight::Lead;
use crate::key::Key;
use crate::life::Life;
use crate::marks::TagRecord;
use crate::reason::NotStorable;
use crate::remote::{
    Coding, Envelope, Opened, RemoteError, RemoteFormat, Session, Token, type_of, unpack,
};
use crate::tag::TagName;

/// How long a placeholder keeps a place for a load: the value of one that takes longer is not shared.
const PLACEHOLDER: Duration = Duration::from_secs(60);
/// Between two looks at another node's placeholder.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Where a value is to go in the second level, as a read found or left it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) session: Arc<dyn Session>,
    pub(super) name: Bytes,
    pub(super) occupant: Token,
}

impl Place {
    /// Whether it is this key's.
    pub(crate) fn is_of(&self, key: &Key, node: &Node) -> bool {
        self.name == node.place(&key.as_ref())
    }
}

/// What of the second level will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepting {
    /// Nothing: the value is to be loaded.
    Nothing,
    /// What is fresh and not about to expire: it replaces what is.
    Fresh,
    /// What may be served.
    Servable,
}

/// How a value is asked for.
pub(crate) struct Asking<V> {
    pub(crate) coding: Coding<V>,
    pub(crate) weigh: fn(&V) -> usize,
    pub(crate) accepting: Accepting,
}

/// What the second level came to.
pub(crate) enum Answer<V> {
    Found(Entry<V>, Result<(), NotStorable>),
    /// Load it. Where there is a place, it goes there.
    Load(Option<Place>),
}

/// What was found in a place.
enum Found {
    /// To be read, with the tokens of the tags that were asked for.
    Entry(Token, Bytes, Vec<Option<Token>>),
    /// To be replaced.
    Occupied(Token),
    /// Another node's load.
    Placeholder(Token),
    Nothing,
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Engine {
    /// Asks the second level for what a flight is to load, under `key`: that of the flight, or what it
    /// turned out to be for.
    pub(crate) async fn ask_level<V: Send + Sync + 'static>(
        self: &Arc<Self>,
        lead: &Lead,
        key: &Key,
        asking: &Asking<V>,
    ) -> Answer<V> {
        let Some(node) = &self.node else {
            return Answer::Load(None);
        };
        self.begin_node();
        let Some(level) = self.level(node, key) else {
            return Answer::Load(None);
        };
        match level.ask(lead, asking).await {
            Ok(answer) => {
                match answer {
                    Answer::Found(..) => node.counters.hits.count(),
                    Answer::Load(_) => node.counters.misses.count(),
                }
                answer
            }
            Err(error) => {
                node.failed(&level.session, &error);
                Answer::Load(None)
            }
        }
    }

    /// Takes a key's place for what no read of a load found or left it for: it replaces what is there.
    pub(super) async fn take_place(
        self: &Arc<Self>,
        node: &Node,
        key: &Key,
    ) -> Result<Option<Place>, RemoteError> {
        let Some(level) = self.level(node, key) else {
            return Ok(None);
        };
        let found = level.read(&[], Accepting::Nothing).await?;
        level.take(found).await
    }

    /// None while this node is not current: the server may be another by now, where what stood in the places of
    /// the former one was removed.
    fn level<'a>(self: &'a Arc<Self>, node: &'a Node, key: &'a Key) -> Option<Level<'a>> {
        let current_until = node
            .last_current()
            .saturating_add(nanos(node.settings.bound));
        if self.clock.now().0 > current_until {
            return None;
        }
        Some(Level {
            engine: self,
            node,
            key,
            name: node.place(&key.as_ref()),
            session: node.session()?,
        })
    }

    /// Wall time as entries of the second level have it.
    pub(super) fn wall(&self) -> u64 {
        milliseconds(self.clock.system_time())
    }
}

struct Level<'a> {
    engine: &'a Arc<Engine>,
    node: &'a Node,
    session: Arc<dyn Session>,
    key: &'a Key,
    name: Bytes,
}

impl Level<'_> {
    async fn ask<V: Send + Sync + 'static>(
        &self,
        lead: &Lead,
        asking: &Asking<V>,
    ) -> Result<Answer<V>, RemoteError> {
        let clock = &self.engine.clock;
        let until = clock.now().plus(self.node.settings.lease);
        loop {
            // All of it from before the request is sent.
            let read = self.node.outbox.begin_read();
            let sent = clock.now().0;
            let known = lead.flight.known();
            match self.read(known, asking.accepting).await? {
                Found::Entry(id, body, tokens) => {
                    let envelope = Envelope::open(&body);
                    let found = match envelope {
                        None => self.unreadable(),
                        Some(envelope) if self.is_valid(&envelope, known, &tokens).await? => {
                            self.made(&envelope, sent, &read, lead, asking)
                        }
                        Some(_) => None,
                    };
                    return Ok(match found {
                        Some((entry, storable)) => Answer::Found(entry, storable),
                        None => Answer::Load(Some(self.place(id))),
                    });
                }
                Found::Placeholder(_)
                    if asking.accepting != Accepting::Nothing && clock.now() < until =>
                {
                    drop(read);
                    clock.sleep(LOOK_AGAIN).await;
                }
                found => return self.take(found).await.map(Answer::Load),
            }
        }
    }

    /// The place, with what a read found in it, or a placeholder where that is nothing.
    async fn take(&self, found: Found) -> Result<Option<Place>, RemoteError> {
        match found {
            Found::Entry(id, ..) | Found::Occupied(id) | Found::Placeholder(id) => {
                Ok(Some(self.place(id)))
            }
            Found::Nothing => {
                let placeholder = Token::random();
                let name = self.name.clone();
                let held = self.session.hold(name, placeholder, PLACEHOLDER);
                let held = self.node.answer(&self.engine.clock, held).await?;
                Ok(held.then(|| self.place(placeholder)))
            }
        }
    }

    fn place(&self, occupant: Token) -> Place {
        Place {
            session: Arc::clone(&self.session),
            name: self.name.clone(),
            occupant,
        }
    }

    /// Reads the place, and the tokens of the tags that are known beforehand with it.
    async fn read(
        &self,
        known: &[Arc<TagRecord>],
        accepting: Accepting,
    ) -> Result<Found, RemoteError> {
        let known = match accepting {
            Accepting::Nothing => &[],
            Accepting::Fresh | Accepting::Servable => known,
        };
        let known = known.iter().map(|tag| Arc::clone(tag.name())).collect();
        let read = self.session.read(self.name.clone(), known);
        let read = self.node.answer(&self.engine.clock, read).await?;
        let Some(occupant) = read.occupant else {
            return Ok(Found::Nothing);
        };
        Ok(match Opened::of(occupant) {
            Opened::Placeholder(id) => Found::Placeholder(id),
            Opened::Entry(id, _) if accepting == Accepting::Nothing => Found::Occupied(id),
            Opened::Entry(id, body) => Found::Entry(id, body, read.tokens),
            Opened::Unreadable(id) => {
                self.node.counters.unreadable.count();
                Found::Occupied(id)
            }
        })
    }

    /// Whether an entry's tags have the tokens that it had: those that were asked for with it, and the others.
    async fn is_valid(
        &self,
        envelope: &Envelope<'_>,
        known: &[Arc<TagRecord>],
        tokens: &[Option<Token>],
    ) -> Result<bool, RemoteError> {
        let mut unknown = Vec::new();
        let mut expected = Vec::new();
        for (name, had) in &envelope.tags {
            let had = Some(Token(*had));
            match known.iter().position(|known| **known.name() == **name) {
                Some(at) if tokens.get(at) == Some(&had) => {}
                Some(_) => return Ok(false),
                None => {
                    unknown.push(Arc::from(*name));
                    expected.push(had);
                }
            }
        }
        if unknown.is_empty() {
            return Ok(true);
        }
        let tokens = self.session.tokens(unknown);
        let tokens = self.node.answer(&self.engine.clock, tokens).await?;
        Ok(tokens == expected)
    }

    /// The records of an entry's tags, of which the most are known.
    fn tags(&self, envelope: &Envelope<'_>, known: &[Arc<TagRecord>]) -> Vec<Arc<TagRecord>> {
        let mut tags = Vec::with_capacity(envelope.tags.len());
        let mut others = Vec::new();
        for (name, _) in &envelope.tags {
            match known.iter().find(|known| **known.name() == **name) {
                Some(known) => tags.push(Arc::clone(known)),
                None => others.push(TagName::from_raw(&Arc::from(*name))),
            }
        }
        if !others.is_empty() {
            tags.extend(self.engine.ledger.records(&others));
        }
        tags
    }

    fn unreadable<T>(&self) -> Option<T> {
        self.node.counters.unreadable.count();
        None
    }

    /// Makes an entry of this process of a valid one that was asked for at `sent`; `None` where it will not do.
    fn made<V: Send + Sync + 'static>(
        &self,
        envelope: &Envelope<'_>,
        sent: u64,
        read: &LevelRead<'_>,
        lead: &Lead,
        asking: &Asking<V>,
    ) -> Option<(Entry<V>, Result<(), NotStorable>)> {
        if envelope.key != &*self.name || envelope.of != type_of::<V>() {
            return self.unreadable();
        }
        let tags = self.tags(envelope, lead.flight.known());
        // Held from here on: what is invalidated from now on marks them, and what was before is in the outbox.
        if read.refuses(&tags, &self.name) {
            self.node.counters.refused.count();
            return None;
        }
        // In this order: by what passes between the two its life is shorter, and not longer.
        let now = self.engine.clock.now().0;
        let wall = self.engine.wall();
        let stale_for = wall.saturating_sub(envelope.fresh_until);
        let stale = wall >= envelope.fresh_until;
        let will_do = match asking.accepting {
            Accepting::Nothing => false,
            Accepting::Fresh => wall.saturating_add(envelope.refresh_ahead) < envelope.fresh_until,
            Accepting::Servable => !stale || stale_for < envelope.stale_while_revalidate,
        };
        if !will_do {
            return None;
        }
        // What is packed is bounded as what is stored here is.
        let most = usize::try_from(self.engine.settings.max_bytes).unwrap_or(usize::MAX);
        let value = unpack(envelope.packing, envelope.value, most);
        let of_millis = |milliseconds: u64| milliseconds.saturating_mul(1_000_000);
        let age = of_millis(wall.saturating_sub(envelope.filled_at));
        let filled_at = now.saturating_sub(age);
        let decode = |value: Cow<'_, [u8]>| {
            let format = RemoteFormat::of(envelope.format)?;
            let read = || asking.coding.read(format, &value, Timestamp(filled_at));
            // Of a release that thought otherwise, a type may take a value for impossible.
            catch_unwind(AssertUnwindSafe(read)).ok().flatten()
        };
        let Some(value) = value.and_then(decode) else {
            return self.unreadable();
        };
        let fresh_until = if stale {
            now.saturating_sub(of_millis(stale_for))
        } else {
            now.saturating_add(of_millis(envelope.fresh_until - wall))
        };
        // Its ttl is said by the times.
        let life = Life::default()
            .stale_while_revalidate(Duration::from_millis(envelope.stale_while_revalidate))
            .stale_if_error(Duration::from_millis(envelope.stale_if_error))
            .refresh_ahead(Duration::from_millis(envelope.refresh_ahead));
        let times = Times {
            loaded_at: lead.start(),
            filled_at,
            asked_at: sent,
            fresh_until,
        };
        let weight = (asking.weigh)(&value);
        let (mut entry, storable) =
            self.engine
                .made_of(self.key, (value, weight), tags, times, &life);
        entry.kept_stale = of_millis(envelope.kept_stale);
        entry.by_caller = envelope.by_caller;
        entry.born_stale = stale;
        entry.promoted = true;
        Some((entry, storable))
    }
}
