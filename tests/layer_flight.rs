//! Many callers of one response: one load for all, joiners released together, stale while refreshed.
#![cfg(feature = "axum")]

mod layer_support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use http::{HeaderMap, Request, StatusCode};
use layer_support::*;
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};

/// A route that waits for the gate before it answers with what `respond` makes of the run's number.
fn gated<R: IntoResponse + 'static>(
    layer: CacheLayer,
    respond: impl Fn(usize) -> R + Clone + Send + Sync + 'static,
) -> (Router, Count, Arc<Semaphore>) {
    let (count, gate) = (Count::default(), Arc::new(Semaphore::new(0)));
    let (runs, opened) = (count.clone(), Arc::clone(&gate));
    let handler = move || {
        let (run, opened, respond) = (runs.up(), Arc::clone(&opened), respond.clone());
        async move {
            opened.acquire().await.unwrap().forget();
            respond(run).into_response()
        }
    };
    (
        Router::new().route("/", route(handler).layer(layer)),
        count,
        gate,
    )
}

fn callers(app: &Router, how_many: usize) -> Vec<tokio::task::JoinHandle<Reply>> {
    (0..how_many)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { get(&app, "/").await })
        })
        .collect()
}

#[tokio::test]
async fn a_thousand_cold_callers_are_served_by_one_load() {
    let (cache, _) = cache();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        format!("run {n}")
    });
    let callers = callers(&app, 1000);
    settle().await;
    gate.add_permits(1000);
    let mut collapsed = 0;
    for caller in callers {
        let reply = caller.await.unwrap();
        assert_eq!(reply.text(), "run 1");
        collapsed +=
            usize::from(reply.cache() == "revalidate; fwd=miss; collapsed; detail=never-stored");
    }
    assert_eq!((count.get(), collapsed), (1, 999));
}

#[tokio::test]
async fn a_leader_that_leaves_strands_nobody() {
    let (cache, _) = cache();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        format!("run {n}")
    });
    let mut callers = callers(&app, 1000);
    settle().await;
    callers.remove(0).abort();
    settle().await;
    gate.add_permits(1000);
    for caller in callers {
        assert_eq!(caller.await.unwrap().text(), "run 1");
    }
    assert_eq!(count.get(), 1);
    get(&app, "/").await.assert_hit();
}

#[tokio::test]
async fn when_all_leave_the_response_is_stored_all_the_same() {
    let (cache, _) = cache();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        format!("run {n}")
    });
    for caller in callers(&app, 3) {
        settle().await;
        caller.abort();
    }
    gate.add_permits(1);
    settle().await;
    get(&app, "/").await.assert_hit();
    assert_eq!(count.get(), 1);
}

#[tokio::test]
async fn what_is_not_storable_is_loaded_by_each_and_nobody_queues() {
    let (cache, _) = cache();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        ([("set-cookie", "a=b")], format!("run {n}"))
    });
    let waiting = callers(&app, 10);
    settle().await;
    assert_eq!(count.get(), 1, "joiners wait for the head");
    gate.add_permits(1);
    settle().await;
    assert_eq!(
        count.get(),
        10,
        "and are released together, each for itself"
    );
    let later = callers(&app, 5);
    settle().await;
    assert_eq!(count.get(), 15, "and later ones do not queue");
    gate.add_permits(14);
    let mut seen = std::collections::HashSet::new();
    for caller in waiting.into_iter().chain(later) {
        let reply = caller.await.unwrap();
        reply.assert_miss("set-cookie");
        assert!(seen.insert(reply.body), "no run's response is shared");
    }
}

#[tokio::test]
async fn failures_are_not_shared() {
    let (cache, _) = cache();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        if n == 1 {
            StatusCode::BAD_GATEWAY.into_response()
        } else {
            format!("run {n}").into_response()
        }
    });
    let callers = callers(&app, 5);
    settle().await;
    gate.add_permits(5);
    let mut failed = 0;
    for caller in callers {
        failed += usize::from(caller.await.unwrap().status == StatusCode::BAD_GATEWAY);
    }
    assert_eq!((failed, count.get()), (1, 5));
}

#[tokio::test]
async fn only_the_leaders_caller_sees_a_panic() {
    let (cache, _) = cache();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        assert!(n > 1, "the first run panics");
        format!("run {n}")
    });
    let callers = callers(&app, 4);
    settle().await;
    gate.add_permits(4);
    let mut panicked = 0;
    for caller in callers {
        match caller.await {
            Ok(reply) => assert_eq!(reply.status, StatusCode::OK),
            Err(error) => panicked += usize::from(error.is_panic()),
        }
    }
    assert_eq!((panicked, count.get()), (1, 4));
}

#[tokio::test]
async fn stale_responses_are_served_while_one_refresh_runs() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).life(life), |n| {
        format!("run {n}")
    });
    gate.add_permits(1);
    get(&app, "/").await;
    clock.advance(61 * SECOND);
    for _ in 0..3 {
        let reply = get(&app, "/").await;
        assert_eq!(reply.text(), "run 1");
        assert_eq!(reply.cache(), "revalidate; hit; ttl=-2; detail=stale");
    }
    settle().await;
    assert_eq!(count.get(), 2);
    gate.add_permits(1);
    settle().await;
    let fresh = get(&app, "/").await;
    assert_eq!(fresh.text(), "run 2");
    assert_eq!(fresh.cache(), "revalidate; hit; ttl=60");
}

#[tokio::test]
async fn a_soft_invalidation_is_served_stale_and_refreshed() {
    let (cache, _) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    let layer = CacheLayer::new()
        .cache(cache.clone())
        .tags(["t"])
        .life(life);
    let (app, _, gate) = gated(layer, |n| format!("run {n}"));
    gate.add_permits(10);
    get(&app, "/").await;
    cache.revalidate_tag("t").await.unwrap();
    assert_eq!(get(&app, "/").await.text(), "run 1");
    settle().await;
    assert_eq!(get(&app, "/").await.text(), "run 2");
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(get(&app, "/").await.text(), "run 3");
}

#[tokio::test]
async fn stale_responses_stand_in_for_errors() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    let layer = CacheLayer::new()
        .cache(cache.clone())
        .tags(["t"])
        .life(life);
    let (app, _, gate) = gated(layer, |n| {
        if n == 1 {
            "run 1".into_response()
        } else {
            StatusCode::BAD_GATEWAY.into_response()
        }
    });
    gate.add_permits(100);
    get(&app, "/").await;
    clock.advance(61 * SECOND);
    let reply = get(&app, "/").await;
    assert_eq!(reply.text(), "run 1");
    assert_eq!(
        reply.cache(),
        "revalidate; fwd=stale; fwd-status=502; detail=expired"
    );
    for caller in callers(&app, 5) {
        assert_eq!(caller.await.unwrap().text(), "run 1");
    }
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(
        get(&app, "/").await.status,
        StatusCode::BAD_GATEWAY,
        "never one that was dropped"
    );
}

#[tokio::test]
async fn errors_of_a_fallible_service_stay_its_own() {
    #[derive(Debug, PartialEq)]
    struct Broken;
    let (cache, clock) = cache();
    let count = Count::default();
    let runs = count.clone();
    let inner = service_fn(move |_: Request<Body>| {
        let run = runs.up();
        async move {
            match run {
                1 => Err(Broken),
                2 => Ok(Response::new(Body::from("run 2"))),
                _ => Err(Broken),
            }
        }
    });
    let life = Life::from("1m").stale_if_error("1h");
    let service = CacheLayer::new().cache(cache).life(life).layer(inner);
    let call = async || service.clone().oneshot(request("/")).await;
    assert_eq!(call().await.err(), Some(Broken));
    assert_eq!(Reply::of(call().await.unwrap()).await.text(), "run 2");
    clock.advance(61 * SECOND);
    let stale = Reply::of(call().await.unwrap()).await;
    assert_eq!(stale.text(), "run 2");
    assert_eq!(stale.cache(), "revalidate; fwd=stale; detail=expired");
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn a_failing_service_is_not_asked_at_every_stale_hit() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).life(life), |n| {
        if n == 1 {
            "run 1".into_response()
        } else {
            StatusCode::BAD_GATEWAY.into_response()
        }
    });
    gate.add_permits(100);
    get(&app, "/").await;
    clock.advance(61 * SECOND);
    for _ in 0..10 {
        assert_eq!(get(&app, "/").await.text(), "run 1");
        settle().await;
    }
    assert_eq!(count.get(), 2);
    clock.advance(2 * SECOND);
    get(&app, "/").await;
    settle().await;
    assert_eq!(count.get(), 3);
}

#[tokio::test]
async fn hits_do_not_wait_for_a_service_that_is_not_ready() {
    let (cache, _) = cache();
    let inner =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("x"))));
    let limited = tower::ServiceBuilder::new()
        .layer(CacheLayer::new().cache(cache).ttl("10m"))
        .service(SometimesReady { inner, ready: true });
    let first = limited.clone().oneshot(request("/")).await.unwrap();
    assert_eq!(Reply::of(first).await.text(), "x");
    let mut spent = limited;
    spent.get_mut().ready = false;
    let second = spent.clone().oneshot(request("/")).await.unwrap();
    Reply::of(second).await.assert_hit();
    let mut third = polled(spent.oneshot(request("/other")));
    assert!(third().is_none(), "a miss waits until the service is ready");
}

/// Polls a future once each time it is called.
fn polled<F: Future>(future: F) -> impl FnMut() -> Option<F::Output> {
    let mut future = Box::pin(future);
    move || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

#[derive(Clone)]
struct SometimesReady<S> {
    inner: S,
    ready: bool,
}

impl<S: tower::Service<Request<Body>>> tower::Service<Request<Body>> for SometimesReady<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        if self.ready {
            self.inner.poll_ready(cx)
        } else {
            std::task::Poll::Pending
        }
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.inner.call(request)
    }
}

#[tokio::test]
async fn all_rounds_of_waiting_share_one_wait_limit() {
    let clock = Clock::manual();
    let cache = Cache::builder()
        .clock(clock.clone())
        .wait_limit("10s")
        .build();
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl("10m"), |n| {
        ([("vary", "accept-language")], format!("run {n}"))
    });
    let ask = |language: &'static str| {
        let app = app.clone();
        let request = with("/", &[("accept-language", language)]);
        tokio::spawn(async move { send(&app, request).await })
    };
    let first = ask("de");
    settle().await;
    let others = [ask("en"), ask("en")];
    settle().await;
    clock.advance(6 * SECOND);
    gate.add_permits(1);
    settle().await;
    assert_eq!(first.await.unwrap().text(), "run 1");
    assert_eq!(count.get(), 2, "one of the others loads, one waits again");
    clock.advance(5 * SECOND);
    settle().await;
    assert_eq!(count.get(), 3, "and not for another whole limit");
    gate.add_permits(2);
    for other in others {
        other.await.unwrap();
    }
}

/// A route whose every run waits for ever, telling when it is dropped.
fn silent(layer: CacheLayer) -> (Router, Count, Count) {
    struct Ended(Count);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.up();
        }
    }
    let (begun, ended) = (Count::default(), Count::default());
    let (runs, ends) = (begun.clone(), ended.clone());
    let handler = move || {
        runs.up();
        let ended = Ended(ends.clone());
        async move {
            std::future::pending::<()>().await;
            drop(ended);
        }
    };
    let app = Router::new().route("/", route(handler).layer(layer));
    (app, begun, ended)
}

#[tokio::test]
async fn a_handler_that_never_answers_is_given_up_when_nobody_waits_any_more() {
    let (cache, clock) = cache();
    let (app, begun, ended) = silent(CacheLayer::new().cache(cache).ttl("10m"));
    let pass = async |seconds: u32| {
        settle().await;
        clock.advance(seconds * SECOND);
        settle().await;
    };
    let mut waiting = callers(&app, 2);
    pass(20).await;
    waiting.remove(0).abort();
    pass(9).await;
    assert_eq!((begun.get(), ended.get()), (1, 0), "the joiner waits");
    waiting.remove(0).abort();
    pass(29).await;
    assert_eq!(ended.get(), 0, "its grace");
    // Who comes meanwhile has it wait on.
    waiting = callers(&app, 1);
    pass(2).await;
    assert_eq!((begun.get(), ended.get()), (1, 0));
    waiting.remove(0).abort();
    pass(31).await;
    assert_eq!(ended.get(), 1);
    let later = callers(&app, 1);
    settle().await;
    assert_eq!(
        begun.get(),
        2,
        "and the next caller leads a load of its own"
    );
    later[0].abort();
}

#[tokio::test]
async fn a_refresh_that_never_answers_is_given_up_after_its_own_time() {
    let (cache, clock) = cache();
    let life = Life::from_secs(10).stale_while_revalidate(3600 * SECOND);
    let (app, count, gate) = gated(CacheLayer::new().cache(cache).ttl(life), |n| {
        format!("run {n}")
    });
    gate.add_permits(1);
    get(&app, "/").await;
    for (seconds, runs) in [(11, 2), (200, 2), (101, 2), (2, 3)] {
        clock.advance(seconds * SECOND);
        settle().await;
        assert_eq!(get(&app, "/").await.text(), "run 1");
        settle().await;
        assert_eq!(count.get(), runs);
    }
}

/// A route of many URLs whose runs wait for the gate, and declare what they are told to.
fn pages(layer: CacheLayer) -> (Router, Count, Arc<Semaphore>, Arc<AtomicBool>) {
    let (count, gate) = (Count::default(), Arc::new(Semaphore::new(0)));
    let declares = Arc::new(AtomicBool::new(false));
    let (runs, opened, declared) = (count.clone(), Arc::clone(&gate), Arc::clone(&declares));
    let handler = move || {
        runs.up();
        let (opened, declared) = (Arc::clone(&opened), Arc::clone(&declared));
        async move {
            opened.acquire().await.unwrap().forget();
            if declared.load(Ordering::SeqCst) {
                (CachePolicy::ttl("10m"), "page").into_response()
            } else {
                "page".into_response()
            }
        }
    };
    let app = Router::new().route("/{id}", route(handler).layer(layer));
    (app, count, gate, declares)
}

fn callers_of(app: &Router, uri: &'static str) -> Vec<tokio::task::JoinHandle<Reply>> {
    (0..10)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { get(&app, uri).await })
        })
        .collect()
}

#[tokio::test]
async fn callers_of_a_route_that_never_declares_anything_do_not_wait_for_one_another() {
    let (cache, _) = cache();
    let (app, count, gate, declares) = pages(CacheLayer::new().cache(cache));
    let cold = callers_of(&app, "/cold");
    settle().await;
    assert_eq!(count.get(), 1, "it is not known yet");
    gate.add_permits(100);
    for caller in cold {
        caller.await.unwrap();
    }
    for n in 0..8 {
        get(&app, &format!("/{n}")).await;
    }
    gate.forget_permits(usize::MAX);
    let before = count.get();
    let colder = callers_of(&app, "/colder");
    settle().await;
    assert_eq!(count.get() - before, 10);
    // What it declares now is stored all the same, and from then on its callers wait.
    declares.store(true, Ordering::SeqCst);
    gate.add_permits(10);
    for caller in colder {
        caller.await.unwrap();
    }
    get(&app, "/colder").await.assert_hit();
    let before = count.get();
    let coldest = callers_of(&app, "/coldest");
    settle().await;
    assert_eq!(count.get() - before, 1);
    gate.add_permits(1);
    for caller in coldest {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn a_stale_response_does_not_stand_in_for_one_that_was_another_clients() {
    let (cache, clock) = cache();
    let gate = Arc::new(Semaphore::new(1));
    let count = Count::default();
    let (opened, runs) = (Arc::clone(&gate), count.clone());
    let handler = move |headers: HeaderMap| {
        let (run, opened) = (runs.up(), Arc::clone(&opened));
        async move {
            opened.acquire().await.unwrap().forget();
            let life = Life::from_secs(10).stale_if_error(3600 * SECOND);
            match headers.get("cookie") {
                Some(_) => ([("cache-control", "private")], "mine").into_response(),
                None => (CachePolicy::life(life), format!("run {run}")).into_response(),
            }
        }
    };
    let app = Router::new().route("/", route(handler).layer(CacheLayer::new().cache(cache)));
    get(&app, "/").await;
    clock.advance(11 * SECOND);
    let (leading, joining) = (app.clone(), app.clone());
    let leader = async move { send(&leading, with("/", &[("cookie", "session=1")])).await };
    let leader = tokio::spawn(leader);
    settle().await;
    let joiner = tokio::spawn(async move { get(&joining, "/").await });
    settle().await;
    assert_eq!(count.get(), 2);
    gate.add_permits(2);
    assert_eq!(leader.await.unwrap().text(), "mine");
    assert_eq!(joiner.await.unwrap().text(), "run 3");
}
