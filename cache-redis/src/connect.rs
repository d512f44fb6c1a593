//! The connections to who is in charge, each of which learns who answers before it is used.

use std::sync::Arc;
use std::time::Duration;

use cache_core::remote::RemoteError;
#[cfg(feature = "tls")]
use redis::ConnectionAddr;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, FromRedisValue};

use crate::config::{Redis, Site};
use crate::error::told;
use crate::names::Names;
use crate::scripts::IDENTITY;
use crate::session::Connected;
use crate::topology;

/// A server in charge.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) info: ConnectionInfo,
    pub(crate) epoch: Arc<str>,
    /// The part of the epoch that can change while the connection lasts.
    pub(crate) replication: String,
    pub(crate) version: String,
}

/// Connects to the servers that are in charge now.
pub(crate) async fn connect(redis: &Redis, namespace: &str) -> Result<Connected, RemoteError> {
    let names = Names::new(namespace);
    let (log, shards) = match &redis.site {
        Site::One(info) => (server(redis, info).await?, None),
        Site::Sentinel {
            sentinels,
            name,
            server: info,
        } => {
            let master = topology::master(redis, sentinels, name, info).await?;
            (server(redis, &master).await?, None)
        }
        Site::Cluster(nodes) => {
            let shards = topology::shards(redis, nodes).await?;
            let log = shards.of(names.slot()).cloned();
            let log = log.ok_or_else(|| RemoteError::Moved("nobody has the log's slot".into()))?;
            (log, Some(shards))
        }
    };
    Ok(Connected::new(redis, names, log, shards))
}

/// A connection that does not reconnect.
pub(crate) async fn open(
    redis: &Redis,
    info: &ConnectionInfo,
) -> Result<MultiplexedConnection, RemoteError> {
    let limit = redis.connect_timeout;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        // Each answer is waited for by who asked.
        .set_response_timeout(None);
    let opened = async {
        #[cfg(feature = "tls")]
        if let ConnectionAddr::TcpTls { host, port, .. } = info.addr() {
            let stream = redis.tls.connect(host, *port).await?;
            let user = info.redis_settings();
            let (connection, carrying) =
                MultiplexedConnection::new_with_config(user, stream, config).await?;
            // It ends with the last copy of the connection.
            tokio::spawn(carrying);
            return Ok(connection);
        }
        let client = Client::open(info.clone())?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        connection.await
    };
    let opened = within(limit, opened).await;
    opened.map_err(|error| at(info, error))
}

/// With the address where it was, which says nothing of a password.
fn at(info: &ConnectionInfo, error: RemoteError) -> RemoteError {
    match error {
        RemoteError::Unreachable(problem) => {
            RemoteError::Unreachable(format!("{}: {problem}", info.addr()))
        }
        RemoteError::Refused(problem) => {
            RemoteError::Refused(format!("{}: {problem}", info.addr()))
        }
        other => other,
    }
}

/// An answer of the driver, or that there was none in time.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = redis::RedisResult<T>>,
) -> Result<T, RemoteError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| told(&error, limit)),
        Err(_) => Err(RemoteError::TimedOut(limit)),
    }
}

/// Asks one command of one server.
pub(crate) async fn ask<T: FromRedisValue>(
    redis: &Redis,
    info: &ConnectionInfo,
    command: &redis::Cmd,
) -> Result<T, RemoteError> {
    let mut connection = open(redis, info).await?;
    within(redis.connect_timeout, command.query_async(&mut connection)).await
}

/// A connection to a server in charge, and who that is.
pub(crate) async fn server(redis: &Redis, info: &ConnectionInfo) -> Result<Server, RemoteError> {
    let mut connection = open(redis, info).await?;
    let identity = IDENTITY.prepare_invoke();
    let identity = identity.invoke_async::<(String, String, String, String)>(&mut connection);
    let (epoch, replication, role, version) = within(redis.connect_timeout, identity).await?;
    if role != "master" {
        let problem = format!("{} is a replica, not a master", info.addr());
        return Err(RemoteError::Moved(problem));
    }
    Ok(Server {
        connection,
        info: info.clone(),
        epoch: epoch.into(),
        replication,
        version,
    })
}
