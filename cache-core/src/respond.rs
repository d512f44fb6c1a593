//! What a layer needs to keep responses: the same look, flights and judgement as for values, with a
//! record that stays open while a body is read, and joiners who are let in at the head.

mod join;
mod level;
mod look;
mod record;
mod room;
mod scope;

use std::sync::Arc;
use std::time::Instant;

pub use self::join::{Joined, Joining, Turn, board, board_refresh};
pub use self::level::{Promoted, RemoteResponse};
pub(crate) use self::look::is_mark;
pub use self::look::{Arrival, Found, Held, find};
pub use self::record::{Recording, put};
pub use self::room::{Reservation, reserve};
pub use self::scope::{Said, Scope};
use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::context;
use crate::key::{Key, KeyRef, Space};
use crate::life::Life;
use crate::marks::Kind;
pub use crate::node::Accepting;
use crate::outward::{note, tell};
use crate::reason::{NotStorable, Reason};
use crate::stats::Counters;
use crate::tag::TagName;

/// An owned key of a response.
#[derive(Clone, Debug)]
pub struct ResponseKey(Key);

impl ResponseKey {
    /// The key of these canonical bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(KeyRef::new(&Space::Http, bytes).to_key())
    }
}

/// Whether the two are copies of one cache.
#[must_use]
pub fn same_cache(one: &Cache, other: &Cache) -> bool {
    Arc::ptr_eq(one.engine(), other.engine())
}

/// What holds for the parts of a lifetime that nobody says.
#[must_use]
pub fn default_life(cache: &Cache) -> Life {
    cache.engine().settings.default_life
}

/// Invalidates the tags hard, for good: what asks is the answer to a request, and no caller is told.
/// A response around it that is being recorded is not stored.
pub fn invalidate(cache: &Cache, names: &[TagName]) {
    let engine = cache.engine();
    if let Some(record) = context::current().and_then(|context| context.record.clone()) {
        record.with(|recorded| recorded.invalidated = true);
    }
    engine.invalidate(Kind::Hard, names);
}

/// Says, once, that a layer caches nothing, as no cache is current.
pub fn warn_no_cache() {
    crate::outward::warn_no_cache("CacheLayer");
}

/// Whether a load or a response around this call is being recorded.
#[must_use]
pub fn in_record() -> bool {
    context::current().is_some_and(|context| context.record.is_some())
}

/// Gives the load or response around this call explicit tags; past a limit it is not stored.
pub fn tag(names: Result<Vec<TagName>, NotStorable>) {
    crate::current::add_tags(names);
}

/// Whether this call is within [`bypass`](crate::bypass).
#[must_use]
pub fn bypassed() -> bool {
    context::current().is_some_and(|context| context.bypass)
}

/// Until when a request that arrives now waits for the loads of others.
#[must_use]
pub fn wait_until(cache: &Cache) -> Timestamp {
    let engine = cache.engine();
    engine.clock.now().plus(engine.settings.wait_limit)
}

/// Counts the outcome of a request, and tells who watches.
pub fn count(cache: &Cache, reason: Reason, joined: bool, began: Option<Instant>) {
    let engine = cache.engine();
    engine.counters.outcome(reason);
    tell(&Space::Http, reason, joined);
    if joined {
        Counters::count(&engine.counters.joined);
    }
    if let Some(context) = context::current() {
        note(&context, &Space::Http, reason, joined, began);
    }
}
