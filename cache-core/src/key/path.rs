//! Structured keys: keys of several parts, of which each beginning is a tag of the entry.

use std::fmt;

use super::encode::{CacheKey, KeyWriter, PATH};
use super::{Key, KeyBytes, Space, encode, encoded};
use crate::cache::Cache;
use crate::marks::Kind;
use crate::reason::NotStorable;
use crate::tag::TagName;
use crate::verbs::Invalidating;

/// The most parts of a [`KeyPath`].
pub const MAX_KEY_PARTS: usize = 16;

/// A key of parts, from the general to the particular. Every beginning of it is a tag of the entry, so
/// that [`Cache::remove_beneath`] drops all entries that begin alike, however many there are.
///
/// At most 16 parts; past that nothing is stored under it (`key-parts`).
///
/// ```
/// # use cache_core as revalidate;
/// use revalidate::{Cache, KeyPath};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cache = Cache::new();
/// let ann = KeyPath::new().part("user").part(7);
/// let orders = || ann.clone().part("orders");
/// assert!(cache.put(orders(), 3_u32, "10m", []  as [&str; 0]).is_stored());
/// assert_eq!(cache.get::<u32>(orders()).await, Some(3));
///
/// cache.remove_beneath(&ann).await.unwrap();
/// assert_eq!(cache.get::<u32>(orders()).await, None);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct KeyPath {
    parts: Vec<KeyBytes>,
}

impl KeyPath {
    /// One without parts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, part: impl CacheKey) -> Self {
        self.parts.push(encoded(&part));
        self
    }

    /// How many parts it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether it has no part.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// The readable part of it, as a [`Key`]'s `Display`.
impl fmt::Debug for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPath(")?;
        for (at, part) in self.parts.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            encode::show(&part.bytes, f)?;
        }
        f.write_str(")")
    }
}

impl CacheKey for KeyPath {
    fn encode(&self, key: &mut KeyWriter<'_>) {
        key.sized(PATH, self.parts.len());
        for part in &self.parts {
            key.bytes(&part.bytes);
        }
        let flaw = self.parts.iter().find_map(|part| part.flaw);
        let long = (self.parts.len() > MAX_KEY_PARTS).then_some(NotStorable::KeyParts);
        if let Some(flaw) = flaw.or(long) {
            key.0.flaw.get_or_insert(flaw);
        }
    }
}

impl Cache {
    /// Drops every value whose key is a [`KeyPath`] that begins with these parts, or is these: applied
    /// when called, in a time that does not depend on how many there are. A path without parts is the
    /// beginning of all: it [clears](Self::clear) the scope or cache.
    ///
    /// What was made of those values goes too, as with any tag.
    pub fn remove_beneath(&self, path: &KeyPath) -> Invalidating {
        let key = encoded(path);
        let whole = match key.flaw {
            // Nothing is stored under what is no key, nor under what is left of one.
            Some(_) => None,
            None if path.is_empty() => return self.clear(),
            None => beginnings(self.space(), &key.bytes).pop(),
        };
        let names = whole.into_iter().collect();
        Invalidating::apply(self.engine(), Kind::Hard, (names, None))
    }
}

impl Key {
    /// The tags that are the beginnings of it, where it is structured.
    pub(crate) fn beginnings(&self) -> Vec<TagName> {
        beginnings(&self.space, &self.bytes)
    }
}

/// The tags that an entry under these bytes has for being under them: one for each beginning of a path,
/// the whole last; none where they are no path.
pub(crate) fn beginnings(space: &Space, bytes: &[u8]) -> Vec<TagName> {
    let mut tags = Vec::new();
    let (Space::Scope(scope), Some((&PATH, rest))) = (space, bytes.split_first()) else {
        return tags;
    };
    let Some((count, parts)) = rest.split_first_chunk() else {
        return tags;
    };
    let mut end = 0;
    for _ in 0..u64::from_le_bytes(*count) {
        // A part is its kind, its length and its bytes.
        let length = parts.get(end + 1..).and_then(<[u8]>::first_chunk);
        let Some(length) = length.and_then(|length| u64::from_le_bytes(*length).try_into().ok())
        else {
            return tags;
        };
        let length: usize = length;
        end += 9 + length;
        let Some(beginning) = parts.get(..end) else {
            return tags;
        };
        tags.push(TagName::key_path(scope.path(), beginning));
    }
    tags
}
