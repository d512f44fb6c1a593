//! What tests that choose each moment themselves reach beside the public API.

use crate::cache::Cache;

/// One pass of the sweeper, now and here: where schedules are explored, or time is made up, it is never spawned.
pub fn sweep(cache: &Cache) {
    cache.engine().sweep();
}
