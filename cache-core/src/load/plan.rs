//! What a call decides before its load begins.

use std::sync::Arc;

use super::{Call, CallOptions, Sharing};
use crate::cache::Cache;
use crate::caller::Caller;
use crate::context::Observer;
use crate::engine::{Engine, LifeChoice};
use crate::key::Space;
use crate::life::Life;
use crate::marks::TagRecord;
use crate::node::{Accepting, Asking};
use crate::outward::warn_unknown_profile;
use crate::path_marks::RequestPath;
use crate::permit::Permit;
use crate::reason::NotStorable;
use crate::record::Record;
use crate::remote::Coding;

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
    /// How other nodes are asked first; `None` where none may have it.
    pub(super) asking: Option<Asking<V>>,
}

impl<V: Clone + Send + Sync + 'static> Call<V> {
    /// How the lifetime is decided that the options name.
    pub(super) fn choice(
        &self,
        cache: &Cache,
        options: &CallOptions<V>,
    ) -> Result<LifeChoice, NotStorable> {
        let profile = |name| {
            let profiles = &cache.engine().settings.profiles;
            let registered = profiles.get(name).copied();
            registered.or_else(|| Life::profile(name)).ok_or_else(|| {
                warn_unknown_profile(self.space.name(), name);
                NotStorable::UnknownProfile
            })
        };
        let said = match (options.life, options.profile) {
            (Some(life), _) => life,
            (None, Some(name)) => profile(name)?,
            (None, None) => Life::default(),
        };
        Ok(match self.space {
            Space::Scope(_) => cache.choice(said),
            // One function has one lifetime, whatever view of the cache it is called in.
            Space::Function(_) | Space::Http => cache.engine().choice(said),
        })
    }

    /// What of the second level will do for this call. What is stored there does not say which requests'
    /// paths were invalidated since.
    fn accepting(&self, engine: &Engine) -> Accepting {
        let path = self
            .context
            .as_ref()
            .and_then(|context| context.path.as_ref());
        if self.forced || engine.paths.newest(path) > 0 {
            Accepting::Nothing
        } else if self.served || self.fresh_only() {
            Accepting::Fresh
        } else {
            Accepting::Servable
        }
    }

    /// How other nodes are asked for the value, where they may have it.
    fn asking(&self, engine: &Engine, options: &CallOptions<V>) -> Option<Asking<V>> {
        engine.node.as_ref()?;
        match options.sharing {
            Sharing::Shared(codec) => Some(Asking {
                coding: Coding::Value(codec),
                weigh: options.weigh,
                accepting: self.accepting(engine),
            }),
            Sharing::Cannot => {
                engine.stays_local(&self.space);
                None
            }
            Sharing::Local => None,
        }
    }

    pub(super) fn plan(
        &self,
        cache: &Cache,
        options: &CallOptions<V>,
        tags: &[Arc<TagRecord>],
    ) -> Plan<V> {
        let choice = self.choice(cache, options);
        let asking = self.asking(cache.engine(), options);
        let asking = asking.filter(|_| choice.is_ok());
        Plan {
            cache: cache.clone(),
            around: self
                .context
                .as_ref()
                .and_then(|context| context.record.clone()),
            observer: self
                .context
                .as_ref()
                .and_then(|context| context.observer.clone()),
            permit: self.load_scope().and_then(|load| load.permit.clone()),
            path: self
                .context
                .as_ref()
                .and_then(|context| context.path.clone()),
            tags: tags.to_vec(),
            choice,
            asking,
            caller: self
                .context
                .as_ref()
                .and_then(|context| context.caller.clone()),
            by_caller: options.by_caller || options.keyed_on_caller,
            keyed_on_caller: options.keyed_on_caller,
            weigh: options.weigh,
        }
    }
}
