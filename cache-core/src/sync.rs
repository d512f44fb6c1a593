//! The primitives that decide an interleaving, behind one name each, so that schedule explorers can
//! stand in for them: shuttle for the engine, loom for the hand-made atomics of the tag marks.

#[cfg(not(any(revalidate_shuttle, revalidate_loom)))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread_local;
}

#[cfg(revalidate_shuttle)]
mod imp {
    pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
    pub(crate) use shuttle::thread_local;
}

#[cfg(all(revalidate_loom, not(revalidate_shuttle)))]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
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

/// Starts `future` as a task of its own.
#[track_caller]
pub(crate) fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    Task {
        #[cfg(not(revalidate_shuttle))]
        handle: match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn(future),
            Err(_) => panic!(
                "a cached call that has to load was made outside of a tokio runtime: its load is a task of its own"
            ),
        },
        #[cfg(revalidate_shuttle)]
        handle: shuttle::future::spawn(future),
    }
}

impl<T> Task<T> {
    /// Waits for the task; a panic in it goes on here.
    pub(crate) async fn join(&mut self) -> T {
        #[cfg(not(revalidate_shuttle))]
        match (&mut self.handle).await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => panic!(
                    "the runtime that ran a cache load was shut down while its caller waited"
                ),
            },
        }
        #[cfg(revalidate_shuttle)]
        (&mut self.handle).await.expect("a load is never aborted")
    }
}
