//! The application that the HTTP benchmarks put caches around: one axum route, a page of 1 KiB for
//! each id. The handler does next to nothing, which is the hardest case for a cache.

use std::hint::black_box;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Html;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tower::Service;

/// How many pages there are.
pub const PAGES: u64 = 10_000;
const KIB: [u8; 1024] = [b'x'; 1024];
/// Requests that are built before they are timed together: few enough to stay in the processor's
/// first cache.
const BATCH: u64 = 16;

/// The page, as a handler that computes nothing.
pub async fn page(Path(id): Path<u64>) -> Html<Bytes> {
    black_box(id);
    Html(Bytes::from_static(&KIB))
}

/// The same, storable by what it says itself: for caches that want to be told by the response.
pub async fn public_page(path: Path<u64>) -> ([(header::HeaderName, HeaderValue); 1], Html<Bytes>) {
    let control = HeaderValue::from_static("public, max-age=3600");
    ([(header::CACHE_CONTROL, control)], page(path).await)
}

/// The application, with `route` for the page.
pub fn app(route: MethodRouter) -> Router {
    Router::new().route("/page/{id}", route)
}

/// The application without a cache.
pub fn plain() -> Router {
    app(get(page))
}

/// What clients ask for.
#[derive(Clone, Debug)]
pub struct Requests {
    uris: Vec<Uri>,
    /// Which of them, in turn.
    turns: Vec<u32>,
    headers: HeaderMap,
}

impl Requests {
    /// Requests for these pages in turn, with no more headers than a test has.
    ///
    /// # Panics
    ///
    /// With a page that there is not.
    #[must_use]
    pub fn bare(pages: &[u64]) -> Self {
        let uris = (0..PAGES).map(|id| format!("/page/{id}").parse().expect("a valid URI"));
        let turns = pages
            .iter()
            .map(|id| u32::try_from(*id).expect("there is such a page"));
        Self {
            uris: uris.collect(),
            turns: turns.collect(),
            headers: HeaderMap::new(),
        }
    }

    /// The same with the headers that a browser sends.
    #[must_use]
    pub fn of_browsers(mut self) -> Self {
        for (name, value) in [
            (header::HOST, "localhost:3000"),
            (
                header::USER_AGENT,
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            ),
            (
                header::ACCEPT,
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            ),
            (header::ACCEPT_LANGUAGE, "en-US,en;q=0.5"),
            (header::ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
            (header::CONNECTION, "keep-alive"),
        ] {
            self.headers.insert(name, HeaderValue::from_static(value));
        }
        self
    }

    /// The `n`-th request.
    #[must_use]
    pub fn get(&self, n: u64) -> Request<Body> {
        let turn = self.turns[n as usize % self.turns.len()];
        let uri = self.uris[turn as usize].clone();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        if !self.headers.is_empty() {
            *request.headers_mut() = self.headers.clone();
        }
        request
    }

    /// Sends so many requests and reads the bodies; tells what that took without making the requests.
    ///
    /// # Panics
    ///
    /// Where the service fails, or answers with anything but a page.
    pub fn send<S, B>(&self, runtime: &Handle, service: &S, times: u64, start: u64) -> Duration
    where
        S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
    {
        let mut service = service.clone();
        let mut took = Duration::ZERO;
        runtime.block_on(async {
            let mut sent = 0;
            let mut batch = Vec::with_capacity(BATCH as usize);
            while sent < times {
                let some = BATCH.min(times - sent);
                batch.extend((0..some).map(|n| self.get(start + sent + n)));
                let began = Instant::now();
                for request in batch.drain(..) {
                    answer(&mut service, request).await;
                }
                took += began.elapsed();
                sent += some;
            }
        });
        took
    }

    /// Asks for every page once, so that all are stored.
    ///
    /// # Panics
    ///
    /// Where the service fails.
    pub async fn warm<S, B>(&self, service: &S)
    where
        S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
    {
        let mut service = service.clone();
        let turns = (0..self.uris.len() as u32).collect();
        let all = Self {
            turns,
            ..self.clone()
        };
        for n in 0..PAGES {
            answer(&mut service, all.get(n)).await;
        }
    }
}

/// Sends one request, reads the answer's body and throws it away.
///
/// # Panics
///
/// Where the answer is anything but a page.
pub async fn answer<S, B>(service: &mut S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    std::future::poll_fn(|cx| service.poll_ready(cx))
        .await
        .expect("the service is ready");
    let mut response = service.call(request).await.expect("the service answers");
    let mut length = 0;
    while let Some(frame) = response.body_mut().frame().await {
        length += frame
            .expect("the body is whole")
            .data_ref()
            .map_or(0, Bytes::len);
    }
    assert_eq!(length, KIB.len(), "status {}", response.status());
    black_box(&response);
}
