//! Errors, panics and what is served instead.

use std::time::Duration;

use cache_core::spi::{CallOptions, Fetched, Finished, Function};
use cache_core::{Life, NotStorable, Reason, observe};

use super::support::{
    Count, Loaded, ask, begin_load, build, cache, call_key, err, finish, gate, nothing_runs, ok,
    options, reason, secs, settle,
};

static FUNCTION: Function = Function::new("tests::function", "");

#[tokio::test]
async fn rule_7_an_error_is_not_cached() {
    let (cache, _) = cache();
    assert_eq!(
        cache
            .fetch::<u64, _, _, _, _>("row", "1h", ["t"], err("down"))
            .await,
        Err("down")
    );
    assert_eq!(
        reason(&cache, "row"),
        Reason::NotStorable(NotStorable::Error)
    );
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(1_u64)).await, Ok(1));
}

#[tokio::test]
async fn rule_7_none_is_a_value_and_may_live_shorter() {
    let (cache, clock) = cache();
    cache
        .fetch("row", "1h", ["t"], ok(None::<u64>))
        .await
        .unwrap();
    assert_eq!(cache.get::<Option<u64>>("row").await, Some(None));

    cache
        .enter(async {
            let short = || async { Finished::<_, &'static str>::StoreFor(1_u64, secs(30)) };
            let key = call_key(&FUNCTION, 0);
            let call = cache_core::spi::lookup_anew::<u64>(&key);
            call.load(
                CallOptions {
                    life: Some("1h".into()),
                    ..options(&["t"])
                },
                short,
            )
            .await;
            assert_eq!(cache.explain(key.key()).fresh_for, secs(30));
            clock.advance(secs(30));
            assert_eq!(cache.explain(key.key()).reason, Reason::Expired);
        })
        .await;
}

#[tokio::test]
async fn life_stale_if_error_serves_the_stale_value_while_loads_fail() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let (got, seen) = observe(cache.fetch("row", life, ["t"], err("down"))).await;
    assert_eq!((got, seen[0].reason), (Ok(1_u64), Reason::Stale));
    clock.advance(secs(1));
    assert_eq!(
        cache.fetch("row", life, ["t"], ok(2_u64)).await,
        Ok(2),
        "asked first"
    );
    clock.advance(secs(60 + 3600));
    assert_eq!(
        cache
            .fetch::<u64, _, _, _, _>("row", life, ["t"], err("down"))
            .await,
        Err("down")
    );
}

/// While loads fail their source is asked after 1, 2, 4, .. seconds, not at each read.
#[tokio::test]
async fn life_a_failing_source_is_asked_less_and_less_often() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    for (asked, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        assert_eq!(reason(&cache, "row"), Reason::Expired, "it would be asked");
        for _ in 0..3 {
            let got = cache.fetch("row", life, ["t"], err("down")).await;
            assert_eq!(got, Ok(1_u64));
        }
        clock.advance(secs(pause) - Duration::from_millis(1));
        let (got, seen) = observe(cache.fetch("row", life, ["t"], err("down"))).await;
        assert_eq!((got, seen[0].reason), (Ok(1_u64), Reason::Stale));
        assert_eq!(reason(&cache, "row"), Reason::Stale);
        assert_eq!(cache.stats().loads, asked as u64 + 1, "{pause}");
        clock.advance(Duration::from_millis(1));
    }
    // What replaces it begins anew.
    assert_eq!(cache.fetch("row", life, ["t"], ok(2_u64)).await, Ok(2));
    clock.advance(secs(60));
    assert_eq!(
        cache.fetch("row", life, ["t"], err("down")).await,
        Ok(2_u64)
    );
    clock.advance(secs(1));
    assert_eq!(cache.fetch("row", life, ["t"], ok(3_u64)).await, Ok(3));
}

/// A pause serves what may be served, and nothing else: not past the window, not what is dead.
#[tokio::test]
async fn life_a_pause_ends_with_the_window_and_with_the_value() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("2s");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    for wait in [1, 1] {
        let got = cache.fetch("row", life, ["t"], err("down")).await;
        assert_eq!(got, Ok(1_u64));
        clock.advance(secs(wait));
    }
    assert_eq!(cache.fetch("row", life, ["t"], ok(2_u64)).await, Ok(2));

    clock.advance(secs(60));
    let got = cache.fetch("row", life, ["t"], err("down")).await;
    assert_eq!(got, Ok(2_u64));
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(cache.fetch("row", life, ["t"], ok(3_u64)).await, Ok(3));
}

/// Who asks for a new value asks the source.
#[tokio::test]
async fn life_a_refresh_that_is_asked_for_does_not_wait_for_the_pause() {
    let (cache, clock) = cache();
    let limited = || CallOptions {
        life: Some(Life::from("1m").stale_if_error("1h")),
        ..options(&["t"])
    };
    let load = |value| move || finish(async move { value });
    let run = async {
        for value in [Ok(1), Err("down"), Ok(2)] {
            let call = cache_core::spi::lookup_anew::<u64>(&call_key(&FUNCTION, 2));
            let got = call.load(limited(), load(value)).await;
            let expected = value.unwrap_or(1);
            assert!(matches!(got, Fetched::Value(value) if value == expected));
            clock.advance(secs(60 * u64::from(expected == 1 && value.is_ok())));
        }
    };
    cache.enter(run).await;
    assert_eq!(cache.stats().loads, 3);
}

/// Nothing new is made of what is old: inside a load the source is asked each time.
#[tokio::test]
async fn rule_2_inside_a_load_there_is_no_pause() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let got = cache.fetch("row", life, ["t"], err("down")).await;
    assert_eq!(got, Ok(1_u64));
    let inner = cache.clone();
    let load = move || async move { inner.fetch("row", life, ["t"], ok(2_u64)).await };
    assert_eq!(cache.fetch("outer", "1h", [""; 0], load).await, Ok(2));
}

#[tokio::test]
async fn life_after_a_soft_invalidation_stale_if_error_serves_too() {
    let (cache, _) = cache();
    let life = Life::from("1h").stale_if_error("1h");
    cache.put("row", 1_u64, life, ["t"]);
    cache.revalidate_tag("t").await.unwrap();
    assert_eq!(
        cache.fetch("row", life, ["t"], err("down")).await,
        Ok(1_u64)
    );
}

#[tokio::test]
async fn life_a_dead_value_is_never_served_on_error() {
    let (cache, clock) = cache();
    let life = Life::from("1m")
        .stale_while_revalidate("1d")
        .stale_if_error("1d");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(
        cache
            .fetch::<u64, _, _, _, _>("row", life, ["t"], err("down"))
            .await,
        Err("down")
    );
}

/// It died while the load ran: the marks are read again when the load has failed.
#[tokio::test]
async fn life_a_value_that_dies_while_its_load_runs_is_not_served_on_error() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1d");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let (gate, mut keeper) = gate();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Err::<u64, _>("down")
            };
            cache.fetch("row", life, ["t"], load).await
        })
    };
    keeper.reached().await;
    cache.invalidate_cache("t").await.unwrap();
    keeper.open();
    assert_eq!(task.await.unwrap(), Err("down"));
}

#[tokio::test]
async fn life_a_window_that_ends_while_the_load_runs_is_over() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1m");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(90));
    let (gate, mut keeper) = gate();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Err::<u64, _>("down")
            };
            cache.fetch("row", life, ["t"], load).await
        })
    };
    keeper.reached().await;
    clock.advance(secs(30));
    keeper.open();
    assert_eq!(task.await.unwrap(), Err("down"));
}

#[tokio::test]
async fn rule_10_joiners_of_a_failed_load_get_the_stale_value_if_there_is_one() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1d");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let (gate, mut keeper) = gate();
    let leader = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Err::<u64, _>("down")
            };
            cache.fetch("row", life, ["t"], load).await
        })
    };
    keeper.reached().await;
    let joiner = ask(&cache, "row", life, &["t"], 2).await;
    keeper.open();
    assert_eq!(leader.await.unwrap(), Ok(1));
    assert_eq!(joiner.await.unwrap(), Ok(1));
}

/// 100 callers of a failing load: the leader's error is its own, the others load once each, at once.
#[tokio::test]
async fn rule_10_an_error_is_not_shared_and_its_joiners_are_released_together() {
    let (cache, _) = cache();
    let leader = {
        let (gate, mut keeper) = gate();
        let inside = cache.clone();
        let task = tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Err::<u64, _>("the leader's")
            };
            inside.fetch("row", "1h", ["t"], load).await
        });
        keeper.reached().await;
        (task, keeper)
    };
    let (loads, together) = (
        Count::default(),
        std::sync::Arc::new(tokio::sync::Barrier::new(100)),
    );
    let joiners: Vec<_> = (0..100)
        .map(|_| {
            let (cache, loads, together) = (cache.clone(), loads.clone(), together.clone());
            tokio::spawn(async move {
                let load = move || async move {
                    loads.up();
                    // All run at once, or none gets past this line.
                    together.wait().await;
                    Err::<u64, _>("their own")
                };
                cache.fetch("row", "1h", ["t"], load).await
            })
        })
        .collect();
    settle().await;
    assert_eq!(loads.get(), 0);
    let (task, mut keeper) = leader;
    keeper.open();
    assert_eq!(task.await.unwrap(), Err("the leader's"));
    for joiner in joiners {
        assert_eq!(joiner.await.unwrap(), Err("their own"));
    }
    assert_eq!(loads.get(), 100);
    nothing_runs(&cache).await;
}

#[tokio::test]
async fn rule_10_what_a_released_joiner_loads_is_not_stored() {
    let (cache, _) = cache();
    let (gate, mut keeper) = gate();
    let inside = cache.clone();
    let leader = tokio::spawn(async move {
        let load = move || async move {
            gate.pass().await;
            Err::<u64, _>("down")
        };
        inside.fetch("row", "1h", ["t"], load).await
    });
    keeper.reached().await;
    let joiner = ask(&cache, "row", "1h", &["t"], 2).await;
    keeper.open();
    leader.await.unwrap().unwrap_err();
    assert_eq!(joiner.await.unwrap(), Ok(2));
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn rule_10_a_panic_is_the_leaders_callers_alone() {
    let (cache, _) = cache();
    let (gate, mut keeper) = gate();
    let inside = cache.clone();
    let leader = tokio::spawn(async move {
        let load = move || async move {
            gate.pass().await;
            panic!("on purpose")
        };
        inside
            .fetch::<u64, &'static str, _, _, _>("row", "1h", ["t"], load)
            .await
    });
    keeper.reached().await;
    let joiner = ask(&cache, "row", "1h", &["t"], 2).await;
    keeper.open();
    let panic = leader.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert_eq!(joiner.await.unwrap(), Ok(2));
    assert_eq!(
        reason(&cache, "row"),
        Reason::NotStorable(NotStorable::Panicked)
    );
    nothing_runs(&cache).await;
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(3_u64)).await, Ok(3));
}

#[tokio::test]
async fn rule_10_a_loader_that_panics_before_its_first_await_strands_nobody() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let leader = tokio::spawn(async move {
        let load = || -> std::future::Ready<Loaded<u64>> { panic!("on purpose") };
        inside.fetch("row", "1h", ["t"], load).await
    });
    assert!(leader.await.unwrap_err().is_panic());
    assert_eq!(cache.explain("row").running, 0);
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(1_u64)).await, Ok(1));
}

#[tokio::test]
async fn rule_10_a_refresh_that_panics_keeps_the_stale_value_and_is_not_tried_at_once_again() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let loads = Count::default();
    for _ in 0..5 {
        let loads = loads.clone();
        let load = move || async move {
            loads.up();
            panic!("on purpose")
        };
        let got = cache
            .fetch::<u64, &'static str, _, _, _>("row", life, ["t"], load)
            .await;
        assert_eq!(got, Ok(1));
        settle().await;
    }
    assert_eq!(loads.get(), 1);
}

#[tokio::test]
async fn life_a_refresh_that_failed_is_tried_again_later_and_later() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    for (round, pause) in [(1, 1), (2, 2), (3, 4)] {
        for _ in 0..5 {
            let got = cache.fetch("row", life, ["t"], err("down")).await;
            assert_eq!(got, Ok(1_u64));
            settle().await;
        }
        assert_eq!(cache.stats().loads, round);
        clock.advance(secs(pause));
    }
    assert_eq!(cache.fetch("row", life, ["t"], ok(2_u64)).await, Ok(1));
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, Some(2));
}

#[tokio::test]
async fn rule_8_a_value_too_large_for_the_cache_is_served_and_not_stored() {
    let cache = build(cache_core::Cache::builder().max_bytes(1_000));
    let got = cache.fetch("row", "1h", ["t"], ok(vec![0_u8; 2_000])).await;
    assert_eq!(got.unwrap().len(), 2_000);
    assert_eq!(
        reason(&cache, "row"),
        Reason::NotStorable(NotStorable::TooLarge)
    );
}

#[tokio::test]
async fn a_profile_that_the_cache_does_not_have_is_served_and_not_stored() {
    let (cache, _) = cache();
    let unknown = CallOptions {
        profile: Some("nightly"),
        ..options(&["t"])
    };
    let key = call_key(&FUNCTION, 1);
    cache
        .enter(async {
            let call = cache_core::spi::lookup_anew::<u64>(&key);
            let got = call
                .load(unknown, || async { Finished::<_, ()>::Store(1) })
                .await;
            assert!(matches!(got, Fetched::Value(1)));
        })
        .await;
    let why = Reason::NotStorable(NotStorable::UnknownProfile);
    assert_eq!(cache.explain(key.key()).reason, why);
}

#[tokio::test]
async fn rule_3_an_evicted_value_is_a_miss_with_its_reason() {
    let cache = build(cache_core::Cache::builder().max_bytes(20_000));
    for n in 0..1_000_u64 {
        cache.put(n, n, "1h", [""; 0]);
    }
    let held = cache.stats().entries;
    assert!(held < 200, "{held}");
    let mut gone = 0;
    for n in 0..1_000_u64 {
        match cache.explain(n).reason {
            Reason::Hit => {}
            Reason::Evicted => gone += 1,
            // The table of reasons is small: some are forgotten.
            Reason::NeverStored => {}
            other => panic!("{n}: {other}"),
        }
    }
    assert!(gone > 600, "{gone}");
    let load = begin_load(&cache, "row", "1h", &[], 1).await;
    load.end().await.unwrap();
}

#[tokio::test]
async fn a_load_that_panicked_is_counted_as_a_miss() {
    let (cache, _) = cache();
    let counted = cache.clone();
    let panicked = tokio::spawn(async move {
        let load = || async { panic!("on purpose") };
        cache
            .fetch::<u64, &'static str, _, _, _>("row", "1h", ["t"], load)
            .await
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!((counted.stats().loads, counted.stats().misses), (1, 1));
}
