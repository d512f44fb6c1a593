//! A contact book: an axum application over one SQLite file that caches what it reads, and drops
//! exactly what a change touched.
//!
//! `cargo run --release --example contacts`, then open <http://127.0.0.1:3000>.
//!
//! | variable | what | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//! | `REDIS_URL` | a Redis or Valkey that several of these share, as they do the database | none: one process |
//! | `DATABASE` | the SQLite file, created and seeded where there is none | `contacts.sqlite` |
//!
//! Read `book` first: the cached functions and the changes. `api` and `pages` are the routes, `html`
//! what the pages look like, `db` the storage, `draft` the checks of what comes in. There is no log-in,
//! so listen where only you can reach it.

mod api;
mod book;
mod db;
mod draft;
mod error;
mod html;
mod pages;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use examples::stop;
use revalidate::{Cache, CacheLayer, Redis};
use tokio::net::TcpListener;

use crate::db::Db;

/// A contact is a line of text: more than this is no contact.
const MAX_BODY: usize = 16 << 10;

fn main() -> ExitCode {
    examples::run("contacts", run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database =
        PathBuf::from(env::var_os("DATABASE").unwrap_or_else(|| OsString::from("contacts.sqlite")));
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());

    // One cache for the process: functions, handlers and the layer all find it.
    let mut cache = Cache::builder().max_bytes(32 << 20);
    if let Ok(url) = env::var("REDIS_URL") {
        cache = cache.namespace("contacts").remote(Redis::new(url)?);
    }
    let cache = cache.build().install()?;

    let db =
        Db::open(&database).map_err(|error| format!("DATABASE {}: {error}", database.display()))?;
    let app = app(db);
    let listener = TcpListener::bind(&listen)
        .await
        .map_err(|error| format!("LISTEN {listen}: {error}"))?;
    let stopping = stop::asked()?;
    eprintln!(
        "contacts: ready on http://{}, database {}",
        listener.local_addr()?,
        database.display()
    );

    examples::serve("contacts", listener, app, stopping).await?;
    // What the others have not heard of yet.
    Ok(cache.shutdown().await?)
}

/// The routes, with the cache around all of them: it stores the responses that say they may be, and
/// says in `Cache-Status` what it did.
fn app(db: Db) -> Router {
    pages::routes()
        .nest("/api", api::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CacheLayer::new())
        .with_state(db)
}
