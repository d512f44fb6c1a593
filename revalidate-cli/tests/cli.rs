//! The command as somebody runs it, against a real server.

#[path = "../../cache-redis/tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use cache_core::Cache;
use cache_redis::Redis;
use support::Server;

fn revalidate(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revalidate"));
    command.env("REDIS_URL", server.url()).args(arguments);
    // For calls with `--sentinel`: it may be set for all, and asks nothing of the others.
    command.env("REDIS_MASTER_URL", "redis://localhost/3");
    command.output().unwrap()
}

fn said(output: &Output) -> (bool, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Waits for a node of this namespace, which nothing is dropped without.
async fn node(server: &Server) -> Cache {
    let redis = Redis::new(server.url()).unwrap();
    let node = Cache::builder().remote(redis).build();
    node.connected().await;
    node
}

#[tokio::test]
async fn each_way_of_invalidating_is_seen_in_the_log() {
    let server = Server::new();
    let _node = node(&server).await;
    let mut watching = Command::new(env!("CARGO_BIN_EXE_revalidate"))
        .env("REDIS_URL", server.url())
        .arg("watch")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut stderr = BufReader::new(watching.stderr.take().unwrap());
    stderr.read_line(&mut ready).unwrap();
    assert!(ready.starts_with("watching the log of "), "{ready}");
    for (arguments, expected) in [
        (
            &["tag", "contacts", "contact:7"][..],
            "hard contact:7, contacts",
        ),
        (&["tag", "--soft", "contacts"], "soft contacts"),
        (&["path", "/blog/first"], "soft "),
        (&["path", "--layout", "/blog"], "soft "),
        (
            &["key", "greeting", "--scope", "texts", "--version", "1"],
            "keys 1",
        ),
        (&["clear"], "hard everything"),
    ] {
        let output = revalidate(&server, arguments);
        let (ok, out, err) = said(&output);
        // Its settings are for who asks for the status.
        assert_eq!(
            (ok, &*out, &*err),
            (true, "acknowledged\n", ""),
            "{arguments:?}"
        );
        let mut line = String::new();
        // One line is read for each, and buffered by none.
        let mut stdout = watching.stdout.take().unwrap();
        let mut byte = [0];
        while std::io::Read::read(&mut stdout, &mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0] as char);
        }
        watching.stdout = Some(stdout);
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[tokio::test]
async fn the_status_is_of_the_server_and_its_settings() {
    let server = Server::new();
    let status = |namespace: &str| {
        let output = revalidate(&server, &["--namespace", namespace, "status"]);
        let (ok, out, err) = said(&output);
        assert!(ok, "{err}");
        let address = format!("server     127.0.0.1:{}, version ", server.port);
        assert!(out.starts_with(&address), "{out}");
        assert!(out.contains("advice     `maxmemory` is 0"), "{out}");
        out
    };
    let _node = node(&server).await;
    assert!(status("revalidate").contains("log        last record at 20"));
    // Twice, as a look changes nothing.
    for _ in 0..2 {
        let out = status("unheard-of");
        assert!(
            out.contains("log        none: no node has been here"),
            "{out}"
        );
    }
}

#[tokio::test]
async fn a_namespace_without_nodes_is_told_and_not_begun() {
    let server = Server::new();
    let _node = node(&server).await;
    for _ in 0..2 {
        let output = revalidate(&server, &["--namespace", "typo", "tag", "contacts"]);
        let (ok, out, err) = said(&output);
        assert_eq!((ok, &*out), (true, "nothing to drop\n"));
        assert!(
            err.contains("no node of the namespace `typo` has been at 127.0.0.1:"),
            "{err}"
        );
    }
    let (ok, _, err) = said(&revalidate(&server, &["--namespace", "a b", "status"]));
    assert!(!ok && err.contains("1 to 64 letters"), "{err}");
}

#[test]
fn what_cannot_be_is_said_and_the_status_is_a_failure() {
    let mut server = Server::new();
    let port = server.port.to_string();
    server.kill();
    let (ok, out, err) = said(&revalidate(&server, &["--timeout", "1", "tag", "contacts"]));
    assert!(!ok && out.is_empty());
    assert!(err.contains("cannot be reached"), "{err}");
    assert!(err.contains(&port) && !err.contains("sent until"), "{err}");
    let (ok, _, err) = said(&revalidate(&server, &["--timeout", "1", "status"]));
    assert!(!ok && err.contains("cannot be reached"), "{err}");
    let (ok, _, err) = said(&revalidate(&server, &["--timeout", "0", "status"]));
    assert!(!ok && err.contains("0 is not in 1.."), "{err}");
    let (ok, _, err) = said(&revalidate(&server, &["tag", ""]));
    assert!(!ok && err.contains("1 to 256"), "{err}");
}
