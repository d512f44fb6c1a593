//! Clients' conditional requests: RFC 9111, section 4.3.2 (handling a received validation request);
//! RFC 9110, sections 13.1.2 and 13.1.3 (`If-None-Match`, `If-Modified-Since`), 13.2 (which is
//! evaluated when) and 15.4.5 (what a 304 carries).
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const FRESH: &str = "cache-control: max-age=600|date: {now}";

/// Stores a fresh response with these fields.
async fn stored(rig: &Rig, own: &str) {
    rig.origin(200, &format!("{FRESH}|{own}"), "one");
    assert_eq!(rig.get("/", "").await.text(), "one");
}

/// Asks each layer for what is stored with fields `own`, under each condition, and holds the status
/// against the one expected. Both GET and HEAD are answered without asking the origin.
async fn table(failures: &mut Failures, rows: &[(&str, &str, u16)]) {
    for (own, condition, status) in rows {
        for (kind, rig) in both() {
            stored(&rig, own).await;
            for method in ["GET", "HEAD"] {
                let reply = rig.send(method, "/", condition).await;
                let body = match (method, *status) {
                    ("GET", 200) => "one",
                    _ => "",
                };
                failures.check(
                    reply.status == *status
                        && reply.is_hit()
                        && reply.text() == body
                        && rig.asked() == 1,
                    || format!("{kind}: {own:?}, {method} with {condition:?}: {reply:?}"),
                );
            }
        }
    }
}

/// RFC 9110, section 13.1.2: by weak comparison (section 8.8.3.2); lists; `*`.
#[tokio::test]
async fn if_none_match_compares_weakly() {
    let mut failures = Failures::default();
    table(
        &mut failures,
        &[
            ("etag: \"v1\"", "if-none-match: \"v1\"", 304),
            ("etag: \"v1\"", "if-none-match: W/\"v1\"", 304),
            ("etag: W/\"v1\"", "if-none-match: \"v1\"", 304),
            ("etag: W/\"v1\"", "if-none-match: W/\"v1\"", 304),
            ("etag: \"\"", "if-none-match: \"\"", 304),
            ("etag: \"\u{e9}\"", "if-none-match: \"\u{e9}\"", 304),
            // First, in the middle, last; with little and much whitespace, and empty members.
            ("etag: \"v1\"", "if-none-match: \"v1\", \"x\", \"y\"", 304),
            ("etag: \"v1\"", "if-none-match: \"x\", \"v1\", \"y\"", 304),
            ("etag: \"v1\"", "if-none-match: \"x\", \"y\", \"v1\"", 304),
            ("etag: \"v1\"", "if-none-match: \"x\",W/\"v1\"", 304),
            ("etag: \"v1\"", "if-none-match: \"x\" \t,\t \"v1\"", 304),
            ("etag: \"v1\"", "if-none-match: , \"x\",, \"v1\",", 304),
            // In any of several lines.
            (
                "etag: \"v1\"",
                "if-none-match: \"x\"|if-none-match: \"v1\"",
                304,
            ),
            (
                "etag: \"v1\"",
                "if-none-match: \"v1\"|if-none-match: \"x\"",
                304,
            ),
            // Whatever there is, with a tag or without.
            ("etag: \"v1\"", "if-none-match: *", 304),
            ("", "if-none-match: *", 304),
            // Quotes are part of a tag; commas, backslashes and asterisks may be in it.
            ("etag: \"a,b\"", "if-none-match: \"a,b\"", 304),
            ("etag: \"a,b\"", "if-none-match: \"x\", \"a,b\"", 304),
            ("etag: \"a\\\"", "if-none-match: \"a\\\"", 304),
            ("etag: \"v1\"", "if-none-match: \"a\\\", \"v1\"", 304),
            ("etag: \"*\"", "if-none-match: \"*\"", 304),
            // Others.
            ("etag: \"v1\"", "if-none-match: \"v2\"", 200),
            ("etag: \"v1\"", "if-none-match: \"V1\"", 200),
            ("etag: \"v1\"", "if-none-match: \"v\"", 200),
            ("etag: \"v1\"", "if-none-match: \"v11\"", 200),
            ("etag: \"v1\"", "if-none-match: \" v1\"", 200),
            ("etag: \"v1\"", "if-none-match: \"*\"", 200),
            ("etag: \"a,b\"", "if-none-match: \"a\", \"b\"", 200),
            ("etag: \"a\"", "if-none-match: \"a,b\"", 200),
            ("etag: \"b\"", "if-none-match: \"a,b\"", 200),
            ("etag: \",\"", "if-none-match: \"a\",\"b\"", 200),
            ("", "if-none-match: \"v1\"", 200),
            // What is no tag is none.
            ("etag: \"v1\"", "if-none-match: v1", 200),
            ("etag: \"v1\"", "if-none-match: 'v1'", 200),
            ("etag: \"v1\"", "if-none-match: \"v1", 200),
            ("etag: \"v1\"", "if-none-match: v1\"", 200),
            ("etag: \"v1\"", "if-none-match:", 200),
            ("etag: \"v1\"", "if-none-match: W/v1", 200),
        ],
    )
    .await;
}

/// RFC 9110, section 13.1.3: no later than; in any form of date (section 5.6.7); ignored where it is
/// no date or several.
#[tokio::test]
async fn if_modified_since_compares_dates() {
    let mut failures = Failures::default();
    let own = format!("last-modified: {MODIFIED}");
    let since = |date: &str| format!("if-modified-since: {date}");
    let rows = [
        (since(MODIFIED), 304),
        (since(LATER), 304),
        (since("Sat, 06 Nov 2094 08:49:37 GMT"), 304),
        (since(EARLIER), 200),
        (since("Thu, 01 Jan 1970 00:00:00 GMT"), 200),
        // The obsolete forms MUST be accepted.
        (since("Sunday, 06-Nov-94 08:49:37 GMT"), 304),
        (since("Sun Nov  6 08:49:37 1994"), 304),
        (since("Sunday, 06-Nov-94 08:49:36 GMT"), 200),
        (since("Sun Nov  6 08:49:36 1994"), 200),
        // No dates.
        (since(""), 200),
        (since("0"), 200),
        (since("784111777"), 200),
        (since("yesterday"), 200),
        (since("1994-11-06T08:49:37Z"), 200),
        (since("Sun, 32 Nov 1994 08:49:37 GMT"), 200),
        (since("Sun, 06 Nov 1994 08:49:37 PST"), 200),
        (since(&format!("\"{MODIFIED}\"")), 200),
        // More than one member.
        (since(&format!("{MODIFIED}, {MODIFIED}")), 200),
        (format!("{}|{}", since(LATER), since(EARLIER)), 200),
        (format!("{}|{}", since(MODIFIED), since(MODIFIED)), 200),
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|(condition, status)| (own.as_str(), condition.as_str(), *status))
        .collect();
    table(&mut failures, &rows).await;
}

/// Section 4.3.2: without a `Last-Modified` the stored `Date` SHOULD be compared, and without that
/// the moment of receipt.
#[tokio::test]
async fn if_modified_since_falls_back_on_the_date() {
    let mut failures = Failures::default();
    for (own, offset, status) in [
        ("date: {now-100}", "{now-100}", 304),
        ("date: {now-100}", "{now-50}", 304),
        ("date: {now-100}", "{now-101}", 200),
        ("", "{now}", 304),
        ("", "{now-1}", 200),
    ] {
        let rig = proxy();
        rig.origin(200, &format!("cache-control: max-age=600|{own}"), "one");
        rig.get("/", "").await;
        let reply = rig.get("/", &format!("if-modified-since: {offset}")).await;
        failures.check(reply.status == status && rig.asked() == 1, || {
            format!("{own:?}, since {offset}: {reply:?}")
        });
    }
}

/// RFC 9110, sections 13.1.3 and 13.2.2: `If-Modified-Since` is ignored where there is an
/// `If-None-Match`, whether that can be read or not.
#[tokio::test]
async fn if_none_match_goes_before_if_modified_since() {
    let mut failures = Failures::default();
    let own = format!("etag: \"v1\"|last-modified: {MODIFIED}");
    let modified_only = format!("last-modified: {MODIFIED}");
    let with = |tag: &str, date: &str| format!("if-none-match: {tag}|if-modified-since: {date}");
    let rows = [
        (&own, with("\"v1\"", MODIFIED), 304),
        (&own, with("\"v1\"", EARLIER), 304),
        (&own, with("\"v1\"", "no date"), 304),
        (&own, with("\"v2\"", MODIFIED), 200),
        (&own, with("\"v2\"", LATER), 200),
        (&own, with("v1", LATER), 200),
        (&modified_only, with("\"v1\"", LATER), 200),
    ];
    let rows: Vec<_> = rows
        .iter()
        .map(|(own, condition, status)| (own.as_str(), condition.as_str(), *status))
        .collect();
    table(&mut failures, &rows).await;
}

/// RFC 9110, section 13.2.1: conditions are ignored where the answer without them is no success.
#[tokio::test]
async fn conditions_are_for_successful_responses() {
    let mut failures = Failures::default();
    for status in [301, 308, 404, 410] {
        for condition in [
            "if-none-match: \"v1\"",
            "if-none-match: *",
            &format!("if-modified-since: {LATER}"),
        ] {
            for (kind, rig) in both() {
                let headers =
                    format!("{FRESH}|etag: \"v1\"|last-modified: {MODIFIED}|location: /a");
                rig.origin(status, &headers, "one");
                rig.get("/", "").await;
                let reply = rig.get("/", condition).await;
                failures.check(
                    reply.status == status && reply.text() == "one" && rig.asked() == 1,
                    || format!("{kind}: {status} with {condition:?}: {reply:?}"),
                );
            }
        }
    }
}

/// Section 4.3.2: what only applies to an origin server MUST NOT be evaluated by a cache.
#[tokio::test]
async fn conditions_for_origins_are_not_evaluated() {
    let mut failures = Failures::default();
    for condition in [
        "if-match: \"v1\"",
        "if-match: \"v2\"",
        "if-match: *",
        &format!("if-unmodified-since: {MODIFIED}"),
        &format!("if-unmodified-since: {EARLIER}"),
    ] {
        for (kind, rig) in both() {
            stored(&rig, &format!("etag: \"v1\"|last-modified: {MODIFIED}")).await;
            rig.origin(412, "", "theirs");
            let reply = rig.get("/", condition).await;
            let (name, value) = condition.split_once(": ").unwrap();
            // Ignored, or left to the origin.
            let ignored = rig.asked() == 1 && reply.text() == "one";
            let left = rig.asked() == 2
                && reply.status == 412
                && rig.seen_header(name).as_deref() == Some(value);
            failures.check(ignored || left, || {
                format!("{kind}: {condition:?}: {reply:?}")
            });
            let next = rig.get("/", "").await;
            failures.check(next.is_hit() && next.text() == "one", || {
                format!("{kind}: after {condition:?}: {next:?}")
            });
        }
    }
}

/// RFC 9110, section 15.4.5: a 304 has what a 200 would have had of `Content-Location`, `Date`, `ETag`,
/// `Vary`, `Cache-Control` and `Expires`, no content, and SHOULD NOT describe it; RFC 9111, section 4:
/// an Age.
#[tokio::test]
async fn a_304_carries_what_guides_caches() {
    for (kind, rig) in both() {
        let headers = "cache-control: max-age=600|date: {now}|expires: {now+600}|etag: \"v1\"|vary: x-a|\
            content-location: /a|last-modified: Sun, 06 Nov 1994 08:49:37 GMT|content-type: text/plain|\
            content-language: en|content-encoding: x-own|content-length: 3|x-own: 1";
        rig.origin(200, headers, "one");
        rig.get("/", "").await;
        rig.advance(7);
        let whole = rig.get("/", "").await;
        let reply = rig.get("/", "if-none-match: \"v1\"").await;
        assert_eq!(reply.assert_hit().status, 304, "{kind}");
        assert!(reply.body.is_empty(), "{kind}");
        for name in [
            "content-location",
            "date",
            "etag",
            "vary",
            "cache-control",
            "expires",
        ] {
            assert!(whole.header(name).is_some(), "{kind}: {name}");
            assert_eq!(reply.header(name), whole.header(name), "{kind}: {name}");
        }
        assert_eq!(reply.lines("age"), ["7"], "{kind}");
        for name in [
            "content-type",
            "content-language",
            "content-encoding",
            "content-range",
            "transfer-encoding",
        ] {
            assert_eq!(reply.header(name), None, "{kind}: {name}");
        }
        // It may tell the length of what it does not send (section 8.6), never another.
        let length = reply.header("content-length");
        assert!(
            length.is_none_or(|length| length == "3"),
            "{kind}: {length:?}"
        );
    }
}

/// RFC 9110, section 15.4.5: `Last-Modified` where there is no `ETag` to guide caches.
#[tokio::test]
async fn a_304_without_a_tag_carries_the_modification_date() {
    let rig = proxy();
    stored(&rig, &format!("last-modified: {MODIFIED}")).await;
    let condition = format!("if-modified-since: {MODIFIED}");
    let reply = rig.get("/", &condition).await;
    assert_eq!(reply.assert_hit().status, 304);
    if reply.header("etag").is_none() {
        assert_eq!(reply.header("last-modified"), Some(MODIFIED));
    }
}

/// Section 4.3.2: conditions MUST NOT be evaluated where nothing is stored: a proxy forwards them as
/// they are, passes a 304 on, and knows no more than before.
#[tokio::test]
async fn proxies_forward_conditions_on_a_miss() {
    let mut failures = Failures::default();
    for (name, value) in [
        ("if-none-match", "\"v1\", W/\"v2\""),
        ("if-none-match", "*"),
        ("if-modified-since", MODIFIED),
        ("if-match", "\"v1\""),
        ("if-unmodified-since", MODIFIED),
    ] {
        let rig = proxy();
        rig.origin(304, "etag: \"v1\"|cache-control: max-age=600|x-a: 1", "");
        let reply = rig.get("/", &format!("{name}: {value}")).await;
        failures.check(
            reply.status == 304 && reply.header("x-a") == Some("1"),
            || format!("{name}: {value} is answered {reply:?}"),
        );
        failures.check(rig.seen_header(name).as_deref() == Some(value), || {
            format!("{name}: {value} is not forwarded")
        });
        rig.origin(200, FRESH, "whole");
        let plain = rig.get("/", "").await;
        failures.check(
            (plain.status.as_u16(), plain.text()) == (200, "whole")
                && rig.seen_header(name).is_none(),
            || format!("after {name}: {value}, the next client gets {plain:?}"),
        );
    }
}

/// Section 4.3.3 and 3: a whole answer to a forwarded condition is stored as any other.
#[tokio::test]
async fn whole_answers_to_forwarded_conditions_are_stored() {
    for (kind, rig) in both() {
        rig.origin(200, &format!("{FRESH}|etag: \"v2\""), "two");
        let reply = rig.get("/", "if-none-match: \"v1\"").await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (200, "two"),
            "{kind}"
        );
        assert_eq!(rig.get("/", "").await.assert_hit().text(), "two", "{kind}");
        let current = rig.get("/", "if-none-match: \"v2\"").await;
        assert_eq!(current.assert_hit().status, 304, "{kind}");
    }
}

/// An application's cache asks for the whole on a miss, stores it, and compares by itself.
#[tokio::test]
async fn applications_are_asked_for_the_whole_on_a_miss() {
    for (condition, status) in [
        ("if-none-match: \"v1\"".to_owned(), 304),
        ("if-none-match: \"v2\"".to_owned(), 200),
        (format!("if-modified-since: {MODIFIED}"), 304),
        (format!("if-modified-since: {EARLIER}"), 200),
    ] {
        let rig = application();
        let headers = format!("{FRESH}|etag: \"v1\"|last-modified: {MODIFIED}");
        rig.origin(200, &headers, "one");
        let reply = rig.get("/", &condition).await;
        assert_eq!(reply.assert_forwarded().status, status, "{condition}");
        let name = condition.split(':').next().unwrap();
        assert_eq!(rig.seen_header(name), None, "{condition}");
        assert_eq!(rig.get("/", "").await.assert_hit().text(), "one");
    }
}

/// Sections 4.3.2 and 4.3.4: a client's condition while the stored response is validated: the layer's
/// own validator is sent, and the client's compared with what comes of it. A 304 for a tag that the
/// client does not have MUST become a 200.
#[tokio::test]
async fn conditions_are_answered_from_what_was_validated() {
    let mut failures = Failures::default();
    let none_match = |tag: &str| format!("if-none-match: {tag}");
    let since = |date: &str| format!("if-modified-since: {date}");
    for (condition, answer, allowed) in [
        (none_match("\"v1\""), 304, &[(304, "")][..]),
        (none_match("\"v0\", \"v1\""), 304, &[(304, "")]),
        (none_match("*"), 304, &[(304, "")]),
        (none_match("\"v0\""), 304, &[(200, "one")]),
        (since(MODIFIED), 304, &[(304, "")]),
        (since(EARLIER), 304, &[(200, "one")]),
        (none_match("\"v0\""), 200, &[(200, "two")]),
        (none_match("\"v1\""), 200, &[(200, "two")]),
        // It has what the origin has now; it may be told so.
        (none_match("\"v2\""), 200, &[(304, ""), (200, "two")]),
        (none_match("\"v1\""), 404, &[(404, "two")]),
    ] {
        for (kind, rig) in both() {
            let brief = "cache-control: max-age=10|date: {now}";
            let headers = format!("{brief}|etag: \"v1\"|last-modified: {MODIFIED}");
            rig.origin(200, &headers, "one");
            rig.get("/", "").await;
            rig.advance(20);
            match answer {
                304 => rig.origin(304, &headers, ""),
                status => {
                    let other = format!("{brief}|etag: \"v2\"|last-modified: {LATER}");
                    rig.origin(status, &other, "two")
                }
            };
            let reply = rig.get("/", &condition).await;
            let row = |what: &str| format!("{kind}: {condition}, {answer}: {what}: {reply:?}");
            let got = (reply.status.as_u16(), reply.text());
            failures.check(allowed.contains(&got), || row("what the client gets"));
            let sent = rig.seen_header("if-none-match").unwrap_or_default();
            failures.check(sent.contains("\"v1\""), || row("what the origin is asked"));
            let next = rig.get("/", "").await;
            let stored = if answer == 304 { "one" } else { "two" };
            failures.check(rig.asked() == 2 && next.text() == stored, || {
                row("what is stored")
            });
        }
    }
}

/// Section 4.3.2: a condition is compared with the variant that the request selects.
#[tokio::test]
async fn conditions_are_compared_with_the_selected_variant() {
    for (kind, rig) in both() {
        for language in ["de", "en"] {
            let own = format!("{FRESH}|vary: accept-language|etag: \"{language}\"");
            rig.origin(200, &own, language);
            rig.get("/", &format!("accept-language: {language}")).await;
        }
        for language in ["de", "en"] {
            for tag in ["de", "en"] {
                let request = format!("accept-language: {language}|if-none-match: \"{tag}\"");
                let reply = rig.get("/", &request).await;
                let expected = if language == tag { 304 } else { 200 };
                assert_eq!(reply.assert_hit().status, expected, "{kind}: {request}");
                assert_eq!(reply.header("etag").unwrap(), format!("\"{language}\""));
            }
        }
    }
}
