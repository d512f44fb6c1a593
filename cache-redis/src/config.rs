//! Where the servers are, and how they are spoken to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::Span;
use cache_core::remote::{Remote, Reply, Session};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::connect::connect;
use crate::error::RedisError;
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// A Redis or Valkey, or several that are one: for
/// [`CacheBuilder::remote`](cache_core::CacheBuilder::remote). Making one connects to nothing.
///
/// Connecting to one server takes no longer than [`connect_timeout`](Self::connect_timeout), an answer no longer
/// than the cache's [`remote_timeout`](cache_core::CacheBuilder::remote_timeout). A node has two connections: one
/// that all requests share, and one on which it waits for the log (with Cluster, one more to each other
/// master). None reconnects by itself: who answers is known before anything is asked.
#[derive(Clone)]
pub struct Redis {
    pub(crate) site: Site,
    pub(crate) log_length: usize,
    pub(crate) connect_timeout: Duration,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
    pub(crate) advise: bool,
}

/// Where the servers are.
#[derive(Clone)]
pub(crate) enum Site {
    One(ConnectionInfo),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        name: String,
        /// How the master is spoken to.
        server: Box<ConnectionInfo>,
    },
    Cluster(Vec<ConnectionInfo>),
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = |infos: &[ConnectionInfo]| {
            let addresses = infos.iter().map(|info| info.addr().to_string());
            addresses.collect::<Vec<_>>().join(", ")
        };
        let site = match &self.site {
            Site::One(info) => info.addr().to_string(),
            Site::Sentinel {
                sentinels, name, ..
            } => format!("{name} by {}", addresses(sentinels)),
            Site::Cluster(nodes) => format!("cluster of {}", addresses(nodes)),
        };
        f.debug_tuple("Redis").field(&site).finish()
    }
}

fn info(address: &str) -> Result<ConnectionInfo, RedisError> {
    let wrong = |problem: String| {
        // What stands before an `@` may be a password.
        let shown = address.rsplit_once('@').map_or(address, |(_, shown)| shown);
        RedisError::Address {
            address: shown.to_owned(),
            problem,
        }
    };
    if address.starts_with("rediss:") && cfg!(not(feature = "tls")) {
        return Err(wrong(
            "TLS is behind the feature `tls`, of the facade `redis-tls`".into(),
        ));
    }
    let info = address
        .into_connection_info()
        .map_err(|error| wrong(error.detail().unwrap_or(error.category()).to_owned()))?;
    if let ConnectionAddr::TcpTls { insecure: true, .. } = info.addr() {
        let instead = "whoever answers would be trusted by `#insecure`: give the server's authority to `Redis::tls_ca`";
        return Err(wrong(instead.into()));
    }
    // One connection is for all: what is asked while an answer is awaited would wait for that.
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn infos(
    addresses: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<ConnectionInfo>, RedisError> {
    let infos = addresses.into_iter().map(|address| info(address.as_ref()));
    let infos = infos.collect::<Result<Vec<_>, _>>()?;
    if infos.is_empty() {
        return Err(RedisError::NoAddress);
    }
    Ok(infos)
}

impl Redis {
    fn at(site: Site) -> Self {
        Self {
            site,
            log_length: 10_000,
            connect_timeout: Duration::from_secs(2),
            #[cfg(feature = "tls")]
            tls: Tls::default(),
            advise: true,
        }
    }

    /// One server, such as `redis://10.0.0.5`, `rediss://user:password@cache.example:6380/2` or
    /// `unix:///run/redis.sock`.
    ///
    /// # Errors
    ///
    /// [`RedisError::Address`] where it is no address.
    pub fn new(address: impl AsRef<str>) -> Result<Self, RedisError> {
        Ok(Self::at(Site::One(info(address.as_ref())?)))
    }

    /// The master of that name, which these sentinels watch. `server` says how it and its replicas are
    /// spoken to (`rediss`, user, password, database); its host and port are the sentinels' to say.
    ///
    /// # Errors
    ///
    /// [`RedisError::Address`] where one is no address, [`RedisError::NoAddress`] where there is none.
    pub fn sentinel(
        sentinels: impl IntoIterator<Item = impl AsRef<str>>,
        name: impl Into<String>,
        server: impl AsRef<str>,
    ) -> Result<Self, RedisError> {
        Ok(Self::at(Site::Sentinel {
            sentinels: infos(sentinels)?,
            name: name.into(),
            server: Box::new(info(server.as_ref())?),
        }))
    }

    /// The Cluster that these are nodes of: the first that answers says who the others are. They are spoken
    /// to with that one's user and password.
    ///
    /// # Errors
    ///
    /// [`RedisError::Address`] where one is no address, [`RedisError::NoAddress`] where there is none.
    pub fn cluster(nodes: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, RedisError> {
        Ok(Self::at(Site::Cluster(infos(nodes)?)))
    }

    /// About how many records the log keeps (default: 10,000; at least 100): a node that missed more begins
    /// anew.
    #[must_use]
    pub fn log_length(mut self, records: usize) -> Self {
        self.log_length = records.max(100);
        self
    }

    /// How long connecting to one server may take, and then its first answer (default: 2 s). Several are
    /// asked one after the other: a sentinel that does not answer costs this before the next one is asked.
    ///
    /// # Panics
    ///
    /// On text that is no duration.
    #[must_use]
    #[track_caller]
    pub fn connect_timeout(mut self, limit: impl Into<Span>) -> Self {
        self.connect_timeout = limit.into().into();
        self
    }

    /// Whether a node that starts warns of what in the server's settings goes against what a cache
    /// promises (default: yes). For those who know, and cannot set them.
    #[must_use]
    pub fn advise(mut self, advise: bool) -> Self {
        self.advise = advise;
        self
    }
}

/// Certificates, for servers at `rediss://`. The cryptography is that of rustls's provider which the application has
/// installed as its process's default, else *ring*'s; none is installed for it.
#[cfg(feature = "tls")]
impl Redis {
    /// Whose certificates servers may have, in PEM: one authority or several, instead of those that the
    /// system trusts (and that `SSL_CERT_FILE` names). Needs the feature `tls`, of the facade `redis-tls`.
    ///
    /// A certificate holds for the names and addresses that stand in it: with Sentinel and Cluster for those by
    /// which the servers tell of each other.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cache_redis::Redis;
    ///
    /// let redis = Redis::new("rediss://cache.internal:6380")?
    ///     .tls_ca(std::fs::read("/etc/ssl/internal/ca.pem")?)?
    ///     .tls_client(std::fs::read("node.pem")?, std::fs::read("node.key")?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RedisError::Certificate`] where there is no certificate in it, or no authority's;
    /// [`RedisError::NoTls`] where no address is `rediss://`.
    pub fn tls_ca(mut self, pem: impl AsRef<[u8]>) -> Result<Self, RedisError> {
        self.needs_tls("tls_ca")?;
        self.tls.trust(pem.as_ref())?;
        Ok(self)
    }

    /// What this process shows to servers that want to know their clients (mutual TLS; Redis does unless
    /// `tls-auth-clients` is `no`), in PEM: its certificate, with those between it and its authority, and its key
    /// (default: nothing). Needs the feature `tls`, of the facade `redis-tls`.
    ///
    /// # Errors
    ///
    /// [`RedisError::Certificate`] where one is missing, or the key is another's;
    /// [`RedisError::NoTls`] where no address is `rediss://`.
    pub fn tls_client(
        mut self,
        certificate: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self, RedisError> {
        self.needs_tls("tls_client")?;
        self.tls.show(certificate.as_ref(), key.as_ref())?;
        Ok(self)
    }

    fn needs_tls(&self, of: &'static str) -> Result<(), RedisError> {
        let some = match &self.site {
            Site::One(info) => has_tls(info),
            Site::Sentinel {
                sentinels, server, ..
            } => has_tls(server) || sentinels.iter().any(has_tls),
            Site::Cluster(nodes) => nodes.iter().any(has_tls),
        };
        some.then_some(()).ok_or(RedisError::NoTls { of })
    }
}

#[cfg(feature = "tls")]
fn has_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

impl Remote for Redis {
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>> {
        Box::pin(async move {
            let session = connect(self, namespace).await?;
            Ok(Arc::new(session) as Arc<dyn Session>)
        })
    }
}
