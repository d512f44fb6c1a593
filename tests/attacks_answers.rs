//! Known attacks on what shared caches keep, each as an attacker would try it: errors made for one
//! client, cache deception, leaks of credentials and cookies, hop-by-hop fields, parts, splitting. Each
//! test names the class. Attacks on keys are in `attacks.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const FRESH: &str = "cache-control: max-age=600";

/// The layers that an attacker may meet: by the RFC, by declaration, and with a lifetime of its own.
fn layers() -> [(&'static str, Rig); 3] {
    let ttl = rig(CacheLayer::new().ttl("10m"));
    let [proxy, application] = both();
    [proxy, application, ("ttl", ttl)]
}

/// Whether an answer of these fields to `first` is given to `second` as well.
async fn is_shared(rig: &Rig, status: u16, own: &str, first: &str, second: &str) -> bool {
    rig.origin(status, own, "first's");
    rig.origin(status, own, "second's");
    assert_eq!(rig.get("/a", first).await.text(), "first's");
    let reply = rig.get("/a", second).await;
    match (rig.asked(), reply.text()) {
        (1, "first's") => true,
        (2, "second's") => false,
        _ => panic!("of neither: {reply:?}"),
    }
}

/// Cache-poisoned denial of service: a header too large, of forbidden characters or of an odd kind makes
/// the origin answer an error that no other client would get. It is not kept, and the next good answer is.
#[tokio::test]
async fn an_error_made_for_one_client_is_not_for_others() {
    let mut failures = Failures::default();
    let oversized = format!("x-oversized: {}", "x".repeat(20_000));
    for status in [
        400, 401, 403, 406, 407, 408, 409, 411, 412, 413, 415, 416, 417, 421, 422, 425, 426, 428,
        429, 431,
    ] {
        for request in [&*oversized, "x-meta: \u{e9}", "accept: */*"] {
            // As bare as it is, and with what heuristics feed on (RFC 9111, section 4.2.2).
            for own in ["", "last-modified: {now-86400}|date: {now}"] {
                for (kind, rig) in layers() {
                    rig.origin(status, own, "error page");
                    assert_eq!(rig.get("/a", request).await.status, status);
                    rig.origin(200, FRESH, "good");
                    let next = rig.get("/a", "").await;
                    let row = |what: &str| {
                        let request = request.split(':').next().unwrap();
                        format!("{kind}: {status} {own:?} for {request}: {what}")
                    };
                    failures.check(next.status == 200 && next.text() == "good", || {
                        row("is for others")
                    });
                    failures.check(rig.get("/a", "").await.is_hit(), || {
                        row("keeps the good answer out")
                    });
                }
            }
        }
    }
}

/// The same by errors of the origin's, which pass.
#[tokio::test]
async fn an_error_page_without_freshness_is_not_for_others() {
    let mut failures = Failures::default();
    for status in [404, 405, 410, 414, 451, 500, 501, 502, 503, 504, 505, 511] {
        for request in ["accept: */*", "x-http-method: FROB", "range: bytes=0-1", ""] {
            for (kind, rig) in layers() {
                rig.origin(status, "content-type: text/html", "error page");
                assert_eq!(rig.get("/a", request).await.status, status);
                rig.origin(200, FRESH, "good");
                let next = rig.get("/a", "accept: text/html").await;
                failures.check(next.text() == "good", || {
                    format!("{kind}: {status} for {request:?} is for others: {next:?}")
                });
            }
        }
    }
}

/// Cache deception: a private page under a name that looks static. Names declare nothing; nor does an
/// application's `Last-Modified`.
#[tokio::test]
async fn names_that_look_static_declare_nothing() {
    let mut failures = Failures::default();
    for path in [
        "/account/x.css",
        "/account/x.js",
        "/account/x.png",
        "/account;x.css",
        "/account%2fx.css",
        "/account/static/../x.css",
        "/account.css",
        "/favicon.ico",
        "/robots.txt",
    ] {
        for (own, application_only) in [
            ("content-type: text/html", false),
            ("content-type: text/css", false),
            ("content-type: text/html|cache-control: private", false),
            ("content-type: text/html|cache-control: no-store", false),
            (
                "content-type: text/html|cache-control: private, max-age=600",
                false,
            ),
            ("set-cookie: session=1", false),
            ("last-modified: {now-86400}|date: {now}", true),
        ] {
            for (kind, rig) in both() {
                if application_only && kind == "proxy" {
                    continue;
                }
                rig.origin(200, own, "of the victim");
                rig.get(path, "cookie: session=1").await;
                rig.origin(200, own, "of the attacker");
                let reply = rig.get(path, "").await;
                failures.check(reply.text() == "of the attacker", || {
                    format!("{kind}: {path} {own}: {reply:?}")
                });
            }
        }
    }
}

/// Leaks of what was for who is authorized: RFC 9111, section 3.5.
#[tokio::test]
async fn answers_to_the_authorized_are_shared_only_where_they_say_so() {
    let mut failures = Failures::default();
    let one = "authorization: Basic YTpi";
    let other = "authorization: Bearer c";
    for own in [
        "",
        "cache-control: max-age=600",
        "expires: {now+600}|date: {now}",
        "last-modified: {now-86400}|date: {now}",
        "cache-control: private, max-age=600",
        "cache-control: private, s-maxage=600, public",
        "cache-control: no-store, public, max-age=600",
        "cache-control: proxy-revalidate, max-age=600",
        "cache-control: x-public, max-age=600",
        "cache-control: x=\"public\", max-age=600",
    ] {
        for (first, second) in [
            (one, ""),
            (one, other),
            (one, one),
            ("authorization:", ""),
            ("authorization: x|authorization: y", ""),
        ] {
            for (kind, rig) in both() {
                let shared = is_shared(&rig, 200, own, first, second).await;
                failures.check(!shared, || {
                    format!("{kind}: {own:?} of {first:?} is given to {second:?}")
                });
            }
        }
    }
    for own in [
        "cache-control: public, max-age=600",
        "cache-control: s-maxage=600",
        "cache-control: must-revalidate, max-age=600",
    ] {
        for (first, second, by_applications) in [
            (one, one, true),
            (one, other, true),
            // A proxy does as the RFC says; an application's cache keeps the two apart.
            (one, "", false),
            ("", one, false),
        ] {
            for (kind, rig) in both() {
                let shared = is_shared(&rig, 200, own, first, second).await;
                failures.check(shared == (kind == "proxy" || by_applications), || {
                    format!("{kind}: {own:?} of {first:?}, for {second:?}: shared: {shared}")
                });
            }
        }
    }
}

/// Leaks by cookies in requests: where the layer itself declares responses storable, they pass by.
#[tokio::test]
async fn a_layers_own_lifetime_does_not_share_what_cookies_select() {
    for (first, second) in [
        ("cookie: session=1", ""),
        ("cookie: session=1", "cookie: session=2"),
        ("", "cookie: session=1"),
        ("cookie:", "cookie: session=1"),
    ] {
        let rig = rig(CacheLayer::new().ttl("10m"));
        let shared = is_shared(&rig, 200, "", first, second).await;
        assert!(!shared, "{first:?} and {second:?}");
    }
}

/// Leaks by cookies in responses: never by applications' caches; by proxies where freshness is explicit
/// (RFC 9111, section 7.3).
#[tokio::test]
async fn cookies_that_are_set_are_for_one_client() {
    let mut failures = Failures::default();
    for (own, by_proxies) in [
        ("set-cookie: session=1", false),
        (
            "set-cookie: session=1|last-modified: {now-86400}|date: {now}",
            false,
        ),
        ("set-cookie: session=1|cache-control: public", false),
        (
            "set-cookie: session=1|cache-control: public|last-modified: {now-86400}|date: {now}",
            false,
        ),
        (
            "set-cookie: session=1|cache-control: private, max-age=600",
            false,
        ),
        (
            "set-cookie: session=1|cache-control: no-store, max-age=600",
            false,
        ),
        ("set-cookie: session=1|cache-control: max-age=600", true),
        ("set-cookie: session=1|cache-control: s-maxage=600", true),
        ("set-cookie: session=1|expires: {now+600}|date: {now}", true),
    ] {
        for (kind, rig) in layers() {
            let shared = is_shared(&rig, 200, own, "", "").await;
            failures.check(shared == (by_proxies && kind == "proxy"), || {
                format!("{kind}: {own}: shared: {shared}")
            });
        }
    }
}

/// The same where the response says which of its fields are one client's (RFC 9111, sections 5.2.2.4
/// and 5.2.2.7): others never get them.
#[tokio::test]
async fn fields_that_are_one_clients_are_not_given_to_others() {
    let mut failures = Failures::default();
    for directive in [
        "no-cache=\"set-cookie\"",
        "private=\"set-cookie\"",
        "private=\"x-user, set-cookie\"",
        "no-cache=\"Set-Cookie\", private=\"X-User\"",
    ] {
        for (kind, rig) in both() {
            let own =
                format!("cache-control: max-age=600, {directive}|set-cookie: session=1|x-user: 1");
            rig.origin(200, &own, "one");
            let first = rig.get("/a", "").await;
            failures.check(first.header("set-cookie") == Some("session=1"), || {
                format!("{kind}: {directive}: the first client's own: {first:?}")
            });
            rig.origin(200, &own.replace("session=1", "session=2"), "two");
            let second = rig.get("/a", "").await;
            failures.check(second.header("set-cookie") != Some("session=1"), || {
                format!("{kind}: {directive}: {second:?}")
            });
            if directive.to_lowercase().contains("x-user") && second.text() == "one" {
                failures.check(second.header("x-user").is_none(), || {
                    format!("{kind}: {directive}: {second:?}")
                });
            }
        }
    }
}

/// Hop-by-hop abuse: `Connection` names what the next hop is not to see (RFC 9110, section 7.6.1). What
/// a request said of its client counts all the same.
#[tokio::test]
async fn naming_credentials_in_connection_makes_nothing_storable() {
    let mut failures = Failures::default();
    for connection in [
        "connection: authorization, cookie",
        "connection: close, Authorization, Cookie",
        "connection: keep-alive|connection: authorization|connection: cookie",
    ] {
        for credentials in ["authorization: Basic YTpi", "cookie: session=1"] {
            let request = format!("{connection}|{credentials}");
            for (kind, rig) in layers() {
                // By declaration cookies mean nothing (RFC 9111, section 7.3); by the layer's own
                // lifetime they do.
                if credentials.starts_with("cookie") && kind != "ttl" {
                    continue;
                }
                let own = if kind == "ttl" { "" } else { FRESH };
                let shared = is_shared(&rig, 200, own, &request, "").await;
                failures.check(!shared, || format!("{kind}: {request}"));
            }
        }
    }
}

/// The same with what selects a response: a field that the origin was not shown selected nothing.
#[tokio::test]
async fn naming_selecting_fields_in_connection_poisons_no_variant() {
    for (kind, rig) in both() {
        let own = format!("{FRESH}|vary: accept-language");
        rig.origin(200, &own, "as asked");
        let request = "accept-language: de|connection: accept-language";
        rig.get("/a", request).await;
        let shown = rig.seen_header("accept-language").is_some();
        let reply = rig.get("/a", "accept-language: de").await;
        assert!(
            shown || !reply.is_hit(),
            "{kind}: what was made without the field is given to who sends it"
        );
        let reply = rig.get("/a", "").await;
        assert!(
            !shown || !reply.is_hit(),
            "{kind}: what was made with the field is given to who does not send it"
        );
        // A host that was named is keyed all the same.
        rig.origin(200, FRESH, "evil");
        rig.get("/b", "x-forwarded-host: evil|connection: x-forwarded-host")
            .await;
        rig.origin(200, FRESH, "good");
        let reply = rig.get("/b", "").await;
        assert_eq!(reply.text(), "good", "{kind}");
    }
}

/// Poisoning by parts: what answers one client's range is never everyone's whole (RFC 9111, section
/// 3.3), also where the layer declares responses storable.
#[tokio::test]
async fn answers_to_ranges_do_not_answer_for_the_whole() {
    let mut failures = Failures::default();
    for (status, request, own) in [
        (206, "range: bytes=0-0", "content-range: bytes 0-0/9"),
        (206, "range: bytes=0-0", "content-range: bytes 0-0/1"),
        (206, "range: bytes=0-0", ""),
        (206, "", "content-range: bytes 0-0/9"),
        (200, "", "content-range: bytes 0-0/9"),
        (416, "range: bytes=99-", "content-range: bytes */9"),
        (416, "", ""),
        (416, "range: bytes=99-", ""),
    ] {
        for (kind, rig) in layers() {
            rig.origin(status, &format!("{FRESH}|etag: \"v1\"|{own}"), "x");
            rig.get("/a", request).await;
            rig.origin(200, FRESH, "the whole");
            let whole = rig.get("/a", "").await;
            failures.check(
                (whole.status.as_u16(), whole.text()) == (200, "the whole")
                    && whole.header("content-range").is_none(),
                || format!("{kind}: {status} {own} to {request:?}: {whole:?}"),
            );
        }
    }
}

/// Splitting: whatever a request is called, `Cache-Status` (RFC 9211) stays one well-formed field that
/// says of the cache what the cache says.
#[tokio::test]
async fn cache_status_says_only_what_the_cache_says() {
    let mut failures = Failures::default();
    for path in [
        "/a",
        "/a\"b",
        "/a\\",
        "/a\\\"",
        "/a\",revalidate;hit",
        "/a,revalidate;hit",
        "/a;hit;ttl=9",
        "/a%0d%0aset-cookie:x=1",
        "/a%22",
        "/\u{e9}",
        "/a?{b}",
        "/a?\u{e9}",
    ] {
        for layer in [CacheLayer::shared_proxy(), CacheLayer::new()] {
            for shown in [false, true] {
                let rig = rig(layer.clone().show_key(shown));
                rig.origin(200, FRESH, "one");
                for hit in [false, true] {
                    let headers = "x-forwarded-host: \"; hit|accept-language: \"";
                    let reply = rig.get(path, headers).await;
                    let row = |what: &str| format!("{path}, shown: {shown}: {what}: {reply:?}");
                    let members = items::members(&reply.cache());
                    failures.check(
                        members.as_ref().is_ok_and(|members| {
                            members.len() == 1
                                && members[0].name == "revalidate"
                                && members[0].get("hit").is_some() == hit
                                && members[0].get("key").is_some() == shown
                        }),
                        || row("is no well-formed field"),
                    );
                    failures.check(
                        reply.lines("cache-status").len() == 1
                            && reply.header("set-cookie").is_none(),
                        || row("fields"),
                    );
                }
            }
        }
    }
}

/// The same by the cache's own name.
#[tokio::test]
async fn the_name_of_the_cache_splits_nothing() {
    for name in [
        "a\"b",
        "a\r\nset-cookie: x=1",
        "a, b; hit",
        "\u{e9}",
        "",
        "\\",
    ] {
        for layer in [CacheLayer::shared_proxy(), CacheLayer::new()] {
            let rig = rig_named(name, layer);
            rig.origin(200, FRESH, "one");
            for hit in [false, true] {
                let reply = rig.get("/a", "").await;
                let members = items::members(&reply.cache()).unwrap();
                assert_eq!(members.len(), 1, "{name:?}: {members:?}");
                assert_eq!(
                    members[0].get("hit").is_some(),
                    hit,
                    "{name:?}: {members:?}"
                );
                assert_eq!(reply.header("set-cookie"), None, "{name:?}");
            }
        }
    }
}

/// Splitting by fields of the origin's: obs-text, quotes and tags come out as they went in, each where
/// it belongs.
#[tokio::test]
async fn fields_of_the_origin_come_out_as_they_went_in() {
    for (kind, rig) in both() {
        let own = "x-a: \u{e9}\"\\, b|x-a: c|etag: \"\u{e9}\"|cache-groups: \"a\\\"b\"|cache-status: up; hit; detail=\"a, b\"";
        rig.origin(200, &format!("{FRESH}|{own}"), "one");
        for _ in 0..2 {
            let reply = rig.get("/a", "").await;
            assert_eq!(reply.lines("x-a"), ["\u{e9}\"\\, b", "c"], "{kind}");
            assert_eq!(reply.lines("etag"), ["\"\u{e9}\""], "{kind}");
            assert_eq!(reply.lines("cache-groups"), ["\"a\\\"b\""], "{kind}");
            assert!(
                reply
                    .cache()
                    .starts_with("up; hit; detail=\"a, b\", revalidate; "),
                "{kind}: {reply:?}"
            );
        }
        assert_eq!(rig.asked(), 1, "{kind}");
    }
}
