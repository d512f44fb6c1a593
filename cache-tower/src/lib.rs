//! The HTTP half of [revalidate](https://docs.rs/revalidate): a tagged cache around any tower
//! service. Applications use it through the facade crate `revalidate`.
//!
//! A request goes one way. The *service* writes its *key* and looks; a fresh or stale response is
//! *reused* at once. A *miss* leads a *load*, joins another's or goes alone. A load calls the inner
//! service as a task of its own, *freshness* judges what comes back, and a *recording* takes its body
//! for the store while clients stream from it.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod admit;
mod ask;
mod body;
mod conditional;
#[cfg(feature = "axum")]
#[doc(hidden)]
pub mod extract;
mod freshness;
mod future;
mod key;
mod layer;
mod level;
mod load;
mod loaded;
mod look;
mod miss;
mod piece;
mod policy;
mod range;
mod reader;
mod recording;
mod refusal;
mod resource;
mod respond;
mod routes;
mod service;
#[doc(hidden)]
pub mod spi;
mod status;
mod stored;
mod storing;
mod template;
#[cfg(test)]
mod testing;
mod validation;
mod vary;
mod wire;

pub use body::{BoxError, CacheBody};
pub use future::ResponseFuture;
pub use layer::CacheLayer;
pub use policy::{Bypass, CachePolicy, Cookies};
pub use refusal::Refusal;
pub use service::CacheService;
