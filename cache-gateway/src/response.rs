//! `ResponseCache` as one layer: around the cache it says what to look for, inside it what to store.

mod inside;
mod layer;
mod outside;

pub use layer::ResponseCacheLayer;
pub use outside::{ResponseCacheBody, ResponseCacheFuture, ResponseCacheService};
