//! Input of a size or kind that nobody meant: a clear outcome each, and nothing hangs.

use cache_core::{
    Cache, CacheKey, CacheWeight, InvalidateError, KeyWriter, NotStorable, Reason, cache_tag,
};

use super::support::{Count, build, cache, eventually, nothing_runs, ok, reason, secs, settle};

const HUGE: usize = 10_000_000;

#[tokio::test]
async fn a_tag_of_10_mb_is_served_and_not_stored_and_cannot_be_invalidated() {
    let (cache, _) = cache();
    let huge = "t".repeat(HUGE);
    let why = Reason::NotStorable(NotStorable::TagLength);
    assert_eq!(cache.fetch("row", "1h", &huge, ok(1_u64)).await, Ok(1));
    assert_eq!(reason(&cache, "row"), why);
    assert_eq!(
        cache.put("row", 1_u64, "1h", ["t", &huge]).why_not(),
        Some(why)
    );
    let error = cache.invalidate_cache(&huge).await.unwrap_err();
    assert!(error.to_string().len() < 300, "errors do not repeat it");
    assert!(matches!(
        error,
        InvalidateError::InvalidTag { length: HUGE, .. }
    ));
}

#[tokio::test]
async fn a_million_tags_are_served_and_not_stored() {
    let (cache, _) = cache();
    let tags = || (0..1_000_000).map(|n| format!("{n}"));
    assert_eq!(cache.fetch("row", "1h", tags(), ok(1_u64)).await, Ok(1));
    let load = move || async move {
        cache_tag(tags());
        for n in 0..10_000 {
            cache_tag(format!("one:{n}"));
        }
        Ok::<_, &'static str>(1_u64)
    };
    assert_eq!(cache.fetch("said", "1h", ["t"], load).await, Ok(1));
    assert_eq!(
        reason(&cache, "said"),
        Reason::NotStorable(NotStorable::TooManyTags)
    );
}

#[tokio::test]
async fn a_key_of_10_mb_goes_without_the_cache() {
    let (cache, _) = cache();
    let huge = "k".repeat(HUGE);
    let loads = Count::default();
    for round in 1..=2 {
        let loads = loads.clone();
        let load = move || async move { Ok::<_, &'static str>(loads.up()) };
        assert_eq!(cache.fetch(&huge, "1h", ["t"], load).await, Ok(round));
    }
    let told = cache.explain(&huge);
    assert_eq!(told.reason, Reason::NotStorable(NotStorable::KeyLength));
    assert!(told.to_string().len() < 1_000);
    drop(cache.remove(&huge).await);
    drop(cache.remove_local(&huge));
    let many = vec![7_u64; HUGE];
    assert_eq!(cache.get::<u64>(&many).await, None);
    assert_eq!(
        cache.explain(many).reason,
        Reason::NotStorable(NotStorable::KeyLength)
    );
}

#[tokio::test]
async fn a_scope_of_10_mb_is_only_a_long_name() {
    let (cache, _) = cache();
    let scope = cache.scope("s".repeat(HUGE));
    scope.put("row", 1_u64, "1h", ["t"]);
    scope.clear().await.unwrap();
    assert_eq!(scope.get::<u64>("row").await, None);
}

#[tokio::test]
async fn a_key_that_says_more_than_it_writes_is_shown_without_a_panic() {
    struct Liar(u8);
    impl CacheKey for Liar {
        fn encode(&self, key: &mut KeyWriter<'_>) {
            match self.0 {
                0 => key.sequence(usize::MAX),
                1 => key.variant(u32::MAX, ""),
                2 => key.bytes(&[0xFF; 300]),
                _ => {}
            }
        }
    }
    let (cache, _) = cache();
    for n in 0..4 {
        cache.put(Liar(n), u64::from(n), "1h", [""; 0]);
        assert_eq!(cache.get::<u64>(Liar(n)).await, Some(u64::from(n)));
        assert!(!cache.explain(Liar(n)).key.is_empty());
    }
    let text = "\u{202e}\"\\\n\0ä".repeat(1_000);
    assert!(cache.explain(&text).key.len() < 4_000);
}

#[tokio::test]
async fn ten_thousand_keys_stay_within_a_quarter_of_a_mebibyte() {
    let cache = build(Cache::builder().max_bytes(1 << 18));
    for n in 0..10_000_u64 {
        let tags = ["all", &format!("own:{n}")];
        if n % 10 == 0 {
            cache.fetch(n, "1h", tags, ok(n)).await.unwrap();
        } else {
            cache.put(n, n, "1h", tags);
        }
        if n % 1_000 == 0 {
            assert!(cache.stats().bytes <= 1 << 18);
        }
    }
    let stats = cache.stats();
    assert!(stats.bytes <= 1 << 18, "{}", stats.bytes);
    assert!(stats.entries > 300, "{}", stats.entries);
    assert!(
        stats.tags < 5_000,
        "records of evicted entries go too: {}",
        stats.tags
    );
}

#[tokio::test]
async fn a_value_that_lies_about_its_weight_harms_only_the_bound() {
    #[derive(Clone, Debug, PartialEq)]
    struct Liar(usize);
    impl CacheWeight for Liar {
        fn cache_weight(&self) -> usize {
            self.0
        }
    }
    let (cache, _) = cache();
    for weight in [usize::MAX - 1_000, u32::MAX as usize + 1] {
        let stored = cache.put(weight, Liar(weight), "1h", ["t"]);
        assert_eq!(
            stored.why_not(),
            Some(Reason::NotStorable(NotStorable::TooLarge))
        );
    }
    let stored = cache.put("max", Liar(usize::MAX), "1h", ["t"]);
    assert_eq!(
        stored.why_not(),
        Some(Reason::NotStorable(NotStorable::TooLarge))
    );
    assert!(cache.put("zero", Liar(0), "1h", ["t"]).is_stored());
}

#[tokio::test]
async fn loads_that_never_end_cost_their_own_callers_only() {
    let (cache, clock) = cache();
    let hanging: Vec<_> = (0..100_u64)
        .map(|n| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let hang = std::future::pending::<Result<u64, &'static str>>;
                cache.fetch(n % 10, "1h", ["t"], hang).await
            })
        })
        .collect();
    eventually("all loads run", || cache.stats().loads == 10).await;
    settle().await;
    cache.fetch("other", "1h", ["t"], ok(1_u64)).await.unwrap();
    clock.advance(secs(30));
    settle().await;
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
    settle().await;
    // The lone ones went with their callers, the shared ones run on.
    assert_eq!(cache.stats().running, 10);
    let got = tokio::spawn({
        let cache = cache.clone();
        async move { cache.fetch(3_u64, "1h", ["t"], ok(3_u64)).await }
    });
    settle().await;
    clock.advance(secs(30));
    assert_eq!(got.await.unwrap(), Ok(3));
}

/// `begin` under a key that cannot be used, dropped: nothing is left of it.
#[tokio::test]
async fn begun_stores_of_unusable_keys_leave_nothing() {
    let (cache, _) = cache();
    let huge = "k".repeat(100_000);
    for _ in 0..1_000 {
        drop(cache.begin(&huge));
    }
    nothing_runs(&cache).await;
}

#[tokio::test]
async fn a_tag_that_is_none_is_shown() {
    let cache = build(Cache::builder());
    for (tag, said) in [
        (String::new(), "the tag \"\" has 0 characters"),
        ("x".repeat(300), "x\".. has 300 characters"),
    ] {
        let error = cache.invalidate_cache(tag).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
