//! Who loads a response that was missed, and how the others wait for it.

use std::any::Any;
use std::sync::Arc;

use super::look::{Arrival, Held};
use super::{Recording, ResponseKey};
use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::context;
use crate::entry::Verdict;
use crate::flight::{Boarding, Passenger, Stage};
use crate::key::Space;
use crate::load::within;
use crate::reason::NotStorable;
use crate::tag::TagName;

/// How a request gets its response.
#[derive(Debug)]
pub enum Turn<V> {
    /// It was stored meanwhile.
    Stored(Held<V>),
    /// It loads, for all.
    Lead(Recording),
    /// It waits for another's.
    Join(Joining),
    /// It loads for itself.
    Alone,
}

/// Finds a recording for a request that missed, or lets it lead one. `known`: the tags that are
/// known before the response is.
pub fn board<V: Send + Sync + 'static>(
    cache: &Cache,
    key: &ResponseKey,
    arrival: Arrival,
    known: &[TagName],
) -> Turn<V> {
    let engine = cache.engine();
    let tags = engine.tags(&Space::Http, known);
    match engine.board(&key.0, arrival.reading, &tags, 0) {
        Boarding::Stored(entry) => Held::new(entry, false).map_or(Turn::Alone, Turn::Stored),
        Boarding::Lead(lead) => {
            let around = context::current();
            Turn::Lead(Recording::new(cache, lead, known, false, around))
        }
        Boarding::Join(passenger) => Turn::Join(Joining::new(passenger, arrival, true)),
        Boarding::Wait(passenger) => Turn::Join(Joining::new(passenger, arrival, false)),
    }
}

/// Lets a request lead the refresh of a response, unless one runs already. `awaited`: it waits for
/// it, and with it the load that it is part of.
pub fn board_refresh(
    cache: &Cache,
    key: &ResponseKey,
    known: &[TagName],
    awaited: bool,
) -> Option<Recording> {
    let engine = cache.engine();
    let tags = engine.tags(&Space::Http, known);
    let lead = engine.board_refresh(&key.0, &tags)?;
    let around = context::current().filter(|_| awaited);
    Some(Recording::new(cache, lead, known, true, around))
}

/// A request that waits for another's response.
#[derive(Debug)]
pub struct Joining {
    passenger: Passenger,
    arrival: Arrival,
    may_take: bool,
}

/// What it came to.
#[derive(Debug)]
pub enum Joined<V> {
    /// The head is known and the body is being recorded: what the leader shared.
    Head(Arc<dyn Any + Send + Sync>),
    /// It is stored.
    Done(Held<V>),
    /// Look again.
    Again,
    /// The load succeeded with a response that others may not have: load it alone.
    Refused,
    /// The load failed, or will not do: load it alone.
    Alone,
}

impl Joining {
    const fn new(passenger: Passenger, arrival: Arrival, may_take: bool) -> Self {
        Self {
            passenger,
            arrival,
            may_take,
        }
    }

    /// Waits, until then at most. Cancel-safe.
    pub async fn wait<V: Send + Sync + 'static>(
        mut self,
        cache: &Cache,
        until: Timestamp,
    ) -> Joined<V> {
        let engine = cache.engine();
        let around = context::current();
        let _waits = match around.as_ref().and_then(|context| context.load.as_ref()) {
            None => None,
            Some(load) => match engine.waits.wait(load.flight, self.passenger.flight.id) {
                Some(wait) => Some(wait),
                None => return Joined::Alone,
            },
        };
        let clock = &engine.clock;
        let limit = Some(until.since(clock.now()));
        if !self.may_take {
            let over = within(clock, limit, self.passenger.over()).await;
            return over.map_or(Joined::Alone, |_| Joined::Again);
        }
        let began_after = self.passenger.flight.start() >= self.arrival.reading.sequence;
        match within(clock, limit, self.passenger.head()).await {
            // Its tags are not all known yet, nor what is in it: one who came after the sequence moved, or to a
            // node that is cut off, cannot judge it. Nor whether what is stale in it is so still for them.
            Some(Stage::Head(head, record))
                if began_after && self.arrival.is_proven() && !record.is_stale() =>
            {
                Joined::Head(head)
            }
            Some(Stage::Landed(entry)) => {
                let verdict = entry.judge(engine.ledger.reading(), clock.now().0);
                match verdict {
                    _ if began_after && self.arrival.proves(&entry) && !entry.born_stale => {}
                    Verdict::Fresh { .. } if entry.partial.is_none() => {}
                    _ => return Joined::Again,
                }
                Held::new(entry, false).map_or(Joined::Alone, Joined::Done)
            }
            Some(Stage::Failed(NotStorable::Response)) => Joined::Refused,
            Some(Stage::Head(..) | Stage::Failed(_) | Stage::Running) | None => Joined::Alone,
        }
    }
}
