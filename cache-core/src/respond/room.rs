//! The room that responses may take while they are recorded.

use std::sync::Arc;

use crate::cache::Cache;
use crate::engine::Engine;
use crate::sync::Ordering;

/// The part of the store's room that responses may take while they are recorded.
const RECORDING_PART: u64 = 4;

/// Room for bytes that are being recorded; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    engine: Arc<Engine>,
    bytes: u64,
}

/// Begins with no room.
#[must_use]
pub fn reserve(cache: &Cache) -> Reservation {
    Reservation {
        engine: Arc::clone(cache.engine()),
        bytes: 0,
    }
}

impl Reservation {
    /// Takes room for `bytes` more; `false` where all recordings together would take more than a
    /// quarter of the cache.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let most = self.engine.settings.max_bytes / RECORDING_PART;
        let recording = &self.engine.counters.recording;
        let taken = recording.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            now.checked_add(bytes).filter(|sum| *sum <= most)
        });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.engine
            .counters
            .recording
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
