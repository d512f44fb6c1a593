//! Which extractors may be a part of a key, and what of them is written.

use axum::extract::{
    FromRequest, FromRequestParts, Json, MatchedPath, NestedPath, OriginalUri, Path, Query,
    RawForm, RawPathParams, RawQuery, Request, State,
};
use axum::{Extension, Form};
use bytes::Bytes;
use cache_core::macro_support::{CallerProbe, Probe};
use cache_core::{CacheKey, KeyWriter};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// An extractor that can be a part of a key: what it holds is all that a function learns from it.
///
/// `Extension`, `HeaderMap` and cookies are none: they tell callers apart, and whether that belongs
/// into the key is for the application to decide. Extractors that are not known here are none either.
pub trait ExtractorKey: Sealed {
    /// What is written; it is asked in turn how.
    type Key<'a>
    where
        Self: 'a;
    /// Takes it out.
    fn extractor_key(&self) -> Self::Key<'_>;
}

/// A known extractor.
pub type Extractor<'a, T> = <T as ExtractorKey>::Key<'a>;

macro_rules! holding {
    ($($of:ident),+) => { $(
        impl<T> Sealed for $of<T> {}
        impl<T> ExtractorKey for $of<T> {
            type Key<'a> = &'a T where T: 'a;

            #[inline]
            fn extractor_key(&self) -> &T {
                &self.0
            }
        }
    )+ };
}
holding!(Path, Query, Json, Form);

macro_rules! plain {
    ($lt:lifetime, $($of:ty => $key:ty, $this:ident => $expr:expr;)+) => { $(
        impl Sealed for $of {}
        impl ExtractorKey for $of {
            type Key<$lt> = $key;

            fn extractor_key<$lt>(&$lt self) -> $key {
                let $this = self;
                $expr
            }
        }
    )+ };
}
plain! { 'a,
    Method => TextKey<'a>, method => TextKey(method.as_str());
    MatchedPath => TextKey<'a>, path => TextKey(path.as_str());
    NestedPath => TextKey<'a>, path => TextKey(path.as_str());
    Uri => UriKey<'a>, uri => UriKey(uri);
    OriginalUri => UriKey<'a>, uri => UriKey(&uri.0);
    RawQuery => Option<TextKey<'a>>, query => query.0.as_deref().map(TextKey);
    RawForm => BytesKey<'a>, form => BytesKey(&form.0);
    RawPathParams => ParamsKey<'a>, params => ParamsKey(params);
}

impl<T: Sealed> Sealed for Option<T> {}
impl<T: ExtractorKey> ExtractorKey for Option<T> {
    type Key<'a>
        = Option<T::Key<'a>>
    where
        T: 'a;

    fn extractor_key(&self) -> Option<T::Key<'_>> {
        self.as_ref().map(T::extractor_key)
    }
}

/// Text of an extractor.
#[derive(Debug)]
pub struct TextKey<'a>(&'a str);

impl CacheKey for TextKey<'_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.text(self.0);
    }
}

/// The raw bytes of a form.
#[derive(Debug)]
pub struct BytesKey<'a>(&'a Bytes);

impl CacheKey for BytesKey<'_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.bytes(self.0);
    }
}

/// A URI in its parts.
#[derive(Debug)]
pub struct UriKey<'a>(&'a Uri);

impl CacheKey for UriKey<'_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        let uri = self.0;
        uri.scheme_str().encode(key);
        uri.authority()
            .map(http::uri::Authority::as_str)
            .encode(key);
        key.text(uri.path());
        uri.query().encode(key);
    }
}

/// Path parameters as they came.
#[derive(Debug)]
pub struct ParamsKey<'a>(&'a RawPathParams);

impl CacheKey for ParamsKey<'_> {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.sequence(self.0.iter().count());
        for (name, value) in self.0 {
            key.text(name);
            key.text(value);
        }
    }
}

/// Takes the key out of an extractor.
pub trait PeelExtractor {
    /// What is written.
    type Out;
    /// Takes it out.
    fn peel(&self) -> Self::Out;
}

impl<'a, T: ExtractorKey> PeelExtractor for &Probe<'a, T> {
    type Out = T::Key<'a>;

    #[inline]
    fn peel(&self) -> T::Key<'a> {
        self.0.extractor_key()
    }
}

/// Tells axum's `State`.
pub trait StateKind {
    /// Tells that it is.
    fn state_kind(&self) -> IsState;
}

impl<S> StateKind for &Probe<'_, State<S>> {
    #[inline]
    fn state_kind(&self) -> IsState {
        IsState
    }
}

/// axum's `State`.
#[derive(Clone, Copy, Debug)]
pub struct IsState;

impl IsState {
    /// Compiles.
    #[inline]
    pub fn check<T: ?Sized>(self, _: &T) {}
}

/// axum's types that are no part of a key by themselves, behind whatever name.
pub trait KeyKindUndecided {
    /// The kind.
    type Kind;
    /// Tells what it is.
    fn key_kind(&self) -> Self::Kind;
}

macro_rules! undecided {
    ($([$($param:ident)?] $of:ty => $kind:ident;)+) => { $(
        impl<$($param)?> KeyKindUndecided for &Probe<'_, $of> {
            type Kind = $kind;

            fn key_kind(&self) -> $kind {
                $kind
            }
        }
    )+ };
}
undecided! {
    [S] &State<S> => StateUndecided;
    [T] &Extension<T> => CallerUndecided;
    [T] &Option<Extension<T>> => CallerUndecided;
    [] &HeaderMap => CallerUndecided;
    [] &Request => CallerUndecided;
    [] &Parts => CallerUndecided;
}

/// axum's `State` by another name.
#[derive(Clone, Copy, Debug)]
pub struct StateUndecided;

impl StateUndecided {
    /// Does not compile, and says why.
    pub fn write<T: StateByName + ?Sized>(self, _: &T, _: &mut KeyWriter<'_>) {}
}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is axum's `State` by another name, and only by its own is it left out of the key",
    label = "`State` by another name",
    note = "write it as `State(..): State<..>`, or say `#[cache(skip)]` at the argument; where one handler has several states, `#[cache(key = expr)]` writes what tells them apart"
)]
pub trait StateByName {}
impl<T: StateByName + ?Sized> StateByName for &T {}

/// What says who is calling, by another name.
#[derive(Clone, Copy, Debug)]
pub struct CallerUndecided;

impl CallerUndecided {
    /// Does not compile, and says why.
    pub fn write<T: SaysWhoCalls + ?Sized>(self, _: &T, _: &mut KeyWriter<'_>) {}
}

/// Implemented by nothing: the compiler says what it misses.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says who is calling: decide what it is to the key",
    label = "not decided",
    note = "at the argument: `#[cache(key = expr)]` puts what the result depends on into the key; `#[cache(skip)]` leaves it out, and every caller is given the same cached value",
    note = "a `CacheLayer` outside does not see this key: send a `Vary` that names the header which the result depends on, or it stores no response made of it"
)]
pub trait SaysWhoCalls {}
impl<T: SaysWhoCalls + ?Sized> SaysWhoCalls for &T {}

/// What says nothing of the caller that the key of an HTTP request does not show: the URI and its parts,
/// a body (a request with one is never answered from the cache), the application's own state.
pub trait ShownByKey {}

impl<T: ExtractorKey> ShownByKey for T {}
impl<S> ShownByKey for State<S> {}
impl ShownByKey for String {}
impl ShownByKey for Bytes {}
impl ShownByKey for () {}
impl<T: ShownByKey, E> ShownByKey for Result<T, E> {}

macro_rules! callers {
    ($($(#[$doc:meta])* $way:ident: $of:ty where $bound:path => $says:literal;)+) => { $(
        $(#[$doc])*
        pub trait $way {
            /// Tells whether it says who is calling.
            fn says_who_calls(&self) -> bool;
        }

        impl<T: $bound, S> $way for $of {
            fn says_who_calls(&self) -> bool {
                $says
            }
        }
    )+ };
}
callers! {
    /// Extractors that are a part of the URI, and the like.
    CallerShown: &&&CallerProbe<'_, T, S> where ShownByKey => false;
    /// Extractors that take what they like of the head: known or not, it may say who is calling.
    CallerInParts: &&CallerProbe<'_, T, S> where FromRequestParts<S> => true;
    /// Those that take the whole request.
    CallerInRequest: &CallerProbe<'_, T, S> where FromRequest<S> => true;
}
