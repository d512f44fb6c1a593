//! RFC 9111, sections 4.2, 5.1 and 5.3: for how long a stored response is fresh, how old it is, and
//! what dates mean. What is no longer fresh is in `rfc5861.rs`.
//!
//! The clock begins on Thu, 01 Jan 2026 00:00:00 GMT.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

/// Checks that each row's response is fresh for so many seconds: one less, and no more.
async fn check_lifetimes(rows: &[(&str, &str, u64)]) {
    let mut failures = Failures::default();
    for (section, headers, seconds) in rows {
        let wrong = wrong_lifetime(&proxy(), 200, headers, *seconds).await;
        failures.check(wrong.is_none(), || {
            format!("{section}: {headers:?}: {}", wrong.unwrap())
        });
    }
}

#[tokio::test]
async fn explicit_lifetimes_have_an_order() {
    check_lifetimes(&[
        ("4.2.1", "cache-control: max-age=60", 60),
        ("4.2.1", "cache-control: max-age=1", 1),
        ("4.2.1", "cache-control: max-age=0", 0),
        ("4.2.1", "cache-control: s-maxage=60", 60),
        ("4.2.1", "cache-control: s-maxage=0", 0),
        ("4.2.1", "date: {now} | expires: {now+60}", 60),
        ("5.2.2.10", "cache-control: max-age=60, s-maxage=5", 5),
        ("5.2.2.10", "cache-control: max-age=5, s-maxage=60", 60),
        ("5.2.2.10", "cache-control: s-maxage=60, max-age=0", 60),
        ("5.2.2.10", "cache-control: max-age=60, s-maxage=0", 0),
        (
            "5.2.2.10",
            "cache-control: s-maxage=60 | date: {now} | expires: {now+5}",
            60,
        ),
        (
            "5.2.2.10",
            "cache-control: s-maxage=60 | date: {now} | expires: 0",
            60,
        ),
        (
            "5.2.2.10",
            "cache-control: s-maxage=0 | date: {now} | expires: {now+60}",
            0,
        ),
        (
            "5.3",
            "cache-control: max-age=60 | date: {now} | expires: {now+5}",
            60,
        ),
        (
            "5.3",
            "cache-control: max-age=60 | date: {now} | expires: {now-5}",
            60,
        ),
        ("5.3", "cache-control: max-age=60 | expires: 0", 60),
        (
            "5.3",
            "cache-control: max-age=0 | date: {now} | expires: {now+60}",
            0,
        ),
        (
            "5.3",
            "cache-control: max-age=5 | date: {now} | expires: {now+60}",
            5,
        ),
        (
            "5.3",
            "cache-control: public | date: {now} | expires: {now+60}",
            60,
        ),
        (
            "5.3",
            "cache-control: foo | date: {now} | expires: {now+60}",
            60,
        ),
        ("5.3", "date: {now} | expires: {now}", 0),
        ("5.3", "date: {now} | expires: {now-1}", 0),
        ("5.3", "date: {now} | expires: {now+1}", 1),
        // The lifetime is Expires less Date, whatever this cache's clock says.
        ("4.2.1", "date: {now+20} | expires: {now+80}", 60),
        ("4.2.1", "date: {now+20} | expires: {now+10}", 0),
        // Without a Date, or with none that is one, the time of receipt is taken.
        ("4.2.1", "expires: {now+60}", 60),
        ("4.2.1", "expires: {now-60}", 0),
        ("4.2.1", "date: yesterday | expires: {now+60}", 60),
    ])
    .await;
}

#[tokio::test]
async fn numbers_are_digits() {
    check_lifetimes(&[
        ("1.2.2", "cache-control: max-age=060", 60),
        (
            "1.2.2",
            "cache-control: max-age=000000000000000000000060",
            60,
        ),
        ("5.2", "cache-control: max-age=\"60\"", 60),
        ("5.2", "cache-control: s-maxage=\"60\"", 60),
        ("5.2", "Cache-Control: MAX-AGE=60", 60),
        ("5.2", "cache-control: S-MaxAge=60, max-age=5", 60),
        ("5.2", "cache-control: foo=bar, max-age=60, foo", 60),
        ("5.2", "cache-control: x=\"max-age=5\", max-age=60", 60),
        // What is no number allows nothing, whatever else is there (section 4.2.1).
        ("4.2.1", "cache-control: max-age", 0),
        ("4.2.1", "cache-control: max-age=", 0),
        ("4.2.1", "cache-control: max-age=\"\"", 0),
        ("4.2.1", "cache-control: max-age=-1", 0),
        ("4.2.1", "cache-control: max-age=-60", 0),
        ("4.2.1", "cache-control: max-age=+60", 0),
        ("4.2.1", "cache-control: max-age=1.5", 0),
        ("4.2.1", "cache-control: max-age=60.0", 0),
        ("4.2.1", "cache-control: max-age=5s", 0),
        ("4.2.1", "cache-control: max-age=1e3", 0),
        ("4.2.1", "cache-control: max-age=0x10", 0),
        ("4.2.1", "cache-control: max-age=1_000", 0),
        ("4.2.1", "cache-control: max-age='60'", 0),
        ("4.2.1", "cache-control: max-age=60\"", 0),
        ("4.2.1", "cache-control: max-age=\"60", 0),
        ("4.2.1", "cache-control: max-age=\" 60\"", 0),
        ("4.2.1", "cache-control: max-age=\"60\"x", 0),
        ("4.2.1", "cache-control: max-age =60", 0),
        ("4.2.1", "cache-control: max-age= 60", 0),
        ("4.2.1", "cache-control: max-age = 60", 0),
        ("4.2.1", "cache-control: max-age\t=60", 0),
        ("4.2.1", "cache-control: max-age=60 60", 0),
        ("4.2.1", "cache-control: max-age=60;x", 0),
        ("4.2.1", "cache-control: max-age==60", 0),
        ("4.2.1", "cache-control: max-age=\u{666}\u{660}", 0),
        ("4.2.1", "cache-control: max-age=abc | expires: {now+60}", 0),
        ("4.2.1", "cache-control: s-maxage=abc, max-age=60", 0),
        ("4.2.1", "cache-control: s-maxage=-1 | expires: {now+60}", 0),
        (
            "4.2.1",
            "cache-control: max-age=abc | date: {now} | last-modified: {now-1000}",
            0,
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_two_values_the_smaller_counts() {
    check_lifetimes(&[
        ("4.2.1", "cache-control: max-age=60, max-age=60", 60),
        ("4.2.1", "cache-control: max-age=30, max-age=60", 30),
        ("4.2.1", "cache-control: max-age=60, max-age=30", 30),
        (
            "4.2.1",
            "cache-control: max-age=60 | cache-control: max-age=30",
            30,
        ),
        ("4.2.1", "cache-control: max-age=60, max-age=0", 0),
        ("4.2.1", "cache-control: max-age=60, max-age=x", 0),
        (
            "4.2.1",
            "cache-control: s-maxage=60, s-maxage=30, max-age=5",
            30,
        ),
        (
            "4.2.1",
            "cache-control: max-age=60 | cache-control: s-maxage=30",
            30,
        ),
        ("4.2.1", "expires: {now+60} | expires: {now+60}", 60),
        ("4.2.1", "expires: {now-5} | expires: {now+60}", 0),
        ("4.2.1", "expires: 0 | expires: {now+60}", 0),
    ])
    .await;
    // Of several dates the first counts, or none.
    for headers in [
        "expires: {now+60} | expires: {now+600}",
        "expires: {now+60} | expires: 0",
    ] {
        let rig = proxy();
        rig.origin(200, headers, "").origin(200, "", "");
        rig.get("/", "").await;
        rig.advance(60);
        rig.get("/", "").await;
        assert_eq!(rig.asked(), 2, "4.2.1: {headers}");
    }
}

#[tokio::test]
async fn large_numbers_are_2_to_the_31() {
    let mut failures = Failures::default();
    for number in [
        "2147483647",
        "2147483648",
        "2147483649",
        "4294967295",
        "4294967296",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999999999",
    ] {
        for name in ["max-age", "s-maxage"] {
            let rig = proxy();
            let headers = format!("cache-control: {name}={number}");
            rig.origin(200, &headers, "").origin(200, "", "");
            rig.get("/", "").await;
            for years in [0, 1, 30, 37] {
                rig.advance(years * 31_536_000);
                let reply = rig.get("/", "").await;
                failures.check(rig.asked() == 1, || {
                    format!("1.2.2: {headers}, {years} years more: {reply:?}")
                });
            }
        }
        // As an age it is as old as anything can be (section 5.1).
        let rig = proxy();
        let headers = format!("cache-control: max-age=2147483647 | age: {number}");
        rig.origin(200, &headers, "").origin(200, "", "");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        failures.check(rig.asked() == 2, || format!("5.1: {headers}: {reply:?}"));
    }
}

const MODIFIED: &str = "date: {now} | last-modified: {now-1000}";

#[tokio::test]
async fn a_tenth_of_the_age_is_a_guess_at_freshness() {
    check_lifetimes(&[
        ("4.2.2", MODIFIED, 100),
        ("4.2.2", "last-modified: {now-1000}", 100),
        ("4.2.2", "date: {now-100} | last-modified: {now-2100}", 100),
        ("4.2.2", "date: {now+50} | last-modified: {now-950}", 100),
        (
            "4.2.2",
            "cache-control: public | last-modified: {now-1000}",
            100,
        ),
        (
            "4.2.2",
            "cache-control: must-revalidate | last-modified: {now-1000}",
            100,
        ),
        (
            "4.2.2",
            "cache-control: foo | last-modified: {now-1000}",
            100,
        ),
        ("4.2.2", "last-modified: {now-1000} | age: 40", 60),
        (
            "4.2.2",
            "date: {now} | last-modified: Thursday, 01-Jan-26 00:00:00 GMT",
            0,
        ),
        (
            "4.2.2",
            "date: {now} | last-modified: Wed Dec 31 23:50:00 2025",
            60,
        ),
        // At most a day.
        ("4.2.2", "date: {now} | last-modified: {now-863000}", 86_300),
        (
            "4.2.2",
            "date: {now} | last-modified: {now-8640000}",
            86_400,
        ),
        (
            "4.2.2",
            "date: {now} | last-modified: Thu, 01 Jan 1970 00:00:00 GMT",
            86_400,
        ),
        // Nothing to guess from.
        ("4.2.2", "date: {now}", 0),
        ("4.2.2", "date: {now} | etag: \"x\"", 0),
        ("4.2.2", "cache-control: public", 0),
        ("4.2.2", "date: {now} | last-modified: {now}", 0),
        ("4.2.2", "date: {now} | last-modified: {now+1000}", 0),
        ("4.2.2", "date: {now} | last-modified: yesterday", 0),
        ("4.2.2", "date: {now} | last-modified: 0", 0),
        ("4.2.2", "date: {now-100} | last-modified: {now-1100}", 0),
        // No guess where something explicit is said.
        (
            "4.2.2",
            "last-modified: {now-1000} | cache-control: max-age=5",
            5,
        ),
        (
            "4.2.2",
            "last-modified: {now-1000} | cache-control: max-age=0",
            0,
        ),
        (
            "4.2.2",
            "last-modified: {now-1000} | cache-control: s-maxage=0",
            0,
        ),
        ("4.2.2", "last-modified: {now-1000} | expires: {now+5}", 5),
        ("4.2.2", "last-modified: {now-1000} | expires: {now-5}", 0),
        ("4.2.2", "last-modified: {now-1000} | expires: 0", 0),
        (
            "4.2.2",
            "last-modified: {now-1000} | cache-control: no-cache",
            0,
        ),
        (
            "4.2.2",
            "last-modified: {now-1000} | cache-control: no-store",
            0,
        ),
        (
            "4.2.2",
            "last-modified: {now-1000} | cache-control: private",
            0,
        ),
    ])
    .await;
}

#[tokio::test]
async fn only_some_statuses_are_guessed_at() {
    let mut failures = Failures::default();
    let public = format!("{MODIFIED} | cache-control: public");
    for (status, seconds) in [
        (200, 100),
        (203, 100),
        (204, 100),
        (300, 100),
        (301, 100),
        (308, 100),
        (404, 100),
        (405, 100),
        (410, 100),
        (414, 100),
        (501, 100),
        (201, 0),
        (202, 0),
        (302, 0),
        (303, 0),
        (307, 0),
        (400, 0),
        (401, 0),
        (403, 0),
        (406, 0),
        (409, 0),
        (429, 0),
        (500, 0),
        (502, 0),
        (503, 0),
        (504, 0),
        (299, 0),
        (499, 0),
        (599, 0),
    ] {
        for (headers, seconds) in [(MODIFIED, seconds), (&public, 100)] {
            let wrong = wrong_lifetime(&proxy(), status, headers, seconds).await;
            failures.check(wrong.is_none(), || {
                format!("4.2.2: {status} with {headers}: {}", wrong.unwrap())
            });
        }
    }
}

#[tokio::test]
async fn an_application_guesses_nothing() {
    for headers in [
        MODIFIED,
        "cache-control: public | last-modified: {now-1000}",
    ] {
        let wrong = wrong_lifetime(&application(), 200, headers, 0).await;
        assert_eq!(wrong, None, "4.2.2: {headers}");
    }
}

#[tokio::test]
async fn what_was_old_on_arrival_has_less_to_live() {
    check_lifetimes(&[
        ("4.2.3", "cache-control: max-age=60 | age: 20", 40),
        ("4.2.3", "cache-control: max-age=60 | age: 59", 1),
        ("4.2.3", "cache-control: max-age=60 | age: 60", 0),
        ("4.2.3", "cache-control: max-age=60 | age: 61", 0),
        ("4.2.3", "cache-control: max-age=60 | age: 0", 60),
        ("4.2.3", "cache-control: s-maxage=60 | age: 20", 40),
        ("4.2.3", "expires: {now+60} | age: 20", 40),
        ("4.2.3", "cache-control: max-age=60 | date: {now-20}", 40),
        ("4.2.3", "cache-control: max-age=60 | date: {now-60}", 0),
        ("4.2.3", "cache-control: max-age=60 | date: {now+20}", 60),
        (
            "4.2.3",
            "cache-control: max-age=60 | date: {now-30} | age: 10",
            30,
        ),
        (
            "4.2.3",
            "cache-control: max-age=60 | date: {now-10} | age: 30",
            30,
        ),
        ("4.2.3", "date: {now-20} | expires: {now+40}", 40),
        ("4.2.3", "date: {now-20} | expires: {now+40} | age: 30", 30),
    ])
    .await;
}

#[tokio::test]
async fn ages_count_from_when_the_response_was_made() {
    let mut failures = Failures::default();
    // The response arrives after so many seconds, and is reused five seconds later.
    for (headers, late, expected) in [
        ("", 0, "5"),
        ("age: 20", 0, "25"),
        ("date: {now}", 0, "5"),
        ("date: {now-10}", 0, "15"),
        ("date: {now+10}", 0, "5"),
        ("date: {now-10} | age: 30", 0, "35"),
        ("date: {now-30} | age: 10", 0, "35"),
        ("date: {now+30} | age: 10", 0, "15"),
        ("date: never | age: 10", 0, "15"),
        ("date: Wednesday, 31-Dec-25 23:59:50 GMT", 0, "15"),
        ("date: Wed Dec 31 23:59:50 2025", 0, "15"),
        // corrected_age_value = age_value + response_delay
        ("", 4, "9"),
        ("age: 20", 4, "29"),
        ("date: {now}", 4, "9"),
        ("date: {now+4}", 4, "9"),
        ("date: {now+10}", 4, "9"),
        ("date: {now-10}", 4, "19"),
        ("date: {now-10} | age: 20", 4, "29"),
        ("date: {now-30} | age: 20", 4, "39"),
    ] {
        let rig = proxy();
        rig.origin(200, &format!("cache-control: max-age=3600 | {headers}"), "")
            .late(late);
        rig.get("/", "").await;
        rig.advance(5);
        let reply = rig.get("/", "").await;
        failures.check(reply.is_hit() && reply.lines("age") == [expected], || {
            format!("4.2.3: {headers:?}, {late} s late: {reply:?}")
        });
    }
}

#[tokio::test]
async fn a_slow_origin_leaves_less_time() {
    // Section 4.2.3: the delay of the response counts as age.
    let rig = proxy();
    rig.origin(200, "cache-control: max-age=60", "")
        .late(20)
        .origin(200, "", "");
    rig.get("/", "").await;
    rig.advance(39);
    rig.get("/", "").await.assert_hit();
    rig.advance(1);
    rig.get("/", "").await.assert_forwarded();
}

#[tokio::test]
async fn ages_on_arrival_are_read_with_care() {
    let mut failures = Failures::default();
    for (headers, expected) in [
        ("age: 7", "7"),
        ("age: 0007", "7"),
        ("age: 0", "0"),
        // The first member of a list counts.
        ("age: 7, 9", "7"),
        ("age: 9, 7", "9"),
        ("age: 7,9", "7"),
        ("age: 7 , 9", "7"),
        ("age: 7 | age: 9", "7"),
        ("age: 9 | age: 7", "9"),
        ("age: 7, x", "7"),
        ("age: 7 | age: x", "7"),
        // What is no number is ignored.
        ("age:", "0"),
        ("age: x", "0"),
        ("age: -7", "0"),
        ("age: +7", "0"),
        ("age: 7.0", "0"),
        ("age: 7.5", "0"),
        ("age: 7s", "0"),
        ("age: 7;x=1", "0"),
        ("age: 7 9", "0"),
        ("age: \"7\"", "0"),
        ("age: 0x7", "0"),
        ("age: 1e1", "0"),
        ("age: x, 7", "0"),
        ("age: -1, 7", "0"),
        ("age: x | age: 7", "0"),
        // Even then the date is known.
        ("age: x | date: {now-5}", "5"),
    ] {
        let rig = proxy();
        rig.origin(200, &format!("cache-control: max-age=3600 | {headers}"), "");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        failures.check(reply.is_hit() && reply.lines("age") == [expected], || {
            format!("5.1: {headers:?}: {reply:?}")
        });
    }
    check_lifetimes(&[
        ("5.1", "cache-control: max-age=3600 | age: 7200", 0),
        ("5.1", "cache-control: max-age=3600 | age: 7200, 0", 0),
        ("5.1", "cache-control: max-age=3600 | age: 7200 | age: 0", 0),
        ("5.1", "cache-control: max-age=3600 | age: 0, 7200", 3600),
        (
            "5.1",
            "cache-control: max-age=3600 | age: 0 | age: 7200",
            3600,
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_reuse_states_its_age() {
    let rig = proxy();
    let headers = "cache-control: max-age=60, stale-while-revalidate=60 | etag: \"x\"";
    rig.origin(200, headers, "first");
    let first = rig.get("/", "").await;
    assert_eq!(first.header("age"), None, "5.1: it comes from the origin");
    assert_eq!(rig.get("/", "").await.lines("age"), ["0"]);
    rig.advance(7);
    assert_eq!(rig.get("/", "").await.lines("age"), ["7"]);
    let head = rig.send("HEAD", "/", "").await;
    assert_eq!(head.assert_hit().lines("age"), ["7"]);
    let current = rig.get("/", "if-none-match: \"x\"").await;
    assert_eq!(current.status, 304);
    assert_eq!(current.assert_hit().lines("age"), ["7"]);
    rig.advance(60);
    rig.origin(200, headers, "second");
    let stale = rig.get("/", "").await;
    assert_eq!((stale.text(), stale.lines("age")), ("first", vec!["67"]));
}

#[tokio::test]
async fn parts_of_what_is_stored_state_its_age() {
    // Sections 3.4 and 5.1.
    let rig = proxy();
    rig.origin(200, "cache-control: max-age=60", "0123456789");
    rig.get("/", "").await;
    rig.advance(7);
    let part = rig.get("/", "range: bytes=0-3").await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "0123"));
    assert_eq!(part.lines("age"), ["7"]);
}

#[tokio::test]
async fn what_was_just_validated_is_not_old() {
    // Section 5.1: an Age says that the origin did not validate the response for this request.
    let rig = proxy();
    rig.origin(200, "cache-control: max-age=60 | etag: \"x\"", "first")
        .origin(304, "cache-control: max-age=60 | etag: \"x\"", "");
    rig.get("/", "").await;
    rig.advance(100);
    let validated = rig.get("/", "").await;
    assert_eq!((validated.text(), rig.asked()), ("first", 2));
    assert!(
        matches!(validated.header("age"), None | Some("0")),
        "{validated:?}"
    );
    rig.advance(5);
    assert_eq!(rig.get("/", "").await.assert_hit().lines("age"), ["5"]);
}

#[tokio::test]
async fn what_is_passed_on_keeps_the_age_that_it_came_with() {
    for headers in [
        "age: 7 | cache-control: no-store",
        "age: 7 | cache-control: max-age=60",
    ] {
        let rig = proxy();
        rig.origin(200, headers, "");
        assert_eq!(rig.get("/", "").await.lines("age"), ["7"], "5.1: {headers}");
    }
}

#[tokio::test]
async fn dates_have_three_forms() {
    check_lifetimes(&[
        (
            "5.6.7 of 9110",
            "expires: Thu, 01 Jan 2026 00:01:00 GMT",
            60,
        ),
        (
            "5.6.7 of 9110",
            "expires: Thursday, 01-Jan-26 00:01:00 GMT",
            60,
        ),
        ("5.6.7 of 9110", "expires: Thu Jan  1 00:01:00 2026", 60),
        (
            "5.6.7 of 9110",
            "expires: Sun, 11 Jan 2026 00:00:00 GMT",
            864_000,
        ),
        (
            "5.6.7 of 9110",
            "expires: Sunday, 11-Jan-26 00:00:00 GMT",
            864_000,
        ),
        (
            "5.6.7 of 9110",
            "expires: Sun Jan 11 00:00:00 2026",
            864_000,
        ),
        (
            "5.6.7 of 9110",
            "date: Thursday, 01-Jan-26 00:00:00 GMT | expires: Thu Jan  1 00:01:00 2026",
            60,
        ),
        // Caches read them in any case.
        ("4.2", "expires: thu, 01 jan 2026 00:01:00 GMT", 60),
        ("4.2", "expires: THU, 01 JAN 2026 00:01:00 GMT", 60),
        ("4.2", "expires: Thu, 01 Jan 2026 00:01:00 gmt", 60),
        ("4.2", "expires: Thu, 01 Jan 2026 00:01:00 gMt", 60),
        ("4.2", "expires: thursday, 01-jan-26 00:01:00 gmt", 60),
        ("4.2", "expires: THU JAN  1 00:01:00 2026", 60),
        (
            "4.2",
            "date: thu, 01 jan 2026 00:00:20 gmt | expires: thu, 01 jan 2026 00:01:20 gmt",
            60,
        ),
    ])
    .await;
}

#[tokio::test]
async fn years_of_two_digits_are_within_half_a_century() {
    let mut failures = Failures::default();
    for (expires, expected) in [
        ("Friday, 01-Jan-27 00:00:00 GMT", true),
        ("Wednesday, 01-Jan-70 00:00:00 GMT", true),
        ("Tuesday, 01-Jan-75 00:00:00 GMT", true),
        ("Saturday, 01-Jan-77 00:00:00 GMT", false),
        ("Friday, 01-Jan-99 00:00:00 GMT", false),
        ("Wednesday, 01-Jan-25 00:00:00 GMT", false),
    ] {
        let rig = proxy();
        rig.origin(200, &format!("expires: {expires}"), "")
            .origin(200, "", "");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        failures.check(reply.is_hit() == expected, || {
            format!("5.6.7 of 9110: {expires} fresh: {}", reply.is_hit())
        });
    }
}

#[tokio::test]
async fn what_is_no_date_is_in_the_past() {
    let mut failures = Failures::default();
    for expires in [
        "",
        "0",
        "-1",
        "60",
        "1767225660",
        "tomorrow",
        "never",
        "\"Thu, 01 Jan 2026 00:01:00 GMT\"",
        // Digits too few or too many.
        "Thu, 01 Jan 2026 0:01:00 GMT",
        "Thu, 01 Jan 2026 00:1:00 GMT",
        "Thu, 01 Jan 2026 00:01:0 GMT",
        "Thu, 1 Jan 2026 00:01:00 GMT",
        "Thu, 001 Jan 2026 00:01:00 GMT",
        "Thu, 01 Jan 26 00:01:00 GMT",
        "Thu, 01 Jan 02026 00:01:00 GMT",
        "Thursday, 01-Jan-2026 00:01:00 GMT",
        "Thursday, 1-Jan-26 00:01:00 GMT",
        "Thu Jan 1 00:01:00 2026",
        "Thu Jan  1 0:01:00 2026",
        "Thu Jan  1 00:01:00 26",
        // Zones that are not GMT, or none.
        "Thu, 01 Jan 2026 00:01:00",
        "Thu, 01 Jan 2026 00:01:00 UTC",
        "Thu, 01 Jan 2026 00:01:00 UT",
        "Thu, 01 Jan 2026 00:01:00 Z",
        "Thu, 01 Jan 2026 00:01:00 EST",
        "Thu, 01 Jan 2026 00:01:00 PST",
        "Thu, 01 Jan 2026 00:01:00 AEST",
        "Thu, 01 Jan 2026 00:01:00 +0000",
        "Thu, 01 Jan 2026 00:01:00 GMT+0",
        "Thu, 01 Jan 2026 00:01:00GMT",
        "Thursday, 01-Jan-26 00:01:00 UTC",
        "Thu Jan  1 00:01:00 2026 GMT",
        // Spaces, commas, dashes and dots where none are.
        "Thu,  01 Jan 2026 00:01:00 GMT",
        "Thu, 01  Jan 2026 00:01:00 GMT",
        "Thu, 01 Jan  2026 00:01:00 GMT",
        "Thu, 01 Jan 2026  00:01:00 GMT",
        "Thu, 01 Jan 2026 00:01:00  GMT",
        "Thu,\t01 Jan 2026 00:01:00 GMT",
        "Thu,01 Jan 2026 00:01:00 GMT",
        "Thu 01 Jan 2026 00:01:00 GMT",
        "Thu, 01-Jan-2026 00:01:00 GMT",
        "Thu, 01 Jan 2026 00.01.00 GMT",
        "Thu, 01 Jan 2026 00 01 00 GMT",
        "Thu, 01/Jan/2026 00:01:00 GMT",
        // Words that are none.
        "01 Jan 2026 00:01:00 GMT",
        "Thr, 01 Jan 2026 00:01:00 GMT",
        "Thu, 01 Jnu 2026 00:01:00 GMT",
        "Thu, 01 January 2026 00:01:00 GMT",
        "Thu, 01 01 2026 00:01:00 GMT",
        "Thursday, 01 Jan 2026 00:01:00 GMT",
        "Thu, 01-Jan-26 00:01:00 GMT",
        // No such time.
        "Thu, 00 Jan 2026 00:01:00 GMT",
        "Thu, 32 Jan 2026 00:01:00 GMT",
        "Mon, 30 Feb 2026 00:01:00 GMT",
        "Thu, 01 Jan 2026 24:01:00 GMT",
        "Thu, 01 Jan 2026 00:60:00 GMT",
        "Thu, 01 Jan 2026 00:01:61 GMT",
        // Other forms, and more than a date.
        "2026-01-01T00:01:00Z",
        "Thu, 01 Jan 2026 00:01 GMT",
        "Thu, 01 Jan 2026",
        "Thu, 01 Jan 2026 00:01:00 GMT x",
        "Thu, 01 Jan 2026 00:01:00 GMT, 0",
        "Thu, 01 Jan 2026 00:01:00 GMT; x=1",
        "Th\u{fa}, 01 Jan 2026 00:01:00 GMT",
    ] {
        let rig = proxy();
        let headers = format!("date: {{now}} | expires: {expires}");
        rig.origin(200, &headers, "").origin(200, "", "");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        failures.check(rig.asked() == 2, || format!("5.3: {expires:?}: {reply:?}"));
    }
}

#[tokio::test]
async fn years_far_away_are_far_away() {
    check_lifetimes(&[
        (
            "5.3",
            "date: {now} | expires: Thu, 01 Jan 1970 00:00:00 GMT",
            0,
        ),
        (
            "5.3",
            "date: {now} | expires: Mon, 01 Jan 1900 00:00:00 GMT",
            0,
        ),
        (
            "5.3",
            "date: {now} | expires: Sat, 01 Jan 0000 00:00:00 GMT",
            0,
        ),
    ])
    .await;
    for year in ["Fri, 01 Jan 2100", "Fri, 31 Dec 9999"] {
        let rig = proxy();
        rig.origin(200, &format!("expires: {year} 00:00:00 GMT"), "");
        rig.get("/", "").await;
        rig.advance(31_536_000);
        rig.get("/", "").await.assert_hit();
    }
}
