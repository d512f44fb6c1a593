//! Which requests a stored response answers: RFC 9111, section 4 (constructing responses from caches):
//! methods, URIs, requests that are collapsed; HEAD from GET (RFC 9110, section 9.3.2). What `Vary`
//! selects is in `rfc9111_vary.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600";

/// Section 4: the request method associated with the stored response must allow its use.
#[tokio::test]
async fn a_stored_get_answers_get_and_head_alone() {
    let mut failures = Failures::default();
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "get", "FROB",
    ] {
        for (kind, rig) in both() {
            rig.origin(200, FRESH, "one");
            rig.get("/", "").await;
            rig.origin(403, "", "theirs");
            let reply = rig.send(method, "/", "").await;
            failures.check(
                rig.asked() == 2 && reply.text() == "theirs" && rig.seen().method == *method,
                || format!("{kind}: {method} is answered {:?}", reply.text()),
            );
            failures.check(rig.get("/", "").await.is_hit(), || {
                format!("{kind}: after {method}, whose answer was an error")
            });
        }
    }
}

/// Section 4: and what answers another method is never an answer to GET, however fresh.
#[tokio::test]
async fn answers_to_other_methods_do_not_answer_get() {
    let mut failures = Failures::default();
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "QUERY", "get", "FROB",
    ] {
        for (kind, rig) in both() {
            let headers = format!("{FRESH}|etag: \"v1\"|last-modified: {{now-60}}");
            rig.origin(200, &headers, "theirs");
            rig.send(method, "/", "").await;
            rig.origin(200, FRESH, "whole");
            let reply = rig.get("/", "").await;
            failures.check(rig.asked() == 2 && reply.text() == "whole", || {
                format!("{kind}: {method}'s answer is given to GET")
            });
        }
    }
}

/// Section 4: the presented target URI and that of the stored response match.
#[tokio::test]
async fn other_uris_do_not_share_a_response() {
    let mut failures = Failures::default();
    for (first, second) in [
        ("http://a.example/", "http://b.example/"),
        ("http://a.example/", "https://a.example/"),
        ("http://a.example/", "http://a.example:8080/"),
        ("http://a.example/", "http://a.example.evil/"),
        ("http://a.example/x", "http://a.example/y"),
        ("http://a.example/x", "http://a.example/x?"),
        ("http://a.example/x?a", "http://a.example/x?b"),
        ("http://a.example/x?a", "http://a.example/x"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, FRESH, "one");
            rig.get(first, "").await;
            rig.origin(200, FRESH, "two");
            let reply = rig.get(second, "").await;
            failures.check(rig.asked() == 2 && reply.text() == "two", || {
                format!("{kind}: {first} and {second} share")
            });
            failures.check(rig.get(first, "").await.text() == "one", || {
                format!("{kind}: {first} is no longer what it was")
            });
        }
    }
    for (first, second) in [
        ("http://a.example/x", "http://A.EXAMPLE/x"),
        ("http://a.example/x", "HTTP://a.example/x"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, FRESH, "one");
            rig.get(first, "").await;
            failures.check(rig.get(second, "").await.is_hit(), || {
                format!("{kind}: scheme and host have no case: {second}")
            });
        }
    }
}

/// RFC 9110, section 9.3.2: HEAD is GET without the content; Age is generated as in any reuse.
#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let mut failures = Failures::default();
    for (status, own) in [
        (200, "etag: \"v1\"|content-type: text/plain|x-a: 1"),
        (
            404,
            "content-type: text/plain|x-a: 1|last-modified: {now-60}",
        ),
        (301, "location: /elsewhere|content-type: text/plain|x-a: 1"),
    ] {
        for (kind, rig) in both() {
            rig.origin(status, &format!("{FRESH}|date: {{now}}|{own}"), "four");
            rig.get("/", "").await;
            rig.advance(7);
            let get = rig.get("/", "").await;
            let head = rig.send("HEAD", "/", "").await;
            let row = |what: &str| format!("{kind}, {status}: {what}: {head:?}");
            failures.check(rig.asked() == 1 && head.is_hit(), || row("asked"));
            failures.check(head.status == get.status, || row("status"));
            failures.check(head.body.is_empty(), || row("content"));
            failures.check(head.header("age") == Some("7"), || row("age"));
            // It may be sent or not; where it is, it is that of the content which GET would give.
            let length = head.header("content-length");
            failures.check(length.is_none_or(|length| length == "4"), || row("length"));
            for name in [
                "etag",
                "content-type",
                "x-a",
                "date",
                "location",
                "cache-control",
            ] {
                failures.check(head.header(name) == get.header(name), || row(name));
            }
        }
    }
}

/// RFC 9110, section 9.3.2: HEAD selects among variants, and is compared, as GET is.
#[tokio::test]
async fn head_selects_and_compares_as_get_does() {
    for (kind, rig) in both() {
        let headers = format!("{FRESH}|vary: accept-language|etag: \"de\"");
        rig.origin(200, &headers, "de");
        rig.get("/", "accept-language: de").await;
        let same = rig.send("HEAD", "/", "accept-language: de").await;
        assert_eq!(same.assert_hit().header("etag"), Some("\"de\""), "{kind}");
        let current = "accept-language: de|if-none-match: \"de\"";
        let current = rig.send("HEAD", "/", current).await;
        assert_eq!(current.assert_hit().status, 304, "{kind}");
        rig.origin(200, &format!("{FRESH}|etag: \"en\""), "en");
        let other = rig.send("HEAD", "/", "accept-language: en").await;
        assert_eq!(
            other.assert_forwarded().header("etag"),
            Some("\"en\""),
            "{kind}"
        );
    }
}

/// RFC 9110, section 9.3.2: an answer to HEAD has no content, so GET cannot be answered with it.
#[tokio::test]
async fn what_answered_head_does_not_answer_get() {
    for (kind, rig) in both() {
        for length in ["content-length: 5", ""] {
            let headers = format!("{FRESH}|etag: \"v1\"|{length}");
            rig.origin(200, &headers, "whole");
            let head = rig.send("HEAD", "/", "").await;
            assert_eq!(rig.seen().method, "HEAD", "{kind}");
            assert!(head.assert_forwarded().body.is_empty(), "{kind}");
        }
        rig.origin(200, FRESH, "whole");
        let get = rig.get("/", "").await;
        assert_eq!(get.assert_forwarded().text(), "whole", "{kind}");
        assert_eq!(rig.seen_header("if-none-match"), None, "{kind}");
    }
}

/// Section 4: a response may satisfy several requests at once where it may be reused for each.
#[tokio::test]
async fn requests_at_once_are_collapsed_where_the_response_may_be_shared() {
    let mut failures = Failures::default();
    for (own, first, second) in [
        ("", "", ""),
        ("", "x-a: 1", "x-a: 2"),
        ("vary: x-a", "x-a: 1", "x-a: 1"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, &format!("{FRESH}|{own}"), "one").held();
            rig.origin(200, &format!("{FRESH}|{own}"), "two").held();
            let one = rig.begin("GET", "/", first).await;
            let two = rig.begin("GET", "/", second).await;
            rig.release();
            let (one, two) = (one.await.unwrap(), two.await.unwrap());
            failures.check(
                rig.asked() == 1 && (one.text(), two.text()) == ("one", "one"),
                || format!("{kind}: {own:?} for {first:?} and {second:?}: {two:?}"),
            );
        }
    }
}

/// Section 4: a response satisfies another request that was waiting only where it may be reused for
/// it; what a shared cache may not store or reuse, each client gets for itself.
#[tokio::test]
async fn requests_at_once_do_not_share_what_may_not_be_shared() {
    let mut failures = Failures::default();
    let authorized = ("authorization: Basic YTpi", "authorization: Basic YTpj");
    for (status, headers, (first, second)) in [
        // Sections 5.2.2.5 and 5.2.2.7.
        (200, "cache-control: no-store", ("", "")),
        (200, "cache-control: private", ("", "")),
        (200, "cache-control: private, max-age=600", ("", "")),
        (
            200,
            "cache-control: no-store, max-age=600",
            ("cookie: a=1", "cookie: a=2"),
        ),
        // Section 5.2.2.4, and what is not fresh: not without asking.
        (200, "cache-control: no-cache, max-age=600", ("", "")),
        (200, "cache-control: max-age=0", ("", "")),
        // Nothing allows it.
        (200, "", ("", "")),
        (500, "", ("", "")),
        (200, "set-cookie: session=1", ("", "")),
        // Section 3.5.
        (200, FRESH, authorized),
        (200, "", authorized),
        // Section 4.1.
        (
            200,
            "cache-control: max-age=600|vary: x-a",
            ("x-a: 1", "x-a: 2"),
        ),
        (200, "cache-control: max-age=600|vary: x-a", ("x-a: 1", "")),
        (200, "cache-control: max-age=600|vary: *", ("", "")),
        // Section 3.3: a part is no answer to who wants the whole.
        (
            206,
            "cache-control: max-age=600|content-range: bytes 0-2/9",
            ("range: bytes=0-2", ""),
        ),
    ] {
        for (kind, rig) in both() {
            rig.origin(status, headers, "one").held();
            rig.origin(status, headers, "two").held();
            let one = rig.begin("GET", "/", first).await;
            let two = rig.begin("GET", "/", second).await;
            rig.release();
            let (one, two) = (one.await.unwrap(), two.await.unwrap());
            failures.check((one.text(), two.text()) == ("one", "two"), || {
                format!("{kind}: {status} {headers:?} for {first:?} and {second:?}: {two:?}")
            });
        }
    }
}

/// Section 4, and RFC 9110, section 13.2: who waited for another's load has a condition, a method or
/// a range of its own.
#[tokio::test]
async fn collapsed_requests_are_each_answered_as_they_asked() {
    for (kind, rig) in both() {
        let headers = format!("{FRESH}|etag: \"v1\"");
        rig.origin(200, &headers, "0123456789").held();
        let whole = rig.begin("GET", "/", "").await;
        let current = rig.begin("GET", "/", "if-none-match: \"v1\"").await;
        let other = rig.begin("GET", "/", "if-none-match: \"v2\"").await;
        rig.release();
        assert_eq!(whole.await.unwrap().text(), "0123456789", "{kind}");
        let current = current.await.unwrap();
        assert_eq!(current.status, 304, "{kind}: {current:?}");
        let other = other.await.unwrap();
        assert_eq!((other.status.as_u16(), other.text()), (200, "0123456789"));
        assert_eq!(rig.asked(), 1, "{kind}");
    }
}
