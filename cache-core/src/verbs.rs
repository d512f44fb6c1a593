//! The two verbs and their like: applied when called, not when awaited.

use std::fmt;
use std::future::{Future, IntoFuture, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::context;
use crate::engine::Engine;
use crate::error::InvalidateError;
use crate::life::Span;
use crate::load::within;
use crate::marks::Kind;
use crate::remote::Bookmark;
use crate::tag::TagName;

/// How far an invalidation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Applied in this process, which is all there is: the cache has no remote, or nothing was named.
    ThisProcess,
    /// Acknowledged by the remote: a read on any node that begins longer than the
    /// [bound](crate::CacheBuilder::proof_bound) after this sees it, mostly within milliseconds.
    Everywhere,
    /// Applied in this process, and not acknowledged within the
    /// [limit](crate::CacheBuilder::delivery_limit): it is sent until it is. It lives in memory meanwhile.
    Queued,
}

/// An applied invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidation {
    /// How far it got.
    pub delivery: Delivery,
    /// Where it stands in the log, once it is acknowledged: for
    /// [`Cache::read_after`](crate::Cache::read_after) on another node.
    pub bookmark: Option<Bookmark>,
}

/// An invalidation, a removal or a clearing that has been applied: awaiting it only waits for its
/// delivery, and dropping it loses nothing. Cancel-safe.
///
/// # Errors
///
/// Awaiting gives an [`InvalidateError`] where the call was misuse, and where it is to be
/// [everywhere](Self::everywhere) and was not acknowledged in time.
#[must_use = "an invalidation is applied already, but whether it was misuse is seen only by awaiting it"]
pub struct Invalidating {
    outcome: Result<Applied, InvalidateError>,
    everywhere: bool,
}

#[derive(Clone)]
struct Applied {
    engine: Arc<Engine>,
    kind: Kind,
    names: Vec<TagName>,
    /// By which its delivery to other nodes is known.
    ticket: Option<u64>,
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
            let ticket = engine.invalidate(kind, &names);
            wrong.map_or(Ok(ticket), Err)
        });
        Self {
            outcome: outcome.map(|ticket| Applied {
                engine: Arc::clone(engine),
                kind,
                names,
                ticket,
            }),
            everywhere: false,
        }
    }

    /// Runs `remove`, which returns the ticket of its delivery, unless this is misuse.
    pub(crate) fn applied_by(engine: &Arc<Engine>, remove: impl FnOnce() -> Option<u64>) -> Self {
        Self::done_by(engine, allowed(engine), remove)
    }

    /// Runs `let_go`, which drops this process's copies alone: no data has changed by that, so a cached
    /// function may, and the caller of a web method must have the right to it all the same.
    pub(crate) fn locally(engine: &Arc<Engine>, let_go: impl FnOnce() -> Option<u64>) -> Self {
        Self::done_by(engine, permitted(engine), let_go)
    }

    fn done_by(
        engine: &Arc<Engine>,
        allowed: Result<(), InvalidateError>,
        act: impl FnOnce() -> Option<u64>,
    ) -> Self {
        let outcome = allowed.map(|()| Applied {
            engine: Arc::clone(engine),
            kind: Kind::Hard,
            names: Vec::new(),
            ticket: act(),
        });
        Self {
            outcome,
            everywhere: false,
        }
    }

    pub(crate) const fn refused(error: InvalidateError) -> Self {
        Self {
            outcome: Err(error),
            everywhere: false,
        }
    }

    /// Makes it an error, when awaited, that the remote has not acknowledged it within the limit: for those
    /// who must know. It is applied here and is sent on all the same.
    pub fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
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
                ..
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
        InvalidatingFuture(match self.outcome {
            Err(error) => Delivering::Over(ready(Err(error))),
            Ok(Applied {
                engine,
                ticket: Some(ticket),
                ..
            }) => Delivering::Waiting(Box::pin(delivered(engine, ticket, self.everywhere))),
            Ok(_) => Delivering::Over(ready(Ok(Invalidation {
                delivery: Delivery::ThisProcess,
                bookmark: None,
            }))),
        })
    }
}

async fn delivered(
    engine: Arc<Engine>,
    ticket: u64,
    everywhere: bool,
) -> Result<Invalidation, InvalidateError> {
    let Some(node) = &engine.node else {
        unreachable!("a node gave the ticket")
    };
    let limit = Some(node.settings.delivery);
    match within(&engine.clock, limit, node.outbox.delivered(ticket)).await {
        Some(bookmark) => Ok(Invalidation {
            delivery: Delivery::Everywhere,
            bookmark,
        }),
        None if everywhere => Err(InvalidateError::NotEverywhere),
        None => Ok(Invalidation {
            delivery: Delivery::Queued,
            bookmark: None,
        }),
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
#[must_use = "futures do nothing unless polled"]
pub struct InvalidatingFuture(Delivering);

enum Delivering {
    Over(Ready<Result<Invalidation, InvalidateError>>),
    Waiting(Pin<Box<dyn Future<Output = Result<Invalidation, InvalidateError>> + Send>>),
}

impl fmt::Debug for InvalidatingFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvalidatingFuture")
    }
}

impl Future for InvalidatingFuture {
    type Output = Result<Invalidation, InvalidateError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Delivering::Over(over) => Pin::new(over).poll(cx),
            Delivering::Waiting(waiting) => waiting.as_mut().poll(cx),
        }
    }
}
