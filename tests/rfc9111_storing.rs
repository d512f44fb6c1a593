//! RFC 9111, section 3 and what it rests on: which responses are stored.
//!
//! A response counts as stored here where the next request is answered with it and the origin is not
//! asked: what an outside observer can tell.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=60";

async fn check_table(make: fn() -> Rig, rows: &[(&str, &str, bool)]) {
    let mut failures = Failures::default();
    for (section, headers, expected) in rows {
        let found = reused(&make(), 200, headers).await;
        failures.check(found == *expected, || {
            format!("{section}: {headers:?} stored: {found}")
        });
    }
}

#[tokio::test]
async fn a_proxy_stores_what_states_its_freshness() {
    check_table(
        proxy,
        &[
            ("3", "", false),
            ("3", "cache-control: max-age=60", true),
            ("3", "cache-control: s-maxage=60", true),
            ("3", "date: {now} | expires: {now+60}", true),
            ("3", "expires: {now+60}", true),
            ("3", "cache-control: public, max-age=60", true),
            ("3", "date: {now} | last-modified: {now-1000}", true),
            // Stored perhaps, but never fresh.
            ("3", "cache-control: public", false),
            ("3", "cache-control: max-age=0", false),
            ("3", "etag: \"x\"", false),
            ("3", "content-type: text/html", false),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_application_stores_what_was_declared_storable() {
    check_table(
        application,
        &[
            ("3", "", false),
            ("3", "cache-control: max-age=60", true),
            ("3", "cache-control: s-maxage=60", true),
            ("3", "expires: {now+60}", true),
            ("3", "cache-control: public", false),
            ("4.2.2", "date: {now} | last-modified: {now-1000}", false),
            (
                "4.2.2",
                "cache-control: public | last-modified: {now-1000}",
                false,
            ),
            ("5.2.2.4", "cache-control: no-cache, max-age=60", false),
            ("5.2.2.5", "cache-control: no-store, max-age=60", false),
            ("5.2.2.7", "cache-control: private, max-age=60", false),
            ("7.3", "cache-control: max-age=60 | set-cookie: a=b", false),
            (
                "7.3",
                "cache-control: public, s-maxage=60 | set-cookie: a=b",
                false,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn directives_that_forbid_are_obeyed() {
    check_table(
        proxy,
        &[
            ("5.2.2.5", "cache-control: no-store, max-age=60", false),
            ("5.2.2.5", "cache-control: max-age=60, no-store", false),
            ("5.2.2.5", "cache-control: No-Store, max-age=60", false),
            ("5.2.2.5", "cache-control: max-age=60,NO-STORE", false),
            (
                "5.2.2.5",
                "cache-control: public, max-age=60, no-store",
                false,
            ),
            (
                "5.2.2.5",
                "cache-control: no-store | expires: {now+60}",
                false,
            ),
            (
                "5.2.2.5",
                "cache-control: no-store | date: {now} | last-modified: {now-1000}",
                false,
            ),
            ("5.2.2.5", "cache-control: s-maxage=60, no-store", false),
            ("5.2.2.7", "cache-control: private, max-age=60", false),
            ("5.2.2.7", "cache-control: max-age=60, private", false),
            ("5.2.2.7", "cache-control: PRIVATE, max-age=60", false),
            ("5.2.2.7", "cache-control: private, s-maxage=60", false),
            (
                "5.2.2.7",
                "cache-control: private, public, max-age=60",
                false,
            ),
            (
                "5.2.2.7",
                "cache-control: private | expires: {now+60}",
                false,
            ),
            ("5.2.2.4", "cache-control: no-cache, max-age=60", false),
            ("5.2.2.4", "cache-control: max-age=60, No-Cache", false),
            ("5.2.2.4", "cache-control: no-cache, s-maxage=60", false),
            (
                "5.2.2.4",
                "cache-control: no-cache | expires: {now+60}",
                false,
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn cache_control_is_a_list() {
    check_table(
        proxy,
        &[
            // Lines are one list, in any form that a list may have (RFC 9110, section 5.6.1).
            (
                "5.2",
                "cache-control: max-age=60 | cache-control: no-store",
                false,
            ),
            (
                "5.2",
                "cache-control: no-store | cache-control: max-age=60",
                false,
            ),
            (
                "5.2",
                "cache-control: public | cache-control: max-age=60",
                true,
            ),
            ("5.2", "cache-control: | cache-control: max-age=60", true),
            ("5.2", "cache-control: ,max-age=60", true),
            ("5.2", "cache-control: , , max-age=60 ,, ,", true),
            ("5.2", "cache-control: public\t,\tmax-age=60", true),
            ("5.2", "cache-control: public,max-age=60", true),
            ("5.2", "cache-control: public   ,   max-age=60", true),
            ("5.2", "cache-control: max-age=60\t,\tno-store", false),
            (
                "5.2",
                "cache-control: ,,no-store,,| expires: {now+60}",
                false,
            ),
            ("5.2", "Cache-Control: MAX-AGE=60", true),
            ("5.2", "cache-control: Max-Age=\"60\"", true),
            // Other separators are none.
            ("5.2", "cache-control: public; max-age=60", false),
            ("5.2", "cache-control: public max-age=60", false),
            ("5.2", "cache-control: max-age=60 no-store", false),
            ("5.2", "cache-control: max-age=60;no-store", false),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_within_quotes_is_no_directive() {
    check_table(
        proxy,
        &[
            ("5.2", "cache-control: x=\"caf\u{e9}\", max-age=60", true),
            ("5.2", "cache-control: x=\"no-store\", max-age=60", true),
            (
                "5.2",
                "cache-control: x=\"a, no-store, b\", max-age=60",
                true,
            ),
            ("5.2", "cache-control: x=\",no-store\" , max-age=60", true),
            (
                "5.2",
                "cache-control: x=\"private, no-cache\", max-age=60",
                true,
            ),
            (
                "5.2",
                "cache-control: x=\"a\\\", no-store\", max-age=60",
                true,
            ),
            (
                "5.2",
                "cache-control: x=\"a\\\\\", no-store, max-age=60",
                false,
            ),
            ("5.2", "cache-control: x=\"\", no-store, max-age=60", false),
            (
                "5.2",
                "cache-control: x=\"a\", no-store, y=\"b\", max-age=60",
                false,
            ),
            ("5.2", "cache-control: x=\"max-age=60\"", false),
            ("5.2", "cache-control: x=\"a, max-age=60\"", false),
            ("5.2", "cache-control: x=\"never closed, max-age=60", false),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_last_of_many_directives_is_read() {
    // Section 5.2.
    for (last, expected) in [("no-store", false), ("private", false), ("foo", true)] {
        let many = "foo=bar, ".repeat(2_000);
        let headers = format!("cache-control: max-age=60, {many}{last}");
        assert_eq!(reused(&proxy(), 200, &headers).await, expected, "{last}");
    }
}

#[tokio::test]
async fn unknown_directives_mean_nothing() {
    check_table(
        proxy,
        &[
            ("5.2.3", "cache-control: foo, max-age=60", true),
            ("5.2.3", "cache-control: max-age=60, foo=bar", true),
            ("5.2.3", "cache-control: foo=\"a, b\", max-age=60", true),
            ("5.2.3", "cache-control: foo=1, foo=2, max-age=60", true),
            ("5.2.3", "cache-control: max-age=60, immutable", true),
            ("5.2.3", "cache-control: max-age=60, no-storey", true),
            ("5.2.3", "cache-control: max-age=60, xno-store", true),
            ("5.2.3", "cache-control: max-age=60, no-store-x=1", true),
            ("5.2.3", "cache-control: max-age=60, no_store", true),
            ("5.2.3", "cache-control: max-age=60, privates", true),
            ("5.2.3", "cache-control: max-age=60, x-private", true),
            ("5.2.3", "cache-control: foo", false),
            ("5.2.3", "cache-control: x-max-age=60", false),
            ("5.2.3", "cache-control: max-ages=60", false),
            ("5.2.2.6", "cache-control: max-age=60, no-transform", true),
            // A request's directives say nothing in a response.
            ("5.2.1.7", "cache-control: max-age=60, only-if-cached", true),
            ("5.2.1.2", "cache-control: max-age=60, max-stale=5", true),
            ("5.2.1.3", "cache-control: max-age=60, min-fresh=100", true),
        ],
    )
    .await;
}

#[tokio::test]
async fn pragma_means_nothing_in_responses() {
    check_table(
        proxy,
        &[
            ("5.4", "pragma: no-cache | cache-control: max-age=60", true),
            ("5.4", "pragma: no-cache | expires: {now+60}", true),
            (
                "5.4",
                "pragma: no-cache | date: {now} | last-modified: {now-1000}",
                true,
            ),
            ("5.4", "pragma: no-store | cache-control: max-age=60", true),
            ("5.4", "pragma: max-age=60", false),
        ],
    )
    .await;
}

/// The final status codes of the registry that a response to a plain GET may have. Not among them:
/// 412, 416 and 417, which answer what one request asked beside its target.
const REGISTERED: [u16; 52] = [
    200, 201, 202, 203, 204, 205, 207, 208, 226, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402,
    403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 421, 422, 423, 424, 425, 426, 428,
    429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
];
const UNREGISTERED: [u16; 9] = [209, 299, 309, 399, 420, 499, 512, 550, 599];

#[tokio::test]
async fn every_final_status_is_stored_that_states_its_freshness() {
    // Section 3: the status code is final; heuristics alone need to know it.
    let mut failures = Failures::default();
    for headers in [FRESH, "expires: {now+60}", "cache-control: s-maxage=60"] {
        for status in REGISTERED.into_iter().chain(UNREGISTERED) {
            failures.check(reused(&proxy(), status, headers).await, || {
                format!("3: {status} with {headers} is not stored")
            });
        }
    }
}

#[tokio::test]
async fn parts_and_not_modified_are_never_stored_for_a_plain_get() {
    // Section 3.3: a 206 may not be reused as if it were whole; section 3: a 304 is no response by
    // itself.
    let mut failures = Failures::default();
    for (section, status, headers) in [
        (
            "3.3",
            206,
            "cache-control: max-age=60 | content-range: bytes 0-4/10",
        ),
        ("3.3", 206, "cache-control: max-age=60"),
        (
            "3.3",
            206,
            "cache-control: public, s-maxage=60, must-understand",
        ),
        ("3", 304, "cache-control: max-age=60"),
        ("3", 304, "cache-control: max-age=60 | etag: \"x\""),
        (
            "3",
            304,
            "cache-control: public, s-maxage=60, must-understand",
        ),
    ] {
        failures.check(!reused(&proxy(), status, headers).await, || {
            format!("{section}: {status} with {headers} was reused")
        });
    }
}

#[tokio::test]
async fn must_understand_asks_for_a_known_status() {
    let mut failures = Failures::default();
    for (status, directives, expected) in [
        (200, "must-understand, max-age=60", true),
        (200, "no-store, must-understand, max-age=60", true),
        (200, "must-understand, max-age=60, no-store", true),
        (200, "Must-Understand, No-Store, max-age=60", true),
        (404, "no-store, must-understand, max-age=60", true),
        (503, "no-store, must-understand, max-age=60", true),
        (299, "max-age=60", true),
        (299, "must-understand, max-age=60", false),
        (299, "no-store, must-understand, max-age=60", false),
        (499, "must-understand, s-maxage=60", false),
        (599, "no-store, must-understand, max-age=60", false),
        // It allows nothing by itself, and lifts no-store alone.
        (200, "must-understand", false),
        (200, "no-store, must-understand", false),
        (200, "no-store, must-understand, private, max-age=60", false),
        (
            200,
            "no-store, must-understand, no-cache, max-age=60",
            false,
        ),
        (200, "no-store, x=\"must-understand\", max-age=60", false),
    ] {
        let headers = format!("cache-control: {directives}");
        let found = reused(&proxy(), status, &headers).await;
        failures.check(found == expected, || {
            format!("5.2.2.3: {status} with {directives:?} stored: {found}")
        });
    }
}

#[tokio::test]
async fn answers_to_other_methods_are_no_answers_to_get() {
    // Section 3 leaves it to a cache which methods it understands; this one's are GET and HEAD.
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "FOO", "get",
    ] {
        let rig = proxy();
        rig.origin(200, "cache-control: max-age=60, public", "of another")
            .origin(200, FRESH, "of a GET");
        let other = rig.send(method, "/", "").await;
        assert_eq!(other.text(), "of another", "{method}");
        assert_eq!(rig.get("/", "").await.text(), "of a GET", "{method}");
        rig.origin(200, FRESH, "again");
        assert_eq!(rig.send(method, "/", "").await.text(), "again", "{method}");
    }
}

#[tokio::test]
async fn what_breaks_off_is_not_stored() {
    // Section 3.3: an incomplete response is not reused as a complete one.
    for headers in [FRESH, "cache-control: max-age=60 | content-length: 100"] {
        let rig = proxy();
        rig.origin_cut(200, headers, "part")
            .origin(200, FRESH, "whole");
        let first = rig.get("/", "").await;
        assert_eq!(first.text(), "part");
        assert!(first.cut, "{headers}: the client has to know");
        rig.advance(11);
        let second = rig.get("/", "").await;
        assert_eq!((second.text(), second.cut), ("whole", false), "{headers}");
        rig.get("/", "").await.assert_hit();
    }
}

#[tokio::test]
async fn what_is_not_as_long_as_announced_is_not_stored() {
    let mut failures = Failures::default();
    for (length, expected) in [
        ("5", true),
        ("100", false),
        ("6", false),
        ("4", false),
        ("0", false),
        ("x", false),
    ] {
        let headers = format!("{FRESH} | content-length: {length}");
        let rig = proxy();
        rig.origin(200, &headers, "first").origin(200, "", "second");
        rig.get("/", "").await;
        rig.get("/", "").await;
        failures.check((rig.asked() == 1) == expected, || {
            format!(
                "3.3: a body of 5 with Content-Length {length}, asked: {}",
                rig.asked()
            )
        });
    }
}

#[tokio::test]
async fn responses_to_authorized_requests_need_leave_to_be_shared() {
    let mut failures = Failures::default();
    for (directives, expected) in [
        ("max-age=60", false),
        ("public, max-age=60", true),
        ("max-age=60, PUBLIC", true),
        ("s-maxage=60", true),
        ("max-age=5, s-maxage=60", true),
        ("must-revalidate, max-age=60", true),
        ("proxy-revalidate, max-age=60", false),
        ("immutable, max-age=60", false),
        ("x=\"public\", max-age=60", false),
        ("x-public, max-age=60", false),
        ("public, private, max-age=60", false),
        ("public, no-store, max-age=60", false),
    ] {
        for (first, second) in [
            ("authorization: Basic a", ""),
            ("authorization: Basic a", "authorization: Basic a"),
            ("authorization: Basic a", "authorization: Basic b"),
            ("authorization:", ""),
        ] {
            let rig = proxy();
            rig.origin(200, &format!("cache-control: {directives}"), "first")
                .origin(200, "cache-control: no-store", "second");
            rig.get("/", first).await;
            let found = rig.get("/", second).await.text() == "first";
            failures.check(found == expected, || {
                format!("3.5: {directives:?}, {first:?} then {second:?}, stored: {found}")
            });
        }
    }
    // Expires is not among what gives leave.
    for headers in [
        "expires: {now+60}",
        "date: {now} | last-modified: {now-1000}",
    ] {
        let rig = proxy();
        rig.origin(200, headers, "first")
            .origin(200, headers, "second");
        rig.get("/", "authorization: Basic a").await;
        let found = rig.get("/", "authorization: Basic a").await;
        failures.check(found.text() == "second", || format!("3.5: {headers:?}"));
    }
}

#[tokio::test]
async fn authorized_requests_get_what_anybody_may() {
    // Section 3.5 restricts responses to requests with Authorization, not those to others.
    let rig = proxy();
    rig.origin(200, FRESH, "first").origin(200, FRESH, "second");
    rig.get("/", "").await;
    let reply = rig.get("/", "authorization: Basic a").await;
    assert_eq!(reply.assert_hit().text(), "first");
}

#[tokio::test]
async fn an_application_keeps_the_authorized_apart() {
    // Section 3.5 allows more; an application's cache does not.
    let rig = application();
    let public = "cache-control: public, max-age=60";
    rig.origin(200, public, "anybody's")
        .origin(200, public, "an authorized one's");
    rig.get("/", "").await;
    let authorized = rig.get("/", "authorization: Basic a").await;
    assert_eq!(authorized.text(), "an authorized one's");
    assert_eq!(rig.get("/", "").await.assert_hit().text(), "anybody's");
}

#[tokio::test]
async fn cookies_are_stored_where_freshness_is_explicit() {
    check_table(
        proxy,
        &[
            ("7.3", "set-cookie: a=b", false),
            ("7.3", "set-cookie: a=b | cache-control: max-age=60", true),
            ("7.3", "set-cookie: a=b | cache-control: s-maxage=60", true),
            ("7.3", "set-cookie: a=b | expires: {now+60}", true),
            (
                "7.3",
                "set-cookie: a=b | cache-control: private, max-age=60",
                false,
            ),
            (
                "7.3",
                "set-cookie: a=b | date: {now} | last-modified: {now-1000}",
                false,
            ),
            (
                "7.3",
                "set-cookie: a=b | cache-control: public | date: {now} | last-modified: {now-1000}",
                false,
            ),
        ],
    )
    .await;
    let rig = proxy();
    rig.origin(
        200,
        &format!("{FRESH} | set-cookie: a=b | set-cookie: c=d"),
        "",
    );
    rig.get("/", "").await;
    let reply = rig.get("/", "").await;
    assert_eq!(reply.assert_hit().lines("set-cookie"), ["a=b", "c=d"]);
}

#[tokio::test]
async fn only_a_proxy_keeps_what_it_has_to_validate() {
    // Sections 4.3.1 and 5.2.2.4: what is stored but not to be reused unasked has a validator.
    for directives in [
        "no-cache, max-age=60",
        "max-age=0",
        "s-maxage=0, max-age=60",
    ] {
        for (make, condition) in [
            (proxy as fn() -> Rig, Some("\"x\"")),
            (application as fn() -> Rig, None),
        ] {
            let rig = make();
            let headers = format!("cache-control: {directives} | etag: \"x\"");
            rig.origin(200, &headers, "first")
                .origin(200, &headers, "second");
            rig.get("/", "").await;
            assert_eq!(rig.get("/", "").await.text(), "second", "{directives}");
            let sent = rig.seen_header("if-none-match");
            assert_eq!(sent.as_deref(), condition, "{directives}");
        }
    }
}

/// A response that may not be stored says nothing of the next one.
#[tokio::test]
async fn what_may_be_stored_is_even_after_what_may_not() {
    let mut failures = Failures::default();
    for first in [
        "",
        "cache-control: no-store",
        "cache-control: private, max-age=60",
        "vary: *|cache-control: max-age=60",
    ] {
        let rig = proxy();
        rig.origin(200, first, "one").origin(200, FRESH, "two");
        rig.get("/", "").await;
        assert_eq!(rig.get("/", "").await.text(), "two");
        let reply = rig.get("/", "").await;
        failures.check(reply.is_hit() && reply.text() == "two", || {
            format!("after {first:?}: {reply:?}")
        });
    }
}
