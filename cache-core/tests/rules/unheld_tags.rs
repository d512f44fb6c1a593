//! Tags that nobody holds when they are invalidated: the mark is remembered while a load runs that
//! may yet turn out to carry the tag, and not for ever.

use cache_core::{NotStorable, Reason, cache_tag};

use super::support::{
    Fetching, ask, begin_load, begin_load_saying, cache, eventually, gate, ok, reason, secs,
    settle, within_a_minute,
};

/// More than are remembered.
const FLOOD: usize = 4096 + 100;

async fn load_saying_late(cache: &cache_core::Cache) -> Fetching<u64> {
    begin_load_saying(cache, "row", "1h", &[], 1, || cache_tag("booking:7")).await
}

#[tokio::test]
async fn a3_a_tag_nobody_holds_is_remembered_while_a_load_runs() {
    let (cache, _) = cache();
    let load = load_saying_late(&cache).await;
    cache.invalidate_cache("booking:7").await.unwrap();
    assert_eq!(load.end().await, Ok(1));
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(reason(&cache, "row"), Reason::LoadRaced);
}

#[tokio::test]
async fn a3_it_is_remembered_for_the_oldest_of_several_loads() {
    let (cache, _) = cache();
    let oldest = load_saying_late(&cache).await;
    cache.invalidate_cache("booking:7").await.unwrap();
    for n in 0..10_u64 {
        // Others begin and end meanwhile, and records are swept.
        cache.fetch(n, "1h", ["x"], ok(n)).await.unwrap();
        cache.invalidate_cache("x").await.unwrap();
    }
    oldest.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a3_it_is_remembered_through_a_sweep() {
    let (cache, clock) = cache();
    let oldest = load_saying_late(&cache).await;
    cache.put("witness", 0_u64, "1h", ["w"]);
    cache.invalidate_cache(["booking:7", "w"]).await.unwrap();
    within_a_minute(&clock, "the sweep", || cache.stats().entries == 0).await;
    settle().await;
    oldest.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a3_it_is_remembered_for_begin_and_put_from() {
    let (cache, _) = cache();
    let pending = cache.begin("row");
    cache.invalidate_cache("booking:7").await.unwrap();
    let stored = cache.put_from(pending, 1_u64, "1h", ["booking:7"]);
    assert_eq!(stored.why_not(), Some(Reason::LoadRaced));
}

#[tokio::test]
async fn a3_it_is_remembered_for_a_joiner() {
    let (cache, _) = cache();
    let load = load_saying_late(&cache).await;
    cache.invalidate_cache("booking:7").await.unwrap();
    let joiner = ask(&cache, "row", "1h", &[], 2).await;
    assert!(!joiner.is_finished());
    load.end().await.unwrap();
    assert_eq!(joiner.await.unwrap(), Ok(2));
}

#[tokio::test]
async fn a3_it_is_remembered_for_a_soft_invalidation() {
    let (cache, _) = cache();
    let load = load_saying_late(&cache).await;
    cache.revalidate_tag("booking:7").await.unwrap();
    load.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

/// The inner call waits for a load that hangs, and past the limit loads alone.
#[tokio::test]
async fn a3_it_is_remembered_for_a_lone_load_inside_a_load() {
    let (cache, clock) = cache();
    let stuck = begin_load(&cache, "inner", "1h", &[], 0).await;
    let (gate, mut keeper) = gate();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let load = move || async move {
                let inner = move || async move {
                    gate.pass().await;
                    cache_tag("late");
                    Ok::<_, &'static str>(1_u64)
                };
                inside.fetch("inner", "1h", [""; 0], inner).await
            };
            cache.fetch("outer", "1h", [""; 0], load).await
        })
    };
    settle().await;
    clock.advance(secs(30));
    keeper.reached().await;
    cache.invalidate_cache("late").await.unwrap();
    keeper.open();
    assert_eq!(task.await.unwrap(), Ok(1));
    assert_eq!(cache.get::<u64>("outer").await, None);
    stuck.end().await.unwrap();
}

#[tokio::test]
async fn a3_past_the_bound_a_floor_rises_below_which_no_load_is_stored() {
    let (cache, _) = cache();
    let load = load_saying_late(&cache).await;
    cache.invalidate_cache("booking:7").await.unwrap();
    for n in 0..FLOOD {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    load.end().await.unwrap();
    assert_eq!(
        cache.get::<u64>("row").await,
        None,
        "its mark may have been dropped"
    );
    assert_eq!(reason(&cache, "row"), Reason::LoadRaced);
}

#[tokio::test]
async fn a3_the_floor_holds_for_joiners_too() {
    let (cache, _) = cache();
    let load = load_saying_late(&cache).await;
    cache.invalidate_cache("booking:7").await.unwrap();
    for n in 0..FLOOD {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    let joiner = ask(&cache, "row", "1h", &[], 2).await;
    load.end().await.unwrap();
    assert_eq!(joiner.await.unwrap(), Ok(2));
}

/// One step with more tags than are remembered.
#[tokio::test]
async fn a3_the_floor_holds_for_one_call_with_very_many_tags() {
    let (cache, _) = cache();
    let load = load_saying_late(&cache).await;
    let tags = std::iter::once("booking:7".to_owned());
    drop(cache.invalidate_cache(tags.chain((0..FLOOD).map(|n| format!("nobody:{n}")))));
    load.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a3_the_floor_holds_for_put_from() {
    let (cache, _) = cache();
    let pending = cache.begin("row");
    cache.invalidate_cache("booking:7").await.unwrap();
    for n in 0..FLOOD {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    let stored = cache.put_from(pending, 1_u64, "1h", ["booking:7"]);
    assert_eq!(stored.why_not(), Some(Reason::LoadRaced));
}

/// The marks are dropped between the moment a `put` takes its value and the moment it stores it.
#[tokio::test]
async fn a3_the_floor_holds_for_put() {
    let (cache, _) = cache();
    let tags = std::iter::once_with(|| {
        drop(cache.invalidate_cache("booking:7"));
        for n in 0..FLOOD {
            drop(cache.invalidate_cache(format!("nobody:{n}")));
        }
        "booking:7".to_owned()
    });
    let stored = cache.put("row", 1_u64, "1h", tags);
    assert_eq!(stored.why_not(), Some(Reason::LoadRaced));
    assert_eq!(cache.get::<u64>("row").await, None);
}

/// A record is freed only where nothing holds it: an orphan held by an entry would never be marked again.
#[tokio::test]
async fn a3_a_record_that_an_entry_holds_is_never_freed_by_the_floor() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "running", "1h", &[], 0).await;
    // Marked while nobody held it, then held by an entry.
    cache.invalidate_cache("held").await.unwrap();
    cache.put("row", 1_u64, "1h", ["held"]);
    for n in 0..FLOOD {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    cache.invalidate_cache("held").await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
    load.end().await.unwrap();
}

#[tokio::test]
async fn a3_a_record_that_an_entry_holds_is_never_freed_by_a_sweep() {
    let (cache, clock) = cache();
    cache.put("row", 1_u64, "1h", ["held"]);
    cache.put("witness", 0_u64, "1h", ["w"]);
    cache.invalidate_cache("w").await.unwrap();
    within_a_minute(&clock, "the sweep", || cache.stats().entries == 1).await;
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    cache.invalidate_cache("held").await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

/// Nor one that only a running load holds, which adds it before it is marked.
#[tokio::test]
async fn a3_a_record_that_a_running_load_holds_is_never_freed() {
    let (cache, _) = cache();
    let (gate, mut keeper) = gate();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = move || async move {
                cache_tag("early");
                gate.pass().await;
                Ok::<_, &'static str>(1_u64)
            };
            cache.fetch("row", "1h", [""; 0], load).await
        })
    };
    keeper.reached().await;
    let other = begin_load(&cache, "other", "1h", &[], 0).await;
    other.end().await.unwrap();
    cache.invalidate_cache("early").await.unwrap();
    let other = begin_load(&cache, "other2", "1h", &[], 0).await;
    other.end().await.unwrap();
    keeper.open();
    task.await.unwrap().unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
}

/// Unknown tags cost nothing while nothing runs, and are forgotten when nothing that ran needs them.
#[tokio::test]
async fn a3_and_rule_11_marks_of_unknown_tags_are_freed_when_the_load_ends() {
    let (cache, _) = cache();
    for n in 0..1_000 {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    assert_eq!(cache.stats().tags, 1, "the tag that all carry");
    let load = begin_load(&cache, "row", "1h", &[], 1).await;
    for n in 0..1_000 {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    assert_eq!(cache.stats().tags, 1_001);
    load.end().await.unwrap();
    eventually("they are freed", || cache.stats().tags == 1).await;
}

#[tokio::test]
async fn rule_11_marks_for_a_load_that_never_ends_are_bounded() {
    let (cache, _) = cache();
    let stuck = begin_load(&cache, "row", "1h", &[], 1).await;
    for n in 0..50_000 {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    assert!(cache.stats().tags < 10_000, "{}", cache.stats().tags);
    // And a load that began since is stored.
    assert_eq!(cache.fetch("new", "1h", ["n"], ok(2_u64)).await, Ok(2));
    assert_eq!(cache.get::<u64>("new").await, Some(2));
    stuck.end().await.unwrap();
}

#[tokio::test]
async fn a3_fewer_marks_than_the_bound_cost_no_load_its_place() {
    let (cache, clock) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.put("witness", 0_u64, "1h", ["w"]);
    for n in 0..3_900 {
        drop(cache.invalidate_cache(format!("nobody:{n}")));
    }
    cache.invalidate_cache("w").await.unwrap();
    within_a_minute(&clock, "the sweep", || cache.stats().entries == 0).await;
    settle().await;
    load.end().await.unwrap();
    assert_ne!(
        reason(&cache, "row"),
        Reason::NotStorable(NotStorable::MarksDropped)
    );
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}
