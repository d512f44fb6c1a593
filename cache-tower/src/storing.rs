//! Taking a storable response's body: at once where it is all there, else as a recording that its
//! client and joiners stream from; then storing the response, or refusing it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use cache_core::respond::{self, Recording as Lead, ResponseKey, Scope};
use cache_core::spi::TagName;
use cache_core::{Cache, Life};
use http::header::{CONTENT_LENGTH, ETAG};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};

use crate::ask::Purpose;
use crate::body::{BoxError, CacheBody};
use crate::conditional::entity_tag;
use crate::freshness::Judged;
use crate::key::KeyBuf;
use crate::load::{Caller, Led, SharedHead, UNAWAITED, tell};
use crate::loaded::refuse;
use crate::piece::Piece;
use crate::policy::CachePolicy;
use crate::range::Part;
use crate::reader::Role;
use crate::recording::{Chunks, Recording};
use crate::refusal::Refusal;
use crate::respond::tell_client;
use crate::stored::{Declared, Kept, Stored, Terms, Variant, clean, strip};
use crate::vary::VaryNames;

/// For how long the names are kept that responses vary by.
const INDEX_LIFE: Life = Life::from_secs(30 * 24 * 3600);
/// How many frames are taken without a pause for other tasks.
const BURST: usize = 64;

/// A response found storable, and all that its storing needs.
pub(crate) struct Storing {
    pub(crate) lead: Lead,
    pub(crate) cache: Cache,
    pub(crate) judged: Judged,
    pub(crate) terms: Terms,
    pub(crate) declared: Declared,
    /// Whether the layer gives it an `ETag` where it has none.
    pub(crate) signs: bool,
    pub(crate) purpose: Purpose,
    pub(crate) key: KeyBuf,
    pub(crate) variant: Option<Variant>,
    /// Whether the names that it varies by were not known before.
    pub(crate) names_learned: bool,
    /// What is stored already, where the body is the rest.
    pub(crate) beginning: Bytes,
    /// A stored part of the response of which this is one.
    pub(crate) beside: Option<Piece>,
    /// What the inner service answered, where this is not it.
    pub(crate) answered: Option<StatusCode>,
    pub(crate) paths: Vec<TagName>,
    pub(crate) limit: usize,
}

/// How taking a body went on.
enum Taken {
    Whole(Option<HeaderMap>),
    Pending,
    Refused(Refusal),
    Failed(BoxError),
}

impl Storing {
    /// Takes the body: at once if it is all there, else while it is streamed to those who listen.
    pub(crate) async fn take<B, E>(
        self,
        mut parts: Parts,
        mut body: Pin<Box<B>>,
        scope: Scope,
        caller: Caller<B, E>,
    ) where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut chunks = Chunks::new(respond::reserve(&self.cache));
        let taken = match chunks.add(self.beginning.clone(), self.limit) {
            Ok(()) => frames_at_hand(&mut chunks, &mut body, &scope, self.limit).await,
            Err(refusal) => Taken::Refused(refusal),
        };

        let hint = match body.size_hint().exact() {
            Some(rest) => http_body::SizeHint::with_exact(rest.saturating_add(chunks.length())),
            None => http_body::SizeHint::default(),
        };
        let answered = self.answered;
        let (recording, refusal) = match taken {
            Taken::Whole(None) => {
                let whole = chunks.whole();
                let outcome = self.whole(&mut parts, whole.clone());
                let body = CacheBody::whole(whole);
                return tell(
                    caller,
                    Led::Response {
                        parts,
                        body,
                        outcome,
                        answered,
                        scope,
                    },
                );
            }
            Taken::Pending => {
                let recording = Recording::new(hint, chunks, scope.clone());
                self.dress(&mut parts);
                return self.stream(parts, body, recording, scope, caller).await;
            }
            Taken::Whole(trailers) => {
                let recording = Recording::new(hint, chunks, scope.clone());
                recording.finish(trailers);
                (recording, Refusal::Trailers)
            }
            Taken::Refused(refusal) => {
                let recording = Recording::new(hint, chunks, scope.clone());
                recording.hand_over(body);
                (recording, refusal)
            }
            Taken::Failed(error) => {
                let recording = Recording::new(hint, chunks, scope.clone());
                recording.fail(error);
                (recording, Refusal::BodyFailed)
            }
        };
        refuse(self.lead, self.purpose, refusal, &self.paths);
        let body = CacheBody::recorded(recording.reader(Role::First(scope.clone())));
        tell(
            caller,
            Led::Response {
                parts,
                body,
                outcome: Err(refusal),
                answered,
                scope,
            },
        );
    }

    /// Stores a response whose body is all there; its client gets it as it is stored, or else as it
    /// was said.
    pub(crate) fn whole(mut self, parts: &mut Parts, body: Bytes) -> Result<(), Refusal> {
        self.sign(parts.status, &mut parts.headers, &body);
        let said = parts.clone();
        self.dress(parts);
        let outcome = self.store(parts, body);
        if outcome.is_err() {
            *parts = said;
        }
        outcome
    }

    /// Gives it the layer's own `ETag`, where the handler set none.
    fn sign(&mut self, status: StatusCode, headers: &mut HeaderMap, body: &[u8]) {
        if self.signs && status == StatusCode::OK && !headers.contains_key(ETAG) {
            headers.insert(ETAG, entity_tag(body, headers));
            self.terms.own_etag = true;
        }
    }

    /// Makes of the handler's head the one that is stored. What is not stored goes on as it was said,
    /// for a layer further out to judge.
    fn dress(&self, parts: &mut Parts) {
        parts.extensions.remove::<CachePolicy>();
        clean(&mut parts.headers);
        if self.judged.client_unsaid {
            tell_client(&mut parts.headers, self.judged.life.as_ref());
        }
    }

    /// Gives the head to those who wait, and reads the body for them and for the store.
    async fn stream<B, E>(
        mut self,
        parts: Parts,
        mut body: Pin<Box<B>>,
        recording: Arc<Recording<B>>,
        scope: Scope,
        caller: Caller<B, E>,
    ) where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let first = CacheBody::recorded(recording.reader(Role::First(scope.clone())));
        let mut shared = parts.clone();
        strip(&mut shared.headers, &self.judged.omitted);
        self.lead.share_head(Arc::new(SharedHead {
            parts: shared,
            recording: Arc::clone(&recording),
            fresh_until: match &self.judged.life {
                Some(life) => self.lead.began().plus(life.ttl()),
                None => scope
                    .said()
                    .fresh_until
                    .unwrap_or_else(|| self.lead.began().plus(Life::WEEK.ttl())),
            },
            variant: self.variant.clone(),
            scope: scope.clone(),
        }));
        let status = parts.status;
        let mut headers = parts.headers.clone();
        tell(
            caller,
            Led::Response {
                parts,
                body: first,
                outcome: Ok(()),
                answered: self.answered,
                scope: scope.clone(),
            },
        );

        let broken_off = BreakOff(&recording);
        let clock = self.cache.clock();
        let mut burst = 0;
        let refusal = loop {
            match heard_frame(&mut body, &scope, &recording, &clock).await {
                None => break Refusal::BodyFailed,
                Some(None) => {
                    let whole = recording.whole();
                    self.sign(status, &mut headers, &whole);
                    let (mut parts, ()) = Response::new(()).into_parts();
                    parts.status = status;
                    parts.headers = headers;
                    // Stored first: who has read to the end finds it when it asks again.
                    let _ = self.store(&parts, whole);
                    recording.finish(None);
                    return;
                }
                Some(Some(Err(error))) => {
                    recording.fail(error.into());
                    break Refusal::BodyFailed;
                }
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if let Err(refusal) = recording.add(data, self.limit) {
                            recording.hand_over(body);
                            break refusal;
                        }
                    }
                    Err(frame) => {
                        recording.finish(frame.into_trailers().ok());
                        break Refusal::Trailers;
                    }
                },
            }
            burst += 1;
            if burst % BURST == 0 {
                tokio::task::yield_now().await;
            }
        };
        drop(broken_off);
        refuse(self.lead, self.purpose, refusal, &self.paths);
    }

    /// Stores the response.
    fn store(self, parts: &Parts, body: Bytes) -> Result<(), Refusal> {
        // Less or more than was announced is not the response (RFC 9111, section 3.3).
        let announced = parts.headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
        let part = match parts.status {
            StatusCode::PARTIAL_CONTENT => Part::of(&parts.headers),
            _ => None,
        };
        if announced.is_some_and(|length| length != body.len().to_string().as_bytes())
            || part.is_some_and(|part| part.length() != body.len() as u64)
        {
            refuse(self.lead, self.purpose, Refusal::BodyFailed, &self.paths);
            return Err(Refusal::BodyFailed);
        }
        // What its body called is known only now.
        if self.lead.scope().said().by_caller
            && !VaryNames::of(&parts.headers).is_ok_and(|names| self.declared.says_for_whom(&names))
        {
            refuse(self.lead, self.purpose, Refusal::CallerKey, &self.paths);
            return Err(Refusal::CallerKey);
        }
        let (mut headers, body, part) = self
            .joined(part.as_ref(), &body)
            .unwrap_or_else(|| (parts.headers.clone(), body, part));
        let status = match (parts.status, part) {
            (StatusCode::PARTIAL_CONTENT, None) => StatusCode::OK,
            (status, _) => status,
        };
        let under = self.place(status);
        let Self {
            mut lead,
            cache,
            judged,
            mut terms,
            declared,
            key,
            variant,
            names_learned,
            ..
        } = self;
        if let Some(variant) = &variant {
            let names = variant.names.clone();
            let weight = names.weight();
            let index = ResponseKey::new(key.as_slice());
            let names = (Kept::Variants(names), weight);
            // Those that were known other nodes have, or find out for themselves.
            let told = Some(&lead).filter(|_| names_learned);
            respond::put(&cache, &index, names, INDEX_LIFE, &[], told);
        }
        terms.part = part;
        strip(&mut headers, &judged.omitted);
        let times = (lead.began(), judged.initial_age);
        let stored = Stored::new(status, &headers, body, times, variant, (terms, declared));
        let weight = stored.weight();
        if judged.as_inside {
            lead.live_as_inside();
        }
        let life = (judged.life, judged.kept_stale);
        let (_, kept) = lead.store(Kept::Response(stored), weight, life, under.as_ref());
        kept.map_err(Refusal::from)
    }

    /// What a part comes to with the one beside it: a larger part, or the whole.
    fn joined(&self, part: Option<&Part>, body: &[u8]) -> Option<(HeaderMap, Bytes, Option<Part>)> {
        let joined = self.beside.as_ref()?.joined(part?, body);
        joined.filter(|(_, body, _)| body.len() <= self.limit)
    }

    /// The key to store it under, where that is not the one that it was loaded under.
    fn place(&self, status: StatusCode) -> Option<ResponseKey> {
        let whole = self
            .variant
            .as_ref()
            .map_or(&self.key, |variant| &variant.key);
        match (self.purpose, status) {
            (Purpose::Part, StatusCode::PARTIAL_CONTENT) => {
                Some(ResponseKey::new(whole.of_part().as_slice()))
            }
            (Purpose::Part, _) => Some(ResponseKey::new(whole.as_slice())),
            (Purpose::Whole | Purpose::Head, _) => self
                .variant
                .is_some()
                .then(|| ResponseKey::new(whole.as_slice())),
        }
    }
}

/// Takes what there is of a body without waiting for more.
async fn frames_at_hand<B>(
    chunks: &mut Chunks,
    body: &mut Pin<Box<B>>,
    scope: &Scope,
    limit: usize,
) -> Taken
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut frames = 0;
    poll_fn(|cx| {
        Poll::Ready(loop {
            frames += 1;
            if frames > BURST {
                break Taken::Pending;
            }
            match scope.run(|| body.as_mut().poll_frame(cx)) {
                Poll::Pending => break Taken::Pending,
                Poll::Ready(None) => break Taken::Whole(None),
                Poll::Ready(Some(Err(error))) => break Taken::Failed(error.into()),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if let Err(refusal) = chunks.add(data, limit) {
                            break Taken::Refused(refusal);
                        }
                        if body.is_end_stream() {
                            break Taken::Whole(None);
                        }
                    }
                    Err(frame) => break Taken::Whole(frame.into_trailers().ok()),
                },
            }
        })
    })
    .await
}

/// A body that is not stored, after what is stored of its beginning.
pub(crate) fn passed_on<B>(
    cache: &Cache,
    beginning: Bytes,
    rest: Pin<Box<B>>,
    scope: Scope,
) -> CacheBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut chunks = Chunks::new(respond::reserve(cache));
    // It is in memory anyway.
    let _ = chunks.add(beginning, usize::MAX);
    let recording = Recording::new(http_body::SizeHint::default(), chunks, scope.clone());
    recording.hand_over(rest);
    CacheBody::recorded(recording.reader(Role::First(scope)))
}

/// The next frame, while anybody listens or has lately; `None` when it is given up.
async fn heard_frame<B: Body>(
    body: &mut Pin<Box<B>>,
    scope: &Scope,
    recording: &Recording<B>,
    clock: &cache_core::Clock,
) -> Option<Option<Result<Frame<B::Data>, B::Error>>> {
    let mut unheard = pin!(None);
    poll_fn(|cx| {
        if let Poll::Ready(frame) = scope.run(|| body.as_mut().poll_frame(cx)) {
            return Poll::Ready(Some(frame));
        }
        if recording.is_heard(cx.waker()) {
            unheard.set(None);
            return Poll::Pending;
        }
        if unheard.is_none() {
            unheard.set(Some(clock.sleep(UNAWAITED)));
        }
        match unheard.as_mut().as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// Tells readers when the recording ends without an end: its task was dropped, or the body panicked.
struct BreakOff<'r, B>(&'r Recording<B>);

impl<B> Drop for BreakOff<'_, B> {
    fn drop(&mut self) {
        self.0
            .fail("the response was given up while it was recorded".into());
    }
}
