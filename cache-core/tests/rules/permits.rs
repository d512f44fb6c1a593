//! The bound on loads that run at once: loads inside loads need no permit of their own, and nobody
//! waits for a permit that waits for it.

use std::sync::Arc;

use cache_core::{Cache, CacheWeight, Clock, Life};
use tokio::task::JoinHandle;

use super::support::{
    Count, Keeper, ask, begin_load, build, eventually, gate, never, ok, secs, settle,
};

fn bounded(loads: usize) -> (Cache, Clock) {
    let clock = Clock::manual();
    let cache = build(
        Cache::builder()
            .clock(clock.clone())
            .max_concurrent_loads(loads),
    );
    (cache, clock)
}

#[tokio::test]
async fn a8_n_outer_loads_with_inner_loads_do_not_deadlock() {
    const N: u64 = 4;
    let (cache, _) = bounded(N as usize);
    let all = Arc::new(tokio::sync::Barrier::new(N as usize));
    let callers: Vec<_> = (0..N)
        .map(|n| {
            let (cache, all) = (cache.clone(), all.clone());
            tokio::spawn(async move {
                let inside = cache.clone();
                let load = move || async move {
                    // Every permit is taken, and only now do they load within.
                    all.wait().await;
                    let deeper = inside.clone();
                    let inner = move || async move {
                        deeper.fetch(("innermost", n), "1h", ["i"], ok(n)).await
                    };
                    inside.fetch(("inner", n), "1h", ["i"], inner).await
                };
                cache.fetch(("outer", n), "1h", ["o"], load).await
            })
        })
        .collect();
    eventually("all are over", || {
        callers.iter().all(JoinHandle::is_finished)
    })
    .await;
    for (n, caller) in (0..).zip(callers) {
        assert_eq!(caller.await.unwrap(), Ok(n));
    }
    assert_eq!(cache.stats().stored, 3 * N);
}

/// Which turn was whose. No other node may have it, so none is asked first.
#[derive(Clone, Debug, PartialEq)]
struct Turn(u64);
impl CacheWeight for Turn {}

#[tokio::test]
async fn no_more_loads_run_than_are_allowed_and_the_others_come_in_order() {
    let (cache, _) = bounded(2);
    let (running, most) = (
        Count::default(),
        Arc::new(std::sync::Mutex::new((0_i64, 0_i64))),
    );
    let callers: Vec<_> = (0..20_u64)
        .map(|n| {
            let (cache, order, most) = (cache.clone(), running.clone(), most.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    {
                        let mut most = most.lock().unwrap();
                        most.0 += 1;
                        most.1 = most.1.max(most.0);
                    }
                    let nth = order.up();
                    tokio::task::yield_now().await;
                    most.lock().unwrap().0 -= 1;
                    Ok::<_, &'static str>(Turn(nth))
                };
                cache.fetch(n, "1h", ["t"], load).await
            })
        })
        .collect();
    for (n, caller) in (1..).zip(callers) {
        assert_eq!(caller.await.unwrap(), Ok(Turn(n)));
    }
    assert_eq!(most.lock().unwrap().1, 2);
}

/// What began to wait before an invalidation has read nothing yet: it begins anew at its turn.
#[tokio::test]
async fn a_load_that_waited_for_its_turn_is_not_overtaken_by_what_came_meanwhile() {
    let (cache, _) = bounded(1);
    let first = begin_load(&cache, "first", "1h", &[], 0).await;
    let second = ask(&cache, "second", "1h", &["t"], 2).await;
    drop(cache.invalidate_cache("t"));
    first.end().await.unwrap();
    assert_eq!(second.await.unwrap(), Ok(2));
    assert_eq!(cache.get::<u64>("second").await, Some(2));
}

#[tokio::test]
async fn a_load_that_waits_too_long_for_its_turn_runs_without() {
    let (cache, clock) = bounded(1);
    let stuck = begin_load(&cache, "stuck", "1h", &[], 0).await;
    let second = ask(&cache, "second", "1h", &["t"], 2).await;
    assert!(!second.is_finished());
    clock.advance(secs(30));
    assert_eq!(second.await.unwrap(), Ok(2));
    stuck.end().await.unwrap();
}

/// The only permit is held by a load that waits for a load that waits for a permit.
#[tokio::test]
async fn rule_10_a_load_does_not_wait_for_one_that_waits_for_its_permit() {
    let (cache, _) = bounded(1);
    let (gate, mut keeper) = gate();
    let outer = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let load = move || async move {
                gate.pass().await;
                inside.fetch("inner", "1h", ["i"], never::<u64>()).await
            };
            cache.fetch("outer", "1h", ["o"], load).await
        })
    };
    keeper.reached().await;
    let inner = ask(&cache, "inner", "1h", &["i"], 1).await;
    assert!(!inner.is_finished(), "it waits for a permit");
    keeper.open();
    settle().await;
    assert!(
        outer.is_finished() && inner.is_finished(),
        "without a limit having passed"
    );
    assert_eq!(inner.await.unwrap(), Ok(1));
    assert_eq!(outer.await.unwrap(), Ok(1));
}

/// The same, where what waits for the permit is a refresh of what the load needs.
#[tokio::test]
async fn rule_10_a_load_does_not_wait_for_a_refresh_that_waits_for_its_permit() {
    let (cache, clock) = bounded(1);
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("inner", 1_u64, life, ["i"]);
    clock.advance(secs(90));
    let (gate, mut keeper) = gate();
    let outer = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let load = move || async move {
                gate.pass().await;
                inside.fetch("inner", life, ["i"], never::<u64>()).await
            };
            cache.fetch("outer", "1h", ["o"], load).await
        })
    };
    keeper.reached().await;
    assert_eq!(cache.fetch("inner", life, ["i"], ok(2_u64)).await, Ok(1));
    settle().await;
    keeper.open();
    settle().await;
    assert!(outer.is_finished());
    assert_eq!(outer.await.unwrap(), Ok(2));
}

/// And where both are lone loads, or hold each other's permits two by two.
#[tokio::test]
async fn rule_10_two_loads_that_need_each_others_queued_loads_end() {
    let (cache, _) = bounded(2);
    let mut keepers = Vec::new();
    let mut outers = Vec::new();
    for (outer, inner) in [("outer 1", "inner 2"), ("outer 2", "inner 1")] {
        let (gate, mut keeper) = gate();
        let cache = cache.clone();
        outers.push(tokio::spawn(async move {
            let inside = cache.clone();
            let load = move || async move {
                gate.pass().await;
                inside.fetch(inner, "1h", ["i"], never::<u64>()).await
            };
            cache.fetch(outer, "1h", ["o"], load).await
        }));
        keeper.reached().await;
        keepers.push(keeper);
    }
    let inners = [
        ask(&cache, "inner 1", "1h", &["i"], 1).await,
        ask(&cache, "inner 2", "1h", &["i"], 2).await,
    ];
    keepers.iter_mut().for_each(Keeper::open);
    settle().await;
    for task in outers.into_iter().chain(inners) {
        assert!(task.is_finished());
        task.await.unwrap().unwrap();
    }
    // Every permit came back: two more loads run at once.
    let a = begin_load(&cache, "a", "1h", &[], 1).await;
    let b = begin_load(&cache, "b", "1h", &[], 1).await;
    let c = ask(&cache, "c", "1h", &[], 1).await;
    assert!(!c.is_finished(), "and no third");
    a.end().await.unwrap();
    b.end().await.unwrap();
    c.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_bound_of_zero_lets_one_run() {
    let (cache, _) = bounded(0);
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(1_u64)).await, Ok(1));
}

#[tokio::test]
async fn a_permit_comes_back_after_a_panic() {
    let (cache, _) = bounded(1);
    let inside = cache.clone();
    let panics = tokio::spawn(async move {
        let load = || async { panic!("on purpose") };
        inside
            .fetch::<u64, &'static str, _, _, _>("row", "1h", ["t"], load)
            .await
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(1_u64)).await, Ok(1));
}
