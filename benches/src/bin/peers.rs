//! Hits of the layer beside other response caches for tower, each around the whole router, each with
//! a store in memory and its own recommended settings, or faster ones where it has them.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use benches::pages::{PAGES, Requests, app, plain, public_page};
use benches::{Side, compare, runtime, zipf};
use bytes::Bytes;
use hitbox_backend::format::BincodeFormat;
use hitbox_http::extractors::path::PathExtractor;
use hitbox_http::predicates::{NeutralRequestPredicate, NeutralResponsePredicate};
use http::Request;
use http_body_util::{BodyExt, Full};
use http_cache_tower_server::{QueryKeyer, ServerCacheLayer};
use revalidate::{Cache, CacheLayer};
use tower::Layer;
use tower::util::AndThen;

const HOUR: Duration = Duration::from_secs(3600);

/// axum-response-cache wants a service that answers axum's own response, as a `Router` does.
fn assert_axum_service<S>(service: S) -> S
where
    S: tower::Service<Request<Body>, Response = Response, Error = Infallible> + Clone,
{
    service
}

/// tower-http-cache wants a body that is `Sync`, which axum's is not; a hit does not come here.
async fn in_one_piece(response: Response) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body is whole").to_bytes();
    Ok(Response::from_parts(parts, Full::from(bytes)))
}

fn main() {
    let runtime = runtime();
    let handle = runtime.handle();
    let router = || app(get(public_page));

    let plain = plain();
    let cache = Cache::builder().max_bytes(256 << 20).build();
    let own = CacheLayer::new().cache(cache).layer(router());
    let axum_response_cache =
        assert_axum_service(axum_response_cache::CacheLayer::with_lifespan(HOUR).layer(router()));
    let tower_http_cache = tower_http_cache::CacheLayer::builder(
        tower_http_cache::backend::memory::InMemoryBackend::new(10 * PAGES),
    )
    .ttl(HOUR)
    .build()
    .layer(AndThen::new(router(), in_one_piece));
    let store = moka::future::Cache::new(10 * PAGES);
    let http_cache = ServerCacheLayer::with_keyer(http_cache::MokaManager::new(store), QueryKeyer)
        .layer(router());
    let config = hitbox::Config::builder()
        .request_predicate(NeutralRequestPredicate::new())
        .response_predicate(NeutralResponsePredicate::new())
        .extractor(hitbox_http::extractors::Method::new().path("/page/{id}"))
        .policy(hitbox::policy::PolicyConfig::builder().ttl(HOUR).build())
        .build();
    let hitbox = hitbox_tower::Cache::builder()
        .backend(
            hitbox_moka::MokaBackend::builder()
                .max_bytes(256 << 20)
                .value_format(BincodeFormat)
                .build(),
        )
        .config(config)
        .build()
        .layer(router());

    let all = Requests::bare(&[0]);
    runtime.block_on(async {
        all.warm(&own).await;
        all.warm(&axum_response_cache).await;
        all.warm(&tower_http_cache).await;
        all.warm(&http_cache).await;
        all.warm(&hitbox).await;
        // One of them writes in the background.
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    let (own, plain) = (&own, &plain);
    let (axum_response_cache, tower_http_cache) = (&axum_response_cache, &tower_http_cache);
    let (http_cache, hitbox) = (&http_cache, &hitbox);
    for (which, requests) in [
        ("one hot URL", Requests::bare(&[7])),
        (
            "10,000 URLs, Zipf 0.99",
            Requests::bare(&zipf(1 << 16, PAGES, 0.99)),
        ),
    ] {
        let requests = &requests;
        let next = &std::sync::atomic::AtomicU64::new(0);
        let start = move |times| next.fetch_add(times, std::sync::atomic::Ordering::Relaxed);
        let sides = [
            Side::new("revalidate", move |n| {
                requests.send(handle, own, n, start(n))
            }),
            Side::new("axum, no cache", move |n| {
                requests.send(handle, plain, n, start(n))
            }),
            Side::new("axum-response-cache", move |n| {
                requests.send(handle, axum_response_cache, n, start(n))
            }),
            Side::new("tower-http-cache", move |n| {
                requests.send(handle, tower_http_cache, n, start(n))
            }),
            Side::new("http-cache-tower-server", move |n| {
                requests.send(handle, http_cache, n, start(n))
            }),
            Side::new("hitbox-tower", move |n| {
                requests.send(handle, hitbox, n, start(n))
            }),
        ];
        compare(&runtime, 1, &sides).print(which, &[0, 1]);
    }
}
