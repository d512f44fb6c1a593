//! Where a call is made: the current cache, the load or response being recorded, who watches.
//!
//! The context is in force while a future is polled and at no other time, so a thread that polls
//! many tasks never mixes them up. Outside any context a look-up costs one thread-local read.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::cache::Cache;
use crate::caller::Caller;
use crate::error::InstallError;
use crate::outward::warn_late_install;
use crate::path_marks::RequestPath;
use crate::permit::Permit;
use crate::reason::Reason;
use crate::record::Record;
use crate::sync::{Mutex, lock};

/// What is in force while a future is polled.
#[derive(Clone, Default)]
pub(crate) struct Context {
    pub(crate) cache: Option<Cache>,
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) load: Option<LoadScope>,
    /// Inside a load or a refresh: stale values are awaited, not served.
    pub(crate) fresh_only: bool,
    pub(crate) bypass: bool,
    /// The path of the request that this is done for.
    pub(crate) path: Option<Arc<RequestPath>>,
    pub(crate) observer: Option<Arc<Observer>>,
    /// Who calls the web method that this is done for.
    pub(crate) caller: Option<Caller>,
    /// With the application's rights, not the caller's.
    pub(crate) elevated: bool,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// The load that a context belongs to.
#[derive(Clone)]
pub(crate) struct LoadScope {
    pub(crate) flight: u64,
    pub(crate) name: Arc<str>,
    /// Loads inside this one run under its permit, or they would wait for each other's.
    pub(crate) permit: Option<Permit>,
    /// It makes a response, not a value: it may invalidate, and tells what its cached calls came to.
    pub(crate) response: bool,
}

crate::sync::thread_local! {
    static CURRENT: RefCell<Option<Arc<Context>>> = const { RefCell::new(None) };
}

/// The context in force.
#[inline]
pub(crate) fn current() -> Option<Arc<Context>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// The context in force, or an empty one, to make another from.
pub(crate) fn derive(change: impl FnOnce(&mut Context)) -> Arc<Context> {
    let mut context = current().map_or_else(Context::default, |context| (*context).clone());
    change(&mut context);
    Arc::new(context)
}

pin_project! {
    /// A future that runs in a context: the future of [`Cache::enter`](crate::Cache::enter),
    /// [`observe`](crate::observe) and their like.
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        #[pin]
        inner: F,
        context: Option<Arc<Context>>,
    }
}

impl<F> Scoped<F> {
    pub(crate) const fn new(context: Option<Arc<Context>>, inner: F) -> Self {
        Self { inner, context }
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _restore = Restore::enter(this.context.clone());
        this.inner.poll(cx)
    }
}

/// The context in force somewhere, for what is run later: a future that is dropped has none.
#[derive(Clone, Debug)]
pub struct Around(Option<Arc<Context>>);

impl Around {
    /// That in force here.
    #[must_use]
    pub fn current() -> Self {
        Self(current())
    }

    /// Acts as there.
    pub fn run<R>(&self, act: impl FnOnce() -> R) -> R {
        let _restore = Restore::enter(self.0.clone());
        act()
    }
}

/// Puts the outer context back, also when the poll panics.
pub(crate) struct Restore(Option<Arc<Context>>);

impl Restore {
    pub(crate) fn enter(context: Option<Arc<Context>>) -> Self {
        let outer = CURRENT
            .try_with(|current| current.replace(context))
            .ok()
            .flatten();
        Self(outer)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        let outer = self.0.take();
        // Only while the thread is being torn down is there nothing to restore.
        let _ = CURRENT.try_with(|current| current.replace(outer));
    }
}

static INSTALLED: OnceLock<Cache> = OnceLock::new();
static DEFAULT: OnceLock<Cache> = OnceLock::new();
static BUILT: AtomicBool = AtomicBool::new(false);

/// A cache was built: from now on no default one is made.
pub(crate) fn note_built() {
    BUILT.store(true, Ordering::Relaxed);
}

pub(crate) fn install(cache: Cache) -> Result<(), InstallError> {
    INSTALLED.set(cache).map_err(|_| InstallError)?;
    if DEFAULT.get().is_some() {
        warn_late_install();
    }
    Ok(())
}

/// The process's cache: the installed one; else, if none was ever built, a default.
#[inline]
pub(crate) fn process_cache() -> Option<&'static Cache> {
    match INSTALLED.get() {
        Some(cache) => Some(cache),
        None if BUILT.load(Ordering::Relaxed) => None,
        None => Some(DEFAULT.get_or_init(Cache::unbuilt)),
    }
}

/// What [`observe`](crate::observe) saw of one cached read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Access {
    /// The function, the scope, or `http`.
    pub name: Arc<str>,
    /// The outcome and why.
    pub reason: Reason,
    /// Whether the value came from a load that another caller began.
    pub joined: bool,
    /// How long the read took.
    pub took: Duration,
}

/// Collects what cached reads did.
#[derive(Debug)]
pub(crate) struct Observer(Mutex<Vec<Access>>);

impl Observer {
    /// More are not kept: a long task that is observed must not grow for ever.
    const MOST: usize = 10_000;

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Vec::new())))
    }

    pub(crate) fn note(&self, access: Access) {
        let mut seen = lock(&self.0);
        if seen.len() < Self::MOST {
            seen.push(access);
        }
    }

    pub(crate) fn take(&self) -> Vec<Access> {
        std::mem::take(&mut lock(&self.0))
    }
}
