//! What users of async-hybrid-cache do, step by step as its documentation goes: cached functions and
//! keys of one's own in scopes, their removal, and a database that fails for a while.
//!
//! `cargo run --release --example hybrid`: prints what every read came to, and fails where one came to
//! something else than it should. The clock is moved by hand, so that nobody waits.

mod users;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use revalidate::{Cache, Clock, Life, Reason, observe};

use crate::users::{Down, Users, get_user, update_user};

fn main() -> ExitCode {
    examples::run("hybrid", run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let clock = Clock::manual();
    // CacheOptions(ttl_seconds=60, fail_safe_seconds=300, jitter_seconds=5)
    let options = Life::from("1m").stale_if_error("5m").jitter("5s");
    let cache = Cache::builder()
        .clock(clock.clone())
        .default_life(options)
        .build()
        .install()?;
    let db = Arc::new(Users::new([(123, "Peter"), (124, "Paula")]));

    say("A cached function");
    step("get_user(123)", "never-stored", get_user(&db, 123)).await?;
    step("get_user(123)", "hit", get_user(&db, 123)).await?;

    say("Remove the key for a cached function call");
    get_user::remove_cached(123).await?;
    step("get_user(123)", "removed", get_user(&db, 123)).await?;

    say("Invalidate from inside application functions");
    update_user(&db, 123, "Petra").await?;
    step("get_user(123)", "removed", get_user(&db, 123)).await?;

    say("Remove one key of a scope");
    let users = cache.scope("users").default_life("10m"); // the rest of its options are the cache's
    let paula = || row(&users, &db, 124);
    step("users[124]", "never-stored", paula()).await?;
    users.remove(124).await?;
    step("users[124]", "removed", paula()).await?;
    users.clear().await?;
    step("users[124]", "tag", paula()).await?;

    say("Clear everything");
    cache.clear().await?;
    step("users[124]", "tag", paula()).await?;
    step("get_user(123)", "tag", get_user(&db, 123)).await?;

    say("Remove only this process's local copy");
    users.remove_local(124).await?;
    step("users[124]", "removed", paula()).await?;
    cache.clear_memory().await?;
    step("users[124]", "removed", paula()).await?;

    say("The database fails: the last value stands in, and it is asked less and less often");
    clock.advance(Duration::from_secs(600));
    db.fail(true);
    let asked = db.asked();
    for second in 0..8 {
        step(&format!("users[124] after {second} s"), "stale", paula()).await?;
        clock.advance(Duration::from_secs(1));
    }
    println!("  asked {} times in 8 seconds", db.asked() - asked);
    db.fail(false);
    clock.advance(Duration::from_secs(60));
    step("users[124], it works again", "expired", paula()).await?;

    say("The database hangs: nobody waits for longer than 5 s");
    clock.advance(Duration::from_secs(600));
    db.hang();
    let slow = step("users[124]", "stale", paula());
    let (read, ()) = tokio::join!(slow, async { clock.advance(Duration::from_secs(5)) });
    read?;
    Ok(())
}

/// A user by a key of our own: `get_or_set` with `hard_timeout_seconds=5`.
async fn row(users: &Cache, db: &Arc<Users>, id: u32) -> Result<String, Down> {
    let db = Arc::clone(db);
    let load = move || async move { db.find(id).await };
    users
        .fetch_within("5s", id, Life::default(), ["users"], load)
        .await
}

fn say(what: &str) {
    println!("{what}");
}

/// Reads, and shows what that came to.
async fn step(
    what: &str,
    expected: &str,
    read: impl Future<Output = Result<String, Down>>,
) -> Result<(), String> {
    let (name, reads) = observe(read).await;
    let name = name.map_err(|down| format!("{what}: {down}"))?;
    let reason = reads.last().map_or(Reason::Bypass, |read| read.reason);
    println!("  {what:<28} {name:<8} {reason}");
    if reason.as_str() == expected {
        Ok(())
    } else {
        Err(format!("{what}: {reason}, not {expected}"))
    }
}
