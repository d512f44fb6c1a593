//! Range requests: RFC 9110, sections 14 (range requests), 13.1.5 (`If-Range`), 15.3.7 (206) and
//! 15.5.17 (416), answered from a stored whole response. What is stored of parts is in
//! `rfc9111_parts.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const FRESH: &str = "cache-control: max-age=600|date: {now}";
const BODY: &str = "0123456789";

/// Stores a whole response with these fields.
async fn stored(rig: &Rig, own: &str) {
    rig.origin(200, &format!("{FRESH}|{own}"), BODY);
    assert_eq!(rig.get("/", "").await.text(), BODY);
}

/// What an answer comes to: its status, its `Content-Range`, its content.
fn parts(reply: &Reply) -> (u16, Option<&str>, &str) {
    (
        reply.status.as_u16(),
        reply.header("content-range"),
        reply.text(),
    )
}

/// Sections 14.1.1, 14.1.2 and 15.3.7: one satisfiable range is a 206 with the range that it is.
#[tokio::test]
async fn a_single_range_is_answered_with_that_part() {
    let mut failures = Failures::default();
    for (range, content_range, content) in [
        ("bytes=0-4", "bytes 0-4/10", "01234"),
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=3-6", "bytes 3-6/10", "3456"),
        ("bytes=9-9", "bytes 9-9/10", "9"),
        ("bytes=0-9", "bytes 0-9/10", BODY),
        ("bytes=00-04", "bytes 0-4/10", "01234"),
        // To the end.
        ("bytes=0-", "bytes 0-9/10", BODY),
        ("bytes=5-", "bytes 5-9/10", "56789"),
        ("bytes=9-", "bytes 9-9/10", "9"),
        // A last position past the end is the end.
        ("bytes=5-9", "bytes 5-9/10", "56789"),
        ("bytes=5-10", "bytes 5-9/10", "56789"),
        ("bytes=0-1000", "bytes 0-9/10", BODY),
        ("bytes=9-18446744073709551615", "bytes 9-9/10", "9"),
        // The last so many; all of them where there are not more.
        ("bytes=-1", "bytes 9-9/10", "9"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-10", "bytes 0-9/10", BODY),
        ("bytes=-11", "bytes 0-9/10", BODY),
        ("bytes=-18446744073709551615", "bytes 0-9/10", BODY),
    ] {
        for (kind, rig) in both() {
            stored(&rig, "etag: \"v1\"").await;
            let reply = rig.get("/", &format!("range: {range}")).await;
            failures.check(
                parts(&reply) == (206, Some(content_range), content) && rig.asked() == 1,
                || format!("{kind}: {range}: {reply:?}"),
            );
            let length = reply.header("content-length");
            let expected = content.len().to_string();
            failures.check(length.is_none_or(|length| length == expected), || {
                format!("{kind}: {range}: the length of a part is the part's: {length:?}")
            });
        }
    }
}

/// Sections 14.1.2 and 15.5.17: what no part of the body satisfies is a 416 that tells the length.
#[tokio::test]
async fn an_unsatisfiable_range_is_a_416() {
    let mut failures = Failures::default();
    for range in [
        "bytes=10-",
        "bytes=10-10",
        "bytes=10-20",
        "bytes=100-200",
        "bytes=-0",
        "bytes=18446744073709551615-",
    ] {
        for (kind, rig) in both() {
            stored(&rig, "etag: \"v1\"").await;
            let reply = rig.get("/", &format!("range: {range}")).await;
            failures.check(
                reply.status == 416
                    && reply.header("content-range") == Some("bytes */10")
                    && !reply.text().contains("01234")
                    && rig.asked() == 1,
                || format!("{kind}: {range}: {reply:?}"),
            );
            let whole = rig.get("/", "").await;
            failures.check(whole.is_hit() && parts(&whole) == (200, None, BODY), || {
                format!("{kind}: after {range}: {whole:?}")
            });
        }
    }
}

/// Section 14.2: what is malformed, of another unit or several ranges may be ignored: the whole.
#[tokio::test]
async fn other_range_fields_are_answered_with_the_whole() {
    let mut failures = Failures::default();
    for range in [
        // A last position before the first is invalid (section 14.1.1).
        "range: bytes=4-2",
        "range: bytes=9-0",
        "range: bytes=",
        "range: bytes",
        "range: bytes=-",
        "range: bytes=--1",
        "range: bytes=1",
        "range: bytes=a-b",
        "range: bytes=0-b",
        "range: bytes=1-2-3",
        "range: bytes=+1-2",
        "range: bytes=0x0-4",
        "range: bytes=0-4;x",
        "range: bytes=0-4 x",
        "range: bytes=0 - 4",
        "range: bytes 0-4",
        "range: bytes:0-4",
        "range: =0-4",
        "range: 0-4",
        "range:",
        "range: bytes=\u{663}-\u{664}",
        // Other units.
        "range: items=0-4",
        "range: seconds=0-",
        "range: bytess=0-4",
        // Several ranges.
        "range: bytes=0-1,3-4",
        "range: bytes=0-1, 5-",
        "range: bytes=0-, 0-, 0-, 0-, 0-",
        "range: bytes=0-1, -1",
        "range: bytes=0-4|range: bytes=5-9",
    ] {
        for (kind, rig) in both() {
            stored(&rig, "etag: \"v1\"").await;
            rig.origin(200, &format!("{FRESH}|etag: \"v1\""), BODY);
            let reply = rig.get("/", range).await;
            failures.check(parts(&reply) == (200, None, BODY), || {
                format!("{kind}: {range}: {reply:?}")
            });
        }
    }
}

/// Section 14.2: an empty body has no parts; it is sent as it is, or there is no such range.
#[tokio::test]
async fn an_empty_body_has_no_parts() {
    for (kind, rig) in both() {
        rig.origin(200, &format!("{FRESH}|etag: \"v1\""), "");
        rig.get("/", "").await;
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            rig.origin(200, &format!("{FRESH}|etag: \"v1\""), "");
            let reply = rig.get("/", &format!("range: {range}")).await;
            let well = [(200, None, ""), (416, Some("bytes */0"), "")];
            let got = (reply.status.as_u16(), reply.header("content-range"), "");
            assert!(well.contains(&got), "{kind}: {range}: {reply:?}");
        }
    }
}

/// Section 15.3.7: a 206 has the fields that the 200 has, and the Age of its reuse.
#[tokio::test]
async fn a_part_carries_the_fields_of_the_whole() {
    for (kind, rig) in both() {
        let own = "etag: \"v1\"|last-modified: Sun, 06 Nov 1994 08:49:37 GMT|expires: {now+600}|vary: x-a|\
            content-location: /a|content-type: text/plain|content-language: en|content-encoding: x-own|\
            x-own: 1|x-own: 2|content-length: 10";
        stored(&rig, own).await;
        rig.advance(7);
        let whole = rig.get("/", "").await;
        let reply = rig.get("/", "range: bytes=2-4").await;
        assert_eq!(
            parts(&reply),
            (206, Some("bytes 2-4/10"), "234"),
            "{kind}: {reply:?}"
        );
        for name in [
            "date",
            "cache-control",
            "etag",
            "expires",
            "content-location",
            "vary",
            "last-modified",
            "content-type",
            "content-language",
            "content-encoding",
            "x-own",
        ] {
            assert!(whole.header(name).is_some(), "{kind}: {name}");
            assert_eq!(reply.lines(name), whole.lines(name), "{kind}: {name}");
        }
        assert_eq!(reply.lines("age"), ["7"], "{kind}");
        reply.assert_hit();
        assert_eq!(rig.asked(), 1, "{kind}");
    }
}

/// Section 14.2: a range means something for GET alone.
#[tokio::test]
async fn head_ignores_ranges() {
    for (kind, rig) in both() {
        stored(&rig, "etag: \"v1\"").await;
        for range in ["bytes=0-4", "bytes=10-", "bytes=0-1,3-4"] {
            rig.origin(200, &format!("{FRESH}|etag: \"v1\""), BODY);
            let head = rig.send("HEAD", "/", &format!("range: {range}")).await;
            assert_eq!(parts(&head), (200, None, ""), "{kind}: {range}: {head:?}");
            let length = head.header("content-length");
            assert!(
                length.is_none_or(|length| length == "10"),
                "{kind}: {length:?}"
            );
        }
    }
}

/// Sections 13.2.2 and 14.2: a range is looked at after the other conditions, and only where the
/// answer would be a 200.
#[tokio::test]
async fn conditions_go_before_ranges() {
    let mut failures = Failures::default();
    for (condition, expected) in [
        ("if-none-match: \"v1\"", (304, None, "")),
        ("if-none-match: *", (304, None, "")),
        (
            "if-none-match: \"v2\"",
            (206, Some("bytes 0-4/10"), "01234"),
        ),
        (
            "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT",
            (304, None, ""),
        ),
        (
            "if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT",
            (206, Some("bytes 0-4/10"), "01234"),
        ),
        ("if-none-match: \"v1\"|if-range: \"v2\"", (304, None, "")),
        (
            "if-none-match: \"v2\"|if-range: \"v1\"",
            (206, Some("bytes 0-4/10"), "01234"),
        ),
        ("if-none-match: \"v2\"|if-range: \"v2\"", (200, None, BODY)),
    ] {
        for (kind, rig) in both() {
            stored(&rig, &format!("etag: \"v1\"|last-modified: {MODIFIED}")).await;
            let request = format!("range: bytes=0-4|{condition}");
            let reply = rig.get("/", &request).await;
            failures.check(parts(&reply) == expected && rig.asked() == 1, || {
                format!("{kind}: {request}: {reply:?}")
            });
        }
    }
}

/// Section 14.2: the answer to a range is a part only where it would be a 200 without.
#[tokio::test]
async fn other_statuses_have_no_parts() {
    let mut failures = Failures::default();
    for status in [203, 301, 404, 410] {
        for (kind, rig) in both() {
            let headers = format!("{FRESH}|etag: \"v1\"|location: /a");
            rig.origin(status, &headers, BODY);
            rig.get("/", "").await;
            for range in ["bytes=0-4", "bytes=20-"] {
                rig.origin(status, &headers, BODY);
                let reply = rig.get("/", &format!("range: {range}")).await;
                failures.check(parts(&reply) == (status, None, BODY), || {
                    format!("{kind}: {status}: {reply:?}")
                });
            }
        }
    }
}

/// Section 13.1.5: the part where the validator is the stored one by strong comparison, else the
/// whole; a date only where it is a strong validator (section 8.8.2.2) and the very same.
#[tokio::test]
async fn if_range_decides_between_part_and_whole() {
    let mut failures = Failures::default();
    let modified = format!("last-modified: {MODIFIED}");
    let tagged = format!("etag: \"v1\"|{modified}");
    let part = (206, Some("bytes 0-4/10"), "01234");
    let whole = (200, None, BODY);
    for (own, if_range, expected) in [
        ("etag: \"v1\"", "\"v1\"", part),
        (&tagged, "\"v1\"", part),
        ("etag: \"a,b\"", "\"a,b\"", part),
        ("etag: \"v1\"", "\"v2\"", whole),
        ("etag: \"v1\"", "\"V1\"", whole),
        // Weak ones never match.
        ("etag: \"v1\"", "W/\"v1\"", whole),
        ("etag: W/\"v1\"", "\"v1\"", whole),
        ("etag: W/\"v1\"", "W/\"v1\"", whole),
        // It is one tag, no list and no wildcard.
        ("etag: \"v1\"", "\"v1\", \"v2\"", whole),
        ("etag: \"v1\"", "\"v2\", \"v1\"", whole),
        ("etag: \"v1\"", "*", whole),
        ("etag: \"v1\"", "v1", whole),
        ("etag: \"v1\"", "", whole),
        ("", "\"v1\"", whole),
        (&modified, "\"v1\"", whole),
        // Dates, exactly.
        (&modified, MODIFIED, part),
        (&tagged, MODIFIED, part),
        (&modified, "Sun, 06 Nov 1994 08:49:38 GMT", whole),
        (&modified, "Sun, 06 Nov 1994 08:49:36 GMT", whole),
        (&modified, "yesterday", whole),
        ("etag: \"v1\"", MODIFIED, whole),
        // Modified in the second in which it was sent: it may have been again.
        ("last-modified: {now}", "{now}", whole),
    ] {
        for (kind, rig) in both() {
            stored(&rig, own).await;
            let request = format!("range: bytes=0-4|if-range: {if_range}");
            let reply = rig.get("/", &request).await;
            failures.check(parts(&reply) == expected && rig.asked() == 1, || {
                format!("{kind}: {own:?}, If-Range: {if_range}: {reply:?}")
            });
        }
    }
}

/// Section 13.1.5: without a `Range` it is ignored; a range that cannot be satisfied is looked at
/// only where it is true.
#[tokio::test]
async fn if_range_says_whether_the_range_counts() {
    let mut failures = Failures::default();
    for (request, expected) in [
        ("if-range: \"v1\"", (200, None)),
        ("if-range: \"v2\"", (200, None)),
        (
            "if-range: \"v1\"|range: bytes=20-",
            (416, Some("bytes */10")),
        ),
        ("if-range: \"v2\"|range: bytes=20-", (200, None)),
        ("if-range: \"v1\"|range: bytes=4-2", (200, None)),
    ] {
        for (kind, rig) in both() {
            stored(&rig, "etag: \"v1\"").await;
            let reply = rig.get("/", request).await;
            let (status, range, _) = parts(&reply);
            failures.check((status, range) == expected && rig.asked() == 1, || {
                format!("{kind}: {request}: {reply:?}")
            });
        }
    }
}

/// RFC 9111, sections 4.3.1 and 4.3.3: a stale whole response is validated, and gives its part after.
#[tokio::test]
async fn a_stale_response_is_validated_before_it_gives_a_part() {
    for (kind, rig) in both() {
        let brief = "cache-control: max-age=10|date: {now}|etag: \"v1\"";
        rig.origin(200, brief, BODY);
        rig.get("/", "").await;
        rig.advance(20);
        rig.origin(304, brief, "");
        let reply = rig.get("/", "range: bytes=0-4").await;
        assert_eq!(
            parts(&reply),
            (206, Some("bytes 0-4/10"), "01234"),
            "{kind}: {reply:?}"
        );
        assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"v1\""));
        assert_eq!(rig.get("/", "").await.assert_hit().text(), BODY, "{kind}");
        assert_eq!(rig.asked(), 2, "{kind}");
    }
}

/// RFC 5861, section 3: what may be served stale gives its part stale; the refresh asks for the whole.
#[tokio::test]
async fn a_stale_response_that_may_be_served_gives_a_part() {
    for (kind, rig) in both() {
        let headers =
            "cache-control: max-age=10, stale-while-revalidate=100|date: {now}|etag: \"v1\"";
        rig.origin(200, headers, BODY);
        rig.get("/", "").await;
        rig.advance(20);
        rig.origin(304, headers, "");
        let reply = rig.get("/", "range: bytes=0-4").await;
        assert_eq!(
            parts(&reply),
            (206, Some("bytes 0-4/10"), "01234"),
            "{kind}: {reply:?}"
        );
        rig.settle().await;
        assert_eq!(rig.asked(), 2, "{kind}");
        assert_eq!(rig.seen_header("range"), None, "{kind}");
        assert_eq!(rig.get("/", "").await.assert_hit().text(), BODY, "{kind}");
    }
}

/// Section 14.2 with RFC 9111, section 4.1: parts are of the variant that the request selects.
#[tokio::test]
async fn parts_are_of_the_selected_variant() {
    for (kind, rig) in both() {
        for (language, body) in [("de", "deutsch"), ("en", "english")] {
            let own = format!("{FRESH}|vary: accept-language|etag: \"{language}\"");
            rig.origin(200, &own, body);
            rig.get("/", &format!("accept-language: {language}")).await;
        }
        for (language, part) in [("de", "deu"), ("en", "eng")] {
            let request = format!("accept-language: {language}|range: bytes=0-2");
            let reply = rig.get("/", &request).await;
            assert_eq!(parts(&reply), (206, Some("bytes 0-2/7"), part), "{kind}");
        }
        rig.origin(200, FRESH, "italiano");
        let other = rig.get("/", "accept-language: it|range: bytes=0-2").await;
        // The part may be cut from the whole that the origin sent.
        let allowed = [(200, None, "italiano"), (206, Some("bytes 0-2/8"), "ita")];
        assert!(allowed.contains(&parts(&other)), "{kind}: {other:?}");
    }
}
