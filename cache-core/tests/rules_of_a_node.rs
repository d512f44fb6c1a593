//! The rules of the engine, of a cache that is a node: with a second level and a log nothing is otherwise.
//! They are the same with every feature, and run once: without this one.
#![cfg(not(feature = "tracing"))]

use cache_core::remote::Memory;
use cache_core::{Cache, CacheBuilder, Delivery};

#[path = "rules/kept.rs"]
mod kept;
#[path = "rules/mod.rs"]
mod rules;

const DELIVERY: Delivery = Delivery::Everywhere;

fn build(builder: CacheBuilder) -> Cache {
    kept::node(builder.remote(Memory::new()))
}

async fn pause() {}
