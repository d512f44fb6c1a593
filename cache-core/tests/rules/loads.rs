//! Loads as tasks: single flight, cancellation, recursion and cycles, the limit on waiting.

use std::sync::Arc;

use cache_core::spi::{Fetched, Finished, Function};
use cache_core::{Cache, Life};

use super::support::{
    Count, Loaded, ask, begin_load, build, cache, call, call_key, gate, never, nothing_runs, ok,
    options, secs, settle, value_of,
};

static FUNCTION: Function = Function::new("tests::function", "");

#[tokio::test]
async fn rule_10_a_thousand_cold_callers_share_one_load() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let callers: Vec<_> = (0..999)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.fetch("row", "1h", ["t"], never::<u64>()).await })
        })
        .collect();
    settle().await;
    load.end().await.unwrap();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(1));
    }
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.joined, stats.stored), (1, 999, 1));
}

#[test]
fn rule_10_a_thousand_cold_callers_on_threads_share_one_load() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (cache, loads) = (build(Cache::builder()), Count::default());
        let all_here = Arc::new(tokio::sync::Barrier::new(1_000));
        let callers: Vec<_> = (0..1_000)
            .map(|_| {
                let (cache, loads, all_here) = (cache.clone(), loads.clone(), all_here.clone());
                tokio::spawn(async move {
                    all_here.wait().await;
                    let load = move || async move { Ok::<_, &'static str>(loads.up()) };
                    cache.fetch("row", "1h", ["t"], load).await
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Ok(1));
        }
        assert_eq!(loads.get(), 1);
    });
}

#[tokio::test]
async fn rule_10_a_leader_who_leaves_neither_stops_the_load_nor_strands_anyone() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let joiner = ask(&cache, "row", "1h", &["t"], 2).await;
    load.task.abort();
    settle().await;
    assert!(!joiner.is_finished());
    let mut keeper = load.keeper;
    keeper.open();
    assert_eq!(joiner.await.unwrap(), Ok(1));
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}

#[tokio::test]
async fn rule_10_a_load_of_which_every_caller_left_is_stored() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let joiner = ask(&cache, "row", "1h", &["t"], 2).await;
    joiner.abort();
    load.task.abort();
    let mut keeper = load.keeper;
    keeper.open();
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}

#[tokio::test]
async fn rule_10_a_caller_who_is_dropped_before_its_first_poll_does_nothing() {
    let (cache, _) = cache();
    drop(cache.fetch("row", "1h", ["t"], never::<u64>()));
    assert_eq!((cache.stats().loads, cache.stats().running), (0, 0));
}

#[tokio::test]
async fn rule_10_waiting_has_a_limit_and_then_the_caller_loads_alone() {
    let clock = cache_core::Clock::manual();
    let cache = build(Cache::builder().clock(clock.clone()).wait_limit("5s"));
    let stuck = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let joiner = ask(&cache, "row", "1h", &["t"], 2).await;
    clock.advance(secs(4));
    settle().await;
    assert!(!joiner.is_finished());
    clock.advance(secs(1));
    assert_eq!(joiner.await.unwrap(), Ok(2));
    stuck.end().await.unwrap();
}

/// The limit is one for all of a caller's waiting, not one for each load it waits for.
#[tokio::test]
async fn rule_10_the_limit_counts_all_that_a_caller_waits_for() {
    let (cache, clock) = cache();
    let first = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.invalidate_cache("t").await.unwrap();
    let second = begin_load(&cache, "row", "1h", &["t"], 2).await;
    cache.invalidate_cache("t").await.unwrap();
    let late = ask(&cache, "row", "1h", &["t"], 4).await;
    clock.advance(secs(20));
    settle().await;
    // The first ends after 20 s; the next is led by someone else, and hangs.
    let hang = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = || std::future::pending::<Loaded<u64>>();
            cache.fetch("row", "1h", ["t"], load).await
        })
    };
    settle().await;
    first.end().await.unwrap();
    settle().await;
    clock.advance(secs(10));
    settle().await;
    assert!(late.is_finished(), "30 s have passed");
    assert_eq!(late.await.unwrap(), Ok(4));
    second.end().await.unwrap();
    hang.abort();
}

#[tokio::test]
async fn rule_10_recursion_with_other_arguments_is_a_load_inside_a_load() {
    fn fib(n: u64) -> std::pin::Pin<Box<dyn Future<Output = Loaded<u64>> + Send>> {
        Box::pin(async move {
            let body = move || async move {
                if n < 2 {
                    Ok(n)
                } else {
                    Ok(fib(n - 1).await? + fib(n - 2).await?)
                }
            };
            value_of(call(&FUNCTION, n, options(&["fib"]), body).await)
        })
    }
    let (cache, _) = cache();
    assert_eq!(cache.enter(fib(60)).await, Ok(1_548_008_755_920));
    assert_eq!(cache.stats().loads, 61);
    assert_eq!(cache.stats().stored, 61);
}

#[tokio::test]
async fn rule_10_recursion_with_the_same_arguments_loads_alone() {
    fn depth(left: u64) -> std::pin::Pin<Box<dyn Future<Output = Loaded<u64>> + Send>> {
        Box::pin(async move {
            // The key does not tell how deep it is.
            let body = move || async move {
                if left == 0 {
                    Ok(0)
                } else {
                    Ok(depth(left - 1).await? + 1)
                }
            };
            value_of(call(&FUNCTION, 0, options(&["t"]), body).await)
        })
    }
    let (cache, _) = cache();
    assert_eq!(cache.enter(depth(5)).await, Ok(5));
    assert_eq!(cache.enter(depth(9)).await, Ok(5), "a hit");
    assert_eq!(cache.stats().stored, 1, "only the outermost is");
}

/// A -> B -> A in one chain of calls.
#[tokio::test]
async fn rule_10_a_cycle_in_one_task_ends() {
    let (cache, _) = cache();
    let (a, b) = (cache.clone(), cache.clone());
    let load_a = move || async move {
        let load_b = move || async move {
            // A again: this time it comes to an end.
            let got = b.fetch("a", "1h", ["a"], ok(1_u64)).await?;
            Ok::<_, &'static str>(got + 10)
        };
        let got = a.fetch("b", "1h", ["b"], load_b).await?;
        Ok::<_, &'static str>(got + 100)
    };
    assert_eq!(cache.fetch("a", "1h", ["a"], load_a).await, Ok(111));
    assert_eq!(cache.get::<u64>("a").await, Some(111));
    assert_eq!(cache.get::<u64>("b").await, Some(11));
}

/// One task loads A and calls B, another loads B and calls A: neither may wait for the other.
#[tokio::test]
async fn rule_10_a_cycle_of_two_tasks_ends() {
    let (cache, _) = cache();
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let start = |mine: &'static str, other: &'static str| {
        let (cache, both) = (cache.clone(), both.clone());
        tokio::spawn(async move {
            let inside = cache.clone();
            let load = move || async move {
                both.wait().await;
                inside
                    .fetch(other, "1h", [other], ok(1_u64))
                    .await
                    .map(|got| got + 1)
            };
            cache.fetch(mine, "1h", [mine], load).await
        })
    };
    let (a, b) = (start("a", "b"), start("b", "a"));
    settle().await;
    assert!(
        a.is_finished() && b.is_finished(),
        "without a limit having passed"
    );
    let (a, b) = (a.await.unwrap().unwrap(), b.await.unwrap().unwrap());
    assert_eq!(a + b, 5, "one waited for the other, which loaded alone");
}

/// Three tasks in a ring, each edge made while the others wait.
#[tokio::test]
async fn rule_10_a_cycle_of_three_tasks_through_spawned_work_ends() {
    use cache_core::FutureExt as _;
    let (cache, _) = cache();
    let all = Arc::new(tokio::sync::Barrier::new(3));
    let keys = ["a", "b", "c"];
    let tasks: Vec<_> = (0..3)
        .map(|n| {
            let (cache, all) = (cache.clone(), all.clone());
            tokio::spawn(async move {
                let inside = cache.clone();
                let load = move || async move {
                    all.wait().await;
                    let next = keys[(n + 1) % 3];
                    let inner = async move { inside.fetch(next, "1h", [next], ok(1_u64)).await };
                    tokio::spawn(inner.in_current_load()).await.unwrap()
                };
                cache.fetch(keys[n], "1h", [keys[n]], load).await
            })
        })
        .collect();
    settle().await;
    for task in tasks {
        assert!(task.is_finished());
        task.await.unwrap().unwrap();
    }
}

/// A task that does not carry the load's context waits for it unseen: the limit ends that.
#[tokio::test]
async fn rule_10_a_cycle_that_cannot_be_seen_ends_at_the_limit() {
    let (cache, clock) = cache();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let load = move || async move {
                let unseen =
                    tokio::spawn(async move { inside.fetch("row", "1h", ["t"], ok(1_u64)).await });
                unseen.await.unwrap()
            };
            cache.fetch("row", "1h", ["t"], load).await
        })
    };
    settle().await;
    assert!(!task.is_finished());
    clock.advance(secs(30));
    assert_eq!(task.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn rule_10_a_refresh_in_a_cycle_ends() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("a", 0_u64, life, ["a"]);
    cache.put("b", 0_u64, life, ["b"]);
    clock.advance(secs(90));
    let (one, two) = (cache.clone(), cache.clone());
    let load_a = move || async move {
        let load_b = move || async move { two.fetch("a", life, ["a"], ok(1_u64)).await };
        one.fetch("b", life, ["b"], load_b).await.map(|got| got + 1)
    };
    assert_eq!(cache.fetch("a", life, ["a"], load_a).await, Ok(0));
    settle().await;
    assert_eq!(cache.get::<u64>("a").await, Some(2));
    nothing_runs(&cache).await;
}

#[tokio::test]
async fn one_refresh_runs_however_many_read_a_stale_value() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let loads = Count::default();
    let (gate, mut keeper) = gate();
    let first = loads.clone();
    let load = move || async move {
        first.up();
        gate.pass().await;
        Ok::<_, &'static str>(2_u64)
    };
    assert_eq!(cache.fetch("row", life, ["t"], load).await, Ok(1));
    for _ in 0..100 {
        assert_eq!(cache.fetch("row", life, ["t"], never()).await, Ok(1_u64));
    }
    settle().await;
    keeper.open();
    settle().await;
    assert_eq!((loads.get(), cache.get::<u64>("row").await), (1, Some(2)));
    assert_eq!(cache.stats().loads, 1);
}

/// A load that never ends: others are served at their limit, and the key works again once it is gone.
#[tokio::test]
async fn rule_10_a_load_that_never_ends_hangs_nobody_else() {
    let (cache, clock) = cache();
    let hang = begin_load(&cache, "row", "1h", &["t"], 0).await;
    for round in 1..=3 {
        let callers: Vec<_> = (0..10)
            .map(|_| {
                let cache = cache.clone();
                tokio::spawn(async move { cache.fetch("row", "1h", ["t"], ok(round)).await })
            })
            .collect();
        settle().await;
        clock.advance(secs(30));
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Ok(round));
        }
    }
    drop(cache.remove("row"));
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(7_u64)).await, Ok(7));
    assert_eq!(cache.get::<u64>("row").await, Some(7));
    hang.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(7));
}

/// `refresh` of a function: what it loads is newer than what a load gives that ran already.
#[tokio::test]
async fn a_forced_refresh_is_not_replaced_by_an_older_load() {
    let (cache, _) = cache();
    let key = call_key(&FUNCTION, 0);
    let (gate, mut keeper) = gate();
    let old = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let body = move || async move {
                gate.pass().await;
                Ok(1)
            };
            value_of(cache.enter(call(&FUNCTION, 0, options(&["t"]), body)).await)
        })
    };
    keeper.reached().await;
    let fresh = cache
        .enter(async {
            let call = cache_core::spi::lookup_anew::<u64>(&key);
            call.load(options(&["t"]), || async {
                Finished::<_, &'static str>::Store(2)
            })
            .await
        })
        .await;
    assert!(matches!(fresh, Fetched::Value(2)));
    keeper.open();
    assert_eq!(old.await.unwrap(), Ok(1));
    let got = cache
        .enter(call(&FUNCTION, 0, options(&["t"]), || async { Ok(3) }))
        .await;
    assert_eq!(value_of(got), Ok(2));
}

#[tokio::test]
async fn a_runtime_that_ends_releases_its_loads() {
    let (cache, _) = cache();
    let held = cache.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let _load = begin_load(&held, "row", "1h", &["t"], 1).await;
        });
    })
    .join()
    .unwrap();
    nothing_runs(&cache).await;
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(2_u64)).await, Ok(2));
    assert_eq!(cache.get::<u64>("row").await, Some(2));
}
