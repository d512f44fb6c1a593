//! Hits of a cached function beside `moka::sync` with the same keys and values.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::{Side, compare, runtime, timed, uniform};
use bytes::Bytes;
use revalidate::{Cache, web_method};
use tokio::runtime::Handle;

const HOUR: Duration = Duration::from_secs(3600);
const KEYS: u64 = 10_000;

#[web_method(cache(ttl = "1h"))]
async fn number(id: u64) -> u64 {
    id
}

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn tagged_number(id: u64) -> u64 {
    id
}

#[web_method(cache(ttl = "1h"))]
async fn shared(id: u64) -> Arc<str> {
    id.to_string().into()
}

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn tagged_shared(id: u64) -> Arc<str> {
    id.to_string().into()
}

#[web_method(cache(tags = ["numbers", "all", "page", "number:{id}"], ttl = "1h"))]
async fn body(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_le_bytes())
}

type Moka<V> = moka::sync::Cache<u64, V>;

fn moka<V: Clone + Send + Sync + 'static>(life: Option<Duration>, value: fn(u64) -> V) -> Moka<V> {
    let cache = moka::sync::Cache::builder().max_capacity(10 * KEYS);
    let cache = match life {
        Some(life) => cache.time_to_live(life).build(),
        None => cache.build(),
    };
    for id in 0..KEYS {
        cache.insert(id, value(id));
    }
    cache.run_pending_tasks();
    cache
}

fn moka_side<'a, V: Clone + Send + Sync + 'static>(
    name: &str,
    cache: Moka<V>,
    keys: &'a [u64],
) -> Side<'a> {
    Side::new(name, move |times| {
        timed(|| {
            for n in 0..times as usize {
                black_box(cache.get(black_box(&keys[n % keys.len()])));
            }
        })
    })
}

/// A cached function is asynchronous: its hits are awaited in one task, as a handler awaits them.
macro_rules! own_side {
    ($name:literal, $function:ident, $keys:expr, $handle:expr) => {{
        let (keys, handle): (&[u64], &Handle) = ($keys, $handle);
        Side::new($name, move |times| {
            let mut took = Duration::ZERO;
            handle.block_on(async {
                let began = std::time::Instant::now();
                for n in 0..times as usize {
                    black_box($function(black_box(keys[n % keys.len()])).await);
                }
                took = began.elapsed();
            });
            took
        })
    }};
}

fn main() {
    let runtime = runtime();
    let handle = runtime.handle();
    Cache::builder()
        .max_bytes(256 << 20)
        .build()
        .install()
        .expect("the first cache");
    // One after the other, as moka's: what a side reads lies together.
    macro_rules! fill {
        ($($function:ident)+) => {
            runtime.block_on(async {
                $(for id in 0..KEYS {
                    $function(id).await;
                })+
            })
        };
    }
    fill!(number tagged_number shared tagged_shared body);
    let numbers = (moka(None, |id| id), moka(Some(HOUR), |id| id));
    let text: fn(u64) -> Arc<str> = |id| id.to_string().into();
    let shareds = (moka(None, text), moka(Some(HOUR), text));
    let bytes: fn(u64) -> Bytes = |id| Bytes::copy_from_slice(&id.to_le_bytes());
    let bodies = (moka(None, bytes), moka(Some(HOUR), bytes));
    for threads in [1, 2] {
        for (which, keys) in [
            ("one hot key", vec![7]),
            ("10,000 keys", uniform(1 << 14, KEYS)),
        ] {
            let keys = &keys;
            let sides = [
                moka_side("moka", numbers.0.clone(), keys),
                moka_side("moka, time_to_live", numbers.1.clone(), keys),
                own_side!("revalidate, no tags", number, keys, handle),
                own_side!("revalidate, 4 tags", tagged_number, keys, handle),
            ];
            compare(&runtime, threads, &sides)
                .print(&format!("`u64`, {which}, threads: {threads}"), &[0, 1]);
            let sides = [
                moka_side("moka", shareds.0.clone(), keys),
                moka_side("moka, time_to_live", shareds.1.clone(), keys),
                own_side!("revalidate, no tags", shared, keys, handle),
                own_side!("revalidate, 4 tags", tagged_shared, keys, handle),
            ];
            compare(&runtime, threads, &sides)
                .print(&format!("`Arc<str>`, {which}, threads: {threads}"), &[0, 1]);
            let sides = [
                moka_side("moka", bodies.0.clone(), keys),
                moka_side("moka, time_to_live", bodies.1.clone(), keys),
                own_side!("revalidate, 4 tags", body, keys, handle),
            ];
            compare(&runtime, threads, &sides)
                .print(&format!("`Bytes`, {which}, threads: {threads}"), &[0, 1]);
        }
    }
}
