//! How a value is written for other nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::nesting::is_shallow;
use crate::clock::Timestamp;

/// A value that can go to other nodes: whatever has serde's `Serialize` and `Deserialize` and borrows
/// nothing, in [MessagePack](https://msgpack.org) with the names of fields, as in JSON. What its
/// `Serialize` leaves out (`#[serde(skip)]`) other nodes do not have. A value in which more than 128 lists,
/// structures and variants stand in one another cannot be written.
///
/// A release that changes the type must not read the old one's values. It does not, as the
/// [build's identity](crate::CacheBuilder::version) is a part of every key of the second level.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot go to other nodes",
    label = "cannot be written for another node",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or say `cache(local)`: every node then loads its own"
)]
pub trait RemoteValue: Sized {
    /// Appends the value; `false` where it cannot be written.
    fn write(&self, to: &mut Vec<u8>) -> bool;
    /// Reads what was written; `None` where it is none of that.
    fn read(from: &[u8]) -> Option<Self>;
}

// Not `DeserializeOwned`: the macro asks by method resolution, which does not see lifetimes, and would take
// a `&'static str` for one. The reader lends nothing, so that a value that borrows is not read.
#[diagnostic::do_not_recommend]
impl<T: Serialize + Deserialize<'static>> RemoteValue for T {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        let before = to.len();
        // With their names: without, a field that is left out (`skip_serializing_if`) would be filled by the
        // one after it, and of variants without a tag the first of as many fields would be read.
        let written = rmp_serde::encode::write_named(to, self).is_ok() && is_shallow(&to[before..]);
        if !written {
            to.truncate(before);
        }
        written
    }

    fn read(mut from: &[u8]) -> Option<Self> {
        if !is_shallow(from) {
            return None;
        }
        let value = {
            let mut reader = rmp_serde::Deserializer::new(&mut from);
            T::deserialize(&mut reader).ok()?
        };
        from.is_empty().then_some(value)
    }
}

/// How values of one type are written and read, for those that [weigh](crate::CacheWeight) themselves.
pub struct RemoteCodec<V> {
    pub(crate) write: fn(&V, &mut Vec<u8>) -> bool,
    pub(crate) read: fn(&[u8]) -> Option<V>,
}

impl<V> RemoteCodec<V> {
    /// That of a type which has serde's traits.
    #[must_use]
    pub const fn of() -> Self
    where
        V: RemoteValue,
    {
        Self {
            write: V::write,
            read: V::read,
        }
    }

    /// One of two functions: the first appends a value, or is `false`; the second reads what was written.
    #[must_use]
    pub const fn new(write: fn(&V, &mut Vec<u8>) -> bool, read: fn(&[u8]) -> Option<V>) -> Self {
        Self { write, read }
    }
}

/// How what an entry holds is written and read.
pub(crate) enum Coding<V> {
    /// By itself.
    Value(RemoteCodec<V>),
    /// With moments of its own, which are told from when the oldest load in its entry began: clocks of
    /// two processes have nothing else in common.
    Response {
        write: fn(&V, Timestamp, &mut Vec<u8>) -> bool,
        read: fn(&[u8], Timestamp) -> Option<V>,
    },
}

impl<V> Coding<V> {
    pub(crate) fn write(self, value: &V, filled_at: Timestamp, to: &mut Vec<u8>) -> bool {
        match self {
            Self::Value(codec) => (codec.write)(value, to),
            Self::Response { write, .. } => write(value, filled_at, to),
        }
    }

    pub(crate) fn read(self, from: &[u8], filled_at: Timestamp) -> Option<V> {
        match self {
            Self::Value(codec) => (codec.read)(from),
            Self::Response { read, .. } => read(from, filled_at),
        }
    }
}

impl<V> Clone for Coding<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Coding<V> {}

impl<V> Clone for RemoteCodec<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for RemoteCodec<V> {}

impl<V> fmt::Debug for RemoteCodec<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteCodec")
    }
}
