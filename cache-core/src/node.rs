//! This process as one node of many: what it has learned of the others' invalidations, and since when
//! that is proven.
//!
//! Data goes one way. The *keeper* holds a session with the server and follows its log; what it reads is
//! *learned*: applied here as local invalidations, so that a hit stays a comparison of local numbers. What is
//! invalidated here goes into the *outbox*, from where it is appended to the log. A load asks the second
//! *level* before its source, and its value is *shared* there after it has landed.

mod keeper;
mod learn;
mod level;
mod outbox;
mod place;
mod share;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

pub use self::level::Accepting;
pub(crate) use self::level::{Answer, Asking, Place};
use self::outbox::Outbox;
pub(crate) use self::place::build_identity;
pub(crate) use self::share::Shared;
use crate::clock::nanos;
use crate::engine::Engine;
use crate::entry::{Entry, Unproven};
use crate::key::{Function, Key, KeyRef, Space};
use crate::marks::Kind;
use crate::outward::{tell_remote_answers, warn_local, warn_remote_failed, warn_too_large};
use crate::path;
use crate::remote::{Position, Remote, RemoteError, RemoteFormat, Session, Token};
use crate::stats::{RemoteStats, Told};
use crate::sync::{Mutex, lock};
use crate::tag::TagName;

/// Of so many functions, scopes and routes it is said that their values stay here: scopes may be any number.
const MOST_SAID: usize = 100;

/// Why a value stays here, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stays {
    OfItsType,
    TooLarge,
}

/// What a node serves that cannot know what the others invalidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CutOff {
    /// What was loaded within the [bound](crate::CacheBuilder::proof_bound), and on errors what has a window of
    /// [`stale_if_error`](crate::Life::stale_if_error). All else is loaded anew.
    #[default]
    Bounded,
    /// Everything until its lifetime ends: other nodes' invalidations may be unknown for as long.
    ServeUntilTtl,
}

/// What the builder decided about the remote.
#[derive(Debug)]
pub(crate) struct NodeSettings {
    /// B: a read that begins longer than this after an invalidation was acknowledged sees it.
    pub(crate) bound: Duration,
    /// For one answer of the remote.
    pub(crate) limit: Duration,
    /// How long an invalidation waits for its acknowledgement when it is awaited.
    pub(crate) delivery: Duration,
    /// After it the second level is asked.
    pub(crate) max_local_age: Duration,
    pub(crate) when_cut_off: CutOff,
    /// How long a load waits for that of another node.
    pub(crate) lease: Duration,
    /// The most bytes of one entry of the second level.
    pub(crate) max_value: usize,
    /// How values are written.
    pub(crate) format: RemoteFormat,
    /// Values of more bytes are compressed.
    pub(crate) compress_above: usize,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            bound: Duration::from_secs(5),
            limit: Duration::from_millis(500),
            delivery: Duration::from_secs(1),
            max_local_age: Duration::from_secs(3600),
            when_cut_off: CutOff::Bounded,
            lease: Duration::ZERO,
            max_value: 1 << 20,
            format: RemoteFormat::default(),
            compress_above: 4 << 10,
        }
    }
}

/// What a node knows of the log.
#[derive(Default)]
struct Known {
    session: Option<Arc<dyn Session>>,
    /// Of the server that it last had a session with.
    epoch: Option<Arc<str>>,
    /// The last record before which everything has been applied.
    at: Option<Position>,
    /// Records after that one which were applied, and not yet shown to follow it without a gap.
    ahead: HashSet<Token>,
    last_ahead: Option<Position>,
    /// Counts how often everything was forgotten: what was asked before says nothing after.
    resets: u64,
}

/// What is counted of a node.
#[derive(Debug)]
pub(crate) struct NodeCounters {
    pub(crate) hits: Told,
    pub(crate) misses: Told,
    pub(crate) refused: Told,
    pub(crate) unreadable: Told,
    pub(crate) shared: Told,
    pub(crate) unshared: Told,
    pub(crate) too_large: Told,
    pub(crate) local_only: Told,
    pub(crate) errors: Told,
    pub(crate) epochs: Told,
    pub(crate) resets: Told,
    pub(crate) learned: Told,
    /// Values on their way to the second level now.
    pub(crate) sharing: AtomicU64,
}

impl NodeCounters {
    const fn new() -> Self {
        Self {
            hits: Told::new("revalidate_remote_hits_total"),
            misses: Told::new("revalidate_remote_misses_total"),
            refused: Told::new("revalidate_remote_refused_total"),
            unreadable: Told::new("revalidate_remote_unreadable_total"),
            shared: Told::new("revalidate_remote_shared_total"),
            unshared: Told::new("revalidate_remote_unshared_total"),
            too_large: Told::new("revalidate_remote_too_large_total"),
            local_only: Told::new("revalidate_remote_local_only_total"),
            errors: Told::new("revalidate_remote_errors_total"),
            epochs: Told::new("revalidate_remote_epochs_total"),
            resets: Told::new("revalidate_remote_resets_total"),
            learned: Told::new("revalidate_remote_invalidations_total"),
            sharing: AtomicU64::new(0),
        }
    }
}

/// One node.
pub(crate) struct Node {
    pub(crate) settings: NodeSettings,
    pub(crate) outbox: Outbox,
    pub(crate) counters: NodeCounters,
    remote: Arc<dyn Remote>,
    /// Whose nodes it is one of.
    namespace: Arc<str>,
    /// Of this process and cache, as other nodes see it in its records.
    origin: Token,
    /// What its entries of the second level are named by beside their keys.
    version: Arc<str>,
    known: Mutex<Known>,
    /// The functions that were called here, for keys that other nodes remove.
    functions: Mutex<HashMap<(&'static str, &'static str), &'static Function>>,
    /// When what is known was last shown to be all, in the cache's time; 0 before the first time.
    last_current: AtomicU64,
    /// Tells who waits that the session, or what is known, changed.
    changed: watch::Sender<u64>,
    /// Has the keeper look at once.
    nudge: Notify,
    kept: AtomicBool,
    /// It was said that the remote fails.
    failing: AtomicBool,
    /// Whose values do not go to other nodes, and why: it was said.
    said: Mutex<HashSet<(Stays, String)>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Node {
    pub(crate) fn new(
        remote: Arc<dyn Remote>,
        settings: NodeSettings,
        namespace: Arc<str>,
        version: Arc<str>,
    ) -> Self {
        Self {
            settings,
            outbox: Outbox::default(),
            counters: NodeCounters::new(),
            remote,
            namespace,
            origin: Token::random(),
            version,
            known: Mutex::default(),
            functions: Mutex::default(),
            last_current: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            nudge: Notify::new(),
            kept: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            said: Mutex::default(),
        }
    }

    pub(crate) fn is_bounded(&self) -> bool {
        self.settings.when_cut_off == CutOff::Bounded
    }

    /// The least bound of an entry: all are spread between it and the whole.
    fn least_bound(&self) -> u64 {
        nanos(self.settings.bound) / 2
    }

    /// The session, where there is one and what is known is of its server.
    pub(crate) fn session(&self) -> Option<Arc<dyn Session>> {
        lock(&self.known).session.clone()
    }

    /// Whether it has a session and has once been current by it.
    pub(crate) fn is_connected(&self) -> bool {
        let known = lock(&self.known);
        known.session.is_some() && known.at.is_some()
    }

    pub(crate) fn last_current(&self) -> u64 {
        self.last_current.load(Ordering::Acquire)
    }

    /// Waits until `done` says so of the node. Cancel-safe.
    pub(crate) async fn until(&self, mut done: impl FnMut(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        while !done(self) {
            // Its sender is ours.
            let _ = changed.changed().await;
        }
    }

    pub(crate) fn tell(&self) {
        self.changed
            .send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn count_error(&self, error: &RemoteError) {
        self.counters.errors.count();
        // An outage is told of once, however long it is, and so is its end.
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn_remote_failed(error);
        }
        #[cfg(feature = "tracing")]
        tracing::debug!(%error, "the remote failed");
    }

    /// Notes that the remote answered as it should.
    fn answers(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tell_remote_answers();
        }
    }

    /// Counts an error, and gives up the session where it is of no more use.
    fn failed(&self, session: &Arc<dyn Session>, error: &RemoteError) {
        self.count_error(error);
        if error.ends_session() {
            self.leave(session);
        }
    }

    /// Whether values are on their way to the second level.
    pub(crate) fn is_sharing(&self) -> bool {
        self.counters.sharing.load(Ordering::Relaxed) > 0
    }

    /// Has the log looked at.
    pub(crate) fn look_now(&self) {
        self.nudge.notify_one();
    }

    /// Has its tasks see that the cache is gone.
    pub(crate) fn end(&self) {
        self.look_now();
        self.tell();
    }

    fn leave(&self, session: &Arc<dyn Session>) {
        let mut known = lock(&self.known);
        if known
            .session
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, session))
        {
            known.session = None;
            drop(known);
            self.look_now();
            self.tell();
        }
    }

    /// How long ago it last was current; `None` before the first time.
    fn current_ago(&self, now: u64) -> Option<Duration> {
        let last = Some(self.last_current()).filter(|last| *last > 0);
        last.map(|last| Duration::from_nanos(now.saturating_sub(last)))
    }

    pub(crate) fn stats(&self, now: u64) -> RemoteStats {
        let counters = &self.counters;
        RemoteStats {
            connected: self.is_connected(),
            last_current: self.current_ago(now),
            hits: counters.hits.read(),
            misses: counters.misses.read(),
            refused: counters.refused.read(),
            unreadable: counters.unreadable.read(),
            shared: counters.shared.read(),
            unshared: counters.unshared.read(),
            too_large: counters.too_large.read(),
            local_only: counters.local_only.read(),
            outbox: self.outbox.len() as u64,
            learned: counters.learned.read(),
            epochs: counters.epochs.read(),
            resets: counters.resets.read(),
            errors: counters.errors.read(),
        }
    }

    /// Whether it is to be said of these values that they stay here: once, and of so many alone.
    fn says(&self, why: Stays, name: &str) -> bool {
        let mut said = lock(&self.said);
        let so_far = said.iter().filter(|(reason, _)| *reason == why).count();
        so_far < MOST_SAID && said.insert((why, name.to_owned()))
    }

    /// Counts a value of so many bytes that is larger than the second level takes, and says whose it is.
    #[cold]
    fn refuse_too_large(&self, place: &[u8], entry: &Entry, bytes: usize) {
        self.counters.too_large.count();
        let key = self.key_of(place);
        let name = match key.as_ref().map(Key::space) {
            // Of all responses that is the same.
            None | Some(Space::Http) => {
                path::best_known(entry.tags.iter().map(|tag| &**tag.name()))
            }
            Some(space) => Some(space.name().into()),
        };
        let name = name.unwrap_or("http".into());
        if self.says(Stays::TooLarge, &name) {
            warn_too_large(&name, bytes, self.settings.max_value);
        }
    }

    /// Remembers a function whose keys other nodes may remove.
    pub(crate) fn knows(&self, space: &Space) {
        if let Space::Function(function) = space {
            let mut functions = lock(&self.functions);
            functions.insert((function.path(), function.version()), function);
        }
    }
}

impl Engine {
    /// For how long at least what nobody proved may be served; for ever without other nodes.
    pub(crate) fn least_bound(&self) -> u64 {
        self.node
            .as_ref()
            .map_or(u64::MAX, |node| node.least_bound())
    }

    /// Gives an entry its bounds as one node's copy.
    pub(crate) fn bound_by_node<V>(&self, entry: &mut Entry<V>) {
        let Some(node) = &self.node else { return };
        let least = node.least_bound();
        let extra = fastrand::u64(0..=least);
        entry.unproven_for = Unproven {
            bound: least.saturating_add(extra),
            extra,
        };
        let here = entry
            .asked_at
            .saturating_add(nanos(node.settings.max_local_age));
        entry.expire_here_by(here);
    }

    /// Has other nodes told of an invalidation; returns the ticket of its delivery.
    pub(crate) fn tell_nodes(self: &Arc<Self>, kind: Kind, names: &[TagName]) -> Option<u64> {
        let node = self.node.as_ref()?;
        let ticket = node.outbox.add(kind, names)?;
        self.begin_node();
        node.tell();
        Some(ticket)
    }

    /// Has other nodes told that a key is removed.
    pub(crate) fn tell_nodes_of(self: &Arc<Self>, key: &KeyRef<'_>) -> Option<u64> {
        let node = self.node.as_ref()?;
        let ticket = node.outbox.add_key(node.place(key));
        self.begin_node();
        node.tell();
        Some(ticket)
    }

    /// Counts a value that cannot go to other nodes, and says it, once.
    #[cold]
    pub(crate) fn stays_local(&self, space: &Space) {
        let Some(node) = &self.node else { return };
        node.counters.local_only.count();
        if node.says(Stays::OfItsType, space.name()) {
            warn_local(space.name());
        }
    }

    /// Starts what keeps a node current, where a runtime is at hand; else the next call that has one does.
    pub(crate) fn begin_node(self: &Arc<Self>) {
        let Some(node) = &self.node else { return };
        if tokio::runtime::Handle::try_current().is_err() || node.kept.swap(true, Ordering::SeqCst)
        {
            return;
        }
        keeper::begin(self, node);
    }
}
