//! What the expansions of `cache-macros` stand on, and what they let the compiler decide by type: how
//! arguments become keys, what a return type stores, what a value weighs and which tags it has.
//!
//! The deciding is by method resolution on a [`Probe`]: each way is a trait with the same method,
//! implemented for one reference more or less, so that the first that applies to the concrete type is
//! taken (autoref specialisation). `cache-tower` adds the ways of axum's types. The traits are in
//! [`dispatch`]; nothing but traits may be there, as expansions import all of it.

mod keys;
mod loads;
mod returns;
mod tags;
mod values;
mod web;

use std::borrow::Cow;

use crate::tag::IntoTags;

pub use crate::error::LoadTimeout;
pub use crate::key::{CacheKey, KeyWriter};
pub use crate::life::Life;
pub use crate::spi::{
    Call, CallKey, CallOptions, Finished, Function, Key, Looked, Sharing, clear, lookup,
    lookup_anew, remove,
};
pub use crate::verbs::Invalidating;

pub use crate::web::{
    Calling, ClientTypes, Decode, Description, Encode, MountsBorrowedArguments,
    MountsGenericFunctions, WebMethod, Wire,
};
pub use keys::{
    ByCacheKey, BySerialize, BySet, CallerProbe, KeyArgument, KeyField, Peeled, SerializeSet,
    StateArgument, Unkeyable, is_caller, write_type,
};
pub use loads::{Awaited, Loading, NoneLimit, Plan, no_time_limit, none_limit, timed_out};
pub use returns::{
    Finishing, HasNone, OptionShape, PlainShape, ResultShape, Returned, SaysTimeout, Sendable,
    Shape, Storable, UnsendableShape, UnstorableShape, restore,
};
pub use tags::{CacheTags, TagSink, add_tags_of, cache_tags_of, sink_tag};
pub use values::{
    OwnedArgument, Sharable, Verdict, Weighing, local, sharable, shared, weigher, weighing,
};
pub use web::{Fallibility, Infallibly, Outcome, SaidAndShown, Typed, Untyped};

/// A value whose type the compiler is asked about.
#[derive(Debug)]
pub struct Probe<'a, T: ?Sized>(pub &'a T);

/// The traits of method resolution.
pub mod dispatch {
    pub use super::keys::{
        CallerUnsaid, KeyKind, KeyKindNone, KeyKindSerialize, KeyKindSet, PeelNothing,
        StateKindNone,
    };
    pub use super::loads::LoadUnsendable;
    pub use super::returns::{
        ShapeOfFallible, ShapeOfPlain, ShapeOfUnsendable, ShapeOfUnstorable,
        ShapeOfUnstorableInside,
    };
    pub use super::tags::{OutcomeOfFallible, OutcomeOfPlain, ValueTags, ValueTagsNone};
    pub use super::values::{
        ShareByValue, ShareNot, VerdictNone, WeighByLength, WeighBySize, WeighByWeight,
    };
    pub use super::web::{FailureSaid, FailureSaidOnly, FailureShown, FailureUnknown};
}

/// Adds tags to the enclosing load.
pub fn add_tags(tags: Vec<Cow<'static, str>>) {
    if !tags.is_empty() {
        crate::current::cache_tag(tags);
    }
}

/// Adds the tags of an expression to a list.
pub fn push_tags<M>(tags: &mut Vec<Cow<'static, str>>, more: impl IntoTags<M>) {
    more.each_tag(&mut |tag| tags.push(Cow::Owned(tag.to_owned())));
}

/// An expression given as `life = ..`.
pub fn life(life: impl Into<Life>) -> Life {
    life.into()
}
