//! The primitives that decide an interleaving, behind one name each, so that schedule explorers can
//! stand in for them: shuttle for the engine, loom for the hand-made atomics of the tag marks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread_local;
}

#[cfg(revalidate_shuttle)]
mod imp {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
    pub(crate) use shuttle::thread_local;
}

#[cfg(all(revalidate_loom, not(revalidate_shuttle)))]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread_local;
}

pub(crate) use imp::*;

/// Whether this is built for a schedule explorer: tables are small then, and bounds soon reached.
pub(crate) const EXPLORED: bool = cfg!(any(revalidate_shuttle, revalidate_loom));

/// Locks, whatever a panic elsewhere left behind: every critical section here leaves its data whole
/// at each step, so a poisoned lock protects nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A spawned task that can be joined; dropping it detaches the task.
#[derive(Debug)]
pub(crate) struct Task<T> {
    #[cfg(not(revalidate_shuttle))]
    handle: tokio::task::JoinHandle<T>,
    #[cfg(revalidate_shuttle)]
    handle: shuttle::future::JoinHandle<T>,
}

/// Where tasks are started; it may be held past its end, and starts none then.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    #[cfg(not(revalidate_shuttle))]
    handle: tokio::runtime::Handle,
}

impl Runtime {
    /// The one in which this is polled.
    pub(crate) fn current() -> Option<Self> {
        Some(Self {
            #[cfg(not(revalidate_shuttle))]
            handle: tokio::runtime::Handle::try_current().ok()?,
        })
    }

    pub(crate) fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Task {
            #[cfg(not(revalidate_shuttle))]
            handle: self.handle.spawn(future),
            #[cfg(revalidate_shuttle)]
            handle: shuttle::future::spawn(future),
        }
    }
}

/// Starts `future` as a task of its own.
#[track_caller]
pub(crate) fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match Runtime::current() {
        Some(runtime) => runtime.spawn(future),
        None => panic!(
            "a cached call that has to load was made outside of a tokio runtime: its load is a task of its own"
        ),
    }
}

/// Waits for it; a panic in it goes on here.
impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let joined = ready!(Pin::new(&mut self.handle).poll(cx));
        #[cfg(not(revalidate_shuttle))]
        let output = match joined {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => panic!(
                    "the runtime that ran a cache load was shut down while its caller waited"
                ),
            },
        };
        #[cfg(revalidate_shuttle)]
        let output = joined.expect("a load is never aborted");
        Poll::Ready(output)
    }
}
