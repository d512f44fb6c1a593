//! The local verbs: they drop this process's bytes and detach its loads, and invalidate nothing.

use cache_core::{Reason, cache_tag};

use super::support::{ask, begin_load, begin_load_saying, cache, ok, reason};

#[tokio::test]
async fn a6_remove_local_drops_one_key_and_detaches_its_load() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    cache.put("other", 1_u64, "1h", ["t"]);
    drop(cache.remove_local("row"));
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(cache.get::<u64>("other").await, Some(1));
    let load = begin_load(&cache, "row", "1h", &["t"], 2).await;
    drop(cache.remove_local("row"));
    assert_eq!(load.end().await, Ok(2));
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a6_clear_memory_drops_everything_and_detaches_every_load() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    cache.scope("s").put("row", 1_u64, "1h", ["t"]);
    let load = begin_load(&cache, "loading", "1h", &["t"], 2).await;
    drop(cache.clear_memory());
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(cache.scope("s").get::<u64>("row").await, None);
    assert_eq!(reason(&cache, "row"), Reason::Removed);
    let late = ask(&cache, "loading", "1h", &["t"], 3).await;
    assert_eq!(late.await.unwrap(), Ok(3), "who comes later loads anew");
    assert_eq!(load.end().await, Ok(2));
    assert_eq!(cache.get::<u64>("loading").await, Some(3));
}

#[tokio::test]
async fn a6_clear_memory_of_a_scope_keeps_the_others() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    let s = cache.scope("s");
    s.put("row", 1_u64, "1h", ["t"]);
    drop(s.clear_memory());
    assert_eq!(s.get::<u64>("row").await, None);
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}

/// They touch no tag: a load that began before, under a tag alone, is not overtaken by them.
#[tokio::test]
async fn a6_remove_local_of_one_key_overtakes_no_other_load() {
    let (cache, _) = cache();
    let load = begin_load_saying(&cache, "row", "1h", &["t"], 1, || cache_tag("late")).await;
    drop(cache.remove_local("other"));
    load.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}

#[tokio::test]
async fn a6_they_are_allowed_inside_a_cached_function() {
    let (cache, _) = cache();
    cache.put("scratch", 1_u64, "1h", [""; 0]);
    let inside = cache.clone();
    let body = move || async move {
        drop(inside.remove_local("scratch"));
        Ok::<_, &'static str>(1_u64)
    };
    cache.fetch("row", "1h", ["t"], body).await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    assert_eq!(cache.get::<u64>("scratch").await, None);
    cache
        .fetch("scratch", "1h", ["t"], ok(2_u64))
        .await
        .unwrap();
}
