//! One shared load, from its permit to its landing.

use std::pin::Pin;
use std::sync::Arc;

use super::apart::Apart;
use super::{Finished, Sharing};
use crate::cache::Cache;
use crate::caller::Caller;
use crate::context::{Context, LoadScope, Observer, Scoped};
use crate::engine::{Engine, LifeChoice};
use crate::entry::Entry;
use crate::flight::Lead;
use crate::key::Space;
use crate::life::Life;
use crate::marks::TagRecord;
use crate::node::{Accepting, Answer, Asking, Place, Shared};
use crate::outward::warn_asked_caller;
use crate::path_marks::RequestPath;
use crate::permit::Permit;
use crate::reason::{NotStorable, Reason};
use crate::record::{Record, Recorded};
use crate::remote::Coding;
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
    pub(super) sharing: Sharing<V>,
    pub(super) accepting: Accepting,
}

impl<V> Plan<V> {
    /// How other nodes are asked for the value, where they may have it.
    fn asking(&self, engine: &Engine, space: &Space) -> Option<Asking<V>> {
        engine.node.as_ref()?;
        match self.sharing {
            Sharing::Shared(codec) if self.choice.is_ok() => Some(Asking {
                coding: Coding::Value(codec),
                weigh: self.weigh,
                accepting: self.accepting,
            }),
            Sharing::Cannot => {
                engine.stays_local(space);
                None
            }
            Sharing::Shared(_) | Sharing::Local => None,
        }
    }
}

/// Runs one shared load apart from its caller, who may leave.
pub(super) fn fly_apart<V, R, F>(
    lead: Lead,
    plan: Plan<V>,
    start: impl FnOnce() -> F + Send + 'static,
) -> Apart<Outcome<V, R>>
where
    V: Clone + Send + Sync + 'static,
    R: Send + 'static,
    F: Future<Output = Finished<V, R>> + Send + 'static,
{
    if lead.engine.node.is_none() {
        return Apart::task(fly(lead, plan, start));
    }
    let flight = Arc::clone(&lead.flight);
    Apart::carried(flight, fly(lead, plan, start))
}

/// Runs one shared load to its end.
pub(super) async fn fly<V, R, F>(
    mut lead: Lead,
    mut plan: Plan<V>,
    start: impl FnOnce() -> F,
) -> Outcome<V, R>
where
    V: Clone + Send + Sync + 'static,
    F: Future<Output = Finished<V, R>>,
{
    let engine = Arc::clone(&lead.engine);
    let asking = plan.asking(&engine, lead.key.space());
    let mut place = None;
    if let Some(asking) = &asking {
        // Boxed: loads within loads hold one another, and without a remote this is no part of them.
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(ask_first(lead, asking));
        match answer.await {
            Ok(entry) => return Outcome::Landed(entry, true),
            Err((back, found)) => (lead, place) = (back, found),
        }
    }
    lead.flight.leave_caller().await;
    let permit = match plan.permit.take() {
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
    let (loading, context) = Loading::begin(lead, plan, permit, asking.zip(place));
    let finished = Scoped::new(Some(context), async { start().await }).await;
    loading.land(finished)
}

/// A load that runs. What comes before and after it is apart from it: loads in loads stand on one stack.
struct Loading<V> {
    lead: Lead,
    record: Arc<Record>,
    choice: Result<LifeChoice, NotStorable>,
    weigh: fn(&V) -> usize,
    /// Where else the value goes, and how.
    shared: Option<(Asking<V>, Place)>,
}

impl<V: Clone + Send + Sync + 'static> Loading<V> {
    fn begin(
        lead: Lead,
        plan: Plan<V>,
        permit: Option<Permit>,
        shared: Option<(Asking<V>, Place)>,
    ) -> (Self, Arc<Context>) {
        let record = Record::new(&lead.engine, plan.around);
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
        let loading = Self {
            lead,
            record,
            choice: plan.choice,
            weigh: plan.weigh,
            shared,
        };
        (loading, context)
    }

    fn land<R>(self, finished: Finished<V, R>) -> Outcome<V, R> {
        let lead = self.lead;
        let engine = Arc::clone(&lead.engine);
        let mut recorded = self.record.close();
        let (value, at_most) = match finished {
            Finished::Store(value) => (value, None),
            Finished::StoreFor(value, at_most) => (value, Some(at_most)),
            Finished::Refuse(output, why) => {
                lead.fail(why);
                return Outcome::Refused(output, why, recorded);
            }
        };
        let choice = self
            .choice
            .unwrap_or_else(|_| engine.choice(Life::default()));
        if recorded.asked_caller {
            // Those who wait may be others: each loads for itself.
            recorded.bound(&engine, lead.began, choice, at_most);
            warn_asked_caller(lead.key.space().name());
            lead.fail(NotStorable::Caller);
            return Outcome::Own(value, recorded);
        }
        let weight = (self.weigh)(&value);
        let began = (lead.start(), lead.began);
        let (entry, storable) =
            engine.entry(&lead.key, (value, weight), began, choice, at_most, recorded);
        let storable = storable.and(self.choice.map(|_| ()));
        let running = self.shared.as_ref().and_then(|_| lead.running());
        let (entry, fate) = lead.land(entry, storable, None);
        if fate.is_ok() {
            engine.stored();
        }
        if entry.goes_on(fate, engine.clock.now().0)
            && let Some(((asking, place), running)) = self.shared.zip(running)
        {
            engine.share(Shared::new(&entry, asking.coding, running), place);
        }
        let hopeful = !matches!(fate, Err(Reason::NotStorable(_)));
        Outcome::Landed(entry, hopeful)
    }
}

/// Asks the second level, and lands with what it has; else gives the lead back, and the place that the
/// value is to go to.
async fn ask_first<V: Clone + Send + Sync + 'static>(
    lead: Lead,
    asking: &Asking<V>,
) -> Result<Arc<Entry>, (Lead, Option<Place>)> {
    let engine = Arc::clone(&lead.engine);
    match engine.ask_level(&lead, &lead.key, asking).await {
        Answer::Found(entry, storable) => {
            let (entry, fate) = lead.land(entry, storable, None);
            if fate.is_ok() {
                engine.stored();
            }
            Ok(entry)
        }
        Answer::Load(place) => Err((lead, place)),
    }
}
