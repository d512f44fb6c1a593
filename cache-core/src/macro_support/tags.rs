//! The tags of a value: `CacheTags`, and where the expansions ask for them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::Probe;
use crate::reason::NotStorable;
use crate::tag::{IntoTags, MAX_TAGS, TagName};

/// The tags of a value, known once it is loaded.
///
/// What a function under `#[web_method(cache(..))]` or `#[cache_tag]` returns is asked for them, in a
/// `Result`, an `Option`, a list, or axum's `Json`: an entry then has the tags of every value in it.
/// `#[derive(CacheTags)]` writes it from `#[cache_tags("booking:{id}")]`. An entry has at most 128
/// tags; one with more is served but not stored, so give long lists a tag of their own instead.
///
/// ```
/// use cache_core::{CacheTags, TagSink};
///
/// struct Booking { id: u64, room: u32 }
///
/// impl CacheTags for Booking {
///     fn cache_tags(&self, tags: &mut TagSink) {
///         tags.add(format!("booking:{}", self.id));
///         tags.add(format!("room:{}", self.room));
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which tags it has",
    note = "derive it: `#[derive(CacheTags)] #[cache_tags(\"booking:{{id}}\")]`"
)]
pub trait CacheTags {
    /// Adds the tags of this value.
    fn cache_tags(&self, tags: &mut TagSink);
}

/// Takes the tags of a value.
#[derive(Debug, Default)]
pub struct TagSink {
    names: Vec<TagName>,
    wrong: Option<NotStorable>,
}

impl TagSink {
    /// Adds one tag or many. A tag that is empty or longer than 256 characters, and more than 128 of
    /// them, make the entry not storable.
    pub fn add<M>(&mut self, tags: impl IntoTags<M>) {
        tags.each_tag(&mut |tag| self.add_one(tag));
    }

    fn add_one(&mut self, tag: &str) {
        match TagName::user(tag) {
            Ok(name) if self.names.contains(&name) => {}
            Ok(_) if self.names.len() == MAX_TAGS => self.wrong = Some(NotStorable::TooManyTags),
            Ok(name) => self.names.push(name),
            Err(why) => self.wrong = Some(why),
        }
    }
}

impl CacheTags for () {
    fn cache_tags(&self, _: &mut TagSink) {}
}

impl<T: CacheTags> CacheTags for [T] {
    fn cache_tags(&self, tags: &mut TagSink) {
        for value in self {
            if tags.wrong.is_some() {
                return;
            }
            value.cache_tags(tags);
        }
    }
}

impl<T: CacheTags, E> CacheTags for Result<T, E> {
    fn cache_tags(&self, tags: &mut TagSink) {
        if let Ok(value) = self {
            value.cache_tags(tags);
        }
    }
}

impl<T: CacheTags, const N: usize> CacheTags for [T; N] {
    fn cache_tags(&self, tags: &mut TagSink) {
        self.as_slice().cache_tags(tags);
    }
}

macro_rules! each {
    ($(<$($param:ident $(: $bound:path)?),+> $of:ty, $self:ident => $iter:expr;)+) => { $(
        impl<$($param $(: $bound)?),+> CacheTags for $of {
            fn cache_tags(&self, tags: &mut TagSink) {
                let $self = self;
                $iter.for_each(|value| value.cache_tags(tags));
            }
        }
    )+ };
}
each! {
    <T: CacheTags> Vec<T>, list => list.iter();
    <T: CacheTags> VecDeque<T>, list => list.iter();
    <T: CacheTags> Option<T>, option => option.iter();
    <K, T: CacheTags, S> HashMap<K, T, S>, map => map.values();
    <K, T: CacheTags> BTreeMap<K, T>, map => map.values();
}

macro_rules! through {
    ($($of:ty),+) => { $(
        impl<T: CacheTags + ?Sized> CacheTags for $of {
            fn cache_tags(&self, tags: &mut TagSink) {
                (**self).cache_tags(tags);
            }
        }
    )+ };
}
through!(&T, Box<T>, Arc<T>, Rc<T>);

macro_rules! tuples {
    ($($($name:ident)+;)+) => { $(
        impl<$($name: CacheTags),+> CacheTags for ($($name,)+) {
            fn cache_tags(&self, tags: &mut TagSink) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $($name.cache_tags(tags);)+
            }
        }
    )+ };
}
tuples! { A B; A B C; A B C D; }

/// Adds the tags of a value to the cached function or response that this runs in; outside of one,
/// nothing. What a cached function *returns* is asked by itself.
pub fn cache_tags_of<T: CacheTags + ?Sized>(value: &T) {
    let mut sink = TagSink::default();
    value.cache_tags(&mut sink);
    match sink.wrong {
        Some(why) => crate::current::add_tags(Err(why)),
        None if sink.names.is_empty() => {}
        None => crate::current::add_tags(Ok(sink.names)),
    }
}

/// [`cache_tags_of`] what `fill` adds, for types that `CacheTags` cannot be implemented for.
pub fn add_tags_of(fill: &dyn Fn(&mut TagSink)) {
    struct Filled<'a>(&'a dyn Fn(&mut TagSink));
    impl CacheTags for Filled<'_> {
        fn cache_tags(&self, tags: &mut TagSink) {
            (self.0)(tags);
        }
    }
    cache_tags_of(&Filled(fill));
}

/// Adds a tag of a derived implementation.
pub fn sink_tag(sink: &mut TagSink, tag: Cow<'static, str>) {
    sink.add(tag);
}

/// The tags of a returned value that has some.
pub trait ValueTags {
    /// Adds them to the load.
    fn value_tags(&self);
}

impl<T: CacheTags + ?Sized> ValueTags for &&Probe<'_, T> {
    fn value_tags(&self) {
        cache_tags_of(self.0);
    }
}

/// Those of any other: none.
pub trait ValueTagsNone {
    /// Adds nothing.
    fn value_tags(&self);
}

impl<T: ?Sized> ValueTagsNone for Probe<'_, T> {
    fn value_tags(&self) {}
}

/// The value that `{result.field}` reads: that of `Ok`, of `Some`.
pub trait OutcomeOfFallible {
    /// Its type.
    type Out;
    /// The value, if there is one.
    fn outcome(&self) -> Option<Self::Out>;
}

impl<'a, T, E> OutcomeOfFallible for &&Probe<'a, Result<T, E>> {
    type Out = &'a T;

    fn outcome(&self) -> Option<&'a T> {
        self.0.as_ref().ok()
    }
}

impl<'a, T> OutcomeOfFallible for &&Probe<'a, Option<T>> {
    type Out = &'a T;

    fn outcome(&self) -> Option<&'a T> {
        self.0.as_ref()
    }
}

/// Any other value.
pub trait OutcomeOfPlain {
    /// Its type.
    type Out;
    /// The value.
    fn outcome(&self) -> Option<Self::Out>;
}

impl<'a, T: ?Sized> OutcomeOfPlain for Probe<'a, T> {
    type Out = &'a T;

    fn outcome(&self) -> Option<&'a T> {
        Some(self.0)
    }
}
