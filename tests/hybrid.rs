//! What async-hybrid-cache does, in the order of its documentation, and where this differs on purpose.

mod example_support;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use example_support::Example;
use revalidate::{
    Cache, Clock, InvalidateError, Life, LoadTimeout, NotStorable, Reason, observe, web_method,
};
use tokio::sync::Notify;

#[derive(Clone, Debug, PartialEq)]
enum Failed {
    Source,
    Limit,
}

impl From<LoadTimeout> for Failed {
    fn from(_: LoadTimeout) -> Self {
        Self::Limit
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `AsyncHybridCache(options=CacheOptions(ttl_seconds=60, fail_safe_seconds=300))`, on a clock that
/// stands still.
fn cache() -> (Cache, Clock) {
    let clock = Clock::manual();
    let cache = Cache::builder()
        .clock(clock.clone())
        .default_life(Life::from("1m").stale_if_error("5m"))
        .build();
    (cache, clock)
}

/// `get_or_set(key, factory)`, where the factory gives `value`; and what the read came to.
async fn get_or_set(
    cache: &Cache,
    key: &'static str,
    value: Result<u32, Failed>,
) -> (Result<u32, Failed>, Reason) {
    let load = move || async move { value };
    let fetch = cache.fetch(key, Life::default(), [""; 0], load);
    let (got, reads) = observe(fetch).await;
    (got, reads[0].reason)
}

static READS: AtomicU32 = AtomicU32::new(0);

/// `@cache.cached()`.
#[web_method(cache())]
async fn get_user(user_id: String, detailed: bool) -> Result<String, Failed> {
    let reads = READS.fetch_add(1, SeqCst);
    Ok(format!("{user_id} {detailed} {reads}"))
}

// ---- quick start, keys ----

#[tokio::test]
async fn a_call_is_cached_by_its_function_and_its_arguments() {
    let (cache, _) = cache();
    let run = async {
        let first = get_user("123".into(), false).await;
        assert_eq!(get_user("123".into(), false).await, first);
        assert_ne!(get_user("123".into(), true).await, first);
        assert_ne!(get_user("12".into(), false).await, first);
        let key = get_user::key("123".into(), false).to_string();
        assert!(key.ends_with("get_user(\"123\", false)"), "{key}");

        // Remove the key for a cached function call.
        get_user::remove_cached("123".into(), false).await.unwrap();
        assert_ne!(get_user("123".into(), false).await, first);
    };
    cache.enter(run).await;
}

// ---- invalidate cached data ----

#[tokio::test]
async fn remove_drops_one_key_of_one_scope() {
    let (cache, _) = cache();
    let users = cache.scope("users");
    for (view, value) in [(&cache, 1), (&users, 2)] {
        get_or_set(view, "user:123", Ok(value)).await.0.unwrap();
        get_or_set(view, "user:124", Ok(value)).await.0.unwrap();
    }
    users.remove("user:123").await.unwrap();
    let removed = (Ok(3), Reason::Removed);
    assert_eq!(get_or_set(&users, "user:123", Ok(3)).await, removed);
    assert_eq!(get_or_set(&users, "user:124", Ok(3)).await.0, Ok(2));
    assert_eq!(get_or_set(&cache, "user:123", Ok(3)).await.0, Ok(1));
}

/// `remove` takes the stale copy too.
#[tokio::test]
async fn what_was_removed_does_not_stand_in_for_a_failure() {
    let (cache, clock) = cache();
    get_or_set(&cache, "row", Ok(1)).await.0.unwrap();
    clock.advance(secs(60));
    cache.remove("row").await.unwrap();
    let failed = get_or_set(&cache, "row", Err(Failed::Source)).await.0;
    assert_eq!(failed, Err(Failed::Source));
}

/// There, a fill that runs stores the old value after the removal; the documentation warns of one case.
#[tokio::test]
async fn a_load_that_a_removal_overtakes_is_not_stored() {
    let (cache, _) = cache();
    static READ: Notify = Notify::const_new();
    static REMOVED: Notify = Notify::const_new();
    let reader = {
        let cache = cache.clone();
        let load = || async {
            READ.notify_one();
            REMOVED.notified().await;
            Ok::<_, Failed>(1)
        };
        tokio::spawn(async move { cache.fetch("row", "1m", [""; 0], load).await })
    };
    READ.notified().await;
    cache.remove("row").await.unwrap();
    REMOVED.notify_one();
    assert_eq!(reader.await.unwrap(), Ok(1), "it served who waited for it");
    assert_eq!(cache.get::<i32>("row").await, None);
}

#[web_method(cache())]
async fn removes_itself() -> Result<(), InvalidateError> {
    removes_itself::remove_cached().await.map(|_| ())
}

/// There it does nothing; here it says so.
#[tokio::test]
async fn a_function_cannot_remove_itself() {
    let refused = Cache::isolated(removes_itself()).await.unwrap_err();
    let InvalidateError::InsideCachedFunction { function } = refused else {
        panic!("{refused}")
    };
    assert!(function.ends_with("removes_itself"), "{function}");
}

#[tokio::test]
async fn clear_drops_a_scope_or_everything() {
    let (cache, _) = cache();
    let (users, rooms) = (cache.scope("users"), cache.scope("rooms"));
    let fill = async || {
        for view in [&cache, &users, &rooms] {
            get_or_set(view, "row", Ok(1)).await.0.unwrap();
        }
    };
    let held = async || {
        let mut held = Vec::new();
        for view in [&cache, &users, &rooms] {
            held.push(view.get::<u32>("row").await.is_some());
        }
        held
    };
    fill().await;
    users.clear().await.unwrap();
    assert_eq!(held().await, [true, false, true]);
    fill().await;
    cache.clear().await.unwrap();
    assert_eq!(held().await, [false; 3]);

    // Only this process's copies.
    fill().await;
    users.remove_local("row").await.unwrap();
    assert_eq!(held().await, [true, false, true]);
    fill().await;
    users.clear_memory().await.unwrap();
    assert_eq!(held().await, [true, false, true]);
    fill().await;
    cache.clear_memory().await.unwrap();
    assert_eq!(held().await, [false; 3]);
}

// ---- options ----

#[tokio::test]
async fn options_are_merged_field_by_field() {
    let (cache, _) = cache();
    let users = cache
        .scope("users")
        .default_life(Life::default().stale_if_error("1h"));
    let call = Life::from("10m");
    users.put("row", 1_u32, call, [""; 0]);
    let fresh_for = users.explain("row").fresh_for;
    assert_eq!(fresh_for, secs(600), "the call's");
    users.put("other", 1_u32, Life::default(), [""; 0]);
    let fresh_for = users.explain("other").fresh_for;
    assert_eq!(fresh_for, secs(60), "the cache's");
}

#[tokio::test]
async fn fail_safe_serves_the_last_value_until_its_window_ends() {
    let (cache, clock) = cache();
    get_or_set(&cache, "row", Ok(1)).await.0.unwrap();
    clock.advance(secs(60));
    for _ in 0..4 {
        let stale = (Ok(1), Reason::Stale);
        let got = get_or_set(&cache, "row", Err(Failed::Source)).await;
        assert_eq!(got, stale);
        clock.advance(secs(70));
    }
    assert_eq!(cache.stats().loads, 5, "once to fill it, then each time");
    clock.advance(secs(20));
    let failed = get_or_set(&cache, "row", Err(Failed::Source)).await.0;
    assert_eq!(failed, Err(Failed::Source));
}

/// There, each call asks the source that fails.
#[tokio::test]
async fn a_source_that_fails_is_left_alone_for_a_while() {
    let (cache, clock) = cache();
    get_or_set(&cache, "row", Ok(1)).await.0.unwrap();
    clock.advance(secs(60));
    for _ in 0..100 {
        let got = get_or_set(&cache, "row", Err(Failed::Source)).await.0;
        assert_eq!(got, Ok(1));
        clock.advance(Duration::from_millis(100));
    }
    // At 0, 1, 3 and 7 seconds of ten.
    assert_eq!(cache.stats().loads, 1 + 4);
}

#[tokio::test]
async fn hard_timeout_serves_the_last_value_or_fails() {
    let (cache, clock) = cache();
    let hang = std::future::pending::<Result<u32, Failed>>;
    let slow = async |key: &'static str| {
        let fetch = cache.fetch_within("5s", key, Life::default(), [""; 0], hang);
        let (got, ()) = tokio::join!(fetch, async { clock.advance(secs(5)) });
        got
    };
    assert_eq!(slow("never").await, Err(Failed::Limit));
    get_or_set(&cache, "row", Ok(1)).await.0.unwrap();
    clock.advance(secs(60));
    assert_eq!(slow("row").await, Ok(1));
}

/// There it lengthens the ttl.
#[tokio::test]
async fn jitter_only_shortens() {
    let (cache, _) = cache();
    let rows = cache.scope("rows").default_life(Life::default().jitter(20));
    let mut drawn = Vec::new();
    for key in 0..50_u32 {
        rows.put(key, key, Life::default(), [""; 0]);
        drawn.push(rows.explain(key).fresh_for);
    }
    let between = |ttl: &Duration| (secs(40)..=secs(60)).contains(ttl);
    assert!(drawn.iter().all(between), "{drawn:?}");
    drawn.dedup();
    assert!(drawn.len() > 25, "{drawn:?}");
}

/// There it is a miss when it comes from the distributed level.
#[tokio::test]
async fn none_is_a_value() {
    let (cache, _) = cache();
    let none = || async { Ok::<_, Failed>(None::<u32>) };
    cache.fetch("row", "1m", [""; 0], none).await.unwrap();
    assert_eq!(cache.get::<Option<u32>>("row").await, Some(None));
}

#[tokio::test]
async fn one_factory_runs_for_all_who_ask_meanwhile_and_errors_are_not_kept() {
    let (cache, _) = cache();
    static LOADS: AtomicU32 = AtomicU32::new(0);
    let ask = || {
        let load = || async {
            tokio::task::yield_now().await;
            Ok::<_, Failed>(LOADS.fetch_add(1, SeqCst))
        };
        cache.fetch("row", "1m", [""; 0], load)
    };
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert_eq!((a, b, c), (Ok(0), Ok(0), Ok(0)));

    let failed = get_or_set(&cache, "other", Err(Failed::Source)).await.0;
    assert_eq!(failed, Err(Failed::Source));
    let why = cache.explain("other").reason;
    assert_eq!(why, Reason::NotStorable(NotStorable::Error));
}

// ---- the documentation's page, as a program ----

#[test]
fn the_example_goes_through_the_page() {
    let (status, said) = Example::run("hybrid");
    assert!(status.success(), "{said}");
    for line in [
        "get_user(123)                Petra    removed",
        "users[124] after 7 s         Paula    stale",
        "asked 4 times in 8 seconds",
        "users[124], it works again   Paula    expired",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}
