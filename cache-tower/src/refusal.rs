//! Why a request was not answered from the cache, or its response not stored: a closed set of
//! tokens, shown as `detail` in `Cache-Status`.

use std::fmt;
use std::time::Duration;

use cache_core::{NotStorable, Reason};
use http::StatusCode;

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $token:literal),+ $(,)?) => {
        /// Why the layer passed a request by, or did not store its response.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal {
            $($(#[$doc])* $variant,)+
            /// The engine refused: a tag or key past its limits, an invalidation while it ran, and the like.
            Engine(NotStorable),
        }

        impl Refusal {
            /// The layer's own reasons, without those of the engine.
            pub const OWN: &'static [Self] = &[$(Self::$variant),+];

            /// The token that `Cache-Status` shows.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $token,)+
                    Self::Engine(why) => why.as_str(),
                }
            }
        }
    };
}

refusals! {
    /// The request carries the [`Bypass`](crate::Bypass) extension, or is sent within
    /// [`bypass`](cache_core::bypass).
    Bypass = "bypass",
    /// Its method is neither GET nor HEAD.
    Method = "method",
    /// A HEAD request found no stored GET response; its own response is never stored.
    Head = "head",
    /// It asks for a range.
    Range = "range",
    /// It has an `If-Match` or `If-Unmodified-Since`, which is for the handler to judge.
    Precondition = "precondition",
    /// It has a body, which is no part of the key.
    RequestBody = "request-body",
    /// It names several hosts: in more than one `Host`, or in its URI another than in `Host`.
    Host = "host",
    /// It carries a header that some handlers take for its method, such as `X-HTTP-Method-Override`.
    MethodOverride = "method-override",
    /// It says `Cache-Control: no-store`, and the layer
    /// [obeys](crate::CacheLayer::obey_request_directives).
    RequestNoStore = "request-no-store",
    /// It has a `Cookie`, and the layer's own ttl was given without [`cookies`](crate::CacheLayer::cookies).
    Cookie = "cookie",
    /// It has a `Cookie` that handlers may read in different ways, and the layer's entries depend on
    /// [named cookies](crate::Cookies::Vary).
    CookieForm = "cookie-form",
    /// It has no key: what its key refers to is not there, or is too long.
    Unkeyed = "unkeyed",
    /// It has an `Authorization`, and the response does not allow sharing.
    Authorization = "authorization",
    /// A cached function that it is made of has in its key what says who is calling (a `HeaderMap`, an
    /// `Extension`, ..), which the layer's key does not show, and no `Vary` of the response names what
    /// of the request that is. [`CachePolicy::public`](crate::CachePolicy::public) says that it is for all.
    CallerKey = "caller-key",
    /// Nothing declares the response storable.
    NotDeclared = "not-declared",
    /// The handler's [`CachePolicy::no_store`](crate::CachePolicy::no_store).
    Policy = "policy",
    /// The response sets a cookie.
    SetCookie = "set-cookie",
    /// `Cache-Control: private`.
    Private = "private",
    /// `Cache-Control: no-store`.
    NoStore = "no-store",
    /// `Cache-Control: no-cache`: not to be reused without asking.
    NoCache = "no-cache",
    /// It is not fresh on arrival.
    Expired = "not-fresh",
    /// `Vary: *`.
    VaryAny = "vary-any",
    /// More than 16 names in `Vary`.
    VaryLimit = "vary-limit",
    /// The request headers that `Vary` names are longer than 16 KiB.
    VaryBytes = "vary-bytes",
    /// Its status is not stored without explicit freshness, or never.
    Status = "status",
    /// A stream of events, not declared storable by itself.
    EventStream = "event-stream",
    /// It ends with trailers.
    Trailers = "trailers",
    /// Its body is larger than [`max_body_bytes`](crate::CacheLayer::max_body_bytes).
    TooLarge = "body-too-large",
    /// There was no room in the cache for what was being recorded.
    NoRoom = "no-room",
    /// Its body failed, or was given up.
    BodyFailed = "body-failed",
    /// Another layer of the same cache, within this one, has stored it.
    StoredInside = "stored-inside",
    /// It was overtaken by an invalidation or a removal while it was made.
    Raced = "load-raced",
    /// No response that another loads could be shared: a wait limit passed, that load failed, or none
    /// of this route ever was.
    Alone = "alone",
}

/// Whether what was refused is one client's matter, by its `Cookie`: the next one's may be storable.
/// `cookie`: whether it sent one.
pub(crate) fn concerns_one_cookie(refusal: Refusal, cookie: bool) -> bool {
    match refusal {
        Refusal::SetCookie => true,
        Refusal::StoredInside | Refusal::Engine(_) => false,
        _ => cookie,
    }
}

/// Whether a status answers what else the client sent rather than what it asked for: who it is, how
/// often it comes, what its headers say. Such an answer says nothing of the next client's.
pub(crate) fn answers_the_client(status: StatusCode) -> bool {
    status.is_client_error() && !matches!(status.as_u16(), 404 | 410 | 414 | 451)
}

impl From<NotStorable> for Refusal {
    fn from(why: NotStorable) -> Self {
        Self::Engine(why)
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotStorable(why) => Self::Engine(why),
            Reason::Expired => Self::Expired,
            _ => Self::Raced,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    /// A number that [`from_code`](Self::from_code) takes back.
    pub(crate) fn code(self) -> u16 {
        let own = |refusal: Self| Self::OWN.iter().position(|&r| r == refusal).unwrap_or(0);
        (match self {
            Self::Engine(why) => {
                let at = NotStorable::ALL.iter().position(|&w| w == why);
                Self::OWN.len() + at.unwrap_or(0)
            }
            refusal => own(refusal),
        }) as u16
    }

    pub(crate) fn from_code(code: u16) -> Self {
        let code = usize::from(code);
        match Self::OWN.get(code) {
            Some(&own) => own,
            None => NotStorable::ALL
                .get(code - Self::OWN.len())
                .map_or(Self::NotDeclared, |&why| Self::Engine(why)),
        }
    }

    /// For how long callers of the same key should not queue behind a load that will likely be
    /// refused again. `None`: it says nothing of the next response.
    pub(crate) fn mark_for(self) -> Option<Duration> {
        match self {
            // Errors pass, so callers should soon queue again.
            Self::Status => Some(Duration::from_secs(1)),
            // One client's headers say nothing of the next one's.
            Self::VaryBytes
            | Self::BodyFailed
            | Self::NoRoom
            | Self::Raced
            | Self::Alone
            | Self::Engine(
                NotStorable::Error
                | NotStorable::Panicked
                | NotStorable::Cancelled
                | NotStorable::InnerFailed
                | NotStorable::MarksDropped,
            ) => None,
            _ => Some(Duration::from_secs(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back() {
        let engine = NotStorable::ALL.iter().map(|&why| Refusal::Engine(why));
        for refusal in Refusal::OWN.iter().copied().chain(engine) {
            assert_eq!(Refusal::from_code(refusal.code()), refusal);
        }
    }

    #[test]
    fn answers_to_one_clients_headers_are_known() {
        for status in [400, 401, 403, 405, 406, 412, 415, 416, 417, 429, 431] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(answers_the_client(status), "{status}");
        }
        for status in [200, 302, 404, 410, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(!answers_the_client(status), "{status}");
        }
    }

    #[test]
    fn tokens_are_unlike_and_well_formed() {
        let mut seen = std::collections::HashSet::new();
        for refusal in Refusal::OWN {
            let token = refusal.as_str();
            assert!(
                token.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{token}"
            );
            assert!(seen.insert(token), "{token} twice");
        }
    }
}
