//! What is stored follows what the origin says of it later: RFC 9111, sections 3.2 (updating stored
//! header fields), 4.3.4 (freshening upon a 304) and 4.3.5 (freshening with HEAD).
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Section 4.2.3 after section 4.3.4: age and freshness count from the 304.
#[tokio::test]
async fn age_and_freshness_count_from_the_304() {
    let mut failures = Failures::default();
    for (update, age, fresh, stale_at) in [
        // The stored lifetime counts anew.
        ("date: {now}", 0, 9, 11),
        // Without a Date the moment of receipt is one (RFC 9110, section 6.6.1).
        ("", 0, 9, 11),
        // Another lifetime replaces it.
        ("date: {now}|cache-control: max-age=100", 0, 99, 101),
        ("date: {now}|cache-control: max-age=3", 0, 2, 4),
        // An age that it had already.
        ("date: {now-4}|age: 4", 4, 5, 7),
        ("date: {now}|age: 4", 4, 5, 7),
        ("date: {now-4}", 4, 5, 7),
    ] {
        for (kind, rig) in both() {
            rig.stale("", "etag: \"v1\"|age: 2", "one").await;
            rig.advance(1000);
            rig.origin(304, &format!("etag: \"v1\"|{update}"), "");
            let first = rig.get("/", "").await;
            let row = |what: &str, reply: &Reply| format!("{kind}: {update:?}: {what}: {reply:?}");
            let at = |seconds: u64| (age + seconds).to_string();
            let stated = |reply: &Reply, seconds| reply.lines("age") == [at(seconds).as_str()];
            failures.check(
                first.header("age").is_none_or(|stated| stated == at(0)),
                || row("age at once", &first),
            );
            rig.advance(fresh);
            let hit = rig.get("/", "").await;
            failures.check(hit.is_hit() && stated(&hit, fresh), || row("fresh", &hit));
            if update.contains("date: {now}") {
                let date = httpdate::parse_http_date(hit.header("date").unwrap()).unwrap();
                let since = rig.cache.clock().system_time().duration_since(date);
                failures.check(since.unwrap().as_secs() == fresh, || row("date", &hit));
            }
            rig.advance(stale_at - fresh);
            rig.origin(304, &format!("{BRIEF}|etag: \"v1\""), "");
            let asked = rig.asked();
            let over = rig.get("/", "").await;
            failures.check(rig.asked() == asked + 1, || row("stale", &over));
        }
    }
}

/// Section 3.2: each field of the 304 replaces the stored one; what it does not have is kept.
#[tokio::test]
async fn a_304_updates_the_stored_fields() {
    let mut failures = Failures::default();
    for (name, before, update, after) in [
        ("x-a", "x-a: 1", "x-a: 2", &["2"][..]),
        ("x-a", "", "x-a: 2", &["2"]),
        ("x-a", "x-a: 1", "", &["1"]),
        ("x-a", "x-a: 1|x-a: 2", "x-a: 3", &["3"]),
        ("x-a", "x-a: 1", "x-a: 2|x-a: 3", &["2", "3"]),
        ("x-a", "x-a: 1", "x-a:", &[""]),
        ("x-a", "x-a: 1", "x-a: \u{e9}", &["\u{e9}"]),
        (
            "cache-control",
            "",
            "cache-control: max-age=99",
            &["max-age=99"],
        ),
        (
            "expires",
            "expires: Thu, 01 Jan 1970 00:00:00 GMT",
            "expires: Fri, 02 Jan 1970 00:00:00 GMT",
            &["Fri, 02 Jan 1970 00:00:00 GMT"],
        ),
        (
            "last-modified",
            "last-modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "last-modified: Sun, 06 Nov 1994 08:49:38 GMT",
            &["Sun, 06 Nov 1994 08:49:38 GMT"],
        ),
        (
            "content-type",
            "content-type: text/plain",
            "content-type: text/html",
            &["text/html"],
        ),
        (
            "content-language",
            "content-language: de",
            "content-language: en",
            &["en"],
        ),
        (
            "content-location",
            "content-location: /a",
            "content-location: /b",
            &["/b"],
        ),
        (
            "content-disposition",
            "content-disposition: inline",
            "content-disposition: attachment",
            &["attachment"],
        ),
        (
            "content-security-policy",
            "content-security-policy: default-src 'none'",
            "content-security-policy: default-src 'self'",
            &["default-src 'self'"],
        ),
        (
            "strict-transport-security",
            "",
            "strict-transport-security: max-age=1",
            &["max-age=1"],
        ),
        (
            "link",
            "link: </a>",
            "link: </b>|link: </c>",
            &["</b>", "</c>"],
        ),
        ("warning", "warning: 199 - x", "", &["199 - x"]),
    ] {
        for (kind, rig) in both() {
            rig.stale("", &format!("etag: \"v1\"|{before}"), "one")
                .await;
            rig.origin(304, &format!("etag: \"v1\"|date: {{now}}|{update}"), "");
            for when in ["at once", "on reuse"] {
                let reply = rig.get("/", "").await;
                failures.check(reply.lines(name) == after && reply.text() == "one", || {
                    format!("{kind}: {before:?} and {update:?}, {when}: {reply:?}")
                });
            }
            failures.check(rig.asked() == 2, || {
                format!("{kind}: {update:?} leaves it not fresh")
            });
        }
    }
}

/// Section 3.2: except what section 3.1 excepts from storage, what describes the stored body, and
/// what belongs to a connection (RFC 9110, section 7.6.1).
#[tokio::test]
async fn a_304_does_not_update_what_is_not_its_own_to_say() {
    let mut failures = Failures::default();
    for (name, before, update, after) in [
        (
            "content-length",
            "content-length: 3",
            "content-length: 99",
            Some("3"),
        ),
        ("content-length", "", "content-length: 0", Some("3")),
        (
            "content-encoding",
            "content-encoding: x-own",
            "content-encoding: gzip",
            Some("x-own"),
        ),
        ("content-encoding", "", "content-encoding: gzip", None),
        ("content-range", "", "content-range: bytes 0-2/9", None),
        ("transfer-encoding", "", "transfer-encoding: chunked", None),
        ("connection", "", "connection: close", None),
        ("keep-alive", "", "keep-alive: timeout=5", None),
        ("upgrade", "", "upgrade: h2c", None),
        ("te", "", "te: trailers", None),
        ("trailer", "", "trailer: x-a", None),
        ("proxy-connection", "", "proxy-connection: close", None),
        ("proxy-authenticate", "", "proxy-authenticate: Basic", None),
        (
            "proxy-authentication-info",
            "",
            "proxy-authentication-info: x",
            None,
        ),
        ("x-hop", "", "connection: x-hop|x-hop: new", None),
        (
            "x-hop",
            "x-hop: old",
            "connection: close, X-Hop|x-hop: new",
            Some("old"),
        ),
    ] {
        for (kind, rig) in both() {
            rig.stale("", &format!("etag: \"v1\"|{before}"), "one")
                .await;
            rig.origin(304, &format!("etag: \"v1\"|date: {{now}}|{update}"), "");
            for when in ["at once", "on reuse"] {
                let reply = rig.get("/", "").await;
                let value = reply.header(name);
                // The length may be left to the connection.
                let well = value == after || (name == "content-length" && value.is_none());
                failures.check(well && reply.text() == "one" && reply.status == 200, || {
                    format!("{kind}: {before:?} and {update:?}, {when}: {reply:?}")
                });
            }
            failures.check(rig.asked() == 2, || {
                format!("{kind}: {update:?} leaves it not fresh")
            });
        }
    }
}

/// Section 3.2 with 7.3: cookies are updated where they may be stored, and nowhere else.
#[tokio::test]
async fn cookies_of_a_304_are_kept_by_proxies_alone() {
    for (kind, rig, kept) in [
        ("proxy", proxy(), vec!["session=2"]),
        ("application", application(), vec![]),
    ] {
        rig.stale("", "etag: \"v1\"", "one").await;
        let update = format!("{BRIEF}|etag: \"v1\"|set-cookie: session=2");
        rig.origin(304, &update, "");
        rig.get("/", "").await;
        rig.origin(304, &update, "");
        let reuse = rig.get("/", "").await;
        if rig.asked() == 2 {
            assert_eq!(reuse.lines("set-cookie"), kept, "{kind}");
        } else {
            assert_eq!(
                kind, "application",
                "what must not be kept may be asked for again"
            );
        }
    }
}

/// Section 4.3.4: which 304 speaks of the stored response. One with a strong validator of another
/// MUST NOT update it.
#[tokio::test]
async fn a_304_counts_for_the_response_that_it_identifies() {
    let mut failures = Failures::default();
    let modified = format!("last-modified: {MODIFIED}");
    for (stored, update) in [
        ("etag: \"v1\"", "etag: \"v1\""),
        ("etag: W/\"v1\"", "etag: W/\"v1\""),
        ("etag: \"v1\"", "etag: W/\"v1\""),
        ("etag: \"\"", "etag: \"\""),
        (&modified, &modified),
        (&format!("etag: \"v1\"|{modified}"), "etag: \"v1\""),
        // A weak tag that was not there before, of the same time.
        (&modified, &format!("etag: W/\"v1\"|{modified}")),
    ] {
        for (kind, rig) in both() {
            rig.stale("", stored, "one").await;
            rig.origin(304, &format!("{BRIEF}|{update}|x-new: 1"), "");
            let reply = rig.get("/", "").await;
            let reuse = rig.get("/", "").await;
            failures.check(
                rig.asked() == 2
                    && (reply.status.as_u16(), reply.text()) == (200, "one")
                    && reuse.header("x-new") == Some("1"),
                || format!("{kind}: {stored} and 304 {update}: {reply:?}"),
            );
        }
    }
    for (stored, update) in [
        ("etag: \"v1\"", "etag: \"v2\""),
        ("etag: \"v1\"", "etag: \"V1\""),
        ("etag: W/\"v1\"", "etag: \"v2\""),
        // A strong validator identifies what carries the same strong one, which a weak one is not.
        ("etag: W/\"v1\"", "etag: \"v1\""),
        ("etag: \"v1\"", "etag: W/\"v2\""),
        ("etag: W/\"v1\"", "etag: W/\"v2\""),
        (&format!("etag: \"v1\"|{modified}"), "etag: \"v2\""),
        // What has no strong validator is not what a strong one identifies.
        (&modified, "etag: \"v1\""),
        (&modified, &format!("etag: \"v1\"|{modified}")),
        (&modified, "etag: W/\"v1\""),
    ] {
        for (kind, rig) in both() {
            rig.stale("", stored, "one").await;
            rig.origin(304, &format!("{BRIEF}|{update}|x-new: 1"), "");
            rig.origin(200, &format!("{BRIEF}|etag: \"v2\""), "two");
            let reply = rig.get("/", "").await;
            let row = |what: &str| format!("{kind}: {stored} and 304 {update}: {what}: {reply:?}");
            failures.check(
                (reply.status.as_u16(), reply.text()) == (200, "two"),
                || row("what the client gets"),
            );
            failures.check(rig.asked() == 3 && rig.is_unconditional(), || {
                row("the origin is asked again, without conditions")
            });
            let reuse = rig.get("/", "").await;
            failures.check(
                reuse.text() == "two" && reuse.header("x-new").is_none() && rig.asked() == 3,
                || row("what is stored"),
            );
        }
    }
}

/// Section 4.3.3: a 304 without any validator is no reason to show the client a 304 that it did not
/// ask for.
#[tokio::test]
async fn a_304_without_validators_leaves_the_client_a_whole_response() {
    for stored in ["etag: \"v1\"", &format!("last-modified: {MODIFIED}")] {
        for (kind, rig) in both() {
            rig.stale("", stored, "one").await;
            rig.origin(304, BRIEF, "");
            rig.origin(200, BRIEF, "two");
            let reply = rig.get("/", "").await;
            assert_eq!(reply.status, 200, "{kind}: {stored}");
            let expected = if rig.asked() == 2 { "one" } else { "two" };
            assert_eq!(reply.text(), expected, "{kind}: {stored}");
        }
    }
}

/// Sections 4.1 and 4.3.4: each variant is validated by its own tag, and only that one is updated.
#[tokio::test]
async fn variants_are_validated_each_by_its_own() {
    for (kind, rig) in both() {
        for language in ["de", "en"] {
            let own = format!("{BRIEF}|vary: accept-language|etag: \"{language}\"");
            rig.origin(200, &own, language);
            rig.get("/", &format!("accept-language: {language}")).await;
        }
        rig.advance(20);
        for language in ["de", "en"] {
            let update =
                format!("{BRIEF}|vary: accept-language|etag: \"{language}\"|x-of: {language}");
            rig.origin(304, &update, "");
            let asked = rig.asked();
            let reply = rig.get("/", &format!("accept-language: {language}")).await;
            assert_eq!(
                rig.asked(),
                asked + 1,
                "{kind}: {language} was not validated"
            );
            assert_eq!(
                (reply.status.as_u16(), reply.text()),
                (200, language),
                "{kind}"
            );
            assert_eq!(reply.header("x-of"), Some(language), "{kind}");
            let sent = rig.seen_header("if-none-match").unwrap_or_default();
            assert!(
                sent.contains(&format!("\"{language}\"")),
                "{kind}: {sent:?}"
            );
            assert_eq!(
                rig.seen_header("accept-language").as_deref(),
                Some(language)
            );
        }
    }
}

/// Sections 3.2 and 4.1: a `Vary` that came with a 304 selects from then on.
#[tokio::test]
async fn a_vary_that_comes_with_a_304_is_heeded() {
    let mut failures = Failures::default();
    for (update, next) in [
        ("vary: x-a", "x-a: 3"),
        ("vary: x-a", ""),
        ("vary: *", "x-a: 2"),
        ("vary: x-b, x-a", "x-a: 3"),
    ] {
        for (kind, rig) in both() {
            rig.stale("x-a: 2", "etag: \"v1\"", "one").await;
            rig.origin(304, &format!("{BRIEF}|etag: \"v1\"|{update}"), "");
            assert_eq!(rig.get("/", "x-a: 2").await.text(), "one", "{kind}");
            rig.origin(200, BRIEF, "two");
            let asked = rig.asked();
            let reply = rig.get("/", next).await;
            failures.check(rig.asked() == asked + 1 && reply.text() == "two", || {
                format!("{kind}: {update} is ignored for {next:?}: {reply:?}")
            });
        }
    }
}

/// Sections 3.2 and 5.2.2: directives that came with a 304 govern from then on.
#[tokio::test]
async fn directives_that_come_with_a_304_are_heeded() {
    let mut failures = Failures::default();
    for update in [
        "cache-control: no-store",
        "cache-control: no-store, max-age=60",
        "cache-control: private, max-age=60",
        "cache-control: no-cache, max-age=60",
        "cache-control: max-age=0",
        "cache-control: s-maxage=0, max-age=60",
    ] {
        for (kind, rig) in both() {
            rig.stale("", "etag: \"v1\"", "one").await;
            rig.origin(304, &format!("date: {{now}}|etag: \"v1\"|{update}"), "");
            assert_eq!(rig.get("/", "").await.text(), "one", "{kind}: {update}");
            rig.origin(200, "", "two");
            let reply = rig.get("/", "").await;
            failures.check(reply.text() == "two", || {
                format!("{kind}: {update} is ignored: {reply:?}")
            });
        }
    }
}

/// Section 4.3.5: a 200 to HEAD whose validators and length are the stored ones updates what is
/// stored; with others, what is stored is considered stale.
#[tokio::test]
async fn a_forwarded_head_updates_the_stored_response_or_ends_it() {
    let mut failures = Failures::default();
    let modified = format!("last-modified: {MODIFIED}");
    let other = "last-modified: Sun, 06 Nov 1994 08:49:38 GMT";
    for (answer, updates) in [
        ("etag: \"v1\"", true),
        ("etag: \"v1\"|content-length: 3", true),
        (&modified, true),
        (&format!("etag: \"v1\"|{modified}|content-length: 3"), true),
        ("etag: \"v2\"", false),
        ("etag: \"v2\"|content-length: 3", false),
        (other, false),
        (&format!("etag: \"v1\"|{other}"), false),
        (&format!("etag: \"v2\"|{modified}"), false),
        ("etag: \"v1\"|content-length: 4", false),
        ("content-length: 4", false),
    ] {
        // Fresh, where a client insists on the origin, and stale.
        for fresh in [true, false] {
            let rig = rig(CacheLayer::shared_proxy().obey_request_directives(true));
            rig.origin(
                200,
                &format!("cache-control: max-age=100|date: {{now}}|etag: \"v1\"|{modified}|x-a: 1"),
                "one",
            );
            rig.get("/", "").await;
            rig.advance(if fresh { 5 } else { 150 });
            let update = format!("cache-control: max-age=200|date: {{now}}|x-a: 2|{answer}");
            rig.origin(200, &update, "one");
            let head = rig.send("HEAD", "/", "cache-control: no-cache").await;
            let row = |what: &str| format!("{answer:?}, fresh: {fresh}: {what}");
            failures.check(rig.asked() == 2 && rig.seen().method == "HEAD", || {
                row("HEAD is not forwarded")
            });
            failures.check(
                head.status == 200 && head.body.is_empty() && head.header("x-a") == Some("2"),
                || row("what HEAD is answered"),
            );
            rig.origin(200, "etag: \"v3\"", "two");
            let get = rig.get("/", "").await;
            if updates {
                failures.check(
                    rig.asked() == 2 && get.text() == "one" && get.header("x-a") == Some("2"),
                    || row("is not updated"),
                );
                rig.advance(150);
                failures.check(rig.get("/", "").await.is_hit(), || {
                    row("its lifetime is not updated")
                });
            } else {
                failures.check(rig.asked() == 3 && get.text() == "two", || {
                    row("the stored response is still used")
                });
            }
        }
    }
}

/// Section 4.3.5: only a 200 says something of the stored response, and only of the variants that the
/// request could have selected.
#[tokio::test]
async fn other_answers_to_head_say_nothing_of_the_stored_response() {
    let mut failures = Failures::default();
    let obeying = || rig(CacheLayer::shared_proxy().obey_request_directives(true));
    for status in [403, 404, 500, 503] {
        let rig = obeying();
        rig.origin(200, "cache-control: max-age=100|etag: \"v1\"", "one");
        rig.get("/", "").await;
        rig.origin(status, "etag: \"v2\"|x-a: 2", "");
        rig.send("HEAD", "/", "cache-control: no-cache").await;
        let get = rig.get("/", "").await;
        failures.check(get.header("x-a").is_none(), || format!("{status}: {get:?}"));
    }
    let rig = obeying();
    let vary = "cache-control: max-age=100|vary: accept-language";
    rig.origin(200, &format!("{vary}|etag: \"de\""), "de");
    rig.get("/", "accept-language: de").await;
    rig.origin(200, &format!("{vary}|etag: \"en\""), "");
    rig.send("HEAD", "/", "accept-language: en").await;
    let get = rig.get("/", "accept-language: de").await;
    failures.check(get.is_hit() && get.text() == "de", || {
        format!("HEAD of another variant: {get:?}")
    });
}
