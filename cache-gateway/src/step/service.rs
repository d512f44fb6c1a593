//! The service: lets the policy act before the inner service or after it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cache_core::spi::Around;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::act::{Step, note_outcome};
use super::layer::{Deployed, On};
use super::{PolicyBody, PolicyFuture};
use crate::fault::Fault;
use crate::flow::Flow;
use crate::form::{self, Form, RequestBody};
use crate::message::{Head, Message};
use crate::{Condition, Variable};

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
                around: Around::current(),
                owed: false,
            };
            let request = match turn.deployed.reads_form() {
                true => {
                    let (form, request) = form::read(request).await;
                    match form {
                        Form::Whole(form) => turn.head.form = Some(form),
                        Form::TooLong => {
                            if let Some(fault) = turn.unread() {
                                return Ok(fault.response().map(PolicyBody::fault));
                            }
                        }
                        Form::None => {}
                    }
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
    /// Who calls, and in what.
    around: Around,
    /// Whether it acts even if the response never comes.
    owed: bool,
}

impl Turn {
    fn message<'t>(&'t self, response: Option<(StatusCode, &'t HeaderMap)>) -> Message<'t> {
        Message {
            head: &self.head,
            flow: &self.flow,
            response,
        }
    }

    async fn take(&mut self, response: Option<(StatusCode, &HeaderMap)>) -> Result<(), Fault> {
        let message = self.message(response);
        let when = self.deployed.when.as_ref();
        let outcome = match when.is_none_or(|when| when.holds(&message)) {
            true => self.deployed.act.run(&message).await,
            false => Ok(()),
        };
        self.owed = false;
        outcome
    }

    /// Whether it acts, or would if it knew what is not known yet.
    fn may_act(&self, unknown: fn(&Variable) -> bool) -> bool {
        let may_hold = |when: &Condition| when.may_hold(&self.message(None), unknown);
        self.deployed.when.as_ref().is_none_or(may_hold)
    }

    /// The fault of a form that is too long to be read, where it says what is dropped: what its handler changes
    /// would stay cached.
    fn unread(&self) -> Option<Fault> {
        let Step::Invalidate(policy) = &self.deployed.act.step else {
            return None;
        };
        let later = |variable: &Variable| {
            let of_flow = matches!(variable, Variable::Application(_));
            of_flow || variable.is_of_form() || variable.is_of_response()
        };
        if policy.continues_on_error() || !self.may_act(later) {
            return None;
        }
        let (name, most, why) = (policy.name(), form::MAX_FORM_BYTES, "FormTooLarge");
        note_outcome(&self.flow, policy, Some(why));
        let text = format!(
            "The form says what {name} drops, and is read up to {most} bytes: it has more."
        );
        let fault = Fault::failed("invalidatecache", why, text);
        Some(fault.with_status(StatusCode::PAYLOAD_TOO_LARGE))
    }
}

/// The service failed, or its caller left: the handler may have changed something by then, and the response
/// may have been what the condition asks for.
impl Drop for Turn {
    fn drop(&mut self) {
        if self.owed && self.may_act(Variable::is_of_response) {
            let act = &self.deployed.act;
            self.around
                .run(|| act.invalidate_unheard(&self.message(None)));
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
