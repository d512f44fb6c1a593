//! Tagged caching for axum and tower.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

// The expansions of the macros name this crate by its own name, also in its own tests.
extern crate self as revalidate;

pub use cache_core::*;
