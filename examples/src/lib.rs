//! Example applications live beside this file, one folder each. What several of them need is here.

pub mod origin;
pub mod stop;

use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long requests that still run may take when the process is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Runs an example to its end, or to what stops it, which is said on stderr.
pub fn run<E: Display>(name: &str, example: impl Future<Output = Result<(), E>>) -> ExitCode {
    let ended = match Runtime::new() {
        Ok(runtime) => runtime.block_on(example).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves an application until `stopping` ends, and then what still runs.
///
/// # Errors
///
/// Where the listener fails.
pub async fn serve(
    name: &str,
    listener: TcpListener,
    app: Router,
    stopping: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let serving =
        axum::serve(listener, app).with_graceful_shutdown(async move { stopped.notified().await });
    let serving = tokio::spawn(serving.into_future());
    stopping.await;
    stop.notify_one();
    match timeout(GRACE, serving).await {
        Ok(served) => served??,
        Err(_) => eprintln!("{name}: left behind requests that took longer than {GRACE:?}"),
    }
    eprintln!("{name}: stopped");
    Ok(())
}
