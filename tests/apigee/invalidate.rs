//! `InvalidateCache`.

use super::*;

#[tokio::test]
async fn an_entry_is_cleared_by_its_key() {
    let (_, proxy, _) = setup();
    let (app, made) = app(&proxy, find(token_key()), keep(token_key()));
    let drop = dropping(&proxy, drop_entry(token_key()));
    assert_eq!(text(&app, "/?client_id=a").await, "token 1");
    assert_eq!(text(&app, "/?client_id=b").await, "token 2");
    assert_eq!(text(&app, "/?client_id=a").await, "token 1");
    get(&drop, "/?client_id=a").await;
    assert_eq!(text(&app, "/?client_id=b").await, "token 2");
    assert_eq!(text(&app, "/?client_id=a").await, "token 3");
    // What has no key is no entry's.
    get(&drop, "/").await;
    assert_eq!(text(&app, "/?client_id=b").await, "token 2");
    assert_eq!(made.get(), 3);
}

#[tokio::test]
async fn a_cache_that_is_not_there_is_found_when_it_is_deployed() {
    let (environment, proxy, _) = setup();
    let error = proxy
        .layer(drop_entry(token_key()).cache_resource("token"))
        .unwrap_err();
    assert_eq!(error.name(), "InvalidCacheResourceReference");
    assert_eq!(
        error.to_string(),
        "InvalidCacheResourceReference: Drop names the cache \"token\", which the environment \"test\" has not \
         (it has small, tokens): add it with `.resource(CacheResource::new(\"token\"))`, or leave <CacheResource> \
         out for the shared one"
    );
    for error in [
        proxy
            .layer(find(token_key()).cache_resource("token"))
            .unwrap_err(),
        proxy
            .layer(keep(token_key()).cache_resource("token"))
            .unwrap_err(),
        proxy
            .layer(responses().cache_resource("token"))
            .unwrap_err(),
    ] {
        assert_eq!(error.name(), "InvalidCacheResourceReference");
    }
    assert_eq!(
        environment.clear("token").unwrap_err().name(),
        "CacheNotFound"
    );
    let twice = Environment::builder("o", "e").cache(Cache::new());
    let twice = twice
        .resource(CacheResource::new("a"))
        .resource(CacheResource::new("a"));
    assert_eq!(twice.build().unwrap_err().name(), "CacheResourceTwice");
}

#[tokio::test]
async fn named_caches_are_apart_and_cleared_alone() {
    let (environment, proxy, _) = setup();
    let named = |name| {
        let (find, keep) = (find(token_key()), keep(token_key()));
        app(&proxy, find.cache_resource(name), keep.cache_resource(name)).0
    };
    let (shared, made) = app(&proxy, find(token_key()), keep(token_key()));
    let tokens = named("tokens");
    let uri = "/?client_id=a";
    assert_eq!(text(&shared, uri).await, "token 1");
    assert_eq!(text(&tokens, uri).await, "token 1");
    environment.clear("tokens").unwrap().await.unwrap();
    assert_eq!(text(&tokens, uri).await, "token 2");
    assert_eq!(text(&shared, uri).await, "token 1");
    environment.clear_shared().await.unwrap();
    assert_eq!(text(&shared, uri).await, "token 2");
    assert_eq!(text(&tokens, uri).await, "token 2");
    assert_eq!(made.get(), 2);
}

#[tokio::test]
async fn child_entries_share_their_first_fragments_whatever_the_prefix() {
    let (_, proxy, _) = setup();
    let key = |prefix: &str, last: &str| {
        let key = CacheKey::new()
            .prefix(prefix)
            .reference("request.header.user");
        key.literal(last)
    };
    let apps = [("a", "x"), ("b", "x"), ("a", "y")].map(|(prefix, last)| {
        let key = key(prefix, last);
        app(&proxy, find(key.clone()), keep(key)).0
    });
    let user = |name| with("/", &[("user", name)]);
    let purge = drop_entry(CacheKey::new().reference("request.header.user")).purge_child_entries();
    let purge = dropping(&proxy, purge);
    for name in ["ann", "bob"] {
        for app in &apps {
            send(app, user(name)).await;
        }
    }
    send(&purge, user("ann")).await;
    for app in &apps {
        assert_eq!(send(app, user("bob")).await.text(), "token 2");
        assert_eq!(send(app, user("ann")).await.text(), "token 3");
    }
    // Without children it is the one entry of this key, which nothing has.
    let one = drop_entry(CacheKey::new().prefix("a").reference("request.header.user"));
    send(&dropping(&proxy, one), user("ann")).await;
    assert_eq!(send(&apps[0], user("ann")).await.text(), "token 3");
}

#[tokio::test]
async fn all_entries_go_only_where_that_is_said() {
    let (_, proxy, _) = setup();
    let empty = drop_entry(CacheKey::new().prefix("a")).purge_child_entries();
    let error = proxy.layer(empty).unwrap_err();
    assert_eq!(error.name(), "InvalidPolicy");
    assert!(error.to_string().contains("purge_all()"), "{error}");

    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let all = dropping(&proxy, drop_entry(CacheKey::new()).purge_all());
    text(&app, "/?client_id=a").await;
    get(&all, "/").await;
    assert_eq!(text(&app, "/?client_id=a").await, "token 2");
}

#[tokio::test]
async fn scopes_hold_what_they_are_named_by() {
    let (environment, _, _) = setup();
    let key = || CacheKey::new().literal("apiAccessToken");
    let proxies = [
        environment.proxy("weatherapi").revision("16"),
        environment.proxy("weatherapi").revision("17"),
        environment.proxy("other").revision("16"),
    ];
    for (scope, shown, made) in [
        (Scope::Global, "apifactory__test__apiAccessToken", [1, 0, 0]),
        (
            Scope::Application,
            "apifactory__test__weatherapi__apiAccessToken",
            [1, 0, 1],
        ),
        (
            Scope::Exclusive,
            "apifactory__test__weatherapi__16__default__apiAccessToken",
            [1, 1, 1],
        ),
    ] {
        for (n, proxy) in proxies.iter().enumerate() {
            let (app, count) = app(proxy, find(key()).scope(scope), keep(key()).scope(scope));
            let app = app.layer(axum::middleware::from_fn(shown_key));
            let reply = get(&app, "/").await;
            if n == 0 {
                assert_eq!(reply.header("x-key"), Some(shown));
            }
            assert_eq!(count.get(), made[n], "{scope} {n}");
        }
    }
}

#[tokio::test]
async fn another_proxys_entry_is_reached_by_its_context() {
    let (environment, proxy, _) = setup();
    let key = || CacheKey::new().literal("apiAccessToken");
    let (app, _) = app(&proxy, find(key()), keep(key()));
    assert_eq!(text(&app, "/").await, "token 1");
    let other = environment.proxy("admin").revision("16");
    get(&dropping(&other, drop_entry(key())), "/").await;
    assert_eq!(text(&app, "/").await, "token 1");
    let context = CacheContext::new()
        .application("weatherapi")
        .proxy("default");
    let incomplete = other.layer(drop_entry(key()).context(context.clone()));
    assert_eq!(incomplete.unwrap_err().name(), "InvalidPolicy");
    let context = context.target("default");
    get(&dropping(&other, drop_entry(key()).context(context)), "/").await;
    assert_eq!(text(&app, "/").await, "token 2");
}

#[tokio::test]
async fn a_policy_that_is_not_enabled_does_nothing() {
    let (_, proxy, _) = setup();
    let (all, _) = app(&proxy, find(token_key()), keep(token_key()));
    let (none, _) = app(
        &proxy,
        find(token_key()).enabled(false),
        keep(token_key()).enabled(false),
    );
    let none = none.layer(axum::middleware::from_fn(shown_key));
    let uri = "/?client_id=a";
    text(&all, uri).await;
    assert_eq!(text(&none, uri).await, "token 1");
    assert_eq!(text(&none, uri).await, "token 2");
    get(
        &dropping(&proxy, drop_entry(token_key()).enabled(false)),
        uri,
    )
    .await;
    assert_eq!(text(&all, uri).await, "token 1");
}

#[tokio::test]
async fn what_a_handler_may_have_changed_is_dropped_though_nobody_waits_for_its_answer() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    let never = any(std::future::pending::<()>);
    let never = never.layer(proxy.layer(drop_entry(token_key())).unwrap());
    let never = Router::new().route("/", never);
    let left = tokio::spawn(async move { get(&never, uri).await });
    settle().await;
    assert_eq!(text(&app, uri).await, "token 1");
    left.abort();
    settle().await;
    assert_eq!(text(&app, uri).await, "token 2");
}

/// Whether there is a response by which a condition could be judged, or not.
#[tokio::test]
async fn a_condition_on_a_response_that_never_comes_holds() {
    let by_code =
        Condition::when(|flow| flow.named("response.status.code").as_deref() == Some("200"));
    let of_request = Condition::when(|flow| flow.named("request.verb").as_deref() == Some("PUT"));
    for (when, drops) in [
        ("response.status.code < 400".into(), true),
        (
            r#"request.verb = "GET" and response.header.changed = "1""#.into(),
            true,
        ),
        (
            r#"request.verb = "PUT" and response.status.code < 400"#.into(),
            false,
        ),
        (r#"request.verb = "PUT""#.into(), false),
        (by_code, true),
        (of_request, false),
    ] {
        let context = format!("{when:?}");
        let (_, proxy, _) = setup();
        let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
        let uri = "/?client_id=a";
        text(&app, uri).await;
        let never = any(std::future::pending::<()>);
        let never = never.layer(proxy.layer(drop_entry(token_key())).unwrap().when(when));
        let never = Router::new().route("/", never);
        let left = tokio::spawn(async move { get(&never, uri).await });
        settle().await;
        left.abort();
        settle().await;
        let token = if drops { "token 2" } else { "token 1" };
        assert_eq!(text(&app, uri).await, token, "{context}");
    }
}

/// A closure that panics is not asked again while its panic unwinds, which would end the process.
#[tokio::test]
async fn a_condition_that_panics_does_so_once() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    let layer = proxy.layer(drop_entry(token_key())).unwrap();
    let layer = layer.when(Condition::when(|_| panic!("of the condition")));
    let drop = Router::new().route("/", any(|| async {}).layer(layer));
    let panicked = tokio::spawn(async move { get(&drop, uri).await }).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(text(&app, uri).await, "token 2");
}

/// Child entries are known by their fragments: what else is in the key may be missing, or too long.
#[tokio::test]
async fn child_entries_need_nothing_but_fragments() {
    let user = || CacheKey::new().reference("request.header.user");
    let unset = CacheContext::new().application(revalidate::gateway::Value::of("nobody"));
    for policy in [
        drop_entry(user().prefix("x".repeat(3000))),
        drop_entry(user()).scope(Scope::Application).context(unset),
    ] {
        let (_, proxy, _) = setup();
        let (app, _) = app(&proxy, find(user()), keep(user()));
        let ann = || with("/", &[("user", "ann")]);
        let purge = dropping(&proxy, policy.clone().purge_child_entries());
        send(&app, ann()).await;
        send(&dropping(&proxy, policy), ann()).await;
        assert_eq!(send(&app, ann()).await.text(), "token 1");
        send(&purge, ann()).await;
        assert_eq!(send(&app, ann()).await.text(), "token 2");
    }
}

/// What is too long to be a fragment of any entry drops nothing, and above all not everything.
#[tokio::test]
async fn a_fragment_that_no_entry_has_drops_nothing() {
    let (_, proxy, _) = setup();
    let user = || CacheKey::new().reference("request.header.user");
    let (app, _) = app(&proxy, find(user()), keep(user()));
    let ann = || with("/", &[("user", "ann")]);
    send(&app, ann()).await;
    let purge = dropping(&proxy, drop_entry(user()).purge_child_entries());
    let purge = purge.layer(axum::middleware::from_fn(shown_key));
    // As long as a key of the engine's just may not be.
    let long = "x".repeat((64 << 10) - 16);
    for user in [&[("user", &*long)][..], &[("user", ""); 40]] {
        let reply = send(&purge, with("/", user)).await;
        assert_eq!(reply.header("x-fault"), Some("KeyUnresolved"));
    }
    send(&purge, with("/", &[("user", &",".repeat(2000))])).await;
    assert_eq!(send(&app, ann()).await.text(), "token 1");
}

/// A header that is sent twice begins with its first value, and is what a proxy would make one of.
#[tokio::test]
async fn child_entries_are_known_by_the_first_of_several_values() {
    let key = || {
        CacheKey::new()
            .reference("request.header.user")
            .literal("orders")
    };
    let user = || CacheKey::new().reference("request.header.user");
    let both = [("user", "ann"), ("user", "bob")];
    let joined = [("user", "ann, bob")];
    for (purged, gone) in [
        (&both[..1], [true, false, true, false]),
        (&both[1..], [false, false, false, true]),
        (&both[..], [true, false, false, false]),
        (&joined[..], [true, true, false, false]),
        (&[("user", "ann,bob")][..], [true, false, false, false]),
        (&[("user", "an")][..], [false; 4]),
    ] {
        let (_, proxy, _) = setup();
        let (app, made) = app(&proxy, find(key()), keep(key()));
        let callers = [&both[..], &joined[..], &both[..1], &both[1..]];
        for caller in callers {
            send(&app, with("/", caller)).await;
        }
        assert_eq!(made.get(), 4, "each is another caller");
        let purge = dropping(&proxy, drop_entry(user()).purge_child_entries());
        send(&purge, with("/", purged)).await;
        for (caller, gone) in callers.into_iter().zip(gone) {
            let before = made.get();
            send(&app, with("/", caller)).await;
            assert_eq!(made.get() > before, gone, "{purged:?} {caller:?}");
        }
    }
}

#[tokio::test]
async fn an_entry_goes_with_all_that_it_is_divided_into() {
    let (_, proxy, _) = setup();
    let (app, asked) = cached(&proxy, responses().use_accept_header(true));
    let drop = drop_entry(CacheKey::new().reference("request.uri"));
    let drop = Router::new().fallback(any(|| async {}).layer(proxy.layer(drop).unwrap()));
    let requests = || {
        [
            with("/a", &[]),
            with("/a", &[("accept", "text/html")]),
            with("/b", &[]),
        ]
    };
    for _ in 0..2 {
        for request in requests() {
            send(&app, request).await;
        }
    }
    assert_eq!(asked.get(), 3);
    get(&drop, "/a").await;
    for request in requests() {
        send(&app, request).await;
    }
    assert_eq!(asked.get(), 5);
}
