//! Who wrote on one node reads that on any other at once: two nodes, and a bookmark in a cookie between them.
//!
//! `cargo run --release --example bookmarks`, and then at one of the nodes that it names, and with the cookie at the other:
//!
//!     curl -i -X PUT -d 'good evening' http://127.0.0.1:3000/
//!     curl -i -H 'Cookie: __Host-bookmark=..' http://127.0.0.1:3001/
//!
//! `carry` is the middleware, for any application.

mod carry;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Router, middleware, routing::get};
use examples::stop;
use revalidate::remote::{Bookmark, Memory};
use revalidate::{Cache, CacheLayer, invalidate_cache};
use tokio::{net::TcpListener, sync::Mutex};

use self::carry::{Bookmarks, carry};

type Database = Arc<Mutex<String>>;

/// With the response goes the bookmark of what was invalidated; there is none while the remote cannot be reached.
async fn change(
    State(database): State<Database>,
    greeting: String,
) -> Result<(Option<Extension<Bookmark>>, StatusCode), StatusCode> {
    *database.lock().await = greeting;
    let done = invalidate_cache("greeting").await; // after the commit
    let done = done.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((done.bookmark.map(Extension), StatusCode::NO_CONTENT))
}

fn app(database: Database, bookmarks: Bookmarks) -> Router {
    let greeting = async |State(database): State<Database>| database.lock().await.clone();
    Router::new()
        .route("/", get(greeting).put(change))
        .layer(CacheLayer::new().tags(["greeting"]).ttl("1h"))
        .layer(middleware::from_fn_with_state(bookmarks, carry))
        .with_state(database)
}

async fn run() -> Result<(), Box<dyn Error>> {
    // Nodes that are processes of their own share `Redis::new(..)`, and have the secret from their settings.
    let (server, database) = (Memory::new(), Database::default());
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    let node = || Bookmarks(Cache::builder().remote(server.clone()).build(), secret);
    let (one, other) = (app(database.clone(), node()), app(database, node()));
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&listen)
        .await
        .map_err(|error| format!("LISTEN {listen}: {error}"))?;
    let beside = TcpListener::bind("127.0.0.1:0").await?;
    let stopping = stop::asked()?;
    eprintln!(
        "bookmarks: ready on http://{}, http://{}",
        listener.local_addr()?,
        beside.local_addr()?
    );
    drop(tokio::spawn(async { axum::serve(beside, other).await }));
    Ok(examples::serve("bookmarks", listener, one, stopping).await?)
}

fn main() -> ExitCode {
    examples::run("bookmarks", run())
}
