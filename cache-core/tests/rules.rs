//! The rules of the engine, of a cache that is alone.

use cache_core::{Cache, CacheBuilder, Delivery};

#[path = "rules/mod.rs"]
mod rules;

/// How far an invalidation gets that is awaited.
const DELIVERY: Delivery = Delivery::ThisProcess;

/// A cache under test.
fn build(builder: CacheBuilder) -> Cache {
    builder.build()
}

/// What tests settle for beside their tasks: nothing here.
async fn pause() {}
