//! The rules of the engine, of a cache that is a node on a real server: nothing is otherwise.
//! They are the same with every feature, and run once: without this one.
#![cfg(not(feature = "tls"))]

use std::cell::OnceCell;
use std::time::Duration;

use cache_core::{Cache, CacheBuilder, Delivery};
use cache_redis::Redis;

#[path = "../../cache-core/tests/rules/kept.rs"]
mod kept;
#[path = "../../cache-core/tests/rules/mod.rs"]
mod rules;
mod support;

const DELIVERY: Delivery = Delivery::Everywhere;

thread_local! {
    /// Each test has a thread, and so a server, for as long as it runs.
    static SERVER: OnceCell<support::Server> = const { OnceCell::new() };
}

fn build(builder: CacheBuilder) -> Cache {
    let url = SERVER.with(|server| server.get_or_init(support::Server::new).url());
    kept::node(builder.remote(Redis::new(url).unwrap()))
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
