//! The example `cluster` as somebody runs it: nodes and a server are killed, stopped and started again, and the
//! promise holds.
#![cfg(all(feature = "axum", unix))]

mod example_support;

use example_support::Example;

#[test]
fn the_promise_holds_while_things_are_killed_and_stopped() {
    let (status, said) = Example::run_with("cluster", &[("SECONDS", "12")]);
    assert!(status.success(), "{said}");
    for expected in [
        "FLUSHALL",
        "redis-server stopped",
        "node 1 frozen",
        "node 2 killed",
        "redis-server started again, empty",
        "reads beyond the promise: 0; own invalidations unseen: 0. The promise held.",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
