//! What a `ResponseCache` stores, for how long, and who waits for it.

use super::*;

#[tokio::test]
async fn a_skipped_population_leaves_what_was_and_keeps_nobody_else_out() {
    let (_, proxy, _) = setup();
    let policy = responses().skip_population("response.header.x-partial = 1");
    let (app, _) = cached(&proxy, policy);
    let partial = || with("/", &[("want-x-partial", "1")]);
    assert_eq!(send(&app, partial()).await.text(), "answer 1");
    assert_eq!(text(&app, "/").await, "answer 2");
    get(&app, "/").await.assert_hit();
    assert_eq!(send(&app, partial()).await.text(), "answer 2");
}

#[tokio::test]
async fn errors_are_stored_if_they_are_not_excluded() {
    for (exclude, stored) in [(None, false), (Some(true), false), (Some(false), true)] {
        let (_, proxy, _) = setup();
        let policy = match exclude {
            None => responses(),
            Some(exclude) => responses().exclude_error_response(exclude),
        };
        let (app, asked) = cached(&proxy, policy);
        for status in ["404", "500"] {
            let uri = format!("/{status}");
            for _ in 0..2 {
                let reply = send(&app, with(&uri, &[("want-status", status)])).await;
                assert_eq!(reply.status.as_str(), status);
            }
        }
        assert_eq!(asked.get(), if stored { 2 } else { 4 }, "{exclude:?}");
        for _ in 0..2 {
            send(&app, with("/203", &[("want-status", "203")])).await;
        }
        assert_eq!(asked.get(), if stored { 3 } else { 5 }, "{exclude:?}");
    }
}

#[tokio::test]
async fn headers_of_the_response_shorten_a_life_where_they_are_heeded() {
    for (control, heeded, unheeded) in [
        ("max-age=5", 5, 600),
        ("max-age=5, s-maxage=7", 7, 600),
        ("max-age=1000", 600, 600),
        ("max-age=0", 0, 600),
        ("no-cache", 0, 600),
        ("no-store", 0, 0),
        ("private", 0, 0),
    ] {
        for (heeds, seconds) in [(true, heeded), (false, unheeded)] {
            let (_, proxy, clock) = setup();
            let (app, _) = cached(&proxy, responses().use_response_cache_headers(heeds));
            let ask = || with("/", &[("want-cache-control", control)]);
            send(&app, ask()).await;
            let context = format!("{control} {heeds}");
            if seconds > 0 {
                clock.advance(SECOND * (seconds - 1));
                assert_eq!(send(&app, ask()).await.text(), "answer 1", "{context}");
            }
            clock.advance(SECOND);
            assert_eq!(send(&app, ask()).await.text(), "answer 2", "{context}");
        }
    }
}

#[tokio::test]
async fn what_a_handler_forbids_is_forbidden_further_out_too() {
    for status in ["301", "200"] {
        let (_, proxy, _) = setup();
        let asked = Count::default();
        let counted = asked.clone();
        let target = any(move || async move {
            let status: StatusCode = status.parse().unwrap();
            (status, CachePolicy::no_store(), counted.up().to_string())
        });
        let skipping = responses().skip_population("response.status.code = 200");
        let outside = CacheLayer::new().cache(Cache::new()).ttl("10m");
        let app = Router::new().fallback(target.layer(proxy.layer(skipping).unwrap()));
        let app = app.layer(outside);
        for n in ["1", "2"] {
            let reply = get(&app, "/").await;
            assert_eq!(reply.text(), n, "{status}");
            reply.assert_miss("policy");
        }
    }
}

/// A target that answers with an `ETag` and what is said to the cache, and with 304 alone to who has it.
fn validated(policy: Option<CachePolicy>) -> (MethodRouter, Count) {
    let asked = Count::default();
    let counted = asked.clone();
    let target = any(move |request: Request| async move {
        counted.up();
        let known = request.headers().get("if-none-match").is_some();
        match (known, policy) {
            (true, _) => (StatusCode::NOT_MODIFIED, [("etag", "\"a\"")]).into_response(),
            (false, Some(policy)) => (policy, [("etag", "\"a\"")], "a").into_response(),
            (false, None) => ([("etag", "\"a\"")], "a").into_response(),
        }
    });
    (target, asked)
}

#[tokio::test]
async fn an_entry_that_is_found_current_lives_anew() {
    for (said, seconds) in [(None, 600), (Some(CachePolicy::ttl("5s")), 5)] {
        let (_, proxy, clock) = setup();
        let (target, asked) = validated(said);
        let app = Router::new().fallback(target.layer(proxy.layer(responses()).unwrap()));
        for n in 1..=3 {
            let reply = get(&app, "/").await;
            assert_eq!((reply.status, reply.text()), (StatusCode::OK, "a"));
            assert_eq!(asked.get(), n);
            clock.advance(SECOND * (seconds - 1));
            get(&app, "/").await.assert_hit();
            clock.advance(SECOND);
        }
    }
    // One that is nobody's is not stored.
    let (_, proxy, _) = setup();
    let (app, asked) = cached(&proxy, responses());
    for n in 1..=2 {
        let reply = send(&app, with("/", &[("want-status", "304")])).await;
        assert_eq!((reply.status, asked.get()), (StatusCode::NOT_MODIFIED, n));
    }
}

/// A skipped population says at once that waiting is for nothing, and lets the next response be stored.
#[tokio::test]
async fn nobody_waits_for_what_is_not_stored() {
    let (_, proxy, _) = setup();
    let (asked, may_answer) = (Count::default(), std::sync::Arc::new(Notify::new()));
    let (counted, answering) = (asked.clone(), may_answer.clone());
    let target = any(move |request: Request| async move {
        counted.up();
        if request.uri().query().is_some() {
            answering.notified().await;
        }
        let partial = request.headers().contains_key("partial");
        (partial.then_some([("x-partial", "1")]), "a")
    });
    let key = CacheKey::new().reference("request.path");
    let policy = ResponseCache::new("Weather", key, minutes());
    let policy = policy.skip_population("response.header.x-partial = 1");
    let app = Router::new().fallback(target.layer(proxy.layer(policy).unwrap()));
    send(&app, with("/", &[("partial", "1")])).await;
    let waiting = [(); 3].map(|()| {
        let app = app.clone();
        tokio::spawn(async move { send(&app, with("/?wait", &[("partial", "1")])).await })
    });
    settle().await;
    assert_eq!(asked.get(), 4);
    may_answer.notify_waiters();
    for reply in waiting {
        assert_eq!(reply.await.unwrap().text(), "a");
    }
    get(&app, "/").await;
    get(&app, "/").await.assert_hit();
    // One that went past what is stored leaves it.
    send(&app, with("/", &[("partial", "1")]))
        .await
        .assert_hit();
    assert_eq!(asked.get(), 5);
}

#[tokio::test]
async fn a_skipped_population_past_the_look_up_leaves_what_is_stored() {
    let (_, proxy, _) = setup();
    let policy = responses().skip_lookup("request.header.bypass-cache = 1");
    let (app, _) = cached(
        &proxy,
        policy.skip_population("response.header.x-partial = 1"),
    );
    assert_eq!(text(&app, "/").await, "answer 1");
    let partial = [("bypass-cache", "1"), ("want-x-partial", "1")];
    assert_eq!(send(&app, with("/", &partial)).await.text(), "answer 2");
    assert_eq!(text(&app, "/").await, "answer 1");
}
