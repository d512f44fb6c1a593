//! [`CacheLayer`]: what a cache around a service is told when it is made.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use cache_core::{Cache, IntoTags, Life, MAX_TAGS};
use http::HeaderName;
use tower_layer::Layer;
use xxhash_rust::xxh3::xxh3_64;

use crate::freshness::Manner;
use crate::policy::Cookies;
use crate::routes::Routes;
use crate::service::CacheService;
use crate::template::Template;

/// The largest body that is stored, unless said otherwise: 8 MiB.
const MAX_BODY_BYTES: usize = 8 << 20;

/// A layer that answers GET and HEAD requests from a tagged cache: around an axum `Router`, one route,
/// a nested router or any tower service.
///
/// With [`new`](Self::new) nothing is stored that was not declared storable: by [`ttl`](Self::ttl) on
/// the layer, by a [`CachePolicy`](crate::CachePolicy) in the response, or by the response's own
/// `Cache-Control` or `Expires`. [`shared_proxy`](Self::shared_proxy) is for origins that know nothing
/// of it. Fastest around the whole router, where a hit never enters it.
///
/// ```
/// # use cache_tower as revalidate;
/// use revalidate::{CacheLayer, Cookies};
///
/// let whole_site = CacheLayer::new();                    // stores what handlers declare storable
/// let one_route = CacheLayer::new()
///     .tags(["blog", "post:{slug}"])                     // path parameters of the matched route
///     .ttl("10m")
///     .cookies(Cookies::Ignore);
/// ```
///
/// # Where to put it
///
/// `Router::layer` and `MethodRouter::layer` run it after routing: the path parameters are known, and
/// `revalidate_path` drops by the route's pattern exactly. Around a whole router
/// (`CacheLayer::new().layer(router)`, from tower's `Layer`) a hit never enters it, and a pattern
/// drops everything under its literal prefix. `axum::serve` takes no other service than one with
/// axum's own body, so there the whole goes back into a router:
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::Router;
/// # use cache_tower as revalidate;
/// use revalidate::CacheLayer;
/// use tower_layer::Layer;
///
/// let router: Router = Router::new();
/// let app: Router = Router::new().fallback_service(CacheLayer::new().layer(router));
/// # }
/// ```
///
/// Layers of one cache may be nested: the innermost that stores a response stores it alone.
///
/// # What is never stored
///
/// Responses to other methods than GET; those with `private`, `no-store` (where no `must-understand`
/// lifts it) or `Vary: *`; those to requests with `Authorization`, unless they or their policy say
/// `public`, or they say `s-maxage` or `must-revalidate`; 304, 412, 416 and 417; what ends with
/// trailers, breaks off, or is larger than [`max_body_bytes`](Self::max_body_bytes); and what
/// invalidated something while it was made, or called a cached function that failed.
///
/// With [`new`](Self::new) neither those with `Set-Cookie`, those with `no-cache` or without freshness
/// when they arrive (unless a policy declares them storable), and parts. Nor do requests with and
/// without `Authorization` ever share an entry.
///
/// # What the handler sees
///
/// A GET that may be shared runs as a task of its own, so that a client that leaves strands nobody;
/// it is given up when nobody has waited for its response for 30 s (in the background: 5 min). In it
/// the cache is current, and the tags of every cached call flow into the stored response.
///
/// It asks for the whole, since the layer compares clients' conditions and cuts their ranges itself.
/// Its `If-None-Match` and `If-Modified-Since` are the layer's, where something is stored that has the
/// handler's own `ETag` or `Last-Modified`: a 304 then keeps what is stored. Where nothing is,
/// [`shared_proxy`](Self::shared_proxy) passes on the client's.
///
/// # Bounds
///
/// The service inside is `Clone + Send + 'static`, its error of any type. The body of requests is
/// `Default`, for the layer's own: axum's is, hyper's `Incoming` is not (`request.map(Body::new)`).
///
/// # What clients see
///
/// `Cache-Status` (RFC 9211) with the reason as `detail`, one of [`Reason`](cache_core::Reason)'s or
/// [`Refusal`](crate::Refusal)'s tokens, or `no-current-cache` where there is none (`stored` on a response that is still being streamed says that
/// it will be, unless its body fails or grows too large), after what the cached functions came to that
/// the handler called, each by its own name without its modules (`contact; hit`); and `Age` on what
/// was stored. A hit that another node had, where the cache has a remote, has the detail `remote`.
///
/// [`new`](Self::new) adds a weak `ETag` of the layer's where the handler set none (to a body that comes
/// piece by piece once it is stored). Where the handler said nothing to clients they are told
/// `Cache-Control: no-cache`, or `max-age` where the [`Life`] says what clients may keep: an
/// invalidation is then seen at their next request, for the price of a 304.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct CacheLayer {
    config: Arc<Config>,
}

impl Default for CacheLayer {
    #[track_caller]
    fn default() -> Self {
        Self {
            config: Arc::new(Config::new()),
        }
    }
}

/// What tells a layer's entries from those of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Where it was made, and how many were made there before it: the same in every process of one build that
    /// makes those of one place in one order.
    Made {
        place: u64,
        number: u64,
    },
    Given(Box<str>),
}

impl Name {
    #[track_caller]
    fn made() -> Self {
        static MADE: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());
        let place = xxh3_64(Location::caller().to_string().as_bytes());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let next = made.entry(place).or_insert(0);
        *next += 1;
        Self::Made {
            place,
            number: *next - 1,
        }
    }
}

/// The field that speaks to caches such as this one alone (RFC 9213, section 3.1).
pub(crate) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// What a layer was told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: Name,
    pub(crate) manner: Manner,
    pub(crate) targets: Vec<HeaderName>,
    pub(crate) obeys_requests: bool,
    pub(crate) shows_key: bool,
    /// Whether requests say what is to be done: see [`Directions`](crate::spi::Directions).
    pub(crate) directed: bool,
    pub(crate) cache: Option<Cache>,
    pub(crate) life: Option<Life>,
    pub(crate) tags: Vec<Template>,
    pub(crate) cookies: Option<Cookies>,
    pub(crate) max_body_bytes: usize,
    pub(crate) routes: Arc<Routes>,
}

impl Config {
    /// Whether requests of one key may differ by their cookies.
    pub(crate) const fn is_shared_by_cookies(&self) -> bool {
        self.life.is_none() || self.cookies.is_some()
    }
}

impl Config {
    #[track_caller]
    fn new() -> Self {
        Self {
            name: Name::made(),
            manner: Manner::Application,
            targets: vec![CDN_CACHE_CONTROL],
            obeys_requests: false,
            shows_key: false,
            directed: false,
            cache: None,
            life: None,
            tags: Vec::new(),
            cookies: None,
            max_body_bytes: MAX_BODY_BYTES,
            routes: Arc::default(),
        }
    }
}

impl CacheLayer {
    /// For applications: stores only what is explicitly declared storable.
    #[track_caller]
    pub fn new() -> Self {
        Self::default()
    }

    /// For any origin, as a shared cache by RFC 9111 to the letter: a reverse proxy's.
    ///
    /// Beyond what [`new`](Self::new) does,
    /// * what states no freshness but says when it was last modified is fresh for a tenth of the time
    ///   since then, a day at most (section 4.2.2);
    /// * what is not fresh, or to be validated at each reuse, is kept where it has a validator;
    /// * `Set-Cookie` is stored where freshness is explicit (section 7.3);
    /// * requests with and without `Authorization` share what allows it (section 3.5);
    /// * clients' own conditions and ranges are passed on where nothing is stored, and parts are stored;
    /// * a stale response is served for up to a day while the origin cannot be reached: the service
    ///   fails, or answers 502 or 504, and nothing in the response forbids it (section 4.2.4);
    /// * clients are told what the origin said, no more: no `ETag` and no `Cache-Control` is added, but
    ///   a `Date` where there is none.
    #[track_caller]
    pub fn shared_proxy() -> Self {
        Self::new().with(|config| config.manner = Manner::SharedProxy)
    }

    pub(crate) fn directed(self) -> Self {
        self.with(|config| config.directed = true)
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Declares the responses storable, for this long: whole seconds, a `Duration`, text such as
    /// `"1h30m"`, a built-in profile such as `"hours"`, or a [`Life`] with its stale windows. A
    /// response that states its own freshness is kept for that long instead.
    ///
    /// It covers the statuses 200, 203, 204, 300, 301 and 308, no `text/event-stream`, and no
    /// request with a `Cookie` until [`cookies`](Self::cookies) is said.
    ///
    /// # Panics
    ///
    /// With text that is no lifetime, and with a lifetime of zero, which would store nothing.
    #[track_caller]
    pub fn ttl(self, life: impl Into<Life>) -> Self {
        let life = life.into();
        assert!(
            !life.is_zero(),
            "a lifetime of zero stores nothing: leave `ttl` out, and the layer stores what is declared storable by itself"
        );
        self.with(|config| config.life = Some(life))
    }

    /// The same as [`ttl`](Self::ttl), by the name that [`Life`] goes by.
    ///
    /// # Panics
    ///
    /// As [`ttl`](Self::ttl).
    #[track_caller]
    pub fn life(self, life: impl Into<Life>) -> Self {
        self.ttl(life)
    }

    /// Adds tags to every response that is stored. `{name}` stands for the path parameter of the
    /// matched axum route; `{{` and `}}` are braces. They declare nothing storable by themselves.
    ///
    /// A response whose request has no such parameter is served and not stored; so is every one of a
    /// layer around a whole router, which sees requests before they are routed.
    ///
    /// # Panics
    ///
    /// As axum's `route` does, with what cannot be right: an empty tag or one longer than 256
    /// characters, unbalanced braces, more than 128 tags.
    #[track_caller]
    pub fn tags<M>(self, tags: impl IntoTags<M>) -> Self {
        let mut templates = Vec::new();
        let mut wrong = None;
        tags.each_tag(&mut |tag| match Template::parse(tag) {
            Ok(template) => templates.push(template),
            Err(problem) => wrong = Some(problem),
        });
        if let Some(problem) = wrong {
            panic!("{problem}");
        }
        let count = self.config.tags.len() + templates.len();
        assert!(
            count <= MAX_TAGS,
            "a layer has {count} tags; an entry carries at most {MAX_TAGS}"
        );
        self.with(|config| config.tags.append(&mut templates))
    }

    /// Names the layer. Layers of one cache that were made apart share no entries, since they may be
    /// around different applications; those that are given one name do. Copies of a layer are one.
    ///
    /// With a [remote](cache_core::CacheBuilder::remote) layers of one name meet on all nodes of one build. Those
    /// without are told apart by where in the code they are made, and those of one place (in a loop, in a
    /// function) by their order: where nodes do not make these in the same order, name them.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|config| config.name = Name::Given(name.into().into()))
    }

    /// The cache to use, which is then current for the handler. Without it the current or installed
    /// one is used.
    pub fn cache(self, cache: Cache) -> Self {
        self.with(|config| config.cache = Some(cache))
    }

    /// Says what cookies mean for responses that are storable by this layer's own
    /// [`ttl`](Self::ttl). Until it is said, requests with a `Cookie` pass by.
    pub fn cookies(self, cookies: Cookies) -> Self {
        self.with(|config| config.cookies = Some(cookies))
    }

    /// The response fields that stand for `Cache-Control` and `Expires` where they are there and valid,
    /// the first of them first (RFC 9213, section 2.2). `CDN-Cache-Control` alone, unless said otherwise;
    /// none: `target_list([])`.
    ///
    /// # Panics
    ///
    /// With a name that no field can have.
    #[track_caller]
    pub fn target_list<'n>(self, fields: impl IntoIterator<Item = &'n str>) -> Self {
        let named = |name: &str| match HeaderName::try_from(name) {
            Ok(name) => name,
            Err(_) => panic!("{name:?} is no name of a header field"),
        };
        let targets = fields.into_iter().map(named).collect();
        self.with(|config| config.targets = targets)
    }

    /// Whether the `Cache-Control` of requests is obeyed (RFC 9111, section 5.2.1): `no-cache`,
    /// `no-store`, `max-age`, `min-fresh`, `max-stale`, `only-if-cached`; and `Pragma: no-cache`. By
    /// default it is not: any client could then force a load at each request.
    pub fn obey_request_directives(self, obey: bool) -> Self {
        self.with(|config| config.obeys_requests = obey)
    }

    /// Whether `Cache-Status` shows the URI that a response is stored under, as its `key`
    /// (RFC 9211, section 2.7). By default it does not.
    pub fn show_key(self, show: bool) -> Self {
        self.with(|config| config.shows_key = show)
    }

    /// The largest body that is stored; 8 MiB by default. What is larger flows through.
    pub fn max_body_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.max_body_bytes = bytes)
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, Arc::clone(&self.config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "never closed")]
    fn bad_tags_panic() {
        let _ = CacheLayer::new().tags(["blog", "post:{slug"]);
    }

    #[test]
    #[should_panic(expected = "at most 128")]
    fn too_many_tags_panic() {
        let _ = CacheLayer::new().tags((0..129).map(|n| n.to_string()));
    }

    #[test]
    #[should_panic(expected = "no lifetime")]
    fn bad_lifetimes_panic() {
        let _ = CacheLayer::new().ttl("ten minutes");
    }
}
