//! One load of a response, as a task of its own: calls the inner service and judges what comes back.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use cache_core::respond::{Held, Recording as Lead, Scope};
use cache_core::spi::TagName;
use cache_core::{Cache, Clock, NotStorable, Timestamp};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::response::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::body::{BoxError, CacheBody};
use crate::freshness::{Judged, Rules, judge};
use crate::future::Oneshot;
use crate::key::{KeyBuf, client_uri, matched_route};
use crate::layer::Config;
use crate::miss::Miss;
use crate::policy::CachePolicy;
use crate::recording::Recording;
use crate::refusal::{Refusal, answers_the_client};
use crate::respond::StoredInside;
use crate::service::{Depth, response_of};
use crate::stored::{Kept, Variant};
use crate::storing::Storing;
use crate::vary::VaryNames;

/// For how long a response is made, its head or its body, when nobody waits for it any more.
pub(crate) const UNAWAITED: Duration = Duration::from_secs(30);
/// For how long one is made in the background, for nobody to begin with.
const REFRESHING: Duration = Duration::from_secs(5 * 60);

/// What the caller whose request was loaded is told.
pub(crate) enum Led<B, E> {
    Response {
        parts: Parts,
        body: CacheBody<B>,
        outcome: Result<(), Refusal>,
        scope: Scope,
    },
    /// The load failed, and there was a stale response.
    Stale {
        held: Held<Kept>,
        answered: Option<StatusCode>,
    },
    Failed {
        error: E,
        scope: Scope,
    },
}

/// A response that is being recorded, as its joiners see it.
pub(crate) struct SharedHead<B> {
    pub(crate) parts: Parts,
    pub(crate) recording: Arc<Recording<B>>,
    pub(crate) fresh_until: Timestamp,
    pub(crate) variant: Option<Variant>,
    pub(crate) scope: Scope,
}

impl<B> SharedHead<B> {
    /// Whether a request with these headers selects this response.
    pub(crate) fn is_selected_by(&self, key: &KeyBuf, request: &HeaderMap) -> bool {
        self.variant
            .as_ref()
            .is_none_or(|variant| variant.is_selected_by(key, request))
    }
}

/// A load that has the right to store.
pub(crate) struct Load<S, ReqBody> {
    lead: Lead,
    miss: Miss<S, ReqBody>,
    paths: Vec<TagName>,
}

pub(crate) type Caller<B, E> = Option<oneshot::Sender<Led<B, E>>>;

pub(crate) fn tell<B, E>(caller: Caller<B, E>, led: Led<B, E>) {
    if let Some(caller) = caller {
        // The caller may have left; what was loaded is stored all the same.
        let _ = caller.send(led);
    }
}

impl<S, ReqBody> Load<S, ReqBody> {
    pub(crate) const fn new(lead: Lead, miss: Miss<S, ReqBody>, paths: Vec<TagName>) -> Self {
        Self { lead, miss, paths }
    }
}

impl<S, ReqBody, ResBody> Load<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    pub(crate) async fn run(self, mut caller: Caller<ResBody, S::Error>) {
        let Self {
            mut lead,
            miss,
            paths,
        } = self;
        let Miss {
            config,
            cache,
            service,
            mut request,
            key,
            selected,
            held,
            within,
            ..
        } = miss;
        let uri = client_uri(request.uri(), request.extensions());
        lead.on(uri.path(), matched_route(&request));
        let scope = lead.scope().clone();
        let sent = request.headers().clone();
        let own_tags = own_tags(&config, &mut request).await;
        let refreshed = held.clone();
        prepare(&mut request);

        let response = scope.enter(Oneshot::new(service, request));
        let response = match while_awaited(&lead, &mut caller, &cache.clock(), response).await {
            Some(Ok(response)) => response,
            None => return refresh_failed(&cache, refreshed.as_ref()),
            Some(Err(error)) => {
                lead.refuse(NotStorable::Error);
                refresh_failed(&cache, refreshed.as_ref());
                return tell(
                    caller,
                    match usable(&cache, held) {
                        Some(held) => Led::Stale {
                            held,
                            answered: None,
                        },
                        None => Led::Failed { error, scope },
                    },
                );
            }
        };
        let (parts, body) = response.into_parts();
        if parts.status.is_server_error()
            && let Some(held) = usable(&cache, held)
        {
            refresh_failed(&cache, refreshed.as_ref());
            lead.refuse(NotStorable::Error);
            return tell(
                caller,
                Led::Stale {
                    held,
                    answered: Some(parts.status),
                },
            );
        }
        scope.tag(own_tags);
        if let Some(policy) = parts.extensions.get::<CachePolicy>() {
            scope.tag(
                policy
                    .tag_texts()
                    .iter()
                    .map(|tag| TagName::user(tag))
                    .collect(),
            );
        }
        let verdict = verdict(&config, &cache, &lead, &parts, &body, &sent).and_then(|judged| {
            let variant = variant(&key, selected.as_deref(), &parts.headers, &sent)?;
            Ok((judged, variant))
        });
        let (judged, variant) = match verdict {
            Ok(verdict) => verdict,
            Err(refusal) => {
                if answers_the_client(parts.status) {
                    lead.refuse(NotStorable::Response);
                } else {
                    refuse(lead, refusal, &paths);
                }
                let body = CacheBody::inner(body, Some(scope.clone()).filter(|_| !within));
                return tell(
                    caller,
                    Led::Response {
                        parts,
                        body,
                        outcome: Err(refusal),
                        scope,
                    },
                );
            }
        };
        let limit = config.max_body_bytes;
        let storing = Storing {
            lead,
            cache,
            judged,
            key,
            variant,
            paths,
            limit,
        };
        storing.take(parts, Box::pin(body), scope, caller).await;
    }
}

/// What `making` comes to, unless nobody waits for it for too long: its handler may never answer.
async fn while_awaited<F: Future, B, E>(
    lead: &Lead,
    caller: &mut Caller<B, E>,
    clock: &Clock,
    making: F,
) -> Option<F::Output> {
    let mut making = pin!(making);
    let mut given_up = pin!(async {
        let patience = match caller {
            Some(caller) => {
                caller.closed().await;
                UNAWAITED
            }
            None => REFRESHING,
        };
        loop {
            lead.unawaited().await;
            clock.sleep(patience).await;
            if !lead.is_awaited() {
                return;
            }
        }
    });
    poll_fn(|cx| match making.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => given_up.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Makes of a client's request one whose response serves all: whole, since the layer compares
/// clients' validators itself.
pub(crate) fn prepare<B>(request: &mut Request<B>) {
    request.headers_mut().remove(IF_NONE_MATCH);
    request.headers_mut().remove(IF_MODIFIED_SINCE);
    Depth::deepen(request);
}

fn usable(cache: &Cache, held: Option<Held<Kept>>) -> Option<Held<Kept>> {
    held.filter(|held| held.usable_on_error(cache) && response_of(held).is_some())
}

/// Keeps a failing service from being asked again at every stale hit.
fn refresh_failed(cache: &Cache, held: Option<&Held<Kept>>) {
    if let Some(stored) = held.and_then(response_of) {
        stored.refresh_failed(cache.clock().now());
    }
}

/// Ends a load whose response is not stored, and keeps those who come next from queueing.
pub(crate) fn refuse(lead: Lead, refusal: Refusal, paths: &[TagName]) {
    match (refusal.mark_for(), refusal) {
        (Some(lasting), _) => lead.refuse_and_mark(refusal.code(), paths, lasting),
        (None, Refusal::Engine(why)) => lead.refuse(why),
        (None, _) => lead.refuse(NotStorable::Response),
    }
}

/// The layer's own tags, with the path parameters of the matched route.
#[cfg_attr(not(feature = "axum"), allow(clippy::needless_pass_by_ref_mut))]
async fn own_tags<B>(
    config: &Config,
    request: &mut Request<B>,
) -> Result<Vec<TagName>, NotStorable> {
    if !config
        .tags
        .iter()
        .any(crate::template::Template::has_parameters)
    {
        return config.tags.iter().map(|tag| tag.fill(|_| None)).collect();
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::{FromRequestParts, RawPathParams};
        // The extractor wants whole parts; it reads their extensions and nothing else.
        let (mut parts, ()) = Request::new(()).into_parts();
        std::mem::swap(&mut parts.extensions, request.extensions_mut());
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
        std::mem::swap(&mut parts.extensions, request.extensions_mut());
        let parameters = parameters.map_err(|_| NotStorable::TagPlaceholder)?;
        let value = |name: &str| {
            parameters
                .iter()
                .find_map(|(known, value)| (known == name).then_some(value))
        };
        config.tags.iter().map(|tag| tag.fill(value)).collect()
    }
    #[cfg(not(feature = "axum"))]
    {
        let _ = request;
        Err(NotStorable::TagPlaceholder)
    }
}

fn verdict<B: Body>(
    config: &Config,
    cache: &Cache,
    lead: &Lead,
    parts: &Parts,
    body: &B,
    sent: &HeaderMap,
) -> Result<Judged, Refusal> {
    if parts
        .extensions
        .get::<StoredInside>()
        .is_some_and(|inside| cache_core::respond::same_cache(&inside.0, cache))
    {
        return Err(Refusal::StoredInside);
    }
    let said = lead.scope().said();
    let judged = judge(
        parts.status,
        &parts.headers,
        &Rules {
            policy: parts.extensions.get::<CachePolicy>(),
            said: said.life,
            layer: config.life,
            authorized: sent.contains_key(http::header::AUTHORIZATION),
            received: cache.clock().system_time(),
            took: cache.clock().now().since(lead.began()),
        },
    )?;
    if let Some(why) = said.refusal {
        return Err(why.into());
    }
    if body.size_hint().lower() > config.max_body_bytes as u64 {
        return Err(Refusal::TooLarge);
    }
    Ok(judged)
}

/// Which variant a response is, by what it and those before it vary by.
fn variant(
    key: &KeyBuf,
    known: Option<&Variant>,
    headers: &HeaderMap,
    sent: &HeaderMap,
) -> Result<Option<Variant>, Refusal> {
    let mut names = VaryNames::of(headers)?;
    if let Some(known) = known {
        names = names.with(&known.names)?;
    }
    if names.is_empty() {
        return Ok(None);
    }
    Ok(Some(Variant {
        key: names.select(key, sent)?,
        names,
    }))
}
