//! A cache around `http-cache-semantics`, which decides everything in it.
//!
//! Three things are put into its words, so that it can be asked at all: a HEAD is asked as the GET that
//! it stands for, what a request demands is left out where the layer does not obey it, and an `Age` says
//! what `Date` says of a response's age, which it does not look at.

use std::time::SystemTime;

use http::header::{AGE, CACHE_CONTROL, DATE, PRAGMA, VARY};
use http::{HeaderMap, Request, Response, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};

use super::grammar::Exchange;
use super::http_support::Rig;
use super::{Answered, Content, Outcome};

/// A cache of one response.
pub(crate) struct Other {
    obeys: bool,
    kept: Option<(CachePolicy, Said)>,
    last: Option<Said>,
    /// Whether the last request selects what is kept.
    matches: bool,
    /// Whether something else than what it selects was kept, which is not remembered.
    pub(crate) varied: bool,
}

/// A response with the request that it answered.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) request: HeaderMap,
    pub(crate) status: u16,
    pub(crate) response: HeaderMap,
}

impl Other {
    pub(crate) const fn new(obeys: bool) -> Self {
        Self {
            obeys,
            kept: None,
            last: None,
            matches: false,
            varied: false,
        }
    }

    /// What is kept.
    pub(crate) fn kept(&self) -> Option<Said> {
        self.kept.as_ref().map(|(_, said)| said.clone())
    }

    /// What was said last, whether it is kept or not.
    pub(crate) fn last(&self) -> Option<Said> {
        self.last.clone()
    }

    /// What is to be done with a request.
    pub(crate) fn ask(&mut self, rig: &Rig, exchange: &Exchange) -> Outcome {
        let request = self.request(rig, exchange);
        let Some((policy, _)) = &self.kept else {
            self.matches = false;
            return Outcome::asked(request.headers());
        };
        match policy.before_request(&request, rig.now()) {
            BeforeRequest::Fresh(parts) => {
                let age = parts.headers.get(AGE).and_then(|age| age.to_str().ok());
                Outcome::Reused {
                    age: age.unwrap_or_default().to_owned(),
                    content: Content::of(&parts.headers),
                }
            }
            BeforeRequest::Stale { request, matches } => {
                self.matches = matches;
                self.varied = !matches;
                Outcome::asked(&request.headers)
            }
        }
    }

    /// What becomes of the origin's answer.
    pub(crate) fn answer(&mut self, rig: &Rig, exchange: &Exchange, status: u16) -> Answered {
        let mut said = Said {
            request: rig.headers(&exchange.request),
            status,
            response: rig.headers(&exchange.response),
        };
        let request = self.request(rig, exchange);
        if self.matches
            && status == 304
            && let Some((policy, stored)) = &self.kept
        {
            let answer = response(&said, rig.now());
            let AfterResponse::NotModified(_, parts) =
                policy.after_response(&request, &answer, rig.now())
            else {
                return Answered::AskedAgain;
            };
            let (status, content) = (stored.status, Content::of(&parts.headers));
            said = said.updating(stored);
            return Answered::Validated(status, content, self.keep(rig, &request, said));
        }
        Answered::With(status, self.keep(rig, &request, said))
    }

    fn keep(&mut self, rig: &Rig, request: &Request<()>, said: Said) -> bool {
        let now = rig.now();
        let options = CacheOptions::default();
        let policy = CachePolicy::new_options(request, &response(&said, now), now, options);
        // What is of no use does not take the place of what is.
        let has = |name: &str| said.response.contains_key(name);
        let of_use = has("etag") || has("last-modified") || !policy.is_stale(now);
        let varies = said.response.get_all(VARY).iter();
        let by_all = varies.flat_map(|line| line.as_bytes()).any(|&b| b == b'*');
        let kept = policy.is_storable() && of_use && !by_all;
        if kept {
            self.kept = Some((policy, said.clone()));
        }
        self.last = Some(said);
        kept
    }

    fn request(&self, rig: &Rig, exchange: &Exchange) -> Request<()> {
        let mut request = Request::new(());
        *request.headers_mut() = rig.headers(&exchange.request);
        if !self.obeys {
            request.headers_mut().remove(CACHE_CONTROL);
            request.headers_mut().remove(PRAGMA);
        }
        request
    }
}

impl Said {
    /// A stored response, updated by this one (RFC 9111, section 3.2). When it was made and its age are
    /// the answer's.
    fn updating(self, stored: &Self) -> Self {
        let mut response = stored.response.clone();
        response.remove(DATE);
        response.remove(AGE);
        for name in self.response.keys() {
            if name == "content-encoding" {
                continue;
            }
            response.remove(name);
            for value in self.response.get_all(name) {
                response.append(name, value.clone());
            }
        }
        Self {
            request: self.request,
            status: stored.status,
            response,
        }
    }
}

fn response(said: &Said, now: SystemTime) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(said.status).unwrap();
    *response.headers_mut() = said.response.clone();
    let text = |name| {
        said.response
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let date = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let apparent = date.and_then(|date| now.duration_since(date).ok());
    let stated = text(AGE).and_then(|age| age.parse().ok());
    if let Some(apparent) = apparent {
        let age = apparent.as_secs().max(stated.unwrap_or(0));
        response.headers_mut().insert(AGE, age.into());
    }
    response
}
