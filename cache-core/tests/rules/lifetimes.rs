//! Lifetimes: what is fresh until when, windows, jitter, refresh ahead, profiles, who decides.

use std::time::Duration;

use cache_core::spi::{CallOptions, Function};
use cache_core::{Cache, Clock, Life, LifeError, NotStorable, Reason, Span, cache_life, observe};

use super::support::{
    Count, Loaded, begin_load, build, cache, call, call_key, err, gate, never, ok, options, reason,
    secs, settle,
};

static FUNCTION: Function = Function::new("tests::function", "");

#[tokio::test]
async fn life_a_value_is_fresh_until_its_ttl_and_not_one_moment_longer() {
    let (cache, clock) = cache();
    cache.fetch("row", "1m", ["t"], ok(1_u64)).await.unwrap();
    clock.advance(secs(60) - Duration::from_nanos(1));
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(cache.get::<u64>("row").await, None);
    assert_eq!(reason(&cache, "row"), Reason::Expired);
}

#[tokio::test]
async fn a9_the_ttl_counts_from_when_the_load_began() {
    let (cache, clock) = cache();
    let load = begin_load(&cache, "row", "1m", &["t"], 1).await;
    clock.advance(secs(50));
    load.end().await.unwrap();
    let told = cache.explain("row");
    assert_eq!((told.age, told.fresh_for), (secs(50), secs(10)));
    clock.advance(secs(10));
    assert_eq!(cache.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a9_a_load_longer_than_its_ttl_is_served_and_not_stored() {
    let (cache, clock) = cache();
    let load = begin_load(&cache, "row", "1m", &["t"], 1).await;
    clock.advance(secs(60));
    assert_eq!(load.end().await, Ok(1));
    assert_eq!(reason(&cache, "row"), Reason::Expired);
    assert_eq!(cache.stats().stored, 0);
}

#[tokio::test]
async fn life_the_stale_window_begins_at_expiry_and_ends() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("10s");
    for (after, expected) in [
        (60, Reason::Stale),
        (69, Reason::Stale),
        (70, Reason::Expired),
    ] {
        cache.put("row", 1_u64, life, ["t"]);
        clock.advance(secs(after));
        let (got, seen) = observe(cache.fetch("row", life, ["t"], ok(2_u64))).await;
        assert_eq!(seen[0].reason, expected, "after {after} s");
        assert_eq!(got, Ok(if expected == Reason::Stale { 1 } else { 2 }));
        settle().await;
    }
}

#[tokio::test]
async fn life_a_soft_invalidation_after_expiry_does_not_restart_the_window() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_while_revalidate("10s");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(69));
    drop(cache.revalidate_tag("t"));
    assert_eq!(reason(&cache, "row"), Reason::Stale);
    clock.advance(secs(1));
    assert_ne!(reason(&cache, "row"), Reason::Stale);
}

#[tokio::test]
async fn life_the_end_of_the_ttl_does_not_restart_the_window_of_a_soft_invalidation() {
    let (cache, clock) = cache();
    let life = Life::from("15s").stale_while_revalidate("10s");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(6));
    drop(cache.revalidate_tag("t"));
    clock.advance(secs(9));
    assert_eq!(reason(&cache, "row"), Reason::Stale);
    clock.advance(secs(1));
    assert_eq!(reason(&cache, "row"), Reason::Tag);
}

#[tokio::test]
async fn life_jitter_only_shortens_and_varies() {
    let (cache, _) = cache();
    let life = Life::from("100s").jitter("40s");
    let mut seen = std::collections::HashSet::new();
    for n in 0..200_u64 {
        cache.put(n, n, life, [""; 0]);
        let fresh_for = cache.explain(n).fresh_for;
        assert!(
            fresh_for <= secs(100) && fresh_for >= secs(60),
            "{fresh_for:?}"
        );
        seen.insert(fresh_for);
    }
    assert!(seen.len() > 100);
    let wild = Life::from("10s").jitter("1h");
    for n in 0..200_u64 {
        cache.put(n, n, wild, [""; 0]);
        assert!(cache.explain(n).fresh_for <= secs(10));
    }
}

#[tokio::test]
async fn life_refresh_ahead_serves_and_refreshes_once() {
    let (cache, clock) = cache();
    let life = Life::from("60s").refresh_ahead("10s");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(49));
    assert_eq!(cache.fetch("row", life, ["t"], never()).await, Ok(1_u64));
    clock.advance(secs(1));
    let loads = Count::default();
    let (gate, mut keeper) = gate();
    let count = loads.clone();
    let load = move || async move {
        gate.pass().await;
        Ok::<_, &'static str>(count.up() + 1)
    };
    let (got, seen) = observe(cache.fetch("row", life, ["t"], load)).await;
    assert_eq!(
        (got, seen[0].reason),
        (Ok(1), Reason::Hit),
        "it is fresh still"
    );
    assert_eq!(cache.fetch("row", life, ["t"], never()).await, Ok(1_u64));
    assert_eq!(cache.get::<u64>("row").await, Some(1), "`get` too");
    keeper.reached().await;
    keeper.open();
    settle().await;
    assert_eq!((loads.get(), cache.get::<u64>("row").await), (1, Some(2)));
    assert_eq!(cache.explain("row").fresh_for, secs(60));
    assert_eq!(cache.stats().loads, 1);
}

#[tokio::test]
async fn life_a_refresh_ahead_that_fails_costs_nothing() {
    let (cache, clock) = cache();
    let life = Life::from("60s").refresh_ahead("10s");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(55));
    let failing = || async { Err::<u64, _>("down") };
    assert_eq!(cache.fetch("row", life, ["t"], failing).await, Ok(1));
    settle().await;
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}

#[tokio::test]
async fn life_who_decides_the_body_then_the_call_then_the_default() {
    let clock = Clock::manual();
    let cache = build(Cache::builder().clock(clock).default_life("10m"));
    let fresh_for = async |life: Option<Life>, said: Option<&'static str>| {
        let decided = CallOptions {
            life,
            ..options(&["t"])
        };
        let body = move || async move {
            said.into_iter().for_each(cache_life);
            Ok(1)
        };
        let key = call_key(&FUNCTION, 0);
        cache.remove(key.key()).await.unwrap();
        cache.enter(call(&FUNCTION, 0, decided, body)).await;
        cache.explain(key.key()).fresh_for
    };
    assert_eq!(fresh_for(None, None).await, secs(600));
    assert_eq!(fresh_for(Some("1h".into()), None).await, secs(3600));
    assert_eq!(fresh_for(Some("1h".into()), Some("1d")).await, secs(86_400));
    assert_eq!(fresh_for(None, Some("5s")).await, secs(5));
}

#[tokio::test]
async fn life_what_is_unsaid_comes_from_the_scope_then_from_the_cache() {
    let clock = Clock::manual();
    let cache = build(
        Cache::builder()
            .clock(clock.clone())
            .default_life(Life::from("1m").stale_if_error("5m")),
    );
    let users = cache.scope("users").default_life("10m");
    let guests = users
        .scope("guests")
        .default_life(Life::default().stale_if_error("1h"));
    let one = Life::default;
    for (view, said, ttl, window) in [
        (&cache, one(), 60, 300),
        (&users, one(), 600, 300),
        (&guests, one(), 600, 3_600),
        (&guests, Life::from("2m"), 120, 3_600),
        (&guests, one().stale_if_error("9m"), 600, 540),
        (&guests, one().stale_if_error(0), 600, 0),
        (&users.scope("users"), one(), 600, 300),
    ] {
        view.fetch("row", said, ["t"], ok(1_u64)).await.unwrap();
        assert_eq!(view.explain("row").fresh_for, secs(ttl), "{said:?}");
        let last = secs(ttl + window) - Duration::from_millis(1);
        for (wait, expected) in [(last, Ok(1_u64)), (Duration::from_millis(1), Err("down"))] {
            clock.advance(wait);
            // The source is asked anew: who looks first finds what another's failure left.
            let got = view.fetch("row", said, ["t"], err("down")).await;
            assert_eq!(got, expected, "{said:?} after {wait:?}");
        }
        view.put("row", 2_u64, said, ["t"]);
        assert_eq!(view.explain("row").fresh_for, secs(ttl), "{said:?}");
        let pending = view.begin("row");
        view.put_from(pending, 3_u64, said, ["t"]);
        assert_eq!(view.explain("row").fresh_for, secs(ttl), "{said:?}");
        cache.clear().await.unwrap();
    }
}

/// What is not to be kept is not kept by a window that it did not ask for.
#[tokio::test]
async fn life_no_time_at_all_takes_no_window_from_the_defaults() {
    let (cache, _) = cache();
    let windows = Life::from("1h")
        .stale_while_revalidate("1h")
        .stale_if_error("1h");
    let view = cache.scope("rows").default_life(windows);
    let fate = view.put("row", 1_u64, 0, ["t"]);
    assert_eq!(
        fate.why_not(),
        Some(Reason::NotStorable(NotStorable::ZeroLife))
    );
}

/// A default is a most, a scope's too; a call's own word is not.
#[tokio::test]
async fn life_a_scopes_default_ends_with_what_is_inside() {
    let (cache, _) = cache();
    let view = cache.scope("rows").default_life("1h");
    for (key, said, ttl) in [
        ("default", Life::default(), 60),
        ("said", Life::from("2h"), 7_200),
    ] {
        let inner = cache.clone();
        let load = move || async move { inner.fetch("inner", "1m", ["t"], ok(1_u64)).await };
        view.fetch(key, said, ["t"], load).await.unwrap();
        assert_eq!(view.explain(key).fresh_for, secs(ttl), "{key}");
    }
}

/// It is one function, with one lifetime, whoever calls it first.
#[tokio::test]
async fn life_functions_do_not_take_a_scopes_default() {
    let (cache, _) = cache();
    let view = cache.scope("rows").default_life("1m");
    view.enter(call(&FUNCTION, 0, options(&["t"]), || async { Ok(1) }))
        .await;
    let key = call_key(&FUNCTION, 0).key();
    assert_eq!(cache.explain(key).fresh_for, Life::WEEK.ttl());
}

#[tokio::test]
async fn life_without_a_default_it_is_a_week() {
    let (cache, _) = cache();
    let body = || async { Ok(1) };
    cache.enter(call(&FUNCTION, 0, options(&["t"]), body)).await;
    assert_eq!(
        cache.explain(call_key(&FUNCTION, 0).key()).fresh_for,
        secs(604_800)
    );
}

#[tokio::test]
async fn life_profiles_registered_go_before_built_in_ones() {
    let clock = Clock::manual();
    let cache = build(
        Cache::builder()
            .clock(clock)
            .profile("hours", "2h")
            .profile("nightly", "8h"),
    );
    for (argument, profile, expected) in [
        (0, "hours", 7_200),
        (1, "nightly", 28_800),
        (2, "days", 86_400),
    ] {
        let named = CallOptions {
            profile: Some(profile),
            ..options(&["t"])
        };
        cache
            .enter(call(&FUNCTION, argument, named, || async { Ok(1) }))
            .await;
        let key = call_key(&FUNCTION, argument).key();
        assert_eq!(cache.explain(key).fresh_for, secs(expected), "{profile}");
    }
}

#[test]
fn life_profiles_have_the_figures_of_next_js() {
    const DAY: u64 = 86_400;
    for (name, client, revalidate, expire) in [
        ("seconds", 30, 1, 60),
        ("minutes", 300, 60, 3_600),
        ("hours", 300, 3_600, DAY),
        ("days", 300, DAY, 7 * DAY),
        ("weeks", 300, 7 * DAY, 30 * DAY),
        ("max", 300, 30 * DAY, 365 * DAY),
    ] {
        let life = Life::from(name);
        assert_eq!(life.client_max_age(), Some(secs(client)), "{name}");
        assert_eq!(life.ttl(), secs(revalidate), "{name}");
        assert_eq!(life.stale_while_revalidate_window(), secs(expire), "{name}");
        assert_eq!(Life::profile(name), Some(life));
    }
    assert_eq!(Life::profile("centuries"), None);
}

#[test]
fn life_lives_are_made_from_seconds_durations_and_text() {
    for life in [
        Life::from(5_400),
        Life::from(5_400_u64),
        Life::from(5_400_u32),
        Life::from(secs(5_400)),
        Life::from("1h30m"),
        Life::from("90 min"),
        Life::from_secs(5_400),
        "5400s".parse().unwrap(),
    ] {
        assert_eq!(life.ttl(), secs(5_400));
    }
    assert_eq!(Life::from(-5).ttl(), Duration::ZERO);
    let wrong: Result<Life, LifeError> = "soon".parse();
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("\"soon\" is no lifetime")
    );
    let told = "hours".parse::<Span>().unwrap_err().to_string();
    assert!(told.starts_with("\"hours\" is no duration"), "{told}");
    assert!(!told.contains("profile"), "it is no length of time: {told}");
    let panic = std::panic::catch_unwind(|| Life::from("soon")).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("soon"));
}

#[tokio::test]
async fn life_lives_of_any_length_do_not_overflow() {
    let (cache, clock) = cache();
    let longest = Life::from(u64::MAX)
        .stale_while_revalidate(Duration::MAX)
        .stale_if_error(u64::MAX)
        .jitter(1)
        .refresh_ahead(Duration::MAX);
    cache.put("row", 1_u64, longest, ["t"]);
    clock.advance(secs(10_000_000));
    let got: Loaded<u64> = cache.fetch("row", longest, ["t"], ok(1)).await;
    assert_eq!(got, Ok(1));
    cache.put("row", 1_u64, Life::from(Duration::MAX), ["t"]);
    drop(cache.revalidate_tag("t"));
    assert_eq!(reason(&cache, "row"), Reason::Tag);
}
