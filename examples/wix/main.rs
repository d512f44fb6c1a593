//! The samples of Wix's `invalidateCache` page as an application: web methods that the browser imports,
//! and pages of a router that say how long they are kept.
//!
//! `cargo run --release --example wix`, then open <http://127.0.0.1:3001>.
//!
//! | variable | what | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on; port 0 takes a free one | `127.0.0.1:3001` |
//! | `MEMBER_TOKEN`, `ADMIN_TOKEN` | what a member and the administrator sign in with | made anew, and printed |
//!
//! ```text
//! $ curl -is 'http://127.0.0.1:3001/methods/cachedMultiply?args=\[6,7\]'       # a miss takes 300 ms; again: hit
//! HTTP/1.1 200 OK
//! etag: W/"8746b28afe499dff588b85726bbefffa"
//! cache-control: no-cache
//! cache-status: cached_multiply; fwd=miss; detail=never-stored
//! cache-status: revalidate; fwd=miss; stored; detail=never-stored
//!
//! 42
//! $ curl -s http://127.0.0.1:3001/methods/invalidateMultiply -H 'content-type: application/json' -d '[]'
//! {"code":"unauthenticated","message":"this web method is for callers who are signed in"}
//! $ curl -s http://127.0.0.1:3001/methods/invalidateMultiply -H 'content-type: application/json' \
//!       -H "authorization: Bearer $ADMIN_TOKEN" -d '[]'                           # the next read loads: detail=tag
//! null
//! ```
//!
//! Read `methods` first: the samples, and what is safer here. `blog` has the pages, `visitors` who is asking, `site` the
//! routes.

mod blog;
mod crm;
mod methods;
mod site;
mod visitors;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use examples::stop;
use revalidate::Cache;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::visitors::Visitors;

/// How long requests that still run may take when the process is told to stop.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    examples::run("wix", run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3001".to_owned());
    let visitors = Visitors::from_env()?;

    // Guarded: a web method that invalidates must be called by an administrator, or say `elevate`.
    Cache::builder()
        .max_bytes(32 << 20)
        .guard_invalidation(true)
        .build()
        .install()?;

    let app = site::app(&visitors)?;
    let listener = TcpListener::bind(&listen)
        .await
        .map_err(|error| format!("LISTEN {listen}: {error}"))?;
    let stopping = stop::asked()?;
    eprintln!("wix: ready on http://{}", listener.local_addr()?);
    for (variable, token) in visitors.made() {
        eprintln!("wix: {variable} {token}");
    }

    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let serving =
        axum::serve(listener, app).with_graceful_shutdown(async move { stopped.notified().await });
    let serving = tokio::spawn(serving.into_future());
    stopping.await;
    stop.notify_one();
    match timeout(GRACE, serving).await {
        Ok(served) => served??,
        Err(_) => eprintln!("wix: left behind requests that took longer than {GRACE:?}"),
    }
    eprintln!("wix: stopped");
    Ok(())
}
