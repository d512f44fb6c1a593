//! Many nodes over a `redis-server` of this machine: what a remote costs a hit, the second level beside a plain
//! `GET`, invalidations beside a bare `PUBLISH`, and crowds on cold and on invalidated keys.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::server::Server;
use benches::{Side, compare, runtime};
use bytes::Bytes;
use revalidate::Cache;
use tokio::runtime::Runtime;

const TAGS: [&str; 4] = ["one", "two", "three", "four"];
/// As many as an entry has tags, with those of its scope and of everything.
const NAMES: [&str; 6] = [
    "token:1", "token:2", "token:3", "token:4", "token:5", "token:6",
];

async fn fetch(cache: &Cache, key: u64, value: Bytes) -> Bytes {
    let load = move || async move { Ok::<_, Infallible>(value) };
    let Ok(value) = cache.fetch(key, "1h", TAGS, load).await;
    value
}

/// A hit of this process, with a remote and without.
fn hits(runtime: &Runtime, server: &Server) {
    let _guard = runtime.enter();
    let with = runtime.block_on(server.node(Cache::builder()));
    let without = Cache::builder().max_bytes(1 << 30).build();
    let side = |name: &str, cache: Cache| {
        let _ = cache.put(7_u64, 7_u64, "1h", TAGS);
        let handle = runtime.handle();
        Side::new(name, move |times| {
            handle.block_on(async {
                let began = Instant::now();
                for _ in 0..times {
                    assert!(black_box(cache.get::<u64>(7_u64).await).is_some());
                }
                began.elapsed()
            })
        })
    };
    let sides = [
        side("without a remote", without),
        side("with a remote", with),
    ];
    compare(runtime, 1, &sides).print("A hit of this process, 4 tags", &[0]);
}

/// Operations in a second of so many tasks, each of which does one after the other; the median of some rounds.
async fn throughput<F: Future<Output = ()> + Send + 'static>(
    tasks: u64,
    operation: impl Fn(u64) -> F + Send + Sync + Clone + 'static,
) -> f64 {
    let over = Instant::now() + Duration::from_millis(400);
    let running = (0..tasks).map(|task| {
        let operation = operation.clone();
        tokio::spawn(async move {
            let mut done = 0_u64;
            while Instant::now() < over {
                operation(task).await;
                done += 1;
            }
            done
        })
    });
    let running: Vec<_> = running.collect();
    let began = Instant::now();
    let mut done = 0;
    for task in running {
        done += task.await.expect("it does not panic");
    }
    done as f64 / began.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A hit of the second level, beside a `GET` of as many bytes, and beside an `MGET` of that and of as many more keys
/// as it has tokens: what the driver and the server take for what is asked.
async fn second_level(server: &Server) {
    println!(
        "\n### A hit of the second level with 4 tags, beside a `GET` of the same bytes (1 KiB)\n"
    );
    println!(
        "| tasks | GET, a second | MGET of 7, a second | fetch, a second | fetch over GET | MGET over GET |\n|---:|---:|---:|---:|---:|---:|"
    );
    let value = Bytes::from(vec![7_u8; 1024]);
    // Each read of this node finds its own copy too old, and asks.
    let node = server.node(Cache::builder().max_local_age(0)).await;
    let client = redis::Client::open(server.url()).expect("it is an address");
    let connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("it connects");
    for tasks in [1, 64] {
        for key in 0..tasks {
            fetch(&node, key, value.clone()).await;
            let mut set = redis::cmd("SET");
            set.arg(format!("plain:{key}")).arg(&*value);
            let () = set
                .query_async(&mut connection.clone())
                .await
                .expect("it is set");
        }
        node.shutdown().await.expect("it is shared");
        // As long as tokens are.
        let mut set = redis::cmd("MSET");
        for name in NAMES {
            set.arg(name).arg("0123456789abcdef0123456789abcdef");
        }
        let () = set
            .query_async(&mut connection.clone())
            .await
            .expect("they are set");
        let (mut plain, mut seven, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..7 {
            let get = connection.clone();
            plain.push(
                throughput(tasks, move |key| {
                    let mut get = get.clone();
                    async move {
                        let mut command = redis::cmd("GET");
                        command.arg(format!("plain:{key}"));
                        let read: Vec<u8> =
                            command.query_async(&mut get).await.expect("it answers");
                        assert_eq!(read.len(), 1024);
                    }
                })
                .await,
            );
            let get = connection.clone();
            seven.push(
                throughput(tasks, move |key| {
                    let mut get = get.clone();
                    async move {
                        let mut command = redis::cmd("MGET");
                        command.arg(format!("plain:{key}")).arg(&NAMES);
                        let read: redis::Value =
                            command.query_async(&mut get).await.expect("it answers");
                        assert!(matches!(read, redis::Value::Array(found) if found.len() == 7));
                    }
                })
                .await,
            );
            let node = node.clone();
            ours.push(
                throughput(tasks, move |key| {
                    let node = node.clone();
                    async move {
                        let load = || async { Err::<Bytes, _>("it is in the second level") };
                        let read = node.fetch(key, "1h", TAGS, load).await;
                        assert_eq!(read.map(|read| read.len()), Ok(1024));
                    }
                })
                .await,
            );
        }
        let (plain, seven, ours) = (median(plain), median(seven), median(ours));
        println!(
            "| {tasks} | {plain:.0} | {seven:.0} | {ours:.0} | {:.2} | {:.2} |",
            ours / plain,
            seven / plain
        );
    }
}

fn shown(mut micros: Vec<u64>) -> String {
    micros.sort_unstable();
    let at = |part: usize| micros[(micros.len() - 1) * part / 100];
    format!("{} | {}", at(50), at(99))
}

/// From a call until the last of ten nodes has applied it, beside a `PUBLISH` until the last of ten has it.
async fn invalidations(server: &Server) {
    const NODES: usize = 10;
    println!(
        "\n### From the call to the last of ten nodes, in µs\n\n| what | median | 99 of 100 |\n|---|---:|---:|"
    );
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(server.node(Cache::builder()).await);
    }
    let mut ours = Vec::new();
    for round in 0..500_u64 {
        let learned = |node: &Cache| node.stats().remote.map_or(0, |remote| remote.learned);
        let before: Vec<_> = nodes.iter().map(learned).collect();
        let began = Instant::now();
        drop(nodes[0].invalidate_cache(format!("tag:{round}")));
        for (node, before) in nodes.iter().zip(before).skip(1) {
            while learned(node) == before {
                tokio::task::yield_now().await;
            }
        }
        ours.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    let client = redis::Client::open(server.url()).expect("it is an address");
    let heard = Arc::new(AtomicU64::new(0));
    for _ in 0..NODES - 1 {
        let (mut sink, mut stream) = client
            .get_async_pubsub()
            .await
            .expect("it connects")
            .split();
        sink.subscribe("channel").await.expect("it subscribes");
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            let _sink = sink;
            while futures_util::StreamExt::next(&mut stream).await.is_some() {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("it connects");
    let mut bare = Vec::new();
    for round in 1..=500_u64 {
        let began = Instant::now();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("channel").arg("a tag");
        let () = publish
            .query_async(&mut connection)
            .await
            .expect("it is published");
        while heard.load(Ordering::SeqCst) < round * (NODES as u64 - 1) {
            tokio::task::yield_now().await;
        }
        bare.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    println!(
        "| `PUBLISH` | {} |\n| `invalidate_cache` | {} |",
        shown(bare),
        shown(ours)
    );
}

/// An awaited invalidation, by the entries under the tag.
async fn flat(server: &Server) {
    println!(
        "\n### An acknowledged invalidation, by the entries under the tag, in µs\n\n| entries | median | 99 of 100 |\n|---:|---:|---:|"
    );
    for entries in [10_u64, 1_000, 100_000] {
        let node = server.node(Cache::builder()).await;
        for key in 0..entries {
            let load = || async { Ok::<_, Infallible>(Arc::<str>::from("a value")) };
            let Ok(_) = node.fetch(key, "1h", ["all"], load).await;
        }
        let mut took = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            let done = node.revalidate_tag("all").await;
            took.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            assert!(done.is_ok_and(|done| done.bookmark.is_some()));
        }
        println!("| {entries} | {} |", shown(took));
    }
}

/// A thousand callers on each of ten nodes on one cold key.
async fn crowd(server: &Server) {
    println!("\n### 1,000 callers on each of 10 nodes on a cold key\n\n| | loads |\n|---|---:|");
    for (name, lease) in [("without a lease", "0s"), ("with a lease of 2 s", "2s")] {
        let loads = Arc::new(AtomicU64::new(0));
        let mut callers = Vec::new();
        for _ in 0..10 {
            let node = server.node(Cache::builder().lease(lease)).await;
            for _ in 0..1000 {
                let (node, loads) = (node.clone(), Arc::clone(&loads));
                callers.push(async move {
                    let load = move || async move {
                        loads.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        Ok::<_, Infallible>(7_u64)
                    };
                    let Ok(value) = node.fetch(("cold", lease), "1h", ["cold"], load).await;
                    assert_eq!(value, 7);
                });
            }
        }
        let callers: Vec<_> = callers.into_iter().map(tokio::spawn).collect();
        for caller in callers {
            caller.await.expect("it is served");
        }
        println!("| {name} | {} |", loads.load(Ordering::SeqCst));
    }
}

/// A hundred thousand hot entries, invalidated at once while they are read.
async fn storm(server: &Server) {
    const ENTRIES: u64 = 100_000;
    const MOST: usize = 64;
    let node = server
        .node(Cache::builder().max_concurrent_loads(MOST))
        .await;
    let (running, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let read = {
        let (node, running, most) = (node.clone(), Arc::clone(&running), Arc::clone(&most));
        move |key: u64| {
            let (node, running, most) = (node.clone(), Arc::clone(&running), Arc::clone(&most));
            async move {
                let load = move || async move {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok::<_, Infallible>(key)
                };
                let Ok(value) = node.fetch(key, "1h", ["hot"], load).await;
                assert_eq!(value, key);
            }
        }
    };
    let all = async |read: &(
                          dyn Fn(u64) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Sync
                      )| {
        let tasks: Vec<_> = (0..256_u64)
            .map(|task| {
                let reads: Vec<_> = (task..ENTRIES).step_by(256).map(read).collect();
                tokio::spawn(async move {
                    for read in reads {
                        read.await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no read fails");
        }
    };
    let boxed =
        move |key: u64| Box::pin(read(key)) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    all(&boxed).await;
    let loads = node.stats().loads;
    let began = Instant::now();
    let done = node.invalidate_cache("hot").await;
    all(&boxed).await;
    println!(
        "\n### 100,000 hot entries invalidated while 256 tasks read them\n\nloads: {}; at once, at most: {} of {MOST} allowed; errors: 0 ({}); all anew after {:.1} s",
        node.stats().loads - loads,
        most.load(Ordering::SeqCst),
        if done.is_ok() {
            "the invalidation was acknowledged"
        } else {
            "the invalidation failed"
        },
        began.elapsed().as_secs_f64(),
    );
}

fn main() {
    let runtime = runtime();
    let server = Server::start(&[]);
    hits(&runtime, &server);
    let both = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let both = both.expect("a runtime starts");
    both.block_on(async {
        second_level(&server).await;
        invalidations(&server).await;
        flat(&server).await;
        crowd(&server).await;
        storm(&server).await;
    });
}
