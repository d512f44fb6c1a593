//! Inside the cache: tells it what to make of the response.

use std::sync::Arc;
use std::task::{Context, Poll};

use cache_core::Life;
use cache_tower::CachePolicy;
use cache_tower::spi::{lifetime, stated_lifetime};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::layer::Deployed;
use crate::flow::Flow;
use crate::message::{Head, Message};

/// The half of a response cache that is around its service.
#[derive(Clone, Debug)]
pub(super) struct Populating<S> {
    inner: S,
    deployed: Arc<Deployed>,
}

/// What the other half saw of the request, before the cache took from it what is its own: an extension.
#[derive(Clone, Debug)]
pub(super) struct Asked(pub(super) Arc<(Head, Flow)>);

/// Beside a [`CachePolicy`] that is the policy's: the handler's own, an extension of the response.
#[derive(Clone, Debug)]
struct OfHandler(Option<CachePolicy>);

impl<S> Populating<S> {
    pub(super) const fn new(inner: S, deployed: Arc<Deployed>) -> Self {
        Self { inner, deployed }
    }

    /// The service without the cache.
    pub(super) const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Populating<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = PopulatingFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        PopulatingFuture {
            asked: request.extensions_mut().remove(),
            deployed: Arc::clone(&self.deployed),
            response: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The future of [`Populating`].
    #[derive(Debug)]
    pub(super) struct PopulatingFuture<F> {
        asked: Option<Asked>,
        deployed: Arc<Deployed>,
        #[pin]
        response: F,
    }
}

impl<F, B, E> Future for PopulatingFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = std::task::ready!(this.response.poll(cx))?;
        if let Some(Asked(asked)) = this.asked.take() {
            let (head, flow) = &*asked;
            let seen = (response.status(), response.headers());
            let message = Message {
                head,
                flow,
                response: Some(seen),
            };
            let life = this.deployed.lifetime(&message, seen);
            let extensions = response.extensions_mut();
            let said = match life {
                None => CachePolicy::no_store(),
                // What the handler says of this one response.
                Some(_) if extensions.get::<CachePolicy>().is_some() => {
                    return Poll::Ready(Ok(response));
                }
                Some(life) => lifetime(life),
            };
            let of_handler = OfHandler(extensions.insert(said));
            extensions.insert(of_handler);
        }
        Poll::Ready(Ok(response))
    }
}

/// Takes back what was said to the cache: a layer further out is not spoken to, except by the handler.
pub(super) fn take_back<B>(response: &mut Response<B>) {
    let extensions = response.extensions_mut();
    if let Some(OfHandler(said)) = extensions.remove() {
        extensions.remove::<CachePolicy>();
        if let Some(said) = said {
            extensions.insert(said);
        }
    }
}

impl Deployed {
    /// For how long a response is stored; `None`: it is not.
    fn lifetime(
        &self,
        message: &Message<'_>,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> Option<Life> {
        let policy = &self.policy;
        let stores_errors = policy.excludes_error_responses() == Some(false);
        // A 304 is about what is stored, which it renews; none is stored itself.
        let ordinary = matches!(status.as_u16(), 200..=205 | 304);
        if !(ordinary || stores_errors)
            || is_event_stream(headers)
            || policy.skips_population(message)
        {
            return None;
        }
        let now = self.site.cache.clock().system_time();
        let mut life = policy.expiry().lifetime(now, message).ok()?;
        if policy.uses_response_cache_headers()
            && let Some(stated) = stated_lifetime(headers, now)
        {
            life = life.min(stated);
        }
        (!life.is_zero()).then(|| Life::from_duration(life))
    }
}

/// What never ends is not stored.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    const STREAM: &[u8] = b"text/event-stream";
    kind.and_then(|kind| kind.get(..STREAM.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(STREAM))
}
