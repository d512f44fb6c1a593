//! The service: looks a request up where it arrives, and sends on what the cache cannot answer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use cache_core::respond::{self, Arrival, Found, Held};
use cache_core::{Cache, NotStorable, Reason};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::{BoxError, CacheBody};
use crate::future::ResponseFuture;
use crate::key::{KeyBuf, Realm, client_uri, request_key};
use crate::layer::Config;
use crate::miss::{Miss, refresh};
use crate::policy::Bypass;
use crate::refusal::Refusal;
use crate::respond::{Passed, reuse};
use crate::status::Forward;
use crate::stored::{Kept, Stored, Variant};

/// A service with a cache in front of it; see [`CacheLayer`](crate::CacheLayer).
///
/// It is always ready: a hit does not need the inner service. What is not answered from the cache
/// drives a clone of the inner service, once that is ready.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    inner: S,
    config: Arc<Config>,
}

/// How many layers of caching a request is within, so that their keys do not meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth(pub(crate) u8);

impl Depth {
    /// How deep a request is.
    pub(crate) fn of<B>(request: &Request<B>) -> u8 {
        request
            .extensions()
            .get::<Self>()
            .map_or(0, |depth| depth.0)
    }

    /// Notes that the request goes through one layer more.
    pub(crate) fn deepen<B>(request: &mut Request<B>) {
        let depth = Self::of(request);
        request
            .extensions_mut()
            .insert(Self(depth.saturating_add(1)));
    }
}

impl<S> CacheService<S> {
    pub(crate) const fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl Config {
    /// The key to look a request up under, or why it passes by.
    #[inline]
    fn admit<B>(&self, request: &Request<B>, depth: u8) -> Result<KeyBuf, Refusal> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Refusal::Method);
        }
        if request.extensions().get::<Bypass>().is_some() {
            return Err(Refusal::Bypass);
        }
        let headers = request.headers();
        let mut authorized = false;
        if !headers.is_empty() {
            if headers.contains_key(RANGE) {
                return Err(Refusal::Range);
            }
            let length = headers.get(CONTENT_LENGTH);
            if length.is_some_and(|length| length != "0") || headers.contains_key(TRANSFER_ENCODING)
            {
                return Err(Refusal::RequestBody);
            }
            if self.life.is_some() && self.cookies.is_none() && headers.contains_key(COOKIE) {
                return Err(Refusal::Cookie);
            }
            authorized = headers.contains_key(AUTHORIZATION);
        }
        let uri = client_uri(request.uri(), request.extensions());
        let realm = Realm {
            layer: &self.name,
            depth,
            authorized,
            cookies: self.cookies.as_ref(),
        };
        request_key(uri, headers, realm)
    }
}

/// Where a look ended.
pub(crate) struct Look {
    pub(crate) found: Found<Kept>,
    pub(crate) arrival: Arrival,
    pub(crate) selected: Option<Variant>,
}

/// Looks for the response to a request: under its key, and where responses vary under the variant's.
#[inline]
pub(crate) fn look(cache: &Cache, key: &KeyBuf, headers: &HeaderMap) -> Result<Look, Refusal> {
    let (arrival, found) = respond::find::<Kept>(cache, key.as_slice());
    let names = match &found {
        Found::Fresh(held, _) | Found::Stale(held) => match &**held {
            Kept::Variants(names) => names,
            Kept::Response(_) => {
                return Ok(Look {
                    found,
                    arrival,
                    selected: None,
                });
            }
        },
        Found::Unstorable(_) | Found::Miss(..) => {
            return Ok(Look {
                found,
                arrival,
                selected: None,
            });
        }
    };
    let variant = Variant {
        key: names.select(key, headers)?,
        names: names.clone(),
    };
    let (arrival, found) = respond::find::<Kept>(cache, variant.key.as_slice());
    Ok(Look {
        found,
        arrival,
        selected: Some(variant),
    })
}

/// The response of an entry, where it is one.
pub(crate) fn response_of(held: &Held<Kept>) -> Option<&Stored> {
    match &**held {
        Kept::Response(stored) => Some(stored),
        Kept::Variants(_) => None,
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CacheService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<CacheBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody>;

    /// Always ready.
    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let current;
        let cache = match &self.config.cache {
            Some(cache) => cache,
            None => match Cache::current() {
                Some(cache) => {
                    current = cache;
                    &current
                }
                None => {
                    let passed = Passed::without_cache();
                    return ResponseFuture::passing(self.inner.clone(), request, passed);
                }
            },
        };
        let depth = Depth::of(&request);
        let look = self
            .config
            .admit(&request, depth)
            .and_then(|key| Ok((look(cache, &key, request.headers())?, key)));
        let (look, key) = match look {
            Ok(found) => found,
            Err(refusal) => return self.pass(cache, request, refusal),
        };
        let head = request.method() == Method::HEAD;
        let reason = match &look.found {
            Found::Fresh(held, _) | Found::Stale(held) => match response_of(held) {
                Some(stored) => {
                    let response = reuse(
                        cache,
                        held,
                        stored,
                        request.headers(),
                        head,
                        depth > 0,
                        None,
                    );
                    let reason = if held.is_stale() {
                        Reason::Stale
                    } else {
                        Reason::Hit
                    };
                    respond::count(cache, reason, false, None);
                    if !matches!(look.found, Found::Fresh(_, false))
                        && stored.may_refresh(cache.clock().now())
                    {
                        refresh(self.miss(cache, request, look, key, depth, Reason::Stale));
                    }
                    return ResponseFuture::ready(response);
                }
                None => Reason::NeverStored,
            },
            Found::Unstorable(code) => {
                return self.pass(cache, request, Refusal::from_code(*code));
            }
            Found::Miss(reason, _) => *reason,
        };
        if head {
            return self.pass(cache, request, Refusal::Head);
        }
        ResponseFuture::boxed(self.miss(cache, request, look, key, depth, reason).answer())
    }
}

impl<S> CacheService<S> {
    fn miss<ReqBody>(
        &self,
        cache: &Cache,
        request: Request<ReqBody>,
        look: Look,
        key: KeyBuf,
        depth: u8,
        reason: Reason,
    ) -> Miss<S, ReqBody>
    where
        S: Clone,
    {
        Miss {
            config: Arc::clone(&self.config),
            cache: cache.clone(),
            service: self.inner.clone(),
            request,
            key,
            selected: look.selected,
            arrival: look.arrival,
            reason,
            held: match look.found {
                Found::Miss(_, held) => held,
                Found::Fresh(held, _) | Found::Stale(held) => Some(held),
                Found::Unstorable(_) => None,
            },
            depth,
            within: respond::in_record(),
            began: Instant::now(),
        }
    }

    fn pass<ReqBody, ResBody>(
        &self,
        cache: &Cache,
        mut request: Request<ReqBody>,
        refusal: Refusal,
    ) -> ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    {
        let forward = match refusal {
            Refusal::Method => Forward::Method,
            Refusal::Bypass
            | Refusal::Range
            | Refusal::RequestBody
            | Refusal::Host
            | Refusal::Cookie => Forward::Bypass,
            _ => Forward::Miss,
        };
        let reason = match forward {
            Forward::Miss => Reason::NotStorable(NotStorable::Response),
            _ => Reason::Bypass,
        };
        respond::count(cache, reason, false, None);
        Depth::deepen(&mut request);
        let passed = Passed::new(cache, forward, refusal.as_str(), refusal == Refusal::Bypass);
        ResponseFuture::passing(self.inner.clone(), request, passed)
    }
}
