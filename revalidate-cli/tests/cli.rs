//! The command as somebody runs it, against a real server.

#[path = "../../cache-redis/tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

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

#[test]
fn each_way_of_invalidating_is_seen_in_the_log() {
    let server = Server::new();
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

#[test]
fn the_status_is_of_the_server_and_its_settings() {
    let server = Server::new();
    let (ok, out, err) = said(&revalidate(&server, &["status"]));
    assert!(ok, "{err}");
    assert!(
        out.contains("server  ") && out.contains("log     "),
        "{out}"
    );
    assert!(out.contains("advice  `maxmemory` is 0"), "{out}");
}

#[test]
fn what_cannot_be_is_said_and_the_status_is_a_failure() {
    let mut server = Server::new();
    server.kill();
    let (ok, out, err) = said(&revalidate(&server, &["--timeout", "1", "tag", "contacts"]));
    assert!(!ok && out.is_empty());
    assert!(err.contains("has not acknowledged"), "{err}");
    let (ok, _, err) = said(&revalidate(&server, &["--timeout", "1", "status"]));
    assert!(!ok && err.contains("cannot be reached"), "{err}");
    let (ok, _, err) = said(&revalidate(&server, &["--timeout", "0", "status"]));
    assert!(!ok && err.contains("0 is not in 1.."), "{err}");
    let (ok, _, err) = said(&revalidate(&server, &["tag", ""]));
    assert!(!ok && err.contains("1 to 256"), "{err}");
}
