//! Loads that serve their caller and are not stored: past a wait limit, in a cycle, after a leader
//! failed, or past the cache.

use std::sync::Arc;

use super::{Call, CallOptions, Fetched, Finished, within};
use crate::clock::{Clock, Timestamp};
use crate::context::{self, LoadScope, Scoped};
use crate::error::LoadTimeout;
use crate::life::Life;
use crate::outward::{flow_recorded, note};
use crate::reason::{NotStorable, Reason};
use crate::record::Record;
use crate::stats::Counters;

impl<V: Clone + Send + Sync + 'static> Call<V> {
    /// Loads for this caller alone: served, not stored.
    pub(super) async fn run_alone<R, F>(
        self,
        options: CallOptions<V>,
        body: F,
        flaw: Option<NotStorable>,
        deadline: Option<Timestamp>,
    ) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let Some(cache) = &self.cache else {
            return self.run_past(options, body).await;
        };
        let engine = cache.engine();
        if let (Some(why), Some(key)) = (flaw, &self.key) {
            engine.trace.note(key.hash(), Reason::NotStorable(why));
        }
        // It counts as running: marks that its outer load may need are kept meanwhile.
        let _running = engine.ledger.begin();
        Counters::count(&engine.counters.loads);
        let mut context = self.context.as_deref().cloned().unwrap_or_default();
        let record = Record::new(engine, context.record.take());
        record.with(|recorded| {
            recorded.partial = flaw;
            recorded.keyed_on_caller = options.keyed_on_caller;
            let names = options.tags.as_deref().unwrap_or_default();
            engine
                .tags(&self.space, names)
                .iter()
                .for_each(|tag| recorded.add(tag));
        });
        context.cache = Some(cache.clone());
        context.record = Some(Arc::clone(&record));
        context.fresh_only = true;
        let name: Arc<str> = self.space.name().into();
        let left = || deadline.map(|deadline| deadline.since(engine.clock.now()));
        // It runs as a part of the load around it.
        let around = context.load.take();
        let mut permit = around.as_ref().and_then(|load| load.permit.clone());
        if permit.is_none() {
            match within(&engine.clock, left(), engine.permit(None)).await {
                Some((own, _)) => permit = own,
                None => return self.timed_out(engine, options.timeout),
            }
        }
        let flight = around.map_or_else(|| engine.flights.id(), |load| load.flight);
        context.load = Some(LoadScope {
            flight,
            name,
            permit,
            response: false,
        });
        let began = engine.clock.now().0;
        let body = Scoped::new(Some(Arc::new(context)), Box::pin(body));
        let limited = within(&engine.clock, left(), body).await;
        let mut recorded = record.close();
        let Some(finished) = limited else {
            return self.timed_out(engine, options.timeout);
        };
        let at_most = match finished {
            Finished::StoreFor(_, at_most) => Some(at_most),
            Finished::Store(_) | Finished::Refuse(..) => None,
        };
        match finished {
            Finished::Store(value) | Finished::StoreFor(value, _) => {
                // What is made from it lives no longer than it would have, had it been stored.
                let choice = self
                    .choice(cache, &options)
                    .unwrap_or_else(|_| engine.choice(Life::default()));
                recorded.bound(engine, began, choice, at_most);
                self.own(engine, recorded);
                Fetched::Value(value)
            }
            Finished::Refuse(output, why) => {
                if why == NotStorable::Error
                    && let Some(value) = self.fallback(engine, false)
                {
                    return Fetched::Value(value);
                }
                self.failed(engine, Some(recorded));
                Fetched::Output(output)
            }
        }
    }

    /// Runs the body past the cache. What is around it still learns what it says of itself.
    pub(super) async fn run_past<R, F>(self, options: CallOptions<V>, body: F) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let clock = self
            .cache
            .as_ref()
            .map_or_else(Clock::system, |cache| cache.clock());
        // A record of its own: the lifetime that the body gives is not that of what is around it.
        let around = self
            .context
            .as_ref()
            .and_then(|context| context.record.clone());
        let record = around.zip(self.cache.as_ref()).map(|(around, cache)| {
            let engine = cache.engine();
            let record = Record::new(engine, Some(around));
            record.with(|recorded| {
                let names = options.tags.as_deref();
                recorded.partial = names.err().copied();
                recorded.keyed_on_caller = options.keyed_on_caller;
                let tags = engine.tags(&self.space, names.unwrap_or_default());
                tags.iter().for_each(|tag| recorded.add(tag));
            });
            record
        });
        let context = match &record {
            Some(record) => Some(context::derive(|context| {
                context.record = Some(Arc::clone(record));
            })),
            None => context::current(),
        };
        let began = clock.now().0;
        let body = Scoped::new(context, Box::pin(body));
        let finished = within(&clock, options.timeout, body).await;
        if let Some(cache) = &self.cache {
            let engine = cache.engine();
            engine.counters.outcome(self.reason);
            if let Some(context) = &self.context {
                if let Some(record) = record {
                    let mut recorded = record.close();
                    let choice = self
                        .choice(cache, &options)
                        .unwrap_or_else(|_| engine.choice(Life::default()));
                    let at_most = match finished {
                        Some(Finished::StoreFor(_, at_most)) => Some(at_most),
                        _ => None,
                    };
                    recorded.fresh_until = engine.lifetime(began, choice, at_most, &recorded).1;
                    if !matches!(finished, Some(Finished::Store(_) | Finished::StoreFor(..))) {
                        recorded.failed = true;
                        recorded.failures_allowed = false;
                    }
                    flow_recorded(context, engine, recorded);
                }
                note(context, &self.space, self.reason, false, self.began);
            }
        } else if let Some(context) = &self.context {
            note(context, &self.space, self.reason, false, self.began);
        }
        match finished {
            Some(Finished::Store(value) | Finished::StoreFor(value, _)) => Fetched::Value(value),
            Some(Finished::Refuse(output, _)) => Fetched::Output(output),
            None => Fetched::TimedOut(LoadTimeout {
                name: self.space.name().to_owned(),
                limit: options.timeout.unwrap_or_default(),
            }),
        }
    }
}
