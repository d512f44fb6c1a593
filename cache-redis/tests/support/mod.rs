//! Real servers for tests: each its own `redis-server` (or what `REDIS_SERVER` names in its place) on a free port
//! of this machine, with a folder of its own, ended when dropped.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a server keeps when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    Nothing,
    /// Every write, by an append-only file.
    All,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
    options: Vec<String>,
}

/// A port that was free a moment ago, as was the one on which a Cluster's servers would speak to each other.
pub(crate) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bus = port.checked_add(10_000);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
        }
    }
}

/// The server that is tested.
pub(crate) fn program() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}

fn start(folder: &Path, port: u16, options: &[String]) -> Child {
    let program = program();
    let started = Command::new(&program)
        .current_dir(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--daemonize", "no", "--save", ""])
        // Replicas are not waited for.
        .args(["--repl-diskless-sync-delay", "0"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(child) => child,
        Err(error) => {
            panic!("{program}: {error}. Install it: apt-get install redis-server redis-tools")
        }
    }
}

impl Server {
    /// A server that keeps nothing.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// One with further options.
    pub(crate) fn with(options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        // Another process may take the port before the server does.
        let server = (0..5).find_map(|_| {
            let folder = TempDir::new().unwrap();
            let port = free_port();
            let mut server = Self {
                child: start(folder.path(), port, &options),
                folder,
                port,
                options: options.clone(),
            };
            server.answers(Duration::from_secs(10)).then_some(server)
        });
        server.unwrap_or_else(|| panic!("{} does not start with {options:?}", program()))
    }

    /// Waits until it answers and has loaded what it kept.
    fn answers(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            match self.try_command(&["PING"]) {
                // With a password it says so.
                Ok(answer) if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") => {
                    return true;
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        false
    }

    fn try_command(&self, parts: &[&str]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = format!("*{}\r\n", parts.len());
        for part in parts {
            request += &format!("${}\r\n{part}\r\n", part.len());
        }
        stream.write_all(request.as_bytes())?;
        let mut answer = vec![0; 1 << 16];
        let read = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    /// Sends a command by itself; returns the beginning of the answer as it stands on the wire.
    pub(crate) fn command(&self, parts: &[&str]) -> String {
        self.try_command(parts).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success(), "{signal} {id}");
    }

    /// Kills it, so that it says nothing more.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again at the same port, after it was killed.
    pub(crate) fn start_again(&mut self, keeping: Keeping) {
        if keeping == Keeping::Nothing {
            for left in std::fs::read_dir(self.folder.path()).unwrap() {
                let left = left.unwrap().path();
                if left.is_dir() {
                    std::fs::remove_dir_all(left).unwrap();
                } else {
                    std::fs::remove_file(left).unwrap();
                }
            }
        }
        self.child = start(self.folder.path(), self.port, &self.options);
        assert!(
            self.answers(Duration::from_secs(20)),
            "it does not start again"
        );
    }

    /// Has it fail to save what it has, as on a full disk, and so refuse to write; or mends that.
    pub(crate) fn fill_disk(&self, full: bool) {
        // No file takes the place of a folder.
        let file = self.folder.path().join("dump.rdb");
        if full {
            std::fs::create_dir(file).unwrap();
            // It minds where it is to save by itself; that is not to happen yet.
            self.command(&["CONFIG", "SET", "save", "86400 1000000"]);
        } else {
            std::fs::remove_dir(file).unwrap();
        }
        self.command(&["BGSAVE"]);
        let went = if full { "err" } else { "ok" };
        self.waits_for("persistence", &format!("rdb_last_bgsave_status:{went}"));
    }

    /// Makes it the replica of another, and waits until it has what that one has.
    pub(crate) fn replicate(&self, master: &Self) {
        self.command(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        self.waits_for("replication", "master_link_status:up");
    }

    /// Waits until it says so of itself.
    pub(crate) fn waits_for(&self, section: &str, what: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.command(&["INFO", section]).contains(what) {
            assert!(Instant::now() < until, "not in 20 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !so().await {
        assert!(Instant::now() < end, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // A stopped process takes no other signal.
        let _ = Command::new("kill")
            .args(["-CONT", &self.child.id().to_string()])
            .status();
        self.kill();
    }
}
