//! Keys by hand: `get`, `put`, `begin` and `put_from`, `remove`, scopes, `get_many`, `explain`, `stats`.

use cache_core::spi::Function;
use cache_core::{Cache, Life, NotStorable, Reason, observe};

use super::support::{
    ask, begin_load, build, cache, call, call_key, err, gate, never, nothing_runs, ok, options,
    reason, secs, settle,
};

#[tokio::test]
async fn a4_remove_detaches_a_running_load() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let waiting = ask(&cache, "row", "1h", &["t"], 2).await;
    cache.remove("row").await.unwrap();
    let later = ask(&cache, "row", "1h", &["t"], 3).await;
    assert_eq!(later.await.unwrap(), Ok(3), "nobody later finds it");
    assert_eq!(load.end().await, Ok(1));
    assert_eq!(
        waiting.await.unwrap(),
        Ok(1),
        "who waited already is served"
    );
    assert_eq!(
        cache.get::<u64>("row").await,
        Some(3),
        "and it stores nothing"
    );
}

#[tokio::test]
async fn a4_remove_before_anything_is_stored_counts() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.remove("row").await.unwrap();
    load.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(reason(&cache, "row"), Reason::LoadRaced);
}

#[tokio::test]
async fn a4_put_detaches_a_running_load() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let waiting = ask(&cache, "row", "1h", &["t"], 9).await;
    assert!(cache.put("row", 2_u64, "1h", ["t"]).is_stored());
    assert_eq!(load.end().await, Ok(1));
    assert_eq!(waiting.await.unwrap(), Ok(1));
    assert_eq!(cache.get::<u64>("row").await, Some(2));
}

#[tokio::test]
async fn a4_a_refresh_is_detached_too() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(90));
    let (gate, mut keeper) = gate();
    let load = move || async move {
        gate.pass().await;
        Ok::<_, &'static str>(2_u64)
    };
    cache.fetch("row", life, ["t"], load).await.unwrap();
    keeper.reached().await;
    cache.remove("row").await.unwrap();
    keeper.open();
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a4_detached_loads_count_towards_the_two_of_a_key() {
    let (cache, _) = cache();
    let first = begin_load(&cache, "row", "1h", &["t"], 1).await;
    cache.remove("row").await.unwrap();
    let second = begin_load(&cache, "row", "1h", &["t"], 2).await;
    cache.remove("row").await.unwrap();
    let third = ask(&cache, "row", "1h", &["t"], 3).await;
    assert!(!third.is_finished());
    assert_eq!(cache.explain("row").running, 2);
    first.end().await.unwrap();
    assert_eq!(third.await.unwrap(), Ok(3));
    second.end().await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(3));
}

#[tokio::test]
async fn a4_removing_a_key_keeps_what_was_built_from_it() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", "1h", ["i"], ok(1_u64)).await };
    cache.fetch("outer", "1h", ["o"], body).await.unwrap();
    cache.remove("inner").await.unwrap();
    assert_eq!(cache.get::<u64>("inner").await, None);
    assert_eq!(cache.get::<u64>("outer").await, Some(1));
}

#[tokio::test]
async fn a4_put_from_stores_what_was_read_since_begin() {
    let (cache, clock) = cache();
    let pending = cache.begin("row");
    assert_eq!(cache.stats().running, 1);
    clock.advance(secs(20));
    assert!(cache.put_from(pending, 1_u64, "1m", ["t"]).is_stored());
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    assert_eq!(
        cache.explain("row").fresh_for,
        secs(40),
        "from when it began"
    );
    nothing_runs(&cache).await;
}

#[tokio::test]
async fn a4_put_from_is_refused_after_a_removal_and_after_a_put() {
    let (cache, _) = cache();
    let pending = cache.begin("row");
    cache.remove("row").await.unwrap();
    let refused = cache.put_from(pending, 1_u64, "1h", ["t"]);
    assert_eq!(refused.why_not(), Some(Reason::LoadRaced));
    assert_eq!(cache.get::<u64>("row").await, None);

    let pending = cache.begin("row");
    cache.put("row", 2_u64, "1h", ["t"]);
    assert!(!cache.put_from(pending, 1_u64, "1h", ["t"]).is_stored());
    assert_eq!(cache.get::<u64>("row").await, Some(2));

    let pending = cache.begin("row");
    drop(cache.remove_local("row"));
    assert!(!cache.put_from(pending, 1_u64, "1h", ["t"]).is_stored());

    let pending = cache.begin("row");
    drop(cache.clear_memory());
    assert!(!cache.put_from(pending, 1_u64, "1h", ["t"]).is_stored());
}

#[tokio::test]
async fn a4_put_from_of_what_expired_while_it_was_read_is_refused() {
    let (cache, clock) = cache();
    let pending = cache.begin("row");
    clock.advance(secs(60));
    let refused = cache.put_from(pending, 1_u64, "1m", ["t"]);
    assert_eq!(refused.why_not(), Some(Reason::Expired));
}

#[tokio::test]
async fn a4_two_begun_stores_do_not_disturb_each_other() {
    let (cache, _) = cache();
    let (a, b) = (cache.begin("row"), cache.begin("row"));
    drop(a);
    assert!(cache.put_from(b, 2_u64, "1h", ["t"]).is_stored());
    let elsewhere = cache.begin("elsewhere");
    cache.remove("row").await.unwrap();
    assert!(cache.put_from(elsewhere, 3_u64, "1h", ["t"]).is_stored());
}

#[tokio::test]
async fn put_is_a_read_your_write_and_says_why_not() {
    let small = build(Cache::builder().max_bytes(10_000));
    assert!(small.put("row", 1_u64, "1h", [""; 0]).is_stored());
    assert_eq!(small.get::<u64>("row").await, Some(1));
    let large = small.put("row", vec![0_u8; 20_000], "1h", [""; 0]);
    assert_eq!(
        large.why_not(),
        Some(Reason::NotStorable(NotStorable::TooLarge))
    );
    assert!(small.put("row", 2_u64, "1h", [""; 0]).is_stored());
    assert!(
        !small
            .put("row", vec![0_u8; 20_000], "1h", [""; 0])
            .is_stored()
    );
    assert_eq!(
        small.get::<u64>("row").await,
        None,
        "what it replaces is gone all the same"
    );
    let zero = small.put("zero", 1_u64, 0, [""; 0]);
    assert_eq!(
        zero.why_not(),
        Some(Reason::NotStorable(NotStorable::ZeroLife))
    );
    assert_eq!(small.get::<u64>("zero").await, None);
}

#[tokio::test]
async fn a_value_of_another_type_is_a_miss_and_never_a_panic() {
    let (cache, _) = cache();
    cache.put("row", 1_u64, "1h", ["t"]);
    assert_eq!(cache.get::<String>("row").await, None);
    let text = cache.fetch("row", "1h", ["t"], ok("text")).await;
    assert_eq!(text, Ok("text"));
    let life = Life::from("1h").stale_if_error("1h");
    let failed = cache
        .fetch::<String, _, _, _, _>("row", life, ["t"], err("down"))
        .await;
    assert_eq!(failed, Err("down"));
    cache.put("row", "text", "1h", ["t"]);
    assert_eq!(cache.get::<&str>("row").await, Some("text"));
}

#[tokio::test]
async fn get_does_not_serve_a_stale_value() {
    let (cache, clock) = cache();
    cache.put(
        "row",
        1_u64,
        Life::from("1m").stale_while_revalidate("1h"),
        ["t"],
    );
    clock.advance(secs(60));
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(reason(&cache, "row"), Reason::Stale);
}

#[tokio::test]
async fn get_many_keeps_the_order() {
    let (cache, _) = cache();
    for n in [1_u64, 3, 5] {
        cache.put(n, n, "1h", [""; 0]);
    }
    let got = cache.get_many::<u64, _>(1..=5_u64).await;
    assert_eq!(got, [Some(1), None, Some(3), None, Some(5)]);
    assert_eq!(cache.get_many::<u64, _>([""; 0]).await, []);
}

#[tokio::test]
async fn scopes_have_keys_of_their_own_and_share_tags() {
    let (cache, _) = cache();
    // No two paths of scopes meet, however their names are cut.
    let scopes = [
        cache.clone(),
        cache.scope("a"),
        cache.scope("a").scope("b"),
        cache.scope("ab"),
        cache.scope("b"),
        cache.scope("b").scope("a"),
        cache.scope(""),
        cache.scope("a1:b"),
        cache.scope("1:a"),
    ];
    for (n, scope) in (0_u64..).zip(&scopes) {
        scope.put("row", n, "1h", ["shared"]);
    }
    for (n, scope) in (0_u64..).zip(&scopes) {
        assert_eq!(scope.get::<u64>("row").await, Some(n));
    }
    cache.scope("b").invalidate_cache("shared").await.unwrap();
    for scope in &scopes {
        assert_eq!(scope.get::<u64>("row").await, None);
    }
}

#[tokio::test]
async fn clearing_a_scope_drops_it_and_the_scopes_within_and_nothing_else() {
    let (cache, _) = cache();
    let users = cache.scope("users");
    let active = users.scope("active");
    let other = cache.scope("other");
    for scope in [&cache, &users, &active, &other] {
        scope.put("row", 1_u64, "1h", [""; 0]);
    }
    users.clear().await.unwrap();
    assert_eq!(users.get::<u64>("row").await, None);
    assert_eq!(active.get::<u64>("row").await, None);
    assert_eq!(other.get::<u64>("row").await, Some(1));
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    cache.clear().await.unwrap();
    assert_eq!(other.get::<u64>("row").await, None);
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn explain_says_what_is_known() {
    let cache = build(Cache::builder().namespace("shop").version("3"));
    let told = cache.explain(("user", 7));
    assert_eq!(told.reason, Reason::NeverStored);
    assert!(told.key.starts_with("shop@3/"), "{}", told.key);
    assert!(told.key.contains("\"user\", 7"), "{}", told.key);
    cache.put(("user", 7), 1_u64, "1h", ["users"]);
    let told = cache.explain(("user", 7));
    assert_eq!(told.reason, Reason::Hit);
    assert_eq!(told.tags, ["users", "everything"]);
    assert!(told.weight > 8);
    cache.remove(("user", 7)).await.unwrap();
    assert_eq!(cache.explain(("user", 7)).reason, Reason::Removed);
    cache.put(("user", 7), 1_u64, "1h", ["users"]);
    drop(cache.clear_memory());
    assert_eq!(cache.explain(("user", 7)).reason, Reason::Removed);
    assert_eq!(cache.stats().misses, 0, "it counts as no read");
}

#[tokio::test]
async fn stats_count_every_outcome_by_its_reason() {
    let (cache, clock) = cache();
    // A node invalidates everything when it connects.
    let before = cache.stats().invalidations;
    let life = Life::from("1m").stale_while_revalidate("1m");
    cache.fetch("row", life, ["t"], ok(1_u64)).await.unwrap();
    cache
        .fetch("row", life, ["t"], never::<u64>())
        .await
        .unwrap();
    cache.get::<u64>("row").await.unwrap();
    clock.advance(secs(61));
    cache.fetch("row", life, ["t"], ok(2_u64)).await.unwrap();
    settle().await;
    cache_core::bypass(cache.fetch("row", life, ["t"], ok(3_u64)))
        .await
        .unwrap();
    drop(cache.invalidate_cache("t"));
    assert_eq!(cache.get::<u64>("row").await, None);
    nothing_runs(&cache).await;
    let stats = cache.stats();
    assert_eq!(
        (stats.hits, stats.stale, stats.misses, stats.bypassed),
        (2, 1, 2, 1)
    );
    assert_eq!((stats.loads, stats.stored), (2, 2));
    assert_eq!(stats.invalidations, before + 1);
    assert_eq!((stats.joined, stats.late_tags, stats.running), (0, 0, 0));
    let expected = [
        (Reason::Hit, 2),
        (Reason::Stale, 1),
        (Reason::Bypass, 1),
        (Reason::NeverStored, 1),
        (Reason::Tag, 1),
    ];
    assert_eq!(stats.reasons, expected);
}

#[tokio::test]
async fn observe_tells_each_read_with_its_reason() {
    let (cache, clock) = cache();
    let reads = async {
        cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
        cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
        clock.advance(secs(60));
        cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
        drop(cache.invalidate_cache("t"));
        cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
        cache.remove("row").await.unwrap();
        cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
        drop(cache.remove("row"));
        cache
            .fetch("row", "1m", ["t"], err::<u64>("down"))
            .await
            .unwrap_err();
        cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
    };
    let ((), seen) = observe(reads).await;
    let reasons: Vec<_> = seen.iter().map(|access| access.reason).collect();
    let expected = [
        Reason::NeverStored,
        Reason::Hit,
        Reason::Expired,
        Reason::Tag,
        Reason::Removed,
        Reason::Removed,
        Reason::NotStorable(NotStorable::Error),
    ];
    assert_eq!(reasons, expected);
    assert!(seen.iter().all(|access| !access.joined));
}

#[tokio::test]
async fn observe_tells_reads_inside_a_load_and_who_joined() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "inner", "1h", &[], 1).await;
    let reads = {
        let cache = cache.clone();
        tokio::spawn(observe(async move {
            let inside = cache.clone();
            let body = move || async move { inside.fetch("inner", "1h", [""; 0], ok(1_u64)).await };
            cache
                .scope("pages")
                .fetch("outer", "1h", [""; 0], body)
                .await
        }))
    };
    settle().await;
    load.end().await.unwrap();
    let (_, seen) = reads.await.unwrap();
    let told: Vec<_> = seen
        .iter()
        .map(|access| (&*access.name, access.joined))
        .collect();
    assert_eq!(told, [("cache", true), ("pages", false)]);
}

#[tokio::test]
async fn tags_of_the_caches_own_are_shown_in_words() {
    let (cache, _) = cache();
    let inner = cache.scope("shop").scope("a:b");
    inner.put("row", 1_u64, "1h", ["*", "s1:s"]);
    let mut told = inner.explain("row").tags;
    told.sort();
    assert_eq!(
        told,
        ["*", "everything", "s1:s", "scope shop", "scope shop/a:b"]
    );
    static FUNCTION: Function = Function::new("shop::price", "");
    cache
        .enter(call(&FUNCTION, 1, options(&["t"]), ok(1)))
        .await;
    let told = cache.explain(call_key(&FUNCTION, 1).key()).tags;
    assert!(
        told.contains(&"function shop::price".to_owned()),
        "{told:?}"
    );
}
