//! Schedules of the engine explored with shuttle: single flight, marks, keys, context.
//!
//! Every scenario runs a few tasks against a cache and a made-up database, once for each of many
//! schedules (at each lock and atomic the explorer decides who goes on). Built with
//! `RUSTFLAGS='--cfg revalidate_shuttle'` only. `SCHEDULES` is the number for all scenarios
//! together; a failure prints its schedule.
#![cfg(revalidate_shuttle)]

mod context;
mod flights;
mod keys;
mod marks;
mod world;

const SCENARIOS: usize =
    context::SCENARIOS + flights::SCENARIOS + keys::SCENARIOS + marks::SCENARIOS;
