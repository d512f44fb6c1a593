//! The service: looks a request up where it arrives, and sends on what the cache cannot answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_core::respond::{self, Arrival, Found, Held};
use cache_core::{Cache, NotStorable, Reason, Timestamp};
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::ask::Purpose;
use crate::body::{BoxError, CacheBody};
use crate::freshness::{Demands, Manner, Stands};
use crate::future::{Oneshot, ResponseFuture};
use crate::key::{
    KeyBuf, Odd, Realm, are_plain, client_uri, is_ambiguous, odd, write_asked_in_front, write_key,
    write_rewritten,
};
use crate::layer::Config;
use crate::miss::{Miss, refresh};
use crate::policy::{Bypass, Cookies};
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::respond::{Asked, Passed, is_recorded_here, reuse, unavailable};
use crate::status::{Forward, show_key};
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

/// What of a request's headers matters here, seen in one pass over them.
#[derive(Clone, Copy, Debug, Default)]
struct Seen<'r> {
    host: Option<&'r HeaderValue>,
    authorized: bool,
    conditional: bool,
    range: bool,
    asked_in_front: bool,
    cookie: bool,
    refusal: Option<Refusal>,
}

impl<'r> Seen<'r> {
    #[inline]
    fn of(headers: &'r HeaderMap) -> Self {
        let mut seen = Self::default();
        for (name, value) in headers {
            if *name == HOST {
                // Which of several the handler believes cannot be known.
                if seen.host.replace(value).is_some() {
                    seen.refusal = Some(Refusal::Host);
                }
            } else if *name == COOKIE {
                seen.cookie = true;
            } else if *name == IF_NONE_MATCH || *name == IF_MODIFIED_SINCE {
                seen.conditional = true;
            } else if *name == AUTHORIZATION {
                seen.authorized = true;
            } else if *name == IF_MATCH || *name == IF_UNMODIFIED_SINCE {
                seen.refusal = Some(Refusal::Precondition);
            } else if *name == RANGE {
                seen.range = true;
            } else if (*name == CONTENT_LENGTH && value != "0") || *name == TRANSFER_ENCODING {
                seen.refusal = Some(Refusal::RequestBody);
            } else {
                match odd(name) {
                    Odd::Other => {}
                    Odd::Asked => seen.asked_in_front = true,
                    Odd::Method => seen.refusal = Some(Refusal::MethodOverride),
                }
            }
        }
        seen
    }
}

/// What is to be looked for, and how it is to be answered.
#[derive(Clone, Copy)]
struct Admitted {
    head: bool,
    /// Whether it has conditions or a range.
    conditional: bool,
    /// Whether it asks for a part.
    range: bool,
}

impl Admitted {
    #[inline]
    fn asked<'r, B>(&self, request: &'r Request<B>, depth: u8) -> Asked<'r> {
        Asked {
            head: self.head,
            conditions: self.conditional.then(|| request.headers()),
            nested: depth > 0,
        }
    }
}

impl Config {
    /// Writes the key to look a request up under, or says why it passes by.
    #[inline]
    fn admit<B: Body>(
        &self,
        request: &Request<B>,
        depth: u8,
        key: &mut KeyBuf,
    ) -> Result<Admitted, Refusal> {
        let extensions = request.extensions();
        if extensions.get::<Bypass>().is_some() || respond::bypassed() {
            return Err(Refusal::Bypass);
        }
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::Method),
        };
        let headers = request.headers();
        let seen = Seen::of(headers);
        if let Some(refusal) = seen.refusal {
            return Err(refusal);
        }
        // A frame of HTTP/2 is announced by no header.
        if !request.body().is_end_stream() {
            return Err(Refusal::RequestBody);
        }
        let uri = client_uri(request.uri(), extensions);
        if is_ambiguous(uri, seen.host) {
            return Err(Refusal::Host);
        }
        if seen.cookie && self.life.is_some() && self.cookies.is_none() {
            return Err(Refusal::Cookie);
        }
        if seen.cookie && matches!(self.cookies, Some(Cookies::Vary(_))) && !are_plain(headers) {
            return Err(Refusal::CookieForm);
        }
        let realm = Realm {
            layer: &self.name,
            depth,
            authorized: seen.authorized && self.manner == Manner::Application,
            cookies: self.cookies.as_ref(),
        };
        write_key(key, uri, seen.host, headers, realm);
        if seen.asked_in_front {
            write_asked_in_front(key, headers);
        }
        // What is around may have rewritten it, by something that no key shows.
        let inner = request.uri();
        if !std::ptr::eq(inner, uri) && inner != uri {
            write_rewritten(key, inner);
        }
        // `Range` means something to GET alone (RFC 9110, section 14.2).
        let range = seen.range && !head;
        Ok(Admitted {
            head,
            conditional: seen.conditional || range,
            range,
        })
    }
}

/// Where a look ended.
pub(crate) struct Look {
    found: Found<Kept>,
    arrival: Arrival,
    /// The names that responses vary by, and the key of the variant, where they are known.
    pub(crate) selected: Option<Box<Variant>>,
}

/// Whether what a look found will do.
enum Usable<'l> {
    Yes(&'l Held<Kept>, &'l Stored),
    Unstorable(u16),
    No(Reason),
}

impl Look {
    /// Whether what was found will do, for a request that demands this.
    fn as_demanded(&self, demands: &Demands) -> Usable<'_> {
        let (held, reason) = match &self.found {
            Found::Unstorable(code) => return Usable::Unstorable(*code),
            Found::Fresh(held, _) => (held, Reason::Hit),
            Found::Stale(held) => (held, Reason::Stale),
            Found::Miss(reason, Some(held)) => (held, *reason),
            Found::Miss(reason, None) => return Usable::No(*reason),
        };
        let Some(stored) = response_of(held) else {
            return Usable::No(Reason::NeverStored);
        };
        if will_do(held, stored, reason, demands, self.arrival.at()) {
            Usable::Yes(held, stored)
        } else {
            Usable::No(reason)
        }
    }

    /// Whether something is stored that the origin can validate.
    fn validated(&self) -> bool {
        let (Found::Fresh(held, _) | Found::Stale(held) | Found::Miss(_, Some(held))) = &self.found
        else {
            return false;
        };
        response_of(held).is_some_and(|stored| stored.validators().is_some())
    }
}

/// Looks for the response to a request: under its key, and where responses vary under the variant's.
pub(crate) fn look(cache: &Cache, key: &KeyBuf, headers: &HeaderMap) -> Result<Look, Refusal> {
    let (arrival, found) = respond::find::<Kept>(cache, key.as_slice());
    look_further(cache, key, headers, arrival, found)
}

fn look_further(
    cache: &Cache,
    key: &KeyBuf,
    headers: &HeaderMap,
    arrival: Arrival,
    found: Found<Kept>,
) -> Result<Look, Refusal> {
    let names = match &found {
        Found::Fresh(held, _) | Found::Stale(held) => match &**held {
            Kept::Variants(names) => Some(names.clone()),
            Kept::Response(_) => None,
        },
        Found::Unstorable(_) | Found::Miss(..) => None,
    };
    let Some(names) = names else {
        return Ok(Look {
            found,
            arrival,
            selected: None,
        });
    };
    let key = names.select(key, headers)?;
    let (arrival, found) = respond::find::<Kept>(cache, key.as_slice());
    Ok(Look {
        found,
        arrival,
        selected: Some(Box::new(Variant { names, key })),
    })
}

/// Whether a response that was found so will do, for a request that demands this.
pub(crate) fn will_do(
    held: &Held<Kept>,
    stored: &Stored,
    reason: Reason,
    demands: &Demands,
    now: Timestamp,
) -> bool {
    if !demands.any() {
        return matches!(reason, Reason::Hit | Reason::Stale);
    }
    let expired = matches!(reason, Reason::Hit | Reason::Stale | Reason::Expired);
    demands.met_by(&Stands {
        age: stored.age(now),
        fresh_for: match held.is_stale() {
            true => Duration::ZERO,
            false => held.fresh_until().since(now),
        },
        expired_for: (expired && !stored.terms.strict).then(|| now.since(held.fresh_until())),
    })
}

/// The response of an entry, where it is one.
#[inline]
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
    ReqBody: Body + Default + Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<CacheBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<ResBody, S::Error>;

    /// Always ready.
    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if self.config.shows_key {
            let key = Resource::of(&request).shown();
            let answer = self.look_up(request);
            return answer.with_headers(move |headers| show_key(headers, &key));
        }
        self.look_up(request)
    }
}

impl<S> CacheService<S> {
    /// Answers from the cache what it can.
    #[inline]
    fn look_up<ReqBody, ResBody>(
        &self,
        request: Request<ReqBody>,
    ) -> ResponseFuture<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        ReqBody: Body + Default + Send + 'static,
        ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let current;
        let cache = match &self.config.cache {
            Some(cache) => cache,
            None => match Cache::current() {
                Some(cache) => {
                    current = cache;
                    &current
                }
                None => return self.pass(request, Passed::without_cache()),
            },
        };
        let depth = Depth::of(&request);
        let mut key = KeyBuf::new();
        let admitted = match self.config.admit(&request, depth, &mut key) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(cache, request, refusal),
        };
        let (arrival, found) = respond::find::<Kept>(cache, key.as_slice());
        if let Found::Fresh(held, false) = &found
            && !self.config.obeys_requests
            && let Some(stored) = response_of(held)
        {
            let asked = admitted.asked(&request, depth);
            let response = reuse(cache, held, stored, asked, arrival.at(), None);
            respond::count(cache, Reason::Hit, false, None);
            return ResponseFuture::ready(response);
        }
        match look_further(cache, &key, request.headers(), arrival, found) {
            Ok(look) => self.answer(cache, request, look, key, depth, admitted),
            Err(refusal) => self.refuse(cache, request, refusal),
        }
    }
}

impl<S> CacheService<S> {
    /// Answers what was not simply a hit.
    fn answer<ReqBody, ResBody>(
        &self,
        cache: &Cache,
        request: Request<ReqBody>,
        look: Look,
        key: KeyBuf,
        depth: u8,
        admitted: Admitted,
    ) -> ResponseFuture<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        ReqBody: Default + Send + 'static,
        ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let now = look.arrival.at();
        let demands = match self.config.obeys_requests {
            true => Demands::of(request.headers()),
            false => Demands::default(),
        };
        let found = look.as_demanded(&demands);
        let reason = match found {
            Usable::Yes(held, stored) => {
                let asked = admitted.asked(&request, depth);
                let response = reuse(cache, held, stored, asked, now, None);
                let stale = held.is_stale();
                let reason = if stale { Reason::Stale } else { Reason::Hit };
                respond::count(cache, reason, false, None);
                let wanted = !matches!(look.found, Found::Fresh(_, false) | Found::Miss(..));
                if wanted && stored.may_refresh(now) {
                    let mut miss = self.miss(cache, request, look, key, depth, Reason::Stale);
                    miss.purpose = Purpose::Whole;
                    refresh(miss);
                }
                return ResponseFuture::ready(response);
            }
            Usable::Unstorable(code) => {
                // One more that is not stored: passed on as it is, unless a proxy's next may be.
                if self.config.manner == Manner::Application || admitted.head || admitted.range {
                    return self.refuse(cache, request, Refusal::from_code(code));
                }
                Reason::NotStorable(NotStorable::Response)
            }
            Usable::No(reason) => reason,
        };
        if demands.only_if_cached {
            return ResponseFuture::ready(unavailable(cache));
        }
        if demands.no_store {
            return self.refuse(cache, request, Refusal::RequestNoStore);
        }
        let validated = look.validated();
        if admitted.head && !validated {
            return self.refuse(cache, request, Refusal::Head);
        }
        let part = admitted.range && !validated;
        if part && self.config.manner == Manner::Application {
            return self.refuse(cache, request, Refusal::Range);
        }
        let mut miss = self.miss(cache, request, look, key, depth, reason);
        miss.demands = demands.any() && matches!(reason, Reason::Hit | Reason::Stale);
        if admitted.head {
            miss.purpose = Purpose::Head;
        } else if part {
            if let Some(response) = miss.within_part(&demands) {
                return ResponseFuture::ready(response);
            }
            miss.purpose = Purpose::Part;
            miss.held = None;
        } else if !validated && !admitted.conditional && self.config.manner == Manner::SharedProxy {
            miss.find_beginning();
        }
        ResponseFuture::boxed(miss.answer())
    }

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
        let marked = matches!(look.found, Found::Unstorable(_));
        let held = look.found.into_held();
        let shared = held
            .as_ref()
            .and_then(response_of)
            .is_none_or(|stored| stored.terms.shared);
        Miss {
            config: Arc::clone(&self.config),
            cache: cache.clone(),
            service: self.inner.clone(),
            resource: Resource::of(&request),
            request,
            key,
            selected: look.selected,
            arrival: look.arrival,
            reason,
            held,
            part: None,
            purpose: Purpose::Whole,
            queues: shared && !marked,
            marked,
            partial: false,
            demands: false,
            depth,
            within: is_recorded_here(cache),
            began: Instant::now(),
        }
    }

    fn refuse<ReqBody, ResBody>(
        &self,
        cache: &Cache,
        mut request: Request<ReqBody>,
        refusal: Refusal,
    ) -> ResponseFuture<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send,
        ReqBody: Send + 'static,
        ResBody: Send + 'static,
    {
        let forward = match refusal {
            Refusal::Method => Forward::Method,
            Refusal::Bypass
            | Refusal::Range
            | Refusal::MethodOverride
            | Refusal::RequestNoStore
            | Refusal::Precondition
            | Refusal::RequestBody
            | Refusal::Host
            | Refusal::Cookie
            | Refusal::CookieForm => Forward::Bypass,
            _ => Forward::Miss,
        };
        let reason = match forward {
            Forward::Miss => Reason::NotStorable(NotStorable::Response),
            _ => Reason::Bypass,
        };
        respond::count(cache, reason, false, None);
        Depth::deepen(&mut request);
        let bypass = refusal == Refusal::Bypass;
        let passed = Passed::new(cache, &request, forward, refusal.as_str(), bypass);
        self.pass(request, passed)
    }

    /// Sends on what the cache has no part in.
    fn pass<ReqBody, ResBody>(
        &self,
        mut request: Request<ReqBody>,
        passed: Passed,
    ) -> ResponseFuture<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send,
        ReqBody: Send + 'static,
        ResBody: Send + 'static,
    {
        let (config, service) = (Arc::clone(&self.config), self.inner.clone());
        ResponseFuture::boxed(async move {
            passed.tag(&config, &mut request).await;
            let mut response = pin!(Oneshot::new(service, request));
            let response = poll_fn(|cx| passed.run(|| response.as_mut().poll(cx))).await?;
            Ok(passed.finish(response))
        })
    }
}
