//! Which requests are looked up, and how they are to be answered: what of their headers matters is seen
//! in one pass over them.

use cache_core::respond;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body::Body;

use crate::freshness::Manner;
use crate::key::{
    KeyBuf, Odd, Realm, are_plain, client_uri, is_ambiguous, odd, write_asked_in_front,
    write_directed, write_key, write_rewritten,
};
use crate::layer::Config;
use crate::policy::{Bypass, Cookies};
use crate::refusal::Refusal;
use crate::respond::Asked;
use crate::spi::Directions;

/// How many layers of caching a request is within, so that their keys do not meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth(pub(crate) u8);

impl Depth {
    /// How deep a request is.
    pub(crate) fn of<B>(request: &Request<B>) -> u8 {
        request
            .extensions()
            .get::<Self>()
            .map_or(0, |depth| depth.0)
    }

    /// Notes that the request goes through one layer more.
    pub(crate) fn deepen<B>(request: &mut Request<B>) {
        let depth = Self::of(request);
        request
            .extensions_mut()
            .insert(Self(depth.saturating_add(1)));
    }
}

/// What of a request's headers matters here, seen in one pass over them.
#[derive(Clone, Copy, Debug, Default)]
struct Seen<'r> {
    host: Option<&'r HeaderValue>,
    authorized: bool,
    conditional: bool,
    range: bool,
    asked_in_front: bool,
    cookie: bool,
    refusal: Option<Refusal>,
}

impl<'r> Seen<'r> {
    #[inline]
    fn of(headers: &'r HeaderMap) -> Self {
        let mut seen = Self::default();
        for (name, value) in headers {
            if *name == HOST {
                // Which of several the handler believes cannot be known.
                if seen.host.replace(value).is_some() {
                    seen.refusal = Some(Refusal::Host);
                }
            } else if *name == COOKIE {
                seen.cookie = true;
            } else if *name == IF_NONE_MATCH || *name == IF_MODIFIED_SINCE {
                seen.conditional = true;
            } else if *name == AUTHORIZATION {
                seen.authorized = true;
            } else if *name == IF_MATCH || *name == IF_UNMODIFIED_SINCE {
                seen.refusal = Some(Refusal::Precondition);
            } else if *name == RANGE {
                seen.range = true;
            } else if (*name == CONTENT_LENGTH && value != "0") || *name == TRANSFER_ENCODING {
                seen.refusal = Some(Refusal::RequestBody);
            } else {
                match odd(name) {
                    Odd::Other => {}
                    Odd::Asked => seen.asked_in_front = true,
                    Odd::Method => seen.refusal = Some(Refusal::MethodOverride),
                }
            }
        }
        seen
    }
}

/// What is to be looked for, and how it is to be answered.
#[derive(Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) head: bool,
    /// Whether it has conditions or a range.
    pub(crate) conditional: bool,
    /// Whether it asks for a part.
    pub(crate) range: bool,
    /// Whether it is directed past what is stored.
    pub(crate) anew: bool,
}

impl Admitted {
    #[inline]
    pub(crate) fn asked<'r, B>(&self, request: &'r Request<B>, depth: u8) -> Asked<'r> {
        Asked {
            head: self.head,
            conditions: self.conditional.then(|| request.headers()),
            nested: depth > 0,
        }
    }
}

impl Config {
    /// Writes the key to look a request up under, or says why it passes by.
    #[inline]
    pub(crate) fn admit<B: Body>(
        &self,
        request: &Request<B>,
        depth: u8,
        key: &mut KeyBuf,
    ) -> Result<Admitted, Refusal> {
        let extensions = request.extensions();
        if extensions.get::<Bypass>().is_some() || respond::bypassed() {
            return Err(Refusal::Bypass);
        }
        let head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(Refusal::Method),
        };
        let headers = request.headers();
        let seen = Seen::of(headers);
        if let Some(refusal) = seen.refusal {
            return Err(refusal);
        }
        // A frame of HTTP/2 is announced by no header.
        if !request.body().is_end_stream() {
            return Err(Refusal::RequestBody);
        }
        let uri = client_uri(request.uri(), extensions);
        if is_ambiguous(uri, seen.host) {
            return Err(Refusal::Host);
        }
        if seen.cookie && self.life.is_some() && self.cookies.is_none() {
            return Err(Refusal::Cookie);
        }
        if seen.cookie && matches!(self.cookies, Some(Cookies::Vary(_))) && !are_plain(headers) {
            return Err(Refusal::CookieForm);
        }
        let authorized = seen.authorized && self.manner == Manner::Application;
        let anew = if self.directed {
            let directions = Directions::of(request).ok_or(Refusal::Bypass)?;
            if let Some(refusal) = directions.pass {
                return Err(refusal);
            }
            write_directed(key, &directions.key, depth, authorized);
            directions.anew
        } else {
            let realm = Realm {
                layer: &self.name,
                depth,
                authorized,
                cookies: self.cookies.as_ref(),
            };
            write_key(key, uri, seen.host, headers, realm);
            // What is around may have rewritten it, by something that no key shows.
            let inner = request.uri();
            if !std::ptr::eq(inner, uri) && inner != uri {
                write_rewritten(key, inner);
            }
            false
        };
        if seen.asked_in_front {
            write_asked_in_front(key, headers);
        }
        // `Range` means something to GET alone (RFC 9110, section 14.2).
        let range = seen.range && !head;
        Ok(Admitted {
            head,
            conditional: seen.conditional || range,
            range,
            anew,
        })
    }
}
