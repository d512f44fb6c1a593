//! The rules of the engine, of a cache that is a node on a real server: nothing is otherwise.
//! They are the same with every feature, and run once: without this one.
#![cfg(not(feature = "tls"))]

use std::cell::OnceCell;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use cache_core::{Cache, CacheBuilder, Delivery};
use cache_redis::Redis;
use tokio::runtime::Runtime;

#[path = "../../cache-core/tests/rules/mod.rs"]
mod rules;
mod support;

const DELIVERY: Delivery = Delivery::Everywhere;

/// What keeps the nodes, beside the runtimes of the tests.
static KEEPING: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

thread_local! {
    /// Each test has a thread, and so a server, for as long as it runs.
    static SERVER: OnceCell<support::Server> = const { OnceCell::new() };
}

/// A node under test, connected, that goes by what it knows for longer than any test has its clock go on.
fn build(builder: CacheBuilder) -> Cache {
    let url = SERVER.with(|server| server.get_or_init(support::Server::new).url());
    let builder = builder.proof_bound("1000d").max_local_age("1000d");
    // Nor is an answer late that is on its way while the clock is moved on.
    let builder = builder.remote_timeout("1000d").delivery_limit("1000d");
    let builder = builder.remote(Redis::new(url).unwrap());
    // Its tasks run where it is built: a test's own runtime would have to wait for itself.
    let build = || {
        KEEPING.block_on(async {
            let cache = builder.build();
            cache.connected().await;
            cache
        })
    };
    thread::scope(|scope| scope.spawn(build).join().unwrap())
}

/// Until the server has had nothing to do for a while.
async fn pause() {
    let commands = || SERVER.with(|server| server.get().map(commands));
    let mut before = commands();
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = commands();
        // The question is one.
        if now == before.map(|before| before + 1) {
            return;
        }
        before = now;
    }
}

/// How many the server has carried out.
fn commands(server: &support::Server) -> u64 {
    let stats = server.command(&["INFO", "stats"]);
    let mut lines = stats.lines();
    let count = lines.find_map(|line| line.strip_prefix("total_commands_processed:"));
    count.unwrap().parse().unwrap()
}
