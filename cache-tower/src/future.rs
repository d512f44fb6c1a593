//! The layer's response future: ready on a hit, the inner service's own where a request passes by,
//! boxed only on a miss.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::body::CacheBody;
use crate::respond::Passed;

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

pin_project! {
    /// The future of [`CacheService`](crate::CacheService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody, ResBody>,
    }
}

pin_project! {
    #[project = StateProjected]
    enum State<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Ready { response: Option<Response<CacheBody<ResBody>>> },
        Passing { #[pin] oneshot: Oneshot<S, Request<ReqBody>>, passed: Passed },
        Boxed { future: Boxed<Response<CacheBody<ResBody>>, S::Error> },
    }
}

impl<S, ReqBody, ResBody> ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
    #[inline]
    pub(crate) const fn ready(response: Response<CacheBody<ResBody>>) -> Self {
        Self {
            state: State::Ready {
                response: Some(response),
            },
        }
    }

    pub(crate) const fn passing(service: S, request: Request<ReqBody>, passed: Passed) -> Self {
        Self {
            state: State::Passing {
                oneshot: Oneshot::new(service, request),
                passed,
            },
        }
    }

    pub(crate) fn boxed(
        future: impl Future<Output = Result<Response<CacheBody<ResBody>>, S::Error>> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Boxed {
                future: Box::pin(future),
            },
        }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<CacheBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjected::Ready { response } => Poll::Ready(Ok(response
                .take()
                .expect("not polled again once it is ready"))),
            StateProjected::Passing { oneshot, passed } => {
                let polled = passed.run(|| oneshot.poll(cx));
                Poll::Ready(ready!(polled).map(|response| passed.finish(response)))
            }
            StateProjected::Boxed { future } => future.as_mut().poll(cx),
        }
    }
}

impl<S, ReqBody, ResBody> fmt::Debug for ResponseFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>>,
{
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
