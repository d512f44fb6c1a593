//! The hand-made atomics of the tag marks, in every interleaving and under the weak memory model,
//! with loom. Built with `RUSTFLAGS='--cfg revalidate_loom'` only.
//!
//! The whole engine runs, its marks, counter and locks replaced by loom's; the store's own
//! synchronisation is unseen by loom, so that nothing is ordered by it which the marks must order
//! themselves.
#![cfg(revalidate_loom)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cache_core::{Cache, Clock};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

fn cache() -> Cache {
    Cache::builder().clock(Clock::manual()).build()
}

/// A look never waits.
fn look(cache: &Cache) -> Option<u64> {
    match pin!(cache.get::<u64>(1)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a look waits for nothing"),
    }
}

/// A reader that saw the published number sees every mark up to it, and one that found an entry
/// clean remembers no later number than it had read before.
#[test]
fn a_dead_entry_is_never_blessed() {
    loom::model(|| {
        let cache = cache();
        let _ = cache.put(1, 10_u64, "1h", ["a"]);
        let _ = cache.put(2, 20_u64, "1h", ["b"]);
        let invalidates = {
            let cache = cache.clone();
            thread::spawn(move || {
                // The counter moves first for another tag: the entry must be examined.
                drop(cache.invalidate_cache("b"));
                drop(cache.invalidate_cache("a"));
                assert_eq!(look(&cache), None, "one's own invalidation is seen at once");
            })
        };
        let looks = {
            let cache = cache.clone();
            thread::spawn(move || {
                let first = look(&cache);
                let second = look(&cache);
                assert!(first.is_some() || second.is_none(), "it came back to life");
            })
        };
        invalidates.join().unwrap();
        looks.join().unwrap();
        assert_eq!(look(&cache), None, "a dead entry was blessed");
    });
}

/// Two readers race to remember what they saw, while a tag that the entry does not have and then one
/// that it has are invalidated.
#[test]
fn readers_who_remember_different_numbers() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cache = cache();
        let _ = cache.put(2, 20_u64, "1h", ["b"]);
        let _ = cache.put(1, 10_u64, "1h", ["a"]);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let cache = cache.clone();
                thread::spawn(move || {
                    look(&cache);
                })
            })
            .collect();
        drop(cache.invalidate_cache("b"));
        drop(cache.invalidate_cache("a"));
        readers
            .into_iter()
            .for_each(|reader| reader.join().unwrap());
        assert_eq!(look(&cache), None);
    });
}

/// Who learns of an invalidation by any way of its own sees it in its next read.
#[test]
fn an_invalidation_is_seen_by_who_is_told_of_it() {
    loom::model(|| {
        let cache = cache();
        let told = Arc::new(AtomicU64::new(0));
        let _ = cache.put(1, 10_u64, "1h", ["a", "b"]);
        let invalidates = {
            let (cache, told) = (cache.clone(), Arc::clone(&told));
            thread::spawn(move || {
                drop(cache.invalidate_cache(["a", "b"]));
                told.store(1, Ordering::Release);
            })
        };
        let was_told = told.load(Ordering::Acquire) == 1;
        let value = look(&cache);
        assert!(!was_told || value.is_none());
        invalidates.join().unwrap();
        assert_eq!(look(&cache), None);
    });
}

/// What was put while its tag was invalidated is judged by the marks, not by who came first.
#[test]
fn a_put_that_was_begun_before_is_not_seen_after() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let cache = cache();
        // The tag is unknown until the end.
        let pending = cache.begin(1);
        let invalidates = {
            let cache = cache.clone();
            thread::spawn(move || drop(cache.invalidate_cache("a")))
        };
        let stored = cache.put_from(pending, 10_u64, "1h", ["a"]);
        let before = look(&cache);
        assert!(stored.is_stored() || before.is_none());
        invalidates.join().unwrap();
        assert_eq!(look(&cache), None);
    });
}
