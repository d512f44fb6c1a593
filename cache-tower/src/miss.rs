//! A request that the cache could not answer, as its caller sees it: lead a load, share another's,
//! or go alone.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cache_core::respond::{self, Accepting, Arrival, Found, Held, Joined, ResponseKey, Turn};
use cache_core::spi::{TagName, path_tags};
use cache_core::{Cache, NotStorable, Reason};
use http::{Method, Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::admit::Depth;
use crate::ask::{OF_ONE_CLIENT, Purpose, for_all};
use crate::body::{BoxError, CacheBody};
use crate::freshness::Demands;
use crate::future::Oneshot;
use crate::key::{KeyBuf, client_uri, matched_route};
use crate::layer::Config;
use crate::load::{Led, Load, SharedHead};
use crate::loaded::may_stand_in;
use crate::look::{Look, look, response_of, will_do};
use crate::piece::Piece;
use crate::reader::{Likeness, OwnLoad, Role};
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::respond::{Asked, Client, Passed, passing, reuse_part};
use crate::routes::Route;
use crate::spi::Directions;
use crate::status::{Forward, Handled, append_reads, say_remote};
use crate::stored::{Kept, Variant, strip};

/// How often a caller looks again after a load of another did not serve it.
const ROUNDS: usize = 4;

/// A request on its way to a load.
pub(crate) struct Miss<S, ReqBody> {
    pub(crate) config: Arc<Config>,
    pub(crate) cache: Cache,
    pub(crate) service: S,
    pub(crate) request: Request<ReqBody>,
    /// The first-level key.
    pub(crate) key: KeyBuf,
    /// The names that responses vary by, and the key of the variant, where they are known.
    pub(crate) selected: Option<Box<Variant>>,
    pub(crate) arrival: Arrival,
    pub(crate) reason: Reason,
    /// What is stored: it may be validated, or served if the load fails.
    pub(crate) held: Option<Held<Kept>>,
    /// Whether the request demands more than what is simply stored.
    pub(crate) demanding: bool,
    /// What is stored of a part: the answer may add to it.
    pub(crate) part: Option<Held<Kept>>,
    pub(crate) purpose: Purpose,
    /// Whether it waits for the loads of others. Not where their responses will not serve it.
    pub(crate) queues: bool,
    /// Whether its key is marked: the last response was not to be stored.
    pub(crate) marked: bool,
    /// Whether a part is stored, but not all that the request asks for.
    pub(crate) partial: bool,
    /// Whether what is stored is fresh, but not what the request demands.
    pub(crate) demands: bool,
    pub(crate) resource: Resource,
    pub(crate) depth: u8,
    /// Whether it runs within a load or response that is recorded with this cache.
    pub(crate) within: bool,
    pub(crate) began: Instant,
}

impl<S, ReqBody> Miss<S, ReqBody> {
    /// The key that its load is shared under.
    fn load_key(&self) -> ResponseKey {
        match self.purpose {
            Purpose::Whole | Purpose::Head => ResponseKey::new(self.whole_key().as_slice()),
            Purpose::Part => ResponseKey::new(self.whole_key().of_part().as_slice()),
        }
    }

    fn whole_key(&self) -> &KeyBuf {
        let variant = self.selected.as_ref();
        variant.map_or(&self.key, |variant| &variant.key)
    }

    fn count(&self, reason: Reason, joined: bool) {
        respond::count(&self.cache, reason, joined, Some(self.began));
    }

    fn forward(&self) -> Forward {
        match self.reason {
            _ if self.demands => Forward::Request,
            _ if self.partial => Forward::Partial,
            Reason::Expired | Reason::Tag | Reason::Stale => Forward::Stale,
            _ if self.selected.is_some() => Forward::VaryMiss,
            _ => Forward::Miss,
        }
    }

    /// What it is told, where its layer is directed.
    pub(crate) fn directions(&self) -> Option<&Directions> {
        let directed = self.config.directed;
        Directions::of(&self.request).filter(|_| directed)
    }

    /// The tags of the request's path and URI, all known before the load.
    fn paths(&self) -> Result<Vec<TagName>, NotStorable> {
        let uri = client_uri(self.request.uri(), self.request.extensions());
        let mut tags = path_tags(uri.path(), matched_route(&self.request))?;
        tags.push(self.resource.tag());
        if let Some(directions) = self.directions() {
            tags.extend_from_slice(&directions.tags);
        }
        Ok(tags)
    }

    /// Looks for a part that is stored, and answers from it a request for what lies within it.
    pub(crate) fn within_part<B>(&mut self, demands: &Demands) -> Option<Response<CacheBody<B>>> {
        let key = self.whole_key().of_part();
        let (look, found) = respond::find::<Kept>(&self.cache, key.as_slice());
        let fresh = matches!(found, Found::Fresh(..));
        self.part = found.into_held();
        let held = self.part.as_ref().filter(|held| {
            let will_do = |stored| will_do(held, stored, Reason::Hit, demands, look.at());
            fresh && response_of(held).is_some_and(will_do)
        })?;
        let asked = Asked {
            head: false,
            conditions: Some(self.request.headers()),
            nested: self.depth > 0,
        };
        let response = reuse_part(&self.cache, held, asked, look.at());
        self.partial = response.is_none();
        if response.is_some() {
            self.count(Reason::Hit, false);
        }
        response
    }

    /// Looks for a beginning that is stored of the whole that is asked for: then the rest will do.
    pub(crate) fn find_beginning(&mut self) {
        let key = self.whole_key().of_part();
        let (_, found) = respond::find::<Kept>(&self.cache, key.as_slice());
        let is_beginning = |held: &Held<Kept>| {
            let piece = response_of(held).and_then(Piece::of);
            piece.is_some_and(|piece| piece.is_beginning())
        };
        self.part = found.into_held().filter(is_beginning);
        self.partial = self.part.is_some();
    }

    /// Goes on from another look, which may have found another variant. The arrival stays that of the
    /// first one: what was loaded since then will do.
    fn look_again(&mut self, look: Look) {
        (self.part, self.partial) = (None, false);
        self.selected = look.selected;
        self.found(look.found);
    }

    /// Takes what a look found.
    pub(crate) fn found(&mut self, found: Found<Kept>) {
        self.marked = matches!(found, Found::Unstorable(_));
        self.held = found.into_held();
        let stored = self.held.as_ref().and_then(response_of);
        self.queues = !self.marked && stored.is_none_or(|stored| stored.terms.shared);
    }

    /// Whether no response of its route was ever to be stored.
    fn never_stored(&self) -> bool {
        self.config.routes.never_store(Route::of(&self.request))
    }

    /// What of the second level will do for its load, where that is to be asked. `awaited`: a client waits.
    pub(crate) fn accepting(&self, awaited: bool) -> Option<Accepting> {
        match (self.demanding, awaited) {
            // No other node has what is none's to store; and parts and heads stay where they are.
            _ if self.purpose != Purpose::Whole || self.never_stored() => None,
            (true, _) => Some(Accepting::Nothing),
            (false, true) => Some(Accepting::Servable),
            (false, false) => Some(Accepting::Fresh),
        }
    }

    /// Finds a load to wait for, or lets it lead one.
    fn turn(&self, paths: &[TagName]) -> Turn<Kept> {
        let (cache, key) = (&self.cache, self.load_key());
        // What is stored does not do, so another is loaded beside it: a mark is no response either.
        if self.demands || self.marked || self.purpose != Purpose::Whole {
            return match respond::board_refresh(cache, &key, paths, true) {
                Some(lead) => Turn::Lead(lead),
                None => Turn::Alone,
            };
        }
        match respond::board::<Kept>(cache, &key, self.arrival, paths) {
            Turn::Join(_) if !self.queues || self.never_stored() => Turn::Alone,
            turn => turn,
        }
    }
}

/// What a caller does that another's load did not serve.
enum Otherwise {
    LookAgain,
    Alone(Refusal),
}

impl<S, ReqBody, ResBody> Miss<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Default + Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    /// Answers the request from a load: its own, or another's.
    pub(crate) async fn answer(mut self) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let part = self.purpose == Purpose::Part;
        let client = Client::of(&self.request, self.depth > 0, part);
        let paths = match self.paths() {
            Ok(paths) => paths,
            Err(why) => return self.alone(why.into()).await,
        };
        let until = respond::wait_until(&self.cache);
        for _ in 0..ROUNDS {
            let served = match self.turn(&paths) {
                Turn::Lead(lead) => {
                    let (to, from) = oneshot::channel();
                    let (cache, handled) = (self.cache.clone(), self.handled());
                    let (reason, began) = (self.reason, self.began);
                    let task = spawn(Load::new(lead, self, paths).run(Some(to)));
                    let led = from.await;
                    let reason = match &led {
                        Ok(Led::Promoted(held)) if held.is_stale() => Reason::Stale,
                        Ok(Led::Promoted(_)) => Reason::Remote,
                        _ => reason,
                    };
                    respond::count(&cache, reason, false, Some(began));
                    let led = match led {
                        Ok(led) => led,
                        // Only its own caller sees a handler's panic.
                        Err(_) => {
                            match task.await.map_err(tokio::task::JoinError::try_into_panic) {
                                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                                _ => panic!(
                                    "the runtime that ran a response's load was shut down while its caller waited"
                                ),
                            }
                        }
                    };
                    return finish(&cache, &client, handled, led);
                }
                Turn::Stored(held) => self.share(&client, &held, Reason::Hit),
                Turn::Alone => Err(Otherwise::Alone(Refusal::Alone)),
                Turn::Join(join) => match join.wait::<Kept>(&self.cache, until).await {
                    Joined::Done(held) => self.share(&client, &held, self.reason),
                    Joined::Head(head) => match head.downcast::<SharedHead<ResBody>>() {
                        Ok(head) => match self.accepts(&head) {
                            Ok(()) => return Ok(self.listen(&client, &head)),
                            Err(otherwise) => Err(otherwise),
                        },
                        // Of a service with another type of body.
                        Err(_) => Err(Otherwise::Alone(Refusal::Alone)),
                    },
                    Joined::Again => Err(Otherwise::LookAgain),
                    Joined::Refused => Err(Otherwise::Alone(self.why())),
                    Joined::Alone => self
                        .fallback(&client)
                        .ok_or(Otherwise::Alone(Refusal::Alone)),
                },
            };
            match served {
                Ok(response) => return Ok(response),
                Err(Otherwise::Alone(why)) => return self.alone(why).await,
                Err(Otherwise::LookAgain) => {
                    match look(&self.cache, &self.key, self.request.headers()) {
                        Ok(look) => self.look_again(look),
                        Err(refusal) => return self.alone(refusal).await,
                    }
                }
            }
        }
        self.alone(Refusal::Alone).await
    }

    fn handled(&self) -> Handled {
        Handled {
            stored: true,
            ..Handled::passed(self.forward(), self.reason.as_str())
        }
    }

    fn collapsed(&self) -> Handled {
        Handled {
            stored: false,
            collapsed: true,
            ..self.handled()
        }
    }

    /// What the load that this caller waited for said of its response.
    fn why(&self) -> Refusal {
        match respond::find::<Kept>(&self.cache, self.whole_key().as_slice()).1 {
            Found::Unstorable(code) => Refusal::from_code(code),
            _ => Refusal::Alone,
        }
    }

    /// Takes a stored response, if it is the one that this request selects.
    fn share(
        &self,
        client: &Client,
        held: &Held<Kept>,
        reason: Reason,
    ) -> Result<Response<CacheBody<ResBody>>, Otherwise> {
        let Some(stored) = response_of(held) else {
            return Err(Otherwise::LookAgain);
        };
        if !stored.is_selected_by(&self.key, self.request.headers()) {
            return Err(Otherwise::LookAgain);
        }
        if !stored.terms.shared {
            return Err(Otherwise::Alone(Refusal::NoCache));
        }
        let handled = (reason != Reason::Hit).then(|| self.collapsed());
        self.count(reason, reason != Reason::Hit);
        Ok(client.reuse(&self.cache, held, stored, handled))
    }

    /// Whether a response that is being recorded will do for this caller.
    fn accepts(&self, head: &SharedHead<ResBody>) -> Result<(), Otherwise> {
        if !head.is_selected_by(&self.key, self.request.headers()) {
            return Err(Otherwise::LookAgain);
        }
        // A body that trickles for longer than the response is fresh is no longer to be joined.
        if head.recording.is_broken() || self.cache.clock().now() >= head.fresh_until {
            return Err(Otherwise::Alone(Refusal::BodyFailed));
        }
        Ok(())
    }

    /// Streams a response that is being recorded for another.
    fn listen(self, client: &Client, head: &SharedHead<ResBody>) -> Response<CacheBody<ResBody>> {
        self.count(self.reason, true);
        let handled = self.collapsed();
        let (cache, scope) = (
            self.cache.clone(),
            passing(&self.cache, &self.request, false),
        );
        let (service, mut request) = (self.service, self.request);
        for_all(&mut request);
        head.scope.flow();
        let load: OwnLoad<ResBody> = Box::pin(async move {
            let response = Oneshot::new(service, request).await;
            response.map_err(|_| {
                BoxError::from(
                    "the service failed that a broken-off response was loaded from again",
                )
            })
        });
        let likeness = Likeness::of(head.parts.status, &head.parts.headers);
        let reader = head.recording.reader(Role::Joined {
            load,
            likeness,
            scope,
        });
        client.first(
            &cache,
            head.parts.clone(),
            CacheBody::recorded(reader),
            handled,
        )
    }

    /// The stale response, if it may be served now that the load it waited for failed.
    fn fallback(&self, client: &Client) -> Option<Response<CacheBody<ResBody>>> {
        let held = self.held.as_ref()?;
        let stored = response_of(held)?;
        if !may_stand_in(&self.cache, held, stored.is_cut_off()) {
            return None;
        }
        self.count(Reason::Stale, true);
        let handled = self.collapsed();
        Some(client.reuse(&self.cache, held, stored, Some(handled)))
    }

    /// Goes alone: served, not stored.
    async fn alone(self, why: Refusal) -> Result<Response<CacheBody<ResBody>>, S::Error> {
        let passed = Passed::new(
            &self.cache,
            &self.request,
            self.forward(),
            why.as_str(),
            false,
        );
        self.count(self.reason, false);
        let mut request = self.request;
        Depth::deepen(&mut request);
        passed.through(&self.config, self.service, request).await
    }
}

/// Loads anew in the background what was served stale.
pub(crate) fn refresh<S, ReqBody, ResBody>(mut miss: Miss<S, ReqBody>)
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    ReqBody: Default + Send + 'static,
    ResBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Ok(paths) = miss.paths() else { return };
    // Whatever the client asked for: no client waits for this.
    *miss.request.method_mut() = Method::GET;
    strip(miss.request.headers_mut(), &OF_ONE_CLIENT);
    if let Some(lead) = respond::board_refresh(&miss.cache, &miss.load_key(), &paths, false) {
        drop(spawn(Load::new(lead, miss, paths).run(None)));
    }
}

/// Starts a load as a task of its own, within the span of the request that it is made for.
fn spawn<F: Future<Output = ()> + Send + 'static>(load: F) -> tokio::task::JoinHandle<()> {
    #[cfg(feature = "tracing")]
    let load = tracing::Instrument::in_current_span(load);
    tokio::spawn(load)
}

/// The answer to the caller whose request was loaded.
fn finish<B, E>(
    cache: &Cache,
    client: &Client,
    mut handled: Handled,
    led: Led<B, E>,
) -> Result<Response<CacheBody<B>>, E> {
    match led {
        Led::Response {
            mut parts,
            body,
            outcome,
            answered,
            scope,
        } => {
            scope.flow();
            append_reads(&scope, &mut parts.headers);
            handled.answered = answered;
            if let Err(why) = outcome {
                handled.stored = false;
                handled.detail = why.as_str();
            }
            Ok(client.first(cache, parts, body, handled))
        }
        Led::Stale { held, answered } => {
            handled.stored = false;
            handled.answered = answered;
            match response_of(&held) {
                Some(stored) => Ok(client.reuse(cache, &held, stored, Some(handled))),
                None => unreachable!("only responses are held for the failure of their load"),
            }
        }
        Led::Promoted(held) => match response_of(&held) {
            Some(stored) => {
                let mut response = client.reuse(cache, &held, stored, None);
                if !held.is_stale() {
                    say_remote(response.headers_mut());
                }
                Ok(response)
            }
            None => unreachable!("only responses are promoted for a request"),
        },
        Led::Failed { error, scope } => {
            scope.flow();
            Err(error)
        }
    }
}
