//! A value's `Drop` is a stranger's code: it runs outside of the cache's locks, may use the cache, and
//! a panic in it is nobody else's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use cache_core::{Cache, CacheWeight};

use super::support::{build, cache, eventually, secs, settle, within_a_minute};

/// Room for a few of [`Acts`] only.
const SMALL: u64 = 4_000;

/// A value that does something when the cache drops it.
#[derive(Clone)]
struct Acts(#[expect(dead_code, reason = "it acts when dropped")] Arc<Act>);
impl CacheWeight for Acts {}

struct Act(Box<dyn Fn() + Send + Sync>);

impl Drop for Act {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn acts(act: impl Fn() + Send + Sync + 'static) -> Acts {
    Acts(Arc::new(Act(Box::new(act))))
}

/// Fails where `run` gets stuck, which a test of its own thread would do for ever.
fn in_time(run: impl FnOnce() + Send + 'static) {
    let (done, waits) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    let ended = waits.recv_timeout(Duration::from_secs(60));
    assert_ne!(ended, Err(mpsc::RecvTimeoutError::Timeout), "it is stuck");
    thread.join().unwrap();
}

/// A panic that nobody is told of.
fn quiet_panic() -> ! {
    std::panic::resume_unwind(Box::new("a value's own panic"))
}

/// Puts more values than there is room for.
fn overflow_with(cache: &Cache, value: impl Fn() -> Acts) {
    for n in 0..2_000_u64 {
        cache.put(n % 100, value(), "1h", ["t"]);
        drop(cache.stats());
    }
}

/// Puts values until some were given up for lack of room, and then dropped.
fn overflow(cache: &Cache, value: impl Fn() -> Acts, dropped: &AtomicU64) {
    overflow_with(cache, value);
    assert!(dropped.load(Ordering::SeqCst) > 100);
}

#[test]
fn rule_8_a_value_that_panics_when_dropped_disturbs_nobody() {
    in_time(|| {
        let cache = build(Cache::builder().max_bytes(SMALL));
        let armed = Arc::new(AtomicBool::new(true));
        let dropped = Arc::new(AtomicU64::new(0));
        let value = || {
            let (armed, dropped) = (Arc::clone(&armed), Arc::clone(&dropped));
            acts(move || {
                dropped.fetch_add(1, Ordering::SeqCst);
                if armed.load(Ordering::SeqCst) {
                    quiet_panic();
                }
            })
        };
        overflow(&cache, value, &dropped);
        drop(cache.remove_local("never put"));
        armed.store(false, Ordering::SeqCst);
        // It works as before, and still gives up what has no room.
        overflow(&cache, || acts(|| {}), &dropped);
        assert!(cache.stats().bytes <= SMALL);
        // Not at its own end either.
        for n in 0..10_u64 {
            cache.put(n, acts(|| quiet_panic()), "1h", ["t"]);
        }
        drop(cache);
    });
}

#[test]
fn rule_8_what_a_dropped_values_panic_carries_may_panic_too() {
    struct Carried;
    impl Drop for Carried {
        fn drop(&mut self) {
            quiet_panic();
        }
    }

    in_time(|| {
        let cache = build(Cache::builder().max_bytes(SMALL));
        let value = || acts(|| std::panic::resume_unwind(Box::new(Carried)));
        overflow_with(&cache, value);
        let dropped = Arc::new(AtomicU64::new(0));
        let value = || {
            let dropped = Arc::clone(&dropped);
            acts(move || {
                dropped.fetch_add(1, Ordering::SeqCst);
            })
        };
        overflow(&cache, value, &dropped);
    });
}

#[test]
fn a_value_given_up_for_lack_of_room_may_use_the_cache_when_dropped() {
    in_time(|| {
        let cache = build(Cache::builder().max_bytes(SMALL));
        let dropped = Arc::new(AtomicU64::new(0));
        let value = || {
            let (cache, dropped) = (cache.clone(), Arc::clone(&dropped));
            acts(move || {
                dropped.fetch_add(1, Ordering::SeqCst);
                // Every key, so that whatever is locked here is met.
                for n in 0..100_u64 {
                    drop(cache.remove_local(n));
                }
                cache.put("left", 7_u64, "1h", ["t"]);
            })
        };
        overflow(&cache, value, &dropped);
    });
}

#[tokio::test]
async fn a_swept_value_may_use_the_cache_when_dropped() {
    let (cache, clock) = cache();
    let dropped = Arc::new(AtomicU64::new(0));
    for n in 0..100_u64 {
        let (inside, dropped) = (cache.clone(), Arc::clone(&dropped));
        let value = acts(move || {
            drop(inside.remove_local(n));
            inside.put(n, n, "1h", ["new"]);
            dropped.fetch_add(1, Ordering::SeqCst);
        });
        cache.put(n, value, "1h", ["t"]);
    }
    cache.invalidate_cache("t").await.unwrap();
    within_a_minute(&clock, "all are dropped, by no call", || {
        dropped.load(Ordering::SeqCst) == 100
    })
    .await;
    assert_eq!(cache.get::<u64>(7_u64).await, Some(7));
}

/// Whoever has a value in hand when it is given up keeps it from being dropped, and nothing else.
#[tokio::test]
async fn rule_11_a_value_still_in_a_hand_is_dropped_after_it() {
    use cache_core::respond::{self, Found, ResponseKey};

    let (cache, clock) = cache();
    let dropped = Arc::new(AtomicU64::new(0));
    let value = {
        let dropped = Arc::clone(&dropped);
        acts(move || {
            dropped.fetch_add(1, Ordering::SeqCst);
        })
    };
    let key = ResponseKey::new(b"k");
    respond::put(&cache, &key, (value, 8), "1h".into(), &[], None);
    let (_, found) = respond::find::<Acts>(&cache, b"k");
    assert!(matches!(found, Found::Fresh(..)));
    drop(cache.clear_memory());
    for _ in 0..6 {
        settle().await;
        clock.advance(secs(10));
        settle().await;
    }
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(found);
    eventually("it is dropped, by no call", || {
        clock.advance(secs(10));
        dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}
