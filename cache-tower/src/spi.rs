//! What `cache-gateway` and `cache-web` stand on. Not public API: it changes without notice.
//!
//! A layer that is *directed* does for each request what the layer around it says in an extension: under
//! which key to look, whether to look at all, by which tags the response is dropped. All else is as ever.

use std::time::{Duration, SystemTime};

use cache_core::Life;
use cache_core::spi::TagName;
use http::header::CACHE_STATUS;
use http::{HeaderMap, Request};

use crate::freshness::{CacheControl, explicit_lifetime, initial_age};
use crate::layer::CacheLayer;
use crate::policy::CachePolicy;
use crate::refusal::Refusal;

/// What a directed layer does with a request: an extension of it.
#[derive(Clone, Debug, Default)]
pub struct Directions {
    /// Why it passes by, where it does.
    pub pass: Option<Refusal>,
    /// In place of what its URI makes of the key.
    pub key: Vec<u8>,
    /// What the response is dropped by, beside its paths and its own tags.
    pub tags: Vec<TagName>,
    /// It is not answered from what is stored; its response is stored all the same.
    pub anew: bool,
    /// The key tells the callers apart that `Authorization` names, or that makes no difference.
    pub knows_callers: bool,
}

impl Directions {
    /// Those of a request.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// A layer that is directed. A request without directions passes by.
pub fn directed() -> CacheLayer {
    CacheLayer::new().directed()
}

/// The lifetime that is given to a response whose handler says none. Where the response is a 304, what the
/// handler said of the stored one stands above it.
#[must_use]
pub fn lifetime(life: Life) -> CachePolicy {
    CachePolicy::ttl(life).yielding()
}

/// That of a response which is the value of a cached function: it lives as long as that, also where the
/// cache's default is shorter.
#[must_use]
pub const fn as_inside() -> CachePolicy {
    CachePolicy::as_inside()
}

/// What `s-maxage`, `max-age` or `Expires` of a response leave of its lifetime, the first of them that is
/// there; none at all with `no-cache`. `None`: it says nothing.
#[must_use]
pub fn stated_lifetime(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let control = CacheControl::targeted(headers, &[]);
    if control.no_cache {
        return Some(Duration::ZERO);
    }
    let stated = explicit_lifetime(&control, headers, now)?;
    Some(stated.saturating_sub(initial_age(headers, now, Duration::ZERO)))
}

/// What a layer said in its response of the look that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The response was stored.
    Hit,
    /// One was stored, and is valid no more.
    Invalid,
    /// Neither.
    Miss,
}

/// What the outermost layer that wrote into these headers said.
#[must_use]
pub fn told(headers: &HeaderMap) -> Told {
    let last = headers.get_all(CACHE_STATUS).iter().next_back();
    let last = last.and_then(|line| line.to_str().ok());
    // Its own member comes last, and has no comma: names are tokens or quoted before the first semicolon.
    let own = last.and_then(|line| line.rsplit(", ").next());
    let mut parameters = own.unwrap_or_default().split("; ").skip(1);
    match parameters.next() {
        Some("hit") => Told::Hit,
        Some("fwd=stale") => Told::Invalid,
        _ => Told::Miss,
    }
}
