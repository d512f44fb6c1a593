//! A TCP proxy between a node and its server: it cuts, delays, and leads elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Default)]
struct Way {
    port: AtomicU16,
    answers_cut: AtomicBool,
    delay: AtomicU64,
}

/// A running proxy; its tasks end with the runtime.
pub(crate) struct Proxy {
    port: u16,
    way: Arc<Way>,
    /// Counts how often all connections were ended.
    ended: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Arc::new(Way::default());
        way.port.store(port, Ordering::SeqCst);
        let ended = watch::Sender::new(0);
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            way: Arc::clone(&way),
            ended: ended.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let to = way.port.load(Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(
                    from_client,
                    to_server,
                    Arc::clone(&way),
                    false,
                    ended.subscribe(),
                ));
                tokio::spawn(carry(
                    from_server,
                    to_client,
                    Arc::clone(&way),
                    true,
                    ended.subscribe(),
                ));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Has the server's answers get lost, while what is sent to it arrives.
    pub(crate) fn cut_answers(&self, cut: bool) {
        self.way.answers_cut.store(cut, Ordering::SeqCst);
        if !cut {
            // What was lost leaves no connection that could be used.
            self.ended.send_modify(|times| *times += 1);
        }
    }

    /// Delays what is carried, in both directions.
    pub(crate) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.way.delay.store(millis, Ordering::SeqCst);
    }

    /// Ends all connections, and leads the next to another server.
    pub(crate) fn lead_to(&self, port: u16) {
        self.way.port.store(port, Ordering::SeqCst);
        self.ended.send_modify(|times| *times += 1);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Arc<Way>,
    answers: bool,
    mut ended: watch::Receiver<u64>,
) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read.unwrap_or(0),
            _ = ended.changed() => 0,
        };
        if read == 0 {
            return;
        }
        let delay = way.delay.load(Ordering::SeqCst);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let lost = answers && way.answers_cut.load(Ordering::SeqCst);
        if !lost && to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
