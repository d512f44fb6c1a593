//! A hit allocates nothing for values that are copied or counted. Counted per thread, never timed.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use cache_core::spi::{self, CallKey, Function, Looked};
use cache_core::{Cache, CacheKey, CacheWeight, Clock, Life};

static FUNCTION: Function = Function::new("tests::function", "");

/// A hit is ready at its first poll.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit does not wait"),
    }
}

/// Allocations of twenty runs, after some that warm up what is made once: the least of many tries,
/// as the store allocates once in some hundred hits when it sums up what was read.
fn allocations(run: impl Fn()) -> u64 {
    (0..1_000).for_each(|_| run());
    let tries = (0..50).map(|_| measure(|| (0..20).for_each(|_| run())).count_total);
    tries.min().unwrap_or_default()
}

fn hits_allocate_nothing<V>(cache: &Cache, value: V)
where
    V: CacheWeight + Clone + PartialEq + Send + Sync + 'static,
{
    let life = Life::from("1h")
        .stale_while_revalidate("1h")
        .stale_if_error("1h");
    for tags in [&[] as &[&str], &["a"], &["a", "b", "c", "d"]] {
        cache.put(7_u64, value.clone(), life, tags);
        cache.put(("user", 7, "name"), value.clone(), life, tags);
        let got = allocations(|| assert!(now(cache.get::<V>(7_u64)).is_some()));
        assert_eq!(got, 0, "get, {} tags", tags.len());
        let got = allocations(|| assert!(now(cache.get::<V>(("user", 7, "name"))).is_some()));
        assert_eq!(got, 0, "get of a tuple, {} tags", tags.len());
        let other = value.clone();
        let got = allocations(|| {
            let missed = other.clone();
            let load = move || async move { Ok::<V, &'static str>(missed) };
            let got = now(cache.fetch(7_u64, life, ["a"], load));
            assert!(got == Ok(other.clone()));
        });
        assert_eq!(got, 0, "fetch, {} tags", tags.len());
        // After an invalidation that drops something else, too.
        cache.put("witness", 1_u64, "1h", ["w"]);
        drop(cache.invalidate_cache("w"));
        let got = allocations(|| assert!(now(cache.get::<V>(7_u64)).is_some()));
        assert_eq!(got, 0, "get after an invalidation, {} tags", tags.len());
    }
}

#[test]
fn a_hit_allocates_nothing_for_copy_arc_and_bytes_values() {
    for cache in [
        Cache::new(),
        Cache::builder().clock(Clock::manual()).build(),
    ] {
        hits_allocate_nothing(&cache, 42_u64);
        hits_allocate_nothing(&cache, (1_u8, 'x', [0_i64; 4]));
        hits_allocate_nothing(&cache, Arc::<str>::from("shared text"));
        hits_allocate_nothing(&cache, Arc::new(vec![1_u64, 2, 3]));
        hits_allocate_nothing(&cache, Bytes::from(vec![7_u8; 1_024]));
        hits_allocate_nothing(&cache, Some(Bytes::from_static(b"static")));
        hits_allocate_nothing(&cache.scope("users").scope("active"), 42_u64);
    }
}

#[test]
fn a_hit_of_a_function_allocates_nothing() {
    let cache = Cache::new();
    let look = |argument: u64, text: &str| {
        let mut key = CallKey::new(&FUNCTION);
        argument.encode(&mut key.writer());
        text.encode(&mut key.writer());
        spi::lookup::<u64>(&key)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(cache.enter(async {
        let Looked::Call(call) = look(7, "a text of some length") else {
            panic!("nothing is stored yet")
        };
        let options = spi::CallOptions {
            life: None,
            profile: None,
            timeout: None,
            tags: Ok(vec![spi::TagName::user("a").unwrap()]),
            by_caller: false,
            keyed_on_caller: false,
            sharing: spi::Sharing::Local,
            weigh: u64::cache_weight,
        };
        call.load(options, || async { spi::Finished::<_, ()>::Store(1_u64) })
            .await;
        let hit = || assert!(matches!(look(7, "a text of some length"), Looked::Hit(1)));
        assert_eq!(allocations(hit), 0);
    }));
}

#[test]
fn the_future_of_a_hit_is_small_however_deep_its_load() {
    let cache = Cache::new();
    let (a, b, c) = (cache.clone(), cache.clone(), cache.clone());
    let innermost = || async { Ok::<_, &'static str>(1_u64) };
    let inner = move || async move { a.fetch("a", "1h", ["t"], innermost).await };
    let outer = move || async move { b.fetch("b", "1h", ["t"], inner).await };
    let size = size_of_val(&c.fetch("c", "1h", ["t"], outer));
    assert!(size < 512, "{size} bytes");
}
