//! Parts put together: RFC 9111, section 3.4, and RFC 9110, section 15.3.7.3. What is stored of a
//! response and what an answer adds to it make a larger part, or the whole.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600|date: {now}";
const BODY: &str = "0123456789";
const OTHER: &str = "abcdefghij";

/// The bytes of [`BODY`] from `first` to `last`, as an origin sends them, with these fields.
fn part(rig: &Rig, first: usize, last: usize, own: &str) {
    let headers = format!("{FRESH}|content-range: bytes {first}-{last}/10|{own}");
    rig.origin(206, &headers, &BODY[first..=last]);
}

/// Has a proxy ask for each of these parts.
async fn stores(rig: &Rig, parts: &[(usize, usize, &str)]) {
    for (first, last, own) in parts {
        part(rig, *first, *last, own);
        let range = format!("range: bytes={first}-{last}");
        let reply = rig.get("/", &range).await;
        assert_eq!(reply.text(), &BODY[*first..=*last], "{reply:?}");
    }
}

#[tokio::test]
async fn parts_that_meet_are_the_whole() {
    let mut failures = Failures::default();
    for (one, other) in [
        ((0, 4), (5, 9)),
        ((5, 9), (0, 4)),
        ((0, 6), (4, 9)),
        ((4, 9), (0, 6)),
    ] {
        for (method, request, status, content) in [
            ("GET", "", 200, BODY),
            ("HEAD", "", 200, ""),
            ("GET", "range: bytes=3-6", 206, "3456"),
            ("GET", "range: bytes=-2", 206, "89"),
            ("GET", "if-none-match: \"v1\"", 304, ""),
        ] {
            let rig = proxy();
            let (one, other) = (
                (one.0, one.1, "etag: \"v1\"|x-a: 1"),
                (other.0, other.1, "etag: \"v1\"|x-a: 2"),
            );
            stores(&rig, &[one, other]).await;
            let reply = rig.send(method, "/", request).await;
            failures.check(
                reply.is_hit()
                    && reply.status == status
                    && reply.text() == content
                    && (status == 206) == reply.header("content-range").is_some(),
                || format!("{one:?} {other:?}: {method} {request:?}: {reply:?}"),
            );
            // Of the last that was received (RFC 9111, section 3.2).
            failures.check(status == 304 || reply.header("x-a") == Some("2"), || {
                format!("{one:?} {other:?}: {method} {request:?}: {reply:?}")
            });
            failures.check(
                method != "HEAD" || reply.header("content-length") == Some("10"),
                || format!("{reply:?}"),
            );
        }
    }
}

#[tokio::test]
async fn parts_that_meet_are_a_larger_part() {
    let rig = proxy();
    let own = "etag: \"v1\"";
    stores(&rig, &[(2, 4, own), (5, 7, own)]).await;
    let within = rig.get("/", "range: bytes=3-6").await;
    within.assert_hit();
    assert_eq!(within.header("content-range"), Some("bytes 3-6/10"));
    assert_eq!(within.text(), "3456");
    rig.origin(200, FRESH, OTHER);
    let beyond = rig.get("/", "range: bytes=1-6").await;
    assert_eq!(rig.asked(), 3, "{beyond:?}");
}

/// What is stored together is judged together: by the fields of both.
#[tokio::test]
async fn parts_are_stored_by_what_they_say_together() {
    let rig = proxy();
    stores(&rig, &[(0, 4, "etag: \"v1\"|cache-control: s-maxage=5")]).await;
    rig.origin(
        206,
        "date: {now}|expires: {now+600}|etag: \"v1\"|content-range: bytes 5-9/10",
        "56789",
    );
    rig.get("/", "range: bytes=5-9").await;
    rig.get("/", "").await.assert_hit();
    rig.advance(6);
    rig.origin(304, FRESH, "");
    rig.get("/", "").await.assert_forwarded();
    assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"v1\""));
}

#[tokio::test]
async fn the_rest_of_a_beginning_is_all_that_is_asked_for() {
    for stale in [false, true] {
        let rig = proxy();
        stores(&rig, &[(0, 3, "etag: \"v1\"|x-a: 1|x-b: 1")]).await;
        rig.advance(if stale { 601 } else { 7 });
        part(&rig, 4, 9, "etag: \"v1\"|x-a: 2|content-length: 6");
        let reply = rig.get("/", "").await;
        assert_eq!(rig.seen_header("range").as_deref(), Some("bytes=4-"));
        assert_eq!(rig.seen_header("if-range").as_deref(), Some("\"v1\""));
        assert_eq!((reply.status.as_u16(), reply.text()), (200, BODY));
        assert_eq!(reply.header("content-range"), None, "{reply:?}");
        assert_eq!(reply.header("content-length"), Some("10"), "{reply:?}");
        let own = (reply.header("x-a"), reply.header("x-b"));
        assert_eq!(own, (Some("2"), Some("1")));
        let said = reply.cache();
        assert!(
            said.contains("fwd=partial; fwd-status=206; stored"),
            "{said}"
        );

        rig.advance(1);
        let again = rig.get("/", "").await;
        again.assert_hit();
        assert_eq!((again.text(), again.header("age")), (BODY, Some("1")));
    }
}

/// The beginning is that of another response, or the answer is not what follows it.
#[tokio::test]
async fn what_is_not_the_rest_is_not_taken_for_it() {
    let mut failures = Failures::default();
    let rest = format!("{FRESH}|content-range: bytes");
    for (status, headers, body) in [
        (206, format!("{rest} 5-9/10|etag: \"v2\""), "vwxyz"),
        (206, format!("{rest} 5-9/10|etag: W/\"v1\""), "vwxyz"),
        (206, format!("{rest} 5-9/10"), "vwxyz"),
        (206, format!("{rest} 6-9/10|etag: \"v1\""), "wxyz"),
        (206, format!("{rest} 5-8/10|etag: \"v1\""), "vwxy"),
        (206, format!("{rest} 5-10/11|etag: \"v1\""), "uvwxyz"),
        (206, format!("{FRESH}|etag: \"v1\""), "vwxyz"),
        (416, format!("{rest} */3"), ""),
    ] {
        let rig = proxy();
        stores(&rig, &[(0, 4, "etag: \"v1\"")]).await;
        rig.origin(status, &headers, body);
        rig.origin(200, FRESH, OTHER);
        let reply = rig.get("/", "").await;
        failures.check(reply.status == 200 && reply.text() == OTHER, || {
            format!("{status} {headers}: {reply:?}")
        });
        let unasked = ["range", "if-range"].map(|name| rig.seen_header(name));
        failures.check(unasked == [None, None], || {
            format!("{headers}: {unasked:?}")
        });
        let again = rig.get("/", "").await;
        failures.check(again.is_hit() && again.text() == OTHER, || {
            format!("{status} {headers}: {again:?}")
        });
    }
}

#[tokio::test]
async fn another_response_takes_the_place_of_a_beginning() {
    let rig = proxy();
    stores(&rig, &[(0, 4, "etag: \"v1\"")]).await;
    rig.origin(200, &format!("{FRESH}|etag: \"v2\""), OTHER);
    for _ in 0..2 {
        assert_eq!(rig.get("/", "").await.text(), OTHER);
    }
    assert_eq!(rig.asked(), 2);
}

/// Only what is surely of one response is asked for in pieces, and only for who asks for it whole.
#[tokio::test]
async fn the_whole_is_asked_for_where_a_beginning_will_not_do() {
    let mut failures = Failures::default();
    for (first, own, request) in [
        (0, "etag: W/\"v1\"", ""),
        (0, "", ""),
        (0, "last-modified: {now-9000}", ""),
        (3, "etag: \"v1\"", ""),
        (0, "etag: \"v1\"|vary: x-a", "x-a: 2"),
        (0, "etag: \"v1\"", "if-none-match: \"v0\""),
    ] {
        let rig = proxy();
        stores(&rig, &[(first, 4, own)]).await;
        rig.origin(200, FRESH, OTHER);
        let reply = rig.get("/", request).await;
        let ranges = ["range", "if-range"].map(|name| rig.seen_header(name));
        failures.check(ranges == [None, None] && reply.text() == OTHER, || {
            format!("{first}, {own:?}, {request:?}: {ranges:?} {reply:?}")
        });
    }
}

/// RFC 9111, section 4.4: what was dropped completes nothing.
#[tokio::test]
async fn a_dropped_beginning_is_not_completed() {
    let rig = proxy();
    stores(&rig, &[(0, 4, "etag: \"v1\"")]).await;
    rig.origin(204, "", "");
    rig.send("POST", "/", "").await;
    part(&rig, 5, 9, "etag: \"v1\"");
    rig.get("/", "range: bytes=5-9").await;
    rig.origin(200, FRESH, OTHER);
    assert_eq!(rig.get("/", "").await.text(), OTHER);
    assert_eq!(rig.seen_header("range"), None);
}

/// The whole that comes of it is not to be stored: its client gets it all the same.
#[tokio::test]
async fn what_is_completed_and_not_stored_is_passed_on_whole() {
    let rig = proxy();
    stores(&rig, &[(0, 4, "etag: \"v1\"")]).await;
    part(&rig, 5, 9, "etag: \"v1\"|cache-control: no-store");
    let reply = rig.get("/", "").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, BODY));
    assert_eq!(reply.header("content-length"), Some("10"));
    let said = reply.cache();
    assert!(said.contains("fwd-status=206; detail=no-store"), "{said}");
    rig.origin(200, FRESH, OTHER);
    assert_eq!(rig.get("/", "range: bytes=6-7").await.text(), OTHER);
}

/// RFC 9111, section 3.3: a rest that breaks off completes nothing.
#[tokio::test]
async fn a_rest_that_breaks_off_completes_nothing() {
    let rig = proxy();
    stores(&rig, &[(0, 4, "etag: \"v1\"")]).await;
    let rest = format!("{FRESH}|etag: \"v1\"|content-range: bytes 5-9/10");
    rig.origin_cut(206, &rest, "567");
    let reply = rig.get("/", "").await;
    assert!(reply.cut, "{reply:?}");
    rig.origin(206, &rest, "56789");
    assert_eq!(rig.get("/", "").await.text(), BODY);
    assert_eq!(rig.asked(), 3);
}

/// What is longer than the layer keeps is passed on whole.
#[tokio::test]
async fn what_is_too_large_together_is_not_stored() {
    let own = "etag: \"v1\"";
    let small = || rig(CacheLayer::shared_proxy().max_body_bytes(7));

    let rig = small();
    stores(&rig, &[(0, 4, own)]).await;
    part(&rig, 5, 9, own);
    let reply = rig.get("/", "").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, BODY));
    let said = reply.cache();
    assert!(said.contains("detail=body-too-large"), "{said}");

    let rig = small();
    stores(&rig, &[(0, 4, own), (5, 9, own)]).await;
    // The last is kept alone.
    rig.get("/", "range: bytes=6-7").await.assert_hit();
    rig.origin(200, FRESH, OTHER);
    assert_eq!(rig.get("/", "").await.text(), OTHER);
}
