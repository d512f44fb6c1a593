//! Invalidation by what clients do: RFC 9111, section 4.4 (unsafe methods, `Location` and
//! `Content-Location`), and requests that such an invalidation overtakes. Groups of responses are in
//! `rfc9875_groups.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600";

/// Stores a response under each of these URIs.
async fn stored(rig: &Rig, uris: &[&str]) {
    for uri in uris {
        rig.origin(200, &format!("{FRESH}|etag: \"v1\""), "old");
        assert_eq!(rig.get(uri, "").await.text(), "old", "{uri}");
        rig.get(uri, "").await.assert_hit();
    }
}

/// Whether what is stored for a request is no longer used without asking the origin, which here has
/// nothing more to say.
async fn is_dropped(rig: &Rig, uri: &str, headers: &str) -> bool {
    let asked = rig.asked();
    let reply = rig.get(uri, headers).await;
    match (rig.asked() - asked, reply.text()) {
        (1.., "not scripted") => true,
        (0, "old") => false,
        _ => panic!("neither old nor new: {reply:?}"),
    }
}

/// Section 4.4: a non-error answer to an unsafe method, or to one whose safety is unknown, MUST
/// invalidate the target URI.
#[tokio::test]
async fn unsafe_methods_that_succeed_drop_their_uri() {
    let mut failures = Failures::default();
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "MKCOL", "LOCK", "FROB", "post",
    ] {
        for status in [200, 201, 202, 204, 205, 300, 301, 302, 303, 307, 308] {
            for (kind, rig) in both() {
                stored(&rig, &["/x"]).await;
                rig.origin(status, "", "");
                let reply = rig.send(method, "/x", "").await;
                assert_eq!(reply.status, status);
                failures.check(is_dropped(&rig, "/x", "").await, || {
                    format!("{kind}: {method} answered {status} drops nothing")
                });
            }
        }
    }
}

/// Section 4.4: an error says that nothing was changed.
#[tokio::test]
async fn unsafe_methods_that_fail_drop_nothing() {
    let mut failures = Failures::default();
    for method in ["POST", "PUT", "DELETE", "PATCH", "FROB"] {
        for status in [
            400, 401, 403, 404, 405, 409, 412, 415, 422, 429, 500, 501, 502, 503, 504,
        ] {
            for (kind, rig) in both() {
                stored(&rig, &["/x", "/y"]).await;
                rig.origin(status, "location: /y|content-location: /y", "");
                rig.send(method, "/x", "").await;
                for uri in ["/x", "/y"] {
                    failures.check(!is_dropped(&rig, uri, "").await, || {
                        format!("{kind}: {method} answered {status} drops {uri}")
                    });
                }
            }
        }
    }
}

/// Section 4.4: safe methods change nothing (RFC 9110, section 9.2.1).
#[tokio::test]
async fn safe_methods_drop_nothing() {
    let mut failures = Failures::default();
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        for status in [200, 204, 301, 303] {
            for (kind, rig) in both() {
                stored(&rig, &["/x", "/y"]).await;
                let headers = "cache-control: no-store|location: /y|content-location: /y";
                // Of a URI that is not stored, so that GET and HEAD are forwarded.
                rig.origin(status, headers, "");
                rig.send(method, "/p", "").await;
                if !matches!(method, "GET" | "HEAD") {
                    rig.origin(status, headers, "");
                    rig.send(method, "/x", "").await;
                }
                for uri in ["/x", "/y"] {
                    failures.check(!is_dropped(&rig, uri, "").await, || {
                        format!("{kind}: {method} answered {status} drops {uri}")
                    });
                }
            }
        }
    }
}

/// Section 4.4: MUST write through; the answer to an unsafe method is its client's alone.
#[tokio::test]
async fn unsafe_methods_are_written_through() {
    for (kind, rig) in both() {
        stored(&rig, &["/x"]).await;
        for body in ["one", "two"] {
            rig.origin(200, &format!("{FRESH}|etag: \"v2\""), body);
            let request = "content-type: text/plain|x-a: 1|if-match: \"v1\"";
            let reply = rig.send_with("POST", "/x", request, "content").await;
            assert_eq!(reply.assert_forwarded().text(), body, "{kind}");
            for (name, value) in [
                ("content-type", "text/plain"),
                ("x-a", "1"),
                ("if-match", "\"v1\""),
            ] {
                assert_eq!(rig.seen_header(name).as_deref(), Some(value), "{kind}");
            }
        }
    }
}

/// Section 4.4: what is invalid needs mandatory validation: no stale window, and no error of the
/// origin's, excuses from it.
#[tokio::test]
async fn what_was_dropped_is_not_served_stale() {
    let headers =
        "cache-control: max-age=600, stale-while-revalidate=600, stale-if-error=600|etag: \"v1\"";
    for status in [200, 500, 504] {
        for (kind, rig) in both() {
            rig.origin(200, headers, "old");
            assert_eq!(rig.get("/x", "").await.text(), "old", "{kind}");
            rig.origin(204, "", "");
            rig.send("POST", "/x", "").await;
            rig.origin(status, "", "new");
            let reply = rig.get("/x", "").await;
            assert_eq!(reply.text(), "new", "{kind}: {status}: {reply:?}");
        }
    }
}

/// Section 4.4: all stored responses of the URI, and of no other.
#[tokio::test]
async fn a_uri_is_dropped_with_all_its_variants_and_alone() {
    let mut failures = Failures::default();
    for (kind, rig) in both() {
        let shared = "cache-control: max-age=600, public|vary: accept-language, authorization";
        let requests = [
            "",
            "accept-language: de",
            "accept-language: en",
            "authorization: Basic YTpi",
            "x-forwarded-host: front.example",
            "x-forwarded-proto: https",
        ];
        for request in requests {
            rig.origin(200, shared, "old");
            rig.get("/x", request).await;
            rig.get("/x", request).await.assert_hit();
        }
        let others = ["/x?q", "/x?", "/x/", "/x/y", "/X", "/", "/xy"];
        stored(&rig, &others).await;
        rig.origin(204, "", "");
        rig.send("POST", "/x", "").await;
        for request in requests {
            failures.check(is_dropped(&rig, "/x", request).await, || {
                format!("{kind}: {request:?} of /x is still there")
            });
        }
        for uri in others {
            failures.check(!is_dropped(&rig, uri, "").await, || {
                format!("{kind}: {uri} is gone with /x")
            });
        }
        // What was not storable is tried again in a while.
        rig.advance(60);
        stored(&rig, &["/x"]).await;
        rig.origin(204, "", "");
        rig.send("POST", "/x?q", "").await;
        failures.check(is_dropped(&rig, "/x?q", "").await, || {
            format!("{kind}: /x?q is still there")
        });
        failures.check(!is_dropped(&rig, "/x", "").await, || {
            format!("{kind}: /x is gone with its query")
        });
    }
}

/// Section 4.4: the host is part of the target URI, in the URI and in `Host` alike.
#[tokio::test]
async fn a_uri_is_dropped_of_its_host_alone() {
    for (kind, rig) in both() {
        for host in ["a.example", "b.example"] {
            rig.origin(200, FRESH, "old");
            rig.get("/x", &format!("host: {host}")).await;
        }
        stored(&rig, &["http://c.example/x", "http://d.example/x"]).await;
        for (uri, request) in [
            ("/x", "host: A.example"),
            ("http://C.EXAMPLE/x", "host: c.example"),
        ] {
            rig.origin(204, "", "");
            rig.send("POST", uri, request).await;
        }
        for (uri, host, dropped) in [
            ("/x", "host: a.example", true),
            ("/x", "host: b.example", false),
            ("http://c.example/x", "", true),
            ("http://d.example/x", "", false),
        ] {
            let found = is_dropped(&rig, uri, host).await;
            assert_eq!(found, dropped, "{kind}: {uri} {host}");
        }
    }
}

/// Section 4.4: `Location` and `Content-Location` of the same origin, absolute or relative (RFC 9110,
/// sections 8.7 and 10.2.2).
#[tokio::test]
async fn named_locations_of_the_same_origin_are_dropped() {
    let mut failures = Failures::default();
    for (reference, named) in [
        ("http://a.example/d/y", "http://a.example/d/y"),
        ("http://A.Example/d/y", "http://a.example/d/y"),
        ("HTTP://a.example/d/y", "http://a.example/d/y"),
        // The default port is the same origin (RFC 9110, section 4.3.1).
        ("http://a.example:80/d/y", "http://a.example/d/y"),
        ("http://a.example/d/y?q=1", "http://a.example/d/y?q=1"),
        ("//a.example/d/y", "http://a.example/d/y"),
        ("/d/y", "http://a.example/d/y"),
        ("/d/y?q=1", "http://a.example/d/y?q=1"),
        ("/", "http://a.example/"),
        ("y", "http://a.example/d/y"),
        ("./y", "http://a.example/d/y"),
        ("y?q=1", "http://a.example/d/y?q=1"),
        ("../y", "http://a.example/y"),
        ("../../../y", "http://a.example/y"),
        ("/d/e/../y", "http://a.example/d/y"),
        ("?q=1", "http://a.example/d/x?q=1"),
        ("/d/y#fragment", "http://a.example/d/y"),
    ] {
        for field in ["location", "content-location"] {
            for status in [200, 201, 303] {
                for (kind, rig) in both() {
                    stored(&rig, &[named, "http://a.example/d/x", "http://a.example/z"]).await;
                    rig.origin(status, &format!("{field}: {reference}"), "");
                    rig.send("POST", "http://a.example/d/x", "").await;
                    let row = |what| format!("{kind}: {status}, {field}: {reference}: {what}");
                    failures.check(is_dropped(&rig, named, "").await, || {
                        row("the named one is still there")
                    });
                    failures.check(is_dropped(&rig, "http://a.example/d/x", "").await, || {
                        row("the target is still there")
                    });
                    failures.check(!is_dropped(&rig, "http://a.example/z", "").await, || {
                        row("another is gone")
                    });
                }
            }
        }
    }
}

/// Section 4.4: MUST NOT where the origin differs: by scheme, host or port. What is no reference names
/// nothing.
#[tokio::test]
async fn named_locations_of_other_origins_are_kept() {
    let mut failures = Failures::default();
    for (reference, named) in [
        ("http://b.example/y", "http://b.example/y"),
        ("//b.example/y", "http://b.example/y"),
        ("https://a.example/y", "https://a.example/y"),
        ("http://a.example:8080/y", "http://a.example:8080/y"),
        ("http://a.example@b.example/y", "http://b.example/y"),
        (
            "http://a.example.b.example/y",
            "http://a.example.b.example/y",
        ),
        ("http://b.example/http://a.example/y", "http://a.example/y"),
        ("http:///y", "http://a.example/y"),
        ("http://a.example:x/y", "http://a.example/y"),
        ("a.example/y", "http://a.example/y"),
        ("ftp://a.example/y", "http://a.example/y"),
        ("", "http://a.example/y"),
        ("\u{e9}", "http://a.example/y"),
    ] {
        for field in ["location", "content-location"] {
            for (kind, rig) in both() {
                stored(&rig, &[named, "http://a.example/x"]).await;
                rig.origin(201, &format!("{field}: {reference}"), "");
                rig.send("POST", "http://a.example/x", "").await;
                failures.check(!is_dropped(&rig, named, "").await, || {
                    format!("{kind}: {field}: {reference} drops {named}")
                });
                failures.check(is_dropped(&rig, "http://a.example/x", "").await, || {
                    format!("{kind}: {field}: {reference}: the target is still there")
                });
            }
        }
    }
}

/// Section 4.4: where only `Host` names the host, it is the one that a location is compared with.
#[tokio::test]
async fn named_locations_are_compared_with_the_host() {
    for (location, dropped) in [
        ("http://a.example/y", true),
        ("//A.example/y", true),
        ("/y", true),
        ("http://b.example/y", false),
        ("http://a.example:8080/y", false),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, FRESH, "old");
            rig.get("/y", "host: a.example").await;
            rig.origin(201, &format!("location: {location}"), "");
            rig.send("POST", "/x", "host: a.example").await;
            let found = is_dropped(&rig, "/y", "host: a.example").await;
            assert_eq!(found, dropped, "{kind}: {location}");
        }
    }
}

/// Section 4.4: what both fields name is dropped, with its variants.
#[tokio::test]
async fn named_locations_are_dropped_with_their_variants() {
    for (kind, rig) in both() {
        for uri in ["/y", "/z"] {
            for language in ["de", "en"] {
                rig.origin(200, &format!("{FRESH}|vary: accept-language"), "old");
                rig.get(uri, &format!("accept-language: {language}")).await;
            }
        }
        rig.origin(201, "location: /y|content-location: /z", "");
        rig.send("POST", "/x", "").await;
        for uri in ["/y", "/z"] {
            for language in ["de", "en"] {
                let request = format!("accept-language: {language}");
                assert!(
                    is_dropped(&rig, uri, &request).await,
                    "{kind}: {uri}, {language}"
                );
            }
        }
    }
}

/// Section 4.4: a load that began before the invalidation carries what was before: it serves who
/// waits for it, and is not kept.
#[tokio::test]
async fn a_load_that_an_unsafe_method_overtook_is_not_kept() {
    for (target, own) in [
        ("/x", ""),
        ("/p", "location: /x"),
        ("/p", "content-location: /x"),
    ] {
        for (kind, rig) in both() {
            rig.origin(200, FRESH, "old").held();
            let early = rig.begin("GET", "/x", "").await;
            rig.origin(204, own, "");
            rig.send("POST", target, "").await;
            // Who comes after does not take it either.
            rig.origin(200, "cache-control: no-store", "new");
            let late = rig.begin("GET", "/x", "").await;
            rig.release();
            assert_eq!(early.await.unwrap().text(), "old", "{kind}: {own}");
            assert_eq!(late.await.unwrap().text(), "new", "{kind}: {own}");
            assert!(is_dropped(&rig, "/x", "").await, "{kind}: {own}");
        }
    }
}

/// Section 4.4: what was loaded while the unsafe request was under way is dropped when it ends.
#[tokio::test]
async fn what_was_loaded_meanwhile_is_dropped() {
    for (kind, rig) in both() {
        rig.origin(204, "", "").held();
        let unsafe_one = rig.begin("POST", "/x", "").await;
        stored(&rig, &["/x"]).await;
        rig.release();
        unsafe_one.await.unwrap();
        assert!(is_dropped(&rig, "/x", "").await, "{kind}");
    }
}

/// Sections 4.3.4 and 4.4: a validation or a refresh that was overtaken makes nothing fresh.
#[tokio::test]
async fn a_validation_that_an_unsafe_method_overtook_is_not_kept() {
    for window in ["", ", stale-while-revalidate=600"] {
        for (kind, rig) in both() {
            let headers = format!("cache-control: max-age=10{window}|date: {{now}}|etag: \"v1\"");
            rig.origin(200, &headers, "old");
            rig.get("/x", "").await;
            rig.advance(20);
            rig.origin(304, &headers, "").held();
            let validating = rig.begin("GET", "/x", "").await;
            rig.settle().await;
            assert_eq!(rig.asked(), 2, "{kind}");
            rig.origin(204, "", "");
            rig.send("POST", "/x", "").await;
            rig.origin(200, "cache-control: no-store", "new");
            rig.release();
            validating.await.unwrap();
            rig.settle().await;
            if rig.asked() == 4 {
                // It asked again by itself.
                rig.origin(200, "cache-control: no-store", "new");
            }
            assert_eq!(rig.get("/x", "").await.text(), "new", "{kind}: {window}");
        }
    }
}

/// Sections 4.3.5 and 4.4: so does an answer to HEAD that was overtaken.
#[tokio::test]
async fn an_answer_to_head_that_an_unsafe_method_overtook_updates_nothing() {
    let rig = rig(CacheLayer::shared_proxy().obey_request_directives(true));
    stored(&rig, &["/x"]).await;
    rig.origin(200, &format!("{FRESH}|etag: \"v1\""), "").held();
    let head = rig.begin("HEAD", "/x", "cache-control: no-cache").await;
    assert_eq!(rig.asked(), 2);
    rig.origin(204, "", "");
    rig.send("POST", "/x", "").await;
    rig.release();
    head.await.unwrap();
    assert!(is_dropped(&rig, "/x", "").await);
}
