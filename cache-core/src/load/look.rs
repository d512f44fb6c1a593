//! The hit path: no await, no lock, no allocation. What it cannot answer becomes a [`Call`].

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use super::{Call, Looked};
use crate::cache::Cache;
use crate::context::{self, Context};
use crate::entry::Verdict;
use crate::key::{KeyBytes, KeyRef, Space};
use crate::ledger::Reading;
use crate::outward::{flow, note, tell, warn_no_cache};
use crate::reason::Reason;
use crate::store::Store;

/// Looks for the value of `bytes` in `space`; `cache` where the caller names it, else the current one.
#[inline]
pub(crate) fn look<V: Clone + Send + Sync + 'static>(
    cache: Option<&Cache>,
    space: &Space,
    bytes: &KeyBytes,
) -> Looked<V> {
    let context = context::current();
    let current = match (&context, cache) {
        (_, Some(cache)) => Some(cache),
        (Some(context), None) if context.cache.is_some() => context.cache.as_ref(),
        (_, None) => context::process_cache(),
    };
    let Some(cache) = current else {
        warn_no_cache(space.name());
        return Looked::Call(Call::past(None, context, space.clone(), Reason::Bypass));
    };
    if context.as_ref().is_some_and(|context| context.bypass) {
        let cache = cache.clone();
        return Looked::Call(Call::past(
            Some(cache),
            context,
            space.clone(),
            Reason::Bypass,
        ));
    }
    if let Some(flaw) = bytes.flaw {
        let cache = cache.clone();
        return Looked::Call(Call::past(
            Some(cache),
            context,
            space.clone(),
            Reason::NotStorable(flaw),
        ));
    }
    let engine = cache.engine();
    let began = context
        .as_ref()
        .and_then(|context| context.observer.as_ref().map(|_| Instant::now()));
    let key = KeyRef::new(space, &bytes.bytes);
    let arrival = engine.ledger.reading();
    let held = engine.store.get(&key);
    let mut served = false;
    let reason = match &held {
        None => None,
        Some(entry) => match engine.judge(entry, context.as_deref(), arrival, engine.clock.now().0)
        {
            Verdict::Fresh { early } => {
                let fresh_only = context.as_ref().is_some_and(|context| context.fresh_only);
                match entry.value::<V>() {
                    Some(value) if !early || fresh_only => {
                        engine.counters.hit();
                        tell(space, Reason::Hit, false);
                        let value = value.clone();
                        if let Some(context) = &context {
                            flow(context, engine, entry, false);
                            note(context, space, Reason::Hit, false, began);
                        }
                        return Looked::Hit(value);
                    }
                    Some(_) => {
                        served = true;
                        Some(Reason::Hit)
                    }
                    None => None,
                }
            }
            Verdict::Stale { servable, why, .. } => {
                let fresh_only = context.as_ref().is_some_and(|context| context.fresh_only);
                served = servable && !fresh_only && entry.value::<V>().is_some();
                Some(if served { Reason::Stale } else { why })
            }
            Verdict::Dead(why) => Some(why),
        },
    };
    let arrived = engine.clock.now().0;
    Looked::Call(Call {
        reason: reason.unwrap_or_else(|| engine.trace.reason(key.hash())),
        key: Some(key.to_key()),
        cache: Some(cache.clone()),
        context,
        space: space.clone(),
        arrival,
        arrived,
        held,
        served,
        forced: false,
        began,
        value: PhantomData,
    })
}

impl<V: Clone + Send + Sync + 'static> Call<V> {
    pub(super) fn past(
        cache: Option<Cache>,
        context: Option<Arc<Context>>,
        space: Space,
        reason: Reason,
    ) -> Self {
        let began = context
            .as_ref()
            .and_then(|context| context.observer.as_ref().map(|_| Instant::now()));
        Self {
            cache,
            context,
            key: None,
            space,
            arrival: Reading {
                proven_until: 0,
                disproved_at: 0,
                sequence: 0,
            },
            arrived: 0,
            reason,
            held: None,
            served: false,
            forced: false,
            began,
            value: PhantomData,
        }
    }

    /// A call of the current cache that loads anew and replaces what is stored.
    pub(crate) fn of_current(space: &Space, bytes: &KeyBytes) -> Self {
        let context = context::current();
        let Some(cache) = Cache::current() else {
            warn_no_cache(space.name());
            return Self::past(None, context, space.clone(), Reason::Bypass);
        };
        let flaw = bytes.flaw.map(Reason::NotStorable);
        let bypass = context.as_ref().is_some_and(|context| context.bypass);
        if let Some(reason) = flaw.or(bypass.then_some(Reason::Bypass)) {
            return Self::past(Some(cache), context, space.clone(), reason);
        }
        let key = KeyRef::new(space, &bytes.bytes).to_key();
        let engine = cache.engine();
        let arrival = engine.ledger.reading();
        let held = engine.store.get(&key.as_ref());
        Self {
            key: Some(key),
            arrival,
            arrived: engine.clock.now().0,
            held,
            forced: true,
            ..Self::past(Some(cache.clone()), context, space.clone(), Reason::Bypass)
        }
    }

    /// The value, where a look found it fresh but due for a refresh that cannot be done here.
    pub(crate) fn only_if_fresh(self) -> Option<V> {
        let engine = self.cache.as_ref()?.engine();
        if self.served && self.reason == Reason::Hit {
            return self.held.as_ref().and_then(|held| self.serve(engine, held));
        }
        let reason = if self.served {
            self.why_stale(engine)
        } else {
            self.reason
        };
        self.done(engine, None, reason, false);
        None
    }
}
