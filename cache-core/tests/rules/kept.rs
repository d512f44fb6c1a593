//! Nodes under test, kept beside the runtimes of the tests.

use std::sync::LazyLock;
use std::thread;

use cache_core::{Cache, CacheBuilder};
use tokio::runtime::Runtime;

static KEEPING: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

/// A node, connected, that goes by what it knows for longer than any test has its clock go on; nor is an answer late
/// that is on its way meanwhile.
pub(crate) fn node(builder: CacheBuilder) -> Cache {
    let builder = builder.proof_bound("1000d").max_local_age("1000d");
    let builder = builder.remote_timeout("1000d").delivery_limit("1000d");
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
