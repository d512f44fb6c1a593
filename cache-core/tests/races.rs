//! Interleavings that once went wrong, or that no other test would have noticed: each driven by hand.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cache_core::spi::{CallKey, CallOptions, Finished, Function, Looked, lookup};
use cache_core::{Cache, Clock, Life, NotStorable, Reason, observe};
use tokio::sync::Notify;

/// A loader that waits for its gate.
async fn gated(gate: Arc<Notify>, value: u64) -> Result<u64, Infallible> {
    gate.notified().await;
    Ok(value)
}

fn cache() -> (Cache, Clock) {
    let clock = Clock::manual();
    (Cache::builder().clock(clock.clone()).build(), clock)
}

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A load overtaken by a soft invalidation ended after the newer load that replaced it, and put its
/// older value, stale, in the place of the newer fresh one.
#[tokio::test]
async fn an_older_load_does_not_replace_the_value_of_a_newer_one() {
    let (cache, _) = cache();
    let life = Life::from("1h").stale_while_revalidate("1h");
    let (old, new) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let read = |gate: &Arc<Notify>, value| {
        let (cache, gate) = (cache.clone(), Arc::clone(gate));
        tokio::spawn(async move {
            cache
                .fetch("key", life, ["tag"], move || gated(gate, value))
                .await
        })
    };
    let first = read(&old, 1);
    settle().await;
    cache.revalidate_tag("tag").await.unwrap();
    let second = read(&new, 2);
    settle().await;
    new.notify_one();
    assert_eq!(second.await.unwrap(), Ok(2));
    old.notify_one();
    assert_eq!(first.await.unwrap(), Ok(1));
    let (value, reads) = observe(cache.get::<u64>("key")).await;
    assert_eq!((value, reads[0].reason), (Some(2), Reason::Hit));
}

/// The one permit was held by a load that waited for a load that waited for the permit.
#[tokio::test]
async fn a_load_lends_its_permit_to_the_load_it_waits_for() {
    let clock = Clock::manual();
    let cache = Cache::builder()
        .clock(clock)
        .max_concurrent_loads(1)
        .build();
    let gate = Arc::new(Notify::new());
    let outer = {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        tokio::spawn(async move {
            let inner = cache.clone();
            let load = move || async move {
                gate.notified().await;
                inner
                    .fetch("inner", "1h", ["tag"], || async {
                        Ok::<_, Infallible>(1_u64)
                    })
                    .await
            };
            cache.fetch("outer", "1h", ["tag"], load).await
        })
    };
    settle().await;
    let queued = {
        let cache = cache.clone();
        tokio::spawn(async move {
            cache
                .fetch("inner", "1h", ["tag"], || async {
                    Ok::<_, Infallible>(2_u64)
                })
                .await
        })
    };
    settle().await;
    gate.notify_one();
    // The clock stands still: nobody gets by on a time limit.
    let both = async { (outer.await.unwrap(), queued.await.unwrap()) };
    let both = tokio::time::timeout(Duration::from_secs(10), both).await;
    assert_eq!(both.expect("they wait for each other"), (Ok(2), Ok(2)));
}

/// A value that an inner call loaded for itself alone, after the load it had waited for failed, set
/// no limit to the life of the value around it.
#[tokio::test]
async fn a_lone_inner_load_limits_the_life_of_what_is_made_from_it() {
    static OUTER: Function = Function::new("outer", "");
    let (cache, _) = cache();
    let gate = Arc::new(Notify::new());
    let failing = {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        let load = move || async move {
            gate.notified().await;
            Err::<u64, _>("fails")
        };
        tokio::spawn(async move { cache.fetch("inner", "5s", ["tag"], load).await })
    };
    settle().await;
    let outer = {
        let inner = cache.clone();
        let call = async move {
            let Looked::Call(call) = lookup::<u64>(&CallKey::new(&OUTER)) else {
                unreachable!("nothing is stored")
            };
            let options = CallOptions {
                life: None,
                profile: None,
                timeout: None,
                tags: Ok(Vec::new()),
                by_caller: false,
                keyed_on_caller: false,
                sharing: cache_core::spi::Sharing::Local,
                weigh: |_| 8,
            };
            let body = move || async move {
                let load = || async { Ok::<_, &str>(7_u64) };
                let value = inner.fetch("inner", "5s", ["tag"], load).await;
                Finished::<u64, ()>::Store(value.unwrap())
            };
            let _ = call.load(options, body).await;
        };
        let cache = cache.clone();
        tokio::spawn(async move { cache.enter(call).await })
    };
    settle().await;
    gate.notify_one();
    assert_eq!(failing.await.unwrap(), Err("fails"));
    outer.await.unwrap();
    let outer = cache.explain(CallKey::new(&OUTER).key());
    assert_eq!(outer.reason, Reason::Hit);
    assert_eq!(outer.fresh_for, Duration::from_secs(5), "{outer}");
    assert_eq!(
        cache.explain("inner").reason,
        Reason::NotStorable(NotStorable::Error)
    );
}

/// A load that waits for a permit has read nothing yet: it begins when it gets one.
#[tokio::test]
async fn a_queued_load_begins_when_it_gets_its_permit() {
    let clock = Clock::manual();
    let builder = Cache::builder().clock(clock.clone());
    let cache = builder.max_concurrent_loads(1).build();
    let gate = Arc::new(Notify::new());
    let read = |key: &'static str| {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        tokio::spawn(async move { cache.fetch(key, "1h", [key], move || gated(gate, 1)).await })
    };
    let first = read("first");
    settle().await;
    let queued = read("queued");
    settle().await;
    cache.invalidate_cache("queued").await.unwrap();
    clock.advance(Duration::from_secs(10));
    gate.notify_one();
    first.await.unwrap().unwrap();
    settle().await;
    gate.notify_one();
    queued.await.unwrap().unwrap();
    let stored = cache.explain("queued");
    assert_eq!(stored.reason, Reason::Hit, "{stored}");
    assert_eq!(
        (stored.age, stored.fresh_for),
        (Duration::ZERO, Duration::from_secs(3600))
    );
}

/// One call that goes past the bound on marks that nobody holds, without ever meeting it exactly,
/// leaves no more of them than the bound.
#[tokio::test]
async fn one_call_with_more_tags_than_are_remembered_leaves_few_behind() {
    let (cache, _) = cache();
    let gate = Arc::new(Notify::new());
    let load = {
        let (cache, gate) = (cache.clone(), Arc::clone(&gate));
        tokio::spawn(async move {
            cache
                .fetch("key", "1h", ["tag"], move || gated(gate, 1))
                .await
        })
    };
    settle().await;
    let many = |call: u64| (0..5_000_u64).map(move |n| format!("{call}:{n}"));
    cache.invalidate_cache(many(1)).await.unwrap();
    assert!(cache.stats().tags < 4_200, "{}", cache.stats().tags);
    gate.notify_one();
    load.await.unwrap().unwrap();
    assert_eq!(
        cache.explain("key").reason,
        Reason::LoadRaced,
        "a mark it needs may be lost"
    );
}
