//! What a load comes to: a response that is stored while it is streamed, one that is found current or
//! completed, one that is passed on, or a stale one in its place.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::respond::{self, Held, Recording as Lead, Scope};
use cache_core::spi::TagName;
use cache_core::{Cache, NotStorable, Reason};
use http::header::{AGE, COOKIE, DATE, ETAG, SET_COOKIE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;

use crate::ask::Purpose;
use crate::body::{BoxError, CacheBody};
use crate::freshness::{Judged, Manner, Rules, judge, states_lifetime};
use crate::key::KeyBuf;
use crate::layer::Config;
use crate::load::{Caller, Led, tell};
use crate::look::response_of;
use crate::piece::Piece;
use crate::policy::CachePolicy;
use crate::range::Part;
use crate::refusal::{Refusal, answers_the_client, concerns_one_cookie};
use crate::resource::Resource;
use crate::respond::StoredInside;
use crate::routes::Route;
use crate::stored::{Declared, Kept, Terms, Variant, clean};
use crate::storing::{Storing, passed_on};
use crate::validation::{head_confirms, update};
use crate::vary::VaryNames;

/// A load whose inner service has been asked.
pub(crate) struct Loaded {
    pub(crate) config: Arc<Config>,
    pub(crate) cache: Cache,
    pub(crate) lead: Lead,
    pub(crate) scope: Scope,
    pub(crate) key: KeyBuf,
    pub(crate) selected: Option<Box<Variant>>,
    pub(crate) held: Option<Held<Kept>>,
    /// A part that is stored, to be put together with another.
    pub(crate) part: Option<(Held<Kept>, Piece)>,
    pub(crate) purpose: Purpose,
    pub(crate) resource: Resource,
    pub(crate) paths: Vec<TagName>,
    /// The headers that the client sent.
    pub(crate) sent: HeaderMap,
    /// Whether it is for the caller alone that its `Authorization` names, unless it says otherwise.
    pub(crate) authorized: bool,
    pub(crate) own_tags: Result<Vec<TagName>, NotStorable>,
    pub(crate) route: Route,
    /// What the handler said before of what is validated.
    pub(crate) declared: Declared,
    pub(crate) within: bool,
}

impl Loaded {
    /// Keeps a failing service from being asked again at every stale hit.
    pub(crate) fn refresh_failed(&self, cut_off: bool) {
        if let Some(stored) = self.held.as_ref().and_then(response_of) {
            stored.refresh_failed(self.cache.clock().now(), cut_off);
        }
    }

    /// The stored response, if it may be served now that its load failed.
    fn instead(&self, cut_off: bool) -> Option<Held<Kept>> {
        let held = self.held.as_ref()?;
        may_stand_in(&self.cache, held, cut_off).then(|| held.clone())
    }

    /// The inner service failed.
    pub(crate) fn failed<B, E>(self, error: E, caller: Caller<B, E>) {
        self.refresh_failed(true);
        let led = match self.instead(true) {
            Some(held) => Led::Stale {
                held,
                answered: None,
            },
            None => Led::Failed {
                error,
                scope: self.scope,
            },
        };
        self.lead.refuse(NotStorable::Error);
        tell(caller, led);
    }

    /// What is stored is current: it is kept anew, with what the answer says of it.
    pub(crate) fn confirmed<B, E>(mut self, mut parts: Parts, caller: Caller<B, E>) {
        let Some((held, stored)) = self
            .held
            .take()
            .and_then(|held| Some((held.clone(), response_of(&held)?.copy())))
        else {
            unreachable!("only what is stored is asked for by its validators")
        };
        let answered = parts.status;
        clean(&mut parts.headers);
        // Its client's, where no lifetime is stated beside it (RFC 9111, section 7.3).
        let own_cookie = parts.headers.contains_key(SET_COOKIE)
            && !states_lifetime(&parts.headers, &self.config.targets);
        let names_etag = parts.headers.contains_key(ETAG);
        let mut headers = stored.headers;
        update(&mut headers, &parts.headers);
        parts.headers = headers;
        parts.status = stored.status;
        self.date(&mut parts);
        self.scope.inherit(&held);
        self.declared = stored.declared;
        self.learn(&parts);
        let (body, own_etag) = (stored.body, stored.own_etag && !names_etag);
        let scope = self.scope.clone();
        let outcome = match self.judge(&parts, body.len() as u64) {
            Ok((mut judged, variant)) => {
                if own_cookie {
                    judged.omitted.push(SET_COOKIE);
                }
                let age = HeaderValue::from(judged.initial_age.as_secs());
                let mut storing = self.storing(judged, variant);
                storing.terms.own_etag = own_etag;
                let outcome = storing.whole(&mut parts, body.clone());
                parts.headers.insert(AGE, age);
                outcome
            }
            Err(refusal) => {
                self.lead.refuse(NotStorable::Response);
                Err(refusal)
            }
        };
        tell(
            caller,
            Led::Response {
                parts,
                body: CacheBody::whole(body),
                outcome,
                answered: Some(answered),
                scope,
            },
        );
    }

    /// The inner service gave what follows the beginning that is stored.
    pub(crate) async fn completed<B, E>(mut self, response: Response<B>, caller: Caller<B, E>)
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (mut parts, body) = response.into_parts();
        let Some(beginning) = self.beside(&parts) else {
            unreachable!("only the rest of what is stored is asked for")
        };
        let answered = Some(parts.status);
        parts.headers = beginning.headers_of_whole();
        parts.status = StatusCode::OK;
        let beginning = beginning.body;
        self.date(&mut parts);
        self.learn(&parts);
        let length = body.size_hint().lower();
        let length = length.saturating_add(beginning.len() as u64);
        let verdict = self.judge(&parts, length);
        // What else was said of the 206 is not true of the whole, such as its reason phrase.
        parts.extensions.clear();
        let (scope, body) = (self.scope.clone(), Box::pin(body));
        match verdict {
            Ok((judged, variant)) => {
                let mut storing = self.storing(judged, variant);
                storing.beginning = beginning;
                storing.answered = answered;
                storing.take(parts, body, scope, caller).await;
            }
            Err(refusal) => {
                let body = passed_on(&self.cache, beginning, body, scope);
                self.refused(parts, body, refusal, answered, caller);
            }
        }
    }

    /// The inner service gave a response of its own.
    pub(crate) async fn answered<B, E>(mut self, response: Response<B>, caller: Caller<B, E>)
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (mut parts, body) = response.into_parts();
        let status = parts.status;
        if is_error(status)
            && let Some(held) = self.instead(is_cut_off(status))
        {
            self.refresh_failed(is_cut_off(status));
            self.lead.refuse(NotStorable::Error);
            let answered = Some(status);
            return tell(caller, Led::Stale { held, answered });
        }
        if self.purpose == Purpose::Head {
            match self.head_confirms(&parts) {
                Some(true) => return self.confirmed(parts, caller),
                Some(false) => respond::invalidate(&self.cache, &[self.resource.tag()]),
                None => {}
            }
            let body = self.inner(body);
            return self.refused(parts, body, Refusal::Head, None, caller);
        }
        self.date(&mut parts);
        self.learn(&parts);
        let length = body.size_hint().lower();
        let beside = self.beside(&parts);
        let verdict = match &beside {
            Some(piece) => {
                let mut joined = parts.clone();
                joined.headers.clone_from(&piece.headers);
                self.judge(&joined, length)
            }
            None => self.judge(&parts, length),
        };
        if verdict.is_ok() || status.is_success() {
            self.config.routes.note(self.route, verdict.is_ok());
        }
        match verdict {
            Ok((judged, variant)) => {
                let scope = self.scope.clone();
                let mut storing = self.storing(judged, variant);
                storing.beside = beside;
                storing.take(parts, Box::pin(body), scope, caller).await;
            }
            Err(refusal) => {
                let body = self.inner(body);
                self.refused(parts, body, refusal, None, caller);
            }
        }
    }

    /// The part that is stored of the response of which this is one.
    fn beside(&self, parts: &Parts) -> Option<Piece> {
        let (held, piece) = self.part.as_ref()?;
        if parts.status != StatusCode::PARTIAL_CONTENT {
            return None;
        }
        let piece = piece.updated_by(&parts.headers)?;
        self.scope.inherit(held);
        Some(piece)
    }

    /// What the answer to a HEAD says of what is stored.
    fn head_confirms(&self, parts: &Parts) -> Option<bool> {
        let stored = self.held.as_ref().and_then(response_of)?;
        if parts.status != StatusCode::OK || stored.validators().is_none() {
            return None;
        }
        head_confirms(&parts.headers, &stored.copy().headers, stored.body.len())
    }

    /// Passes on a response that is not stored.
    fn refused<B, E>(
        self,
        parts: Parts,
        body: CacheBody<B>,
        refusal: Refusal,
        answered: Option<StatusCode>,
        caller: Caller<B, E>,
    ) {
        let cookie = self.sent.contains_key(COOKIE);
        let of_one_client = answers_the_client(parts.status)
            // Directed, a policy may be refused by what the client sent: others still have what is stored.
            || self.config.directed && refusal == Refusal::Policy && self.held.is_some()
            || self.config.is_shared_by_cookies() && concerns_one_cookie(refusal, cookie);
        // What is stored is as good as it was where this says nothing of it.
        if of_one_client || (is_error(parts.status) && self.held.is_some()) {
            self.refresh_failed(false);
            self.lead.refuse(NotStorable::Response);
        } else {
            refuse(self.lead, self.purpose, refusal, &self.paths);
        }
        tell(
            caller,
            Led::Response {
                parts,
                body,
                outcome: Err(refusal),
                answered,
                scope: self.scope,
            },
        );
    }

    /// The body of a response that is passed on as it is.
    fn inner<B>(&self, body: B) -> CacheBody<B> {
        CacheBody::inner(body, Some(self.scope.clone()).filter(|_| !self.within))
    }

    /// Says when a response came that does not say when it was made (RFC 9110, section 6.6.1).
    fn date(&self, parts: &mut Parts) {
        if self.config.manner == Manner::SharedProxy && !parts.headers.contains_key(DATE) {
            let now = httpdate::fmt_http_date(self.cache.clock().system_time());
            if let Ok(now) = HeaderValue::try_from(now) {
                parts.headers.insert(DATE, now);
            }
        }
    }

    /// Takes in what the handler declares, and gives the response the tags that the layer, its head and
    /// its policy name.
    fn learn(&mut self, parts: &Parts) {
        let said = self.scope.said().life;
        self.declared.life = said.or(self.declared.life);
        let own = std::mem::replace(&mut self.own_tags, Ok(Vec::new()));
        self.scope.tag(own);
        self.scope.tag(self.resource.groups(&parts.headers));
        let said = self.declared.policy.as_ref();
        if let Some(policy) = parts.extensions.get::<CachePolicy>()
            && policy.stands_above(said)
        {
            let texts = policy.tag_texts().iter();
            self.scope
                .tag(texts.map(|tag| TagName::user(tag)).collect());
            self.declared.policy = Some(policy.clone());
        }
    }

    /// Whether the response may be stored, and as which variant. `length`: of its body, at least.
    fn judge(&self, parts: &Parts, length: u64) -> Result<(Judged, Option<Variant>), Refusal> {
        if parts
            .extensions
            .get::<StoredInside>()
            .is_some_and(|inside| respond::same_cache(&inside.0, &self.cache))
        {
            return Err(Refusal::StoredInside);
        }
        let said = self.lead.scope().said();
        let judged = judge(
            parts.status,
            &parts.headers,
            &Rules {
                manner: self.config.manner,
                targets: &self.config.targets,
                policy: self.declared.policy.as_ref(),
                said: self.declared.life,
                layer: self.config.life,
                default_life: respond::default_life(&self.cache),
                authorized: self.authorized,
                part: self.purpose == Purpose::Part
                    && parts.status == StatusCode::PARTIAL_CONTENT
                    && Part::of(&parts.headers).is_some(),
                received: self.cache.clock().system_time(),
                took: self.cache.clock().now().since(self.lead.began()),
            },
        )?;
        if let Some(why) = said.refusal {
            return Err(why.into());
        }
        if length > self.config.max_body_bytes as u64 {
            return Err(Refusal::TooLarge);
        }
        let mut names = VaryNames::of(&parts.headers)?;
        if said.by_caller && !self.declared.says_for_whom(&names) {
            return Err(Refusal::CallerKey);
        }
        if let Some(known) = &self.selected {
            names = names.with(&known.names)?;
        }
        let variant = match names.is_empty() {
            true => None,
            false => Some(Variant {
                key: names.select(&self.key, &self.sent)?,
                names,
            }),
        };
        Ok((judged, variant))
    }

    fn storing(self, judged: Judged, variant: Option<Variant>) -> Storing {
        Storing {
            terms: Terms {
                own_etag: false,
                own_control: judged.client_unsaid,
                shared: judged.shared,
                strict: judged.strict,
                while_cut_off: judged.while_cut_off,
                part: None,
            },
            declared: self.declared,
            signs: self.config.manner == Manner::Application,
            limit: self.config.max_body_bytes,
            lead: self.lead,
            cache: self.cache,
            judged,
            key: self.key,
            names_learned: variant.as_ref().map(|variant| &variant.names)
                != self.selected.as_ref().map(|known| &known.names),
            variant,
            purpose: self.purpose,
            beginning: Bytes::new(),
            beside: None,
            answered: None,
            paths: self.paths,
        }
    }
}

/// Whether a status is what RFC 5861, section 4, calls an error.
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether it says that something on the way cannot reach the origin.
fn is_cut_off(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 504)
}

/// Whether a stored response may be served now that its load failed; `cut_off`: since the origin
/// cannot be reached.
pub(crate) fn may_stand_in(cache: &Cache, held: &Held<Kept>, cut_off: bool) -> bool {
    response_of(held).is_some_and(|stored| {
        // What was invalidated, or may have been by another node, is served stale only where a window of its own
        // allows it.
        let while_cut_off = || {
            held.stale_for(cache).is_some_and(|(stale_for, why)| {
                !matches!(why, Reason::Tag | Reason::Unproven)
                    && stale_for < stored.terms.while_cut_off
            })
        };
        held.usable_on_error(cache) || (cut_off && while_cut_off())
    })
}

/// Ends a load whose response is not stored, and keeps those who come next from queueing: a mark takes
/// the place of what was stored, as the response does.
pub(crate) fn refuse(lead: Lead, purpose: Purpose, refusal: Refusal, paths: &[TagName]) {
    let mark = refusal.mark_for().filter(|_| purpose == Purpose::Whole);
    match (mark, refusal) {
        (Some(lasting), _) => lead.refuse_and_mark(refusal.code(), paths, lasting),
        (None, Refusal::Engine(why)) => lead.refuse(why),
        (None, Refusal::BodyFailed) => lead.refuse(NotStorable::Error),
        (None, _) => lead.refuse(NotStorable::Response),
    }
}
