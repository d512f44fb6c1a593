//! The database, and the judge: every version of every row, and since when each is acknowledged.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use crate::BOUND;

pub(crate) const ROWS: usize = 50;

/// A little more than B: what takes time in this process is not the cluster's.
const MARGIN: Duration = Duration::from_millis(100);

#[derive(Clone, Default)]
struct Row {
    version: u64,
    /// Versions of which the invalidation was acknowledged, and when; in order.
    acknowledged: Vec<(u64, Instant)>,
}

/// All rows.
pub(crate) struct Truth {
    rows: Vec<Mutex<Row>>,
    loads: AtomicU64,
}

impl Truth {
    pub(crate) fn new() -> Self {
        Self {
            rows: (0..ROWS).map(|_| Mutex::default()).collect(),
            loads: AtomicU64::new(0),
        }
    }

    fn row<T>(&self, row: usize, with: impl FnOnce(&mut Row) -> T) -> T {
        with(
            &mut self.rows[row]
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// What a node reads.
    fn load(&self, row: usize) -> u64 {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.row(row, |row| row.version)
    }

    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// Commits a change.
    pub(crate) fn change(&self, row: usize) -> u64 {
        self.row(row, |row| {
            row.version += 1;
            row.version
        })
    }

    /// Notes that the invalidation for a version was acknowledged everywhere.
    pub(crate) fn acknowledged(&self, row: usize, version: u64) {
        self.row(row, |row| {
            row.acknowledged.push((version, Instant::now()));
            if row.acknowledged.len() > 1000 {
                row.acknowledged.drain(..500);
            }
        });
    }

    /// Whether a read that began then may give that version.
    pub(crate) fn allows(&self, row: usize, version: u64, began: Instant) -> bool {
        self.row(row, |row| {
            let promised = row.acknowledged.iter();
            let mut promised = promised.filter(|(_, at)| *at + BOUND + MARGIN < began);
            promised.all(|(promised, _)| *promised <= version)
        })
    }
}

/// Serves the rows to the nodes, for as long as the process lives.
pub(crate) fn serve(truth: Arc<Truth>) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let row = async |State(truth): State<Arc<Truth>>, Path(row): Path<usize>| {
                let version = truth.load(row % ROWS);
                // As databases do, it takes a while.
                tokio::time::sleep(Duration::from_millis(2)).await;
                version.to_string()
            };
            let app = Router::new().route("/{row}", get(row)).with_state(truth);
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        })
    });
    Ok(address)
}
