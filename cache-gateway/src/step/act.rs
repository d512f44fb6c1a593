//! What each policy does when its turn comes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Once};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use cache_core::spi::{key_tags, refusal, respond, warn_refused, warn_set_up};
use cache_core::{Clock, InvalidateError, Life, NotStorable, Reason};

use crate::environment::Site;
use crate::fault::Fault;
use crate::flow::Flow;
use crate::message::Message;
use crate::{InvalidateCache, KeyError, LookupCache, PopulateCache, Purge, Variable, Variables};

/// A policy, and where it acts.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) site: Site,
    pub(super) step: Step,
    /// Whether its variables are of the request's form, which is then to be read.
    pub(super) reads_form: bool,
    /// Said once, as clients decide how often: that a request did not name what is dropped.
    unkeyed: Arc<Once>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Lookup(LookupCache),
    Populate(PopulateCache),
    Invalidate(InvalidateCache),
}

const TRUE: Bytes = Bytes::from_static(b"true");
const FALSE: Bytes = Bytes::from_static(b"false");

/// `true` or `false`, as variables say it.
pub(crate) const fn said(yes: bool) -> Bytes {
    if yes { TRUE } else { FALSE }
}

impl Act {
    pub(super) fn new(site: Site, step: Step) -> Self {
        let reads_form = match &step {
            Step::Lookup(policy) => policy.variables().any(Variable::is_of_form),
            Step::Populate(policy) => policy.variables().any(Variable::is_of_form),
            Step::Invalidate(policy) => policy.variables().any(Variable::is_of_form),
        };
        Self {
            site,
            step,
            reads_form,
            unkeyed: Arc::new(Once::new()),
        }
    }

    /// One that drops entries.
    pub(crate) fn invalidating(site: Site, policy: InvalidateCache) -> Self {
        Self::new(site, Step::Invalidate(policy))
    }

    pub(crate) const fn is_enabled(&self) -> bool {
        match &self.step {
            Step::Lookup(policy) => policy.is_enabled(),
            Step::Populate(policy) => policy.is_enabled(),
            Step::Invalidate(policy) => policy.is_enabled(),
        }
    }

    /// Acts; a fault ends the request.
    pub(super) async fn run(&self, message: &Message<'_>) -> Result<(), Fault> {
        match &self.step {
            Step::Lookup(policy) => {
                self.look_up(policy, message).await;
                Ok(())
            }
            Step::Populate(policy) => match self.populate(policy, message) {
                Err(fault) if !policy.continues_on_error() => Err(fault),
                _ => Ok(()),
            },
            Step::Invalidate(_) => self.invalidate(message),
        }
    }

    async fn look_up(&self, policy: &LookupCache, message: &Message<'_>) {
        let (flow, resource) = (message.flow, &self.site.resource);
        let note = |what, value: Bytes| flow.note("lookupcache", policy.name(), what, value);
        note("cachename", resource.name.to_string().into());
        note("assignto", policy.assign_to().to_string().into());
        note("cachehit", FALSE);
        // What has no key is a miss: nothing was stored for it either.
        let Ok(key) = policy.entry_key(&self.site.place, message) else {
            return;
        };
        note("cachekey", key.to_string().into());
        let looking = resource.cache.get::<Bytes>(key.path());
        let found = within(&resource.cache.clock(), policy.timeout(), looking).await;
        match (found.flatten(), policy.assign_to()) {
            (Some(value), Variable::Application(name)) => {
                flow.assign(name, value);
                note("cachehit", TRUE);
            }
            // A response that is being recorded here goes with what will be stored under the key, as it would
            // with what is.
            _ if respond::in_record() => respond::tag(Ok(key_tags(&resource.cache, &key.path()))),
            _ => {}
        }
    }

    fn populate(&self, policy: &PopulateCache, message: &Message<'_>) -> Result<(), Fault> {
        let (flow, resource) = (message.flow, &self.site.resource);
        let outcome = self.stored(policy, message);
        let failed = match &outcome {
            Ok(()) | Err(Unstored::Overtaken) => false,
            Err(_) => true,
        };
        flow.note("populatecache", policy.name(), "failed", said(failed));
        let (name, fault) = match outcome {
            Ok(()) | Err(Unstored::Overtaken) => return Ok(()),
            Err(Unstored::Unknown(name)) => (name, None),
            Err(Unstored::Refused(why)) => {
                let text = format!(
                    "An entry cannot be cached by {}: {why}; the cache {:?} takes values of up to {} bytes.",
                    policy.name(),
                    resource.name,
                    resource.max_value_bytes
                );
                let name = "EntryCannotBeCached";
                (name, Some(Fault::failed("populatecache", name, text)))
            }
        };
        flow.assign("fault.name", Bytes::from_static(name.as_bytes()));
        fault.map_or(Ok(()), Err)
    }

    /// Stores what was read in this flow.
    fn stored(&self, policy: &PopulateCache, message: &Message<'_>) -> Result<(), Unstored> {
        let resource = &self.site.resource;
        let source = match policy.source() {
            Variable::Application(name) => message.flow.bytes(name),
            variable => message.get(variable).map(|text| text.into_owned().into()),
        };
        let source = source.ok_or(Unstored::Unknown("SourceUnset"))?;
        let key = policy.entry_key(&self.site.place, message);
        let key = key.map_err(|_| Unstored::Unknown("KeyUnresolved"))?;
        if source.len() > resource.max_value_bytes {
            return Err(Unstored::Refused(format!("it has {} bytes", source.len())));
        }
        let now = resource.cache.clock().system_time();
        let life = policy.expiry().lifetime(now, message);
        let life = life.map_err(|_| Unstored::Unknown("NoExpiry"))?;
        let life = Life::from_duration(life);
        // A slice would keep all that it was cut from, and count as no more than itself.
        let value = Bytes::copy_from_slice(&source);
        let stored = message
            .flow
            .store(&resource.cache, &key.path(), value, life);
        match stored.and_then(cache_core::Stored::why_not) {
            None => Ok(()),
            Some(Reason::NotStorable(why @ (NotStorable::KeyParts | NotStorable::TooLarge))) => {
                Err(Unstored::Refused(why.to_string()))
            }
            Some(_) => Err(Unstored::Overtaken),
        }
    }

    /// Drops what an invalidation drops, which no other step does; a fault ends the request.
    pub(crate) fn invalidate(&self, message: &Message<'_>) -> Result<(), Fault> {
        let Step::Invalidate(policy) = &self.step else {
            return Ok(());
        };
        let name = policy.name();
        match self.refused(policy, message) {
            None => Ok(()),
            Some(error) if policy.continues_on_error() => {
                warn_refused(name.as_str(), &error);
                Ok(())
            }
            Some(error) => {
                let text = format!("{name} dropped nothing: {error}");
                Err(Fault::failed("invalidatecache", Fault::REFUSED, text))
            }
        }
    }

    /// The same, where no request is left that a fault could end.
    pub(super) fn invalidate_unheard(&self, message: &Message<'_>) {
        if let Step::Invalidate(policy) = &self.step
            && let Some(error) = self.refused(policy, message)
        {
            warn_refused(policy.name().as_str(), &error);
        }
    }

    /// Drops, and says in the flow what came of it. Why it may not, where that is so.
    fn refused(&self, policy: &InvalidateCache, message: &Message<'_>) -> Option<InvalidateError> {
        let (why, error) = match self.dropped(policy, message) {
            Ok(()) => (None, None),
            Err(Undropped::Unkeyed(error)) => {
                self.unkeyed.call_once(|| warn_unkeyed(policy, &error));
                (Some("KeyUnresolved"), None)
            }
            Err(Undropped::Refused(error)) => (Some(Fault::REFUSED), Some(error)),
        };
        note_outcome(message.flow, policy, why);
        error
    }

    fn dropped(&self, policy: &InvalidateCache, message: &Message<'_>) -> Result<(), Undropped> {
        let cache = &self.site.resource.cache;
        // Applied when called: what the returned value waits for is a delivery that nobody asked of us.
        let applied = |invalidating| match refusal(&invalidating) {
            Some(error) => Err(Undropped::Refused(error.clone())),
            None => Ok(()),
        };
        match policy.purge() {
            Purge::All => applied(cache.clear()),
            Purge::Entry => {
                let key = policy.entry_key(&self.site.place, message)?;
                applied(cache.remove_beneath(&key.path()))
            }
            Purge::ChildEntries => {
                let fragments = policy.fragments(message)?;
                let mut paths = fragments.beneath().into_iter();
                paths.try_for_each(|path| applied(cache.remove_beneath(&path)))
            }
        }
    }
}

/// Says in the flow whether an invalidation failed: why.
pub(super) fn note_outcome(flow: &Flow, policy: &InvalidateCache, why: Option<&'static str>) {
    let failed = said(why.is_some());
    flow.note("invalidatecache", policy.name(), "failed", failed);
    if let Some(why) = why {
        flow.assign("fault.name", Bytes::from_static(why.as_bytes()));
    }
}

/// Why nothing is dropped.
enum Undropped {
    /// The request does not say what: no entry has no key.
    Unkeyed(KeyError),
    Refused(InvalidateError),
}

fn warn_unkeyed(policy: &InvalidateCache, error: &KeyError) {
    let why = match error {
        KeyError::Unresolved { variable } => {
            format!("its key refers to {variable}, which has no value with this request")
        }
        error => error.to_string(),
    };
    let said = format_args!("drops nothing: {why} (said once; the flow has it each time)");
    warn_set_up(policy.name().as_str(), &said);
}

impl From<KeyError> for Undropped {
    fn from(error: KeyError) -> Self {
        Self::Unkeyed(error)
    }
}

/// Why a value is not stored.
enum Unstored {
    /// Something that was stored since it was read is newer.
    Overtaken,
    /// A variable that it needs is not there: what `fault.name` is.
    Unknown(&'static str),
    /// It cannot be.
    Refused(String),
}

/// What `future` comes to by then.
async fn within<F: Future>(clock: &Clock, limit: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut late) = (pin!(future), pin!(None));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if late.is_none() {
            late.set(Some(clock.sleep(limit)));
        }
        match late.as_mut().as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_that_takes_too_long_is_over() {
        let clock = Clock::manual();
        let limit = LookupCache::TIMEOUT;
        assert_eq!(within(&clock, limit, async { 7 }).await, Some(7));
        let mut looking = pin!(within(&clock, limit, std::future::pending::<()>()));
        let mut poll = async || poll_fn(|cx| Poll::Ready(looking.as_mut().poll(cx))).await;
        assert_eq!(poll().await, Poll::Pending);
        clock.advance(limit - Duration::from_millis(1));
        assert_eq!(poll().await, Poll::Pending);
        clock.advance(Duration::from_millis(1));
        assert_eq!(poll().await, Poll::Ready(None));
    }
}
