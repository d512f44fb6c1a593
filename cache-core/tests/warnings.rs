//! What is said on standard error, once per process, of what is set up wrongly: each case is run in a
//! process of its own, whose output is read.
#![cfg(not(feature = "tracing"))]

use std::process::Command;
use std::time::Duration;

use cache_core::remote::Memory;
use cache_core::spi::{CallKey, CallOptions, Finished, Function, lookup_anew};
use cache_core::{Cache, CacheWeight, Clock, fetch};

const INSIDE: &str = "WARNINGS_OF_A_CASE";

/// Runs a test of this binary, by name, and returns what it said.
fn said_by(test: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[tokio::test]
async fn a_profile_that_is_not_known_is_told_once() {
    static FUNCTION: Function = Function::new("tests::prices", "");
    if !is_inside() {
        let said = said_by("a_profile_that_is_not_known_is_told_once");
        assert_eq!(said.matches("`hourz`").count(), 1, "{said}");
        assert!(said.contains("`tests::prices` is not cached"), "{said}");
        return;
    }
    let cache = Cache::new();
    let calls = async {
        for _ in 0..2 {
            let options = CallOptions {
                life: None,
                profile: Some("hourz"),
                timeout: None,
                tags: Ok(Vec::new()),
                by_caller: false,
                keyed_on_caller: false,
                sharing: cache_core::spi::Sharing::Local,
                weigh: u64::cache_weight,
            };
            lookup_anew::<u64>(&CallKey::new(&FUNCTION))
                .load(options, || async { Finished::<_, ()>::Store(1) })
                .await;
        }
    };
    cache.enter(calls).await;
}

#[tokio::test]
async fn a_cache_installed_after_the_default_one_was_used_is_told() {
    if !is_inside() {
        let said = said_by("a_cache_installed_after_the_default_one_was_used_is_told");
        assert!(said.contains("installed after the default one"), "{said}");
        return;
    }
    let load = || async { Ok::<_, ()>(1) };
    fetch("row", "1h", ["t"], load).await.unwrap();
    Cache::new().install().unwrap();
}

#[tokio::test]
async fn a_remote_that_fails_is_told_of_once_and_so_is_its_end() {
    if !is_inside() {
        let said = said_by("a_remote_that_fails_is_told_of_once_and_so_is_its_end");
        let failed = "the remote cannot be reached: it was made so";
        assert_eq!(said.matches(failed).count(), 1, "{said}");
        assert_eq!(
            said.matches("the remote answers again").count(),
            1,
            "{said}"
        );
        return;
    }
    let clock = Clock::manual();
    let server = Memory::with_clock(clock.clone());
    server.set_reachable(false);
    let cache = Cache::builder().clock(clock.clone()).remote(server.clone());
    let cache = cache.version("test").build();
    let errors = || cache.stats().remote.map_or(0, |remote| remote.errors);
    let pass = async || {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    };
    while errors() < 3 {
        pass().await;
    }
    server.set_reachable(true);
    while !cache.stats().remote.is_some_and(|remote| remote.connected) {
        pass().await;
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_for_the_remote_is_told_of_once() {
    if !is_inside() {
        let said = said_by("a_value_that_is_too_large_for_the_remote_is_told_of_once");
        let told = "a value of `reports` stays in this process, as its 10001 bytes are more than the 10000";
        assert_eq!(said.matches(told).count(), 1, "{said}");
        assert_eq!(said.matches("stays in this process").count(), 1, "{said}");
        return;
    }
    let remote = Memory::new();
    let cache = Cache::builder().remote(remote).max_remote_bytes(10_000);
    let cache = cache.build();
    cache.connected().await;
    let reports = cache.scope("reports");
    // The bytes of an entry's head count as well.
    for (key, bytes) in [("too large", 10_001), ("fits", 9_000), ("is full", 10_000)] {
        let mut random = fastrand::Rng::with_seed(7);
        let value: Vec<u8> = (0..bytes).map(|_| random.u8(..)).collect();
        assert!(reports.put(key, value, "1h", ["rows"]).is_stored());
        cache.shutdown().await.unwrap();
    }
    let remote = cache.stats().remote.unwrap();
    assert_eq!(
        (remote.shared, remote.unshared, remote.too_large),
        (1, 2, 2)
    );
}

/// Scopes may be as many as an application has users.
#[tokio::test]
async fn values_that_stay_local_are_told_once_of_each_scope_and_of_so_many_alone() {
    if !is_inside() {
        let test = "values_that_stay_local_are_told_once_of_each_scope_and_of_so_many_alone";
        let said = said_by(test);
        assert_eq!(said.matches("`user 7`").count(), 1, "{said}");
        assert_eq!(said.matches("stay in this process").count(), 100, "{said}");
        return;
    }
    #[derive(Clone)]
    struct Local;
    impl CacheWeight for Local {}

    let cache = Cache::builder().remote(Memory::new()).build();
    for user in 0..1_000 {
        let scope = cache.scope(format!("user {user}"));
        for key in ["a", "b"] {
            assert!(scope.put(key, Local, "1h", ["rows"]).is_stored());
        }
    }
}
