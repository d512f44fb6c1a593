//! Which of several stored responses of one URI answers a request: RFC 9111, section 4.1 (calculating
//! cache keys with `Vary`).
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600";

/// Stores a response to `first`, with these fields of its own, then sends `second`. Returns whether
/// that was answered with what was stored.
async fn is_reused(rig: &Rig, own: &str, first: &str, second: &str) -> bool {
    rig.origin(200, &format!("{FRESH}|{own}"), "one");
    rig.origin(200, &format!("{FRESH}|{own}"), "two");
    assert_eq!(rig.get("/", first).await.text(), "one");
    let reply = rig.get("/", second).await;
    match (rig.asked(), reply.text()) {
        (1, "one") => true,
        (2, "two") => false,
        _ => panic!("neither the stored nor a new response: {reply:?}"),
    }
}

/// Section 4.1: requests match where their nominated fields do, after what may be normalised.
#[tokio::test]
async fn requests_whose_nominated_fields_match_share_a_response() {
    let mut failures = Failures::default();
    for (vary, first, second) in [
        // The same.
        (
            "vary: accept-language",
            "accept-language: de",
            "accept-language: de",
        ),
        (
            "vary: Accept-Language",
            "accept-language: de",
            "accept-language: de",
        ),
        ("vary: x-a", "x-a: \u{e9}", "x-a: \u{e9}"),
        ("vary: user-agent", "user-agent: a/1", "user-agent: a/1"),
        ("vary: cookie", "cookie: a=1", "cookie: a=1"),
        // Absent in both, empty in both.
        ("vary: x-a", "", ""),
        ("vary: x-a", "x-a:", "x-a:"),
        ("vary: x-a, x-b", "x-b: 1", "x-b: 1"),
        // Fields that are not nominated do not matter.
        ("vary: x-a", "x-a: 1|x-b: 1", "x-a: 1|x-b: 2"),
        ("vary: x-a", "x-b: 1", ""),
        ("", "accept-language: de", "accept-language: en"),
        // Nothing is nominated by an empty list (RFC 9110, section 5.6.1.2).
        ("vary:", "accept-language: de", "accept-language: en"),
        ("vary: , ,", "accept-language: de", "accept-language: en"),
        // Several names, in one line and in several, with empty members and whitespace.
        ("vary: x-a, x-b", "x-a: 1|x-b: 2", "x-b: 2|x-a: 1"),
        ("vary: x-a|vary: x-b", "x-a: 1|x-b: 2", "x-a: 1|x-b: 2"),
        ("vary: ,x-a ,\tx-b,", "x-a: 1|x-b: 2", "x-a: 1|x-b: 2"),
        ("vary: x-a, X-A, x-a", "x-a: 1", "x-a: 1"),
        // Whitespace where the field's syntax allows it.
        (
            "vary: accept-language",
            "accept-language: de, en;q=0.5",
            "accept-language: de,en; q=0.5",
        ),
        (
            "vary: accept-encoding",
            "accept-encoding: gzip, br",
            "accept-encoding: gzip ,\tbr",
        ),
        // Several lines are one list.
        ("vary: x-a", "x-a: 1, 2", "x-a: 1|x-a: 2"),
        (
            "vary: accept-encoding",
            "accept-encoding: gzip|accept-encoding: br",
            "accept-encoding: gzip, br",
        ),
        // Case where it is known to mean nothing, order where it is known to mean nothing.
        (
            "vary: accept-language",
            "accept-language: de-CH",
            "accept-language: DE-ch",
        ),
        (
            "vary: accept-encoding",
            "accept-encoding: GZIP",
            "accept-encoding: gzip",
        ),
        (
            "vary: accept-encoding",
            "accept-encoding: gzip, br",
            "accept-encoding: br, gzip",
        ),
        (
            "vary: accept-encoding",
            "accept-encoding: gzip;q=1.0",
            "accept-encoding: gzip",
        ),
    ] {
        for (kind, rig) in both() {
            let reused = is_reused(&rig, vary, first, second).await;
            failures.check(reused, || {
                format!("{kind}: {vary:?} of {first:?} is not reused for {second:?}")
            });
        }
    }
}

/// Section 4.1: MUST NOT use a stored response unless all nominated fields match.
#[tokio::test]
async fn requests_whose_nominated_fields_differ_do_not_share_a_response() {
    let mut failures = Failures::default();
    for (vary, first, second) in [
        // Other values.
        (
            "vary: accept-language",
            "accept-language: de",
            "accept-language: en",
        ),
        (
            "vary: accept-language",
            "accept-language: de",
            "accept-language: de-ch",
        ),
        ("vary: cookie", "cookie: a=1", "cookie: a=2"),
        ("vary: origin", "origin: https://a", "origin: https://b"),
        ("vary: x-a", "x-a: \u{e9}", "x-a: \u{e8}"),
        ("vary: x-a", "x-a: 1", "x-a: 1, 1"),
        ("vary: x-a", "x-a: 1", "x-a: 1|x-a: 1"),
        // Absent only matches absent; empty is not absent.
        ("vary: x-a", "x-a: 1", ""),
        ("vary: x-a", "", "x-a: 1"),
        ("vary: x-a", "x-a:", ""),
        ("vary: x-a", "", "x-a:"),
        // One of several names is enough, wherever it stands.
        ("vary: x-a, x-b", "x-a: 1|x-b: 1", "x-a: 1|x-b: 2"),
        ("vary: x-b, x-a", "x-a: 1|x-b: 1", "x-a: 1|x-b: 2"),
        ("vary: x-a|vary: x-b", "x-a: 1|x-b: 1", "x-a: 1|x-b: 2"),
        ("vary: x-a|vary: x-b", "x-a: 1|x-b: 1", "x-a: 2|x-b: 1"),
        ("vary:|vary: x-b", "x-b: 1", "x-b: 2"),
        // The value of one is not the value of another.
        ("vary: x-a, x-b", "x-a: 1", "x-b: 1"),
        ("vary: x-a, x-b", "x-a: 1|x-b: 2", "x-a: 2|x-b: 1"),
        // Case and order have a meaning where nothing else is known.
        ("vary: x-a", "x-a: a", "x-a: A"),
        ("vary: x-a", "x-a: 1, 2", "x-a: 2, 1"),
        ("vary: x-a", "x-a: 1|x-a: 2", "x-a: 2|x-a: 1"),
        ("vary: cookie", "cookie: a=1; b=2", "cookie: b=2; a=1"),
        ("vary: user-agent", "user-agent: a", "user-agent: A"),
        (
            "vary: accept-language",
            "accept-language: de, en",
            "accept-language: en, de",
        ),
        // Weights have a meaning.
        (
            "vary: accept-encoding",
            "accept-encoding: gzip",
            "accept-encoding: gzip;q=0",
        ),
        (
            "vary: accept-encoding",
            "accept-encoding: gzip;q=0.5, br",
            "accept-encoding: gzip, br;q=0.5",
        ),
        (
            "vary: accept-encoding",
            "accept-encoding: identity",
            "accept-encoding: ",
        ),
        // Within quotes whitespace and commas have a meaning.
        ("vary: x-a", "x-a: \"1, 2\"", "x-a: \"1,2\""),
        (
            "vary: accept",
            "accept: text/html;v=\"a, b\"",
            "accept: text/html;v=\"a,b\"",
        ),
    ] {
        for (kind, rig) in both() {
            let reused = is_reused(&rig, vary, first, second).await;
            failures.check(!reused, || {
                format!("{kind}: {vary:?} of {first:?} is reused for {second:?}")
            });
        }
    }
}

/// Section 4.1: a `Vary` with a member `*` always fails to match. What cannot be read as a list of
/// names may mean anything.
#[tokio::test]
async fn what_varies_by_everything_is_never_reused_without_asking() {
    let mut failures = Failures::default();
    for vary in [
        "vary: *",
        "vary: *, x-a",
        "vary: x-a, *",
        "vary: x-a,*,x-b",
        "vary: x-a|vary: *",
        "vary: *|vary: x-a",
        "vary: ,*",
        "vary: \"x-a\"",
        "vary: x a",
        "vary: x-a;x-b",
    ] {
        for (kind, rig) in both() {
            let reused = is_reused(&rig, vary, "x-a: 1", "x-a: 1").await;
            failures.check(!reused, || format!("{kind}: {vary:?} is reused"));
        }
    }
}

/// Section 4.1: each of several stored responses for those who select it, however many there are.
#[tokio::test]
async fn many_variants_are_stored_side_by_side() {
    for (kind, rig) in both() {
        let languages: Vec<String> = (0..40).map(|n| format!("accept-language: x-{n}")).collect();
        for (n, language) in languages.iter().enumerate() {
            rig.origin(
                200,
                &format!("{FRESH}|vary: accept-language"),
                &n.to_string(),
            );
            assert_eq!(rig.get("/", language).await.text(), n.to_string());
        }
        for (n, language) in languages.iter().enumerate().rev() {
            let reply = rig.get("/", language).await;
            assert_eq!(
                reply.assert_hit().text(),
                n.to_string(),
                "{kind}: {language}"
            );
        }
        assert_eq!(rig.asked(), languages.len(), "{kind}");
    }
}

/// Section 4.1: each response is selected by what its own `Vary` nominates.
#[tokio::test]
async fn responses_of_one_uri_may_vary_by_different_fields() {
    let mut failures = Failures::default();
    for (request, may) in [
        ("x-a: 1|x-b: 2", &["by a"][..]),
        ("x-a: 2|x-b: 1", &["by b"]),
        ("x-b: 1", &["by b"]),
        ("x-a: 1", &["by a"]),
        ("x-a: 2|x-b: 2", &[]),
        ("x-a: 2", &[]),
        ("", &[]),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, &format!("{FRESH}|vary: x-a"), "by a");
            rig.get("/", "x-a: 1").await;
            rig.origin(200, &format!("{FRESH}|vary: x-b"), "by b");
            rig.get("/", "x-a: 2|x-b: 1").await;
            assert_eq!(rig.asked(), 2, "{kind}: they do not match each other");
            rig.origin(200, FRESH, "new");
            let reply = rig.get("/", request).await;
            let text = reply.text();
            failures.check(
                text == "new" || (rig.asked() == 2 && may.contains(&text)),
                || format!("{kind}: {request:?} is answered {text:?}"),
            );
        }
    }
}

/// Section 4.1: what was stored last for a request is found by the same request again, whatever the
/// responses before it varied by.
#[tokio::test]
async fn a_response_is_found_by_its_own_request_whatever_others_vary_by() {
    let mut failures = Failures::default();
    for (before, after) in [
        ("vary: x-a", "vary: x-b"),
        ("vary: x-a", "vary: x-a, x-b"),
        ("vary: x-a, x-b", "vary: x-a"),
        ("vary: x-a", ""),
        ("", "vary: x-a"),
        ("vary: *", "vary: x-a"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, &format!("cache-control: max-age=10|{before}"), "one");
            rig.get("/", "x-a: 1|x-b: 1").await;
            rig.advance(20);
            rig.origin(200, &format!("{FRESH}|{after}"), "two");
            rig.get("/", "x-a: 2|x-b: 2").await;
            let reply = rig.get("/", "x-a: 2|x-b: 2").await;
            failures.check(reply.is_hit() && reply.text() == "two", || {
                format!("{kind}: {before:?} then {after:?}: {:?}", reply.own())
            });
        }
    }
}

/// Section 4.1: where some responses omit `Vary` by mistake, the one with a `Vary` that matches
/// SHOULD be chosen.
#[tokio::test]
async fn a_response_without_vary_does_not_hide_the_one_that_was_selected() {
    for (kind, rig) in both() {
        rig.origin(200, &format!("{FRESH}|vary: accept-language"), "de");
        rig.get("/", "accept-language: de").await;
        rig.origin(200, FRESH, "default");
        assert_eq!(rig.get("/", "").await.text(), "default", "{kind}");
        let reply = rig.get("/", "accept-language: de").await;
        assert_eq!(reply.assert_hit().text(), "de", "{kind}");
    }
}

/// Section 4: where several suitable responses are stored, the most recent by `Date` MUST be used.
#[tokio::test]
async fn the_most_recent_of_several_matching_responses_is_used() {
    let mut failures = Failures::default();
    for (first, second, stale) in [
        ("date: {now-30}", "date: {now}", "by a"),
        ("date: {now}", "date: {now-30}", "by b"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, &format!("{FRESH}|vary: x-a|{first}"), "by a");
            rig.get("/", "x-a: 1").await;
            rig.origin(200, &format!("{FRESH}|vary: x-b|{second}"), "by b");
            rig.get("/", "x-a: 2|x-b: 1").await;
            rig.origin(200, FRESH, "new");
            let reply = rig.get("/", "x-a: 1|x-b: 1").await;
            failures.check(reply.text() != stale, || {
                format!("{kind}: {first}, {second}: the older one is used")
            });
        }
    }
}

/// Section 4.1 and the verbs of this cache: variants of one URI are dropped together.
#[tokio::test]
async fn variants_are_dropped_together() {
    for layer in [CacheLayer::shared_proxy(), CacheLayer::new()] {
        for by_path in [false, true] {
            let rig = rig(layer.clone().tags(["t"]));
            let requests = ["accept-language: de", "accept-language: en", ""];
            for text in ["old", "new"] {
                for request in requests {
                    rig.origin(200, &format!("{FRESH}|vary: accept-language"), text);
                    let reply = rig.get("/a", request).await;
                    assert_eq!(reply.text(), text, "{request}, by path: {by_path}");
                }
                for request in requests {
                    rig.get("/a", request).await.assert_hit();
                }
                let dropped = match by_path {
                    true => rig.cache.revalidate_path("/a").await,
                    false => rig.cache.invalidate_cache("t").await,
                };
                dropped.unwrap();
            }
        }
    }
}
