//! One flight, and those aboard: who waits for it, and who carries its load.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;

use tokio::sync::watch;

use crate::entry::Entry;
use crate::ledger::Running;
use crate::marks::TagRecord;
use crate::permit::Loan;
use crate::reason::NotStorable;
use crate::record::Record;
use crate::sync::{AtomicBool, AtomicU64, Ordering, fence};

/// One shared load.
pub(crate) struct Flight {
    pub(crate) id: u64,
    /// The sequence number read before its load began.
    start: AtomicU64,
    /// When it began.
    began: AtomicU64,
    /// The tags that were known before it began.
    known: Vec<Arc<TagRecord>>,
    pub(super) stage: watch::Sender<Stage>,
    /// Where those who wait for it lend it a permit.
    pub(crate) loan: Loan,
    /// Whether it is to be a task from now on.
    wanted: AtomicBool,
    /// Its load, where its caller carries that.
    carried: OnceLock<Weak<dyn HandOver + Send + Sync>>,
}

/// A load that can become a task.
pub(crate) trait HandOver {
    fn hand_over(&self);
}

/// How far a flight is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Running,
    /// A response whose head is known, while its body is recorded, and what is in it so far.
    Head(Arc<dyn Any + Send + Sync>, Arc<Record>),
    Landed(Arc<Entry>),
    Failed(NotStorable),
}

impl Stage {
    const fn is_over(&self) -> bool {
        matches!(self, Self::Landed(_) | Self::Failed(_))
    }
}

/// A caller that waits for a flight of another.
#[derive(Debug)]
pub(crate) struct Passenger {
    pub(crate) flight: Arc<Flight>,
    stage: watch::Receiver<Stage>,
}

impl Passenger {
    pub(super) fn new(flight: &Arc<Flight>) -> Self {
        Self {
            flight: Arc::clone(flight),
            stage: flight.stage.subscribe(),
        }
    }

    /// Waits for the end. Cancel-safe.
    pub(crate) async fn over(&mut self) -> Stage {
        self.stage_where(Stage::is_over).await
    }

    /// Waits for a head or the end. Cancel-safe.
    pub(crate) async fn head(&mut self) -> Stage {
        self.stage_where(|stage| !matches!(stage, Stage::Running))
            .await
    }

    async fn stage_where(&mut self, mut wanted: impl FnMut(&Stage) -> bool) -> Stage {
        self.flight.hand_over();
        let stage = self.stage.wait_for(|stage| wanted(stage)).await;
        // The sender lives in the flight, which we hold.
        stage.map_or(Stage::Failed(NotStorable::Cancelled), |stage| stage.clone())
    }
}

impl Flight {
    pub(super) fn new(id: u64, running: &Running, began: u64, known: &[Arc<TagRecord>]) -> Self {
        Self {
            id,
            start: AtomicU64::new(running.start),
            began: AtomicU64::new(began),
            known: known.to_vec(),
            stage: watch::Sender::new(Stage::Running),
            loan: Loan::default(),
            wanted: AtomicBool::new(false),
            carried: OnceLock::new(),
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    pub(crate) fn began(&self) -> u64 {
        self.began.load(Ordering::Acquire)
    }

    /// Its load begins anew.
    pub(super) fn restart(&self, running: &Running, began: u64) {
        self.start.store(running.start, Ordering::Release);
        self.began.store(began, Ordering::Release);
    }

    pub(crate) fn known(&self) -> &[Arc<TagRecord>] {
        &self.known
    }

    pub(super) fn overtaken(&self) -> bool {
        let start = self.start();
        self.known.iter().any(|tag| tag.marked_above(start))
    }

    /// Notes that a caller carries the load. Once.
    pub(crate) fn carry(&self, load: &Arc<dyn HandOver + Send + Sync>) {
        let _ = self.carried.set(Arc::downgrade(load));
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Has the load go on as a task, where it is not one: its caller may not poll it for long.
    fn hand_over(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some(load) = self.carried.get().and_then(Weak::upgrade) {
            load.hand_over();
        }
    }

    /// Leaves the caller who carries the load, if one does: it is a task after this.
    pub(crate) async fn leave_caller(&self) {
        if self.carried.get().is_none() {
            return;
        }
        self.wanted.store(true, Ordering::SeqCst);
        let mut left = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut left, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flight").field(&self.id).finish()
    }
}
