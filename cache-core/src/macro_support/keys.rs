//! How an argument becomes a part of the key: by `CacheKey`, else as a set, else by `Serialize`, else
//! not.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;

use super::Probe;
use crate::caller::Caller;
use crate::key::{CacheKey, KeyWriter};

/// The first way: `CacheKey`.
pub trait KeyKind {
    /// Tells how.
    fn key_kind(&self) -> ByCacheKey;
}

impl<T: CacheKey + ?Sized> KeyKind for &&&Probe<'_, T> {
    #[inline]
    fn key_kind(&self) -> ByCacheKey {
        ByCacheKey
    }
}

/// The second: a set of what is `Serialize`, which itself would be written in any order.
pub trait KeyKindSet {
    /// Tells how.
    fn key_kind(&self) -> BySet;
}

impl<T: SerializeSet + ?Sized> KeyKindSet for &&Probe<'_, T> {
    #[inline]
    fn key_kind(&self) -> BySet {
        BySet
    }
}

/// The third: `Serialize`, in the canonical encoding.
pub trait KeyKindSerialize {
    /// Tells how.
    fn key_kind(&self) -> BySerialize;
}

impl<T: Serialize + ?Sized> KeyKindSerialize for &Probe<'_, T> {
    #[inline]
    fn key_kind(&self) -> BySerialize {
        BySerialize
    }
}

/// No way: an error that says what to write.
pub trait KeyKindNone {
    /// Tells that there is no way.
    fn key_kind(&self) -> Unkeyable;
}

impl<T: ?Sized> KeyKindNone for Probe<'_, T> {
    fn key_kind(&self) -> Unkeyable {
        Unkeyable
    }
}

/// Writes by [`CacheKey`].
#[derive(Clone, Copy, Debug)]
pub struct ByCacheKey;

impl ByCacheKey {
    /// Writes the value.
    #[inline]
    pub fn write<T: CacheKey + ?Sized>(self, value: &T, key: &mut KeyWriter<'_>) {
        value.encode(key);
    }

    /// Writes a field.
    #[inline]
    pub fn write_field<T: CacheKey + ?Sized>(self, field: &T, key: &mut KeyWriter<'_>) {
        field.encode(key);
    }
}

/// A set without an order.
pub trait SerializeSet {
    /// Writes it.
    fn write_set(&self, key: &mut KeyWriter<'_>);
}

impl<T: Serialize, S> SerializeSet for HashSet<T, S> {
    fn write_set(&self, key: &mut KeyWriter<'_>) {
        key.serialize_set(self);
    }
}

impl<T: SerializeSet + ?Sized> SerializeSet for &T {
    fn write_set(&self, key: &mut KeyWriter<'_>) {
        (**self).write_set(key);
    }
}

/// Writes a set.
#[derive(Clone, Copy, Debug)]
pub struct BySet;

impl BySet {
    /// Writes the value.
    pub fn write<T: SerializeSet + ?Sized>(self, value: &T, key: &mut KeyWriter<'_>) {
        value.write_set(key);
    }

    /// Writes a field.
    pub fn write_field<T: SerializeSet + ?Sized>(self, field: &T, key: &mut KeyWriter<'_>) {
        field.write_set(key);
    }
}

/// Writes by `Serialize`.
#[derive(Clone, Copy, Debug)]
pub struct BySerialize;

impl BySerialize {
    /// Writes the value.
    #[inline]
    pub fn write<T: Serialize + ?Sized>(self, value: &T, key: &mut KeyWriter<'_>) {
        key.serialize(value);
    }

    /// Writes a field.
    #[inline]
    pub fn write_field<T: Serialize + ?Sized>(self, field: &T, key: &mut KeyWriter<'_>) {
        key.serialize(field);
    }
}

/// Cannot be written.
#[derive(Clone, Copy, Debug)]
pub struct Unkeyable;

impl Unkeyable {
    /// Does not compile, and says why.
    pub fn write<T: KeyArgument + ?Sized>(self, _: &T, _: &mut KeyWriter<'_>) {}

    /// Does not compile, and says why.
    pub fn write_field<T: KeyField + ?Sized>(self, _: &T, _: &mut KeyWriter<'_>) {}
}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written into the cache key",
    label = "not a key",
    note = "decide at the argument: `#[cache(key = expr)]` writes what the result depends on, `#[cache(skip)]` leaves the argument out, so that calls that differ in it share one cached value",
    note = "or, if the type is your own, derive `CacheKey` (revalidate's) for it, or `Serialize`; a type parameter is bound so: `T: Serialize + Clone + Send + Sync + 'static`"
)]
pub trait KeyArgument {}

impl<T: KeyArgument + ?Sized> KeyArgument for &T {}
impl<T: KeyArgument> KeyArgument for Option<T> {}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a derived cache key",
    label = "not a key",
    note = "a derived key holds every field: derive `CacheKey` (revalidate's) or `Serialize` for the type of this one if it is your own, or else implement `CacheKey` for the struct by hand"
)]
pub trait KeyField {}

/// Extractors of axum hand out what they hold; anything else is itself.
pub trait PeelNothing {
    /// What is written.
    type Out;
    /// Takes the wrapping off.
    fn peel(&self) -> Self::Out;
}

impl<'a, T: ?Sized> PeelNothing for Probe<'a, T> {
    type Out = Peeled<'a, T>;

    #[inline]
    fn peel(&self) -> Peeled<'a, T> {
        self.0
    }
}

/// A value that is no extractor.
pub type Peeled<'a, T> = &'a T;

/// Whether an argument named `State` is axum's; `cache-tower` knows which is.
pub trait StateKindNone {
    /// Tells that it is not.
    fn state_kind(&self) -> NotState;
}

impl<T: ?Sized> StateKindNone for Probe<'_, T> {
    fn state_kind(&self) -> NotState {
        NotState
    }
}

/// Another type of that name.
#[derive(Clone, Copy, Debug)]
pub struct NotState;

impl NotState {
    /// Does not compile, and says why.
    pub fn check<T: StateArgument + ?Sized>(self, _: &T) {}
}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named like axum's `State`, which is left out of the key, but is another type",
    label = "not `axum::extract::State`",
    note = "decide at the argument: `#[cache(key = expr)]` or `#[cache(skip)]`"
)]
pub trait StateArgument {}

/// An argument, and a state that a handler may be given: the compiler is asked whether it says who is
/// calling by what the key of an HTTP request does not show. `cache-tower` knows what does.
pub struct CallerProbe<'a, T: ?Sized, S>(&'a T, PhantomData<fn() -> S>);

impl<'a, T: ?Sized, S> CallerProbe<'a, T, S> {
    /// Asks about `argument`.
    pub fn new(argument: &'a T, _: PhantomData<fn() -> S>) -> Self {
        Self(argument, PhantomData)
    }
}

impl<T: ?Sized, S> fmt::Debug for CallerProbe<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerProbe")
    }
}

/// Anything that is no extractor says nothing of that.
pub trait CallerUnsaid {
    /// Tells whether it says who is calling.
    fn says_who_calls(&self) -> bool;
}

impl<T: ?Sized, S> CallerUnsaid for CallerProbe<'_, T, S> {
    fn says_who_calls(&self) -> bool {
        false
    }
}

/// Whether `T`, whose `current()` is a part of a key, is [`Caller`] and no other type of that name.
#[must_use]
pub fn is_caller<T: ?Sized>() -> bool {
    typeid::of::<T>() == typeid::of::<Caller>()
}

/// Writes a type argument, so that `load::<A>` and `load::<B>` are two functions to the cache.
#[inline]
pub fn write_type<T: ?Sized>(key: &mut KeyWriter<'_>) {
    key.type_argument::<T>();
}
