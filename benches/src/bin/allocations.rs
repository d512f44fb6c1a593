//! What is allocated: by hits, and by an entry for its tags.

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use axum::routing::get;
use benches::pages::{Requests, answer, app, page, plain};
use benches::runtime;
use bytes::Bytes;
use revalidate::{Cache, CacheLayer, web_method};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::Layer;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Hits that are counted: enough that what a store does now and then shows.
const HITS: u64 = 100_000;

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn number(id: u64) -> u64 {
    id
}

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn shared(id: u64) -> Arc<str> {
    id.to_string().into()
}

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn body(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_le_bytes())
}

/// Allocations per operation, of so many.
fn allocations(times: u64, mut repeat: impl FnMut()) -> f64 {
    let region = Region::new(GLOBAL);
    repeat();
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / times as f64
}

/// Bytes on the heap for each of `ENTRIES` entries with the tags that `tags` names.
fn heap_per_entry<const N: usize>(tags: impl Fn(u64) -> [String; N]) -> f64 {
    const ENTRIES: u64 = 50_000;
    let cache = Cache::builder().max_bytes(1 << 30).build();
    // The maps have grown, and what is set up once is there.
    for id in 0..2 * ENTRIES {
        let _ = cache.put(id, id, "1h", tags(id % 8));
    }
    // Telling how much there is has the store finish what it put off.
    let _ = cache.stats();
    let region = Region::new(GLOBAL);
    for id in 0..ENTRIES {
        let _ = cache.put(1_000_000 + id, id, "1h", tags(id));
    }
    let _ = cache.stats();
    let change = region.change();
    let live = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
    assert_eq!(cache.stats().entries, 3 * ENTRIES, "everything is stored");
    live / ENTRIES as f64
}

fn main() {
    let runtime = runtime();
    Cache::builder()
        .max_bytes(256 << 20)
        .build()
        .install()
        .expect("the first cache");
    println!("\n### allocations of one hit\n\n| what | allocations |\n|---|---:|");
    macro_rules! typed {
        ($function:ident, $name:literal) => {
            runtime.block_on(async {
                $function(7).await;
                let many = allocations(HITS, || {
                    for _ in 0..HITS {
                        let hit = std::pin::pin!($function(black_box(7)));
                        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                        assert!(black_box(hit.poll(&mut cx)).is_ready());
                    }
                });
                println!("| function, {} | {many:.4} |", $name);
            });
        };
    }
    typed!(number, "`u64`");
    typed!(shared, "`Arc<str>`");
    typed!(body, "`Bytes`");

    let layer = || {
        CacheLayer::new()
            .cache(Cache::builder().build())
            .ttl("1h")
            .tags(["pages", "all"])
    };
    let requests = Requests::bare(&[7]);
    for (name, requests) in [
        ("", requests.clone()),
        (", a browser's headers", requests.of_browsers()),
    ] {
        let built = allocations(HITS, || {
            (0..HITS).for_each(|n| drop(black_box(requests.get(n))));
        });
        println!("| building the request{name} | {built:.4} |");
        macro_rules! layered {
            ($service:expr, $name:literal) => {
                let mut service = $service;
                runtime.block_on(async {
                    answer(&mut service, requests.get(0)).await;
                    let region = Region::new(GLOBAL);
                    for n in 0..HITS {
                        answer(&mut service, requests.get(n)).await;
                    }
                    let change = region.change();
                    let many = (change.allocations + change.reallocations) as f64 / HITS as f64;
                    println!(
                        "| {}{name}, beyond the request | {:.4} |",
                        $name,
                        many - built
                    );
                });
            };
        }
        layered!(plain(), "axum");
        layered!(layer().layer(app(get(page))), "layer around the router");
        layered!(app(get(page).layer(layer())), "layer on the route");
    }

    println!("\n### live heap of an entry (`u64` key and value)\n\n| tags | bytes |\n|---|---:|");
    let none = heap_per_entry(|_| []);
    let shared = heap_per_entry(|_| ["a", "b", "c", "d"].map(str::to_owned));
    let unique = heap_per_entry(|id| ["a", "b", "c", "d"].map(|tag| format!("{tag}:{id}")));
    println!("| none | {none:.0} |");
    println!("| 4 shared | {shared:.0} (+{:.0}) |", shared - none);
    println!("| 4 of its own | {unique:.0} (+{:.0}) |", unique - none);
}
