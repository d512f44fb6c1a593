//! RFC 9111, section 5.3, and RFC 9110, section 5.6.7: what is a date, and when. The clock begins on
//! Thu, 01 Jan 2026 00:00:00 GMT.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

#[tokio::test]
async fn dates_have_three_forms() {
    check_lifetimes(
        proxy,
        &[
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
        ],
    )
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
    check_lifetimes(
        proxy,
        &[
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
        ],
    )
    .await;
    for year in ["Fri, 01 Jan 2100", "Fri, 31 Dec 9999"] {
        let rig = proxy();
        rig.origin(200, &format!("expires: {year} 00:00:00 GMT"), "");
        rig.get("/", "").await;
        rig.advance(31_536_000);
        rig.get("/", "").await.assert_hit();
    }
}
