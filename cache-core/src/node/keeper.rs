//! What keeps a node current: a session, the log followed in it, the outbox sent in it. One task, which
//! ends with the cache, and begins anew in another runtime where its own ended.

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use super::Node;
use super::learn::{Asked, Learned};
use super::outbox::Sending;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::load::within;
use crate::remote::{Bookmark, Position, RemoteError, Session};
use crate::sync::lock;

/// Between two attempts to connect, or to send: doubled each time up to a fifth of the bound.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Starts the task.
pub(super) fn begin(engine: &Arc<Engine>, node: &Arc<Node>) {
    let kept = Kept(Arc::clone(node));
    let (engine, clock) = (Arc::downgrade(engine), engine.clock.clone());
    drop(tokio::spawn(async move {
        let node = &*kept.0;
        let keeping = pin!(keep(&engine, node, &clock));
        let sending = pin!(send(&engine, node, &clock));
        let watching = pin!(watch(&engine, node, &clock));
        // None outlives the others, and all end before others may begin.
        unless(pin!(unless(keeping, sending)), watching).await;
    }));
}

/// While it lives the task runs.
struct Kept(Arc<Node>);

impl Drop for Kept {
    fn drop(&mut self) {
        lock(&self.0.known).session = None;
        self.0.kept.store(false, Ordering::SeqCst);
        self.0.tell();
    }
}

impl Node {
    /// How often the log is asked.
    fn tick(&self) -> Duration {
        let tick = self.settings.bound / 5;
        tick.mul_f64(0.75 + 0.25 * fastrand::f64()).max(FIRST_PAUSE)
    }

    async fn pause(&self, clock: &Clock, pause: &mut Duration) {
        clock.sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        *pause = (*pause * 2).min(self.settings.bound / 5).max(FIRST_PAUSE);
    }

    /// An answer, or that there was none in time.
    pub(super) async fn answer<T>(
        &self,
        clock: &Clock,
        reply: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let limit = self.settings.limit;
        let answer = within(clock, Some(limit), reply).await;
        answer.unwrap_or(Err(RemoteError::TimedOut(limit)))
    }
}

async fn keep(engine: &Weak<Engine>, node: &Node, clock: &Clock) {
    let mut pause = FIRST_PAUSE;
    let mut advised = false;
    while engine.strong_count() > 0 {
        show(engine, node);
        let session = match node.remote.connect(&node.namespace).await {
            Ok(session) => session,
            Err(error) => {
                node.count_error(&error);
                node.pause(clock, &mut pause).await;
                continue;
            }
        };
        if let Some(engine) = engine.upgrade() {
            engine.adopt(node, &session);
        }
        if !std::mem::replace(&mut advised, true) {
            advise(node, clock, &session).await;
        }
        match follow(engine, node, clock, &session, &mut pause).await {
            Ok(()) if engine.strong_count() == 0 => break,
            // Who met an error gave it up, and counted that.
            Ok(()) => {}
            Err(error) => node.count_error(&error),
        }
        node.leave(&session);
        node.pause(clock, &mut pause).await;
    }
}

async fn advise(node: &Node, clock: &Clock, session: &Arc<dyn Session>) {
    let advice = node.answer(clock, session.advice()).await;
    for advice in advice.unwrap_or_default() {
        #[cfg(feature = "tracing")]
        tracing::warn!("the remote's settings: {advice}");
        #[cfg(not(feature = "tracing"))]
        eprintln!("revalidate: the remote's settings: {advice}");
    }
}

/// Follows the log in one session, until that is given up; ends with the cache, or by an error of its own.
async fn follow(
    engine: &Weak<Engine>,
    node: &Node,
    clock: &Clock,
    session: &Arc<dyn Session>,
    pause: &mut Duration,
) -> Result<(), RemoteError> {
    let mut due = clock.now();
    loop {
        show(engine, node);
        let Some(asked) = asks(engine, node, session) else {
            return Ok(());
        };
        let Some(from) = node.follow_from().filter(|_| clock.now() < due) else {
            let since = node.answer(clock, session.since(asked.at)).await?;
            let Some(engine) = engine.upgrade() else {
                return Ok(());
            };
            if engine.learn(node, &asked, since) == Learned::Current {
                due = clock.now().plus(node.tick());
                *pause = FIRST_PAUSE;
            }
            continue;
        };
        let wait = due.since(clock.now());
        let limit = wait + node.settings.limit;
        let mut followed = session.follow(from, wait);
        let until = clock.now().plus(limit);
        loop {
            let nudged = pin!(node.nudge.notified());
            let left = until.since(clock.now());
            match within(clock, Some(left), unless(&mut followed, nudged)).await {
                Some(Some(records)) => {
                    let Some(engine) = engine.upgrade() else {
                        return Ok(());
                    };
                    engine.learn_ahead(node, &asked, records?);
                    break;
                }
                // The server still waits to answer: it is asked beside that, and then waited for again.
                Some(None) => {
                    let Some(asked) = asks(engine, node, session) else {
                        break;
                    };
                    let since = node.answer(clock, session.since(asked.at)).await?;
                    let Some(engine) = engine.upgrade() else {
                        return Ok(());
                    };
                    engine.learn(node, &asked, since);
                }
                None => return Err(RemoteError::TimedOut(limit)),
            }
        }
    }
}

/// Shows the outside how the node stands, at each step of its keeper. Gauges of two caches do not add up, as
/// counters do, so each says whose it is.
#[cfg(feature = "metrics")]
fn show(engine: &Weak<Engine>, node: &Node) {
    use std::time::SystemTime;

    let Some(engine) = engine.upgrade() else {
        return;
    };
    let ago = node.current_ago(engine.clock.now().0);
    let since = |ago| engine.clock.system_time().checked_sub(ago);
    let since = ago.and_then(since).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = since.duration_since(SystemTime::UNIX_EPOCH);
    let of = || Arc::clone(&engine.settings.namespace);
    metrics::gauge!("revalidate_remote_connected", "cache" => of())
        .set(f64::from(u8::from(node.is_connected())));
    metrics::gauge!("revalidate_remote_lag_seconds", "cache" => of())
        .set(ago.map_or(f64::INFINITY, |ago| ago.as_secs_f64()));
    metrics::gauge!("revalidate_remote_last_current_timestamp_seconds", "cache" => of())
        .set(since.map_or(0.0, |since| since.as_secs_f64()));
    metrics::gauge!("revalidate_remote_outbox", "cache" => of()).set(node.outbox.len() as f64);
}

#[cfg(not(feature = "metrics"))]
fn show(_: &Weak<Engine>, _: &Node) {}

/// What is asked next in this session, while it is the one there is.
fn asks(engine: &Weak<Engine>, node: &Node, session: &Arc<dyn Session>) -> Option<Asked> {
    let asked = node.ask(&*engine.upgrade()?)?;
    Arc::ptr_eq(&asked.session, session).then_some(asked)
}

/// Looks every fifth of the bound whether the machine has slept, whatever the server does meanwhile.
async fn watch(engine: &Weak<Engine>, node: &Node, clock: &Clock) {
    let mut offsets = clock.offsets();
    loop {
        clock.sleep(node.settings.bound / 5).await;
        let Some(engine) = engine.upgrade() else {
            return;
        };
        let now = clock.offsets();
        if offsets.parted(now) {
            engine.disprove(node);
            node.look_now();
        }
        offsets = now;
    }
}

/// A future's output, unless another is over first.
async fn unless<A: Future + Unpin>(
    mut future: A,
    mut other: Pin<&mut impl Future<Output = ()>>,
) -> Option<A::Output> {
    std::future::poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => other.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Sends what waits in the outbox, a batch at a time.
async fn send(engine: &Weak<Engine>, node: &Node, clock: &Clock) {
    let mut pause = FIRST_PAUSE;
    loop {
        let ready = |node: &Node| node.is_connected() && node.outbox.has_waiting();
        node.until(|node| engine.strong_count() == 0 || ready(node))
            .await;
        let Some(asked) = engine.upgrade().and_then(|engine| node.ask(&engine)) else {
            if engine.strong_count() == 0 {
                return;
            }
            continue;
        };
        let Some(batch) = node.outbox.take() else {
            continue;
        };
        let appended = asked.session.append(batch.record(node.origin), asked.at);
        match node.answer(clock, appended).await {
            Ok(appended) => {
                if let Some(engine) = engine.upgrade() {
                    engine.learn(node, &asked, appended.since);
                }
                node.acknowledged(&asked.session, batch, appended.at);
                pause = FIRST_PAUSE;
            }
            Err(error) => {
                drop(batch);
                node.failed(&asked.session, &error);
                node.pause(clock, &mut pause).await;
            }
        }
    }
}

impl Node {
    /// Notes what a session's server acknowledged. What one did that is not in charge any more is sent to the
    /// one that is.
    fn acknowledged(&self, session: &Arc<dyn Session>, batch: Sending<'_>, at: Position) {
        let known = lock(&self.known);
        if known.epoch.as_ref() == Some(session.epoch()) {
            let epoch = Arc::clone(session.epoch());
            batch.acknowledge(Bookmark { epoch, at });
        } else {
            drop(batch);
        }
        drop(known);
        self.tell();
    }
}
