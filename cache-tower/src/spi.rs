//! What `cache-gateway` stands on. Not public API: it changes without notice.
//!
//! A layer that is *directed* does for each request what the layer around it says in an extension: under
//! which key to look, whether to look at all, by which tags the response is dropped. All else is as ever.

use cache_core::spi::TagName;
use http::header::CACHE_STATUS;
use http::{HeaderMap, Request};

use crate::layer::CacheLayer;
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
    let lines = headers.get_all(CACHE_STATUS).iter();
    let last = lines.last().and_then(|line| line.to_str().ok());
    // Its own member comes last, and has no comma: names are tokens or quoted before the first semicolon.
    let own = last.and_then(|line| line.rsplit(", ").next());
    let mut parameters = own.unwrap_or_default().split("; ").skip(1);
    match parameters.next() {
        Some("hit") => Told::Hit,
        Some("fwd=stale") => Told::Invalid,
        _ => Told::Miss,
    }
}
