//! Loads that serve their caller and are not stored: past a wait limit, in a cycle, after a leader
//! failed, or past the cache.

use std::sync::Arc;

use super::{Call, CallOptions, Fetched, Finished, within};
use crate::clock::Clock;
use crate::context::{LoadScope, Scoped};
use crate::engine::LifeChoice;
use crate::error::LoadTimeout;
use crate::outward::{flow_recorded, note};
use crate::reason::NotStorable;
use crate::record::{Record, Recorded};
use crate::stats::Counters;

impl<V: Clone + Send + Sync + 'static> Call<V> {
    /// Loads for this caller alone: served, not stored.
    pub(super) async fn run_alone<R, F>(
        self,
        options: CallOptions<V>,
        body: F,
        flaw: Option<NotStorable>,
    ) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let Some(cache) = &self.cache else {
            return self.run_past(options, body).await;
        };
        let engine = cache.engine();
        // It counts as running: marks that its outer load may need are kept meanwhile.
        let _running = engine.ledger.begin();
        Counters::count(&engine.counters.loads);
        let record = Record::new(engine);
        record.with(|recorded| {
            recorded.partial = flaw;
            let names = options.tags.as_deref().unwrap_or_default();
            engine
                .tags(&self.space, names)
                .iter()
                .for_each(|tag| recorded.add(tag));
        });
        let mut context = self.context.as_deref().cloned().unwrap_or_default();
        context.cache = Some(cache.clone());
        context.record = Some(Arc::clone(&record));
        context.fresh_only = true;
        let name: Arc<str> = self.space.name().into();
        context.load = Some(match context.load.take() {
            // It runs as a part of the load around it.
            Some(load) => LoadScope { name, ..load },
            None => LoadScope {
                flight: engine.flights.id(),
                name,
                permit: engine.permit(None).await.0,
            },
        });
        let began = engine.clock.now().0;
        let body = Scoped::new(Some(Arc::new(context)), Box::pin(body));
        let limited = within(&engine.clock, options.timeout, body).await;
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
                let choice = Self::choice(engine, &options).unwrap_or(LifeChoice::Default);
                recorded.fresh_until = engine.lifetime(began, choice, at_most, &recorded).1;
                recorded.filled_at = recorded.filled_at.min(began);
                self.done(engine, None, self.reason, false);
                if let Some(context) = &self.context {
                    flow_recorded(context, engine, recorded);
                }
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

    /// Runs the body past the cache, in the context it was called in: what is around it still learns
    /// of its tags.
    pub(super) async fn run_past<R, F>(self, options: CallOptions<V>, body: F) -> Fetched<V, R>
    where
        F: Future<Output = Finished<V, R>>,
    {
        let clock = self
            .cache
            .as_ref()
            .map_or_else(Clock::system, |cache| cache.clock());
        let finished = within(&clock, options.timeout, Box::pin(body)).await;
        if let (Some(cache), Some(context)) = (&self.cache, &self.context) {
            let engine = cache.engine();
            engine.counters.outcome(self.reason);
            let mut recorded = Recorded::new();
            match &options.tags {
                Ok(names) => {
                    engine
                        .tags(&self.space, names)
                        .iter()
                        .for_each(|tag| recorded.add(tag));
                }
                Err(why) => recorded.partial = Some(*why),
            }
            recorded.failed =
                !matches!(finished, Some(Finished::Store(_) | Finished::StoreFor(..)));
            flow_recorded(context, engine, recorded);
            note(context, &self.space, self.reason, false, self.began);
        } else if let Some(cache) = &self.cache {
            cache.engine().counters.outcome(self.reason);
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
