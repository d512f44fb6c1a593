//! Several servers that are one: a Cluster of three masters, and a master that sentinels replace.

mod support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_core::remote::{Position, Record, Remote, Session, Since, Token};
use cache_redis::Redis;
use support::{Server, free_port};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30);

async fn last(session: &dyn Session) -> Position {
    match session.since(None).await.unwrap() {
        Since::Lost { last } => last,
        Since::After { .. } => panic!("a node without a position has lost it"),
    }
}

fn hard(tag: &str, keys: Vec<Bytes>) -> Record {
    Record {
        origin: Token::random(),
        nonce: Token::random(),
        hard: vec![tag.into()],
        soft: Vec::new(),
        keys,
    }
}

/// Asks again until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !so().await {
        assert!(Instant::now() < end, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Three masters, each with a third of the slots.
async fn cluster() -> Vec<Server> {
    let bus: Vec<_> = (0..3).map(|_| free_port().to_string()).collect();
    let start = |bus: &String| Server::with(&["--cluster-enabled", "yes", "--cluster-port", bus]);
    let servers: Vec<_> = bus.iter().map(start).collect();
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (number, (server, (first, end))) in servers.iter().zip(slots).enumerate() {
        let epoch = (number + 1).to_string();
        server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        let added = server.command(&["CLUSTER", "ADDSLOTSRANGE", first, end]);
        assert!(added.starts_with("+OK"), "{added}");
        let port = servers[0].port.to_string();
        server.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus[0]]);
    }
    until("every master serves and knows the others", async || {
        servers.iter().all(|server| {
            let info = server.command(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_size:3")
        })
    })
    .await;
    servers
}

#[tokio::test]
async fn entries_are_spread_over_a_cluster_and_the_log_is_in_one_place() {
    let servers = cluster().await;
    let session = Redis::cluster([servers[1].url()]).unwrap();
    let session = session.connect().await.unwrap();
    let at = last(&*session).await;
    let tags: Vec<Arc<str>> = vec!["#a".into(), "#b".into()];
    let token = Token::random();
    let prepared = session.prepare(tags.clone(), token, LONG, at).await;
    assert_eq!(prepared.unwrap().tokens, [token, token]);

    let keys: Vec<_> = (0..30).map(|n| Bytes::from(format!("key {n}"))).collect();
    let entry = Bytes::from(vec![1; 40]);
    for key in &keys {
        let held = Token::random();
        assert!(session.hold(key.clone(), held, LONG).await.unwrap());
        let stored = session.store(key.clone(), held, entry.clone(), LONG);
        assert!(stored.await.unwrap());
        let read = session.read(key.clone(), tags.clone()).await.unwrap();
        assert_eq!(read.occupant.as_ref(), Some(&entry));
        assert_eq!(read.tokens, [Some(token), Some(token)]);
    }
    for server in &servers {
        let names = server.command(&["KEYS", "rv:revalidate:*"]);
        assert!(names.contains("rv:"), "none is on {}", server.port);
    }

    let record = hard("#a", keys.clone());
    let (position, _) = session.append(record.clone(), Some(at)).await.unwrap();
    for key in keys {
        let read = session.read(key, tags.clone()).await.unwrap();
        assert_eq!(read.occupant, None, "removed wherever it was");
        assert_eq!(read.tokens, [Some(record.nonce), Some(token)]);
    }
    let followed = session.follow(at, LONG).await.unwrap();
    assert_eq!(followed[0].at, position);
    assert_eq!(followed[0].record.as_ref(), Some(&record));
}

/// Else who has not heard of it yet could put there what who has would read.
#[tokio::test]
async fn while_a_key_is_removed_nobody_takes_its_place() {
    let servers = cluster().await;
    let cluster = Redis::cluster([servers[0].url()]).unwrap();
    let session = cluster.connect().await.unwrap();
    let at = last(&*session).await;
    let has = |server: &&Server, names| server.command(&["KEYS", names]).contains("rv:");
    let log = |server: &&Server| has(server, "rv:{revalidate}:log:*");
    let log = servers.iter().find(log).expect("it has begun");
    let held = Token::random();
    let mut keys = (0..).map(|n| Bytes::from(format!("key {n}")));
    let key = loop {
        let key = keys.next().unwrap();
        assert!(session.hold(key.clone(), held, LONG).await.unwrap());
        if !has(&log, "rv:revalidate:*") {
            break key;
        }
        session.append(hard("#a", vec![key]), None).await.unwrap();
    };

    log.command(&["CLIENT", "PAUSE", "20000", "WRITE"]);
    let occupant = async || {
        session
            .read(key.clone(), Vec::new())
            .await
            .unwrap()
            .occupant
    };
    let record = hard("#a", vec![key.clone()]);
    let mut appended = std::pin::pin!(session.append(record, Some(at)));
    tokio::select! {
        appended = &mut appended => panic!("the log takes no writes: {appended:?}"),
        () = until("the place is not as it was", async || {
            occupant().await.as_deref() != Some(&held.0)
        }) => {}
    }
    let another = Token::random();
    assert!(!session.hold(key.clone(), another, LONG).await.unwrap());
    let entry = Bytes::from(vec![1; 40]);
    for from in [held, another, Token([0; 16])] {
        let stored = session.store(key.clone(), from, entry.clone(), LONG);
        assert!(!stored.await.unwrap());
    }

    log.command(&["CLIENT", "UNPAUSE"]);
    appended.await.unwrap();
    assert_eq!(occupant().await, None);
    assert!(session.hold(key.clone(), another, LONG).await.unwrap());
}

/// A value of a slot that is on its way to another master is loaded, and all others are found as before.
#[tokio::test]
async fn a_slot_that_is_being_moved_ends_no_session() {
    let servers = cluster().await;
    let session = Redis::cluster([servers[0].url()]).unwrap();
    let session = session.connect().await.unwrap();
    let key = Bytes::from_static(b"a key");
    let held = session.hold(key.clone(), Token::random(), LONG).await;
    assert!(held.unwrap());
    let names = |server: &Server| server.command(&["KEYS", "rv:revalidate:*"]);
    let from = servers
        .iter()
        .position(|server| names(server).contains("rv:"));
    let (from, to) = (&servers[from.unwrap()], &servers[(from.unwrap() + 1) % 3]);
    let found = names(from);
    let name = found.lines().find(|line| line.starts_with("rv:")).unwrap();
    let slot = from.command(&["CLUSTER", "KEYSLOT", name]);
    let slot = slot.trim_start_matches(':').trim();
    let id = |server: &Server| {
        let id = server.command(&["CLUSTER", "MYID"]);
        id.lines().nth(1).unwrap().to_owned()
    };
    let told = to.command(&["CLUSTER", "SETSLOT", slot, "IMPORTING", &id(from)]);
    assert!(told.starts_with("+OK"), "{told}");
    let told = from.command(&["CLUSTER", "SETSLOT", slot, "MIGRATING", &id(to)]);
    assert!(told.starts_with("+OK"), "{told}");
    let port = to.port.to_string();
    let told = from.command(&["MIGRATE", "127.0.0.1", &port, name, "0", "5000"]);
    assert!(told.starts_with("+OK"), "{told}");
    let error = session.read(key.clone(), Vec::new()).await.unwrap_err();
    assert!(!error.ends_session(), "{error}");
    // Wherever it is, and whatever else is invalidated with it.
    assert!(names(to).contains(name));
    let removed = session.append(hard("#a", vec![key.clone()]), None).await;
    assert!(removed.is_ok(), "{removed:?}");
    assert!(!names(to).contains(name));

    for server in [to, from] {
        server.command(&["CLUSTER", "SETSLOT", slot, "NODE", &id(to)]);
    }
    let error = session.read(key, Vec::new()).await.unwrap_err();
    assert!(error.ends_session(), "it has another master now: {error}");
}

#[tokio::test]
async fn the_script_for_other_clients_finds_its_place_in_a_cluster() {
    let servers = cluster().await;
    let session = Redis::cluster([servers[0].url()]).unwrap();
    let session = session.connect().await.unwrap();
    let at = last(&*session).await;
    let script = include_str!("../scripts/invalidate.lua");
    let random = Token::random().to_string();
    for server in &servers {
        let port = server.port.to_string();
        let evaluated = Command::new("redis-cli")
            .args(["-c", "-p", &port, "EVAL", script, "1", "rv:{revalidate}"])
            .args(["soft", &random, "contacts"])
            .output()
            .expect("redis-cli: apt-get install redis-tools");
        assert!(evaluated.status.success(), "{evaluated:?}");
    }
    let Since::After { records, .. } = session.since(Some(at)).await.unwrap() else {
        panic!("it is the same log");
    };
    assert_eq!(records.len(), 3, "whichever node was asked");
    let record = records[0].record.as_ref().expect("it is understood");
    assert_eq!(record.soft, [Arc::<str>::from("#contacts")]);
}

/// A `redis-sentinel`, ended when dropped.
struct Sentinel {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Sentinel {
    /// One that replaces this master, called `shop`, by its own word.
    fn of(master: &Server) -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n",
            master.port
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        let child = Command::new("redis-sentinel")
            .arg(file)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-sentinel: apt-get install redis-sentinel");
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    fn says(&self, parts: &[&str]) -> String {
        let said = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(parts)
            .output()
            .expect("redis-cli: apt-get install redis-tools");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_master_that_sentinels_put_in_charge_is_another_server() {
    let (mut master, replica) = (Server::new(), Server::new());
    replica.replicate(&master);
    let sentinel = Sentinel::of(&master);
    until("the sentinel knows the replica", async || {
        let replicas = sentinel.says(&["SENTINEL", "replicas", "shop"]);
        replicas.contains(&replica.port.to_string())
    })
    .await;
    let address = format!("redis://127.0.0.1:{}", sentinel.port);
    let redis = Redis::sentinel([address], "shop", "redis://127.0.0.1").unwrap();
    let before = redis.connect().await.unwrap();
    let at = last(&*before).await;
    before
        .append(hard("#a", Vec::new()), Some(at))
        .await
        .unwrap();
    let advice = before.advice().await.unwrap();
    assert!(
        advice
            .iter()
            .any(|said| said.contains("min-replicas-to-write")),
        "{advice:?}"
    );

    master.kill();
    let mut after = None;
    until("the replica is in charge", async || {
        after = redis.connect().await.ok();
        after.is_some()
    })
    .await;
    let after = after.unwrap();
    assert!(before.since(Some(at)).await.unwrap_err().ends_session());
    assert_ne!(before.epoch(), after.epoch());
    let lost = after.since(Some(at)).await.unwrap();
    assert!(matches!(lost, Since::Lost { .. }), "{lost:?}");
}
