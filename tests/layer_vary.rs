//! `Vary`: several responses of one URL, each for those who select it.
#![cfg(feature = "axum")]

mod layer_support;

use axum::Router;
use axum::routing::get as route;
use http::HeaderMap;
use layer_support::*;

/// Answers in the language asked for.
fn app(cache: &Cache, vary: &'static str) -> (Router, Count) {
    let count = Count::default();
    let runs = count.clone();
    let handler = move |headers: HeaderMap| {
        let run = runs.up();
        async move {
            tokio::task::yield_now().await;
            let language = headers
                .get("accept-language")
                .map_or("none", |value| value.to_str().unwrap());
            ([("vary", vary)], format!("{run} {language}"))
        }
    };
    let layer = CacheLayer::new().cache(cache.clone()).ttl("10m");
    (Router::new().route("/", route(handler).layer(layer)), count)
}

#[tokio::test]
async fn each_variant_is_stored_for_those_who_select_it() {
    let (cache, _) = cache();
    let (app, count) = app(&cache, "accept-language");
    for _ in 0..2 {
        assert!(
            send(&app, with("/", &[("accept-language", "de")]))
                .await
                .text()
                .ends_with(" de")
        );
        assert!(
            send(&app, with("/", &[("accept-language", "en")]))
                .await
                .text()
                .ends_with(" en")
        );
        assert!(get(&app, "/").await.text().ends_with(" none"));
    }
    assert_eq!(count.get(), 3);
    send(&app, with("/", &[("accept-language", "DE")]))
        .await
        .assert_hit();
    let other = send(&app, with("/", &[("accept-language", "fr")])).await;
    assert_eq!(
        other.cache(),
        "revalidate; fwd=vary-miss; stored; detail=never-stored"
    );
}

#[tokio::test]
async fn only_whitespace_that_means_nothing_is_left_out() {
    let (cache, _) = cache();
    let (app, count) = app(&cache, "accept-language");
    for language in ["de,en;q=0.5", "d e", "de", "de;q= 0.5", "de;q=0.5"] {
        let reply = send(&app, with("/", &[("accept-language", language)])).await;
        assert!(reply.text().ends_with(&format!(" {language}")), "{reply:?}");
    }
    assert_eq!(count.get(), 5);
    send(&app, with("/", &[("accept-language", "de, en ;\tq=0.5")]))
        .await
        .assert_hit();
}

#[tokio::test]
async fn variants_are_dropped_together_by_their_path() {
    let (cache, _) = cache();
    let (app, count) = app(&cache, "accept-language");
    for language in ["de", "en"] {
        send(&app, with("/", &[("accept-language", language)])).await;
    }
    cache.revalidate_path("/").await.unwrap();
    for language in ["de", "en"] {
        send(&app, with("/", &[("accept-language", language)]))
            .await
            .assert_miss("tag");
    }
    assert_eq!(count.get(), 4);
}

#[tokio::test]
async fn cold_callers_of_two_variants_get_their_own() {
    let (cache, _) = cache();
    let (app, count) = app(&cache, "accept-language");
    let callers: Vec<_> = (0..40)
        .map(|n| {
            let app = app.clone();
            let language = if n % 2 == 0 { "de" } else { "en" };
            tokio::spawn(async move {
                let reply = send(&app, with("/", &[("accept-language", language)])).await;
                assert!(reply.text().ends_with(language), "{reply:?}");
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn responses_of_one_url_may_vary_by_different_headers() {
    let (cache, _) = cache();
    let count = Count::default();
    let runs = count.clone();
    let handler = move |headers: HeaderMap| {
        runs.up();
        async move {
            let vary = if headers.contains_key("x-b") {
                "x-a, x-b"
            } else {
                "x-a"
            };
            (
                [("vary", vary)],
                format!("{:?} {:?}", headers.get("x-a"), headers.get("x-b")),
            )
        }
    };
    let layer = CacheLayer::new().cache(cache).ttl("10m");
    let app = Router::new().route("/", route(handler).layer(layer));
    // That the first names both is kept in mind, so what others vary by adds to it.
    let requests: [&[(&str, &str)]; 4] = [
        &[("x-a", "1"), ("x-b", "1")],
        &[("x-a", "1")],
        &[("x-a", "1"), ("x-b", "2")],
        &[("x-a", "2")],
    ];
    for headers in requests {
        send(&app, with("/", headers))
            .await
            .assert_miss("never-stored");
    }
    for headers in requests {
        let text = send(&app, with("/", headers))
            .await
            .assert_hit()
            .text()
            .to_owned();
        assert!(
            headers.iter().all(|(_, value)| text.contains(value)),
            "{text} {headers:?}"
        );
    }
    // What was stored before more is known to select is not found any more: a miss, never a wrong one.
    for headers in [
        &[("x-a", "1")][..],
        &[("x-a", "2"), ("x-b", "1")],
        &[("x-a", "1")],
        &[("x-a", "1"), ("x-b", "1")],
    ] {
        let text = send(&app, with("/?later", headers)).await.text().to_owned();
        assert_eq!(
            text.contains("None"),
            headers.len() == 1,
            "{text} {headers:?}"
        );
    }
}

#[tokio::test]
async fn too_long_selecting_headers_are_not_stored_and_keep_nothing_from_the_cache() {
    let (cache, _) = cache();
    let (app, _) = app(&cache, "accept-language");
    let long = "x".repeat(20_000);
    for _ in 0..2 {
        send(&app, with("/", &[("accept-language", &long)]))
            .await
            .assert_miss("vary-bytes");
    }
    assert!(get(&app, "/").await.cache().contains("; stored"));
    get(&app, "/").await.assert_hit();
}
