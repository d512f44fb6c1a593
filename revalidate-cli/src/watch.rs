//! What is read of the log without being a node.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::remote::{Position, Record, Remote, RemoteError, Session, Since};
use cache_core::spi::{kind_and_text, shown};
use cache_redis::Redis;
use serde::{Serialize, Serializer};
use tokio::time::timeout;

use crate::output::{RecordId, show};

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

/// How the server and the log stand.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'a> {
    server: String,
    version: String,
    identity: String,
    namespace: &'a str,
    last_record: Option<RecordId>,
    advice: Vec<String>,
}

/// Looks at the server and the log, and changes nothing.
pub(crate) async fn status<'a>(
    redis: &Redis,
    namespace: &'a str,
) -> Result<Status<'a>, RemoteError> {
    let state = redis.state(namespace).await?;
    Ok(Status {
        server: state.address,
        version: state.version,
        identity: state.identity.to_string(),
        namespace,
        last_record: state.last_record.map(RecordId::from),
        advice: state.advice,
    })
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server     {}, version {}", self.server, self.version)?;
        write!(f, "\nidentity   {}", self.identity)?;
        write!(f, "\nnamespace  {}", self.namespace)?;
        let log = match &self.last_record {
            Some(RecordId { id, time }) => format!("last record at {time} ({id})"),
            None => "none: no node has been here since the server began".to_owned(),
        };
        write!(f, "\nlog        {log}")?;
        for advice in &self.advice {
            write!(f, "\nadvice     {advice}")?;
        }
        if self.advice.is_empty() {
            f.write_str("\nadvice     none")?;
        }
        Ok(())
    }
}

/// What is seen in the log, and where.
#[derive(Debug, Serialize)]
struct Seen<'a> {
    #[serde(flatten)]
    record: RecordId,
    /// The server's.
    identity: &'a str,
    #[serde(flatten)]
    event: Event<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Invalidated {
        origin: String,
        #[serde(serialize_with = "names")]
        hard: &'a [Arc<str>],
        #[serde(serialize_with = "names")]
        soft: &'a [Arc<str>],
        keys: usize,
    },
    NotUnderstood,
    /// The records before this one, from the last that was seen.
    Lost,
}

impl<'a> Seen<'a> {
    fn new(session: &'a dyn Session, at: Position, event: Event<'a>) -> Self {
        Self {
            record: at.id.into(),
            identity: session.epoch(),
            event,
        }
    }
}

impl<'a> Event<'a> {
    fn of(record: Option<&'a Record>) -> Self {
        let Some(record) = record else {
            return Self::NotUnderstood;
        };
        Self::Invalidated {
            origin: record.origin.to_string(),
            hard: &record.hard,
            soft: &record.soft,
            keys: record.keys.len(),
        }
    }
}

fn names<S: Serializer>(names: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Name<'a> {
        kind: &'static str,
        name: Cow<'a, str>,
    }
    serializer.collect_seq(names.iter().map(|name| {
        let (kind, name) = kind_and_text(name);
        Name { kind, name }
    }))
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.record.id, self.event)
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnderstood => f.write_str("not understood: every node drops everything"),
            Self::Lost => {
                f.write_str("what came before it is lost: anything may have been dropped")
            }
            Self::Invalidated {
                origin,
                hard,
                soft,
                keys,
            } => {
                let names = |names: &[Arc<str>]| {
                    let names = names.iter().map(|name| shown(name).into_owned());
                    names.collect::<Vec<_>>().join(", ")
                };
                let mut parts = Vec::new();
                if !hard.is_empty() {
                    parts.push(format!("hard {}", names(hard)));
                }
                if !soft.is_empty() {
                    parts.push(format!("soft {}", names(soft)));
                }
                if *keys > 0 {
                    parts.push(format!("keys {keys}"));
                }
                write!(f, "by {}  {}", &origin[..8], parts.join("; "))
            }
        }
    }
}

/// Shows each record of the log as it comes; connects anew where the server is another or does not answer.
pub(crate) async fn watch(
    redis: &Redis,
    namespace: &str,
    limit: Duration,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    let mut session = redis.connect(namespace).await?;
    let mut at = from(&*session, None, limit).await?;
    eprintln!("watching the log of {}", session.epoch());
    loop {
        match answer(TURN + limit, session.follow(at, TURN)).await {
            Ok(records) => {
                for logged in records {
                    at = logged.at;
                    let event = Event::of(logged.record.as_ref());
                    show(json, &Seen::new(&*session, at, event))?;
                }
            }
            Err(error) => {
                eprintln!("{error}: connecting anew");
                let seen = at;
                (session, at) = again(redis, namespace, seen, limit).await;
                eprintln!("watching the log of {}", session.epoch());
                if at != seen {
                    show(json, &Seen::new(&*session, at, Event::Lost))?;
                }
            }
        }
    }
}

/// After which record to read on: what was `seen` last, where the log has it, else the log's last.
async fn from(
    session: &dyn Session,
    seen: Option<Position>,
    limit: Duration,
) -> Result<Position, Box<dyn Error>> {
    match answer(limit, session.since(seen)).await? {
        Since::Lost { last, .. } => Ok(last),
        Since::After { .. } => seen.ok_or("the log answered what was not asked".into()),
    }
}

async fn again(
    redis: &Redis,
    namespace: &str,
    seen: Position,
    limit: Duration,
) -> (Arc<dyn Session>, Position) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Ok(session) = redis.connect(namespace).await
            && let Ok(at) = from(&*session, Some(seen), limit).await
        {
            return (session, at);
        }
    }
}
