//! The future of a policy's service.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use super::PolicyBody;

/// The future of a [`PolicyService`](crate::PolicyService).
#[must_use = "futures do nothing unless polled"]
pub struct PolicyFuture<B, E>(Boxed<B, E>);

type Boxed<B, E> = Pin<Box<dyn Future<Output = Result<Response<PolicyBody<B>>, E>> + Send>>;

impl<B, E> PolicyFuture<B, E> {
    pub(crate) fn new(
        future: impl Future<Output = Result<Response<PolicyBody<B>>, E>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(future))
    }
}

impl<B, E> Future for PolicyFuture<B, E> {
    type Output = Result<Response<PolicyBody<B>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<B, E> fmt::Debug for PolicyFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFuture").finish_non_exhaustive()
    }
}
