//! The service: looks a request up where it arrives, and sends on what the cache cannot answer.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use cache_core::respond::{self, Found};
use cache_core::{Cache, NotStorable, Reason};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::admit::{Admitted, Depth};
use crate::ask::Purpose;
use crate::body::{BoxError, CacheBody};
use crate::freshness::{Demands, Manner};
use crate::future::ResponseFuture;
use crate::key::KeyBuf;
use crate::layer::Config;
use crate::look::{Look, Usable, look_further, response_of};
use crate::miss::{Miss, refresh};
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::respond::{Passed, is_recorded_here, reuse, unavailable};
use crate::status::{Forward, show_key};
use crate::stored::Kept;

/// A service with a cache in front of it; see [`CacheLayer`](crate::CacheLayer).
///
/// It is always ready: a hit does not need the inner service. What is not answered from the cache
/// drives a clone of the inner service, once that is ready.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    inner: S,
    config: Arc<Config>,
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
            return self.look_up_and_show(request);
        }
        self.look_up(request)
    }
}

impl<S> CacheService<S> {
    /// Shows the key in what it answers.
    #[cold]
    fn look_up_and_show<ReqBody, ResBody>(
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
        let key = Resource::of(&request).shown();
        let answer = self.look_up(request);
        answer.with_headers(move |headers| show_key(headers, &key))
    }

    /// Answers from the cache what it can.
    #[inline(always)]
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
                None => {
                    respond::warn_no_cache();
                    return self.pass(request, Passed::without_cache());
                }
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
            && !admitted.anew
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
        let mut demands = match self.config.obeys_requests {
            true => Demands::of(request.headers()),
            false => Demands::default(),
        };
        demands.no_cache |= admitted.anew;
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
                // One more that is not stored: passed on as it is, unless the next may be, of a proxy's or
                // where each response is judged by a policy.
                let judged = self.config.directed && code == Refusal::Policy.code();
                let next_may_be = self.config.manner == Manner::SharedProxy || judged;
                if !next_may_be || admitted.head || admitted.range {
                    return self.refuse(cache, request, Refusal::from_code(code));
                }
                Reason::NotStorable(NotStorable::Response)
            }
            Usable::No(reason) => reason,
        };
        if demands.only_if_cached {
            respond::count(cache, reason, false, None);
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
        // What is stored would do, if the request did not go past it.
        let past_it = demands.any() && matches!(reason, Reason::Hit | Reason::Stale);
        let reason = if past_it { Reason::Bypass } else { reason };
        let mut miss = self.miss(cache, request, look, key, depth, reason);
        miss.demands = past_it;
        miss.demanding = demands.any();
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
        let mut miss = Miss {
            config: Arc::clone(&self.config),
            cache: cache.clone(),
            service: self.inner.clone(),
            resource: Resource::of(&request),
            request,
            key,
            selected: look.selected,
            arrival: look.arrival,
            reason,
            held: None,
            part: None,
            purpose: Purpose::Whole,
            queues: true,
            marked: false,
            partial: false,
            demands: false,
            demanding: false,
            depth,
            within: is_recorded_here(cache),
            began: Instant::now(),
        };
        miss.found(look.found);
        miss
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
            | Refusal::Authorization
            | Refusal::Cookie
            | Refusal::CookieForm
            | Refusal::Unkeyed => Forward::Bypass,
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
        request: Request<ReqBody>,
        passed: Passed,
    ) -> ResponseFuture<ResBody, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
        S::Future: Send,
        ReqBody: Send + 'static,
        ResBody: Send + 'static,
    {
        let (config, service) = (Arc::clone(&self.config), self.inner.clone());
        ResponseFuture::boxed(async move { passed.through(&config, service, request).await })
    }
}
