//! How a cache is set up.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::context;
use crate::engine::{Engine, Settings};
use crate::life::{Life, Span};
use crate::node::{CutOff, Node, NodeSettings, build_identity};
use crate::remote::{Remote, is_namespace};

/// Sets up a [`Cache`]; from [`Cache::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CacheBuilder {
    clock: Clock,
    settings: Settings,
    remote: Option<Arc<dyn Remote>>,
    node: NodeSettings,
}

impl CacheBuilder {
    pub(crate) fn new() -> Self {
        Self {
            clock: Clock::system(),
            settings: Settings {
                max_bytes: 64 << 20,
                default_life: Life::WEEK,
                profiles: HashMap::new(),
                namespace: "revalidate".into(),
                version: "".into(),
                wait_limit: std::time::Duration::from_secs(30),
                max_concurrent_loads: 1024,
                guard_invalidation: false,
            },
            remote: None,
            node: NodeSettings::default(),
        }
    }

    /// The most bytes that the cache keeps: values, keys, tags and its own bookkeeping (default:
    /// 64 MiB). What is used least is given up for what comes new.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Where it reads the time (default: [`Clock::system`]).
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The lifetime of what names none (default: one week, as on Wix), and of each part of a [`Life`]
    /// that one leaves unsaid. Its ttl is a most: what is inside a value and ends sooner ends it sooner.
    /// A scope may have [its own](Cache::default_life).
    ///
    /// # Panics
    ///
    /// On text that is no lifetime.
    #[track_caller]
    pub fn default_life(mut self, life: impl Into<Life>) -> Self {
        self.settings.default_life = life.into();
        self
    }

    /// Registers a lifetime by name, for `#[web_method(cache(life = "name"))]`; it goes before a
    /// built-in profile of the same name.
    ///
    /// # Panics
    ///
    /// On text that is no lifetime.
    #[track_caller]
    pub fn profile(mut self, name: impl Into<String>, life: impl Into<Life>) -> Self {
        self.settings.profiles.insert(name.into(), life.into());
        self
    }

    /// What the cache is called in `Cache-Status` headers, metrics and explanations, and by its
    /// [remote](Self::remote), where it stands in the names of all keys (default: `revalidate`). Caches of two
    /// namespaces share nothing: give each application, and each environment of it, one of its own.
    ///
    /// With a remote it is of 1 to 64 letters of ASCII, digits, `.`, `_` and `-`, else [`build`](Self::build) panics.
    pub fn namespace(mut self, name: impl AsRef<str>) -> Self {
        self.settings.namespace = name.as_ref().into();
        self
    }

    /// The version of what is cached, shown with the namespace, and a part of every key of the second level,
    /// so that two versions read nothing of each other's (default: the identity of the very executable, so
    /// that a deploy begins with nothing). With one that stays the same, entries live across deploys: change
    /// it with the types of what is cached. A field that another release left out is read as `serde`'s default.
    pub fn version(mut self, version: impl AsRef<str>) -> Self {
        self.settings.version = version.as_ref().into();
        self
    }

    /// The most loads of values that run at once (default: 1,024; at least 1). Others wait for their
    /// turn in order, for the [wait limit](Self::wait_limit) at most. A load inside a load needs no
    /// turn of its own. Responses that a layer loads are not counted: a handler runs as soon as it
    /// would without the layer, and only the cached functions that it calls wait for their turn.
    pub fn max_concurrent_loads(mut self, loads: usize) -> Self {
        self.settings.max_concurrent_loads = loads;
        self
    }

    /// How long a caller waits for a load that another began, before it loads for itself (default: 30 s).
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[track_caller]
    pub fn wait_limit(mut self, limit: impl Into<Span>) -> Self {
        self.settings.wait_limit = limit.into().into();
        self
    }

    /// Whether invalidating, removing and clearing, in this process alone too, and
    /// [putting](Cache::put) in the place of what is there are refused inside of web methods that less
    /// than an administrator calls, unless [elevated](crate::elevate), as on Wix (default: no). Code that
    /// no web method runs is the application's own, and free to.
    ///
    /// What a web method spawns, a task or a thread, is such code: neither has a context, so nobody
    /// calls there and nothing is refused. Spawn a task with
    /// [`.in_current_load()`](crate::FutureExt::in_current_load), which takes along who calls and
    /// whether that is elevated; a thread waits for such a future by its runtime's `block_on`.
    pub fn guard_invalidation(mut self, guard: bool) -> Self {
        self.settings.guard_invalidation = guard;
        self
    }

    /// Makes this process one node of many, which share values and tell each other of every invalidation
    /// over this remote, such as Redis. It is connected to in the background: until then, and whenever it
    /// cannot be reached, the cache loads for itself what it may not serve.
    ///
    /// The cache's tasks run in the tokio runtime where it is built, or where it is first used.
    pub fn remote(mut self, remote: impl Remote) -> Self {
        self.remote = Some(Arc::new(remote));
        self
    }

    /// B: a read that begins longer than this after an invalidation was acknowledged by the remote sees it, on
    /// every node, whatever is cut off, frozen or slow (default: 5 s; at least 100 ms). For no longer than
    /// this, and at least half of it, does a node that cannot know what others invalidate serve what it loaded.
    /// Each node asks the remote five to seven times within it.
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[track_caller]
    pub fn proof_bound(mut self, bound: impl Into<Span>) -> Self {
        let least = std::time::Duration::from_millis(100);
        self.node.bound = std::time::Duration::from(bound.into()).max(least);
        self
    }

    /// What a node serves that cannot know what others invalidate (default: [`CutOff::Bounded`]).
    pub fn when_cut_off(mut self, serve: CutOff) -> Self {
        self.node.when_cut_off = serve;
        self
    }

    /// How long a node serves a value before it asks the second level for it again (default: 1 hour).
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[track_caller]
    pub fn max_local_age(mut self, age: impl Into<Span>) -> Self {
        self.node.max_local_age = age.into().into();
        self
    }

    /// How long one answer of the remote is waited for (default: 500 ms; at least 1 ms): a load goes on without
    /// it then.
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[track_caller]
    pub fn remote_timeout(mut self, limit: impl Into<Span>) -> Self {
        let least = std::time::Duration::from_millis(1);
        self.node.limit = std::time::Duration::from(limit.into()).max(least);
        self
    }

    /// How long an invalidation that is awaited waits to be acknowledged by the remote (default: 1 s; 0: not at
    /// all, it is [`Delivery::Queued`](crate::Delivery::Queued) at once). While the remote is away each waits so
    /// long, and with it the handler that awaits it.
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[track_caller]
    pub fn delivery_limit(mut self, limit: impl Into<Span>) -> Self {
        self.node.delivery = limit.into().into();
        self
    }

    /// How long a load waits for the value that another node is loading, before it loads for itself (default:
    /// not at all: each node loads once).
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[track_caller]
    pub fn lease(mut self, limit: impl Into<Span>) -> Self {
        self.node.lease = limit.into().into();
        self
    }

    /// How values that have serde's traits are written in the second level (default: MessagePack). Nodes of several
    /// settings read each other's: an entry says what it holds. Bytes, responses and what
    /// [writes itself](crate::RemoteCodec::new) are the same in each.
    #[cfg(feature = "json")]
    pub fn remote_format(mut self, format: crate::RemoteFormat) -> Self {
        self.node.format = format;
        self
    }

    /// Above how many bytes values are compressed in the second level, by zstd (default: 4 KiB).
    #[cfg(feature = "zstd")]
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.node.compress_above = bytes;
        self
    }

    /// The most bytes of one value in the second level, compressed where it is (default: 1 MiB). Larger ones
    /// stay in the process: they are [counted](crate::RemoteStats::too_large), and it is said, once, whose they are.
    pub fn max_remote_bytes(mut self, bytes: usize) -> Self {
        self.node.max_value = bytes;
        self
    }

    /// Builds the cache. It is used where it is [installed](Cache::install), [entered](Cache::enter),
    /// given to a layer, or called by its own methods.
    ///
    /// # Panics
    ///
    /// With a remote, on a namespace that cannot stand in the names of its keys.
    #[must_use]
    #[track_caller]
    pub fn build(self) -> Cache {
        context::note_built();
        self.build_quietly()
    }

    #[track_caller]
    pub(crate) fn build_quietly(self) -> Cache {
        let namespace = &self.settings.namespace;
        assert!(
            self.remote.is_none() || is_namespace(namespace),
            "the namespace {namespace:?} is to stand in the names of the remote's keys: \
             1 to 64 letters, digits, `.`, `_` or `-`"
        );
        let version = match &self.settings.version {
            said if said.is_empty() && self.remote.is_some() => build_identity(),
            said => Arc::clone(said),
        };
        let node = self
            .remote
            .map(|remote| Node::new(remote, self.node, Arc::clone(namespace), version));
        Cache::over(Engine::new(self.clock, self.settings, node))
    }
}
