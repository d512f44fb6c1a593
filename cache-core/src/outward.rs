//! What a read tells: the load or response around it, who observes it, and the outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::context::{Access, Context};
use crate::engine::Engine;
use crate::entry::Entry;
use crate::key::Space;
use crate::reason::Reason;
use crate::record::{Record, Recorded};
use crate::stats::Counters;
use crate::tag::TagName;

/// Tells the enclosing load or response what an inner value carries.
pub(crate) fn flow(context: &Context, engine: &Arc<Engine>, entry: &Entry, stale: bool) {
    let Some(record) = &context.record else {
        return;
    };
    let open = match foreign(record, engine) {
        None => record.absorb(entry, stale || entry.born_stale),
        Some(outer) => {
            let mut recorded = Recorded::new();
            entry.tags.iter().for_each(|tag| recorded.add(tag));
            recorded.partial = entry.partial;
            recorded.filled_at = entry.filled_at;
            recorded.asked_at = entry.asked_at;
            recorded.fresh_until = entry.full_until;
            recorded.stale = stale || entry.born_stale;
            recorded.failed = entry.failed;
            recorded.by_caller = entry.by_caller;
            record.absorb_recorded(&translated(recorded, engine, outer))
        }
    };
    if !open {
        late(engine);
    }
}

pub(crate) fn flow_recorded(context: &Context, engine: &Arc<Engine>, recorded: Recorded) {
    let Some(record) = &context.record else {
        return;
    };
    let recorded = match foreign(record, engine) {
        None => recorded,
        Some(outer) => translated(recorded, engine, outer),
    };
    if !record.absorb_recorded(&recorded) {
        late(engine);
    }
}

/// The engine of the enclosing record, where it is another one's.
fn foreign<'a>(record: &'a Record, engine: &Arc<Engine>) -> Option<&'a Arc<Engine>> {
    (!Arc::ptr_eq(&record.engine, engine)).then_some(&record.engine)
}

/// Numbers, records and moments of one cache mean nothing in another: tags go by name, and moments
/// by what is left.
fn translated(mut recorded: Recorded, from: &Engine, to: &Engine) -> Recorded {
    let names: Vec<_> = recorded
        .tags
        .iter()
        .map(|tag| TagName::from_raw(tag.name()))
        .collect();
    recorded.tags = to.ledger.records(&names);
    let (then, now) = (from.clock.now().0, to.clock.now().0);
    let moved = |moment: u64| match moment {
        u64::MAX => u64::MAX,
        moment if moment >= then => now.saturating_add(moment - then),
        moment => now.saturating_sub(then - moment),
    };
    recorded.filled_at = moved(recorded.filled_at);
    recorded.asked_at = moved(recorded.asked_at);
    recorded.fresh_until = moved(recorded.fresh_until);
    recorded
}

/// A tag came after the load that it was meant for had ended.
pub(crate) fn late(engine: &Engine) {
    Counters::count(&engine.counters.late_tags);
    #[cfg(feature = "metrics")]
    metrics::counter!("revalidate_late_tags_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(
        "a cached call or a tag came after the load it was made in had ended; its tags are lost there: \
         await what the body starts, or end it before the body returns"
    );
}

/// Says, once, that what asked to be cached is not: without tracing there is only standard error.
#[cold]
pub(crate) fn warn_no_cache(name: &str) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            name,
            "not cached: a `Cache` was built but is neither installed nor entered here, nor given to the layer"
        );
        #[cfg(not(feature = "tracing"))]
        eprintln!(
            "revalidate: `{name}` is not cached: a `Cache` was built but is neither installed \
             (`.install()`) nor entered (`cache.enter(..)`) here, nor given to the layer (`.cache(..)`)"
        );
    });
}

/// Says that an invalidation was refused of which its caller does not hear, each time: what it was to drop is
/// served on.
#[cold]
pub fn warn_refused(name: &str, error: &crate::InvalidateError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(name, %error, "nothing was invalidated");
    #[cfg(not(feature = "tracing"))]
    eprintln!("revalidate: `{name}` invalidated nothing: {error}");
}

/// Says that what was set up does something else than was likely meant by it.
#[cold]
pub fn warn_set_up(name: &str, problem: &dyn std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(name, "{problem}");
    #[cfg(not(feature = "tracing"))]
    eprintln!("revalidate: `{name}` {problem}");
}

/// Says, once, that a function's profile is none that the cache has, so that its values are not stored.
#[cold]
pub(crate) fn warn_unknown_profile(name: &str, profile: &str) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        #[cfg(feature = "tracing")]
        tracing::warn!(name, profile, "not cached: the cache has no such profile");
        #[cfg(not(feature = "tracing"))]
        eprintln!(
            "revalidate: `{name}` is not cached: `{profile}` is neither a profile of the cache \
             (`Cache::builder().profile(..)`) nor one of seconds, minutes, hours, days, weeks, max"
        );
    });
}

/// Says, once, that a function's values are not stored as they are its callers' own.
#[cold]
pub(crate) fn warn_asked_caller(name: &str) {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            name,
            "not cached: it asks who is calling, and its key does not hold that"
        );
        #[cfg(not(feature = "tracing"))]
        eprintln!(
            "revalidate: `{name}` is not cached: it asks `Caller::current()`, and its key does not hold \
             that: `cache(key = (Caller::current(), ..))`"
        );
    });
}

/// Says that a function's or scope's values stay in their process although the cache has a remote.
#[cold]
pub(crate) fn warn_local(name: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        name,
        "its values stay in this process: their type cannot go to other nodes. Derive serde's traits for it, or \
         say `cache(local)`; under a key of your own, give it a `remote_codec` in its `CacheWeight`"
    );
    #[cfg(not(feature = "tracing"))]
    eprintln!(
        "revalidate: the values of `{name}` stay in this process: their type cannot go to other nodes. Derive \
         serde's traits for it, or say `cache(local)`; under a key of your own, give it a `remote_codec` in its `CacheWeight`"
    );
}

/// Says that a value is too large for the remote, of a function, a scope or a route.
#[cold]
pub(crate) fn warn_too_large(name: &str, bytes: usize, most: usize) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        name,
        bytes,
        most,
        "its value stays in this process, as it is larger than the remote may hold (compressed or not): raise `max_remote_bytes`"
    );
    #[cfg(not(feature = "tracing"))]
    eprintln!(
        "revalidate: a value of `{name}` stays in this process, as its {bytes} bytes are more than the {most} that \
         the remote may hold, compressed or not: raise `max_remote_bytes`"
    );
}

/// Says that the remote fails, once until it answers again.
#[cold]
pub(crate) fn warn_remote_failed(error: &crate::remote::RemoteError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(%error, "the remote failed: values are loaded, invalidations wait until it answers");
    #[cfg(not(feature = "tracing"))]
    eprintln!("revalidate: {error}: values are loaded, invalidations wait until it answers");
}

#[cold]
pub(crate) fn tell_remote_answers() {
    #[cfg(feature = "tracing")]
    tracing::info!("the remote answers again");
    #[cfg(not(feature = "tracing"))]
    eprintln!("revalidate: the remote answers again");
}

/// Says that the installed cache comes after the one that was in use.
#[cold]
pub(crate) fn warn_late_install() {
    #[cfg(feature = "tracing")]
    tracing::warn!("a cache was installed after the default one was used: it begins empty");
    #[cfg(not(feature = "tracing"))]
    eprintln!(
        "revalidate: a cache was installed after the default one was used, whose values and \
         invalidations it does not know: install it before anything is cached"
    );
}

/// Tells the outside what a read came to, where a feature asks for it.
#[inline]
pub(crate) fn tell(space: &Space, reason: Reason, joined: bool) {
    // Constant labels are a constant key: a hit allocates nothing with this feature either.
    #[cfg(feature = "metrics")]
    match reason {
        Reason::Hit => metrics::counter!("revalidate_reads_total", "reason" => "hit").increment(1),
        other => {
            metrics::counter!("revalidate_reads_total", "reason" => other.as_str()).increment(1);
        }
    }
    #[cfg(feature = "tracing")]
    tracing::debug!(
        name = space.name(),
        reason = reason.as_str(),
        joined,
        "cached read"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (space, reason, joined);
}

/// Tells who watches: the response that the read was made for, and an observer.
pub(crate) fn note(
    context: &Context,
    space: &Space,
    reason: Reason,
    joined: bool,
    began: Option<Instant>,
) {
    if let Some(record) = &context.record
        && context.load.as_ref().is_none_or(|load| load.response)
        && *space != Space::Http
    {
        record.read(space, reason);
    }
    if let Some(observer) = &context.observer {
        observer.note(Access {
            name: space.name().into(),
            reason,
            joined,
            took: began.map_or(Duration::ZERO, |began| began.elapsed()),
        });
    }
}
