//! The cache under test, with loaders that do what they are told and tell what happens.
//!
//! Everything runs on one thread. Nothing is invalidated inside the runtime, so that no sweeper
//! starts: it changes no value, only for how long a reason is remembered.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Access, Cache, Clock, IntoTags, Life, Pending, Reason, cache_tag, observe};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::reference::{End, Got, Plan, Seen, Shown};

/// What a loader is told to do next.
pub(crate) enum Told {
    Tag(String),
    Read { reader: usize, key: usize },
    End(End),
}

#[derive(Default)]
struct Shared {
    seen: Vec<Seen>,
    loads: HashMap<usize, UnboundedSender<Told>>,
}

/// What every reader and loader has.
struct World {
    /// The views that the keys are in.
    views: Vec<Cache>,
    plans: Vec<Plan>,
    shared: Mutex<Shared>,
}

pub(crate) struct Harness {
    runtime: Runtime,
    clock: Clock,
    world: Arc<World>,
    readers: HashMap<usize, JoinHandle<()>>,
    pending: HashMap<usize, Pending>,
}

impl Plan {
    fn life(&self) -> Life {
        Life::from_secs(self.ttl)
            .stale_while_revalidate(self.stale_while_revalidate)
            .stale_if_error(self.stale_if_error)
            .refresh_ahead(self.refresh_ahead)
    }
}

impl World {
    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }

    /// One read with a loader; its outcome is noted.
    fn read(
        self: Arc<Self>,
        reader: usize,
        key: usize,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let world = Arc::clone(&self);
            let load = move || world.load(reader);
            let plan = &self.plans[key];
            let fetch = self.views[key].fetch(key, plan.life(), plan.tags.clone(), load);
            let (got, reads) = observe(fetch).await;
            let [Access { reason, joined, .. }] = reads[..] else {
                panic!("one read was {reads:?}");
            };
            let got = got.map_or_else(|()| Got::Error, Got::Value);
            let seen = Seen::Done {
                reader,
                got,
                reason: Some(reason),
                joined,
            };
            self.shared().seen.push(seen);
        })
    }

    async fn load(self: Arc<Self>, reader: usize) -> Result<u64, ()> {
        let (tell, mut told): (_, UnboundedReceiver<Told>) = unbounded_channel();
        {
            let mut shared = self.shared();
            shared.seen.push(Seen::Began(reader));
            shared.loads.insert(reader, tell);
        }
        loop {
            match told.recv().await.expect("the test tells") {
                Told::Tag(tag) => cache_tag(tag),
                Told::Read { reader, key } => Arc::clone(&self).read(reader, key).await,
                Told::End(End::Value) => return Ok(reader as u64),
                Told::End(End::Error) => return Err(()),
                // Without the hook's message.
                Told::End(End::Panic) => resume_unwind(Box::new("told to panic")),
            }
        }
    }
}

impl Harness {
    pub(crate) fn new(plans: Vec<Plan>) -> Self {
        let clock = Clock::manual();
        let cache = Cache::builder().clock(clock.clone()).build();
        let views = plans.iter().map(|plan| match plan.implied.len() {
            1 => cache.clone(),
            _ => cache.scope("scope"),
        });
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            clock,
            world: Arc::new(World {
                views: views.collect(),
                plans,
                shared: Mutex::default(),
            }),
            readers: HashMap::new(),
            pending: HashMap::new(),
        }
    }

    /// The cache itself, or its scope.
    pub(crate) fn view(&self, scope: bool) -> Cache {
        let at = self
            .world
            .plans
            .iter()
            .position(|plan| (plan.implied.len() > 1) == scope);
        self.world.views[at.expect("there is a key of each")].clone()
    }

    /// Lets everything run until it waits, and takes what was seen.
    pub(crate) fn settle(&mut self) -> Vec<Seen> {
        self.runtime.block_on(async {
            let mut quiet = 0;
            let mut seen = 0;
            while quiet < 24 {
                tokio::task::yield_now().await;
                let now = self.world.shared().seen.len();
                quiet = if now == seen { quiet + 1 } else { 0 };
                seen = now;
            }
        });
        let mut seen = std::mem::take(&mut self.world.shared().seen);
        let ended: Vec<_> = self
            .readers
            .iter()
            .filter(|(_, task)| task.is_finished())
            .map(|(reader, _)| *reader)
            .collect();
        for reader in ended {
            let task = self.readers.remove(&reader).expect("it was there");
            if let Err(error) = self.runtime.block_on(task) {
                let panic = error.into_panic();
                if panic.downcast_ref() != Some(&"told to panic") {
                    resume_unwind(panic);
                }
                seen.push(Seen::Done {
                    reader,
                    got: Got::Panic,
                    reason: None,
                    joined: false,
                });
            }
        }
        seen
    }

    pub(crate) fn read(&mut self, reader: usize, key: usize) {
        let read = Arc::clone(&self.world).read(reader, key);
        self.readers.insert(reader, self.runtime.spawn(read));
    }

    pub(crate) fn leave(&mut self, reader: usize) {
        let task = self.readers.remove(&reader).expect("it waits");
        task.abort();
    }

    pub(crate) fn tell(&self, load: usize, told: Told) {
        let tell = self.world.shared().loads[&load].clone();
        assert!(tell.send(told).is_ok(), "load {load} does not run");
    }

    pub(crate) fn look(&self, key: usize) -> (Option<u64>, Reason) {
        let view = &self.world.views[key];
        let (value, reads) = self.runtime.block_on(observe(view.get::<u64>(key)));
        (value, reads[0].reason)
    }

    pub(crate) fn show(&self, key: usize) -> Shown {
        let shown = self.world.views[key].explain(key);
        let mut tags = shown.tags;
        tags.sort();
        Shown {
            reason: shown.reason,
            tags,
            age: shown.age.as_secs(),
            fresh_for: shown.fresh_for.as_secs(),
            running: shown.running,
        }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn remove(&self, key: usize) {
        drop(self.world.views[key].remove(key));
    }

    pub(crate) fn put<M>(&self, key: usize, value: u64, tags: impl IntoTags<M>) {
        let life = self.world.plans[key].life();
        let stored = self.world.views[key].put(key, value, life, tags);
        assert!(stored.is_stored());
    }

    pub(crate) fn begin(&mut self, key: usize, id: usize) {
        let pending = self.world.views[key].begin(key);
        self.pending.insert(id, pending);
    }

    pub(crate) fn put_from<M>(
        &mut self,
        id: usize,
        key: usize,
        value: u64,
        tags: impl IntoTags<M>,
    ) -> Option<Reason> {
        let pending = self.pending.remove(&id).expect("it was begun");
        let life = self.world.plans[key].life();
        let stored = self.world.views[key].put_from(pending, value, life, tags);
        stored.why_not()
    }

    pub(crate) fn forget(&mut self, id: usize) {
        self.pending.remove(&id);
    }

    /// What runs, for the end.
    pub(crate) fn running(&self) -> u64 {
        self.world.views[0].stats().running
    }
}
