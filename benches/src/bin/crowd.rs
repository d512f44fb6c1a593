//! A thousand callers of a cold key at once, with and without a leader that leaves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use benches::runtime;
use revalidate::{Cache, web_method};

const CALLERS: u64 = 1_000;
static LOADS: AtomicU64 = AtomicU64::new(0);

#[web_method(cache(tags = ["slow"], ttl = "1h"))]
async fn slow(id: u64) -> u64 {
    LOADS.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    id * 2
}

fn main() {
    Cache::builder().build().install().expect("the first cache");
    println!(
        "\n### {CALLERS} callers of a cold key\n\n| what | loads | served | ms |\n|---|---:|---:|---:|"
    );
    runtime().block_on(async {
        for (id, name) in [(1, "all stay"), (2, "the leader leaves")] {
            LOADS.store(0, Ordering::Relaxed);
            let began = Instant::now();
            let leader = tokio::spawn(slow(id));
            while LOADS.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            let callers: Vec<_> = (1..CALLERS).map(|_| tokio::spawn(slow(id))).collect();
            let mut served = 0;
            if id == 2 {
                // Once the others wait for it.
                tokio::time::sleep(Duration::from_millis(10)).await;
                leader.abort();
            } else {
                served += u64::from(leader.await.is_ok_and(|value| value == 2 * id));
            }
            for caller in callers {
                served += u64::from(caller.await.is_ok_and(|value| value == 2 * id));
            }
            let loads = LOADS.load(Ordering::Relaxed);
            println!(
                "| {name} | {loads} | {served} | {} |",
                began.elapsed().as_millis()
            );
        }
    });
}
