//! What a value weighs, how an argument is owned, and whether a value is refused by its content.

use std::borrow::Borrow;
use std::ffi::{CStr, OsStr};
use std::marker::PhantomData;
use std::mem::size_of_val;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::{Probe, Shape};
use crate::reason::NotStorable;
use crate::remote::{RemoteCodec, RemoteValue};
use crate::spi::Sharing;
use crate::weight::{CacheWeight, serialized_len};

/// The stored type, for its weight.
#[derive(Debug)]
pub struct Weighing<V>(PhantomData<fn() -> V>);

/// Asks about what `shape` stores.
#[must_use]
pub fn weighing<S: Shape>(_: &S) -> Weighing<S::Stored> {
    Weighing(PhantomData)
}

/// The user's `weight = ..`.
pub fn weigher<S: Shape>(_: &S, weigh: fn(&S::Stored) -> usize) -> fn(&S::Stored) -> usize {
    weigh
}

/// The first way: the type knows.
pub trait WeighByWeight<V> {
    /// What weighs.
    fn weigher(&self) -> fn(&V) -> usize;
}

impl<V: CacheWeight> WeighByWeight<V> for &&Weighing<V> {
    fn weigher(&self) -> fn(&V) -> usize {
        V::cache_weight
    }
}

/// The second: the length of the serialised value.
pub trait WeighByLength<V> {
    /// What weighs.
    fn weigher(&self) -> fn(&V) -> usize;
}

impl<V: Serialize> WeighByLength<V> for &Weighing<V> {
    fn weigher(&self) -> fn(&V) -> usize {
        |value| size_of_val(value).max(serialized_len(value))
    }
}

/// The last: its size without what it owns elsewhere.
pub trait WeighBySize<V> {
    /// What weighs.
    fn weigher(&self) -> fn(&V) -> usize;
}

impl<V> WeighBySize<V> for Weighing<V> {
    fn weigher(&self) -> fn(&V) -> usize {
        size_of_val
    }
}

/// The stored type, for how it goes to other nodes.
#[derive(Debug)]
pub struct Sharable<V>(PhantomData<fn() -> V>);

/// Asks about what `shape` stores.
#[must_use]
pub fn sharable<S: Shape>(_: &S) -> Sharable<S::Stored> {
    Sharable(PhantomData)
}

/// Nowhere, as is said.
#[must_use]
pub const fn local<S: Shape>(_: &S) -> Sharing<S::Stored> {
    Sharing::Local
}

/// The first way: it has serde's traits, or a codec of its own.
pub trait ShareByValue<V> {
    /// How.
    fn sharing(&self) -> Sharing<V>;
}

impl<V: RemoteValue> ShareByValue<V> for &Sharable<V> {
    fn sharing(&self) -> Sharing<V> {
        Sharing::Shared(RemoteCodec::of())
    }
}

/// The last: it cannot.
pub trait ShareNot<V> {
    /// How.
    fn sharing(&self) -> Sharing<V>;
}

impl<V> ShareNot<V> for Sharable<V> {
    fn sharing(&self) -> Sharing<V> {
        Sharing::Cannot
    }
}

/// What must go to other nodes.
pub fn shared<S: Shape<Stored: RemoteValue>>(_: &S) -> Sharing<S::Stored> {
    Sharing::Shared(RemoteCodec::of())
}

/// A borrowed argument that a load can own.
#[diagnostic::on_unimplemented(
    message = "a load cannot own a `{Self}`, which it is lent here",
    label = "cannot be owned",
    note = "on a miss the load is a task of its own: make `{Self}` implement `Clone` and be `Send + 'static`, take it by value or in an `Arc`, or let the load run in its caller with `cache(foreground)`"
)]
pub trait OwnedArgument {
    /// What the load holds.
    type Owned: Send + 'static;
    /// Makes it; on a miss only.
    fn own(&self) -> Self::Owned;
    /// What the body is given.
    fn lend(owned: &Self::Owned) -> &Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + 'static> OwnedArgument for T {
    type Owned = T;

    fn own(&self) -> T {
        self.clone()
    }

    fn lend(owned: &T) -> &T {
        owned
    }
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + 'static> OwnedArgument for [T] {
    type Owned = Vec<T>;

    fn own(&self) -> Vec<T> {
        self.to_vec()
    }

    fn lend(owned: &Vec<T>) -> &[T] {
        owned
    }
}

macro_rules! unsized_owned {
    ($($of:ty),+) => { $(
        impl OwnedArgument for $of {
            type Owned = <$of as ToOwned>::Owned;

            fn own(&self) -> Self::Owned {
                self.to_owned()
            }

            fn lend(owned: &Self::Owned) -> &Self {
                owned.borrow()
            }
        }
    )+ };
}
unsized_owned!(str, Path, OsStr, CStr);

/// What an output says itself of its storing: for how long at most, where it says so, or why not.
pub type Verdict = Result<Option<Duration>, NotStorable>;

/// Values of most types say nothing; those of axum may carry an error's status, or a lifetime.
pub trait VerdictNone {
    /// What this value says.
    fn verdict(&self) -> Verdict;
}

impl<T: ?Sized> VerdictNone for Probe<'_, T> {
    fn verdict(&self) -> Verdict {
        Ok(None)
    }
}
