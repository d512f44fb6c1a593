//! Redis and Valkey as what the nodes of [revalidate](https://docs.rs/revalidate) share: a second level of
//! values, and an ordered log of invalidations. Applications use it through the facade crate, as
//! `revalidate::Redis` with the feature `redis`.
//!
//! ```no_run
//! # use cache_core as revalidate;
//! use cache_redis::Redis;
//! use revalidate::Cache;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::builder()
//!     .namespace("shop")
//!     .remote(Redis::new("redis://user:password@10.0.0.5:6379/0")?)
//!     .build()
//!     .install()?;
//! # Ok(()) }
//! ```
//!
//! Redis 6.2 and later, and Valkey. Standalone ([`Redis::new`]), with Sentinel ([`Redis::sentinel`]), or as a
//! Cluster ([`Redis::cluster`]).
//!
#![doc = include_str!("../docs/wire.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod config;
mod connect;
mod error;
mod names;
mod scripts;
mod session;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod topology;
mod wire;

pub use config::Redis;
pub use error::RedisError;
pub use state::State;
