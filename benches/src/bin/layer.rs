//! Hits of the layer beside the same axum route without a cache.

use axum::routing::get;
use benches::pages::{PAGES, Requests, app, page, plain};
use benches::{Side, compare, runtime, zipf};
use revalidate::{Cache, CacheLayer};
use tower::Layer;

fn main() {
    let runtime = runtime();
    let handle = runtime.handle();
    let cache = || Cache::builder().max_bytes(256 << 20).build();
    let layer = || CacheLayer::new().cache(cache()).ttl("1h");
    let tagged = layer().tags(["pages", "all", "site", "public"]);
    let plain = plain();
    let around = tagged.layer(app(get(page)));
    let on_route = app(get(page).layer(layer().tags(["pages", "all", "site", "page:{id}"])));
    let (around, on_route, plain) = (&around, &on_route, &plain);
    let hot = Requests::bare(&[7]);
    let many = Requests::bare(&zipf(1 << 16, PAGES, 0.99));
    for (which, requests) in [
        ("one hot URL", hot.clone()),
        ("10,000 URLs, Zipf 0.99", many.clone()),
        ("one hot URL, a browser's headers", hot.of_browsers()),
        (
            "10,000 URLs, Zipf 0.99, a browser's headers",
            many.of_browsers(),
        ),
    ] {
        let requests = &requests;
        runtime.block_on(async {
            requests.warm(around).await;
            requests.warm(on_route).await;
        });
        let next = &std::sync::atomic::AtomicU64::new(0);
        let start = move |times| next.fetch_add(times, std::sync::atomic::Ordering::Relaxed);
        let sides = [
            Side::new("axum", move |n| requests.send(handle, plain, n, start(n))),
            Side::new("layer around the router", move |n| {
                requests.send(handle, around, n, start(n))
            }),
            Side::new("layer on the route", move |n| {
                requests.send(handle, on_route, n, start(n))
            }),
        ];
        compare(&runtime, 1, &sides).print(which, &[0]);
    }
}
