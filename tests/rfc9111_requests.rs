//! RFC 9111, sections 5.2.1 and 5.4: what clients say of caching. By default nobody listens, since
//! whoever can ask past a cache can load its origin; `obey_request_directives` makes a layer listen.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

fn obedient() -> Rig {
    rig(CacheLayer::shared_proxy().obey_request_directives(true))
}

fn obedient_application() -> Rig {
    rig(CacheLayer::new().obey_request_directives(true))
}

/// Whether a request is answered from a response that is fresh for 60 seconds and so many old.
async fn answered(rig: &Rig, response: &str, age: u64, request: &str) -> bool {
    rig.origin(200, response, "stored")
        .origin(200, "cache-control: no-store", "asked");
    rig.get("/", "").await;
    rig.advance(age);
    let reply = rig.get("/", request).await;
    let stored = reply.text() == "stored";
    assert_eq!(
        rig.asked(),
        if stored { 1 } else { 2 },
        "{request}: {reply:?}"
    );
    stored
}

/// Rows of section, age, the request's fields, and whether the stored response will do.
async fn check_table(make: fn() -> Rig, response: &str, rows: &[(&str, u64, &str, bool)]) {
    let mut failures = Failures::default();
    for (section, age, request, expected) in rows {
        let found = answered(&make(), response, *age, request).await;
        failures.check(found == *expected, || {
            format!("{section}: {request:?} at {age} with {response:?}, from the cache: {found}")
        });
    }
}

const FRESH: &str = "cache-control: max-age=60";

#[tokio::test]
async fn clients_are_not_obeyed_unless_the_layer_is_told_to() {
    let rows = [
        ("5.2.1.1", 30, "cache-control: max-age=0", true),
        ("5.2.1.1", 30, "cache-control: max-age=10", true),
        ("5.2.1.2", 70, "cache-control: max-stale", false),
        ("5.2.1.2", 70, "cache-control: max-stale=100", false),
        ("5.2.1.3", 30, "cache-control: min-fresh=100", true),
        ("5.2.1.4", 30, "cache-control: no-cache", true),
        ("5.2.1.5", 30, "cache-control: no-store", true),
        ("5.2.1.7", 30, "cache-control: only-if-cached", true),
        ("5.2.1.7", 70, "cache-control: only-if-cached", false),
        ("5.4", 30, "pragma: no-cache", true),
        (
            "5.4",
            30,
            "pragma: no-cache | cache-control: no-cache, no-store",
            true,
        ),
    ];
    check_table(proxy, FRESH, &rows).await;
    check_table(application, FRESH, &rows).await;
}

#[tokio::test]
async fn responses_to_what_clients_forbid_are_stored_all_the_same() {
    for make in [proxy, application] {
        for request in [
            "cache-control: no-store",
            "cache-control: no-cache",
            "cache-control: max-age=0",
            "cache-control: only-if-cached",
            "pragma: no-cache",
        ] {
            let rig = make();
            rig.origin(200, FRESH, "first");
            assert_eq!(
                rig.get("/", request).await.text(),
                "first",
                "5.2.1: {request}"
            );
            assert_eq!(rig.get("/", "").await.assert_hit().text(), "first");
        }
    }
}

#[tokio::test]
async fn clients_may_want_young_responses() {
    let rows = [
        ("5.2.1.1", 30, "cache-control: max-age=31", true),
        ("5.2.1.1", 30, "cache-control: max-age=30", true),
        ("5.2.1.1", 30, "cache-control: max-age=29", false),
        ("5.2.1.1", 30, "cache-control: max-age=0", false),
        ("5.2.1.1", 30, "Cache-Control: MAX-AGE=29", false),
        ("5.2.1.1", 30, "cache-control: foo, max-age=29", false),
        (
            "5.2.1.1",
            30,
            "cache-control: foo | cache-control: ,max-age=29,",
            false,
        ),
        ("5.2.1.1", 30, "cache-control: max-age=\"29\"", false),
        ("5.2.1.1", 30, "cache-control: max-age=\"30\"", true),
        (
            "5.2.1.1",
            30,
            "cache-control: max-age=100, max-age=29",
            false,
        ),
        ("5.2.1.1", 30, "cache-control: max-age=99999999999", true),
        // What is no number counts as 0.
        ("5.2.1.1", 30, "cache-control: max-age=x", false),
        ("5.2.1.1", 30, "cache-control: max-age=", false),
        ("5.2.1.1", 30, "cache-control: max-age", false),
        ("5.2.1.1", 30, "cache-control: max-age=-1", false),
        // It makes nothing fresh that is not.
        ("5.2.1.1", 60, "cache-control: max-age=100", false),
        // What a server says to caches is no client's to say.
        ("5.2.1", 30, "cache-control: s-maxage=0", true),
        ("5.2.1", 30, "cache-control: private, must-revalidate", true),
        ("5.2.1", 30, "cache-control: foo, bar=1", true),
        ("5.2.1", 30, "cache-control: x=\"max-age=0\"", true),
        ("5.2.1", 30, "cache-control:", true),
    ];
    check_table(obedient, FRESH, &rows).await;
    check_table(obedient_application, FRESH, &rows).await;
    // The age that counts is the whole one.
    let old = [("5.2.1.1", 5, "cache-control: max-age=29", false)];
    check_table(obedient, "cache-control: max-age=60 | age: 25", &old).await;
}

#[tokio::test]
async fn clients_may_want_what_stays_fresh() {
    check_table(
        obedient,
        FRESH,
        &[
            ("5.2.1.3", 30, "cache-control: min-fresh=0", true),
            ("5.2.1.3", 30, "cache-control: min-fresh=29", true),
            ("5.2.1.3", 30, "cache-control: min-fresh=30", true),
            ("5.2.1.3", 30, "cache-control: min-fresh=31", false),
            ("5.2.1.3", 30, "cache-control: Min-Fresh=\"31\"", false),
            ("5.2.1.3", 30, "cache-control: min-fresh=99999999999", false),
            (
                "5.2.1.3",
                30,
                "cache-control: max-age=100, min-fresh=31",
                false,
            ),
            (
                "5.2.1.3",
                30,
                "cache-control: min-fresh=5, max-age=10",
                false,
            ),
            ("5.2.1.3", 30, "cache-control: x=\"min-fresh=31\"", true),
        ],
    )
    .await;
}

#[tokio::test]
async fn clients_may_take_stale_responses() {
    check_table(
        obedient,
        FRESH,
        &[
            ("5.2.1.2", 59, "cache-control: max-stale=0", true),
            ("5.2.1.2", 60, "", false),
            ("5.2.1.2", 70, "cache-control: max-stale", true),
            ("5.2.1.2", 10_000, "cache-control: max-stale", true),
            ("5.2.1.2", 70, "cache-control: MAX-STALE", true),
            ("5.2.1.2", 89, "cache-control: max-stale=30", true),
            ("5.2.1.2", 90, "cache-control: max-stale=30", true),
            ("5.2.1.2", 91, "cache-control: max-stale=30", false),
            ("5.2.1.2", 70, "cache-control: max-stale=\"30\"", true),
            ("5.2.1.2", 70, "cache-control: foo, max-stale=30, bar", true),
            (
                "5.2.1.2",
                70,
                "cache-control: max-age=100, max-stale=30",
                true,
            ),
            (
                "5.2.1.2",
                70,
                "cache-control: max-age=10, max-stale=30",
                false,
            ),
            (
                "5.2.1.2",
                70,
                "cache-control: no-cache, max-stale=30",
                false,
            ),
            // What is no number allows nothing.
            ("5.2.1.2", 70, "cache-control: max-stale=x", false),
            ("5.2.1.2", 70, "cache-control: max-stale=-1", false),
            ("5.2.1.2", 70, "cache-control: max-stale=0", false),
            ("5.2.1.2", 70, "cache-control: x=\"max-stale\"", false),
        ],
    )
    .await;
}

#[tokio::test]
async fn servers_forbid_what_clients_would_take_stale() {
    // Sections 4.2.4, 5.2.2.2, 5.2.2.4, 5.2.2.8 and 5.2.2.10.
    for response in [
        "cache-control: max-age=60, must-revalidate",
        "cache-control: max-age=60, proxy-revalidate",
        "cache-control: s-maxage=60",
        "cache-control: max-age=60, no-cache",
        "cache-control: max-age=60, no-cache | etag: \"x\"",
    ] {
        let rows = [
            ("4.2.4", 70, "cache-control: max-stale", false),
            ("4.2.4", 70, "cache-control: max-stale=100", false),
        ];
        check_table(obedient, response, &rows).await;
    }
}

#[tokio::test]
async fn clients_may_ask_past_the_cache() {
    let rows = [
        ("5.2.1.4", 0, "cache-control: no-cache", false),
        ("5.2.1.4", 30, "cache-control: no-cache", false),
        ("5.2.1.4", 30, "cache-control: No-Cache", false),
        ("5.2.1.4", 30, "cache-control: max-age=100, no-cache", false),
        (
            "5.2.1.4",
            30,
            "cache-control: foo | cache-control: no-cache",
            false,
        ),
        ("5.2.1.4", 30, "cache-control: no-cached, x-no-cache", true),
        ("5.2.1.4", 30, "cache-control: x=\"no-cache\"", true),
        ("5.4", 30, "pragma: no-cache", false),
        ("5.4", 30, "pragma: No-Cache", false),
        ("5.4", 30, "pragma: foo, no-cache", false),
        ("5.4", 30, "pragma: foo | pragma: no-cache", false),
        ("5.4", 30, "pragma: foo", true),
        ("5.4", 30, "pragma: no-store", true),
        ("5.4", 30, "pragma: x=\"no-cache\"", true),
        // Pragma is heard where there is no Cache-Control.
        (
            "5.4",
            30,
            "pragma: no-cache | cache-control: max-age=100",
            true,
        ),
        ("5.4", 30, "pragma: no-cache | cache-control: foo", true),
        ("5.4", 30, "pragma: foo | cache-control: no-cache", false),
    ];
    check_table(obedient, FRESH, &rows).await;
    check_table(obedient_application, FRESH, &rows).await;
}

#[tokio::test]
async fn what_was_asked_past_the_cache_replaces_what_is_stored() {
    for request in [
        "cache-control: no-cache",
        "cache-control: max-age=0",
        "cache-control: min-fresh=100",
        "pragma: no-cache",
    ] {
        let rig = obedient();
        rig.origin(200, FRESH, "first").origin(200, FRESH, "second");
        rig.get("/", "").await;
        rig.advance(5);
        assert_eq!(
            rig.get("/", request).await.text(),
            "second",
            "5.2.1: {request}"
        );
        let reply = rig.get("/", "").await;
        assert_eq!(
            (reply.assert_hit().text(), reply.header("age")),
            ("second", Some("0"))
        );
    }
}

#[tokio::test]
async fn to_ask_past_the_cache_is_to_validate() {
    // Section 5.2.1.4: not to be reused without successful validation.
    for request in [
        "cache-control: no-cache",
        "cache-control: max-age=0",
        "pragma: no-cache",
    ] {
        let rig = obedient();
        let headers = "cache-control: max-age=60 | etag: \"x\"";
        rig.origin(200, headers, "first").origin(304, headers, "");
        rig.get("/", "").await;
        rig.advance(30);
        let reply = rig.get("/", request).await;
        let found = (reply.status.as_u16(), reply.text(), rig.asked());
        assert_eq!(found, (200, "first", 2), "{request}");
        assert_eq!(rig.seen_header("if-none-match").as_deref(), Some("\"x\""));
        rig.advance(50);
        let reply = rig.get("/", "").await;
        assert_eq!(
            reply.assert_hit().header("age"),
            Some("50"),
            "4.3.4: {request}"
        );
    }
}

#[tokio::test]
async fn what_clients_forbid_to_store_is_not_stored() {
    let mut failures = Failures::default();
    for (request, expected) in [
        ("cache-control: no-store", false),
        ("cache-control: No-Store", false),
        ("cache-control: max-age=0, no-store", false),
        ("cache-control: foo | cache-control: no-store", false),
        ("cache-control: no-stores", true),
        ("cache-control: x=\"no-store\"", true),
        ("cache-control: no-cache", true),
        ("pragma: no-store", true),
    ] {
        for make in [obedient, obedient_application] {
            let rig = make();
            rig.origin(200, FRESH, "first").origin(200, FRESH, "second");
            rig.get("/", request).await;
            let reply = rig.get("/", "").await;
            failures.check(reply.is_hit() == expected, || {
                format!("5.2.1.5: {request} stored: {}", reply.is_hit())
            });
            // One client's wish keeps nothing from the cache that others bring.
            let reply = rig.get("/", "").await;
            failures.check(reply.is_hit(), || {
                format!("5.2.1.5: {request}, then {reply:?}")
            });
        }
    }
}

#[tokio::test]
async fn what_is_stored_already_may_answer_who_forbids_to_store() {
    // Section 5.2.1.5: the directive does not apply to the already stored response.
    let rig = obedient();
    rig.origin(200, FRESH, "first");
    rig.get("/", "").await;
    assert_eq!(
        rig.get("/", "cache-control: no-store").await.text(),
        "first"
    );
    assert_eq!(rig.get("/", "").await.assert_hit().text(), "first");
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn clients_may_want_only_what_is_stored() {
    let mut failures = Failures::default();
    for (age, request, expected) in [
        (30, "cache-control: only-if-cached", true),
        (30, "cache-control: Only-If-Cached", true),
        (30, "cache-control: only-if-cached, max-age=30", true),
        (70, "cache-control: only-if-cached, max-stale=30", true),
        (70, "cache-control: only-if-cached", false),
        (30, "cache-control: only-if-cached, max-age=29", false),
        (30, "cache-control: only-if-cached, min-fresh=31", false),
        (30, "cache-control: only-if-cached, no-cache", false),
        (95, "cache-control: only-if-cached, max-stale=30", false),
    ] {
        for method in ["GET", "HEAD"] {
            let rig = obedient();
            rig.origin(200, FRESH, "stored").origin(200, "", "asked");
            rig.get("/", "").await;
            rig.advance(age);
            let reply = rig.send(method, "/", request).await;
            let wanted = if expected { 200 } else { 504 };
            failures.check(reply.status == wanted && rig.asked() == 1, || {
                format!("5.2.1.7: {method} {request} at {age}: {reply:?}")
            });
        }
    }
}

#[tokio::test]
async fn nothing_stored_is_a_gateway_timeout_for_who_wants_only_that() {
    for make in [obedient, obedient_application] {
        for request in [
            "cache-control: only-if-cached",
            "cache-control: foo, ONLY-IF-CACHED",
        ] {
            let rig = make();
            rig.origin(200, FRESH, "first");
            for _ in 0..2 {
                let reply = rig.get("/", request).await;
                assert_eq!(reply.status, 504, "5.2.1.7: {request}");
            }
            assert_eq!(rig.asked(), 0);
            // Nor is that answer stored.
            assert_eq!(rig.get("/", "").await.text(), "first");
        }
    }
}

#[tokio::test]
async fn stale_while_it_revalidates_is_not_for_who_wants_it_fresh() {
    let response = "cache-control: max-age=60, stale-while-revalidate=100";
    let mut failures = Failures::default();
    for (request, expected) in [
        ("", true),
        ("cache-control: foo", true),
        ("cache-control: max-stale=30", true),
        ("cache-control: no-cache", false),
        ("cache-control: max-age=10", false),
        ("cache-control: min-fresh=1", false),
    ] {
        let rig = obedient();
        rig.origin(200, response, "stored").origin(200, "", "asked");
        rig.get("/", "").await;
        rig.advance(70);
        let reply = rig.get("/", request).await;
        failures.check((reply.text() == "stored") == expected, || {
            format!("5.2.1: {request:?}: {reply:?}")
        });
    }
}

#[tokio::test]
async fn what_clients_say_reaches_the_origin() {
    // Section 5.2: directives pass through a cache in both directions.
    for make in [proxy, obedient] {
        for value in [
            "no-cache",
            "max-age=0, foo=\"a, b\"",
            "no-transform",
            "No-Store",
            "bar",
        ] {
            let rig = make();
            rig.origin(200, "", "");
            rig.get(
                "/",
                &format!("cache-control: {value} | pragma: x | accept: a/b"),
            )
            .await;
            assert_eq!(
                rig.seen_header("cache-control").as_deref(),
                Some(value),
                "5.2"
            );
            assert_eq!(rig.seen_header("pragma").as_deref(), Some("x"), "5.4");
            assert_eq!(rig.seen_header("accept").as_deref(), Some("a/b"));
        }
    }
}

/// Section 5.2.1 for a part that is stored, as for a whole.
#[tokio::test]
async fn what_clients_demand_they_demand_of_parts() {
    for (demand, reused) in [
        ("no-cache", false),
        ("max-age=5", false),
        ("max-age=20", true),
        ("min-fresh=595", false),
        ("min-fresh=5", true),
    ] {
        let rig = rig(CacheLayer::shared_proxy().obey_request_directives(true));
        let part = "cache-control: max-age=600|date: {now}|content-range: bytes 0-4/10";
        rig.origin(206, part, "01234");
        rig.get("/", "range: bytes=0-4").await;
        rig.advance(10);
        rig.origin(206, part, "abcde");
        let request = format!("range: bytes=0-4|cache-control: {demand}");
        let reply = rig.get("/", &request).await;
        assert_eq!(reply.is_hit(), reused, "{demand}: {reply:?}");
    }
}

/// Section 5.2.1.7: what is stored and may be served stale is served to who wants nothing else.
#[tokio::test]
async fn only_what_is_stored_is_also_what_is_served_stale() {
    let rig = rig(CacheLayer::shared_proxy().obey_request_directives(true));
    let windowed = "cache-control: max-age=10, stale-while-revalidate=60|date: {now}";
    rig.origin(200, windowed, "first");
    rig.get("/", "").await;
    rig.advance(20);
    rig.origin(200, windowed, "second");
    let reply = rig.get("/", "cache-control: only-if-cached").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "first"));
}

/// What a request goes past is no hit, and what it is refused is a miss.
#[tokio::test]
async fn demands_are_counted_as_what_they_come_to() {
    let rig = rig(CacheLayer::shared_proxy().obey_request_directives(true));
    rig.origin(200, "cache-control: max-age=60|date: {now}", "first")
        .origin(200, "cache-control: max-age=60|date: {now}", "second");
    rig.get("/", "").await;
    rig.get("/", "cache-control: no-cache").await;
    rig.get("/other", "cache-control: only-if-cached").await;
    let stats = rig.cache.stats();
    assert_eq!((stats.hits, stats.bypassed, stats.misses), (0, 1, 2));
}
