//! Does one thing so many times and nothing else: for callgrind, which counts its instructions. Two
//! runs with different counts give the price of one.
//!
//! `steps WHAT TIMES`

use std::hint::black_box;
use std::time::Duration;

use axum::routing::get;
use benches::pages::{PAGES, Requests, answer, app, page, plain};
use benches::zipf;
use revalidate::{Cache, CacheLayer, web_method};
use tower::Layer;

#[web_method(cache(ttl = "1h"))]
async fn number(id: u64) -> u64 {
    id
}

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn tagged_number(id: u64) -> u64 {
    id
}

async fn typed(what: &str, times: u64) {
    Cache::builder().build().install().expect("the first cache");
    let moka = moka::sync::Cache::builder().max_capacity(100_000);
    let moka = if what == "moka-ttl" {
        moka.time_to_live(Duration::from_secs(3600)).build()
    } else {
        moka.build()
    };
    moka.insert(7_u64, 7_u64);
    number(7).await;
    tagged_number(7).await;
    for _ in 0..times {
        match what {
            "no-tags" => drop(black_box(number(black_box(7)).await)),
            "4-tags" => drop(black_box(tagged_number(black_box(7)).await)),
            _ => drop(black_box(moka.get(black_box(&7)))),
        }
    }
}

async fn http(what: &str, times: u64) {
    let layer = || {
        CacheLayer::new()
            .cache(Cache::builder().build())
            .ttl("1h")
            .tags(["pages", "all"])
    };
    let (what, requests) = match what.strip_suffix("-browser") {
        Some(what) => (what, Requests::bare(&[7]).of_browsers()),
        None => (what, Requests::bare(&[7])),
    };
    let many = what.ends_with("-zipf");
    let (what, requests) = match what.strip_suffix("-zipf") {
        Some(what) => (what, Requests::bare(&zipf(1 << 16, PAGES, 0.99))),
        None => (what, requests),
    };
    macro_rules! send {
        ($service:expr) => {{
            let mut service = $service;
            if many {
                requests.warm(&service).await;
            } else {
                answer(&mut service, requests.get(0)).await;
            }
            for n in 0..times {
                answer(&mut service, requests.get(n)).await;
            }
        }};
    }
    match what {
        "request" => (0..times).for_each(|n| drop(black_box(requests.get(n)))),
        "axum" => send!(plain()),
        "around" => send!(layer().layer(app(get(page)))),
        "route" => send!(app(get(page).layer(layer()))),
        other => panic!("nothing is called {other}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().expect("what to do");
    let times = arguments
        .next()
        .and_then(|times| times.parse().ok())
        .expect("how many times");
    match what.as_str() {
        "moka" | "moka-ttl" | "no-tags" | "4-tags" => typed(&what, times).await,
        _ => http(&what, times).await,
    }
}
