//! Parts of what is stored (RFC 9110, section 14): the ranges that requests ask for, and the answers
//! that are cut from a whole response or from a larger part of one.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::freshness::date;

/// One range as a request gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// From a place, up to another or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Wanted {
    /// The single range that a request asks for. `None` where it asks for none, for several or for
    /// something else: `Range` may then be ignored (RFC 9110, section 14.2).
    pub(crate) fn of(request: &HeaderMap) -> Option<Self> {
        let mut lines = request.get_all(RANGE).iter();
        let line = lines.next()?.as_bytes();
        if lines.next().is_some() {
            return None;
        }
        let unit = line.get(..6)?;
        if !unit.eq_ignore_ascii_case(b"bytes=") {
            return None;
        }
        let spec = line[6..].trim_ascii();
        let dash = spec.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&spec[..dash], &spec[dash + 1..]);
        match (first.is_empty(), last.is_empty()) {
            (true, _) => Some(Self::Last(number(last)?)),
            (false, true) => Some(Self::From(number(first)?, None)),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// The bytes that it means of a whole of this length; `None` where it has none of them.
    fn within(self, total: u64) -> Option<RangeInclusive<u64>> {
        let end = total.checked_sub(1)?;
        match self {
            Self::From(first, last) => (first <= end).then(|| first..=last.unwrap_or(end).min(end)),
            Self::Last(0) => None,
            Self::Last(count) => Some(total.saturating_sub(count)..=end),
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the request's `If-Range` lets its `Range` count for a response with these headers: by
/// strong comparison of its tag, or by exactly its date where that is strong
/// (RFC 9110, section 13.1.5).
fn still_counts(request: &HeaderMap, response: &HeaderMap) -> bool {
    let mut conditions = request.get_all(IF_RANGE).iter();
    let Some(condition) = conditions.next() else {
        return true;
    };
    let names = |name: HeaderName| response.get(name) == Some(condition);
    match condition.as_bytes() {
        _ if conditions.next().is_some() => false,
        tag if tag.starts_with(b"W/") => false,
        tag if tag.starts_with(b"\"") => names(ETAG),
        _ => names(LAST_MODIFIED) && is_dated_strongly(response),
    }
}

/// Whether it was not changed any more in the second in which it was made, so that its date tells it
/// from every other (RFC 9110, section 8.8.2.2).
fn is_dated_strongly(response: &HeaderMap) -> bool {
    // Which century a short year is in does not matter for two of them.
    let at = |name| date(response, name, SystemTime::UNIX_EPOCH);
    match (at(LAST_MODIFIED), at(DATE)) {
        (Some(modified), Some(made)) => modified < made,
        _ => false,
    }
}

/// Which bytes of a whole a partial response holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) total: u64,
}

impl Part {
    /// What `Content-Range` says of a 206. `None` where it is missing, malformed, or leaves the total
    /// unknown: such a part is not kept.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(CONTENT_RANGE).iter();
        let text = lines.next()?.to_str().ok()?;
        if lines.next().is_some() {
            return None;
        }
        let (unit, range) = text.trim().split_once(' ')?;
        let (bounds, total) = range.trim().split_once('/')?;
        let (first, last) = bounds.split_once('-')?;
        let number = |text: &str| number(text.as_bytes());
        let part = Self {
            first: number(first)?,
            last: number(last)?,
            total: number(total)?,
        };
        let sound =
            unit.eq_ignore_ascii_case("bytes") && part.first <= part.last && part.last < part.total;
        sound.then_some(part)
    }

    pub(crate) const fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether it is all that there is.
    pub(crate) const fn is_whole(&self) -> bool {
        self.length() == self.total
    }

    /// Both as one, with their bytes, where they meet. What both hold is taken from `later`.
    pub(crate) fn joined(&self, bytes: &[u8], later: &Self, with: &[u8]) -> Option<(Self, Bytes)> {
        let meet = self.first <= later.last + 1 && later.first <= self.last + 1;
        if !meet || self.total != later.total {
            return None;
        }
        // Both are below the lengths of what is in memory.
        let before = later.first.saturating_sub(self.first) as usize;
        let after = self.last.saturating_sub(later.last) as usize;
        let joined = [&bytes[..before], with, &bytes[bytes.len() - after..]].concat();
        let part = Self {
            first: self.first.min(later.first),
            last: self.last.max(later.last),
            total: self.total,
        };
        Some((part, joined.into()))
    }

    fn content_range(first: u64, last: u64, total: u64) -> HeaderValue {
        HeaderValue::try_from(format!("bytes {first}-{last}/{total}"))
            .unwrap_or_else(|_| HeaderValue::from_static("bytes */0"))
    }
}

/// Makes of a whole 200 what a request with `Range` gets: a part of it, or 416 where it has none of
/// the bytes. Nothing where `Range` does not count.
pub(crate) fn cut(
    request: &HeaderMap,
    status: &mut StatusCode,
    headers: &mut HeaderMap,
    body: &mut Bytes,
) {
    let Some(wanted) = Wanted::of(request) else {
        return;
    };
    if *status != StatusCode::OK || !still_counts(request, headers) {
        return;
    }
    let total = body.len() as u64;
    headers.remove(CONTENT_LENGTH);
    let Some(range) = wanted.within(total) else {
        *status = StatusCode::RANGE_NOT_SATISFIABLE;
        let unsatisfied = HeaderValue::try_from(format!("bytes */{total}"));
        headers.insert(
            CONTENT_RANGE,
            unsatisfied.unwrap_or_else(|_| HeaderValue::from_static("bytes */0")),
        );
        *body = Bytes::new();
        return;
    };
    let (first, last) = range.into_inner();
    *status = StatusCode::PARTIAL_CONTENT;
    headers.insert(CONTENT_RANGE, Part::content_range(first, last, total));
    // Both are below the length of what is in memory.
    *body = body.slice(first as usize..=last as usize);
}

/// What a request gets of a stored part, where that holds all it wants.
pub(crate) fn cut_part(
    request: &HeaderMap,
    part: Part,
    headers: &mut HeaderMap,
    body: &Bytes,
) -> Option<Bytes> {
    let wanted = Wanted::of(request)?;
    if !still_counts(request, headers) {
        return None;
    }
    let (first, last) = wanted.within(part.total)?.into_inner();
    if first < part.first || part.last < last {
        return None;
    }
    headers.insert(CONTENT_RANGE, Part::content_range(first, last, part.total));
    let (from, to) = (first - part.first, last - part.first);
    Some(body.slice(from as usize..=to as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn ranges() {
        for (text, total, expected) in [
            ("bytes=0-4", 10, Some(Some((0, 4)))),
            ("BYTES=0-4", 10, Some(Some((0, 4)))),
            ("bytes=5-", 10, Some(Some((5, 9)))),
            ("bytes=5-99", 10, Some(Some((5, 9)))),
            ("bytes=-3", 10, Some(Some((7, 9)))),
            ("bytes=-99", 10, Some(Some((0, 9)))),
            ("bytes=10-", 10, Some(None)),
            ("bytes=-0", 10, Some(None)),
            ("bytes=0-0", 0, Some(None)),
            ("bytes=5-4", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=a-b", 10, None),
            ("bytes=-", 10, None),
            ("bytes=", 10, None),
            ("bytes 0-4", 10, None),
            ("lines=0-4", 10, None),
            ("bytes=+1-4", 10, None),
            ("bytes=0-99999999999999999999", 10, None),
        ] {
            let found = Wanted::of(&headers(&[("range", text)]))
                .map(|wanted| wanted.within(total).map(RangeInclusive::into_inner));
            assert_eq!(found, expected, "{text} of {total}");
        }
        let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]);
        assert_eq!(Wanted::of(&twice), None);
    }

    #[test]
    fn parts() {
        let of = |text| Part::of(&headers(&[("content-range", text)]));
        let part = |first, last, total| Some(Part { first, last, total });
        assert_eq!(of("bytes 0-4/10"), part(0, 4, 10));
        for text in [
            "bytes 0-4/*",
            "bytes */10",
            "bytes 4-0/10",
            "bytes 0-10/10",
            "bytes 0-4",
            "bytes=0-4/10",
            "lines 0-4/10",
            "bytes 0-/10",
            "bytes -4/10",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn parts_that_meet_are_one() {
        const WHOLE: &[u8] = b"0123456789";
        let part = |first: usize, last: usize| {
            let bytes = Bytes::from_static(&WHOLE[first..=last]);
            let (first, last) = (first as u64, last as u64);
            let total = 10;
            (Part { first, last, total }, bytes)
        };
        for ((a, b), (c, d), expected) in [
            ((0, 4), (5, 9), Some((0, 9))),
            ((5, 9), (0, 4), Some((0, 9))),
            ((0, 6), (4, 9), Some((0, 9))),
            ((4, 9), (0, 6), Some((0, 9))),
            ((2, 7), (4, 5), Some((2, 7))),
            ((4, 5), (2, 7), Some((2, 7))),
            ((2, 5), (2, 5), Some((2, 5))),
            ((0, 3), (5, 9), None),
            ((5, 9), (0, 3), None),
        ] {
            let ((one, bytes), (other, with)) = (part(a, b), part(c, d));
            let joined = one.joined(&bytes, &other, &with);
            let expected = expected.map(|(first, last)| part(first, last));
            assert_eq!(joined, expected, "{a}-{b} and {c}-{d}");
        }
        let (one, bytes) = part(0, 4);
        let (other, with) = part(5, 8);
        let longer = Part { total: 11, ..other };
        assert_eq!(one.joined(&bytes, &longer, &with), None);
    }

    #[test]
    fn if_range_compares_strongly() {
        const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const MADE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
        let response = headers(&[
            ("etag", "\"a\""),
            ("last-modified", MODIFIED),
            ("date", MADE),
        ]);
        for (condition, expected) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (MODIFIED, true),
            ("Sun, 06 Nov 1994 08:49:38 GMT", false),
            ("yesterday", false),
        ] {
            let request = headers(&[("if-range", condition)]);
            assert_eq!(still_counts(&request, &response), expected, "{condition}");
        }
        let just_made = headers(&[("last-modified", MODIFIED), ("date", MODIFIED)]);
        assert!(!still_counts(
            &headers(&[("if-range", MODIFIED)]),
            &just_made
        ));
        let weak = headers(&[("etag", "W/\"a\"")]);
        assert!(!still_counts(&headers(&[("if-range", "W/\"a\"")]), &weak));
        assert!(still_counts(&HeaderMap::new(), &weak));
    }

    #[test]
    fn parts_give_what_they_hold() {
        let part = Part {
            first: 2,
            last: 5,
            total: 10,
        };
        let body = Bytes::from_static(b"2345");
        for (range, expected) in [
            ("bytes=2-5", Some("2345")),
            ("bytes=3-4", Some("34")),
            ("bytes=1-4", None),
            ("bytes=4-6", None),
            ("bytes=4-", None),
            ("bytes=-2", None),
            ("bytes=20-", None),
        ] {
            let mut headers_of_part = HeaderMap::new();
            let request = headers(&[("range", range)]);
            let found = cut_part(&request, part, &mut headers_of_part, &body);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{range}");
        }
    }
}
