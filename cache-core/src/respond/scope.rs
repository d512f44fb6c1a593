//! The context in which a response is made, and what its record says.

use std::fmt;
use std::sync::Arc;

use super::look::Held;
use crate::cache::Cache;
use crate::clock::Timestamp;
use crate::context::{self, Context, LoadScope, Restore, Scoped};
use crate::key::Space;
use crate::life::Life;
use crate::outward::flow_recorded;
use crate::path_marks::RequestPath;
use crate::reason::{NotStorable, Reason};
use crate::record::{Record, Recorded};
use crate::tag::TagName;

/// The context of a request: the current cache, and the record of its response.
#[derive(Clone)]
pub struct Scope {
    pub(super) context: Arc<Context>,
    pub(super) record: Arc<Record>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// What a scope's record says so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Said {
    /// The lifetime that the handler gave by `cache_life`.
    pub life: Option<Life>,
    /// Whether a tag was added: by `cache_tag`, or by a cached call inside.
    pub tagged: bool,
    /// Whether a cached call inside was keyed by what says who is calling.
    pub by_caller: bool,
    /// Why the response may not be stored.
    pub refusal: Option<NotStorable>,
    /// What the cached calls that the handler made itself came to, the first few of them.
    pub reads: Vec<(String, Reason)>,
    /// When the oldest load inside began.
    pub filled_at: Option<Timestamp>,
    /// When the first value inside expires.
    pub fresh_until: Option<Timestamp>,
}

impl Scope {
    /// A scope whose response will not be stored: what is inside is current, and learns nothing.
    #[must_use]
    pub fn passing(cache: &Cache, bypass: bool) -> Self {
        let scope = Self::recorded(cache, &[], false);
        let mut context = (*scope.context).clone();
        context.bypass |= bypass;
        Self {
            context: Arc::new(context),
            ..scope
        }
    }

    /// Says which request it is for: cached calls in it are as stale as an invalidation of its path
    /// or route makes them.
    pub fn on(&mut self, path: &str, route: Option<&str>) {
        let mut context = (*self.context).clone();
        context.path = Some(RequestPath::new(path, route));
        self.context = Arc::new(context);
    }

    pub(super) fn recorded(cache: &Cache, known: &[TagName], refresh: bool) -> Self {
        let engine = cache.engine();
        // A refresh is no part of the response that it was begun beside.
        let around = context::current().filter(|_| !refresh);
        let record = Record::new(engine, around.and_then(|context| context.record.clone()));
        record.with(|recorded| {
            engine
                .tags(&Space::Http, known)
                .iter()
                .for_each(|tag| recorded.add(tag));
        });
        let context = context::derive(|context| {
            context.cache = Some(cache.clone());
            context.record = Some(Arc::clone(&record));
            context.fresh_only = refresh;
            context.load = context.load.take().map(|load| LoadScope {
                response: true,
                ..load
            });
        });
        Self { context, record }
    }

    /// Runs `act` in it.
    pub fn run<R>(&self, act: impl FnOnce() -> R) -> R {
        let _restore = Restore::enter(Some(Arc::clone(&self.context)));
        act()
    }

    /// Runs `future` in it.
    pub fn enter<F>(&self, future: F) -> Scoped<F> {
        Scoped::new(Some(Arc::clone(&self.context)), future)
    }

    /// Adds explicit tags; past a limit the response is not stored.
    pub fn tag(&self, names: Result<Vec<TagName>, NotStorable>) {
        self.run(|| super::tag(names));
    }

    /// Takes the tags of a response that was found to be current still: what was made of its parts
    /// then is what is shown now. Its times are not taken.
    pub fn inherit<V>(&self, validated: &Held<V>) {
        let entry = &validated.entry;
        self.record.with(|recorded| {
            entry.tags.iter().for_each(|tag| recorded.add(tag));
            recorded.partial = recorded.partial.or(entry.partial);
            recorded.by_caller |= entry.by_caller;
        });
    }

    /// What is known so far.
    #[must_use]
    pub fn said(&self) -> Said {
        let recorded = self.record.snapshot();
        let moment = |at: u64| (at != u64::MAX).then_some(Timestamp(at));
        Said {
            life: recorded.life,
            tagged: recorded
                .tags
                .iter()
                .any(|tag| crate::tag::is_explicit(tag.name())),
            by_caller: recorded.by_caller,
            refusal: recorded.refusal(),
            reads: recorded
                .reads
                .iter()
                .map(|(space, reason)| (space.name().to_owned(), *reason))
                .collect(),
            filled_at: moment(recorded.filled_at),
            fresh_until: moment(recorded.fresh_until),
        }
    }

    /// Gives what was recorded to the load or response around the one that is current now.
    pub fn flow(&self) {
        let Some(context) = context::current() else {
            return;
        };
        let same = context
            .record
            .as_ref()
            .is_some_and(|outer| Arc::ptr_eq(outer, &self.record));
        if !same {
            flow_recorded(&context, &self.record.engine, self.record.snapshot());
        }
    }

    pub(super) fn close(&self) -> Recorded {
        self.record.close()
    }
}
