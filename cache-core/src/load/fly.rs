//! One shared load, from its permit to its landing.

use std::sync::Arc;

use super::Finished;
use crate::cache::Cache;
use crate::caller::Caller;
use crate::context::{Context, LoadScope, Observer, Scoped};
use crate::engine::LifeChoice;
use crate::entry::Entry;
use crate::flight::Lead;
use crate::life::Life;
use crate::marks::TagRecord;
use crate::outward::warn_asked_caller;
use crate::path_marks::RequestPath;
use crate::permit::Permit;
use crate::reason::{NotStorable, Reason};
use crate::record::{Record, Recorded};
use crate::stats::Counters;

/// What a flight came to, for the one who led it.
pub(super) enum Outcome<V, R> {
    /// Whether another try may do better, or need not: `false` where what was loaded cannot be stored.
    Landed(Arc<Entry>, bool),
    Refused(R, NotStorable, Recorded),
    /// A value of its caller's own.
    Own(V, Recorded),
}

/// What a load needs besides its body.
pub(super) struct Plan<V> {
    pub(super) cache: Cache,
    /// The record around the call.
    pub(super) around: Option<Arc<Record>>,
    pub(super) observer: Option<Arc<Observer>>,
    pub(super) permit: Option<Permit>,
    pub(super) path: Option<Arc<RequestPath>>,
    pub(super) tags: Vec<Arc<TagRecord>>,
    pub(super) choice: Result<LifeChoice, NotStorable>,
    pub(super) caller: Option<Caller>,
    pub(super) by_caller: bool,
    pub(super) keyed_on_caller: bool,
    pub(super) weigh: fn(&V) -> usize,
}

/// Runs one shared load to its end.
pub(super) async fn fly<V, R, F>(
    mut lead: Lead,
    plan: Plan<V>,
    start: impl FnOnce() -> F,
) -> Outcome<V, R>
where
    V: Clone + Send + Sync + 'static,
    F: Future<Output = Finished<V, R>>,
{
    let engine = Arc::clone(&lead.engine);
    let permit = match plan.permit {
        Some(permit) => {
            lead.flight.loan.close();
            Some(permit)
        }
        None => {
            let (permit, waited) = engine.permit(Some(&lead.flight.loan)).await;
            if waited {
                lead.restart();
            }
            permit
        }
    };
    Counters::count(&engine.counters.loads);
    let record = Record::new(&engine, plan.around);
    record.with(|recorded| {
        plan.tags.iter().for_each(|tag| recorded.add(tag));
        recorded.by_caller = plan.by_caller;
        recorded.keyed_on_caller = plan.keyed_on_caller;
    });
    let context = Arc::new(Context {
        cache: Some(plan.cache),
        record: Some(Arc::clone(&record)),
        load: Some(LoadScope {
            flight: lead.flight.id,
            name: lead.key.space().name().into(),
            permit,
            response: false,
        }),
        fresh_only: true,
        bypass: false,
        path: plan.path,
        observer: plan.observer,
        caller: plan.caller,
        elevated: false,
    });
    let finished = Scoped::new(Some(context), async { start().await }).await;
    let mut recorded = record.close();
    let (value, at_most) = match finished {
        Finished::Store(value) => (value, None),
        Finished::StoreFor(value, at_most) => (value, Some(at_most)),
        Finished::Refuse(output, why) => {
            lead.fail(why);
            return Outcome::Refused(output, why, recorded);
        }
    };
    let choice = plan
        .choice
        .unwrap_or_else(|_| engine.choice(Life::default()));
    if recorded.asked_caller {
        // Those who wait may be others: each loads for itself.
        recorded.bound(&engine, lead.began, choice, at_most);
        warn_asked_caller(lead.key.space().name());
        lead.fail(NotStorable::Caller);
        return Outcome::Own(value, recorded);
    }
    let weight = (plan.weigh)(&value);
    let began = (lead.start(), lead.began);
    let (entry, storable) =
        engine.entry(&lead.key, (value, weight), began, choice, at_most, recorded);
    let storable = storable.and(plan.choice.map(|_| ()));
    let (entry, fate) = lead.land(entry, storable, None);
    if fate.is_ok() {
        engine.stored();
    }
    let hopeful = !matches!(fate, Err(Reason::NotStorable(_)));
    Outcome::Landed(entry, hopeful)
}
