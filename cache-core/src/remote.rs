//! What many nodes share: a second level of values, and an ordered log of invalidations.
//!
//! A [`Remote`] connects to the server that is in charge; the [`Session`] that it gives is one connection
//! to one server, whose identity it learned before its first use. Nothing beneath a session reconnects and
//! sends again: where the connection or the server is another, every call of it fails, and the node
//! connects anew. What is in the server is judged by *tokens* and by *positions*, never by a clock:
//!
//! - Each tag has a record that holds a random token. An entry carries the tokens of its tags: it is dead
//!   where one differs, or where a record is missing. An invalidation writes a new token into the
//!   records there are, and a record into the log, as one step.
//! - The log is a stream of records. A node that is shown that the record at its own position is in the
//!   log, by id and nonce, and all that come after, is *current* as of when it asked.
//!
//! Applications give a remote to [`CacheBuilder::remote`](crate::CacheBuilder::remote) and see no more of this; it is for those who write one.
//! [`Memory`] is the one in this process: the model of what a server does, and a remote for tests.
//!
//! What a session answers is made by `new` and the like, as later releases may add to it. A remote need not know what
//! they add: without it, its answer says what it said before.

mod bookmark;
mod codec;
mod envelope;
mod memory;
mod nesting;
mod packing;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

pub use self::bookmark::Bookmark;
pub(crate) use self::codec::Coding;
pub use self::codec::{RemoteCodec, RemoteFormat, RemoteValue};
pub(crate) use self::envelope::{Envelope, Opened, type_of};
pub use self::memory::Memory;
pub(crate) use self::packing::{pack, unpack};

/// What a call of a remote comes to.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, RemoteError>> + Send + 'a>>;

/// Why a remote did not answer. None of these fails a request: a value is loaded, or not shared, or an
/// invalidation waits for its turn.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// No connection, or it broke. What was sent may have been carried out.
    #[error("the remote cannot be reached: {0}")]
    Unreachable(String),
    /// No answer within the limit. What was sent may be carried out still.
    #[error("the remote did not answer within {0:?}")]
    TimedOut(Duration),
    /// The server is no longer the one that the session was opened with, or no longer in charge. Nothing was done.
    #[error("the remote is another server than before: {0}")]
    Moved(String),
    /// The server said no: a wrong password, a right that the user lacks, no memory left.
    #[error("the remote refused: {0}")]
    Refused(String),
}

impl RemoteError {
    /// Whether the session it came from is of no more use.
    #[must_use]
    pub const fn ends_session(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Moved(_))
    }
}

/// 128 random bits: a tag's token, the nonce of a record, what holds an entry's place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// A new one, from the operating system: numbers made in a server repeat after its restart.
    #[must_use]
    pub fn random() -> Self {
        let mut bits = [0; 16];
        if getrandom::fill(&mut bits).is_err() {
            // A system that gives none has not begun to run.
            bits = fastrand::u128(..).to_le_bytes();
        }
        Self(bits)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a record stands in the log of an epoch. Positions of one log are ordered by their ids; the nonce
/// tells a record from another that has the same id, in a log that was lost and begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The id in the stream: a time in milliseconds, and a number within that.
    pub id: (u64, u64),
    /// The nonce of the record.
    pub nonce: Token,
}

/// An invalidation as other nodes hear of it. Tags are names with their kinds, as entries carry them;
/// keys are those of the second level.
///
/// A node makes it, and a remote makes it again of what is in its log. All that is invalidated is in `soft`, `hard`
/// and `keys`: if another field is ever added, a remote that leaves it out loses no invalidation.
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::remote::{Record, Token};
///
/// let record = Record::new(Token::random(), Token::random())
///     .hard(["#contacts", "#contact:7"])
///     .soft(["#statistics"]);
/// assert_eq!(record.hard.len(), 2);
/// assert!(record.keys.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Which process made it: its own records it need not apply again.
    pub origin: Token,
    /// Random, of this record alone: also the new token of its tags.
    pub nonce: Token,
    /// Softly invalidated.
    pub soft: Vec<Arc<str>>,
    /// Invalidated hard.
    pub hard: Vec<Arc<str>>,
    /// Removed.
    pub keys: Vec<Bytes>,
}

impl Record {
    /// One that invalidates nothing yet.
    #[must_use]
    pub const fn new(origin: Token, nonce: Token) -> Self {
        Self {
            origin,
            nonce,
            soft: Vec::new(),
            hard: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Adds tags that are invalidated softly.
    #[must_use]
    pub fn soft(mut self, tags: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.soft.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Adds tags that are invalidated hard.
    #[must_use]
    pub fn hard(mut self, tags: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        self.hard.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Adds keys that are removed.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        self.keys.extend(keys.into_iter().map(Into::into));
        self
    }
}

/// A record in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// Where.
    pub at: Position,
    /// `None` where it was not understood, which counts as a hard invalidation of everything.
    pub record: Option<Record>,
}

impl Logged {
    /// What stands at a position; `None` where it was not understood.
    #[must_use]
    pub const fn new(at: Position, record: Option<Record>) -> Self {
        Self { at, record }
    }
}

/// What a log shows to a node that says where it is. There is no third case: a remote that cannot tell whether the
/// record is there says that it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The record of that position is there.
    #[non_exhaustive]
    After {
        /// Those after it, in order.
        records: Vec<Logged>,
        /// There are others after these: they are too many for one reply.
        more: bool,
    },
    /// It is not there, or the node had none: it was trimmed, or the log is another. A log without a
    /// record was given a first one, as an empty log looks like a lost one.
    #[non_exhaustive]
    Lost {
        /// The log's last record.
        last: Position,
    },
}

impl Since {
    /// The record is there, and these come after it, in order; `more`: and others after these.
    #[must_use]
    pub const fn after(records: Vec<Logged>, more: bool) -> Self {
        Self::After { records, more }
    }

    /// The record is not there, and this is the log's last one.
    #[must_use]
    pub const fn lost(last: Position) -> Self {
        Self::Lost { last }
    }
}

/// What came of an invalidation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// Where its record stands in the log.
    pub at: Position,
    /// What the log shows, that record among it.
    pub since: Since,
}

impl Appended {
    /// The record stands there, and the log shows this.
    #[must_use]
    pub const fn new(at: Position, since: Since) -> Self {
        Self { at, since }
    }
}

/// What a read of the second level found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Read {
    /// What stands in the entry's place, if anything.
    pub occupant: Option<Bytes>,
    /// The tokens of the tags that were asked for, in their order; `None` where a record is missing.
    pub tokens: Vec<Option<Token>>,
}

impl Read {
    /// What stands in the place, and one token, or none, for each tag that was asked for.
    #[must_use]
    pub const fn new(occupant: Option<Bytes>, tokens: Vec<Option<Token>>) -> Self {
        Self { occupant, tokens }
    }
}

/// What allows a value to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// The tokens of the tags, in their order.
    pub tokens: Vec<Token>,
    /// What the log shows.
    pub since: Since,
}

impl Prepared {
    /// One token for each tag, and what the log shows.
    #[must_use]
    pub const fn new(tokens: Vec<Token>, since: Since) -> Self {
        Self { tokens, since }
    }
}

/// Where nodes meet.
pub trait Remote: fmt::Debug + Send + Sync + 'static {
    /// Connects to the server that is in charge, and learns who it is. It ends in time by itself: the node
    /// does not know how many servers are asked on the way, and sets no limit. `namespace` is
    /// [the cache's](crate::CacheBuilder::namespace): sessions of two share nothing.
    fn connect<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Session>>;
}

/// Whether a namespace can stand in the names of keys: 1 to 64 letters of ASCII, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_namespace(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// One connection to one server. Its calls may run at the same time; a dropped one may have been carried out.
///
/// Every call that shows the log verifies that the server is still the one of [`epoch`](Self::epoch), and
/// where it is not does nothing and is [`RemoteError::Moved`].
pub trait Session: fmt::Debug + Send + Sync + 'static {
    /// The identity of the server: another after a restart, a failover or a failback. The names of
    /// entries and of the log hold it.
    fn epoch(&self) -> &Arc<str>;

    /// What the log holds after a position. Where replicas may take over, it writes, so that a server which
    /// takes no writes any more proves nothing.
    fn since(&self, at: Option<Position>) -> Reply<'_, Since>;

    /// Waits for records after a position, no longer than `limit`, and gives those there are; none is no
    /// error, and proves nothing.
    fn follow(&self, at: Position, limit: Duration) -> Reply<'_, Vec<Logged>>;

    /// Invalidates: deletes what stands in the places of the keys, gives each tag of which there is a
    /// record the nonce as its new token and appends the record to the log, as one step. A place that is
    /// no part of that step holds no bytes from before it until after it, and is deleted then: nobody can take it.
    fn append(&self, record: Record, at: Option<Position>) -> Reply<'_, Appended>;

    /// Reads a place and tokens, in any order.
    fn read(&self, key: Bytes, tags: Vec<Arc<str>>) -> Reply<'_, Read>;

    /// The tokens of tags, in their order; `None` where a record is missing.
    fn tokens(&self, tags: Vec<Arc<str>>) -> Reply<'_, Vec<Option<Token>>>;

    /// Puts a placeholder in an empty place, for so long; `false` where it is not empty.
    fn hold(&self, key: Bytes, placeholder: Token, lasting: Duration) -> Reply<'_, bool>;

    /// The tokens of the tags, made of `token` where there is no record. All last for at least so long.
    fn prepare(
        &self,
        tags: Vec<Arc<str>>,
        token: Token,
        lasting: Duration,
        at: Position,
    ) -> Reply<'_, Prepared>;

    /// Puts `entry` in the place of what begins with `occupant`, for so long; `false` where that is
    /// not there any more.
    fn store(
        &self,
        key: Bytes,
        occupant: Token,
        entry: Bytes,
        lasting: Duration,
    ) -> Reply<'_, bool>;

    /// What in the server's settings goes against what a cache promises; said once at the start.
    fn advice(&self) -> Reply<'_, Vec<String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
