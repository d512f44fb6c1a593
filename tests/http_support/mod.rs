//! A cache as an outside observer meets it: a layer around an origin that answers by a script, on a
//! clock that stands still. What clients get and what the origin is asked is all that is seen.
#![allow(dead_code, unused_imports, unreachable_pub)]

pub mod items;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use bytes::Bytes;
pub use cache_core::{Cache, CacheBuilder, Clock};
pub use cache_tower::CacheLayer;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

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
        let origin = Origin(Arc::new(Mutex::new(Script {
            clock: clock.clone(),
            replies: VecDeque::new(),
            gate: Arc::new(Semaphore::new(0)),
            seen: Vec::new(),
        })));
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

/// The connection to the origin broke.
#[derive(Clone, Copy, Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection broke")
    }
}

impl std::error::Error for Broken {}

/// Answers by a script, and beyond it with 500 and `not scripted`.
#[derive(Clone)]
struct Origin(Arc<Mutex<Script>>);

struct Script {
    clock: Clock,
    replies: VecDeque<Reaction>,
    /// Closed once what is held may go.
    gate: Arc<Semaphore>,
    seen: Vec<Parts>,
}

struct Reaction {
    takes: Duration,
    held: bool,
    answer: Answer,
}

type Answered = Result<Response<Body>, Broken>;

enum Answer {
    Whole(Response<()>, String),
    Trailed(Response<()>, String, HeaderMap),
    Cut(Response<()>, String),
    Break,
}

impl Origin {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }

    /// The next reply, and the gate to wait at before it is given.
    fn react(&self, request: Request<Body>) -> (Answered, Option<Arc<Semaphore>>) {
        let mut script = self.script();
        let head = request.method() == Method::HEAD;
        script.seen.push(request.into_parts().0);
        let Some(Reaction {
            takes,
            held,
            answer,
        }) = script.replies.pop_front()
        else {
            let mut response = Response::new(Body::from("not scripted"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return (Ok(response), None);
        };
        script.clock.advance(takes);
        let gate = held.then(|| Arc::clone(&script.gate));
        let answered = match answer {
            Answer::Whole(response, _) if head => Ok(response.map(|()| Body::empty())),
            Answer::Whole(response, body) => Ok(response.map(|()| Body::from(body))),
            Answer::Trailed(response, body, trailers) => {
                let trailers = ready(Some(Ok(trailers)));
                Ok(response.map(|()| Body::new(Body::from(body).with_trailers(trailers))))
            }
            Answer::Cut(response, body) => {
                let frames = stream::iter([Ok(body), Err(Broken)]);
                Ok(response.map(|()| Body::from_stream(frames)))
            }
            Answer::Break => Err(Broken),
        };
        (answered, gate)
    }
}

impl Service<Request<Body>> for Origin {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answered, gate) = self.react(request);
        Box::pin(async move {
            if let Some(gate) = gate {
                let _closed = gate.acquire().await;
            }
            answered
        })
    }
}

/// What stands between an origin and a service that cannot fail.
#[derive(Clone)]
struct Router(Origin);

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answered = self.0.call(request);
        Box::pin(async move {
            Ok(answered.await.unwrap_or_else(|broken| {
                let mut response = Response::new(Body::from(broken.to_string()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }))
        })
    }
}

/// What a client got, read whole.
#[derive(Debug)]
pub struct Reply {
    /// 599 where the service returned an error.
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The service returned an error.
    pub failed: bool,
    /// The body broke off.
    pub cut: bool,
}

impl Reply {
    async fn of(response: Response<Body>) -> Self {
        let (parts, mut rest) = response.into_parts();
        let (mut body, mut cut) = (Vec::new(), false);
        while let Some(frame) = rest.frame().await {
            match frame {
                Ok(frame) => body.extend(frame.into_data().unwrap_or_default()),
                Err(_) => {
                    cut = true;
                    break;
                }
            }
        }
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
            failed: false,
            cut,
        }
    }

    fn failure() -> Self {
        Self {
            status: StatusCode::from_u16(599).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            failed: true,
            cut: false,
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The first line of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// All lines of a field, in their order; obs-text as UTF-8.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.get_all(name).iter();
        lines
            .map(|line| std::str::from_utf8(line.as_bytes()).unwrap())
            .collect()
    }

    /// What the caches said, as one list.
    pub fn cache(&self) -> String {
        self.lines("cache-status").join(", ")
    }

    /// What this cache said: the last member.
    pub fn own(&self) -> String {
        let cache = self.cache();
        let at = cache.rfind(", revalidate;").map_or(0, |at| at + 2);
        cache[at..].to_owned()
    }

    /// Whether it was answered without asking the origin.
    pub fn is_hit(&self) -> bool {
        self.own().starts_with("revalidate; hit")
    }

    #[track_caller]
    pub fn assert_hit(&self) -> &Self {
        assert!(self.is_hit(), "not a hit: {self:?}");
        self
    }

    /// That the request went to the origin.
    #[track_caller]
    pub fn assert_forwarded(&self) -> &Self {
        let own = self.own();
        assert!(
            own.starts_with("revalidate; fwd="),
            "not forwarded: {self:?}"
        );
        self
    }
}

/// Whether a response is what the next request gets, too, and the origin is not asked.
pub async fn reused(rig: &Rig, status: u16, headers: &str) -> bool {
    let body = if matches!(status, 204 | 205 | 304) {
        ""
    } else {
        "first"
    };
    rig.origin(status, headers, body).origin(200, "", "second");
    let first = rig.get("/", "").await;
    assert_eq!((first.status.as_u16(), first.text()), (status, body));
    let second = rig.get("/", "").await;
    let same = (second.status, second.text()) == (first.status, first.text());
    assert_eq!(same, rig.asked() == 1, "{status} {headers}: {second:?}");
    same
}

/// How a cache errs, unless it reuses a response for exactly so many seconds and then asks.
pub async fn wrong_lifetime(rig: &Rig, status: u16, headers: &str, seconds: u64) -> Option<String> {
    rig.origin(status, headers, "")
        .origin(200, "cache-control: no-store", "asked again");
    rig.get("/", "").await;
    if seconds > 0 {
        rig.advance(seconds - 1);
        let reply = rig.get("/", "").await;
        if rig.asked() != 1 {
            return Some(format!("not fresh after {}: {reply:?}", seconds - 1));
        }
        rig.advance(1);
    }
    let reply = rig.get("/", "").await;
    (rig.asked() != 2).then(|| format!("still fresh after {seconds}: {reply:?}"))
}

/// Checks of each row's section and response whether it is fresh for so many seconds: one less, and no
/// more.
pub async fn check_lifetimes(make: fn() -> Rig, rows: &[(&str, &str, u64)]) {
    let mut failures = Failures::default();
    for (section, headers, seconds) in rows {
        let wrong = wrong_lifetime(&make(), 200, headers, *seconds).await;
        failures.check(wrong.is_none(), || {
            format!("{section}: {headers:?}: {}", wrong.unwrap())
        });
    }
}

/// What went wrong in a table of cases, shown all at once.
#[derive(Debug, Default)]
pub struct Failures(Vec<String>);

impl Failures {
    /// Notes a row that did not do as it should.
    pub fn check(&mut self, holds: bool, row: impl FnOnce() -> String) {
        if !holds {
            self.0.push(row());
        }
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        if !self.0.is_empty() && !std::thread::panicking() {
            panic!("{} rows failed:\n{}", self.0.len(), self.0.join("\n"));
        }
    }
}
