//! Marks, the counter, tags that nobody holds, the floor, the sweep.

use std::sync::Arc;

use cache_core::{InvalidateError, Invalidation, Reason};
use shuttle::future::spawn;

use crate::world::{World, plain, reader, scenarios, task, together, with_window};

scenarios! {
    /// Hits race with invalidations: no reader blesses an entry whose mark it did not see.
    hits_and_invalidations => async {
        let world = World::new(2);
        world.read(0, plain(), false).await;
        together([
            reader(&world, 0, 2, plain(), false),
            reader(&world, 0, 2, plain(), false),
            task(&world, |world| world.write_and_invalidate(0)),
            task(&world, |world| world.write_and_invalidate(1)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// A hit that examined the marks while another tag was being invalidated remembers no more than
    /// it saw.
    hits_remember_what_they_saw => async {
        let world = World::new(2);
        world.read(0, plain(), false).await;
        world.write_and_invalidate(1);
        let looks = |world: &Arc<World>| {
            let world = Arc::clone(world);
            spawn(async move {
                for _ in 0..3 {
                    world.look(0).await;
                }
            })
        };
        together([
            looks(&world),
            looks(&world),
            task(&world, |world| {
                world.write_and_invalidate(1);
                world.write_and_invalidate(0);
            }),
        ]).await;
        world.at_rest([0]).await;
    };

    /// A tag that no entry has yet is invalidated while the load runs that turns out to carry it.
    tags_known_only_at_the_end => async {
        let world = World::new(1);
        together([
            reader(&world, 0, 2, plain(), true),
            reader(&world, 0, 1, plain(), true),
            task(&world, |world| world.write_and_invalidate(0)),
            task(&world, |world| world.write_and_revalidate(0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// The same, while younger loads end that do not need the mark.
    marks_are_kept_for_the_oldest_load => async {
        let world = World::new(2);
        let writer = {
            let world = Arc::clone(&world);
            spawn(async move {
                world.write_and_invalidate(0);
                world.read(1, plain(), true).await;
            })
        };
        together([reader(&world, 0, 2, plain(), true), writer]).await;
        world.at_rest([0, 1]).await;
    };

    /// So many such tags that their marks are dropped, and the floor rises.
    more_tags_than_are_kept => async {
        let world = World::new(1);
        together([
            reader(&world, 0, 2, plain(), true),
            reader(&world, 0, 1, plain(), true),
            task(&world, |world| {
                world.write_and_invalidate(0);
                for other in 0..6 {
                    drop(world.cache.invalidate_cache(format!("other:{other}")));
                }
            }),
        ]).await;
        world.at_rest([0]).await;
    };

    /// Sweeping frees records and entries while they are read, marked and replaced.
    sweeping => async {
        let world = World::new(2);
        world.read(0, plain(), true).await;
        together([
            reader(&world, 0, 2, plain(), true),
            reader(&world, 1, 1, plain(), true),
            task(&world, |world| {
                world.write_and_invalidate(0);
                world.write_and_invalidate(1);
            }),
            task(&world, |world| {
                cache_core::explore::sweep(&world.cache);
                cache_core::explore::sweep(&world.cache);
            }),
        ]).await;
        world.at_rest([0, 1]).await;
        // What was stored is there still, and only records that something holds are.
        cache_core::explore::sweep(&world.cache);
        assert_eq!(world.look(0).await, Some(world.version(0)));
        assert_eq!(world.cache.stats().tags, 3);
    };

    /// A sweep in which the entry it judged dead is replaced removes no successor.
    sweeping_spares_successors => async {
        let world = World::new(1);
        world.read(0, plain(), false).await;
        world.write_and_invalidate(0);
        let stored = {
            let world = Arc::clone(&world);
            spawn(async move {
                world.read(0, plain(), false).await;
                // Nothing is invalidated any more: what was stored stays.
                assert_eq!(world.look(0).await, Some(1), "a successor was swept");
            })
        };
        together([
            stored,
            task(&world, |world| cache_core::explore::sweep(&world.cache)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// Soft invalidations: with a stale window older values are given as stale only, and a refresh
    /// brings the new one.
    soft_with_a_window => async {
        let world = World::new(1);
        world.read(0, with_window(), false).await;
        together([
            reader(&world, 0, 2, with_window(), false),
            reader(&world, 0, 1, with_window(), true),
            task(&world, |world| world.write_and_revalidate(0)),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// Several tags are one step for readers that begin after the call.
    several_tags_are_one_step => async {
        let world = World::new(2);
        world.read(0, plain(), false).await;
        world.read(1, plain(), true).await;
        together([
            reader(&world, 0, 1, plain(), false),
            reader(&world, 1, 2, plain(), true),
            task(&world, |world| {
                let versions = [world.write(0), world.write(1)];
                drop(world.cache.invalidate_cache([World::tag(0), World::tag(1)]));
                world.hardened(0, versions[0]);
                world.hardened(1, versions[1]);
            }),
        ]).await;
        world.at_rest([0, 1]).await;
    };

    /// Everything is cleared while it is loaded.
    clearing => async {
        let world = World::new(1);
        together([
            reader(&world, 0, 2, plain(), false),
            task(&world, |world| {
                let version = world.write(0);
                drop(world.cache.clear());
                world.hardened(0, version);
            }),
            task(&world, |world| {
                let version = world.write(0);
                drop(world.cache.clear_memory());
                world.hardened(0, version);
            }),
        ]).await;
        world.at_rest([0]).await;
    };

    /// The call applies; awaiting it only tells.
    applied_when_called => async {
        let world = World::new(1);
        world.read(0, plain(), false).await;
        let version = world.write(0);
        let invalidating = world.cache.invalidate_cache(World::tag(0));
        world.hardened(0, version);
        let (_, reason) = world.read(0, plain(), false).await;
        assert_eq!(reason, Reason::Tag);
        let told: Result<Invalidation, InvalidateError> = invalidating.await;
        assert!(told.is_ok());
        world.at_rest([0]).await;
    };
}
