//! Single flight: joiners, failures, callers who leave, loads inside loads, permits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cache_core::spi::{CallKey, CallOptions, Fetched, Finished, Function, Looked, lookup};
use cache_core::{CacheKey, Reason};
use shuttle::future::{spawn, yield_now};

use crate::world::{World, plain, reader, scenarios, task, together, with_window};

/// Polls a future so many times, then drops it.
async fn leave_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        let poll = future.as_mut().poll(cx).map(Some);
        if poll.is_pending() && left == 0 {
            // The last poll: come back once to drop it.
            cx.waker().wake_by_ref();
        }
        poll
    })
    .await
}

/// A load in the foreground of its caller.
async fn read_here(world: Arc<World>) -> u64 {
    static FUNCTION: Function = Function::new("foreground", "");
    let floor = world.floor(0);
    let mut key = CallKey::new(&FUNCTION);
    0_usize.encode(&mut key.writer());
    let call = match lookup::<u64>(&key) {
        Looked::Hit(value) => {
            floor.check(value, Reason::Hit);
            return value;
        }
        Looked::Call(call) => call,
    };
    let options = CallOptions {
        life: Some(plain()),
        profile: None,
        timeout: None,
        tags: Ok(Vec::new()),
        by_caller: false,
        keyed_on_caller: false,
        sharing: cache_core::spi::Sharing::Local,
        weigh: |_| 8,
    };
    let body = async {
        let value = Arc::clone(&world).load(0, true).await;
        Finished::<u64, ()>::Store(value.expect("it never fails"))
    };
    match call.load_here(options, || body).await {
        Fetched::Value(value) => {
            floor.check(value, Reason::Tag);
            value
        }
        other => panic!("{other:?}"),
    }
}

/// Two loads that each need the other's value.
fn circle(
    world: Arc<World>,
    key: usize,
    depth: usize,
) -> Pin<Box<dyn Future<Output = Result<u64, ()>> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return Ok(0);
        }
        let inner = Arc::clone(&world);
        let load = move || async move {
            yield_now().await;
            circle(inner, 1 - key, depth - 1).await
        };
        let tags = [format!("circle:{key}")];
        world.cache.fetch(key, plain(), tags, load).await
    })
}

scenarios! {
    /// Callers who find nothing: one load, whoever comes when, where nothing is invalidated.
    one_load_for_all => async {
        let world = World::new(1);
        together([
            reader(&world, 0, 1, plain(), true),
            reader(&world, 0, 1, plain(), true),
            reader(&world, 0, 2, plain(), true),
        ]).await;
        assert_eq!(world.loads(0), (1, 1));
        world.at_rest([0]).await;
        assert_eq!(world.loads(0), (1, 1));
    };

    /// Joiners and invalidations of tags that are known beforehand.
    joiners => async {
        let world = World::new(1);
        together([
            reader(&world, 0, 1, plain(), false),
            reader(&world, 0, 1, plain(), false),
            reader(&world, 0, 1, plain(), false),
            task(&world, |world| world.write_and_invalidate(0)),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        assert!(world.loads(0).0 <= 3, "a load for each invalidation and one more");
        world.at_rest([0]).await;
    };

    /// Joiners, where an older mark of another tag hides behind a newer one.
    joiners_of_two_tags => async {
        let world = World::new(2);
        let read = |world: &Arc<World>| {
            let world = Arc::clone(world);
            spawn(async move {
                let floors = [world.floor(0), world.floor(1)];
                let inner = Arc::clone(&world);
                let load = move || async move {
                    let values = [
                        Arc::clone(&inner).load(0, true).await?,
                        Arc::clone(&inner).load(1, true).await?,
                    ];
                    Ok::<_, ()>(values.to_vec())
                };
                let tags = Vec::<String>::new();
                let values = world.cache.fetch("both", plain(), tags, load).await.unwrap();
                for (floor, value) in floors.into_iter().zip(values) {
                    floor.check(value, Reason::Tag);
                }
            })
        };
        together([
            read(&world),
            read(&world),
            read(&world),
            task(&world, |world| {
                world.write_and_invalidate(0);
                world.write_and_invalidate(1);
                world.write_and_invalidate(0);
            }),
        ]).await;
    };

    /// A refresh runs while its value is invalidated hard.
    refreshes_lose_too => async {
        let world = World::new(1);
        world.read(0, with_window(), true).await;
        world.write_and_revalidate(0);
        together([
            reader(&world, 0, 2, with_window(), true),
            reader(&world, 0, 1, with_window(), true),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// A load begun before one that is stored already does not replace its value.
    older_loads_do_not_replace_newer_ones => async {
        let world = World::new(1);
        let watch = {
            let world = Arc::clone(&world);
            spawn(async move {
                let mut best = 0;
                for _ in 0..3 {
                    let (value, reason) = world.read(0, with_window(), false).await;
                    assert!(value >= best, "after a fresh {best} came {value}, {reason}");
                    if reason == Reason::Hit {
                        best = best.max(value);
                    }
                }
            })
        };
        together([
            reader(&world, 0, 1, with_window(), false),
            task(&world, |world| world.write_and_revalidate(0)),
            reader(&world, 0, 1, with_window(), false),
            watch,
        ]).await;
    };

    /// Failures are nobody else's: who waited loads for itself, and is not stored.
    failures_are_not_shared => async {
        let world = World::new(1);
        let failed = Arc::new(AtomicUsize::new(0));
        let read = |fails: bool| {
            let (world, failed) = (Arc::clone(&world), Arc::clone(&failed));
            spawn(async move {
                let floor = world.floor(0);
                let inner = Arc::clone(&world);
                let load = move || async move {
                    let value = inner.load(0, true).await?;
                    if fails { Err(()) } else { Ok(value) }
                };
                let tags = Vec::<String>::new();
                match world.cache.fetch(0_usize, plain(), tags, load).await {
                    Ok(value) => floor.check(value, Reason::Tag),
                    Err(()) => {
                        assert!(fails, "another's failure was shared");
                        failed.fetch_add(1, SeqCst);
                    }
                }
            })
        };
        together([
            read(true),
            read(false),
            read(false),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        let (value, _) = world.read(0, plain(), true).await;
        assert_eq!(value, world.version(0));
        assert_eq!(world.cache.stats().running, 0);
    };

    /// A failed load whose key has a stale value, invalidated hard meanwhile.
    the_dead_are_not_served_on_error => async {
        let world = World::new(1);
        let life = plain().stale_if_error("1h");
        world.read(0, life, true).await;
        world.write_and_revalidate(0);
        let read = |world: &Arc<World>| {
            let world = Arc::clone(world);
            spawn(async move {
                let floor = world.floor(0);
                let load = || async {
                    yield_now().await;
                    Err::<u64, ()>(())
                };
                let tags = Vec::<String>::new();
                if let Ok(value) = world.cache.fetch(0_usize, life, tags, load).await {
                    floor.check(value, Reason::Stale);
                }
            })
        };
        together([
            read(&world),
            read(&world),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// The caller who leads leaves: the load goes on, once.
    leaders_who_leave => async {
        let world = World::new(1);
        let leaver = {
            let world = Arc::clone(&world);
            spawn(async move {
                leave_after(1, world.read(0, plain(), true)).await;
            })
        };
        together([leaver, reader(&world, 0, 1, plain(), true)]).await;
        assert_eq!(world.loads(0), (1, 1));
        world.at_rest([0]).await;
    };

    /// A load in the foreground ends with its caller: who waits is released and loads alone.
    foreground_loads_that_are_dropped => async {
        let world = World::new(1);
        let run = |polls: usize| {
            let world = Arc::clone(&world);
            spawn(async move {
                let cache = world.cache.clone();
                leave_after(polls, cache.enter(read_here(world))).await;
            })
        };
        together([
            run(1),
            run(2),
            run(usize::MAX),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        let last = world.cache.enter(read_here(Arc::clone(&world))).await;
        assert_eq!(last, world.version(0));
        assert_eq!(world.cache.stats().running, 0);
    };

    /// Loads that need each other's values: nobody waits for ever, though the clock stands still.
    circles => async {
        let world = World::new(1);
        let run = |key: usize| {
            let world = Arc::clone(&world);
            spawn(async move {
                assert_eq!(circle(world, key, 3).await, Ok(0));
            })
        };
        together([run(0), run(1), run(0)]).await;
        assert_eq!(world.cache.stats().running, 0);
    };

    /// One permit, and loads inside loads: they run under the outer's.
    loads_inside_loads_need_no_permit => async {
        let world = World::with(3, 1);
        let nested = |outer: &'static str, row: usize| {
            let world = Arc::clone(&world);
            spawn(async move {
                let inner = Arc::clone(&world);
                let load = move || async move {
                    Ok::<_, ()>(inner.read(row, plain(), true).await.0)
                };
                world.cache.fetch(outer, plain(), ["outer"], load).await.unwrap();
            })
        };
        together([
            nested("a", 0),
            nested("b", 0),
            reader(&world, 0, 1, plain(), true),
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// A lone load is not stored, whatever it runs beside.
    lone_loads_are_not_stored => async {
        let world = World::new(1);
        let lone = {
            let world = Arc::clone(&world);
            spawn(async move {
                let inner = Arc::clone(&world);
                let too_long = "x".repeat(300);
                let load = move || inner.load(0, true);
                world.cache.fetch(0_usize, plain(), [too_long], load).await.unwrap();
            })
        };
        together([
            lone,
            task(&world, |world| world.write_and_invalidate(0)),
        ]).await;
        assert_eq!(world.look(0).await, None);
    };
}
