//! [`FlushByHeader`]: a request drops what is cached by saying so in a header, if it may.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use cache_core::spi::refusal;
use cache_core::{Cache, InvalidateError};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::fault::Fault;
use crate::flow::Flow;
use crate::message::{Head, Message};
use crate::step::{Act, PolicyBody, PolicyFuture, send};
use crate::{DeployError, InvalidateCache, Proxy};

/// A layer that drops what a request names in a header, before the request goes on: the flush of SAP API
/// Management. It belongs outside of the caches whose entries it drops.
///
/// Who may do so is said by the closure that it is made with; there is no layer without one. Any client can
/// write a header: without that question anyone could empty the cache as often as they like. A request with
/// the header that may not is answered with 403 and goes no further.
///
/// ```
/// # mod revalidate { pub use cache_core::*; pub use cache_gateway as gateway; }
/// use revalidate::Cache;
/// use revalidate::gateway::FlushByHeader;
///
/// // `X-Flush: contacts, contact:7`
/// let layer = FlushByHeader::tags(&Cache::new(), "x-flush", |request| {
///     let key = request.headers.get("x-operator-key").cloned();
///     async move { key.is_some_and(|key| key == "secret") }
/// });
/// # let _ = layer;
/// ```
pub struct FlushByHeader<A> {
    flush: Arc<Flush>,
    authorise: A,
}

/// What its faults are of.
const KIND: &str = "flushbyheader";

/// What is dropped.
#[derive(Debug)]
struct Flush {
    header: HeaderName,
    what: What,
}

#[derive(Debug)]
enum What {
    Tags(Cache),
    Policy(Box<Act>),
}

impl<A> FlushByHeader<A> {
    /// Drops all that has one of the tags in the header, which have commas between them.
    ///
    /// # Panics
    ///
    /// With a name that no header can have.
    #[track_caller]
    pub fn tags<F>(cache: &Cache, header: &str, authorise: A) -> Self
    where
        A: Fn(&Parts) -> F,
        F: Future<Output = bool> + Send + 'static,
    {
        Self::new(header, What::Tags(cache.clone()), authorise)
    }

    #[track_caller]
    fn new(header: &str, what: What, authorise: A) -> Self {
        let Ok(header) = HeaderName::try_from(header) else {
            panic!("{header:?} is no name of a header field")
        };
        Self {
            flush: Arc::new(Flush { header, what }),
            authorise,
        }
    }
}

impl Proxy {
    /// A layer that carries out `policy` for requests with a header: the policy's key says by its
    /// variables what of the request names the entries.
    ///
    /// # Errors
    ///
    /// [`DeployError`], also where the key refers to a form or to the response: of a request with the header,
    /// its head alone is known then.
    ///
    /// # Panics
    ///
    /// With a name that no header can have.
    #[track_caller]
    pub fn flush_by_header<A, F>(
        &self,
        header: &str,
        policy: InvalidateCache,
        authorise: A,
    ) -> Result<FlushByHeader<A>, DeployError>
    where
        A: Fn(&Parts) -> F,
        F: Future<Output = bool> + Send + 'static,
    {
        let checked = policy.check_with_head();
        let site = self.deployed(
            policy.name(),
            policy.resource(),
            checked,
            policy.variables(),
        )?;
        let act = Act::invalidating(site, policy);
        Ok(FlushByHeader::new(
            header,
            What::Policy(Box::new(act)),
            authorise,
        ))
    }
}

impl Flush {
    /// Whether a request with these headers asks for it.
    fn is_asked_for(&self, headers: &HeaderMap) -> bool {
        let enabled = match &self.what {
            What::Tags(_) => true,
            What::Policy(act) => act.is_enabled(),
        };
        enabled && headers.contains_key(&self.header)
    }

    fn run(&self, request: &mut Request<()>) -> Result<(), Fault> {
        match &self.what {
            What::Tags(cache) => {
                let dropping = cache.invalidate_cache(tags(request.headers(), &self.header));
                match refusal(&dropping) {
                    // What is no tag has nothing; the others count.
                    None | Some(InvalidateError::InvalidTag { .. }) => Ok(()),
                    Some(error) => {
                        let text = format!("The flush by {} dropped nothing: {error}", self.header);
                        Err(Fault::failed(KIND, Fault::REFUSED, text))
                    }
                }
            }
            What::Policy(act) => {
                let flow = Flow::of(request, &act.site.cache);
                let head = Head::of(request, act.site.trusted.as_ref());
                let message = Message {
                    head: &head,
                    flow: &flow,
                    response: None,
                };
                act.invalidate(&message)
            }
        }
    }
}

fn tags<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|line| std::str::from_utf8(line.as_bytes()).ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
}

impl<A: Clone> Clone for FlushByHeader<A> {
    fn clone(&self) -> Self {
        Self {
            flush: Arc::clone(&self.flush),
            authorise: self.authorise.clone(),
        }
    }
}

impl<A> fmt::Debug for FlushByHeader<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FlushByHeader")
            .field(&self.flush.header)
            .finish()
    }
}

impl<A: Clone, S> Layer<S> for FlushByHeader<A> {
    type Service = FlushService<A, S>;

    fn layer(&self, inner: S) -> FlushService<A, S> {
        FlushService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service that can be told in a header to drop what is cached; see [`FlushByHeader`].
#[derive(Clone, Debug)]
pub struct FlushService<A, S> {
    inner: S,
    layer: FlushByHeader<A>,
}

impl<A, F, S, ReqBody, ResBody> Service<Request<ReqBody>> for FlushService<A, S>
where
    A: Fn(&Parts) -> F,
    F: Future<Output = bool> + Send + 'static,
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    ReqBody: Send + 'static,
    ResBody: 'static,
{
    type Response = Response<PolicyBody<ResBody>>;
    type Error = S::Error;
    type Future = PolicyFuture<ResBody, S::Error>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let service = self.inner.clone();
        let flush = Arc::clone(&self.layer.flush);
        let (parts, body) = request.into_parts();
        let asked = flush.is_asked_for(&parts.headers);
        let may = asked.then(|| (self.layer.authorise)(&parts));
        PolicyFuture::new(async move {
            let mut request = Request::from_parts(parts, ());
            if let Some(may) = may {
                if !may.await {
                    let text = format!("This request may not flush by {}.", flush.header);
                    let fault = Fault::failed(KIND, "NotAuthorised", text);
                    let fault = fault.with_status(StatusCode::FORBIDDEN);
                    return Ok(fault.response().map(PolicyBody::fault));
                }
                if let Err(fault) = flush.run(&mut request) {
                    return Ok(fault.response().map(PolicyBody::fault));
                }
            }
            let request = request.map(|()| body);
            Ok(send(service, request).await?.map(PolicyBody::inner))
        })
    }
}
