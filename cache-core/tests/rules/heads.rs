//! Responses that are joined while they are made.

use super::support::build;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cache_core::respond::{self, Joined, ResponseKey, Turn};
use cache_core::{Cache, Clock, Life};

/// What somebody comes to who joins, two seconds after what is in it was read, a response at its head or as it is
/// stored.
async fn joined(stale: bool, at_its_head: bool) -> Joined<u64> {
    let clock = Clock::manual();
    let cache = build(Cache::builder().clock(clock.clone()));
    let life = || Life::from("1h").stale_while_revalidate("1s");
    let read = || {
        cache.fetch("row", life(), ["rows"], || async {
            Ok::<_, Infallible>(1_u64)
        })
    };
    assert_eq!(read().await, Ok(1));
    if stale {
        cache.revalidate_tag("rows").await.unwrap();
    }
    let key = ResponseKey::new(b"GET /");
    let board = || {
        let (arrival, _) = respond::find::<u64>(&cache, b"GET /");
        respond::board::<u64>(&cache, &key, arrival, &[])
    };
    let Turn::Lead(lead) = board() else {
        panic!("nothing runs");
    };
    assert_eq!(lead.scope().enter(read()).await, Ok(1));
    clock.advance(Duration::from_secs(2));
    let Turn::Join(join) = board() else {
        panic!("it runs, and nothing was invalidated since");
    };
    if at_its_head {
        lead.share_head(Arc::new("the head"));
        return join.wait(&cache, respond::wait_until(&cache)).await;
    }
    let _ = lead.store(1_u64, 8, (Some("1h".into()), Duration::ZERO), None);
    join.wait(&cache, respond::wait_until(&cache)).await
}

#[tokio::test]
async fn life_what_was_made_in_a_stale_window_is_for_nobody_who_comes_after_it() {
    assert!(matches!(joined(false, true).await, Joined::Head(_)));
    assert!(matches!(joined(false, false).await, Joined::Done(_)));
    assert!(matches!(joined(true, true).await, Joined::Alone));
    assert!(matches!(joined(true, false).await, Joined::Again));
}
