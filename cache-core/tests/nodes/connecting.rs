//! How a cache connects to its remote: in what time, and by which name.

use std::sync::Arc;
use std::time::Duration;

use cache_core::remote::{Memory, Remote, Reply, Session, is_namespace};
use cache_core::{Cache, Clock};

use crate::cluster::settle;

#[derive(Debug)]
struct Slow(Memory, Clock);

impl Remote for Slow {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        Box::pin(async move {
            self.1.sleep(Duration::from_secs(10)).await;
            self.0.connect(namespace).await
        })
    }
}

#[tokio::test]
async fn connecting_takes_as_long_as_the_remote_lets_it() {
    let clock = Clock::manual();
    let slow = Slow(Memory::with_clock(clock.clone()), clock.clone());
    let builder = Cache::builder().clock(clock.clone());
    let node = builder.remote_timeout("500ms").remote(slow).build();
    for _ in 0..10 {
        settle().await;
        clock.advance(Duration::from_secs(1));
    }
    settle().await;
    let stats = node.stats().remote.expect("it is a node");
    assert_eq!((stats.connected, stats.errors), (true, 0));
}

#[test]
fn a_namespace_is_what_can_stand_in_the_names_of_keys() {
    assert!(is_namespace("shop-1.a_b"));
    for wrong in ["", "a b", "a:b", "{a}", "ä", &"a".repeat(65)] {
        assert!(!is_namespace(wrong), "{wrong}");
        // Without a remote it is a name for people.
        let _ = Cache::builder().namespace(wrong).build();
        let built = std::panic::catch_unwind(|| {
            let builder = Cache::builder().namespace(wrong);
            builder.remote(Memory::new()).build()
        });
        let panic = built.unwrap_err();
        let told = panic.downcast_ref::<String>().expect("it says why");
        assert!(told.contains("1 to 64 letters"), "{told}");
    }
}

#[tokio::test]
async fn a_server_in_this_process_is_of_one_namespace() {
    let server = Memory::new();
    server.connect("shop").await.unwrap();
    server.connect("shop").await.unwrap();
    let refused = server.connect("wiki").await.unwrap_err().to_string();
    assert!(refused.contains("namespace \"shop\""), "{refused}");
}
