//! What is no longer fresh: RFC 9111, section 4.2.4, and the two windows of RFC 5861 in which it may
//! still be served.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

/// What forbids serving stale (RFC 9111, sections 5.2.2.2, 5.2.2.4, 5.2.2.8 and 5.2.2.10), in a
/// response that is fresh for ten seconds at most.
const FORBIDDING: [&str; 7] = [
    "max-age=10, must-revalidate",
    "Must-Revalidate, max-age=10",
    "max-age=10, proxy-revalidate",
    "max-age=10, PROXY-REVALIDATE",
    "s-maxage=10",
    "max-age=100, s-maxage=10",
    "max-age=10, no-cache",
];

/// With it a response is worth storing even where it must not be reused unasked.
const VALIDATOR: &str = "etag: \"x\"";

/// What forbids nothing.
const ALLOWING: [&str; 5] = [
    "max-age=10",
    "max-age=10, public",
    "max-age=10, x=\"must-revalidate, no-cache\"",
    "max-age=10, must-revalidates, x-no-cache",
    "max-age=10, no-cache=\"x-a\"",
];

#[tokio::test]
async fn what_is_stale_is_not_served_while_the_origin_answers() {
    for status in [200, 203, 404, 410, 400, 500, 503] {
        let rig = proxy();
        rig.origin(200, "cache-control: max-age=10", "first")
            .origin(status, "cache-control: no-store", "second");
        rig.get("/", "").await;
        rig.advance(10);
        let reply = rig.get("/", "").await;
        let found = (reply.status.as_u16(), reply.text());
        assert_eq!(found, (status, "second"), "9111, 4.2.4");
        reply.assert_forwarded();
    }
}

#[tokio::test]
async fn what_must_be_revalidated_is_served_once_it_was() {
    for directives in FORBIDDING {
        let rig = proxy();
        let headers = format!("cache-control: {directives} | etag: \"x\"");
        rig.origin(200, &headers, "first").origin(304, &headers, "");
        rig.get("/", "").await;
        rig.advance(15);
        let reply = rig.get("/", "").await;
        let found = (reply.status.as_u16(), reply.text(), rig.asked());
        assert_eq!(found, (200, "first", 2), "9111, 4.2.4: {directives}");
    }
}

#[tokio::test]
async fn while_it_revalidates_a_cache_serves_the_stale_response() {
    // RFC 5861, section 3.
    for rig in [proxy(), application()] {
        let headers = "cache-control: max-age=10, stale-while-revalidate=20";
        rig.origin(200, headers, "first")
            .origin(200, headers, "second");
        rig.get("/", "").await;
        rig.advance(9);
        assert_eq!(rig.get("/", "").await.assert_hit().text(), "first");
        rig.settle().await;
        assert_eq!(rig.asked(), 1, "it is fresh");
        rig.advance(20);
        for _ in 0..3 {
            assert_eq!(rig.get("/", "").await.assert_hit().text(), "first");
        }
        rig.settle().await;
        assert_eq!(rig.asked(), 2, "one refresh for all");
        let reply = rig.get("/", "").await;
        assert_eq!(reply.assert_hit().text(), "second");
        assert_eq!(reply.header("age"), Some("0"));
        rig.settle().await;
        assert_eq!(rig.asked(), 2);
    }
}

#[tokio::test]
async fn after_its_window_what_is_stale_waits_for_the_origin() {
    let rig = proxy();
    rig.origin(
        200,
        "cache-control: max-age=10, stale-while-revalidate=20",
        "first",
    )
    .origin(200, "cache-control: max-age=10", "second");
    rig.get("/", "").await;
    rig.advance(31);
    let reply = rig.get("/", "").await;
    assert_eq!(reply.assert_forwarded().text(), "second", "5861, 3");
}

#[tokio::test]
async fn a_refresh_in_the_background_is_conditional() {
    let rig = proxy();
    let headers = "cache-control: max-age=10, stale-while-revalidate=20 | etag: \"x\"";
    rig.origin(200, headers, "first").origin(304, headers, "");
    rig.get("/", "").await;
    rig.advance(15);
    assert_eq!(rig.get("/", "").await.assert_hit().text(), "first");
    rig.settle().await;
    assert_eq!(
        rig.seen_header("if-none-match").as_deref(),
        Some("\"x\""),
        "9111, 4.3.1"
    );
    let reply = rig.get("/", "").await;
    assert_eq!(reply.assert_hit().text(), "first");
    assert_eq!(reply.header("age"), Some("0"), "9111, 4.3.4");
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_stale_response_its_window() {
    for broken in [false, true] {
        let rig = proxy();
        rig.origin(
            200,
            "cache-control: max-age=10, stale-while-revalidate=20",
            "first",
        );
        match broken {
            true => rig.breaks(),
            false => rig.origin(500, "", "an error"),
        };
        rig.origin(200, "cache-control: max-age=10", "second");
        rig.get("/", "").await;
        rig.advance(12);
        assert_eq!(rig.get("/", "").await.text(), "first");
        rig.settle().await;
        assert_eq!(rig.asked(), 2);
        rig.advance(5);
        assert_eq!(rig.get("/", "").await.text(), "first");
        rig.settle().await;
        rig.advance(5);
        assert_eq!(rig.get("/", "").await.text(), "second");
    }
}

#[tokio::test]
async fn only_what_is_said_opens_the_window_of_revalidation() {
    let mut failures = Failures::default();
    let allowing = ALLOWING.map(|directives| (directives, "stale-while-revalidate=20", true));
    let forbidding = FORBIDDING.map(|directives| (directives, "stale-while-revalidate=20", false));
    let forms = [
        ("max-age=10", "Stale-While-Revalidate=20", true),
        ("max-age=10", "stale-while-revalidate=\"20\"", true),
        ("max-age=10", "stale-while-revalidate=99999999999", true),
        (
            "max-age=10",
            "stale-while-revalidate=20, stale-while-revalidate=20",
            true,
        ),
        ("max-age=10", "stale-while-revalidate", false),
        ("max-age=10", "stale-while-revalidate=", false),
        ("max-age=10", "stale-while-revalidate=0", false),
        ("max-age=10", "stale-while-revalidate=2", false),
        ("max-age=10", "stale-while-revalidate=-20", false),
        ("max-age=10", "stale-while-revalidate=2e1", false),
        ("max-age=10", "stale-while-revalidate = 20", false),
        ("max-age=10", "x=\"stale-while-revalidate=20\"", false),
        ("max-age=10", "stale-if-error=20", false),
    ];
    for (directives, window, expected) in allowing.into_iter().chain(forbidding).chain(forms) {
        let rig = proxy();
        rig.origin(
            200,
            &format!("cache-control: {directives}, {window} | {VALIDATOR}"),
            "first",
        )
        .origin(200, "", "second");
        rig.get("/", "").await;
        rig.advance(15);
        let reply = rig.get("/", "").await;
        failures.check((reply.text() == "first") == expected, || {
            format!("5861, 3: {directives}, {window}: {reply:?}")
        });
    }
    // Whatever states the lifetime.
    for headers in [
        "expires: {now+10}",
        "date: {now} | last-modified: {now-100}",
        "cache-control: max-age=60 | age: 50",
    ] {
        let rig = proxy();
        let headers = format!("{headers} | cache-control: stale-while-revalidate=20");
        rig.origin(200, &headers, "first").origin(200, "", "second");
        rig.get("/", "").await;
        rig.advance(15);
        let reply = rig.get("/", "").await;
        failures.check(reply.text() == "first", || {
            format!("5861, 3: {headers}: {reply:?}")
        });
    }
}

#[tokio::test]
async fn errors_are_hidden_while_the_response_allows_it() {
    // RFC 5861, section 4: 500, 502, 503 and 504 are errors.
    let mut failures = Failures::default();
    for (status, expected) in [
        (500, true),
        (502, true),
        (503, true),
        (504, true),
        (501, false),
        (505, false),
        (599, false),
        (400, false),
        (404, false),
        (410, false),
        (429, false),
        (200, false),
    ] {
        for make in [proxy, application] {
            let rig = make();
            rig.origin(200, "cache-control: max-age=10, stale-if-error=20", "first")
                .origin(status, "cache-control: no-store", "second");
            rig.get("/", "").await;
            rig.advance(29);
            let reply = rig.get("/", "").await;
            let wanted = if expected {
                (200, "first")
            } else {
                (status, "second")
            };
            failures.check((reply.status.as_u16(), reply.text()) == wanted, || {
                format!("5861, 4: {status}: {reply:?}")
            });
            failures.check(rig.asked() == 2, || {
                format!("5861, 4: {status} is not asked")
            });
        }
    }
}

#[tokio::test]
async fn what_is_served_instead_of_an_error_is_told_to_be_stale() {
    let rig = proxy();
    let headers = "cache-control: max-age=10, stale-if-error=100 | etag: \"x\"";
    rig.origin(200, headers, "first")
        .origin(503, "", "an error");
    rig.get("/", "").await;
    rig.advance(25);
    let reply = rig.get("/", "").await;
    assert_eq!(
        (reply.text(), reply.lines("age")),
        ("first", vec!["25"]),
        "9111, 5.1"
    );
    assert_eq!(reply.header("warning"), None, "9111, 5.5");
    assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"x\""));
    // The origin is asked again, and heard.
    rig.advance(2);
    rig.origin(200, "cache-control: max-age=10", "second");
    assert_eq!(rig.get("/", "").await.text(), "second");
    assert_eq!(rig.get("/", "").await.assert_hit().text(), "second");
}

#[tokio::test]
async fn only_what_is_said_hides_errors() {
    let mut failures = Failures::default();
    let allowing = ALLOWING.map(|directives| (directives, "stale-if-error=20", true));
    let forbidding = FORBIDDING.map(|directives| (directives, "stale-if-error=20", false));
    let forms = [
        ("max-age=10", "STALE-IF-ERROR=20", true),
        ("max-age=10", "stale-if-error=\"20\"", true),
        ("max-age=10", "stale-if-error=99999999999", true),
        ("max-age=10", "x", false),
        ("max-age=10", "stale-if-error", false),
        ("max-age=10", "stale-if-error=", false),
        ("max-age=10", "stale-if-error=0", false),
        ("max-age=10", "stale-if-error=2", false),
        ("max-age=10", "stale-if-error=-20", false),
        ("max-age=10", "stale-if-error= 20", false),
        ("max-age=10", "x=\"stale-if-error=20\"", false),
    ];
    for (directives, window, expected) in allowing.into_iter().chain(forbidding).chain(forms) {
        let rig = proxy();
        rig.origin(
            200,
            &format!("cache-control: {directives}, {window} | {VALIDATOR}"),
            "first",
        )
        .origin(500, "", "an error");
        rig.get("/", "").await;
        rig.advance(15);
        let reply = rig.get("/", "").await;
        failures.check((reply.text() == "first") == expected, || {
            format!("5861, 4: {directives}, {window}: {reply:?}")
        });
    }
}

#[tokio::test]
async fn after_its_window_an_error_is_passed_on() {
    let rig = proxy();
    rig.origin(200, "cache-control: max-age=10, stale-if-error=20", "first")
        .origin(503, "retry-after: 5", "an error");
    rig.get("/", "").await;
    rig.advance(31);
    let reply = rig.get("/", "").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (503, "an error"),
        "5861, 4"
    );
    assert_eq!(reply.header("retry-after"), Some("5"));
}

/// What a client gets of a stored response that has been stale for so long, when the origin is gone.
async fn disconnected(make: fn(CacheLayer) -> Rig, directives: &str, stale: u64) -> Reply {
    let rig = make(CacheLayer::shared_proxy());
    rig.origin(
        200,
        &format!("cache-control: {directives} | {VALIDATOR}"),
        "first",
    )
    .breaks();
    rig.get("/", "").await;
    rig.advance(10 + stale);
    let reply = rig.get("/", "").await;
    assert_eq!(rig.asked(), 2, "{directives}, {stale}");
    reply
}

#[tokio::test]
async fn without_its_origin_a_proxy_serves_stale_for_a_day() {
    // RFC 9111, section 4.2.4: stale only if disconnected or explicitly allowed.
    let mut failures = Failures::default();
    for make in [rig as fn(CacheLayer) -> Rig, rig_infallible] {
        for directives in ALLOWING {
            for (stale, expected) in [(0, true), (100, true), (86_390, true), (86_410, false)] {
                let reply = disconnected(make, directives, stale).await;
                failures.check((reply.text() == "first") == expected, || {
                    format!("9111, 4.2.4: {directives}, stale for {stale}: {reply:?}")
                });
            }
        }
    }
}

/// What was invalidated is no longer true, origin or not.
#[tokio::test]
async fn without_its_origin_a_proxy_serves_nothing_that_was_invalidated() {
    for stale_if_error in [false, true] {
        let rig = proxy();
        let window = if stale_if_error {
            ", stale-if-error=100"
        } else {
            ""
        };
        let headers = format!("cache-control: max-age=100{window}|cache-groups: \"page\"");
        rig.origin(200, &headers, "stored").breaks();
        rig.get("/", "").await;
        rig.cache.revalidate_tag("page").await.unwrap();
        let reply = rig.get("/", "").await;
        assert_eq!(reply.failed, !stale_if_error, "{reply:?}");
    }
}

#[tokio::test]
async fn without_its_origin_a_proxy_heeds_what_forbids_stale() {
    let mut failures = Failures::default();
    for make in [rig as fn(CacheLayer) -> Rig, rig_infallible] {
        for directives in FORBIDDING {
            for window in ["x", "stale-if-error=100", "stale-while-revalidate=100"] {
                let directives = format!("{directives}, {window}");
                let reply = disconnected(make, &directives, 5).await;
                let failed = reply.failed || matches!(reply.status.as_u16(), 502 | 504);
                failures.check(failed && reply.text() != "first", || {
                    format!("9111, 4.2.4: {directives}: {reply:?}")
                });
            }
        }
    }
}

#[tokio::test]
async fn a_gateways_error_is_a_disconnection() {
    let mut failures = Failures::default();
    for (status, directives, expected) in [
        (502, "max-age=10", true),
        (504, "max-age=10", true),
        (500, "max-age=10", false),
        (503, "max-age=10", false),
        (502, "max-age=10, must-revalidate", false),
        (504, "max-age=10, must-revalidate", false),
        (502, "s-maxage=10", false),
        (504, "max-age=10, proxy-revalidate", false),
    ] {
        let rig = proxy();
        rig.origin(200, &format!("cache-control: {directives}"), "first")
            .origin(status, "", "an error");
        rig.get("/", "").await;
        rig.advance(1_000);
        let reply = rig.get("/", "").await;
        let wanted = if expected {
            (200, "first")
        } else {
            (status, "an error")
        };
        failures.check((reply.status.as_u16(), reply.text()) == wanted, || {
            format!("9111, 4.2.4: {status} after {directives}: {reply:?}")
        });
    }
}

#[tokio::test]
async fn an_application_serves_stale_where_it_said_so() {
    let mut failures = Failures::default();
    for make in [rig as fn(CacheLayer) -> Rig, rig_infallible] {
        for (directives, expected) in [
            ("max-age=10", false),
            ("max-age=10, stale-if-error=100", true),
            ("max-age=10, stale-if-error=100, must-revalidate", false),
        ] {
            let rig = make(CacheLayer::new());
            rig.origin(200, &format!("cache-control: {directives}"), "first")
                .breaks();
            rig.get("/", "").await;
            rig.advance(15);
            let reply = rig.get("/", "").await;
            failures.check((reply.text() == "first") == expected, || {
                format!("9111, 4.2.4: {directives}: {reply:?}")
            });
        }
    }
}

#[tokio::test]
async fn what_never_was_stored_cannot_hide_a_failure() {
    let rig = proxy();
    rig.breaks();
    assert!(rig.get("/", "").await.failed);
    let rig = rig_infallible(CacheLayer::shared_proxy());
    rig.breaks();
    assert_eq!(rig.get("/", "").await.status, 502);
    let rig = proxy();
    rig.origin(200, "cache-control: no-store, max-age=10", "first")
        .breaks();
    rig.get("/", "").await;
    rig.advance(20);
    assert!(rig.get("/", "").await.failed, "9111, 4.2.4");
}

#[tokio::test]
async fn stale_responses_answer_conditions_and_head() {
    // RFC 9111, section 4.3.2 goes for stale responses that may be served, too.
    let rig = proxy();
    let headers = "cache-control: max-age=10 | etag: \"x\"";
    rig.origin(200, headers, "first").breaks().breaks();
    rig.get("/", "").await;
    rig.advance(20);
    let reply = rig.get("/", "if-none-match: \"x\"").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (304, ""));
    rig.advance(2);
    let head = rig.send("HEAD", "/", "").await;
    assert_eq!((head.status.as_u16(), head.text()), (200, ""));
    assert_eq!(head.header("etag"), Some("\"x\""));
}
