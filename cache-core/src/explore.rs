//! What the schedule explorers reach beside the public API; built for them only.

use crate::cache::Cache;

/// One pass of the sweeper, which is never spawned where schedules are explored.
pub fn sweep(cache: &Cache) {
    cache.engine().sweep();
}
