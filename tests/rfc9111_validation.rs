//! Validation: RFC 9111, sections 4.3.1 (sending a validation request) and 4.3.3 (handling its answer).
//! What a 304 changes is in `rfc9111_updating.rs`, what clients' own conditions come to in
//! `rfc9111_conditions.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Section 4.3.1: entity tags MUST be sent, the modification date SHOULD be, each as it is stored.
#[tokio::test]
async fn stale_responses_are_validated_by_what_they_carry() {
    let mut failures = Failures::default();
    let modified = format!("last-modified: {MODIFIED}");
    let strong = format!("etag: \"v1\"|{modified}");
    let weak = format!("{modified}|etag: W/\"v1\"");
    for (own, etag, date) in [
        ("etag: \"v1\"", Some("\"v1\""), None),
        ("etag: W/\"v1\"", Some("W/\"v1\""), None),
        ("etag: \"\"", Some("\"\""), None),
        ("etag: \"a,b\"", Some("\"a,b\""), None),
        ("etag: \"a\\\"", Some("\"a\\\""), None),
        ("etag: \"\u{e9}\"", Some("\"\u{e9}\""), None),
        (&modified, None, Some(MODIFIED)),
        (&strong, Some("\"v1\""), Some(MODIFIED)),
        (&weak, Some("W/\"v1\""), Some(MODIFIED)),
    ] {
        for (kind, rig) in both() {
            rig.stale("x-a: 1", own, "one").await;
            rig.origin(304, &format!("{BRIEF}|{own}"), "");
            let reply = rig.get("/", "x-a: 1").await;
            let row = |what: &str| format!("{kind}: {own}: {what}: {reply:?}");
            failures.check(rig.seen_header("if-none-match").as_deref() == etag, || {
                row("If-None-Match")
            });
            failures.check(
                rig.seen_header("if-modified-since").as_deref() == date,
                || row("If-Modified-Since"),
            );
            let seen = rig.seen();
            failures.check(
                seen.method == "GET" && rig.seen_header("x-a").as_deref() == Some("1"),
                || row("the rest of the request"),
            );
            for name in ["if-match", "if-unmodified-since", "if-range", "range"] {
                failures.check(!seen.headers.contains_key(name), || row(name));
            }
            failures.check(reply.status == 200 && reply.text() == "one", || {
                row("what the client gets")
            });
        }
    }
}

/// Section 4.3.1: what has no validator is asked for whole; a tag that this layer made up for clients
/// means nothing to the origin.
#[tokio::test]
async fn without_a_validator_the_whole_is_asked_for() {
    for layer in [
        CacheLayer::shared_proxy(),
        CacheLayer::new(),
        CacheLayer::new().ttl("10s"),
    ] {
        let rig = rig(layer);
        rig.stale("", "", "one").await;
        rig.origin(200, BRIEF, "two");
        assert_eq!(rig.get("/", "").await.assert_forwarded().text(), "two");
        assert!(rig.is_unconditional(), "{:?}", rig.seen());
        // Nor is it sent beside a validator of the origin's.
        rig.advance(20);
        rig.stale("", &format!("last-modified: {MODIFIED}"), "three")
            .await;
        rig.origin(304, BRIEF, "");
        assert_eq!(rig.get("/", "").await.text(), "three");
        assert_eq!(rig.seen_header("if-none-match"), None);
    }
}

/// Sections 4.3.3 and 4.3.4: a 304 makes the stored response fresh once more; the client that did not
/// ask for a 304 gets the whole, and `Cache-Status` (RFC 9211, section 2.2) says what was answered.
#[tokio::test]
async fn a_304_makes_the_stored_response_fresh_again() {
    for (kind, rig) in both() {
        rig.stale("", "etag: \"v1\"", "one").await;
        rig.origin(304, &format!("{BRIEF}|etag: \"v1\""), "");
        let reply = rig.get("/", "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (200, "one"),
            "{kind}"
        );
        assert!(reply.own().contains("; fwd=stale"), "{kind}: {reply:?}");
        assert!(
            reply.own().contains("; fwd-status=304"),
            "{kind}: {reply:?}"
        );
        rig.advance(5);
        assert_eq!(rig.get("/", "").await.assert_hit().text(), "one", "{kind}");
        assert_eq!(rig.asked(), 2, "{kind}");
        // And again, with what the 304 left.
        rig.advance(10);
        rig.origin(304, &format!("{BRIEF}|etag: \"v1\""), "");
        assert_eq!(rig.get("/", "").await.text(), "one", "{kind}");
        assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"v1\""));
    }
}

/// Section 4.3.3: a full response MUST be used instead; the stored one is no longer.
#[tokio::test]
async fn a_full_response_takes_the_place_of_the_stored_one() {
    let mut failures = Failures::default();
    for (status, own, stored) in [
        (200, "cache-control: max-age=60|etag: \"v2\"", true),
        (200, "cache-control: max-age=60", true),
        (200, "cache-control: no-store", false),
        (200, "cache-control: private, max-age=60", false),
        (203, "cache-control: max-age=60", true),
        (404, "cache-control: max-age=60", true),
        (404, "", false),
        (410, "", false),
        (403, "", false),
        (301, "location: /elsewhere|cache-control: max-age=60", true),
        (302, "location: /elsewhere", false),
    ] {
        for (kind, rig) in both() {
            rig.stale("", "etag: \"v1\"|x-old: 1", "one").await;
            rig.origin(status, own, "two");
            let reply = rig.get("/", "").await;
            let row = |what: &str| format!("{kind}: {status} {own:?}: {what}: {reply:?}");
            failures.check(
                (reply.status.as_u16(), reply.text()) == (status, "two")
                    && reply.header("x-old").is_none(),
                || row("what the client gets"),
            );
            rig.origin(200, "", "three");
            let next = rig.get("/", "").await;
            let expected = if stored { "two" } else { "three" };
            failures.check(next.text() == expected, || row(next.text()));
        }
    }
}

/// Section 4.3.3: a 5xx while validating is passed on, or a stale response is served where nothing
/// forbids it (section 4.2.4; RFC 5861, section 4).
#[tokio::test]
async fn a_5xx_while_validating_is_passed_on_unless_staleness_is_allowed() {
    let mut failures = Failures::default();
    let allowed = "cache-control: max-age=10, stale-if-error=100";
    for (own, status, served) in [
        (allowed, 500, "one"),
        (allowed, 502, "one"),
        (allowed, 503, "one"),
        (allowed, 504, "one"),
        ("cache-control: max-age=10", 500, "broken"),
        ("cache-control: max-age=10", 503, "broken"),
        ("cache-control: max-age=10, stale-if-error=5", 500, "broken"),
        // Errors of the request are answers.
        (allowed, 404, "broken"),
        (allowed, 403, "broken"),
        // Section 5.2.2.2 and 5.2.2.8, and what implies them.
        (
            "cache-control: max-age=10, stale-if-error=100, must-revalidate",
            500,
            "broken",
        ),
        (
            "cache-control: max-age=10, stale-if-error=100, proxy-revalidate",
            503,
            "broken",
        ),
        (
            "cache-control: s-maxage=10, stale-if-error=100",
            502,
            "broken",
        ),
    ] {
        for (kind, rig) in both() {
            let headers = format!("date: {{now}}|etag: \"v1\"|{own}");
            rig.origin(200, &headers, "one");
            rig.get("/", "").await;
            rig.advance(20);
            rig.origin(status, "", "broken");
            let reply = rig.get("/", "").await;
            failures.check(reply.text() == served, || {
                format!("{kind}: {status} with {own}: {reply:?}")
            });
            let expected = if served == "one" { 200 } else { status };
            failures.check(reply.status == expected, || {
                format!("{kind}: {status} with {own}: {reply:?}")
            });
        }
    }
}

/// Section 4.3.3: what was served stale is validated again once the origin recovers.
#[tokio::test]
async fn after_a_5xx_the_stored_response_can_still_be_validated() {
    for (kind, rig) in both() {
        let headers = "cache-control: max-age=10, stale-if-error=100|etag: \"v1\"|date: {now}";
        rig.origin(200, headers, "one");
        rig.get("/", "").await;
        rig.advance(20);
        rig.origin(503, "", "broken");
        assert_eq!(rig.get("/", "").await.text(), "one", "{kind}");
        rig.advance(5);
        rig.origin(304, headers, "");
        assert_eq!(rig.get("/", "").await.text(), "one", "{kind}");
        assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"v1\""));
        rig.get("/", "").await.assert_hit();
    }
}

/// Section 4.3.4: tags of other variants MAY be sent, so a 304 may name one that the request does not
/// select; an answer that says otherwise what to use is the origin's to give.
#[tokio::test]
async fn a_variant_that_is_not_stored_is_never_another_one() {
    for (kind, rig) in both() {
        let vary = format!("{BRIEF}|vary: accept-language");
        rig.origin(200, &format!("{vary}|etag: \"de\""), "de");
        rig.get("/", "accept-language: de").await;
        rig.origin(200, &format!("{vary}|etag: \"fr\""), "fr");
        let reply = rig.get("/", "accept-language: fr").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "fr"), "{kind}");
    }
}

/// Sections 4 and 5.2.2.4: a proxy keeps what must be validated each time; an application's cache asks
/// for it whole.
#[tokio::test]
async fn what_is_never_fresh_is_validated_by_proxies() {
    let mut failures = Failures::default();
    for own in [
        "cache-control: no-cache",
        "cache-control: no-cache, max-age=60",
        "cache-control: max-age=0",
        "cache-control: max-age=0, must-revalidate",
        "cache-control: s-maxage=0, max-age=60",
        "expires: Thu, 01 Jan 1970 00:00:00 GMT",
        "cache-control: max-age=60|age: 60",
    ] {
        let rig = proxy();
        let headers = format!("date: {{now}}|etag: \"v1\"|{own}");
        rig.origin(200, &headers, "one");
        rig.get("/", "").await;
        for _ in 0..2 {
            rig.origin(304, &headers, "");
            let reply = rig.get("/", "").await;
            failures.check(
                (reply.status.as_u16(), reply.text()) == (200, "one")
                    && rig.seen_header("if-none-match").as_deref() == Some("\"v1\""),
                || format!("{own}: {reply:?}"),
            );
        }
        failures.check(rig.asked() == 3, || format!("{own}: asked {}", rig.asked()));

        let rig = application();
        rig.origin(200, &headers, "one");
        rig.get("/", "").await;
        rig.origin(200, &headers, "two");
        let reply = rig.get("/", "").await;
        failures.check(reply.text() == "two" && rig.is_unconditional(), || {
            format!("application: {own}: {reply:?}")
        });
    }
}

/// Section 4.3.1 with RFC 5861, section 3: a request that the cache sends by itself has the method,
/// the URI and the fields that `Vary` names, and is conditional.
#[tokio::test]
async fn background_refreshes_are_conditional_too() {
    for (kind, rig) in both() {
        let headers = format!(
            "cache-control: max-age=10, stale-while-revalidate=100|date: {{now}}|vary: accept-language|etag: \"v1\"|last-modified: {MODIFIED}"
        );
        rig.origin(200, &headers, "one");
        rig.get("/a?b", "accept-language: de").await;
        rig.advance(20);
        rig.origin(304, &format!("{headers}|x-new: 1"), "");
        let stale = rig.get("/a?b", "accept-language: de").await;
        assert_eq!(stale.assert_hit().text(), "one", "{kind}");
        rig.settle().await;
        assert_eq!(rig.asked(), 2, "{kind}");
        let seen = rig.seen();
        assert_eq!(
            (seen.method.as_str(), seen.uri.to_string().as_str()),
            ("GET", "/a?b")
        );
        for (name, value) in [
            ("accept-language", "de"),
            ("if-none-match", "\"v1\""),
            ("if-modified-since", MODIFIED),
        ] {
            assert_eq!(
                rig.seen_header(name).as_deref(),
                Some(value),
                "{kind}: {name}"
            );
        }
        let fresh = rig.get("/a?b", "accept-language: de").await;
        assert_eq!(fresh.assert_hit().text(), "one", "{kind}");
        assert_eq!(fresh.header("x-new"), Some("1"), "{kind}");
        assert_eq!(fresh.header("age"), Some("0"), "{kind}");
        assert_eq!(rig.asked(), 2, "{kind}");
    }
}

/// A soft invalidation leaves something to validate, a hard one does not; what a response was tagged
/// with outlives its validation.
#[tokio::test]
async fn soft_invalidations_validate_and_hard_ones_load() {
    for layer in [CacheLayer::shared_proxy(), CacheLayer::new()] {
        let rig = rig(layer.tags(["t"]));
        let headers = "cache-control: max-age=600|date: {now}|etag: \"v1\"|cache-groups: \"g\"";
        rig.origin(200, headers, "one");
        rig.get("/", "").await;
        for tag in ["t", "g", "t"] {
            rig.cache.revalidate_tag(tag).await.unwrap();
            rig.origin(304, headers, "");
            let asked = rig.asked();
            let reply = rig.get("/", "").await;
            assert_eq!(rig.asked(), asked + 1, "{tag} is a tag still");
            assert_eq!((reply.status.as_u16(), reply.text()), (200, "one"));
            assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"v1\""));
            rig.get("/", "").await.assert_hit();
        }
        rig.cache.revalidate_path("/").await.unwrap();
        rig.origin(304, headers, "");
        assert_eq!(rig.get("/", "").await.text(), "one");
        assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"v1\""));
        for (tag, text) in [("t", "two"), ("g", "three")] {
            rig.cache.invalidate_cache(tag).await.unwrap();
            rig.origin(200, headers, text);
            assert_eq!(rig.get("/", "").await.text(), text);
            assert!(rig.is_unconditional(), "after {tag}: {:?}", rig.seen());
        }
    }
}

/// A validation that is overtaken by a hard invalidation makes nothing fresh.
#[tokio::test]
async fn a_304_that_an_invalidation_overtook_is_not_kept() {
    for layer in [CacheLayer::shared_proxy(), CacheLayer::new()] {
        let rig = rig(layer.tags(["t"]));
        rig.stale("", "etag: \"v1\"", "one").await;
        rig.origin(304, &format!("{BRIEF}|etag: \"v1\""), "").held();
        let validating = rig.begin("GET", "/", "").await;
        rig.cache.invalidate_cache("t").await.unwrap();
        rig.origin(200, &format!("{BRIEF}|etag: \"v2\""), "two");
        rig.release();
        validating.await.unwrap();
        rig.origin(200, &format!("{BRIEF}|etag: \"v2\""), "two");
        let next = rig.get("/", "").await;
        assert_eq!(next.text(), "two", "{next:?}");
    }
}

/// Section 4.1 with 4.3.1: who waited for the load of another variant asks for its own, not by the
/// validators of what that load replaced.
#[tokio::test]
async fn who_looks_again_forgets_what_it_found_before() {
    let rig = proxy();
    let modified = format!("last-modified: {MODIFIED}");
    rig.stale("", &modified, "before vary").await;
    let vary = "cache-control: max-age=60|date: {now}|vary: accept-language";
    rig.origin(200, vary, "english").held();
    let english = rig.begin("GET", "/", "accept-language: en").await;
    let german = rig.begin("GET", "/", "accept-language: de").await;
    rig.origin(200, vary, "deutsch");
    rig.release();
    assert_eq!(english.await.unwrap().text(), "english");
    assert_eq!(german.await.unwrap().text(), "deutsch");
    assert!(rig.is_unconditional(), "{:?}", rig.seen());
}

/// Section 4.3.1: a refresh in the background is for nobody who has something already.
#[tokio::test]
async fn a_refresh_has_no_condition_of_a_clients() {
    let rig = proxy();
    let windowed = "cache-control: max-age=10, stale-while-revalidate=60|date: {now}";
    rig.origin(200, windowed, "first");
    rig.get("/", "").await;
    rig.advance(20);
    rig.origin(200, windowed, "second");
    rig.get("/", "if-none-match: \"mine\"|range: bytes=0-1")
        .await;
    rig.settle().await;
    assert!(
        rig.asked() == 2 && rig.is_unconditional(),
        "{:?}",
        rig.seen()
    );
    assert_eq!(rig.get("/", "").await.assert_hit().text(), "second");
}

/// Section 4.3.4: a tag that a 304 names takes the place of the layer's own, and is asked by.
#[tokio::test]
async fn a_tag_that_a_304_names_is_asked_by() {
    let rig = application();
    let modified = format!("last-modified: {MODIFIED}");
    rig.stale("", &modified, "page").await;
    rig.origin(304, &format!("{BRIEF}|etag: W/\"v1\"|{modified}"), "");
    assert_eq!(rig.get("/", "").await.text(), "page");
    rig.advance(20);
    rig.origin(304, BRIEF, "");
    assert_eq!(rig.get("/", "").await.text(), "page");
    let asked_by = rig.seen_header("if-none-match");
    assert_eq!(asked_by.as_deref(), Some("W/\"v1\""));
}
