//! A response being made for all, and what is stored beside the responses.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::level::Sharing;
use super::look::{Held, Unstorable};
use super::{ResponseKey, Scope};
use crate::cache::Cache;
use crate::clock::{Timestamp, nanos};
use crate::context::{Context, LoadScope};
use crate::engine::{Engine, LifeChoice};
use crate::entry::Entry;
use crate::flight::Lead;
use crate::key::Space;
use crate::life::Life;
use crate::reason::{NotStorable, Reason};
use crate::record::Recorded;
use crate::stats::Counters;
use crate::tag::TagName;
use crate::waits::Wait;

/// A response being made and recorded for all. Dropped without an end, its joiners are released.
#[derive(Debug)]
pub struct Recording {
    pub(super) lead: Lead,
    scope: Scope,
    /// Set once the second level was asked: what is stored then goes there.
    pub(super) sharing: Option<Sharing>,
    /// It lives as long as what is inside, also where the cache's default is shorter.
    as_inside: bool,
    /// What is around it waits for it.
    _waits: Option<Wait>,
}

impl Recording {
    /// `around`: the context of what waits for it.
    pub(super) fn new(
        cache: &Cache,
        lead: Lead,
        known: &[TagName],
        refresh: bool,
        around: Option<Arc<Context>>,
    ) -> Self {
        let load = around.as_ref().and_then(|context| context.load.as_ref());
        let waits = load.and_then(|load| cache.engine().waits.wait(load.flight, lead.flight.id));
        let mut scope = Scope::recorded(cache, known, refresh);
        let mut context = (*scope.context).clone();
        context.load = Some(LoadScope {
            flight: lead.flight.id,
            name: Space::Http.name().into(),
            permit: load.and_then(|load| load.permit.clone()),
            response: true,
        });
        scope.context = Arc::new(context);
        Self {
            lead,
            scope,
            sharing: None,
            as_inside: false,
            _waits: waits,
        }
    }

    /// Says which request it is for, as the inner service is asked now; see [`Scope::on`].
    pub fn on(&mut self, path: &str, route: Option<&str>) {
        Counters::count(&self.lead.engine.counters.loads);
        self.scope.on(path, route);
    }

    /// The context in which the handler, and later its body, is polled.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// When it began.
    #[must_use]
    pub const fn began(&self) -> Timestamp {
        Timestamp(self.lead.began)
    }

    /// Completes when nobody waits for it, its own caller aside.
    pub async fn unawaited(&self) {
        self.lead.unawaited().await;
    }

    /// Whether anybody waits for it, its own caller aside.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.lead.is_awaited()
    }

    /// Has it live as long as the first value inside to expire, whatever the cache's default is; that decides
    /// where nothing is inside.
    pub const fn live_as_inside(&mut self) {
        self.as_inside = true;
    }

    /// Lets joiners in, as long as nothing in it is stale: the head is known and will be stored unless its body
    /// fails.
    pub fn share_head(&self, head: Arc<dyn Any + Send + Sync>) {
        self.lead.share_head(head, &self.scope.record);
    }

    /// Ends with a response. `life`: what the response or the layer says; else what is inside, and
    /// the cache's default, decide. `kept_stale`: for how long it is kept once it is stale, to be
    /// validated, also where it is never fresh. `under`: another key to store it under (`Vary`).
    ///
    /// # Errors
    ///
    /// Second, why it was not stored.
    pub fn store<V: Send + Sync + 'static>(
        self,
        value: V,
        weight: usize,
        (life, kept_stale): (Option<Life>, Duration),
        under: Option<&ResponseKey>,
    ) -> (Held<V>, Result<(), Reason>) {
        let engine = Arc::clone(&self.lead.engine);
        let recorded = self.scope.close();
        let mut choice = life.map_or_else(|| engine.choice(Life::default()), LifeChoice::whole);
        if self.as_inside && life.is_none() && recorded.fresh_until != u64::MAX {
            choice.default = choice.default.with_ttl(Duration::MAX);
        }
        let times = (self.lead.start(), self.lead.began);
        let key = under.map_or(&self.lead.key, |under| &under.0).clone();
        let (mut entry, mut storable) =
            engine.entry(&key, (value, weight), times, choice, None, recorded);
        entry.kept_stale = nanos(kept_stale);
        // What is only kept to be validated is of no use to other nodes.
        let sharing = self.sharing.filter(|_| storable.is_ok());
        let sharing = sharing.zip(self.lead.running());
        if storable == Err(NotStorable::ZeroLife) && !kept_stale.is_zero() {
            storable = Ok(());
        }
        let (entry, fate) = self.lead.land(entry, storable, under.map(|under| &under.0));
        if fate.is_ok() {
            engine.stored();
        }
        if entry.goes_on(fate, engine.clock.now().0)
            && let Some((sharing, running)) = sharing
        {
            sharing.share(&engine, &entry, &key, running);
        }
        (Held::made(entry), fate)
    }

    /// Ends without a response that others may have.
    pub fn refuse(self, why: NotStorable) {
        self.lead.fail(why);
    }

    /// Ends so, and lets the next callers of this key know for a while, so that they do not queue.
    pub fn refuse_and_mark(self, code: u16, known: &[TagName], lasting: Duration) {
        let engine = Arc::clone(&self.lead.engine);
        let key = ResponseKey(self.lead.key.clone());
        let times = (self.lead.start(), self.lead.began);
        let mark = Unstorable(code);
        insert(
            &engine,
            &key,
            mark,
            0,
            Life::from_duration(lasting),
            known,
            times,
        );
        self.lead.fail(NotStorable::Response);
    }
}

/// Stores something beside the responses, such as the names of the headers that they vary by. `beside`: the
/// response; where the second level was asked for that, this goes there, too.
pub fn put<V: Send + Sync + 'static>(
    cache: &Cache,
    key: &ResponseKey,
    (value, weight): (V, usize),
    life: Life,
    known: &[TagName],
    beside: Option<&Recording>,
) {
    let engine = cache.engine();
    let running = engine.ledger.begin();
    let times = (running.start, engine.clock.now().0);
    let stored = insert(engine, key, value, weight, life, known, times);
    let sharing = beside.and_then(|recording| recording.sharing.as_ref());
    if let Some((entry, sharing)) = stored.zip(sharing) {
        sharing.beside().share(engine, &entry, &key.0, running);
    }
}

fn insert<V: Send + Sync + 'static>(
    engine: &Arc<Engine>,
    key: &ResponseKey,
    value: V,
    weight: usize,
    life: Life,
    known: &[TagName],
    times: (u64, u64),
) -> Option<Arc<Entry>> {
    let mut recorded = Recorded::new();
    engine
        .tags(&Space::Http, known)
        .iter()
        .for_each(|tag| recorded.add(tag));
    let choice = LifeChoice::whole(life);
    let (entry, storable) = engine.entry(&key.0, (value, weight), times, choice, None, recorded);
    storable.ok()?;
    let entry: Arc<Entry> = Arc::new(entry);
    // Overtaken already: the next request finds out again.
    let stored = engine.insert_beside(&key.0, Arc::clone(&entry));
    stored.is_ok().then_some(entry)
}
