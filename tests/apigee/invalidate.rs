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
