//! `LookupCache` and `PopulateCache`, and the variables of their flow.

use super::*;

#[tokio::test]
async fn a_look_up_says_what_it_did_and_leaves_the_variable_on_a_miss() {
    let (_, proxy, _) = setup();
    let key = token_key();
    let find = find(key.clone()).cache_resource("tokens");
    let made = Count::default();
    let app = Router::new()
        .route("/", tokens(&made))
        .layer(proxy.layer(keep(key).cache_resource("tokens")).unwrap())
        .layer(proxy.layer(find).unwrap());
    let app = app.layer(axum::middleware::from_fn(shown_key));
    let reply = get(&app, "/?client_id=a").await;
    assert_eq!(reply.text(), "token 1");
    assert_eq!(reply.header("x-hit"), Some("false"));
    assert_eq!(reply.header("x-name"), Some("tokens"));
    assert_eq!(reply.header("x-assignto"), Some("flow.token"));
    let key = "UserToken__apiAccessToken__a";
    assert_eq!(reply.header("x-key"), Some(key));
    let reply = get(&app, "/?client_id=a").await;
    assert_eq!(
        (reply.text(), reply.header("x-hit")),
        ("token 1", Some("true"))
    );

    let set = |mut request: Request, next: axum::middleware::Next| async move {
        let flow = Flow::new();
        flow.set("flow.token", "mine").unwrap();
        request.extensions_mut().insert(flow);
        next.run(request).await
    };
    let set = app.layer(axum::middleware::from_fn(set));
    assert_eq!(text(&set, "/?client_id=b").await, "token 2");
}

#[tokio::test]
async fn a_key_that_refers_to_nothing_is_nobodys() {
    let (_, proxy, _) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let app = app.layer(axum::middleware::from_fn(shown_key));
    for n in 1..=2 {
        let reply = get(&app, "/").await;
        assert_eq!(reply.text(), format!("token {n}"));
        assert_eq!(reply.header("x-failed"), Some("true"));
        assert_eq!(reply.header("x-fault"), Some("KeyUnresolved"));
    }
}

/// What cannot be told apart once it is read as text is no key.
#[tokio::test]
async fn a_key_of_bytes_that_are_no_text_is_nobodys() {
    let (_, proxy, _) = setup();
    let (params, _) = app(&proxy, find(token_key()), keep(token_key()));
    let key = || CacheKey::new().reference("request.header.user");
    let (headers, _) = app(&proxy, find(key()), keep(key()));
    for (n, byte) in [0xfe, 0xff].into_iter().enumerate() {
        let token = format!("token {}", n + 1);
        let uri = format!("/?client_id=%{byte:X}");
        assert_eq!(text(&params, &uri).await, token);
        let mut request = with("/", &[]);
        let value = http::HeaderValue::from_bytes(&[byte]).unwrap();
        request.headers_mut().insert("user", value);
        assert_eq!(send(&headers, request).await.text(), token);
    }
}

#[test]
fn a_look_up_has_time() {
    let timeout = |seconds: u32| {
        std::panic::catch_unwind(|| find(token_key()).lookup_timeout(seconds).timeout())
    };
    assert_eq!(timeout(5).unwrap(), Duration::from_secs(5));
    assert!(timeout(0).is_err());
    assert_eq!(find(token_key()).timeout(), Duration::from_secs(12));
}

#[tokio::test]
async fn an_entry_expires() {
    let (_, proxy, clock) = setup();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    clock.advance(599 * SECOND);
    assert_eq!(text(&app, uri).await, "token 1");
    clock.advance(SECOND);
    assert_eq!(text(&app, uri).await, "token 2");
}

#[tokio::test]
async fn what_cannot_be_cached_is_a_fault() {
    let (_, proxy, _) = setup();
    let (find, keep) = (find(token_key()), keep(token_key()));
    let keep = keep.cache_resource("small");
    let (failing, _) = app(&proxy, find.clone().cache_resource("small"), keep.clone());
    let failing = failing.layer(axum::middleware::from_fn(shown_key));
    let reply = get(&failing, "/?client_id=a").await;
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let fault: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let code = &fault["fault"]["detail"]["errorcode"];
    assert_eq!(code, "policies.populatecache.EntryCannotBeCached");
    let said = fault["fault"]["faultstring"].as_str().unwrap();
    assert!(
        said.contains("Keep: it has 7 bytes; the cache \"small\" takes values of up to 4 bytes")
    );
    assert_eq!(reply.header("x-failed"), Some("true"));
    assert_eq!(reply.header("x-fault"), Some("EntryCannotBeCached"));

    let (going_on, _) = app(
        &proxy,
        find.cache_resource("small"),
        keep.continue_on_error(true),
    );
    let going_on = going_on.layer(axum::middleware::from_fn(shown_key));
    for n in 1..=2 {
        let reply = get(&going_on, "/?client_id=a").await;
        assert_eq!(
            (reply.status, reply.text()),
            (StatusCode::OK, format!("token {n}").as_str())
        );
        assert_eq!(reply.header("x-failed"), Some("true"));
    }
}

#[tokio::test]
async fn a_value_that_is_not_there_is_not_stored_and_no_fault() {
    let (_, proxy, _) = setup();
    let route = any(|| async {}).layer(proxy.layer(keep(token_key())).unwrap());
    let app = Router::new().route("/", route);
    let app = app.layer(axum::middleware::from_fn(shown_key));
    let reply = get(&app, "/?client_id=a").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("x-fault"), Some("SourceUnset"));
}

/// A handler reads its data, the data changes and its entry is dropped, and only then the handler's old
/// value would be stored.
#[tokio::test]
async fn an_invalidation_wins_over_a_value_that_was_read_before_it() {
    let drops = [
        drop_entry(token_key()),
        drop_entry(CacheKey::new().literal("apiAccessToken")).purge_child_entries(),
        drop_entry(CacheKey::new()).purge_all(),
    ];
    for policy in drops {
        let (_, proxy, _) = setup();
        let (read, go_on) = (
            std::sync::Arc::new(Notify::new()),
            std::sync::Arc::new(Notify::new()),
        );
        let (has_read, may_go) = (read.clone(), go_on.clone());
        let slow = any(move |Extension(flow): Extension<Flow>| async move {
            flow.set("flow.token", "old").unwrap();
            has_read.notify_one();
            may_go.notified().await;
        });
        let slow = Router::new().route("/", slow.layer(proxy.layer(keep(token_key())).unwrap()));
        let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
        let uri = "/?client_id=a";
        let slow = tokio::spawn(async move { get(&slow, uri).await });
        read.notified().await;
        get(&dropping(&proxy, policy), uri).await;
        go_on.notify_one();
        slow.await.unwrap();
        assert_eq!(text(&app, uri).await, "token 1");
        assert_eq!(text(&app, uri).await, "token 1");
    }
}

/// What a look-up found before the invalidation is as old, whoever stores it again.
#[tokio::test]
async fn a_flow_began_before_all_that_it_found() {
    let (_, proxy, _) = setup();
    let copy = CacheKey::new().literal("copy");
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    let drop = dropping(&proxy, drop_entry(copy.clone()).scope(Scope::Global));
    let between = move |request: Request, next: axum::middleware::Next| {
        let drop = drop.clone();
        async move {
            get(&drop, uri).await;
            next.run(request).await
        }
    };
    let keep = keep(copy.clone()).scope(Scope::Global);
    let copying = Router::new()
        .route("/", any(|| async {}))
        .layer(proxy.layer(keep).unwrap())
        .layer(axum::middleware::from_fn(between))
        .layer(proxy.layer(find(token_key())).unwrap());
    get(&copying, uri).await;
    let read = find(copy).scope(Scope::Global);
    let made = Count::default();
    let read = tokens(&made).layer(proxy.layer(read).unwrap());
    assert_eq!(text(&Router::new().route("/", read), uri).await, "token 1");
    assert_eq!(made.get(), 1, "the copy was stored");
}

#[tokio::test]
async fn a_clients_address_is_no_header_of_its_own() {
    let (_, proxy, _) = setup();
    let key = || CacheKey::new().reference("client.ip");
    let from = |header: &str| with("/", &[("x-forwarded-for", header)]);
    let (plain, _) = app(&proxy, find(key()), keep(key()));
    for n in 1..=2 {
        assert_eq!(
            send(&plain, from("1.1.1.1")).await.text(),
            format!("token {n}")
        );
    }
    let peer = axum::extract::ConnectInfo(std::net::SocketAddr::from(([2, 2, 2, 2], 80)));
    let peers = plain.layer(Extension(peer));
    for header in ["1.1.1.1", "3.3.3.3"] {
        assert_eq!(send(&peers, from(header)).await.text(), "token 3");
    }
    let told = proxy.trusted_client_ip_header("x-forwarded-for");
    let (told, _) = app(&told, find(key()), keep(key()));
    for (header, token) in [
        ("1.1.1.1", "token 1"),
        ("9.9.9.9, 1.1.1.1", "token 1"),
        ("4.4.4.4", "token 2"),
        ("2.2.2.2", "token 3"),
    ] {
        assert_eq!(send(&told, from(header)).await.text(), token);
    }
}

/// What is stored holds on to nothing but itself.
#[tokio::test]
async fn a_slice_is_stored_without_what_it_was_cut_from() {
    struct Document(Count);
    impl AsRef<[u8]> for Document {
        fn as_ref(&self) -> &[u8] {
            &[b'x'; 100_000]
        }
    }
    impl Drop for Document {
        fn drop(&mut self) {
            self.0.up();
        }
    }
    let (_, proxy, _) = setup();
    let dropped = Count::default();
    let told = dropped.clone();
    let cut = any(move |Extension(flow): Extension<Flow>| async move {
        let document = bytes::Bytes::from_owner(Document(told));
        flow.set("flow.token", document.slice(..3)).unwrap();
    });
    let cut = Router::new().route("/", cut.layer(proxy.layer(keep(token_key())).unwrap()));
    get(&cut, "/?client_id=a").await;
    assert_eq!(dropped.get(), 1);
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    assert_eq!(text(&app, "/?client_id=a").await, "xxx");
}

#[tokio::test]
async fn a_host_is_a_header_also_where_it_is_part_of_the_uri() {
    let (_, proxy, _) = setup();
    let key = || {
        CacheKey::new()
            .reference("request.uri")
            .reference("request.header.host")
    };
    let (app, _) = app(&proxy, find(key()), keep(key()));
    for (request, token) in [
        (with("/", &[("host", "a")]), "token 1"),
        (with("/", &[("host", "b")]), "token 2"),
        (with("http://a/", &[]), "token 1"),
        (with("http://a/", &[("host", "b")]), "token 2"),
        (with("/", &[]), "token 3"),
        (with("/", &[]), "token 4"),
    ] {
        assert_eq!(send(&app, request).await.text(), token);
    }
}
