//! `ResponseCache`.

use super::*;

#[tokio::test]
async fn a_hit_skips_the_target() {
    let (_, proxy, clock) = setup();
    let (app, asked) = cached(&proxy, responses());
    let reply = get(&app, "/a?b").await;
    assert_eq!(reply.text(), "answer 1");
    assert_eq!(reply.header("x-response-hit"), Some("false"));
    assert_eq!(reply.header("x-response-invalid"), Some("false"));
    let reply = get(&app, "/a?b").await;
    reply.assert_hit();
    assert_eq!(reply.text(), "answer 1");
    assert_eq!(reply.header("x-response-hit"), Some("true"));
    assert_eq!(reply.header("x-response-name"), Some("shared"));
    let key = "apifactory__test__weatherapi__16__default__/a?b";
    assert_eq!(reply.header("x-response-key"), Some(key));
    clock.advance(600 * SECOND);
    let reply = get(&app, "/a?b").await;
    assert_eq!(reply.text(), "answer 2");
    assert_eq!(reply.header("x-response-invalid"), Some("true"));
    assert_eq!(asked.get(), 2);
}

#[tokio::test]
async fn its_key_alone_tells_requests_apart() {
    let (_, proxy, _) = setup();
    let key = CacheKey::new().reference("request.queryparam.w");
    let policy = || ResponseCache::new("Weather", key.clone(), minutes());
    let (app, _) = cached(&proxy, policy());
    assert_eq!(text(&app, "/a?w=1").await, "answer 1");
    assert_eq!(text(&app, "/b?w=1&u=9").await, "answer 1");
    assert_eq!(text(&app, "/a?w=2").await, "answer 2");
    for n in 3..=4 {
        let reply = get(&app, "/a").await;
        reply.assert_miss("unkeyed");
        assert_eq!(reply.text(), format!("answer {n}"));
    }
    // Another policy of the same key has the same entries, another cache its own.
    assert_eq!(
        text(&cached(&proxy, policy()).0, "/c?w=1").await,
        "answer 1"
    );
    let (named, asked) = cached(&proxy, policy().cache_resource("tokens"));
    text(&named, "/c?w=1").await;
    assert_eq!(asked.get(), 1);
}

#[tokio::test]
async fn a_skipped_look_up_refreshes_the_entry() {
    let (_, proxy, _) = setup();
    let policy = responses().skip_lookup(r#"request.header.bypass-cache = "true""#);
    let (app, _) = cached(&proxy, policy);
    assert_eq!(text(&app, "/").await, "answer 1");
    assert_eq!(text(&app, "/").await, "answer 1");
    let reply = send(&app, with("/", &[("bypass-cache", "true")])).await;
    assert_eq!(reply.text(), "answer 2");
    assert_eq!(reply.header("x-response-hit"), Some("false"));
    assert_eq!(text(&app, "/").await, "answer 2");
}

#[tokio::test]
async fn what_is_accepted_divides_entries_where_it_is_said() {
    let headers = [
        "accept",
        "accept-encoding",
        "accept-language",
        "accept-charset",
    ];
    for (divides, expected) in [(false, 1), (true, 5)] {
        let (_, proxy, _) = setup();
        let (app, asked) = cached(&proxy, responses().use_accept_header(divides));
        for _ in 0..2 {
            get(&app, "/").await;
            for name in headers {
                send(&app, with("/", &[(name, "x")])).await;
            }
        }
        assert_eq!(asked.get(), expected);
    }
}

#[tokio::test]
async fn nothing_of_one_caller_reaches_another() {
    let (_, proxy, _) = setup();
    let ann = [("authorization", "Bearer ann")];
    let session = [("cookie", "session=1")];
    let (app, _) = cached(&proxy, responses());
    get(&app, "/").await;
    for (headers, detail, n) in [(ann, "authorization", 2), (session, "cookie", 3)] {
        let reply = send(&app, with("/", &headers)).await;
        reply.assert_miss(detail);
        assert!(reply.cache().contains("fwd=bypass"), "{reply:?}");
        assert_eq!(reply.text(), format!("answer {n}"));
    }
    assert_eq!(text(&app, "/").await, "answer 1");
    // Whatever the response says of others.
    for (name, n) in [("ann", 4), ("bob", 5)] {
        let headers = [("authorization", name), ("want-cache-control", "public")];
        assert_eq!(
            send(&app, with("/p", &headers)).await.text(),
            format!("answer {n}")
        );
    }
    // A cookie of a response is its first client's.
    let cookie = || with("/c", &[("want-set-cookie", "a=b")]);
    send(&app, cookie()).await.assert_miss("set-cookie");
    assert_eq!(send(&app, cookie()).await.text(), "answer 7");
    // Nor is what never ends stored.
    let events = || {
        with(
            "/e",
            &[("want-content-type", "Text/Event-Stream; charset=utf-8")],
        )
    };
    send(&app, events()).await.assert_miss("policy");
    assert_eq!(send(&app, events()).await.text(), "answer 9");
}

#[tokio::test]
async fn a_fragment_of_their_header_tells_callers_apart() {
    let (_, proxy, _) = setup();
    for (header, values) in [
        ("authorization", ["Bearer ann", "Bearer bob"]),
        ("cookie", ["session=1", "session=2"]),
    ] {
        let key = CacheKey::new().literal(header);
        let key = key.reference(format!("request.header.{header}").as_str());
        let (app, asked) = cached(&proxy, ResponseCache::new("Weather", key, minutes()));
        for _ in 0..2 {
            assert_eq!(
                send(&app, with("/", &[(header, values[0])])).await.text(),
                "answer 1"
            );
            assert_eq!(
                send(&app, with("/", &[(header, values[1])])).await.text(),
                "answer 2"
            );
        }
        assert_eq!(asked.get(), 2);
    }
    let layer = proxy.layer(responses()).unwrap();
    let (shared, asked) = target();
    let shared = shared.layer(layer.share_authorized().ignore_cookies());
    let app = Router::new().fallback(shared);
    for value in ["ann", "bob"] {
        let headers = [("authorization", value), ("cookie", value)];
        assert_eq!(send(&app, with("/", &headers)).await.text(), "answer 1");
    }
    assert_eq!(asked.get(), 1);
}

#[tokio::test]
async fn invalidations_reach_responses_and_win_over_those_being_made() {
    let user = || CacheKey::new().reference("request.header.user");
    let key = || user().reference("request.path");
    let ann = || with("/a", &[("user", "ann")]);
    for policy in [
        drop_entry(key()),
        drop_entry(user()).purge_child_entries(),
        drop_entry(CacheKey::new()).purge_all(),
    ] {
        let (_, proxy, _) = setup();
        let (app, _) = cached(&proxy, ResponseCache::new("Weather", key(), minutes()));
        let drop =
            Router::new().fallback(any(|| async {}).layer(proxy.layer(policy.clone()).unwrap()));
        assert_eq!(send(&app, ann()).await.text(), "answer 1");
        send(&drop, with("/a", &[("user", "bob")])).await;
        if policy != drop_entry(CacheKey::new()).purge_all() {
            assert_eq!(send(&app, ann()).await.text(), "answer 1");
        }
        send(&drop, ann()).await;
        assert_eq!(
            send(&app, ann()).await.header("x-response-invalid"),
            Some("true")
        );

        // One that is being made when its entry is dropped.
        let (started, began) = oneshot::channel();
        let started = std::sync::Arc::new(std::sync::Mutex::new(Some(started)));
        let go_on = std::sync::Arc::new(Notify::new());
        let may_go = go_on.clone();
        let slow = any(move |request: Request| {
            let started = started.lock().unwrap().take();
            let may_go = may_go.clone();
            async move {
                let _ = request;
                let Some(started) = started else { return "new" };
                started.send(()).unwrap();
                may_go.notified().await;
                "old"
            }
        });
        let layer =
            proxy.layer(ResponseCache::new("Weather", key(), minutes()).cache_resource("tokens"));
        let slow = Router::new().fallback(slow.layer(layer.unwrap()));
        let policy = policy.cache_resource("tokens");
        let drop = Router::new().fallback(any(|| async {}).layer(proxy.layer(policy).unwrap()));
        let first = slow.clone();
        let first = tokio::spawn(async move { send(&first, ann()).await });
        began.await.unwrap();
        send(&drop, ann()).await;
        go_on.notify_one();
        assert_eq!(first.await.unwrap().text(), "old");
        assert_eq!(send(&slow, ann()).await.text(), "new");
    }
}

#[tokio::test]
async fn layers_further_out_are_not_told_what_the_policy_says() {
    let (cache, _) = cache();
    let proxy = environment(&cache).proxy("weatherapi");
    let (target, asked) = target();
    let route = target.layer(proxy.layer(responses()).unwrap());
    let app = Router::new().fallback(route);
    let app = app.layer(CacheLayer::new().cache(Cache::new()));
    for _ in 0..2 {
        // It passes by, so the policy declares nothing.
        let reply: Reply = send(&app, with("/", &[("cookie", "a=b")])).await;
        assert!(!reply.own().contains("stored"), "{}", reply.own());
    }
    // Refused by the policy's cache for its size, and no more storable outside.
    let big = any(|| async { "x".repeat(600 << 10) });
    let big = big.layer(proxy.layer(responses()).unwrap());
    let big = Router::new().fallback(big);
    let big = big.layer(CacheLayer::new().cache(Cache::new()));
    let reply = get(&big, "/big").await;
    assert!(
        reply.cache().contains("body-too-large"),
        "{}",
        reply.cache()
    );
    reply.assert_miss("not-declared");
    assert_eq!(asked.get(), 2);
}

#[tokio::test]
async fn a_disabled_response_cache_is_not_there() {
    let (_, proxy, _) = setup();
    let (app, _) = cached(&proxy, responses().enabled(false));
    for n in 1..=2 {
        let reply = get(&app, "/").await;
        assert_eq!(
            (reply.text(), reply.cache().as_str()),
            (&*format!("answer {n}"), "")
        );
    }
}

#[tokio::test]
async fn conditions_may_be_code() {
    let (_, proxy, _) = setup();
    let fresh = |flow: &dyn revalidate::gateway::Variables| {
        flow.named("request.queryparam.fresh").is_some()
    };
    let key = CacheKey::new().reference("request.path");
    let policy = ResponseCache::new("Weather", key, minutes()).skip_lookup(Condition::when(fresh));
    let (app, _) = cached(&proxy, policy);
    assert_eq!(text(&app, "/a").await, "answer 1");
    assert_eq!(text(&app, "/a?fresh").await, "answer 2");
    assert_eq!(text(&app, "/a").await, "answer 2");
}

/// What cannot be told apart is not a request without the header either.
#[tokio::test]
async fn what_is_accepted_must_be_text() {
    let (_, proxy, _) = setup();
    let (app, _) = cached(&proxy, responses().use_accept_header(true));
    assert_eq!(text(&app, "/").await, "answer 1");
    for (n, byte) in [0xfe, 0xff].into_iter().enumerate() {
        let mut request = with("/", &[]);
        let value = http::HeaderValue::from_bytes(&[byte]).unwrap();
        request.headers_mut().insert("accept-language", value);
        let reply = send(&app, request).await;
        reply.assert_miss("unkeyed");
        assert_eq!(reply.text(), format!("answer {}", n + 2));
    }
}

#[tokio::test]
async fn one_response_for_every_uri_is_said() {
    let (_, proxy, _) = setup();
    let policy = || ResponseCache::new("Weather", CacheKey::new().literal("a"), minutes());
    let error = proxy.layer(policy()).unwrap_err();
    assert_eq!(error.name(), "EveryUriAlike");
    let said = error.to_string();
    assert!(said.contains("Weather has a key"), "{said}");
    assert!(said.contains("answer_every_uri_alike()"), "{said}");
    let (app, _) = cached(&proxy, policy().answer_every_uri_alike());
    assert_eq!(text(&app, "/a").await, "answer 1");
    assert_eq!(text(&app, "/b").await, "answer 1");
}

/// The outer one is of no use, and does no harm.
#[tokio::test]
async fn a_policy_attached_twice_stores_once() {
    let (_, proxy, _) = setup();
    let (target, asked) = target();
    let twice: MethodRouter = target.layer(proxy.layer(responses()).unwrap());
    let app = Router::new().fallback(twice.layer(proxy.layer(responses()).unwrap()));
    for _ in 0..2 {
        let reply = get(&app, "/").await;
        reply.assert_miss("stored-inside");
        assert_eq!(reply.text(), "answer 1");
    }
    assert_eq!(asked.get(), 1);
}

/// A response that was made with what a look-up within it found, or would have found, goes with that.
#[tokio::test]
async fn responses_go_with_what_was_looked_up_for_them() {
    for found in [false, true] {
        let (_, proxy, _) = setup();
        let (tokens, _) = app(&proxy, find(token_key()), keep(token_key()));
        let uri = "/?client_id=a";
        if found {
            text(&tokens, uri).await;
        }
        let (target, asked) = target();
        let app = Router::new()
            .fallback(target)
            .layer(proxy.layer(find(token_key())).unwrap())
            .layer(proxy.layer(responses()).unwrap());
        for _ in 0..2 {
            assert_eq!(text(&app, uri).await, "answer 1");
        }
        get(&dropping(&proxy, drop_entry(token_key())), uri).await;
        assert_eq!(text(&app, uri).await, "answer 2", "found: {found}");
        assert_eq!(asked.get(), 2);
    }
}
