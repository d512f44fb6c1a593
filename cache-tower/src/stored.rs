//! A response as it is kept: its headers cleaned and ready to be sent, its body in one piece.

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use cache_core::Timestamp;
use http::header::{
    AGE, CACHE_STATUS, CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::key::KeyBuf;
use crate::status;
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

/// A stored response.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    head: RwLock<Head>,
    /// When its request was sent, and its age then.
    began: Timestamp,
    initial_age: Duration,
    /// What caches nearer to the origin said of it.
    upstream: Option<Box<str>>,
    /// Where it is one of several: the names that select it and its key.
    variant: Option<Variant>,
    /// After a failed refresh: not before then again.
    retry_at: Mutex<Option<Timestamp>>,
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

/// The headers as they are sent in one second of the entry's life, so that the hits of that second
/// only copy them.
#[derive(Debug)]
struct Head {
    age: u64,
    ttl: i64,
    headers: HeaderMap,
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
    ) -> Self {
        let mut kept = HeaderMap::with_capacity(headers.len() + 2);
        for (name, value) in headers {
            kept.append(name.clone(), value.clone());
        }
        let upstream = status::upstream(headers);
        kept.remove(CACHE_STATUS);
        // The body says its own length; only a HEAD's answer needs the field.
        kept.remove(CONTENT_LENGTH);
        // The places of what changes each second are taken now, and count in the weight.
        kept.insert(AGE, HeaderValue::from_static("0"));
        kept.insert(CACHE_STATUS, HeaderValue::from_static("hit"));
        let head = Head {
            age: NO_SECOND,
            ttl: 0,
            headers: kept,
        };
        Self {
            status,
            body,
            head: RwLock::new(head),
            began,
            initial_age,
            upstream,
            variant,
            retry_at: Mutex::new(None),
        }
    }

    /// The headers of a reuse at `now`: `Age` and `Cache-Status` are of this second.
    pub(crate) fn headers(
        &self,
        namespace: &str,
        now: Timestamp,
        fresh_until: Timestamp,
        stale: bool,
    ) -> HeaderMap {
        let age = (self.initial_age + now.since(self.began)).as_secs();
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
                return head.headers.clone();
            }
        }
        let mut head = self.head.write().unwrap_or_else(PoisonError::into_inner);
        head.headers.insert(AGE, HeaderValue::from(age));
        let value = status::hit(self.upstream.as_deref(), namespace, ttl);
        head.headers.insert(CACHE_STATUS, value);
        head.age = age;
        head.ttl = ttl;
        head.headers.clone()
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

    /// Notes that a refresh failed.
    pub(crate) fn refresh_failed(&self, now: Timestamp) {
        *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now.plus(RETRY_AFTER));
    }

    /// Whether a refresh may be tried.
    pub(crate) fn may_refresh(&self, now: Timestamp) -> bool {
        self.retry_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none_or(|at| now >= at)
    }

    /// Its bytes in memory.
    pub(crate) fn weight(&self) -> usize {
        let head = self.head.read().unwrap_or_else(PoisonError::into_inner);
        let headers = &head.headers;
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
                .variant
                .as_ref()
                .map_or(0, |variant| variant.names.weight() + variant.key.len())
            + self.body.len()
    }
}

/// Removes what belongs to a connection and not to the response (RFC 9111, section 3.1).
pub(crate) fn clean(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
    ] {
        headers.remove(name);
    }
    for name in [
        "keep-alive",
        "proxy-connection",
        "proxy-authentication-info",
    ] {
        headers.remove(name);
    }
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
        );
        let head = |stale| stored.headers("r", clock.now(), fresh_until, stale);
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
