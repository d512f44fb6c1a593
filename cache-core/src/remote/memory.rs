//! The remote in this process: a model of the server, and a remote for tests.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Appended, Logged, Position, Prepared, Read, Record, Remote, RemoteError, Reply, Session, Since,
    Token,
};
use crate::clock::{Clock, Timestamp};
use crate::sync::{Mutex, lock};

/// The most records in one reply (default).
const MOST_AT_ONCE: usize = 512;
/// The most records in the log (default).
const LOG_LENGTH: usize = 10_000;

/// A remote in this process, for tests of an application with several caches, and for those who write a
/// remote of their own. Copies are the same server, of one namespace: that of the cache which connects first.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::Cache;
/// use revalidate::remote::Memory;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let server = Memory::new();
/// let one = Cache::builder().remote(server.clone()).build();
/// let other = Cache::builder().remote(server).build();
/// one.connected().await;
/// other.connected().await;
///
/// other.put("greeting", 1_u64, "1h", ["texts"]);
/// one.invalidate_cache("texts").await.unwrap();
/// # }
/// ```
#[derive(Clone)]
pub struct Memory {
    server: Arc<Mutex<Server>>,
    clock: Clock,
    /// The number of changes, for those who wait for records and for the server's end.
    changed: Arc<watch::Sender<u64>>,
}

#[derive(Clone)]
struct Server {
    /// Which server it is: another after every start.
    run: u64,
    log_length: usize,
    most_at_once: usize,
    last_id: (u64, u64),
    log: BTreeMap<(u64, u64), (Token, Option<Record>)>,
    tokens: HashMap<Arc<str>, (Token, Timestamp)>,
    /// By the run that they are of, as names hold it: what an earlier run stored is found by nobody.
    entries: HashMap<(u64, Bytes), (Bytes, Timestamp)>,
    /// Before it none of these ends.
    first_end: Timestamp,
    reachable: bool,
    answering: bool,
    /// Of the first who connected.
    namespace: Option<Arc<str>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// An empty server.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::system())
    }

    /// An empty server that reads the time there.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            server: Arc::new(Mutex::new(Server {
                run: next_run(),
                log_length: LOG_LENGTH,
                most_at_once: MOST_AT_ONCE,
                last_id: (0, 0),
                log: BTreeMap::new(),
                tokens: HashMap::new(),
                entries: HashMap::new(),
                first_end: Timestamp(u64::MAX),
                reachable: true,
                answering: true,
                namespace: None,
            })),
            clock,
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Sets how many records the log keeps (default: 10,000; at least 1).
    #[must_use]
    pub fn log_length(self, records: usize) -> Self {
        lock(&self.server).log_length = records.max(1);
        self
    }

    /// Sets how many records one reply shows (default: 512; at least 1): who lacks more asks again.
    #[must_use]
    pub fn records_at_once(self, records: usize) -> Self {
        lock(&self.server).most_at_once = records.max(1);
        self
    }

    /// Ends every session; until it is reachable again nobody connects.
    pub fn set_reachable(&self, reachable: bool) {
        lock(&self.server).reachable = reachable;
        self.tell();
    }

    /// Has calls wait until it answers again, as those of a server that is stopped.
    pub fn set_answering(&self, answering: bool) {
        lock(&self.server).answering = answering;
        self.tell();
    }

    /// Restarts the server with what it holds: it is another, and every session ends.
    pub fn restart(&self) {
        lock(&self.server).run = next_run();
        self.tell();
    }

    /// Restarts the server with nothing, as one that saves nothing.
    pub fn restart_empty(&self) {
        let mut server = lock(&self.server);
        server.run = next_run();
        server.flush();
        drop(server);
        self.tell();
    }

    /// Restarts the server with what a [copy](Self::fork) holds: what has happened since then is undone.
    pub fn restart_from(&self, copy: &Self) {
        let copy = lock(&copy.server).started();
        *lock(&self.server) = copy;
        self.tell();
    }

    /// Deletes everything, as `FLUSHALL` does: it stays the same server.
    pub fn flush(&self) {
        lock(&self.server).flush();
        self.tell();
    }

    /// The bytes of the entries and placeholders that it holds, for who looks for what must not be there.
    #[must_use]
    pub fn entries(&self) -> Vec<Bytes> {
        let server = lock(&self.server);
        let entries = server.entries.values();
        entries.map(|(entry, _)| entry.clone()).collect()
    }

    /// A copy of what it holds, as another server: what a replica has that is to take over.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            server: Arc::new(Mutex::new(lock(&self.server).started())),
            clock: self.clock.clone(),
            changed: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Deletes the entries and records that `evicted` says, as a server short of memory does.
    pub fn evict(&self, mut evicted: impl FnMut(&[u8]) -> bool) {
        let mut server = lock(&self.server);
        server.entries.retain(|(_, key), _| !evicted(key));
        server.tokens.retain(|tag, _| !evicted(tag.as_bytes()));
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }
}

/// No two servers of a process are the same, whatever they were copied from.
fn next_run() -> u64 {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    RUNS.fetch_add(1, Ordering::Relaxed)
}

impl Server {
    /// Another that holds the same.
    fn started(&self) -> Self {
        Self {
            run: next_run(),
            reachable: true,
            answering: true,
            ..self.clone()
        }
    }

    fn flush(&mut self) {
        self.log.clear();
        self.tokens.clear();
        self.entries.clear();
    }

    /// When what is given so long now will end.
    fn end(&mut self, now: Timestamp, lasting: Duration) -> Timestamp {
        let end = now.plus(lasting);
        self.first_end = self.first_end.min(end);
        end
    }

    fn expire(&mut self, now: Timestamp) {
        if now < self.first_end {
            return;
        }
        let mut first = Timestamp(u64::MAX);
        let mut lasts = |end: Timestamp| {
            if end > now {
                first = first.min(end);
            }
            end > now
        };
        self.tokens.retain(|_, (_, end)| lasts(*end));
        self.entries.retain(|_, (_, end)| lasts(*end));
        self.first_end = first;
    }

    fn tokens_of(&self, tags: &[Arc<str>]) -> Vec<Option<Token>> {
        let token = |tag| self.tokens.get(tag).map(|(token, _)| *token);
        tags.iter().map(token).collect()
    }

    fn push(&mut self, nonce: Token, record: Option<Record>, now: Timestamp) -> Position {
        let millis = now.0 / 1_000_000;
        self.last_id = match self.last_id {
            (last, number) if last >= millis && !self.log.is_empty() => (last, number + 1),
            _ => (millis, 0),
        };
        self.log.insert(self.last_id, (nonce, record));
        while self.log.len() > self.log_length {
            self.log.pop_first();
        }
        Position {
            id: self.last_id,
            nonce,
        }
    }

    fn since(&mut self, at: Option<Position>, now: Timestamp) -> Since {
        let known = at.filter(|at| {
            let there = self.log.get(&at.id);
            there.is_some_and(|(nonce, _)| *nonce == at.nonce)
        });
        let Some(at) = known else {
            let last = self.log.last_key_value();
            let last = last.map(|(id, (nonce, _))| Position {
                id: *id,
                nonce: *nonce,
            });
            return Since::lost(last.unwrap_or_else(|| self.push(Token::random(), None, now)));
        };
        let mut after = self.after(at);
        let records: Vec<_> = after.by_ref().take(self.most_at_once).collect();
        let more = after.next().is_some();
        Since::after(records, more)
    }

    fn after(&self, at: Position) -> impl Iterator<Item = Logged> {
        let after = (std::ops::Bound::Excluded(at.id), std::ops::Bound::Unbounded);
        let after = self.log.range::<(u64, u64), _>(after);
        after.map(|(id, (nonce, record))| {
            let at = Position {
                id: *id,
                nonce: *nonce,
            };
            Logged::new(at, record.clone())
        })
    }
}

impl Remote for Memory {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        Box::pin(async move {
            let mut server = lock(&self.server);
            if !server.reachable {
                return Err(RemoteError::Unreachable("it was made so".into()));
            }
            let known = server.namespace.get_or_insert_with(|| namespace.into());
            if **known != *namespace {
                let problem = format!("it is of the namespace {known:?}, and of no other");
                return Err(RemoteError::Refused(problem));
            }
            let session = Connected {
                memory: self.clone(),
                run: server.run,
                epoch: format!("memory-{}", server.run).into(),
            };
            Ok(Arc::new(session) as Arc<dyn Session>)
        })
    }
}

/// A session with one run of the server.
#[derive(Debug)]
struct Connected {
    memory: Memory,
    run: u64,
    epoch: Arc<str>,
}

impl Connected {
    /// One step of the server.
    async fn step<T: Send>(
        &self,
        step: impl FnOnce(&mut Server, Timestamp) -> T + Send,
    ) -> Result<T, RemoteError> {
        let mut changed = self.memory.changed.subscribe();
        while !lock(&self.memory.server).answering {
            let _ = changed.changed().await;
        }
        let now = self.memory.clock.now();
        let mut server = lock(&self.memory.server);
        if !server.reachable {
            return Err(RemoteError::Unreachable("it was made so".into()));
        }
        if server.run != self.run {
            return Err(RemoteError::Moved(format!("run {}", server.run)));
        }
        server.expire(now);
        Ok(step(&mut server, now))
    }
}

impl Session for Connected {
    fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    fn since(&self, at: Option<Position>) -> Reply<'_, Since> {
        Box::pin(async move { self.step(|server, now| server.since(at, now)).await })
    }

    fn follow(&self, at: Position, limit: Duration) -> Reply<'_, Vec<Logged>> {
        Box::pin(async move {
            let mut changed = self.memory.changed.subscribe();
            let waited = crate::load::within(&self.memory.clock, Some(limit), async {
                loop {
                    changed.mark_unchanged();
                    let records = self
                        .step(|server, _| {
                            let records = server.after(at).take(server.most_at_once);
                            records.collect::<Vec<_>>()
                        })
                        .await?;
                    if !records.is_empty() {
                        return Ok(records);
                    }
                    let _ = changed.changed().await;
                }
            });
            waited.await.unwrap_or_else(|| Ok(Vec::new()))
        })
    }

    fn append(&self, record: Record, at: Option<Position>) -> Reply<'_, Appended> {
        Box::pin(async move {
            let appended = self
                .step(|server, now| {
                    for key in &record.keys {
                        server.entries.remove(&(self.run, key.clone()));
                    }
                    for tag in record.hard.iter().chain(&record.soft) {
                        if let Some((token, _)) = server.tokens.get_mut(tag) {
                            *token = record.nonce;
                        }
                    }
                    let position = server.push(record.nonce, Some(record), now);
                    Appended::new(position, server.since(at, now))
                })
                .await?;
            self.memory.tell();
            Ok(appended)
        })
    }

    fn read(&self, key: Bytes, tags: Vec<Arc<str>>) -> Reply<'_, Read> {
        Box::pin(async move {
            self.step(|server, _| {
                let occupant = server.entries.get(&(self.run, key));
                let occupant = occupant.map(|(entry, _)| entry.clone());
                Read::new(occupant, server.tokens_of(&tags))
            })
            .await
        })
    }

    fn tokens(&self, tags: Vec<Arc<str>>) -> Reply<'_, Vec<Option<Token>>> {
        Box::pin(async move { self.step(|server, _| server.tokens_of(&tags)).await })
    }

    fn hold(&self, key: Bytes, placeholder: Token, lasting: Duration) -> Reply<'_, bool> {
        Box::pin(async move {
            self.step(|server, now| {
                let end = server.end(now, lasting);
                let Entry::Vacant(place) = server.entries.entry((self.run, key)) else {
                    return false;
                };
                place.insert((Bytes::copy_from_slice(&placeholder.0), end));
                true
            })
            .await
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
            self.step(|server, now| {
                let end = server.end(now, lasting);
                let mut record = |tag: Arc<str>| {
                    let record = server.tokens.entry(tag).or_insert((token, end));
                    record.1 = record.1.max(end);
                    record.0
                };
                let tokens = tags.into_iter().map(&mut record).collect();
                Prepared::new(tokens, server.since(Some(at), now))
            })
            .await
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
            self.step(|server, now| {
                let end = server.end(now, lasting);
                match server.entries.get_mut(&(self.run, key)) {
                    Some(place) if place.0.starts_with(&occupant.0) => {
                        *place = (entry, end);
                        true
                    }
                    _ => false,
                }
            })
            .await
        })
    }
}
