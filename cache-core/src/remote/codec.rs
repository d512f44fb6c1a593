//! How a value is written for other nodes.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can go to other nodes: whatever has serde's `Serialize` and `DeserializeOwned`, in
/// [postcard](https://postcard.jamesmunns.com)'s encoding.
///
/// The encoding knows no field names: a release that changes the type must not read the old one's
/// values. It does not, as the [build's version](crate::CacheBuilder::version) is a part of every key
/// of the second level.
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

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> RemoteValue for T {
    fn write(&self, to: &mut Vec<u8>) -> bool {
        let before = to.len();
        let written = postcard::to_extend(self, Appending(to)).is_ok();
        if !written {
            to.truncate(before);
        }
        written
    }

    fn read(from: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(from) {
            Ok((value, [])) => Some(value),
            Ok(_) | Err(_) => None,
        }
    }
}

/// Postcard extends by value.
struct Appending<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Appending<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
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
