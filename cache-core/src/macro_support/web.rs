//! What the companion of a web method asks of the function's types: whether it may fail, and what an
//! error says.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;

use super::Probe;
use crate::client_type::ClientType;
use crate::web::{Failure, UNKNOWN, WebError};

/// A return type, asked whether it is a `Result` under whatever name: an associated constant of the
/// type itself goes before one of a trait, and a constant can stand in a bound.
#[derive(Debug)]
pub struct Fallibility<R>(PhantomData<fn() -> R>);

impl<T, E> Fallibility<Result<T, E>> {
    /// It is.
    pub const FALLIBLE: bool = true;
}

/// Any other return type.
pub trait Infallibly {
    /// It is not.
    const FALLIBLE: bool = false;
}

impl<R> Infallibly for Fallibility<R> {}

/// A type, asked what TypeScript calls it.
#[derive(Debug)]
pub struct Typed<T>(PhantomData<fn() -> T>);

impl<T: ClientType> Typed<T> {
    /// What it says.
    #[must_use]
    pub fn typescript() -> Cow<'static, str> {
        T::typescript()
    }
}

/// Any other type.
pub trait Untyped {
    /// It says nothing.
    #[must_use]
    fn typescript() -> Cow<'static, str> {
        UNKNOWN.into()
    }
}

impl<T> Untyped for Typed<T> {}

/// What a call returned, as a value or an error.
pub trait Outcome<const FALLIBLE: bool> {
    /// The value.
    type Value;
    /// The error.
    type Error;
    /// Tells which.
    ///
    /// # Errors
    ///
    /// The function's own.
    fn outcome(self) -> Result<Self::Value, Self::Error>;
}

impl<T> Outcome<false> for T {
    type Value = T;
    type Error = Infallible;

    fn outcome(self) -> Result<T, Infallible> {
        Ok(self)
    }
}

impl<T, E> Outcome<true> for Result<T, E> {
    type Value = T;
    type Error = E;

    fn outcome(self) -> Self {
        self
    }
}

macro_rules! failures {
    ($($(#[$doc:meta])* $way:ident $(: $bound:path)? => $of:ty, |$error:ident| $failure:expr;)+) => { $(
        $(#[$doc])*
        pub trait $way {
            /// What the caller and the log are told.
            fn failure(&self) -> Failure;
        }

        impl<E $(: $bound)?> $way for $of {
            fn failure(&self) -> Failure {
                let $error = self.0;
                $failure
            }
        }
    )+ };
}
failures! {
    /// An error that says so itself, and has a text.
    FailureSaid: SaidAndShown => &&&Probe<'_, E>, |error| Failure::new(error.public(), Some(error.to_string()));
    /// One that says so itself.
    FailureSaidOnly: WebError => &&Probe<'_, E>, |error| Failure::new(error.public(), None);
    /// One with a text; sources too, where its alternate form has them.
    FailureShown: Display => &Probe<'_, E>, |error| Failure::new(None, Some(format!("{error:#}")));
    /// Any other.
    FailureUnknown => Probe<'_, E>, |_error| Failure::new(None, None);
}

/// Both.
pub trait SaidAndShown: WebError + Display {}
impl<E: WebError + Display> SaidAndShown for E {}
