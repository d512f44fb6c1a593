//! What flows outward from a cached call to the load around it: tags, fill time, remaining lifetime,
//! staleness, failure; and what does not.

use std::time::Duration;

use cache_core::spi::{CallOptions, Fetched, Function};
use cache_core::{
    Cache, FutureExt, Life, NotStorable, Reason, allow_inner_failures, bypass, cache_life,
    cache_tag,
};

use super::support::{
    Gate, Loaded, ask, begin_load, cache, call, call_key, err, gate, never, ok, options, reason,
    secs, settle, value_of,
};

static OUTER: Function = Function::new("tests::outer", "");
static MIDDLE: Function = Function::new("tests::middle", "");
static INNER: Function = Function::new("tests::inner", "");

/// `outer`, of which nothing is said but what is inside.
async fn outer<F>(cache: &Cache, body: impl FnOnce() -> F + Send + 'static) -> Loaded<u64>
where
    F: Future<Output = Loaded<u64>> + Send + 'static,
{
    value_of(
        cache
            .enter(call(&OUTER, 0, options(&["outer"]), body))
            .await,
    )
}

fn inner(life: impl Into<Life>, tags: &[&str]) -> CallOptions<u64> {
    CallOptions {
        life: Some(life.into()),
        ..options(tags)
    }
}

fn outer_key() -> cache_core::Key {
    call_key(&OUTER, 0).key()
}

async fn one() -> Loaded<u64> {
    Ok(1)
}

async fn fails() -> Loaded<u64> {
    Err("down")
}

#[tokio::test]
async fn rule_2_tags_flow_outward_from_a_miss_and_from_a_hit() {
    for warm in [false, true] {
        let (cache, _) = cache();
        let body = || async { value_of(call(&INNER, 0, inner("1h", &["deep"]), one).await) };
        if warm {
            cache.enter(body()).await.unwrap();
        }
        outer(&cache, body).await.unwrap();
        let tags = cache.explain(outer_key()).tags;
        assert!(tags.contains(&"deep".to_owned()), "warm {warm}: {tags:?}");
        cache.invalidate_cache("deep").await.unwrap();
        assert_eq!(
            cache.explain(outer_key()).reason,
            Reason::Tag,
            "warm {warm}"
        );
    }
}

#[tokio::test]
async fn rule_2_tags_flow_outward_from_a_joined_load() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "inner", "1h", &["deep"], 1).await;
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let body = move || async move { inside.fetch("inner", "1h", ["deep"], never()).await };
            cache.fetch("outer", "1h", [""; 0], body).await
        })
    };
    settle().await;
    load.end().await.unwrap();
    assert_eq!(task.await.unwrap(), Ok(1_u64));
    cache.invalidate_cache("deep").await.unwrap();
    assert_eq!(cache.get::<u64>("outer").await, None);
}

#[tokio::test]
async fn rule_2_tags_flow_outward_from_a_lone_load_and_from_a_bypassed_one() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let body = move || async move {
        let load = || async {
            cache_tag("said");
            Ok::<_, &'static str>(1_u64)
        };
        bypass(inside.fetch("inner", "1h", ["given"], load)).await
    };
    cache.fetch("outer", "1h", [""; 0], body).await.unwrap();
    let tags = cache.explain("outer").tags;
    assert!(
        tags.contains(&"said".to_owned()) && tags.contains(&"given".to_owned()),
        "{tags:?}"
    );
}

#[tokio::test]
async fn rule_2_clearing_an_inner_function_drops_what_was_made_from_it() {
    let (cache, _) = cache();
    let users = cache.scope("users");
    let inside = users.clone();
    let body = move || async move { inside.fetch(7, "1h", [""; 0], ok(1_u64)).await };
    cache.fetch("page", "1h", [""; 0], body).await.unwrap();
    users.clear().await.unwrap();
    assert_eq!(cache.get::<u64>("page").await, None);
}

#[tokio::test]
async fn rule_2_the_smallest_remaining_lifetime_flows_unless_the_outer_is_explicit() {
    let (cache, clock) = cache();
    let body = || async { value_of(call(&INNER, 0, inner("1m", &[]), one).await) };
    cache.enter(body()).await.unwrap();
    clock.advance(secs(20));
    outer(&cache, body).await.unwrap();
    assert_eq!(cache.explain(outer_key()).fresh_for, secs(40));

    let inside = cache.clone();
    let explicit = move || async move { inside.enter(body()).await };
    cache
        .fetch("explicit", "1h", [""; 0], explicit)
        .await
        .unwrap();
    assert_eq!(cache.explain("explicit").fresh_for, secs(3600));
}

#[tokio::test]
async fn rule_2_the_lifetime_of_a_lone_inner_load_flows_too() {
    let (cache, clock) = cache();
    // Someone else's load of the inner value hangs; past the wait limit the inner call loads alone.
    let stuck = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let hang = || std::future::pending::<Loaded<u64>>();
            cache.enter(call(&INNER, 0, inner("1m", &[]), hang)).await
        })
    };
    settle().await;
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let body = || async { value_of(call(&INNER, 0, inner("1m", &["i"]), one).await) };
            outer(&cache, body).await
        })
    };
    settle().await;
    clock.advance(secs(30));
    assert_eq!(task.await.unwrap(), Ok(1));
    let told = cache.explain(outer_key());
    assert!(told.tags.contains(&"i".to_owned()));
    assert!(told.fresh_for <= secs(60), "{:?}", told.fresh_for);
    stuck.abort();
}

#[tokio::test]
async fn rule_2_the_lifetime_of_a_bypassed_inner_call_flows_too() {
    let (cache, _) = cache();
    let body = || async { value_of(bypass(call(&INNER, 0, inner("1m", &[]), one)).await) };
    outer(&cache, body).await.unwrap();
    let fresh_for = cache.explain(outer_key()).fresh_for;
    assert!(fresh_for <= secs(60), "{fresh_for:?}");
}

#[tokio::test]
async fn rule_2_the_body_of_a_bypassed_inner_call_does_not_decide_the_outer_lifetime() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let body = move || async move {
        let load = || async {
            cache_life("30d");
            allow_inner_failures();
            Ok::<_, &'static str>(1_u64)
        };
        bypass(inside.fetch("inner", "1h", [""; 0], load)).await
    };
    cache.fetch("outer", "1m", [""; 0], body).await.unwrap();
    assert_eq!(cache.explain("outer").fresh_for, secs(60));
}

#[tokio::test]
async fn rule_2_the_oldest_fill_time_flows() {
    let (cache, clock) = cache();
    cache.put("inner", 1_u64, "1h", [""; 0]);
    clock.advance(secs(100));
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", "1h", [""; 0], never()).await };
    cache
        .fetch::<u64, _, _, _, _>("outer", "1h", [""; 0], body)
        .await
        .unwrap();
    assert_eq!(cache.explain("outer").age, secs(100));
}

/// The inner value is older than the outer's last invalidation: had its `loaded_at` flowed outward,
/// the outer would be dead on arrival for as long as the inner lives.
#[tokio::test]
async fn a5_loaded_at_does_not_flow() {
    let (cache, _) = cache();
    cache.put("inner", 1_u64, "1h", ["inner"]);
    cache.invalidate_cache("outer").await.unwrap();
    cache.put("outer", 0_u64, "1h", ["outer"]);
    cache.invalidate_cache("outer").await.unwrap();
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", "1h", ["inner"], never::<u64>()).await };
    cache.fetch("outer", "1h", ["outer"], body).await.unwrap();
    assert_eq!(cache.get::<u64>("outer").await, Some(1));
}

/// But the outer's own start counts for what it took from an inner hit.
#[tokio::test]
async fn a5_an_inner_hit_that_is_invalidated_while_the_outer_loads_overtakes_the_outer() {
    let (cache, _) = cache();
    cache.put("inner", 1_u64, "1h", ["inner"]);
    let (gate, mut keeper) = gate();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let inside = cache.clone();
            let body = move || async move {
                let got = inside.fetch("inner", "1h", ["inner"], never::<u64>()).await;
                gate.pass().await;
                got
            };
            cache.fetch("outer", "1h", [""; 0], body).await
        })
    };
    keeper.reached().await;
    cache.invalidate_cache("inner").await.unwrap();
    keeper.open();
    assert_eq!(task.await.unwrap(), Ok(1));
    assert_eq!(cache.get::<u64>("outer").await, None);
}

#[tokio::test]
async fn a5_a_stale_inner_value_is_awaited_inside_a_load() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("inner", 1_u64, life, [""; 0]);
    clock.advance(secs(90));
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", life, [""; 0], ok(2_u64)).await };
    assert_eq!(cache.fetch("outer", "1h", [""; 0], body).await, Ok(2));
    assert_eq!(cache.get::<u64>("outer").await, Some(2));
}

#[tokio::test]
async fn a5_a_stale_inner_value_is_awaited_inside_a_refresh() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("1h");
    cache.put("inner", 1_u64, life, ["i"]);
    cache.put("outer", 10_u64, life, ["o"]);
    clock.advance(secs(90));
    let inside = cache.clone();
    let body = move || async move {
        let got = inside.fetch("inner", life, ["i"], ok(2_u64)).await?;
        Ok::<_, &'static str>(10 * got)
    };
    assert_eq!(
        cache.fetch("outer", life, ["o"], body).await,
        Ok(10),
        "stale at once"
    );
    settle().await;
    assert_eq!(
        cache.get::<u64>("outer").await,
        Some(20),
        "made of the new inner value"
    );
}

/// The inner load failed and its stale value was served: the outer is stale from birth, whatever its life.
#[tokio::test]
async fn a5_an_inner_value_served_stale_makes_the_outer_stale() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    cache.put("inner", 1_u64, life, [""; 0]);
    clock.advance(secs(90));
    let inside = cache.clone();
    let body = move || async move { inside.fetch("inner", life, [""; 0], err("down")).await };
    let outer = Life::from("30d").stale_while_revalidate("1h");
    assert_eq!(cache.fetch("outer", outer, [""; 0], body).await, Ok(1_u64));
    assert_eq!(reason(&cache, "outer"), Reason::Stale);
    assert_eq!(cache.get::<u64>("outer").await, None);
    // And whoever is made from it is stale too.
    let inside = cache.clone();
    let body = move || async move {
        inside
            .fetch("outer", outer, [""; 0], err::<u64>("down"))
            .await
    };
    let outermost = cache.fetch("outermost", "30d", [""; 0], body).await;
    assert!(outermost.is_err() || reason(&cache, "outermost") != Reason::Hit);
}

#[tokio::test]
async fn a5_the_stale_flag_flows_through_a_value_that_was_born_stale() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    cache.put("inner", 1_u64, life, [""; 0]);
    clock.advance(secs(90));
    let (a, b) = (cache.clone(), cache.clone());
    let middle = move || async move { a.fetch("inner", life, [""; 0], err("down")).await };
    let body = move || async move { b.fetch("middle", "1h", [""; 0], middle).await };
    assert_eq!(cache.fetch("outer", "1h", [""; 0], body).await, Ok(1_u64));
    assert_eq!(cache.get::<u64>("outer").await, None);
}

#[tokio::test]
async fn rule_2_an_inner_load_that_failed_makes_the_outer_not_storable() {
    let (cache, _) = cache();
    let body = || async {
        let got = value_of(call(&INNER, 0, inner("1h", &[]), fails).await);
        Ok(got.unwrap_or(0))
    };
    assert_eq!(outer(&cache, body).await, Ok(0));
    let why = NotStorable::InnerFailed;
    assert_eq!(cache.explain(outer_key()).reason, Reason::NotStorable(why));
}

#[tokio::test]
async fn rule_2_a_failure_two_levels_down_makes_the_outermost_not_storable() {
    let (cache, _) = cache();
    let middle = || async {
        let got = value_of(call(&INNER, 0, inner("1h", &[]), fails).await);
        Ok(got.unwrap_or(0))
    };
    let body = move || async move { value_of(call(&MIDDLE, 0, inner("1h", &[]), middle).await) };
    assert_eq!(outer(&cache, body).await, Ok(0));
    let why = NotStorable::InnerFailed;
    assert_eq!(
        cache.explain(call_key(&MIDDLE, 0).key()).reason,
        Reason::NotStorable(why)
    );
    assert_eq!(cache.explain(outer_key()).reason, Reason::NotStorable(why));
}

#[tokio::test]
async fn rule_2_a_failure_that_the_inner_allows_is_no_failure_of_the_outer() {
    let (cache, _) = cache();
    let middle = || async {
        allow_inner_failures();
        let got = value_of(call(&INNER, 0, inner("1h", &[]), fails).await);
        Ok(got.unwrap_or(0))
    };
    let body = move || async move { value_of(call(&MIDDLE, 0, inner("1h", &[]), middle).await) };
    assert_eq!(outer(&cache, body).await, Ok(0));
    assert_eq!(cache.explain(outer_key()).reason, Reason::Hit);
}

#[tokio::test]
async fn rule_2_an_inner_panic_that_the_outer_catches_makes_it_not_storable() {
    let (cache, _) = cache();
    let body = || async {
        let inner = call(&INNER, 0, inner("1h", &[]), || async {
            panic!("on purpose")
        });
        let got = tokio::spawn(inner.in_current_load()).await;
        Ok(u64::from(got.is_ok()))
    };
    assert_eq!(outer(&cache, body).await, Ok(0));
    let why = NotStorable::InnerFailed;
    assert_eq!(cache.explain(outer_key()).reason, Reason::NotStorable(why));
}

#[tokio::test]
async fn rule_2_an_inner_time_out_makes_the_outer_not_storable() {
    let (cache, clock) = cache();
    let task = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let body = || async {
                let limited = CallOptions {
                    timeout: Some(secs(1)),
                    ..inner("1h", &[])
                };
                let hang = || std::future::pending::<Loaded<u64>>();
                let got = call(&INNER, 0, limited, hang).await;
                Ok(u64::from(!matches!(got, Fetched::TimedOut(_))))
            };
            outer(&cache, body).await
        })
    };
    settle().await;
    clock.advance(secs(1));
    assert_eq!(task.await.unwrap(), Ok(0));
    let why = NotStorable::InnerFailed;
    assert_eq!(cache.explain(outer_key()).reason, Reason::NotStorable(why));
}

/// A body that does not wait for the end of a cached call inside it, having let it begin.
async fn gives_up<F: Future>(call: F) {
    tokio::select! {
        biased;
        _ = call => panic!("it hangs"),
        () = settle() => {}
    }
}

#[tokio::test]
async fn rule_2_an_inner_call_that_the_body_drops_makes_the_outer_not_storable() {
    let (cache, _) = cache();
    let body = || async {
        let hang = || std::future::pending::<Loaded<u64>>();
        gives_up(call(&INNER, 0, inner("1h", &["inner"]), hang)).await;
        Ok(0)
    };
    assert_eq!(outer(&cache, body).await, Ok(0));
    let why = Reason::NotStorable(NotStorable::InnerFailed);
    assert_eq!(cache.explain(outer_key()).reason, why);
    // Nor by one who waits for the same call, or calls past the cache.
    assert_eq!(outer(&cache, body).await, Ok(0));
    assert_eq!(cache.explain(outer_key()).reason, why);
    let body = || async {
        let hang = || std::future::pending::<Loaded<u64>>();
        gives_up(bypass(call(&INNER, 1, inner("1h", &["inner"]), hang))).await;
        Ok(0)
    };
    assert_eq!(outer(&cache, body).await, Ok(0));
    assert_eq!(cache.explain(outer_key()).reason, why);
}

#[tokio::test]
async fn rule_2_a_body_may_say_that_the_calls_it_drops_do_not_matter() {
    let (cache, _) = cache();
    let body = || async {
        allow_inner_failures();
        let hang = || std::future::pending::<Loaded<u64>>();
        gives_up(call(&INNER, 0, inner("1h", &["inner"]), hang)).await;
        Ok(0)
    };
    assert_eq!(outer(&cache, body).await, Ok(0));
    assert_eq!(cache.explain(outer_key()).reason, Reason::Hit);
}

#[tokio::test]
async fn rule_10_a_caller_who_leaves_altogether_does_not_spoil_the_load_it_began() {
    let (cache, _) = cache();
    let (gate, mut keeper) = gate();
    let inside = cache.clone();
    let load = move || async move {
        let slow = || async move {
            gate.pass().await;
            Ok::<_, &'static str>(1_u64)
        };
        inside.fetch("inner", "1h", ["inner"], slow).await
    };
    let caller = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.fetch("outer", "1h", [""; 0], load).await })
    };
    keeper.reached().await;
    caller.abort();
    assert!(caller.await.is_err());
    keeper.open();
    settle().await;
    assert_eq!(cache.get::<u64>("outer").await, Some(1));
    assert!(cache.explain("outer").tags.contains(&"inner".to_owned()));
}

#[tokio::test]
async fn rule_2_in_current_load_carries_the_context_into_a_spawned_task() {
    let (cache, _) = cache();
    let inside = cache.clone();
    let body = move || async move {
        let task = async move {
            cache_tag("task");
            inside.fetch("inner", "1h", ["inner"], ok(1_u64)).await
        };
        tokio::spawn(task.in_current_load()).await.unwrap()
    };
    cache.fetch("outer", "1h", [""; 0], body).await.unwrap();
    let mut tags = cache.explain("outer").tags;
    tags.sort();
    assert_eq!(tags, ["everything", "inner", "task"]);
}

#[tokio::test]
async fn rule_2_a_spawned_task_without_it_adds_nothing() {
    let (cache, _) = cache();
    let body = || async {
        tokio::spawn(async { cache_tag("task") }).await.unwrap();
        Ok::<_, &'static str>(1_u64)
    };
    cache.fetch("outer", "1h", [""; 0], body).await.unwrap();
    assert_eq!(cache.explain("outer").tags, ["everything"]);
    assert_eq!(cache.stats().late_tags, 0);
}

#[tokio::test]
async fn a5_a_tag_that_comes_after_its_load_ended_is_counted() {
    let (cache, _) = cache();
    let (gate, mut keeper) = gate();
    let body = move || async move {
        let late = async move {
            gate.pass().await;
            cache_tag("late");
        };
        tokio::spawn(late.in_current_load());
        Ok::<_, &'static str>(1_u64)
    };
    cache.fetch("outer", "1h", [""; 0], body).await.unwrap();
    keeper.reached().await;
    assert_eq!(cache.stats().late_tags, 0);
    keeper.open();
    settle().await;
    assert_eq!(cache.stats().late_tags, 1);
}

#[tokio::test]
async fn rule_2_what_runs_beside_a_load_on_the_same_thread_adds_nothing_to_it() {
    let (cache, _) = cache();
    let load = begin_load(&cache, "outer", "1h", &[], 1).await;
    cache_tag("stray");
    cache_life("1s");
    ask(&cache, "other", "1h", &["other"], 2)
        .await
        .await
        .unwrap()
        .unwrap();
    load.end().await.unwrap();
    let told = cache.explain("outer");
    assert_eq!(
        (told.tags, told.fresh_for),
        (vec!["everything".to_owned()], secs(3600))
    );
}

#[tokio::test]
async fn rule_2_tags_flow_by_name_between_two_caches() {
    let (near, clock) = cache();
    let (far, far_clock) = cache();
    far_clock.advance(Duration::from_secs(1_000_000));
    far.put("inner", 1_u64, "1m", ["shared"]);
    far_clock.advance(secs(10));
    let inside = far.clone();
    let body = move || async move { inside.fetch("inner", "1m", ["shared"], never()).await };
    outer(&near, body).await.unwrap();
    let told = near.explain(outer_key());
    assert_eq!((told.age, told.fresh_for), (secs(10), secs(50)));
    near.invalidate_cache("shared").await.unwrap();
    assert_eq!(near.explain(outer_key()).reason, Reason::Tag);
    clock.advance(secs(1));
}

/// It had the window of its error when it was made, and has it no more when somebody comes who joins.
#[tokio::test]
async fn life_what_was_made_of_a_stale_value_is_for_nobody_who_comes_after_its_window() {
    let (cache, clock) = cache();
    let life = || Life::from("1h").stale_if_error("1s");
    cache
        .fetch("row", life(), ["rows"], ok(1_u64))
        .await
        .unwrap();
    cache.revalidate_tag("rows").await.unwrap();
    let page = |gate: Option<Gate>| {
        let inner = cache.clone();
        let load = move || async move {
            let row = inner
                .fetch("row", life(), ["rows"], err::<u64>("gone"))
                .await;
            if let Some(gate) = gate {
                gate.pass().await;
            }
            row
        };
        let cache = cache.clone();
        tokio::spawn(async move { cache.fetch("page", "1h", ["pages"], load).await })
    };
    let (gate, mut keeper) = gate();
    let first = page(Some(gate));
    keeper.reached().await;
    clock.advance(secs(2));
    let later = page(None);
    settle().await;
    keeper.open();
    assert_eq!(first.await.unwrap(), Ok(1));
    assert_eq!(later.await.unwrap(), Err("gone"));
}
