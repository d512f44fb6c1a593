//! A response as it is kept: its headers cleaned and ready to be sent, its body in one piece.

mod remote;

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use cache_core::{Life, Timestamp};
use http::header::{
    AGE, CACHE_CONTROL, CACHE_STATUS, CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::key::KeyBuf;
use crate::policy::CachePolicy;
use crate::range::Part;
use crate::status;
use crate::validation::Validators;
use crate::vary::VaryNames;

/// What is kept under a key.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly always the large one, and a hit need not follow a pointer"
)]
pub(crate) enum Kept {
    Response(Stored),
    /// The response depends on these request headers: it is under a second-level key.
    Variants(VaryNames),
}

/// How a stored response may be reused, beside its lifetime.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Its `ETag` is the layer's own.
    pub(crate) own_etag: bool,
    /// Its `Cache-Control` is the layer's own.
    pub(crate) own_control: bool,
    /// It answers those who asked while it was loaded; else each reuse is to be validated.
    pub(crate) shared: bool,
    /// It says that it is not to be served stale.
    pub(crate) strict: bool,
    /// For how long it is served stale while the origin cannot be reached.
    pub(crate) while_cut_off: Duration,
    /// Where it is a part of the whole: which.
    pub(crate) part: Option<Part>,
}

/// What the handler said of a response to the cache alone. A 304 about it need not say it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Declared {
    pub(crate) policy: Option<CachePolicy>,
    /// By `cache_life`.
    pub(crate) life: Option<Life>,
}

impl Declared {
    /// Whether a response that varies by these names and was made for one caller says who else may have it.
    pub(crate) fn says_for_whom(&self, names: &VaryNames) -> bool {
        names.select_callers() || self.policy.as_ref().is_some_and(CachePolicy::is_public)
    }

    /// Its bytes in memory.
    fn weight(&self) -> usize {
        let tags = self.policy.iter().flat_map(CachePolicy::tag_texts);
        size_of::<Self>()
            + tags
                .map(|tag| size_of::<Box<str>>() + tag.len())
                .sum::<usize>()
    }
}

/// A stored response. What a hit reads stands together, before the rest.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Stored {
    /// When its request was sent, and its age then.
    began: Timestamp,
    initial_age: Duration,
    head: RwLock<Head>,
    pub(crate) body: Bytes,
    pub(crate) terms: Terms,
    declared: Option<Box<Declared>>,
    /// What caches nearer to the origin said of it.
    upstream: Option<Box<str>>,
    /// Where it is one of several: the names that select it and its key. Apart, as most are not.
    variant: Option<Box<Variant>>,
    /// After a failed refresh: not before then again, and whether the origin could not be reached.
    failed: Mutex<Option<(Timestamp, bool)>>,
}

/// A copy of a stored response's parts.
pub(crate) struct Copied {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) own_etag: bool,
    pub(crate) declared: Declared,
}

/// What selects one of several responses of a URL: the names of request headers, and the key that
/// their values make.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) names: VaryNames,
    pub(crate) key: KeyBuf,
}

impl Variant {
    /// Whether a request of this first-level key and with these headers selects it.
    pub(crate) fn is_selected_by(&self, key: &KeyBuf, request: &HeaderMap) -> bool {
        self.names
            .select(key, request)
            .is_ok_and(|mine| mine.as_slice() == self.key.as_slice())
    }
}

/// A failed refresh is not tried again before this has passed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Status and headers as they are sent in one second of the entry's life, so that the hits of that
/// second only copy them.
#[derive(Debug)]
struct Head {
    age: u64,
    ttl: i64,
    parts: Parts,
}

/// A head that is not of any second yet.
const NO_SECOND: u64 = u64::MAX;

impl Stored {
    /// Keeps a response. `headers` are those of its first sending, [`clean`]ed already.
    pub(crate) fn new(
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        (began, initial_age): (Timestamp, Duration),
        variant: Option<Variant>,
        (terms, declared): (Terms, Declared),
    ) -> Self {
        let upstream = status::upstream(headers);
        // The body says its own length; only a HEAD's answer needs the field.
        let mut kept = without(headers, |name| {
            [AGE, CACHE_STATUS, CONTENT_LENGTH].contains(name)
        });
        // The places of what changes each second are taken now, and count in the weight.
        kept.insert(AGE, HeaderValue::from_static("0"));
        kept.insert(CACHE_STATUS, HeaderValue::from_static("hit"));
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = status;
        parts.headers = kept;
        let head = Head {
            age: NO_SECOND,
            ttl: 0,
            parts,
        };
        Self {
            began,
            initial_age,
            head: RwLock::new(head),
            body,
            terms,
            declared: (declared != Declared::default()).then(|| Box::new(declared)),
            upstream,
            variant: variant.map(Box::new),
            failed: Mutex::new(None),
        }
    }

    /// The head of a reuse at `now`: `Age` and `Cache-Status` are of this second.
    pub(crate) fn head(
        &self,
        namespace: &str,
        now: Timestamp,
        fresh_until: Timestamp,
        stale: bool,
    ) -> Parts {
        let age = self.age(now).as_secs();
        let left = fresh_until.since(now).as_secs();
        let ttl = if stale {
            let over = now.since(fresh_until).as_secs();
            -1 - i64::try_from(over).unwrap_or(i64::MAX - 1)
        } else {
            i64::try_from(left).unwrap_or(i64::MAX)
        };
        {
            let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
            if head.age == age && head.ttl == ttl {
                return head.parts.clone();
            }
        }
        let mut head = self.head.write().unwrap_or_else(PoisonError::into_inner);
        let (said_age, said) = status::hit(self.upstream.as_deref(), namespace, age, ttl);
        head.parts.headers.insert(AGE, said_age);
        head.parts.headers.insert(CACHE_STATUS, said);
        head.age = age;
        head.ttl = ttl;
        head.parts.clone()
    }

    /// What validating it begins with: what the origin said in it, and nothing of the layer's own but
    /// its `ETag`.
    pub(crate) fn copy(&self) -> Copied {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        Copied {
            status: head.parts.status,
            headers: without(&head.parts.headers, |name| {
                [AGE, CACHE_STATUS].contains(name)
                    || (self.terms.own_control && *name == CACHE_CONTROL)
            }),
            body: self.body.clone(),
            own_etag: self.terms.own_etag,
            declared: self.declared.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// What the origin knows it by.
    pub(crate) fn validators(&self) -> Option<Validators> {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        Validators::of(&head.parts.headers, self.terms.own_etag)
    }

    /// How old it is.
    pub(crate) fn age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.since(self.began))
    }

    /// Whether a request of this first-level key and with these headers selects it.
    pub(crate) fn is_selected_by(&self, key: &KeyBuf, request: &HeaderMap) -> bool {
        self.variant
            .as_ref()
            .is_none_or(|variant| variant.is_selected_by(key, request))
    }

    /// What caches nearer to the origin said of it.
    pub(crate) fn upstream(&self) -> Option<&str> {
        self.upstream.as_deref()
    }

    /// Notes that a refresh failed; `cut_off`: since the origin could not be reached.
    pub(crate) fn refresh_failed(&self, now: Timestamp, cut_off: bool) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((now.plus(RETRY_AFTER), cut_off));
    }

    /// Whether a refresh may be tried.
    pub(crate) fn may_refresh(&self, now: Timestamp) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_none_or(|(until, _)| now >= until)
    }

    /// Whether the last refresh failed since the origin could not be reached.
    pub(crate) fn is_cut_off(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|(_, cut_off)| cut_off)
    }

    /// Its bytes in memory.
    pub(crate) fn weight(&self) -> usize {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        let headers = &head.parts.headers;
        // A bucket holds a name, a value, a hash and a link; an index takes four bytes.
        let bucket = size_of::<HeaderName>() + size_of::<HeaderValue>() + 24;
        let texts: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        size_of::<Self>()
            + headers.capacity() * (bucket + 8)
            + texts
            + self.upstream.as_deref().map_or(0, str::len)
            + self
                .declared
                .as_deref()
                .map_or(0, |declared| declared.weight())
            + self.variant.as_ref().map_or(0, |variant| {
                size_of::<Variant>() + variant.names.weight() + variant.key.len()
            })
            + self.body.len()
    }
}

/// The fields that belong to a connection and not to the message (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes what belongs to a connection and not to the response (RFC 9111, section 3.1).
pub(crate) fn clean(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let of_the_connection =
        |name: &HeaderName| OF_THE_CONNECTION.contains(name) || named.contains(name);
    if headers.keys().any(of_the_connection) {
        *headers = without(headers, of_the_connection);
    }
}

/// Removes the fields of these names.
pub(crate) fn strip(headers: &mut HeaderMap, names: &[HeaderName]) {
    if names.iter().any(|name| headers.contains_key(name)) {
        *headers = without(headers, |name| names.contains(name));
    }
}

/// The others, in their order: removing from a map would move its last field.
pub(crate) fn without(headers: &HeaderMap, drop: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers.iter().filter(|(name, _)| !drop(name)) {
        kept.append(name.clone(), value.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::Clock;

    #[test]
    fn heads_follow_the_clock() {
        let clock = Clock::manual();
        let began = clock.now();
        let fresh_until = began.plus(Duration::from_secs(10));
        let mut headers = HeaderMap::new();
        headers.append(CACHE_STATUS, HeaderValue::from_static("up; fwd=miss"));
        let stored = Stored::new(
            StatusCode::OK,
            &headers,
            Bytes::from_static(b"abc"),
            (began, Duration::from_secs(5)),
            None,
            (Terms::default(), Declared::default()),
        );
        let head = |stale| stored.head("r", clock.now(), fresh_until, stale).headers;
        assert_eq!(head(false)[AGE], "5");
        assert_eq!(head(false)[CACHE_STATUS], "up; fwd=miss, r; hit; ttl=10");
        clock.advance(Duration::from_millis(2500));
        assert_eq!(head(false)[AGE], "7");
        assert_eq!(head(false)[CACHE_STATUS], "up; fwd=miss, r; hit; ttl=7");
        clock.advance(Duration::from_secs(10));
        assert_eq!(
            head(true)[CACHE_STATUS],
            "up; fwd=miss, r; hit; ttl=-3; detail=stale"
        );
    }

    #[test]
    fn nothing_of_the_connection_is_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-kept", "1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        clean(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("x-kept"));
    }
}
