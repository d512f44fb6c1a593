//! Being asked to stop: Ctrl-C, or the `SIGTERM` of a service manager.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

/// Listens from now on; the future ends when the process is asked to stop.
#[cfg(unix)]
pub fn asked() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(poll_fn(move |cx| {
        if interrupt.poll_recv(cx).is_ready() || terminate.poll_recv(cx).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }))
}

/// Listens from now on; the future ends when the process is asked to stop.
#[cfg(windows)]
pub fn asked() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
