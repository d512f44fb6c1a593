//! How a value is written for other nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::nesting::is_shallow;
use crate::clock::Timestamp;
#[cfg(feature = "json")]
use crate::weight::is_finite;

/// How serde's traits write a value for other nodes: the same for all values of a cache. An entry says which it
/// is of, so nodes that are told otherwise read it as what it is, and those that do not know it load for themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteFormat {
    /// [MessagePack](https://msgpack.org) with the names of fields, as in JSON.
    #[default]
    MessagePack,
    /// JSON, for who looks into the server with other tools: longer, and slower. A value with a float that is not
    /// finite, or a map whose keys are no text or numbers, does not go there.
    #[cfg(feature = "json")]
    Json,
}

impl RemoteFormat {
    /// As entries say it.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::MessagePack => 0,
            #[cfg(feature = "json")]
            Self::Json => 1,
        }
    }

    /// `None` where this build does not know it.
    pub(crate) const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::MessagePack),
            #[cfg(feature = "json")]
            1 => Some(Self::Json),
            _ => None,
        }
    }
}

/// A value that can go to other nodes: whatever has serde's `Serialize` and `Deserialize` and borrows
/// nothing, in the cache's [format](RemoteFormat). What its `Serialize` leaves out (`#[serde(skip)]`) other nodes
/// do not have. A value in which more than 128 lists, structures and variants stand in one another cannot be
/// written.
///
/// A release that changes the type must not read the old one's values. It does not, as the
/// [build's identity](crate::CacheBuilder::version) is a part of every key of the second level.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot go to other nodes",
    label = "cannot be written for another node",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or say `cache(local)`: every node then loads its own"
)]
pub trait RemoteValue: Sized {
    /// Appends the value; `false` where it cannot be written. What has a way of its own need not go by the format.
    fn write(&self, format: RemoteFormat, to: &mut Vec<u8>) -> bool;
    /// Reads what was written in a format; `None` where it is none of that.
    fn read(format: RemoteFormat, from: &[u8]) -> Option<Self>;
}

// Not `DeserializeOwned`: the macro asks by method resolution, which does not see lifetimes, and would take
// a `&'static str` for one. The readers lend nothing, so that a value that borrows is not read.
#[diagnostic::do_not_recommend]
impl<T: Serialize + Deserialize<'static>> RemoteValue for T {
    fn write(&self, format: RemoteFormat, to: &mut Vec<u8>) -> bool {
        let before = to.len();
        let written = match format {
            // With their names: without, a field that is left out (`skip_serializing_if`) would be filled by the
            // one after it, and of variants without a tag the first of as many fields would be read.
            RemoteFormat::MessagePack => {
                rmp_serde::encode::write_named(to, self).is_ok() && is_shallow(&to[before..])
            }
            // It would write `null` for a float that is not finite, which may read as something else.
            #[cfg(feature = "json")]
            RemoteFormat::Json => is_finite(self) && serde_json::to_writer(&mut *to, self).is_ok(),
        };
        if !written {
            to.truncate(before);
        }
        written
    }

    fn read(format: RemoteFormat, mut from: &[u8]) -> Option<Self> {
        match format {
            RemoteFormat::MessagePack => {
                if !is_shallow(from) {
                    return None;
                }
                let value = {
                    let mut reader = rmp_serde::Deserializer::new(&mut from);
                    T::deserialize(&mut reader).ok()?
                };
                from.is_empty().then_some(value)
            }
            #[cfg(feature = "json")]
            RemoteFormat::Json => {
                let mut reader = serde_json::Deserializer::from_reader(from);
                let value = T::deserialize(&mut reader).ok()?;
                reader.end().is_ok().then_some(value)
            }
        }
    }
}

/// How values of one type are written and read, for those that [weigh](crate::CacheWeight) themselves.
pub struct RemoteCodec<V>(Way<V>);

enum Way<V> {
    /// In the cache's format.
    Formatted {
        write: fn(&V, RemoteFormat, &mut Vec<u8>) -> bool,
        read: fn(RemoteFormat, &[u8]) -> Option<V>,
    },
    /// The same in every format.
    Own {
        write: fn(&V, &mut Vec<u8>) -> bool,
        read: fn(&[u8]) -> Option<V>,
    },
}

impl<V> RemoteCodec<V> {
    /// That of a type which has serde's traits.
    #[must_use]
    pub const fn of() -> Self
    where
        V: RemoteValue,
    {
        Self::formatted(V::write, V::read)
    }

    /// One of two functions: the first appends a value, or is `false`; the second reads what was written. It goes
    /// by no format but its own.
    #[must_use]
    pub const fn new(write: fn(&V, &mut Vec<u8>) -> bool, read: fn(&[u8]) -> Option<V>) -> Self {
        Self(Way::Own { write, read })
    }

    /// One of what goes by the format.
    pub(crate) const fn formatted(
        write: fn(&V, RemoteFormat, &mut Vec<u8>) -> bool,
        read: fn(RemoteFormat, &[u8]) -> Option<V>,
    ) -> Self {
        Self(Way::Formatted { write, read })
    }

    pub(crate) fn write(self, value: &V, format: RemoteFormat, to: &mut Vec<u8>) -> bool {
        match self.0 {
            Way::Formatted { write, .. } => write(value, format, to),
            Way::Own { write, .. } => write(value, to),
        }
    }

    pub(crate) fn read(self, format: RemoteFormat, from: &[u8]) -> Option<V> {
        match self.0 {
            Way::Formatted { read, .. } => read(format, from),
            Way::Own { read, .. } => read(from),
        }
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
    pub(crate) fn write(
        self,
        value: &V,
        format: RemoteFormat,
        filled_at: Timestamp,
        to: &mut Vec<u8>,
    ) -> bool {
        match self {
            Self::Value(codec) => codec.write(value, format, to),
            Self::Response { write, .. } => write(value, filled_at, to),
        }
    }

    pub(crate) fn read(self, format: RemoteFormat, from: &[u8], filled_at: Timestamp) -> Option<V> {
        match self {
            Self::Value(codec) => codec.read(format, from),
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

impl<V> Clone for Way<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Way<V> {}

impl<V> fmt::Debug for RemoteCodec<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteCodec")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_number_and_others_are_not() {
        let known = (0..=u8::MAX).filter_map(|number| Some((number, RemoteFormat::of(number)?)));
        let known: Vec<_> = known.collect();
        assert_eq!(known.len(), 1 + usize::from(cfg!(feature = "json")));
        assert!(
            known
                .iter()
                .all(|(number, format)| format.number() == *number)
        );
    }
}
