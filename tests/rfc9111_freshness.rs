//! RFC 9111, sections 4.2.1 and 4.2.2: for how long a response is fresh. Ages and dates have files of
//! their own; what may be served stale is in `rfc5861.rs`.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

#[tokio::test]
async fn explicit_lifetimes_have_an_order() {
    check_lifetimes(
        proxy,
        &[
            ("4.2.1", "cache-control: max-age=60", 60),
            ("5.2.2.2", "cache-control: must-revalidate, max-age=60", 60),
            ("5.2.2.8", "cache-control: max-age=60, proxy-revalidate", 60),
            ("5.2.2.9", "cache-control: public, max-age=60", 60),
            ("5.2.2.6", "cache-control: no-transform, max-age=60", 60),
            ("5.2.2.4", "cache-control: no-cache=\"x-a\", max-age=60", 60),
            ("5.2.2.7", "cache-control: private=\"x-a\", max-age=60", 60),
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
        ],
    )
    .await;
}

#[tokio::test]
async fn numbers_are_digits() {
    check_lifetimes(
        proxy,
        &[
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
        ],
    )
    .await;
}

#[tokio::test]
async fn of_two_values_the_smaller_counts() {
    check_lifetimes(
        proxy,
        &[
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
        ],
    )
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
    check_lifetimes(
        proxy,
        &[
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
        ],
    )
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
