//! Around the cache: says what a request is looked up under, and what came of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cache_tower::spi::{Told, told};
use cache_tower::{BoxError, CacheBody, CacheService, ResponseFuture};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::inside::{Asked, Populating, take_back};
use super::layer::Deployed;
use crate::flow::Flow;
use crate::message::{Head, Message};
use crate::step::{said, send};

/// A service with a response cache around it; see [`ResponseCacheLayer`](crate::ResponseCacheLayer).
///
/// It is always ready: what is stored needs no inner service.
#[derive(Clone, Debug)]
pub struct ResponseCacheService<S> {
    cached: CacheService<Populating<S>>,
    deployed: Arc<Deployed>,
}

impl<S> ResponseCacheService<S> {
    pub(super) const fn new(cached: CacheService<Populating<S>>, deployed: Arc<Deployed>) -> Self {
        Self { cached, deployed }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ResponseCacheService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Body + Default + Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseCacheBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseCacheFuture<ResBody, S::Error>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        if !self.deployed.policy.is_enabled() {
            let service = self.cached.get_ref().get_ref().clone();
            let passed = Box::pin(async move { send(service, request).await });
            return ResponseCacheFuture(State::Passed(passed));
        }
        let flow = Flow::of(&mut request, &self.deployed.site.cache);
        let head = Head::of(&request, self.deployed.site.trusted.as_ref());
        let message = Message {
            head: &head,
            flow: &flow,
            response: None,
        };
        let directions = self.deployed.directions(&request, &message);
        let stores = directions.pass.is_none();
        let extensions = request.extensions_mut();
        extensions.insert(directions);
        if stores {
            extensions.insert(Asked(Arc::new((head, flow.clone()))));
        }
        ResponseCacheFuture(State::Cached {
            response: self.cached.call(request),
            flow,
            deployed: Arc::clone(&self.deployed),
        })
    }
}

/// The future of [`ResponseCacheService`].
#[must_use = "futures do nothing unless polled"]
pub struct ResponseCacheFuture<B, E>(State<B, E>);

enum State<B, E> {
    Cached {
        response: ResponseFuture<B, E>,
        flow: Flow,
        deployed: Arc<Deployed>,
    },
    /// The policy is not enabled.
    Passed(Pin<Box<dyn Future<Output = Result<Response<B>, E>> + Send>>),
}

impl<B, E> Future for ResponseCacheFuture<B, E> {
    type Output = Result<Response<ResponseCacheBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (response, flow, deployed) = match &mut self.0 {
            State::Cached {
                response,
                flow,
                deployed,
            } => (Pin::new(response), flow, deployed),
            State::Passed(passed) => {
                let response = ready!(passed.as_mut().poll(cx))?;
                let plain = |body| ResponseCacheBody::of(Kind::Plain { body });
                return Poll::Ready(Ok(response.map(plain)));
            }
        };
        let mut response = ready!(response.poll(cx))?;
        take_back(&mut response);
        let what = match told(response.headers()) {
            Told::Hit => Some("cachehit"),
            Told::Invalid => Some("invalidentry"),
            Told::Miss => None,
        };
        if let Some(what) = what {
            flow.note("responsecache", deployed.policy.name(), what, said(true));
        }
        let cached = |body| ResponseCacheBody::of(Kind::Cached { body });
        Poll::Ready(Ok(response.map(cached)))
    }
}

impl<B, E> fmt::Debug for ResponseCacheFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCacheFuture")
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of a response: stored, being stored, or passed on as it is.
    pub struct ResponseCacheBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjected]
    enum Kind<B> {
        Cached { #[pin] body: CacheBody<B> },
        Plain { #[pin] body: B },
    }
}

impl<B> ResponseCacheBody<B> {
    const fn of(kind: Kind<B>) -> Self {
        Self { kind }
    }
}

impl<B> fmt::Debug for ResponseCacheBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCacheBody").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Body for ResponseCacheBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjected::Cached { body } => body.poll_frame(cx),
            KindProjected::Plain { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Cached { body } => body.is_end_stream(),
            Kind::Plain { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Cached { body } => body.size_hint(),
            Kind::Plain { body } => body.size_hint(),
        }
    }
}
