//! A session as a node sees it: every call goes over the network.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::remote::{
    Appended, Logged, Position, Prepared, Read, Record, Reply, Session, Since, Token,
};

use crate::network::Connection;

pub(crate) struct Wire(Arc<Connection>);

impl Wire {
    pub(crate) const fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl Session for Wire {
    fn epoch(&self) -> &Arc<str> {
        self.0.epoch()
    }

    fn since(&self, at: Option<Position>) -> Reply<'_, Since> {
        Box::pin(async move {
            let since = self
                .0
                .call("since", move |session| session.since(at))
                .await?;
            self.0.saw(&since);
            Ok(since)
        })
    }

    fn follow(&self, at: Position, limit: Duration) -> Reply<'_, Vec<Logged>> {
        self.0.follow(at, limit)
    }

    fn append(&self, record: Record, at: Option<Position>) -> Reply<'_, Appended> {
        self.0
            .call("append", move |session| session.append(record.clone(), at))
    }

    fn read(&self, key: Bytes, tags: Vec<Arc<str>>) -> Reply<'_, Read> {
        self.0.call("read", move |session| {
            session.read(key.clone(), tags.clone())
        })
    }

    fn tokens(&self, tags: Vec<Arc<str>>) -> Reply<'_, Vec<Option<Token>>> {
        self.0
            .call("tokens", move |session| session.tokens(tags.clone()))
    }

    fn hold(&self, key: Bytes, placeholder: Token, lasting: Duration) -> Reply<'_, bool> {
        self.0.call("hold", move |session| {
            session.hold(key.clone(), placeholder, lasting)
        })
    }

    fn prepare(
        &self,
        tags: Vec<Arc<str>>,
        token: Token,
        lasting: Duration,
        at: Position,
    ) -> Reply<'_, Prepared> {
        self.0.call("prepare", move |session| {
            session.prepare(tags.clone(), token, lasting, at)
        })
    }

    fn store(
        &self,
        key: Bytes,
        occupant: Token,
        entry: Bytes,
        lasting: Duration,
    ) -> Reply<'_, bool> {
        self.0.call("store", move |session| {
            session.store(key.clone(), occupant, entry.clone(), lasting)
        })
    }
}
