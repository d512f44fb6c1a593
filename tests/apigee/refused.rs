//! Invalidations that are refused, since the cache is guarded and their caller is no administrator.

use cache_core::Caller;
use cache_core::spi::called_by;

use super::*;

fn guarded() -> Proxy {
    let cache = Cache::builder().guard_invalidation(true).build();
    environment(&cache).proxy("weatherapi")
}

fn called_by_a_member(app: Router) -> Router {
    let app = app.layer(axum::middleware::from_fn(
        |request: Request, next: axum::middleware::Next| {
            called_by(Caller::member("ann"), next.run(request))
        },
    ));
    app.layer(axum::middleware::from_fn(shown_key))
}

#[tokio::test]
async fn an_invalidation_that_is_refused_is_a_fault() {
    let proxy = guarded();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    for policy in [
        drop_entry(token_key()),
        drop_entry(CacheKey::new().literal("apiAccessToken")).purge_child_entries(),
        drop_entry(CacheKey::new()).purge_all(),
    ] {
        let drop = called_by_a_member(dropping(&proxy, policy.clone()));
        let reply = get(&drop, uri).await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(
            reply
                .text()
                .contains("policies.invalidatecache.InvalidationRefused")
        );
        assert!(
            reply.text().contains("Drop dropped nothing: the caller"),
            "{}",
            reply.text()
        );
        assert_eq!(reply.header("x-undropped"), Some("true"));

        let drop = called_by_a_member(dropping(&proxy, policy.continue_on_error(true)));
        let reply = get(&drop, uri).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("x-undropped"), Some("true"));
        assert_eq!(reply.header("x-fault"), Some("InvalidationRefused"));
    }
    assert_eq!(text(&app, uri).await, "token 1");
    get(&dropping(&proxy, drop_entry(token_key())), uri).await;
    assert_eq!(text(&app, uri).await, "token 2");
}

#[tokio::test]
async fn what_names_nothing_is_said_and_no_fault() {
    let (_, proxy, _) = setup();
    for policy in [
        drop_entry(token_key()),
        drop_entry(token_key()).purge_child_entries(),
    ] {
        let drop = dropping(&proxy, policy).layer(axum::middleware::from_fn(shown_key));
        let reply = get(&drop, "/").await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.header("x-undropped"), Some("true"));
        assert_eq!(reply.header("x-fault"), Some("KeyUnresolved"));
        let reply = get(&drop, "/?client_id=a").await;
        assert_eq!(reply.header("x-undropped"), Some("false"));
        assert_eq!(reply.header("x-fault"), None);
    }
}

#[tokio::test]
async fn a_flush_that_is_refused_is_a_fault() {
    let proxy = guarded();
    let cache = Cache::builder().guard_invalidation(true).build();
    let may = |_: &http::request::Parts| std::future::ready(true);
    let by_policy = proxy.flush_by_header("x-flush", drop_entry(token_key()), may);
    let by_tags = revalidate::gateway::FlushByHeader::tags(&cache, "x-flush", may);
    let route = || Router::new().route("/", any(|| async {}));
    for flush in [route().layer(by_policy.unwrap()), route().layer(by_tags)] {
        let flush = called_by_a_member(flush);
        let reply = send(&flush, with("/?client_id=a", &[("x-flush", "a")])).await;
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(
            reply.text().contains("InvalidationRefused"),
            "{}",
            reply.text()
        );
    }
}

/// Who leaves before the answer may no more than who waits for it.
#[tokio::test]
async fn an_invalidation_whose_caller_leaves_is_refused_too() {
    let proxy = guarded();
    let (app, _) = app(&proxy, find(token_key()), keep(token_key()));
    let uri = "/?client_id=a";
    text(&app, uri).await;
    for (caller, failed, token) in [
        (Caller::member("ann"), "true", "token 1"),
        (Caller::admin("bob"), "false", "token 2"),
    ] {
        let never = any(std::future::pending::<()>);
        let never = never.layer(proxy.layer(drop_entry(token_key())).unwrap());
        let never = Router::new().route("/", never);
        let flow = Flow::new();
        let mut request = with(uri, &[]);
        request.extensions_mut().insert(flow.clone());
        let asking = async move { send(&never, request).await };
        let left = tokio::spawn(called_by(caller, asking));
        settle().await;
        left.abort();
        settle().await;
        let noted = flow.get("invalidatecache.Drop.failed");
        assert_eq!(noted.as_deref(), Some(failed));
        assert_eq!(text(&app, uri).await, token);
    }
}
