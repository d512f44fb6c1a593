//! A load apart from its caller, who may leave: a task, or one that its caller carries while it asks the
//! second level, where most of those end.
//!
//! A carried load becomes a task as soon as there is more to do, another waits for it, or its caller
//! leaves. So a caller that is there and does not poll holds nobody up. It is one of the runtime in which it began,
//! whoever has it become one: theirs may end before it does.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::flight::{Flight, HandOver};
use crate::sync::{Mutex, Ordering, Runtime, Task, fence, lock, spawn};

/// What its caller waits for.
pub(super) enum Apart<T: Send + 'static> {
    Task(Task<T>),
    Carried(Carried<T>),
}

/// Dropped, it lets the load go on as a task.
pub(super) struct Carried<T: Send + 'static> {
    flight: Arc<Flight>,
    load: Arc<Load<T>>,
}

struct Load<T> {
    /// Locked while it is polled, so who wants it only tries to lock it: what is polled may come back here, as a value
    /// that is decoded may ask the cache.
    state: Mutex<State<T>>,
    /// Where it began, if that was in one.
    runtime: Option<Runtime>,
}

enum State<T> {
    /// With its caller, who is woken when it goes.
    Here(Boxed<T>, Waker),
    Task(Task<T>),
    /// Its output was given away, or it panicked.
    Over,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> Apart<T> {
    pub(super) fn task(load: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Task(spawn(load))
    }

    /// That of a flight.
    pub(super) fn carried(
        flight: Arc<Flight>,
        load: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        let load = Arc::new(Load {
            state: Mutex::new(State::Here(Box::pin(load), Waker::noop().clone())),
            runtime: Runtime::current(),
        });
        let carried: Arc<dyn HandOver + Send + Sync> = Arc::clone(&load) as _;
        flight.carry(&carried);
        Self::Carried(Carried { flight, load })
    }

    /// Waits for its end; a panic in it goes on here.
    pub(super) async fn over(self) -> T {
        match self {
            Self::Task(task) => task.await,
            Self::Carried(carried) => poll_fn(|cx| carried.poll(cx)).await,
        }
    }
}

impl<T: Send + 'static> Carried<T> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<T> {
        loop {
            let mut state = lock(&self.load.state);
            match mem::replace(&mut *state, State::Over) {
                State::Here(mut load, mut caller) => {
                    if let Poll::Ready(output) = load.as_mut().poll(cx) {
                        return Poll::Ready(output);
                    }
                    caller.clone_from(cx.waker());
                    *state = State::Here(load, caller);
                }
                State::Task(mut task) => {
                    let output = Pin::new(&mut task).poll(cx);
                    if output.is_pending() {
                        *state = State::Task(task);
                    }
                    return output;
                }
                State::Over => panic!("a load was polled after its end"),
            }
            drop(state);
            // Whoever wanted it and found it locked is seen here.
            fence(Ordering::SeqCst);
            if !self.flight.is_wanted() {
                return Poll::Pending;
            }
            let spawn = |load| match &self.load.runtime {
                Some(runtime) => runtime.spawn(load),
                None => spawn(load),
            };
            lock(&self.load.state).hand_over(spawn);
        }
    }
}

impl<T: Send + 'static> State<T> {
    fn hand_over(&mut self, spawn: impl FnOnce(Boxed<T>) -> Task<T>) {
        match mem::replace(self, Self::Over) {
            Self::Here(load, caller) => {
                *self = Self::Task(spawn(load));
                caller.wake();
            }
            other => *self = other,
        }
    }
}

impl<T: Send + 'static> HandOver for Load<T> {
    fn hand_over(&self) {
        // Where it is locked it is being polled, and whoever does that looks afterwards.
        if let Some(runtime) = &self.runtime
            && let Ok(mut state) = self.state.try_lock()
        {
            state.hand_over(|load| runtime.spawn(load));
        }
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        let state = mem::replace(&mut *lock(&self.load.state), State::Over);
        if let State::Here(load, _) = state
            && let Some(runtime) = &self.load.runtime
        {
            drop(runtime.spawn(load));
        }
    }
}
