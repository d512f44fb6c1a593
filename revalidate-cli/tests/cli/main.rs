//! The command as somebody runs it, against a real server.

#[cfg(feature = "tls")]
#[path = "../../../cache-redis/tests/support/certified.rs"]
mod certified;
#[path = "../../../cache-redis/tests/support/mod.rs"]
mod support;

mod json;
mod text;
#[cfg(feature = "tls")]
mod tls;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use cache_core::Cache;
use cache_redis::Redis;
use support::Server;

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_revalidate"));
    command.env("REDIS_URL", url).args(arguments);
    command
}

fn revalidate(server: &Server, arguments: &[&str]) -> Output {
    let mut command = command(&server.url(), arguments);
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

/// `revalidate watch`, ended when dropped.
struct Watching {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Watching {
    /// Once it watches.
    fn new(server: &Server, arguments: &[&str]) -> Self {
        let mut child = command(&server.url(), &[&["watch"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let mut watching = Self { child, out, err };
        watching.begins();
        watching
    }

    /// Waits until it watches; tells whose log.
    fn begins(&mut self) -> String {
        let told = line(&mut self.err);
        let identity = told.strip_prefix("watching the log of ");
        identity.unwrap_or_else(|| panic!("{told}")).to_owned()
    }

    /// Waits until it watches again, after its connection broke; tells whose log.
    fn begins_anew(&mut self) -> String {
        let told = line(&mut self.err);
        assert!(told.ends_with(": connecting anew"), "{told}");
        self.begins()
    }

    /// The next line that it shows.
    fn shows(&mut self) -> String {
        line(&mut self.out)
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    assert_eq!(line.pop(), Some('\n'), "it has ended: {line}");
    line
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
