//! What a layer remembers of its routes: which have only ever given responses that were not to be
//! stored. Callers of theirs need not wait for one another.
//!
//! A small table that forgets. What it does not know is waited for, and so is what it knows to have
//! been storable once: it never decides what is stored.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use http::Request;

use crate::key::{client_uri, matched_route};

/// How many routes are remembered.
const SLOTS: usize = 256;
/// How many responses are seen before it is believed that none is to be stored.
const ENOUGH: u64 = 8;
/// In place of a number of responses: one was to be stored.
const STORES: u64 = 0xff;
/// The rest of a slot is its route.
const NUMBER: u64 = 0xff;

/// The table: each slot is a route, and the number of its responses.
pub(crate) struct Routes([AtomicU64; SLOTS]);

/// A route, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route(u64);

impl Route {
    /// The pattern that was matched, or the path where none is known.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let mut hasher = DefaultHasher::new();
        match matched_route(request) {
            Some(pattern) => pattern.hash(&mut hasher),
            None => client_uri(request.uri(), request.extensions())
                .path()
                .hash(&mut hasher),
        }
        Self(hasher.finish())
    }

    const fn with(self, number: u64) -> u64 {
        self.0 & !NUMBER | number
    }
}

impl Routes {
    fn slot(&self, route: Route) -> &AtomicU64 {
        // The part of the hash that the slot does not hold.
        &self.0[(route.0 & NUMBER) as usize % SLOTS]
    }

    /// Notes a response of this route.
    pub(crate) fn note(&self, route: Route, storable: bool) {
        let noted = |known: u64| {
            let number = known & NUMBER;
            match (storable, known == route.with(number)) {
                (_, true) if number == STORES => None,
                (true, _) => Some(route.with(STORES)),
                (false, true) => Some(route.with(ENOUGH.min(number + 1))),
                (false, false) => Some(route.with(1)),
            }
        };
        let _ = self
            .slot(route)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, noted);
    }

    /// Whether no response of this route was to be stored, of enough that were seen.
    pub(crate) fn never_store(&self, route: Route) -> bool {
        self.slot(route).load(Ordering::Relaxed) == route.with(ENOUGH)
    }
}

impl Default for Routes {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; SLOTS])
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_storable_once_is_so_for_ever() {
        let routes = Routes::default();
        // Of one slot.
        let (one, other) = (Route(0x100), Route(0x200));
        for seen in 0..ENOUGH {
            assert!(!routes.never_store(one), "{seen}");
            routes.note(one, false);
        }
        assert!(routes.never_store(one) && !routes.never_store(other));
        routes.note(other, false);
        assert!(!routes.never_store(one), "forgotten");
        routes.note(one, true);
        for _ in 0..=ENOUGH {
            routes.note(one, false);
            routes.note(other, false);
        }
        assert!(!routes.never_store(one) && !routes.never_store(other));
    }
}
