//! What `cache-tower` and the expansions of `cache-macros` stand on. Not public API: it changes
//! without notice.

use std::time::Duration;

use crate::cache::Cache;
use crate::caller::Caller;
use crate::context::{Scoped, process_cache};
use crate::current::on_current;
use crate::error::InvalidateError;
use crate::key::{KeyBytes, KeyPath, KeyRef, KeyWriter, Space, beginnings, encoded};
use crate::life::Life;
use crate::load::look;
use crate::verbs::Invalidating;

pub use crate::begun::Begun;
pub use crate::context::Around;
pub use crate::key::{Function, Key};
pub use crate::load::{Call, CallOptions, Fetched, Finished, Looked, Sharing};
pub use crate::outward::{warn_refused, warn_set_up};
pub use crate::path::path_tags;
pub use crate::respond;
pub use crate::tag::{TagName, kind_and_text, shown};
pub use crate::web;
pub use crate::weight::serialized_len;

/// A function and its key arguments, on the stack while they are small.
#[derive(Debug)]
pub struct CallKey {
    space: Space,
    bytes: KeyBytes,
}

impl CallKey {
    /// The key of a call of `function` whose arguments are still to be written.
    #[inline]
    #[must_use]
    pub fn new(function: &'static Function) -> Self {
        Self {
            space: Space::Function(function),
            bytes: KeyBytes::default(),
        }
    }

    /// Where the arguments are written.
    #[inline]
    pub fn writer(&mut self) -> KeyWriter<'_> {
        KeyWriter(&mut self.bytes)
    }

    /// The key, for people and for [`Cache::explain`].
    #[must_use]
    pub fn key(&self) -> Key {
        KeyRef::new(&self.space, &self.bytes.bytes).to_key()
    }
}

/// The parts of a lifetime, each where it is said, for those who write it down.
#[must_use]
pub const fn life_parts(life: &Life) -> [Option<Duration>; 6] {
    life.parts()
}

/// The lifetime of these [parts](life_parts).
#[must_use]
pub const fn life_of_parts(parts: [Option<Duration>; 6]) -> Life {
    Life::of_parts(parts)
}

/// Looks in the current cache: no await, no lock, no allocation.
#[inline]
pub fn lookup<V: Clone + Send + Sync + 'static>(key: &CallKey) -> Looked<V> {
    look(None, &key.space, &key.bytes)
}

/// A call that loads anew, whatever is stored.
pub fn lookup_anew<V: Clone + Send + Sync + 'static>(key: &CallKey) -> Call<V> {
    Call::of_current(&key.space, &key.bytes)
}

/// The tags of what is stored under `path` in this scope, beside its explicit ones: for responses that
/// stand for it.
#[must_use]
pub fn key_tags(cache: &Cache, path: &KeyPath) -> Vec<TagName> {
    let mut tags = cache.space().tags();
    tags.append(&mut beginnings(cache.space(), &encoded(path).bytes));
    tags
}

/// What a scope is called, unlike any other of its cache.
#[must_use]
pub fn scope_name(cache: &Cache) -> &str {
    match cache.space() {
        Space::Scope(scope) => scope.path(),
        Space::Function(_) | Space::Http => "",
    }
}

/// The bytes that a key is compared by.
///
/// # Errors
///
/// It is too long, or has too many parts.
pub fn key_bytes(key: &impl crate::CacheKey) -> Result<Vec<u8>, crate::NotStorable> {
    let key = encoded(key);
    key.flaw.map_or_else(|| Ok(key.bytes.to_vec()), Err)
}

/// Drops the value of one call.
pub fn remove(key: &CallKey) -> Invalidating {
    on_current(|cache| cache.remove(key.key()))
}

/// Drops the values of every call of a function.
pub fn clear(function: &'static Function) -> Invalidating {
    on_current(|cache| cache.of_function(function).clear())
}

/// Why an invalidation was refused. `None`: it was applied.
#[must_use]
pub const fn refusal(invalidating: &Invalidating) -> Option<&InvalidateError> {
    invalidating.refusal()
}

/// The process's cache, without a copy; `None` where one is entered, or none is current.
#[must_use]
pub fn installed() -> Option<&'static Cache> {
    process_cache()
}

/// Runs `future` as called by `caller`, with that one's rights.
pub fn called_by<F>(caller: Caller, future: F) -> Scoped<F> {
    caller.calling(future)
}
