//! RFC 9111, section 3.1: which fields of a response are stored, and that those come back as they were.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=60";

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

#[tokio::test]
async fn trailers_are_no_headers() {
    // Section 3.1: trailer fields are not combined with header fields.
    let rig = proxy();
    for n in 1..=2 {
        let body = format!("whole {n}");
        rig.origin_trailed(200, FRESH, &body, "x-end: 1 | cache-control: no-store");
    }
    for _ in 0..2 {
        let reply = rig.get("/", "").await;
        assert!(reply.text().starts_with("whole"), "{reply:?}");
        assert_eq!(reply.header("x-end"), None);
        assert_eq!(reply.lines("cache-control"), ["max-age=60"]);
    }
}

/// Section 5.2: a quote that is never closed hides nothing that forbids, and what follows it allows
/// nothing.
#[tokio::test]
async fn quotes_that_are_never_closed_hide_nothing() {
    let unclosed = |rest: &str| format!("cache-control: a=\"b, {rest}");
    for (make, kind) in [
        (proxy as fn() -> Rig, "proxy"),
        (application, "application"),
    ] {
        for forbidding in ["no-store", "private", "private=\"x-a\"", "no-cache"] {
            let headers = format!("{}|{FRESH}", unclosed(forbidding));
            assert!(!reused(&make(), 200, &headers).await, "{kind}: {headers}");
        }
        let headers = unclosed("max-age=60");
        assert!(!reused(&make(), 200, &headers).await, "{kind}: {headers}");
        let headers = format!("{}|{FRESH}", unclosed("foo"));
        assert!(reused(&make(), 200, &headers).await, "{kind}: {headers}");
    }
}

/// The same of a line that is out of form in another way: what it may forbid is forbidden.
#[tokio::test]
async fn lines_out_of_form_hide_nothing() {
    let mut failures = Failures::default();
    for (text, expected) in [
        ("max-age=60; no-store", false),
        ("public; no-store, max-age=60", false),
        ("max-age=60, public no-store", false),
        ("max-age=60, \"no-store\"", false),
        ("max-age=60, =private", false),
        ("max-age=60, foo=\"a\" no-cache", false),
        ("max-age=60, foo=\"no-store; private\"", true),
        ("max-age=60, foo; bar", true),
    ] {
        for (kind, rig) in both() {
            let headers = format!("cache-control: {text}");
            let found = reused(&rig, 200, &headers).await;
            failures.check(found == expected, || format!("{kind}: {text}: {found}"));
        }
    }
}
