//! A cache as an outside observer meets it: a layer around an origin that answers by a script, on a
//! clock that stands still. What clients get and what the origin is asked is all that is seen.
#![allow(dead_code, unused_imports, unreachable_pub)]

pub mod items;
mod origin;
mod reply;
mod tables;

use std::time::{Duration, SystemTime};

use axum::body::Body;
pub use cache_core::{Cache, CacheBuilder, Clock};
pub use cache_tower::CacheLayer;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
pub use origin::Broken;
use origin::{Answer, Origin, Reaction, Router};
pub use reply::Reply;
pub use tables::{Failures, check_cases, check_lifetimes, reused, wrong_lifetime};
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};

/// Fields of what is fresh for ten seconds.
pub const BRIEF: &str = "cache-control: max-age=10|date: {now}";

/// A layer around a scripted origin, on a clock that stands still.
pub struct Rig {
    pub cache: Cache,
    clock: Clock,
    origin: Origin,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Broken>,
}

/// A shared cache to the letter of RFC 9111.
pub fn proxy() -> Rig {
    rig(CacheLayer::shared_proxy())
}

/// An application's own cache.
pub fn application() -> Rig {
    rig(CacheLayer::new())
}

/// Both, for what holds for each.
pub fn both() -> [(&'static str, Rig); 2] {
    [("proxy", proxy()), ("application", application())]
}

/// Any other layer. Where the origin breaks its service fails.
pub fn rig(layer: CacheLayer) -> Rig {
    rig_with(Cache::builder(), layer)
}

/// The same with a cache of another name.
pub fn rig_named(namespace: &str, layer: CacheLayer) -> Rig {
    rig_with(Cache::builder().namespace(namespace), layer)
}

/// The same with a cache made to order.
pub fn rig_with(cache: CacheBuilder, layer: CacheLayer) -> Rig {
    Rig::new(cache, layer, |layer, origin| {
        let service = layer.layer(origin);
        BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
    })
}

/// The same around a service that cannot fail: where the origin breaks it answers 502, as an axum
/// router would.
pub fn rig_infallible(layer: CacheLayer) -> Rig {
    Rig::new(Cache::builder(), layer, |layer, origin| {
        let service = layer.layer(Router(origin));
        BoxCloneSyncService::new(
            service
                .map_response(|response| response.map(Body::new))
                .map_err(|never| match never {}),
        )
    })
}

impl Rig {
    fn new(
        cache: CacheBuilder,
        layer: CacheLayer,
        around: impl FnOnce(
            CacheLayer,
            Origin,
        ) -> BoxCloneSyncService<Request<Body>, Response<Body>, Broken>,
    ) -> Self {
        let clock = Clock::manual();
        let cache = cache.clock(clock.clone()).build();
        let origin = Origin::new(clock.clone());
        Self {
            service: around(layer.cache(cache.clone()), origin.clone()),
            cache,
            clock,
            origin,
        }
    }

    /// Queues the origin's next reply.
    ///
    /// `headers` are lines `name: value` separated by `|`; `""` is none. Whitespace around a value is
    /// no part of it, as in HTTP; what is not ASCII is obs-text. `{now}`, `{now+60}` and `{now-3600}`
    /// are HTTP dates from the clock's present. There is a `Date` only where the text has one.
    pub fn origin(&self, status: u16, headers: &str, body: &str) -> &Self {
        self.queue(Answer::Whole(self.response(status, headers), body.into()))
    }

    /// Queues a reply with headers that are no text.
    pub fn origin_raw(&self, status: u16, headers: HeaderMap, body: &str) -> &Self {
        let mut response = self.response(status, "");
        *response.headers_mut() = headers;
        self.queue(Answer::Whole(response, body.into()))
    }

    /// Queues a reply whose body breaks off after `body`.
    pub fn origin_cut(&self, status: u16, headers: &str, body: &str) -> &Self {
        self.queue(Answer::Cut(self.response(status, headers), body.into()))
    }

    /// Queues a reply whose body ends with trailers.
    pub fn origin_trailed(&self, status: u16, headers: &str, body: &str, trailers: &str) -> &Self {
        let response = self.response(status, headers);
        self.queue(Answer::Trailed(
            response,
            body.into(),
            self.headers(trailers),
        ))
    }

    /// Queues a failure: the connection to the origin breaks.
    pub fn breaks(&self) -> &Self {
        self.queue(Answer::Break)
    }

    /// The reply queued last takes this long; its dates are of before.
    pub fn late(&self, seconds: u64) -> &Self {
        let mut script = self.origin.script();
        script.replies.back_mut().expect("a queued reply").takes = Duration::from_secs(seconds);
        self
    }

    /// The reply queued last waits, once it is asked for, until it is [released](Self::release).
    pub fn held(&self) -> &Self {
        let mut script = self.origin.script();
        script.replies.back_mut().expect("a queued reply").held = true;
        self
    }

    /// Lets go of all that is held.
    pub fn release(&self) {
        self.origin.script().gate.close();
    }

    /// Takes back what is still queued.
    pub fn unscript(&self) {
        self.origin.script().replies.clear();
    }

    fn queue(&self, answer: Answer) -> &Self {
        self.origin.script().replies.push_back(Reaction {
            takes: Duration::ZERO,
            held: false,
            answer,
        });
        self
    }

    fn response(&self, status: u16, headers: &str) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.headers_mut() = self.headers(headers);
        response
    }

    pub async fn get(&self, uri: &str, headers: &str) -> Reply {
        self.send("GET", uri, headers).await
    }

    pub async fn send(&self, method: &str, uri: &str, headers: &str) -> Reply {
        self.send_with(method, uri, headers, "").await
    }

    /// Sends a request that has a body.
    pub async fn send_with(&self, method: &str, uri: &str, headers: &str, body: &str) -> Reply {
        let request = self.request(method, uri, headers, body);
        answer(self.service.clone(), request).await
    }

    /// Sends a request with headers that are no text.
    pub async fn send_raw(&self, method: &str, uri: &str, headers: HeaderMap) -> Reply {
        let mut request = self.request(method, uri, "", "");
        *request.headers_mut() = headers;
        answer(self.service.clone(), request).await
    }

    /// Sends a request, and lets it go as far as it can without waiting for its reply.
    pub async fn begin(&self, method: &str, uri: &str, headers: &str) -> JoinHandle<Reply> {
        let request = self.request(method, uri, headers, "");
        let reply = tokio::spawn(answer(self.service.clone(), request));
        self.settle().await;
        reply
    }

    fn request(&self, method: &str, uri: &str, headers: &str, body: &str) -> Request<Body> {
        let body = match body {
            "" => Body::empty(),
            body => Body::from(body.to_owned()),
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        *request.headers_mut() = self.headers(headers);
        request
    }

    /// Lets every task run that can: what is refreshed in the background.
    pub async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// How many requests the origin has seen.
    pub fn asked(&self) -> usize {
        self.origin.script().seen.len()
    }

    /// The head of the last request that the origin has seen.
    pub fn seen(&self) -> Parts {
        self.seen_all().pop().expect("a request")
    }

    /// The heads of all requests that the origin has seen, in their order.
    pub fn seen_all(&self) -> Vec<Parts> {
        self.origin.script().seen.clone()
    }

    /// Stores a response with these fields that is stale by now.
    pub async fn stale(&self, request: &str, own: &str, body: &str) {
        self.origin(200, &format!("{BRIEF}|{own}"), body);
        assert_eq!(self.get("/", request).await.text(), body);
        self.advance(20);
    }

    /// Whether the request that the origin has seen last has no condition and asks for the whole.
    pub fn is_unconditional(&self) -> bool {
        let conditions = [
            "if-none-match",
            "if-modified-since",
            "if-match",
            "if-unmodified-since",
            "if-range",
            "range",
        ];
        conditions
            .iter()
            .all(|name| self.seen_header(name).is_none())
    }

    /// A field of the last request that the origin has seen.
    pub fn seen_header(&self, name: &str) -> Option<String> {
        let seen = self.seen();
        let value = seen.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// The clock's present.
    pub fn now(&self) -> SystemTime {
        self.clock.system_time()
    }

    /// Reads header text.
    pub fn headers(&self, text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.split('|').filter(|line| !line.trim().is_empty()) {
            let (name, value) = line.split_once(':').expect("`name: value`");
            let value = self.dates(value.trim());
            headers.append(
                HeaderName::try_from(name.trim()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers
    }

    /// Puts dates in the place of `{now..}`.
    fn dates(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("{now") else {
            return text.to_owned();
        };
        let (offset, after) = rest.split_once('}').expect("`{now}` or `{now+1}`");
        let seconds: i64 = match offset {
            "" => 0,
            offset => offset.parse().expect("a signed number of seconds"),
        };
        let by = Duration::from_secs(seconds.unsigned_abs());
        let now = self.clock.system_time();
        let date = if seconds < 0 { now - by } else { now + by };
        format!(
            "{before}{}{}",
            httpdate::fmt_http_date(date),
            self.dates(after)
        )
    }
}

async fn answer(
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Broken>,
    request: Request<Body>,
) -> Reply {
    match service.oneshot(request).await {
        Ok(response) => Reply::of(response).await,
        Err(Broken) => Reply::failure(),
    }
}
