//! Many nodes, simulated: nodes, clients, a network and servers on one thread, in a time of their own, by one
//! seed for each run.
//!
//!     ./scripts/test simulation                       10,000 seeds
//!     SEEDS=1000000 ./scripts/test simulation         a long run
//!     SEED=123 ./scripts/test simulation              one, with all that happens in it
//!
//! What is checked is in [`checker`], what the words mean in `docs/testing.md`. Built with
//! `--cfg tokio_unstable`, as the script does, a seed is the same run every time; without it tokio may wake those
//! who wait for one thing in another order.
#![cfg(not(any(revalidate_shuttle, revalidate_loom)))]

mod changes;
mod checker;
mod clients;
mod faults;
mod network;
mod node;
mod responses;
mod run;
mod session;
mod source;
mod timeline;
mod world;

use faults::Class;

/// Nothing fails, and all is soon known everywhere.
#[test]
fn calm() {
    run::explore(Class::Calm);
}

/// One server, which restarts, forgets and is cut off, and nodes that freeze and crash.
#[test]
fn single_server() {
    run::explore(Class::SingleServer);
}

/// The same, and replicas that take over without the last writes.
#[test]
fn failovers() {
    run::explore(Class::Failovers);
}
