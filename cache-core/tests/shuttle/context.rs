//! What flows outward, and that the context is in force while a future is polled and at no other time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use cache_core::{Cache, Clock, FutureExt, Reason, cache_tag, observe};
use shuttle::future::{spawn, yield_now};
use shuttle::rand::Rng;

use crate::world::{World, plain, reader, scenarios, task, together, with_window};

/// Polls many futures in one task, in an order the explorer decides, as a runtime's thread does.
async fn juggle(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    std::future::poll_fn(move |cx| {
        let mut random = shuttle::rand::thread_rng();
        for i in 1..futures.len() {
            futures.swap(i, random.gen_range(0..=i));
        }
        futures.retain_mut(|future| {
            let pending = future.as_mut().poll(cx).is_pending();
            assert!(Cache::current().is_none(), "a context outlived its poll");
            pending
        });
        if futures.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// An outer value made of both rows; checked as a read of both.
async fn read_outer(world: &Arc<World>) {
    let floors = [world.floor(0), world.floor(1)];
    let inner = Arc::clone(world);
    let load = move || async move {
        let first = inner.read(0, plain(), true).await.0;
        yield_now().await;
        let second = inner.read(1, plain(), false).await.0;
        Ok::<_, ()>(vec![first, second])
    };
    let tags = Vec::<String>::new();
    let values = world.cache.fetch("outer", plain(), tags, load).await;
    for (floor, value) in floors.into_iter().zip(values.unwrap()) {
        floor.check(value, Reason::Tag);
    }
}

fn outer_reader(world: &Arc<World>, times: usize) -> shuttle::future::JoinHandle<()> {
    let world = Arc::clone(world);
    spawn(async move {
        for _ in 0..times {
            read_outer(&world).await;
        }
    })
}

scenarios! {
    /// Tags of inner values, hit, loaded or joined, drop the outer one.
    tags_flow_outward => async {
        let world = World::new(2);
        together([
            outer_reader(&world, 2),
            outer_reader(&world, 1),
            reader(&world, 0, 1, plain(), true),
            task(&world, |world| world.write_and_invalidate(0)),
            task(&world, |world| world.write_and_invalidate(1)),
        ]).await;
        read_outer(&world).await;
        world.at_rest([0, 1]).await;
    };

    /// Stale inner values are awaited inside a load, never built into an outer one.
    stale_inner_values_are_awaited => async {
        let world = World::new(1);
        world.read(0, with_window(), true).await;
        let outer = || {
            let world = Arc::clone(&world);
            spawn(async move {
                let floor = world.floor(0);
                let inner = Arc::clone(&world);
                let load = move || async move {
                    let (value, reason) = inner.read(0, with_window(), true).await;
                    assert_ne!(reason, Reason::Stale, "a stale value was served inside a load");
                    Ok::<_, ()>(value)
                };
                let fetch = world.cache.fetch("outer", with_window(), ["outer"], load);
                let (value, reads) = observe(fetch).await;
                floor.check(value.unwrap(), reads[reads.len() - 1].reason);
            })
        };
        together([
            outer(),
            outer(),
            task(&world, |world| world.write_and_revalidate(0)),
        ]).await;
        world.at_rest([0]).await;
    };

    /// Tasks that a load spawns add their tags to it, and to no other.
    spawned_tasks_in_the_current_load => async {
        let world = World::new(1);
        let load = |name: &'static str| {
            let world = Arc::clone(&world);
            spawn(async move {
                let load = move || async move {
                    let task = async move {
                        yield_now().await;
                        cache_tag(name);
                    };
                    let task = spawn(task.in_current_load());
                    yield_now().await;
                    task.await.unwrap();
                    Ok::<_, ()>(1_u64)
                };
                let tags = Vec::<String>::new();
                world.cache.fetch(name, plain(), tags, load).await.unwrap();
                assert_eq!(world.cache.explain(name).tags, [name, "everything"].map(str::to_owned).into_iter().rev().collect::<Vec<_>>());
            })
        };
        together([load("a"), load("b")]).await;
        assert_eq!(world.cache.stats().late_tags, 0);
    };

    /// One thread polls many futures: none sees the cache, the load or the observer of another.
    contexts_do_not_mix => async {
        let caches: Vec<_> = ["one", "two", "three"]
            .map(|name| Cache::builder().clock(Clock::manual()).namespace(name).build())
            .into();
        let mut futures = Vec::<Pin<Box<dyn Future<Output = ()> + Send>>>::new();
        for cache in &caches {
            let name = cache.namespace().to_owned();
            let run = async move {
                let inner = name.clone();
                let fetch = cache_core::fetch("key", plain(), [name.clone()], move || async move {
                    assert_eq!(Cache::current().unwrap().namespace(), inner);
                    cache_core::fetch("inner", plain(), [format!("{inner}:inner")], || async {
                        yield_now().await;
                        Ok::<_, ()>(1_u64)
                    }).await
                });
                let ((), reads) = observe(async {
                    yield_now().await;
                    assert_eq!(Cache::current().unwrap().namespace(), name);
                    fetch.await.unwrap();
                    yield_now().await;
                    assert_eq!(Cache::current().unwrap().namespace(), name);
                }).await;
                assert_eq!(reads.len(), 2, "{reads:?}");
                let mut tags = Cache::current().unwrap().explain("key").tags;
                tags.sort();
                assert_eq!(tags, ["everything".to_owned(), name.clone(), format!("{name}:inner")]);
            };
            futures.push(Box::pin(cache.enter(run)));
        }
        juggle(futures).await;
    };
}
