//! The installed cache: one per process, current wherever no other is entered. In a binary of its
//! own, as it is decided once per process.

use cache_core::{Cache, FutureExt, fetch, invalidate_cache, spi};

async fn load() -> Result<u64, &'static str> {
    Ok(1)
}

#[tokio::test]
async fn the_installed_cache_is_current_everywhere_and_there_is_one() {
    let cache = Cache::builder()
        .namespace("installed")
        .build()
        .install()
        .unwrap();
    let again = Cache::new().install();
    assert!(again.unwrap_err().to_string().contains("installed already"));
    assert_eq!(spi::installed().unwrap().namespace(), "installed");

    fetch("row", "1h", ["t"], load).await.unwrap();
    assert_eq!(cache.get::<u64>("row").await, Some(1));
    tokio::spawn(async { invalidate_cache("t").await.unwrap() })
        .await
        .unwrap();
    assert_eq!(cache.get::<u64>("row").await, None, "in spawned tasks too");

    // The innermost that is entered goes before it.
    let (outer, inner) = (Cache::new(), Cache::builder().namespace("inner").build());
    let inside = inner.clone();
    outer
        .enter(async {
            fetch("outer", "1h", ["t"], load).await.unwrap();
            inside
                .enter(async {
                    let named = async { Cache::current().unwrap().namespace().to_owned() };
                    assert_eq!(
                        tokio::spawn(named.in_current_load()).await.unwrap(),
                        "inner"
                    );
                    fetch("inner", "1h", ["t"], load).await.unwrap();
                })
                .await;
            invalidate_cache("t").await.unwrap();
        })
        .await;
    assert_eq!(outer.get::<u64>("outer").await, None);
    assert_eq!(inner.get::<u64>("inner").await, Some(1));

    // Entered while it is polled, and at no other time: two futures of one task do not mix.
    let (a, b) = (
        Cache::builder().namespace("a").build(),
        Cache::builder().namespace("b").build(),
    );
    let names = async |times: usize| {
        let mut names = Vec::new();
        for _ in 0..times {
            names.push(Cache::current().unwrap().namespace().to_owned());
            tokio::task::yield_now().await;
        }
        names
    };
    let (of_a, of_b, of_none) = tokio::join!(a.enter(names(3)), b.enter(names(3)), names(3));
    assert_eq!(
        (of_a, of_b),
        (vec!["a".to_owned(); 3], vec!["b".to_owned(); 3])
    );
    assert_eq!(of_none, vec!["installed"; 3]);

    // Also when a poll panics.
    let panics = a.enter(async { panic!("on purpose") });
    let caught = tokio::spawn(async move {
        let () = panics.await;
    });
    assert!(caught.await.unwrap_err().is_panic());
    assert_eq!(Cache::current().unwrap().namespace(), "installed");
}
