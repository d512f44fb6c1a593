//! An example as somebody runs it: its binary, a process of its own.
//!
//! `cargo test` builds it. Where only one file was asked for and there is none yet, it is built here.
#![allow(dead_code, unreachable_pub)]

pub mod wire;

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running example. Dropping it kills it.
pub struct Example {
    process: Child,
    stderr: Receiver<String>,
    /// The host and port that it said it listens on.
    pub address: String,
    /// What else it said of that.
    pub beside: String,
}

impl Example {
    /// Starts the example `name`, and waits until it is ready.
    pub fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(binary(name))
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pipe = BufReader::new(process.stderr.take().unwrap());
        let (lines, stderr) = mpsc::channel();
        std::thread::spawn(move || {
            for line in pipe.lines() {
                let _ = lines.send(line.unwrap());
            }
        });
        let ready = stderr.recv_timeout(PATIENCE).unwrap();
        let (_, address) = ready.split_once("ready on http://").unwrap();
        let (address, beside) = address.split_once(", ").unwrap_or((address, ""));
        Self {
            process,
            stderr,
            address: address.to_owned(),
            beside: beside.to_owned(),
        }
    }

    /// Starts an example that cannot run so: what it says, and how it ends.
    pub fn refused(name: &str, settings: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut process = Command::new(binary(name));
        let output = process.envs(settings.iter().copied()).output().unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    /// Runs an example that ends by itself: how, and what it wrote.
    pub fn run(name: &str) -> (ExitStatus, String) {
        Self::run_with(name, &[])
    }

    /// The same with settings.
    pub fn run_with(name: &str, settings: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut process = Command::new(binary(name));
        let output = process.envs(settings.iter().copied()).output().unwrap();
        (output.status, String::from_utf8(output.stdout).unwrap())
    }

    /// Sends a signal, as `sh` can everywhere.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill {signal} {}", self.process.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends a signal and waits for the end: its status, and what was said since it was ready.
    pub fn end(mut self, signal: &str) -> (ExitStatus, Vec<String>) {
        self.signal(signal);
        let mut said = Vec::new();
        // The pipe closes when the process ends.
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            said.push(line);
        }
        (self.process.wait().unwrap(), said)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join(name);
    if !binary.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "examples", "--example", name]);
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success());
    }
    binary
}
