//! Looking for what is stored for a request, and whether that will do.

use std::time::Duration;

use cache_core::respond::{self, Arrival, Found, Held};
use cache_core::{Cache, Reason, Timestamp};
use http::HeaderMap;

use crate::freshness::{Demands, Stands};
use crate::key::KeyBuf;
use crate::refusal::Refusal;
use crate::stored::{Kept, Stored, Variant};

/// Where a look ended.
pub(crate) struct Look {
    pub(crate) found: Found<Kept>,
    pub(crate) arrival: Arrival,
    /// The names that responses vary by, and the key of the variant, where they are known.
    pub(crate) selected: Option<Box<Variant>>,
}

/// Whether what a look found will do.
pub(crate) enum Usable<'l> {
    Yes(&'l Held<Kept>, &'l Stored),
    Unstorable(u16),
    No(Reason),
}

impl Look {
    /// Whether what was found will do, for a request that demands this.
    pub(crate) fn as_demanded(&self, demands: &Demands) -> Usable<'_> {
        let (held, reason) = match &self.found {
            Found::Unstorable(code) => return Usable::Unstorable(*code),
            Found::Fresh(held, _) => (held, Reason::Hit),
            Found::Stale(held) => (held, Reason::Stale),
            Found::Miss(reason, Some(held)) => (held, *reason),
            Found::Miss(reason, None) => return Usable::No(*reason),
        };
        let Some(stored) = response_of(held) else {
            return Usable::No(Reason::NeverStored);
        };
        if will_do(held, stored, reason, demands, self.arrival.at()) {
            Usable::Yes(held, stored)
        } else {
            Usable::No(reason)
        }
    }

    /// Whether something is stored that the origin can validate.
    pub(crate) fn validated(&self) -> bool {
        let (Found::Fresh(held, _) | Found::Stale(held) | Found::Miss(_, Some(held))) = &self.found
        else {
            return false;
        };
        response_of(held).is_some_and(|stored| stored.validators().is_some())
    }
}

/// Looks for the response to a request: under its key, and where responses vary under the variant's.
pub(crate) fn look(cache: &Cache, key: &KeyBuf, headers: &HeaderMap) -> Result<Look, Refusal> {
    let (arrival, found) = respond::find::<Kept>(cache, key.as_slice());
    look_further(cache, key, headers, arrival, found)
}

pub(crate) fn look_further(
    cache: &Cache,
    key: &KeyBuf,
    headers: &HeaderMap,
    arrival: Arrival,
    found: Found<Kept>,
) -> Result<Look, Refusal> {
    let names = match &found {
        Found::Fresh(held, _) | Found::Stale(held) => match &**held {
            Kept::Variants(names) => Some(names.clone()),
            Kept::Response(_) => None,
        },
        Found::Unstorable(_) | Found::Miss(..) => None,
    };
    let Some(names) = names else {
        return Ok(Look {
            found,
            arrival,
            selected: None,
        });
    };
    let key = names.select(key, headers)?;
    let (arrival, found) = respond::find::<Kept>(cache, key.as_slice());
    Ok(Look {
        found,
        arrival,
        selected: Some(Box::new(Variant { names, key })),
    })
}

/// Whether a response that was found so will do, for a request that demands this.
pub(crate) fn will_do(
    held: &Held<Kept>,
    stored: &Stored,
    reason: Reason,
    demands: &Demands,
    now: Timestamp,
) -> bool {
    if !demands.any() {
        return matches!(reason, Reason::Hit | Reason::Stale);
    }
    let expired = matches!(reason, Reason::Hit | Reason::Stale | Reason::Expired);
    demands.met_by(&Stands {
        age: stored.age(now),
        fresh_for: match held.is_stale() {
            true => Duration::ZERO,
            false => held.fresh_until().since(now),
        },
        expired_for: (expired && !stored.terms.strict).then(|| now.since(held.fresh_until())),
    })
}

/// The response of an entry, where it is one.
#[inline]
pub(crate) fn response_of(held: &Held<Kept>) -> Option<&Stored> {
    match &**held {
        Kept::Response(stored) => Some(stored),
        Kept::Variants(_) => None,
    }
}
