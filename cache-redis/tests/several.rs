//! Several servers that are one: a Cluster of three masters, and a master that sentinels replace.

#[path = "support/cluster.rs"]
mod cluster;
mod support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::remote::{Position, Record, Remote, RemoteError, Session, Since, Token};
use cache_redis::Redis;
use cluster::Cluster;
use support::{Server, free_port, program, until};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(30);

async fn last(session: &dyn Session) -> Position {
    match session.since(None).await.unwrap() {
        Since::Lost { last, .. } => last,
        Since::After { .. } => panic!("a node without a position has lost it"),
    }
}

fn hard(tag: &str, keys: Vec<Bytes>) -> Record {
    Record::new(Token::random(), Token::random())
        .hard([tag])
        .keys(keys)
}

#[tokio::test]
async fn entries_are_spread_over_a_cluster_and_the_log_is_in_one_place() {
    let cluster = Cluster::new().await;
    let session = Redis::cluster([cluster.0[1].url()]).unwrap();
    let session = session.connect("revalidate").await.unwrap();
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
    for server in &cluster.0 {
        let names = server.command(&["KEYS", "rv:revalidate:*"]);
        assert!(names.contains("rv:"), "none is on {}", server.port);
    }

    let record = hard("#a", keys.clone());
    let appended = session.append(record.clone(), Some(at)).await.unwrap();
    for key in keys {
        let read = session.read(key, tags.clone()).await.unwrap();
        assert_eq!(read.occupant, None, "removed wherever it was");
        assert_eq!(read.tokens, [Some(record.nonce), Some(token)]);
    }
    let followed = session.follow(at, LONG).await.unwrap();
    assert_eq!(followed[0].at, appended.at);
    assert_eq!(followed[0].record.as_ref(), Some(&record));
}

/// Else who has not heard of it yet could put there what who has would read.
#[tokio::test]
async fn while_a_key_is_removed_nobody_takes_its_place() {
    let cluster = Cluster::new().await;
    let session = cluster.redis().connect("revalidate").await.unwrap();
    let at = last(&*session).await;
    let log = cluster.place("{revalidate}");
    let held = Token::random();
    let mut keys = (0..).map(|n| Bytes::from(format!("key {n}")));
    let elsewhere = |name: &String| name.starts_with("rv:revalidate:");
    let key = loop {
        let key = keys.next().unwrap();
        assert!(session.hold(key.clone(), held, LONG).await.unwrap());
        if !cluster.names(log).iter().any(elsewhere) {
            break key;
        }
        session.append(hard("#a", vec![key]), None).await.unwrap();
    };

    let log = &cluster.0[log];
    log.command(&["CLIENT", "PAUSE", "20000", "WRITE"]);
    let occupant = async || {
        let read = session.read(key.clone(), Vec::new()).await;
        read.unwrap().occupant
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
    let cluster = Cluster::new().await;
    let session = cluster.redis().connect("revalidate").await.unwrap();
    let key = Bytes::from_static(b"a key");
    let held = session.hold(key.clone(), Token::random(), LONG).await;
    assert!(held.unwrap());
    let is_entry = |name: &String| name.starts_with("rv:revalidate:");
    let entry = |server| cluster.names(server).into_iter().find(is_entry);
    let from = (0..3).find(|&server| entry(server).is_some()).unwrap();
    let (name, to) = (entry(from).unwrap(), (from + 1) % 3);
    let slot = cluster.slot(&name);
    cluster.begin_move(&slot, from, to);
    cluster.move_keys(&slot, from, to);
    let error = session.read(key.clone(), Vec::new()).await.unwrap_err();
    assert!(!error.ends_session(), "{error}");
    // Wherever it is, and whatever else is invalidated with it.
    assert_eq!(entry(to), Some(name));
    let removed = session.append(hard("#a", vec![key.clone()]), None).await;
    assert!(removed.is_ok(), "{removed:?}");
    assert_eq!(entry(to), None);
    cluster.end_move(&slot, from, to);
    let error = session.read(key, Vec::new()).await.unwrap_err();
    assert!(error.ends_session(), "it has another master now: {error}");
}

/// Invalidates a tag softly by the script for other clients, asking this server.
fn evaluate(server: &Server) {
    let script = include_str!("../scripts/invalidate.lua");
    let (port, random) = (server.port.to_string(), Token::random().to_string());
    let evaluated = Command::new("redis-cli")
        .args(["-c", "-p", &port, "EVAL", script, "1", "rv:{revalidate}"])
        .args(["soft", &random, "contacts"])
        .output()
        .expect("redis-cli: apt-get install redis-tools");
    assert!(evaluated.status.success(), "{evaluated:?}");
}

#[tokio::test]
async fn the_script_for_other_clients_finds_its_place_in_a_cluster() {
    let cluster = Cluster::new().await;
    let session = Redis::cluster([cluster.0[0].url()]).unwrap();
    let session = session.connect("revalidate").await.unwrap();
    let at = last(&*session).await;
    cluster.0.iter().for_each(evaluate);
    let Since::After { records, .. } = session.since(Some(at)).await.unwrap() else {
        panic!("it is the same log");
    };
    assert_eq!(records.len(), 3, "whichever node was asked");
    let record = records[0].record.as_ref().expect("it is understood");
    assert_eq!(record.soft, [Arc::<str>::from("#contacts")]);

    // Called where the log was elsewhere in between, and nobody else was there.
    let (home, slot) = (cluster.place("{revalidate}"), cluster.slot("{revalidate}"));
    let away = (home + 1) % 3;
    cluster.move_slot(&slot, home, away);
    evaluate(&cluster.0[away]);
    cluster.move_slot(&slot, away, home);
    let session = cluster.redis().connect("revalidate").await.unwrap();
    let lost = session.since(Some(records[2].at)).await.unwrap();
    assert!(matches!(lost, Since::Lost { .. }), "{lost:?}");
}

#[tokio::test]
async fn a_slot_that_moves_takes_its_entries_along_and_nobody_else() {
    let cluster = Cluster::new().await;
    let redis = cluster.redis();
    let session = redis.connect("revalidate").await.unwrap();
    let at = last(&*session).await;
    // What is not in the log's slot, and is the only one in its own.
    let log = cluster.place("{revalidate}");
    let (key, held) = (Bytes::from_static(b"key 0"), Token::random());
    assert!(session.hold(key.clone(), held, LONG).await.unwrap());
    let entry = Bytes::from([&held.0[..], &[1; 40]].concat());
    let stored = session.store(key.clone(), held, entry.clone(), LONG);
    assert!(stored.await.unwrap());
    let found = Some(entry.clone());
    let server = (0..3).find_map(|server| {
        let mut names = cluster.names(server).into_iter();
        let name = names.find(|name| name.starts_with("rv:revalidate:"))?;
        Some((server, cluster.slot(&name)))
    });
    let (from, slot) = server.unwrap();
    let to = (from + 1) % 3;

    cluster.begin_move(&slot, from, to);
    let read = session.read(key.clone(), Vec::new()).await.unwrap();
    assert_eq!(read.occupant, found, "it is there still");
    cluster.move_keys(&slot, from, to);
    let moving = session.read(key.clone(), Vec::new()).await.unwrap_err();
    assert!(
        matches!(&moving, RemoteError::Refused(text) if text.contains("ASK")),
        "{moving}"
    );
    assert!(!moving.ends_session(), "the others are where they were");
    let appended = session.append(hard("#a", Vec::new()), Some(at)).await;
    let at = appended.unwrap().at;

    cluster.end_move(&slot, from, to);
    let moved = session.read(key.clone(), Vec::new()).await.unwrap_err();
    assert!(moved.ends_session(), "{moved}");
    let session = redis.connect("revalidate").await.unwrap();
    let read = session.read(key.clone(), Vec::new()).await.unwrap();
    assert_ne!(read.occupant, found, "another server stored it");
    let stored = session.store(key.clone(), held, entry.clone(), LONG);
    assert!(stored.await.unwrap(), "what replaces it is");
    let read = session.read(key, Vec::new()).await.unwrap();
    assert_eq!(read.occupant, Some(entry));
    let since = session.since(Some(at)).await.unwrap();
    assert!(
        matches!(since, Since::After { .. }),
        "the log is at {log}, as before"
    );
}

/// Else it would be found again there under the name that the first server had given it.
#[tokio::test]
async fn what_was_removed_while_its_slot_was_elsewhere_does_not_come_back_with_it() {
    let cluster = Cluster::new().await;
    let redis = cluster.redis();
    let session = redis.connect("revalidate").await.unwrap();
    let (key, held) = (Bytes::from_static(b"key 0"), Token::random());
    assert!(session.hold(key.clone(), held, LONG).await.unwrap());
    let entry = Bytes::from(vec![1; 40]);
    let stored = session.store(key.clone(), held, entry, LONG);
    assert!(stored.await.unwrap());
    let is_entry = |name: &String| name.starts_with("rv:revalidate:");
    let entry = |server| cluster.names(server).into_iter().find(is_entry);
    let home = (0..3).find(|&server| entry(server).is_some()).unwrap();
    let (slot, away) = (cluster.slot(&entry(home).unwrap()), (home + 1) % 3);
    // Whoever was asked may not have heard yet who has the slot.
    let append = async |record: Record| {
        until("it is known who has the slot", async || {
            let session = redis.connect("revalidate").await.unwrap();
            session.append(record.clone(), None).await.is_ok()
        })
        .await;
    };

    cluster.move_slot(&slot, home, away);
    append(hard("#a", vec![key.clone()])).await;
    cluster.move_slot(&slot, away, home);
    append(hard("#a", Vec::new())).await;
    let read = session.read(key, Vec::new()).await.unwrap();
    assert_eq!(read.occupant, None);
}

/// A log that was elsewhere in between lacks what was written there.
#[tokio::test]
async fn a_log_that_moves_begins_anew_and_so_does_one_that_comes_back() {
    let cluster = Cluster::new().await;
    let redis = cluster.redis();
    let (home, slot) = (cluster.place("{revalidate}"), cluster.slot("{revalidate}"));
    let away = (home + 1) % 3;
    let before = redis.connect("revalidate").await.unwrap();
    let at = last(&*before).await;
    before
        .prepare(vec!["#a".into()], Token::random(), LONG, at)
        .await
        .unwrap();
    let appended = before.append(hard("#b", Vec::new()), Some(at)).await;
    let at = appended.unwrap().at;

    cluster.begin_move(&slot, home, away);
    cluster.move_keys(&slot, home, away);
    let moving = before
        .append(hard("#a", Vec::new()), Some(at))
        .await
        .unwrap_err();
    assert!(
        !moving.ends_session(),
        "nobody else is in charge yet: {moving}"
    );
    cluster.end_move(&slot, home, away);
    let moved = before.since(Some(at)).await.unwrap_err();
    assert!(moved.ends_session(), "{moved}");

    let session = redis.connect("revalidate").await.unwrap();
    let lost = session.since(Some(at)).await.unwrap();
    assert!(matches!(lost, Since::Lost { .. }), "{lost:?}");
    let record = hard("#a", Vec::new());
    session.append(record.clone(), None).await.unwrap();
    cluster.move_slot(&slot, away, home);

    // A node that noticed nothing of it, once the server that it asks has heard who has the slot.
    let back = async || redis.connect("revalidate").await.unwrap();
    until("the slot is known to be back", async || {
        back().await.epoch() == before.epoch()
    })
    .await;
    let back = back().await;
    let lost = back.since(Some(at)).await.unwrap();
    assert!(matches!(lost, Since::Lost { .. }), "{lost:?}");
    let tokens = back.tokens(vec!["#a".into()]).await.unwrap();
    assert_eq!(tokens, [Some(record.nonce)], "tokens move along");
}

/// Its entries have the name of the first server, and what was removed meanwhile is under it still.
#[tokio::test]
async fn what_was_stored_before_the_log_was_elsewhere_is_void_when_that_comes_back() {
    let cluster = Cluster::new().await;
    let redis = cluster.redis();
    let (home, slot) = (cluster.place("{revalidate}"), cluster.slot("{revalidate}"));
    let away = (home + 1) % 3;
    let tags: Vec<Arc<str>> = vec!["*".into(), "#a".into()];
    let (key, held, entry) = (
        Bytes::from_static(b"a key"),
        Token::random(),
        Bytes::from(vec![1; 40]),
    );
    let session = redis.connect("revalidate").await.unwrap();
    let at = last(&*session).await;
    let prepared = session
        .prepare(tags.clone(), Token::random(), LONG, at)
        .await;
    let valid = prepared.unwrap().tokens;
    assert!(session.hold(key.clone(), held, LONG).await.unwrap());
    let stored = session.store(key.clone(), held, entry.clone(), LONG);
    assert!(stored.await.unwrap());

    let until_it_is = async |there: bool| {
        until("the slot is known to have moved", async || {
            let now = redis.connect("revalidate").await;
            now.is_ok_and(|now| there == (now.epoch() == session.epoch()))
        })
        .await;
    };
    cluster.move_slot(&slot, home, away);
    until_it_is(false).await;
    // By who was never at the first.
    let elsewhere = redis.connect("revalidate").await.unwrap();
    elsewhere
        .append(hard("#b", vec![key.clone()]), None)
        .await
        .unwrap();
    cluster.move_slot(&slot, away, home);
    until_it_is(true).await;

    let back = redis.connect("revalidate").await.unwrap();
    last(&*back).await;
    let read = back.read(key, tags).await.unwrap();
    assert_eq!(read.occupant, Some(entry), "it is there as it was");
    let tokens: Vec<_> = valid.into_iter().map(Some).collect();
    assert_ne!(read.tokens, tokens, "and is not valid");
}

/// A sentinel, ended when dropped.
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
        let child = Command::new(program())
            .arg(file)
            .arg("--sentinel")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: apt-get install redis-server");
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
    let before = redis.connect("revalidate").await.unwrap();
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
        after = redis.connect("revalidate").await.ok();
        after.is_some()
    })
    .await;
    let after = after.unwrap();
    assert!(before.since(Some(at)).await.unwrap_err().ends_session());
    assert_ne!(before.epoch(), after.epoch());
    let lost = after.since(Some(at)).await.unwrap();
    assert!(matches!(lost, Since::Lost { .. }), "{lost:?}");
}
