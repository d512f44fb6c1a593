//! The rules of the engine, driven through its public API: one module per topic, each test named for
//! the rule it holds and failing when that rule's guard is removed. Interleavings are fixed by gates
//! and time by a manual clock: no test sleeps for a lifetime.

mod support;

mod bad_input;
mod drops;
mod errors;
mod heads;
mod keys;
mod lifetimes;
mod limits;
mod loads;
mod local_verbs;
mod manual;
mod nesting;
mod paths;
mod permits;
mod races;
mod sweeping;
mod timeouts;
mod unheld_tags;
mod verbs;
