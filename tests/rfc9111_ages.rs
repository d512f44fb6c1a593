//! RFC 9111, sections 4.2.3 and 5.1: how old a response is, and what is said of it.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

#[tokio::test]
async fn what_was_old_on_arrival_has_less_to_live() {
    check_lifetimes(
        proxy,
        &[
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
        ],
    )
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
    check_lifetimes(
        proxy,
        &[
            ("5.1", "cache-control: max-age=3600 | age: 7200", 0),
            ("5.1", "cache-control: max-age=3600 | age: 7200, 0", 0),
            ("5.1", "cache-control: max-age=3600 | age: 7200 | age: 0", 0),
            ("5.1", "cache-control: max-age=3600 | age: 0, 7200", 3600),
            (
                "5.1",
                "cache-control: max-age=3600 | age: 0 | age: 7200",
                3600,
            ),
        ],
    )
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
