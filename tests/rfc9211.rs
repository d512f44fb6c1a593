//! RFC 9211: what `Cache-Status` tells of each request.
#![cfg(feature = "axum")]

mod http_support;

use http_support::items::{Member, Value, members};
use http_support::*;

const FRESH: &str = "cache-control: max-age=60";

/// What this cache says in a reply: the last member of a field that is well-formed.
#[track_caller]
fn said(reply: &Reply) -> Member {
    let text = reply.cache();
    let members = members(&text).unwrap_or_else(|why| panic!("{why} in {text:?}"));
    let own = members.last().expect("a member of this cache's").clone();
    assert_eq!(own.name, "revalidate", "2: {text}");
    assert_ne!(
        own.get("hit").is_some(),
        own.get("fwd").is_some(),
        "2.2: {text}"
    );
    if own.get("hit").is_some() {
        for name in ["fwd-status", "stored", "collapsed"] {
            assert_eq!(own.get(name), None, "2: {name} in {text}");
        }
    }
    own
}

#[tokio::test]
async fn nothing_stored_is_a_miss() {
    for make in [proxy, application] {
        let rig = make();
        rig.origin(200, FRESH, "")
            .origin(200, "cache-control: no-store", "");
        let own = said(&rig.get("/", "").await);
        assert_eq!(own.token("fwd"), Some("miss"), "2.2");
        assert_eq!(own.get("stored"), Some(&Value::True), "2.5");
        assert_eq!(own.get("collapsed"), None, "2.6");
        let own = said(&rig.get("/other", "").await);
        assert_eq!(own.token("fwd"), Some("miss"), "2.2");
        assert_eq!(own.get("stored"), None, "2.5");
    }
}

#[tokio::test]
async fn an_answer_from_the_cache_is_a_hit_with_its_time_to_live() {
    for make in [proxy, application] {
        let rig = make();
        rig.origin(200, "cache-control: max-age=60 | etag: \"x\"", "0123456789");
        rig.get("/", "").await;
        let mut left = 60;
        for (method, request, status) in [
            ("GET", "", 200),
            ("HEAD", "", 200),
            ("GET", "if-none-match: \"x\"", 304),
            ("GET", "if-none-match: \"y\"", 200),
        ] {
            let reply = rig.send(method, "/", request).await;
            assert_eq!(reply.status, status);
            let own = said(&reply);
            assert_eq!(
                own.get("hit"),
                Some(&Value::True),
                "2.1: {method} {request}"
            );
            assert_eq!(
                own.get("ttl"),
                Some(&Value::Integer(left)),
                "2.4: {method} {request}"
            );
            rig.advance(7);
            left -= 7;
        }
        assert_eq!(rig.asked(), 1);
    }
}

#[tokio::test]
async fn times_to_live_are_those_of_the_whole_way() {
    for (headers, after, expected) in [
        ("cache-control: max-age=60 | age: 20", 5, 35),
        ("cache-control: max-age=60 | date: {now-20}", 5, 35),
        ("expires: {now+60}", 5, 55),
        ("cache-control: max-age=60, s-maxage=30", 29, 1),
    ] {
        let rig = proxy();
        rig.origin(200, headers, "");
        rig.get("/", "").await;
        rig.advance(after);
        let own = said(&rig.get("/", "").await);
        assert_eq!(
            own.get("ttl"),
            Some(&Value::Integer(expected)),
            "2.4: {headers}"
        );
    }
}

#[tokio::test]
async fn a_stale_answer_has_less_than_no_time_to_live() {
    let rig = proxy();
    rig.origin(
        200,
        "cache-control: max-age=60, stale-while-revalidate=60",
        "",
    );
    rig.get("/", "").await;
    rig.advance(80);
    let own = said(&rig.get("/", "").await);
    assert_eq!(own.get("hit"), Some(&Value::True), "2.1");
    // As near as may be: a part of a second may count either way.
    assert!(
        matches!(own.get("ttl"), Some(Value::Integer(-21 | -20))),
        "2.4: {own:?}"
    );
}

#[tokio::test]
async fn a_part_of_what_is_stored_is_a_hit() {
    let rig = proxy();
    rig.origin(200, FRESH, "0123456789");
    rig.get("/", "").await;
    let reply = rig.get("/", "range: bytes=2-4").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (206, "234"));
    assert_eq!(said(&reply).get("hit"), Some(&Value::True), "2.1");
}

#[tokio::test]
async fn more_than_the_stored_part_is_forwarded_as_partial() {
    let rig = proxy();
    let headers = "cache-control: max-age=60 | etag: \"x\"";
    rig.origin(
        206,
        &format!("{headers} | content-range: bytes 0-4/10"),
        "01234",
    )
    .origin(
        206,
        &format!("{headers} | content-range: bytes 3-7/10"),
        "34567",
    );
    rig.get("/", "range: bytes=0-4").await;
    let own = said(&rig.get("/", "range: bytes=3-7").await);
    assert_eq!(own.token("fwd"), Some("partial"), "2.2");
}

#[tokio::test]
async fn what_is_no_longer_fresh_is_forwarded_as_stale() {
    for make in [proxy, application] {
        let rig = make();
        rig.origin(200, FRESH, "first").origin(200, FRESH, "second");
        rig.get("/", "").await;
        rig.advance(60);
        let own = said(&rig.get("/", "").await);
        assert_eq!(own.token("fwd"), Some("stale"), "2.2");
        assert_eq!(own.get("stored"), Some(&Value::True), "2.5");
        // The default is the status of the reply.
        assert!(
            matches!(own.get("fwd-status"), None | Some(Value::Integer(200))),
            "2.3"
        );
    }
}

#[tokio::test]
async fn what_the_origin_answered_is_told_where_the_client_gets_something_else() {
    for (status, request, shown) in [
        (304, "", 200),
        (503, "", 200),
        (500, "", 200),
        (304, "if-none-match: \"x\"", 304),
        (503, "if-none-match: \"x\"", 304),
    ] {
        let rig = proxy();
        let headers = "cache-control: max-age=60, stale-if-error=60 | etag: \"x\"";
        rig.origin(200, headers, "first").origin(status, "", "");
        rig.get("/", "").await;
        rig.advance(70);
        let reply = rig.get("/", request).await;
        assert_eq!(reply.status, shown, "{status} {request}: {reply:?}");
        let own = said(&reply);
        assert_eq!(own.token("fwd"), Some("stale"), "2.2: {status} {request}");
        match own.get("fwd-status") {
            Some(found) => assert_eq!(found, &Value::Integer(status.into()), "2.3: {request}"),
            None => assert_eq!(status, shown, "2.3: {request}"),
        }
        if status >= 500 {
            assert_eq!(own.get("stored"), None, "2.5: {status}");
        }
    }
}

#[tokio::test]
async fn where_nobody_answered_no_answer_is_told() {
    let rig = proxy();
    rig.origin(200, FRESH, "first").breaks();
    rig.get("/", "").await;
    rig.advance(70);
    let reply = rig.get("/", "").await;
    assert_eq!(reply.text(), "first");
    let own = said(&reply);
    assert_eq!(
        (own.token("fwd"), own.get("fwd-status")),
        (Some("stale"), None),
        "2.2, 2.3"
    );
    assert_eq!(own.get("stored"), None, "2.5");
}

#[tokio::test]
async fn another_variant_is_a_vary_miss() {
    for make in [proxy, application] {
        let rig = make();
        let headers = "cache-control: max-age=60 | vary: accept-language";
        rig.origin(200, headers, "de").origin(200, headers, "en");
        rig.get("/", "accept-language: de").await;
        let own = said(&rig.get("/", "accept-language: en").await);
        assert_eq!(own.token("fwd"), Some("vary-miss"), "2.2");
        let own = said(&rig.get("/", "accept-language: de").await);
        assert_eq!(own.get("hit"), Some(&Value::True), "2.1");
    }
}

#[tokio::test]
async fn other_methods_are_forwarded_for_their_method() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"] {
        let rig = proxy();
        rig.origin(200, FRESH, "");
        let own = said(&rig.send(method, "/", "").await);
        assert_eq!(own.token("fwd"), Some("method"), "2.2: {method}");
        assert_eq!(
            (own.get("stored"), own.get("ttl")),
            (None, None),
            "2: {method}"
        );
    }
}

#[tokio::test]
async fn what_passes_by_is_a_bypass() {
    let rig = proxy();
    rig.origin(200, FRESH, "").origin(200, FRESH, "");
    rig.get("/", "host: a").await;
    let own = said(&rig.get("/", "host: a | host: b").await);
    assert_eq!(
        (own.token("fwd"), own.get("stored")),
        (Some("bypass"), None),
        "2.2"
    );
}

#[tokio::test]
async fn what_a_client_did_not_want_from_the_cache_is_forwarded_for_its_request() {
    for request in ["no-cache", "max-age=0", "min-fresh=100"] {
        let rig = rig(CacheLayer::shared_proxy().obey_request_directives(true));
        rig.origin(200, FRESH, "").origin(200, FRESH, "");
        rig.get("/", "").await;
        rig.advance(5);
        let own = said(&rig.get("/", &format!("cache-control: {request}")).await);
        assert_eq!(own.token("fwd"), Some("request"), "2.2: {request}");
    }
}

#[tokio::test]
async fn requests_that_share_one_are_collapsed() {
    for make in [proxy, application] {
        let rig = make();
        rig.origin(200, FRESH, "first");
        let (one, two) = tokio::join!(rig.get("/", ""), rig.get("/", ""));
        assert_eq!((one.text(), two.text(), rig.asked()), ("first", "first", 1));
        let (one, two) = (said(&one), said(&two));
        assert_eq!(
            (one.get("collapsed"), one.token("fwd")),
            (None, Some("miss")),
            "2.6"
        );
        assert_eq!(two.get("collapsed"), Some(&Value::True), "2.6");
        assert_eq!(two.token("fwd"), Some("miss"), "2.2");
    }
}

#[tokio::test]
async fn what_caches_before_said_is_kept_in_front() {
    for lines in [
        vec!["Up; hit; ttl=5"],
        vec!["Origin; fwd=miss; stored, Up; hit"],
        vec![
            "Origin; fwd=uri-miss",
            "\"a, b\"; fwd=stale; detail=\"x; y\"",
            "Up",
        ],
        vec!["revalidate; hit; ttl=9"],
        vec!["Up; key=\"a\\\"b, c\""],
    ] {
        let before = lines.join(", ");
        let text: Vec<_> = lines
            .iter()
            .map(|line| format!("cache-status: {line}"))
            .collect();
        let rig = proxy();
        let headers = format!(
            "cache-control: max-age=60 | etag: \"x\" | {}",
            text.join("|")
        );
        rig.origin(200, &headers, "first")
            .origin(200, &headers, "second");
        // Passed on, reused, answered with 304, and passed on for its method.
        for (method, request) in [
            ("GET", ""),
            ("GET", ""),
            ("HEAD", ""),
            ("GET", "if-none-match: \"x\""),
            ("POST", ""),
        ] {
            let reply = rig.send(method, "/", request).await;
            let cache = reply.cache();
            assert!(
                cache.starts_with(&format!("{before}, revalidate; ")),
                "2: {cache}"
            );
            let count = members(&before).unwrap().len();
            assert_eq!(members(&cache).unwrap().len(), count + 1, "2: {cache}");
            said(&reply);
        }
        assert_eq!(rig.asked(), 2);
    }
}

#[tokio::test]
async fn a_key_is_shown_where_that_was_asked_for() {
    let rig = rig(CacheLayer::shared_proxy().show_key(true));
    for uri in ["/a", "/b", "/a?x=1", "/a?x=2", "/a%20b", "/a'b"] {
        rig.origin(200, FRESH, uri);
        let miss = said(&rig.get(uri, "host: a").await);
        let hit = said(&rig.get(uri, "host: a").await);
        assert!(hit.get("hit").is_some());
        assert!(
            matches!(miss.get("key"), Some(Value::Text(key)) if !key.is_empty()),
            "2.7: {miss:?}"
        );
        assert_eq!(miss.get("key"), hit.get("key"), "2.7: {uri}");
    }
    let mut keys = Vec::new();
    for (uri, host) in [
        ("/a", "a"),
        ("/b", "a"),
        ("/a?x=1", "a"),
        ("/a?x=2", "a"),
        ("/a", "b"),
    ] {
        rig.origin(200, FRESH, "");
        keys.push(
            said(&rig.get(uri, &format!("host: {host}")).await)
                .get("key")
                .cloned(),
        );
    }
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[..at].contains(key), "2.7: {keys:?}");
    }
}

#[tokio::test]
async fn no_key_is_shown_by_itself() {
    for rig in [
        proxy(),
        application(),
        rig(CacheLayer::shared_proxy().show_key(false)),
    ] {
        rig.origin(200, FRESH, "");
        for _ in 0..2 {
            assert_eq!(said(&rig.get("/", "").await).get("key"), None, "2.7");
        }
    }
}

#[tokio::test]
async fn what_clients_send_breaks_no_field() {
    // Section 2: members are items of structured fields, whatever is in their strings.
    let rig = rig(CacheLayer::shared_proxy().show_key(true));
    for hostile in [
        "x\", evil; hit; x=\"",
        "\\",
        "\\\"",
        "caf\u{e9}",
        "a\tb",
        ", evil; hit",
        "",
    ] {
        for uri in ["/?a=\"", "/a;b,c;hit", "/'\\"] {
            for header in ["x-a", "host", "authorization", "x-forwarded-host"] {
                if uri.parse::<http::Uri>().is_err() {
                    continue;
                }
                rig.origin(200, "cache-control: public, max-age=60 | vary: x-a", "");
                rig.origin(200, "cache-control: public, max-age=60 | vary: x-a", "");
                for _ in 0..2 {
                    let reply = rig.get(uri, &format!("{header}: {hostile}")).await;
                    said(&reply);
                    assert_eq!(members(&reply.cache()).unwrap().len(), 1, "{reply:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn names_that_are_no_tokens_are_strings() {
    for (name, expected) in [
        ("edge", Some("edge; ")),
        ("edge-1.example:80/x", Some("edge-1.example:80/x; ")),
        ("my cache", Some("\"my cache\"; ")),
        ("a\"b\\c", Some("\"a\\\"b\\\\c\"; ")),
        ("1", Some("\"1\"; ")),
        ("a;b", Some("\"a;b\"; ")),
        ("caf\u{e9}", None),
    ] {
        let rig = rig_named(name, CacheLayer::shared_proxy());
        rig.origin(200, FRESH, "");
        for _ in 0..2 {
            let cache = rig.get("/", "").await.cache();
            let parsed = members(&cache).unwrap_or_else(|why| panic!("2: {why} in {cache}"));
            assert_eq!(parsed.len(), 1, "2: {cache}");
            if let Some(expected) = expected {
                assert!(cache.starts_with(expected), "2: {cache}");
                assert_eq!(parsed[0].name, name);
            }
        }
    }
}
