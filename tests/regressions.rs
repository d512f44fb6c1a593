//! Bugs that were found once, across the crates.

#![cfg(feature = "axum")]

use std::collections::HashSet;
use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use revalidate::{Cache, CacheKey, CacheLayer, CachePolicy, Clock, LoadTimeout, web_method};
use serde::Serialize;
use tower::ServiceExt;

/// Fails the test where something waits that should not: the caches' own clocks stand still.
async fn soon<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(20);
    let done = tokio::time::timeout(limit, future).await;
    done.expect("it does not wait")
}

async fn body_of(app: &Router, path: &str, accept: &str) -> String {
    let request = Request::get(path).header(header::ACCEPT, accept);
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1000).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// To `Serialize` a set is a sequence, in the order in which it happens to lie.
#[tokio::test]
async fn a_set_of_what_is_only_serialize_is_one_argument_in_any_order() {
    #[derive(Clone, PartialEq, Eq, Hash, Serialize)]
    struct Word(String);

    type Words = HashSet<Word>;

    #[derive(Clone, CacheKey)]
    struct Search {
        words: Words,
    }

    static LOADS: AtomicU32 = AtomicU32::new(0);

    #[web_method(cache(ttl = "1h"))]
    async fn found(words: Words) -> usize {
        LOADS.fetch_add(1, Ordering::SeqCst);
        words.len()
    }

    #[web_method(cache(ttl = "1h"))]
    async fn searched(search: &Search) -> usize {
        LOADS.fetch_add(1, Ordering::SeqCst);
        search.words.len()
    }

    let words = || -> Words { (0..100).map(|n| Word(n.to_string())).collect() };
    let test = async {
        for _ in 0..3 {
            assert_eq!(found(words()).await, 100);
            assert_eq!(searched(&Search { words: words() }).await, 100);
        }
        assert_eq!(LOADS.load(Ordering::SeqCst), 2);
        let fewer = words().into_iter().skip(1).collect();
        assert_eq!(found(fewer).await, 99);
    };
    Cache::isolated(test).await;
}

/// Two blocks of one function may each have a type of one name, and the same function of each.
#[tokio::test]
async fn types_of_one_name_are_two_type_arguments() {
    trait Says {
        fn says() -> &'static str;
    }

    #[web_method(cache(ttl = "1h"))]
    async fn said<T: Says + Send + 'static>() -> String {
        T::says().to_owned()
    }

    macro_rules! local {
        ($says:literal) => {{
            struct Local;
            impl Says for Local {
                fn says() -> &'static str {
                    $says
                }
            }
            assert_eq!(said::<Local>().await, $says);
            assert_eq!(said::<Local>().await, $says);
            (
                std::any::type_name::<Local>(),
                said::key::<Local>().to_string(),
            )
        }};
    }

    let test = async {
        let (one, shown) = local!("one");
        let (other, _) = local!("other");
        assert_eq!(one, other, "the names do not tell them apart");
        assert!(shown.contains(one), "{shown}");
    };
    Cache::isolated(test).await;
}

/// Nor do their names tell closures apart that are left out of the key.
#[tokio::test]
async fn closures_of_one_function_are_two_type_arguments() {
    #[web_method(cache(ttl = "1h"))]
    async fn made<F: Fn() -> u32 + Send + 'static>(#[cache(skip)] make: F) -> u32 {
        make()
    }

    let test = async {
        assert_eq!((made(|| 1).await, made(|| 2).await), (1, 2));
    };
    Cache::isolated(test).await;
}

#[tokio::test]
async fn the_limit_of_none_reaches_the_stale_windows() {
    static CALLS: AtomicU32 = AtomicU32::new(0);

    #[web_method(cache(ttl = "1h", stale_while_revalidate = "1h", none = "30s"))]
    async fn nobody() -> Option<u32> {
        match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 => None,
            n => Some(n),
        }
    }

    let clock = Clock::manual();
    let cache = Cache::builder().clock(clock.clone()).build();
    cache
        .enter(async {
            assert_eq!(nobody().await, None);
            clock.advance(Duration::from_secs(29));
            assert_eq!(nobody().await, None);
            clock.advance(Duration::from_secs(1));
            assert_eq!(nobody().await, Some(1), "not served stale");
        })
        .await;
}

#[tokio::test]
async fn a_time_limit_covers_the_turn_of_a_load_alone() {
    #[derive(Debug, Clone)]
    struct Late;
    impl From<LoadTimeout> for Late {
        fn from(_: LoadTimeout) -> Self {
            Self
        }
    }

    // A tag that is too long: served alone, not stored.
    #[web_method(cache(tags = ["{name}"], ttl = "1h", timeout = "1s"))]
    async fn tagged(name: String) -> Result<usize, Late> {
        Ok(name.len())
    }

    let clock = Clock::manual();
    let cache = Cache::builder()
        .clock(clock.clone())
        .max_concurrent_loads(1)
        .build();
    let endless = cache.clone();
    let load = tokio::spawn(async move {
        let forever = || async { Ok::<u32, ()>(pending().await) };
        endless.fetch("endless", "1h", ["t"], forever).await
    });
    while cache.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    let call = cache.enter(tagged("x".repeat(300)));
    let waits = async {
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
    };
    let (result, ()) = soon(async { tokio::join!(call, waits) }).await;
    assert!(result.is_err());
    load.abort();
}

#[tokio::test]
async fn a_layer_between_two_loads_keeps_the_outer_ones_permit() {
    #[web_method(cache(ttl = "1h"))]
    async fn inner() -> u32 {
        7
    }

    async fn page() -> String {
        inner().await.to_string()
    }

    static APP: OnceLock<Router> = OnceLock::new();

    #[web_method(cache(ttl = "1h"))]
    async fn outer() -> String {
        body_of(APP.get().unwrap(), "/", "*/*").await
    }

    let cache = Cache::builder()
        .clock(Clock::manual())
        .max_concurrent_loads(1)
        .build();
    let layer = CacheLayer::new().cache(cache.clone());
    APP.get_or_init(|| Router::new().route("/", get(page)).layer(layer));
    assert_eq!(soon(cache.enter(outer())).await, "7");
}

#[tokio::test]
async fn a_handler_that_asks_for_its_own_response_does_not_wait_for_itself() {
    static APP: OnceLock<Router> = OnceLock::new();

    async fn page(request: axum::extract::Request) -> (CachePolicy, String) {
        let accept = request.headers()[header::ACCEPT].to_str().unwrap();
        let text = match accept {
            "text/html" => body_of(APP.get().unwrap(), "/", "application/json").await,
            json => json.to_owned(),
        };
        (CachePolicy::ttl("1h"), text)
    }

    let cache = Cache::builder().clock(Clock::manual()).build();
    let layer = CacheLayer::new().cache(cache);
    APP.get_or_init(|| Router::new().route("/", get(page)).layer(layer));
    let app = APP.get().unwrap();
    assert_eq!(
        soon(body_of(app, "/", "text/html")).await,
        "application/json"
    );
}

#[tokio::test]
async fn what_a_functions_response_states_of_its_freshness_is_read_as_a_layer_reads_it() {
    type Page = ([(header::HeaderName, &'static str); 1], &'static str);
    static LOADS: AtomicU32 = AtomicU32::new(0);

    fn page(control: &'static str) -> Page {
        LOADS.fetch_add(1, Ordering::SeqCst);
        ([(header::CACHE_CONTROL, control)], "page")
    }

    #[web_method(cache(ttl = "1h"))]
    async fn whole(control: &'static str) -> Response {
        page(control).into_response()
    }

    #[web_method(cache(ttl = "1h"))]
    async fn parts(control: &'static str) -> Page {
        page(control)
    }

    for (control, seconds) in [
        ("max-age=0", 0),
        ("max-age =60", 0),
        ("max-age=60, no-store", 0),
        ("max-age=5", 5),
        ("max-age=60, s-maxage=5", 5),
        ("max-age=7200", 3600),
        ("x=\"a, no-store\"", 3600),
    ] {
        let clock = Clock::manual();
        let cache = Cache::builder().clock(clock.clone()).build();
        let loads = || LOADS.swap(0, Ordering::SeqCst);
        cache
            .enter(async {
                for (passed, expected) in [
                    (0, 2),
                    (seconds - 1, if seconds == 0 { 2 } else { 0 }),
                    (1, 2),
                ] {
                    clock.advance(Duration::from_secs(u64::try_from(passed).unwrap_or(0)));
                    whole(control).await;
                    parts(control).await;
                    assert_eq!(loads(), expected, "{control}, {passed} s later");
                }
            })
            .await;
    }
}

#[tokio::test]
async fn a_stated_freshness_longer_than_the_functions_life_leaves_its_windows() {
    static LOADS: AtomicU32 = AtomicU32::new(0);

    #[web_method(cache(ttl = "10s", stale_if_error = "1h"))]
    async fn page() -> Response {
        match LOADS.fetch_add(1, Ordering::SeqCst) {
            0 => ([(header::CACHE_CONTROL, "max-age=60")], "page").into_response(),
            _ => axum::http::StatusCode::BAD_GATEWAY.into_response(),
        }
    }

    let clock = Clock::manual();
    let cache = Cache::builder().clock(clock.clone()).build();
    cache
        .enter(async {
            for (passed, status) in [(0, 200), (59, 200), (1, 502)] {
                clock.advance(Duration::from_secs(passed));
                assert_eq!(page().await.status(), status, "{passed} s later");
            }
        })
        .await;
}

async fn asked_anew(app: &Router, path: &str) -> String {
    let request = Request::get(path).header(header::CACHE_CONTROL, "no-cache");
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let body = to_bytes(response.into_body(), 1000).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_response_that_is_demanded_anew_inside_a_load_runs_under_its_permit() {
    static APP: OnceLock<Router> = OnceLock::new();

    #[web_method(cache(ttl = "1h"))]
    async fn part() -> &'static str {
        "part"
    }

    #[web_method(cache(ttl = "1h"))]
    async fn whole() -> String {
        asked_anew(APP.get().unwrap(), "/").await
    }

    async fn page() -> (CachePolicy, &'static str) {
        (CachePolicy::ttl("1h"), part().await)
    }

    let one_at_once = Cache::builder().max_concurrent_loads(1);
    let cache = one_at_once.clock(Clock::manual()).build();
    let layer = CacheLayer::new().cache(cache.clone());
    let layer = layer.obey_request_directives(true);
    APP.get_or_init(|| Router::new().route("/", get(page)).layer(layer));
    let test = async {
        body_of(APP.get().unwrap(), "/", "*/*").await;
        part::remove_cached().await.unwrap();
        assert_eq!(soon(whole()).await, "part");
    };
    cache.enter(test).await;
}

#[tokio::test]
async fn a_response_that_is_demanded_anew_does_not_wait_for_the_load_that_waits_for_it() {
    static APP: OnceLock<Router> = OnceLock::new();
    static RUNS: AtomicU32 = AtomicU32::new(0);

    async fn first() -> (CachePolicy, String) {
        let text = match RUNS.fetch_add(1, Ordering::SeqCst) {
            0 => asked_anew(APP.get().unwrap(), "/second").await,
            _ => "first".to_owned(),
        };
        (CachePolicy::ttl("1h"), text)
    }

    async fn second() -> (CachePolicy, String) {
        let text = match RUNS.load(Ordering::SeqCst) {
            0 => "second".to_owned(),
            _ => body_of(APP.get().unwrap(), "/first", "*/*").await,
        };
        (CachePolicy::ttl("1h"), text)
    }

    let cache = Cache::builder().clock(Clock::manual()).build();
    let layer = CacheLayer::new().cache(cache).obey_request_directives(true);
    let routes = Router::new().route("/first", get(first));
    APP.get_or_init(|| routes.route("/second", get(second)).layer(layer));
    let app = APP.get().unwrap();
    assert_eq!(body_of(app, "/second", "*/*").await, "second");
    assert_eq!(soon(body_of(app, "/first", "*/*")).await, "first");
}

#[tokio::test]
async fn a_functions_response_is_not_stored_that_speaks_to_caches_alone() {
    static LOADS: AtomicU32 = AtomicU32::new(0);

    #[web_method(cache(ttl = "1h"))]
    async fn page() -> Response {
        LOADS.fetch_add(1, Ordering::SeqCst);
        let head = [
            ("cache-control", "max-age=60"),
            ("cdn-cache-control", "no-store"),
        ];
        (head, "page").into_response()
    }

    Cache::isolated(async {
        page().await;
        page().await;
        assert_eq!(LOADS.load(Ordering::SeqCst), 2);
    })
    .await;
}
