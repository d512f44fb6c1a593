//! Memory is bounded, and comes back: what the process holds, beside what the cache says it holds.
//! One test at a time, as all of a process is counted.

use std::alloc::System;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cache_core::{Cache, CacheWeight, Clock, Life};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The bytes that live on the heap now.
fn live() -> isize {
    let stats = ALLOCATOR.stats();
    let size = |bytes: usize| isize::try_from(bytes).unwrap();
    size(stats.bytes_allocated) - size(stats.bytes_deallocated)
}

fn measured(test: impl AsyncFnOnce()) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(test());
}

/// A page of rows as an application has them: about 100 KB on the heap.
fn page(n: u64) -> Vec<(u64, String, Option<String>)> {
    let row = |i: u64| {
        (
            i,
            format!("row {i} of page {n} with a name"),
            Some("x".repeat(60)),
        )
    };
    (0..700).map(row).collect()
}

#[test]
fn rule_11_pages_of_100_kb_under_10_mib_stay_within_twice_that() {
    const ROOM: isize = 10 << 20;
    measured(async || {
        let before = live();
        let cache = Cache::builder().max_bytes(10 << 20).build();
        let one = page(0).cache_weight();
        assert!((90_000..130_000).contains(&one), "{one}");
        let mut most = 0;
        for n in 0..2_000_u64 {
            let load = move || async move { Ok::<_, &'static str>(page(n)) };
            cache
                .fetch(n, "1h", ["pages", &format!("page:{n}")], load)
                .await
                .unwrap();
            most = most.max(live() - before);
        }
        assert!(most < 2 * ROOM, "{most} bytes at most");
        let stats = cache.stats();
        assert!(stats.bytes <= 10 << 20);
        assert!(stats.entries > 50, "{} of them are kept", stats.entries);
    });
}

#[test]
fn rule_11_a_hundred_thousand_keys_under_1_mib_stay_within_a_few() {
    measured(async || {
        let before = live();
        let cache = Cache::builder().max_bytes(1 << 20).build();
        let empty = live() - before;
        let mut most = 0;
        for n in 0..100_000_u64 {
            cache.put(n, n, "1h", ["all", &format!("own:{n}")]);
            most = most.max(live() - before - empty);
        }
        assert!(cache.stats().bytes <= 1 << 20);
        assert!(most < 8 << 20, "{most} bytes at most, beside {empty}");
    });
}

#[test]
fn rule_11_memory_comes_back_after_an_invalidation() {
    measured(async || {
        let clock = Clock::manual();
        let cache = Cache::builder().clock(clock.clone()).build();
        let before = live();
        for n in 0..200_u64 {
            cache.put(n, page(n), "1d", ["pages"]);
        }
        let full = live() - before;
        assert!(full > 15_000_000, "{full}");
        drop(cache.invalidate_cache("pages"));
        for _ in 0..6 {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let left = live() - before;
        assert!(left < full / 10, "{left} of {full} bytes are left");
    });
}

#[test]
fn rule_11_a_key_of_10_mb_costs_no_more_than_itself() {
    struct Serialised(Vec<u8>);
    impl cache_core::CacheKey for Serialised {
        fn encode(&self, key: &mut cache_core::KeyWriter<'_>) {
            key.serialize(&self.0);
        }
    }
    measured(async || {
        let cache = Cache::new();
        let key = Serialised(vec![7; 10_000_000]);
        let before = ALLOCATOR.stats().bytes_allocated;
        assert_eq!(cache.get::<u64>(&key).await, None);
        let stored = cache.put(&key, 1_u64, "1h", ["t"]);
        assert!(!stored.is_stored());
        let taken = ALLOCATOR.stats().bytes_allocated - before;
        assert!(taken < 50_000_000, "{taken} bytes were taken for it");
    });
}

#[test]
fn rule_11_attempts_that_come_to_nothing_leave_nothing() {
    measured(async || {
        let cache = Cache::new();
        let huge = "k".repeat(100_000);
        let life = Life::from("1h");
        let tries = async |times: u64| {
            for n in 0..times {
                drop(cache.begin(&huge));
                drop(cache.begin(n));
                drop(cache.begin(1_u64));
                let failing = || async { Err::<u64, _>("down") };
                cache
                    .fetch(n, life, [format!("own:{n}")], failing)
                    .await
                    .unwrap_err();
                drop(cache.invalidate_cache(format!("unknown:{n}")));
                drop(cache.remove_local(n));
            }
        };
        // As many as make the records of tags that are kept for a while no more.
        tries(10_000).await;
        let before = live();
        tries(20_000).await;
        let left = live() - before;
        assert!(left < 100_000, "{left} bytes are left");
        assert_eq!(cache.stats().running, 0);
    });
}
