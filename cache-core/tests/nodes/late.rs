//! What a node has is served for the bound from when its source was asked: not from when an answer came, nor from when
//! something else was made of it.

use std::time::Duration;

use crate::SECOND;
use crate::cluster::{Cluster, settle};
use crate::support::Source;

const BOUND: Duration = Duration::from_secs(10);
/// Within the time that an answer is waited for, and less than between two questions to the log.
const LATE: Duration = Duration::from_millis(400);

/// Each copy has a bound of its own, up to the whole one, so it takes many to come near that.
#[tokio::test]
async fn the_bound_of_what_was_read_runs_from_the_question() {
    let cluster = Cluster::with(2, |builder| builder.proof_bound(BOUND)).await;
    let source = Source::new(1);
    let keys: Vec<_> = (0..200).map(|n| format!("row:{n}")).collect();
    for key in &keys {
        source.fetch(&cluster[0], key, ["rows"]).await;
    }
    cluster.shared(0).await;
    // Nothing but the answers will prove anything: the log was looked at just now.
    let age = || cluster[1].stats().remote.unwrap().last_current.unwrap();
    while age() > SECOND / 10 {
        cluster.pass(SECOND / 10).await;
    }
    let asked = cluster.clock.now();
    cluster.server.set_answering(false);
    let reads: Vec<_> = keys
        .iter()
        .map(|key| {
            let (node, source, key) = (cluster[1].clone(), source.clone(), key.clone());
            tokio::spawn(async move { source.fetch(&node, &key, ["rows"]).await })
        })
        .collect();
    settle().await;
    cluster.clock.advance(LATE);
    cluster.server.set_answering(true);
    for read in reads {
        assert_eq!(read.await.unwrap(), 1);
    }
    assert_eq!(source.loads(), 200, "the second level answered");
    assert!(age() >= LATE, "the log has not been looked at since");
    cluster.server.set_reachable(false);

    let served = async |after: Duration| {
        cluster
            .clock
            .advance(after - cluster.clock.now().since(asked));
        let mut served = 0;
        for key in &keys {
            served += u32::from(cluster[1].get::<u64>(key.as_str()).await.is_some());
        }
        served
    };
    assert_eq!(served(BOUND / 2).await, 200);
    assert_ne!(served(BOUND * 9 / 10).await, 0);
    assert_eq!(served(BOUND + Duration::from_nanos(1)).await, 0);
}

/// Made while the node is cut off, of a value that was loaded half a bound before.
#[tokio::test]
async fn the_bound_of_what_is_made_runs_from_when_the_oldest_source_in_it_was_asked() {
    let cluster = Cluster::with(1, |builder| builder.proof_bound(BOUND)).await;
    let (node, source) = (&cluster[0], Source::new(1));
    cluster.server.set_reachable(false);
    cluster.pass(BOUND).await;
    let asked = cluster.clock.now();
    assert_eq!(source.fetch(node, "row", ["rows"]).await, 1);
    cluster.clock.advance(BOUND / 2);
    let pages: Vec<_> = (0..100).map(|n| format!("page:{n}")).collect();
    for page in &pages {
        let (around, within) = (node.clone(), source.clone());
        let load = move || async move { Ok::<_, ()>(within.fetch(&around, "row", ["rows"]).await) };
        let made = node.fetch(page.as_str(), "1h", ["pages"], load);
        assert_eq!(made.await, Ok(1));
    }
    assert_eq!(source.loads(), 1, "it is served for half of the bound");
    let past = asked.plus(BOUND + Duration::from_nanos(1));
    cluster.clock.advance(past.since(cluster.clock.now()));
    for page in &pages {
        assert_eq!(node.get::<u64>(page.as_str()).await, None);
    }
}
