//! Keys: equal values meet, different ones never do, whatever their shapes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cache_core::spi::Function;
use cache_core::{Cache, CacheKey, KeyWriter, MAX_KEY_BYTES, NotStorable, Reason};
use serde::Serialize;

use super::support::{build, cache, call_key, ok};

/// Any serialisable value as a key, as the macros write it.
struct Serialised<T>(T);

impl<T: Serialize> CacheKey for Serialised<T> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.serialize(&self.0);
    }
}

fn s<T: Serialize + 'static>(value: T) -> Box<dyn CacheKey> {
    Box::new(Serialised(value))
}

#[derive(Serialize)]
struct Point {
    x: i64,
    y: i64,
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Wrapped(u64);

#[derive(Serialize)]
enum Shape {
    Empty,
    Other,
    One(u64),
    Two(u64, u64),
    Named { x: i64, y: i64 },
}

/// Puts a number of its own under every key, then looks that each is found again.
async fn all_differ(keys: Vec<Box<dyn CacheKey>>) {
    let cache = build(Cache::builder());
    for (n, key) in (0_u64..).zip(&keys) {
        let hit = cache.get::<u64>(key).await;
        assert_eq!(hit, None, "key {n} met key {hit:?}");
        cache.put(key, n, "1h", [""; 0]);
    }
    for (n, key) in (0_u64..).zip(&keys) {
        assert_eq!(cache.get::<u64>(key).await, Some(n));
    }
}

async fn all_equal(keys: Vec<Box<dyn CacheKey>>) {
    let cache = build(Cache::builder());
    cache.put(&keys[0], 1_u64, "1h", [""; 0]);
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(cache.get::<u64>(key).await, Some(1), "key {n}");
    }
}

#[tokio::test]
async fn rule_6_sets_and_maps_have_one_key_in_whatever_order_they_lie() {
    // Each with a seed, and so an order, of its own.
    let set = || (0..100_u64).collect::<HashSet<_>>();
    let map = || (0..100_u64).map(|n| (n, "n")).collect::<HashMap<_, _>>();
    all_equal(vec![
        Box::new(set()),
        Box::new(set()),
        Box::new(Arc::new(set())),
        Box::new((0..100_u64).rev().collect::<BTreeSet<_>>()),
    ])
    .await;
    all_equal(vec![
        Box::new(Some(vec![set()])),
        Box::new(Some(vec![set()])),
    ])
    .await;
    all_equal(vec![
        Box::new(map()),
        Box::new(map()),
        Box::new(map().into_iter().collect::<BTreeMap<_, _>>()),
        s(map()),
    ])
    .await;
    all_differ(vec![
        Box::new(HashSet::<u64>::new()),
        Box::new(HashMap::<u64, u64>::new()),
        Box::new(HashSet::from([1_u64])),
        Box::new([1_u64]),
        Box::new(HashSet::from([1_u64, 2])),
        Box::new(HashSet::from(["1", "2"])),
        Box::new(HashSet::from([vec![1_u64, 2]])),
        Box::new(HashSet::from([vec![1_u64], vec![2]])),
        Box::new(HashMap::from([(1_u64, 2_u64)])),
        Box::new(HashMap::from([(2_u64, 1_u64)])),
    ])
    .await;
}

#[tokio::test]
async fn rule_6_a_set_too_long_for_a_key_goes_without_the_cache() {
    let (cache, _) = cache();
    let long: HashSet<String> = (0..100).map(|n| format!("{n:01000}")).collect();
    cache.put(&long, 1_u64, "1h", [""; 0]);
    assert_eq!(cache.get::<u64>(&long).await, None);
    assert_eq!(cache.stats().entries, 0);
}

#[tokio::test]
async fn rule_6_no_two_different_arguments_meet() {
    all_differ(vec![
        Box::new("ab"),
        Box::new(("ab",)),
        Box::new(("a", "b")),
        Box::new(("", "ab")),
        Box::new(("ab", "")),
        Box::new((("a", "b"),)),
        Box::new(("a", ("b",))),
        Box::new(["a", "", "b"]),
        Box::new(("a,b", "")),
        Box::new("\0ab"),
        Box::new("ab\0"),
        Box::new(1_u64),
        Box::new(-1_i64),
        Box::new(u64::MAX),
        Box::new(i64::MIN),
        Box::new(i128::from(u64::MAX) + 1),
        Box::new(i128::MIN),
        Box::new(u128::MAX),
        Box::new("1"),
        Box::new('1'),
        Box::new(true),
        Box::new(false),
        Box::new(()),
        Box::new(None::<u64>),
        Box::new(Some(1_u64)),
        Box::new(Some(None::<u64>)),
        Box::new(Some(Some(1_u64))),
        Box::new(Some(())),
        Box::new([0_u64; 0]),
        Box::new([1_u64]),
        Box::new([1_u64, 1]),
        Box::new([[1_u64], [1]]),
        Box::new((vec![1_u64], vec![2_u64, 3])),
        Box::new((vec![1_u64, 2], vec![3_u64])),
        Box::new((None::<u64>, Some(1_u64))),
        Box::new((Some(1_u64), None::<u64>)),
    ])
    .await;
}

#[tokio::test]
async fn rule_6_no_two_different_serialised_arguments_meet() {
    all_differ(vec![
        s(Point { x: 1, y: 2 }),
        s(Point { x: 2, y: 1 }),
        s(("x", 1, "y", 2)),
        s(Shape::Empty),
        s(Shape::Other),
        s(Shape::One(1)),
        s(Shape::Two(1, 2)),
        s(Shape::Named { x: 1, y: 2 }),
        s("Empty"),
        s(Unit),
        s(1.5_f64),
        s(1.0_f64),
        s(1_u64),
        s(-1.0_f64),
        s(f64::NAN),
        s(f64::INFINITY),
        s("1"),
        s(vec!["a", "b"]),
        s(vec!["ab"]),
        s(vec![vec!["a"], vec!["b"]]),
        s(vec![vec!["a", "b"]]),
        s(BTreeMap::from([("a", 1)])),
        s(BTreeMap::from([("a", 1), ("b", 2)])),
        s(BTreeMap::from([("a", 2), ("b", 1)])),
        s(BTreeMap::from([("a", BTreeMap::from([("b", 1)]))])),
        s(Some(Some(1))),
        s(Some(None::<u64>)),
        s(None::<u64>),
    ])
    .await;
}

#[tokio::test]
async fn rule_6_equal_values_meet_whatever_their_type() {
    all_equal(vec![
        Box::new(7_u8),
        Box::new(7_i32),
        Box::new(7_u64),
        Box::new(7_i128),
        Box::new(7_usize),
        Box::new(&7_i64),
        Box::new(Arc::new(7_u16)),
        s(7_u32),
        s(Wrapped(7)),
    ])
    .await;
    all_equal(vec![
        Box::new("text"),
        Box::new(String::from("text")),
        Box::new(std::borrow::Cow::Borrowed("text")),
        s("text"),
        s(String::from("text")),
    ])
    .await;
    all_equal(vec![s(0.0_f64), s(-0.0_f64), s(0.0_f32)]).await;
    all_equal(vec![s(f64::NAN), s(-f64::NAN), s(f32::NAN)]).await;
    all_equal(vec![s(0.5_f64), s(0.5_f32)]).await;
}

#[tokio::test]
async fn rule_6_maps_are_sorted() {
    let pairs: Vec<_> = (0..100).map(|n| (format!("{n}"), n)).collect();
    let mut keys = vec![s(pairs.iter().cloned().collect::<BTreeMap<_, _>>())];
    for _ in 0..5 {
        // Each has an order of its own.
        keys.push(s(pairs.iter().cloned().collect::<HashMap<_, _>>()));
    }
    all_equal(keys).await;
}

#[tokio::test]
async fn rule_6_functions_and_scopes_have_keys_of_their_own() {
    static ONE: Function = Function::new("tests::same", "");
    static TWO: Function = Function::new("tests::same", "");
    let (cache, _) = cache();
    let scope = cache.scope("tests::same");
    let keys = [call_key(&ONE, 1).key(), call_key(&TWO, 1).key()];
    assert_ne!(keys[0], keys[1]);
    cache.put(1_u64, 1_u64, "1h", [""; 0]);
    scope.put(1_u64, 2_u64, "1h", [""; 0]);
    assert_eq!(cache.get::<u64>(1_u64).await, Some(1));
    assert_eq!(scope.get::<u64>(1_u64).await, Some(2));
    for key in keys {
        assert_eq!(cache.explain(key).reason, Reason::NeverStored);
    }
}

/// Values that differ only past the limit must not meet: the call goes without the cache.
#[tokio::test]
async fn rule_6_keys_too_long_never_meet_and_are_not_stored() {
    #[derive(Serialize)]
    struct Request {
        body: String,
    }
    let long = |byte: &str| byte.repeat(MAX_KEY_BYTES + 1);
    let pairs: Vec<[Box<dyn CacheKey>; 2]> = vec![
        [Box::new(long("a")), Box::new(long("b"))],
        [Box::new(("k", long("a"))), Box::new(("k", long("b")))],
        [Box::new((long("a"), "k")), Box::new((long("b"), "k"))],
        [s(long("a")), s(long("b"))],
        [
            s(Request { body: long("a") }),
            s(Request { body: long("b") }),
        ],
        [
            s(Some(Request { body: long("a") })),
            s(Some(Request { body: long("b") })),
        ],
        [s(vec![long("a")]), s(vec![long("b")])],
        [s((1, long("a"))), s((1, long("b")))],
        [
            s(BTreeMap::from([("k", long("a"))])),
            s(BTreeMap::from([("k", long("b"))])),
        ],
        [
            s(BTreeMap::from([(long("a"), 1)])),
            s(BTreeMap::from([(long("b"), 1)])),
        ],
        [
            s(vec![vec![1_u8; 40_000]; 2]),
            s(vec![vec![2_u8; 40_000]; 2]),
        ],
        [s(vec![long("a"); 2]), s(vec![long("b"); 2])],
    ];
    let why = Reason::NotStorable(NotStorable::KeyLength);
    for (n, [one, other]) in pairs.iter().enumerate() {
        let (cache, _) = cache();
        assert_eq!(
            cache.fetch(one, "1h", ["t"], ok(1_u64)).await,
            Ok(1),
            "pair {n}"
        );
        assert_eq!(
            cache.fetch(other, "1h", ["t"], ok(2_u64)).await,
            Ok(2),
            "pair {n}"
        );
        assert_eq!(
            cache.put(one, 1_u64, "1h", ["t"]).why_not(),
            Some(why),
            "pair {n}"
        );
        assert_eq!(cache.get::<u64>(other).await, None, "pair {n}");
        assert_eq!(cache.explain(one).reason, why, "pair {n}");
        let begun = cache.begin(one);
        assert_eq!(
            cache.put_from(begun, 1_u64, "1h", ["t"]).why_not(),
            Some(why)
        );
        assert_eq!(cache.stats().entries, 0);
    }
}

#[tokio::test]
async fn rule_6_a_value_that_does_not_serialise_goes_without_the_cache() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let why = Reason::NotStorable(NotStorable::KeyEncoding);
    for key in [s(Fails), s(vec![Fails]), s((1, Some(Fails)))] {
        let (cache, _) = cache();
        assert_eq!(cache.fetch(&key, "1h", ["t"], ok(1_u64)).await, Ok(1));
        assert_eq!(cache.fetch(&key, "1h", ["t"], ok(2_u64)).await, Ok(2));
        assert_eq!(cache.explain(&key).reason, why);
    }
}

#[tokio::test]
async fn rule_6_a_hundred_thousand_keys_are_a_hundred_thousand_values() {
    let cache = build(Cache::builder().max_bytes(256 << 20));
    let mut shown = HashSet::new();
    for n in 0..100_000_u64 {
        cache.put((n % 317, n / 317), n, "1h", [""; 0]);
    }
    for n in 0..100_000_u64 {
        let key = (n % 317, n / 317);
        assert_eq!(cache.get::<u64>(key).await, Some(n));
        if n % 1_000 == 0 {
            shown.insert(cache.explain(key).key);
        }
    }
    assert_eq!(shown.len(), 100);
}
