//! Memory comes back after invalidations, unread, and nothing that is valid goes with it.

use std::sync::{Arc, Weak};

use cache_core::{Cache, CacheWeight, Life, Reason};

use super::support::{build, cache, eventually, ok, reason, secs, settle, within_a_minute};

/// A value whose end can be seen.
#[derive(Clone)]
struct Watched(#[expect(dead_code, reason = "it is watched from outside")] Arc<u64>);
impl CacheWeight for Watched {}

#[tokio::test]
async fn rule_11_entries_of_an_invalidated_tag_are_freed_within_a_minute_unread() {
    let (cache, clock) = cache();
    let values: Vec<Weak<u64>> = (0..5_000_u64)
        .map(|n| {
            let value = Arc::new(n);
            let weak = Arc::downgrade(&value);
            cache.put(n, Watched(value), "1d", ["t", &format!("own:{n}")]);
            weak
        })
        .collect();
    cache.put("kept", 1_u64, "1d", ["kept"]);
    assert!(cache.stats().tags > 5_000);
    cache.invalidate_cache("t").await.unwrap();
    within_a_minute(&clock, "entries and tag records are freed", || {
        let stats = cache.stats();
        stats.entries == 1 && stats.tags == 2
    })
    .await;
    assert!(cache.stats().bytes < 1_000);
    assert_eq!(cache.get::<u64>("kept").await, Some(1));
    // It says why still, of most: the table of reasons is small.
    let told = (0..5_000_u64).filter(|n| cache.explain(n).reason == Reason::Tag);
    assert!(told.count() > 2_000);
    // The store gives back what it dropped a little later.
    eventually("values are dropped", || {
        drop(cache.stats());
        for n in 0..200_u64 {
            cache.put(("other", n), n, "1d", ["kept"]);
        }
        values.iter().all(|value| value.strong_count() == 0)
    })
    .await;
}

#[tokio::test]
async fn rule_11_stale_entries_are_freed_when_their_window_ends() {
    let (cache, clock) = cache();
    cache.put(
        "short",
        1_u64,
        Life::from("1d").stale_while_revalidate("2m"),
        ["t"],
    );
    cache.put("long", 1_u64, Life::from("1d").stale_if_error("1h"), ["t"]);
    cache.put("none", 1_u64, "1d", ["t"]);
    cache.revalidate_tag("t").await.unwrap();
    within_a_minute(&clock, "what has no window goes at once", || {
        cache.stats().entries == 2
    })
    .await;
    assert_eq!(reason(&cache, "short"), Reason::Stale);
    // Each pass is a thread's: it takes real time, and the longer window has an hour.
    eventually("the shorter window ended", || {
        clock.advance(secs(10));
        cache.stats().entries == 1
    })
    .await;
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

/// A test's runtime, or one that only ever blocks on a call now and then.
#[test]
fn rule_11_another_runtime_sweeps_when_the_one_that_did_is_not_driven() {
    let (parked, driven) = (runtime(), runtime());
    let (cache, clock) = cache();
    let invalidate = async || {
        cache.put("row", 1_u64, "1d", ["t"]);
        cache.invalidate_cache("t").await.unwrap();
    };
    // The sweeper is a task of this one, and sleeps there for ever.
    parked.block_on(invalidate());
    driven.block_on(async {
        invalidate().await;
        clock.advance(secs(40));
        invalidate().await;
        within_a_minute(&clock, "the other one sweeps", || {
            cache.stats().entries == 0
        })
        .await;
    });
    // When it is driven again there is another, and it leaves.
    parked.block_on(settle());
    driven.block_on(async {
        invalidate().await;
        within_a_minute(&clock, "the other one still sweeps", || {
            cache.stats().entries == 0
        })
        .await;
    });
}

/// The two look at one clock, which need not have moved between them.
#[test]
fn rule_11_a_sweeper_that_wakes_late_leaves_the_other_alone() {
    let (late, driven) = (runtime(), runtime());
    let (cache, clock) = cache();
    let invalidate = async || {
        cache.put("row", 1_u64, "1d", ["t"]);
        cache.invalidate_cache("t").await.unwrap();
        settle().await;
    };
    late.block_on(invalidate());
    clock.advance(secs(40));
    driven.block_on(invalidate());
    late.block_on(settle());
    driven.block_on(within_a_minute(&clock, "it is swept", || {
        cache.stats().entries == 0
    }));
}

#[tokio::test]
async fn rule_11_a_second_invalidation_is_swept_too() {
    let (cache, clock) = cache();
    for round in 0..4_u64 {
        cache.put("row", round, "1d", ["t"]);
        cache.invalidate_cache("t").await.unwrap();
        // The thread of the last round may be at it still: the sweeper is not asleep yet.
        within_a_minute(&clock, "each round", || cache.stats().entries == 0).await;
    }
}

/// What is invalidated where there is no runtime is swept by the next call that has one.
#[test]
fn rule_11_an_invalidation_without_a_runtime_is_swept_later() {
    let (cache, clock) = cache();
    cache.put("row", 1_u64, "1d", ["t"]);
    drop(cache.invalidate_cache("t"));
    runtime().block_on(async {
        drop(cache.invalidate_cache("unknown"));
        within_a_minute(&clock, "the sweep", || cache.stats().entries == 0).await;
    });
    // And one whose runtime ended before it was done, by the next runtime.
    cache.put("row", 1_u64, "1d", ["t"]);
    for _ in 0..2 {
        runtime().block_on(async {
            drop(cache.invalidate_cache("t"));
            settle().await;
        });
    }
    runtime().block_on(async {
        drop(cache.invalidate_cache("t"));
        within_a_minute(&clock, "the sweep", || cache.stats().entries == 0).await;
    });
}

#[tokio::test]
async fn rule_11_a_cache_that_is_dropped_is_freed_although_a_sweep_is_due() {
    let (cache, clock) = cache();
    let value = Arc::new(1);
    let weak = Arc::downgrade(&value);
    cache.put("row", Watched(value), "1d", ["t"]);
    cache.invalidate_cache("t").await.unwrap();
    settle().await;
    drop(cache);
    within_a_minute(&clock, "nothing holds it", || weak.strong_count() == 0).await;
}

/// While sweeps run, every removed entry is replaced at once: none of the new ones goes.
#[test]
fn a7_a_sweep_does_not_remove_the_successor() {
    const KEYS: u64 = 2_000;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = cache_core::Clock::manual();
        let cache = build(Cache::builder().clock(clock.clone()).max_bytes(1 << 30));
        for round in 0..20_u64 {
            for n in 0..KEYS {
                cache.put(n, round, "1d", ["old"]);
            }
            drop(cache.invalidate_cache("old"));
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            clock.advance(secs(10));
            for n in 0..KEYS {
                cache.put(n, round + 1, "1d", ["new"]);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            for n in 0..KEYS {
                assert_eq!(
                    cache.get::<u64>(n).await,
                    Some(round + 1),
                    "key {n}, round {round}"
                );
            }
        }
    });
}

#[tokio::test]
async fn rule_11_expired_and_removed_entries_leave_no_records_of_tags() {
    let (cache, clock) = cache();
    for n in 0..100_u64 {
        cache
            .fetch(n, "1m", [format!("own:{n}")], ok(n))
            .await
            .unwrap();
    }
    for n in 0..50_u64 {
        cache.remove(n).await.unwrap();
    }
    clock.advance(secs(60));
    drop(cache.invalidate_cache("own:99"));
    within_a_minute(&clock, "all of them, and their tags", || {
        let stats = cache.stats();
        stats.entries == 0 && stats.tags == 1
    })
    .await;
}
