//! Callers who leave, or do not poll, while the second level is asked for them.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cache_core::Life;

use crate::cluster::{Cluster, settle};
use crate::support::Source;

const SECOND: Duration = Duration::from_secs(1);

/// One node, whose server does not answer; it may run one load at once.
async fn unanswered() -> Cluster {
    let cluster = Cluster::with(1, |builder| builder.max_concurrent_loads(1)).await;
    cluster.server.set_answering(false);
    cluster
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_caller_who_does_not_poll_holds_up_none_who_wait_for_its_load() {
    let cluster = unanswered().await;
    let source = Source::new(1);
    let mut slow = pin!(source.fetch(&cluster[0], "a", ["rows"]));
    assert!(poll_once(slow.as_mut()).is_pending());
    let quick = source.fetch(&cluster[0], "a", ["rows"]);
    assert_eq!(cluster.while_time_passes(quick).await, 1);
    assert_eq!((slow.await, source.loads()), (1, 1));
}

#[tokio::test]
async fn a_caller_who_does_not_poll_keeps_nobody_from_loading() {
    let cluster = unanswered().await;
    let source = Source::new(1);
    let mut slow = pin!(source.fetch(&cluster[0], "a", ["rows"]));
    assert!(poll_once(slow.as_mut()).is_pending());
    let mut other = pin!(source.fetch(&cluster[0], "b", ["rows"]));
    for _ in 0..2 {
        assert!(poll_once(other.as_mut()).is_pending());
        cluster.pass(SECOND).await;
    }
    assert_eq!(poll_once(other.as_mut()), Poll::Ready(1));
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_what_it_began() {
    let cluster = unanswered().await;
    let source = Source::new(1);
    {
        let mut left = pin!(source.fetch(&cluster[0], "a", ["rows"]));
        assert!(poll_once(left.as_mut()).is_pending());
    }
    cluster.pass(SECOND).await;
    assert_eq!(source.loads(), 1);
    assert_eq!(source.fetch(&cluster[0], "a", ["rows"]).await, 1);
    assert_eq!(source.loads(), 1);
}

/// What stays in its process is not asked of the server, and so is a task at once.
#[tokio::test]
async fn a_caller_who_does_not_poll_keeps_nobody_from_loading_where_values_stay_here() {
    let cluster = Cluster::with(1, |builder| builder.max_concurrent_loads(1)).await;
    let source = Source::new(1);
    let load = || async {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>("text of this process")
    };
    let mut slow = pin!(cluster[0].fetch("a", "1h", ["rows"], load));
    assert!(poll_once(slow.as_mut()).is_pending());
    let mut other = pin!(source.fetch(&cluster[0], "b", ["rows"]));
    for _ in 0..10 {
        if poll_once(other.as_mut()).is_ready() {
            return;
        }
        settle().await;
    }
    panic!("it waits for the permit of who does not poll");
}

/// A load goes on where it began, not where somebody else waits for it.
#[tokio::test]
async fn a_runtime_that_ends_takes_no_load_of_another_with_it() {
    let cluster = unanswered().await;
    let source = Source::new(1);
    let mut first = pin!(source.fetch(&cluster[0], "a", ["rows"]));
    assert!(poll_once(first.as_mut()).is_pending());
    let (node, other) = (cluster[0].clone(), source.clone());
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut joins = pin!(other.fetch(&node, "a", ["rows"]));
            assert!(poll_once(joins.as_mut()).is_pending());
        });
    });
    elsewhere.join().unwrap();
    assert_eq!(cluster.while_time_passes(first).await, 1);
    assert_eq!(source.loads(), 1);
}

/// Who asks for it outside of any load may have it stale; who waits for the same load inside of one may not.
#[tokio::test]
async fn what_the_second_level_has_stale_is_not_joined_inside_a_load() {
    let cluster = Cluster::new(2).await;
    let source = Source::new(1);
    let life = || Life::from("10s").stale_while_revalidate("1h");
    assert_eq!(
        source.fetch_for(&cluster[0], "row", life(), ["rows"]).await,
        1
    );
    cluster.shared(0).await;
    cluster.pass(20 * SECOND).await;
    source.set(2);
    cluster.server.set_answering(false);
    let mut outside = pin!(source.fetch_for(&cluster[1], "row", life(), ["rows"]));
    assert!(poll_once(outside.as_mut()).is_pending());
    let (node, inner) = (cluster[1].clone(), source.clone());
    let around = node.clone();
    // Of a type that stays here, so that nothing is asked before it.
    let load = move || async move {
        let row = inner.fetch_for(&node, "row", life(), ["rows"]).await;
        Ok::<_, Infallible>(if row == 1 { "the first" } else { "the second" })
    };
    let mut inside = pin!(around.fetch("page", "1h", ["pages"], load));
    assert!(poll_once(inside.as_mut()).is_pending());
    settle().await;
    cluster.server.set_answering(true);
    assert_eq!(inside.await, Ok("the second"));
    assert_eq!(outside.await, 1);
}
