//! RFC 9213: targeted cache control. `CDN-Cache-Control` is for caches like this one, and for nobody
//! behind it.
#![cfg(feature = "axum")]

mod http_support;

use http_support::*;

/// Rows of section, `CDN-Cache-Control`, the other fields, and for how many seconds that is fresh.
async fn check_table(rows: &[(&str, &str, &str, u64)]) {
    let mut failures = Failures::default();
    for (section, targeted, rest, seconds) in rows {
        let headers = format!("cdn-cache-control: {targeted} | {rest}");
        let wrong = wrong_lifetime(&proxy(), 200, &headers, *seconds).await;
        failures.check(wrong.is_none(), || {
            format!("{section}: {headers}: {}", wrong.unwrap())
        });
    }
}

const LONG: &str = "cache-control: max-age=100";

#[tokio::test]
async fn a_targeted_field_goes_before_all_others() {
    check_table(&[
        ("2.2", "max-age=60", "", 60),
        ("2.2", "max-age=60", LONG, 60),
        ("2.2", "max-age=600", LONG, 600),
        ("2.2", "max-age=0", LONG, 0),
        ("2.2", "max-age=60", "cache-control: no-store", 60),
        ("2.2", "max-age=60", "cache-control: private", 60),
        ("2.2", "max-age=60", "cache-control: no-cache", 60),
        ("2.2", "max-age=60", "cache-control: s-maxage=5", 60),
        (
            "2.2",
            "max-age=60",
            "cache-control: max-age=0, must-revalidate",
            60,
        ),
        ("2.2", "max-age=60", "expires: {now+5}", 60),
        ("2.2", "max-age=60", "expires: 0", 60),
        (
            "2.2",
            "max-age=60",
            "cache-control: no-store | expires: 0 | pragma: no-cache",
            60,
        ),
        ("2.2", "no-store", LONG, 0),
        ("2.2", "no-store, max-age=60", LONG, 0),
        ("2.2", "no-cache, max-age=60", LONG, 0),
        ("2.2", "private, max-age=60", LONG, 0),
        ("2.2", "max-age=60, s-maxage=30", LONG, 30),
        ("2.2", "max-age=60, foo=bar, baz", LONG, 60),
        // It says it all, even where it says little.
        ("2.2", "public", LONG, 0),
        ("2.2", "must-revalidate", LONG, 0),
        ("2.2", "foo", LONG, 0),
        ("2.2", "foo", "expires: {now+60}", 0),
        (
            "2.2",
            "foo",
            "cache-control: no-store | last-modified: {now-1000}",
            100,
        ),
        ("2.2", "max-age=60", "last-modified: {now-1000}", 60),
        // Its age is as old as that of any other.
        (
            "2.3",
            "max-age=60",
            "age: 20 | cache-control: max-age=5",
            40,
        ),
        ("2.3", "max-age=60", "date: {now-20}", 40),
        ("2.3", "max-age=60", "age: 60", 0),
    ])
    .await;
}

#[tokio::test]
async fn an_empty_field_or_none_says_nothing() {
    check_table(&[
        ("2.1", "", LONG, 100),
        ("2.1", "", "cache-control: no-store", 0),
        ("2.1", "", "expires: {now+60}", 60),
        ("2.1", "", "", 0),
    ])
    .await;
}

#[tokio::test]
async fn it_is_a_dictionary_of_structured_fields() {
    check_table(&[
        // What parses.
        ("2.1", "max-age=60,public", LONG, 60),
        ("2.1", "public ,\tmax-age=60", LONG, 60),
        ("2.1", "max-age=60;a;b=1;c=\"x, y\"", LONG, 60),
        ("2.1", "max-age=060", LONG, 60),
        ("2.1", "public | cdn-cache-control: max-age=60", LONG, 60),
        ("2.1", "max-age=60, max-age=30", LONG, 30),
        ("2.1", "max-age=30, max-age=60", LONG, 60),
        (
            "2.1",
            "max-age=30 | cdn-cache-control: max-age=60",
            LONG,
            60,
        ),
        ("2.1", "max-age=60, *x=1, a_b-c.d*=2", LONG, 60),
        ("2.1", "max-age=60, x=(a \"b\" 1;q=2);r", LONG, 60),
        (
            "2.1",
            "max-age=60, x=:aGk=:, y=?0, z=1.5, w=*tok/en:",
            LONG,
            60,
        ),
        ("2.1", "max-age=60, x=\"no-store, no-cache\"", LONG, 60),
        ("2.1", "max-age=60, x=\"a\\\", no-store, \\\\\"", LONG, 60),
        ("2.1", "no-store=?1, max-age=60", LONG, 0),
        ("2.1", "no-store;x=1, max-age=60", LONG, 0),
        ("2.1", "max-age=60 | cdn-cache-control: no-store", LONG, 0),
        // What does not, and is ignored as a whole.
        ("2.1", "Max-Age=60", LONG, 100),
        ("2.1", "max-age=60, Public", LONG, 100),
        ("2.1", "max-age=60,", LONG, 100),
        ("2.1", ",max-age=60", LONG, 100),
        ("2.1", "max-age=60,,public", LONG, 100),
        ("2.1", "max-age =60", LONG, 100),
        ("2.1", "max-age= 60", LONG, 100),
        ("2.1", "max-age=", LONG, 100),
        ("2.1", "max-age=60 public", LONG, 100),
        ("2.1", "max-age=60s", LONG, 100),
        ("2.1", "max-age=60; =1", LONG, 100),
        ("2.1", "max-age=60;A=1", LONG, 100),
        ("2.1", "max-age=60, &", LONG, 100),
        ("2.1", "max-age=60, 1x", LONG, 100),
        ("2.1", "max-age=60, x='a'", LONG, 100),
        ("2.1", "max-age=60, x=\"a", LONG, 100),
        ("2.1", "max-age=60, x=\"\\a\"", LONG, 100),
        ("2.1", "max-age=60, x=?2", LONG, 100),
        ("2.1", "max-age=60, x=:a", LONG, 100),
        ("2.1", "max-age=60, x=(a", LONG, 100),
        ("2.1", "max-age=60, x=1.", LONG, 100),
        ("2.1", "max-age=60, x=1.2345", LONG, 100),
        ("2.1", "max-age=60, caf\u{e9}", LONG, 100),
        ("2.1", "max-age=60, x=\"\u{e9}\"", LONG, 100),
        ("2.1", "max-age=60 | cdn-cache-control: &", LONG, 100),
        ("2.1", "no-store, &", LONG, 100),
        ("2.1", "max-age=1000000000000000", LONG, 100),
        ("2.1", "max-age=60, &", "cache-control: no-store", 0),
        ("2.1", "max-age=60, &", "expires: {now+60}", 60),
    ])
    .await;
}

#[tokio::test]
async fn values_of_the_wrong_type_are_ignored() {
    check_table(&[
        ("2.1", "max-age=\"60\"", LONG, 0),
        ("2.1", "max-age=60.5", LONG, 0),
        ("2.1", "max-age=sixty", LONG, 0),
        ("2.1", "max-age", LONG, 0),
        ("2.1", "max-age=?1", LONG, 0),
        ("2.1", "max-age=(60)", LONG, 0),
        ("2.1", "max-age=:aGk=:", LONG, 0),
        ("2.1", "max-age=-60", LONG, 0),
        ("2.1", "s-maxage=\"5\", max-age=60", LONG, 60),
        ("2.1", "s-maxage, max-age=60", LONG, 60),
        // With nothing explicit left there is still the guess.
        ("2.1", "max-age=\"60\"", "last-modified: {now-1000}", 100),
    ])
    .await;
}

#[tokio::test]
async fn large_numbers_are_large() {
    for number in ["2147483647", "2147483648", "4294967296", "999999999999999"] {
        let rig = proxy();
        rig.origin(
            200,
            &format!("cdn-cache-control: max-age={number} | cache-control: no-store"),
            "",
        );
        rig.get("/", "").await;
        rig.advance(31_536_000);
        rig.get("/", "").await.assert_hit();
    }
}

#[tokio::test]
async fn clients_get_what_the_origin_told_them() {
    // Section 2.2: what is for others passes through; section 3: so may the field itself.
    let mut failures = Failures::default();
    for (headers, expected) in [
        ("cache-control: no-store | expires: 0", vec!["no-store"]),
        (
            "cache-control: private, max-age=5 | cache-control: foo",
            vec!["private, max-age=5", "foo"],
        ),
        ("expires: {now+5}", vec![]),
    ] {
        let rig = proxy();
        let all = format!("cdn-cache-control: max-age=60, foo;x | {headers} | etag: \"x\"");
        rig.origin(200, &all, "first").origin(304, &all, "");
        for after in [0, 30, 60] {
            rig.advance(after);
            let reply = rig.get("/", "").await;
            let found = (reply.lines("cache-control"), reply.text());
            failures.check(found == (expected.clone(), "first"), || {
                format!("2.2: {headers} after {after}: {reply:?}")
            });
            failures.check(
                reply.lines("cdn-cache-control") == ["max-age=60, foo;x"],
                || format!("3: {headers} after {after}: {reply:?}"),
            );
            let current = rig.get("/", "if-none-match: \"x\"").await;
            failures.check(
                current.status == 304 && current.lines("cache-control") == expected,
                || format!("2.2: {headers} after {after}: {current:?}"),
            );
        }
        failures.check(rig.asked() == 2, || {
            format!("2.2: {headers}, asked {}", rig.asked())
        });
    }
}

#[tokio::test]
async fn its_directives_mean_what_they_mean_elsewhere() {
    // Section 2.2: must-revalidate, and what else the cache supports.
    let mut failures = Failures::default();
    for (targeted, rest, expected) in [
        ("max-age=10, stale-while-revalidate=20", "", true),
        ("max-age=10, stale-if-error=20", "", true),
        ("max-age=10", "", true),
        (
            "max-age=10",
            "cache-control: must-revalidate, s-maxage=1",
            true,
        ),
        ("max-age=10, must-revalidate", "", false),
        ("max-age=10, proxy-revalidate", "", false),
        ("s-maxage=10", "", false),
        (
            "max-age=10, must-revalidate",
            "cache-control: stale-if-error=100",
            false,
        ),
        (
            "max-age=10, must-revalidate, stale-while-revalidate=20",
            "",
            false,
        ),
    ] {
        let rig = proxy();
        rig.origin(
            200,
            &format!("cdn-cache-control: {targeted} | {rest}"),
            "first",
        )
        .breaks();
        rig.get("/", "").await;
        rig.advance(15);
        let reply = rig.get("/", "").await;
        failures.check((reply.text() == "first") == expected, || {
            format!("2.2: {targeted:?}, {rest:?}: {reply:?}")
        });
    }
    // A window that only others were told of is none.
    let rig = proxy();
    let headers = "cdn-cache-control: max-age=10 | cache-control: stale-while-revalidate=100";
    rig.origin(200, headers, "first").origin(200, "", "second");
    rig.get("/", "").await;
    rig.advance(15);
    let reply = rig.get("/", "").await;
    failures.check(reply.text() == "second", || {
        format!("2.2: {headers}: {reply:?}")
    });
}

#[tokio::test]
async fn it_gives_leave_to_share_or_takes_it() {
    let mut failures = Failures::default();
    for (request, response, expected) in [
        (
            "authorization: Basic a",
            "cdn-cache-control: public, max-age=60",
            true,
        ),
        (
            "authorization: Basic a",
            "cdn-cache-control: s-maxage=60",
            true,
        ),
        (
            "authorization: Basic a",
            "cdn-cache-control: max-age=60",
            false,
        ),
        (
            "authorization: Basic a",
            "cdn-cache-control: max-age=60 | cache-control: public, max-age=60",
            false,
        ),
        ("", "cdn-cache-control: max-age=60 | set-cookie: a=b", true),
        (
            "",
            "cdn-cache-control: foo | cache-control: max-age=60 | set-cookie: a=b",
            false,
        ),
    ] {
        let rig = proxy();
        rig.origin(200, response, "first").origin(200, "", "second");
        rig.get("/", request).await;
        let reply = rig.get("/", request).await;
        failures.check(reply.is_hit() == expected, || {
            format!("2.2: {request:?}, {response:?}: {reply:?}")
        });
    }
}

#[tokio::test]
async fn an_application_heeds_it_too() {
    let mut failures = Failures::default();
    for (headers, seconds) in [
        ("cdn-cache-control: max-age=60", 60),
        (
            "cdn-cache-control: max-age=60 | cache-control: no-store",
            60,
        ),
        ("cdn-cache-control: no-store | cache-control: max-age=60", 0),
        (
            "cdn-cache-control: no-cache, max-age=60 | cache-control: max-age=60",
            0,
        ),
        ("cdn-cache-control: & | cache-control: max-age=60", 60),
        ("cdn-cache-control: max-age=60 | set-cookie: a=b", 0),
    ] {
        let wrong = wrong_lifetime(&application(), 200, headers, seconds).await;
        failures.check(wrong.is_none(), || {
            format!("2.2: {headers}: {}", wrong.unwrap())
        });
    }
}

#[tokio::test]
async fn other_targeted_fields_mean_nothing() {
    // Section 2.2: those that are not on the list must not change the cache's behaviour.
    let mut failures = Failures::default();
    for name in [
        "surrogate-control",
        "example-cache-control",
        "vercel-cdn-cache-control",
        "x-cdn-cache-control",
        "cdn-cache-controls",
    ] {
        for (value, rest, seconds) in [
            ("max-age=60", "", 0),
            ("max-age=60", "cache-control: max-age=30", 30),
            ("no-store", "cache-control: max-age=30", 30),
        ] {
            let headers = format!("{name}: {value} | {rest}");
            let wrong = wrong_lifetime(&proxy(), 200, &headers, seconds).await;
            failures.check(wrong.is_none(), || {
                format!("2.2: {headers}: {}", wrong.unwrap())
            });
        }
        let rig = proxy();
        rig.origin(200, &format!("cache-control: max-age=60 | {name}: x=1"), "");
        rig.get("/", "").await;
        let reply = rig.get("/", "").await;
        failures.check(reply.lines(name) == ["x=1"], || {
            format!("2.2: {name}: {reply:?}")
        });
    }
}

#[tokio::test]
async fn a_layer_may_have_a_list_of_its_own() {
    type Make = fn() -> Rig;
    let own = || {
        rig(CacheLayer::shared_proxy().target_list(["Example-Cache-Control", "cdn-cache-control"]))
    };
    let other = || rig(CacheLayer::shared_proxy().target_list(["Example-Cache-Control"]));
    let empty = || rig(CacheLayer::shared_proxy().target_list([] as [&str; 0]));
    let rows: [(&str, Make, &str, u64); 14] = [
        ("own", own, "example-cache-control: max-age=60", 60),
        (
            "own",
            own,
            "example-cache-control: max-age=60 | cdn-cache-control: max-age=30",
            60,
        ),
        (
            "own",
            own,
            "cdn-cache-control: max-age=30 | example-cache-control: max-age=60",
            60,
        ),
        (
            "own",
            own,
            "cdn-cache-control: no-store | example-cache-control: max-age=60",
            60,
        ),
        (
            "own",
            own,
            "cdn-cache-control: max-age=30 | example-cache-control: no-store",
            0,
        ),
        (
            "own",
            own,
            "cdn-cache-control: max-age=30 | example-cache-control: &",
            30,
        ),
        (
            "own",
            own,
            "cdn-cache-control: max-age=30 | example-cache-control:",
            30,
        ),
        (
            "own",
            own,
            "cdn-cache-control: max-age=30 | cache-control: max-age=5",
            30,
        ),
        (
            "own",
            own,
            "cdn-cache-control: & | example-cache-control: &",
            0,
        ),
        (
            "own",
            own,
            "cdn-cache-control: & | example-cache-control: | cache-control: max-age=5",
            5,
        ),
        (
            "other",
            other,
            "example-cache-control: max-age=60 | cache-control: no-store",
            60,
        ),
        (
            "other",
            other,
            "cdn-cache-control: max-age=60 | cache-control: max-age=5",
            5,
        ),
        (
            "empty",
            empty,
            "cdn-cache-control: max-age=60 | cache-control: max-age=5",
            5,
        ),
        (
            "empty",
            empty,
            "cdn-cache-control: no-store | cache-control: max-age=5",
            5,
        ),
    ];
    let mut failures = Failures::default();
    for (list, make, headers, seconds) in rows {
        let wrong = wrong_lifetime(&make(), 200, headers, seconds).await;
        failures.check(wrong.is_none(), || {
            format!("2.2: {list}: {headers}: {}", wrong.unwrap())
        });
    }
}
