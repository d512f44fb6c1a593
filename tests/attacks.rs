//! Known attacks on the keys of shared caches, each as an attacker would try it: poisoning by what a key
//! does not show, confusion of hosts, paths and queries, collisions, growth. Each test names the class.
//! What one client's answer must not do to another is in `attacks_answers.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600";

/// Whether `second` is answered with what the origin gave to `first`. `own`: further fields of it.
async fn meet(rig: &Rig, own: &str, first: (&str, &str), second: (&str, &str)) -> bool {
    let headers = format!("{FRESH}|{own}");
    rig.origin(200, &headers, "first's");
    rig.origin(200, &headers, "second's");
    assert_eq!(rig.get(first.0, first.1).await.text(), "first's");
    let reply = rig.get(second.0, second.1).await;
    match (rig.asked(), reply.text()) {
        (1, "first's") => true,
        (2, "second's") => false,
        _ => panic!("of neither: {reply:?}"),
    }
}

/// Poisoning by headers that applications build links from, which belong to no HTTP key (RFC 9111,
/// section 2, leaves the key to the cache).
#[tokio::test]
async fn what_names_another_host_or_path_is_part_of_the_key() {
    let mut failures = Failures::default();
    for name in [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Scheme",
        "Forwarded",
        "X-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
    ] {
        let evil = format!("{name}: evil");
        let other = format!("{name}: other");
        let empty = format!("{name}:");
        let two = format!("{name}: evil|{name}: other");
        let turned = format!("{name}: other|{name}: evil");
        for (first, second, expected) in [
            (&*evil, "", false),
            ("", &*evil, false),
            (&evil, &other, false),
            (&evil, &empty, false),
            (&empty, "", false),
            (&two, &turned, false),
            (&two, &evil, false),
            (&two, &other, false),
            // Those who send the same share.
            (&evil, &evil, true),
            (&two, &two, true),
        ] {
            for (kind, rig) in both() {
                let met = meet(&rig, "", ("/", first), ("/", second)).await;
                failures.check(met == expected, || {
                    format!("{kind}: {first:?} and {second:?} meet: {met}")
                });
            }
        }
    }
    // No value of one is the value of another.
    for (first, second) in [
        ("x-forwarded-host: evil", "x-host: evil"),
        ("x-forwarded-host: evil", "x-forwarded-server: evil"),
        ("x-original-url: /evil", "x-rewrite-url: /evil"),
        (
            "x-forwarded-host: a|x-forwarded-proto: b",
            "x-forwarded-host: ab",
        ),
        (
            "x-forwarded-host: a|x-forwarded-proto: b",
            "x-forwarded-host: b|x-forwarded-proto: a",
        ),
    ] {
        for (kind, rig) in both() {
            let met = meet(&rig, "", ("/", first), ("/", second)).await;
            failures.check(!met, || format!("{kind}: {first:?} and {second:?} meet"));
        }
    }
}

/// Denial of service by headers that no response depends on: they are no part of the key, so that a
/// client cannot make the origin work for each value.
#[tokio::test]
async fn other_headers_neither_select_nor_grow_the_cache() {
    for (kind, rig) in both() {
        rig.origin(200, FRESH, "one");
        rig.get("/", "").await;
        for n in 0..100 {
            for name in [
                "x-forwarded-for",
                "x-real-ip",
                "x-request-id",
                "user-agent",
                "accept",
                "accept-language",
                "referer",
                "origin",
                "via",
                "x-random",
                "cache-control",
                "pragma",
            ] {
                let reply = rig.get("/", &format!("{name}: no-cache{n}")).await;
                assert_eq!(reply.assert_hit().text(), "one", "{kind}: {name}");
            }
        }
        for directive in [
            "cache-control: no-cache",
            "cache-control: max-age=0",
            "cache-control: no-store",
            "pragma: no-cache",
        ] {
            rig.get("/", directive).await.assert_hit();
        }
        assert_eq!(rig.asked(), 1, "{kind}");
        assert_eq!(rig.cache.stats().entries, 1, "{kind}");
    }
}

/// Denial of service by headers that are part of the key: memory stays within its bound.
#[tokio::test]
async fn what_selects_does_not_grow_the_cache_past_its_bound() {
    let bound = 256 * 1024;
    for layer in [CacheLayer::shared_proxy(), CacheLayer::new()] {
        let rig = rig_with(Cache::builder().max_bytes(bound), layer);
        let body = "x".repeat(1024);
        for n in 0..1000 {
            rig.origin(200, &format!("{FRESH}|vary: accept-language"), &body);
            rig.get(
                "/",
                &format!("x-forwarded-host: {n}|accept-language: x-{n}"),
            )
            .await;
        }
        assert_eq!(rig.asked(), 1000);
        let stats = rig.cache.stats();
        assert!(stats.bytes <= bound, "{stats:?}");
        assert!(stats.entries < 1000, "{stats:?}");
    }
}

/// Method override: the origin does something else than what the key says. Such a request passes by,
/// and its answer is its own.
#[tokio::test]
async fn overridden_methods_pass_by() {
    let mut failures = Failures::default();
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ] {
        for value in ["POST", "DELETE", "GET", "HEAD", ""] {
            for (kind, rig) in both() {
                let request = format!("{name}: {value}");
                let before = meet(&rig, "", ("/", &request), ("/", "")).await;
                failures.check(!before, || format!("{kind}: {request} is stored"));
                rig.origin(200, FRESH, "its own");
                let after = rig.get("/", &request).await;
                failures.check(after.text() == "its own", || {
                    format!("{kind}: {request} is answered from the cache")
                });
                failures.check(rig.seen_header(name).as_deref() == Some(value), || {
                    format!("{kind}: {request} is not passed on")
                });
                failures.check(rig.get("/", "").await.text() == "second's", || {
                    format!("{kind}: {request} changes what is stored")
                });
            }
        }
    }
}

/// Fat GET: the origin reads a body that the key does not show (RFC 9110, section 9.3.1: content of a
/// GET has no generally defined semantics).
#[tokio::test]
async fn a_get_with_a_body_passes_by() {
    for (kind, rig) in both() {
        for framing in ["", "content-length: 6", "transfer-encoding: chunked"] {
            rig.origin(200, FRESH, "poison");
            let fat = rig.send_with("GET", "/", framing, "q=evil").await;
            assert_eq!(fat.assert_forwarded().text(), "poison", "{kind}: {framing}");
        }
        // Announced, whatever comes.
        for framing in ["content-length: 6", "transfer-encoding: chunked"] {
            rig.origin(200, FRESH, "poison");
            let fat = rig.get("/", framing).await;
            assert_eq!(fat.assert_forwarded().text(), "poison", "{kind}: {framing}");
        }
        rig.origin(200, FRESH, "clean");
        assert_eq!(rig.get("/", "").await.text(), "clean", "{kind}");
        let thin = rig.get("/", "content-length: 0").await;
        assert_eq!(
            thin.assert_hit().text(),
            "clean",
            "{kind}: an empty body is none"
        );
        rig.origin(200, FRESH, "poison");
        let fat = rig.send_with("GET", "/", "", "q=evil").await;
        assert_eq!(
            fat.text(),
            "poison",
            "{kind}: it is not answered from the cache"
        );
        assert_eq!(rig.get("/", "").await.text(), "clean", "{kind}");
    }
}

/// Host confusion: several `Host`s, or one that contradicts the URI (RFC 9112, section 3.2).
#[tokio::test]
async fn requests_of_two_hosts_pass_by() {
    let mut failures = Failures::default();
    for (uri, hosts) in [
        ("/", "host: good.example|host: evil.example"),
        ("/", "host: evil.example|host: good.example"),
        ("/", "host: good.example|host: good.example"),
        ("http://good.example/", "host: evil.example"),
        ("http://evil.example/", "host: good.example"),
        ("http://good.example/", "host:"),
        ("http://good.example/", "host: good.example:81"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, FRESH, "poison");
            let first = rig.get(uri, hosts).await;
            failures.check(first.text() == "poison", || {
                format!("{kind}: {uri} {hosts}: {first:?}")
            });
            for (uri, host) in [
                ("/", "host: good.example"),
                ("/", "host: evil.example"),
                ("http://good.example/", ""),
                ("http://evil.example/", ""),
            ] {
                rig.origin(200, FRESH, "clean");
                let reply = rig.get(uri, host).await;
                failures.check(reply.text() == "clean", || {
                    format!("{kind}: {uri} {host}: {reply:?}")
                });
            }
            let asked = rig.asked();
            rig.get(uri, hosts).await;
            failures.check(rig.asked() == asked + 1, || {
                format!("{kind}: {uri} {hosts} is answered from the cache")
            });
        }
    }
    // Where both say the same there is nothing to confuse.
    for (kind, rig) in both() {
        let agreed = ("http://good.example/", "host: GOOD.example");
        let met = meet(&rig, "", agreed, agreed).await;
        failures.check(met, || format!("{kind}: URI and Host agree"));
    }
}

/// HTTP/1.0 style: a request without a `Host` shares with none that has one.
#[tokio::test]
async fn requests_without_a_host_share_among_themselves() {
    for (kind, rig) in both() {
        rig.origin(200, FRESH, "without");
        rig.get("/", "").await;
        rig.get("/", "").await.assert_hit();
        for host in ["host: a.example", "host:"] {
            rig.origin(200, FRESH, "with a host");
            let reply = rig.get("/", host).await;
            // An empty one names no host either (RFC 9110, section 7.2).
            let same = host == "host:" && reply.is_hit();
            assert!(same || reply.text() == "with a host", "{kind}: {host}");
        }
    }
}

/// Path and query confusion: what an origin may tell apart, the cache tells apart. Only what it never
/// sees is left out of the key.
#[tokio::test]
async fn paths_and_queries_are_told_apart() {
    let mut failures = Failures::default();
    for (first, second) in [
        // Slashes and dots.
        ("/a/b", "/a//b"),
        ("/a/b", "//a/b"),
        ("/a/b", "/a/b/"),
        ("/a/b", "/a/./b"),
        ("/a/b", "/a/%2e/b"),
        ("/a/b", "/a/c/../b"),
        ("/a/b", "/a/c/%2e%2e/b"),
        ("/a/b", "/a/c/..%2fb"),
        ("/a/b", "/a%2fb"),
        ("/a%2fb", "/a%252fb"),
        ("/a/b", "/a%5cb"),
        ("/a/b", "/a/b%00"),
        ("/a/b", "/a/b%20"),
        ("/a/b", "/a/b%0a"),
        // Parameters, extensions, case.
        ("/a", "/a;x=1"),
        ("/a", "/a;"),
        ("/a;x=1", "/a;x=2"),
        ("/a", "/a.css"),
        ("/a", "/a/x.css"),
        ("/a", "/a;x.css"),
        ("/a", "/a%23x.css"),
        ("/a", "/a%3fx.css"),
        ("/a", "/A"),
        // Queries.
        ("/a", "/a?"),
        ("/a?", "/a?b"),
        ("/a?b", "/a?b="),
        ("/a?b=1", "/a?b=2"),
        ("/a?b=1&c=2", "/a?c=2&b=1"),
        ("/a?b=1", "/a?b=1&b=1"),
        ("/a?b=1&b=2", "/a?b=2&b=1"),
        ("/a?b=1", "/a?b=1&"),
        ("/a?b=1", "/a?&b=1"),
        ("/a?b=1", "/a?b=1;c=2"),
        ("/a?b=1&c=2", "/a?b=1;c=2"),
        ("/a?b=1", "/a?B=1"),
        ("/a?b=1", "/a?b=%31"),
        ("/a?b=a%20c", "/a?b=a+c"),
        ("/a?b=1", "/a?b=1&utm_source=x"),
        ("/a?b=1", "/a?b[]=1"),
        ("/a?b", "/a%3fb"),
        ("/a?b?c", "/a?b"),
        ("/a?x=/../b", "/a?x=/b"),
    ] {
        for (kind, rig) in both() {
            let met = meet(&rig, "", (first, ""), (second, "")).await;
            failures.check(!met, || format!("{kind}: {first} and {second} meet"));
        }
    }
    // A fragment is never sent; where one comes it names no other resource (RFC 9110, section 7.1).
    for (kind, rig) in both() {
        let met = meet(&rig, "", ("/a?b", ""), ("/a?b#c", "")).await;
        failures.check(met, || format!("{kind}: a fragment selects"));
    }
}

/// Collisions of keys: no part of one request can be shifted into another part.
#[tokio::test]
async fn keys_do_not_collide() {
    let mut failures = Failures::default();
    for (vary, first, second) in [
        ("x-a, x-b", "x-a: 1|x-b: 23", "x-a: 12|x-b: 3"),
        ("x-a, x-b", "x-a: 12", "x-a: 1|x-b: 2"),
        ("x-a, x-b", "x-a: 1, x-b: 2", "x-a: 1|x-b: 2"),
        ("x-a, x-b", "x-a:|x-b: 1", "x-a: 1|x-b:"),
        ("x-a, x-b", "x-b: x-a", "x-a: x-b"),
        ("x-a", "x-a: \"1\", \"2\"", "x-a: \"1, 2\""),
        ("x-a", "x-a: 1\\, 2", "x-a: 1, 2"),
        ("cookie", "cookie: a=1|cookie: b=2", "cookie: a=1; b=3"),
        (
            "accept-encoding",
            "accept-encoding: gzip",
            "accept-encoding: gzip;q=0",
        ),
        (
            "accept-encoding",
            "accept-encoding: *",
            "accept-encoding: gzip",
        ),
        ("accept", "accept: text/html", "accept: text/html;x=1"),
    ] {
        for (kind, rig) in both() {
            let vary = format!("vary: {vary}");
            let met = meet(&rig, &vary, ("/", first), ("/", second)).await;
            failures.check(!met, || {
                format!("{kind}: {vary}: {first:?} and {second:?} meet")
            });
        }
    }
    for (first, second) in [
        (("/a", "host: b"), ("/", "host: ba")),
        (("/a", "host: b"), ("/ab", "host:")),
        (("/a?b", ""), ("/a", "host: ?b")),
        (("/a", "x-forwarded-host: b"), ("/ab", "")),
        (("/a", "x-forwarded-host: b"), ("/a", "host: b")),
    ] {
        for (kind, rig) in both() {
            let met = meet(&rig, "", first, second).await;
            failures.check(!met, || format!("{kind}: {first:?} and {second:?} meet"));
        }
    }
}
