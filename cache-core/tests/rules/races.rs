//! Invalidations against what runs: loads, joiners, refreshes, promotions to a hit, `put`.

use std::sync::Arc;

use cache_core::{Life, NotStorable, Reason, observe};
use tokio::sync::Notify;

use super::support::{
    Count, ask, begin_load, cache, gate, never, nothing_runs, ok, pause, reason, secs, settle,
};

#[tokio::test]
async fn rule_1_invalidation_wins_over_a_running_load() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(load.end().await, Ok(1), "its own caller asked before");
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(reason(&cache, "row"), Reason::LoadRaced);
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(2_u64)).await, Ok(2));
}

#[tokio::test]
async fn rule_1_a_soft_invalidation_wins_over_a_running_load_without_a_stale_window() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.revalidate_tag("t").await.unwrap();
    load.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(2_u64)).await, Ok(2));
}

#[tokio::test]
async fn rule_1_a_soft_invalidation_of_a_running_load_with_a_window_is_served_marked_stale() {
    let (cache, _) = cache();
    let life = Life::from("1h").stale_while_revalidate("1h");
    let load = begin_load(&cache, "row", life, &["t"], 1).await;
    cache.revalidate_tag("t").await.unwrap();
    load.end().await.unwrap();
    let (got, seen) = observe(cache.fetch("row", life, ["t"], ok(2_u64))).await;
    assert_eq!((got, seen[0].reason), (Ok(1), Reason::Stale));
    settle().await;
    assert_eq!(cache.fetch("row", life, ["t"], never::<u64>()).await, Ok(2));
}

#[tokio::test]
async fn rule_1_a_caller_sees_its_own_invalidation_in_its_next_read() {
    let (cache, _) = cache();
    let life = Life::from("1h")
        .stale_while_revalidate("1h")
        .stale_if_error("1h");
    for round in 0..100_u64 {
        let got = cache.fetch("row", life, ["t"], ok(round)).await;
        assert_eq!(got, Ok(round));
        drop(cache.invalidate_cache("t"));
    }
}

/// The load began at 5, the tag was marked at 6, the joiner came, another tag was marked at 7, the
/// load ended: judged by last marks alone, 7 hides 6.
#[tokio::test]
async fn a2_a_joiner_refuses_an_older_load_that_was_overtaken_before_it_came() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["other", "t"], 1).await;
    cache.invalidate_cache("t").await.unwrap();
    let joiner = ask(&cache, "row", "1h", &["other", "t"], 2).await;
    cache.invalidate_cache("other").await.unwrap();
    assert_eq!(load.end().await, Ok(1));
    assert_eq!(joiner.await.unwrap(), Ok(2));
}

/// The same, with tags that only the end of the load tells.
#[tokio::test]
async fn a2_a_joiner_judges_an_older_load_by_the_tags_it_ends_with() {
    let (cache, _) = cache();
    let (gate, mut keeper) = gate();
    let first = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                cache_core::cache_tag(["late", "other"]);
                Ok::<_, &'static str>(1_u64)
            };
            cache.fetch("row", "1h", [""; 0], load).await
        })
    };
    keeper.reached().await;
    cache.invalidate_cache("late").await.unwrap();
    let joiner = ask(&cache, "row", "1h", &[], 2).await;
    assert!(
        !joiner.is_finished(),
        "nothing tells yet that the load is overtaken"
    );
    cache.invalidate_cache("other").await.unwrap();
    keeper.open();
    assert_eq!(first.await.unwrap(), Ok(1));
    assert_eq!(joiner.await.unwrap(), Ok(2));
    assert_eq!(cache.get::<u64>("row").await, Some(2));
}

#[tokio::test]
async fn a2_a_joiner_takes_an_older_load_that_no_mark_has_overtaken() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    // The sequence moves, but by a tag that the load does not carry.
    cache.put("elsewhere", 0_u64, "1h", ["unrelated"]);
    cache.invalidate_cache("unrelated").await.unwrap();
    let joiner = ask(&cache, "row", "1h", &["t"], 2).await;
    load.end().await.unwrap();
    assert_eq!(joiner.await.unwrap(), Ok(1));
    assert_eq!(cache.stats().joined, 1);
}

/// Refusing every load during which something moved would starve callers.
#[tokio::test]
async fn a2_a_joiner_takes_a_load_that_began_after_it_came_whatever_was_invalidated_since() {
    let (cache, _) = cache();
    let first = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.invalidate_cache("t").await.unwrap();
    let second = begin_load(&cache, "row", "1h", &["t"], 2).await;
    let joiner = ask(&cache, "row", "1h", &["t"], 3).await;
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(second.end().await, Ok(2));
    assert_eq!(
        joiner.await.unwrap(),
        Ok(2),
        "it asked before the last invalidation"
    );
    first.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None, "neither is stored");
}

#[tokio::test]
async fn a2_callers_are_not_starved_by_steady_invalidation() {
    let (cache, _) = cache();
    let loads = Count::default();
    let reader = {
        let (cache, loads) = (cache.clone(), loads.clone());
        tokio::spawn(async move {
            let load = move || async move {
                let n = loads.up();
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, &'static str>(n)
            };
            cache.fetch("row", "1h", ["t"], load).await
        })
    };
    for _ in 0..50 {
        if reader.is_finished() {
            break;
        }
        drop(cache.invalidate_cache("t"));
        tokio::task::yield_now().await;
        pause().await;
    }
    assert!(reader.is_finished(), "one load answers it");
    assert_eq!(loads.get(), 1);
}

/// When two loads run and neither may serve, callers wait and share the next one.
#[tokio::test]
async fn a2_and_rule_10_at_most_two_shared_loads_run_and_the_others_share_the_next() {
    let (cache, _) = cache();
    let first = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.invalidate_cache("t").await.unwrap();
    let second = begin_load(&cache, "row", "1h", &["t"], 2).await;
    cache.invalidate_cache("t").await.unwrap();
    let loads = Count::default();
    let late: Vec<_> = (0..20)
        .map(|_| {
            let (cache, loads) = (cache.clone(), loads.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    loads.up();
                    tokio::task::yield_now().await;
                    Ok::<_, &'static str>(3_u64)
                };
                cache.fetch("row", "1h", ["t"], load).await
            })
        })
        .collect();
    settle().await;
    assert_eq!(cache.explain("row").running, 2);
    assert_eq!(loads.get(), 0, "no third load");
    assert_eq!(first.end().await, Ok(1));
    for caller in late {
        assert_eq!(caller.await.unwrap(), Ok(3));
    }
    assert_eq!(loads.get(), 1, "they share one");
    assert_eq!(second.end().await, Ok(2));
    assert_eq!(
        cache.get::<u64>("row").await,
        Some(3),
        "the older load replaces nothing"
    );
}

#[tokio::test]
async fn rule_1_an_overtaken_load_does_not_replace_a_newer_value() {
    let (cache, _) = cache();
    let old = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(2_u64)).await, Ok(2));
    assert_eq!(old.end().await, Ok(1));
    assert_eq!(cache.get::<u64>("row").await, Some(2));
}

#[tokio::test]
async fn rule_1_a_background_refresh_is_overtaken_too() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(90));
    let (gate, mut keeper) = gate();
    let load = move || async move {
        gate.pass().await;
        Ok::<_, &'static str>(2_u64)
    };
    assert_eq!(
        cache.fetch("row", life, ["t"], load).await,
        Ok(1),
        "stale, at once"
    );
    keeper.reached().await;
    cache.invalidate_cache("t").await.unwrap();
    keeper.open();
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(cache.fetch("row", life, ["t"], ok(3_u64)).await, Ok(3));
}

#[tokio::test]
async fn rule_1_a_joiner_of_a_refresh_is_not_given_what_was_invalidated_before_it_came() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(90));
    let (gate, mut keeper) = gate();
    let load = move || async move {
        gate.pass().await;
        Ok::<_, &'static str>(2_u64)
    };
    assert_eq!(cache.fetch("row", life, ["t"], load).await, Ok(1));
    keeper.reached().await;
    cache.invalidate_cache("t").await.unwrap();
    let late = ask(&cache, "row", life, &["t"], 3).await;
    keeper.open();
    assert_eq!(late.await.unwrap(), Ok(3));
}

#[tokio::test]
async fn rule_1_holds_for_clear_and_for_a_scope() {
    let (cache, _) = cache();
    let users = cache.scope("users");
    let load = begin_load(&users, "row", "1h", &[], 1).await;
    users.clear().await.unwrap();
    load.end().await.unwrap();
    assert_eq!(users.get::<u64>("row").await, None);

    let load = begin_load(&users, "row", "1h", &[], 2).await;
    cache.clear().await.unwrap();
    load.end().await.unwrap();
    assert_eq!(users.get::<u64>("row").await, None);
}

#[tokio::test]
async fn rule_1_holds_for_put_from() {
    let (cache, _) = cache();
    let pending = cache.begin("row");
    cache.invalidate_cache("t").await.unwrap();
    let stored = cache.put_from(pending, 1_u64, "1h", ["t"]);
    assert_eq!(stored.why_not(), Some(Reason::LoadRaced));
    assert_eq!(cache.get::<u64>("row").await, None);
}

/// The value of a `put` was read before the call: an invalidation that comes while its tags are
/// gathered counts.
#[tokio::test]
async fn rule_1_holds_for_put() {
    let (cache, _) = cache();
    cache.put("row", 0_u64, "1h", ["old"]);
    let tags = (0..2).map(|n| {
        if n == 1 {
            drop(cache.invalidate_cache("t1"));
        }
        format!("t{n}")
    });
    let stored = cache.put("row", 1_u64, "1h", tags);
    assert_eq!(stored.why_not(), Some(Reason::LoadRaced));
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn rule_1_several_tags_are_one_step() {
    let (cache, _) = cache();
    cache.put("a", 1_u64, "1h", ["x"]);
    cache.put("b", 1_u64, "1h", ["y"]);
    drop(cache.invalidate_cache(["x", "y", "z"]));
    assert_eq!(cache.get_many::<u64, _>(["a", "b"]).await, [None, None]);
}

/// Readers and a writer on threads: no read that begins after an invalidation gives what was older.
#[test]
fn a1_and_rule_1_no_reader_on_any_thread_sees_what_was_invalidated_before_its_read() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (cache, _) = cache();
        // What the database has, and what an invalidation has been called and returned for.
        let row = Arc::new(AtomicU64::new(0));
        let told = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(tokio::sync::Barrier::new(4));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (cache, row, told, stop) =
                    (cache.clone(), row.clone(), told.clone(), stop.clone());
                let begun = begun.clone();
                tokio::spawn(async move {
                    begun.wait().await;
                    let mut reads = 0_u64;
                    while !stop.load(SeqCst) {
                        let least = told.load(SeqCst);
                        let row = row.clone();
                        let load = move || async move {
                            let read = row.load(SeqCst);
                            tokio::task::yield_now().await;
                            Ok::<_, &'static str>(read)
                        };
                        let got = cache.fetch("row", "1h", ["t", "u"], load).await.unwrap();
                        assert!(got >= least, "{got} after {least} was told");
                        reads += 1;
                        if reads.is_multiple_of(64) {
                            tokio::task::yield_now().await;
                        }
                    }
                    reads
                })
            })
            .collect();
        begun.wait().await;
        let mut version = 0_u64;
        // Where the machine is busy, readers come late.
        while version < 3_000 || (cache.stats().misses == 0 && version < 1_000_000) {
            version += 1;
            row.store(version, SeqCst);
            drop(cache.invalidate_cache(if version.is_multiple_of(2) { "t" } else { "u" }));
            told.store(version, SeqCst);
            if version.is_multiple_of(8) {
                tokio::task::yield_now().await;
            }
        }
        stop.store(true, SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(cache.stats().misses > 0);
    });
}

#[tokio::test]
async fn rule_1_a_load_that_outlives_its_caller_is_overtaken_too() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    load.task.abort();
    cache.invalidate_cache("t").await.unwrap();
    let mut keeper = load.keeper;
    keeper.open();
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, None);
    nothing_runs(&cache).await;
}

#[tokio::test]
async fn rule_1_an_invalidation_inside_nobodys_load_is_allowed_while_loads_run() {
    let (cache, _) = cache();
    let notify = Arc::new(Notify::new());
    let inner = cache.clone();
    let woken = notify.clone();
    let load = move || async move {
        // A task without the load's context changes the data while the load reads it.
        let other = inner.clone();
        tokio::spawn(async move { other.invalidate_cache("t").await })
            .await
            .unwrap()
            .unwrap();
        woken.notify_one();
        Ok::<_, &'static str>(1_u64)
    };
    assert_eq!(cache.fetch("row", "1h", ["t"], load).await, Ok(1));
    notify.notified().await;
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a8_a_lone_load_is_not_stored_although_nothing_overtook_it() {
    let (cache, clock) = cache();
    let stuck = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let late = ask(&cache, "row", "1h", &["t"], 2).await;
    clock.advance(secs(30));
    assert_eq!(late.await.unwrap(), Ok(2));
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_ne!(
        reason(&cache, "row"),
        Reason::NotStorable(NotStorable::Alone)
    );
    assert_eq!(stuck.end().await, Ok(1));
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}
