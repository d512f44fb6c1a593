//! RFC 9111, section 3 and what it rests on: which responses are stored, and what of them.
//!
//! A response counts as stored here where the next request is answered with it and the origin is not
//! asked: what an outside observer can tell.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=60";

/// Whether the response to a GET is what the next GET gets, without the origin being asked.
async fn reused(rig: &Rig, status: u16, headers: &str) -> bool {
    let body = if matches!(status, 204 | 205 | 304) {
        ""
    } else {
        "first"
    };
    rig.origin(status, headers, body).origin(200, "", "second");
    let first = rig.get("/", "").await;
    assert_eq!((first.status.as_u16(), first.text()), (status, body));
    let second = rig.get("/", "").await;
    let same = (second.status, second.text()) == (first.status, first.text());
    assert_eq!(same, rig.asked() == 1, "{status} {headers}: {second:?}");
    same
}

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
async fn fields_that_are_named_are_not_stored() {
    let mut failures = Failures::default();
    for (section, directive) in [
        ("5.2.2.4", "no-cache=\"x-a\""),
        ("5.2.2.4", "no-cache=\"X-A\""),
        ("5.2.2.4", "No-Cache=\"x-a\""),
        ("5.2.2.4", "no-cache=\"x-c, x-a\""),
        ("5.2.2.4", "no-cache=\" ,x-c,\tx-a , \""),
        ("5.2.2.4", "no-cache=\"x-c\", no-cache=\"x-a\""),
        ("5.2.2.7", "private=\"x-a\""),
        ("5.2.2.7", "Private=\"X-a,x-c\""),
        ("5.2.2.7", "private=\"x-c\", no-cache=\"x-a\""),
    ] {
        let headers = format!("cache-control: {directive}, max-age=60 | x-a: 1 | x-a: 2 | x-b: 3");
        let rig = proxy();
        rig.origin(200, &headers, "first").origin(200, "", "second");
        let first = rig.get("/", "").await;
        failures.check(first.lines("x-a") == ["1", "2"], || {
            format!("{section}: {directive}: the first client gets {first:?}")
        });
        let second = rig.get("/", "").await;
        let rest = (second.text(), second.header("x-a"), second.header("x-b"));
        failures.check(rest == ("first", None, Some("3")), || {
            format!("{section}: {directive}: the second client gets {second:?}")
        });
    }
    // What names nothing that is there, or everything.
    for (section, directives, expected) in [
        ("5.2.2.4", "no-cache=\"x-c\", max-age=60", true),
        ("5.2.2.7", "private=\"x-c\", max-age=60", true),
        ("5.2.2.4", "no-cache=\"x-a\", no-cache, max-age=60", false),
        ("5.2.2.4", "no-cache, no-cache=\"x-a\", max-age=60", false),
        ("5.2.2.7", "private=\"x-a\", private, max-age=60", false),
        ("5.2.2.7", "private, private=\"x-a\", max-age=60", false),
        ("5.2.2.5", "private=\"x-a\", no-store, max-age=60", false),
    ] {
        let headers = format!("cache-control: {directives} | x-a: 1");
        let found = reused(&proxy(), 200, &headers).await;
        failures.check(found == expected, || {
            format!("{section}: {directives:?} stored: {found}")
        });
    }
}

#[tokio::test]
async fn fields_that_are_named_by_a_token_are_not_given_to_others() {
    // Sections 5.2.2.4 and 5.2.2.7: senders should quote; not all do.
    for directive in ["no-cache=x-a", "private=x-a"] {
        let rig = proxy();
        let headers = format!("cache-control: {directive}, max-age=60 | x-a: 1");
        rig.origin(200, &headers, "").origin(200, "", "");
        rig.get("/", "").await;
        assert_eq!(rig.get("/", "").await.header("x-a"), None, "{directive}");
    }
}

#[tokio::test]
async fn what_belongs_to_one_connection_is_not_stored() {
    let mut failures = Failures::default();
    for (section, headers, gone) in [
        ("3.1", "connection: x-hop | x-hop: 1", "x-hop"),
        ("3.1", "connection: x-hop | x-hop: 1", "connection"),
        (
            "3.1",
            "connection: close, X-Hop | x-hop: 1 | x-hop: 2",
            "x-hop",
        ),
        (
            "3.1",
            "connection: close | connection: x-hop | x-hop: 1",
            "x-hop",
        ),
        ("3.1", "connection: ,, close\t,\tx-hop ,| x-hop: 1", "x-hop"),
        ("3.1", "connection: x-other, x-hop | x-hop: 1", "x-hop"),
        ("3.1", "keep-alive: timeout=5", "keep-alive"),
        ("3.1", "proxy-connection: keep-alive", "proxy-connection"),
        ("3.1", "te: trailers", "te"),
        ("3.1", "transfer-encoding: chunked", "transfer-encoding"),
        ("3.1", "upgrade: h2c", "upgrade"),
        ("3.1", "proxy-authenticate: Basic", "proxy-authenticate"),
        (
            "3.1",
            "proxy-authentication-info: x",
            "proxy-authentication-info",
        ),
        ("3.1", "proxy-authorization: Basic x", "proxy-authorization"),
    ] {
        let rig = proxy();
        rig.origin(200, &format!("{FRESH} | {headers} | x-end: 1"), "first");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        let kept = reply.is_hit() && reply.header("x-end") == Some("1");
        failures.check(kept && reply.header(gone).is_none(), || {
            format!("{section}: {headers:?} leaves {reply:?}")
        });
    }
}

#[tokio::test]
async fn all_other_fields_are_kept_as_they_are() {
    // Section 3.1: a cache stores all fields, known or not, as it got them.
    let mut failures = Failures::default();
    for (name, lines) in [
        ("x-unknown", vec!["1"]),
        ("x-repeated", vec!["b", "a", "c", "a"]),
        ("x-lists", vec!["a, b", "c ,, d", "e"]),
        ("x-obs-text", vec!["caf\u{e9} \u{2603}"]),
        ("x-empty", vec![""]),
        ("x-empty-among", vec!["a", "", "b"]),
        ("x-inner-space", vec!["a   b\tc"]),
        ("x-quoted", vec!["\"a\\\"b\", 'c'"]),
        ("warning", vec!["199 - \"something\""]),
        ("date", vec!["Wed, 31 Dec 2025 23:59:59 GMT"]),
        ("expires", vec!["0"]),
        ("last-modified", vec!["Sunday, 06-Nov-94 08:49:37 GMT"]),
        ("etag", vec!["\"a b\""]),
        ("etag", vec!["W/\"x\""]),
        ("etag", vec!["unquoted"]),
        ("content-type", vec!["text/html; charset=\"utf-8\""]),
        ("content-encoding", vec!["gzip"]),
        ("content-language", vec!["de", "en"]),
        ("content-location", vec!["/other"]),
        ("location", vec!["/elsewhere"]),
        ("link", vec!["<a>; rel=next", "<b>; rel=prev"]),
        (
            "www-authenticate",
            vec!["Basic realm=\"a\"", "Digest realm=\"b\""],
        ),
        ("pragma", vec!["no-cache"]),
        ("via", vec!["1.1 a", "1.0 b"]),
        ("proxy-status", vec!["p; error=x"]),
    ] {
        let text: Vec<_> = lines.iter().map(|line| format!("{name}: {line}")).collect();
        let rig = proxy();
        rig.origin(200, &format!("{FRESH} | {}", text.join("|")), "first");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        failures.check(reply.is_hit() && reply.lines(name) == lines, || {
            format!(
                "3.1: {name} {lines:?} is {:?} in {reply:?}",
                reply.lines(name)
            )
        });
    }
}

#[tokio::test]
async fn many_and_long_fields_are_kept() {
    let rig = proxy();
    let long = "x".repeat(20_000);
    let lines: Vec<String> = (0..200).map(|n| format!("x-many: {n}")).collect();
    let headers = format!("{FRESH} | x-long: {long} | {}", lines.join("|"));
    rig.origin(200, &headers, "first");
    rig.get("/", "").await;
    let reply = rig.get("/", "").await;
    assert_eq!(reply.assert_hit().header("x-long"), Some(long.as_str()));
    let numbers: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(reply.lines("x-many"), numbers);
}

#[tokio::test]
async fn cache_directives_are_passed_on_as_they_came() {
    // Section 5.2: directives pass through a cache, whatever they mean to it.
    for value in [
        "max-age=60, x=\"a, b\", No-Transform",
        "s-maxage=60,max-age=5",
        "private",
        "no-store",
        "max-age=abc",
        "",
    ] {
        let rig = proxy();
        let headers = format!("cache-control: {value} | cache-control: foo | pragma: x");
        rig.origin(200, &headers, "first")
            .origin(200, &headers, "second");
        for _ in 0..2 {
            let reply = rig.get("/", "").await;
            assert_eq!(reply.lines("cache-control"), [value, "foo"]);
            assert_eq!(reply.header("pragma"), Some("x"));
        }
    }
}

#[tokio::test]
async fn bodies_are_kept_byte_for_byte() {
    // Section 3.1 and 3.3, no-transform or not.
    let body = "a\0b\r\n\u{2603}".repeat(5_000);
    for headers in [
        FRESH,
        "cache-control: no-transform, max-age=60 | content-encoding: br",
    ] {
        let rig = proxy();
        rig.origin(200, headers, &body);
        assert_eq!(rig.get("/", "").await.text(), body);
        assert_eq!(rig.get("/", "").await.assert_hit().text(), body);
    }
}

#[tokio::test]
async fn a_proxy_adds_what_caches_add_and_nothing_else() {
    let rig = proxy();
    let headers = format!("{FRESH} | date: {{now}} | content-type: text/plain");
    rig.origin(200, &headers, "first");
    for names in [
        vec!["cache-control", "cache-status", "content-type", "date"],
        vec![
            "age",
            "cache-control",
            "cache-status",
            "content-type",
            "date",
        ],
    ] {
        let reply = rig.get("/", "").await;
        let mut found: Vec<_> = reply.headers.keys().map(|name| name.as_str()).collect();
        found.sort_unstable();
        found.retain(|name| *name != "content-length");
        assert_eq!(found, names, "3.1: {reply:?}");
    }
}

#[tokio::test]
async fn what_came_without_a_date_is_dated_by_its_arrival() {
    // RFC 9110, section 6.6.1: whoever has a clock appends the time of receipt to what is cached.
    let rig = proxy();
    rig.origin(200, FRESH, "first");
    rig.get("/", "").await;
    rig.advance(20);
    let reply = rig.get("/", "").await;
    assert_eq!(
        reply.assert_hit().header("date"),
        Some("Thu, 01 Jan 2026 00:00:00 GMT")
    );
}
