//! The engine of [revalidate](https://docs.rs/revalidate): tags, keys, lifetimes and single-flight
//! loads, in one process or as one *node* of many. Applications use it through the facade crate
//! `revalidate`.
//!
//! Data goes one way. A read builds a [key](CacheKey) and looks in the *store*; the *entry* it finds
//! judges itself by the *marks* of its tags and the *clock*. A miss boards a *flight*, whose load
//! runs in a *context* that *records* what flows outward from the calls inside it; when it lands,
//! the entry is admitted under its key's lock or refused. An invalidation marks the records of its
//! tags in the *ledger*; the *sweeper* gives the memory back.
//!
//! A node has a [`remote`] beside that: a load asks its second level before the source, and what one node
//! invalidates the others learn from its log and mark as their own.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod backoff;
mod begun;
mod builder;
mod cache;
mod caller;
mod client_type;
mod clock;
mod context;
mod current;
mod engine;
mod entry;
mod error;
mod explain;
#[doc(hidden)]
pub mod explore;
mod flight;
mod given_up;
mod key;
mod ledger;
mod life;
mod load;
#[doc(hidden)]
pub mod macro_support;
mod marks;
mod node;
mod outward;
mod path;
mod path_marks;
mod permissions;
mod permit;
mod reason;
mod record;
pub mod remote;
#[doc(hidden)]
pub mod respond;
#[doc(hidden)]
pub mod spi;
mod stats;
mod store;
mod sweep;
mod sync;
mod tag;
mod trace;
mod verbs;
mod waits;
#[doc(hidden)]
pub mod web;
mod weight;

pub use builder::CacheBuilder;
pub use cache::{Cache, Pending, Stored};
pub use caller::{Caller, Elevated, elevate};
pub use client_type::ClientType;
pub use clock::{Clock, Sleep, Timestamp};
pub use context::{Access, Scoped};
pub use current::{
    FutureExt, allow_inner_failures, bypass, cache_life, cache_tag, fetch, invalidate_cache,
    observe, revalidate_path, revalidate_tag,
};
pub use error::{InstallError, InvalidateError, LifeError, LoadTimeout, ShutdownError};
pub use explain::Explanation;
pub use key::{CacheKey, IntoKey, Key, KeyPath, KeyWriter, MAX_KEY_BYTES, MAX_KEY_PARTS};
pub use life::{Life, Span};
pub use macro_support::{CacheTags, TagSink};
pub use node::CutOff;
pub use path::PathTarget;
pub use permissions::Permissions;
pub use reason::{NotStorable, Reason};
pub use remote::{RemoteCodec, RemoteFormat, RemoteValue};
pub use stats::{RemoteStats, Stats};
pub use tag::{IntoTags, InvalidationMethod, MAX_PATH_LEVELS, MAX_TAG_CHARS, MAX_TAGS};
pub use verbs::{Delivery, Invalidating, InvalidatingFuture, Invalidation};
pub use web::{PublicError, WebError};
pub use weight::CacheWeight;
