//! A `redis-server` of a benchmark's own, and what it says of itself.

use std::collections::HashMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use revalidate::{Cache, CacheBuilder, Redis};

/// A server on a free port of this machine; it ends when dropped.
#[derive(Debug)]
pub struct Server(Child, u16);

impl Server {
    /// Starts one with these settings beside those of a cache.
    ///
    /// # Panics
    ///
    /// Where there is no `redis-server`.
    #[must_use]
    pub fn start(settings: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a port is free").port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"])
            .args(["--save", ""])
            .args(settings)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: apt-get install redis-server");
        std::thread::sleep(Duration::from_millis(500));
        Self(child, port)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.1)
    }

    /// A cache on it, not connected yet.
    ///
    /// # Panics
    ///
    /// Never: it is an address.
    pub fn cache(&self, builder: CacheBuilder) -> Cache {
        let remote = Redis::new(self.url()).expect("it is an address");
        builder.remote(remote).build()
    }

    /// A node with room for everything, connected.
    pub async fn node(&self, builder: CacheBuilder) -> Cache {
        let node = self.cache(builder.max_bytes(1 << 30));
        node.connected().await;
        node
    }

    /// A connection to it.
    ///
    /// # Panics
    ///
    /// Where it does not answer.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("it is an address");
        let connection = client.get_multiplexed_async_connection().await;
        connection.expect("it connects")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `INFO` says, by name.
#[derive(Debug)]
pub struct Info(HashMap<String, String>);

impl Info {
    /// Asks.
    ///
    /// # Panics
    ///
    /// Where the server does not answer.
    pub async fn of(connection: &mut redis::aio::MultiplexedConnection) -> Self {
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("all").query_async(connection).await.expect("INFO");
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    /// A number.
    ///
    /// # Panics
    ///
    /// Where there is none of that name.
    #[must_use]
    pub fn number(&self, name: &str) -> f64 {
        let value = self.0.get(name).and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("INFO has no number {name}"))
    }

    /// How often a command was called, and the microseconds that all calls took.
    #[must_use]
    pub fn command(&self, name: &str) -> (f64, f64) {
        let stats = self.0.get(&format!("cmdstat_{name}"));
        let field = |field: &str| {
            let fields = stats?.split(',');
            let mut pairs = fields.filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == field)?.1.parse().ok()
        };
        (field("calls").unwrap_or(0.0), field("usec").unwrap_or(0.0))
    }
}
