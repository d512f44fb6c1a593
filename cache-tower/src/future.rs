//! The layer's response future: ready on a hit, boxed only where the inner service is called.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::CacheBody;

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The future of [`CacheService`](crate::CacheService).
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<B, E>(State<B, E>);

enum State<B, E> {
    Ready(Option<Response<CacheBody<B>>>),
    Boxed(Boxed<Response<CacheBody<B>>, E>),
}

// A body in a response that is ready is not pinned there.
impl<B, E> Unpin for ResponseFuture<B, E> {}

impl<B, E> ResponseFuture<B, E> {
    #[inline]
    pub(crate) const fn ready(response: Response<CacheBody<B>>) -> Self {
        Self(State::Ready(Some(response)))
    }

    pub(crate) fn boxed(
        future: impl Future<Output = Result<Response<CacheBody<B>>, E>> + Send + 'static,
    ) -> Self {
        Self(State::Boxed(Box::pin(future)))
    }
}

impl<B: 'static, E: 'static> ResponseFuture<B, E> {
    /// Changes the headers of what it comes to.
    pub(crate) fn with_headers(self, change: impl FnOnce(&mut HeaderMap) + Send + 'static) -> Self {
        match self.0 {
            State::Ready(mut response) => {
                if let Some(response) = &mut response {
                    change(response.headers_mut());
                }
                Self(State::Ready(response))
            }
            State::Boxed(future) => Self::boxed(async move {
                let mut response = future.await?;
                change(response.headers_mut());
                Ok(response)
            }),
        }
    }
}

impl<B, E> Future for ResponseFuture<B, E> {
    type Output = Result<Response<CacheBody<B>>, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(response) => Poll::Ready(Ok(response
                .take()
                .expect("not polled again once it is ready"))),
            State::Boxed(future) => future.as_mut().poll(cx),
        }
    }
}

impl<B, E> fmt::Debug for ResponseFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// Waits until a clone of the inner service is ready, then calls it.
    #[project = OneshotProjected]
    pub(crate) enum Oneshot<S, Req>
    where
        S: Service<Req>,
    {
        Waiting { service: S, request: Option<Req> },
        Called { #[pin] future: S::Future },
    }
}

impl<S: Service<Req>, Req> Oneshot<S, Req> {
    pub(crate) const fn new(service: S, request: Req) -> Self {
        Self::Waiting {
            service,
            request: Some(request),
        }
    }
}

impl<S: Service<Req>, Req> Future for Oneshot<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                OneshotProjected::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let request = request.take().expect("a request is sent once");
                    let future = service.call(request);
                    self.set(Self::Called { future });
                }
                OneshotProjected::Called { future } => return future.poll(cx),
            }
        }
    }
}
