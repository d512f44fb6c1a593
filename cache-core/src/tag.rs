//! What a tag is called: the user's own, and the implicit ones of functions, scopes and paths.
//!
//! A name opens with one character for its kind, so that no user's tag can meet an implicit one.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::InvalidateError;
use crate::reason::NotStorable;

/// The most explicit tags that an entry carries (Next.js's limit).
pub const MAX_TAGS: usize = 128;
/// The most characters in a tag (Next.js's limit).
pub const MAX_TAG_CHARS: usize = 256;
/// The most levels in a path.
pub const MAX_PATH_LEVELS: usize = 32;

/// The name of a tag, explicit or implicit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TagName(Arc<str>);

impl TagName {
    const USER: char = '#';
    const FUNCTION: char = 'f';
    const SCOPE: char = 's';
    const ALL: char = '*';
    const RESOURCE: char = 'h';
    const GROUP: char = 'g';
    const KEY_PATH: char = 'k';

    /// A user's tag.
    ///
    /// # Errors
    ///
    /// [`NotStorable::TagLength`] where it is empty or longer than 256 characters.
    pub fn user(tag: &str) -> Result<Self, NotStorable> {
        if tag.is_empty() || (tag.len() > MAX_TAG_CHARS && tag.chars().count() > MAX_TAG_CHARS) {
            return Err(NotStorable::TagLength);
        }
        Ok(Self::of(Self::USER, tag))
    }

    pub(crate) fn user_or_error(tag: &str) -> Result<Self, InvalidateError> {
        Self::user(tag).map_err(|_| InvalidateError::InvalidTag {
            tag: tag.chars().take(32).collect(),
            length: tag.chars().count(),
        })
    }

    /// What is known by one URI: an authority, lower-case, with a path and a query.
    #[must_use]
    pub fn resource(authority: &str, path_and_query: &str) -> Self {
        Self::of(Self::RESOURCE, &format!("{authority}{path_and_query}"))
    }

    /// A group of an origin's responses (RFC 9875).
    #[must_use]
    pub fn group(authority: &str, group: &str) -> Self {
        // No authority has a space.
        Self::of(Self::GROUP, &format!("{authority} {group}"))
    }

    pub(crate) fn function(name: &str) -> Self {
        Self::of(Self::FUNCTION, name)
    }

    pub(crate) fn scope(path: &str) -> Self {
        Self::of(Self::SCOPE, path)
    }

    /// What begins with these encoded parts, in the scope of this path.
    pub(crate) fn key_path(scope: &str, parts: &[u8]) -> Self {
        // No name of a scope begins with a slash: a length does.
        Self::of(Self::KEY_PATH, &format!("{scope}/{}", parts.escape_ascii()))
    }

    pub(crate) fn all() -> Self {
        Self::of(Self::ALL, "")
    }

    pub(crate) fn from_raw(raw: &Arc<str>) -> Self {
        Self(Arc::clone(raw))
    }

    pub(crate) fn of(kind: char, text: &str) -> Self {
        let mut name = String::with_capacity(text.len() + 1);
        name.push(kind);
        name.push_str(text);
        Self(name.into())
    }

    /// The name with its kind, as records are kept under it.
    pub(crate) const fn raw(&self) -> &Arc<str> {
        &self.0
    }

    /// Whether it is a path's.
    pub(crate) fn is_path(&self) -> bool {
        crate::path::is_path(&self.0)
    }

    /// Whether a user named it; only these count towards [`MAX_TAGS`].
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        is_explicit(&self.0)
    }

    /// The user's text, or what the implicit tag stands for, in words.
    #[must_use]
    pub fn shown(&self) -> Cow<'_, str> {
        shown(&self.0)
    }
}

/// Whether a name, with its kind, is a user's.
pub(crate) fn is_explicit(raw: &str) -> bool {
    raw.starts_with(TagName::USER)
}

/// The kind of a name in words, and the user's text or that of what an implicit one stands for: none of
/// `everything`.
pub fn kind_and_text(raw: &str) -> (&'static str, Cow<'_, str>) {
    let mut chars = raw.chars();
    let kind = chars.next().unwrap_or_default();
    let text = chars.as_str();
    let what = match kind {
        TagName::USER => "tag",
        TagName::ALL => "everything",
        TagName::SCOPE => return ("scope", crate::key::scope_names(text).into()),
        TagName::FUNCTION => "function",
        TagName::RESOURCE => "resource",
        TagName::GROUP => "group",
        TagName::KEY_PATH => "key",
        _ => crate::path::kind_shown(kind),
    };
    (what, text.into())
}

/// The user's text of a name, or what an implicit one stands for, in words: `function shop::price`.
pub fn shown(raw: &str) -> Cow<'_, str> {
    match kind_and_text(raw) {
        (_, text) if is_explicit(raw) => text,
        (kind, text) if text.is_empty() => kind.into(),
        (kind, text) => format!("{kind} {text}").into(),
    }
}

impl fmt::Debug for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A tag as Wix's `invalidateCache` takes it: `{ "tag": "contacts" }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InvalidationMethod {
    /// The tag.
    pub tag: String,
}

impl<'de> serde::Deserialize<'de> for InvalidationMethod {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = InvalidationMethod;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one field, `tag`")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<InvalidationMethod, A::Error> {
                use serde::de::Error;
                let mut tag = None;
                while let Some(field) = map.next_key::<Cow<'de, str>>()? {
                    match (field.as_ref(), &tag) {
                        ("tag", None) => tag = Some(map.next_value()?),
                        ("tag", Some(_)) => return Err(A::Error::duplicate_field("tag")),
                        (other, _) => return Err(A::Error::unknown_field(other, &["tag"])),
                    }
                }
                let tag = tag.ok_or_else(|| A::Error::missing_field("tag"))?;
                Ok(InvalidationMethod { tag })
            }
        }
        deserializer.deserialize_struct("InvalidationMethod", &["tag"], Fields)
    }
}

mod sealed {
    pub trait AsTag {
        fn as_tag(&self) -> &str;
    }
    #[derive(Debug)]
    pub enum One {}
    #[derive(Debug)]
    pub enum Many {}
    pub trait Sealed<M> {}
}
use sealed::{AsTag, Many, One, Sealed};

macro_rules! as_tag {
    ($($of:ty),+) => { $(impl AsTag for $of {
        fn as_tag(&self) -> &str { self }
    })+ };
}
as_tag!(
    &str,
    &&str,
    String,
    &String,
    Cow<'_, str>,
    &Cow<'_, str>,
    Box<str>,
    Arc<str>
);

impl AsTag for InvalidationMethod {
    fn as_tag(&self) -> &str {
        &self.tag
    }
}

impl AsTag for &InvalidationMethod {
    fn as_tag(&self) -> &str {
        &self.tag
    }
}

/// One tag, or any number of them: text (`&str`, `String`, `Cow`, ..), an [`InvalidationMethod`],
/// and arrays, vectors and iterators of those.
///
/// The parameter only tells one from many; it is always inferred. No tags (an empty array, `None`)
/// are no error, and do nothing.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` is neither a tag nor a list of tags",
    label = "not tags",
    note = "a tag is text, a `&str` or a `String`; several are an array, a `Vec` or any iterator of text"
)]
pub trait IntoTags<M>: Sealed<M> {
    #[doc(hidden)]
    fn each_tag(self, each: &mut dyn FnMut(&str));
}

impl<T: AsTag> Sealed<One> for T {}
impl<T: AsTag> IntoTags<One> for T {
    fn each_tag(self, each: &mut dyn FnMut(&str)) {
        each(self.as_tag());
    }
}

impl<I: IntoIterator<Item: AsTag>> Sealed<Many> for I {}
impl<I: IntoIterator<Item: AsTag>> IntoTags<Many> for I {
    fn each_tag(self, each: &mut dyn FnMut(&str)) {
        for tag in self {
            each(tag.as_tag());
        }
    }
}

/// The explicit tags given to a store: names, and what was wrong with one of them.
pub(crate) fn names<M>(tags: impl IntoTags<M>) -> Result<Vec<TagName>, NotStorable> {
    let mut names = Vec::new();
    let mut wrong = None;
    tags.each_tag(&mut |tag| {
        if names.len() > MAX_TAGS {
            wrong = Some(NotStorable::TooManyTags);
            return;
        }
        match TagName::user(tag) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(why) => wrong = Some(why),
        }
    });
    match wrong {
        Some(why) => Err(why),
        None => Ok(names),
    }
}
