//! The two verbs: what each drops, when it is applied, where it is refused.

use cache_core::{
    Cache, InvalidateError, Life, Reason, bypass, invalidate_cache, revalidate_path, revalidate_tag,
};

use super::support::{
    Count, DELIVERY, begin_load, cache, never, nothing_runs, ok, reason, secs, settle,
};

const SWR: Life = Life::from_secs(3600);

fn windowed() -> Life {
    SWR.stale_while_revalidate("1h")
}

#[tokio::test]
async fn rule_9_an_invalidation_is_applied_when_called_not_when_awaited() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    let unawaited = cache.invalidate_cache("t");
    assert_eq!(cache.get::<u64>("row").await, None);
    cache.put("row", 2_u64, "1h", ["t"]);
    let told = unawaited.await.unwrap();
    assert_eq!(told.delivery, DELIVERY);
    assert_eq!(
        cache.get::<u64>("row").await,
        Some(2),
        "awaiting applies nothing again"
    );
    for verb in [
        Cache::clear,
        |cache: &Cache| cache.remove("row"),
        |cache: &Cache| cache.revalidate_tag("t"),
    ] {
        cache.put("row", 3_u64, "1h", ["t"]);
        drop(verb(&cache));
        assert_eq!(cache.get::<u64>("row").await, None);
    }
}

#[test]
fn rule_9_an_invalidation_needs_no_runtime() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    drop(cache.invalidate_cache("t"));
    drop(cache.revalidate_tag("t"));
    drop(cache.remove("row"));
    drop(cache.clear_memory());
    drop(cache.clear());
    assert_ne!(reason(&cache, "row"), Reason::Hit);
}

#[tokio::test]
async fn verbs_soft_with_a_window_serves_stale_while_one_refresh_runs() {
    let (cache, _) = cache();
    cache.put("row", 0_u64, windowed(), ["t"]);
    cache.revalidate_tag("t").await.unwrap();
    let loads = Count::default();
    for _ in 0..10 {
        let loads = loads.clone();
        let load = move || async move {
            tokio::task::yield_now().await;
            Ok::<_, &'static str>(loads.up())
        };
        assert_eq!(cache.fetch("row", windowed(), ["t"], load).await, Ok(0));
    }
    settle().await;
    assert_eq!(loads.get(), 1);
    assert_eq!(
        cache.fetch("row", windowed(), ["t"], never()).await,
        Ok(1_u64)
    );
}

#[tokio::test]
async fn verbs_soft_without_a_window_loads_and_waits() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    cache.revalidate_tag("t").await.unwrap();
    assert_eq!(cache.fetch("row", "1h", ["t"], ok(2_u64)).await, Ok(2));
}

#[tokio::test]
async fn verbs_hard_loads_and_waits_whatever_the_windows() {
    let (cache, _) = cache();
    let life = windowed().stale_if_error("1d");
    cache.put("row", 1_u64, life, ["t"]);
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(cache.fetch("row", life, ["t"], ok(2_u64)).await, Ok(2));
}

#[tokio::test]
async fn verbs_hard_after_soft_is_hard_and_soft_after_hard_stays_hard() {
    for hard_first in [true, false] {
        let (cache, _) = cache();
        cache.put("row", 1_u64, windowed(), ["t"]);
        if hard_first {
            drop(cache.invalidate_cache("t"));
            drop(cache.revalidate_tag("t"));
        } else {
            drop(cache.revalidate_tag("t"));
            drop(cache.invalidate_cache("t"));
        }
        assert_eq!(
            cache.fetch("row", windowed(), ["t"], ok(2_u64)).await,
            Ok(2)
        );
    }
}

#[tokio::test]
async fn verbs_hard_on_one_tag_wins_over_soft_on_another() {
    for tags in [["soft", "hard"], ["hard", "soft"]] {
        let (cache, _) = cache();
        cache.put("row", 1_u64, windowed(), tags);
        drop(cache.revalidate_tag("soft"));
        drop(cache.invalidate_cache("hard"));
        assert_eq!(cache.fetch("row", windowed(), tags, ok(2_u64)).await, Ok(2));
    }
}

#[tokio::test]
async fn verbs_any_tag_drops_and_no_other_does() {
    let (cache, _) = cache();
    for tag in ["a", "b", "c"] {
        cache.put("row", 1_u64, "1h", ["a", "b", "c"]);
        cache.put("other", 1_u64, "1h", ["ab", "A", "a "]);
        cache.invalidate_cache(tag).await.unwrap();
        assert_eq!(cache.get::<u64>("row").await, None, "{tag}");
        assert_eq!(cache.get::<u64>("other").await, Some(1));
    }
}

#[tokio::test]
async fn verbs_no_tags_do_nothing_and_unknown_ones_are_no_error() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    cache.invalidate_cache([""; 0]).await.unwrap();
    cache.invalidate_cache(Vec::<String>::new()).await.unwrap();
    cache.revalidate_tag(None::<&str>).await.unwrap();
    cache.invalidate_cache("unknown").await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    let before = cache.stats().invalidations;
    cache.invalidate_cache([""; 0]).await.unwrap();
    assert_eq!(cache.stats().invalidations, before);
}

#[tokio::test]
async fn verbs_twice_is_once() {
    let (cache, _) = cache();
    for _ in 0..3 {
        cache.put("row", 1_u64, "1h", ["t"]);
        drop(cache.invalidate_cache(["t", "t"]));
        drop(cache.invalidate_cache("t"));
        assert_eq!(cache.get::<u64>("row").await, None);
        cache.fetch("row", "1h", ["t"], ok(2_u64)).await.unwrap();
        assert_eq!(cache.get::<u64>("row").await, Some(2));
    }
}

#[tokio::test]
async fn verbs_a_second_soft_invalidation_does_not_lengthen_the_window() {
    let (cache, clock) = cache();
    let life = Life::from("1d").stale_while_revalidate("100s");
    cache.put("row", 1_u64, life, ["t"]);
    cache.revalidate_tag("t").await.unwrap();
    clock.advance(secs(60));
    cache.revalidate_tag("t").await.unwrap();
    assert_eq!(reason(&cache, "row"), Reason::Stale);
    clock.advance(secs(40));
    assert_eq!(reason(&cache, "row"), Reason::Tag, "it runs from the first");
    assert_eq!(cache.fetch("row", life, ["t"], ok(2_u64)).await, Ok(2));
}

#[tokio::test]
async fn verbs_the_window_runs_from_the_first_of_several_tags() {
    let (cache, clock) = cache();
    let life = Life::from("1d").stale_while_revalidate("100s");
    cache.put("row", 1_u64, life, ["a", "b"]);
    cache.revalidate_tag("b").await.unwrap();
    clock.advance(secs(60));
    cache.revalidate_tag("a").await.unwrap();
    clock.advance(secs(40));
    assert_eq!(reason(&cache, "row"), Reason::Tag);
}

#[tokio::test]
async fn verbs_the_window_of_a_new_entry_does_not_run_from_an_old_invalidation() {
    let (cache, clock) = cache();
    let life = Life::from("1d").stale_while_revalidate("100s");
    cache.put("row", 1_u64, life, ["t"]);
    for _ in 0..40 {
        cache.revalidate_tag("t").await.unwrap();
        clock.advance(secs(1_000));
    }
    cache.put("row", 2_u64, life, ["t"]);
    clock.advance(secs(1_000));
    cache.revalidate_tag("t").await.unwrap();
    clock.advance(secs(99));
    assert_eq!(reason(&cache, "row"), Reason::Stale);
    clock.advance(secs(1));
    assert_eq!(reason(&cache, "row"), Reason::Tag);
}

#[tokio::test]
async fn verbs_many_soft_invalidations_never_lengthen_the_window() {
    let (cache, clock) = cache();
    let life = Life::from("1d").stale_while_revalidate("100s");
    cache.put("row", 1_u64, life, ["t"]);
    for _ in 0..99 {
        cache.revalidate_tag("t").await.unwrap();
        clock.advance(secs(1));
    }
    clock.advance(secs(1));
    assert_eq!(reason(&cache, "row"), Reason::Tag);
}

#[tokio::test]
async fn verbs_again_after_repeats_it() {
    let (cache, clock) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    let told = cache.invalidate_cache("t").again_after("5s");
    settle().await;
    // The replica still had the old row.
    cache.put("row", 1_u64, "1h", ["t"]);
    told.await.unwrap();
    clock.advance(secs(4));
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    clock.advance(secs(1));
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, None);
    cache.put("row", 2_u64, "1h", ["t"]);
    clock.advance(secs(100));
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, Some(2), "once");
}

#[tokio::test]
async fn verbs_again_after_a_soft_one_is_soft() {
    let (cache, clock) = cache();
    drop(cache.revalidate_tag("t").again_after(5));
    settle().await;
    cache.put("row", 1_u64, windowed(), ["t"]);
    clock.advance(secs(5));
    settle().await;
    assert_eq!(reason(&cache, "row"), Reason::Stale);
}

#[tokio::test]
async fn verbs_inside_a_cached_function_every_verb_is_an_error_and_does_nothing() {
    let (cache, _) = cache();
    cache.put("kept", 1_u64, "1h", ["t"]);
    let inside = cache.clone();
    let body = move || async move {
        let refused = [
            inside.invalidate_cache("t").await,
            inside.revalidate_tag("t").await,
            inside.revalidate_path("/").await,
            inside.remove("kept").await,
            inside.clear().await,
            inside.scope("s").clear().await,
            invalidate_cache("t").await,
            revalidate_tag("t").await,
            revalidate_path("/").await,
        ];
        let misuse = |refused: &Result<_, _>| matches!(refused, Err(InvalidateError::InsideCachedFunction { function }) if function == "cache");
        Ok::<_, &'static str>(refused.iter().filter(|refused| misuse(refused)).count() as u64)
    };
    assert_eq!(cache.fetch("row", "1h", ["r"], body).await, Ok(9));
    assert_eq!(cache.get::<u64>("kept").await, Some(1));
    assert_eq!(
        cache.get::<u64>("row").await,
        Some(9),
        "its own value is sound"
    );
}

#[tokio::test]
async fn verbs_inside_a_lone_load_they_are_an_error_too() {
    let (cache, clock) = cache();
    let stuck = begin_load(&cache, "row", "1h", &[], 1).await;
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let body = move || async move {
                Ok::<_, &'static str>(u64::from(inside.invalidate_cache("t").await.is_err()))
            };
            cache.fetch("row", "1h", [""; 0], body).await
        })
    };
    settle().await;
    clock.advance(secs(30));
    assert_eq!(task.await.unwrap(), Ok(1));
    stuck.end().await.unwrap();
}

#[tokio::test]
async fn bypass_neither_reads_nor_writes_nor_joins() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    assert_eq!(
        bypass(cache.fetch("row", "1h", ["t"], ok(2_u64))).await,
        Ok(2)
    );
    assert_eq!(bypass(cache.get::<u64>("row")).await, None);
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    cache.remove("row").await.unwrap();
    let load = begin_load(&cache, "row", "1h", &["t"], 3).await;
    assert_eq!(
        bypass(cache.fetch("row", "1h", ["t"], ok(4_u64))).await,
        Ok(4)
    );
    load.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(3));
}

#[tokio::test]
async fn rule_5_what_is_beneath_a_load_is_not_stored_for_it() {
    let (cache, _) = cache();
    // A lifetime of zero is served and never stored.
    let got = cache.fetch("row", 0, ["t"], ok(1_u64)).await;
    assert_eq!(got, Ok(1));
    assert_eq!(cache.fetch("row", 0, ["t"], ok(2_u64)).await, Ok(2));
    assert_eq!(cache.stats().stored, 0);
    nothing_runs(&cache).await;
}
