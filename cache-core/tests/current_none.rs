//! A cache that was built but is neither installed nor entered: nothing is cached, and invalidations
//! say so. In a binary of its own, as it is decided once per process.

use cache_core::spi::{self, CallKey, CallOptions, Fetched, Finished, Function, Looked};
use cache_core::{
    Cache, CacheWeight, InvalidateError, Reason, cache_life, cache_tag, fetch, invalidate_cache,
    observe, revalidate_path, revalidate_tag,
};

static FUNCTION: Function = Function::new("tests::function", "");

/// Calls a cached function, as a macro's expansion does.
async fn call(loads: u64) -> u64 {
    let options = CallOptions {
        life: None,
        profile: None,
        timeout: None,
        tags: Ok(Vec::new()),
        by_caller: false,
        keyed_on_caller: false,
        sharing: cache_core::spi::Sharing::Local,
        weigh: u64::cache_weight,
    };
    match spi::lookup::<u64>(&CallKey::new(&FUNCTION)) {
        Looked::Hit(value) => value,
        Looked::Call(call) => {
            let body = move || async move {
                cache_tag("said");
                cache_life("1h");
                Finished::<_, ()>::Store(loads)
            };
            match call.load(options, body).await {
                Fetched::Value(value) => value,
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_cache_built_but_not_current_caches_nothing_and_refuses_invalidations() {
    let cache = Cache::new();
    assert!(Cache::current().is_none());
    assert!(spi::installed().is_none());
    for n in 1..=2 {
        assert_eq!(call(n).await, n);
        let load = move || async move { Ok::<_, &'static str>(n) };
        assert_eq!(fetch("row", "1h", ["t"], load).await, Ok(n));
    }
    let none = Some(InvalidateError::NoCurrentCache);
    assert_eq!(invalidate_cache("t").await.err(), none);
    assert_eq!(revalidate_tag(["t", "u"]).await.err(), none);
    assert_eq!(revalidate_path("/").await.err(), none);
    assert_eq!(spi::remove(&CallKey::new(&FUNCTION)).await.err(), none);
    assert_eq!(spi::clear(&FUNCTION).await.err(), none);
    assert!(
        InvalidateError::NoCurrentCache
            .to_string()
            .contains(".install()")
    );
    let ((), seen) = observe(async { assert_eq!(call(3).await, 3) }).await;
    assert!(seen.iter().all(|read| read.reason == Reason::Bypass));

    // Its own methods work, and so does all of it where it is entered.
    cache.put("row", 1_u64, "1h", ["t"]);
    cache.invalidate_cache("t").await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, None);
    cache
        .enter(async {
            assert_eq!(call(4).await, 4);
            assert_eq!(call(5).await, 4);
            spi::clear(&FUNCTION).await.unwrap();
            assert_eq!(call(6).await, 6);
            spi::remove(&CallKey::new(&FUNCTION)).await.unwrap();
            assert_eq!(call(7).await, 7);
        })
        .await;
    Cache::isolated(async { assert_eq!(call(8).await, 8) }).await;
}
