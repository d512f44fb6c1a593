//! Keys: removing and putting detach what runs, and storing checks and inserts in one step.

use std::sync::Arc;

use shuttle::future::{spawn, yield_now};

use crate::world::{World, plain, reader, scenarios, task, together, with_window};

fn write_and_remove(world: &World, row: usize) {
    let version = world.write(row);
    drop(world.cache.remove(row));
    world.hardened(row, version);
}

scenarios! {
    /// A removal wins over the loads that run.
    removals => async {
        let world = World::new(1);
        together([
            reader(&world, 0, 2, plain(), false),
            reader(&world, 0, 1, plain(), false),
            task(&world, |world| write_and_remove(world, 0)),
            task(&world, |world| write_and_remove(world, 0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// Of a stale value, whose refresh runs.
    removals_during_refreshes => async {
        let world = World::new(1);
        world.read(0, with_window(), false).await;
        world.write_and_revalidate(0);
        together([
            reader(&world, 0, 2, with_window(), false),
            task(&world, |world| write_and_remove(world, 0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// What was put stays: loads that ran then do not replace it.
    puts => async {
        let world = World::new(1);
        let put = {
            let world = Arc::clone(&world);
            spawn(async move {
                let version = world.write(0);
                let stored = world.cache.put(0_usize, version, plain(), [World::tag(0)]);
                world.hardened(0, version);
                assert!(stored.is_stored());
                yield_now().await;
                assert_eq!(world.look(0).await, Some(version));
            })
        };
        together([
            reader(&world, 0, 2, plain(), false),
            reader(&world, 0, 1, plain(), false),
            put,
        ]).await;
        world.at_rest([0]).await;
    };

    /// A put races with the invalidation of its tag.
    puts_lose_to_invalidations => async {
        let world = World::new(1);
        let put = {
            let world = Arc::clone(&world);
            spawn(async move {
                let pending = world.cache.begin(0_usize);
                let version = world.version(0);
                yield_now().await;
                let _ = world.cache.put_from(pending, version, plain(), [World::tag(0)]);
                world.look(0).await;
            })
        };
        together([
            put,
            task(&world, |world| world.write_and_invalidate(0)),
            reader(&world, 0, 1, plain(), false),
        ]).await;
        world.at_rest([0]).await;
    };

    /// A store that was begun races with a removal of its key.
    pending_stores_lose_to_removals => async {
        let world = World::new(1);
        let begun = {
            let world = Arc::clone(&world);
            spawn(async move {
                let pending = world.cache.begin(0_usize);
                let version = world.version(0);
                yield_now().await;
                let _ = world.cache.put_from(pending, version, plain(), ["begun"]);
                world.look(0).await;
            })
        };
        together([
            begun,
            task(&world, |world| write_and_remove(world, 0)),
            reader(&world, 0, 1, plain(), true),
        ]).await;
        world.look(0).await;
        assert_eq!(world.cache.stats().running, 0);
    };

    /// A store that was begun races with a put: what was put stays.
    pending_stores_lose_to_puts => async {
        let world = World::new(1);
        let begun = {
            let world = Arc::clone(&world);
            spawn(async move {
                let pending = world.cache.begin(0_usize);
                let version = world.version(0);
                yield_now().await;
                let _ = world.cache.put_from(pending, version, plain(), ["begun"]);
            })
        };
        let put = task(&world, |world| {
            let version = world.write(0);
            let _ = world.cache.put(0_usize, version, plain(), ["put"]);
            world.hardened(0, version);
        });
        together([begun, put]).await;
        world.look(0).await;
        assert_eq!(world.cache.stats().running, 0);
    };
}
