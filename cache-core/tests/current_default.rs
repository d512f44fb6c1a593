//! The process's cache where none was ever built: a default one, made on first use. In a binary of
//! its own, as it is decided once per process.

use cache_core::{Cache, fetch, invalidate_cache, revalidate_tag};

async fn load() -> Result<u64, &'static str> {
    Ok(1)
}

#[tokio::test]
async fn without_any_cache_built_a_default_one_is_current() {
    // Isolated ones do not count as built.
    Cache::isolated(async {
        fetch("row", "1h", ["t"], load).await.unwrap();
        assert_eq!(Cache::current().unwrap().stats().stored, 1);
    })
    .await;

    let default = Cache::current().expect("made on first use");
    assert_eq!(default.stats().stored, 0, "the isolated one was another");
    assert_eq!(fetch("row", "1h", ["t"], load).await, Ok(1));
    assert_eq!(default.get::<u64>("row").await, Some(1));
    invalidate_cache("t").await.unwrap();
    assert_eq!(default.get::<u64>("row").await, None);
    revalidate_tag("t").await.unwrap();

    // One that is entered goes before it, in that future and nowhere else.
    let other = Cache::new();
    other
        .enter(async {
            fetch("row", "1h", ["t"], load).await.unwrap();
            let spawned = tokio::spawn(async { Cache::current().is_some() });
            assert!(
                !spawned.await.unwrap(),
                "tasks inherit nothing, and one was built by now"
            );
        })
        .await;
    assert_eq!(other.get::<u64>("row").await, Some(1));
}
