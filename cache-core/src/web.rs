//! What a function shows of itself to whoever calls it from outside as a web method: its description,
//! its call, and what its errors say. How arguments and values travel is the [`Wire`]'s matter, and
//! the bounds on their types are asked for only where a function is mounted.

use std::borrow::Cow;
use std::pin::Pin;

use crate::error::InvalidateError;
use crate::permissions::Permissions;

/// What an error may say to the caller of a web method.
///
/// The `Err` of a web method is answered with the status 500 and nothing of it, as an error's text is
/// written for its operators: those find it in the log (feature `tracing`; on standard error without), where
/// the type is [`Display`](std::fmt::Display). Of one that is not, only that the method failed is there. A type
/// that knows better what callers may be told says so:
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{PublicError, WebError};
///
/// enum BookError {
///     NoSuchContact(i64),
///     Database(String),
/// }
///
/// impl WebError for BookError {
///     fn public(&self) -> Option<PublicError> {
///         match self {
///             Self::NoSuchContact(id) => Some(PublicError::new(404, "no_such_contact", format!("there is no contact {id}"))),
///             Self::Database(_) => None, // 500, and the log
///         }
///     }
/// }
/// # assert!(BookError::NoSuchContact(7).public().is_some_and(|error| error.status() == 404));
/// # assert!(BookError::Database(String::new()).public().is_none());
/// ```
pub trait WebError {
    /// The status, the code and the message of the answer; `None` for a 500 without details.
    fn public(&self) -> Option<PublicError>;
}

/// What the caller of a web method is told of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicError {
    status: u16,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
}

impl PublicError {
    /// An answer with this HTTP status, a code for programs, and a message for people.
    ///
    /// # Panics
    ///
    /// With a status that is none of an error (400 to 599).
    #[must_use]
    #[track_caller]
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        assert!(
            (400..600).contains(&status),
            "{status} is no status of an error: those are 400 to 599"
        );
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The code for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A caller's mistakes are the caller's to know: 400 and 403. The rest is the application's: 500.
impl WebError for InvalidateError {
    fn public(&self) -> Option<PublicError> {
        let (status, code) = match self {
            Self::InvalidTag { .. } => (400, "invalid_tag"),
            Self::InvalidPath { .. } => (400, "invalid_path"),
            Self::PermissionDenied => {
                return Some(PublicError::new(
                    403,
                    "forbidden",
                    "the caller may not invalidate",
                ));
            }
            // What it was to tell is that others may not know yet: 503 is for those who try again.
            Self::NotEverywhere => (503, "not_everywhere"),
            Self::InsideCachedFunction { .. } | Self::NoCurrentCache => return None,
        };
        Some(PublicError::new(status, code, self.to_string()))
    }
}

/// A call's `Err`: what its caller is told, and what the log is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Failure {
    /// What the error says of itself; `None`: nothing.
    pub public: Option<PublicError>,
    /// The error as text, where it has one.
    pub details: Option<String>,
}

impl Failure {
    pub(crate) const fn new(public: Option<PublicError>, details: Option<String>) -> Self {
        Self { public, details }
    }
}

/// What is known of a web method without calling it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The function's name.
    pub name: &'static str,
    /// Who may call it.
    pub permission: Permissions,
    /// The arguments' names, in their order.
    pub parameters: &'static [&'static str],
    /// The function's documentation, line by line as it was written.
    pub docs: &'static str,
    /// Whether its values are cached.
    pub cached: bool,
    /// What its types are called by those who call it from TypeScript.
    pub types: fn() -> ClientTypes,
}

/// The types of a web method as TypeScript has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTypes {
    /// The arguments', in their order.
    pub parameters: Vec<Cow<'static, str>>,
    /// The value's.
    pub value: Cow<'static, str>,
}

impl ClientTypes {
    /// Those of a method of `parameters` that says nothing of them.
    #[must_use]
    pub fn unknown(parameters: usize) -> Self {
        Self {
            parameters: vec![UNKNOWN.into(); parameters],
            value: UNKNOWN.into(),
        }
    }
}

/// What TypeScript calls a type that it knows nothing of.
pub(crate) const UNKNOWN: &str = "unknown";

/// How arguments come and values go: a format and its errors.
pub trait Wire: Sized + 'static {
    /// The arguments of one call.
    type Arguments;
    /// A value that goes out.
    type Value: Send;
    /// Why there is none.
    type Error: Send;

    /// What the function's own error is here.
    fn failed(failure: Failure) -> Self::Error;
}

/// A wire on which a `T` can come as an argument.
#[diagnostic::on_unimplemented(
    message = "a web method's argument of the type `{T}` cannot be read from what its caller sends",
    label = "this web method takes a `{T}`",
    note = "derive `serde::Deserialize` for it",
    note = "what it works with, such as a database, is no argument, `#[cache(skip)]` or not: keep it in a `static` (`OnceLock`), or mount a function that finds it and calls this one",
    note = "who is calling is no argument, as a caller could claim to be anybody: ask `Caller::current()`"
)]
pub trait Decode<T>: Wire {
    /// Reads the argument at this place, counted from 0.
    ///
    /// # Errors
    ///
    /// Where what is there is no `T`.
    fn decode(arguments: &Self::Arguments, at: usize) -> Result<T, Self::Error>;
}

/// A wire on which a `T` can go out.
#[diagnostic::on_unimplemented(
    message = "a web method's value of the type `{T}` cannot be written for its caller",
    label = "this web method returns a `{T}`",
    note = "derive `serde::Serialize` for it"
)]
pub trait Encode<T>: Wire {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// Where this value cannot be written.
    fn encode(value: T) -> Result<Self::Value, Self::Error>;
}

/// What a call of a web method comes to.
pub type Calling<W> =
    Pin<Box<dyn Future<Output = Result<<W as Wire>::Value, <W as Wire>::Error>> + Send>>;

/// The companion of a function under `#[web_method(PERMISSION)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no web method that can be mounted",
    label = "not the companion of a web method",
    note = "a web method is an `async fn` under `#[web_method(Permissions::.., ..)]`: the permission says who may call it",
    note = "a function that takes extractors is a handler of a router; one with `self`, with `impl Trait` arguments other than `impl Into<T>`, or with `companion = none`, has nothing to mount it by"
)]
pub trait WebMethod<W: Wire> {
    /// What is known of it.
    const ABOUT: Description;
    /// Calls it.
    fn call(arguments: W::Arguments) -> Calling<W>;
}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "a function that is generic in types or constants cannot be mounted as a web method",
    label = "its companion stands for the functions of all types",
    note = "write a function with concrete types that calls it, and mount that"
)]
pub trait MountsGenericFunctions: Wire {}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "a web method cannot be lent what is inside of an argument",
    label = "an argument of it holds a reference",
    note = "an argument is read from what the caller sends: write `&str`, `&T` or `&[T]` themselves, and inside of other types what is owned, such as `Option<String>` instead of `Option<&str>`"
)]
pub trait MountsBorrowedArguments: Wire {}
