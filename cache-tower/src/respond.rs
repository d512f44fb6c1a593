//! Making the responses that clients see: reused, passed on, or answered with 304.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use cache_core::respond::{self, Held, Scope};
use cache_core::{Cache, Life, Timestamp};
use http::header::{
    CACHE_CONTROL, CACHE_STATUS, CONTENT_LENGTH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use crate::body::CacheBody;
use crate::conditional;
use crate::future::Oneshot;
use crate::key::{client_uri, matched_route};
use crate::layer::Config;
use crate::look::response_of;
use crate::range::{cut, cut_part};
use crate::resource::Unsafe;
use crate::status::{self, Forward, Handled};
use crate::stored::{Kept, Stored};
use crate::template::fill;

/// Tells a layer further out that one inside it stores the response in this cache.
#[derive(Clone, Debug)]
pub(crate) struct StoredInside(pub(crate) Cache);

/// What is kept of a request to answer it once the rest has gone to the inner service.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    head: bool,
    conditions: HeaderMap,
    pub(crate) nested: bool,
}

impl Client {
    /// `part`: it is the origin that answers for its range.
    pub(crate) fn of<B>(request: &Request<B>, nested: bool, part: bool) -> Self {
        let mut conditions = HeaderMap::new();
        let kept = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];
        for name in &kept[..if part { 2 } else { 4 }] {
            for value in request.headers().get_all(name) {
                conditions.append(name.clone(), value.clone());
            }
        }
        Self {
            head: request.method() == Method::HEAD,
            conditions,
            nested,
        }
    }

    /// A response from what is stored. `handled` where it was not simply a hit.
    pub(crate) fn reuse<B>(
        &self,
        cache: &Cache,
        held: &Held<Kept>,
        stored: &Stored,
        handled: Option<Handled>,
    ) -> Response<CacheBody<B>> {
        reuse(
            cache,
            held,
            stored,
            self.asked(),
            cache.clock().now(),
            handled,
        )
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            head: self.head,
            conditions: Some(&self.conditions).filter(|conditions| !conditions.is_empty()),
            nested: self.nested,
        }
    }

    /// The response to the request that made it, or to one that shares it.
    pub(crate) fn first<B>(
        &self,
        cache: &Cache,
        mut parts: Parts,
        body: CacheBody<B>,
        handled: Handled,
    ) -> Response<CacheBody<B>> {
        handled.append(cache.namespace(), &mut parts.headers);
        let said = parts.status;
        let body = match body.as_whole() {
            Some(whole) => self.asked().narrow(cache, &mut parts, whole),
            None if self.asked().has_it(cache, &parts) => self.asked().nothing(&mut parts),
            None => body,
        };
        if parts.status != said {
            // What else was said of that status is not true of this one, such as its reason phrase.
            parts.extensions.clear();
        }
        if self.nested && (handled.stored || handled.collapsed) {
            parts.extensions.insert(StoredInside(cache.clone()));
        }
        Response::from_parts(parts, body)
    }
}

/// What of a request shapes the response that it gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'r> {
    pub(crate) head: bool,
    /// The headers that have the conditions or the range, where there are any.
    pub(crate) conditions: Option<&'r HeaderMap>,
    /// A layer further out asks.
    pub(crate) nested: bool,
}

impl Asked<'_> {
    /// Whether the client has already what the response would give it.
    fn has_it(self, cache: &Cache, parts: &Parts) -> bool {
        self.conditions.is_some_and(|request| {
            conditional::is_current(request, parts.status, &parts.headers, || {
                cache.clock().system_time()
            })
        })
    }

    /// Makes of a response the one to a client that has it already.
    fn nothing<B>(self, parts: &mut Parts) -> CacheBody<B> {
        conditional::strip_for_304(&mut parts.headers);
        parts.status = StatusCode::NOT_MODIFIED;
        CacheBody::none()
    }

    /// Leaves of a response what the client asked for: nothing where it has it, the head, a part.
    #[inline]
    fn narrow<B>(self, cache: &Cache, parts: &mut Parts, mut whole: Bytes) -> CacheBody<B> {
        if self.has_it(cache, parts) {
            return self.nothing(parts);
        }
        if self.head {
            if parts.status != StatusCode::NO_CONTENT {
                let length = HeaderValue::from(whole.len());
                parts.headers.insert(CONTENT_LENGTH, length);
            }
            return CacheBody::none();
        }
        if let Some(request) = self.conditions {
            cut(request, &mut parts.status, &mut parts.headers, &mut whole);
        }
        CacheBody::whole(whole)
    }
}

/// A response from what is stored, on the hit path: two copied tables and a counted body.
#[inline]
pub(crate) fn reuse<B>(
    cache: &Cache,
    held: &Held<Kept>,
    stored: &Stored,
    asked: Asked<'_>,
    now: Timestamp,
    handled: Option<Handled>,
) -> Response<CacheBody<B>> {
    let mut parts = stored.head(cache.namespace(), now, held.fresh_until(), held.is_stale());
    if let Some(handled) = handled {
        stored.restore_status(&mut parts.headers);
        handled.append(cache.namespace(), &mut parts.headers);
    }
    let body = asked.narrow(cache, &mut parts, stored.body.clone());
    reused(cache, held, asked, parts, body)
}

/// What a request gets of a stored part; `None` where that does not hold all that it asks for.
pub(crate) fn reuse_part<B>(
    cache: &Cache,
    held: &Held<Kept>,
    asked: Asked<'_>,
    now: Timestamp,
) -> Option<Response<CacheBody<B>>> {
    let stored = response_of(held)?;
    let part = stored.terms.part?;
    let mut parts = stored.head(cache.namespace(), now, held.fresh_until(), held.is_stale());
    let body = cut_part(asked.conditions?, part, &mut parts.headers, &stored.body)?;
    let body = match asked.has_it(cache, &parts) {
        true => asked.nothing(&mut parts),
        false => CacheBody::whole(body),
    };
    Some(reused(cache, held, asked, parts, body))
}

#[inline]
fn reused<B>(
    cache: &Cache,
    held: &Held<Kept>,
    asked: Asked<'_>,
    mut parts: Parts,
    body: CacheBody<B>,
) -> Response<CacheBody<B>> {
    if asked.nested {
        parts.extensions.insert(StoredInside(cache.clone()));
    }
    held.flow(cache);
    Response::from_parts(parts, body)
}

/// What a client gets that wants only what is stored, where nothing is (RFC 9111, section 5.2.1.7).
pub(crate) fn unavailable<B>(cache: &Cache) -> Response<CacheBody<B>> {
    let mut response = Response::new(CacheBody::default());
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    status::nothing_cached(cache.namespace(), response.headers_mut());
    response
}

/// The context of a request whose response is not stored.
pub(crate) fn passing<B>(cache: &Cache, request: &Request<B>, bypass: bool) -> Scope {
    let mut scope = Scope::passing(cache, bypass);
    let uri = client_uri(request.uri(), request.extensions());
    scope.on(uri.path(), matched_route(request));
    scope
}

/// How a request that passes by is finished.
#[derive(Debug)]
pub(crate) struct Passed {
    /// What its answer may invalidate.
    changes: Option<Unsafe>,
    /// `None` within a response that is recorded with this cache: that one's is in force, and learns
    /// what there is to learn.
    scope: Option<Scope>,
    /// `None`: there is none.
    cache: Option<Cache>,
    told: Handled,
}

impl Passed {
    pub(crate) fn new<B>(
        cache: &Cache,
        request: &Request<B>,
        forward: Forward,
        detail: &'static str,
        bypass: bool,
    ) -> Self {
        let scope = if !bypass && is_recorded_here(cache) {
            None
        } else {
            Some(passing(cache, request, bypass))
        };
        Self {
            changes: Unsafe::of(request),
            scope,
            cache: Some(cache.clone()),
            told: Handled::passed(forward, detail),
        }
    }

    /// There is no cache.
    pub(crate) const fn without_cache() -> Self {
        Self {
            changes: None,
            scope: None,
            cache: None,
            told: Handled::passed(Forward::Bypass, "no-current-cache"),
        }
    }

    /// Sends the request on, and finishes its response.
    pub(crate) async fn through<S, ReqBody, ResBody>(
        self,
        config: &Config,
        service: S,
        mut request: Request<ReqBody>,
    ) -> Result<Response<CacheBody<ResBody>>, S::Error>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    {
        self.tag(config, &mut request).await;
        let mut response = pin!(Oneshot::new(service, request));
        let response = poll_fn(|cx| self.run(|| response.as_mut().poll(cx))).await?;
        Ok(self.finish(response))
    }

    /// Gives the layer's tags to what is around, which may store what the layer does not.
    async fn tag<B>(&self, config: &Config, request: &mut Request<B>) {
        if self.cache.is_some() && respond::in_record() {
            let tags = fill(&config.tags, request).await;
            self.run(|| respond::tag(tags));
        }
    }

    /// Runs `act` where the request runs.
    fn run<R>(&self, act: impl FnOnce() -> R) -> R {
        match &self.scope {
            Some(scope) => scope.run(act),
            None => act(),
        }
    }

    fn finish<B>(&self, response: Response<B>) -> Response<CacheBody<B>> {
        let mut response = response.map(|body| CacheBody::inner(body, self.scope.clone()));
        if let Some(scope) = &self.scope {
            scope.flow();
            status::append_reads(scope, response.headers_mut());
        }
        if let (Some(cache), Some(changes)) = (&self.cache, &self.changes) {
            let names = changes.invalidated_by(response.status(), response.headers());
            respond::invalidate(cache, &names);
        }
        let namespace = self.cache.as_ref().map_or("revalidate", Cache::namespace);
        self.told.append(namespace, response.headers_mut());
        response
    }
}

/// Whether this runs within a load or response that is recorded with this cache.
pub(crate) fn is_recorded_here(cache: &Cache) -> bool {
    respond::in_record()
        && Cache::current().is_some_and(|current| respond::same_cache(&current, cache))
}

/// What clients are told of a stored response whose handler told them nothing: what a tag can drop is
/// to be asked for each time, unless the lifetime says what they may keep.
pub(crate) fn tell_client(headers: &mut HeaderMap, life: Option<&Life>) {
    let value = match life.and_then(Life::client_max_age) {
        None => HeaderValue::from_static("no-cache"),
        Some(age) => HeaderValue::try_from(format!("max-age={}", age.as_secs()))
            .unwrap_or_else(|_| HeaderValue::from_static("no-cache")),
    };
    headers.insert(CACHE_CONTROL, value);
}

impl Stored {
    /// Puts back what upstream caches said, in place of what a hit says.
    fn restore_status(&self, headers: &mut HeaderMap) {
        headers.remove(CACHE_STATUS);
        if let Some(upstream) = self
            .upstream()
            .and_then(|text| HeaderValue::try_from(text).ok())
        {
            headers.insert(CACHE_STATUS, upstream);
        }
    }
}
