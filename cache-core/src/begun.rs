//! A store whose key is known only once the value is: what a gateway's flow needs, which reads what it
//! stores somewhere between a request and its response.

use std::sync::Arc;

use crate::cache::{Cache, Stored};
use crate::key::{KeyPath, KeyRef, encoded};
use crate::ledger::Running;
use crate::life::Life;
use crate::reason::Reason;
use crate::weight::CacheWeight;

/// The moment since which values were read. Held, it keeps the marks of tags that nobody has yet.
///
/// Unlike a [`Pending`](crate::Pending) it is attached to no key, and so does not see a key's removal. It
/// stores under paths alone, whose removal is the invalidation of a tag.
#[derive(Debug)]
pub struct Begun {
    cache: Cache,
    running: Running,
    began: u64,
}

impl Begun {
    /// Begins now.
    #[must_use]
    pub fn now(cache: &Cache) -> Self {
        let running = cache.engine().ledger.begin();
        Self {
            cache: cache.clone(),
            began: cache.engine().clock.now().0,
            running,
        }
    }

    /// Whether it is of this cache, or of a scope in it.
    #[must_use]
    pub fn is_of(&self, cache: &Cache) -> bool {
        crate::respond::same_cache(&self.cache, cache)
    }

    /// Stores in `scope`, of the same cache, a value that was read since it began, unless a beginning of
    /// its path or the scope was invalidated since. Its lifetime counts from then, as the value may be as
    /// old as that.
    pub fn put<V>(&self, scope: &Cache, path: &KeyPath, value: V, life: Life) -> Stored
    where
        V: CacheWeight + Clone + Send + Sync + 'static,
    {
        debug_assert!(
            self.is_of(scope),
            "numbers of two caches mean nothing to each other"
        );
        let engine = scope.engine();
        let bytes = encoded(path);
        if let Some(flaw) = bytes.flaw {
            return Stored(Some(Reason::NotStorable(flaw)));
        }
        let key = KeyRef::new(scope.space(), &bytes.bytes).to_key();
        let times = (self.running.start, self.began);
        // While it is on its way to other nodes it is attached, so that a removal of the key is seen.
        let pending = engine.node.as_ref().map(|_| engine.attach_pending(&key));
        let made = scope.made(&key, value, life, Ok(Vec::new()), times);
        let fate = made.and_then(|entry| {
            engine.insert_beside(&key, Arc::clone(&entry))?;
            Ok(entry)
        });
        if let Some(pending) = pending {
            match &fate {
                Ok(entry) => {
                    let running = self.running.also();
                    engine.share_value::<V>(entry, running, &key, pending, None);
                }
                Err(_) => drop(engine.land_pending(&key, pending, None, None)),
            }
        }
        let fate = fate.map(|_| ());
        if let Err(reason) = fate {
            engine.trace.note(key.hash(), reason);
        } else {
            engine.stored();
        }
        Stored(fate.err())
    }
}
