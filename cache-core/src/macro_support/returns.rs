//! What a return type is to the cache: what of it is stored, and how it comes back.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use crate::error::LoadTimeout;
use crate::reason::NotStorable;
use crate::spi::Finished;

/// The return type of a function.
pub struct Returned<R>(PhantomData<fn() -> R>);

impl<R> Returned<R> {
    /// Asks about `R`.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Returned<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Returned")
    }
}

/// A kind of return type.
pub trait Shape: Copy {
    /// The return type.
    type Output;
    /// What is stored of it.
    type Stored: Clone + Send + Sync + 'static;
    /// The output of a hit.
    fn restore(value: Self::Stored) -> Self::Output;
    /// What becomes of the body's output.
    fn finish(output: Self::Output) -> Finishing<Self::Stored, Self::Output>;
    /// Nothing; that of [`UnstorableShape`] does not compile.
    #[inline]
    fn check(self) {}
}

/// What becomes of an output.
pub enum Finishing<V, R> {
    /// It is known.
    Now(Finished<V, R>),
    /// It is known once the output has been read.
    Later(Pin<Box<dyn Future<Output = Finished<V, R>> + Send>>),
}

impl<V, R> fmt::Debug for Finishing<V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
        })
    }
}

/// The output of a hit.
#[inline]
pub fn restore<S: Shape>(_: S, value: S::Stored) -> S::Output {
    S::restore(value)
}

/// A value that can be stored.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot be cached",
    label = "cannot be cached",
    note = "a cached value is `Clone + Send + Sync + 'static`: derive `Clone`, or return it in an `Arc`; a type parameter is bound so: `T: Clone + Send + Sync + 'static`",
    note = "a handler can return `Response` or `impl IntoResponse`: it is then kept as status, headers and body"
)]
pub trait Storable: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Storable for T {}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident<$($param:ident),+>;)+) => { $(
        $(#[$doc])*
        pub struct $name<$($param),+>(PhantomData<fn() -> ($($param,)+)>);

        impl<$($param),+> Clone for $name<$($param),+> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<$($param),+> Copy for $name<$($param),+> {}
        impl<$($param),+> fmt::Debug for $name<$($param),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )+ };
}
shapes! {
    /// `Result`, and aliases of it: the value of `Ok` is stored.
    ResultShape<T, E>;
    /// `Option`: stored as it is, and `None` for less long if so asked.
    OptionShape<T>;
    /// Any other: stored as it is.
    PlainShape<T>;
    /// A return type of which `T` cannot be stored: a kind too, so that there is one error about it
    /// and not one wherever it is used.
    UnstorableShape<R, T>;
    /// A `Result` whose error cannot be handed on; a kind for the same reason.
    UnsendableShape<T, E>;
}

macro_rules! ways {
    ($($(#[$doc:meta])* $way:ident { $(<$($param:ident $(: $bound:path)?),+> $of:ty => $shape:ident<$($arg:ty),+>;)+ })+) => { $(
        $(#[$doc])*
        pub trait $way {
            /// The kind.
            type Shape;
            /// Tells the kind.
            fn shape(&self) -> Self::Shape;
        }
        $(
            impl<$($param $(: $bound)?),+> $way for $of {
                type Shape = $shape<$($arg),+>;

                #[inline]
                fn shape(&self) -> Self::Shape {
                    $shape(PhantomData)
                }
            }
        )+
    )+ };
}
ways! {
    /// `Result` and `Option` of what can be stored.
    ShapeOfFallible {
        <T: Storable, E: Sendable> &&&Returned<Result<T, E>> => ResultShape<T, E>;
        <T: Storable> &&&Returned<Option<T>> => OptionShape<T>;
    }
    /// What can be stored itself.
    ShapeOfPlain {
        <T: Storable> &&Returned<T> => PlainShape<T>;
    }
    /// `Result` of what can, where the error cannot be handed on.
    ShapeOfUnsendable {
        <T: Storable, E> &&Returned<Result<T, E>> => UnsendableShape<T, E>;
    }
    /// `Result` and `Option` of what cannot.
    ShapeOfUnstorableInside {
        <T, E> &Returned<Result<T, E>> => UnstorableShape<Result<T, E>, T>;
        <T> &Returned<Option<T>> => UnstorableShape<Option<T>, T>;
    }
    /// What cannot be stored.
    ShapeOfUnstorable {
        <T> Returned<T> => UnstorableShape<T, T>;
    }
}

/// What a load can hand to its caller.
#[diagnostic::on_unimplemented(
    message = "a load cannot hand a `{Self}` to its caller",
    label = "not `Send + 'static`",
    note = "a load is a task of its own, so that its errors are `Send + 'static` too: write `Box<dyn Error + Send + Sync>`, not `Box<dyn Error>`"
)]
pub trait Sendable: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> Sendable for T {}

impl<R, T> UnstorableShape<R, T> {
    /// Does not compile, and says why.
    pub fn check(self)
    where
        T: Storable,
    {
    }
}

impl<T, E> UnsendableShape<T, E> {
    /// Does not compile, and says why.
    pub fn check(self)
    where
        E: Sendable,
    {
    }
}

impl<T, E> Shape for UnsendableShape<T, E> {
    type Output = Result<T, E>;
    type Stored = ();

    fn restore((): ()) -> Result<T, E> {
        unreachable!("never stored")
    }

    fn finish(output: Result<T, E>) -> Finishing<(), Result<T, E>> {
        Finishing::Now(Finished::Refuse(output, NotStorable::Error))
    }
}

impl<R, T> Shape for UnstorableShape<R, T> {
    type Output = R;
    type Stored = ();

    fn restore((): ()) -> R {
        unreachable!("never stored")
    }

    fn finish(output: R) -> Finishing<(), R> {
        Finishing::Now(Finished::Refuse(output, NotStorable::Response))
    }
}

impl<T: Storable, E: Send + 'static> Shape for ResultShape<T, E> {
    type Output = Result<T, E>;
    type Stored = T;

    #[inline]
    fn restore(value: T) -> Result<T, E> {
        Ok(value)
    }

    fn finish(output: Result<T, E>) -> Finishing<T, Result<T, E>> {
        Finishing::Now(match output {
            Ok(value) => Finished::Store(value),
            Err(error) => Finished::Refuse(Err(error), NotStorable::Error),
        })
    }
}

impl<T: Storable> Shape for OptionShape<T> {
    type Output = Option<T>;
    type Stored = Option<T>;

    #[inline]
    fn restore(value: Option<T>) -> Option<T> {
        value
    }

    fn finish(output: Option<T>) -> Finishing<Option<T>, Option<T>> {
        Finishing::Now(Finished::Store(output))
    }
}

impl<T: Storable> Shape for PlainShape<T> {
    type Output = T;
    type Stored = T;

    #[inline]
    fn restore(value: T) -> T {
        value
    }

    fn finish(output: T) -> Finishing<T, T> {
        Finishing::Now(Finished::Store(output))
    }
}

/// A return type that can say that the time limit passed.
#[diagnostic::on_unimplemented(
    message = "`timeout` needs a return type that can say that the time is up",
    label = "the return type cannot say so",
    note = "return a `Result<_, E>` with `impl From<LoadTimeout> for E`, or a `Response`, which is a 504 then"
)]
pub trait SaysTimeout: Shape {
    /// The output for a caller whose time is up.
    fn timed_out(limit: LoadTimeout) -> Self::Output;
}

#[diagnostic::do_not_recommend]
impl<T: Storable, E: From<LoadTimeout> + Send + 'static> SaysTimeout for ResultShape<T, E> {
    fn timed_out(limit: LoadTimeout) -> Result<T, E> {
        Err(limit.into())
    }
}

/// A return type that has a `None`.
#[diagnostic::on_unimplemented(
    message = "`none` limits how long a `None` is kept, and the return type has no `None`",
    label = "no `None` here",
    note = "return an `Option<_>` or a `Result<Option<_>, _>`, or leave out `none`"
)]
pub trait HasNone: Shape {
    /// Whether it is one.
    fn is_none(value: &Self::Stored) -> bool;
}

#[diagnostic::do_not_recommend]
impl<T: Storable> HasNone for OptionShape<T> {
    fn is_none(value: &Option<T>) -> bool {
        value.is_none()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Storable, E: Send + 'static> HasNone for ResultShape<Option<T>, E> {
    fn is_none(value: &Option<T>) -> bool {
        value.is_none()
    }
}
