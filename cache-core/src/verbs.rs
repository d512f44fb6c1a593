//! The two verbs and their like: applied when called, not when awaited.

use std::fmt;
use std::future::{Future, IntoFuture, Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use crate::context;
use crate::engine::Engine;
use crate::error::InvalidateError;
use crate::life::Span;
use crate::marks::Kind;
use crate::tag::TagName;

/// How far an invalidation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Applied in this process, which is all there is: the cache has no remote.
    ThisProcess,
}

/// An applied invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidation {
    /// How far it got.
    pub delivery: Delivery,
}

/// An invalidation, a removal or a clearing that has been applied: awaiting it only waits for its
/// delivery, and dropping it loses nothing. Cancel-safe.
///
/// # Errors
///
/// Awaiting gives an [`InvalidateError`] where the call was misuse and nothing was applied.
#[must_use = "an invalidation is applied already, but whether it was misuse is seen only by awaiting it"]
pub struct Invalidating {
    outcome: Result<Applied, InvalidateError>,
}

#[derive(Clone)]
struct Applied {
    engine: Arc<Engine>,
    kind: Kind,
    names: Vec<TagName>,
}

impl Invalidating {
    /// Marks `names`, unless this is misuse.
    pub(crate) fn apply(
        engine: &Arc<Engine>,
        kind: Kind,
        (names, wrong): (Vec<TagName>, Option<InvalidateError>),
    ) -> Self {
        let outcome = allowed(engine).and_then(|()| {
            // What is right is applied although something else is wrong: the data has changed.
            engine.invalidate(kind, &names);
            wrong.map_or(Ok(()), Err)
        });
        Self {
            outcome: outcome.map(|()| Applied {
                engine: Arc::clone(engine),
                kind,
                names,
            }),
        }
    }

    /// Runs `remove`, unless this is misuse.
    pub(crate) fn applied_by(engine: &Arc<Engine>, remove: impl FnOnce()) -> Self {
        Self::done_by(engine, allowed(engine), remove)
    }

    /// Runs `let_go`, which drops this process's copies alone: no data has changed by that, so a cached
    /// function may, and the caller of a web method must have the right to it all the same.
    pub(crate) fn locally(engine: &Arc<Engine>, let_go: impl FnOnce()) -> Self {
        Self::done_by(engine, permitted(engine), let_go)
    }

    fn done_by(
        engine: &Arc<Engine>,
        allowed: Result<(), InvalidateError>,
        act: impl FnOnce(),
    ) -> Self {
        let outcome = allowed.map(|()| {
            act();
            Applied {
                engine: Arc::clone(engine),
                kind: Kind::Hard,
                names: Vec::new(),
            }
        });
        Self { outcome }
    }

    pub(crate) const fn refused(error: InvalidateError) -> Self {
        Self {
            outcome: Err(error),
        }
    }

    /// Why nothing, or not all of it, was applied; known at once, whatever is still to be delivered.
    pub(crate) const fn refusal(&self) -> Option<&InvalidateError> {
        match &self.outcome {
            Ok(_) => None,
            Err(error) => Some(error),
        }
    }

    /// Repeats the invalidation once `delay` has passed, for data that is read from replicas which
    /// lag behind. It lives in memory, and is lost with the process. Outside of a tokio runtime a
    /// thread waits for it, by the machine's clock. A removal of a
    /// key is not repeated, nor is what drops this process's copies alone: use a tag.
    pub fn again_after(self, delay: impl Into<Span>) -> Self {
        let delay: Duration = delay.into().into();
        if let Ok(applied) = &self.outcome
            && !applied.names.is_empty()
        {
            let Applied {
                engine,
                kind,
                names,
            } = applied.clone();
            if tokio::runtime::Handle::try_current().is_ok() {
                drop(crate::sync::spawn(async move {
                    engine.clock.sleep(delay).await;
                    engine.invalidate(kind, &names);
                }));
            } else {
                std::thread::spawn(move || {
                    std::thread::sleep(delay);
                    engine.invalidate(kind, &names);
                });
            }
        }
        self
    }
}

/// Whether an invalidation is allowed here; inside a response that is being recorded it is, and the
/// response is not stored.
fn allowed(engine: &Engine) -> Result<(), InvalidateError> {
    let Some(context) = context::current() else {
        return Ok(());
    };
    if let Some(load) = context.load.as_ref().filter(|load| !load.response) {
        return Err(InvalidateError::InsideCachedFunction {
            function: load.name.to_string(),
        });
    }
    permitted(engine)?;
    if let Some(record) = &context.record {
        record.with(|recorded| recorded.invalidated = true);
    }
    Ok(())
}

/// Whether whoever calls the web method that this is done for may drop what the cache holds.
pub(crate) fn permitted(engine: &Engine) -> Result<(), InvalidateError> {
    let refused = engine.settings.guard_invalidation
        && context::current().is_some_and(|context| {
            let caller = context.caller.as_ref().filter(|_| !context.elevated);
            caller.is_some_and(|caller| !caller.is_admin())
        });
    if refused {
        return Err(InvalidateError::PermissionDenied);
    }
    Ok(())
}

impl IntoFuture for Invalidating {
    type Output = Result<Invalidation, InvalidateError>;
    type IntoFuture = InvalidatingFuture;

    fn into_future(self) -> InvalidatingFuture {
        InvalidatingFuture(ready(self.outcome.map(|_| Invalidation {
            delivery: Delivery::ThisProcess,
        })))
    }
}

impl fmt::Debug for Invalidating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(applied) => f.debug_tuple("Invalidating").field(&applied.names).finish(),
            Err(error) => f.debug_tuple("Invalidating").field(error).finish(),
        }
    }
}

/// The future of an [`Invalidating`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct InvalidatingFuture(Ready<Result<Invalidation, InvalidateError>>);

impl Future for InvalidatingFuture {
    type Output = Result<Invalidation, InvalidateError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}
