//! The processes: a `redis-server` and three nodes, ended with this one.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::NODES;

type Done = Result<(), Box<dyn Error>>;

pub(crate) struct Fleet {
    database: SocketAddr,
    server: Child,
    port: u16,
    folder: PathBuf,
    nodes: Vec<(Child, SocketAddr)>,
}

fn signal(child: &Child, signal: &str) -> Done {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status()?;
    if sent.success() {
        Ok(())
    } else {
        Err(format!("kill {signal} failed").into())
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl Fleet {
    pub(crate) fn new(database: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = env::temp_dir().join(format!("revalidate-cluster-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut fleet = Self {
            database,
            server: spawn_server(port, &folder)?,
            port,
            folder,
            nodes: Vec::new(),
        };
        fleet.until_it_answers()?;
        for _ in 0..NODES {
            let node = fleet.spawn_node("127.0.0.1:0")?;
            fleet.nodes.push(node);
        }
        Ok(fleet)
    }

    pub(crate) const fn server_port(&self) -> u16 {
        self.port
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; NODES] {
        std::array::from_fn(|node| self.nodes[node].1)
    }

    fn until_it_answers(&self) -> Done {
        let until = Instant::now() + Duration::from_secs(10);
        while self.ask("PING").is_err() {
            if Instant::now() > until {
                return Err("redis-server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn ask(&self, command: &str) -> Done {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = [0; 1];
        stream.read_exact(&mut answer)?;
        if answer == *b"+" {
            Ok(())
        } else {
            Err(format!("redis-server refused {command}").into())
        }
    }

    /// Starts a node, and waits until it says where it listens.
    fn spawn_node(&self, listen: &str) -> Result<(Child, SocketAddr), Box<dyn Error>> {
        let mut child = Command::new(env::current_exe()?)
            .env("CLUSTER_NODE", listen)
            .env("CLUSTER_DATABASE", self.database.to_string())
            .env("REDIS_URL", format!("redis://127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        let address = said.trim().parse().map_err(|_| "a node does not start")?;
        Ok((child, address))
    }

    pub(crate) fn flush(&mut self) -> Done {
        self.ask("FLUSHALL")
    }

    pub(crate) fn stop_server(&mut self) -> Done {
        signal(&self.server, "-STOP")
    }

    pub(crate) fn continue_server(&mut self) -> Done {
        signal(&self.server, "-CONT")
    }

    pub(crate) fn kill_server(&mut self) -> Done {
        end(&mut self.server);
        Ok(())
    }

    pub(crate) fn start_server(&mut self) -> Done {
        self.server = spawn_server(self.port, &self.folder)?;
        self.until_it_answers()
    }

    pub(crate) fn freeze(&self, node: usize) -> Done {
        signal(&self.nodes[node].0, "-STOP")
    }

    pub(crate) fn thaw(&self, node: usize) -> Done {
        signal(&self.nodes[node].0, "-CONT")
    }

    pub(crate) fn kill(&mut self, node: usize) -> Done {
        end(&mut self.nodes[node].0);
        Ok(())
    }

    pub(crate) fn start(&mut self, node: usize) -> Done {
        let address = self.nodes[node].1.to_string();
        self.nodes[node] = self.spawn_node(&address)?;
        Ok(())
    }
}

fn spawn_server(port: u16, folder: &PathBuf) -> Result<Child, Box<dyn Error>> {
    let spawned = Command::new("redis-server")
        .current_dir(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--maxmemory", "64mb"])
        .args(["--maxmemory-policy", "allkeys-lru"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    spawned.map_err(|error| {
        format!("redis-server: {error}. Install it: apt-get install redis-server").into()
    })
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self
            .nodes
            .iter_mut()
            .map(|(child, _)| child)
            .chain([&mut self.server])
        {
            end(child);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
