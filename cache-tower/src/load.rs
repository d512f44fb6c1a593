//! One load of a response, as a task of its own: asks the inner service, while anybody waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use cache_core::respond::{Held, Recording as Lead, Scope};
use cache_core::spi::TagName;
use cache_core::{Clock, Timestamp};
use http::header::AUTHORIZATION;
use http::response::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::ask::{Answer, Basis, Purpose, ask};
use crate::body::{BoxError, CacheBody};
use crate::key::{KeyBuf, client_uri, matched_route};
use crate::level;
use crate::loaded::Loaded;
use crate::look::response_of;
use crate::miss::Miss;
use crate::piece::Piece;
use crate::recording::Recording;
use crate::refusal::Refusal;
use crate::routes::Route;
use crate::stored::{Declared, Kept, Stored, Variant};
use crate::template::fill;

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
        /// What the inner service answered, where this is not it.
        answered: Option<StatusCode>,
        scope: Scope,
    },
    /// The load failed, and there was a stale response.
    Stale {
        held: Held<Kept>,
        answered: Option<StatusCode>,
    },
    /// The second level had it.
    Promoted(Held<Kept>),
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
    ReqBody: Default + Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    pub(crate) async fn run(self, mut caller: Caller<ResBody, S::Error>) {
        let Self {
            mut lead,
            mut miss,
            paths,
        } = self;
        if let Some(accepting) = miss.accepting(caller.is_some())
            && lead.has_level()
        {
            // Boxed: without a remote it is no part of the load.
            let asking = level::ask(
                lead,
                &miss.cache,
                (&miss.key, miss.request.headers()),
                &mut miss.selected,
                accepting,
            );
            match Box::pin(asking).await {
                Ok(held) => return tell(caller, Led::Promoted(held)),
                Err(back) => lead = back,
            }
        }
        let knows_callers = miss.directions().is_some_and(|told| told.knows_callers);
        let Miss {
            config,
            cache,
            service,
            mut request,
            key,
            selected,
            held,
            part,
            purpose,
            resource,
            within,
            ..
        } = miss;
        let uri = client_uri(request.uri(), request.extensions());
        lead.on(uri.path(), matched_route(&request));
        let route = Route::of(&request);
        let scope = lead.scope().clone();
        let sent = request.headers().clone();
        let authorized = sent.contains_key(AUTHORIZATION) && !knows_callers;
        let own_tags = fill(&config.tags, &mut request).await;
        // Not what was invalidated for good meanwhile: its marks are read again.
        let alive = |held: &Held<Kept>| held.stale_for(&cache).is_some();
        let held = held.filter(alive);
        let part = part.filter(alive).and_then(|held| {
            let piece = Piece::of(response_of(&held)?)?;
            Some((held, piece))
        });
        let basis = match purpose {
            Purpose::Whole => {
                let stored = held.as_ref().and_then(response_of);
                let beginning = || Some(Basis::Beginning(part.as_ref()?.1.clone()));
                stored
                    .and_then(Stored::validators)
                    .map_or_else(beginning, |validators| Some(Basis::Whole(validators)))
            }
            Purpose::Part | Purpose::Head => None,
        };
        purpose.prepare(&mut request, config.manner, basis.as_ref());

        let asking = scope.enter(ask(service, request, basis));
        let answer = while_awaited(&lead, &mut caller, &cache.clock(), asking).await;
        let loaded = Loaded {
            config,
            cache,
            lead,
            scope,
            key,
            selected,
            held,
            part,
            purpose,
            resource,
            paths,
            sent,
            authorized,
            own_tags,
            route,
            declared: Declared::default(),
            within,
        };
        match answer {
            None => loaded.refresh_failed(false),
            Some(Err(error)) => loaded.failed(error, caller),
            Some(Ok(Answer::Confirmed(parts))) => loaded.confirmed(parts, caller),
            Some(Ok(Answer::Rest(response))) => loaded.completed(response, caller).await,
            Some(Ok(Answer::Response(response))) => loaded.answered(response, caller).await,
        }
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
