//! Parts of responses: RFC 9111, sections 3.3 (storing incomplete responses) and 3.4 (combining
//! partial content); what goes to the origin with a `Range`. Parts of what is stored whole are in
//! `rfc9110_ranges.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600|date: {now}";
const BODY: &str = "0123456789";
/// Another representation.
const OTHER: &str = "abcdefghij";

/// What an answer comes to: its status, its `Content-Range`, its content.
fn parts(reply: &Reply) -> (u16, Option<&str>, &str) {
    (
        reply.status.as_u16(),
        reply.header("content-range"),
        reply.text(),
    )
}

/// The part from `first` to `last` of [`BODY`], as an origin sends it, with these fields.
fn part(rig: &Rig, first: usize, last: usize, own: &str) {
    let headers = format!("{FRESH}|content-range: bytes {first}-{last}/10|{own}");
    rig.origin(206, &headers, &BODY[first..=last]);
}

/// Whether the answer to the last request is of what the origin sent for it, which was [`OTHER`]: whole,
/// or the part that was asked for.
fn is_other(reply: &Reply) -> bool {
    let text = reply.text();
    match reply.status.as_u16() {
        200 => text == OTHER && reply.header("content-range").is_none(),
        206 => OTHER.find(text).is_some_and(|first| {
            let range = format!("bytes {first}-{}/10", first + text.len() - 1);
            reply.header("content-range") == Some(&range)
        }),
        _ => false,
    }
}

/// RFC 9110, section 14.2: a request with a range goes to the origin as it is, and so does the answer
/// to the client.
#[tokio::test]
async fn a_range_that_is_not_stored_is_forwarded() {
    for (kind, rig) in both() {
        for range in ["bytes=2-5", "bytes=-8", "bytes=0-1, 4-5", "items=0-4"] {
            part(&rig, 2, 5, "etag: \"v1\"|x-own: 1|cache-control: no-store");
            let request = format!("range: {range}|if-range: \"v1\"");
            let reply = rig.get("/", &request).await;
            assert_eq!(
                parts(&reply),
                (206, Some("bytes 2-5/10"), "2345"),
                "{kind}: {range}: {reply:?}"
            );
            assert_eq!(reply.header("x-own"), Some("1"), "{kind}");
            assert_eq!(rig.seen_header("range").as_deref(), Some(range), "{kind}");
            assert_eq!(
                rig.seen_header("if-range").as_deref(),
                Some("\"v1\""),
                "{kind}"
            );
        }
    }
}

/// Section 3.3: a stored part answers what lies within it, as a 206, and nothing else.
#[tokio::test]
async fn a_stored_part_answers_what_lies_within_it() {
    let mut failures = Failures::default();
    for (request, expected) in [
        ("range: bytes=2-5", Some(("bytes 2-5/10", "2345"))),
        ("range: bytes=3-4", Some(("bytes 3-4/10", "34"))),
        ("range: bytes=2-2", Some(("bytes 2-2/10", "2"))),
        ("range: bytes=5-5", Some(("bytes 5-5/10", "5"))),
        (
            "range: bytes=2-5|if-range: \"v1\"",
            Some(("bytes 2-5/10", "2345")),
        ),
        // Not within it.
        ("range: bytes=2-6", None),
        ("range: bytes=1-5", None),
        ("range: bytes=0-9", None),
        ("range: bytes=6-9", None),
        ("range: bytes=0-", None),
        ("range: bytes=2-", None),
        ("range: bytes=-8", None),
        ("range: bytes=-1", None),
        ("range: bytes=2-3,4-5", None),
        ("range: bytes=5-2", None),
        ("range: items=2-5", None),
        ("range: bytes=2-5|if-range: \"v2\"", None),
        ("range: bytes=2-5|if-range: W/\"v1\"", None),
        // The whole.
        ("", None),
        ("if-range: \"v1\"", None),
    ] {
        let rig = proxy();
        part(&rig, 2, 5, "etag: \"v1\"|content-type: text/plain");
        rig.get("/", "range: bytes=2-5").await;
        rig.advance(7);
        rig.origin(200, FRESH, OTHER);
        let reply = rig.get("/", request).await;
        match expected {
            Some((content_range, content)) => {
                failures.check(
                    parts(&reply) == (206, Some(content_range), content) && rig.asked() == 1,
                    || format!("{request:?}: {reply:?}"),
                );
                failures.check(
                    reply.is_hit()
                        && reply.header("age") == Some("7")
                        && reply.header("etag") == Some("\"v1\"")
                        // Who sent an If-Range has that one already (RFC 9110, section 15.3.7).
                        && (request.contains("if-range")
                            || reply.header("content-type") == Some("text/plain")),
                    || format!("the stored fields, {request:?}: {reply:?}"),
                );
            }
            None => failures.check(rig.asked() == 2 && is_other(&reply), || {
                format!("{request:?}: {reply:?}")
            }),
        }
    }
}

/// Section 3.3: of a stored end the last bytes may be asked for in any form.
#[tokio::test]
async fn a_stored_end_is_the_end_however_it_is_asked_for() {
    let mut failures = Failures::default();
    for (range, content_range, content) in [
        ("bytes=6-9", "bytes 6-9/10", "6789"),
        ("bytes=6-", "bytes 6-9/10", "6789"),
        ("bytes=8-", "bytes 8-9/10", "89"),
        ("bytes=8-100", "bytes 8-9/10", "89"),
        ("bytes=-4", "bytes 6-9/10", "6789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
    ] {
        let rig = proxy();
        part(&rig, 6, 9, "etag: \"v1\"");
        rig.get("/", "range: bytes=-4").await;
        rig.origin(200, FRESH, OTHER);
        let reply = rig.get("/", &format!("range: {range}")).await;
        // It may be asked for again; what is answered must be right.
        let asked_again = rig.asked() == 2 && is_other(&reply);
        failures.check(
            asked_again || parts(&reply) == (206, Some(content_range), content),
            || format!("{range}: {reply:?}"),
        );
    }
}

/// Section 3.3: a part never is the whole, whatever it claims of its length and its freshness, and
/// HEAD asks for no part.
#[tokio::test]
async fn a_part_is_never_the_whole() {
    let mut failures = Failures::default();
    for (request, content_range, body) in [
        ("range: bytes=0-4", "content-range: bytes 0-4/10", "01234"),
        ("range: bytes=0-4", "content-range: bytes 0-4/*", "01234"),
        ("range: bytes=0-", "content-range: bytes 0-4/10", "01234"),
        // Sent to who did not ask for it.
        ("", "content-range: bytes 0-4/10", "01234"),
        ("", "content-range: bytes 0-4/5", "01234"),
        ("", "", "01234"),
        // In several.
        (
            "range: bytes=0-1,3-4",
            "content-type: multipart/byteranges; boundary=x",
            "--x--",
        ),
    ] {
        for method in ["GET", "HEAD"] {
            for (kind, rig) in both() {
                let headers = format!("{FRESH}|etag: \"v1\"|{content_range}");
                rig.origin(206, &headers, body);
                rig.get("/", request).await;
                rig.origin(200, FRESH, "whole");
                let reply = rig.send(method, "/", "").await;
                failures.check(
                    reply.status == 200
                        && (method == "HEAD" || reply.text() == "whole")
                        && reply.header("content-range").is_none()
                        && rig.asked() == 2,
                    || format!("{kind}: {request:?}, {content_range:?}, {method}: {reply:?}"),
                );
                failures.check(rig.seen_header("if-none-match").is_none(), || {
                    format!("{kind}: {request:?}: the tag of a part (section 4.3.2)")
                });
            }
        }
    }
}

/// Sections 3 and 3.3: a part that may not be stored, or whose range is not understood, is not.
#[tokio::test]
async fn parts_that_are_not_understood_are_not_stored() {
    let mut failures = Failures::default();
    let range = "content-range: bytes 0-4/10";
    for (own, body) in [
        (format!("cache-control: no-store|{range}"), "01234"),
        (
            format!("cache-control: private, max-age=600|{range}"),
            "01234",
        ),
        (range.to_owned(), "01234"),
        (format!("{FRESH}|vary: *|{range}"), "01234"),
        // Another unit, no range, impossible ranges.
        (format!("{FRESH}|content-range: items 0-4/10"), "01234"),
        (FRESH.to_owned(), "01234"),
        (format!("{FRESH}|content-range: bytes 4-0/10"), "01234"),
        (format!("{FRESH}|content-range: bytes 0-4/4"), "01234"),
        (format!("{FRESH}|content-range: bytes */10"), "01234"),
        (format!("{FRESH}|content-range: bytes 0-4"), "01234"),
        (format!("{FRESH}|content-range: 0-4/10"), "01234"),
        (format!("{FRESH}|content-range: bytes a-b/10"), "01234"),
        (
            format!("{FRESH}|{range}|content-range: bytes 5-9/10"),
            "01234",
        ),
        // Of another length than it says.
        (format!("{FRESH}|{range}"), "0123"),
        (format!("{FRESH}|{range}"), "012345"),
        (
            format!("{FRESH}|content-type: multipart/byteranges; boundary=x"),
            "--x--",
        ),
    ] {
        for (kind, rig) in both() {
            rig.origin(206, &own, body);
            let first = rig.get("/", "range: bytes=0-4").await;
            failures.check(first.text() == body, || format!("{kind}: {own}: {first:?}"));
            rig.origin(200, FRESH, OTHER);
            let reply = rig.get("/", "range: bytes=0-4").await;
            failures.check(rig.asked() == 2 && is_other(&reply), || {
                format!("{kind}: {own} is stored: {reply:?}")
            });
        }
    }
}

/// Sections 4.1, 4.2 and 4: a part is reused under the same rules as the whole.
#[tokio::test]
async fn parts_are_reused_as_wholes_are() {
    let rig = proxy();
    part(&rig, 0, 4, "vary: x-a|etag: \"v1\"");
    rig.get("/a", "range: bytes=0-4|x-a: 1").await;
    let within = "range: bytes=1-2|x-a: 1";
    rig.get("/a", within).await.assert_hit();
    // Another variant, another URI.
    for (uri, request) in [("/a", "range: bytes=1-2|x-a: 2"), ("/b", within)] {
        rig.origin(200, "cache-control: no-store", OTHER);
        let reply = rig.get(uri, request).await;
        assert!(is_other(&reply), "{uri} {request}: {reply:?}");
    }
    // Its condition, which goes before the range.
    let current = rig
        .get("/a", &format!("{within}|if-none-match: \"v1\""))
        .await;
    assert_eq!(current.status, 304, "{current:?}");
    // Past its lifetime.
    rig.advance(601);
    rig.origin(200, "cache-control: no-store", OTHER);
    assert!(is_other(&rig.get("/a", within).await));
}

/// Section 4: who waited for the part of another gets its own where that is not within the other's.
#[tokio::test]
async fn parts_asked_for_at_once_are_each_their_own() {
    let mut failures = Failures::default();
    for (first, second) in [
        ("bytes=0-4", "bytes=5-9"),
        ("bytes=0-4", "bytes=0-5"),
        ("bytes=2-5", "bytes=0-1"),
        ("bytes=5-9", "bytes=0-"),
    ] {
        for (kind, rig) in both() {
            for range in [first, second] {
                let (from, to) = range[6..].split_once('-').unwrap();
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap_or(9));
                part(&rig, from, to, "etag: \"v1\"");
                rig.held();
            }
            let one = rig.begin("GET", "/", &format!("range: {first}")).await;
            let two = rig.begin("GET", "/", &format!("range: {second}")).await;
            rig.release();
            for (range, reply) in [(first, one), (second, two)] {
                let reply = reply.await.unwrap();
                let asked = range[6..].trim_end_matches('-');
                let answered = reply.header("content-range").unwrap_or_default();
                failures.check(answered.starts_with(&format!("bytes {asked}")), || {
                    format!("{kind}: {first} and {second}: {range}: {reply:?}")
                });
            }
        }
    }
}

/// Section 4.4 and the verbs of this cache: parts are dropped with the rest of their URI.
#[tokio::test]
async fn parts_are_dropped_too() {
    for by in ["POST", "tag", "path"] {
        let rig = rig(CacheLayer::shared_proxy().tags(["t"]));
        part(&rig, 0, 4, "etag: \"v1\"");
        rig.get("/", "range: bytes=0-4").await;
        rig.get("/", "range: bytes=0-4").await.assert_hit();
        match by {
            "POST" => {
                rig.origin(204, "", "");
                rig.send("POST", "/", "").await;
            }
            "tag" => drop(rig.cache.invalidate_cache("t").await.unwrap()),
            _ => drop(rig.cache.revalidate_path("/").await.unwrap()),
        }
        rig.origin(
            206,
            &format!("{FRESH}|content-range: bytes 0-4/10"),
            "abcde",
        );
        let reply = rig.get("/", "range: bytes=0-4").await;
        assert_eq!(reply.text(), "abcde", "{by}");
    }
}

/// Section 3.4: parts are combined only where they share a strong validator. Whatever is answered is
/// of one representation.
#[tokio::test]
async fn parts_of_different_representations_are_never_mixed() {
    let mut failures = Failures::default();
    for (first, second, same) in [
        ("etag: \"v1\"", "etag: \"v1\"", true),
        ("etag: \"v1\"", "etag: \"v2\"", false),
        ("etag: W/\"v1\"", "etag: W/\"v1\"", false),
        ("etag: \"v1\"", "etag: W/\"v1\"", false),
        ("etag: \"v1\"", "", false),
        ("", "", false),
    ] {
        for request in [
            "",
            "range: bytes=0-9",
            "range: bytes=3-6",
            "range: bytes=0-",
        ] {
            let rig = proxy();
            part(&rig, 0, 4, first);
            rig.get("/", "range: bytes=0-4").await;
            let headers = format!("{FRESH}|content-range: bytes 5-9/10|{second}");
            let rest = if same { "56789" } else { "vwxyz" };
            rig.origin(206, &headers, rest);
            rig.get("/", "range: bytes=5-9").await;
            rig.origin(200, "cache-control: no-store", OTHER);
            let reply = rig.get("/", request).await;
            let forwarded = rig.asked() == 3 && is_other(&reply);
            let combined = match request {
                "" => (200, None, BODY),
                "range: bytes=3-6" => (206, Some("bytes 3-6/10"), "3456"),
                _ => (206, Some("bytes 0-9/10"), BODY),
            };
            failures.check(forwarded || (same && parts(&reply) == combined), || {
                format!("{first:?} and {second:?}: {request:?}: {reply:?}")
            });
        }
    }
}

/// Section 3.3: a response that was cut off is no answer to who wants it whole.
#[tokio::test]
async fn what_was_cut_off_is_not_the_whole() {
    for length in ["content-length: 10", ""] {
        for (kind, rig) in both() {
            rig.origin_cut(200, &format!("{FRESH}|etag: \"v1\"|{length}"), "01234");
            assert!(rig.get("/", "").await.cut, "{kind}");
            rig.origin(200, FRESH, "whole");
            assert_eq!(rig.get("/", "").await.text(), "whole", "{kind}");
            assert_eq!(rig.seen_header("if-none-match"), None, "{kind}");
        }
    }
}

/// RFC 9110, section 15.5.17: a 416 answers one client's range and nothing else, however fresh.
#[tokio::test]
async fn a_416_answers_one_range_alone() {
    for (kind, rig) in both() {
        rig.origin(416, &format!("{FRESH}|content-range: bytes */10"), "no");
        let reply = rig.get("/", "range: bytes=20-").await;
        assert_eq!(reply.status, 416, "{kind}");
        for request in ["", "range: bytes=0-4"] {
            rig.origin(200, "cache-control: no-store", OTHER);
            let reply = rig.get("/", request).await;
            assert!(is_other(&reply), "{kind}: {request:?}: {reply:?}");
        }
    }
}

/// RFC 9110, section 14.2: an origin that ignores the range answers with the whole, which then may
/// answer others.
#[tokio::test]
async fn a_whole_answer_to_a_range_is_a_whole_answer() {
    for (kind, rig) in both() {
        rig.origin(200, &format!("{FRESH}|etag: \"v1\""), OTHER);
        let reply = rig.get("/", "range: bytes=0-4").await;
        assert!(is_other(&reply), "{kind}: {reply:?}");
        rig.origin(200, &format!("{FRESH}|etag: \"v1\""), OTHER);
        let whole = rig.get("/", "").await;
        assert_eq!(parts(&whole), (200, None, OTHER), "{kind}");
    }
}

/// RFC 9110, section 14.4: `Content-Range` means nothing in a 200, so what it is in may be a part or the
/// whole; nobody else gets it.
#[tokio::test]
async fn a_200_with_a_content_range_is_not_stored() {
    for request in ["", "range: bytes=0-2"] {
        let rig = proxy();
        let headers = "cache-control: max-age=60|content-range: bytes 0-2/6";
        rig.origin(200, headers, "one").origin(200, "", "second");
        assert_eq!(rig.get("/", request).await.text(), "one");
        assert_eq!(rig.get("/", "").await.text(), "second", "{request}");
    }
}
