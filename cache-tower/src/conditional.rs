//! Validators, and clients' conditional requests (RFC 9110, sections 8.8 and 13).

use std::time::SystemTime;

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use xxhash_rust::xxh3::Xxh3;

use crate::freshness::date;

/// Whether the client that sent `request` has what a response with these headers would give it.
/// `now` is for reading dates.
pub(crate) fn is_current(
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    now: impl FnOnce() -> SystemTime,
) -> bool {
    if !status.is_success() {
        return false;
    }
    let mut conditions = request.get_all(IF_NONE_MATCH).iter().peekable();
    if conditions.peek().is_some() {
        let etag = response.get(ETAG).map(HeaderValue::as_bytes);
        return conditions.any(|line| lists(line.as_bytes(), etag));
    }
    // More than one date is none (RFC 9110, section 13.1.3).
    if request.get_all(IF_MODIFIED_SINCE).iter().count() != 1 {
        return false;
    }
    let now = now();
    // Without `Last-Modified`, by when it was made (RFC 9111, section 4.3.2).
    let modified = match response.contains_key(LAST_MODIFIED) {
        true => date(response, LAST_MODIFIED, now),
        false => date(response, DATE, now),
    };
    match (date(request, IF_MODIFIED_SINCE, now), modified) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether a line of `If-None-Match` lists the tag, by weak comparison; `*` lists whatever there is.
fn lists(mut line: &[u8], etag: Option<&[u8]>) -> bool {
    if line.trim_ascii() == b"*" {
        return true;
    }
    let Some(etag) = etag.map(opaque) else {
        return false;
    };
    // An opaque tag may hold commas, so quotes are what separates.
    while let Some(open) = line.iter().position(|&b| b == b'"') {
        let Some(length) = line[open + 1..].iter().position(|&b| b == b'"') else {
            return false;
        };
        let end = open + 1 + length + 1;
        if &line[open..end] == etag {
            return true;
        }
        line = &line[end..];
    }
    false
}

/// A tag without its mark of weakness.
pub(crate) fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

/// A validator for a body and what says how to read it: XXH3 of 128 bits, the same on every machine
/// and in every version. Weak, since a layer outside may compress what it stands for.
pub(crate) fn entity_tag(body: &[u8], headers: &HeaderMap) -> HeaderValue {
    let mut hasher = Xxh3::new();
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
        let value = headers
            .get(name)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        hasher.update(&(value.len() as u64).to_le_bytes());
        hasher.update(value);
    }
    hasher.update(body);
    let tag = format!("W/\"{:032x}\"", hasher.digest128());
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

/// Leaves of a response's headers what a 304 carries: no description of the body it does not have.
pub(crate) fn strip_for_304(headers: &mut HeaderMap) {
    for name in [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_RANGE,
    ] {
        headers.remove(name);
    }
    if headers.contains_key(ETAG) {
        headers.remove(LAST_MODIFIED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn conditions() {
        const EARLY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        const LATE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
        let etag = ("etag", "\"a,b\"");
        let modified = ("last-modified", EARLY);
        for (request, response, expected) in [
            (vec![], vec![etag], false),
            (vec![("if-none-match", "\"a,b\"")], vec![etag], true),
            (vec![("if-none-match", "W/\"a,b\"")], vec![etag], true),
            (vec![("if-none-match", "\"x\", \"a,b\"")], vec![etag], true),
            (
                vec![("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")],
                vec![etag],
                true,
            ),
            (vec![("if-none-match", "\"a\"")], vec![etag], false),
            (vec![("if-none-match", "a,b")], vec![etag], false),
            (vec![("if-none-match", "\"a,b")], vec![etag], false),
            (vec![("if-none-match", "*")], vec![], true),
            (vec![("if-none-match", "\"x\"")], vec![], false),
            (
                vec![("if-none-match", "\"x\""), ("if-modified-since", LATE)],
                vec![etag, modified],
                false,
            ),
            (vec![("if-modified-since", LATE)], vec![modified], true),
            (vec![("if-modified-since", EARLY)], vec![modified], true),
            (
                vec![("if-modified-since", EARLY)],
                vec![("last-modified", LATE)],
                false,
            ),
            (
                vec![("if-modified-since", "yesterday")],
                vec![modified],
                false,
            ),
            (vec![("if-modified-since", LATE)], vec![], false),
        ] {
            let found = is_current(
                &headers(&request),
                StatusCode::OK,
                &headers(&response),
                || SystemTime::UNIX_EPOCH,
            );
            assert_eq!(found, expected, "{request:?} {response:?}");
        }
        let star = headers(&[("if-none-match", "*")]);
        assert!(!is_current(
            &star,
            StatusCode::NOT_FOUND,
            &HeaderMap::new(),
            || SystemTime::UNIX_EPOCH
        ));
    }

    #[test]
    fn tags_follow_the_body_and_how_it_is_read() {
        let gzip = headers(&[("content-encoding", "gzip")]);
        let plain = HeaderMap::new();
        assert_eq!(entity_tag(b"a", &plain), entity_tag(b"a", &plain));
        assert_ne!(entity_tag(b"a", &plain), entity_tag(b"b", &plain));
        assert_ne!(entity_tag(b"a", &plain), entity_tag(b"a", &gzip));
    }

    #[test]
    fn tags_are_weak_and_the_same_in_every_build() {
        let html = headers(&[("content-type", "text/html")]);
        assert_eq!(
            entity_tag(b"a page", &html),
            "W/\"5afbb1a7debf67823dd850c7d8be9a57\""
        );
    }
}
