//! What is read of the log without being a node.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use cache_core::remote::{Logged, Position, Remote, RemoteError, Session, Since};
use cache_core::spi::shown;
use cache_redis::Redis;
use tokio::time::timeout;

/// How long one wait for the log takes at most.
const TURN: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);

async fn answer<T>(
    limit: Duration,
    reply: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    timeout(limit, reply)
        .await
        .unwrap_or(Err(RemoteError::TimedOut(limit)))
}

async fn last(session: &dyn Session, limit: Duration) -> Result<Position, Box<dyn Error>> {
    match answer(limit, session.since(None)).await? {
        Since::Lost { last, .. } => Ok(last),
        Since::After { .. } => Err("the log answered what was not asked".into()),
    }
}

/// Shows the server and the log, and changes nothing.
pub(crate) async fn status(redis: &Redis, namespace: &str) -> Result<(), Box<dyn Error>> {
    let state = redis.state(namespace).await?;
    println!("server     {}, version {}", state.address, state.version);
    println!("identity   {}", state.identity);
    println!("namespace  {namespace}");
    match state.last_record {
        Some((at, number)) => {
            let time = UNIX_EPOCH + Duration::from_millis(at);
            let time = humantime::format_rfc3339_millis(time);
            println!("log        last record at {time} ({at}-{number})");
        }
        None => println!("log        none: no node has been here since the server began"),
    }
    for advice in &state.advice {
        println!("advice     {advice}");
    }
    if state.advice.is_empty() {
        println!("advice     none");
    }
    Ok(())
}

/// Shows each record of the log as it comes; connects anew where the server is another or does not answer.
pub(crate) async fn watch(
    redis: &Redis,
    namespace: &str,
    limit: Duration,
) -> Result<(), Box<dyn Error>> {
    let mut session = redis.connect(namespace).await?;
    let mut at = last(&*session, limit).await?;
    eprintln!("watching the log of {}", session.epoch());
    loop {
        match answer(TURN + limit, session.follow(at, TURN)).await {
            Ok(records) => {
                for logged in records {
                    // Who reads may have read enough: that is no panic.
                    writeln!(std::io::stdout(), "{}", line(&logged))?;
                    at = logged.at;
                }
            }
            Err(error) => {
                eprintln!("{error}: connecting anew");
                (session, at) = again(redis, namespace, limit).await;
                eprintln!("watching the log of {}", session.epoch());
            }
        }
    }
}

async fn again(redis: &Redis, namespace: &str, limit: Duration) -> (Arc<dyn Session>, Position) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Ok(session) = redis.connect(namespace).await
            && let Ok(at) = last(&*session, limit).await
        {
            return (session, at);
        }
    }
}

fn line(logged: &Logged) -> String {
    let id = format!("{}-{}", logged.at.id.0, logged.at.id.1);
    let Some(record) = &logged.record else {
        return format!("{id}  not understood: every node drops everything");
    };
    let names = |names: &[Arc<str>]| {
        let names = names.iter().map(|name| shown(name).into_owned());
        names.collect::<Vec<_>>().join(", ")
    };
    let mut parts = Vec::new();
    if !record.hard.is_empty() {
        parts.push(format!("hard {}", names(&record.hard)));
    }
    if !record.soft.is_empty() {
        parts.push(format!("soft {}", names(&record.soft)));
    }
    if !record.keys.is_empty() {
        parts.push(format!("keys {}", record.keys.len()));
    }
    let origin = record.origin.to_string();
    format!("{id}  by {}  {}", &origin[..8], parts.join("; "))
}
