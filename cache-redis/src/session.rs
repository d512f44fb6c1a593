//! One session: connections to servers whose identity is known, and the calls in them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::remote::{
    Appended, Logged, Position, Prepared, Read, Record, RemoteError, Reply, Session, Since, Token,
};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, ScriptInvocation, Value};
use tokio::sync::Mutex;

use crate::config::{Redis, Site};
use crate::connect::{self, Server};
use crate::error::{is_ask, told};
use crate::names::{self, Names};
use crate::scripts::{APPEND, PREPARE, SINCE, STORE};
use crate::topology::{self, Shards};
use crate::wire;

/// The most records in one reply.
const MOST_AT_ONCE: usize = 512;
/// How long at most a place is barred whose key is being removed. Where that failed in between it is tried again.
const BARRED: Duration = Duration::from_secs(60);

/// A session.
pub(crate) struct Connected {
    redis: Redis,
    names: Names,
    log: Server,
    log_name: String,
    shards: Option<Shards>,
    /// On it nothing but the log is waited for.
    waiting: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connected").field(&self.log.epoch).finish()
    }
}

pub(crate) fn misunderstood() -> RemoteError {
    RemoteError::Unreachable("an answer was not understood".into())
}

/// At least one millisecond, and no more than commands take.
fn millis(duration: Duration) -> u64 {
    let millis = u64::try_from(duration.as_millis());
    millis.unwrap_or(u64::MAX).clamp(1, 1 << 52)
}

impl Connected {
    pub(crate) fn new(redis: &Redis, names: Names, log: Server, shards: Option<Shards>) -> Self {
        Self {
            redis: redis.clone(),
            log_name: names.log(&log.epoch),
            names,
            log,
            shards,
            waiting: Mutex::new(None),
        }
    }

    /// How a failure is told. Answers are waited for by who asks, so the limit is not known here.
    fn told(&self, error: &redis::RedisError) -> RemoteError {
        told(error, self.redis.connect_timeout)
    }

    /// Who has the log.
    pub(crate) fn server(&self) -> &Server {
        &self.log
    }

    pub(crate) fn log_name(&self) -> &str {
        &self.log_name
    }

    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        connection: &MultiplexedConnection,
        command: &Cmd,
    ) -> Result<T, RemoteError> {
        let answer = command.query_async(&mut connection.clone()).await;
        answer.map_err(|error| self.told(&error))
    }

    async fn invoke<T: FromRedisValue>(
        &self,
        connection: &MultiplexedConnection,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RemoteError> {
        let answer = script.invoke_async(&mut connection.clone()).await;
        answer.map_err(|error| self.told(&error))
    }

    /// What every script begins with that shows the log.
    fn showing<'s>(&self, script: &'s redis::Script, at: Option<Position>) -> ScriptInvocation<'s> {
        let mut script = script.prepare_invoke();
        script
            .key(&*self.log_name)
            .key(self.names.holder())
            .key(self.names.all())
            .arg(&*self.log.replication)
            .arg(wire::id(at))
            .arg(wire::nonce(at))
            .arg(MOST_AT_ONCE)
            .arg(wire::hex(Token::random()));
        script
    }

    /// Where a key's place is, and what it is called there.
    fn place(&self, key: &[u8]) -> (&Server, String) {
        let digest = names::digest(key);
        let slot = || names::slot(digest.as_bytes());
        let shard = self.shards.as_ref().and_then(|shards| shards.of(slot()));
        let name = self.names.place(&self.log.epoch, &digest);
        (shard.unwrap_or(&self.log), name)
    }

    /// What an entry ends in, where servers are several: who had its slot when it was stored. A removal finds it by its name,
    /// whose servers are no part of, so that one which went along to another is gone when the slot comes back; and what one
    /// that took over never heard of is nothing there.
    fn ending<'s>(&self, server: &'s Server) -> &'s [u8] {
        match &self.shards {
            Some(_) => server.epoch.as_bytes(),
            None => &[],
        }
    }

    /// Without its ending, where it has that: else it is whole no more, and unreadable.
    fn occupant(&self, server: &Server, occupant: Bytes) -> Bytes {
        match occupant.strip_suffix(self.ending(server)) {
            Some(entry) => occupant.slice_ref(entry),
            None => occupant,
        }
    }

    /// Puts into the places of keys what nobody can replace, while it lasts.
    async fn bar(&self, keys: &[Bytes]) -> Result<(), RemoteError> {
        let bar = |name: &str| {
            let mut set = redis::cmd("SET");
            set.arg(name).arg("").arg("PX").arg(millis(BARRED));
            set
        };
        self.at_places(keys, bar).await
    }

    async fn delete(&self, keys: &[Bytes]) -> Result<(), RemoteError> {
        let delete = |name: &str| {
            let mut delete = redis::cmd("DEL");
            delete.arg(name);
            delete
        };
        self.at_places(keys, delete).await
    }

    /// Of each server all at once: were each waited for, many would take longer than an answer is waited
    /// for, and be sent again for ever.
    async fn at_places(
        &self,
        keys: &[Bytes],
        command: impl Fn(&str) -> Cmd,
    ) -> Result<(), RemoteError> {
        let mut servers = HashMap::new();
        for key in keys {
            let (server, name) = self.place(key);
            let (_, commands) = servers
                .entry(&server.epoch)
                .or_insert_with(|| (server, Vec::new()));
            commands.push(command(&name));
        }
        for (server, commands) in servers.into_values() {
            let mut all = redis::pipe();
            for command in &commands {
                all.add_command(command.clone());
            }
            let mut here = server.connection.clone();
            if all.query_async::<Vec<Value>>(&mut here).await.is_err() {
                for command in commands {
                    self.at_place(server, command).await?;
                }
            }
        }
        Ok(())
    }

    async fn at_place(&self, server: &Server, command: Cmd) -> Result<(), RemoteError> {
        let mut here = server.connection.clone();
        let Err(error) = command.query_async::<Value>(&mut here).await else {
            return Ok(());
        };
        // Its slot is on its way to another master, and what is not here any more is there.
        let asked = error.redirect_node().filter(|_| is_ask(&error));
        let there = asked.and_then(|(address, _)| topology::named(&self.log.info, address));
        let Some(there) = there else {
            return Err(self.told(&error));
        };
        let mut there = connect::open(&self.redis, &there).await?;
        let mut asking = redis::pipe();
        asking.cmd("ASKING").ignore().add_command(command).ignore();
        let answer = asking.query_async::<()>(&mut there).await;
        answer.map_err(|error| self.told(&error))
    }

    /// The connection on which the log is waited for; made when first needed, and only to the same server.
    async fn waiting(&self) -> Result<MultiplexedConnection, RemoteError> {
        let mut waiting = self.waiting.lock().await;
        if let Some(connection) = &*waiting {
            return Ok(connection.clone());
        }
        let server = connect::server(&self.redis, &self.log.info).await?;
        if server.epoch != self.log.epoch {
            return Err(RemoteError::Moved(format!("this is {}", server.epoch)));
        }
        Ok(waiting.insert(server.connection).clone())
    }
}

impl Session for Connected {
    fn epoch(&self) -> &Arc<str> {
        &self.log.epoch
    }

    fn since(&self, at: Option<Position>) -> Reply<'_, Since> {
        Box::pin(async move {
            let script = self.showing(&SINCE, at);
            let value: Value = self.invoke(&self.log.connection, &script).await?;
            wire::since(&value).ok_or_else(misunderstood)
        })
    }

    fn follow(&self, at: Position, limit: Duration) -> Reply<'_, Vec<Logged>> {
        Box::pin(async move {
            let connection = self.waiting().await?;
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(MOST_AT_ONCE);
            read.arg("BLOCK").arg(millis(limit));
            read.arg("STREAMS")
                .arg(&*self.log_name)
                .arg(wire::id(Some(at)));
            let value: Value = self.query(&connection, &read).await?;
            wire::read(&value).ok_or_else(misunderstood)
        })
    }

    fn append(&self, record: Record, at: Option<Position>) -> Reply<'_, Appended> {
        Box::pin(async move {
            let mut script = self.showing(&APPEND, at);
            let tags = record.hard.iter().chain(&record.soft);
            self.names.tags(tags, |name| {
                script.key(name);
            });
            let apart = self.shards.is_some();
            if apart {
                // From before the record is in the log until after it: what somebody put there in between who had
                // not heard would be read by who had.
                self.bar(&record.keys).await?;
            } else {
                for key in &record.keys {
                    script.key(self.place(key).1);
                }
            }
            script
                .arg(record.hard.len() + record.soft.len())
                .arg(self.redis.log_length)
                .arg(wire::hex(record.origin))
                .arg(wire::hex(record.nonce))
                .arg(wire::data(&record));
            let (id, since): (Value, Value) = self.invoke(&self.log.connection, &script).await?;
            if apart {
                self.delete(&record.keys).await?;
            }
            let position = Position {
                id: wire::parsed_id(&id).ok_or_else(misunderstood)?,
                nonce: record.nonce,
            };
            let since = wire::since(&since).ok_or_else(misunderstood)?;
            Ok(Appended::new(position, since))
        })
    }

    fn read(&self, key: Bytes, tags: Vec<Arc<str>>) -> Reply<'_, Read> {
        Box::pin(async move {
            let (server, name) = self.place(&key);
            if self.shards.is_some() {
                let mut get = redis::cmd("GET");
                get.arg(name);
                let occupant = self.query::<Option<Vec<u8>>>(&server.connection, &get);
                let (occupant, tokens) = tokio::join!(occupant, self.tokens(tags));
                let occupant = occupant?.map(Bytes::from);
                let occupant = occupant.map(|occupant| self.occupant(server, occupant));
                return Ok(Read::new(occupant, tokens?));
            }
            // One server has all of it: one command, and one reply.
            let mut both = redis::cmd("MGET");
            both.arg(name);
            self.names.tags(&tags, |name| {
                both.arg(name);
            });
            let value = self.query(&server.connection, &both).await?;
            wire::occupied(value).ok_or_else(misunderstood)
        })
    }

    fn tokens(&self, tags: Vec<Arc<str>>) -> Reply<'_, Vec<Option<Token>>> {
        Box::pin(async move {
            if tags.is_empty() {
                return Ok(Vec::new());
            }
            let mut get = redis::cmd("MGET");
            self.names.tags(&tags, |name| {
                get.arg(name);
            });
            let value: Value = self.query(&self.log.connection, &get).await?;
            wire::tokens(&value).ok_or_else(misunderstood)
        })
    }

    fn hold(&self, key: Bytes, placeholder: Token, lasting: Duration) -> Reply<'_, bool> {
        Box::pin(async move {
            let (server, name) = self.place(&key);
            let mut set = redis::cmd("SET");
            set.arg(name).arg(&placeholder.0).arg("NX");
            set.arg("PX").arg(millis(lasting));
            let set: Option<String> = self.query(&server.connection, &set).await?;
            Ok(set.is_some())
        })
    }

    fn prepare(
        &self,
        tags: Vec<Arc<str>>,
        token: Token,
        lasting: Duration,
        at: Position,
    ) -> Reply<'_, Prepared> {
        Box::pin(async move {
            let mut script = self.showing(&PREPARE, Some(at));
            self.names.tags(&tags, |name| {
                script.key(name);
            });
            script.arg(wire::hex(token)).arg(millis(lasting));
            let answer = self.invoke(&self.log.connection, &script);
            let (tokens, since): (Value, Value) = answer.await?;
            let tokens = wire::tokens(&tokens).and_then(|tokens| tokens.into_iter().collect());
            Ok(Prepared::new(
                tokens.ok_or_else(misunderstood)?,
                wire::since(&since).ok_or_else(misunderstood)?,
            ))
        })
    }

    fn store(
        &self,
        key: Bytes,
        occupant: Token,
        entry: Bytes,
        lasting: Duration,
    ) -> Reply<'_, bool> {
        Box::pin(async move {
            let (server, name) = self.place(&key);
            let mut script = STORE.prepare_invoke();
            let entry = [&*entry, self.ending(server)].concat();
            script.key(name).arg(&occupant.0).arg(entry);
            script.arg(millis(lasting));
            self.invoke(&server.connection, &script).await
        })
    }

    fn advice(&self) -> Reply<'_, Vec<String>> {
        Box::pin(async move {
            if !self.redis.advise {
                return Ok(Vec::new());
            }
            let mut config = redis::cmd("CONFIG");
            config.arg("GET").arg("m*");
            // An access list may forbid it.
            let config = self.query::<HashMap<String, String>>(&self.log.connection, &config);
            let sentinel = matches!(self.redis.site, Site::Sentinel { .. });
            Ok(advice(&self.log.version, &config.await.ok(), sentinel))
        })
    }
}

/// What goes against what a cache promises, and what to set instead.
fn advice(version: &str, config: &Option<HashMap<String, String>>, sentinel: bool) -> Vec<String> {
    let mut advice = Vec::new();
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    // A server that does not tell its version is not judged by it.
    if let Some(major) = parts.next()
        && (major, parts.next().unwrap_or(0)) < (6, 2)
    {
        advice.push(format!(
            "Redis {version} is too old: 6.2 or later is needed"
        ));
    }
    let Some(config) = config else {
        return advice;
    };
    let get = |name: &str| config.get(name).map(String::as_str);
    match (get("maxmemory"), get("maxmemory-policy")) {
        (Some("0"), _) => advice.push(
            "`maxmemory` is 0, so the cache may take all the machine has: set it, with `maxmemory-policy allkeys-lru`".into(),
        ),
        (_, Some(policy)) if !policy.starts_with("allkeys-") => advice.push(format!(
            "`maxmemory-policy` is `{policy}`, so a full server refuses values and invalidations alike: set `allkeys-lru` or `allkeys-lfu`"
        )),
        _ => {}
    }
    if sentinel && get("min-replicas-to-write") == Some("0") {
        advice.push(
            "`min-replicas-to-write` is 0, so a master that is cut off acknowledges invalidations that are lost when it is replaced: set it to 1".into(),
        );
    }
    advice
}
