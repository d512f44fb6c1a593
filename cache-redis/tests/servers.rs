//! What only real servers do: they restart, fail over, refuse, forget their scripts.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::remote::{Position, Record, Remote, RemoteError, Session, Since, Token};
use cache_redis::Redis;
use support::{Keeping, Server};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

async fn session(server: &Server) -> Arc<dyn Session> {
    Redis::new(server.url())
        .unwrap()
        .connect("revalidate")
        .await
        .unwrap()
}

async fn last(session: &dyn Session) -> Position {
    match session.since(None).await.unwrap() {
        Since::Lost { last, .. } => last,
        Since::After { .. } => panic!("a node without a position has lost it"),
    }
}

fn hard(tag: &str) -> Record {
    Record::new(Token::random(), Token::random()).hard([tag])
}

#[tokio::test]
async fn a_restarted_server_is_another_whatever_it_kept() {
    for keeping in [Keeping::Nothing, Keeping::All] {
        let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
        let before = session(&server).await;
        let at = last(&*before).await;
        before.append(hard("#a"), Some(at)).await.unwrap();
        server.kill();
        let gone = before.since(Some(at)).await.unwrap_err();
        assert!(gone.ends_session(), "{gone}");
        server.start_again(keeping);
        let still = before.since(Some(at)).await.unwrap_err();
        assert!(
            still.ends_session(),
            "nothing reconnects beneath a session: {still}"
        );
        let after = session(&server).await;
        assert_ne!(before.epoch(), after.epoch());
        assert!(matches!(
            after.since(Some(at)).await.unwrap(),
            Since::Lost { .. }
        ));
    }
}

#[tokio::test]
async fn an_emptied_server_is_the_same_with_another_log() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    server.command(&["FLUSHALL"]);
    let Since::Lost { last, .. } = session.since(Some(at)).await.unwrap() else {
        panic!("the log is gone");
    };
    assert_ne!(last.nonce, at.nonce);
}

#[tokio::test]
async fn a_log_that_was_trimmed_past_a_position_has_lost_it() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    session.append(hard("#a"), None).await.unwrap();
    let log = format!("rv:{{revalidate}}:log:{}", session.epoch());
    server.command(&["XTRIM", &log, "MAXLEN", "1"]);
    assert!(matches!(
        session.since(Some(at)).await.unwrap(),
        Since::Lost { .. }
    ));
}

/// What a later release or somebody's hand wrote: it is everything once, and not at each look.
#[tokio::test]
async fn a_record_without_a_nonce_is_a_position_as_well() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    let log = format!("rv:{{revalidate}}:log:{}", session.epoch());
    for nonce in ["", "short", &"A".repeat(32), &"x".repeat(32)] {
        let added = server.command(&["XADD", &log, "*", "n", nonce, "later", "release"]);
        assert!(added.starts_with('$'), "{added}");
    }
    let added = server.command(&["XADD", &log, "*", "later", "release"]);
    assert!(added.starts_with('$'), "{added}");
    let Since::After { records, .. } = session.since(Some(at)).await.unwrap() else {
        panic!("it is the same log");
    };
    assert_eq!(records.len(), 5);
    for (number, logged) in records.iter().enumerate() {
        assert_eq!(logged.record, None);
        match session.since(Some(logged.at)).await.unwrap() {
            Since::After { records, .. } => assert_eq!(records.len(), 4 - number),
            Since::Lost { .. } => panic!("record {number} is there"),
        }
    }
    assert_eq!(last(&*session).await, records[4].at);
}

/// Else a node whose answers take longer than it waits never catches up.
#[tokio::test]
async fn large_records_come_in_several_answers() {
    let server = Server::new();
    let session = session(&server).await;
    let mut at = last(&*session).await;
    let mut sent = Vec::new();
    for key in 0..3 {
        // In the log it is twice as long, and two are more than a mebibyte.
        let record = hard("#a").keys([vec![key; 1 << 18]]);
        session.append(record.clone(), None).await.unwrap();
        sent.push(record);
    }
    let mut heard = Vec::new();
    while heard.len() < sent.len() {
        let Since::After { records, more, .. } = session.since(Some(at)).await.unwrap() else {
            panic!("it is the same log");
        };
        assert_eq!(records.len(), 1);
        at = records.last().unwrap().at;
        heard.extend(records.into_iter().map(|logged| logged.record.unwrap()));
        assert_eq!(more, heard.len() < sent.len());
    }
    assert_eq!(heard, sent);
}

#[tokio::test]
async fn a_killed_connection_ends_the_session_and_the_server_stays_the_same() {
    let server = Server::new();
    let before = session(&server).await;
    let at = last(&*before).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(before.since(Some(at)).await.unwrap_err().ends_session());
    let after = session(&server).await;
    assert_eq!(before.epoch(), after.epoch());
    assert!(matches!(
        after.since(Some(at)).await.unwrap(),
        Since::After { .. }
    ));
}

#[tokio::test]
async fn forgotten_scripts_are_sent_again() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    server.command(&["SCRIPT", "FLUSH"]);
    assert!(matches!(
        session.since(Some(at)).await.unwrap(),
        Since::After { .. }
    ));
}

#[tokio::test]
async fn a_replica_that_takes_over_is_another_server() {
    let (first, second) = (Server::new(), Server::new());
    let before = session(&first).await;
    let at = last(&*before).await;
    second.replicate(&first);
    let replica = Redis::new(second.url())
        .unwrap()
        .connect("revalidate")
        .await;
    assert!(matches!(replica, Err(RemoteError::Moved(_))), "{replica:?}");
    // Over to the second, and the first follows it.
    second.command(&["REPLICAOF", "NO", "ONE"]);
    let after = session(&second).await;
    assert_ne!(before.epoch(), after.epoch());
    first.replicate(&second);
    let demoted = before.since(Some(at)).await.unwrap_err();
    assert!(matches!(demoted, RemoteError::Moved(_)), "{demoted}");
}

#[tokio::test]
async fn a_connection_that_survives_a_failover_and_back_is_refused() {
    let (first, second) = (Server::new(), Server::new());
    let survivor = session(&first).await;
    let at = last(&*survivor).await;
    second.replicate(&first);
    second.command(&["REPLICAOF", "NO", "ONE"]);
    first.replicate(&second);
    first.command(&["REPLICAOF", "NO", "ONE"]);
    shows_no_log(&*survivor, at).await;
}

/// Nothing is proven by this session any more, and nothing done.
async fn shows_no_log(session: &dyn Session, at: Position) {
    let (tags, long) = (vec!["#a".into()], Duration::from_secs(9));
    for refused in [
        session.since(Some(at)).await.err(),
        session.append(hard("#a"), Some(at)).await.err(),
        session.prepare(tags, Token::random(), long, at).await.err(),
    ] {
        assert!(
            matches!(refused, Some(RemoteError::Moved(_))),
            "{refused:?}"
        );
    }
}

/// A proxy to the port that it is told, which keeps its clients' connections when that changes; 0 leads nowhere.
async fn proxy_that_keeps(to: watch::Receiver<u16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut to = to.clone();
            tokio::spawn(async move {
                loop {
                    let port = *to.wait_for(|port| *port != 0).await.unwrap();
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::select! {
                        biased;
                        _ = to.changed() => {}
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_restarted_behind_a_connection_that_lives_on_is_refused() {
    for options in [&[][..], &["--appendonly", "yes"]] {
        let mut server = Server::with(options);
        let (leading, to) = watch::channel(server.port);
        let redis = Redis::new(proxy_that_keeps(to).await).unwrap();
        let session = redis.connect("revalidate").await.unwrap();
        let at = last(&*session).await;
        session.append(hard("#a"), Some(at)).await.unwrap();
        // What it saves has its replication id in it.
        assert!(server.command(&["SAVE"]).starts_with("+OK"));
        leading.send_replace(0);
        server.kill();
        server.start_again(Keeping::All);
        leading.send_replace(server.port);
        shows_no_log(&*session, at).await;
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_proves_nothing() {
    let (first, second) = (Server::new(), Server::new());
    let session = session(&first).await;
    let at = last(&*session).await;
    first.replicate(&second);
    assert!(session.since(Some(at)).await.unwrap_err().ends_session());
}

#[tokio::test]
async fn a_wrong_password_is_told_and_is_in_no_message() {
    let server = Server::with(&["--requirepass", "right"]);
    let url = format!("redis://:wrong-secret@127.0.0.1:{}", server.port);
    let redis = Redis::new(url).unwrap();
    let refused = redis.connect("revalidate").await.unwrap_err();
    for text in [format!("{refused}"), format!("{redis:?}")] {
        assert!(!text.contains("wrong-secret"), "{text}");
    }
    let right = format!("redis://:right@127.0.0.1:{}", server.port);
    assert!(
        Redis::new(right)
            .unwrap()
            .connect("revalidate")
            .await
            .is_ok()
    );
    let wrong = Redis::new("redis://:secret@host:port").unwrap_err();
    assert!(!wrong.to_string().contains("secret"), "{wrong}");
}

#[tokio::test]
async fn a_full_server_refuses_and_the_session_goes_on() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let key = Bytes::from_static(b"key");
    let full = session
        .hold(key, Token::random(), Duration::from_secs(9))
        .await
        .unwrap_err();
    assert!(
        matches!(&full, RemoteError::Refused(text) if text.contains("OOM")),
        "{full}"
    );
    assert!(!full.ends_session());
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(session.since(Some(at)).await.is_ok());
}

#[tokio::test]
async fn a_user_with_the_documented_rights_may_do_all() {
    let server = Server::new();
    let rights = include_str!("../docs/wire.md");
    let rights = rights
        .split("access list needs")
        .nth(1)
        .unwrap()
        .split('`')
        .nth(1)
        .unwrap();
    let mut user = vec!["ACL", "SETUSER", "node", "on", ">secret", "~rv:*"];
    user.extend(rights.split(' '));
    assert!(server.command(&user).starts_with("+OK"), "{user:?}");
    let url = format!("redis://node:secret@127.0.0.1:{}", server.port);
    let session = Redis::new(url)
        .unwrap()
        .connect("revalidate")
        .await
        .unwrap();
    let at = last(&*session).await;
    let key = Bytes::from_static(b"key");
    let (held, long) = (Token::random(), Duration::from_secs(9));
    assert!(session.hold(key.clone(), held, long).await.unwrap());
    assert!(
        session
            .store(key.clone(), held, Bytes::from(vec![1; 20]), long)
            .await
            .unwrap()
    );
    session
        .prepare(vec!["#a".into()], Token::random(), long, at)
        .await
        .unwrap();
    session.read(key.clone(), vec!["#a".into()]).await.unwrap();
    let record = hard("#a").keys([key]);
    session.append(record, Some(at)).await.unwrap();
    assert_eq!(session.follow(at, long).await.unwrap().len(), 1);
    let advice = session.advice().await.unwrap();
    assert!(
        advice[0].contains("`maxmemory` is 0"),
        "it may look: {advice:?}"
    );
}

#[tokio::test]
async fn settings_against_the_promises_are_told() {
    let server = Server::new();
    let session = session(&server).await;
    let none = &session.advice().await.unwrap()[0];
    assert!(none.contains("`maxmemory` is 0"), "{none}");
    server.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    let policy = &session.advice().await.unwrap()[0];
    assert!(policy.contains("noeviction"), "{policy}");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert_eq!(session.advice().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_script_for_other_clients_invalidates() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    let token = Token::random();
    session
        .prepare(vec!["#contacts".into()], token, Duration::from_secs(9), at)
        .await
        .unwrap();
    let random = "0123456789abcdef0123456789abcdef";
    let script = include_str!("../scripts/invalidate.lua");
    let evaluate = |key: &str| {
        let port = server.port.to_string();
        let evaluated = Command::new("redis-cli")
            .args(["-p", &port, "EVAL", script, "1", key])
            .args(["hard", random, "contacts", "*"])
            .output();
        evaluated.expect("redis-cli: apt-get install redis-tools")
    };
    // A name that no node reads is told at once.
    let refused = evaluate("revalidate");
    let told = String::from_utf8_lossy(&refused.stdout);
    assert!(told.contains("the key is rv:{NAMESPACE}"), "{refused:?}");
    let evaluated = evaluate("rv:{revalidate}");
    assert!(evaluated.status.success());
    let Since::After { records, .. } = session.since(Some(at)).await.unwrap() else {
        panic!("it is the same log: {evaluated:?}");
    };
    let record = records[0].record.as_ref().expect("it is understood");
    assert_eq!(record.hard, ["#contacts".into(), Arc::<str>::from("*")]);
    let tokens = session.tokens(vec!["#contacts".into()]).await.unwrap();
    assert_eq!(tokens, [Some(record.nonce)]);
    assert_eq!(record.nonce.0[..2], [0x01, 0x23]);
}

#[tokio::test]
async fn nothing_is_left_without_an_expiry() {
    let server = Server::new();
    let session = session(&server).await;
    let at = last(&*session).await;
    let long = Duration::from_secs(9);
    session
        .prepare(vec!["#a".into()], Token::random(), long, at)
        .await
        .unwrap();
    session
        .hold(Bytes::from_static(b"key"), Token::random(), long)
        .await
        .unwrap();
    session.append(hard("#a"), Some(at)).await.unwrap();
    let names = server.command(&["KEYS", "*"]);
    let names: Vec<_> = names
        .lines()
        .filter(|line| line.starts_with("rv:"))
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let left = server.command(&["PTTL", name]);
        let left: i64 = left.trim().trim_start_matches(':').parse().unwrap();
        assert!(left > 0, "{name}: {left}");
    }
}

#[test]
fn addresses_are_checked_before_anything_is_connected_to() {
    for wrong in [
        "",
        "10.0.0.5",
        "http://10.0.0.5",
        "redis://",
        "redis://host:port",
    ] {
        let error = Redis::new(wrong).unwrap_err().to_string();
        assert!(error.contains("redis://[USER"), "{error}");
    }
    let none = Redis::cluster(Vec::<String>::new()).unwrap_err();
    assert!(none.to_string().contains("at least one"));
    if cfg!(not(feature = "tls")) {
        let tls = Redis::new("rediss://10.0.0.5").unwrap_err().to_string();
        assert!(tls.contains("feature `tls`"), "{tls}");
    }
}
