//! `revalidate_tag` with more and more entries under the tag, and hits afterwards.

use std::hint::black_box;
use std::time::Duration;

use benches::{Side, compare, runtime, timed, uniform};
use revalidate::{Cache, Life};
use tokio::runtime::Runtime;

/// A cache with so many entries under `all`, and as many again under another tag. A stale window
/// keeps the sweeper from freeing what was invalidated: there is as much to do each time.
fn filled(runtime: &Runtime, entries: u64) -> Cache {
    let _guard = runtime.enter();
    let cache = Cache::builder().max_bytes(4 << 30).build();
    let life = Life::from("1h").stale_while_revalidate(Duration::from_secs(3600));
    let others = cache.scope("others");
    for id in 0..entries {
        let _ = cache.put(id, id, life, ["all"]);
        if id < 10_000 {
            let _ = others.put(id, id, life, ["others"]);
        }
    }
    assert_eq!(
        cache.stats().entries,
        entries + entries.min(10_000),
        "everything is stored"
    );
    cache
}

fn main() {
    let runtime = runtime();
    let caches = [10, 1_000, 1_000_000].map(|entries| (entries, filled(&runtime, entries)));
    let sides: Vec<_> = caches
        .iter()
        .map(|(entries, cache)| {
            Side::new(
                &format!("revalidate_tag, {entries} entries"),
                move |times| {
                    timed(|| (0..times).for_each(|_| drop(black_box(cache.revalidate_tag("all")))))
                },
            )
        })
        .collect();
    compare(&runtime, 1, &sides).print("`revalidate_tag`, by the entries under the tag", &[0]);

    let keys = uniform(1 << 12, 1_000);
    let (_, cache) = &caches[1];
    let quiet = filled(&runtime, 1_000);
    let hits = |name: &str, cache: Cache| {
        let (cache, keys, handle) = (cache.scope("others"), &keys, runtime.handle());
        Side::new(name, move |times| {
            let mut took = Duration::ZERO;
            handle.block_on(async {
                let began = std::time::Instant::now();
                for n in 0..times as usize {
                    let value = cache.get::<u64>(keys[n % keys.len()]).await;
                    assert!(black_box(value).is_some());
                }
                took = began.elapsed();
            });
            took
        })
    };
    let sides = [
        hits("hits where nothing was invalidated", quiet),
        hits("hits after the invalidations above", cache.clone()),
    ];
    compare(&runtime, 1, &sides).print("hits of entries under another tag", &[0]);
}
