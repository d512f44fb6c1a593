//! What it shows to people.

use crate::support::{Keeping, Server};
use crate::{Watching, node, revalidate, said};

#[tokio::test]
async fn each_way_of_invalidating_is_seen_in_the_log() {
    let server = Server::new();
    let _node = node(&server).await;
    let mut watching = Watching::new(&server, &[]);
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
        let line = watching.shows();
        assert!(line.contains(expected), "{arguments:?}: {line}");
    }
}

#[tokio::test]
async fn what_nobody_understands_and_what_is_lost_is_told() {
    let mut server = Server::new();
    let _node = node(&server).await;
    let mut watching = Watching::new(&server, &[]);
    let log = server.command(&["KEYS", "rv:{revalidate}:log:*"]);
    let log = log.lines().nth(2).unwrap();
    server.command(&["XADD", log, "*", "v", "2"]);
    let line = watching.shows();
    assert!(
        line.ends_with("  not understood: every node drops everything"),
        "{line}"
    );
    server.kill();
    server.start_again(Keeping::Nothing);
    watching.begins_anew();
    revalidate(&server, &["clear"]);
    let line = watching.shows();
    assert!(
        line.ends_with("  what came before it is lost: anything may have been dropped"),
        "{line}"
    );
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
