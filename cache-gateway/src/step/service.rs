//! The service: lets the policy act before the inner service or after it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::act::Step;
use super::layer::{Deployed, On};
use super::{PolicyBody, PolicyFuture};
use crate::fault::Fault;
use crate::flow::Flow;
use crate::form::{self, RequestBody};
use crate::message::{Head, Message};

/// A service with a policy beside it; see [`PolicyLayer`](crate::PolicyLayer).
///
/// It is always ready, and drives a clone of the inner service once that is: a look-up needs none.
#[derive(Clone, Debug)]
pub struct PolicyService<S> {
    inner: S,
    deployed: Arc<Deployed>,
}

impl<S> PolicyService<S> {
    pub(super) const fn new(inner: S, deployed: Arc<Deployed>) -> Self {
        Self { inner, deployed }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for PolicyService<S>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    S: Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    ReqBody: Body<Data = Bytes, Error: Send> + Send + 'static,
    ResBody: Send + 'static,
{
    type Response = Response<PolicyBody<ResBody>>;
    type Error = S::Error;
    type Future = PolicyFuture<ResBody, S::Error>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let (service, deployed) = (self.inner.clone(), Arc::clone(&self.deployed));
        if !deployed.act.is_enabled() {
            let request = request.map(RequestBody::new);
            return PolicyFuture::new(async move {
                Ok(send(service, request).await?.map(PolicyBody::inner))
            });
        }
        // Before anything of it is read: what is stored later was read since.
        let flow = Flow::of(&mut request, &deployed.act.site.cache);
        PolicyFuture::new(async move {
            let mut turn = Turn {
                head: Head::of(&request, deployed.act.site.trusted.as_ref()),
                deployed,
                flow,
                owed: false,
            };
            let request = match turn.deployed.reads_form() {
                true => {
                    let (form, request) = form::read(request).await;
                    turn.head.form = form;
                    request
                }
                false => request.map(RequestBody::new),
            };
            if turn.deployed.on == On::Request {
                if let Err(fault) = turn.take(None).await {
                    return Ok(fault.response().map(PolicyBody::fault));
                }
                return Ok(send(service, request).await?.map(PolicyBody::inner));
            }
            turn.owed = matches!(turn.deployed.act.step, Step::Invalidate(_));
            let response = send(service, request).await?;
            let seen = (response.status(), response.headers());
            let taken = turn.take(Some(seen)).await;
            Ok(match taken {
                Ok(()) => response.map(PolicyBody::inner),
                Err(fault) => fault.response().map(PolicyBody::fault),
            })
        })
    }
}

/// A policy's turn in one request.
struct Turn {
    deployed: Arc<Deployed>,
    head: Head,
    flow: Flow,
    /// Whether it acts even if the response never comes.
    owed: bool,
}

impl Turn {
    async fn take(&mut self, response: Option<(StatusCode, &HeaderMap)>) -> Result<(), Fault> {
        let Self {
            deployed,
            head,
            flow,
            ..
        } = &*self;
        let message = Message {
            head,
            flow,
            response,
        };
        let holds = |when: &crate::Condition| when.holds(&message);
        if deployed.when.as_ref().is_none_or(holds) {
            deployed.act.run(&message).await?;
        }
        self.owed = false;
        Ok(())
    }
}

/// The service failed, or its caller left: the handler may have changed something by then.
impl Drop for Turn {
    fn drop(&mut self) {
        let Self {
            deployed,
            head,
            flow,
            owed,
        } = &*self;
        let response = None;
        let message = Message {
            head,
            flow,
            response,
        };
        if *owed
            && deployed
                .when
                .as_ref()
                .is_none_or(|when| when.holds(&message))
        {
            deployed.act.drop_entries(&message);
        }
    }
}

/// Sends a request to a service once that is ready.
pub(crate) async fn send<S, R>(mut service: S, request: R) -> Result<S::Response, S::Error>
where
    S: Service<R>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}
