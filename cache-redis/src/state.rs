//! How the server and a namespace's log in it stand, for who looks from outside.

use std::sync::Arc;

use cache_core::remote::{RemoteError, Session};
use redis::Value;

use crate::config::Redis;
use crate::connect;
use crate::session::{Connected, misunderstood};
use crate::wire;

/// What [`Redis::state`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Where the server is that has the log: its host and port, or its socket.
    pub address: String,
    /// Its version, as it says it.
    pub version: String,
    /// Who it is: another after a restart, a failover or a failback.
    pub identity: Arc<str>,
    /// The id of the log's last record: milliseconds of Unix time, and a number within that. `None` where no node
    /// of the namespace has been here since the server began.
    pub last_record: Option<(u64, u64)>,
    /// What in its settings goes against what a cache promises, and what to set instead.
    pub advice: Vec<String>,
}

impl Redis {
    /// Looks at the server that is in charge, and at the log of a namespace there. It changes nothing and is no
    /// node: for commands and health checks.
    ///
    /// # Errors
    ///
    /// As connecting: each with what to do about it. Bounded by
    /// [`connect_timeout`](Self::connect_timeout) for each server that is asked.
    pub async fn state(&self, namespace: &str) -> Result<State, RemoteError> {
        let session = connect::connect(self, namespace).await?;
        let state = async {
            Ok(State {
                address: session.server().info.addr().to_string(),
                version: session.server().version.clone(),
                identity: Arc::clone(session.epoch()),
                last_record: session.last_record().await?,
                advice: session.advice().await?,
            })
        };
        let limit = self.connect_timeout;
        let state = tokio::time::timeout(limit, state).await;
        state.unwrap_or(Err(RemoteError::TimedOut(limit)))
    }
}

impl Connected {
    async fn last_record(&self) -> Result<Option<(u64, u64)>, RemoteError> {
        let mut last = redis::cmd("XREVRANGE");
        last.arg(self.log_name()).arg("+").arg("-");
        last.arg("COUNT").arg(1);
        let last: Value = self.query(&self.server().connection, &last).await?;
        let last = wire::records(&last).ok_or_else(misunderstood)?;
        Ok(last.first().map(|logged| logged.at.id))
    }
}
