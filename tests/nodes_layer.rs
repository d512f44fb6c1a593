//! Responses on several nodes: what one node's layer stored the others serve, and what one invalidates
//! none of them does.
#![cfg(feature = "axum")]

#[path = "../cache-core/tests/nodes/cluster.rs"]
mod cluster;
mod layer_support;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get as on_get;
use cluster::{Cluster, settle};
use http::header::{AGE, ETAG};
use http::{HeaderValue, Request, StatusCode};
use layer_support::{
    Bypass, Cache, CacheLayer, CachePolicy, Count, Life, Reply, SECOND, cache_tag, fed, get, open,
    request, send, with,
};
use tower::Layer;

fn layer(cache: &Cache) -> CacheLayer {
    CacheLayer::new().name("site").cache(cache.clone())
}

/// Pages that say how often they were made, for an hour, with a tag known only when they are made.
fn pages(cache: &Cache, made: &Count) -> Router {
    let made = made.clone();
    let page = move |Path(id): Path<u64>| async move {
        cache_tag(format!("row:{id}"));
        format!("page {id}, made {}", made.up())
    };
    Router::new()
        .route("/pages/{id}", on_get(page).put(|| async { "changed" }))
        .layer(layer(cache).ttl("1h").tags(["pages"]))
}

/// One answer to everything.
fn always(
    cache: &Cache,
    made: &Count,
    told: impl Fn(CacheLayer) -> CacheLayer,
    answer: fn(usize, http::HeaderMap) -> Response,
) -> Router {
    let made = made.clone();
    let handler = move |headers: http::HeaderMap| async move { answer(made.up(), headers) };
    Router::new().fallback(handler).layer(told(layer(cache)))
}

fn hour(layer: CacheLayer) -> CacheLayer {
    layer.ttl("1h")
}

async fn found_remotely(router: &Router, uri: &str) -> Reply {
    let reply = get(router, uri).await;
    assert!(reply.own().ends_with("detail=remote"), "{reply:?}");
    reply.assert_hit();
    reply
}

#[tokio::test]
async fn a_response_that_one_node_made_is_served_by_another() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let nodes = [pages(&cluster[0], &made), pages(&cluster[1], &made)];
    let first = get(&nodes[0], "/pages/1").await;
    first.assert_miss("never-stored");
    cluster.settled().await;
    let second = found_remotely(&nodes[1], "/pages/1").await;
    assert_eq!(second.own(), "revalidate; hit; ttl=3600; detail=remote");
    assert_eq!(
        (second.status, second.text()),
        (StatusCode::OK, "page 1, made 1")
    );
    assert_eq!(second.headers[ETAG], first.headers[ETAG]);
    // From now on it has it itself.
    let third = get(&nodes[1], "/pages/1").await;
    assert_eq!(third.own(), "revalidate; hit; ttl=3600");
    assert_eq!((made.get(), cluster[1].stats().loads), (1, 0));
    let stats = cluster[1].stats().remote.unwrap();
    assert_eq!((stats.hits, stats.misses), (1, 0));
}

#[tokio::test]
async fn what_comes_to_one_node_at_once_is_asked_for_once() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let nodes = [pages(&cluster[0], &made), pages(&cluster[1], &made)];
    get(&nodes[0], "/pages/1").await;
    cluster.settled().await;
    let (one, other) = tokio::join!(get(&nodes[1], "/pages/1"), get(&nodes[1], "/pages/1"));
    assert_eq!(
        (one.text(), other.text()),
        ("page 1, made 1", "page 1, made 1")
    );
    assert_eq!(cluster[1].stats().remote.unwrap().hits, 1);
}

#[tokio::test]
async fn every_invalidation_reaches_the_other_node() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let nodes = [pages(&cluster[0], &made), pages(&cluster[1], &made)];
    for (round, invalidate) in ["layer", "row", "path", "unsafe", "soft"]
        .iter()
        .enumerate()
    {
        let before = get(&nodes[0], "/pages/1").await;
        cluster.settled().await;
        // Also what it took over.
        assert_eq!(get(&nodes[1], "/pages/1").await.text(), before.text());
        assert_eq!(made.get(), round + 1, "before {invalidate}");
        match *invalidate {
            "layer" => drop(cluster[1].invalidate_cache("pages")),
            "row" => drop(cluster[0].invalidate_cache("row:1")),
            "path" => drop(cluster[1].revalidate_path("/pages/{id}")),
            "unsafe" => {
                let change = Request::put("/pages/1").body(Body::empty()).unwrap();
                assert_eq!(send(&nodes[0], change).await.text(), "changed");
            }
            _ => drop(cluster[0].revalidate_tag("pages")),
        }
        cluster.settled().await;
        let reread = get(&nodes[1], "/pages/1").await;
        assert_ne!(reread.text(), before.text(), "after {invalidate}");
        cluster.settled().await;
        assert_eq!(get(&nodes[0], "/pages/1").await.text(), reread.text());
    }
}

#[tokio::test]
async fn an_invalidation_that_races_a_recording_on_the_other_node_wins() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let (feed, body) = fed();
    let body = Arc::new(Mutex::new(Some(body)));
    let slow = Router::new()
        .route(
            "/pages/{id}",
            on_get(move || {
                let body = body.lock().unwrap().take();
                async move { Response::new(body.unwrap_or_else(|| Body::from("again"))) }
            }),
        )
        .layer(layer(&cluster[1]).ttl("1h").tags(["pages"]));
    let quick = pages(&cluster[0], &made);
    let mut recorded = open(&slow, request("/pages/1")).await;
    feed.send(Ok("old".into())).unwrap();
    settle().await;
    // Before the server has heard of the entry, and before its node has heard of the invalidation.
    let told = cluster[0].invalidate_cache("pages").await.unwrap();
    drop(feed);
    let body = http_body_util::BodyExt::collect(recorded.body_mut()).await;
    assert_eq!(body.unwrap().to_bytes(), "old");
    cluster.settled().await;
    assert!(!cluster.holds("old"));
    let bookmark = told.bookmark.unwrap();
    let reply = cluster[1].read_after(&bookmark, get(&slow, "/pages/1"));
    assert_eq!(reply.await.text(), "again");
    assert_ne!(get(&quick, "/pages/1").await.text(), "old");
}

#[tokio::test]
async fn each_variant_is_found_by_what_selects_it() {
    fn greeting(made: usize, headers: http::HeaderMap) -> Response {
        let language = headers
            .get("x-language")
            .map_or("none", |l| l.to_str().unwrap());
        ([("vary", "x-language")], format!("{language} {made}")).into_response()
    }
    let (cluster, made) = (Cluster::new(3).await, Count::default());
    let node = |cache| always(cache, &made, hour, greeting);
    let nodes = [node(&cluster[0]), node(&cluster[1]), node(&cluster[2])];
    let ask = async |node: usize, language: &str| {
        let reply = send(&nodes[node], with("/", &[("x-language", language)])).await;
        cluster.settled().await;
        reply
    };
    assert_eq!(ask(0, "de").await.text(), "de 1");
    assert_eq!(ask(0, "fr").await.text(), "fr 2");
    // It knows neither the names nor the responses.
    assert_eq!(ask(1, "de").await.text(), "de 1");
    assert_eq!(ask(1, "fr").await.text(), "fr 2");
    assert_eq!(ask(1, "fr").await.own(), "revalidate; hit; ttl=3600");
    // What is new under known names is found under them.
    assert_eq!(ask(1, "it").await.text(), "it 3");
    assert_eq!(ask(2, "it").await.text(), "it 3");
    assert_eq!(ask(0, "it").await.text(), "it 3");
    assert_eq!(made.get(), 3);
}

#[tokio::test]
async fn a_response_found_current_is_current_on_the_other_node() {
    fn current(made: usize, headers: http::HeaderMap) -> Response {
        let fields = [("etag", "\"1\""), ("cache-control", "max-age=60")];
        match headers.contains_key("if-none-match") {
            true => (StatusCode::NOT_MODIFIED, fields).into_response(),
            false => (fields, format!("made {made}")).into_response(),
        }
    }
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let node = |cache| always(cache, &made, |layer| layer, current);
    let nodes = [node(&cluster[0]), node(&cluster[1])];
    get(&nodes[0], "/").await;
    cluster.settled().await;
    cluster.pass(61 * SECOND).await;
    assert_eq!(get(&nodes[0], "/").await.text(), "made 1");
    assert_eq!(made.get(), 2, "it was validated");
    cluster.settled().await;
    assert_eq!(found_remotely(&nodes[1], "/").await.text(), "made 1");
    assert_eq!(made.get(), 2);
    // And it is validated there as here.
    cluster.pass(61 * SECOND).await;
    assert_eq!(get(&nodes[1], "/").await.text(), "made 1");
    assert_eq!(made.get(), 3);
}

#[tokio::test]
async fn conditions_ranges_and_heads_are_answered_from_what_was_found() {
    let (cluster, made) = (Cluster::new(3).await, Count::default());
    let node = |cache| pages(cache, &made);
    let nodes = [node(&cluster[0]), node(&cluster[1]), node(&cluster[2])];
    let etag = get(&nodes[0], "/pages/1").await.headers[ETAG].clone();
    cluster.settled().await;
    // Also where the request that finds it has a condition.
    let tag = etag.to_str().unwrap();
    let reply = send(&nodes[1], with("/pages/1", &[("if-none-match", tag)])).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::NOT_MODIFIED, ""));
    assert!(reply.own().ends_with("detail=remote"), "{reply:?}");
    found_remotely(&nodes[2], "/pages/1").await;
    let range = send(&nodes[2], with("/pages/1", &[("range", "bytes=0-3")])).await;
    assert_eq!(
        (range.status, range.text()),
        (StatusCode::PARTIAL_CONTENT, "page")
    );
    let head = Request::head("/pages/1").body(Body::empty()).unwrap();
    let head = send(&nodes[2], head).await;
    assert_eq!(head.header("content-length"), Some("14"));
    assert_eq!(made.get(), 1);
}

#[tokio::test]
async fn age_counts_from_the_node_that_asked() {
    fn aged(_: usize, _: http::HeaderMap) -> Response {
        ([("age", "7"), ("cache-control", "max-age=100")], "x").into_response()
    }
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let node = |cache| always(cache, &made, |layer| layer, aged);
    let nodes = [node(&cluster[0]), node(&cluster[1])];
    get(&nodes[0], "/").await;
    cluster.settled().await;
    cluster.pass(10 * SECOND).await;
    let reply = found_remotely(&nodes[1], "/").await;
    assert_eq!(reply.headers[AGE], "17");
    assert_eq!(reply.own(), "revalidate; hit; ttl=83; detail=remote");
    cluster.pass(5 * SECOND).await;
    assert_eq!(get(&nodes[1], "/").await.headers[AGE], "22");
    cluster.pass(79 * SECOND).await;
    get(&nodes[1], "/").await.assert_miss("expired");
    assert_eq!(made.get(), 2);
}

#[tokio::test]
async fn what_is_stale_in_its_window_is_served_and_refreshed() {
    fn made(made: usize, _: http::HeaderMap) -> Response {
        made.to_string().into_response()
    }
    let (cluster, count) = (Cluster::new(2).await, Count::default());
    let life = |layer: CacheLayer| layer.ttl(Life::from_secs(60).stale_while_revalidate("1h"));
    let nodes = [
        always(&cluster[0], &count, life, made),
        always(&cluster[1], &count, life, made),
    ];
    get(&nodes[0], "/").await;
    cluster.settled().await;
    cluster.pass(70 * SECOND).await;
    let stale = get(&nodes[1], "/").await;
    assert_eq!(
        (stale.text(), &*stale.own()),
        ("1", "revalidate; hit; ttl=-11; detail=stale")
    );
    assert_eq!(get(&nodes[1], "/").await.text(), "1");
    cluster.settled().await;
    assert_eq!(get(&nodes[1], "/").await.text(), "2");
    // The refresh of the other takes what is fresh there by now.
    assert_eq!(get(&nodes[0], "/").await.text(), "1");
    cluster.settled().await;
    assert_eq!(get(&nodes[0], "/").await.text(), "2");
    assert_eq!(count.get(), 2);
}

#[tokio::test]
async fn a_node_that_is_cut_off_loads_for_itself() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let nodes = [pages(&cluster[0], &made), pages(&cluster[1], &made)];
    get(&nodes[0], "/pages/1").await;
    cluster.settled().await;
    cluster.server.set_reachable(false);
    settle().await;
    assert_eq!(get(&nodes[1], "/pages/1").await.text(), "page 1, made 2");
    get(&nodes[1], "/pages/1").await.assert_hit();
    // And no longer than the bound.
    cluster.pass(6 * SECOND).await;
    assert_eq!(get(&nodes[1], "/pages/1").await.text(), "page 1, made 3");
}

/// The origin's being out of reach as well is no reason to show what others may have invalidated.
#[tokio::test]
async fn what_is_not_proven_stands_in_for_no_origin_that_cannot_be_reached() {
    let (cluster, made) = (Cluster::new(1).await, Count::default());
    let proxy = |_| CacheLayer::shared_proxy().cache(cluster[0].clone());
    let once = |made, _| match made {
        1 => ([("cache-control", "max-age=3600")], "page").into_response(),
        _ => StatusCode::GATEWAY_TIMEOUT.into_response(),
    };
    let node = always(&cluster[0], &made, proxy, once);
    get(&node, "/a").await.assert_miss("never-stored");
    cluster.server.set_reachable(false);
    cluster.pass(6 * SECOND).await;
    assert_eq!(get(&node, "/a").await.status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn nothing_of_one_caller_goes_to_the_server() {
    fn secret(_: usize, headers: http::HeaderMap) -> Response {
        let said =
            |name: &'static str, value: &'static str| ([(name, value)], "secret").into_response();
        match headers.get("x-case").map(HeaderValue::as_bytes) {
            Some(b"cookie") => said("set-cookie", "secret=1"),
            Some(b"private") => said("cache-control", "private, max-age=60"),
            Some(b"no-store") => said("cache-control", "no-store"),
            Some(b"no-cache") => said("cache-control", "no-cache"),
            Some(b"error") => (StatusCode::INTERNAL_SERVER_ERROR, "secret").into_response(),
            Some(b"policy") => (CachePolicy::no_store(), "secret").into_response(),
            Some(b"any") => said("vary", "*"),
            _ => "secret".into_response(),
        }
    }
    let (cluster, made) = (Cluster::new(1).await, Count::default());
    let node = always(&cluster[0], &made, hour, secret);
    let cases = [
        "cookie", "private", "no-store", "no-cache", "error", "policy", "any",
    ];
    for (asked, case) in cases.iter().enumerate() {
        let uri = format!("/{case}");
        let reply = send(&node, with(&uri, &[("x-case", case)])).await;
        assert_eq!((reply.text(), made.get()), ("secret", asked + 1), "{case}");
        cluster.settled().await;
        assert!(!cluster.holds("secret"), "{case}");
    }
    // Who is let in, and who says what is not in the key.
    for header in ["authorization", "cookie"] {
        let reply = send(&node, with("/own", &[(header, "mine")])).await;
        assert_eq!(reply.text(), "secret");
        cluster.settled().await;
        assert!(!cluster.holds("secret"), "{header}");
    }
    let sent = || {
        let stats = cluster[0].stats().remote.unwrap();
        (stats.shared, stats.unshared)
    };
    assert_eq!(sent(), (0, 0), "it is not tried");
    // It would find it.
    get(&node, "/all").await;
    cluster.settled().await;
    assert!(cluster.holds("secret"));
    assert_eq!(sent(), (1, 0));
}

#[tokio::test]
async fn what_others_could_not_serve_is_not_sent() {
    fn validated(_: usize, _: http::HeaderMap) -> Response {
        ([("etag", "\"1\""), ("cache-control", "no-cache")], "x").into_response()
    }
    let (cluster, made) = (Cluster::new(1).await, Count::default());
    let sent = || {
        let stats = cluster[0].stats().remote.unwrap();
        (stats.shared, stats.unshared)
    };
    // It is stored, and asked about at each reuse.
    let proxy = CacheLayer::shared_proxy().name("proxy");
    let node = always(
        &cluster[0],
        &made,
        |_| proxy.clone().cache(cluster[0].clone()),
        validated,
    );
    let reply = get(&node, "/").await;
    assert!(reply.own().contains("; stored"), "{reply:?}");
    // One that was overtaken here.
    let (feed, body) = fed();
    let body = Arc::new(Mutex::new(Some(body)));
    let answer = tower::service_fn(move |_: Request<Body>| {
        let body = body.lock().unwrap().take().expect("it is asked once");
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let layer = layer(&cluster[0]).ttl("1h").tags(["pages"]);
    let slow = layer.layer(answer);
    let recorded = open(&slow, request("/")).await;
    drop(cluster[0].invalidate_cache("pages"));
    drop(feed);
    Reply::of(recorded).await;
    cluster.settled().await;
    assert_eq!(sent(), (0, 0));
}

#[tokio::test]
async fn requests_that_pass_by_do_not_ask() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let nodes = [pages(&cluster[0], &made), pages(&cluster[1], &made)];
    get(&nodes[0], "/pages/1").await;
    cluster.settled().await;
    let asked = || {
        let stats = cluster[1].stats().remote.unwrap();
        stats.hits + stats.misses
    };
    let mut bypass = request("/pages/1");
    bypass.extensions_mut().insert(Bypass);
    let with_cookie = with("/pages/1", &[("cookie", "a=1")]);
    for (request, text) in [(bypass, "page 1, made 2"), (with_cookie, "page 1, made 3")] {
        assert_eq!(send(&nodes[1], request).await.text(), text);
    }
    let change = Request::put("/pages/2").body(Body::empty()).unwrap();
    send(&nodes[1], change).await;
    assert_eq!(asked(), 0);
    // It would count.
    found_remotely(&nodes[1], "/pages/1").await;
    assert_eq!(asked(), 1);
}

#[tokio::test]
async fn a_route_that_never_stores_is_not_asked_for() {
    let (cluster, made) = (Cluster::new(1).await, Count::default());
    let made_by = made.clone();
    let page = move || async move {
        made_by.up();
        "it says of no response that it may be stored"
    };
    let node = Router::new()
        .route("/{page}", on_get(page))
        .layer(layer(&cluster[0]));
    let asked = || cluster[0].stats().remote.unwrap().misses;
    for page in 0..20 {
        get(&node, &format!("/{page}")).await;
    }
    let learned = asked();
    for page in 20..40 {
        get(&node, &format!("/{page}")).await;
    }
    assert_eq!((asked(), made.get()), (learned, 40));
}

#[tokio::test]
async fn a_part_is_not_asked_for() {
    let (cluster, made) = (Cluster::new(1).await, Count::default());
    let proxy = CacheLayer::shared_proxy()
        .name("proxy")
        .cache(cluster[0].clone());
    let made_by = made.clone();
    let page = move || async move {
        made_by.up();
        let fields = [
            ("content-range", "bytes 0-1/10"),
            ("cache-control", "max-age=60"),
        ];
        (StatusCode::PARTIAL_CONTENT, fields, "01")
    };
    let node = Router::new().route("/", on_get(page)).layer(proxy);
    let reply = send(&node, with("/", &[("range", "bytes=0-1")])).await;
    assert_eq!(
        (reply.status, reply.text()),
        (StatusCode::PARTIAL_CONTENT, "01")
    );
    let remote = cluster[0].stats().remote.unwrap();
    assert_eq!((remote.hits + remote.misses, made.get()), (0, 1));
}

#[tokio::test]
async fn a_request_that_demands_a_new_response_gets_one_and_others_get_that() {
    let (cluster, made) = (Cluster::new(3).await, Count::default());
    let node = |cache: &Cache| {
        let made = made.clone();
        let page = move || async move { format!("made {}", made.up()) };
        let layer = layer(cache).ttl("1h").obey_request_directives(true);
        Router::new().route("/", on_get(page)).layer(layer)
    };
    let nodes = [node(&cluster[0]), node(&cluster[1]), node(&cluster[2])];
    get(&nodes[0], "/").await;
    cluster.settled().await;
    let anew = with("/", &[("cache-control", "no-cache")]);
    assert_eq!(send(&nodes[1], anew).await.text(), "made 2");
    cluster.settled().await;
    assert_eq!(get(&nodes[2], "/").await.text(), "made 2");
}

#[tokio::test]
async fn fields_and_bodies_go_as_the_bytes_they_are() {
    fn odd(_: usize, _: http::HeaderMap) -> Response {
        let mut response = Response::new(Body::from(vec![0, 159, 146, 150]));
        let headers = response.headers_mut();
        headers.insert("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        headers.append("x-twice", HeaderValue::from_static("1"));
        headers.append("x-twice", HeaderValue::from_static("2"));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response.extensions_mut().insert(CachePolicy::ttl("1h"));
        response
    }
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let node = |cache| always(cache, &made, hour, odd);
    let nodes = [node(&cluster[0]), node(&cluster[1])];
    get(&nodes[0], "/").await;
    cluster.settled().await;
    let reply = found_remotely(&nodes[1], "/").await;
    assert_eq!(reply.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(reply.body, vec![0, 159, 146, 150]);
    assert_eq!(reply.headers["x-bytes"].as_bytes(), b"\xff\xfe");
    let twice: Vec<_> = reply.headers.get_all("x-twice").iter().collect();
    assert_eq!(twice, ["1", "2"]);
}

#[tokio::test]
async fn a_body_that_is_larger_than_the_remote_takes_stays() {
    fn large(_: usize, _: http::HeaderMap) -> Response {
        // Not to be made smaller.
        let mut random = fastrand::Rng::with_seed(7);
        let bytes: Vec<u8> = (0..5000).map(|_| random.u8(..)).collect();
        bytes.into_response()
    }
    let made = Count::default();
    let cluster = Cluster::with(2, |builder| builder.max_remote_bytes(4096)).await;
    let node = |cache| always(cache, &made, hour, large);
    let nodes = [node(&cluster[0]), node(&cluster[1])];
    for node in &nodes {
        get(node, "/").await.assert_miss("never-stored");
        cluster.settled().await;
        get(node, "/").await.assert_hit();
    }
    let stats = cluster[0].stats().remote.unwrap();
    assert_eq!((stats.shared, stats.unshared, stats.too_large), (0, 1, 1));
    assert_eq!(made.get(), 2);
}

#[tokio::test]
async fn a_server_that_lost_all_is_a_miss() {
    let (cluster, made) = (Cluster::new(2).await, Count::default());
    let nodes = [pages(&cluster[0], &made), pages(&cluster[1], &made)];
    get(&nodes[0], "/pages/1").await;
    cluster.settled().await;
    cluster.server.flush();
    assert_eq!(get(&nodes[1], "/pages/1").await.text(), "page 1, made 2");
}
