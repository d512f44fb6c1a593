//! Whether a shared cache may store a response, and for how long (RFC 9111, section 3).

use std::time::{Duration, SystemTime};

use cache_core::Life;
use http::header::{
    CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED,
    SET_COOKIE,
};
use http::{HeaderMap, StatusCode};
use smallvec::SmallVec;

use super::{
    CacheControl, explicit_lifetime, heuristic_lifetime, initial_age, may_be_kept_unasked,
};
use crate::policy::{CachePolicy, Word};
use crate::refusal::Refusal;

/// For how long a stale response is kept that can be validated, or served while its origin cannot
/// be reached.
const KEPT_STALE: Duration = Duration::from_secs(24 * 3600);

/// What a layer is in front of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// An application of which it is part: nothing is stored that was not declared storable.
    #[default]
    Application,
    /// Any origin: the RFC to the letter.
    SharedProxy,
}

/// What is known beside the response itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) manner: Manner,
    /// The fields that stand for `Cache-Control`, the first of them first (RFC 9213).
    pub(crate) targets: &'a [HeaderName],
    /// What the handler said in the response's extensions.
    pub(crate) policy: Option<&'a CachePolicy>,
    /// The `cache_life` that the handler called while it ran.
    pub(crate) said: Option<Life>,
    /// The layer's own lifetime.
    pub(crate) layer: Option<Life>,
    /// What holds for what the application's own words leave unsaid; what headers say is whole.
    pub(crate) default_life: Life,
    /// Whether the request carried `Authorization`.
    pub(crate) authorized: bool,
    /// Whether the request was for a part, which is kept as one.
    pub(crate) part: bool,
    /// When the response's head arrived.
    pub(crate) received: SystemTime,
    /// How long that was after its request was sent.
    pub(crate) took: Duration,
}

/// Who declared the response storable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The handler, by a [`CachePolicy`].
    Policy,
    /// The origin, by `Cache-Control` or `Expires`.
    Headers,
    /// The layer's `ttl` or `life`.
    Layer,
    /// Nobody; it may be guessed, or kept to be validated.
    Heuristic,
}

/// A response that may be stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// Counted from when the request was sent. `None`: the cache's default, and no longer than what
    /// the response is made of.
    pub(crate) life: Option<Life>,
    /// Where that is `None`: it lives as long as what it is made of, also where the default is shorter.
    pub(crate) as_inside: bool,
    pub(crate) initial_age: Duration,
    /// Whether the handler left it to the layer what clients are told.
    pub(crate) client_unsaid: bool,
    /// Whether it answers others who asked meanwhile: not where each reuse is to be validated.
    pub(crate) shared: bool,
    /// Whether it says that it is not to be served stale.
    pub(crate) strict: bool,
    /// For how long it is kept once it is stale.
    pub(crate) kept_stale: Duration,
    /// For how long it is served stale while the origin cannot be reached (RFC 9111, section 4.2.4).
    pub(crate) while_cut_off: Duration,
    /// The fields that are for the first client alone.
    pub(crate) omitted: SmallVec<[HeaderName; 2]>,
}

/// Judges a response to a GET.
pub(crate) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    rules: &Rules<'_>,
) -> Result<Judged, Refusal> {
    let control = CacheControl::targeted(headers, rules.targets);
    let stated = explicit_lifetime(&control, headers, rules.received);
    let age = initial_age(headers, rules.received, rules.took);
    let to_the_letter = rules.manner == Manner::SharedProxy;

    // Stored where freshness is explicit: RFC 9111, section 7.3.
    if headers.contains_key(SET_COOKIE)
        && !control.omitted.contains(&SET_COOKIE)
        && !(to_the_letter && stated.is_some())
    {
        return Err(Refusal::SetCookie);
    }
    // RFC 9111, section 5.2.2.3.
    let understood = status.canonical_reason().is_some();
    if control.must_understand && !understood {
        return Err(Refusal::Status);
    }
    if control.no_store {
        return Err(Refusal::NoStore);
    }
    if control.private {
        return Err(Refusal::Private);
    }
    // Parts and updates of other responses, and answers to headers that are no part of the key.
    let is_part = status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE);
    if status.is_informational()
        || matches!(status.as_u16(), 304 | 412 | 416 | 417)
        || (is_part && !rules.part)
    {
        return Err(Refusal::Status);
    }

    let policy = rules.policy.map(CachePolicy::word);
    if policy == Some(Word::NoStore) {
        return Err(Refusal::Policy);
    }
    let validated = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    let kept_to_validate = to_the_letter && validated;
    // A policy is addressed to this cache alone, so it stands above what all caches are told.
    let no_cache = control.no_cache && policy.is_none();
    if no_cache && !kept_to_validate {
        return Err(Refusal::NoCache);
    }
    let guessed = || match to_the_letter {
        true => heuristic_lifetime(status, &control, headers, rules.received),
        false => None,
    };
    let complete = |life: Life| life.over(rules.default_life);
    let (life, source) = match (policy, stated, rules.layer) {
        (Some(Word::Life(life)), ..) => (Some(complete(life)), Source::Policy),
        (Some(_), ..) => (None, Source::Policy),
        (None, Some(lifetime), _) => (Some(stated_life(lifetime, age, &control)), Source::Headers),
        (None, None, Some(life)) => (Some(complete(life)), Source::Layer),
        (None, None, None) => match guessed() {
            Some(lifetime) => {
                let life = stated_life(lifetime, age, &control);
                (Some(life), Source::Heuristic)
            }
            None if kept_to_validate && may_be_kept_unasked(status, &control) => {
                (Some(Life::from_secs(0)), Source::Heuristic)
            }
            None => return Err(Refusal::NotDeclared),
        },
    };
    // To be asked for each time, but by its validator.
    let life = if no_cache {
        life.map(|life| life.with_ttl(0))
    } else {
        life
    };
    let by_headers = matches!(source, Source::Headers | Source::Heuristic);
    let is_fresh = life.is_none_or(|life| !life.ttl().is_zero());
    if by_headers && !is_fresh && !kept_to_validate {
        return Err(Refusal::Expired);
    }
    if source == Source::Layer {
        if !stored_unasked(status) {
            return Err(Refusal::Status);
        }
        if is_event_stream(headers) {
            return Err(Refusal::EventStream);
        }
    } else if life.is_none() && (status.is_client_error() || status.is_server_error()) {
        return Err(Refusal::Status);
    }
    let shares = control.shares_authorized() || rules.policy.is_some_and(CachePolicy::is_public);
    if rules.authorized && !shares {
        return Err(Refusal::Authorization);
    }
    let strict = control.forbids_stale() && policy.is_none();
    let life = life.map(|life| match strict {
        true => life
            .stale_while_revalidate(Duration::ZERO)
            .stale_if_error(Duration::ZERO),
        false => life,
    });
    // What the handler said to this cache while it ran stands above all that is said from outside.
    let life = rules.said.map(complete).or(life);
    let kept_if = |kept: bool| if kept { KEPT_STALE } else { Duration::ZERO };
    let while_cut_off = kept_if(to_the_letter && by_headers && !strict);
    Ok(Judged {
        life,
        as_inside: policy == Some(Word::AsInside),
        initial_age: age,
        client_unsaid: !to_the_letter
            && !headers.contains_key(CACHE_CONTROL)
            && !headers.contains_key(EXPIRES),
        shared: life.is_none_or(|life| !life.ttl().is_zero()),
        strict,
        kept_stale: kept_if(validated).max(while_cut_off),
        while_cut_off,
        omitted: control.omitted,
    })
}

/// What is left of a lifetime, with the stale windows that go with it (RFC 5861).
fn stated_life(lifetime: Duration, age: Duration, control: &CacheControl) -> Life {
    let window = |seconds: Option<u32>| Duration::from_secs(seconds.unwrap_or(0).into());
    Life::from_duration(lifetime.saturating_sub(age))
        .stale_while_revalidate(window(control.stale_while_revalidate))
        .stale_if_error(window(control.stale_if_error))
}

/// The statuses that the layer's own lifetime stores: those of RFC 9110, section 15.1, that a cache
/// may keep by its own judgement, without the errors and parts.
fn stored_unasked(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308)
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let kind = value
            .as_bytes()
            .split(|&b| b == b';')
            .next()
            .unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HeaderName;

    fn rules() -> Rules<'static> {
        Rules {
            manner: Manner::Application,
            targets: &[],
            policy: None,
            said: None,
            layer: None,
            default_life: Life::WEEK,
            authorized: false,
            part: false,
            received: SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
            took: Duration::ZERO,
        }
    }

    /// 0 stands for the cache's own choice.
    fn secs(judged: Judged) -> u64 {
        judged.life.map_or(0, |life| life.ttl().as_secs())
    }

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            headers.append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn by_headers_alone() {
        use Refusal::{
            Authorization, Expired, NoCache, NoStore, NotDeclared, Private, SetCookie, Status,
        };
        for (status, text, authorized, expected) in [
            (200, "", false, Err(NotDeclared)),
            (200, "cache-control: public", false, Err(NotDeclared)),
            (200, "cache-control: max-age=60", false, Ok(60)),
            (200, "cache-control: max-age=60|age: 20", false, Ok(40)),
            (
                200,
                "cache-control: max-age=60|age: 60",
                false,
                Err(Expired),
            ),
            (200, "cache-control: max-age=0", false, Err(Expired)),
            (
                200,
                "cache-control: max-age=60, no-store",
                false,
                Err(NoStore),
            ),
            (
                200,
                "cache-control: max-age=60|cache-control: private",
                false,
                Err(Private),
            ),
            (
                200,
                "cache-control: max-age=60, no-cache",
                false,
                Err(NoCache),
            ),
            (
                200,
                "cache-control: max-age=60|set-cookie: a=b",
                false,
                Err(SetCookie),
            ),
            (200, "cache-control: max-age=60", true, Err(Authorization)),
            (200, "cache-control: max-age=60, public", true, Ok(60)),
            (
                200,
                "cache-control: max-age=60, must-revalidate",
                true,
                Ok(60),
            ),
            (200, "cache-control: s-maxage=60", true, Ok(60)),
            (200, "expires: Sun, 06 Nov 1994 08:50:37 GMT", false, Ok(60)),
            (404, "cache-control: max-age=60", false, Ok(60)),
            (503, "cache-control: max-age=60", false, Ok(60)),
            (302, "cache-control: max-age=60", false, Ok(60)),
            (599, "cache-control: max-age=60", false, Ok(60)),
            (206, "cache-control: max-age=60", false, Err(Status)),
            (304, "cache-control: max-age=60", false, Err(Status)),
            (404, "", false, Err(NotDeclared)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let rules = Rules {
                authorized,
                ..rules()
            };
            let found = judge(status, &headers(text), &rules).map(secs);
            assert_eq!(found, expected, "{status} {text}, authorized {authorized}");
        }
    }

    #[test]
    fn by_the_layers_lifetime() {
        let rules = Rules {
            layer: Some(Life::from_secs(600)),
            ..rules()
        };
        for (status, text, expected) in [
            (200, "", Ok(600)),
            (200, "cache-control: public", Ok(600)),
            (200, "cache-control: max-age=5", Ok(5)),
            (200, "cache-control: no-cache", Err(Refusal::NoCache)),
            (200, "cache-control: max-age=0", Err(Refusal::Expired)),
            (
                200,
                "content-type: text/event-stream; charset=utf-8",
                Err(Refusal::EventStream),
            ),
            (200, "set-cookie: a=b", Err(Refusal::SetCookie)),
            (204, "", Ok(600)),
            (301, "", Ok(600)),
            (302, "", Err(Refusal::Status)),
            (404, "", Err(Refusal::Status)),
            (500, "", Err(Refusal::Status)),
            (404, "cache-control: max-age=5", Ok(5)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = judge(status, &headers(text), &rules).map(secs);
            assert_eq!(found, expected, "{status} {text}");
        }
    }

    /// The application's own words are completed by the cache's defaults; what headers say is whole.
    #[test]
    fn what_is_unsaid() {
        let window = Duration::from_secs(20);
        let policy = CachePolicy::life(Life::default().jitter(1));
        let unsaid = Rules {
            default_life: Life::from("2h").stale_while_revalidate(window),
            ..rules()
        };
        let by_policy = Rules {
            policy: Some(&policy),
            ..unsaid
        };
        let by_layer = Rules {
            layer: Some(Life::from_secs(600)),
            ..unsaid
        };
        let said = Rules {
            said: Some(Life::from_secs(7)),
            ..by_policy
        };
        for (rules, text, ttl, stale) in [
            (by_policy, "", 7_200, window),
            (by_layer, "", 600, window),
            (said, "", 7, window),
            (by_layer, "cache-control: max-age=5", 5, Duration::ZERO),
            (
                by_layer,
                "cache-control: must-revalidate",
                600,
                Duration::ZERO,
            ),
        ] {
            let judged = judge(StatusCode::OK, &headers(text), &rules).unwrap();
            let life = judged.life.unwrap();
            assert_eq!(life.ttl().as_secs(), ttl, "{rules:?} {text}");
            assert_eq!(life.stale_while_revalidate_window(), stale, "{rules:?}");
        }
    }

    #[test]
    fn by_policy() {
        let ttl = CachePolicy::ttl(300);
        let bare = CachePolicy::new();
        let never = CachePolicy::no_store();
        for (policy, status, text, said, expected) in [
            (&ttl, 200, "", None, Ok(300)),
            (&ttl, 200, "cache-control: max-age=5", None, Ok(300)),
            (&ttl, 200, "cache-control: no-cache", None, Ok(300)),
            (
                &ttl,
                200,
                "cache-control: private",
                None,
                Err(Refusal::Private),
            ),
            (&ttl, 404, "", None, Ok(300)),
            (&ttl, 200, "age: 100", None, Ok(300)),
            (&ttl, 200, "", Some(7), Ok(7)),
            (&bare, 200, "", None, Ok(0)),
            (&bare, 200, "", Some(7), Ok(7)),
            (&bare, 404, "", None, Err(Refusal::Status)),
            (
                &never,
                200,
                "cache-control: max-age=5",
                None,
                Err(Refusal::Policy),
            ),
        ] {
            let said = said.map(Life::from_secs);
            let rules = Rules {
                policy: Some(policy),
                said,
                ..rules()
            };
            let status = StatusCode::from_u16(status).unwrap();
            let found = judge(status, &headers(text), &rules).map(secs);
            assert_eq!(found, expected, "{status} {text} {policy:?}");
        }
        let authorized = Rules {
            policy: Some(&ttl),
            authorized: true,
            ..rules()
        };
        assert_eq!(
            judge(StatusCode::OK, &HeaderMap::new(), &authorized),
            Err(Refusal::Authorization)
        );
        let public = CachePolicy::ttl(300).public();
        let authorized = Rules {
            policy: Some(&public),
            ..authorized
        };
        assert!(judge(StatusCode::OK, &HeaderMap::new(), &authorized).is_ok());
    }

    #[test]
    fn stale_windows_follow_the_headers() {
        let life = |text| {
            judge(StatusCode::OK, &headers(text), &rules())
                .unwrap()
                .life
                .unwrap()
        };
        let both = life("cache-control: max-age=1, stale-while-revalidate=20, stale-if-error=30");
        assert_eq!(
            both.stale_while_revalidate_window(),
            Duration::from_secs(20)
        );
        assert_eq!(both.stale_if_error_window(), Duration::from_secs(30));
        let strict = life("cache-control: max-age=1, stale-while-revalidate=20, must-revalidate");
        assert_eq!(strict.stale_while_revalidate_window(), Duration::ZERO);
    }
}
