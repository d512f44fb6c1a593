//! Who is in charge where there are several: what sentinels and the nodes of a Cluster say.

use std::collections::HashMap;
use std::sync::Arc;

use cache_core::remote::RemoteError;
use redis::{ConnectionAddr, ConnectionInfo, Value};

use crate::config::Redis;
use crate::connect::{Server, ask, server};
use crate::wire::array;

/// The address of another server that is spoken to in the same way.
fn beside(info: &ConnectionInfo, host: String, port: u16) -> ConnectionInfo {
    let mut addr = info.addr().clone();
    match &mut addr {
        ConnectionAddr::TcpTls {
            host: own,
            port: own_port,
            ..
        } => (*own, *own_port) = (host, port),
        _ => addr = ConnectionAddr::Tcp(host, port),
    }
    info.clone().set_addr(addr)
}

/// The same of an address as a redirection names it.
pub(crate) fn named(info: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (host, port) = address.rsplit_once(':')?;
    Some(beside(info, host.to_owned(), port.parse().ok()?))
}

/// The master of that name: the first sentinel that knows one answers.
pub(crate) async fn master(
    redis: &Redis,
    sentinels: &[ConnectionInfo],
    name: &str,
    server: &ConnectionInfo,
) -> Result<ConnectionInfo, RemoteError> {
    let mut last = RemoteError::Unreachable(format!("no sentinel knows a master {name:?}"));
    let mut who = redis::cmd("SENTINEL");
    who.arg("get-master-addr-by-name").arg(name);
    for sentinel in sentinels {
        match ask::<Option<(String, u16)>>(redis, sentinel, &who).await {
            Ok(Some((host, port))) => return Ok(beside(server, host, port)),
            Ok(None) => {}
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The masters of a Cluster.
pub(crate) struct Shards {
    /// The last slot of each range, in order, and who has it.
    ends: Vec<(u16, Arc<str>)>,
    masters: HashMap<Arc<str>, Server>,
}

impl Shards {
    /// Who has a slot.
    pub(crate) fn of(&self, slot: u16) -> Option<&Server> {
        let (_, address) = self.ends.iter().find(|(end, _)| *end >= slot)?;
        self.masters.get(address)
    }
}

/// Connects to the masters of a Cluster: the first node that answers says who they are.
pub(crate) async fn shards(redis: &Redis, nodes: &[ConnectionInfo]) -> Result<Shards, RemoteError> {
    let mut last = RemoteError::Unreachable("no node of the cluster answered".into());
    let mut who = redis::cmd("CLUSTER");
    who.arg("SLOTS");
    for node in nodes {
        match ask::<Value>(redis, node, &who).await {
            Ok(ranges) => match parsed(&ranges, node) {
                Some((ends, infos)) => {
                    let mut masters = HashMap::new();
                    for (address, info) in infos {
                        masters.insert(address, server(redis, &info).await?);
                    }
                    return Ok(Shards { ends, masters });
                }
                None => last = RemoteError::Moved("the cluster does not serve all slots".into()),
            },
            Err(error) => last = error,
        }
    }
    Err(last)
}

type Ranges = (Vec<(u16, Arc<str>)>, HashMap<Arc<str>, ConnectionInfo>);

/// What `CLUSTER SLOTS` says: ranges, each with its master first. `None` unless all slots are served.
fn parsed(ranges: &Value, node: &ConnectionInfo) -> Option<Ranges> {
    let mut found = Vec::new();
    let mut infos = HashMap::new();
    for range in array(ranges)? {
        let [Value::Int(first), Value::Int(end), master, ..] = array(range)? else {
            return None;
        };
        let [host, Value::Int(port), ..] = array(master)? else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            // It does not know its own: it is the one that was asked.
            _ => match node.addr() {
                ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
                _ => return None,
            },
        };
        let port = u16::try_from(*port).ok()?;
        let address: Arc<str> = format!("{host}:{port}").into();
        infos.insert(Arc::clone(&address), beside(node, host, port));
        found.push((
            u16::try_from(*first).ok()?,
            u16::try_from(*end).ok()?,
            address,
        ));
    }
    found.sort();
    let mut next = 0;
    for (first, end, _) in &found {
        if *first != next {
            return None;
        }
        next = end + 1;
    }
    let ends = found.into_iter().map(|(_, end, address)| (end, address));
    (next == 16_384).then(|| (ends.collect(), infos))
}
