//! Functions on several nodes: what their attributes say of how far values go, and what each node hears of
//! the others' calls.
#![cfg(feature = "axum")]

#[path = "../cache-core/tests/nodes/cluster.rs"]
mod cluster;

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cluster::Cluster;
use revalidate::{Cache, CachePolicy, revalidate_path, web_method};
use serde::{Deserialize, Serialize};

/// Runs a call as on one of the nodes, and lets all hear of it.
macro_rules! on {
    ($cluster:expr, $node:expr, $call:expr) => {{
        let output = $cluster[$node].enter(async { $call.await }).await;
        $cluster.settled().await;
        output
    }};
}

fn counter(of: &AtomicU64) -> u64 {
    of.fetch_add(1, Ordering::SeqCst) + 1
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u64,
    made: u64,
}

static ROWS: AtomicU64 = AtomicU64::new(0);

#[web_method(cache(remote, tags = ["row:{id}"], ttl = "1h"))]
async fn row(id: u64) -> Row {
    Row {
        id,
        made: counter(&ROWS),
    }
}

#[tokio::test]
async fn what_one_node_loaded_the_other_has_until_any_drops_it() {
    let cluster = Cluster::new(2).await;
    let read = async |node: usize, id: u64| on!(cluster, node, row(id));
    let first = read(0, 1).await;
    assert_eq!(read(1, 1).await, first);

    on!(cluster, 1, async { row::remove_cached(1).await.unwrap() });
    let second = read(0, 1).await;
    assert_ne!(second, first);
    assert_eq!(read(1, 1).await, second);

    on!(cluster, 0, async { row::clear().await.unwrap() });
    let third = read(1, 1).await;
    assert_ne!(third, second);
    assert_eq!(read(0, 1).await, third);

    on!(cluster, 0, async {
        revalidate::invalidate_cache("row:1").await.unwrap()
    });
    let fourth = read(1, 1).await;
    assert_ne!(fourth, third);
    assert_eq!(read(0, 1).await, fourth);
}

static PRICES: AtomicU64 = AtomicU64::new(0);

#[web_method(cache(local, ttl = "1h"))]
async fn price() -> u64 {
    counter(&PRICES)
}

#[tokio::test]
async fn what_is_meant_to_be_local_is_so_and_not_counted() {
    let cluster = Cluster::new(2).await;
    assert_eq!((on!(cluster, 0, price()), on!(cluster, 1, price())), (1, 2));
    assert_eq!(on!(cluster, 0, price()), 1);
    let stats = cluster[0].stats().remote.unwrap();
    assert_eq!((stats.local_only, stats.shared, stats.unshared), (0, 0, 0));
    assert_eq!((stats.hits, stats.misses), (0, 0));
}

#[derive(Clone, Debug, PartialEq)]
struct Opaque(u64);

impl revalidate::CacheWeight for Opaque {}

static OPAQUE: AtomicU64 = AtomicU64::new(0);

#[web_method(cache(ttl = "1h"))]
async fn opaque(of: u64) -> Opaque {
    Opaque(of + 10 * counter(&OPAQUE))
}

#[tokio::test]
async fn what_no_other_node_can_read_stays_and_is_counted() {
    let cluster = Cluster::new(2).await;
    assert_eq!(on!(cluster, 0, opaque(1)), Opaque(11));
    assert_eq!(on!(cluster, 0, opaque(2)), Opaque(22));
    assert_eq!(on!(cluster, 1, opaque(1)), Opaque(31));
    assert_eq!(on!(cluster, 0, opaque(1)), Opaque(11));
    let stats = cluster[0].stats().remote.unwrap();
    assert_eq!((stats.local_only, stats.shared), (2, 0));
}

static ANSWERS: AtomicU64 = AtomicU64::new(0);

#[web_method(cache(remote, ttl = "1h"))]
async fn answer(kind: String) -> Response {
    let made = counter(&ANSWERS);
    let body = format!("{kind} {made}");
    match &*kind {
        "policy" => (CachePolicy::ttl("5m").tags(["x"]), body).into_response(),
        "extension" => (axum::Extension(made), body).into_response(),
        "private" => ([("cache-control", "private")], body).into_response(),
        _ => (
            StatusCode::CREATED,
            [(
                "x-bytes",
                axum::http::HeaderValue::from_bytes(b"\xff").unwrap(),
            )],
            body,
        )
            .into_response(),
    }
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1000).await;
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn responses_of_handlers_go_to_other_nodes() {
    let cluster = Cluster::new(2).await;
    let ask = async |node: usize, kind: &str| on!(cluster, node, answer(kind.to_owned()));
    assert_eq!(text(ask(0, "plain").await).await, "plain 1");
    let found = ask(1, "plain").await;
    assert_eq!(found.status(), StatusCode::CREATED);
    assert_eq!(found.headers()["x-bytes"].as_bytes(), b"\xff");
    assert_eq!(text(found).await, "plain 1");

    // What a layer around it is told goes with it.
    assert_eq!(text(ask(0, "policy").await).await, "policy 2");
    let found = ask(1, "policy").await;
    let policy = CachePolicy::ttl("5m").tags(["x"]);
    assert_eq!(found.extensions().get::<CachePolicy>(), Some(&policy));
    assert_eq!(text(found).await, "policy 2");

    // What else it carries cannot, so that it stays where it was made.
    for (kind, one, other) in [
        ("extension", "extension 3", "extension 4"),
        ("private", "private 5", "private 6"),
    ] {
        assert_eq!(text(ask(0, kind).await).await, one);
        assert_eq!(text(ask(1, kind).await).await, other);
    }
    assert!(!cluster.holds("private") && !cluster.holds("extension 3"));
}

static PAGES: AtomicU64 = AtomicU64::new(0);

#[web_method(cache(ttl = "1h"))]
async fn listed() -> u64 {
    counter(&PAGES)
}

#[tokio::test]
async fn a_path_that_one_node_revalidates_drops_what_its_page_reads_on_the_other() {
    use tower::ServiceExt;

    let cluster = Cluster::new(2).await;
    let page = |cache: &Cache| {
        let layer = revalidate::CacheLayer::new().name("site").ttl("1h");
        let page = async || listed().await.to_string();
        axum::Router::new()
            .route("/list", axum::routing::get(page))
            .layer(layer.cache(cache.clone()))
    };
    let nodes = [page(&cluster[0]), page(&cluster[1])];
    let get = async |node: usize| {
        let request = axum::http::Request::get("/list");
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = nodes[node].clone().oneshot(request).await.unwrap();
        let text = text(response.map(axum::body::Body::new)).await;
        cluster.settled().await;
        text
    };
    assert_eq!((get(0).await, get(1).await), ("1".into(), "1".into()));
    on!(cluster, 1, async {
        revalidate_path("/list").await.unwrap()
    });
    assert_eq!((get(0).await, get(1).await), ("2".into(), "2".into()));
}

mod rates {
    use revalidate::web_method;

    pub(super) async fn of_euro(id: u64) -> u64 {
        #[web_method(cache(ttl = "1h"))]
        async fn rate(id: u64) -> u64 {
            1_000 + id
        }
        rate(id).await
    }

    pub(super) async fn of_pound(id: u64) -> u64 {
        #[web_method(cache(ttl = "1h"))]
        async fn rate(id: u64) -> u64 {
            2_000 + id
        }
        rate(id).await
    }
}

#[tokio::test]
async fn functions_of_one_name_in_two_bodies_are_two() {
    let cluster = Cluster::new(2).await;
    assert_eq!(on!(cluster, 0, rates::of_euro(1)), 1_001);
    assert_eq!(on!(cluster, 0, rates::of_pound(1)), 2_001);
    assert_eq!(on!(cluster, 1, rates::of_pound(1)), 2_001);
    assert_eq!(on!(cluster, 1, rates::of_euro(1)), 1_001);
}
