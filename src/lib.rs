#![doc = include_str!("../docs/overview.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

// The expansions of the macros name this crate by its own name, also in its own tests.
extern crate self as revalidate;

pub use cache_core::{
    Access, Cache, CacheBuilder, CacheWeight, Caller, ClientType, Clock, CutOff, Delivery,
    Elevated, Explanation, FutureExt, InstallError, IntoKey, IntoTags, InvalidateError,
    Invalidating, InvalidatingFuture, Invalidation, InvalidationMethod, Key, KeyPath, KeyWriter,
    Life, LifeError, LoadTimeout, MAX_KEY_BYTES, MAX_KEY_PARTS, MAX_PATH_LEVELS, MAX_TAG_CHARS,
    MAX_TAGS, NotStorable, PathTarget, Pending, Permissions, PublicError, Reason, RemoteCodec,
    RemoteFormat, RemoteStats, RemoteValue, Scoped, ShutdownError, Sleep, Span, Stats, Stored,
    Timestamp, WebError, allow_inner_failures, bypass, cache_life, elevate, fetch,
    invalidate_cache, observe, remote, revalidate_path, revalidate_tag,
};

// Each of these names two things: a function or a trait, and the macro for it.
pub use cache_core::{CacheKey, CacheTags, TagSink, cache_tag};
pub use cache_macros::{CacheKey, CacheTags, cache_tag, web_method};

#[cfg(feature = "tower")]
pub use cache_tower::{
    BoxError, Bypass, CacheBody, CacheLayer, CachePolicy, CacheService, Cookies, Refusal,
    ResponseFuture,
};

#[cfg(feature = "gateway")]
pub use cache_gateway as gateway;
#[cfg(feature = "redis")]
pub use cache_redis::{Redis, RedisError};
#[cfg(feature = "web")]
pub use cache_web::{IntoCaller, WebMethods, WebMethodsError, outputs};

#[doc(hidden)]
pub mod __private {
    pub use cache_core::macro_support::*;
    #[cfg(feature = "axum")]
    pub use cache_tower::extract::*;

    pub mod dispatch {
        pub use cache_core::macro_support::dispatch::*;
        #[cfg(feature = "axum")]
        pub use cache_tower::extract::dispatch::*;
    }
}

/// The guide's examples, as tests.
#[cfg(all(doctest, feature = "web"))]
#[doc = include_str!("../docs/guide.md")]
#[derive(Debug)]
pub struct Guide;

/// What is written of gateway policies, as tests.
#[cfg(all(doctest, feature = "axum", feature = "gateway"))]
#[doc = include_str!("../docs/gateway.md")]
#[derive(Debug)]
pub struct Gateway;

/// What is written of the layer, as tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/http.md")]
#[derive(Debug)]
pub struct Http;

/// What is written for who comes from another cache, as tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/coming-from.md")]
#[derive(Debug)]
pub struct ComingFrom;
