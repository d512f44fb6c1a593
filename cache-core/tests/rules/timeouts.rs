//! A caller's own time limit, and loads inside the caller.

use cache_core::spi::{self, CallOptions, Fetched, Finished, Function, Looked};
use cache_core::{Cache, Life};

use super::support::{
    Loaded, begin_load, cache, call, call_key, finish, gate, nothing_runs, ok, options, secs,
    settle,
};

static FUNCTION: Function = Function::new("tests::slow", "");

fn limited(life: impl Into<Life>) -> CallOptions<u64> {
    CallOptions {
        life: Some(life.into()),
        timeout: Some(secs(2)),
        ..options(&["t"])
    }
}

fn spawn_call<F>(
    cache: &Cache,
    life: Life,
    body: impl FnOnce() -> F + Send + 'static,
) -> tokio::task::JoinHandle<Fetched<u64, &'static str>>
where
    F: Future<Output = Loaded<u64>> + Send + 'static,
{
    let cache = cache.clone();
    tokio::spawn(async move { cache.enter(call(&FUNCTION, 0, limited(life), body)).await })
}

#[tokio::test]
async fn life_a_caller_is_released_at_its_limit_and_the_load_goes_on_and_is_stored() {
    let (cache, clock) = cache();
    let (gate, mut keeper) = gate();
    let caller = spawn_call(&cache, "1h".into(), move || async move {
        gate.pass().await;
        Ok(1)
    });
    keeper.reached().await;
    clock.advance(secs(1));
    settle().await;
    assert!(!caller.is_finished());
    clock.advance(secs(1));
    let Fetched::TimedOut(timeout) = caller.await.unwrap() else {
        panic!("it timed out")
    };
    assert_eq!(
        (timeout.name.as_str(), timeout.limit),
        ("tests::slow", secs(2))
    );
    keeper.open();
    settle().await;
    let hit = spawn_call(&cache, "1h".into(), || async { Err("no hit") });
    assert!(matches!(hit.await.unwrap(), Fetched::Value(1)));
}

#[tokio::test]
async fn life_a_stale_value_is_served_at_the_limit() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    spawn_call(&cache, life, || async { Ok(1) }).await.unwrap();
    clock.advance(secs(60));
    let caller = spawn_call(&cache, life, std::future::pending);
    settle().await;
    clock.advance(secs(2));
    assert!(matches!(caller.await.unwrap(), Fetched::Value(1)));
}

#[tokio::test]
async fn life_a_value_that_died_meanwhile_is_not() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    spawn_call(&cache, life, || async { Ok(1) }).await.unwrap();
    clock.advance(secs(60));
    let caller = spawn_call(&cache, life, std::future::pending);
    settle().await;
    drop(cache.invalidate_cache("t"));
    clock.advance(secs(2));
    assert!(matches!(caller.await.unwrap(), Fetched::TimedOut(_)));
}

#[tokio::test]
async fn life_a_joiner_has_a_limit_of_its_own() {
    let (cache, clock) = cache();
    let leader = spawn_call(&cache, "1h".into(), std::future::pending);
    settle().await;
    clock.advance(secs(1));
    let joiner = spawn_call(&cache, "1h".into(), || async { Ok(2) });
    settle().await;
    clock.advance(secs(1));
    assert!(matches!(leader.await.unwrap(), Fetched::TimedOut(_)));
    settle().await;
    assert!(!joiner.is_finished());
    clock.advance(secs(1));
    assert!(matches!(joiner.await.unwrap(), Fetched::TimedOut(_)));
}

#[tokio::test]
async fn life_a_load_past_its_callers_limit_is_overtaken_like_any() {
    let (cache, clock) = cache();
    let (gate, mut keeper) = gate();
    let caller = spawn_call(&cache, "1h".into(), move || async move {
        gate.pass().await;
        Ok(1)
    });
    keeper.reached().await;
    clock.advance(secs(2));
    caller.await.unwrap();
    drop(cache.invalidate_cache("t"));
    keeper.open();
    settle().await;
    let next = spawn_call(&cache, "1h".into(), || async { Ok(2) });
    assert!(matches!(next.await.unwrap(), Fetched::Value(2)));
}

#[tokio::test]
async fn life_the_limit_holds_past_the_cache_and_alone() {
    let (cache, clock) = cache();
    let inside = cache.clone();
    let past = tokio::spawn(async move {
        let hang = std::future::pending::<Loaded<u64>>;
        let call = inside.enter(call(&FUNCTION, 0, limited("1h"), hang));
        cache_core::bypass(call).await
    });
    let inside = cache.clone();
    let alone = tokio::spawn(async move {
        let wrong = CallOptions {
            tags: Err(cache_core::NotStorable::TagLength),
            ..limited("1h")
        };
        inside
            .enter(call(
                &FUNCTION,
                1,
                wrong,
                std::future::pending::<Loaded<u64>>,
            ))
            .await
    });
    settle().await;
    clock.advance(secs(2));
    assert!(matches!(past.await.unwrap(), Fetched::TimedOut(_)));
    assert!(matches!(alone.await.unwrap(), Fetched::TimedOut(_)));
}

#[derive(Debug, PartialEq)]
enum Slow {
    Limit(cache_core::LoadTimeout),
}

impl From<cache_core::LoadTimeout> for Slow {
    fn from(limit: cache_core::LoadTimeout) -> Self {
        Self::Limit(limit)
    }
}

/// A `fetch` within a limit, of a key whose load hangs until its gate is opened.
#[tokio::test]
async fn life_a_fetch_has_a_limit_where_it_says_one() {
    let (cache, clock) = cache();
    let (gate, mut keeper) = gate();
    let caller = {
        let users = cache.scope("users");
        tokio::spawn(async move {
            let load = move || async move {
                gate.pass().await;
                Ok::<_, Slow>(1_u64)
            };
            users.fetch_within("2s", "ada", "1m", ["t"], load).await
        })
    };
    keeper.reached().await;
    clock.advance(secs(2));
    let Err(Slow::Limit(limit)) = caller.await.unwrap() else {
        panic!("it timed out")
    };
    assert_eq!((limit.name.as_str(), limit.limit), ("users", secs(2)));
    keeper.open();
    settle().await;
    let users = cache.scope("users");
    let hit = users.fetch_within("2s", "ada", "1m", ["t"], || async {
        panic!("the load went on and was stored")
    });
    assert_eq!(hit.await, Ok::<u64, Slow>(1));
}

#[tokio::test]
async fn life_a_load_that_hangs_is_waited_for_once_in_a_pause() {
    let (cache, clock) = cache();
    let life = Life::from("1m").stale_if_error("1h");
    cache.put("row", 1_u64, life, ["t"]);
    clock.advance(secs(60));
    let caller = {
        let cache = cache.clone();
        let hang = std::future::pending::<Result<u64, Slow>>;
        tokio::spawn(async move { cache.fetch_within("2s", "row", life, ["t"], hang).await })
    };
    settle().await;
    clock.advance(secs(2));
    assert_eq!(caller.await.unwrap(), Ok(1));
    let next = || async { panic!("it is not asked again yet") };
    let at_once = cache.fetch_within("2s", "row", life, ["t"], next).await;
    assert_eq!(at_once, Ok::<u64, Slow>(1));
}

/// A foreground load borrows from its caller and ends with it.
async fn foreground(cache: &Cache, text: &str) -> Fetched<u64, &'static str> {
    let body = || async { Ok(text.len() as u64) };
    let run = async {
        match spi::lookup::<u64>(&call_key(&FUNCTION, 9)) {
            Looked::Hit(value) => Fetched::Value(value),
            Looked::Call(call) => {
                let life = Life::from("1m").stale_while_revalidate("1h");
                call.load_here(limited(life), || finish(body())).await
            }
        }
    };
    cache.enter(run).await
}

#[tokio::test]
async fn foreground_loads_borrow_are_stored_and_never_served_stale() {
    let (cache, clock) = cache();
    assert!(matches!(
        foreground(&cache, "four").await,
        Fetched::Value(4)
    ));
    assert!(matches!(
        foreground(&cache, "three").await,
        Fetched::Value(4)
    ));
    clock.advance(secs(61));
    assert!(matches!(
        foreground(&cache, "three").await,
        Fetched::Value(5)
    ));
}

#[tokio::test]
async fn rule_10_a_foreground_leader_who_leaves_releases_its_joiners() {
    let (cache, _) = cache();
    let leader = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let run = async {
                let Looked::Call(call) = spi::lookup::<u64>(&call_key(&FUNCTION, 9)) else {
                    return;
                };
                let hang = || std::future::pending::<Finished<u64, ()>>();
                call.load_here(limited("1h"), hang).await;
            };
            cache.enter(run).await;
        })
    };
    settle().await;
    let joiner = {
        let cache = cache.clone();
        tokio::spawn(async move { foreground(&cache, "three").await })
    };
    settle().await;
    assert!(!joiner.is_finished());
    leader.abort();
    assert!(matches!(joiner.await.unwrap(), Fetched::Value(5)));
    nothing_runs(&cache).await;
}

#[tokio::test]
async fn a_limit_does_not_end_what_others_wait_for() {
    let (cache, clock) = cache();
    let load = begin_load(&cache, "row", "1h", &["t"], 1).await;
    let other = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let waits = cache.fetch("row", "1h", ["t"], ok(2_u64));
            tokio::select! { got = waits => Some(got), () = cache.clock().sleep(secs(1)) => None }
        })
    };
    settle().await;
    clock.advance(secs(1));
    assert_eq!(other.await.unwrap(), None);
    assert_eq!(load.end().await, Ok(1));
    assert_eq!(cache.get::<u64>("row").await, Some(1));
}
