//! What a load needs to know of its function, and how the expansion waits for it.
//!
//! A [`Plan`] is made of functions of the stored and of the returned type, not of a kind of return type:
//! the future of whoever waits is proven `Send` with the lifetimes in its types erased, and of a type
//! such as `<PlainShape<&str> as Shape>::Stored` nothing can be proven then. For the same reason
//! [`Plan::load`] is no `async fn`: the future of its caller holds a box and nothing of what is in it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::returns::{Finishing, HasNone, SaysTimeout, Sendable, Shape, Storable};
use super::values::Verdict;
use crate::error::LoadTimeout;
use crate::life::Life;
use crate::spi::{Call, CallOptions, Fetched, Finished, Sharing};

/// How long a `None` is kept, at most.
pub struct NoneLimit<V> {
    is_none: fn(&V) -> bool,
    limit: Duration,
}

impl<V> fmt::Debug for NoneLimit<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limit.fmt(f)
    }
}

impl<V> Clone for NoneLimit<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for NoneLimit<V> {}

/// `none = ..`.
pub fn none_limit<S: HasNone>(_: &S, limit: Duration) -> NoneLimit<S::Stored> {
    NoneLimit {
        is_none: S::is_none,
        limit,
    }
}

/// `timeout = ..`.
pub fn timed_out<S: SaysTimeout>(_: &S) -> fn(LoadTimeout) -> S::Output {
    S::timed_out
}

/// Without one.
pub fn no_time_limit<S: Shape>(_: &S) -> fn(LoadTimeout) -> S::Output {
    |limit| unreachable!("a load without a time limit ended by one: {limit}")
}

/// What a load needs to know of its function, which stores `V` and returns `R`.
pub struct Plan<V, R> {
    weigh: fn(&V) -> usize,
    restore: fn(V) -> R,
    finish: fn(R) -> Finishing<V, R>,
    timed_out: fn(LoadTimeout) -> R,
    none: Option<NoneLimit<V>>,
    sharing: Sharing<V>,
}

impl<V, R> Clone for Plan<V, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V, R> Copy for Plan<V, R> {}

impl<V, R> fmt::Debug for Plan<V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

impl<V, R> Plan<V, R> {
    /// Puts it together.
    pub fn new<S: Shape<Stored = V, Output = R>>(
        _: S,
        weigh: fn(&V) -> usize,
        timed_out: fn(LoadTimeout) -> R,
        none: Option<NoneLimit<V>>,
        sharing: Sharing<V>,
    ) -> Self {
        Self {
            weigh,
            restore: S::restore,
            finish: S::finish,
            timed_out,
            none,
            sharing,
        }
    }

    /// The options of one call.
    pub fn options(
        self,
        life: Option<Life>,
        profile: Option<&'static str>,
        timeout: Option<Duration>,
        tags: Vec<Cow<'static, str>>,
        by_caller: bool,
        keyed_on_caller: bool,
    ) -> CallOptions<V> {
        CallOptions {
            life,
            profile,
            timeout,
            tags: crate::tag::names(tags),
            by_caller,
            keyed_on_caller,
            weigh: self.weigh,
            sharing: self.sharing,
        }
    }

    /// What becomes of the body's output, which says this of itself.
    pub fn finish(self, output: R, verdict: Verdict) -> Finishing<V, R> {
        let said = match verdict {
            Ok(said) => said,
            Err(why) => return Finishing::Now(Finished::Refuse(output, why)),
        };
        match (self.finish)(output) {
            Finishing::Now(Finished::Store(value)) => {
                let none = self.none.filter(|none| (none.is_none)(&value));
                let limits = [none.map(|none| none.limit), said];
                Finishing::Now(match limits.into_iter().flatten().min() {
                    Some(at_most) => Finished::StoreFor(value, at_most),
                    None => Finished::Store(value),
                })
            }
            finishing => finishing,
        }
    }

    /// The output of a call.
    pub fn output(self, fetched: Fetched<V, R>) -> R {
        match fetched {
            Fetched::Value(value) => (self.restore)(value),
            Fetched::Output(output) => output,
            Fetched::TimedOut(limit) => (self.timed_out)(limit),
        }
    }
}

/// A load, its type erased.
pub type Loading<V, R> = Pin<Box<dyn Future<Output = Finished<V, R>> + Send>>;

/// A call that waits for a load, its type erased.
pub type Awaited<R> = Pin<Box<dyn Future<Output = R> + Send>>;

impl<V: Storable, R: Sendable> Plan<V, R> {
    /// Completes a call with a load that is a task of its own.
    pub fn load(
        self,
        call: Call<V>,
        options: CallOptions<V>,
        start: impl FnOnce() -> Loading<V, R> + Send + 'static,
    ) -> Awaited<R> {
        Box::pin(async move { self.output(call.load(options, start).await) })
    }
}

/// What stands for it where the output cannot be handed on: there is an error about that already.
pub trait LoadUnsendable<V, R>: Sized {
    /// Is not called.
    fn load<F>(&self, _: Call<V>, _: CallOptions<V>, _: F) -> Awaited<R> {
        unreachable!("does not compile")
    }
}

impl<V, R> LoadUnsendable<V, R> for Plan<V, R> {}
