//! Freshness and storability (RFC 9111): pure functions of what a message says and of the time.
//!
//! Nothing here reads a clock, and nothing knows where responses are kept.

mod control;
mod date;
mod demands;
mod directives;
mod storable;
mod targeted;

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, StatusCode};

pub(crate) use control::CacheControl;
pub(crate) use date::date;
pub(crate) use demands::{Demands, Stands};
use directives::delta_seconds;
#[cfg(feature = "axum")]
pub(crate) use storable::is_event_stream;
pub(crate) use storable::{Judged, Manner, Rules, judge};

/// The freshness lifetime that a response states (RFC 9111, section 4.2.1): `s-maxage`, else
/// `max-age`, else `Expires` less `Date`. Invalid dates are in the past. `None`: it states nothing.
pub(crate) fn explicit_lifetime(
    control: &CacheControl,
    headers: &HeaderMap,
    received: SystemTime,
) -> Option<Duration> {
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(Duration::from_secs(seconds.into()));
    }
    if control.targeted {
        return None;
    }
    let mut lines = headers.get_all(EXPIRES).iter();
    let first = lines.next()?;
    if lines.any(|line| line != first) {
        return Some(Duration::ZERO);
    }
    let made = date(headers, DATE, received).unwrap_or(received);
    let expires = date(headers, EXPIRES, received);
    Some(
        expires
            .and_then(|at| at.duration_since(made).ok())
            .unwrap_or_default(),
    )
}

/// Whether a message states a lifetime itself, be it over.
pub(crate) fn states_lifetime(headers: &HeaderMap, targets: &[HeaderName]) -> bool {
    let control = CacheControl::targeted(headers, targets);
    explicit_lifetime(&control, headers, SystemTime::UNIX_EPOCH).is_some()
}

/// The longest lifetime that is guessed.
const LONGEST_GUESS: Duration = Duration::from_secs(24 * 3600);

/// The lifetime that may be guessed where none is stated (RFC 9111, section 4.2.2): a tenth of the
/// time since it was last modified. `None` where nothing may be guessed.
pub(crate) fn heuristic_lifetime(
    status: StatusCode,
    control: &CacheControl,
    headers: &HeaderMap,
    received: SystemTime,
) -> Option<Duration> {
    if !may_be_kept_unasked(status, control) {
        return None;
    }
    let modified = date(headers, LAST_MODIFIED, received)?;
    let made = date(headers, DATE, received).unwrap_or(received);
    let unchanged = made.duration_since(modified).ok()?;
    Some((unchanged / 10).min(LONGEST_GUESS))
}

/// Whether a response that states no lifetime may be kept at all: the statuses that are heuristically
/// cacheable (RFC 9110, section 15.1), and what says `public`.
pub(crate) fn may_be_kept_unasked(status: StatusCode, control: &CacheControl) -> bool {
    control.public
        || matches!(
            status.as_u16(),
            200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
        )
}

/// The age that a response had when its request was sent, as far as can be known
/// (RFC 9111, section 4.2.3): at any later moment its age is this and the time since then.
pub(crate) fn initial_age(headers: &HeaderMap, received: SystemTime, took: Duration) -> Duration {
    let stated = headers.get(AGE).and_then(|value| {
        // A list counts by its first member, as the RFC advises.
        let first = value.as_bytes().split(|&b| b == b',').next()?;
        delta_seconds(first.trim_ascii())
    });
    let stated = Duration::from_secs(stated.unwrap_or(0).into());
    let apparent = date(headers, DATE, received)
        .and_then(|date| received.duration_since(date).ok())
        .unwrap_or_default();
    stated.max(apparent.saturating_sub(took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn now() -> SystemTime {
        // Sun, 06 Nov 1994 08:49:37 GMT, the RFC's own example.
        NOW + Duration::from_secs(784_111_777)
    }

    #[test]
    fn lifetimes() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (lines, expected) in [
            (vec![], None),
            (vec![("cache-control", "public")], None),
            (vec![("cache-control", "max-age=60")], Some(60)),
            (vec![("cache-control", "max-age=60, s-maxage=5")], Some(5)),
            (
                vec![("cache-control", "max-age=60"), ("expires", "0")],
                Some(60),
            ),
            (
                vec![date, ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")],
                Some(60),
            ),
            (vec![("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(60)),
            (
                vec![date, ("expires", "Sunday, 06-Nov-94 08:50:37 GMT")],
                Some(60),
            ),
            (
                vec![date, ("expires", "Sun Nov  6 08:50:37 1994")],
                Some(60),
            ),
            (
                vec![date, ("expires", "Sun, 06 Nov 1994 08:49:36 GMT")],
                Some(0),
            ),
            (vec![date, ("expires", "0")], Some(0)),
            (vec![date, ("expires", "tomorrow")], Some(0)),
            (
                vec![
                    date,
                    ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                    ("expires", "0"),
                ],
                Some(0),
            ),
        ] {
            let headers = headers(&lines);
            let found = explicit_lifetime(&CacheControl::of(&headers), &headers, now());
            assert_eq!(found, expected.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[test]
    fn ages() {
        let old = ("date", "Sun, 06 Nov 1994 08:49:27 GMT");
        let future = ("date", "Sun, 06 Nov 1994 08:59:37 GMT");
        for (lines, took, expected) in [
            (vec![], 0, 0),
            (vec![("age", "7")], 0, 7),
            (vec![("age", "7")], 5, 7),
            (vec![("age", "7, 9")], 0, 7),
            (vec![("age", "-7")], 0, 0),
            (vec![("age", "seven")], 0, 0),
            (vec![old], 0, 10),
            (vec![old], 4, 6),
            (vec![old], 40, 0),
            (vec![old, ("age", "30")], 4, 30),
            (vec![future, ("age", "3")], 0, 3),
        ] {
            let found = initial_age(&headers(&lines), now(), Duration::from_secs(took));
            assert_eq!(
                found,
                Duration::from_secs(expected),
                "{lines:?} after {took} s"
            );
        }
    }
}
