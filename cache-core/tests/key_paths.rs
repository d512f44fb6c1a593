//! Structured keys: every beginning of a `KeyPath` is a tag, and what begins alike goes in one step.

use std::convert::Infallible;

use cache_core::spi::Begun;
use cache_core::{Cache, KeyPath, Life, MAX_KEY_BYTES, MAX_KEY_PARTS, NotStorable, Reason};

const NONE: [&str; 0] = [];
const LIFE: Life = Life::from_secs(600);

fn path(parts: &[&str]) -> KeyPath {
    parts.iter().fold(KeyPath::new(), KeyPath::part)
}

fn put(cache: &Cache, parts: &[&str]) {
    assert!(cache.put(path(parts), 1_u8, LIFE, NONE).is_stored());
}

async fn has(cache: &Cache, parts: &[&str]) -> bool {
    cache.get::<u8>(path(parts)).await.is_some()
}

#[tokio::test]
async fn what_begins_alike_goes() {
    let cache = Cache::new();
    let all: [&[&str]; 6] = [
        &["user"],
        &["user", "7"],
        &["user", "7", "orders"],
        &["user", "70"],
        &["user7"],
        &["other", "user", "7"],
    ];
    for parts in all {
        put(&cache, parts);
    }
    cache.remove_beneath(&path(&["user", "7"])).await.unwrap();
    let mut left = Vec::new();
    for parts in all {
        if has(&cache, parts).await {
            left.push(parts);
        }
    }
    assert_eq!(left, [all[0], all[3], all[4], all[5]]);
}

#[tokio::test]
async fn parts_are_told_apart() {
    let cache = Cache::new();
    put(&cache, &["a", "b"]);
    for other in [
        path(&["ab"]),
        path(&["a\0b"]),
        path(&["", "a", "b"]),
        KeyPath::new().part(("a", "b")),
        KeyPath::new().part(["a", "b"]),
        KeyPath::new().part("a").part(("b",)),
        KeyPath::new().part(path(&["a", "b"])),
    ] {
        cache.remove_beneath(&other).await.unwrap();
        assert!(has(&cache, &["a", "b"]).await, "{other:?}");
    }
}

/// Nothing is stored under it, and what is left of it where its bytes end is the beginning of others.
#[tokio::test]
async fn what_is_no_key_drops_nothing() {
    let cache = Cache::new();
    put(&cache, &["user", "7"]);
    let long = |bytes| "x".repeat(bytes);
    for none in [
        path(&[&long(MAX_KEY_BYTES - 16)]),
        path(&[&long(MAX_KEY_BYTES + 1)]),
        path(&["user", &long(MAX_KEY_BYTES - 16)]),
        path(&["user"; MAX_KEY_PARTS + 1]),
    ] {
        cache.remove_beneath(&none).await.unwrap();
        assert!(has(&cache, &["user", "7"]).await);
    }
}

#[tokio::test]
async fn scopes_are_apart_and_no_parts_are_all_of_one() {
    let cache = Cache::new();
    let (one, other) = (cache.scope("one"), cache.scope("other"));
    for scope in [&cache, &one, &other] {
        put(scope, &["a", "b"]);
    }
    one.remove_beneath(&path(&["a"])).await.unwrap();
    assert!(!has(&one, &["a", "b"]).await);
    assert!(has(&other, &["a", "b"]).await && has(&cache, &["a", "b"]).await);
    other.remove_beneath(&KeyPath::new()).await.unwrap();
    assert!(!has(&other, &["a", "b"]).await && has(&cache, &["a", "b"]).await);
}

#[tokio::test]
async fn loads_carry_them_too() {
    let cache = Cache::new();
    let load = async |n: u8| {
        let key = path(&["a", "b"]);
        let loaded = cache.fetch(
            key,
            LIFE,
            NONE,
            move || async move { Ok::<_, Infallible>(n) },
        );
        loaded.await.unwrap()
    };
    assert_eq!((load(1).await, load(2).await), (1, 1));
    cache.remove_beneath(&path(&["a"])).await.unwrap();
    assert_eq!(load(3).await, 3);
}

#[tokio::test]
async fn there_is_a_limit() {
    let cache = Cache::new();
    let long = |count| (0..count).fold(KeyPath::new(), |path, n: usize| path.part(n));
    let put = |count| cache.put(long(count), 1_u8, LIFE, NONE).why_not();
    assert_eq!(put(MAX_KEY_PARTS), None);
    let refused = Some(Reason::NotStorable(NotStorable::KeyParts));
    assert_eq!(put(MAX_KEY_PARTS + 1), refused);
}

#[tokio::test]
async fn what_began_before_an_invalidation_is_not_stored() {
    let cache = Cache::new();
    let (shared, key) = (cache.scope("shared"), path(&["a", "b"]));
    let store = |begun: &Begun| begun.put(&shared, &key, 1_u8, LIFE);

    let begun = Begun::now(&cache);
    assert!(store(&begun).is_stored());
    for invalidate in [
        &(|| shared.remove_beneath(&path(&["a", "b"]))) as &dyn Fn() -> cache_core::Invalidating,
        &|| shared.remove_beneath(&path(&["a"])),
        &|| shared.clear(),
        &|| cache.clear(),
    ] {
        let begun = Begun::now(&cache);
        invalidate().await.unwrap();
        assert_eq!(store(&begun).why_not(), Some(Reason::LoadRaced));
        assert!(!has(&shared, &["a", "b"]).await);
        assert!(store(&Begun::now(&cache)).is_stored());
    }
    shared.remove_beneath(&path(&["a", "c"])).await.unwrap();
    assert!(has(&shared, &["a", "b"]).await);
}
