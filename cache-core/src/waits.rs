//! Who waits for whom among loads, so that none waits for one that waits for it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::sync::{Mutex, lock};

/// The edges: each load with the loads that it awaits.
#[derive(Debug)]
pub(crate) struct Waits(Mutex<HashMap<u64, Vec<u64>>>);

/// One edge, gone when dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    waits: Arc<Waits>,
    from: u64,
    on: u64,
}

impl Waits {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(HashMap::new())))
    }

    /// Notes that the load `from` waits for `on`; `None` where that would close a circle.
    pub(crate) fn wait(self: &Arc<Self>, from: u64, on: u64) -> Option<Wait> {
        let mut edges = lock(&self.0);
        let mut seen = vec![on];
        let mut next = 0;
        while let Some(&load) = seen.get(next) {
            if load == from {
                return None;
            }
            for &further in edges.get(&load).into_iter().flatten() {
                if !seen.contains(&further) {
                    seen.push(further);
                }
            }
            next += 1;
        }
        edges.entry(from).or_default().push(on);
        Some(Wait {
            waits: Arc::clone(self),
            from,
            on,
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut edges = lock(&self.waits.0);
        if let Some(on) = edges.get_mut(&self.from) {
            if let Some(i) = on.iter().position(|&on| on == self.on) {
                on.swap_remove(i);
            }
            if on.is_empty() {
                edges.remove(&self.from);
            }
        }
    }
}
