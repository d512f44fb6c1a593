//! The rules of the engine, of a cache that is a node: with a second level and a log nothing is otherwise.
//! They are the same with every feature, and run once: without this one.
#![cfg(not(feature = "tracing"))]

use std::sync::LazyLock;
use std::thread;

use cache_core::remote::Memory;
use cache_core::{Cache, CacheBuilder, Delivery};
use tokio::runtime::Runtime;

#[path = "rules/mod.rs"]
mod rules;

const DELIVERY: Delivery = Delivery::Everywhere;

/// What keeps the nodes, beside the runtimes of the tests.
static KEEPING: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

/// A node under test, connected, that goes by what it knows for longer than any test has its clock go on.
fn build(builder: CacheBuilder) -> Cache {
    let builder = builder.proof_bound("1000d").max_local_age("1000d");
    // Its tasks run where it is built: a test's own runtime would have to wait for itself.
    let build = || {
        KEEPING.block_on(async {
            let cache = builder.remote(Memory::new()).build();
            cache.connected().await;
            cache
        })
    };
    thread::scope(|scope| scope.spawn(build).join().unwrap())
}

async fn pause() {}
